//! The end of a sign-in: session, grant, and the way back to the application with a code.

use super::sessions::{Browser, live_session, touch};
use super::token::lifetime_s;
use super::{Failure, events, flows};
use crate::crypto::server_secret::Purpose;
use crate::domain::auth_request::{AuthRequest, Hosted};
use crate::domain::authorization::{AuthorizationRequest, ErrorCode, response_url};
use crate::domain::email::{EmailAddress, key_of};
use crate::domain::event::{Event, EventType};
use crate::domain::flow::{About, FlowStatus};
use crate::domain::grant::Grant;
use crate::domain::ids::{IdKind, new_handle};
use crate::domain::organization::Organization;
use crate::domain::session::Session;
use crate::domain::sign_in_event::SignInEvent;
use crate::domain::token::modular_subject;
use crate::domain::user::User;
use crate::runtime::Context;
use crate::service::authorization_response::{error_url, may_answer};
use crate::storage::{AttemptUpdate, Completion, SessionChange, SessionClient};

/// A finished sign-in.
#[derive(Debug)]
pub struct SignedIn {
    /// The application's callback, with code or error.
    pub location: String,
    /// The browser's new session cookie; `None` where the application gets an error.
    pub session_cookie: Option<String>,
}

/// How the address was proven.
#[derive(Debug, Clone, Copy)]
pub(super) enum Proof {
    Code,
    Link {
        same_browser: bool,
    },
    /// A tester's word for it.
    Instant,
}

fn note_proof(context: &Context, judged: &AuthRequest, email: &EmailAddress, proof: Proof) {
    let event = match proof {
        Proof::Code => SignInEvent::CodeAccepted {},
        Proof::Link { same_browser } => SignInEvent::LinkUsed { same_browser, refused: None },
        Proof::Instant => SignInEvent::InstantSignIn {},
    };
    let about = About::default().email(email.as_str());
    flows::note(context, &judged.id, about, event);
}

/// Commits a request that was just judged proven. `None` when somebody else moved the request meanwhile: judge
/// again.
pub(super) async fn complete(
    context: &Context,
    judged: &AuthRequest,
    email: &EmailAddress,
    browser: &Browser,
    proof: Proof,
    counted: Option<AttemptUpdate<'_>>,
) -> Result<Option<SignedIn>, Failure> {
    let environment_id = context.environment_id();
    if let Some((code, text)) = refusal(context, &judged.origin.authorization, email).await? {
        return refuse(context, judged, counted, code, text).await;
    }
    let now_ms = context.now_ms();
    let session = session_change(context, email, browser).await?;
    let session_id = session.session_id().to_owned();
    let session_cookie = new_handle(&session_id, context.entropy());
    let ends_session = session.ends_another();
    let issuer = &judged.origin.issuer;
    let authorization = judged.origin.authorization.clone();
    let grant = new_grant(context, authorization, issuer, String::new(), session_id, now_ms);
    let code = new_handle(&grant.id, context.entropy());
    let new_user_id = context.new_id(IdKind::User);
    let new_organization = new_organization(context, email, &new_user_id);
    let tells = session_client(context, &grant, email.key());
    let completion = Completion {
        request: judged,
        email,
        counted,
        new_user_id: &new_user_id,
        new_organization: new_organization.as_ref(),
        session,
        session_cookie_digest: &context.secret().digest(Purpose::SessionCookie, &session_cookie),
        grant: &grant,
        code_digest: &context.secret().digest(Purpose::AuthorizationCode, &code),
        backchannel_client: tells.as_ref(),
        now_ms,
    };
    let committed = context.store().commit_completion(environment_id, &completion).await?;
    if committed.is_some() && ends_session {
        context.runtime.server.sessions_ended.notify_one();
    }
    Ok(committed.map(|user| {
        note_proof(context, judged, email, proof);
        note_success(context, &judged.id, &grant, &user.id, false);
        SignedIn { location: success_url(&grant, &code), session_cookie: Some(session_cookie) }
    }))
}

fn note_success(context: &Context, flow_id: &str, grant: &Grant, user_id: &str, silently: bool) {
    let event = SignInEvent::SignedIn {
        grant_id: grant.id.clone(),
        session_id: grant.session_id.clone(),
        user_id: user_id.to_owned(),
        silently,
    };
    let about = About::status(FlowStatus::Success).client(&grant.authorization.client_id).user(user_id);
    flows::note(context, flow_id, about, event);
}

/// In the full-stack profile a sign-up makes an organization too, named after the address's domain.
fn new_organization(
    context: &Context,
    email: &EmailAddress,
    new_user_id: &str,
) -> Option<(Organization, Vec<Event>)> {
    context.environment.tokens.user_management.then(|| {
        let id = context.new_id(IdKind::Organization);
        let organization = Organization::new(id, email.domain().to_owned(), context.now_ms());
        let mut user = User::new(new_user_id.to_owned(), email.clone(), context.now_ms());
        user.email_verified_at_ms = Some(context.now_ms());
        let told = vec![
            events::of_organization(context, EventType::OrganizationCreated, &organization),
            events::of_member(context, EventType::MembershipCreated, &organization, &user),
            events::of_member(context, EventType::UserSignedUp, &organization, &user),
        ];
        (organization, events::in_order(told))
    })
}

/// Why a proven address gets no code. Only its owner learns so.
async fn refusal(
    context: &Context,
    request: &AuthorizationRequest,
    email: &EmailAddress,
) -> Result<Option<(ErrorCode, &'static str)>, Failure> {
    let is_sign_up_closed = !context.environment.passwordless.sign_up_allowed;
    let names_somebody = request.claims.subjects.is_some() || request.id_token_hint.is_some();
    if !is_sign_up_closed && !names_somebody {
        return Ok(None);
    }
    let user = context.store().user_by_email(context.environment_id(), email).await?;
    if user.is_none() && is_sign_up_closed {
        let text = "there is no account for this address and sign-up is switched off";
        return Ok(Some((ErrorCode::AccessDenied, text)));
    }
    let subject = modular_subject(&context.environment, email.key()).or(user.map(|user| user.id));
    if !may_answer(context, request, subject.as_deref()) {
        let text = "somebody else signed in than the person whom the application named";
        return Ok(Some((ErrorCode::LoginRequired, text)));
    }
    Ok(None)
}

/// Ends a sign-in with an error for the application.
async fn refuse(
    context: &Context,
    judged: &AuthRequest,
    counted: Option<AttemptUpdate<'_>>,
    code: ErrorCode,
    text: &str,
) -> Result<Option<SignedIn>, Failure> {
    if !context.store().update_auth_request(context.environment_id(), judged, counted).await? {
        return Ok(None);
    }
    let event =
        SignInEvent::SignInRefused { error: code.as_str().to_owned(), error_description: text.to_owned() };
    flows::note(context, &judged.id, About::status(FlowStatus::Failed), event);
    let Hosted { authorization, issuer, .. } = &judged.origin;
    let location = error_url(issuer, authorization, code, text);
    Ok(Some(SignedIn { location, session_cookie: None }))
}

/// The same person's proof renews the browser's session; anybody else's starts a new one.
pub(super) async fn session_change(
    context: &Context,
    email: &EmailAddress,
    browser: &Browser,
) -> Result<SessionChange, Failure> {
    let now_ms = context.now_ms();
    let held = live_session(context, browser).await?;
    Ok(match held {
        Some((session, user)) if key_of(&user.email) == email.key() => SessionChange::Renew {
            device: browser.device(),
            session: Session { authenticated_at_ms: now_ms, last_active_at_ms: now_ms, ..session },
        },
        other => SessionChange::Start {
            device: browser.device(),
            ends_session_id: other.map(|(session, _)| session.id),
            session: Session {
                id: context.new_id(IdKind::Session),
                user_id: String::new(),
                authenticated_at_ms: now_ms,
                last_active_at_ms: now_ms,
                absolute_expires_at_ms: now_ms + context.environment.sessions.absolute_timeout_s * 1000,
                ended_at_ms: None,
            },
        },
    })
}

/// Gives an application a code on the strength of the browser's session alone. `issuer` is the one that the sign-in
/// began under.
pub(super) async fn issue_code_silently(
    context: &Context,
    flow_id: &str,
    request: AuthorizationRequest,
    issuer: &str,
    session: &Session,
    email: &str,
) -> Result<String, Failure> {
    let (user_id, session_id) = (session.user_id.clone(), session.id.clone());
    let grant = new_grant(context, request, issuer, user_id, session_id, session.authenticated_at_ms);
    let code = new_handle(&grant.id, context.entropy());
    let digest = context.secret().digest(Purpose::AuthorizationCode, &code);
    let tells = session_client(context, &grant, email);
    context
        .store()
        .insert_grant(context.environment_id(), &grant, &digest, tells.as_ref(), context.now_ms())
        .await?;
    touch(context, session).await?;
    note_success(context, flow_id, &grant, &session.user_id, true);
    Ok(success_url(&grant, &code))
}

/// Who has to hear of the session's end, if the application of the grant wants to.
fn session_client(context: &Context, grant: &Grant, email: &str) -> Option<SessionClient> {
    let client = context.environment.client(&grant.authorization.client_id)?;
    client.backchannel_logout_uris().next()?;
    Some(SessionClient {
        client_id: client.client_id.clone(),
        issuer: grant.issuer.clone(),
        subject: modular_subject(&context.environment, email),
        expires_at_ms: context.now_ms() + context.environment.sessions.absolute_timeout_s * 1000,
    })
}

fn new_grant(
    context: &Context,
    authorization: AuthorizationRequest,
    issuer: &str,
    user_id: String,
    session_id: String,
    authenticated_at_ms: i64,
) -> Grant {
    let now_ms = context.now_ms();
    let code_expires_at_ms = now_ms + context.environment.tokens.authorization_code_lifetime_s * 1000;
    let client = context.environment.client(&authorization.client_id);
    let lifetime_s = client.map_or(0, |client| lifetime_s(context, client, &authorization));
    Grant {
        id: context.new_id(IdKind::Grant),
        authorization,
        issuer: issuer.to_owned(),
        user_id,
        session_id,
        authenticated_at_ms,
        code_expires_at_ms,
        code_used_at_ms: None,
        refresh_generation: None,
        refresh_rotated_at_ms: now_ms,
        refresh_expires_at_ms: code_expires_at_ms,
        revoked_at_ms: None,
        kept_until_ms: code_expires_at_ms + lifetime_s * 1000,
    }
}

fn success_url(grant: &Grant, code: &str) -> String {
    let AuthorizationRequest { redirect_uri, state, .. } = &grant.authorization;
    response_url(redirect_uri, &[("code", code)], state.as_deref(), &grant.issuer)
}
