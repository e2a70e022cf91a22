//! Roles of members.

use super::clock::UnixMs;
use super::permission::Permission;

/// Longest name and longest display name, in characters.
const MAX_NAME: usize = 64;
const MAX_DISPLAY_NAME: usize = 100;

/// A role of an environment, or of one of its organizations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// `role_…`
    pub id: String,
    /// What tokens and requests call it.
    pub name: String,
    /// What users read.
    pub display_name: String,
    pub description: String,
    /// The organization that it belongs to; `None`: to the environment, so that members of every organization can have it.
    pub organization_id: Option<String>,
    /// Whoever creates an organization has it there.
    pub is_default_creator: bool,
    /// Members have it where nobody says otherwise.
    pub is_default_member: bool,
    /// The role that it extends: its members have the permissions of that one too.
    pub base_id: Option<String>,
    /// Those that it has itself, oldest first.
    pub permissions: Vec<Permission>,
    /// How many roles extend it, those of all organizations included.
    pub dependents: i64,
    pub created_at_ms: UnixMs,
    pub updated_at_ms: UnixMs,
}

impl Role {
    /// A role of which only the name is known.
    pub fn new(id: String, name: String, display_name: String, now_ms: UnixMs) -> Self {
        Self {
            id,
            name,
            display_name,
            description: String::new(),
            organization_id: None,
            is_default_creator: false,
            is_default_member: false,
            base_id: None,
            permissions: vec![],
            dependents: 0,
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
        }
    }

    /// The roles of a new environment.
    pub fn initial(now_ms: UnixMs) -> [Self; 2] {
        let role = |number: u32, name: &str, display_name: &str| {
            Self::new(format!("role_{number:019}"), name.to_owned(), display_name.to_owned(), now_ms)
        };
        let permissions = Permission::initial(now_ms);
        let for_reading = permissions.iter().filter(|permission| permission.is_for_reading());
        [
            Self { is_default_creator: true, permissions: permissions.to_vec(), ..role(1, "admin", "Admin") },
            Self {
                is_default_member: true,
                permissions: for_reading.cloned().collect(),
                ..role(2, "member", "Member")
            },
        ]
    }

    /// What memberships show of it.
    pub fn summary(&self) -> RoleSummary {
        RoleSummary { id: self.id.clone(), name: self.name.clone(), display_name: self.display_name.clone() }
    }

    /// Is it a default of the environment?
    pub fn is_default(&self) -> bool {
        self.is_default_creator || self.is_default_member
    }
}

/// What memberships show of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleSummary {
    /// `role_…`
    pub id: String,
    /// What tokens and requests call it.
    pub name: String,
    /// What users read.
    pub display_name: String,
}

/// How a request names a role: by its name, or by its id where it gives no name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoleName {
    /// `role_…`; empty: not given.
    pub id: String,
    /// Empty: not given.
    pub name: String,
}

impl RoleName {
    /// Is it the name of this role?
    pub fn names(&self, role: &Role) -> bool {
        if self.name.is_empty() { self.id == role.id } else { self.name == role.name }
    }
}

impl std::fmt::Display for RoleName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.name.is_empty() { &self.id } else { &self.name })
    }
}

/// What is wrong with the name of a role.
pub fn bad_name(name: &str) -> Option<&'static str> {
    let is_good =
        (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    (!is_good).then_some("must be 1 to 64 letters, digits and underscores, such as project_manager")
}

/// What is wrong with the display name of a role.
pub fn bad_display_name(name: &str) -> Option<&'static str> {
    let is_good = (1..=MAX_DISPLAY_NAME).contains(&name.chars().count());
    (!is_good).then_some("must have 1 to 100 characters")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_environment_has_a_role_for_creators_and_one_for_members() {
        let [admin, member] = Role::initial(7);
        assert!(admin.is_default_creator && !admin.is_default_member && admin.name == "admin");
        assert!(member.is_default_member && !member.is_default_creator && member.name == "member");
        assert!(admin.id < member.id);
        assert_eq!((admin.permissions.len(), member.permissions.len()), (12, 5));
    }

    #[test]
    fn names_are_letters_digits_and_underscores() {
        for good in ["admin", "a", "A_1", &"x".repeat(64)] {
            assert_eq!(bad_name(good), None, "{good}");
        }
        for bad in ["", "project-manager", "read:all", "rôle", &"x".repeat(65)] {
            assert!(bad_name(bad).is_some(), "{bad}");
        }
        assert_eq!(
            [0, 1, 100, 101].map(|n| bad_display_name(&"é".repeat(n)).is_none()),
            [false, true, true, false]
        );
    }
}
