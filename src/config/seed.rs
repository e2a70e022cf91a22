//! `[[organizations]]` and `[[users]]`: who exists from the start.

use std::collections::{BTreeMap, BTreeSet};

use super::roles::{self, SeedPermission};
use super::setting::{Pairs, Section, Setting};
use super::source::Source;
use super::twins::refuse_twins;
use crate::domain::email::EmailAddress;
use crate::domain::metadata::{Metadata, MetadataLimits};
use crate::domain::organization::bad_slug;
use crate::domain::organization_domain::{DomainName, DomainType};
use crate::domain::role_catalog::RoleSeed;

static ORGANIZATION_ID: Setting<Option<&str>> = Setting::optional_text(
    "organizations.id",
    "org_100000000000000001",
    "org_ and 15 to 21 digits; made when left out.",
);
static ORGANIZATION_DISPLAY_NAME: Setting<Option<&str>> =
    Setting::optional_text("organizations.display_name", "Acme", "Required.");
static ORGANIZATION_EXTERNAL_ID: Setting<Option<&str>> =
    Setting::optional_text("organizations.external_id", "acme", "Your own id: `xoid` in tokens.");
static ORGANIZATION_SLUG: Setting<Option<&str>> = Setting::optional_text(
    "organizations.slug",
    "acme",
    "A name in URLs and hosts: lower-case letters, digits, hyphens and dots.",
);
static ORGANIZATION_METADATA: Setting<Option<Pairs>> =
    Setting::optional_table("organizations.metadata", &[("plan", "pro")], "Up to 10 texts by name.");
static ORGANIZATION_DOMAINS: Setting<Option<&[&str]>> = Setting::optional_list(
    "organizations.domains",
    &["acme.com"],
    "Its email domains, which no other organization has.",
);
static ORGANIZATION_ALLOWED_EMAIL_DOMAINS: Setting<Option<&[&str]>> = Setting::optional_list(
    "organizations.allowed_email_domains",
    &["acme.com"],
    "Whoever has an address of these domains may join it; sign-in does not offer that yet.",
);

static USER_ID: Setting<Option<&str>> = Setting::optional_text(
    "users.id",
    "usr_100000000000000001",
    "usr_ and 15 to 21 digits; made when left out.",
);
static USER_EMAIL: Setting<Option<&str>> =
    Setting::optional_text("users.email", "jane@example.com", "Required; compared without case.");
static USER_NAME: Setting<Option<&str>> = Setting::optional_text("users.name", "Jane Doe", "Full name.");
static USER_GIVEN_NAME: Setting<Option<&str>> =
    Setting::optional_text("users.given_name", "Jane", "Given name.");
static USER_FAMILY_NAME: Setting<Option<&str>> =
    Setting::optional_text("users.family_name", "Doe", "Family name.");
static USER_PICTURE: Setting<Option<&str>> =
    Setting::optional_text("users.picture", "https://example.com/jane.png", "URL of a picture.");
static USER_LOCALE: Setting<Option<&str>> =
    Setting::optional_text("users.locale", "en", "Preferred language.");
static USER_EXTERNAL_ID: Setting<Option<&str>> =
    Setting::optional_text("users.external_id", "user-1", "Your own id: `xuid` in tokens.");
static USER_ORGANIZATIONS: Setting<Option<&[&str]>> =
    Setting::optional_list("users.organizations", &["acme"], "Ids or external ids of organizations.");
static USER_ROLES: Setting<Option<Pairs>> = Setting::optional_table(
    "users.roles",
    &[("acme", "admin, member")],
    "Names of roles by organization, separated by commas. Default: the role that members have there.",
);

pub(super) fn organizations_section() -> Section {
    Section {
        table: "organizations",
        is_list: true,
        about: "Organizations that exist from the start.",
        settings: vec![
            ORGANIZATION_ID.facts(),
            ORGANIZATION_DISPLAY_NAME.facts(),
            ORGANIZATION_EXTERNAL_ID.facts(),
            ORGANIZATION_SLUG.facts(),
            ORGANIZATION_METADATA.facts(),
            ORGANIZATION_DOMAINS.facts(),
            ORGANIZATION_ALLOWED_EMAIL_DOMAINS.facts(),
        ],
    }
}

pub(super) fn users_section() -> Section {
    Section {
        table: "users",
        is_list: true,
        about: "Users that exist from the start. Others appear with their first sign-in.",
        settings: vec![
            USER_ID.facts(),
            USER_EMAIL.facts(),
            USER_NAME.facts(),
            USER_GIVEN_NAME.facts(),
            USER_FAMILY_NAME.facts(),
            USER_PICTURE.facts(),
            USER_LOCALE.facts(),
            USER_EXTERNAL_ID.facts(),
            USER_ORGANIZATIONS.facts(),
            USER_ROLES.facts(),
        ],
    }
}

/// Permissions, roles, users and organizations to exist from the start.
#[derive(Debug, Clone, Default)]
pub struct SeedSettings {
    pub permissions: Vec<SeedPermission>,
    pub roles: Vec<RoleSeed>,
    pub organizations: Vec<SeedOrganization>,
    pub users: Vec<SeedUser>,
}

#[derive(Debug, Clone)]
pub struct SeedOrganization {
    /// `org_…`; made from the external id or the name when left out.
    pub id: Option<String>,
    pub display_name: String,
    pub external_id: Option<String>,
    /// A name in URLs and hosts.
    pub slug: Option<String>,
    /// What the application keeps with it.
    pub metadata: Metadata,
    /// Its email domains.
    pub domains: Vec<(DomainName, DomainType)>,
}

#[derive(Debug, Clone)]
pub struct SeedUser {
    /// `usr_…`; made when left out.
    pub id: Option<String>,
    pub email: EmailAddress,
    pub name: Option<String>,
    pub given_name: Option<String>,
    pub family_name: Option<String>,
    pub picture: Option<String>,
    pub locale: Option<String>,
    pub external_id: Option<String>,
    /// Ids or external ids of organizations.
    pub organizations: Vec<String>,
    /// Names of roles, by what `organizations` says.
    pub roles: Vec<(String, Vec<String>)>,
}

pub(super) fn read(source: &mut Source) -> SeedSettings {
    let organizations: Vec<SeedOrganization> =
        (0..source.tables("organizations")).map(|index| read_organization(source, index)).collect();
    let users: Vec<(usize, SeedUser)> = (0..source.tables("users"))
        .filter_map(|index| Some((index, read_user(source, index, &organizations)?)))
        .collect();
    let of_organizations = organizations.iter().enumerate();
    let organization_ids = of_organizations.filter_map(|(i, o)| Some((i, o.id.clone()?)));
    refuse_twins(source, &ORGANIZATION_ID, organization_ids);
    let external_ids =
        organizations.iter().enumerate().filter_map(|(i, o)| Some((i, o.external_id.clone()?)));
    refuse_twins(source, &ORGANIZATION_EXTERNAL_ID, external_ids);
    let slugs = organizations.iter().enumerate().filter_map(|(i, o)| Some((i, o.slug.clone()?)));
    refuse_twins(source, &ORGANIZATION_SLUG, slugs);
    let domains = organizations.iter().enumerate().flat_map(|(i, o)| {
        let own = o.domains.iter().filter(|(_, domain_type)| *domain_type == DomainType::OrganizationDomain);
        own.map(move |(name, _)| (i, name.as_str().to_owned()))
    });
    refuse_shared_domains(source, domains.collect());
    let user_ids = users.iter().filter_map(|(i, u)| Some((*i, u.id.clone()?)));
    refuse_twins(source, &USER_ID, user_ids);
    let mailboxes = users.iter().map(|(i, u)| (*i, u.email.key().to_owned()));
    refuse_twins(source, &USER_EMAIL, mailboxes);
    let permissions = roles::read_permissions(source);
    let roles = roles::read_roles(source, &permissions);
    check_member_roles(source, &users, &roles);
    let users = users.into_iter().map(|(_, user)| user).collect();
    SeedSettings { permissions, roles, organizations, users }
}

fn read_organization(source: &mut Source, index: usize) -> SeedOrganization {
    let display_name = source.optional_text(&ORGANIZATION_DISPLAY_NAME.at(index));
    if display_name.is_none() {
        source.problem(ORGANIZATION_DISPLAY_NAME.at(index).key(), "is missing");
    }
    SeedOrganization {
        id: read_id(source, &ORGANIZATION_ID.at(index), "org_"),
        display_name: display_name.unwrap_or_default(),
        external_id: source.optional_text(&ORGANIZATION_EXTERNAL_ID.at(index)),
        slug: source.parsed(&ORGANIZATION_SLUG.at(index), |slug| match bad_slug(slug) {
            Some(reason) => Err(reason),
            None => Ok(slug.to_owned()),
        }),
        metadata: read_metadata(source, &ORGANIZATION_METADATA.at(index), &MetadataLimits::ORGANIZATION),
        domains: [
            (&ORGANIZATION_DOMAINS, DomainType::OrganizationDomain),
            (&ORGANIZATION_ALLOWED_EMAIL_DOMAINS, DomainType::AllowedEmailDomain),
        ]
        .into_iter()
        .flat_map(|(setting, domain_type)| {
            let names = read_domains(source, &setting.at(index));
            names.into_iter().map(move |name| (name, domain_type))
        })
        .collect(),
    }
}

/// Email domains that an organization can have, each once.
fn read_domains(
    source: &mut Source,
    setting: &Setting<Option<&'static [&'static str]>>,
) -> BTreeSet<DomainName> {
    let mut names = BTreeSet::new();
    for text in source.optional_list(setting) {
        match DomainName::parse(&text) {
            None => source.problem(setting.key(), format!("has {text:?}, which is no domain name")),
            Some(name) if name.is_public_or_disposable() => {
                source.problem(setting.key(), format!("has {text:?}, where everybody can have an address"));
            }
            Some(name) => _ = names.insert(name),
        }
    }
    names
}

/// Refuses a domain that two organizations claim for themselves. `domains` says which table has which.
fn refuse_shared_domains(source: &mut Source, domains: Vec<(usize, String)>) {
    let mut first = BTreeMap::new();
    for (index, name) in domains {
        let other = *first.entry(name.clone()).or_insert(index);
        if other != index {
            let text = format!("has {name:?}, which organizations[{other}].domains has too");
            source.problem(ORGANIZATION_DOMAINS.at(index).key(), text);
        }
    }
}

/// Texts by name that an application keeps with a record.
fn read_metadata(source: &mut Source, setting: &Setting<Option<Pairs>>, limits: &MetadataLimits) -> Metadata {
    let metadata: Metadata = source.optional_table(setting).into();
    if let Err(reason) = metadata.check(limits) {
        source.problem(setting.key(), reason);
    }
    metadata
}

fn read_user(source: &mut Source, index: usize, organizations: &[SeedOrganization]) -> Option<SeedUser> {
    let email = source.parsed(&USER_EMAIL.at(index), EmailAddress::parse);
    if !source.is_set(USER_EMAIL.at(index).key()) {
        source.problem(USER_EMAIL.at(index).key(), "is missing");
    }
    let member_of = source.optional_list(&USER_ORGANIZATIONS.at(index));
    for named in &member_of {
        let is_named = |id: &Option<String>| id.as_ref() == Some(named);
        if !organizations.iter().any(|o| is_named(&o.id) || is_named(&o.external_id)) {
            let text =
                format!("names {named:?}, which is neither id nor external_id of one of [[organizations]]");
            source.problem(USER_ORGANIZATIONS.at(index).key(), text);
        }
    }
    let user = SeedUser {
        roles: read_member_roles(source, &USER_ROLES.at(index), &member_of),
        id: read_id(source, &USER_ID.at(index), "usr_"),
        name: source.optional_text(&USER_NAME.at(index)),
        given_name: source.optional_text(&USER_GIVEN_NAME.at(index)),
        family_name: source.optional_text(&USER_FAMILY_NAME.at(index)),
        picture: source.optional_text(&USER_PICTURE.at(index)),
        locale: source.optional_text(&USER_LOCALE.at(index)),
        external_id: source.optional_text(&USER_EXTERNAL_ID.at(index)),
        organizations: member_of,
        email: email?,
    };
    Some(user)
}

/// Names of roles by organization, which are among those that the user belongs to.
fn read_member_roles(
    source: &mut Source,
    setting: &Setting<Option<Pairs>>,
    member_of: &[String],
) -> Vec<(String, Vec<String>)> {
    let by_organization = source.optional_table(setting);
    for (organization, _) in &by_organization {
        if !member_of.contains(organization) {
            let text = format!("names {organization:?}, which is none of this user's organizations");
            source.problem(setting.key(), text);
        }
    }
    let split = |names: String| -> Vec<String> {
        names.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
    };
    by_organization.into_iter().map(|(organization, names)| (organization, split(names))).collect()
}

/// Members have roles that there are.
fn check_member_roles(source: &mut Source, users: &[(usize, SeedUser)], roles: &[RoleSeed]) {
    for (index, user) in users {
        for name in user.roles.iter().flat_map(|(_, names)| names) {
            if !["admin", "member"].contains(&name.as_str()) && !roles.iter().any(|role| role.name == *name) {
                let text = format!("names {name:?}, which is none of [[roles]]");
                source.problem(USER_ROLES.at(*index).key(), text);
            }
        }
    }
}

/// An id with its prefix and 15 to 21 digits, as the rules of Scalekit's messages have it.
fn read_id(source: &mut Source, setting: &Setting<Option<&'static str>>, prefix: &str) -> Option<String> {
    let id = source.optional_text(setting)?;
    let digits = id.strip_prefix(prefix).unwrap_or_default();
    if !(15..=21).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        source.problem(setting.key(), format!("must be {prefix} and 15 to 21 digits"));
    }
    Some(id)
}
