//! Events as they are written beside a change.

use serde_json::Value;

use super::Failure;
use crate::domain::event::{
    Event, EventType, domain_data, membership_data, organization_data, permission_data, role_data,
};
use crate::domain::ids::IdKind;
use crate::domain::membership::MembershipStatus;
use crate::domain::organization::Organization;
use crate::domain::organization_domain::OrganizationDomain;
use crate::domain::page::{PageAnchor, PageRequest, Position};
use crate::domain::permission::Permission;
use crate::domain::record_key::RecordKey;
use crate::domain::role_catalog::{RoleCatalog, RoleDifference};
use crate::domain::user::User;
use crate::runtime::Context;
use crate::storage::UserFilter;

/// Members of an organization that are read together.
const MEMBERS_AT_ONCE: u32 = 100;

/// Something happened to an organization, which is now, or was before it was deleted, as given.
pub(super) fn of_organization(
    context: &Context,
    event_type: EventType,
    organization: &Organization,
) -> Event {
    let is_deleted = event_type == EventType::OrganizationDeleted;
    let data = organization_data(organization, is_deleted.then(|| context.now_ms()));
    new(context, event_type, &organization.id, data)
}

/// Something happened to a domain of an organization.
pub(super) fn of_domain(context: &Context, event_type: EventType, domain: &OrganizationDomain) -> Event {
    new(context, event_type, &domain.organization_id, domain_data(context.environment_id(), domain))
}

/// What happened to the memberships of a user between two states, of which `None` is before it was made or after it was
/// deleted.
pub(super) async fn of_memberships(
    context: &Context,
    before: Option<&User>,
    after: Option<&User>,
) -> Result<Vec<Event>, Failure> {
    let left = before
        .into_iter()
        .flat_map(|user| &user.memberships)
        .filter(|membership| after.is_none_or(|user| user.membership(&membership.organization_id).is_none()));
    let left = left.map(|membership| (EventType::MembershipDeleted, membership));
    let changed = after.into_iter().flat_map(|user| &user.memberships).filter_map(|membership| {
        let stored = before.and_then(|user| user.membership(&membership.organization_id));
        let event_type = match (stored, membership.status) {
            (Some(stored), _) if stored == membership => return None,
            (Some(stored), MembershipStatus::Active) if stored.status == MembershipStatus::PendingInvite => {
                EventType::MembershipCreated
            }
            (Some(_), _) => EventType::MembershipUpdated,
            (None, MembershipStatus::PendingInvite) => EventType::UserInvited,
            (None, _) => EventType::MembershipCreated,
        };
        Some((event_type, membership))
    });
    let happened: Vec<_> = left.chain(changed).collect();
    let mut events = vec![];
    for (event_type, membership) in happened {
        let key = RecordKey::Id(membership.organization_id.clone());
        // Of an organization that was deleted meanwhile nothing is left to tell.
        let organization = context.store().organization(context.environment_id(), &key).await?;
        if let (Some(organization), Some(user)) = (organization, after.or(before)) {
            events.push(of_member(context, event_type, &organization, user));
        }
    }
    Ok(in_order(events))
}

/// An organization is deleted with all of its memberships.
pub(super) async fn of_deleted_organization(
    context: &Context,
    organization: &Organization,
) -> Result<Vec<Event>, Failure> {
    let filter = UserFilter { organization_id: Some(organization.id.clone()), ..UserFilter::default() };
    let (store, environment_id) = (context.store(), context.environment_id());
    let (mut events, mut anchor) = (vec![], PageAnchor::Newest);
    loop {
        let page = PageRequest { anchor, size: MEMBERS_AT_ONCE };
        let members = store.users(environment_id, &filter, &page).await?;
        let told = members.iter().map(|m| of_member(context, EventType::MembershipDeleted, organization, m));
        events.extend(told);
        let last = members.last().and_then(|user| {
            let membership = user.membership(&organization.id)?;
            Some(Position { created_at_ms: membership.created_at_ms, id: user.id.clone() })
        });
        let Some(last) = last else { break };
        anchor = PageAnchor::After(last);
    }
    events.push(of_organization(context, EventType::OrganizationDeleted, organization));
    Ok(in_order(events))
}

/// Something happened to a user in an organization.
pub(super) fn of_member(
    context: &Context,
    event_type: EventType,
    organization: &Organization,
    user: &User,
) -> Event {
    new(context, event_type, &organization.id, membership_data(organization, user))
}

/// Events of one moment, with ids that sort as they happened.
pub(super) fn in_order(mut events: Vec<Event>) -> Vec<Event> {
    let mut ids: Vec<String> = events.iter().map(|event| event.id.clone()).collect();
    ids.sort_unstable();
    for (event, id) in events.iter_mut().zip(ids) {
        event.id = id;
    }
    events
}

/// What happened to roles between two states of a catalog.
pub(super) fn of_roles(context: &Context, before: &RoleCatalog, after: &RoleCatalog) -> Vec<Event> {
    let differences = before.differences(after);
    let happened = differences.into_iter().map(|difference| match difference {
        RoleDifference::Added(role) => (EventType::RoleCreated, role, after),
        RoleDifference::Changed { after: role, .. } => (EventType::RoleUpdated, role, after),
        RoleDifference::Removed(role) => (EventType::RoleDeleted, role, before),
    });
    let events = happened.map(|(event_type, role, catalog)| {
        let extends = catalog.base(role).map(|base| base.name.as_str());
        at_now(context, event_type, role.organization_id.clone(), role_data(role, extends))
    });
    events.collect()
}

/// Something happened to a permission.
pub(super) fn of_permission(context: &Context, event_type: EventType, permission: &Permission) -> Event {
    at_now(context, event_type, None, permission_data(permission))
}

fn new(context: &Context, event_type: EventType, organization_id: &str, data: Value) -> Event {
    at_now(context, event_type, Some(organization_id.to_owned()), data)
}

fn at_now(context: &Context, event_type: EventType, organization_id: Option<String>, data: Value) -> Event {
    Event {
        id: context.new_id(IdKind::Event),
        event_type,
        organization_id,
        occurred_at_ms: context.now_ms(),
        logged_at_ms: context.runtime.clock.machine_ms(),
        data,
    }
}
