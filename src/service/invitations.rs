//! Invitations to organizations: the email, its link, and what accepting it does.

use serde_json::Map;

use super::api::ApiRefusal;
use super::interception::{Answers, Verdict, is_asked};
use super::passwordless::is_test;
use super::sessions::Browser;
use super::sign_in_interception::{Denied, SignIn, before_session};
use super::{Failure, events, organizations, outbox, retry_on_conflict, sign_in, users};
use crate::crypto::server_secret::Purpose;
use crate::domain::api_error::ApiErrorCode;
use crate::domain::email::EmailAddress;
use crate::domain::ids::new_handle;
use crate::domain::interceptor::TriggerPoint;
use crate::domain::interceptor_request::{InterceptedAction, organization_data};
use crate::domain::membership::{Invitation, Membership, MembershipStatus};
use crate::domain::organization::Organization;
use crate::domain::record_key::RecordKey;
use crate::domain::user::User;
use crate::mail::{self, InvitationContent, MailKind};
use crate::runtime::Context;
use crate::storage::{NewMail, WithUser};

/// Where links of invitations lead to.
pub const INVITATION_PATH: &str = "/invite/";

/// What is longer is no token of ours.
const MAX_TOKEN_BYTES: usize = 100;

/// An invitation that can be accepted.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Name of the organization.
    pub organization: String,
    /// Whom it was sent to.
    pub email: String,
    pub inviter_email: Option<String>,
    /// Where the application wants new members to begin.
    pub initiate_login_uri: Option<String>,
}

/// What came of accepting.
#[derive(Debug)]
pub enum AcceptResult {
    Accepted(Accepted),
    /// The link is unknown, was used, or its time is over.
    Expired,
    /// An interceptor denied the session, so nothing was accepted.
    Denied(String),
}

/// An invitation that was accepted.
#[derive(Debug)]
pub struct Accepted {
    pub offer: Offer,
    /// The browser's new session cookie.
    pub session_cookie: String,
}

/// A new invitation of a user to an organization.
pub(super) fn new(
    context: &Context,
    user_id: &str,
    organization_id: &str,
    inviter_email: Option<String>,
) -> Invitation {
    let expires_at_ms = expiry(context);
    let digest = digest(context, &token(context, user_id, organization_id, expires_at_ms));
    Invitation::new(inviter_email, expires_at_ms, digest)
}

fn expiry(context: &Context) -> i64 {
    context.now_ms() + context.environment.management.invitation_lifetime_s * 1000
}

fn token(context: &Context, user_id: &str, organization_id: &str, expires_at_ms: i64) -> String {
    context.secret().invitation_token(context.environment_id(), user_id, organization_id, expires_at_ms)
}

fn digest(context: &Context, token: &str) -> String {
    context.secret().digest(Purpose::InvitationToken, token)
}

/// The email of an invitation. `None`: the user is not invited to this organization.
pub(super) fn compose(
    context: &Context,
    user: &User,
    organization_id: &str,
) -> Result<Option<NewMail>, Failure> {
    let Some(membership) = user.membership(organization_id) else { return Ok(None) };
    let Some(invitation) = membership.pending_invitation() else { return Ok(None) };
    let token = token(context, &user.id, organization_id, invitation.expires_at_ms);
    let link = context.public_url.join(&format!("{INVITATION_PATH}{token}"));
    let rendered = mail::render_invitation(&InvitationContent {
        to: &user.email,
        organization: &membership.organization_name,
        inviter: invitation.inviter_email.as_deref(),
        branding: &context.environment.branding,
        language: context.environment.pages.language,
        link: &link,
        // Rounded up: it was made a moment ago.
        valid_for_s: (invitation.expires_at_ms - context.now_ms() + 999) / 1000,
    })?;
    let draft = outbox::Draft {
        kind: MailKind::Invitation,
        to: &user.email,
        rendered,
        code: None,
        link: Some(link),
        auth_request_id: "",
        is_test_user: is_test(context, &user.email),
    };
    outbox::prepare(context, draft).map(Some)
}

/// Asks interceptors before somebody is invited, or sent an invitation again. `user` is as stored; `None`: somebody who is
/// new.
pub(super) async fn ask_before(
    context: &Context,
    answers: &Answers,
    user: Option<&User>,
    email: &EmailAddress,
    organization: &Organization,
) -> Result<(), ApiRefusal> {
    let trigger_point = TriggerPoint::PreUserInvitation;
    if !is_asked(context, trigger_point) {
        return Ok(());
    }
    let action = InterceptedAction {
        environment_id: context.environment_id(),
        user,
        email: Some(email.as_str()),
        organization_id: Some(&organization.id),
        now_ms: context.now_ms(),
        data: organization_data(organization),
        ..InterceptedAction::default()
    };
    match answers.ask(context, trigger_point, None, &action).await? {
        Verdict::Allow { .. } => Ok(()),
        Verdict::Deny(message) => Err(ApiRefusal::new(ApiErrorCode::FailedPrecondition, message)),
    }
}

/// Sends an invitation again: with the same link while that works, with a new one afterwards.
pub async fn resend(
    context: &Context,
    organization_id: &str,
    user_id: &str,
) -> Result<Membership, ApiRefusal> {
    let key = RecordKey::Id(user_id.to_owned());
    let answers = &Answers::default();
    retry_on_conflict(|| async {
        let before = users::find(context, &key).await?;
        let mut after = User { updated_at_ms: context.now_ms(), ..before.clone() };
        let not_a_member = users::not_a_member(&before, organization_id);
        let Some(membership) = after.membership_mut(organization_id) else { return Err(not_a_member) };
        renew(context, user_id, membership)?;
        let membership = membership.clone();
        let organization = organizations::find(context, &RecordKey::Id(organization_id.to_owned())).await?;
        ask_before(context, answers, Some(&before), &before.email, &organization).await?;
        let mail = compose(context, &after, organization_id)?;
        let with = WithUser { mail: mail.as_ref(), ..WithUser::default() };
        if !context.store().update_user(context.environment_id(), &before, &after, with).await? {
            return Ok(None);
        }
        outbox::announce(context, mail.as_ref());
        Ok(Some(membership))
    })
    .await
}

/// Makes an invitation work that may have expired, and counts that it is sent again.
fn renew(context: &Context, user_id: &str, membership: &mut Membership) -> Result<(), ApiRefusal> {
    let now_ms = context.now_ms();
    let is_pending = membership.status == MembershipStatus::PendingInvite;
    let organization_id = membership.organization_id.clone();
    let refused = |text: &str| ApiRefusal::new(ApiErrorCode::InvalidArgument, text);
    let Some(invitation) = &mut membership.invitation else {
        return Err(refused("no invitation: the user was added without one"));
    };
    if !is_pending {
        return Err(refused("invalid invitation: it was accepted already"));
    }
    if invitation.is_expired(now_ms) {
        invitation.expires_at_ms = expiry(context);
    }
    // Also where it came with a snapshot from a server with another secret.
    invitation.link_digest =
        digest(context, &token(context, user_id, &organization_id, invitation.expires_at_ms));
    invitation.note_resent(now_ms);
    Ok(())
}

/// What a link offers. `None`: it is unknown, was used, or its time is over.
pub async fn preview(context: &Context, token: &str) -> Result<Option<Offer>, Failure> {
    let Some((user, organization_id)) = invited(context, token).await? else { return Ok(None) };
    let Some(membership) = user.membership(&organization_id) else { return Ok(None) };
    if membership.pending_invitation().is_none() || membership.is_expired(context.now_ms()) {
        return Ok(None);
    }
    Ok(Some(offer(context, &user, membership)))
}

/// Accepts an invitation: the user is a member, the address is proven, and the browser is signed in.
pub async fn accept(context: &Context, token: &str, browser: &Browser) -> Result<AcceptResult, Failure> {
    let answers = &Answers::default();
    retry_on_conflict(|| async {
        let Some((before, organization_id)) = invited(context, token).await? else {
            return Ok(Some(AcceptResult::Expired));
        };
        accept_read(context, &before, &organization_id, browser, answers).await
    })
    .await
}

/// Accepts the invitation of a user who was read. `None`: somebody else changed the user meanwhile.
async fn accept_read(
    context: &Context,
    before: &User,
    organization_id: &str,
    browser: &Browser,
    answers: &Answers,
) -> Result<Option<AcceptResult>, Failure> {
    let now_ms = context.now_ms();
    let mut after = User { updated_at_ms: now_ms, ..before.clone() };
    let is_accepted = after.membership_mut(organization_id).is_some_and(|m| m.accept(now_ms));
    let Some(membership) = after.membership(organization_id).filter(|_| is_accepted) else {
        return Ok(Some(AcceptResult::Expired));
    };
    let offer = offer(context, &after, membership);
    after.email_verified_at_ms.get_or_insert(now_ms);
    let sign_in =
        SignIn { flow_id: None, authorization: None, email: after.email.as_str(), browser, answers };
    let asked = before_session(context, sign_in, &after, Some(organization_id));
    let custom_claims = match asked.await? {
        Ok(claims) => claims,
        Err(Denied(message)) => return Ok(Some(AcceptResult::Denied(message))),
    };
    let session = sign_in::session_change(context, &after, Some(organization_id), browser).await?;
    let session_cookie = new_handle(session.session_id(), context.entropy());
    let cookie_digest = context.secret().digest(Purpose::SessionCookie, &session_cookie);
    let mut told = events::of_memberships(context, Some(before), Some(&after)).await?;
    told.extend(events::of_new_session(context, &after, &session, None));
    let told = events::in_order(told);
    let logouts = sign_in::logouts(context, &session).await?;
    // Nobody was asked about a session that goes on: what it said does not hold any more.
    let claims = custom_claims.or_else(|| session.is_renewed().then(Map::new));
    let with = WithUser {
        events: &told,
        logouts: &logouts,
        session: Some((&session, &cookie_digest)),
        custom_claims: claims.as_ref(),
        ..WithUser::default()
    };
    if !context.store().update_user(context.environment_id(), before, &after, with).await? {
        return Ok(None);
    }
    if session.ends_another() {
        context.runtime.server.sessions_ended.notify_one();
    }
    Ok(Some(AcceptResult::Accepted(Accepted { offer, session_cookie })))
}

/// The user that a link was sent to, and the organization it is for.
async fn invited(context: &Context, token: &str) -> Result<Option<(User, String)>, Failure> {
    if token.len() > MAX_TOKEN_BYTES {
        return Ok(None);
    }
    let (store, environment_id) = (context.store(), context.environment_id());
    let found = store.invitation(environment_id, &digest(context, token)).await?;
    let Some((user_id, organization_id)) = found else { return Ok(None) };
    let user = store.user(environment_id, &RecordKey::Id(user_id)).await?;
    Ok(user.map(|user| (user, organization_id)))
}

fn offer(context: &Context, user: &User, membership: &Membership) -> Offer {
    let mut clients = context.environment.clients.iter();
    Offer {
        organization: membership.organization_name.clone(),
        email: user.email.to_unicode(),
        inviter_email: membership.invitation.as_ref().and_then(|i| i.inviter_email.clone()),
        initiate_login_uri: clients.find_map(|client| client.initiate_login_uri.clone()),
    }
}
