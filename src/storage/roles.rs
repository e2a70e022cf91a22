//! Roles, of environments and of their organizations. All changes of an environment's roles are written over the version
//! of the whole that was read, `environments.roles_version`: whether one may be depends on the others.

use super::environment_record::moving_roles_version;
use super::permissions::{self, HeldPermission, PermissionRow};
use super::{Batch, Statement, Store, StoreError, Transaction, events, row::row, sql};
use crate::domain::clock::UnixMs;
use crate::domain::event::Event;
use crate::domain::permission::Permission;
use crate::domain::role::Role;
use crate::domain::role_catalog::{RemovedRole, RoleCatalog, RoleDifference, RoleSeed};

row! {
    /// A role, once for each of its permissions.
    struct RoleRow {
        id: String,
        name: String,
        display_name: String,
        description: String,
        organization_id: Option<String>,
        is_default_creator: i64,
        is_default_member: i64,
        base_role_id: Option<String>,
        dependents: i64,
        created_at_ms: i64,
        updated_at_ms: i64,
        permission: HeldPermission,
    }
}

/// Roles of rows, of which those of one role come one after the other.
fn roles_of(rows: Vec<RoleRow>) -> Vec<Role> {
    let mut roles: Vec<Role> = vec![];
    for row in rows {
        if roles.last().is_none_or(|last| last.id != row.id) {
            roles.push(Role {
                description: row.description,
                organization_id: row.organization_id,
                is_default_creator: row.is_default_creator == 1,
                is_default_member: row.is_default_member == 1,
                base_id: row.base_role_id,
                dependents: row.dependents,
                updated_at_ms: row.updated_at_ms,
                ..Role::new(row.id, row.name, row.display_name, row.created_at_ms)
            });
        }
        if let Some(role) = roles.last_mut() {
            role.permissions.extend(row.permission.0);
        }
    }
    roles
}

/// Reads the roles of an environment that meet a condition, oldest first.
macro_rules! roles_where {
    ($condition:literal) => {
        sql(concat!(
            "SELECT r.id, r.name, r.display_name, r.description, r.organization_id, r.is_default_creator, \
             r.is_default_member, r.created_at_ms, r.updated_at_ms, b.base_role_id, \
             (SELECT COUNT(*) FROM role_bases d WHERE d.environment_id = r.environment_id AND d.base_role_id = r.id) \
             AS dependents, p.id AS permission_id, p.version AS permission_version, p.name AS permission_name, \
             p.description AS permission_description, p.created_at_ms AS permission_created_at_ms, \
             p.updated_at_ms AS permission_updated_at_ms FROM roles r \
             LEFT JOIN role_bases b ON b.environment_id = r.environment_id AND b.role_id = r.id \
             LEFT JOIN role_permissions g ON g.environment_id = r.environment_id AND g.role_id = r.id \
             LEFT JOIN permissions p ON p.environment_id = g.environment_id AND p.id = g.permission_id \
             WHERE r.environment_id = $1 AND ",
            $condition,
            " ORDER BY r.created_at_ms, r.id, p.created_at_ms, p.id"
        ))
    };
}

fn of_environment(environment_id: &str) -> Statement {
    roles_where!("r.organization_id IS NULL").bind(environment_id.to_owned())
}

impl Store {
    /// Grows with every change of roles, and when permissions are added.
    pub async fn roles_version(&self, environment_id: &str) -> Result<i64, StoreError> {
        let query = sql("SELECT roles_version FROM environments WHERE id = $1").bind(environment_id);
        let (version,): (i64,) = query.fetch_one(&self.pool).await?;
        Ok(version)
    }

    /// The roles of an environment or, with an organization, those that its members can have.
    pub async fn role_catalog(
        &self,
        environment_id: &str,
        organization_id: Option<&str>,
    ) -> Result<RoleCatalog, StoreError> {
        let rows: Vec<RoleRow> = of_environment(environment_id).fetch_all(&self.pool).await?;
        let mut roles = roles_of(rows);
        let Some(organization_id) = organization_id else { return Ok(RoleCatalog::of_environment(roles)) };
        let query = roles_where!("r.organization_id = $2").bind(environment_id).bind(organization_id);
        let rows: Vec<RoleRow> = query.fetch_all(&self.pool).await?;
        roles.extend(roles_of(rows));
        let query = sql("SELECT role_id FROM organization_default_roles \
             WHERE environment_id = $1 AND organization_id = $2");
        let query = query.bind(environment_id).bind(organization_id);
        let default: Option<(String,)> = query.fetch_optional(&self.pool).await?;
        Ok(RoleCatalog::of_organization(organization_id.to_owned(), default.map(|(id,)| id), roles))
    }

    /// The roles that extend a role, those of organizations included, oldest first; as many as one would look at.
    pub async fn dependent_roles(
        &self,
        environment_id: &str,
        role_id: &str,
    ) -> Result<Vec<Role>, StoreError> {
        let query = roles_where!(
            "r.id IN (SELECT role_id FROM role_bases WHERE environment_id = $1 AND base_role_id = $2 \
             ORDER BY role_id LIMIT 1000)"
        );
        let rows: Vec<RoleRow> = query.bind(environment_id).bind(role_id).fetch_all(&self.pool).await?;
        Ok(roles_of(rows))
    }

    /// Has any organization a role of this name?
    pub async fn is_role_of_organization(
        &self,
        environment_id: &str,
        name: &str,
    ) -> Result<bool, StoreError> {
        let query = sql("SELECT COUNT(*) FROM roles \
             WHERE environment_id = $1 AND name = $2 AND organization_id IS NOT NULL");
        let (count,): (i64,) = query.bind(environment_id).bind(name).fetch_one(&self.pool).await?;
        Ok(count > 0)
    }

    /// Has anybody this role, whatever the membership is?
    pub async fn is_role_held(&self, environment_id: &str, role_id: &str) -> Result<bool, StoreError> {
        let query =
            sql("SELECT role_id FROM membership_roles WHERE environment_id = $1 AND role_id = $2 LIMIT 1");
        let found: Option<(String,)> =
            query.bind(environment_id).bind(role_id).fetch_optional(&self.pool).await?;
        Ok(found.is_some())
    }

    /// How many users have this role themselves, in one organization or in all, as active members or by an invitation that
    /// they can still accept.
    pub async fn count_role_users(
        &self,
        environment_id: &str,
        organization_id: Option<&str>,
        role_id: &str,
        now_ms: UnixMs,
    ) -> Result<i64, StoreError> {
        let query = sql("SELECT COUNT(DISTINCT g.user_id) FROM membership_roles g JOIN memberships m \
             ON m.environment_id = g.environment_id AND m.user_id = g.user_id \
             AND m.organization_id = g.organization_id WHERE g.environment_id = $1 AND g.role_id = $2 \
             AND (m.status = 'ACTIVE' OR (m.status = 'PENDING_INVITE' AND m.expires_at_ms > $3)) \
             AND ($4 = '' OR g.organization_id = $4)");
        let query = query.bind(environment_id).bind(role_id).bind(now_ms);
        let query = query.bind(organization_id.unwrap_or_default());
        let (count,): (i64,) = query.fetch_one(&self.pool).await?;
        Ok(count)
    }

    /// Makes the roles those of `after`; `false` when roles were changed since this version was read.
    pub async fn change_roles(
        &self,
        environment_id: &str,
        version: i64,
        before: &RoleCatalog,
        after: &RoleCatalog,
        happened: &[Event],
    ) -> Result<bool, StoreError> {
        let mut batch = Batch::default();
        batch.require_one_row(moving_roles_version(environment_id, version));
        finish(&mut batch, environment_id, before, after, happened);
        Ok(self.commit(batch).await?.is_some())
    }

    /// Makes the roles those of `after`, in which one was removed, and lets its members have its heir; `false` when roles
    /// were changed since this version was read or, without an heir, somebody has the role.
    pub async fn delete_role(
        &self,
        environment_id: &str,
        version: i64,
        before: &RoleCatalog,
        after: &RoleCatalog,
        removed: &RemovedRole,
        happened: &[Event],
    ) -> Result<bool, StoreError> {
        let mut batch = Batch::default();
        batch.require_one_row(moving_roles_version(environment_id, version));
        if !self.is_embedded() {
            // Who is being given the role at this moment is seen behind this, and nobody is given it from now on. The
            // embedded engine writes one transaction after the other anyway.
            let query = sql("SELECT id FROM roles WHERE environment_id = $1 AND id = $2 FOR UPDATE");
            batch.require_one_row(query.bind(environment_id.to_owned()).bind(removed.id.clone()));
        }
        match &removed.heir_id {
            Some(heir_id) => replace(&mut batch, environment_id, &removed.id, heir_id),
            None => {
                let query = sql("SELECT CAST(1 AS BIGINT) AS is_free WHERE NOT EXISTS \
                     (SELECT 1 FROM membership_roles WHERE environment_id = $1 AND role_id = $2)");
                batch.require_one_row(query.bind(environment_id.to_owned()).bind(removed.id.clone()));
            }
        }
        finish(&mut batch, environment_id, before, after, happened);
        Ok(self.commit(batch).await?.is_some())
    }
}

fn finish(
    batch: &mut Batch,
    environment_id: &str,
    before: &RoleCatalog,
    after: &RoleCatalog,
    happened: &[Event],
) {
    for statement in writing(environment_id, before, after) {
        batch.write(statement);
    }
    for event in happened {
        events::write(batch, environment_id, event);
    }
}

/// Gives who has a role another one, and lets what extends it extend that.
fn replace(batch: &mut Batch, environment_id: &str, role_id: &str, heir_id: &str) {
    let giving = sql("INSERT INTO membership_roles (environment_id, user_id, organization_id, role_id) \
         SELECT environment_id, user_id, organization_id, $3 FROM membership_roles g \
         WHERE environment_id = $1 AND role_id = $2 AND NOT EXISTS (SELECT 1 FROM membership_roles h \
         WHERE h.environment_id = $1 AND h.user_id = g.user_id AND h.organization_id = g.organization_id \
         AND h.role_id = $3)");
    // What the heir extends from now on is written with the roles.
    let extending = sql("UPDATE role_bases SET base_role_id = $3 \
         WHERE environment_id = $1 AND base_role_id = $2 AND role_id <> $3");
    for query in [giving, extending] {
        batch.write(query.bind(environment_id.to_owned()).bind(role_id.to_owned()).bind(heir_id.to_owned()));
    }
}

/// What makes stored roles those of `after`; `before` are the ones that are stored.
fn writing(environment_id: &str, before: &RoleCatalog, after: &RoleCatalog) -> Vec<Statement> {
    let (mut roles, mut parts) = (vec![], vec![]);
    for difference in before.differences(after) {
        match difference {
            RoleDifference::Removed(role) => roles.push(deleting(environment_id, &role.id)),
            RoleDifference::Added(role) => {
                roles.push(inserting(environment_id, role));
                write_parts(&mut parts, environment_id, None, role);
            }
            RoleDifference::Changed { before, after } => {
                roles.push(updating(environment_id, after));
                write_parts(&mut parts, environment_id, Some(before), after);
            }
        }
    }
    // What a role refers to may be new too.
    roles.extend(parts);
    write_defaults(&mut roles, environment_id, before, after);
    roles
}

fn deleting(environment_id: &str, role_id: &str) -> Statement {
    let query = sql("DELETE FROM roles WHERE environment_id = $1 AND id = $2");
    query.bind(environment_id.to_owned()).bind(role_id.to_owned())
}

fn inserting(environment_id: &str, role: &Role) -> Statement {
    let query =
        sql("INSERT INTO roles (environment_id, id, display_name, description, updated_at_ms, name, \
         organization_id, created_at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)");
    let query = bind_fields(query, environment_id, role).bind(role.name.clone());
    query.bind(role.organization_id.clone()).bind(role.created_at_ms)
}

fn updating(environment_id: &str, role: &Role) -> Statement {
    let query = sql("UPDATE roles SET version = version + 1, display_name = $3, description = $4, \
         updated_at_ms = $5 WHERE environment_id = $1 AND id = $2");
    bind_fields(query, environment_id, role)
}

/// Binds what can change of a role to $1 to $5, with the names that the statements above give them.
fn bind_fields(query: Statement, environment_id: &str, role: &Role) -> Statement {
    query
        .bind(environment_id.to_owned())
        .bind(role.id.clone())
        .bind(role.display_name.clone())
        .bind(role.description.clone())
        .bind(role.updated_at_ms)
}

/// Writes which role it extends and which permissions it has.
fn write_parts(parts: &mut Vec<Statement>, environment_id: &str, before: Option<&Role>, after: &Role) {
    let of_role = |query: Statement| query.bind(environment_id.to_owned()).bind(after.id.clone());
    if before.and_then(|role| role.base_id.as_ref()) != after.base_id.as_ref() {
        parts.push(of_role(sql("DELETE FROM role_bases WHERE environment_id = $1 AND role_id = $2")));
        if let Some(base_id) = after.base_id.clone() {
            let query =
                sql("INSERT INTO role_bases (environment_id, role_id, base_role_id) VALUES ($1, $2, $3)");
            parts.push(of_role(query).bind(base_id));
        }
    }
    let held = before.map(|role| role.permissions.as_slice()).unwrap_or_default();
    let is_among = |list: &[Permission], id: &str| list.iter().any(|permission| permission.id == id);
    for taken in held.iter().filter(|held| !is_among(&after.permissions, &held.id)) {
        let query = sql("DELETE FROM role_permissions \
             WHERE environment_id = $1 AND role_id = $2 AND permission_id = $3");
        parts.push(of_role(query).bind(taken.id.clone()));
    }
    for given in after.permissions.iter().filter(|given| !is_among(held, &given.id)) {
        let query =
            sql("INSERT INTO role_permissions (environment_id, role_id, permission_id) VALUES ($1, $2, $3)");
        parts.push(of_role(query).bind(given.id.clone()));
    }
}

/// Writes which roles are defaults. Of each there is one at any time, so they are taken from all before one is given.
fn write_defaults(
    statements: &mut Vec<Statement>,
    environment_id: &str,
    before: &RoleCatalog,
    after: &RoleCatalog,
) {
    let ids = |catalog: &RoleCatalog| {
        let id = |role: Option<&Role>| role.map(|role| role.id.clone());
        let member = catalog.roles().iter().find(|role| role.is_default_member);
        (id(catalog.default_creator()), id(member))
    };
    if ids(before) != ids(after) {
        let query = sql("UPDATE roles SET is_default_creator = 0, is_default_member = 0 \
             WHERE environment_id = $1 AND (is_default_creator = 1 OR is_default_member = 1)");
        statements.push(query.bind(environment_id.to_owned()));
        for role in after.roles().iter().filter(|role| role.is_default()) {
            let query = sql("UPDATE roles SET is_default_creator = $3, is_default_member = $4 \
                 WHERE environment_id = $1 AND id = $2");
            let query = query.bind(environment_id.to_owned()).bind(role.id.clone());
            let query = query.bind(i64::from(role.is_default_creator));
            statements.push(query.bind(i64::from(role.is_default_member)));
        }
    }
    let Some(organization_id) = after.organization_id() else { return };
    if before.organization_default_id() != after.organization_default_id() {
        let query =
            sql("DELETE FROM organization_default_roles WHERE environment_id = $1 AND organization_id = $2");
        statements.push(query.bind(environment_id.to_owned()).bind(organization_id.to_owned()));
        if let Some(role_id) = after.organization_default_id() {
            let query =
                sql("INSERT INTO organization_default_roles (environment_id, organization_id, role_id) \
                 VALUES ($1, $2, $3)");
            let query = query.bind(environment_id.to_owned()).bind(organization_id.to_owned());
            statements.push(query.bind(role_id.to_owned()));
        }
    }
}

/// Writes the roles that a new environment has, with Scalekit's own permissions.
pub(super) async fn insert_initial(
    connection: &mut Transaction,
    environment_id: &str,
    now_ms: UnixMs,
) -> Result<(), StoreError> {
    permissions::inserting_initial(environment_id, now_ms).execute(&mut *connection).await?;
    let [admin, member] = Role::initial(now_ms);
    sql("INSERT INTO roles (environment_id, id, name, display_name, is_default_creator, is_default_member, \
         created_at_ms, updated_at_ms) VALUES ($1, $3, $4, $5, 1, 0, $2, $2), ($1, $6, $7, $8, 0, 1, $2, $2)")
    .bind(environment_id.to_owned())
    .bind(now_ms)
    .bind(admin.id.clone())
    .bind(admin.name)
    .bind(admin.display_name)
    .bind(member.id.clone())
    .bind(member.name)
    .bind(member.display_name)
    .execute(&mut *connection)
    .await?;
    // Members may read what creators may change.
    sql("INSERT INTO role_permissions (environment_id, role_id, permission_id) \
         SELECT r.environment_id, r.id, p.id FROM roles r JOIN permissions p ON p.environment_id = r.environment_id \
         WHERE r.environment_id = $1 AND (r.id = $2 OR p.name LIKE '%~_read' ESCAPE '~')")
        .bind(environment_id.to_owned())
        .bind(admin.id)
        .execute(&mut *connection)
        .await?;
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

/// Gives a member the role that members of the organization have where nobody says otherwise.
pub(super) fn giving_member_role(environment_id: &str, user_id: &str, organization_id: &str) -> Statement {
    sql("INSERT INTO membership_roles (environment_id, user_id, organization_id, role_id) \
         SELECT r.environment_id, $2, $3, r.id FROM roles r WHERE r.environment_id = $1 AND r.id = COALESCE(\
         (SELECT d.role_id FROM organization_default_roles d WHERE d.environment_id = $1 AND d.organization_id = $3), \
         (SELECT m.id FROM roles m WHERE m.environment_id = $1 AND m.is_default_member = 1))")
    .bind(environment_id.to_owned())
    .bind(user_id.to_owned())
    .bind(organization_id.to_owned())
}

/// Gives a member a role of the environment, if there is one of that name.
pub(super) fn giving_role_named(
    environment_id: &str,
    user_id: &str,
    organization_id: &str,
    name: &str,
) -> Statement {
    sql("INSERT INTO membership_roles (environment_id, user_id, organization_id, role_id) \
         SELECT r.environment_id, $2, $3, r.id FROM roles r WHERE r.environment_id = $1 \
         AND r.organization_id IS NULL AND r.name = $4 ON CONFLICT DO NOTHING")
    .bind(environment_id.to_owned())
    .bind(user_id.to_owned())
    .bind(organization_id.to_owned())
    .bind(name.to_owned())
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

/// Writes the roles and permissions of a seed: new ones are made, earlier ones take the seeded values.
pub(super) async fn seed(
    connection: &mut Transaction,
    environment_id: &str,
    roles: &[RoleSeed],
    new_permissions: &[Permission],
    now_ms: UnixMs,
) -> Result<(), StoreError> {
    if roles.is_empty() && new_permissions.is_empty() {
        return Ok(());
    }
    // Others wait here, and what they read before is out of date then.
    let query = sql("UPDATE environments SET roles_version = roles_version + 1 WHERE id = $1");
    query.bind(environment_id.to_owned()).execute(&mut *connection).await?;
    permissions::seed(connection, environment_id, new_permissions).await?;
    let all: Vec<PermissionRow> = permissions::all(environment_id).fetch_all(&mut *connection).await?;
    let all: Vec<Permission> = all.into_iter().map(Permission::from).collect();
    let rows: Vec<RoleRow> = of_environment(environment_id).fetch_all(&mut *connection).await?;
    let before = RoleCatalog::of_environment(roles_of(rows));
    let mut after = before.clone();
    after.seed(roles, &all, now_ms);
    after.date_changes(&before, now_ms);
    for statement in writing(environment_id, &before, &after) {
        statement.execute(&mut *connection).await?;
    }
    Ok(())
}
