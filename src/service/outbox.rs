//! Delivering mails from the outbox. Requests only fill it, so a slow or dead SMTP server slows none of them and
//! loses nothing.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::Failure;
use crate::app::App;
use crate::domain::clock::UnixMs;
use crate::mail::{DeliveryError, Envelope, SmtpMailer, retry_delay_ms};
use crate::storage::OutboxMail;

/// Mails taken at a time.
const BATCH: i64 = 20;

/// Mails on their way at the same time.
const AT_ONCE: usize = 4;

/// How often the outbox is looked at without being told: retries fall due, other replicas stop.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a claimed mail is left to the process that claimed it, in milliseconds; longer than any delivery.
const CLAIM_MS: i64 = 120_000;

/// Delivers until the task is dropped.
pub async fn run(app: Arc<App>) {
    let Some(smtp) = &app.mail.smtp else { return };
    loop {
        match deliver_due(&app, smtp).await {
            Ok(0) => {
                let _ = tokio::time::timeout(LOOK_EVERY, app.mail.outbox_filled.notified()).await;
            }
            Ok(_) => {}
            Err(failure) => {
                tracing::error!(error = %failure, "outbox: the database does not answer; mails wait");
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
    }
}

/// Tries every mail whose time has come; returns how many were tried.
pub async fn deliver_due(app: &App, smtp: &SmtpMailer) -> Result<usize, Failure> {
    let now_ms = app.clock.now_ms();
    let due = app.store.due_mails(now_ms, BATCH).await?;
    let mut tried = 0;
    for few in due.chunks(AT_ONCE) {
        let outcomes = join_all(few.iter().map(|mail| claim_and_deliver(app, smtp, mail, now_ms))).await;
        for outcome in outcomes {
            tried += usize::from(outcome?);
        }
    }
    Ok(tried)
}

/// `false` when another replica has the mail.
async fn claim_and_deliver(
    app: &App,
    smtp: &SmtpMailer,
    mail: &OutboxMail,
    now_ms: UnixMs,
) -> Result<bool, Failure> {
    let is_ours = app.store.claim_mail(mail, now_ms + CLAIM_MS).await?;
    if is_ours {
        deliver(app, smtp, mail).await?;
    }
    Ok(is_ours)
}

async fn deliver(app: &App, smtp: &SmtpMailer, mail: &OutboxMail) -> Result<(), Failure> {
    let envelope = Envelope {
        from: &app.environment.mail_from,
        to: &mail.to_address,
        message_id: &mail.id,
        subject: &mail.subject,
        text: &mail.text_body,
        html: &mail.html_body,
        created_at_ms: mail.created_at_ms,
    };
    let attempt = u32::try_from(mail.attempts).unwrap_or(u32::MAX).saturating_add(1);
    match smtp.deliver(&envelope).await {
        Ok(()) => {
            tracing::debug!(message_id = mail.id, attempt, "mail delivered");
            app.store.remove_mail(mail).await?;
        }
        Err(DeliveryError::Temporary(reason)) if attempt < smtp.max_attempts() => {
            let retry_in_ms = retry_delay_ms(attempt);
            tracing::warn!(message_id = mail.id, attempt, retry_in_ms, reason, "mail not delivered yet");
            app.store.postpone_mail(mail, app.clock.now_ms() + retry_in_ms).await?;
        }
        Err(DeliveryError::Temporary(reason) | DeliveryError::Permanent(reason)) => {
            tracing::error!(message_id = mail.id, attempt, reason, "mail given up");
            app.store.remove_mail(mail).await?;
        }
    }
    Ok(())
}
