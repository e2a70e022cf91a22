//! Events as they are written beside a change, and as tests wait for them.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::Failure;
use super::user_agent::UserAgent;
use crate::domain::event::{
    Event, EventType, SessionTimes, domain_data, membership_data, organization_data, permission_data,
    role_data, session_data,
};
use crate::domain::membership::MembershipStatus;
use crate::domain::organization::Organization;
use crate::domain::organization_domain::OrganizationDomain;
use crate::domain::page::{PageAnchor, PageRequest, Position};
use crate::domain::permission::Permission;
use crate::domain::record_key::RecordKey;
use crate::domain::role_catalog::{RoleCatalog, RoleDifference};
use crate::domain::session::{Device, SessionEnd, SessionEntry, SessionRecord, SessionStatus};
use crate::domain::user::User;
use crate::runtime::Context;
pub use crate::storage::EventFilter;
use crate::storage::{SessionChange, UserFilter};

/// Members of an organization that are read together.
const MEMBERS_AT_ONCE: u32 = 100;

/// How often the database is asked while waiting, because another server may write the event.
const POLL_EVERY: Duration = Duration::from_millis(25);

/// Events as the filter says; with `wait`, not before there is one or the time is over.
pub async fn list(context: &Context, filter: &EventFilter, wait: Duration) -> Result<Vec<Event>, Failure> {
    let deadline = Instant::now() + wait;
    let store = context.store();
    let mut written = store.events_written();
    loop {
        written.mark_unchanged();
        let found = store.listed_events(context.environment_id(), filter).await?;
        let now = Instant::now();
        if !found.is_empty() || now >= deadline || context.runtime.server.is_stopping() {
            return Ok(found);
        }
        // This process's own events wake at once. Only a shared database needs asking in between.
        let pause = if store.is_embedded() { deadline } else { deadline.min(now + POLL_EVERY) };
        let _ = tokio::time::timeout_at(pause, written.changed()).await;
    }
}

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

/// What is told where records are deleted.
#[derive(Debug, Default)]
pub(super) struct Deletion {
    pub events: Vec<Event>,
    /// Of sessions that end, by their ids.
    pub logouts: Vec<(String, Event)>,
}

/// An organization is deleted with all of its memberships, and the sessions in it end.
pub(super) async fn of_deleted_organization(
    context: &Context,
    organization: &Organization,
) -> Result<Deletion, Failure> {
    let filter = UserFilter { organization_id: Some(organization.id.clone()), ..UserFilter::default() };
    let (store, environment_id) = (context.store(), context.environment_id());
    let mut sessions = if context.environment.tokens.user_management {
        store.open_sessions_in_organization(environment_id, &organization.id).await?
    } else {
        vec![]
    };
    let (mut events, mut logouts, mut anchor) = (vec![], vec![], PageAnchor::Newest);
    loop {
        let page = PageRequest { anchor, size: MEMBERS_AT_ONCE };
        let members = store.users(environment_id, &filter, &page).await?;
        let told = members.iter().map(|m| of_member(context, EventType::MembershipDeleted, organization, m));
        events.extend(told);
        for user in &members {
            let own = sessions.extract_if(.., |record| record.session.user_id == user.id).collect();
            logouts.extend(of_ended_sessions(context, user, own, SessionEnd::Revocation));
        }
        let last = members.last().and_then(|user| {
            let membership = user.membership(&organization.id)?;
            Some(Position { created_at_ms: membership.created_at_ms, id: user.id.clone() })
        });
        let Some(last) = last else { break };
        anchor = PageAnchor::After(last);
    }
    events.push(of_organization(context, EventType::OrganizationDeleted, organization));
    Ok(Deletion { events: in_order(events), logouts })
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

/// A session of a user began, or ended before its time. The modular profile, in which applications keep sessions of their
/// own, tells neither.
pub(super) fn of_session(
    context: &Context,
    event_type: EventType,
    user: &User,
    session: &SessionRecord,
) -> Option<Event> {
    if !context.environment.tokens.user_management {
        return None;
    }
    let at = SessionTimes { now_ms: context.now_ms(), settings: &context.environment.sessions };
    let data = session_data(user, session, &device(&session.device), &at);
    Some(at_now(context, event_type, session.session.organization_id.clone(), data))
}

/// A sign-in begins a session; one that renews a session begins none. `client_id`: the application that gets its tokens.
pub(super) fn of_new_session(
    context: &Context,
    user: &User,
    change: &SessionChange,
    client_id: Option<&str>,
) -> Option<Event> {
    let SessionChange::Start { session, device, .. } = change else { return None };
    let entry = client_id.map(|client_id| SessionEntry {
        client_id: client_id.to_owned(),
        organization_id: session.organization_id.clone(),
    });
    let record = SessionRecord {
        session: session.clone(),
        created_at_ms: context.now_ms(),
        ended_by: None,
        device: device.clone(),
        entries: entry.into_iter().collect(),
    };
    of_session(context, EventType::UserSignedIn, user, &record)
}

fn device(device: &Device) -> Value {
    let user_agent = device.user_agent.as_deref().unwrap_or_default();
    let parsed = UserAgent::parse(user_agent);
    serde_json::json!({
        "user_agent": user_agent,
        "os": parsed.os,
        "os_version": parsed.os_version,
        "browser": parsed.browser,
        "browser_version": parsed.browser_version,
        "device_type": parsed.device_type,
        "ip": device.ip_address.as_deref().unwrap_or_default(),
    })
}

/// Of which something is told when they end.
async fn open_sessions(context: &Context, user: &User) -> Result<Vec<SessionRecord>, Failure> {
    if !context.environment.tokens.user_management {
        return Ok(vec![]);
    }
    Ok(context.store().open_sessions_of_user(context.environment_id(), &user.id).await?)
}

/// All sessions of a user end, because the user is deleted.
pub(super) async fn of_user_sessions(
    context: &Context,
    user: &User,
) -> Result<Vec<(String, Event)>, Failure> {
    let sessions = open_sessions(context, user).await?;
    Ok(of_ended_sessions(context, user, sessions, SessionEnd::Revocation))
}

/// The sessions in organizations that a user left end.
pub(super) async fn of_left_organizations(
    context: &Context,
    before: &User,
    after: &User,
) -> Result<Vec<(String, Event)>, Failure> {
    let sessions = open_sessions(context, before).await?;
    let has_left = |id: &str| before.membership(id).is_some() && after.membership(id).is_none();
    let ended = sessions.into_iter().filter(|s| s.session.organization_id.as_deref().is_some_and(has_left));
    Ok(of_ended_sessions(context, after, ended.collect(), SessionEnd::Revocation))
}

/// What is told of one session that is ended.
pub(super) async fn of_session_end(
    context: &Context,
    session_id: &str,
    ended_by: SessionEnd,
) -> Result<Vec<(String, Event)>, Failure> {
    if !context.environment.tokens.user_management {
        return Ok(vec![]);
    }
    let (store, environment_id) = (context.store(), context.environment_id());
    let Some(session) = store.session_record(environment_id, session_id).await? else { return Ok(vec![]) };
    let key = RecordKey::Id(session.session.user_id.clone());
    let Some(user) = store.user(environment_id, &key).await? else { return Ok(vec![]) };
    Ok(of_ended_sessions(context, &user, vec![session], ended_by))
}

/// Active sessions are ended: with the id of each, what is told of it.
pub(super) fn of_ended_sessions(
    context: &Context,
    user: &User,
    sessions: Vec<SessionRecord>,
    ended_by: SessionEnd,
) -> Vec<(String, Event)> {
    let (now_ms, settings) = (context.now_ms(), &context.environment.sessions);
    let active = sessions.into_iter().filter(|s| s.status(now_ms, settings) == SessionStatus::Active);
    let told = active.filter_map(|mut record| {
        record.session.ended_at_ms = Some(now_ms);
        record.ended_by = Some(ended_by);
        let event = of_session(context, EventType::UserSignedOut, user, &record)?;
        Some((record.session.id, event))
    });
    told.collect()
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
        id: context.new_event_id(),
        event_type,
        organization_id,
        occurred_at_ms: context.now_ms(),
        logged_at_ms: context.runtime.clock.machine_ms(),
        data,
    }
}
