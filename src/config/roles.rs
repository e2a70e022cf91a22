//! `[[permissions]]` and `[[roles]]`: what members of organizations may do, from the start.

use std::collections::BTreeSet;

use super::setting::{Section, Setting};
use super::source::Source;
use super::twins::refuse_twins;
use crate::domain::permission::{self, Permission};
use crate::domain::role;
use crate::domain::role_catalog::RoleSeed;

static PERMISSION_NAME: Setting<Option<&str>> = Setting::optional_text(
    "permissions.name",
    "read:documents",
    "Required: letters, digits, underscores and colons.",
);
static PERMISSION_DESCRIPTION: Setting<&str> =
    Setting::text("permissions.description", "", "What it lets members do.");

static ROLE_NAME: Setting<Option<&str>> = Setting::optional_text(
    "roles.name",
    "editor",
    "Required: letters, digits and underscores. `admin` and `member` are there already.",
);
static ROLE_DISPLAY_NAME: Setting<Option<&str>> =
    Setting::optional_text("roles.display_name", "Editor", "Default: the name.");
static ROLE_DESCRIPTION: Setting<&str> = Setting::text("roles.description", "", "What it is for.");
static ROLE_EXTENDS: Setting<Option<&str>> = Setting::optional_text(
    "roles.extends",
    "member",
    "The name of a role whose permissions members of this one have too.",
);
static ROLE_PERMISSIONS: Setting<Option<&[&str]>> = Setting::optional_list(
    "roles.permissions",
    &["read:documents"],
    "Names of [[permissions]], or of Scalekit's own, which begin with sk_.",
);
static ROLE_DEFAULT_CREATOR: Setting<bool> = Setting::boolean(
    "roles.default_creator",
    false,
    "Creators of organizations have it there, instead of `admin`.",
);
static ROLE_DEFAULT_MEMBER: Setting<bool> = Setting::boolean(
    "roles.default_member",
    false,
    "Members have it where nobody says otherwise, instead of `member`.",
);

pub(super) fn permissions_section() -> Section {
    Section {
        table: "permissions",
        is_list: true,
        about: "Permissions that exist from the start, beside Scalekit's own.",
        settings: vec![PERMISSION_NAME.facts(), PERMISSION_DESCRIPTION.facts()],
    }
}

pub(super) fn roles_section() -> Section {
    Section {
        table: "roles",
        is_list: true,
        about: "Roles of members that exist from the start, beside `admin` and `member`.",
        settings: vec![
            ROLE_NAME.facts(),
            ROLE_DISPLAY_NAME.facts(),
            ROLE_DESCRIPTION.facts(),
            ROLE_EXTENDS.facts(),
            ROLE_PERMISSIONS.facts(),
            ROLE_DEFAULT_CREATOR.facts(),
            ROLE_DEFAULT_MEMBER.facts(),
        ],
    }
}

/// A permission to exist from the start.
#[derive(Debug, Clone)]
pub struct SeedPermission {
    pub name: String,
    pub description: String,
}

pub(super) fn read_permissions(source: &mut Source) -> Vec<SeedPermission> {
    let permissions: Vec<SeedPermission> = (0..source.tables("permissions"))
        .map(|index| SeedPermission {
            name: read_name(source, &PERMISSION_NAME.at(index), permission::bad_name),
            description: read_description(source, &PERMISSION_DESCRIPTION.at(index)),
        })
        .collect();
    let names = permissions.iter().enumerate().map(|(index, permission)| (index, permission.name.clone()));
    refuse_twins(source, &PERMISSION_NAME, names);
    permissions
}

pub(super) fn read_roles(source: &mut Source, permissions: &[SeedPermission]) -> Vec<RoleSeed> {
    let roles: Vec<RoleSeed> = (0..source.tables("roles")).map(|index| read_role(source, index)).collect();
    refuse_twins(
        source,
        &ROLE_NAME,
        roles.iter().enumerate().map(|(index, role)| (index, role.name.clone())),
    );
    for (index, role) in roles.iter().enumerate() {
        check_permissions(source, index, role, permissions);
        check_base(source, index, role, &roles);
    }
    for (setting, is_default) in [
        (&ROLE_DEFAULT_CREATOR, (|role| role.is_default_creator) as fn(&RoleSeed) -> bool),
        (&ROLE_DEFAULT_MEMBER, |role| role.is_default_member),
    ] {
        let mut defaults =
            roles.iter().enumerate().filter(|(_, role)| is_default(role)).map(|(index, _)| index);
        if let (Some(first), Some(second)) = (defaults.next(), defaults.next()) {
            let text = format!("is set for {} already, and there is one default", setting.at(first).key());
            source.problem(setting.at(second).key(), text);
        }
    }
    roles
}

fn read_role(source: &mut Source, index: usize) -> RoleSeed {
    RoleSeed {
        name: read_name(source, &ROLE_NAME.at(index), role::bad_name),
        display_name: source.parsed(&ROLE_DISPLAY_NAME.at(index), |name| {
            match role::bad_display_name(name) {
                Some(reason) => Err(reason),
                None => Ok(name.to_owned()),
            }
        }),
        description: read_description(source, &ROLE_DESCRIPTION.at(index)),
        extends: source.optional_text(&ROLE_EXTENDS.at(index)),
        permissions: source.optional_list(&ROLE_PERMISSIONS.at(index)),
        is_default_creator: source.boolean(&ROLE_DEFAULT_CREATOR.at(index)),
        is_default_member: source.boolean(&ROLE_DEFAULT_MEMBER.at(index)),
    }
}

fn read_name(
    source: &mut Source,
    setting: &Setting<Option<&'static str>>,
    bad_name: impl Fn(&str) -> Option<&'static str>,
) -> String {
    let name = source.optional_text(setting);
    match &name {
        None => source.problem(setting.key(), "is missing"),
        Some(name) => {
            if let Some(reason) = bad_name(name) {
                source.problem_with(setting.key(), name, reason);
            }
        }
    }
    name.unwrap_or_default()
}

fn read_description(source: &mut Source, setting: &Setting<&'static str>) -> String {
    let description = source.text(setting);
    if let Some(reason) = permission::bad_description(&description) {
        source.problem(setting.key(), reason);
    }
    description
}

fn check_permissions(source: &mut Source, index: usize, role: &RoleSeed, known: &[SeedPermission]) {
    let is_scalekit = |name: &str| Permission::initial(0).iter().any(|permission| permission.name == name);
    for name in &role.permissions {
        if !is_scalekit(name) && !known.iter().any(|permission| permission.name == *name) {
            let text = format!("names {name:?}, which is none of [[permissions]]");
            source.problem(ROLE_PERMISSIONS.at(index).key(), text);
        }
    }
}

/// A base is there, and no role extends itself.
fn check_base(source: &mut Source, index: usize, role: &RoleSeed, roles: &[RoleSeed]) {
    let Some(base) = role.extends.as_deref() else { return };
    let key = ROLE_EXTENDS.at(index);
    if !["admin", "member"].contains(&base) && !roles.iter().any(|other| other.name == base) {
        source.problem(key.key(), format!("names {base:?}, which is none of [[roles]]"));
        return;
    }
    let (mut seen, mut next) = (BTreeSet::new(), Some(base));
    while let Some(name) = next.filter(|name| seen.insert(*name)) {
        if name == role.name {
            source.problem(key.key(), format!("names {base:?}, which extends this role"));
            return;
        }
        next = roles.iter().find(|other| other.name == name).and_then(|other| other.extends.as_deref());
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn problems(toml: &str) -> Vec<(String, String)> {
        let mut source = Source::default();
        source.add_file(Path::new("vestibule.toml"), toml);
        let permissions = read_permissions(&mut source);
        read_roles(&mut source, &permissions);
        source.finish().into_iter().map(|problem| (problem.key, problem.message)).collect()
    }

    #[test]
    fn roles_refer_to_what_there_is_and_not_to_themselves() {
        let good = "[[permissions]]\nname = \"read:documents\"\n[[roles]]\nname = \"editor\"\nextends = \"viewer\"\n\
            permissions = [\"read:documents\", \"sk_org_users_read\"]\n[[roles]]\nname = \"viewer\"\nextends = \"member\"\n";
        assert_eq!(problems(good), []);
        let long = format!("[[roles]]\nname = \"a\"\ndisplay_name = \"{}\"\n", "x".repeat(101));
        for (toml, key) in [
            (long.as_str(), "roles[0].display_name"),
            ("[[permissions]]\n", "permissions[0].name"),
            ("[[permissions]]\nname = \"read.documents\"\n", "permissions[0].name"),
            ("[[permissions]]\nname = \"sk_mine\"\n", "permissions[0].name"),
            ("[[permissions]]\nname = \"a\"\n[[permissions]]\nname = \"a\"\n", "permissions[1].name"),
            ("[[roles]]\nname = \"my-role\"\n", "roles[0].name"),
            ("[[roles]]\nname = \"a\"\n[[roles]]\nname = \"a\"\n", "roles[1].name"),
            ("[[roles]]\nname = \"a\"\npermissions = [\"b\"]\n", "roles[0].permissions"),
            ("[[roles]]\nname = \"a\"\nextends = \"b\"\n", "roles[0].extends"),
            ("[[roles]]\nname = \"a\"\nextends = \"a\"\n", "roles[0].extends"),
            (
                "[[roles]]\nname = \"a\"\ndefault_member = true\n[[roles]]\nname = \"b\"\ndefault_member = true\n",
                "roles[1].default_member",
            ),
        ] {
            let found = problems(toml);
            assert_eq!(found.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), [key], "{found:?}");
        }
        let circle = "[[roles]]\nname = \"a\"\nextends = \"b\"\n[[roles]]\nname = \"b\"\nextends = \"a\"\n";
        assert_eq!(problems(circle).len(), 2);
    }
}
