//! Users, organizations and memberships.

use super::{Store, StoreError};
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

impl Store {
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

    /// The user of an address, compared without case.
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
        .bind(email.key())
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
    /// whose address is known keeps the id it has.
    pub async fn seed(
        &self,
        environment_id: &str,
        organizations: &[SeedOrganization],
        users: &[SeedUser],
        now_ms: UnixMs,
    ) -> Result<(), StoreError> {
        let _turn = self.write_turn().await;
        let mut tx = self.pool.begin().await?;
        for organization in organizations {
            sqlx::query(
                "INSERT INTO organizations (environment_id, id, display_name, external_id, created_at_ms, \
                 updated_at_ms) VALUES ($1, $2, $3, $4, $5, $5) ON CONFLICT (environment_id, id) DO UPDATE SET \
                 display_name = excluded.display_name, external_id = excluded.external_id, \
                 updated_at_ms = excluded.updated_at_ms",
            )
            .bind(environment_id)
            .bind(&organization.id)
            .bind(&organization.display_name)
            .bind(organization.external_id.clone())
            .bind(now_ms)
            .execute(&mut *tx)
            .await?;
        }
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
            .bind(environment_id)
            .bind(&user.id)
            .bind(user.email.as_str())
            .bind(user.email.key())
            .bind(user.name.clone())
            .bind(user.given_name.clone())
            .bind(user.family_name.clone())
            .bind(user.picture.clone())
            .bind(user.locale.clone())
            .bind(user.external_id.clone())
            .bind(now_ms)
            .fetch_one(&mut *tx)
            .await?;
            for organization_id in &user.organization_ids {
                sqlx::query(
                    "INSERT INTO memberships (environment_id, organization_id, user_id, created_at_ms) \
                     VALUES ($1, $2, $3, $4) ON CONFLICT (environment_id, user_id, organization_id) DO NOTHING",
                )
                .bind(environment_id)
                .bind(organization_id)
                .bind(&id)
                .bind(now_ms)
                .execute(&mut *tx)
                .await?;
            }
        }
        Ok(tx.commit().await?)
    }
}
