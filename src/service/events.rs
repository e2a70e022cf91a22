//! Events as they are written beside a change.

use serde_json::Value;

use crate::domain::event::{Event, EventType, domain_data, organization_data};
use crate::domain::ids::IdKind;
use crate::domain::organization::Organization;
use crate::domain::organization_domain::OrganizationDomain;
use crate::runtime::Context;

/// Something happened to an organization, which is now, or was before it was deleted, as given.
pub(super) fn of_organization(
    context: &Context,
    event_type: EventType,
    organization: &Organization,
) -> Event {
    let is_deleted = event_type == EventType::OrganizationDeleted;
    let data = organization_data(organization, is_deleted.then(|| context.now_ms()));
    event(context, event_type, &organization.id, data)
}

/// Something happened to a domain of an organization.
pub(super) fn of_domain(context: &Context, event_type: EventType, domain: &OrganizationDomain) -> Event {
    event(context, event_type, &domain.organization_id, domain_data(context.environment_id(), domain))
}

fn event(context: &Context, event_type: EventType, organization_id: &str, data: Value) -> Event {
    Event {
        id: context.new_id(IdKind::Event),
        event_type,
        organization_id: Some(organization_id.to_owned()),
        occurred_at_ms: context.now_ms(),
        logged_at_ms: context.runtime.clock.machine_ms(),
        data,
    }
}
