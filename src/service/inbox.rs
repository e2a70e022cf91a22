//! Reading the inbox, and waiting for an email.

use std::time::Duration;

use super::Failure;
use crate::domain::email::EmailAddress;
use crate::runtime::Context;
pub use crate::storage::{InboxFilter, InboxMessage};

/// How often the database is asked while waiting, because another replica may store the email.
const POLL_EVERY: Duration = Duration::from_millis(25);

/// Emails, newest first; with `wait`, not before there is one or the time is over.
pub async fn messages(
    context: &Context,
    filter: &InboxFilter,
    wait: Duration,
) -> Result<Vec<InboxMessage>, Failure> {
    let deadline = tokio::time::Instant::now() + wait;
    let mut changed = context.runtime.mail.inbox_changed.subscribe();
    loop {
        changed.mark_unchanged();
        let found = context.store().messages(context.environment_id(), filter).await?;
        let now = tokio::time::Instant::now();
        if !found.is_empty() || now >= deadline || context.runtime.server.is_stopping() {
            return Ok(found);
        }
        // This process's own emails wake at once. Only a shared database needs asking in between.
        let pause = if context.store().is_embedded() { deadline } else { deadline.min(now + POLL_EVERY) };
        let _ = tokio::time::timeout_at(pause, changed.changed()).await;
    }
}

pub async fn message(context: &Context, id: &str) -> Result<Option<InboxMessage>, Failure> {
    Ok(context.store().message(context.environment_id(), id).await?)
}

/// Empties the inbox, or deletes what one address received; tells how many emails went.
pub async fn delete(context: &Context, to: Option<&EmailAddress>) -> Result<u64, Failure> {
    Ok(context.store().delete_messages(context.environment_id(), to.map(EmailAddress::key)).await?)
}

/// Deletes one email; `false` when there was none.
pub async fn delete_one(context: &Context, id: &str) -> Result<bool, Failure> {
    Ok(context.store().delete_message(context.environment_id(), id).await?)
}
