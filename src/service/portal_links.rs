//! Links to the pages where an organization sets itself up. Those pages are not emulated; the links are.

use super::api::ApiRefusal;
use super::{Failure, organizations};
use crate::domain::api_error::FieldViolation;
use crate::domain::clock::UnixMs;
use crate::domain::organization::Feature;
use crate::domain::record_key::RecordKey;
use crate::runtime::Context;
pub use crate::storage::OpenedPortal;
use crate::storage::PortalLink;

/// How long a link works.
const LIFETIME_MS: i64 = 60_000;

/// Where links lead to.
pub const PORTAL_PATH: &str = "/magicLink/";

/// A new link.
#[derive(Debug, Clone)]
pub struct NewPortalLink {
    /// A UUID.
    pub id: String,
    /// Where it leads to.
    pub location: String,
    /// When it stops to work.
    pub expires_at_ms: UnixMs,
}

/// Makes a link for the named features of an organization, all of which have to be switched on. Without any, it is for
/// those that are.
pub async fn create(
    context: &Context,
    organization: &RecordKey,
    named: &[Feature],
) -> Result<NewPortalLink, ApiRefusal> {
    let organization = organizations::find(context, organization).await?;
    if let Some(off) = named.iter().find(|feature| !organization.features.is_enabled(**feature)) {
        let text = format!("features is invalid: {} is not enabled for this organization", off.as_str());
        return Err(vec![FieldViolation::new("features", "enabled", text)].into());
    }
    let enabled = organization.features.listed().filter(|(_, is_enabled)| *is_enabled);
    let features =
        if named.is_empty() { enabled.map(|(feature, _)| feature).collect() } else { named.to_vec() };
    let mut bytes = [0; 16];
    context.entropy().fill(&mut bytes);
    let link = PortalLink {
        id: uuid::Builder::from_random_bytes(bytes).into_uuid().to_string(),
        organization_id: organization.id,
        features,
        expires_at_ms: context.now_ms() + LIFETIME_MS,
    };
    context.store().insert_portal_link(context.environment_id(), &link).await?;
    let location = context.public_url.join(&format!("{PORTAL_PATH}{}", link.id));
    Ok(NewPortalLink { id: link.id, location, expires_at_ms: link.expires_at_ms })
}

/// Opens a link, once. `None`: it is unknown, was used, or its time is over.
pub async fn open(context: &Context, id: &str) -> Result<Option<OpenedPortal>, Failure> {
    Ok(context.store().use_portal_link(context.environment_id(), id, context.now_ms()).await?)
}
