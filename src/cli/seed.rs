//! `vestibule seed`: people, organizations and roles that do not exist, the same every time.

use std::collections::BTreeMap;

use clap::Args;

use super::made_up_names::{organization_name, person, slug};
use super::seed_file::{Organization, Permission, Role, SeedFile, SeedOutput, User};

/// How many there are, and where they go.
#[derive(Debug, Clone, Args)]
pub struct SeedOptions {
    /// Number of users
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    pub users: u32,
    /// Number of organizations
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(..=100_000))]
    pub organizations: u32,
    #[command(flatten)]
    pub output: SeedOutput,
}

/// Writes a seed that a server starts from.
pub(super) fn run(options: &SeedOptions) -> anyhow::Result<()> {
    options.output.write(&generate(options.users, options.organizations))
}

/// Of the ids that are made up, which end with the number of the record.
const FIRST_ID: u64 = 100_000_000_000_000_001;

fn generate(users: u32, organizations: u32) -> SeedFile {
    let organizations: Vec<Organization> = (0..organizations).map(organization).collect();
    let users = (0..users).map(|number| user(number, &organizations)).collect();
    SeedFile { permissions: permissions(), roles: roles(), organizations, users, ..SeedFile::default() }
}

fn permissions() -> Vec<Permission> {
    let permission = |(name, description): (&str, &str)| Permission {
        name: name.to_owned(),
        description: description.to_owned(),
    };
    let all = [
        ("read:documents", "Read documents"),
        ("write:documents", "Write documents"),
        ("read:reports", "Read reports"),
        ("read:invoices", "Read invoices"),
        ("pay:invoices", "Pay invoices"),
    ];
    all.into_iter().map(permission).collect()
}

fn roles() -> Vec<Role> {
    let role = |name: &str, display_name: &str, extends: Option<&str>, permissions: &[&str]| Role {
        name: name.to_owned(),
        display_name: display_name.to_owned(),
        extends: extends.map(str::to_owned),
        permissions: permissions.iter().map(|name| (*name).to_owned()).collect(),
        ..Role::default()
    };
    vec![
        role("viewer", "Viewer", None, &["read:documents", "read:reports"]),
        role("editor", "Editor", Some("viewer"), &["write:documents"]),
        role("billing", "Billing", None, &["read:invoices", "pay:invoices"]),
    ]
}

fn organization(number: u32) -> Organization {
    let display_name = organization_name(number as usize);
    let slug = slug(&display_name);
    let plan = match scatter(number, 0) % 3 {
        0 => "free",
        1 => "team",
        _ => "enterprise",
    };
    Organization {
        id: format!("org_{}", FIRST_ID + u64::from(number)),
        external_id: Some(slug.clone()),
        domains: vec![format!("{slug}.example")],
        metadata: BTreeMap::from([("plan".to_owned(), plan.to_owned())]),
        slug: Some(slug),
        display_name,
        ..Organization::default()
    }
}

/// The first users are admins, one of each organization; some of the others belong to two, and a few are larger.
fn user(number: u32, organizations: &[Organization]) -> User {
    let person = person(number as usize);
    let own = organizations.get(number as usize);
    let first = own.or_else(|| some(organizations, number));
    let second = if number % 11 == 10 { some(organizations, number.wrapping_mul(7)) } else { None };
    let mut member_of = vec![];
    let mut roles = BTreeMap::new();
    for organization in first.into_iter().chain(second) {
        if member_of.contains(&organization.id) {
            continue;
        }
        let is_own = own.is_some_and(|own| own.id == organization.id);
        let names = if is_own { Some("admin") } else { roles_of(number) };
        if let Some(names) = names {
            roles.insert(organization.id.clone(), names.to_owned());
        }
        member_of.push(organization.id.clone());
    }
    let domain = first.and_then(|organization| organization.domains.first());
    User {
        id: format!("usr_{}", FIRST_ID + u64::from(number)),
        email: format!("{}@{}", person.mailbox, domain.map_or("people.example", String::as_str)),
        name: Some(format!("{} {}", person.given_name, person.family_name)),
        given_name: Some(person.given_name.to_owned()),
        family_name: Some(person.family_name.to_owned()),
        organizations: member_of,
        roles,
        ..User::default()
    }
}

/// One of the organizations; the earlier, the more often.
fn some(organizations: &[Organization], number: u32) -> Option<&Organization> {
    let count = u64::try_from(organizations.len()).ok().filter(|count| *count > 0)?;
    let at = (scatter(number, 1) % count).min(scatter(number, 2) % count);
    organizations.get(usize::try_from(at).ok()?)
}

/// Names of roles; `None`: the one that members have.
fn roles_of(number: u32) -> Option<&'static str> {
    match scatter(number, 3) % 10 {
        0 => Some("admin"),
        1..=4 => Some("editor"),
        5 => Some("billing"),
        6 => Some("viewer, billing"),
        _ => None,
    }
}

/// A number without a pattern, the same for the same two: splitmix64.
fn scatter(number: u32, of: u32) -> u64 {
    let mut mixed = ((u64::from(number) << 32) | u64::from(of)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::seed_file::SeedFormat;
    use crate::config::seed_from_json;

    #[test]
    fn a_seed_is_the_same_every_time_and_the_configuration_takes_it() {
        for (users, organizations) in [(500, 20), (3_000, 150), (10, 0), (0, 5), (5, 20)] {
            let file = generate(users, organizations);
            let text = file.render(SeedFormat::Toml).unwrap();
            assert_eq!(text, generate(users, organizations).render(SeedFormat::Toml).unwrap());
            let seed = seed_from_json(&file.seed()).unwrap();
            assert_eq!(
                (seed.users.len(), seed.organizations.len()),
                (users as usize, organizations as usize)
            );
        }
    }

    #[test]
    fn every_organization_has_an_admin_and_the_first_ones_have_more_members() {
        let file = generate(500, 20);
        let members =
            |id: &str| file.users.iter().filter(|user| user.organizations.iter().any(|o| o == id)).count();
        for organization in &file.organizations {
            let is_admin =
                |user: &User| user.roles.get(&organization.id).is_some_and(|roles| roles == "admin");
            assert!(file.users.iter().any(is_admin), "{organization:?}");
            assert!(members(&organization.id) > 0);
        }
        let half =
            |organizations: &[Organization]| organizations.iter().map(|o| members(&o.id)).sum::<usize>();
        let (earlier, later) = file.organizations.split_at(10);
        assert!(half(earlier) > half(later));
        assert!(file.users.iter().any(|user| user.organizations.len() == 2));
    }
}
