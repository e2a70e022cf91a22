//! What all changes of an environment have in common: how they are refused, and when they hold. Every change is there for
//! the next request, on every server of the database.

use super::{Failure, retry_on_conflict};
use crate::domain::field_error::FieldError;
use crate::runtime::Context;
use crate::storage::{EnvironmentRecord, StoreError};

/// Why something was not done. The state is as before.
#[derive(Debug)]
pub enum ControlError {
    Invalid(Vec<FieldError>),
    NotFound(String),
    /// It is there already.
    Conflict(FieldError),
    NotAllowed(String),
    Failure(Failure),
}

impl<E: Into<Failure>> From<E> for ControlError {
    fn from(error: E) -> Self {
        Self::Failure(error.into())
    }
}

impl ControlError {
    pub fn field(field: &str, reason: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError::new(field, reason)])
    }
}

impl std::fmt::Display for ControlError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Invalid(errors) => {
                let texts: Vec<String> = errors.iter().map(FieldError::to_string).collect();
                f.write_str(&texts.join("; "))
            }
            Self::Conflict(error) => write!(f, "{error}"),
            Self::NotFound(text) | Self::NotAllowed(text) => f.write_str(text),
            Self::Failure(failure) => write!(f, "{failure}"),
        }
    }
}

/// A record that exists already is the caller's mistake, with the field it comes from.
pub(super) fn exists(error: StoreError, field: &str, reason: &str) -> ControlError {
    match error {
        StoreError::Exists(_) => ControlError::Conflict(FieldError::new(field, reason)),
        other => other.into(),
    }
}

/// Changes the environment's record, again and again while others change it, and waits until every server knows.
pub(super) async fn change_record(
    context: &Context,
    change: impl Fn(&mut EnvironmentRecord) -> Result<(), ControlError>,
) -> Result<(), ControlError> {
    retry_on_conflict(|| async {
        let mut record = context.runtime.record().await?;
        change(&mut record)?;
        let is_done = context.store().change_environment(&record, context.runtime.clock.machine_ms()).await?;
        Ok::<_, ControlError>(is_done.then_some(()))
    })
    .await?;
    publish_change(context).await
}

/// Makes a committed change known: here at once, to other servers within the time that they may go without asking.
pub(super) async fn publish_change(context: &Context) -> Result<(), ControlError> {
    context.runtime.reload().await?;
    if let Some(age) = context.runtime.server.freshness() {
        tokio::time::sleep(age).await;
    }
    Ok(())
}
