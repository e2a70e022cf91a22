//! Delivering emails from the outbox. Requests only fill it, so a slow or dead SMTP server slows none of them and
//! loses nothing.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tracing::Instrument as _;

use super::{Failure, faults, flows};
use crate::domain::clock::UnixMs;
use crate::domain::email::EmailAddress;
use crate::domain::flow::About;
use crate::domain::settings::Mode;
use crate::domain::sign_in_event::SignInEvent;
use crate::mail::{DeliveryError, Envelope, MailKind, RenderedMail, SmtpMailer, retry_delay_ms};
use crate::runtime::{
    Context, EnvironmentRegistry, EnvironmentRuntime, EnvironmentSelector, EnvironmentSnapshot, ServerState,
    StartError,
};
use crate::storage::{NewMail, OutboxMail, StoreError};
use crate::telemetry::EMAIL_LINES;
use crate::telemetry::metrics::Delivery;

/// Emails taken at a time.
const BATCH: i64 = 20;

/// Emails on their way at the same time.
const AT_ONCE: usize = 4;

/// How often the outbox is looked at without being told: retries fall due, other replicas stop.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a claimed email is left to the process that claimed it, in milliseconds; longer than any delivery.
const CLAIM_MS: i64 = 120_000;

/// An email as the outbox keeps it: only the server that delivers it reads what it says.
fn seal(context: &Context, message_id: &str, mail: &RenderedMail) -> Result<Vec<u8>, Failure> {
    let bytes = serde_json::to_vec(mail).map_err(|_| StoreError::Unreadable("mail"))?;
    // The machine's randomness: a nonce must never come twice.
    let entropy = &*context.runtime.server.entropy;
    Ok(context.live.mails.seal(message_id, &bytes, entropy).map_err(StartError::from)?)
}

/// An email that was written and goes on its way.
pub(super) struct Draft<'d> {
    pub kind: MailKind,
    pub to: &'d EmailAddress,
    pub rendered: RenderedMail,
    /// What it brings, for the inbox API.
    pub code: Option<String>,
    pub link: Option<String>,
    /// The sign-in that it belongs to; empty: none.
    pub auth_request_id: &'d str,
    /// Nothing is sent to test users.
    pub is_test_user: bool,
}

/// An email as the inbox and the outbox store it.
pub(super) fn prepare(context: &Context, draft: Draft<'_>) -> Result<NewMail, Failure> {
    let id = context.new_message_id();
    let leaves = context.runtime.server.smtp.is_some() && !draft.is_test_user;
    Ok(NewMail {
        sealed: leaves.then(|| seal(context, &id, &draft.rendered)).transpose()?,
        id,
        to_address: draft.to.as_str().to_owned(),
        to_key: draft.to.key().to_owned(),
        subject: draft.rendered.subject,
        text_body: draft.rendered.text,
        html_body: draft.rendered.html,
        code: draft.code,
        link: draft.link,
        auth_request_id: draft.auth_request_id.to_owned(),
        kind: draft.kind.as_str(),
        is_test_user: draft.is_test_user,
        into_inbox: context.environment.mode == Mode::Development,
        delivery_error: None,
        received: None,
    })
}

/// Wakes those who wait for emails, once one was stored. In development the log says what is in it, so that nobody has to look
/// elsewhere.
pub(super) fn announce(context: &Context, mail: Option<&NewMail>) {
    let Some(mail) = mail else { return };
    context.runtime.mail.notify_waiters();
    if context.environment.mode == Mode::Development {
        let credentials: Vec<&str> =
            [&mail.code, &mail.link].into_iter().flatten().map(String::as_str).collect();
        tracing::info!(target: EMAIL_LINES, "✉ {} {}", mail.to_address, credentials.join(" "));
    }
    if mail.sealed.is_some() {
        context.runtime.server.outbox_filled.notify_one();
    }
}

/// `None`: it was sealed by another secret. The codes and links of that time are worth nothing either.
fn open(live: &EnvironmentSnapshot, mail: &OutboxMail) -> Option<RenderedMail> {
    let bytes = live.mails.open(&mail.id, &mail.sealed).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// Delivers until the task is dropped.
pub async fn run(registry: EnvironmentRegistry) {
    let Some(server) = registry.get().map(|runtime| runtime.server.clone()) else { return };
    let Some(smtp) = &server.smtp else { return };
    loop {
        match deliver_due(&registry, &server, smtp).await {
            Ok(0) => {
                let _ = tokio::time::timeout(LOOK_EVERY, server.outbox_filled.notified()).await;
            }
            Ok(_) => {}
            Err(failure) => {
                tracing::error!(error = %failure, "outbox: the database does not answer; emails wait");
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
    }
}

/// Tries every email whose time has come; returns how many were tried. Emails leave by the machine's time, whatever the
/// clocks of their environments say.
async fn deliver_due(
    registry: &EnvironmentRegistry,
    server: &ServerState,
    smtp: &SmtpMailer,
) -> Result<usize, Failure> {
    let now_ms = server.machine_clock.now_ms();
    let due = server.store.due_mails(now_ms, BATCH).await?;
    let mut tried = 0;
    for few in due.chunks(AT_ONCE) {
        let outcomes =
            join_all(few.iter().map(|mail| claim_and_deliver(registry, server, smtp, mail, now_ms))).await;
        for outcome in outcomes {
            tried += usize::from(outcome?);
        }
    }
    Ok(tried)
}

/// `false` when another replica has the email.
async fn claim_and_deliver(
    registry: &EnvironmentRegistry,
    server: &ServerState,
    smtp: &SmtpMailer,
    mail: &OutboxMail,
    now_ms: UnixMs,
) -> Result<bool, Failure> {
    let is_ours = server.store.claim_mail(mail, now_ms + CLAIM_MS).await?;
    if is_ours {
        match registry.by_id(&mail.environment_id).await {
            Ok(Some(runtime)) => {
                let span = tracing::info_span!("deliver email", message_id = mail.id, otel.kind = "producer");
                let outcome = deliver(registry, &runtime, smtp, mail).instrument(span).await?;
                registry.metrics().mail(outcome);
            }
            // Its environment is gone.
            Ok(None) => server.store.remove_mail(mail).await?,
            Err(error) => {
                tracing::error!(%error, message_id = mail.id, "the environment of an email cannot be read");
            }
        }
    }
    Ok(is_ours)
}

async fn deliver(
    registry: &EnvironmentRegistry,
    runtime: &Arc<EnvironmentRuntime>,
    smtp: &SmtpMailer,
    mail: &OutboxMail,
) -> Result<Delivery, Failure> {
    let live = runtime.live();
    let Some(content) = open(&live, mail) else {
        let reason = "the server secret has changed since it was written";
        tracing::error!(message_id = mail.id, "email given up: {reason}");
        give_up(registry, runtime, mail, reason).await?;
        return Ok(Delivery::GivenUp);
    };
    let envelope = Envelope {
        from: &live.environment.mail_from,
        to: &mail.to_address,
        message_id: &mail.id,
        subject: &content.subject,
        text: &content.text,
        html: &content.html,
        created_at_ms: mail.created_at_ms,
    };
    let attempt = u32::try_from(mail.attempts).unwrap_or(u32::MAX).saturating_add(1);
    let outcome = match faults::on_mail(runtime, &mail.to_address).await {
        Some(refused) => Err(refused),
        None => smtp.deliver(&envelope).await,
    };
    match outcome {
        Ok(()) => {
            tracing::debug!(message_id = mail.id, attempt, "email delivered");
            runtime.store().remove_mail(mail).await?;
            Ok(Delivery::Delivered)
        }
        Err(DeliveryError::Temporary(reason)) if attempt < smtp.max_attempts() => {
            let retry_in_ms = retry_delay_ms(attempt);
            tracing::warn!(message_id = mail.id, attempt, retry_in_ms, reason, "email not delivered yet");
            runtime.store().postpone_mail(mail, runtime.clock.machine_ms() + retry_in_ms).await?;
            let (message_id, retry_in_s) = (mail.id.clone(), retry_in_ms / 1000);
            note(
                registry,
                runtime,
                mail,
                SignInEvent::EmailDelayed { message_id, attempt, reason, retry_in_s },
            );
            Ok(Delivery::Postponed)
        }
        Err(DeliveryError::Temporary(reason) | DeliveryError::Permanent(reason)) => {
            tracing::error!(message_id = mail.id, attempt, reason, "email given up");
            give_up(registry, runtime, mail, &format!("attempt {attempt} failed: {reason}")).await?;
            Ok(Delivery::GivenUp)
        }
    }
}

/// Takes an email out that will never be delivered, and says so where developers look: in the inbox and in the timeline
/// of its sign-in.
async fn give_up(
    registry: &EnvironmentRegistry,
    runtime: &Arc<EnvironmentRuntime>,
    mail: &OutboxMail,
    reason: &str,
) -> Result<(), Failure> {
    // PostgreSQL keeps no NUL.
    runtime.store().give_up_mail(mail, &reason.replace('\0', "\u{FFFD}")).await?;
    let event = SignInEvent::EmailGivenUp { message_id: mail.id.clone(), reason: reason.to_owned() };
    note(registry, runtime, mail, event);
    Ok(())
}

fn note(
    registry: &EnvironmentRegistry,
    runtime: &Arc<EnvironmentRuntime>,
    mail: &OutboxMail,
    event: SignInEvent,
) {
    // An invitation belongs to no sign-in.
    if mail.auth_request_id.is_empty() {
        return;
    }
    let context = registry.context_of(runtime.clone(), EnvironmentSelector::default());
    flows::note(&context, &mail.auth_request_id, About::default(), event);
}
