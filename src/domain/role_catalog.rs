//! Roles that belong together, and by which rules they change: names are unique, no role extends itself, and a default is
//! always there. What a member may do follows from them.

use std::collections::BTreeSet;

use super::clock::UnixMs;
use super::ids::{IdKind, stable_id};
use super::permission::Permission;
use super::role::{Role, RoleSummary};

/// Most roles of an environment, those of organizations aside.
pub const MAX_ROLES: usize = 500;
/// Most roles of one organization.
pub const MAX_ROLES_OF_ORGANIZATION: usize = 100;
/// Most permissions that a role has itself.
pub const MAX_PERMISSIONS_OF_ROLE: usize = 200;

/// The roles of an environment or, of an organization, those that its members can have: the environment's and its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleCatalog {
    organization_id: Option<String>,
    /// The role of its members where nobody says otherwise; `None`: the environment's.
    organization_default_id: Option<String>,
    /// The environment's, then the organization's; each oldest first.
    roles: Vec<Role>,
}

/// What changes about a role; `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoleChange {
    pub display_name: Option<String>,
    pub description: Option<String>,
    /// The name of the role that it extends from now on.
    pub extends: Option<String>,
    pub permissions: Option<Vec<Permission>>,
}

/// A role that was removed, and the one that its members have instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovedRole {
    pub id: String,
    pub heir_id: Option<String>,
}

/// A role that configuration asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoleSeed {
    pub name: String,
    /// `None`: what it had before, or its name.
    pub display_name: Option<String>,
    pub description: String,
    /// The name of the role that it extends.
    pub extends: Option<String>,
    /// Names of permissions.
    pub permissions: Vec<String>,
    /// Takes over from the role that is the default. Without it, a role that is the default stays so.
    pub is_default_creator: bool,
    pub is_default_member: bool,
}

/// Why roles stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoleError {
    #[error("role not found: there is no role {0:?}")]
    NotFound(String),
    #[error("role {0:?} already exists: duplicate key not allowed")]
    Exists(String),
    #[error("role not found: there is no role {0:?} that could be extended")]
    UnknownBase(String),
    #[error("a role cannot extend {0:?}, which extends it")]
    Cycle(String),
    #[error("role not found: there is no role {0:?} that members could have instead")]
    UnknownHeir(String),
    #[error("role cannot be deleted as other roles extend it")]
    HasDependents,
    #[error("role cannot be deleted as it is the default of the environment")]
    IsDefault,
    #[error("permission not found: the role does not have the permission {0:?}")]
    PermissionNotHeld(String),
    #[error("there are as many roles as there may be: {0}")]
    TooManyRoles(usize),
    #[error("a role may have {MAX_PERMISSIONS_OF_ROLE} permissions at most")]
    TooManyPermissions,
}

/// One role in two states of a catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleDifference<'c> {
    Added(&'c Role),
    Changed { before: &'c Role, after: &'c Role },
    Removed(&'c Role),
}

/// What a member has by roles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberAccess<'c> {
    /// The roles that the member was given, then those that they extend; each once.
    pub roles: Vec<&'c Role>,
    /// The permissions of all of them, each once, without Scalekit's own.
    pub permissions: Vec<&'c Permission>,
}

impl MemberAccess<'_> {
    /// `roles` of tokens.
    pub fn role_names(&self) -> Vec<String> {
        self.roles.iter().map(|role| role.name.clone()).collect()
    }

    /// `permissions` of tokens.
    pub fn permission_names(&self) -> Vec<String> {
        self.permissions.iter().map(|permission| permission.name.clone()).collect()
    }
}

impl RoleCatalog {
    /// The roles of an environment, oldest first.
    pub fn of_environment(roles: Vec<Role>) -> Self {
        Self { organization_id: None, organization_default_id: None, roles }
    }

    /// The roles of an organization behind those of the environment.
    pub fn of_organization(organization_id: String, default_id: Option<String>, roles: Vec<Role>) -> Self {
        Self { organization_id: Some(organization_id), organization_default_id: default_id, roles }
    }

    /// The organization whose roles can be changed here; `None`: the environment's can.
    pub fn organization_id(&self) -> Option<&str> {
        self.organization_id.as_deref()
    }

    /// The role that the organization chose for its members.
    pub fn organization_default_id(&self) -> Option<&str> {
        self.organization_default_id.as_deref()
    }

    /// All of them: the environment's, then the organization's.
    pub fn roles(&self) -> &[Role] {
        &self.roles
    }

    /// The role of this name.
    ///
    /// # Errors
    /// There is none.
    pub fn find(&self, name: &str) -> Result<&Role, RoleError> {
        self.named(name).ok_or_else(|| RoleError::NotFound(name.to_owned()))
    }

    fn named(&self, name: &str) -> Option<&Role> {
        self.roles.iter().find(|role| role.name == name)
    }

    fn by_id(&self, id: &str) -> Option<&Role> {
        self.roles.iter().find(|role| role.id == id)
    }

    /// The role of this name that can be changed here.
    fn own_mut(&mut self, name: &str) -> Result<&mut Role, RoleError> {
        let organization_id = &self.organization_id;
        let found =
            self.roles.iter_mut().find(|role| role.name == name && role.organization_id == *organization_id);
        found.ok_or_else(|| RoleError::NotFound(name.to_owned()))
    }

    /// The role that a role extends.
    pub fn base(&self, role: &Role) -> Option<&Role> {
        self.by_id(role.base_id.as_deref()?)
    }

    /// A role and those that it extends, one after the other.
    pub fn chain<'c>(&'c self, role: &'c Role) -> Vec<&'c Role> {
        let mut chain = vec![role];
        while let Some(base) = chain.last().and_then(|last| self.base(last)) {
            // Whoever stored a circle, it is walked once.
            if chain.iter().any(|seen| seen.id == base.id) {
                break;
            }
            chain.push(base);
        }
        chain
    }

    /// The permissions of a role, its own first, with the role that each comes from. Each once.
    pub fn permissions<'c>(&'c self, role: &'c Role) -> Vec<(&'c Permission, &'c Role)> {
        let mut seen = BTreeSet::new();
        let all = self.chain(role).into_iter();
        let all = all.flat_map(|role| role.permissions.iter().map(move |permission| (permission, role)));
        all.filter(|(permission, _)| seen.insert(&permission.id)).collect()
    }

    /// What a member has who was given these roles.
    pub fn access<'r>(&self, role_ids: impl IntoIterator<Item = &'r str>) -> MemberAccess<'_> {
        let mut access = MemberAccess::default();
        let given: Vec<&Role> = role_ids.into_iter().filter_map(|id| self.by_id(id)).collect();
        let extended = given.iter().flat_map(|role| self.chain(role).into_iter().skip(1));
        let extended: Vec<&Role> = extended.collect();
        let mut seen = BTreeSet::new();
        access.roles = given.into_iter().chain(extended).filter(|role| seen.insert(&role.id)).collect();
        let mut seen = BTreeSet::new();
        let all = access.roles.iter().flat_map(|role| &role.permissions);
        access.permissions =
            all.filter(|permission| !permission.is_scalekit() && seen.insert(&permission.id)).collect();
        access
    }

    /// The role of members where nobody says otherwise.
    pub fn default_member(&self) -> Option<&Role> {
        let own = self.organization_default_id.as_deref().and_then(|id| self.by_id(id));
        own.or_else(|| self.roles.iter().find(|role| role.is_default_member))
    }

    /// The role of whoever creates an organization.
    pub fn default_creator(&self) -> Option<&Role> {
        self.roles.iter().find(|role| role.is_default_creator)
    }

    /// Adds a role.
    ///
    /// # Errors
    /// The name is taken, the base is not there, or there are too many. Nothing changes then.
    pub fn add(
        &mut self,
        id: String,
        name: &str,
        fields: RoleChange,
        now_ms: UnixMs,
    ) -> Result<&Role, RoleError> {
        if self.named(name).is_some() {
            return Err(RoleError::Exists(name.to_owned()));
        }
        let most = if self.organization_id.is_some() { MAX_ROLES_OF_ORGANIZATION } else { MAX_ROLES };
        if self.roles.iter().filter(|role| role.organization_id == self.organization_id).count() >= most {
            return Err(RoleError::TooManyRoles(most));
        }
        let mut role = Role::new(id, name.to_owned(), name.to_owned(), now_ms);
        role.organization_id.clone_from(&self.organization_id);
        self.apply(&mut role, fields)?;
        self.roles.push(role);
        self.find(name)
    }

    /// Changes what is named.
    ///
    /// # Errors
    /// There is no such role, or its base cannot be. Nothing changes then.
    pub fn change(&mut self, name: &str, change: RoleChange) -> Result<&Role, RoleError> {
        let mut role = self.own_mut(name)?.clone();
        self.apply(&mut role, change)?;
        *self.own_mut(name)? = role;
        self.find(name)
    }

    fn apply(&self, role: &mut Role, change: RoleChange) -> Result<(), RoleError> {
        if let Some(name) = change.extends {
            let base = self.named(&name).ok_or_else(|| RoleError::UnknownBase(name.clone()))?;
            if self.chain(base).iter().any(|extended| extended.id == role.id) {
                return Err(RoleError::Cycle(name));
            }
            role.base_id = Some(base.id.clone());
        }
        if let Some(permissions) = change.permissions {
            set_permissions(role, permissions)?;
        }
        if let Some(display_name) = change.display_name {
            role.display_name = display_name;
        }
        if let Some(description) = change.description {
            role.description = description;
        }
        Ok(())
    }

    /// Lets a role extend no other one.
    ///
    /// # Errors
    /// There is no such role.
    pub fn remove_base(&mut self, name: &str) -> Result<(), RoleError> {
        self.own_mut(name)?.base_id = None;
        Ok(())
    }

    /// Gives a role more permissions; those that it has already change nothing.
    ///
    /// # Errors
    /// There is no such role, or it would have too many.
    pub fn add_permissions(&mut self, name: &str, added: Vec<Permission>) -> Result<&Role, RoleError> {
        let role = self.own_mut(name)?;
        let all = role.permissions.iter().cloned().chain(added).collect();
        set_permissions(role, all)?;
        self.find(name)
    }

    /// Takes a permission from a role.
    ///
    /// # Errors
    /// There is no such role, or it does not have the permission itself.
    pub fn remove_permission(&mut self, name: &str, permission: &str) -> Result<(), RoleError> {
        let role = self.own_mut(name)?;
        let before = role.permissions.len();
        role.permissions.retain(|held| held.name != permission);
        let is_removed = role.permissions.len() < before;
        is_removed.then_some(()).ok_or_else(|| RoleError::PermissionNotHeld(permission.to_owned()))
    }

    /// Chooses the defaults of the environment; `None` leaves one as it is.
    ///
    /// # Errors
    /// There is no such role.
    pub fn set_defaults(&mut self, creator: Option<&str>, member: Option<&str>) -> Result<(), RoleError> {
        for name in [creator, member].into_iter().flatten() {
            self.find(name)?;
        }
        for role in &mut self.roles {
            role.is_default_creator = creator.map_or(role.is_default_creator, |name| role.name == name);
            role.is_default_member = member.map_or(role.is_default_member, |name| role.name == name);
        }
        Ok(())
    }

    /// Chooses the role of an organization's members.
    ///
    /// # Errors
    /// There is no such role.
    pub fn set_organization_default(&mut self, name: &str) -> Result<&Role, RoleError> {
        self.organization_default_id = Some(self.find(name)?.id.clone());
        self.find(name)
    }

    /// Removes a role. What extends it extends its heir from then on, and what the heir extends goes on to be extended.
    ///
    /// # Errors
    /// There is no such role or heir; it is a default of the environment; or, without an heir, others extend it.
    pub fn remove(&mut self, name: &str, heir: Option<&str>) -> Result<RemovedRole, RoleError> {
        let removed = self.own_mut(name)?.clone();
        let heir = match heir {
            None => None,
            Some(heir) => {
                let found = self.named(heir).filter(|found| found.id != removed.id);
                Some(found.ok_or_else(|| RoleError::UnknownHeir(heir.to_owned()))?)
            }
        };
        if removed.is_default() {
            return Err(RoleError::IsDefault);
        }
        let extends_it = |role: &Role| role.base_id.as_ref() == Some(&removed.id);
        if heir.is_none() && (removed.dependents > 0 || self.roles.iter().any(extends_it)) {
            return Err(RoleError::HasDependents);
        }
        let heir_id = heir.map(|heir| heir.id.clone());
        let above_heir: Vec<String> = heir
            .map(|heir| self.chain(heir))
            .unwrap_or_default()
            .iter()
            .map(|role| role.id.clone())
            .collect();
        self.roles.retain(|role| role.id != removed.id);
        for role in self.roles.iter_mut().filter(|role| extends_it(role)) {
            role.base_id =
                if above_heir.contains(&role.id) { removed.base_id.clone() } else { heir_id.clone() };
        }
        if self.organization_default_id.as_ref() == Some(&removed.id) {
            self.organization_default_id = None;
        }
        Ok(RemovedRole { id: removed.id, heir_id })
    }

    /// Makes roles those that configuration asks for: new ones are added, earlier ones take the configured values but keep
    /// Scalekit's own permissions. `permissions` are all of the environment.
    pub fn seed(&mut self, seeds: &[RoleSeed], permissions: &[Permission], now_ms: UnixMs) {
        for seed in seeds {
            if self.named(&seed.name).is_none() {
                let id = stable_id(IdKind::Role, &seed.name);
                self.roles.push(Role::new(id, seed.name.clone(), seed.name.clone(), now_ms));
            }
            self.clear_defaults_taken_by(seed);
            let Some(role) = self.roles.iter_mut().find(|role| role.name == seed.name) else { continue };
            role.display_name = seed.display_name.clone().unwrap_or_else(|| role.display_name.clone());
            role.description.clone_from(&seed.description);
            role.is_default_creator |= seed.is_default_creator;
            role.is_default_member |= seed.is_default_member;
            let stays = |held: &Permission| held.is_scalekit();
            let mut held: Vec<Permission> = role.permissions.iter().filter(|p| stays(p)).cloned().collect();
            held.extend(permissions.iter().filter(|p| seed.permissions.contains(&p.name)).cloned());
            role.permissions = in_order(held);
        }
        for seed in seeds {
            let base_id =
                seed.extends.as_deref().and_then(|base| self.named(base)).map(|base| base.id.clone());
            if let Some(role) = self.roles.iter_mut().find(|role| role.name == seed.name) {
                role.base_id = base_id;
            }
        }
        self.open_circles(seeds);
    }

    fn clear_defaults_taken_by(&mut self, seed: &RoleSeed) {
        for role in &mut self.roles {
            role.is_default_creator &= !seed.is_default_creator;
            role.is_default_member &= !seed.is_default_member;
        }
    }

    /// Roles that nobody configured extend none that would then extend them: configuration outranks them.
    fn open_circles(&mut self, seeds: &[RoleSeed]) {
        let is_circular = |catalog: &Self, role: &Role| {
            let last = catalog.chain(role).into_iter().next_back();
            last.and_then(|last| catalog.base(last)).is_some_and(|base| base.id == role.id)
        };
        let is_configured = |role: &Role| seeds.iter().any(|seed| seed.name == role.name);
        while let Some(at) =
            self.roles.iter().position(|role| !is_configured(role) && is_circular(self, role))
        {
            self.roles[at].base_id = None;
        }
    }

    /// Dates every role that is not as it was in `before`.
    pub fn date_changes(&mut self, before: &Self, now_ms: UnixMs) {
        for role in &mut self.roles {
            if before.by_id(&role.id).is_some_and(|stored| stored != role) {
                role.updated_at_ms = now_ms;
            }
        }
    }

    /// What is different in `after`.
    pub fn differences<'c>(&'c self, after: &'c Self) -> Vec<RoleDifference<'c>> {
        let removed = self.roles.iter().filter(|role| after.by_id(&role.id).is_none());
        let kept = after.roles.iter().filter_map(|role| match self.by_id(&role.id) {
            None => Some(RoleDifference::Added(role)),
            Some(before) => (before != role).then_some(RoleDifference::Changed { before, after: role }),
        });
        removed.map(RoleDifference::Removed).chain(kept).collect()
    }

    /// What memberships show of some roles, in the order of their ids.
    pub fn summaries(&self, is_meant: impl Fn(&Role) -> bool) -> Vec<RoleSummary> {
        let meant = self.roles.iter().filter(|role| is_meant(role));
        let mut summaries: Vec<RoleSummary> = meant.map(Role::summary).collect();
        summaries.sort_by(|one, other| one.id.cmp(&other.id));
        summaries
    }
}

fn set_permissions(role: &mut Role, permissions: Vec<Permission>) -> Result<(), RoleError> {
    let permissions = in_order(permissions);
    if permissions.len() > MAX_PERMISSIONS_OF_ROLE {
        return Err(RoleError::TooManyPermissions);
    }
    role.permissions = permissions;
    Ok(())
}

/// Each once, oldest first.
fn in_order(mut permissions: Vec<Permission>) -> Vec<Permission> {
    permissions.sort_by(|one, other| (one.created_at_ms, &one.id).cmp(&(other.created_at_ms, &other.id)));
    permissions.dedup_by(|one, other| one.id == other.id);
    permissions
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn permission(name: &str) -> Permission {
        Permission::new(format!("perm_{name}"), name.to_owned(), String::new(), 1)
    }

    fn catalog() -> RoleCatalog {
        RoleCatalog::of_environment(Role::initial(1).to_vec())
    }

    fn add(catalog: &mut RoleCatalog, name: &str, extends: Option<&str>, permissions: &[&str]) {
        let fields = RoleChange {
            extends: extends.map(str::to_owned),
            permissions: Some(permissions.iter().map(|name| permission(name)).collect()),
            ..RoleChange::default()
        };
        catalog.add(format!("role_{name}"), name, fields, 1).unwrap();
    }

    fn extending(name: &str) -> RoleChange {
        RoleChange { extends: Some(name.to_owned()), ..RoleChange::default() }
    }

    fn base_name<'c>(catalog: &'c RoleCatalog, name: &str) -> Option<&'c str> {
        catalog.base(catalog.find(name).unwrap()).map(|base| base.name.as_str())
    }

    /// `editor` extends `viewer`, `publisher` extends `editor`.
    fn three() -> RoleCatalog {
        let mut catalog = catalog();
        add(&mut catalog, "viewer", None, &["read"]);
        add(&mut catalog, "editor", Some("viewer"), &["write"]);
        add(&mut catalog, "publisher", Some("editor"), &["publish"]);
        catalog
    }

    #[test]
    fn a_member_has_the_permissions_of_every_role_and_of_those_that_they_extend() {
        let catalog = three();
        let access = catalog.access(["role_publisher", "role_0000000000000000001", "role_nobody"]);
        assert_eq!(access.role_names(), ["publisher", "admin", "editor", "viewer"]);
        assert_eq!(
            access.permission_names(),
            ["publish", "write", "read"],
            "Scalekit's own are none of a token's"
        );
        assert_eq!(catalog.access([]), MemberAccess::default());
        let publisher = catalog.find("publisher").unwrap();
        let sources: Vec<_> =
            catalog.permissions(publisher).iter().map(|(p, r)| (p.name.clone(), r.name.clone())).collect();
        let expected = [("publish", "publisher"), ("write", "editor"), ("read", "viewer")];
        assert_eq!(sources, expected.map(|(p, r)| (p.to_owned(), r.to_owned())));
    }

    #[test]
    fn a_role_extends_neither_itself_nor_what_extends_it() {
        let mut catalog = three();
        let before = catalog.clone();
        for base in ["viewer", "editor", "publisher"] {
            assert_eq!(catalog.change("viewer", extending(base)), Err(RoleError::Cycle(base.to_owned())));
        }
        assert_eq!(
            catalog.change("viewer", extending("nobody")),
            Err(RoleError::UnknownBase("nobody".to_owned()))
        );
        assert_eq!(catalog, before);
        catalog.remove_base("editor").unwrap();
        catalog.change("viewer", extending("publisher")).unwrap();
        assert_eq!(base_name(&catalog, "viewer"), Some("publisher"));
    }

    #[test]
    fn what_extends_a_removed_role_extends_its_heir_and_no_circle_comes_of_it() {
        let mut catalog = three();
        assert_eq!(catalog.remove("editor", None), Err(RoleError::HasDependents));
        assert_eq!(
            catalog.remove("editor", Some("editor")),
            Err(RoleError::UnknownHeir("editor".to_owned()))
        );
        assert_eq!(catalog.remove("admin", Some("viewer")), Err(RoleError::IsDefault));
        add(&mut catalog, "writer", None, &[]);
        let mut other = catalog.clone();
        let removed = other.remove("editor", Some("writer")).unwrap();
        assert_eq!(removed, RemovedRole { id: "role_editor".into(), heir_id: Some("role_writer".into()) });
        assert_eq!(base_name(&other, "publisher"), Some("writer"));
        catalog.remove("editor", Some("publisher")).unwrap();
        assert_eq!(
            base_name(&catalog, "publisher"),
            Some("viewer"),
            "the heir goes on to extend what was above"
        );
        catalog.remove("publisher", None).unwrap();
    }

    #[test]
    fn roles_of_an_organization_stand_beside_those_of_the_environment_and_change_alone() {
        let roles = three().roles().to_vec();
        let mut acme = RoleCatalog::of_organization("org_1".into(), None, roles);
        assert_eq!(acme.default_member().unwrap().name, "member");
        assert_eq!(
            acme.add("role_x".into(), "editor", RoleChange::default(), 1),
            Err(RoleError::Exists("editor".to_owned()))
        );
        add(&mut acme, "buyer", Some("viewer"), &["buy"]);
        assert_eq!(acme.find("buyer").unwrap().organization_id.as_deref(), Some("org_1"));
        assert_eq!(acme.set_organization_default("buyer").unwrap().name, "buyer");
        assert_eq!(acme.default_member().unwrap().name, "buyer");
        for refused in [
            acme.clone().change("editor", RoleChange::default()).map(|_| ()),
            acme.clone().remove("editor", None).map(|_| ()),
            acme.clone().remove_base("editor"),
        ] {
            assert_eq!(refused, Err(RoleError::NotFound("editor".to_owned())));
        }
        acme.remove("buyer", None).unwrap();
        assert_eq!(acme.default_member().unwrap().name, "member", "the environment's again");
    }

    #[test]
    fn there_are_only_so_many_roles_and_permissions() {
        let mut full = RoleCatalog::of_organization("org_1".into(), None, vec![]);
        for number in 0..MAX_ROLES_OF_ORGANIZATION {
            add(&mut full, &format!("role_{number}"), None, &[]);
        }
        let more = full.add("role".into(), "more", RoleChange::default(), 1);
        assert_eq!(more, Err(RoleError::TooManyRoles(MAX_ROLES_OF_ORGANIZATION)));
        let mut catalog = catalog();
        let many: Vec<_> = (0..=MAX_PERMISSIONS_OF_ROLE).map(|n| permission(&n.to_string())).collect();
        assert!(catalog.add_permissions("member", many.clone()).is_err());
        let change = RoleChange { permissions: Some(many), ..RoleChange::default() };
        assert_eq!(catalog.change("member", change), Err(RoleError::TooManyPermissions));
    }

    #[test]
    fn a_seed_is_taken_over_and_scalekits_own_permissions_stay() {
        let mut catalog = three();
        catalog
            .change("viewer", RoleChange { extends: Some("admin".into()), ..RoleChange::default() })
            .unwrap();
        let seeds = [
            RoleSeed { name: "admin".into(), extends: Some("owner".into()), ..RoleSeed::default() },
            RoleSeed {
                name: "owner".into(),
                display_name: Some("Owner".into()),
                extends: Some("editor".into()),
                permissions: vec!["read".into(), "unknown".into()],
                is_default_creator: true,
                ..RoleSeed::default()
            },
        ];
        catalog.seed(&seeds, &[permission("read"), permission("write")], 9);
        let (admin, owner) = (catalog.find("admin").unwrap(), catalog.find("owner").unwrap());
        assert_eq!((admin.display_name.as_str(), admin.permissions.len()), ("Admin", 12));
        assert_eq!((owner.display_name.as_str(), owner.created_at_ms), ("Owner", 9));
        assert_eq!(owner.permissions, [permission("read")]);
        assert_eq!(catalog.default_creator().unwrap().name, "owner");
        assert_eq!(
            (base_name(&catalog, "admin"), base_name(&catalog, "owner")),
            (Some("owner"), Some("editor"))
        );
        assert_eq!(base_name(&catalog, "viewer"), None, "configuration outranks what would make a circle");
        let before = catalog.clone();
        catalog.seed(&seeds, &[permission("read"), permission("write")], 10);
        assert_eq!(catalog, before, "the same seed again changes nothing");
    }

    #[derive(Debug, Clone)]
    enum Step {
        Add(usize, usize),
        Extend(usize, usize),
        RemoveBase(usize),
        Remove(usize, Option<usize>),
        SetDefaults(usize, usize),
        Give(usize, usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        let name = || 0..7_usize;
        prop_oneof![
            (name(), name()).prop_map(|(a, b)| Step::Add(a, b)),
            (name(), name()).prop_map(|(a, b)| Step::Extend(a, b)),
            name().prop_map(Step::RemoveBase),
            (name(), prop::option::of(name())).prop_map(|(a, b)| Step::Remove(a, b)),
            (name(), name()).prop_map(|(a, b)| Step::SetDefaults(a, b)),
            (name(), name()).prop_map(|(a, b)| Step::Give(a, b)),
        ]
    }

    const NAMES: [&str; 7] = ["admin", "member", "a", "b", "c", "d", "e"];

    fn take(catalog: &mut RoleCatalog, step: &Step, at: usize) -> Result<(), RoleError> {
        match *step {
            Step::Add(name, base) => {
                catalog.add(format!("role_{at}"), NAMES[name], extending(NAMES[base]), 1).map(|_| ())
            }
            Step::Extend(name, base) => catalog.change(NAMES[name], extending(NAMES[base])).map(|_| ()),
            Step::RemoveBase(name) => catalog.remove_base(NAMES[name]),
            Step::Remove(name, heir) => catalog.remove(NAMES[name], heir.map(|heir| NAMES[heir])).map(|_| ()),
            Step::SetDefaults(one, two) => catalog.set_defaults(Some(NAMES[one]), Some(NAMES[two])),
            Step::Give(name, what) => {
                catalog.add_permissions(NAMES[name], vec![permission(NAMES[what])]).map(|_| ())
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_is_done_names_are_unique_bases_are_there_nothing_is_circular_and_defaults_are_one_each(
            steps in prop::collection::vec(step(), 0..60),
        ) {
            let mut catalog = catalog();
            for (at, step) in steps.iter().enumerate() {
                let before = catalog.clone();
                if take(&mut catalog, step, at).is_err() {
                    prop_assert_eq!(&catalog, &before, "{:?} was refused and changed something", step);
                }
                let names: BTreeSet<_> = catalog.roles().iter().map(|role| &role.name).collect();
                prop_assert_eq!(names.len(), catalog.roles().len());
                for role in catalog.roles() {
                    let chain = catalog.chain(role);
                    prop_assert_eq!(&chain[chain.len() - 1].base_id, &None, "{:?}", step);
                }
                let count = |is: fn(&Role) -> bool| catalog.roles().iter().filter(|role| is(role)).count();
                prop_assert_eq!((count(|r| r.is_default_creator), count(|r| r.is_default_member)), (1, 1));
            }
        }

        #[test]
        fn more_roles_never_take_anything_away_and_their_order_does_not_matter(
            steps in prop::collection::vec(step(), 0..60), picks in prop::collection::vec(0..7_usize, 0..6),
        ) {
            let mut catalog = catalog();
            for (at, step) in steps.iter().enumerate() {
                let _ = take(&mut catalog, step, at);
            }
            let held: Vec<&str> = picks.iter().filter_map(|n| Some(catalog.find(NAMES[*n]).ok()?.id.as_str())).collect();
            let access = catalog.access(held.iter().copied());
            let names: BTreeSet<String> = access.permission_names().into_iter().collect();
            prop_assert_eq!(names.len(), access.permissions.len(), "each once");
            prop_assert!(names.iter().all(|name| !name.starts_with("sk_")));
            for role in &access.roles {
                if let Some(base) = catalog.base(role) {
                    prop_assert!(access.roles.iter().any(|other| other.id == base.id), "closed under extension");
                }
            }
            for id in &held {
                let one: BTreeSet<String> = catalog.access([*id]).permission_names().into_iter().collect();
                prop_assert!(one.is_subset(&names));
            }
            let backwards = catalog.access(held.iter().rev().copied());
            let other: BTreeSet<String> = backwards.permission_names().into_iter().collect();
            prop_assert_eq!(other, names);
        }
    }
}
