//! Roles: of the environment, for members of every organization, and of single organizations.

use std::collections::BTreeMap;

use super::api::ApiRefusal;
use super::{Failure, events, organizations, permissions, retry_on_conflict};
use crate::domain::api_error::{ApiError, ApiErrorCode, FieldViolation};
use crate::domain::ids::IdKind;
use crate::domain::membership::Membership;
use crate::domain::permission::Permission;
use crate::domain::record_key::RecordKey;
use crate::domain::role::Role;
use crate::domain::role_catalog::{MemberAccess, RoleCatalog, RoleChange, RoleDifference, RoleError};
use crate::domain::user::User;
use crate::runtime::Context;
use crate::storage::StoreError;

/// What is said of a role that is made or changed; `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub struct RoleFields {
    pub display_name: Option<String>,
    pub description: Option<String>,
    /// The name of the role that it extends.
    pub extends: Option<String>,
    /// Names of all that it has itself.
    pub permissions: Option<Vec<String>>,
}

impl RoleFields {
    fn change(&self, permissions: Vec<Permission>) -> RoleChange {
        RoleChange {
            display_name: self.display_name.clone(),
            description: self.description.clone(),
            extends: self.extends.clone(),
            permissions: self.permissions.is_some().then_some(permissions),
        }
    }
}

/// A role among those that it may extend.
#[derive(Debug, Clone)]
pub struct FoundRole {
    pub role: Role,
    pub catalog: RoleCatalog,
}

/// Whose roles: the environment's, or those of the organization with this id.
type Owner<'o> = Option<&'o str>;

/// Permissions that a change names.
#[derive(Debug, Clone, Copy)]
enum Named<'n> {
    Nothing,
    /// One that is not there is refused.
    All(&'n [String]),
    /// One that is not there is ignored.
    Known(&'n [String]),
}

/// The roles of the environment or, of an organization, those that its members can have.
pub async fn list(context: &Context, owner: Owner<'_>) -> Result<RoleCatalog, ApiRefusal> {
    if let Some(id) = owner {
        organizations::find(context, &RecordKey::Id(id.to_owned())).await?;
    }
    Ok(context.store().role_catalog(context.environment_id(), owner).await?)
}

/// Finds a role.
pub async fn find(context: &Context, owner: Owner<'_>, name: &str) -> Result<FoundRole, ApiRefusal> {
    let catalog = list(context, owner).await?;
    let role = catalog.find(name)?.clone();
    Ok(FoundRole { role, catalog })
}

/// Lists the roles that extend a role of the environment, those of organizations included.
pub async fn dependents(context: &Context, name: &str) -> Result<(RoleCatalog, Vec<Role>), ApiRefusal> {
    let FoundRole { role, catalog } = find(context, None, name).await?;
    let found = context.store().dependent_roles(context.environment_id(), &role.id).await?;
    Ok((catalog, found))
}

/// Counts who has a role: users, or members of the organization.
pub async fn count_users(context: &Context, owner: Owner<'_>, name: &str) -> Result<i64, ApiRefusal> {
    let role = find(context, owner, name).await?.role;
    let (store, environment_id) = (context.store(), context.environment_id());
    Ok(store.count_role_users(environment_id, owner, &role.id, context.now_ms()).await?)
}

/// Adds a role.
pub async fn create(
    context: &Context,
    owner: Owner<'_>,
    name: &str,
    fields: &RoleFields,
) -> Result<FoundRole, ApiRefusal> {
    let named = Named::All(fields.permissions.as_deref().unwrap_or_default());
    let (role, catalog) = write_over(context, owner, named, |catalog, permissions| {
        let id = context.new_id(IdKind::Role);
        catalog.add(id, name, fields.change(permissions), context.now_ms()).cloned()
    })
    .await?;
    Ok(FoundRole { role, catalog })
}

/// Changes the fields that are named.
pub async fn update(
    context: &Context,
    owner: Owner<'_>,
    name: &str,
    fields: &RoleFields,
) -> Result<FoundRole, ApiRefusal> {
    let named = Named::All(fields.permissions.as_deref().unwrap_or_default());
    let (role, catalog) = write_over(context, owner, named, |catalog, permissions| {
        catalog.change(name, fields.change(permissions)).cloned()
    })
    .await?;
    Ok(FoundRole { role, catalog })
}

/// Deletes a role that nobody has, or lets its members have another one.
pub async fn delete(
    context: &Context,
    owner: Owner<'_>,
    name: &str,
    heir: Option<&str>,
) -> Result<(), ApiRefusal> {
    let (store, environment_id) = (context.store(), context.environment_id());
    retry_on_conflict(|| async {
        let version = store.roles_version(environment_id).await?;
        let before = list(context, owner).await?;
        let mut after = before.clone();
        let removed = after.remove(name, heir)?;
        if removed.heir_id.is_none() && store.is_role_held(environment_id, &removed.id).await? {
            let text = "role cannot be deleted as it is assigned to users";
            return Err(ApiRefusal::new(ApiErrorCode::InvalidArgument, text));
        }
        after.date_changes(&before, context.now_ms());
        let happened = events::of_roles(context, &before, &after);
        let is_done =
            store.delete_role(environment_id, version, &before, &after, &removed, &happened).await?;
        Ok(is_done.then_some(()))
    })
    .await
}

/// Lets a role extend no other one.
pub async fn remove_base(context: &Context, owner: Owner<'_>, name: &str) -> Result<(), ApiRefusal> {
    write_over(context, owner, Named::Nothing, |catalog, _| catalog.remove_base(name)).await?;
    Ok(())
}

/// Chooses the defaults of the environment; `None` leaves one as it is.
pub async fn set_defaults(
    context: &Context,
    creator: Option<&str>,
    member: Option<&str>,
) -> Result<RoleCatalog, ApiRefusal> {
    let ((), catalog) =
        write_over(context, None, Named::Nothing, |catalog, _| catalog.set_defaults(creator, member)).await?;
    Ok(catalog)
}

/// Chooses the role that members of an organization have where nobody says otherwise.
pub async fn set_organization_default(
    context: &Context,
    organization_id: &str,
    name: &str,
) -> Result<FoundRole, ApiRefusal> {
    let (role, catalog) = write_over(context, Some(organization_id), Named::Nothing, |catalog, _| {
        catalog.set_organization_default(name).cloned()
    })
    .await?;
    Ok(FoundRole { role, catalog })
}

/// Gives a role of the environment more permissions; names that there are not are ignored.
pub async fn add_permissions(context: &Context, name: &str, added: &[String]) -> Result<Role, ApiRefusal> {
    let (role, _) = write_over(context, None, Named::Known(added), |catalog, permissions| {
        catalog.add_permissions(name, permissions).cloned()
    })
    .await?;
    Ok(role)
}

/// Takes a permission from a role of the environment.
pub async fn remove_permission(context: &Context, name: &str, permission: &str) -> Result<(), ApiRefusal> {
    write_over(context, None, Named::Nothing, |catalog, _| catalog.remove_permission(name, permission))
        .await?;
    Ok(())
}

/// Changes roles over the version that was read, again while others change them. Returns how they are then.
async fn write_over<T>(
    context: &Context,
    owner: Owner<'_>,
    named: Named<'_>,
    change: impl Fn(&mut RoleCatalog, Vec<Permission>) -> Result<T, RoleError>,
) -> Result<(T, RoleCatalog), ApiRefusal> {
    let (store, environment_id) = (context.store(), context.environment_id());
    retry_on_conflict(|| async {
        let version = store.roles_version(environment_id).await?;
        let before = list(context, owner).await?;
        let permissions = match named {
            Named::Nothing => vec![],
            Named::All(names) => permissions::named(context, names, "role.permissions").await?,
            Named::Known(names) => permissions::existing(context, names).await?,
        };
        let mut after = before.clone();
        let done = change(&mut after, permissions)?;
        after.date_changes(&before, context.now_ms());
        if owner.is_none() {
            refuse_names_of_organizations(context, &before, &after).await?;
        }
        let happened = events::of_roles(context, &before, &after);
        match store.change_roles(environment_id, version, &before, &after, &happened).await {
            Ok(is_done) => Ok(is_done.then_some((done, after))),
            // A permission or the organization was deleted meanwhile.
            Err(StoreError::MissingParent(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    })
    .await
}

/// A role of the environment is seen beside those of every organization, so its name is none of theirs.
async fn refuse_names_of_organizations(
    context: &Context,
    before: &RoleCatalog,
    after: &RoleCatalog,
) -> Result<(), ApiRefusal> {
    for difference in before.differences(after) {
        if let RoleDifference::Added(role) = difference
            && context.store().is_role_of_organization(context.environment_id(), &role.name).await?
        {
            return Err(RoleError::Exists(role.name.clone()).into());
        }
    }
    Ok(())
}

impl From<RoleError> for ApiRefusal {
    fn from(error: RoleError) -> Self {
        let text = error.to_string();
        let violation = |field: &str, rule: &'static str| {
            vec![FieldViolation::new(field, rule, format!("{field} is invalid: {text}"))]
        };
        match error {
            RoleError::NotFound(_) | RoleError::PermissionNotHeld(_) => {
                ApiRefusal::new(ApiErrorCode::NotFound, text)
            }
            RoleError::Exists(_) => {
                let violations = vec![FieldViolation::new("role.name", "unique", text.clone())];
                ApiError { violations, ..ApiError::new(ApiErrorCode::RoleKeynameConflict, text) }.into()
            }
            RoleError::UnknownBase(_) | RoleError::Cycle(_) => violation("role.extends", "role").into(),
            RoleError::UnknownHeir(_) => violation("reassign_role_name", "role").into(),
            RoleError::HasDependents
            | RoleError::IsDefault
            | RoleError::TooManyRoles(_)
            | RoleError::TooManyPermissions => ApiRefusal::new(ApiErrorCode::FailedPrecondition, text),
        }
    }
}

/// The roles that members of some organizations can have.
#[derive(Debug, Clone)]
pub struct AccessOfMembers {
    environment: RoleCatalog,
    /// Of those organizations of which somebody has a role of their own.
    by_organization: BTreeMap<String, RoleCatalog>,
}

impl AccessOfMembers {
    /// What is needed to tell what these users may do.
    pub async fn of_users(context: &Context, users: &[User]) -> Result<Self, Failure> {
        Self::of(context, users.iter().flat_map(|user| &user.memberships)).await
    }

    /// What is needed to tell what the members of these memberships may do.
    pub async fn of(
        context: &Context,
        memberships: impl Iterator<Item = &Membership>,
    ) -> Result<Self, Failure> {
        let (store, environment_id) = (context.store(), context.environment_id());
        let environment = store.role_catalog(environment_id, None).await?;
        let mut by_organization = BTreeMap::new();
        for membership in memberships {
            let is_of_environment = |id: &str| environment.roles().iter().any(|role| role.id == id);
            let id = &membership.organization_id;
            let is_known = by_organization.contains_key(id)
                || membership.roles.iter().all(|role| is_of_environment(&role.id));
            if !is_known {
                by_organization.insert(id.clone(), store.role_catalog(environment_id, Some(id)).await?);
            }
        }
        Ok(Self { environment, by_organization })
    }

    /// What a member may do.
    pub fn access(&self, membership: &Membership) -> MemberAccess<'_> {
        let catalog = self.by_organization.get(&membership.organization_id).unwrap_or(&self.environment);
        catalog.access(membership.roles.iter().map(|role| role.id.as_str()))
    }
}
