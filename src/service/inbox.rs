//! The inbox: reading it, waiting for an email, and taking in those of other programs.

use std::time::Duration;

use super::{Failure, outbox};
use crate::domain::email::EmailAddress;
use crate::mail::{DeliveryError, Envelope, received, source};
use crate::runtime::Context;
pub use crate::storage::{InboxCount, InboxFilter, InboxMessage};
use crate::storage::{NewMail, Received};

/// The kind of emails that other programs sent.
pub const RECEIVED: &str = "received";

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

/// Comes before every email.
const BEGINNING: &str = "msg_0000000000000000000";

/// The newest email to whom and of what sign-in a filter says, whatever page, search and beginning it has: emails after it are
/// new.
pub async fn cursor(context: &Context, filter: &InboxFilter) -> Result<String, Failure> {
    let newest = InboxFilter {
        to_key: filter.to_key.clone(),
        auth_request_id: filter.auth_request_id.clone(),
        limit: 1,
        ..InboxFilter::default()
    };
    let newest = messages(context, &newest, Duration::ZERO).await?;
    Ok(newest.into_iter().next().map_or_else(|| BEGINNING.to_owned(), |message| message.id))
}

pub async fn message(context: &Context, id: &str) -> Result<Option<InboxMessage>, Failure> {
    Ok(context.store().message(context.environment_id(), id).await?)
}

/// Why there is no source of an email.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error(transparent)]
    Failure(#[from] Failure),
    /// One of our own that cannot be written as an email.
    #[error(transparent)]
    Unfit(#[from] DeliveryError),
}

/// An email as an SMTP server receives it: as it came, or written anew where it is one of our own.
pub async fn source_of(context: &Context, message: &InboxMessage) -> Result<Vec<u8>, SourceError> {
    if message.kind == RECEIVED {
        let found = context.store().message_source(context.environment_id(), &message.id).await;
        return Ok(found.map_err(Failure::from)?.unwrap_or_default());
    }
    Ok(source(&Envelope {
        from: &context.environment.mail_from,
        to: &message.to_address,
        message_id: &message.id,
        subject: &message.subject,
        text: &message.text_body,
        html: &message.html_body,
        created_at_ms: message.created_at_ms,
    })?)
}

/// How many emails there are, and how many of them nobody has opened.
pub async fn count(context: &Context) -> Result<InboxCount, Failure> {
    Ok(context.store().count_messages(context.environment_id()).await?)
}

/// Notes that an email was opened in the inbox.
pub async fn mark_read(context: &Context, id: &str) -> Result<(), Failure> {
    Ok(context.store().mark_message_read(context.environment_id(), id, context.now_ms()).await?)
}

/// Notes that all emails were opened.
pub async fn mark_all_read(context: &Context) -> Result<(), Failure> {
    Ok(context.store().mark_all_messages_read(context.environment_id(), context.now_ms()).await?)
}

/// Takes an email of another program in, once for each recipient. `sender` is the one of the envelope.
pub async fn receive(
    context: &Context,
    sender: &str,
    recipients: &[EmailAddress],
    source: &[u8],
) -> Result<(), Failure> {
    let mail = received::parse(source);
    let from_address = mail.from.unwrap_or_else(|| sender.to_owned());
    let mails: Vec<NewMail> = recipients
        .iter()
        .map(|to| NewMail {
            id: context.new_message_id(),
            to_address: to.as_str().to_owned(),
            to_key: to.key().to_owned(),
            subject: mail.subject.clone(),
            text_body: mail.text.clone(),
            html_body: mail.html.clone(),
            code: mail.code.clone(),
            link: mail.links.first().cloned(),
            auth_request_id: String::new(),
            kind: RECEIVED,
            is_test_user: false,
            into_inbox: true,
            delivery_error: None,
            sealed: None,
            received: Some(Received { from_address: from_address.clone(), source: source.to_vec() }),
        })
        .collect();
    context.store().store_received(context.environment_id(), &mails, context.now_ms()).await?;
    for mail in &mails {
        outbox::announce(context, Some(mail));
    }
    Ok(())
}

/// Empties the inbox, or deletes what one address received; tells how many emails went.
pub async fn delete(context: &Context, to: Option<&EmailAddress>) -> Result<u64, Failure> {
    Ok(context.store().delete_messages(context.environment_id(), to.map(EmailAddress::key)).await?)
}

/// Deletes one email; `false` when there was none.
pub async fn delete_one(context: &Context, id: &str) -> Result<bool, Failure> {
    Ok(context.store().delete_message(context.environment_id(), id).await?)
}
