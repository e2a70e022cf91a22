//! Proving an address: send, resend, verify by code or link. Hosted pages call these; the headless API will.

use super::sessions::Browser;
use super::sign_in::{SignedIn, complete};
use super::{Failure, MAX_CONFLICTS, authorize};
use crate::app::Context;
use crate::crypto::server_secret::{Purpose, constant_time_eq};
use crate::domain::auth_request::{AuthRequest, Closed, CodeOutcome, LinkOutcome, SendRefusal};
use crate::domain::authorization::Prompt;
use crate::domain::clock::UnixMs;
use crate::domain::email::{EmailAddress, EmailError};
use crate::domain::environment::{Environment, Mode};
use crate::domain::test_user::is_test_user;
use crate::mail::{self, MailContent, MailKind};
use crate::storage::{Budget, NewMail};

/// Path of the landing page that mailed links open.
pub const LINK_PATH: &str = "/login/link";

/// Why something about an authentication request was not done.
#[derive(Debug)]
pub enum Refusal {
    /// No such request, or none that this browser started; the two look alike on purpose.
    NotYours,
    Email(EmailError),
    Closed(Closed),
    /// Nothing to resend or verify yet.
    NothingSent,
    /// The address received its share of mails for now.
    TooManyMails {
        retry_after_s: i64,
    },
    Failure(Failure),
}

impl<E: Into<Failure>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Failure(error.into())
    }
}

impl From<SendRefusal> for Refusal {
    fn from(refusal: SendRefusal) -> Self {
        match refusal {
            SendRefusal::Closed(closed) => Self::Closed(closed),
            SendRefusal::NothingSent => Self::NothingSent,
        }
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
) -> Result<AuthRequest, Refusal> {
    let request =
        context.store().auth_request(context.environment_id(), id).await?.ok_or(Refusal::NotYours)?;
    if !started_here(context, browser, &request) {
        return Err(Refusal::NotYours);
    }
    Ok(request)
}

fn started_here(context: &Context, browser: &Browser, request: &AuthRequest) -> bool {
    browser.digest(context).is_some_and(|d| constant_time_eq(&d, &request.browser_digest))
}

/// Stores a new request and sends its first mail in one write. When the address has had its share of mails, the
/// request is stored without a send, and the form asks.
pub(super) async fn start_with_send(
    context: &Context,
    request: AuthRequest,
    email: EmailAddress,
) -> Result<(), Failure> {
    let bare = request.clone();
    match try_send(context, Origin::New(Box::new(request)), Some(email)).await {
        Ok(()) => Ok(()),
        Err(Refusal::Failure(failure)) => Err(failure),
        Err(_) => Ok(context.store().insert_auth_request(context.environment_id(), &bare).await?),
    }
}

/// Mails a code, a link or both to an address.
pub async fn send(context: &Context, browser: &Browser, id: &str, address: &str) -> Result<(), Refusal> {
    request_of_browser(context, browser, id).await?;
    let email = EmailAddress::parse(address).map_err(Refusal::Email)?;
    try_send(context, Origin::Stored(id), Some(email)).await
}

/// Mails again to the address already written to.
pub async fn resend(context: &Context, browser: &Browser, id: &str) -> Result<(), Refusal> {
    request_of_browser(context, browser, id).await?;
    try_send(context, Origin::Stored(id), None).await
}

/// Where the request that a mail is sent for comes from.
enum Origin<'a> {
    New(Box<AuthRequest>),
    Stored(&'a str),
}

/// Decides and commits a send, again and again while others move the request or the address's budget.
async fn try_send(context: &Context, origin: Origin<'_>, email: Option<EmailAddress>) -> Result<(), Refusal> {
    let environment = &context.environment;
    let environment_id = context.environment_id();
    for _ in 0..MAX_CONFLICTS {
        let now_ms = context.now_ms();
        let (request, is_new) = match &origin {
            Origin::New(request) => ((**request).clone(), true),
            Origin::Stored(id) => {
                (context.store().auth_request(environment_id, id).await?.ok_or(Refusal::NotYours)?, false)
            }
        };
        let next = match &email {
            Some(email) => request.send(email.clone(), &environment.passwordless, now_ms)?,
            None => request.resend(&environment.passwordless, now_ms)?,
        };
        let Some(recipient) = next.email.clone() else { return Err(Refusal::NothingSent) };
        let budget = spend_budget(context, &recipient, now_ms).await?;
        let token = context.app.secret.link_token(&next.id, next.generation);
        let mail = compose(context, &next, &recipient, &token)?;
        let link_digest = context.app.secret.digest(Purpose::LinkToken, &token);
        let budget = budget.as_ref().map(|(budget, until_ms)| (&recipient, budget, *until_ms));
        let committed = context
            .store()
            .commit_send(environment_id, &next, is_new, &link_digest, budget, &mail, now_ms)
            .await?;
        if committed {
            announce(context, &mail);
            return Ok(());
        }
    }
    Err(Refusal::Failure(Failure::Contention))
}

/// Counts one more mail to an address, or says how long to wait. `None`: mails are not limited.
async fn spend_budget(
    context: &Context,
    email: &EmailAddress,
    now_ms: UnixMs,
) -> Result<Option<(Budget, UnixMs)>, Refusal> {
    let limits = &context.environment.limits;
    let Some(allowed) = limits.mails_per_address else { return Ok(None) };
    let mut budget = context.store().mail_budget(context.environment_id(), email).await?;
    let wait_ms = budget.sent.wait_ms(now_ms, limits.mails_window_s, allowed as usize);
    if wait_ms > 0 {
        return Err(Refusal::TooManyMails { retry_after_s: (wait_ms + 999) / 1000 });
    }
    budget.sent.push(now_ms, limits.mails_window_s);
    Ok(Some((budget, now_ms + limits.mails_window_s * 1000)))
}

/// The code that proves this request now: the fixed one for test users.
fn expected_code(context: &Context, request: &AuthRequest, email: &EmailAddress) -> String {
    let environment = &context.environment;
    if is_test_user(&environment.test_users, environment.mode, email) {
        environment.test_users.static_code.clone()
    } else {
        context.app.secret.code(&request.id, request.generation, environment.passwordless.code_length)
    }
}

/// Writes the mail of a request's living credentials.
fn compose(
    context: &Context,
    request: &AuthRequest,
    to: &EmailAddress,
    link_token: &str,
) -> Result<NewMail, Failure> {
    let environment = &context.environment;
    let code = request.passwordless_type.has_code().then(|| expected_code(context, request, to));
    let link = request
        .passwordless_type
        .has_link()
        .then(|| format!("{}{LINK_PATH}?link_token={link_token}", request.issuer));
    let kind =
        if request.authorization.prompt == Prompt::Create { MailKind::SignUp } else { MailKind::SignIn };
    let rendered = mail::render(&MailContent {
        kind,
        to,
        app_name: app_name(environment, request),
        branding: &environment.branding,
        code: code.as_deref(),
        link: link.as_deref(),
        valid_for_s: environment.passwordless.validity_s,
        template_variables: &[],
    })?;
    let is_test_user = is_test_user(&environment.test_users, environment.mode, to);
    Ok(NewMail {
        id: context.app.mail.new_message_id(context.now_ms(), context.entropy()),
        to_address: to.as_str().to_owned(),
        to_key: to.key(),
        subject: rendered.subject,
        text_body: rendered.text,
        html_body: rendered.html,
        code,
        link,
        auth_request_id: request.id.clone(),
        kind: kind.as_str(),
        is_test_user,
        into_inbox: environment.mode == Mode::Development,
        into_outbox: context.app.mail.smtp.is_some() && !is_test_user,
    })
}

/// What people call the application that asked.
pub fn app_name<'a>(environment: &'a Environment, request: &AuthRequest) -> &'a str {
    environment
        .client(&request.authorization.client_id)
        .map_or(environment.branding.name.as_str(), |c| &c.name)
}

fn announce(context: &Context, mail: &NewMail) {
    context.app.mail.inbox_changed.send_modify(|n| *n = n.wrapping_add(1));
    if mail.into_outbox {
        context.app.mail.outbox_filled.notify_one();
    }
}

/// Judges a code attempt. The attempt is counted by the same write that judges it, so parallel guesses, here or
/// on other replicas, cannot exceed the limit.
pub async fn verify_code(
    context: &Context,
    browser: &Browser,
    id: &str,
    code: &str,
) -> Result<CodeResult, Refusal> {
    for _ in 0..MAX_CONFLICTS {
        let request = request_of_browser(context, browser, id).await?;
        let Some(email) = request.email.clone() else {
            return Ok(CodeResult::Refused(CodeOutcome::NotOffered));
        };
        let is_right = constant_time_eq(&expected_code(context, &request, &email), code);
        let (judged, outcome) = request.verify_code(is_right, &context.environment.limits, context.now_ms());
        match outcome {
            CodeOutcome::Accepted => {
                if let Some(done) = complete(context, &judged, &email, browser).await? {
                    return Ok(CodeResult::SignedIn(done));
                }
            }
            CodeOutcome::NotOffered | CodeOutcome::Closed(_) => return Ok(CodeResult::Refused(outcome)),
            CodeOutcome::Wrong { .. } | CodeOutcome::Expired | CodeOutcome::TooManyAttempts => {
                if context.store().update_auth_request(context.environment_id(), &judged).await? {
                    return Ok(CodeResult::Refused(outcome));
                }
            }
        }
    }
    Err(Refusal::Failure(Failure::Contention))
}

/// What opening a link would come to. Reads only: mail scanners open links too.
pub async fn preview_link(
    context: &Context,
    browser: &Browser,
    link_token: &str,
) -> Result<LinkPreview, Refusal> {
    let request = request_by_link(context, link_token).await?;
    let same_browser = started_here(context, browser, &request);
    let outcome = request.link_outcome(same_browser, &context.environment.passwordless, context.now_ms());
    Ok(LinkPreview { outcome, same_browser, request })
}

/// Uses a link.
pub async fn verify_link(
    context: &Context,
    browser: &Browser,
    link_token: &str,
) -> Result<LinkResult, Refusal> {
    for _ in 0..MAX_CONFLICTS {
        let request = request_by_link(context, link_token).await?;
        let Some(email) = request.email.clone() else { return Err(Refusal::NotYours) };
        let same_browser = started_here(context, browser, &request);
        let (judged, outcome) =
            request.verify_link(same_browser, &context.environment.passwordless, context.now_ms());
        if outcome != LinkOutcome::Accepted {
            return Ok(LinkResult::Refused(outcome));
        }
        if let Some(done) = complete(context, &judged, &email, browser).await? {
            return Ok(LinkResult::SignedIn(done));
        }
    }
    Err(Refusal::Failure(Failure::Contention))
}

async fn request_by_link(context: &Context, link_token: &str) -> Result<AuthRequest, Refusal> {
    let digest = context.app.secret.digest(Purpose::LinkToken, link_token);
    let request = context.store().auth_request_by_link(context.environment_id(), &digest).await?;
    // A token of a mail that carried no link was never given to anybody.
    request.filter(|r| r.passwordless_type.has_link()).ok_or(Refusal::NotYours)
}

/// Starts over with the same application request: "Not you?" and "Start again". The hint is dropped, since it is
/// what the person wants to change.
pub async fn restart(context: &Context, browser: &Browser, id: &str) -> Result<String, Refusal> {
    let request = request_of_browser(context, browser, id).await?;
    let authorization =
        crate::domain::authorization::AuthorizationRequest { login_hint: None, ..request.authorization };
    match authorize::start(context, authorization, browser).await? {
        authorize::Authorized::ShowPages { auth_request_id, .. } => Ok(auth_request_id),
        authorize::Authorized::Redirect { location } => Ok(location),
    }
}

/// "Continue as …" of the account chooser: the live session answers a request that asked to choose.
pub async fn continue_with_session(
    context: &Context,
    browser: &Browser,
    id: &str,
) -> Result<Option<SignedIn>, Refusal> {
    let request = request_of_browser(context, browser, id).await?;
    if let Some(closed) = request.closed(context.now_ms()) {
        return Err(Refusal::Closed(closed));
    }
    let Some((session, _)) = super::sessions::live_session(context, browser).await? else { return Ok(None) };
    if request.authorization.prompt != Prompt::SelectAccount
        || !session.satisfies_max_age(context.now_ms(), request.authorization.max_age_s)
    {
        return Ok(None);
    }
    let location = super::sign_in::issue_code_silently(context, request.authorization, &session).await?;
    Ok(Some(SignedIn { location, session_cookie: None }))
}

/// Where the application of a request starts sign-ins, if it has said so: a browser that lost its cookie goes
/// there. Tells nothing about the request but that.
pub async fn initiate_login_uri(context: &Context, id: &str) -> Result<Option<String>, Failure> {
    let request = context.store().auth_request(context.environment_id(), id).await?;
    let client = request.and_then(|r| context.environment.client(&r.authorization.client_id));
    Ok(client.and_then(|c| c.initiate_login_uri.clone()))
}
