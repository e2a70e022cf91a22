//! The record of an environment. Every change of it grows its version, by which servers notice.

use super::{Statement, StoreError, Transaction, row::row, sql};
use crate::domain::clock::{ClockSetting, UnixMs};

/// The id under which the template of an environment is kept: one statement copies its rows.
pub(super) fn template_id(environment_id: &str) -> String {
    format!("{environment_id}~seed")
}

/// What is stored of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentRecord {
    /// Its id.
    pub id: String,
    /// `None`: the default one.
    pub name: Option<String>,
    /// Grows with every change; a later change is committed only over the version that was read.
    pub version: i64,
    /// How often it was reset: makes repeatable randomness start over.
    pub resets: i64,
    /// Changed settings in the configuration's words, sealed.
    pub settings: Vec<u8>,
    /// How its clock stands to the machine's.
    pub clock: ClockSetting,
    /// When it was made, by the machine's clock.
    pub created_at_ms: UnixMs,
}

row! {
    pub(super) struct Row {
        id: String,
        name: Option<String>,
        version: i64,
        resets: i64,
        settings: Vec<u8>,
        clock_json: String,
        created_at_ms: i64,
    }
}

impl TryFrom<Row> for EnvironmentRecord {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            clock: serde_json::from_str(&row.clock_json).map_err(|_| StoreError::Unreadable("clock"))?,
            id: row.id,
            name: row.name,
            version: row.version,
            resets: row.resets,
            settings: row.settings,
            created_at_ms: row.created_at_ms,
        })
    }
}

pub(super) fn clock_json(clock: &ClockSetting) -> Result<String, StoreError> {
    serde_json::to_string(clock).map_err(|_| StoreError::Unreadable("clock"))
}

/// Writes a change over the version in `record`; `false` when somebody else changed it meanwhile.
pub(super) async fn write_record(
    tx: &mut Transaction,
    record: &EnvironmentRecord,
    now_ms: UnixMs,
) -> Result<bool, StoreError> {
    Ok(writing_record(record, now_ms)?.execute(tx).await? == 1)
}

/// Touches no row when somebody else changed it meanwhile. A reset replaces the roles too.
pub(super) fn writing_record(record: &EnvironmentRecord, now_ms: UnixMs) -> Result<Statement, StoreError> {
    let query = sql(
        "UPDATE environments SET version = version + 1, roles_version = roles_version + 1, resets = $3, \
         settings = $4, clock_json = $5, updated_at_ms = $6 WHERE id = $1 AND version = $2",
    );
    Ok(query
        .bind(&record.id)
        .bind(record.version)
        .bind(record.resets)
        .bind(record.settings.clone())
        .bind(clock_json(&record.clock)?)
        .bind(now_ms))
}

/// Touches no row when roles were changed since this version was read.
pub(super) fn moving_roles_version(environment_id: &str, version: i64) -> Statement {
    let query =
        sql("UPDATE environments SET roles_version = roles_version + 1 WHERE id = $1 AND roles_version = $2");
    query.bind(environment_id.to_owned()).bind(version)
}
