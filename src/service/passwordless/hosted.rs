//! Proving an address on the hosted pages: send, resend, verify by code or link, in the browser that began.

use super::{
    Draft, LINK_PATH, Mailed, SendFailure, expected_code, failed_attempts, guess_digest, name_of_client,
    note_code, note_link_used, static_code, try_send,
};
use crate::crypto::server_secret::{Purpose, constant_time_eq};
use crate::domain::auth_request::{AuthRequest, Closed, CodeOutcome, Hosted, LinkOutcome, Stage, typed_code};
use crate::domain::authorization::{ErrorCode, Prompt};
use crate::domain::client::{Client, web_root};
use crate::domain::email::{EmailAddress, EmailError};
use crate::domain::environment::Environment;
use crate::domain::flow::{About, FlowStatus};
use crate::domain::language::Language;
use crate::domain::limits::MailLimit;
use crate::domain::session::Session;
use crate::domain::sign_in_event::{LinkRefusal, SignInEvent};
use crate::domain::source_address::SourceAddress;
use crate::domain::token::subject_identifier;
use crate::domain::user::UserSummary;
use crate::mail::MailKind;
use crate::runtime::{Context, current_request};
use crate::service::organization_entry::NotAMember;
use crate::service::sessions::{Browser, live_session};
use crate::service::sign_in::{BySession, Proof, SignedIn, complete, issue_code_silently};
use crate::service::{Failure, authorization_response, flows, organization_entry, retry_on_conflict};
use crate::storage::AttemptUpdate;

/// Why something about an authentication request was not done.
#[derive(Debug, thiserror::Error)]
pub enum PasswordlessError {
    /// No such request, or none that this browser started; the two look alike on purpose.
    #[error("there is no such sign-in, or another browser began it")]
    NotYours,
    #[error("{0}")]
    Email(EmailError),
    #[error("{}", closed_text(*.0))]
    Closed(Closed),
    /// Nothing to resend or verify yet.
    #[error("no email was sent for it yet")]
    NothingSent,
    #[error("too many emails were asked for ({}); the next one may go in {retry_after_s} s", limit.setting())]
    TooManyMails { limit: MailLimit, retry_after_s: i64 },
    /// The address had its wrong codes for a day, and only a code would be mailed.
    #[error("too many wrong codes were entered for the address today")]
    AddressRateLimited { retry_after_s: i64 },
    #[error("{0}")]
    Failure(Failure),
}

/// Why nothing more can be done, within a sentence.
pub fn closed_text(closed: Closed) -> &'static str {
    match closed {
        Closed::Expired => "the sign-in has expired",
        Closed::Completed => "the sign-in was used already",
        Closed::TooManyAttempts => "the sign-in was closed after too many wrong codes",
    }
}

impl<E: Into<Failure>> From<E> for PasswordlessError {
    fn from(error: E) -> Self {
        Self::Failure(error.into())
    }
}

impl From<SendFailure> for PasswordlessError {
    fn from(failure: SendFailure) -> Self {
        match failure {
            SendFailure::Gone => Self::NotYours,
            SendFailure::Closed(closed) => Self::Closed(closed),
            SendFailure::NothingSent => Self::NothingSent,
            SendFailure::TooManyMails { limit, retry_after_s } => Self::TooManyMails { limit, retry_after_s },
            SendFailure::AddressRateLimited { retry_after_s } => Self::AddressRateLimited { retry_after_s },
            SendFailure::Failure(failure) => Self::Failure(failure),
        }
    }
}

impl Mailed for Hosted {
    const WITHOUT_FIRST_MAIL: Option<FlowStatus> = None;

    fn kind(&self) -> MailKind {
        if self.authorization.prompt == Prompt::Create { MailKind::SignUp } else { MailKind::SignIn }
    }

    fn client_id(&self) -> &str {
        &self.authorization.client_id
    }

    fn language(&self) -> Option<Language> {
        self.authorization.language
    }

    fn link(&self, link_token: &str) -> Option<String> {
        Some(format!("{}{LINK_PATH}?link_token={link_token}", self.issuer))
    }
}

/// The result of a code attempt.
#[derive(Debug)]
pub enum CodeResult {
    SignedIn(SignedIn),
    Refused(CodeOutcome),
}

/// The result of using a link.
#[derive(Debug)]
pub enum LinkResult {
    SignedIn(SignedIn),
    Refused(LinkOutcome),
}

/// What a link's landing page says before anything is used.
#[derive(Debug)]
pub struct LinkPreview {
    pub outcome: LinkOutcome,
    /// Is this the browser that started the sign-in?
    pub same_browser: bool,
    pub request: AuthRequest,
}

/// The authentication request, if this browser started it.
pub async fn request_of_browser(
    context: &Context,
    browser: &Browser,
    id: &str,
) -> Result<AuthRequest, PasswordlessError> {
    let request = context
        .store()
        .auth_request(context.environment_id(), id)
        .await?
        .ok_or(PasswordlessError::NotYours)?;
    if !started_here(context, browser, &request) {
        flows::note(context, id, About::default(), SignInEvent::PageRefused {});
        return Err(PasswordlessError::NotYours);
    }
    current_request::note_client(&request.origin.authorization.client_id);
    Ok(request)
}

fn started_here(context: &Context, browser: &Browser, request: &AuthRequest) -> bool {
    browser.digest(context).is_some_and(|d| constant_time_eq(&d, &request.origin.browser_digest))
}

/// Stores a new request and sends its first email in one write. When a limit holds the email back, the request is stored
/// without a send, and the form asks.
pub(in crate::service) async fn start_with_send(
    context: &Context,
    request: AuthRequest,
    email: EmailAddress,
    source: Option<SourceAddress>,
) -> Result<(), Failure> {
    let bare = request.clone();
    match try_send(context, Draft::New(Box::new(request)), Some(email), source).await {
        Ok(_) => Ok(()),
        Err(SendFailure::Failure(failure)) => Err(failure),
        Err(_) => Ok(context.store().insert_auth_request(context.environment_id(), &bare).await?),
    }
}

/// Emails a code, a link or both to an address.
pub async fn send(
    context: &Context,
    browser: &Browser,
    id: &str,
    address: &str,
) -> Result<(), PasswordlessError> {
    request_of_browser(context, browser, id).await?;
    let email = EmailAddress::parse(address).map_err(PasswordlessError::Email)?;
    try_send::<Hosted>(context, Draft::Stored(id), Some(email), browser.source).await?;
    Ok(())
}

/// Emails again to the address already written to.
pub async fn resend(context: &Context, browser: &Browser, id: &str) -> Result<(), PasswordlessError> {
    request_of_browser(context, browser, id).await?;
    try_send::<Hosted>(context, Draft::Stored(id), None, browser.source).await?;
    Ok(())
}

/// Judges a code attempt. The attempt is counted by the same write that judges it, so parallel guesses, here or
/// on other replicas, cannot exceed the limit.
pub async fn verify_code(
    context: &Context,
    browser: &Browser,
    id: &str,
    code: &str,
) -> Result<CodeResult, PasswordlessError> {
    let code = &typed_code(code);
    retry_on_conflict(|| async {
        let request = request_of_browser(context, browser, id).await?;
        // Where an organization is to be chosen, the code was used already.
        let Some(sent) = request.credentials().filter(|_| request.choosing().is_none()).cloned() else {
            return Ok(Some(CodeResult::Refused(CodeOutcome::NotOffered)));
        };
        let is_right = constant_time_eq(&expected_code(context, id, &sent), code);
        let digest = guess_digest(context, id, code);
        let failed = failed_attempts(context, &sent).await?;
        let (limits, now_ms) = (&context.environment.limits, context.now_ms());
        let (judged, outcome, failed) = request.verify_code_within(is_right, &digest, failed, limits, now_ms);
        let counted = failed.as_ref().map(|failed| AttemptUpdate { email: &sent.email, failed, now_ms });
        let is_committed = match outcome {
            CodeOutcome::Accepted => {
                let done = complete(context, &judged, &sent.email, browser, Proof::Code, counted).await?;
                return Ok(done.map(CodeResult::SignedIn));
            }
            CodeOutcome::AddressRateLimited { .. } | CodeOutcome::NotOffered | CodeOutcome::Closed(_) => true,
            CodeOutcome::Wrong { .. } | CodeOutcome::Expired | CodeOutcome::TooManyAttempts => {
                context.store().update_auth_request(context.environment_id(), &judged, counted).await?
            }
        };
        if !is_committed {
            return Ok(None);
        }
        note_code(context, &judged, outcome);
        Ok::<_, PasswordlessError>(Some(CodeResult::Refused(outcome)))
    })
    .await
}

/// Proves an address for a request of this browser without any email: instant sign-in.
pub async fn prove_without_mail(
    context: &Context,
    browser: &Browser,
    id: &str,
    email: &EmailAddress,
) -> Result<SignedIn, PasswordlessError> {
    retry_on_conflict(|| async {
        let request = request_of_browser(context, browser, id).await?;
        let (settings, now_ms) = (&context.environment.passwordless, context.now_ms());
        let sent = request
            .send(email.clone(), settings, static_code(context, email), now_ms)
            .map_err(SendFailure::from)?;
        let judged = if sent.credentials().is_some_and(|sent| sent.passwordless_type.has_code()) {
            sent.verify_code(true, "", &context.environment.limits, now_ms).0
        } else {
            sent.verify_link(true, settings, now_ms).0
        };
        Ok(complete(context, &judged, email, browser, Proof::Instant, None).await?)
    })
    .await
}

/// What opening a link would come to. Reads only: email scanners open links too.
pub async fn preview_link(
    context: &Context,
    browser: &Browser,
    link_token: &str,
) -> Result<LinkPreview, PasswordlessError> {
    let request = request_by_link(context, link_token).await?;
    let same_browser = started_here(context, browser, &request);
    let outcome = request.link_outcome(same_browser, &context.environment.passwordless, context.now_ms());
    let event = SignInEvent::LinkOpened { same_browser, refused: LinkRefusal::of(outcome) };
    flows::note(context, &request.id, About::default(), event);
    Ok(LinkPreview { outcome, same_browser, request })
}

/// Uses a link.
pub async fn verify_link(
    context: &Context,
    browser: &Browser,
    link_token: &str,
) -> Result<LinkResult, PasswordlessError> {
    retry_on_conflict(|| async {
        let request = request_by_link(context, link_token).await?;
        let Some(email) = request.email().cloned() else { return Err(PasswordlessError::NotYours) };
        let same_browser = started_here(context, browser, &request);
        let request_id = request.id.clone();
        let (judged, outcome) =
            request.verify_link(same_browser, &context.environment.passwordless, context.now_ms());
        if outcome != LinkOutcome::Accepted {
            note_link_used(context, &request_id, same_browser, outcome);
            return Ok(Some(LinkResult::Refused(outcome)));
        }
        let proof = Proof::Link { same_browser };
        let done = complete(context, &judged, &email, browser, proof, None).await?;
        Ok(done.map(LinkResult::SignedIn))
    })
    .await
}

async fn request_by_link(context: &Context, link_token: &str) -> Result<AuthRequest, PasswordlessError> {
    let digest = context.secret().digest(Purpose::LinkToken, link_token);
    let request = context.store().auth_request_by_link(context.environment_id(), &digest).await?;
    // A token of an email that carried no link was never given to anybody.
    let had_link = |r: &AuthRequest| r.credentials().is_some_and(|sent| sent.passwordless_type.has_link());
    let request = request.filter(had_link).ok_or(PasswordlessError::NotYours)?;
    current_request::note_client(&request.origin.authorization.client_id);
    Ok(request)
}

/// The browser's session, where it may answer a request that asked to choose an account.
pub(in crate::service) async fn answering_session(
    context: &Context,
    browser: &Browser,
    request: &AuthRequest,
) -> Result<Option<(Session, UserSummary)>, Failure> {
    let authorization = &request.origin.authorization;
    if authorization.prompt != Prompt::SelectAccount || request.stage != Stage::AwaitingEmail {
        return Ok(None);
    }
    let held = live_session(context, browser).await?;
    Ok(held.filter(|(session, user)| {
        let subject = subject_identifier(&context.environment, user);
        session.satisfies_max_age(context.now_ms(), authorization.max_age_s)
            && authorization_response::may_answer(context, authorization, Some(&subject))
    }))
}

/// "Continue as …" of the account chooser: the live session answers a request that asked to choose.
pub async fn continue_with_session(
    context: &Context,
    browser: &Browser,
    id: &str,
) -> Result<Option<SignedIn>, PasswordlessError> {
    let request = request_of_browser(context, browser, id).await?;
    if let Some(closed) = request.closed(context.now_ms()) {
        return Err(PasswordlessError::Closed(closed));
    }
    let Some((session, user)) = answering_session(context, browser, &request).await? else {
        return Ok(None);
    };
    match organization_entry::of_session(context, &request.origin.authorization, &session).await? {
        Ok(organization_id) => {
            answer_by_session(context, &request, &session, &user, organization_id, browser).await.map(Some)
        }
        Err(NotAMember) => {
            let Hosted { authorization, issuer, .. } = &request.origin;
            let (code, text) = (ErrorCode::InvalidOrganizationId, NotAMember.to_string());
            let location = authorization_response::error_url(issuer, authorization, code, &text);
            Ok(Some(SignedIn { location, ..SignedIn::default() }))
        }
    }
}

/// Lets the browser's session answer a request, which is used up by that.
pub(in crate::service) async fn answer_by_session(
    context: &Context,
    request: &AuthRequest,
    session: &Session,
    user: &UserSummary,
    organization_id: Option<String>,
    browser: &Browser,
) -> Result<SignedIn, PasswordlessError> {
    let by_session = BySession {
        flow_id: &request.id,
        authorization: request.origin.authorization.clone(),
        issuer: &request.origin.issuer,
        organization_id,
        closes: Some(request),
    };
    let done = issue_code_silently(context, by_session, session, &user.email, browser).await?;
    done.ok_or(PasswordlessError::Closed(Closed::Completed))
}

/// Where the application of a request starts sign-ins, if it has said so: a browser that lost its cookie goes
/// there. Tells nothing about the request but that.
pub async fn initiate_login_uri(context: &Context, id: &str) -> Result<Option<String>, Failure> {
    let request = context.store().auth_request::<Hosted>(context.environment_id(), id).await?;
    let client = request.and_then(|r| context.environment.client(&r.origin.authorization.client_id));
    Ok(client.and_then(|c| c.initiate_login_uri.clone()))
}

/// The code that the email carries, for the page of a demonstration.
pub fn demo_code(context: &Context, request: &AuthRequest) -> Option<String> {
    let sent = request.credentials().filter(|_| context.environment.demo)?;
    Some(expected_code(context, &request.id, sent))
}

/// The link that the email carries, for the page of a demonstration.
pub fn demo_link(context: &Context, request: &AuthRequest) -> Option<String> {
    let sent = request.credentials().filter(|_| context.environment.demo)?;
    request.origin.link(&context.secret().link_token(&request.id, sent.generation))
}

/// A page of the application that asked, for users who are done here.
pub fn application_url(environment: &Environment, request: &AuthRequest) -> Option<String> {
    let authorization = &request.origin.authorization;
    let client = environment.client(&authorization.client_id);
    client.and_then(Client::home_url).or_else(|| web_root(&authorization.redirect_uri))
}

/// What users call the application that asked.
pub fn app_name<'a>(environment: &'a Environment, request: &AuthRequest) -> &'a str {
    name_of_client(environment, request.origin.client_id())
}
