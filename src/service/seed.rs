//! People and organizations that exist before anybody signs in.

use crate::config::{SeedOrganization as SeedOrganizationSettings, SeedSettings};
use crate::domain::clock::UnixMs;
use crate::domain::ids::{IdKind, stable_id};
use crate::domain::permission::Permission;
use crate::runtime::Seed;
use crate::storage::{SeedDomain, SeedOrganization, SeedUser};

/// Gives ids to seeded records that have none. Organizations need the same one at every start, so theirs comes
/// from their external id or name, and those of domains from what they are; users keep the id that their address has.
pub fn with_ids(settings: &SeedSettings, now_ms: UnixMs, mut new_user_id: impl FnMut() -> String) -> Seed {
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
                .filter(|o| u.organizations.iter().any(|name| is_named(o, name)))
                .map(|o| o.id.clone())
                .collect(),
            roles: organizations
                .iter()
                .flat_map(|o| {
                    let there = u.roles.iter().filter(move |(name, _)| is_named(o, name));
                    there.flat_map(|(_, roles)| roles).map(move |role| (o.id.clone(), role.clone()))
                })
                .collect(),
        })
        .collect();
    let permissions = settings.permissions.iter().map(|permission| {
        let id = stable_id(IdKind::Permission, &permission.name);
        Permission::new(id, permission.name.clone(), permission.description.clone(), now_ms)
    });
    Seed { permissions: permissions.collect(), roles: settings.roles.clone(), organizations, users }
}

/// Does a user's list of organizations mean this one?
fn is_named(organization: &SeedOrganization, name: &str) -> bool {
    name == organization.id || Some(name) == organization.external_id.as_deref()
}

fn organization(settings: &SeedOrganizationSettings) -> SeedOrganization {
    let id = settings.id.clone().unwrap_or_else(|| {
        let name = settings.external_id.as_deref().unwrap_or(&settings.display_name);
        stable_id(IdKind::Organization, name)
    });
    let domains = settings.domains.iter().map(|(name, domain_type)| SeedDomain {
        id: stable_id(IdKind::Domain, &format!("{id}\n{}\n{}", domain_type.as_str(), name.as_str())),
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
