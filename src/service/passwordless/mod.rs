//! Proving an address: [`hosted`] pages and the [`headless`] API send through the same lines, count in the same
//! writes, and differ in who may ask and what the proof is good for.

pub mod headless;
mod hosted;

use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};

pub use hosted::*;

use tokio::sync::OnceCell;

use super::{Failure, faults, flows, outbox, retry_on_conflict};
use crate::crypto::server_secret::Purpose;
use crate::domain::auth_request::{
    AuthRequest, Closed, CodeForm, CodeOutcome, Credentials, LinkOutcome, Origin, SendRefusal, Stage,
};
use crate::domain::clock::{UnixMs, rfc3339};
use crate::domain::email::EmailAddress;
use crate::domain::environment::Environment;
use crate::domain::fault::SignInFault;
use crate::domain::flow::{About, FlowStatus};
use crate::domain::language::Language;
use crate::domain::limits::{FailedAttempts, MailLimit};
use crate::domain::settings::{Limits, Mode};
use crate::domain::sign_in_event::{EmailRoute, LinkRefusal, SignInEvent};
use crate::domain::source_address::SourceAddress;
use crate::domain::test_user::is_test_user;
use crate::mail::{self, MailContent, MailKind};
use crate::runtime::Context;
use crate::storage::{MailQuota, NewMail, StoredOrigin};

/// Path of the landing page that mailed links of the hosted pages open.
pub const LINK_PATH: &str = "/login/link";

/// The request that an email is sent for: one that begins with it, or one that is stored.
enum Draft<'a, O> {
    New(Box<AuthRequest<O>>),
    Stored(&'a str),
}

/// Why no email was sent.
#[derive(Debug)]
enum SendFailure {
    /// No such request.
    Gone,
    Closed(Closed),
    NothingSent,
    TooManyMails {
        limit: MailLimit,
        retry_after_s: i64,
    },
    /// The address had its wrong codes for a day, and nothing but a code would be mailed: none would be judged.
    AddressRateLimited {
        retry_after_s: i64,
    },
    Failure(Failure),
}

impl<E: Into<Failure>> From<E> for SendFailure {
    fn from(error: E) -> Self {
        Self::Failure(error.into())
    }
}

impl From<SendRefusal> for SendFailure {
    fn from(refusal: SendRefusal) -> Self {
        match refusal {
            SendRefusal::Closed(closed) => Self::Closed(closed),
            SendRefusal::NothingSent => Self::NothingSent,
        }
    }
}

/// What an email takes from the request it is sent for.
trait Mailed: Origin + StoredOrigin {
    /// Where a sign-in stands whose first email a limit held back; `None`: where it stood, because the pages ask again.
    const WITHOUT_FIRST_MAIL: Option<FlowStatus>;

    fn kind(&self) -> MailKind;

    fn client_id(&self) -> &str;

    /// `None`: the application gave no page for links.
    fn link(&self, link_token: &str) -> Option<String>;

    /// `None`: nobody asked for one that is there.
    fn language(&self) -> Option<Language> {
        None
    }

    fn template_variables(&self) -> &[(String, String)] {
        &[]
    }
}

/// Decides and commits a send, again and again while others move the request or the address's budget. A `source` is
/// counted; calls of the API have none, because their clients are known.
async fn try_send<O: Mailed>(
    context: &Context,
    draft: Draft<'_, O>,
    email: Option<EmailAddress>,
    source: Option<SourceAddress>,
) -> Result<AuthRequest<O>, SendFailure> {
    let environment = &context.environment;
    let environment_id = context.environment_id();
    let is_source_counted = AtomicBool::new(false);
    // Once, however often others move the request.
    let fault = OnceCell::new();
    let (draft, email, source, is_source_counted, fault) =
        (&draft, &email, &source, &is_source_counted, &fault);
    retry_on_conflict(|| async move {
        let now_ms = context.now_ms();
        let (request, is_new) = match draft {
            Draft::New(request) => ((**request).clone(), true),
            Draft::Stored(id) => {
                (context.store().auth_request(environment_id, id).await?.ok_or(SendFailure::Gone)?, false)
            }
        };
        let Some(recipient) = email.clone().or_else(|| request.email().cloned()) else {
            return Err(SendFailure::NothingSent);
        };
        let (settings, static_code) = (&environment.passwordless, static_code(context, &recipient));
        let next = match email {
            Some(email) => request.send(email.clone(), settings, static_code, now_ms)?,
            None => request.resend(settings, static_code, now_ms)?,
        };
        let fault = fault.get_or_init(|| fault_of(context, &next.id, &recipient)).await;
        let next =
            if *fault == Some(SignInFault::Expired) { next.with_expired_credentials(now_ms) } else { next };
        let Some(sent) = next.awaited() else { return Err(SendFailure::NothingSent) };
        let allowed = match check_and_spend(context, sent, *fault, now_ms).await {
            Ok(budget) if is_source_counted.load(Ordering::Relaxed) || is_test(context, &recipient) => {
                Ok(budget)
            }
            Ok(budget) => count_source(context, *source, now_ms).map(|()| budget),
            Err(refused) => Err(refused),
        };
        let budget = match allowed {
            Ok(budget) => budget,
            Err(refused) => {
                let status = O::WITHOUT_FIRST_MAIL.filter(|_| is_new);
                note_suppressed(context, &next.id, &recipient, status, &refused);
                return Err(refused);
            }
        };
        is_source_counted.store(true, Ordering::Relaxed);
        let token = context.secret().link_token(&next.id, sent.generation);
        let mail = compose(context, &next, sent, &token)?;
        let mail = undelivered_by_fault(context, mail).await;
        let has_link = sent.passwordless_type.has_link();
        let link_digest = has_link.then(|| context.secret().digest(Purpose::LinkToken, &token));
        let budget = budget.as_ref().map(|(budget, until_ms)| (&recipient, budget, *until_ms));
        let committed = context
            .store()
            .commit_send(environment_id, &next, is_new, link_digest.as_deref(), budget, &mail, now_ms)
            .await?;
        if !committed {
            return Ok(None);
        }
        outbox::announce(context, Some(&mail));
        note_sent(context, &next, sent, &mail);
        Ok(Some(next))
    })
    .await
}

/// What a fault makes of the email that is asked for. A fault that only waits has waited then.
async fn fault_of(context: &Context, id: &str, recipient: &EmailAddress) -> Option<SignInFault> {
    let fired = faults::on_send(&context.runtime, recipient.as_str()).await?;
    let outcome = fired.sign_in();
    let told = outcome.map(|outcome| outcome.as_str().to_owned());
    let event = SignInEvent::FaultTriggered { fault: fired.id, outcome: told };
    flows::note(context, id, About::default().email(recipient.as_str()), event);
    outcome
}

/// An email that no SMTP server is asked to take, and that a fault refuses in its place.
async fn undelivered_by_fault(context: &Context, mail: NewMail) -> NewMail {
    if mail.sealed.is_some() || mail.is_test_user {
        return mail;
    }
    let refused = faults::on_mail(&context.runtime, &mail.to_address).await;
    NewMail { delivery_error: refused.map(|refused| refused.to_string()), ..mail }
}

/// Would anything of this email be good for something, and may the address have one more?
async fn check_and_spend(
    context: &Context,
    sent: &Credentials,
    fault: Option<SignInFault>,
    now_ms: UnixMs,
) -> Result<Option<(MailQuota, UnixMs)>, SendFailure> {
    if fault == Some(SignInFault::Limited) {
        let retry_after_s = context.environment.limits.mails_window_s;
        return Err(SendFailure::TooManyMails { limit: MailLimit::Address, retry_after_s });
    }
    if !sent.passwordless_type.has_link() {
        let limits = &context.environment.limits;
        let failed = failed_attempts(context, sent).await?;
        if let Some(failed) = failed.filter(|failed| failed.is_exhausted(limits, now_ms)) {
            return Err(SendFailure::AddressRateLimited { retry_after_s: failed.wait_s(limits, now_ms) });
        }
    }
    spend_budget(context, &sent.email, now_ms).await
}

/// Is it a test user, to whom nothing is sent?
pub(super) fn is_test(context: &Context, email: &EmailAddress) -> bool {
    is_test_user(&context.environment.test_users, context.environment.mode, email)
}

/// The code of a test user.
fn static_code<'a>(context: &'a Context, email: &EmailAddress) -> Option<&'a str> {
    is_test(context, email).then_some(context.environment.test_users.static_code.as_str())
}

/// Does a limit of emails hold for this address?
pub fn has_mail_limit(context: &Context, email: &EmailAddress) -> bool {
    context.environment.limits.mails_per_address.is_some() && !is_test(context, email)
}

/// Counts one more email that a stranger caused, or says how long to wait.
fn count_source(context: &Context, source: Option<SourceAddress>, now_ms: UnixMs) -> Result<(), SendFailure> {
    if source.is_none() {
        return Ok(());
    }
    let mut sends = context.runtime.mail.recent_sends.lock().unwrap_or_else(PoisonError::into_inner);
    sends
        .try_push(source, &context.environment.limits, now_ms)
        .map_err(|(limit, retry_after_s)| SendFailure::TooManyMails { limit, retry_after_s })
}

/// Counts one more email to an address, or says how long to wait. `None`: emails are not limited, or nothing is sent,
/// because it is a test user.
async fn spend_budget(
    context: &Context,
    email: &EmailAddress,
    now_ms: UnixMs,
) -> Result<Option<(MailQuota, UnixMs)>, SendFailure> {
    let limits = &context.environment.limits;
    let Some(allowed) = limits.mails_per_address.filter(|_| has_mail_limit(context, email)) else {
        return Ok(None);
    };
    let mut budget = context.store().mail_budget(context.environment_id(), email).await?;
    budget.sent.forget_ahead(now_ms, limits.mails_window_s);
    let wait_ms = budget.sent.wait_ms(now_ms, limits.mails_window_s, allowed as usize);
    if wait_ms > 0 {
        return Err(SendFailure::TooManyMails {
            limit: MailLimit::Address,
            retry_after_s: (wait_ms + 999) / 1000,
        });
    }
    budget.sent.push(now_ms, limits.mails_window_s);
    Ok(Some((budget, now_ms + limits.mails_window_s * 1000)))
}

/// The wrong codes of an address lately. `None`: they are not limited, or it is a test user, whose code is no secret.
async fn failed_attempts(context: &Context, sent: &Credentials) -> Result<Option<FailedAttempts>, Failure> {
    if context.environment.limits.failed_attempts_per_address.is_none() || sent.is_of_test_user() {
        return Ok(None);
    }
    Ok(Some(context.store().failed_attempts(context.environment_id(), &sent.email).await?))
}

/// The code that proves a request.
fn expected_code(context: &Context, auth_request_id: &str, sent: &Credentials) -> String {
    match &sent.code {
        // Not where the database was a development server's until a moment ago.
        CodeForm::Static(code) if context.environment.mode == Mode::Development => code.clone(),
        _ => context.secret().code(auth_request_id, sent.generation, sent.code_length()),
    }
}

/// Writes the email of a request's living credentials.
fn compose<O: Mailed>(
    context: &Context,
    request: &AuthRequest<O>,
    sent: &Credentials,
    link_token: &str,
) -> Result<NewMail, Failure> {
    let (environment, to) = (&context.environment, &sent.email);
    let code = sent.passwordless_type.has_code().then(|| expected_code(context, &request.id, sent));
    let link = request.origin.link(link_token).filter(|_| sent.passwordless_type.has_link());
    let kind = request.origin.kind();
    let client_id = request.origin.client_id();
    let rendered = mail::render(&MailContent {
        kind,
        to,
        app_name: name_of_client(environment, client_id),
        branding: &environment.branding_of(client_id),
        language: request.origin.language().unwrap_or(environment.pages.language),
        code: code.as_deref(),
        link: link.as_deref(),
        valid_for_s: sent.validity_s(),
        template_variables: request.origin.template_variables(),
    })?;
    let draft = outbox::Draft {
        kind,
        to,
        rendered,
        code,
        link,
        auth_request_id: &request.id,
        is_test_user: sent.is_of_test_user(),
    };
    outbox::prepare(context, draft)
}

fn note_sent<O: Mailed>(context: &Context, request: &AuthRequest<O>, sent: &Credentials, mail: &NewMail) {
    let variables = request.origin.template_variables().iter().map(|(name, _)| name.clone());
    let ignored = variables.filter(|name| !mail::TEMPLATE_VARIABLES.contains(&name.as_str()));
    let event = SignInEvent::EmailSent {
        message_id: mail.id.clone(),
        route: match (mail.is_test_user, &mail.sealed) {
            (true, _) => EmailRoute::TestUser,
            (false, Some(_)) => EmailRoute::Smtp,
            (false, None) => EmailRoute::Inbox,
        },
        passwordless_type: sent.passwordless_type.as_str().to_owned(),
        generation: sent.generation,
        expires_at: rfc3339(sent.expire_at_ms),
        ignored_variables: ignored.collect(),
    };
    let about = About::status(FlowStatus::Pending).email(&mail.to_address).client(request.origin.client_id());
    flows::note(context, &request.id, about, event);
    if let Some(reason) = &mail.delivery_error {
        let event = SignInEvent::EmailGivenUp { message_id: mail.id.clone(), reason: reason.clone() };
        flows::note(context, &request.id, About::default(), event);
    }
}

fn note_suppressed(
    context: &Context,
    id: &str,
    email: &EmailAddress,
    status: Option<FlowStatus>,
    refused: &SendFailure,
) {
    let limits = &context.environment.limits;
    let event = match refused {
        SendFailure::TooManyMails { limit, retry_after_s } => {
            let allowed = match limit {
                MailLimit::Address => limits.mails_per_address,
                MailLimit::Source => limits.mails_per_source,
                MailLimit::Total => limits.mails_in_all,
            };
            SignInEvent::EmailLimited {
                limit: limit.setting().to_owned(),
                allowed: allowed.unwrap_or_default(),
                window_s: limits.mails_window_s,
                retry_after_s: *retry_after_s,
            }
        }
        SendFailure::AddressRateLimited { .. } => {
            SignInEvent::EmailNotWorthSending { wrong_codes: wrong_codes_allowed(limits) }
        }
        _ => return,
    };
    let about = About { status, ..About::default().email(email.as_str()) };
    flows::note(context, id, about, event);
}

/// How many wrong codes an address may have within 24 hours.
fn wrong_codes_allowed(limits: &Limits) -> u32 {
    limits.failed_attempts_per_address.unwrap_or_default().saturating_sub(1)
}

/// `judged` is the request as the attempt left it.
fn note_code<O>(context: &Context, judged: &AuthRequest<O>, outcome: CodeOutcome) {
    let limits = &context.environment.limits;
    let of = limits.code_attempts;
    let closed = matches!(judged.stage, Stage::Dead(_)) && !matches!(outcome, CodeOutcome::Closed(_));
    let event = match outcome {
        CodeOutcome::Accepted => SignInEvent::CodeAccepted {},
        CodeOutcome::Wrong { attempts_left } => {
            let left = u32::try_from(attempts_left).unwrap_or(u32::MAX);
            SignInEvent::CodeRejected { attempt: of.saturating_sub(left), of, closed }
        }
        CodeOutcome::Expired => SignInEvent::CodeExpired { closed },
        CodeOutcome::TooManyAttempts => SignInEvent::CodeAttemptsExhausted { of, closed },
        CodeOutcome::AddressRateLimited { .. } => {
            SignInEvent::CodeAddressRateLimited { wrong_codes: wrong_codes_allowed(limits), closed }
        }
        CodeOutcome::NotOffered => SignInEvent::CodeNotOffered { closed },
        CodeOutcome::Closed(closed) => SignInEvent::CodeTooLate { closed },
    };
    let about = About { status: closed.then_some(FlowStatus::Failed), ..About::default() };
    flows::note(context, &judged.id, about, event);
}

fn note_link_used(context: &Context, id: &str, same_browser: bool, outcome: LinkOutcome) {
    let event = SignInEvent::LinkUsed { same_browser, refused: LinkRefusal::of(outcome) };
    flows::note(context, id, About::default(), event);
}

/// Tells guesses of one request apart, without keeping them.
fn guess_digest(context: &Context, auth_request_id: &str, code: &str) -> String {
    context.secret().digest(Purpose::Guess, &format!("{auth_request_id} {code}"))
}

/// What users call the application that asked.
pub fn name_of_client<'a>(environment: &'a Environment, client_id: &str) -> &'a str {
    environment.client(client_id).map_or(environment.branding.name.as_str(), |c| &c.name)
}
