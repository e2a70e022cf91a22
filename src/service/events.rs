//! Events as they are written beside a change.

use crate::domain::event::{Event, EventType, organization_data};
use crate::domain::ids::IdKind;
use crate::domain::organization::Organization;
use crate::runtime::Context;

/// Something happened to an organization, which is now, or was before it was deleted, as given.
pub(super) fn of_organization(
    context: &Context,
    event_type: EventType,
    organization: &Organization,
) -> Event {
    let now_ms = context.now_ms();
    let is_deleted = event_type == EventType::OrganizationDeleted;
    Event {
        id: context.new_id(IdKind::Event),
        event_type,
        organization_id: Some(organization.id.clone()),
        occurred_at_ms: now_ms,
        logged_at_ms: context.runtime.clock.machine_ms(),
        data: organization_data(organization, is_deleted.then_some(now_ms)),
    }
}
