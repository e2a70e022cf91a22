//! People and organizations that exist before anybody signs in.

use crate::config::{SeedOrganization as SeedOrganizationSettings, SeedSettings};
use crate::runtime::Seed;
use crate::storage::{SeedDomain, SeedOrganization, SeedUser};

/// Gives ids to seeded records that have none. Organizations need the same one at every start, so theirs comes
/// from their external id or name, and those of domains from what they are; users keep the id that their address has.
pub fn with_ids(settings: &SeedSettings, mut new_user_id: impl FnMut() -> String) -> Seed {
    let organizations: Vec<SeedOrganization> = settings.organizations.iter().map(organization).collect();
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

fn organization(settings: &SeedOrganizationSettings) -> SeedOrganization {
    let id = settings.id.clone().unwrap_or_else(|| {
        let name = settings.external_id.as_deref().unwrap_or(&settings.display_name);
        format!("org_{}", stable_digits(name))
    });
    let domains = settings.domains.iter().map(|(name, domain_type)| SeedDomain {
        id: format!("dom_{}", stable_digits(&format!("{id}\n{}\n{}", domain_type.as_str(), name.as_str()))),
        name: name.clone(),
        domain_type: *domain_type,
    });
    SeedOrganization {
        domains: domains.collect(),
        display_name: settings.display_name.clone(),
        external_id: settings.external_id.clone(),
        slug: settings.slug.clone(),
        metadata: settings.metadata.clone(),
        id,
    }
}

/// The digits of an id that is the same at every start.
fn stable_digits(name: &str) -> String {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(name.as_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest[..8]);
    format!("{:019}", u64::from_be_bytes(bytes) % 10u64.pow(19))
}
