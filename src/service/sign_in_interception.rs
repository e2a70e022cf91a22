//! What interceptors say to a sign-in: before it makes an organization, and before it makes a session.

use serde_json::{Map, Value};

use super::interception::{Answers, Verdict, caller, general_text, is_asked};
use super::sessions::Browser;
use super::{Failure, organization_entry};
use crate::domain::authorization::AuthorizationRequest;
use crate::domain::interceptor::{FailurePolicy, RequestedMembership, TriggerPoint};
use crate::domain::interceptor_request::{InterceptedAction, user_data};
use crate::domain::membership::MembershipStatus;
use crate::domain::record_key::RecordKey;
use crate::domain::role::{Role, RoleSummary};
use crate::domain::user::User;
use crate::runtime::Context;

/// The sign-in is denied, with what the user is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Denied(pub String);

/// The membership that a user gets instead of an organization of their own.
#[derive(Debug, Clone)]
pub(super) struct GrantedMembership {
    pub organization_id: String,
    pub roles: Vec<RoleSummary>,
    /// There is an invitation, which is accepted.
    pub is_invited: bool,
}

/// A sign-in that is about to go on.
#[derive(Clone, Copy)]
pub(super) struct SignIn<'a> {
    /// In whose timeline the answers stand, if in any.
    pub flow_id: Option<&'a str>,
    /// What an application asked for; `None`: an invitation is accepted.
    pub authorization: Option<&'a AuthorizationRequest>,
    pub email: &'a str,
    pub browser: &'a Browser,
    pub answers: &'a Answers,
}

/// Does anybody have to be asked before a sign-in ends? `makes_organization`: it makes one.
pub(super) fn has_to_ask(context: &Context, makes_organization: bool) -> bool {
    is_asked(context, TriggerPoint::PreSessionCreation)
        || makes_organization && is_asked(context, TriggerPoint::PreSignup)
}

fn action<'a>(context: &'a Context, sign_in: &SignIn<'a>, user: Option<&'a User>) -> InterceptedAction<'a> {
    InterceptedAction {
        environment_id: context.environment_id(),
        user,
        email: Some(sign_in.email),
        connection_id: Some(&context.environment.passwordless.connection_id),
        caller: caller(sign_in.browser),
        now_ms: context.now_ms(),
        data: user_data(user),
        ..InterceptedAction::default()
    }
}

/// Asks before a user makes an organization. `user` is as stored; `None`: somebody who is new.
pub(super) async fn before_sign_up(
    context: &Context,
    sign_in: SignIn<'_>,
    user: Option<&User>,
) -> Result<Result<Option<GrantedMembership>, Denied>, Failure> {
    if !is_asked(context, TriggerPoint::PreSignup) {
        return Ok(Ok(None));
    }
    let action =
        InterceptedAction { authorization: sign_in.authorization, ..action(context, &sign_in, user) };
    let answers = sign_in.answers;
    match answers.ask(context, TriggerPoint::PreSignup, sign_in.flow_id, &action).await? {
        Verdict::Deny(message) => Ok(Err(Denied(message))),
        Verdict::Allow { additions, failure_policy } => match additions.membership {
            None => Ok(Ok(None)),
            Some(wanted) => match grant(context, &wanted, user).await? {
                Ok(granted) => Ok(Ok(Some(granted))),
                Err(reason) => {
                    tracing::warn!(reason, ?wanted, "an interceptor asks for a membership that cannot be");
                    Ok(match failure_policy {
                        FailurePolicy::FailOpen => Ok(None),
                        FailurePolicy::FailClosed => Err(Denied(general_text(context))),
                    })
                }
            },
        },
    }
}

/// The membership that is asked for. The inner error says why it cannot be.
async fn grant(
    context: &Context,
    wanted: &RequestedMembership,
    user: Option<&User>,
) -> Result<Result<GrantedMembership, String>, Failure> {
    let (store, environment_id) = (context.store(), context.environment_id());
    let Some(organization) = store.organization(environment_id, &wanted.organization).await? else {
        return Ok(Err(format!("there is no organization {}", wanted.organization)));
    };
    let membership = user.and_then(|user| user.membership(&organization.id));
    let is_invited = membership.is_some_and(|membership| {
        membership.pending_invitation().is_some() && !membership.is_expired(context.now_ms())
    });
    if membership.is_some_and(|membership| membership.status != MembershipStatus::Active) && !is_invited {
        return Ok(Err("the user's membership is inactive, or the invitation has expired".to_owned()));
    }
    if !is_invited && organization_entry::find_with_room(context, &organization.id).await?.is_none() {
        return Ok(Err("the organization is full".to_owned()));
    }
    let catalog = store.role_catalog(environment_id, Some(&organization.id)).await?;
    let roles = if wanted.roles.is_empty() {
        catalog.default_member().map(Role::summary).into_iter().collect()
    } else {
        catalog.summaries(|role| wanted.roles.contains(&role.name))
    };
    if let Some(unknown) = wanted.roles.iter().find(|name| !roles.iter().any(|role| role.name == **name)) {
        return Ok(Err(format!("there is no role {unknown:?}")));
    }
    Ok(Ok(GrantedMembership { organization_id: organization.id, roles, is_invited }))
}

/// Asks before a user gets a session, or takes it to another organization: the claims of its tokens. `None`: nobody is asked,
/// and those that it has stay.
pub(super) async fn before_session(
    context: &Context,
    sign_in: SignIn<'_>,
    user: &User,
    organization_id: Option<&str>,
) -> Result<Result<Option<Map<String, Value>>, Denied>, Failure> {
    if !is_asked(context, TriggerPoint::PreSessionCreation) {
        return Ok(Ok(None));
    }
    let action = InterceptedAction { organization_id, ..action(context, &sign_in, Some(user)) };
    let answers = sign_in.answers;
    let verdict = answers.ask(context, TriggerPoint::PreSessionCreation, sign_in.flow_id, &action).await?;
    Ok(match verdict {
        Verdict::Allow { additions, .. } => Ok(Some(additions.claims)),
        Verdict::Deny(message) => Err(Denied(message)),
    })
}

/// The same where all that is known of the user is the id; somebody who is gone is not asked about.
pub(super) async fn before_session_of(
    context: &Context,
    sign_in: SignIn<'_>,
    user_id: &str,
    organization_id: Option<&str>,
) -> Result<Result<Option<Map<String, Value>>, Denied>, Failure> {
    let key = RecordKey::Id(user_id.to_owned());
    match context.store().user(context.environment_id(), &key).await? {
        Some(user) => before_session(context, sign_in, &user, organization_id).await,
        None => Ok(Ok(None)),
    }
}
