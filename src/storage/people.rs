//! Users, organizations and memberships.

use super::environments::template_id;
use super::{Batch, Store, StoreError, like_key_pattern, like_pattern};
use crate::domain::clock::UnixMs;
use crate::domain::email::EmailAddress;
use crate::domain::user::{Organization, User};

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

/// An organization that configuration asks for.
#[derive(Debug, Clone)]
pub struct SeedOrganization {
    pub id: String,
    pub display_name: String,
    pub external_id: Option<String>,
}

#[derive(sqlx::FromRow)]
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

#[derive(sqlx::FromRow)]
struct OrganizationRow {
    id: String,
    display_name: String,
    external_id: Option<String>,
}

impl From<OrganizationRow> for Organization {
    fn from(row: OrganizationRow) -> Self {
        Self { id: row.id, display_name: row.display_name, external_id: row.external_id }
    }
}

/// A user with what lists show.
#[derive(Debug, Clone)]
pub struct ListedUser {
    pub user: User,
    pub last_sign_in_at_ms: Option<UnixMs>,
    pub organization_ids: Vec<String>,
}

#[derive(sqlx::FromRow)]
struct ListedUserRow {
    #[sqlx(flatten)]
    user: UserRow,
    last_sign_in_at_ms: Option<i64>,
}

/// What an organization is called.
#[derive(Debug, Clone)]
pub struct OrganizationFields {
    pub id: String,
    pub display_name: String,
    pub external_id: Option<String>,
}

/// An organization with what lists show.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ListedOrganization {
    pub id: String,
    pub display_name: String,
    pub external_id: Option<String>,
    pub members: i64,
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
        let rows: Vec<ListedUserRow> = sqlx::query_as(
            "SELECT id, email, name, given_name, family_name, picture, locale, external_id, created_at_ms, \
             updated_at_ms, last_sign_in_at_ms FROM users WHERE environment_id = $1 AND ($2 = '' OR id = $2) \
             AND ($3 = '' OR email_key LIKE $3 ESCAPE '~' OR email_key LIKE $6 ESCAPE '~' \
             OR LOWER(COALESCE(name, '')) LIKE $3 ESCAPE '~' OR LOWER(COALESCE(external_id, '')) LIKE $3 ESCAPE '~') \
             ORDER BY created_at_ms DESC, id DESC LIMIT $4 OFFSET $5",
        )
        .bind(environment_id)
        .bind(filter.id.clone().unwrap_or_default())
        .bind(filter.pattern())
        .bind(filter.limit)
        .bind(filter.offset)
        .bind(filter.key_pattern())
        .fetch_all(&self.pool)
        .await?;
        let mut listed = Vec::with_capacity(rows.len());
        for row in rows {
            let user = User::from(row.user);
            let organizations = self.organizations_of(environment_id, &user.id).await?;
            listed.push(ListedUser {
                organization_ids: organizations.into_iter().map(|o| o.id).collect(),
                last_sign_in_at_ms: row.last_sign_in_at_ms,
                user,
            });
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
        let _turn = self.write_turn().await;
        let mut tx = self.pool.begin().await?;
        sqlx::query(
            "INSERT INTO users (environment_id, id, email, email_key, name, given_name, family_name, picture, \
             locale, external_id, created_at_ms, updated_at_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)",
        )
        .bind(environment_id)
        .bind(&user.id)
        .bind(user.email.as_str())
        .bind(user.email.key().to_owned())
        .bind(user.name.clone())
        .bind(user.given_name.clone())
        .bind(user.family_name.clone())
        .bind(user.picture.clone())
        .bind(user.locale.clone())
        .bind(user.external_id.clone())
        .bind(now_ms)
        .execute(&mut *tx)
        .await?;
        write_memberships(&mut tx, environment_id, user, now_ms).await?;
        Ok(tx.commit().await?)
    }

    /// Replaces what is known of a user; `false` when there is none with this id.
    pub async fn update_user(
        &self,
        environment_id: &str,
        user: &SeedUser,
        now_ms: UnixMs,
    ) -> Result<bool, StoreError> {
        let _turn = self.write_turn().await;
        let mut tx = self.pool.begin().await?;
        let done = sqlx::query(
            "UPDATE users SET email = $3, email_key = $4, name = $5, given_name = $6, family_name = $7, picture = $8, \
             locale = $9, external_id = $10, updated_at_ms = $11 WHERE environment_id = $1 AND id = $2",
        )
        .bind(environment_id)
        .bind(&user.id)
        .bind(user.email.as_str())
        .bind(user.email.key().to_owned())
        .bind(user.name.clone())
        .bind(user.given_name.clone())
        .bind(user.family_name.clone())
        .bind(user.picture.clone())
        .bind(user.locale.clone())
        .bind(user.external_id.clone())
        .bind(now_ms)
        .execute(&mut *tx)
        .await?;
        if done.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(false);
        }
        sqlx::query("DELETE FROM memberships WHERE environment_id = $1 AND user_id = $2")
            .bind(environment_id)
            .bind(&user.id)
            .execute(&mut *tx)
            .await?;
        write_memberships(&mut tx, environment_id, user, now_ms).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Deletes a user with memberships, sessions and grants; `false` when there was none.
    pub async fn delete_user(&self, environment_id: &str, id: &str) -> Result<bool, StoreError> {
        let mut batch = Batch::default();
        // Zero is due whatever the time is.
        let notifying = sqlx::query(
            "UPDATE session_clients SET notify_at_ms = 0 WHERE environment_id = $1 AND outcome IS NULL \
             AND session_id IN (SELECT id FROM sessions WHERE environment_id = $1 AND user_id = $2)",
        );
        batch.write(notifying.bind(environment_id).bind(id))?;
        let deleting = sqlx::query("DELETE FROM users WHERE environment_id = $1 AND id = $2");
        batch.claim(deleting.bind(environment_id).bind(id))?;
        Ok(self.commit(batch).await?.is_some())
    }

    /// Organizations, newest first.
    pub async fn organizations(
        &self,
        environment_id: &str,
        filter: &PeopleFilter,
    ) -> Result<Vec<ListedOrganization>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT o.id, o.display_name, o.external_id, (SELECT COUNT(*) FROM memberships m \
             WHERE m.environment_id = o.environment_id AND m.organization_id = o.id) AS members \
             FROM organizations o WHERE o.environment_id = $1 AND ($2 = '' OR o.id = $2) \
             AND ($3 = '' OR LOWER(o.display_name) LIKE $3 ESCAPE '~' \
             OR LOWER(COALESCE(o.external_id, '')) LIKE $3 ESCAPE '~') \
             ORDER BY o.created_at_ms DESC, o.id DESC LIMIT $4 OFFSET $5",
        )
        .bind(environment_id)
        .bind(filter.id.clone().unwrap_or_default())
        .bind(filter.pattern())
        .bind(filter.limit)
        .bind(filter.offset)
        .fetch_all(&self.pool)
        .await?)
    }

    /// Adds an organization. [`StoreError::Exists`]: id or external id is taken.
    pub async fn insert_organization(
        &self,
        environment_id: &str,
        organization: &OrganizationFields,
        now_ms: UnixMs,
    ) -> Result<(), StoreError> {
        let query = sqlx::query(
            "INSERT INTO organizations (environment_id, id, display_name, external_id, created_at_ms, updated_at_ms) \
             VALUES ($1, $2, $3, $4, $5, $5)",
        );
        let query = query
            .bind(environment_id.to_owned())
            .bind(organization.id.clone())
            .bind(organization.display_name.clone())
            .bind(organization.external_id.clone())
            .bind(now_ms);
        self.execute(query).await?;
        Ok(())
    }

    /// Replaces what is known of an organization; `false` when there is none with this id.
    pub async fn update_organization(
        &self,
        environment_id: &str,
        organization: &OrganizationFields,
        now_ms: UnixMs,
    ) -> Result<bool, StoreError> {
        let query = sqlx::query(
            "UPDATE organizations SET display_name = $3, external_id = $4, updated_at_ms = $5 \
             WHERE environment_id = $1 AND id = $2",
        );
        let query = query
            .bind(environment_id.to_owned())
            .bind(organization.id.clone())
            .bind(organization.display_name.clone())
            .bind(organization.external_id.clone())
            .bind(now_ms);
        Ok(self.execute(query).await? == 1)
    }

    /// Deletes an organization and its memberships; `false` when there was none.
    pub async fn delete_organization(&self, environment_id: &str, id: &str) -> Result<bool, StoreError> {
        let query = sqlx::query("DELETE FROM organizations WHERE environment_id = $1 AND id = $2");
        Ok(self.execute(query.bind(environment_id).bind(id)).await? == 1)
    }

    pub async fn user(&self, environment_id: &str, id: &str) -> Result<Option<User>, StoreError> {
        let row: Option<UserRow> = sqlx::query_as(
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
        let row: Option<UserRow> = sqlx::query_as(
            "SELECT id, email, name, given_name, family_name, picture, locale, external_id, created_at_ms, \
             updated_at_ms FROM users WHERE environment_id = $1 AND email_key = $2",
        )
        .bind(environment_id)
        .bind(email.key().to_owned())
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(User::from))
    }

    /// An organization by our id or by the application's own.
    pub async fn organization(
        &self,
        environment_id: &str,
        id: &str,
    ) -> Result<Option<Organization>, StoreError> {
        let row: Option<OrganizationRow> = sqlx::query_as(
            "SELECT id, display_name, external_id FROM organizations \
             WHERE environment_id = $1 AND (id = $2 OR external_id = $2)",
        )
        .bind(environment_id)
        .bind(id)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(Organization::from))
    }

    /// The organizations a user belongs to, oldest membership first.
    pub async fn organizations_of(
        &self,
        environment_id: &str,
        user_id: &str,
    ) -> Result<Vec<Organization>, StoreError> {
        let rows: Vec<OrganizationRow> = sqlx::query_as(
            "SELECT o.id, o.display_name, o.external_id FROM organizations o \
             JOIN memberships m ON m.environment_id = o.environment_id AND m.organization_id = o.id \
             WHERE m.environment_id = $1 AND m.user_id = $2 ORDER BY m.created_at_ms, o.id",
        )
        .bind(environment_id)
        .bind(user_id)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(Organization::from).collect())
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
        let _turn = self.write_turn().await;
        let mut tx = self.pool.begin().await?;
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
    connection: &mut super::Connection,
    environment_id: &str,
    organizations: &[SeedOrganization],
    users: &[SeedUser],
    now_ms: UnixMs,
) -> Result<Vec<String>, StoreError> {
    for organization in organizations {
        sqlx::query(
            "INSERT INTO organizations (environment_id, id, display_name, external_id, created_at_ms, \
             updated_at_ms) VALUES ($1, $2, $3, $4, $5, $5) ON CONFLICT (environment_id, id) DO UPDATE SET \
             display_name = excluded.display_name, external_id = excluded.external_id, \
             updated_at_ms = excluded.updated_at_ms",
        )
        .bind(environment_id.to_owned())
        .bind(&organization.id)
        .bind(&organization.display_name)
        .bind(organization.external_id.clone())
        .bind(now_ms)
        .execute(&mut *connection)
        .await?;
    }
    let mut ids = Vec::with_capacity(users.len());
    for user in users {
        let id: String = sqlx::query_scalar(
            "INSERT INTO users (environment_id, id, email, email_key, name, given_name, family_name, picture, \
             locale, external_id, created_at_ms, updated_at_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11) \
             ON CONFLICT (environment_id, email_key) DO UPDATE SET name = excluded.name, \
             given_name = excluded.given_name, family_name = excluded.family_name, picture = excluded.picture, \
             locale = excluded.locale, external_id = excluded.external_id, \
             updated_at_ms = excluded.updated_at_ms RETURNING id",
        )
        .bind(environment_id.to_owned())
        .bind(&user.id)
        .bind(user.email.as_str())
        .bind(user.email.key().to_owned())
        .bind(user.name.clone())
        .bind(user.given_name.clone())
        .bind(user.family_name.clone())
        .bind(user.picture.clone())
        .bind(user.locale.clone())
        .bind(user.external_id.clone())
        .bind(now_ms)
        .fetch_one(&mut *connection)
        .await?;
        let known = SeedUser { id, ..user.clone() };
        write_memberships(connection, environment_id, &known, now_ms).await?;
        ids.push(known.id);
    }
    Ok(ids)
}

/// Makes a user a member of the organizations it names.
async fn write_memberships(
    connection: &mut super::Connection,
    environment_id: &str,
    user: &SeedUser,
    now_ms: UnixMs,
) -> Result<(), StoreError> {
    for organization_id in &user.organization_ids {
        sqlx::query(
            "INSERT INTO memberships (environment_id, organization_id, user_id, created_at_ms) \
             VALUES ($1, $2, $3, $4) ON CONFLICT (environment_id, user_id, organization_id) DO NOTHING",
        )
        .bind(environment_id.to_owned())
        .bind(organization_id)
        .bind(&user.id)
        .bind(now_ms)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
