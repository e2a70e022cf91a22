//! `scalekit.v1.roles.RolesService`: roles and permissions, of the environment and of organizations.

use tonic::{Request, Response, Status};

use super::call::context_of;
use super::convert::{answer, timestamp};
use super::pb::scalekit::v1::roles::roles_service_server::RolesService;
use super::pb::scalekit::v1::roles::{
    AddPermissionsToRoleRequest, AddPermissionsToRoleResponse, CreateOrganizationRoleRequest,
    CreateOrganizationRoleResponse, CreatePermissionRequest, CreatePermissionResponse, CreateRoleRequest,
    CreateRoleResponse, DeleteOrganizationRoleBaseRequest, DeleteOrganizationRoleRequest,
    DeletePermissionRequest, DeleteRoleBaseRequest, DeleteRoleRequest, GetOrganizationRoleRequest,
    GetOrganizationRoleResponse, GetOrganizationRoleUsersCountRequest, GetOrganizationRoleUsersCountResponse,
    GetPermissionRequest, GetPermissionResponse, GetRoleRequest, GetRoleResponse, GetRoleUsersCountRequest,
    GetRoleUsersCountResponse, ListDependentRolesRequest, ListDependentRolesResponse,
    ListEffectiveRolePermissionsRequest, ListEffectiveRolePermissionsResponse, ListOrganizationRolesRequest,
    ListOrganizationRolesResponse, ListPermissionsRequest, ListPermissionsResponse,
    ListRolePermissionsRequest, ListRolePermissionsResponse, ListRolesRequest, ListRolesResponse, Permission,
    PermissionType, RemovePermissionFromRoleRequest, Role, RolePermission,
    UpdateDefaultOrganizationRolesRequest, UpdateDefaultOrganizationRolesResponse, UpdateDefaultRole,
    UpdateDefaultRolesRequest, UpdateDefaultRolesResponse, UpdateOrganizationRoleRequest,
    UpdateOrganizationRoleResponse, UpdatePermissionRequest, UpdatePermissionResponse, UpdateRole,
    UpdateRoleRequest, UpdateRoleResponse,
};
use crate::domain::api_error::{ApiErrorCode, FieldViolation};
use crate::domain::permission::{self as permission_domain, PermissionKind};
use crate::domain::role as domain;
use crate::domain::role_catalog::RoleCatalog;
use crate::runtime::Context;
use crate::service::api::ApiRefusal;
use crate::service::permissions;
use crate::service::roles::{self, FoundRole, RoleFields};

#[derive(Clone)]
pub struct Roles;

#[tonic::async_trait]
impl RolesService for Roles {
    async fn create_role(
        &self,
        request: Request<CreateRoleRequest>,
    ) -> Result<Response<CreateRoleResponse>, Status> {
        let created = async {
            let context = context_of(&request)?;
            let new = request.into_inner().role.unwrap_or_default();
            let fields = RoleFields {
                display_name: Some(new.display_name),
                description: new.description,
                extends: new.extends,
                permissions: Some(new.permissions),
            };
            let found = roles::create(&context, None, &new.name, &fields).await?;
            Ok(CreateRoleResponse { role: Some(shown_found(&found, Include::Nothing)) })
        };
        answer(created.await)
    }

    async fn update_role(
        &self,
        request: Request<UpdateRoleRequest>,
    ) -> Result<Response<UpdateRoleResponse>, Status> {
        let updated = async {
            let context = context_of(&request)?;
            let UpdateRoleRequest { role_name, role } = request.into_inner();
            let fields = fields(role.unwrap_or_default());
            let found = roles::update(&context, None, &role_name, &fields).await?;
            Ok(UpdateRoleResponse { role: Some(shown_found(&found, Include::Nothing)) })
        };
        answer(updated.await)
    }

    async fn get_role(&self, request: Request<GetRoleRequest>) -> Result<Response<GetRoleResponse>, Status> {
        let found = async {
            let context = context_of(&request)?;
            let GetRoleRequest { role_name, include } = request.into_inner();
            let found = roles::find(&context, None, &role_name).await?;
            Ok(GetRoleResponse { role: Some(shown_found(&found, Include::parse(include.as_deref()))) })
        };
        answer(found.await)
    }

    async fn list_roles(
        &self,
        request: Request<ListRolesRequest>,
    ) -> Result<Response<ListRolesResponse>, Status> {
        let listed = async {
            let context = context_of(&request)?;
            let include = Include::parse(request.into_inner().include.as_deref());
            let catalog = roles::list(&context, None).await?;
            Ok(ListRolesResponse { roles: shown_all(&catalog, include) })
        };
        answer(listed.await)
    }

    async fn delete_role(&self, request: Request<DeleteRoleRequest>) -> Result<Response<()>, Status> {
        let deleted = async {
            let context = context_of(&request)?;
            let request = request.into_inner();
            #[allow(deprecated, reason = "older SDKs send it")]
            let older = request.reassign_role_id;
            let heir = match (request.reassign_role_name, older) {
                (Some(name), _) => Some(name),
                (None, Some(id_or_name)) => Some(name_of(&context, &id_or_name).await?),
                (None, None) => None,
            };
            roles::delete(&context, None, &request.role_name, heir.as_deref()).await
        };
        answer(deleted.await)
    }

    async fn create_organization_role(
        &self,
        request: Request<CreateOrganizationRoleRequest>,
    ) -> Result<Response<CreateOrganizationRoleResponse>, Status> {
        let created = async {
            let context = context_of(&request)?;
            let CreateOrganizationRoleRequest { org_id, role } = request.into_inner();
            let new = role.unwrap_or_default();
            let fields = RoleFields {
                display_name: Some(new.display_name),
                description: new.description,
                extends: new.extends,
                permissions: Some(new.permissions),
            };
            let found = roles::create(&context, Some(&org_id), &new.name, &fields).await?;
            Ok(CreateOrganizationRoleResponse { role: Some(shown_found(&found, Include::Nothing)) })
        };
        answer(created.await)
    }

    async fn update_organization_role(
        &self,
        request: Request<UpdateOrganizationRoleRequest>,
    ) -> Result<Response<UpdateOrganizationRoleResponse>, Status> {
        let updated = async {
            let context = context_of(&request)?;
            let UpdateOrganizationRoleRequest { org_id, role_name, role } = request.into_inner();
            let fields = fields(role.unwrap_or_default());
            let found = roles::update(&context, Some(&org_id), &role_name, &fields).await?;
            Ok(UpdateOrganizationRoleResponse { role: Some(shown_found(&found, Include::Nothing)) })
        };
        answer(updated.await)
    }

    async fn get_organization_role(
        &self,
        request: Request<GetOrganizationRoleRequest>,
    ) -> Result<Response<GetOrganizationRoleResponse>, Status> {
        let found = async {
            let context = context_of(&request)?;
            let GetOrganizationRoleRequest { org_id, role_name, include } = request.into_inner();
            let found = roles::find(&context, Some(&org_id), &role_name).await?;
            Ok(GetOrganizationRoleResponse {
                role: Some(shown_found(&found, Include::parse(include.as_deref()))),
            })
        };
        answer(found.await)
    }

    async fn list_organization_roles(
        &self,
        request: Request<ListOrganizationRolesRequest>,
    ) -> Result<Response<ListOrganizationRolesResponse>, Status> {
        let listed = async {
            let context = context_of(&request)?;
            let ListOrganizationRolesRequest { org_id, include } = request.into_inner();
            let catalog = roles::list(&context, Some(&org_id)).await?;
            Ok(ListOrganizationRolesResponse {
                roles: shown_all(&catalog, Include::parse(include.as_deref())),
            })
        };
        answer(listed.await)
    }

    async fn delete_organization_role(
        &self,
        request: Request<DeleteOrganizationRoleRequest>,
    ) -> Result<Response<()>, Status> {
        let deleted = async {
            let context = context_of(&request)?;
            let DeleteOrganizationRoleRequest { org_id, role_name, reassign_role_name } =
                request.into_inner();
            roles::delete(&context, Some(&org_id), &role_name, reassign_role_name.as_deref()).await
        };
        answer(deleted.await)
    }

    async fn get_role_users_count(
        &self,
        request: Request<GetRoleUsersCountRequest>,
    ) -> Result<Response<GetRoleUsersCountResponse>, Status> {
        let counted = async {
            let context = context_of(&request)?;
            let count = roles::count_users(&context, None, &request.into_inner().role_name).await?;
            Ok(GetRoleUsersCountResponse { count })
        };
        answer(counted.await)
    }

    async fn get_organization_role_users_count(
        &self,
        request: Request<GetOrganizationRoleUsersCountRequest>,
    ) -> Result<Response<GetOrganizationRoleUsersCountResponse>, Status> {
        let counted = async {
            let context = context_of(&request)?;
            let GetOrganizationRoleUsersCountRequest { org_id, role_name } = request.into_inner();
            let count = roles::count_users(&context, Some(&org_id), &role_name).await?;
            Ok(GetOrganizationRoleUsersCountResponse { count })
        };
        answer(counted.await)
    }

    async fn update_default_roles(
        &self,
        request: Request<UpdateDefaultRolesRequest>,
    ) -> Result<Response<UpdateDefaultRolesResponse>, Status> {
        let updated = async {
            let context = context_of(&request)?;
            let request = request.into_inner();
            #[allow(deprecated, reason = "older SDKs send them")]
            let (older_creator, older_member) = (request.default_creator, request.default_member);
            let creator = default_name(&context, request.default_creator_role, older_creator).await?;
            let member = default_name(&context, request.default_member_role, older_member).await?;
            if creator.is_none() && member.is_none() {
                let field = "default_creator_role";
                let text = format!("{field} is required, or default_member_role");
                return Err(vec![FieldViolation::new(field, "required", text)].into());
            }
            let catalog = roles::set_defaults(&context, creator.as_deref(), member.as_deref()).await?;
            let shown =
                |role: Option<&domain::Role>| role.map(|role| shown(&catalog, role, Include::Nothing));
            Ok(UpdateDefaultRolesResponse {
                default_creator: shown(catalog.default_creator()),
                default_member: shown(catalog.default_member()),
            })
        };
        answer(updated.await)
    }

    async fn update_default_organization_roles(
        &self,
        request: Request<UpdateDefaultOrganizationRolesRequest>,
    ) -> Result<Response<UpdateDefaultOrganizationRolesResponse>, Status> {
        let updated = async {
            let context = context_of(&request)?;
            let UpdateDefaultOrganizationRolesRequest { org_id, default_member_role } = request.into_inner();
            let found = roles::set_organization_default(&context, &org_id, &default_member_role).await?;
            let default_member = Some(shown_found(&found, Include::Nothing));
            Ok(UpdateDefaultOrganizationRolesResponse { default_member })
        };
        answer(updated.await)
    }

    async fn list_dependent_roles(
        &self,
        request: Request<ListDependentRolesRequest>,
    ) -> Result<Response<ListDependentRolesResponse>, Status> {
        let listed = async {
            let context = context_of(&request)?;
            let (catalog, found) = roles::dependents(&context, &request.into_inner().role_name).await?;
            let found = found.iter().map(|role| shown(&catalog, role, Include::Nothing));
            Ok(ListDependentRolesResponse { roles: found.collect() })
        };
        answer(listed.await)
    }

    async fn delete_role_base(
        &self,
        request: Request<DeleteRoleBaseRequest>,
    ) -> Result<Response<()>, Status> {
        let deleted = async {
            let context = context_of(&request)?;
            roles::remove_base(&context, None, &request.into_inner().role_name).await
        };
        answer(deleted.await)
    }

    async fn delete_organization_role_base(
        &self,
        request: Request<DeleteOrganizationRoleBaseRequest>,
    ) -> Result<Response<()>, Status> {
        let deleted = async {
            let context = context_of(&request)?;
            let DeleteOrganizationRoleBaseRequest { org_id, role_name } = request.into_inner();
            roles::remove_base(&context, Some(&org_id), &role_name).await
        };
        answer(deleted.await)
    }

    async fn create_permission(
        &self,
        request: Request<CreatePermissionRequest>,
    ) -> Result<Response<CreatePermissionResponse>, Status> {
        let created = async {
            let context = context_of(&request)?;
            let new = request.into_inner().permission.unwrap_or_default();
            let permission = permissions::create(&context, &new.name, &new.description).await?;
            Ok(CreatePermissionResponse { permission: Some(shown_permission(&permission)) })
        };
        answer(created.await)
    }

    async fn get_permission(
        &self,
        request: Request<GetPermissionRequest>,
    ) -> Result<Response<GetPermissionResponse>, Status> {
        let found = async {
            let context = context_of(&request)?;
            let permission = permissions::find(&context, &request.into_inner().permission_name).await?;
            Ok(GetPermissionResponse { permission: Some(shown_permission(&permission)) })
        };
        answer(found.await)
    }

    async fn update_permission(
        &self,
        request: Request<UpdatePermissionRequest>,
    ) -> Result<Response<UpdatePermissionResponse>, Status> {
        let updated = async {
            let context = context_of(&request)?;
            let UpdatePermissionRequest { permission_name, permission } = request.into_inner();
            let fields = permission.unwrap_or_default();
            let permission =
                permissions::update(&context, &permission_name, &fields.name, &fields.description).await?;
            Ok(UpdatePermissionResponse { permission: Some(shown_permission(&permission)) })
        };
        answer(updated.await)
    }

    async fn list_permissions(
        &self,
        request: Request<ListPermissionsRequest>,
    ) -> Result<Response<ListPermissionsResponse>, Status> {
        let listed = async {
            let context = context_of(&request)?;
            let ListPermissionsRequest { page_token, page_size, r#type } = request.into_inner();
            let kind = match PermissionType::try_from(r#type) {
                Ok(PermissionType::All) => PermissionKind::All,
                Ok(PermissionType::Scalekit) => PermissionKind::Scalekit,
                Ok(PermissionType::Environment) => PermissionKind::Environment,
                Err(_) => {
                    let text = "type is invalid: there is no such value";
                    return Err(vec![FieldViolation::new("type", "defined_only", text)].into());
                }
            };
            let (size, token) = (page_size.unwrap_or_default(), page_token.unwrap_or_default());
            let page = permissions::list(&context, kind, size, &token).await?;
            Ok(ListPermissionsResponse {
                permissions: page.records.iter().map(shown_permission).collect(),
                prev_page_token: page.prev_page_token,
                next_page_token: page.next_page_token,
                total_size: page.total,
            })
        };
        answer(listed.await)
    }

    async fn delete_permission(
        &self,
        request: Request<DeletePermissionRequest>,
    ) -> Result<Response<()>, Status> {
        let deleted = async {
            let context = context_of(&request)?;
            permissions::delete(&context, &request.into_inner().permission_name).await
        };
        answer(deleted.await)
    }

    async fn list_role_permissions(
        &self,
        request: Request<ListRolePermissionsRequest>,
    ) -> Result<Response<ListRolePermissionsResponse>, Status> {
        let listed = async {
            let context = context_of(&request)?;
            let role = roles::find(&context, None, &request.into_inner().role_name).await?.role;
            Ok(ListRolePermissionsResponse {
                permissions: role.permissions.iter().map(shown_permission).collect(),
            })
        };
        answer(listed.await)
    }

    async fn add_permissions_to_role(
        &self,
        request: Request<AddPermissionsToRoleRequest>,
    ) -> Result<Response<AddPermissionsToRoleResponse>, Status> {
        let added = async {
            let context = context_of(&request)?;
            let AddPermissionsToRoleRequest { role_name, permission_names } = request.into_inner();
            let role = roles::add_permissions(&context, &role_name, &permission_names).await?;
            Ok(AddPermissionsToRoleResponse {
                permissions: role.permissions.iter().map(shown_permission).collect(),
            })
        };
        answer(added.await)
    }

    async fn remove_permission_from_role(
        &self,
        request: Request<RemovePermissionFromRoleRequest>,
    ) -> Result<Response<()>, Status> {
        let removed = async {
            let context = context_of(&request)?;
            let RemovePermissionFromRoleRequest { role_name, permission_name } = request.into_inner();
            roles::remove_permission(&context, &role_name, &permission_name).await
        };
        answer(removed.await)
    }

    async fn list_effective_role_permissions(
        &self,
        request: Request<ListEffectiveRolePermissionsRequest>,
    ) -> Result<Response<ListEffectiveRolePermissionsResponse>, Status> {
        let listed = async {
            let context = context_of(&request)?;
            let found = roles::find(&context, None, &request.into_inner().role_name).await?;
            let all = found.catalog.permissions(&found.role);
            let permissions = all.into_iter().map(|(permission, _)| shown_permission(permission)).collect();
            Ok(ListEffectiveRolePermissionsResponse { permissions })
        };
        answer(listed.await)
    }
}

/// Which permissions of a role are shown with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Include {
    Nothing,
    Own,
    /// Those of the roles that it extends too.
    Effective,
}

impl Include {
    fn parse(text: Option<&str>) -> Self {
        match text {
            Some("permissions") => Self::Own,
            Some("permissions:all") => Self::Effective,
            _ => Self::Nothing,
        }
    }
}

fn fields(role: UpdateRole) -> RoleFields {
    RoleFields {
        display_name: role.display_name,
        description: role.description,
        extends: role.extends,
        // Nobody can tell an empty list from an absent one.
        permissions: Some(role.permissions).filter(|permissions| !permissions.is_empty()),
    }
}

/// The name of a role that is named by its id or its name.
async fn name_of(context: &Context, id_or_name: &str) -> Result<String, ApiRefusal> {
    let catalog = roles::list(context, None).await?;
    let found = catalog.roles().iter().find(|role| role.id == id_or_name);
    Ok(found.map_or(id_or_name, |role| role.name.as_str()).to_owned())
}

/// The name of a role that is to be a default, by its own field or by the older one.
async fn default_name(
    context: &Context,
    name: Option<String>,
    older: Option<UpdateDefaultRole>,
) -> Result<Option<String>, ApiRefusal> {
    if let Some(name) = name.filter(|name| !name.is_empty()) {
        return Ok(Some(name));
    }
    match older {
        None => Ok(None),
        Some(UpdateDefaultRole { name: Some(name), .. }) if !name.is_empty() => Ok(Some(name)),
        Some(UpdateDefaultRole { id, .. }) => {
            let name = name_of(context, &id).await?;
            // A name is no id.
            if name == id {
                let text = format!("role not found: there is no role {id}");
                return Err(ApiRefusal::new(ApiErrorCode::NotFound, text));
            }
            Ok(Some(name))
        }
    }
}

fn shown_found(found: &FoundRole, include: Include) -> Role {
    shown(&found.catalog, &found.role, include)
}

fn shown_all(catalog: &RoleCatalog, include: Include) -> Vec<Role> {
    catalog.roles().iter().map(|role| shown(catalog, role, include)).collect()
}

fn shown(catalog: &RoleCatalog, role: &domain::Role, include: Include) -> Role {
    let all = match include {
        Include::Nothing => vec![],
        Include::Own => role.permissions.iter().map(|permission| (permission, role)).collect(),
        Include::Effective => catalog.permissions(role),
    };
    Role {
        id: role.id.clone(),
        name: role.name.clone(),
        display_name: role.display_name.clone(),
        description: role.description.clone(),
        default_creator: role.is_default_creator,
        default_member: catalog.default_member().is_some_and(|default| default.id == role.id),
        extends: catalog.base(role).map(|base| base.name.clone()),
        permissions: all.into_iter().map(|(permission, of)| shown_role_permission(permission, of)).collect(),
        dependent_roles_count: i32::try_from(role.dependents).unwrap_or(i32::MAX),
        is_org_role: role.organization_id.is_some(),
    }
}

fn shown_role_permission(permission: &permission_domain::Permission, of: &domain::Role) -> RolePermission {
    RolePermission {
        id: permission.id.clone(),
        name: permission.name.clone(),
        description: permission.description.clone(),
        create_time: Some(timestamp(permission.created_at_ms)),
        update_time: Some(timestamp(permission.updated_at_ms)),
        role_name: of.name.clone(),
    }
}

fn shown_permission(permission: &permission_domain::Permission) -> Permission {
    Permission {
        id: permission.id.clone(),
        name: permission.name.clone(),
        description: permission.description.clone(),
        create_time: Some(timestamp(permission.created_at_ms)),
        update_time: Some(timestamp(permission.updated_at_ms)),
        is_scalekit_permission: permission.is_scalekit(),
    }
}
