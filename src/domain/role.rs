//! Roles of members.

/// A role of the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// `role_…`
    pub id: String,
    /// What tokens and requests call it.
    pub name: String,
    /// What people read.
    pub display_name: String,
    /// Whoever creates an organization has it there.
    pub is_default_creator: bool,
    /// Members have it where nobody says otherwise.
    pub is_default_member: bool,
}

impl Role {
    /// The roles of a new environment.
    pub fn initial() -> [Self; 2] {
        let role = |id: &str, name: &str, display_name: &str| Self {
            id: id.to_owned(),
            name: name.to_owned(),
            display_name: display_name.to_owned(),
            is_default_creator: false,
            is_default_member: false,
        };
        [
            Self { is_default_creator: true, ..role("role_0000000000000000001", "admin", "Admin") },
            Self { is_default_member: true, ..role("role_0000000000000000002", "member", "Member") },
        ]
    }

    /// What memberships show of it.
    pub fn summary(&self) -> RoleSummary {
        RoleSummary { id: self.id.clone(), name: self.name.clone(), display_name: self.display_name.clone() }
    }
}

/// What memberships show of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleSummary {
    /// `role_…`
    pub id: String,
    /// What tokens and requests call it.
    pub name: String,
    /// What people read.
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
