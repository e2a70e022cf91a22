//! Which organization a sign-in enters, what it can choose from, and which organization a session answers in.

use super::Failure;
use crate::domain::authorization::AuthorizationRequest;
use crate::domain::email::EmailAddress;
use crate::domain::organization::{Organization, OrganizationSummary};
use crate::domain::organization_choice::{EntryRequest, OrganizationChoice, OrganizationEntry, Tie};
use crate::domain::organization_domain::DomainName;
use crate::domain::record_key::RecordKey;
use crate::domain::session::Session;
use crate::domain::user::User;
use crate::runtime::Context;

/// The application named an organization that the user does not belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the user is not an active member of the organization that organization_id names")]
pub struct NotAMember;

/// What a sign-in of somebody who proved an address comes to. `user` is as stored; `None`: somebody who is new.
pub(super) async fn decide(
    context: &Context,
    request: &AuthorizationRequest,
    email: &EmailAddress,
    user: Option<&User>,
    shows_pages: bool,
) -> Result<OrganizationEntry, Failure> {
    let asked = asked(context, request, user).await?;
    let is_member = user.is_some_and(|user| user.memberships.iter().any(|membership| membership.is_active()));
    // Members are not asked to join by the domain of their address: nothing has to be read for that.
    let choice = if asked.is_none() && !is_member && shows_pages {
        choice(context, email, user).await?
    } else {
        choice_of(context, user, vec![])
    };
    Ok(choice.decide(entry_request(context, asked.as_deref(), shows_pages)))
}

/// The same where the user sees a page, with all that can be entered, which is read once.
pub(super) async fn decide_on_page(
    context: &Context,
    request: &AuthorizationRequest,
    email: &EmailAddress,
    user: Option<&User>,
) -> Result<(OrganizationEntry, OrganizationChoice), Failure> {
    let asked = asked(context, request, user).await?;
    let choice = choice(context, email, user).await?;
    Ok((choice.decide(entry_request(context, asked.as_deref(), true)), choice))
}

fn entry_request<'a>(
    context: &Context,
    organization_id: Option<&'a str>,
    shows_pages: bool,
) -> EntryRequest<'a> {
    EntryRequest { organization_id, is_full_stack: context.environment.tokens.user_management, shows_pages }
}

/// The organizations that whoever has this address can enter. `user` is as stored; `None`: somebody who is new.
pub(super) async fn choice(
    context: &Context,
    email: &EmailAddress,
    user: Option<&User>,
) -> Result<OrganizationChoice, Failure> {
    let (store, environment_id) = (context.store(), context.environment_id());
    let of_domain = match DomainName::parse(email.domain()) {
        Some(domain) if context.environment.tokens.user_management => {
            store.organizations_of_domain(environment_id, &domain, context.now_ms()).await?
        }
        _ => vec![],
    };
    Ok(choice_of(context, user, of_domain))
}

fn choice_of(
    context: &Context,
    user: Option<&User>,
    of_domain: Vec<OrganizationSummary>,
) -> OrganizationChoice {
    let sign_up_allowed = context.environment.passwordless.sign_up_allowed;
    OrganizationChoice::of(user, of_domain, sign_up_allowed, context.now_ms())
}

/// The id of the organization that an application asks for by id or by its own id of it.
async fn asked(
    context: &Context,
    request: &AuthorizationRequest,
    user: Option<&User>,
) -> Result<Option<String>, Failure> {
    let Some(text) = &request.organization_id else { return Ok(None) };
    if user.is_some_and(|user| user.membership(text).is_some()) {
        return Ok(Some(text.clone()));
    }
    let found = context.store().organization_summary(context.environment_id(), text).await?;
    // One that was deleted meanwhile has no members.
    Ok(Some(found.map_or_else(|| text.clone(), |organization| organization.id)))
}

/// Finds an organization that is to be entered.
pub(super) async fn find(context: &Context, id: Option<&str>) -> Result<Option<Organization>, Failure> {
    let Some(id) = id else { return Ok(None) };
    Ok(context.store().organization(context.environment_id(), &RecordKey::Id(id.to_owned())).await?)
}

/// The same, where it may have one member more. What is counted is read behind the organization, over whose version the
/// member is written: so its limit holds.
pub(super) async fn find_with_room(context: &Context, id: &str) -> Result<Option<Organization>, Failure> {
    let Some(organization) = find(context, Some(id)).await? else { return Ok(None) };
    let Some(limit) = organization.user_limit() else { return Ok(Some(organization)) };
    let seats = context.store().count_seats(context.environment_id(), id, context.now_ms()).await?;
    Ok((seats < limit).then_some(organization))
}

/// The organization that a session answers a request in without a page: the one asked for, the one that the user is in,
/// or else the oldest one.
pub(super) async fn of_session(
    context: &Context,
    request: &AuthorizationRequest,
    session: &Session,
) -> Result<Result<Option<String>, NotAMember>, Failure> {
    let key = RecordKey::Id(session.user_id.clone());
    let Some(user) = context.store().user(context.environment_id(), &key).await? else {
        return Ok(Ok(None));
    };
    let asked = asked(context, request, Some(&user)).await?;
    Ok(in_session(context, asked.as_deref(), session, &user))
}

fn in_session(
    context: &Context,
    asked: Option<&str>,
    session: &Session,
    user: &User,
) -> Result<Option<String>, NotAMember> {
    // Without a page nothing is made or joined.
    let choice = OrganizationChoice::of(Some(user), vec![], false, context.now_ms());
    let is_member = |id: &&str| choice.tie(id) == Some(Tie::Member);
    let current = session.organization_id.as_deref().filter(is_member);
    match choice.decide(entry_request(context, asked.or(current), false)) {
        OrganizationEntry::Existing(id) => Ok(id),
        OrganizationEntry::NotAMember => Err(NotAMember),
        OrganizationEntry::New | OrganizationEntry::Choose => Ok(None),
    }
}
