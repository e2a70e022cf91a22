//! Receivers of what is delivered to applications: webhook endpoints, and clients that hear of logouts.

use super::{StoreError, row::row};
use crate::domain::clock::ClockSetting;

/// A receiver with something that is not delivered yet, and the clock that it waits by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueReceiver {
    pub environment_id: String,
    pub id: String,
    pub clock: ClockSetting,
}

row! {
    pub(super) struct DueRow {
        environment_id: String,
        id: String,
        clock_json: String,
    }
}

impl TryFrom<DueRow> for DueReceiver {
    type Error = StoreError;

    fn try_from(row: DueRow) -> Result<Self, StoreError> {
        let clock = serde_json::from_str(&row.clock_json).map_err(|_| StoreError::Unreadable("clock"))?;
        Ok(Self { environment_id: row.environment_id, id: row.id, clock })
    }
}
