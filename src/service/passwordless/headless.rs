//! Headless passwordless: an application's server sends, resends and verifies, and keeps its own sessions. A proof
//! makes no user and no session here.

use super::{
    Draft, Mailed, SendFailure, expected_code, failed_attempts, guess_digest, note_code, note_link_used,
    try_send,
};
use crate::crypto::server_secret::{Purpose, constant_time_eq};
use crate::domain::api_error::{ApiError, ApiErrorCode};
use crate::domain::auth_request::{AuthRequest, Closed, CodeOutcome, Credentials, LinkOutcome, typed_code};
use crate::domain::client::Client;
use crate::domain::email::EmailAddress;
use crate::domain::flow::{About, FlowStatus};
use crate::domain::headless::{Credential, Headless, SendInput, Template, VerifyInput};
use crate::domain::ids::new_auth_request_id;
use crate::domain::settings::{Mode, PasswordlessType};
use crate::domain::sign_in_event::SignInEvent;
use crate::mail::MailKind;
use crate::runtime::Context;
use crate::service::api::ApiRefusal;
use crate::service::{faults, flows, retry_on_conflict};
use crate::storage::AttemptUpdate;

/// An email is on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    pub auth_request_id: String,
    /// Unix time in seconds.
    pub expires_at_s: i64,
    pub expires_in_s: i64,
    pub passwordless_type: PasswordlessType,
}

/// An address was proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    pub email: EmailAddress,
    pub state: Option<String>,
    pub template: Option<Template>,
    pub passwordless_type: PasswordlessType,
}

impl Mailed for Headless {
    const WITHOUT_FIRST_MAIL: Option<FlowStatus> = Some(FlowStatus::Failed);

    fn kind(&self) -> MailKind {
        match self.template {
            Some(Template::SignUp) => MailKind::SignUp,
            Some(Template::SignIn) | None => MailKind::SignIn,
        }
    }

    fn client_id(&self) -> &str {
        &self.client_id
    }

    fn link(&self, link_token: &str) -> Option<String> {
        self.link(link_token)
    }

    fn template_variables(&self) -> &[(String, String)] {
        &self.template_variables
    }
}

/// Emails a code, a link or both, as the environment is set.
pub async fn send(context: &Context, client: &Client, input: SendInput) -> Result<Sent, ApiRefusal> {
    check_enabled(context)?;
    let kind = context.environment.passwordless.passwordless_type;
    let (email, asked) = input.check(&client.client_id, kind)?;
    let id = new_auth_request_id(context.now_ms(), context.entropy());
    let request = AuthRequest::start(id, asked, &context.environment, context.now_ms());
    let about = About::status(FlowStatus::Initiated).email(email.as_str()).client(&client.client_id);
    let event = SignInEvent::PasswordlessRequested { client_id: client.client_id.clone() };
    flows::note(context, &request.id, about, event);
    let sent = try_send(context, Draft::New(Box::new(request)), Some(email), None).await;
    sent_of(&sent.map_err(|failure| refusal(context, failure))?)
}

/// Emails again. Whether code and link are new ones is a setting.
pub async fn resend(context: &Context, auth_request_id: String) -> Result<Sent, ApiRefusal> {
    check_enabled(context)?;
    let sent = try_send::<Headless>(context, Draft::Stored(&auth_request_id), None, None).await;
    sent_of(&sent.map_err(|failure| refusal(context, failure))?)
}

/// Judges a code or a link.
pub async fn verify(context: &Context, input: VerifyInput) -> Result<Proven, ApiRefusal> {
    check_enabled(context)?;
    match input.check(context.environment.passwordless.enforce_same_browser_origin)? {
        (Credential::Code(code), Some(id)) => verify_code(context, &id, &code).await,
        // The check lets no code through without its auth request.
        (Credential::Code(_), None) => Err(not_found()),
        (Credential::LinkToken(token), id) => verify_link(context, &token, id.as_deref()).await,
    }
}

fn check_enabled(context: &Context) -> Result<(), ApiRefusal> {
    if context.environment.passwordless.enabled {
        return Ok(());
    }
    let text = "passwordless sign-in is switched off in this environment";
    Err(ApiRefusal::new(ApiErrorCode::PasswordlessDisabled, text))
}

fn sent_of(request: &AuthRequest<Headless>) -> Result<Sent, ApiRefusal> {
    let sent = request.credentials().ok_or_else(not_found)?;
    Ok(Sent {
        expires_at_s: sent.expire_at_ms / 1000,
        expires_in_s: sent.validity_s(),
        passwordless_type: sent.passwordless_type,
        auth_request_id: request.id.clone(),
    })
}

async fn verify_code(context: &Context, id: &str, code: &str) -> Result<Proven, ApiRefusal> {
    let code = &typed_code(code);
    let digest = guess_digest(context, id, code);
    retry_on_conflict(|| async {
        let found = context.store().auth_request::<Headless>(context.environment_id(), id).await?;
        let request = found.ok_or_else(not_found)?;
        let before = request.clone();
        let sent = request.credentials().cloned().ok_or_else(not_found)?;
        let is_right = constant_time_eq(&expected_code(context, id, &sent), code);
        let failed = failed_attempts(context, &sent).await?;
        let (limits, now_ms) = (&context.environment.limits, context.now_ms());
        let (judged, outcome, failed) = request.verify_code_within(is_right, &digest, failed, limits, now_ms);
        let counted = failed.as_ref().map(|failed| AttemptUpdate { email: &sent.email, failed, now_ms });
        // A repetition, or a request that is closed, changes nothing.
        let is_committed = judged == before
            || context.store().update_auth_request(context.environment_id(), &judged, counted).await?;
        if !is_committed {
            return Ok(None);
        }
        note_code(context, &judged, outcome);
        check_code(outcome)?;
        proven(context, judged, sent).await.map(Some)
    })
    .await
}

async fn verify_link(context: &Context, token: &str, id: Option<&str>) -> Result<Proven, ApiRefusal> {
    let unknown = || {
        let text = "the link_token is invalid: it is unknown, or a newer email replaced it";
        ApiRefusal::new(ApiErrorCode::InvalidLinkToken, text)
    };
    let digest = context.secret().digest(Purpose::LinkToken, token);
    retry_on_conflict(|| async {
        let found = context.store().auth_request_by_link(context.environment_id(), &digest).await?;
        let request: AuthRequest<Headless> = found.ok_or_else(unknown)?;
        let sent = request.credentials().filter(|sent| sent.passwordless_type.has_link()).cloned();
        let sent = sent.ok_or_else(unknown)?;
        // The server that holds the auth request stands for the browser that began.
        let is_same = id.is_some_and(|id| constant_time_eq(id, &request.id));
        if id.is_some() && !is_same {
            let text = "auth_request_id mismatch: the link_token belongs to another auth request";
            return Err(ApiRefusal::new(ApiErrorCode::AuthRequestMismatch, text));
        }
        let (judged, outcome) =
            request.verify_link(is_same, &context.environment.passwordless, context.now_ms());
        note_link_used(context, &judged.id, is_same, outcome);
        check_link(outcome)?;
        let is_committed =
            context.store().update_auth_request(context.environment_id(), &judged, None).await?;
        if !is_committed {
            return Ok(None);
        }
        proven(context, judged, sent).await.map(Some)
    })
    .await
}

async fn proven(
    context: &Context,
    request: AuthRequest<Headless>,
    sent: Credentials,
) -> Result<Proven, ApiRefusal> {
    if let Some(fired) = faults::on_proof(&context.runtime, sent.email.as_str()).await {
        let text = format!("access denied: the fault {} denies it", fired.id);
        let event =
            SignInEvent::SignInRefused { error: "access_denied".to_owned(), error_description: text.clone() };
        flows::note(context, &request.id, About::status(FlowStatus::Failed), event);
        return Err(ApiRefusal::new(ApiErrorCode::PermissionDenied, text));
    }
    let about = About::status(FlowStatus::Success).email(sent.email.as_str());
    flows::note(context, &request.id, about, SignInEvent::AddressProven {});
    Ok(Proven {
        email: sent.email,
        state: request.origin.state,
        template: request.origin.template,
        passwordless_type: sent.passwordless_type,
    })
}

fn not_found() -> ApiRefusal {
    ApiRefusal::new(ApiErrorCode::AuthRequestNotFound, "auth request not found: send again from the start")
}

fn closed(closed: Closed) -> ApiRefusal {
    match closed {
        Closed::Expired => {
            ApiRefusal::new(ApiErrorCode::AuthRequestExpired, "auth request expired: send again")
        }
        Closed::Completed => ApiRefusal::new(
            ApiErrorCode::AuthRequestAlreadyUsed,
            "auth request already used: code and link are invalid after their first use",
        ),
        Closed::TooManyAttempts => too_many_attempts(),
    }
}

fn too_many_attempts() -> ApiRefusal {
    let text = "too many attempts: this auth request is closed, send again from the start";
    ApiRefusal::new(ApiErrorCode::TooManyAttempts, text)
}

fn check_code(outcome: CodeOutcome) -> Result<(), ApiRefusal> {
    let (code, text) = match outcome {
        CodeOutcome::Accepted => return Ok(()),
        CodeOutcome::TooManyAttempts => return Err(too_many_attempts()),
        CodeOutcome::Closed(reason) => return Err(closed(reason)),
        CodeOutcome::Wrong { attempts_left } => (
            ApiErrorCode::InvalidCode,
            format!("INVALID_CODE: the code is invalid; attempts left: {attempts_left}"),
        ),
        CodeOutcome::Expired => (
            ApiErrorCode::AuthRequestExpired,
            "auth request expired: the code is too old, send again for a new one".to_owned(),
        ),
        CodeOutcome::AddressRateLimited { retry_after_s } => {
            let text = "too many attempts: this address had its wrong codes for today; use the link, or try again tomorrow";
            return Err(ApiError::new(ApiErrorCode::TooManyAttempts, text).retry_after(retry_after_s).into());
        }
        CodeOutcome::NotOffered => {
            (ApiErrorCode::InvalidCode, "the code is invalid: emails here carry links only".to_owned())
        }
    };
    Err(ApiRefusal::new(code, text))
}

fn check_link(outcome: LinkOutcome) -> Result<(), ApiRefusal> {
    let (code, text) = match outcome {
        LinkOutcome::Accepted => return Ok(()),
        LinkOutcome::Closed(reason) => return Err(closed(reason)),
        LinkOutcome::WrongBrowser => (
            ApiErrorCode::InvalidArgument,
            "auth_request_id is required, because same browser enforcement is on",
        ),
        LinkOutcome::Expired => (
            ApiErrorCode::AuthRequestExpired,
            "auth request expired: the link is too old, send again for a new one",
        ),
    };
    Err(ApiRefusal::new(code, text))
}

fn refusal(context: &Context, failure: SendFailure) -> ApiRefusal {
    match failure {
        SendFailure::Gone | SendFailure::NothingSent => not_found(),
        SendFailure::Closed(reason) => closed(reason),
        SendFailure::TooManyMails { limit, retry_after_s } => {
            let lift = if context.environment.mode == Mode::Development {
                format!(" ({} = 0 lifts the limit)", limit.setting())
            } else {
                String::new()
            };
            let text =
                format!("rate limit: too many emails to this address, try again in {retry_after_s} s{lift}");
            ApiError::new(ApiErrorCode::RateLimited, text).retry_after(retry_after_s).into()
        }
        SendFailure::AddressRateLimited { retry_after_s } => {
            let text = "too many attempts: this address had its wrong codes for today; try again tomorrow";
            ApiError::new(ApiErrorCode::TooManyAttempts, text).retry_after(retry_after_s).into()
        }
        SendFailure::Failure(failure) => failure.into(),
    }
}
