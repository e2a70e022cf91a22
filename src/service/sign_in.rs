//! The end of a sign-in: session, grant, and the way back to the application with a code.

use serde_json::{Map, Value};

use super::interception::{Answers, error_description};
use super::organization_entry::{self, NotAMember};
use super::sessions::{Browser, live_session, touch};
use super::sign_in_interception::{
    Denied, GrantedMembership, SignIn, before_session, before_session_of, before_sign_up, has_to_ask,
};
use super::token::lifetime_s;
use super::{Failure, events, faults, flows, retry_on_conflict};
use crate::crypto::server_secret::Purpose;
use crate::domain::auth_request::{AuthRequest, Hosted};
use crate::domain::authorization::{AuthorizationRequest, ErrorCode, response_url};
use crate::domain::clock::UnixMs;
use crate::domain::email::EmailAddress;
use crate::domain::entropy::secret_text;
use crate::domain::event::{Event, EventType};
use crate::domain::flow::{About, FlowStatus};
use crate::domain::grant::Grant;
use crate::domain::ids::{IdKind, new_handle};
use crate::domain::language::Language;
use crate::domain::membership::{Membership, ProvisioningMethod};
use crate::domain::organization::Organization;
use crate::domain::organization_choice::OrganizationEntry;
use crate::domain::session::{Session, SessionEnd};
use crate::domain::sign_in_event::SignInEvent;
use crate::domain::token::modular_subject;
use crate::domain::user::User;
use crate::runtime::{Context, current_request};
use crate::service::authorization_response::{error_url, may_answer};
use crate::storage::{
    AttemptUpdate, Completion, Joining, SessionChange, SessionClient, SilentSignIn, StoreError,
};

/// Where a proof leads a browser.
#[derive(Debug, Default)]
pub struct SignedIn {
    /// The application's callback, with code or error, or the page where the user chooses an organization.
    pub location: String,
    /// The browser's new session cookie; `None` where the application gets an error, and before a choice.
    pub session_cookie: Option<String>,
    /// The browser's new name, where it needs one to choose.
    pub new_browser_cookie: Option<String>,
    /// What the user is told where an interceptor denied the sign-in, before going back to the application.
    pub denied: Option<DeniedSignIn>,
}

/// What the page says where an interceptor denied a sign-in, and to whom.
#[derive(Debug)]
pub struct DeniedSignIn {
    pub message: String,
    pub client_id: String,
    /// What the sign-in's pages are in; `None`: the environment's.
    pub language: Option<Language>,
}

impl DeniedSignIn {
    fn new(message: String, request: &AuthorizationRequest) -> Self {
        Self { message, client_id: request.client_id.clone(), language: request.language }
    }
}

/// The organization that a sign-in enters.
#[derive(Debug, Clone)]
pub(super) enum Entering {
    /// One that the user belongs to, or none.
    Existing(Option<String>),
    /// One that the sign-in makes.
    New,
    /// One that the user is invited to.
    Invited(String),
    /// One that the domain of the address opens.
    AllowedDomain(String),
    /// One that an interceptor names instead of a new one.
    Granted(GrantedMembership),
}

impl From<GrantedMembership> for Entering {
    fn from(granted: GrantedMembership) -> Self {
        Self::Granted(granted)
    }
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

/// Commits a request that was just judged proven, or lets the user choose an organization first. `None` when somebody
/// else moved the request or the user meanwhile: judge again.
pub(super) async fn complete(
    context: &Context,
    judged: &AuthRequest,
    email: &EmailAddress,
    browser: &Browser,
    proof: Proof,
    counted: Option<AttemptUpdate<'_>>,
) -> Result<Option<SignedIn>, Failure> {
    let request = &judged.origin.authorization;
    let before = context.store().user_of_email(context.environment_id(), email).await?;
    if let Some((code, text)) = refusal(context, request, email, before.as_ref()) {
        return refuse(context, judged, counted, code, text).await;
    }
    if let Some(fired) = faults::on_proof(&context.runtime, email.as_str()).await {
        let text = format!("the fault {} denies it", fired.id);
        return refuse(context, judged, counted, ErrorCode::AccessDenied, &text).await;
    }
    let shows_pages = !matches!(proof, Proof::Instant);
    let entry = organization_entry::decide(context, request, email, before.as_ref(), shows_pages).await?;
    let entering = match entry {
        OrganizationEntry::Existing(id) => Entering::Existing(id),
        OrganizationEntry::New => Entering::New,
        OrganizationEntry::Choose => {
            let chooser = let_choose(context, judged, browser, counted).await?;
            if chooser.is_some() {
                note_proof(context, judged, email, proof);
            }
            return Ok(chooser);
        }
        OrganizationEntry::NotAMember => {
            let (code, text) = (ErrorCode::InvalidOrganizationId, NotAMember.to_string());
            return refuse(context, judged, counted, code, &text).await;
        }
    };
    if has_to_ask(context, matches!(entering, Entering::New)) {
        return keep_proof_and_finish(context, judged, email, browser, proof, counted).await;
    }
    let judged = Judged { request: judged, email, proof: Some(proof), counted };
    commit(context, judged, before.as_ref(), &entering, browser, &Answers::default()).await
}

/// Uses up the proof before interceptors are asked: whatever becomes of their answers, and of the browser meanwhile, it stays
/// proven, and nothing is held.
async fn keep_proof_and_finish(
    context: &Context,
    judged: &AuthRequest,
    email: &EmailAddress,
    browser: &Browser,
    proof: Proof,
    counted: Option<AttemptUpdate<'_>>,
) -> Result<Option<SignedIn>, Failure> {
    let Some(kept) = let_choose(context, judged, browser, counted).await? else { return Ok(None) };
    note_proof(context, judged, email, proof);
    let done = finish(context, &judged.id, browser, !matches!(proof, Proof::Instant)).await?;
    Ok(Some(SignedIn { new_browser_cookie: kept.new_browser_cookie, ..done }))
}

/// Finishes a sign-in whose address is proven and where nothing is left to choose, again while others move the request or the
/// user. Where that is not so any more, its page says what is.
pub(super) async fn finish(
    context: &Context,
    id: &str,
    browser: &Browser,
    shows_pages: bool,
) -> Result<SignedIn, Failure> {
    let answers = &Answers::default();
    let page = || SignedIn { location: page_url(context, id), ..SignedIn::default() };
    retry_on_conflict(|| async {
        let stored = context.store().auth_request::<Hosted>(context.environment_id(), id).await?;
        let Some(email) = stored.as_ref().and_then(|request| request.choosing().cloned()) else {
            return Ok(Some(page()));
        };
        let Some(Ok(Some(judged))) = stored.map(|request| request.choose(context.now_ms())) else {
            return Ok(Some(page()));
        };
        let request = &judged.origin.authorization;
        let before = context.store().user_of_email(context.environment_id(), &email).await?;
        if let Some((code, text)) = refusal(context, request, &email, before.as_ref()) {
            return refuse(context, &judged, None, code, text).await;
        }
        let decided = organization_entry::decide(context, request, &email, before.as_ref(), shows_pages);
        let entering = match decided.await? {
            OrganizationEntry::Existing(id) => Entering::Existing(id),
            OrganizationEntry::New => Entering::New,
            OrganizationEntry::Choose => return Ok(Some(page())),
            OrganizationEntry::NotAMember => {
                let (code, text) = (ErrorCode::InvalidOrganizationId, NotAMember.to_string());
                return refuse(context, &judged, None, code, &text).await;
            }
        };
        let judged = Judged { request: &judged, email: &email, proof: None, counted: None };
        commit(context, judged, before.as_ref(), &entering, browser, answers).await
    })
    .await
}

/// The page of a sign-in.
fn page_url(context: &Context, id: &str) -> String {
    context.public_url.join(&format!("/login/{id}"))
}

/// Ends a sign-in that an interceptor denied: the user is told on a page, and the application by an error.
async fn deny(
    context: &Context,
    judged: &AuthRequest,
    Denied(message): Denied,
) -> Result<Option<SignedIn>, Failure> {
    let text = error_description(&message);
    let refused = refuse(context, judged, None, ErrorCode::AccessDenied, &text).await?;
    let denied = DeniedSignIn::new(message, &judged.origin.authorization);
    Ok(refused.map(|done| SignedIn { denied: Some(denied), ..done }))
}

/// Uses up the proof, and leads the browser that it came from to the page where the user chooses an organization.
async fn let_choose(
    context: &Context,
    judged: &AuthRequest,
    browser: &Browser,
    counted: Option<AttemptUpdate<'_>>,
) -> Result<Option<SignedIn>, Failure> {
    let new_browser_cookie = browser.browser_cookie.is_none().then(|| secret_text(context.entropy()));
    let cookie = browser.browser_cookie.as_deref().or(new_browser_cookie.as_deref()).unwrap_or_default();
    let mut next = judged.clone().await_choice();
    // Whoever began it may be somebody else than the user who opened a link.
    next.origin.browser_digest = context.secret().digest(Purpose::BrowserCookie, cookie);
    if !context.store().commit_proof(context.environment_id(), &next, counted).await? {
        return Ok(None);
    }
    let location = page_url(context, &judged.id);
    Ok(Some(SignedIn { location, new_browser_cookie, ..SignedIn::default() }))
}

/// The user of a sign-in, as it leaves the user, and what is told of that.
pub(super) struct Arrival {
    pub user: User,
    /// The organization that is entered, of which the user is a member.
    pub organization_id: Option<String>,
    /// The same, where the user was no member before.
    pub joined: Option<Organization>,
    pub told: Vec<Event>,
}

/// A request that is completed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Judged<'a> {
    pub request: &'a AuthRequest,
    pub email: &'a EmailAddress,
    /// `None`: the address was proven before the user chose an organization.
    pub proof: Option<Proof>,
    pub counted: Option<AttemptUpdate<'a>>,
}

/// Commits a completed request of a user who enters an organization, unless interceptors deny it. Where they are asked, the
/// proof of the request has been committed before.
pub(super) async fn commit(
    context: &Context,
    judged: Judged<'_>,
    before: Option<&User>,
    entering: &Entering,
    browser: &Browser,
    answers: &Answers,
) -> Result<Option<SignedIn>, Failure> {
    let Judged { request, email, .. } = judged;
    let (authorization, flow_id) = (Some(&request.origin.authorization), Some(request.id.as_str()));
    let sign_in = SignIn { flow_id, authorization, email: email.as_str(), browser, answers };
    let granted = match entering {
        Entering::New => match before_sign_up(context, sign_in, before).await? {
            Ok(granted) => granted.map(Entering::from),
            Err(denied) => return deny(context, request, denied).await,
        },
        _ => None,
    };
    let entering = granted.as_ref().unwrap_or(entering);
    let Some(arrival) = arrive(context, email, before, entering).await? else { return Ok(None) };
    let organization_id = arrival.organization_id.as_deref();
    match before_session(context, sign_in, &arrival.user, organization_id).await? {
        Ok(claims) => write(context, judged, before, entering, browser, &arrival, claims.as_ref()).await,
        Err(denied) => deny(context, request, denied).await,
    }
}

/// Writes what a sign-in comes to, over what was read before anybody was asked.
async fn write(
    context: &Context,
    judged: Judged<'_>,
    before: Option<&User>,
    entering: &Entering,
    browser: &Browser,
    arrival: &Arrival,
    claims: Option<&Map<String, Value>>,
) -> Result<Option<SignedIn>, Failure> {
    let Judged { request, email, proof, counted } = judged;
    let now_ms = context.now_ms();
    let Arrival { user, organization_id, joined, .. } = arrival;
    let session = session_change(context, user, organization_id.as_deref(), browser).await?;
    let session_cookie = new_handle(session.session_id(), context.entropy());
    let ends_session = session.ends_another();
    let logouts = logouts(context, &session).await?;
    let client_id = &request.origin.authorization.client_id;
    let login = events::of_new_session(context, user, &session, Some(client_id));
    let told = events::in_order(arrival.told.iter().cloned().chain(login).collect());
    let Hosted { authorization, issuer, .. } = request.origin.clone();
    let grant = new_grant(context, authorization, &issuer, session.session(), now_ms);
    let code = new_handle(&grant.id, context.entropy());
    let tells = session_client(context, &grant, email.key());
    let no_claims = Map::new();
    let completion = Completion {
        request,
        counted,
        before,
        user,
        joining: match (entering, joined) {
            (Entering::New, Some(organization)) => Some(Joining::Creates(organization)),
            (Entering::AllowedDomain(_), Some(organization)) => Some(Joining::Joins(organization)),
            (Entering::Granted(_), Some(organization)) => Some(Joining::JoinsWithRoles(organization)),
            _ => None,
        },
        events: &told,
        logouts: &logouts,
        // Nobody was asked about a session that goes on: what it said does not hold any more.
        custom_claims: claims.or_else(|| session.is_renewed().then_some(&no_claims)),
        session,
        session_cookie_digest: &context.secret().digest(Purpose::SessionCookie, &session_cookie),
        grant: &grant,
        code_digest: &context.secret().digest(Purpose::AuthorizationCode, &code),
        backchannel_client: tells.as_ref(),
        now_ms,
    };
    match context.store().commit_completion(context.environment_id(), &completion).await {
        Ok(true) => {}
        // Somebody else was first, or the organization or a role was deleted meanwhile.
        Ok(false) | Err(StoreError::MissingParent(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    if ends_session {
        context.runtime.server.sessions_ended.notify_one();
    }
    if let Some(proof) = proof {
        note_proof(context, request, email, proof);
    }
    note_success(context, &request.id, &grant, &user.id, false);
    let location = success_url(&grant, &code);
    Ok(Some(SignedIn { location, session_cookie: Some(session_cookie), ..SignedIn::default() }))
}

/// What is told of the session that another user's ends.
pub(super) async fn logouts(
    context: &Context,
    change: &SessionChange,
) -> Result<Vec<(String, Event)>, Failure> {
    match change.ends_session_id() {
        Some(id) => events::of_session_end(context, id, SessionEnd::Revocation).await,
        None => Ok(vec![]),
    }
}

/// The user after a sign-in. `None`: the organization is gone or full, or the invitation is gone.
pub(super) async fn arrive(
    context: &Context,
    email: &EmailAddress,
    before: Option<&User>,
    entering: &Entering,
) -> Result<Option<Arrival>, Failure> {
    let now_ms = context.now_ms();
    let new_user = || User::new(context.new_id(IdKind::User), email.clone(), now_ms);
    let mut user = before.cloned().unwrap_or_else(new_user);
    user.email_verified_at_ms.get_or_insert(now_ms);
    user.last_sign_in_at_ms = Some(now_ms);
    let organization = match entering {
        Entering::New => {
            let id = context.new_id(IdKind::Organization);
            Some(Organization::new(id, email.domain().to_owned(), now_ms))
        }
        Entering::Existing(organization_id) => {
            let organization_id = organization_id.clone();
            return Ok(Some(Arrival { user, organization_id, joined: None, told: vec![] }));
        }
        Entering::Invited(id) => organization_entry::find(context, Some(id)).await?,
        Entering::AllowedDomain(id) => organization_entry::find_with_room(context, id).await?,
        Entering::Granted(granted) if granted.is_invited => {
            organization_entry::find(context, Some(&granted.organization_id)).await?
        }
        Entering::Granted(granted) => {
            organization_entry::find_with_room(context, &granted.organization_id).await?
        }
    };
    let Some(joined) = organization else { return Ok(None) };
    user.updated_at_ms = now_ms;
    if !becomes_member(&mut user, &joined, entering, now_ms) {
        return Ok(None);
    }
    let mut told = vec![events::of_member(context, EventType::MembershipCreated, &joined, &user)];
    if matches!(entering, Entering::New) {
        told.insert(0, events::of_organization(context, EventType::OrganizationCreated, &joined));
        told.push(events::of_member(context, EventType::UserSignedUp, &joined, &user));
    }
    let told = events::in_order(told);
    Ok(Some(Arrival { user, organization_id: Some(joined.id.clone()), joined: Some(joined), told }))
}

/// Makes the user a member of the organization; `false`: there is no invitation any more.
fn becomes_member(user: &mut User, joined: &Organization, entering: &Entering, now_ms: UnixMs) -> bool {
    if let Entering::Invited(id) = entering {
        return user.membership_mut(id).is_some_and(|membership| membership.accept(now_ms));
    }
    let mut roles = vec![];
    if let Entering::Granted(granted) = entering {
        if let Some(membership) = user.membership_mut(&granted.organization_id) {
            membership.add_roles(granted.roles.iter().cloned());
            return membership.accept(now_ms);
        }
        roles = granted.roles.clone();
    }
    user.join(Membership {
        roles,
        provisioning_method: match entering {
            Entering::New => ProvisioningMethod::OrgCreator,
            Entering::Granted(_) => ProvisioningMethod::DirectProvision,
            _ => ProvisioningMethod::AllowedEmailDomain,
        },
        session_policy: joined.session_policy,
        ..Membership::direct(joined.id.clone(), joined.display_name.clone(), now_ms)
    });
    true
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

/// Why a proven address gets no code. Only its owner learns so.
fn refusal(
    context: &Context,
    request: &AuthorizationRequest,
    email: &EmailAddress,
    user: Option<&User>,
) -> Option<(ErrorCode, &'static str)> {
    if user.is_none() && !context.environment.passwordless.sign_up_allowed {
        let text = "there is no account for this address and sign-up is switched off";
        return Some((ErrorCode::AccessDenied, text));
    }
    let subject = modular_subject(&context.environment, email.key()).or(user.map(|user| user.id.clone()));
    if !may_answer(context, request, subject.as_deref()) {
        let text = "somebody other than the user whom the application named has signed in";
        return Some((ErrorCode::LoginRequired, text));
    }
    None
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
    current_request::note_error(code.as_str());
    let event =
        SignInEvent::SignInRefused { error: code.as_str().to_owned(), error_description: text.to_owned() };
    flows::note(context, &judged.id, About::status(FlowStatus::Failed), event);
    let Hosted { authorization, issuer, .. } = &judged.origin;
    let location = error_url(issuer, authorization, code, text);
    Ok(Some(SignedIn { location, ..SignedIn::default() }))
}

/// The same user's proof renews the browser's session; anybody else's starts a new one. Either is in the organization then,
/// of which the user is a member.
pub(super) async fn session_change(
    context: &Context,
    user: &User,
    organization_id: Option<&str>,
    browser: &Browser,
) -> Result<SessionChange, Failure> {
    let now_ms = context.now_ms();
    let held = live_session(context, browser).await?;
    let is_own = held.as_ref().is_some_and(|(session, _)| session.user_id == user.id);
    let mut session = match &held {
        Some((session, _)) if is_own => {
            Session { authenticated_at_ms: now_ms, last_active_at_ms: now_ms, ..session.clone() }
        }
        _ => Session {
            id: context.new_id(IdKind::Session),
            user_id: user.id.clone(),
            organization_id: None,
            authenticated_at_ms: now_ms,
            last_active_at_ms: now_ms,
            absolute_expires_at_ms: now_ms + context.environment.sessions.absolute_timeout_s * 1000,
            idle_timeout_s: None,
            ended_at_ms: None,
        },
    };
    let policy = organization_id.and_then(|id| user.membership(id)?.session_policy);
    session.enter(organization_id.map(str::to_owned), policy, now_ms);
    let device = browser.device();
    if is_own {
        return Ok(SessionChange::Renew { session, device });
    }
    Ok(SessionChange::Start { session, device, ends_session_id: held.map(|(other, _)| other.id) })
}

/// A sign-in by the browser's session alone.
#[derive(Debug)]
pub(super) struct BySession<'a> {
    pub flow_id: &'a str,
    pub authorization: AuthorizationRequest,
    /// The one that the sign-in began under.
    pub issuer: &'a str,
    /// The organization that it enters.
    pub organization_id: Option<String>,
    /// The request whose page the user answered.
    pub closes: Option<&'a AuthRequest>,
}

/// Gives an application a code on the strength of the browser's session alone, unless interceptors deny that the session goes
/// to another organization. `None`: the session ended meanwhile, the request was used, or the user left the organization.
pub(super) async fn issue_code_silently(
    context: &Context,
    request: BySession<'_>,
    session: &Session,
    email: &str,
    browser: &Browser,
) -> Result<Option<SignedIn>, Failure> {
    let custom_claims = match before_switch(context, &request, session, email, browser).await? {
        Ok(SwitchAnswer::Goes(claims)) => claims,
        Ok(SwitchAnswer::IsNoMember) => return Ok(None),
        Err(denied) => return Ok(Some(deny_silently(context, &request, denied))),
    };
    let now_ms = context.now_ms();
    let mut entered = session.clone();
    if session.organization_id != request.organization_id {
        let organization = organization_entry::find(context, request.organization_id.as_deref()).await?;
        let policy = organization.as_ref().and_then(|organization| organization.session_policy);
        entered.enter(organization.map(|organization| organization.id), policy, now_ms);
    }
    let issued_at_ms = session.authenticated_at_ms;
    let grant = new_grant(context, request.authorization, request.issuer, &entered, issued_at_ms);
    let code = new_handle(&grant.id, context.entropy());
    let tells = session_client(context, &grant, email);
    let done = SilentSignIn {
        closes: request.closes,
        enters: (entered != *session).then_some(&entered),
        custom_claims: custom_claims.as_ref(),
        grant: &grant,
        code_digest: &context.secret().digest(Purpose::AuthorizationCode, &code),
        backchannel_client: tells.as_ref(),
        now_ms,
    };
    if !context.store().commit_silent_sign_in(context.environment_id(), &done).await? {
        return Ok(None);
    }
    touch(context, session).await?;
    note_success(context, request.flow_id, &grant, &session.user_id, true);
    Ok(Some(SignedIn { location: success_url(&grant, &code), ..SignedIn::default() }))
}

/// What comes of asking before a session goes to another organization.
enum SwitchAnswer {
    /// With the claims of its tokens; `None`: those that it has stay.
    Goes(Option<Map<String, Value>>),
    /// The user left it while the answer took its time.
    IsNoMember,
}

/// Asks before a session goes to another organization. A session that stays where it is asks nobody.
async fn before_switch(
    context: &Context,
    request: &BySession<'_>,
    session: &Session,
    email: &str,
    browser: &Browser,
) -> Result<Result<SwitchAnswer, Denied>, Failure> {
    let organization_id = request.organization_id.as_deref();
    if session.organization_id.as_deref() == organization_id {
        return Ok(Ok(SwitchAnswer::Goes(None)));
    }
    if !has_to_ask(context, false) {
        // What was said of another organization holds no more.
        return Ok(Ok(SwitchAnswer::Goes(Some(Map::new()))));
    }
    let (authorization, flow_id) = (Some(&request.authorization), Some(request.flow_id));
    let answers = &Answers::default();
    let sign_in = SignIn { flow_id, authorization, email, browser, answers };
    let claims = match before_session_of(context, sign_in, &session.user_id, organization_id).await? {
        Ok(claims) => claims,
        Err(denied) => return Ok(Err(denied)),
    };
    let Some(id) = organization_id else { return Ok(Ok(SwitchAnswer::Goes(claims))) };
    let organizations = context.store().organizations_of(context.environment_id(), &session.user_id).await?;
    let is_member = organizations.iter().any(|organization| organization.id == id);
    Ok(Ok(if is_member { SwitchAnswer::Goes(claims) } else { SwitchAnswer::IsNoMember }))
}

/// The session stays where it is, and the application gets an error.
fn deny_silently(context: &Context, request: &BySession<'_>, Denied(message): Denied) -> SignedIn {
    let text = error_description(&message);
    current_request::note_error(ErrorCode::AccessDenied.as_str());
    let event = SignInEvent::SignInRefused {
        error: ErrorCode::AccessDenied.as_str().to_owned(),
        error_description: text.clone(),
    };
    flows::note(context, request.flow_id, About::status(FlowStatus::Failed), event);
    let location = error_url(request.issuer, &request.authorization, ErrorCode::AccessDenied, &text);
    let denied = DeniedSignIn::new(message, &request.authorization);
    SignedIn { location, denied: Some(denied), ..SignedIn::default() }
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
    session: &Session,
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
        user_id: session.user_id.clone(),
        session_id: session.id.clone(),
        organization_id: session.organization_id.clone(),
        custom_claims: Map::new(),
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
