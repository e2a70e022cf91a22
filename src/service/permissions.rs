//! Permissions: what roles let their members do.

use super::api::ApiRefusal;
use super::{Failure, events, retry_on_conflict, total_of};
use crate::domain::api_error::{ApiErrorCode, FieldViolation};
use crate::domain::event::EventType;
use crate::domain::ids::IdKind;
use crate::domain::page::{Page, PageRequest, Position, Scope};
use crate::domain::permission::{MAX_PERMISSIONS, Permission, PermissionKind, RESERVED, is_scalekit};
use crate::runtime::Context;
use crate::storage::StoreError;

/// Records of a page where nobody says how many.
const PAGE_SIZE: u32 = 50;

/// Adds a permission.
pub async fn create(context: &Context, name: &str, description: &str) -> Result<Permission, ApiRefusal> {
    if is_scalekit(name) {
        let field = "permission.name";
        return Err(vec![FieldViolation::new(field, "name", format!("{field} {RESERVED}"))].into());
    }
    let (store, environment_id) = (context.store(), context.environment_id());
    retry_on_conflict(|| async {
        let version = store.roles_version(environment_id).await?;
        let count = store.count_permissions(environment_id, PermissionKind::Environment).await?;
        if count >= MAX_PERMISSIONS {
            let text = format!("there are as many permissions as there may be: {MAX_PERMISSIONS}");
            return Err(ApiRefusal::new(ApiErrorCode::FailedPrecondition, text));
        }
        let id = context.new_id(IdKind::Permission);
        let permission = Permission::new(id, name.to_owned(), description.to_owned(), context.now_ms());
        let event = events::of_permission(context, EventType::PermissionCreated, &permission);
        let is_done = store.insert_permission(environment_id, version, &permission, &event).await;
        Ok(is_done.map_err(duplicate)?.then_some(permission))
    })
    .await
}

/// Another permission has the same name.
fn duplicate(error: StoreError) -> ApiRefusal {
    if error.is_duplicate("name") {
        return ApiRefusal::duplicate("permission.name", "permission");
    }
    Failure::from(error).into()
}

/// Finds a permission.
pub async fn find(context: &Context, name: &str) -> Result<Permission, ApiRefusal> {
    let found = context.store().permission(context.environment_id(), name).await?;
    found.ok_or_else(|| {
        let text = format!("permission not found: there is no permission {name:?}");
        ApiRefusal::new(ApiErrorCode::NotFound, text)
    })
}

/// Lists permissions, newest first.
pub async fn list(
    context: &Context,
    kind: PermissionKind,
    page_size: u32,
    page_token: &str,
) -> Result<Page<Permission>, ApiRefusal> {
    let scope: Scope<'_> = &["permissions", kind.as_str()];
    let request =
        PageRequest::parse(page_size, PAGE_SIZE, page_token, scope).map_err(|violation| vec![violation])?;
    let (store, environment_id) = (context.store(), context.environment_id());
    let found = store.permissions(environment_id, kind, &request).await?;
    let total = total_of(&request, &found, store.count_permissions(environment_id, kind)).await?;
    Ok(request.page(found, total, scope, |permission| Position {
        created_at_ms: permission.created_at_ms,
        id: permission.id.clone(),
    }))
}

/// All permissions, oldest first.
pub async fn all(context: &Context) -> Result<Vec<Permission>, Failure> {
    Ok(context.store().all_permissions(context.environment_id()).await?)
}

/// Changes what a permission says of itself; the name that is sent with it has to be its own.
pub async fn update(
    context: &Context,
    name: &str,
    sent_name: &str,
    description: &str,
) -> Result<Permission, ApiRefusal> {
    retry_on_conflict(|| async {
        let mut permission = find_changeable(context, name).await?;
        if sent_name != name {
            let field = "permission.name";
            let text = format!("{field} is invalid: the name of a permission cannot be changed");
            return Err(vec![FieldViolation::new(field, "immutable", text)].into());
        }
        permission.description = description.to_owned();
        permission.updated_at_ms = context.now_ms();
        let event = events::of_permission(context, EventType::PermissionUpdated, &permission);
        let (store, environment_id) = (context.store(), context.environment_id());
        let is_done = store.update_permission(environment_id, &permission, &event).await?;
        Ok::<_, ApiRefusal>(is_done.then_some(permission))
    })
    .await
}

/// Deletes a permission, which takes it from all roles.
pub async fn delete(context: &Context, name: &str) -> Result<(), ApiRefusal> {
    retry_on_conflict(|| async {
        let permission = find_changeable(context, name).await?;
        let event = events::of_permission(context, EventType::PermissionDeleted, &permission);
        let (store, environment_id) = (context.store(), context.environment_id());
        let is_done = store.delete_permission(environment_id, &permission, &event).await?;
        Ok::<_, ApiRefusal>(is_done.then_some(()))
    })
    .await
}

async fn find_changeable(context: &Context, name: &str) -> Result<Permission, ApiRefusal> {
    let permission = find(context, name).await?;
    if permission.is_scalekit() {
        let text = format!("{name} is one of Scalekit's own permissions, which nobody changes or deletes");
        return Err(ApiRefusal::new(ApiErrorCode::FailedPrecondition, text));
    }
    Ok(permission)
}

/// The permissions of these names.
pub(super) async fn named(
    context: &Context,
    names: &[String],
    field: &str,
) -> Result<Vec<Permission>, ApiRefusal> {
    let found = existing(context, names).await?;
    for (at, name) in names.iter().enumerate() {
        if !found.iter().any(|permission| permission.name == *name) {
            let field = format!("{field}[{at}]");
            let text = format!("{field} is invalid: permission not found: {name}");
            return Err(vec![FieldViolation::new(field, "permission", text)].into());
        }
    }
    Ok(found)
}

/// Those of these names that there are.
pub(super) async fn existing(context: &Context, names: &[String]) -> Result<Vec<Permission>, Failure> {
    if names.is_empty() {
        return Ok(vec![]);
    }
    Ok(all(context).await?.into_iter().filter(|permission| names.contains(&permission.name)).collect())
}
