//! People and organizations that exist before anybody signs in.

use crate::config::SeedSettings;
use crate::runtime::Seed;
use crate::storage::{SeedOrganization, SeedUser};

/// Gives ids to seeded records that have none. Organizations need the same one at every start, so theirs comes
/// from their external id or name; users keep the id that their address has.
pub fn with_ids(settings: &SeedSettings, mut new_user_id: impl FnMut() -> String) -> Seed {
    let organizations: Vec<SeedOrganization> = settings
        .organizations
        .iter()
        .map(|o| SeedOrganization {
            id: o.id.clone().unwrap_or_else(|| {
                stable_organization_id(o.external_id.as_deref().unwrap_or(&o.display_name))
            }),
            display_name: o.display_name.clone(),
            external_id: o.external_id.clone(),
            slug: o.slug.clone(),
            metadata: o.metadata.clone(),
        })
        .collect();
    let users = settings
        .users
        .iter()
        .map(|u| SeedUser {
            id: u.id.clone().unwrap_or_else(&mut new_user_id),
            email: u.email.clone(),
            name: u.name.clone(),
            given_name: u.given_name.clone(),
            family_name: u.family_name.clone(),
            picture: u.picture.clone(),
            locale: u.locale.clone(),
            external_id: u.external_id.clone(),
            organization_ids: organizations
                .iter()
                .filter(|o| u.organizations.iter().any(|n| *n == o.id || Some(n) == o.external_id.as_ref()))
                .map(|o| o.id.clone())
                .collect(),
        })
        .collect();
    Seed { organizations, users }
}

fn stable_organization_id(name: &str) -> String {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(name.as_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest[..8]);
    format!("org_{:019}", u64::from_be_bytes(bytes) % 10u64.pow(19))
}
