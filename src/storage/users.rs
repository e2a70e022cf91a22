//! Users and the organizations they belong to.

use super::environment_record::template_id;
use super::{
    Batch, SeedOrganization, Statement, Store, StoreError, Transaction, like_key_pattern, like_pattern,
    organizations, row::row, sql,
};
use crate::domain::clock::UnixMs;
use crate::domain::email::EmailAddress;
use crate::domain::user::User;

/// A user that configuration asks for.
#[derive(Debug, Clone)]
pub struct SeedUser {
    pub id: String,
    pub email: EmailAddress,
    pub name: Option<String>,
    pub given_name: Option<String>,
    pub family_name: Option<String>,
    pub picture: Option<String>,
    pub locale: Option<String>,
    pub external_id: Option<String>,
    /// Ids of the organizations the user belongs to.
    pub organization_ids: Vec<String>,
}

row! {
    pub(super) struct UserRow {
        id: String,
        email: String,
        name: Option<String>,
        given_name: Option<String>,
        family_name: Option<String>,
        picture: Option<String>,
        locale: Option<String>,
        external_id: Option<String>,
        created_at_ms: i64,
        updated_at_ms: i64,
    }
}

impl From<UserRow> for User {
    fn from(row: UserRow) -> Self {
        Self {
            id: row.id,
            email: row.email,
            name: row.name,
            given_name: row.given_name,
            family_name: row.family_name,
            picture: row.picture,
            locale: row.locale,
            external_id: row.external_id,
            created_at_ms: row.created_at_ms,
            updated_at_ms: row.updated_at_ms,
        }
    }
}

/// A user with what lists show.
#[derive(Debug, Clone)]
pub struct ListedUser {
    pub user: User,
    /// Grows with every change; see [`Store::update_user`].
    pub version: i64,
    pub last_sign_in_at_ms: Option<UnixMs>,
    pub organization_ids: Vec<String>,
}

row! {
    /// A user of a page, once for each organization.
    struct ListedUserRow {
        user: UserRow,
        version: i64,
        last_sign_in_at_ms: Option<i64>,
        organization_id: Option<String>,
    }
}

/// Which people, organizations or sessions to list.
#[derive(Debug, Clone, Default)]
pub struct PeopleFilter {
    /// Part of an address, a name or an external id; case does not count.
    pub query: Option<String>,
    pub id: Option<String>,
    pub user_id: Option<String>,
    pub offset: i64,
    pub limit: i64,
}

impl PeopleFilter {
    pub(super) fn pattern(&self) -> String {
        self.query.as_deref().filter(|q| !q.is_empty()).map(like_pattern).unwrap_or_default()
    }

    pub(super) fn key_pattern(&self) -> String {
        self.query.as_deref().filter(|q| !q.is_empty()).map(like_key_pattern).unwrap_or_default()
    }
}

impl Store {
    /// Users, newest first.
    pub async fn users(
        &self,
        environment_id: &str,
        filter: &PeopleFilter,
    ) -> Result<Vec<ListedUser>, StoreError> {
        let rows: Vec<ListedUserRow> = sql(
            "SELECT u.id, u.email, u.name, u.given_name, u.family_name, u.picture, u.locale, u.external_id, \
             u.created_at_ms, u.updated_at_ms, u.version, u.last_sign_in_at_ms, m.organization_id \
             FROM (SELECT * FROM users WHERE environment_id = $1 AND ($2 = '' OR id = $2) \
             AND ($3 = '' OR email_key LIKE $3 ESCAPE '~' OR email_key LIKE $6 ESCAPE '~' \
             OR LOWER(COALESCE(name, '')) LIKE $3 ESCAPE '~' OR LOWER(COALESCE(external_id, '')) LIKE $3 ESCAPE '~') \
             ORDER BY created_at_ms DESC, id DESC LIMIT $4 OFFSET $5) u \
             LEFT JOIN memberships m ON m.environment_id = u.environment_id AND m.user_id = u.id \
             ORDER BY u.created_at_ms DESC, u.id DESC, m.created_at_ms, m.organization_id",
        )
        .bind(environment_id)
        .bind(filter.id.clone().unwrap_or_default())
        .bind(filter.pattern())
        .bind(filter.limit)
        .bind(filter.offset)
        .bind(filter.key_pattern())
        .fetch_all(&self.pool)
        .await?;
        let mut listed: Vec<ListedUser> = vec![];
        for row in rows {
            match listed.last_mut() {
                Some(last) if last.user.id == row.user.id => {
                    last.organization_ids.extend(row.organization_id);
                }
                _ => listed.push(ListedUser {
                    user: User::from(row.user),
                    version: row.version,
                    last_sign_in_at_ms: row.last_sign_in_at_ms,
                    organization_ids: row.organization_id.into_iter().collect(),
                }),
            }
        }
        Ok(listed)
    }

    pub async fn listed_user(
        &self,
        environment_id: &str,
        id: &str,
    ) -> Result<Option<ListedUser>, StoreError> {
        if id.is_empty() {
            return Ok(None);
        }
        let filter = PeopleFilter { id: Some(id.to_owned()), limit: 1, ..PeopleFilter::default() };
        Ok(self.users(environment_id, &filter).await?.into_iter().next())
    }

    /// Adds a user. [`StoreError::Exists`]: the address, the id or the external id is taken.
    pub async fn insert_user(
        &self,
        environment_id: &str,
        user: &SeedUser,
        now_ms: UnixMs,
    ) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        let query = sql(
            "INSERT INTO users (environment_id, id, email, email_key, name, given_name, family_name, picture, \
             locale, external_id, created_at_ms, updated_at_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)",
        );
        batch.write(bind_fields(query, environment_id, user).bind(now_ms));
        for organization_id in &user.organization_ids {
            batch.write(adding_membership(environment_id, &user.id, organization_id, now_ms));
        }
        self.commit(batch).await?;
        Ok(())
    }

    /// Replaces what is known of a user; `false` when the user was changed or deleted since `before` was read.
    /// Memberships that stay keep their time.
    pub async fn update_user(
        &self,
        environment_id: &str,
        before: &ListedUser,
        user: &SeedUser,
        now_ms: UnixMs,
    ) -> Result<bool, StoreError> {
        let mut batch = Batch::default();
        let query = sql(
            "UPDATE users SET version = version + 1, email = $3, email_key = $4, name = $5, given_name = $6, \
             family_name = $7, picture = $8, locale = $9, external_id = $10, updated_at_ms = $11 \
             WHERE environment_id = $1 AND id = $2 AND version = $12",
        );
        batch.require_one_row(bind_fields(query, environment_id, user).bind(now_ms).bind(before.version));
        for left in before.organization_ids.iter().filter(|id| !user.organization_ids.contains(id)) {
            let query = sql(
                "DELETE FROM memberships WHERE environment_id = $1 AND user_id = $2 AND organization_id = $3",
            );
            batch.write(query.bind(environment_id).bind(&user.id).bind(left));
        }
        for organization_id in &user.organization_ids {
            batch.write(adding_membership(environment_id, &user.id, organization_id, now_ms));
        }
        Ok(self.commit(batch).await?.is_some())
    }

    /// Deletes a user with memberships, sessions and grants; `false` when there was none.
    pub async fn delete_user(&self, environment_id: &str, id: &str) -> Result<bool, StoreError> {
        let mut batch = Batch::default();
        // Zero is due whatever the time is.
        let notifying =
            sql("UPDATE session_clients SET notify_at_ms = 0 WHERE environment_id = $1 AND outcome IS NULL \
             AND session_id IN (SELECT id FROM sessions WHERE environment_id = $1 AND user_id = $2)");
        batch.write(notifying.bind(environment_id).bind(id));
        let deleting = sql("DELETE FROM users WHERE environment_id = $1 AND id = $2");
        batch.require_one_row(deleting.bind(environment_id).bind(id));
        Ok(self.commit(batch).await?.is_some())
    }

    pub async fn user(&self, environment_id: &str, id: &str) -> Result<Option<User>, StoreError> {
        let row: Option<UserRow> = sql(
            "SELECT id, email, name, given_name, family_name, picture, locale, external_id, created_at_ms, \
             updated_at_ms FROM users WHERE environment_id = $1 AND id = $2",
        )
        .bind(environment_id)
        .bind(id)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(User::from))
    }

    /// The user of an address, in any spelling.
    pub async fn user_by_email(
        &self,
        environment_id: &str,
        email: &EmailAddress,
    ) -> Result<Option<User>, StoreError> {
        let row: Option<UserRow> = sql(
            "SELECT id, email, name, given_name, family_name, picture, locale, external_id, created_at_ms, \
             updated_at_ms FROM users WHERE environment_id = $1 AND email_key = $2",
        )
        .bind(environment_id)
        .bind(email.key().to_owned())
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(User::from))
    }

    /// Writes what configuration asks for: new records are made, earlier ones take the configured values. A user
    /// whose address is known keeps the id it has. With `until_reset`, resets do not go back to it.
    pub async fn seed(
        &self,
        environment_id: &str,
        organizations: &[SeedOrganization],
        users: &[SeedUser],
        until_reset: bool,
        now_ms: UnixMs,
    ) -> Result<(), StoreError> {
        if organizations.is_empty() && users.is_empty() {
            return Ok(());
        }
        let mut tx = self.begin_write().await?;
        let ids = seed_into(&mut tx, environment_id, organizations, users, now_ms).await?;
        if !until_reset {
            let mut users = users.to_vec();
            for (user, id) in users.iter_mut().zip(ids) {
                user.id = id;
            }
            seed_into(&mut tx, &template_id(environment_id), organizations, &users, now_ms).await?;
        }
        Ok(tx.commit().await?)
    }
}

/// Writes a seed and tells the ids that its users have.
async fn seed_into(
    connection: &mut Transaction,
    environment_id: &str,
    organizations: &[SeedOrganization],
    users: &[SeedUser],
    now_ms: UnixMs,
) -> Result<Vec<String>, StoreError> {
    organizations::seed(connection, environment_id, organizations, now_ms).await?;
    let mut ids = Vec::with_capacity(users.len());
    for user in users {
        let query = sql(
            "INSERT INTO users (environment_id, id, email, email_key, name, given_name, family_name, picture, \
             locale, external_id, created_at_ms, updated_at_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11) \
             ON CONFLICT (environment_id, email_key) DO UPDATE SET version = users.version + 1, \
             name = excluded.name, given_name = excluded.given_name, family_name = excluded.family_name, \
             picture = excluded.picture, locale = excluded.locale, external_id = excluded.external_id, \
             updated_at_ms = excluded.updated_at_ms RETURNING id",
        );
        let query = bind_fields(query, environment_id, user).bind(now_ms);
        let (id,): (String,) = query.fetch_one(&mut *connection).await?;
        for organization_id in &user.organization_ids {
            adding_membership(environment_id, &id, organization_id, now_ms).execute(&mut *connection).await?;
        }
        ids.push(id);
    }
    Ok(ids)
}

/// Binds what is known of a user to $1 to $10, with the names that the statements above give them.
fn bind_fields(query: Statement, environment_id: &str, user: &SeedUser) -> Statement {
    query
        .bind(environment_id.to_owned())
        .bind(user.id.clone())
        .bind(user.email.as_str().to_owned())
        .bind(user.email.key().to_owned())
        .bind(user.name.clone())
        .bind(user.given_name.clone())
        .bind(user.family_name.clone())
        .bind(user.picture.clone())
        .bind(user.locale.clone())
        .bind(user.external_id.clone())
}

/// Makes a user a member of an organization, if it is none.
fn adding_membership(
    environment_id: &str,
    user_id: &str,
    organization_id: &str,
    now_ms: UnixMs,
) -> Statement {
    sql("INSERT INTO memberships (environment_id, organization_id, user_id, created_at_ms) \
         VALUES ($1, $2, $3, $4) ON CONFLICT (environment_id, user_id, organization_id) DO NOTHING")
    .bind(environment_id.to_owned())
    .bind(organization_id.to_owned())
    .bind(user_id.to_owned())
    .bind(now_ms)
}
