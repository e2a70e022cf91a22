//! Permissions of an environment.

use super::environment_record::moving_roles_version;
use super::row::{Column, row};
use super::{Batch, Statement, Store, StoreError, Transaction, events, sql};
use crate::domain::clock::UnixMs;
use crate::domain::event::Event;
use crate::domain::page::{PageAnchor, PageRequest};
use crate::domain::permission::{Permission, PermissionKind};

row! {
    pub(super) struct PermissionRow {
        id: String,
        version: i64,
        name: String,
        description: String,
        created_at_ms: i64,
        updated_at_ms: i64,
    }
}

impl From<PermissionRow> for Permission {
    fn from(row: PermissionRow) -> Self {
        Self {
            id: row.id,
            version: row.version,
            name: row.name,
            description: row.description,
            created_at_ms: row.created_at_ms,
            updated_at_ms: row.updated_at_ms,
        }
    }
}

/// A permission beside the role that has it; `None`: it has none.
pub(super) struct HeldPermission(pub(super) Option<Permission>);

impl Column for HeldPermission {
    fn read(row: &sqlx::any::AnyRow, _name: &str) -> Result<Self, sqlx::Error> {
        let Some(id) = Option::<String>::read(row, "permission_id")? else { return Ok(Self(None)) };
        Ok(Self(Some(Permission {
            id,
            version: i64::read(row, "permission_version")?,
            name: String::read(row, "permission_name")?,
            description: String::read(row, "permission_description")?,
            created_at_ms: i64::read(row, "permission_created_at_ms")?,
            updated_at_ms: i64::read(row, "permission_updated_at_ms")?,
        })))
    }
}

/// All permissions, oldest first.
pub(super) fn all(environment_id: &str) -> Statement {
    let query = sql("SELECT id, version, name, description, created_at_ms, updated_at_ms FROM permissions \
         WHERE environment_id = $1 ORDER BY created_at_ms, id");
    query.bind(environment_id.to_owned())
}

impl Store {
    /// All permissions of an environment, oldest first.
    pub async fn all_permissions(&self, environment_id: &str) -> Result<Vec<Permission>, StoreError> {
        let rows: Vec<PermissionRow> = all(environment_id).fetch_all(&self.pool).await?;
        Ok(rows.into_iter().map(Permission::from).collect())
    }

    /// A page of permissions, newest first, as [`PageRequest::page`] takes it.
    pub async fn permissions(
        &self,
        environment_id: &str,
        kind: PermissionKind,
        page: &PageRequest,
    ) -> Result<Vec<Permission>, StoreError> {
        let query = match &page.anchor {
            PageAnchor::Newest | PageAnchor::After(_) => {
                sql("SELECT id, version, name, description, created_at_ms, updated_at_ms FROM permissions \
                 WHERE environment_id = $1 AND (created_at_ms, id) < ($2, $3) AND ($4 = 'ALL' \
                 OR ($4 = 'SCALEKIT' AND name LIKE 'sk~_%' ESCAPE '~') \
                 OR ($4 = 'ENVIRONMENT' AND name NOT LIKE 'sk~_%' ESCAPE '~')) \
                 ORDER BY created_at_ms DESC, id DESC LIMIT $5")
            }
            PageAnchor::Before(_) => {
                sql("SELECT id, version, name, description, created_at_ms, updated_at_ms FROM permissions \
                 WHERE environment_id = $1 AND (created_at_ms, id) > ($2, $3) AND ($4 = 'ALL' \
                 OR ($4 = 'SCALEKIT' AND name LIKE 'sk~_%' ESCAPE '~') \
                 OR ($4 = 'ENVIRONMENT' AND name NOT LIKE 'sk~_%' ESCAPE '~')) \
                 ORDER BY created_at_ms, id LIMIT $5")
            }
        };
        let (created_at_ms, id) = page.anchor.bound();
        let query = query.bind(environment_id).bind(created_at_ms).bind(id.to_owned());
        let query = query.bind(kind.as_str()).bind(page.limit());
        let rows: Vec<PermissionRow> = query.fetch_all(&self.pool).await?;
        Ok(rows.into_iter().map(Permission::from).collect())
    }

    /// How many permissions there are.
    pub async fn count_permissions(
        &self,
        environment_id: &str,
        kind: PermissionKind,
    ) -> Result<i64, StoreError> {
        let query = sql("SELECT COUNT(*) FROM permissions WHERE environment_id = $1 AND ($2 = 'ALL' \
             OR ($2 = 'SCALEKIT' AND name LIKE 'sk~_%' ESCAPE '~') \
             OR ($2 = 'ENVIRONMENT' AND name NOT LIKE 'sk~_%' ESCAPE '~'))");
        let query = query.bind(environment_id).bind(kind.as_str());
        let (count,): (i64,) = query.fetch_one(&self.pool).await?;
        Ok(count)
    }

    /// The permission of this name.
    pub async fn permission(
        &self,
        environment_id: &str,
        name: &str,
    ) -> Result<Option<Permission>, StoreError> {
        let query =
            sql("SELECT id, version, name, description, created_at_ms, updated_at_ms FROM permissions \
             WHERE environment_id = $1 AND name = $2");
        let row: Option<PermissionRow> =
            query.bind(environment_id).bind(name).fetch_optional(&self.pool).await?;
        Ok(row.map(Permission::from))
    }

    /// Adds a permission; `false` when roles or permissions were added or changed since this version of the environment's
    /// roles was read. [`StoreError::Exists`]: the name is taken.
    pub async fn insert_permission(
        &self,
        environment_id: &str,
        roles_version: i64,
        permission: &Permission,
        event: &Event,
    ) -> Result<bool, StoreError> {
        let mut batch = Batch::default();
        batch.require_one_row(moving_roles_version(environment_id, roles_version));
        batch.write(inserting(environment_id, permission));
        events::write(&mut batch, environment_id, event);
        Ok(self.commit(batch).await?.is_some())
    }

    /// Replaces what is known of a permission; `false` when it was changed or deleted since its version was read.
    pub async fn update_permission(
        &self,
        environment_id: &str,
        permission: &Permission,
        event: &Event,
    ) -> Result<bool, StoreError> {
        let mut batch = Batch::default();
        let query =
            sql("UPDATE permissions SET version = version + 1, description = $4, updated_at_ms = $5 \
             WHERE environment_id = $1 AND id = $2 AND version = $3");
        let query = query.bind(environment_id).bind(permission.id.clone()).bind(permission.version);
        batch.require_one_row(query.bind(permission.description.clone()).bind(permission.updated_at_ms));
        events::write(&mut batch, environment_id, event);
        Ok(self.commit(batch).await?.is_some())
    }

    /// Deletes a permission, which takes it from all roles; `false` when it was changed or deleted since its version was read.
    pub async fn delete_permission(
        &self,
        environment_id: &str,
        permission: &Permission,
        event: &Event,
    ) -> Result<bool, StoreError> {
        let mut batch = Batch::default();
        let query = sql("DELETE FROM permissions WHERE environment_id = $1 AND id = $2 AND version = $3");
        batch
            .require_one_row(query.bind(environment_id).bind(permission.id.clone()).bind(permission.version));
        events::write(&mut batch, environment_id, event);
        Ok(self.commit(batch).await?.is_some())
    }
}

fn inserting(environment_id: &str, permission: &Permission) -> Statement {
    let query = sql("INSERT INTO permissions (environment_id, id, name, description, created_at_ms, \
         updated_at_ms) VALUES ($1, $2, $3, $4, $5, $6)");
    query
        .bind(environment_id.to_owned())
        .bind(permission.id.clone())
        .bind(permission.name.clone())
        .bind(permission.description.clone())
        .bind(permission.created_at_ms)
        .bind(permission.updated_at_ms)
}

/// All of Scalekit's own permissions at once: environments of tests are made by the thousand.
pub(super) fn inserting_initial(environment_id: &str, now_ms: UnixMs) -> Statement {
    let query =
        sql("INSERT INTO permissions (environment_id, created_at_ms, updated_at_ms, id, name, description) \
         VALUES ($1, $2, $2, $3, $4, $5), ($1, $2, $2, $6, $7, $8), ($1, $2, $2, $9, $10, $11), \
         ($1, $2, $2, $12, $13, $14), ($1, $2, $2, $15, $16, $17), ($1, $2, $2, $18, $19, $20), \
         ($1, $2, $2, $21, $22, $23), ($1, $2, $2, $24, $25, $26), ($1, $2, $2, $27, $28, $29), \
         ($1, $2, $2, $30, $31, $32), ($1, $2, $2, $33, $34, $35), ($1, $2, $2, $36, $37, $38)");
    let query = query.bind(environment_id.to_owned()).bind(now_ms);
    Permission::initial(now_ms).into_iter().fold(query, |query, permission| {
        query.bind(permission.id).bind(permission.name).bind(permission.description)
    })
}

/// Writes the permissions of a seed: new ones are made, earlier ones take the seeded description.
pub(super) async fn seed(
    connection: &mut Transaction,
    environment_id: &str,
    permissions: &[Permission],
) -> Result<(), StoreError> {
    for permission in permissions {
        let query = sql("INSERT INTO permissions (environment_id, id, name, description, created_at_ms, \
             updated_at_ms) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (environment_id, name) DO UPDATE SET version = permissions.version + 1, \
             description = excluded.description, updated_at_ms = excluded.updated_at_ms \
             WHERE permissions.description <> excluded.description");
        query
            .bind(environment_id.to_owned())
            .bind(permission.id.clone())
            .bind(permission.name.clone())
            .bind(permission.description.clone())
            .bind(permission.created_at_ms)
            .bind(permission.updated_at_ms)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
