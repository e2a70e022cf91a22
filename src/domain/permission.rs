//! Permissions: what a role lets its members do.

use super::clock::UnixMs;

/// Most permissions of an environment, Scalekit's own aside.
pub const MAX_PERMISSIONS: i64 = 1000;

/// How names of Scalekit's own permissions begin.
const SCALEKIT_PREFIX: &str = "sk_";

/// Longest name and longest description, in characters.
const MAX_NAME: usize = 64;
const MAX_DESCRIPTION: usize = 2000;

/// Something that a role lets its members do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// `perm_…`
    pub id: String,
    /// Grows with every change.
    pub version: i64,
    /// What tokens and requests call it.
    pub name: String,
    pub description: String,
    pub created_at_ms: UnixMs,
    pub updated_at_ms: UnixMs,
}

/// Scalekit's own permissions, which its hosted widgets ask for.
const INITIAL: [(&str, &str); 12] = [
    ("sk_org_settings_read", "Read the settings of the organization"),
    ("sk_org_settings_manage", "Change the settings of the organization"),
    ("sk_org_users_read", "Read the members of the organization"),
    ("sk_org_users_invite", "Invite users to the organization"),
    ("sk_org_users_delete", "Remove users from the organization"),
    ("sk_org_users_role_change", "Change the roles of members"),
    ("sk_org_sso_read", "Read single sign-on connections"),
    ("sk_org_sso_manage", "Change single sign-on connections"),
    ("sk_org_scim_read", "Read directories"),
    ("sk_org_scim_manage", "Change directories"),
    ("sk_org_session_policy_read", "Read the session policy of the organization"),
    ("sk_org_session_policy_manage", "Change the session policy of the organization"),
];

impl Permission {
    /// A permission that was not stored yet.
    pub fn new(id: String, name: String, description: String, now_ms: UnixMs) -> Self {
        Self { id, version: 1, name, description, created_at_ms: now_ms, updated_at_ms: now_ms }
    }

    /// The permissions of a new environment.
    pub fn initial(now_ms: UnixMs) -> [Self; 12] {
        let mut number = 0;
        INITIAL.map(|(name, description)| {
            number += 1;
            Self::new(format!("perm_{number:019}"), name.to_owned(), description.to_owned(), now_ms)
        })
    }

    /// Is it one of Scalekit's own? Nobody changes those, and tokens do not carry them.
    pub fn is_scalekit(&self) -> bool {
        is_scalekit(&self.name)
    }

    /// Does it only let members read?
    pub fn is_for_reading(&self) -> bool {
        self.name.ends_with("_read")
    }
}

/// Is it the name of one of Scalekit's own permissions?
pub fn is_scalekit(name: &str) -> bool {
    name.starts_with(SCALEKIT_PREFIX)
}

/// Whose permissions to list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PermissionKind {
    #[default]
    All,
    /// Scalekit's own.
    Scalekit,
    /// Those of the application.
    Environment,
}

impl PermissionKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "ALL",
            Self::Scalekit => "SCALEKIT",
            Self::Environment => "ENVIRONMENT",
        }
    }
}

/// What is wrong with the name of a permission.
pub fn bad_name(name: &str) -> Option<&'static str> {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(is_letter) {
        return Some("must be 1 to 64 letters, digits, underscores and colons, such as read:documents");
    }
    is_scalekit(name).then_some(RESERVED)
}

/// Why nobody makes a permission with such a name.
pub const RESERVED: &str = "must not begin with sk_: those permissions are Scalekit's own";

/// What is wrong with the description of a permission or a role.
pub fn bad_description(description: &str) -> Option<&'static str> {
    (description.chars().count() > MAX_DESCRIPTION).then_some("must have at most 2000 characters")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn permissions_of_a_new_environment_are_scalekits_own_and_have_ids_in_their_order() {
        let initial = Permission::initial(7);
        assert!(initial.iter().all(|permission| permission.is_scalekit() && permission.created_at_ms == 7));
        assert!(initial.is_sorted_by(|one, other| one.id < other.id));
        assert_eq!(initial.iter().filter(|permission| permission.is_for_reading()).count(), 5);
    }

    #[test]
    fn bad_names_are_told_from_good_ones() {
        for good in ["read:documents", "a", "A_1", &"x".repeat(64)] {
            assert_eq!(bad_name(good), None, "{good}");
        }
        for bad in ["", "read.documents", "read documents", "lesen:ü", "sk_org_sso_read", &"x".repeat(65)] {
            assert!(bad_name(bad).is_some(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_good_name_is_of_the_form_that_requests_must_have(name in ".{0,70}") {
            let is_form = !name.is_empty() && name.len() <= 64
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':');
            prop_assert_eq!(bad_name(&name).is_none(), is_form && !name.starts_with("sk_"));
        }
    }
}
