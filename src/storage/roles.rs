//! Roles of an environment.

use super::{Batch, Statement, Store, StoreError, Transaction, row::row, sql};
use crate::domain::clock::UnixMs;
use crate::domain::role::Role;

row! {
    struct RoleRow {
        id: String,
        name: String,
        display_name: String,
        is_default_creator: i64,
        is_default_member: i64,
    }
}

impl From<RoleRow> for Role {
    fn from(row: RoleRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            display_name: row.display_name,
            is_default_creator: row.is_default_creator == 1,
            is_default_member: row.is_default_member == 1,
        }
    }
}

impl Store {
    /// The roles of an environment, oldest first.
    pub async fn roles(&self, environment_id: &str) -> Result<Vec<Role>, StoreError> {
        let query = sql("SELECT id, name, display_name, is_default_creator, is_default_member FROM roles \
             WHERE environment_id = $1 ORDER BY id");
        let rows: Vec<RoleRow> = query.bind(environment_id).fetch_all(&self.pool).await?;
        Ok(rows.into_iter().map(Role::from).collect())
    }
}

/// Writes the roles that a new environment has.
pub(super) async fn insert_initial(
    connection: &mut Transaction,
    environment_id: &str,
    now_ms: UnixMs,
) -> Result<(), StoreError> {
    for role in Role::initial() {
        sql(
            "INSERT INTO roles (environment_id, id, name, display_name, is_default_creator, is_default_member, \
             created_at_ms, updated_at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $7)",
        )
        .bind(environment_id.to_owned())
        .bind(role.id)
        .bind(role.name)
        .bind(role.display_name)
        .bind(i64::from(role.is_default_creator))
        .bind(i64::from(role.is_default_member))
        .bind(now_ms)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// Gives the creator of an organization the role for that, where this user is there.
pub(super) fn giving_creator_role(environment_id: &str, user_id: &str, organization_id: &str) -> Statement {
    sql("INSERT INTO membership_roles (environment_id, user_id, organization_id, role_id) \
         SELECT m.environment_id, m.user_id, m.organization_id, r.id FROM memberships m \
         JOIN roles r ON r.environment_id = m.environment_id AND r.is_default_creator = 1 \
         WHERE m.environment_id = $1 AND m.user_id = $2 AND m.organization_id = $3")
    .bind(environment_id.to_owned())
    .bind(user_id.to_owned())
    .bind(organization_id.to_owned())
}

/// Gives a member these roles.
pub(super) fn give<'r>(
    batch: &mut Batch,
    environment_id: &str,
    user_id: &str,
    organization_id: &str,
    role_ids: impl Iterator<Item = &'r str>,
) {
    for role_id in role_ids {
        let query = sql(
            "INSERT INTO membership_roles (environment_id, user_id, organization_id, role_id) VALUES ($1, $2, $3, $4)",
        );
        let query = query.bind(environment_id.to_owned()).bind(user_id.to_owned());
        batch.write(query.bind(organization_id.to_owned()).bind(role_id.to_owned()));
    }
}
