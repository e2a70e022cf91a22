//! `/oauth/authorize`: silent sign-in when a session allows it, otherwise the start of a sign-in.

use super::authorization_response::{error_url, may_answer};
use super::pushed_requests::{self, ParError};
use super::sessions::{Browser, live_session};
use super::sign_in::{DeniedSignIn, SignedIn};
use super::token::hinted;
use super::{Failure, flows, organization_entry, passwordless, sign_in};
use crate::crypto::server_secret::Purpose;
use crate::domain::auth_request::{AuthRequest, Hosted};
use crate::domain::authorization::{
    self, AuthorizationRequest, AuthorizationRequestError, ErrorCode, PageRefusal, Parameters, Prompt,
    response_url,
};
use crate::domain::email::{EmailAddress, key_of};
use crate::domain::entropy::secret_text;
use crate::domain::flow::{About, FlowStatus};
use crate::domain::ids::new_auth_request_id;
use crate::domain::session::Session;
use crate::domain::settings::LoginHintMode;
use crate::domain::sign_in_event::SignInEvent;
use crate::domain::token::{modular_address, subject_identifier};
use crate::domain::user::UserSummary;
use crate::runtime::{Context, current_request};

/// What the browser does next.
#[derive(Debug)]
pub enum Authorized {
    /// A user has to act: show the pages of this authentication request.
    ShowPages { auth_request_id: String, new_browser_cookie: Option<String> },
    /// Back to the application, with a code or an error.
    Redirect { location: String },
    /// An interceptor denied it. The user is told, and goes back to the application with an error.
    Denied { denied: DeniedSignIn, location: String },
}

/// Why the browser stays here.
#[derive(Debug)]
pub enum AuthorizeError {
    Page(PageRefusal),
    Failure(Failure),
}

impl<E: Into<Failure>> From<E> for AuthorizeError {
    fn from(error: E) -> Self {
        Self::Failure(error.into())
    }
}

/// Answers an authorization request (RFC 6749 §4.1.1, OpenID Connect Core 1.0 §3.1.2).
pub async fn authorize(
    context: &Context,
    params: &Parameters,
    browser: &Browser,
) -> Result<Authorized, AuthorizeError> {
    let pushed = match pushed_requests::take(context, params).await {
        Ok(pushed) => pushed,
        Err(ParError::Failure(failure)) => return Err(AuthorizeError::Failure(failure)),
        Err(ParError::Page(refusal)) => {
            note_refused(context, params, None, &refusal.to_string());
            return Err(AuthorizeError::Page(refusal));
        }
    };
    let is_pushed = pushed.is_some();
    let params = pushed.as_ref().unwrap_or(params);
    let request = match authorization::parse(&context.environment, params) {
        Ok(request) => request,
        Err(AuthorizationRequestError::Page(refusal)) => {
            note_refused(context, params, None, &refusal.to_string());
            return Err(AuthorizeError::Page(refusal));
        }
        Err(AuthorizationRequestError::Redirect { redirect_uri, state, code, description }) => {
            note_refused(context, params, Some(code), &description);
            let parameters = [("error", code.as_str()), ("error_description", description.as_str())];
            let location = response_url(&redirect_uri, &parameters, state.as_deref(), context.issuer());
            return Ok(Authorized::Redirect { location });
        }
    };
    if must_be_pushed(context, &request) && !is_pushed {
        let text = "this client must push its authorization requests to /oauth/par";
        note_refused(context, params, Some(ErrorCode::InvalidRequest), text);
        return Ok(refuse(context, &request, ErrorCode::InvalidRequest, text));
    }
    if let Some(organization_id) = &request.organization_id
        && context.store().organization_summary(context.environment_id(), organization_id).await?.is_none()
    {
        let text = "organization_id is not an organization of this environment";
        note_refused(context, params, Some(ErrorCode::InvalidOrganizationId), text);
        return Ok(refuse(context, &request, ErrorCode::InvalidOrganizationId, text));
    }
    let session = live_session(context, browser).await?;
    if let Some((session, user)) = &session
        && may_be_silent(context, &request, session, user)
    {
        let organization_id = match organization_entry::of_session(context, &request, session).await? {
            Ok(organization_id) => organization_id,
            Err(not_a_member) => {
                let text = not_a_member.to_string();
                note_refused(context, params, Some(ErrorCode::InvalidOrganizationId), &text);
                return Ok(refuse(context, &request, ErrorCode::InvalidOrganizationId, &text));
            }
        };
        let is_without_pages = request.prompt == Prompt::None;
        let done = answer_silently(context, request, session, user, organization_id, browser).await?;
        return Ok(match done {
            SignedIn { denied: Some(denied), location, .. } if !is_without_pages => {
                Authorized::Denied { denied, location }
            }
            SignedIn { location, .. } => Authorized::Redirect { location },
        });
    }
    if request.prompt == Prompt::None {
        let text = "no live session fits this request, and prompt=none forbids asking the user";
        note_refused(context, params, Some(ErrorCode::LoginRequired), text);
        return Ok(refuse(context, &request, ErrorCode::LoginRequired, text));
    }
    start(context, request, browser).await.map_err(AuthorizeError::Failure)
}

/// Lets the browser's session answer a request.
async fn answer_silently(
    context: &Context,
    request: AuthorizationRequest,
    session: &Session,
    user: &UserSummary,
    organization_id: Option<String>,
    browser: &Browser,
) -> Result<SignedIn, Failure> {
    let flow_id = flows::new_flow_id(context);
    flows::note(context, &flow_id, About::default().email(&user.email), accepted(&request));
    let by_session = sign_in::BySession {
        flow_id: &flow_id,
        authorization: request,
        issuer: context.issuer(),
        organization_id,
        closes: None,
    };
    let done = sign_in::issue_code_silently(context, by_session, session, &user.email, browser).await?;
    // The session ended in this moment.
    done.ok_or(Failure::Contention)
}

/// RFC 9126 §6: `require_pushed_authorization_requests`.
fn must_be_pushed(context: &Context, request: &AuthorizationRequest) -> bool {
    let client = context.environment.client(&request.client_id);
    client.is_some_and(|c| c.require_pushed_authorization_requests)
}

/// Notes a request that never became a sign-in. `None`: the browser stays here.
fn note_refused(context: &Context, params: &Parameters, error: Option<ErrorCode>, description: &str) {
    if let Some(error) = error {
        current_request::note_error(error.as_str());
    }
    let one = |name| params.one(name).ok().flatten().unwrap_or_default();
    let event = SignInEvent::AuthorizeRefused {
        error: error.map(|code| code.as_str().to_owned()),
        error_description: description.to_owned(),
        redirect_uri: one("redirect_uri").to_owned(),
    };
    let about = About::status(FlowStatus::Failed).client(one("client_id"));
    flows::note(context, &flows::new_flow_id(context), about, event);
}

/// A request was let in.
fn accepted(request: &AuthorizationRequest) -> SignInEvent {
    SignInEvent::AuthorizeAccepted {
        client_id: request.client_id.clone(),
        redirect_uri: request.redirect_uri.clone(),
        scope: request.scope.join(" "),
        prompt: request.prompt.as_str().map(str::to_owned),
        pkce: request.code_challenge.is_some(),
        login_hint: request.login_hint.is_some(),
    }
}

fn refuse(context: &Context, request: &AuthorizationRequest, code: ErrorCode, text: &str) -> Authorized {
    Authorized::Redirect { location: error_url(context.issuer(), request, code, text) }
}

/// Does the session answer the request without a page?
fn may_be_silent(
    context: &Context,
    request: &AuthorizationRequest,
    session: &Session,
    user: &UserSummary,
) -> bool {
    // An organization that is named leaves nothing to choose.
    let names_organization = request.organization_id.is_some() && context.environment.tokens.user_management;
    let prompt_allows = match request.prompt {
        Prompt::Auto | Prompt::None => true,
        Prompt::SelectAccount => names_organization,
        Prompt::Login | Prompt::Create => false,
    };
    let recent = session.satisfies_max_age(context.now_ms(), request.max_age_s);
    prompt_allows && recent && is_hinted_user(context, request, user)
}

/// The address of the one person who may answer a request, for the form, as far as the application's words tell it.
pub fn named_address(context: &Context, request: &AuthorizationRequest) -> Option<String> {
    let hinted = request.id_token_hint.as_deref().and_then(|token| hinted(context, token));
    let by_hint = hinted.and_then(|claims| claims.person.email);
    by_hint.or_else(|| match request.claims.subjects.as_deref() {
        Some([subject]) => modular_address(&context.environment, subject).map(str::to_owned),
        _ => None,
    })
}

/// Hints that name somebody else ask for somebody else's sign-in.
fn is_hinted_user(context: &Context, request: &AuthorizationRequest, user: &UserSummary) -> bool {
    let by_address = match request.login_hint.as_deref().map(EmailAddress::parse) {
        Some(Ok(hint)) => hint.key() == key_of(&user.email),
        // A hint that is no address names nobody.
        Some(Err(_)) | None => true,
    };
    // The hint may be long expired (OpenID Connect Core 1.0 §3.1.2.1); its signature must hold.
    let is_hint_good = request.id_token_hint.as_deref().is_none_or(|token| hinted(context, token).is_some());
    let subject = subject_identifier(&context.environment, user);
    by_address && is_hint_good && may_answer(context, request, Some(&subject))
}

/// Stores a new authentication request and, with a usable `login_hint`, sends at once.
pub(super) async fn start(
    context: &Context,
    request: AuthorizationRequest,
    browser: &Browser,
) -> Result<Authorized, Failure> {
    let new_browser_cookie = browser.browser_cookie.is_none().then(|| secret_text(context.entropy()));
    let cookie = browser.browser_cookie.as_deref().or(new_browser_cookie.as_deref()).unwrap_or_default();
    let hint = request.login_hint.as_deref().and_then(|h| EmailAddress::parse(h).ok());
    let sends_at_once = context.environment.login_hint == LoginHintMode::Send
        && request.prompt != Prompt::SelectAccount
        && !browser.is_embedded;
    let language = request.language.or(browser.language);
    let origin = Hosted {
        authorization: AuthorizationRequest { language, ..request },
        browser_digest: context.secret().digest(Purpose::BrowserCookie, cookie),
        issuer: context.issuer().to_owned(),
    };
    let id = new_auth_request_id(context.now_ms(), context.entropy());
    let auth_request = AuthRequest::start(id, origin, &context.environment, context.now_ms());
    let auth_request_id = auth_request.id.clone();
    let authorization = &auth_request.origin.authorization;
    let about = About::status(FlowStatus::Initiated).client(&authorization.client_id);
    flows::note(context, &auth_request_id, about, accepted(authorization));
    match hint.filter(|_| sends_at_once) {
        Some(email) => passwordless::start_with_send(context, auth_request, email, browser.source).await?,
        None => context.store().insert_auth_request(context.environment_id(), &auth_request).await?,
    }
    Ok(Authorized::ShowPages { auth_request_id, new_browser_cookie })
}

/// Starts over with the same application request: "Not you?" and "Start again". The hint is dropped, since it is
/// what the user wants to change.
pub async fn restart(
    context: &Context,
    browser: &Browser,
    id: &str,
) -> Result<String, passwordless::PasswordlessError> {
    start_over(context, browser, id, None).await
}

/// Starts over to sign up instead of in, or the other way round.
pub async fn switch(
    context: &Context,
    browser: &Browser,
    id: &str,
    prompt: Prompt,
) -> Result<String, passwordless::PasswordlessError> {
    start_over(context, browser, id, Some(prompt)).await
}

async fn start_over(
    context: &Context,
    browser: &Browser,
    id: &str,
    prompt: Option<Prompt>,
) -> Result<String, passwordless::PasswordlessError> {
    let asked = passwordless::request_of_browser(context, browser, id).await?.origin.authorization;
    let prompt = prompt.unwrap_or(asked.prompt);
    let authorization = AuthorizationRequest { login_hint: None, prompt, ..asked };
    match start(context, authorization, browser).await? {
        Authorized::ShowPages { auth_request_id, .. } => Ok(auth_request_id),
        Authorized::Redirect { location } | Authorized::Denied { location, .. } => Ok(location),
    }
}
