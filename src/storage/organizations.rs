//! Organizations and who belongs to them.

use super::{PeopleFilter, Store, StoreError, Transaction, row::row, sql};
use crate::domain::clock::UnixMs;
use crate::domain::user::Organization;

/// An organization that configuration asks for.
#[derive(Debug, Clone)]
pub struct SeedOrganization {
    /// Its id.
    pub id: String,
    /// What people read.
    pub display_name: String,
    /// The application's own id for it.
    pub external_id: Option<String>,
}

row! {
    /// An organization with what lists show.
    #[derive(Debug, Clone)]
    pub struct ListedOrganization {
        /// Its id.
        pub id: String,
        /// Grows with every change; see [`Store::update_organization`].
        pub version: i64,
        /// What people read.
        pub display_name: String,
        /// The application's own id for it.
        pub external_id: Option<String>,
        /// How many users belong to it.
        pub members: i64,
    }
}

row! {
    struct OrganizationRow {
        id: String,
        display_name: String,
        external_id: Option<String>,
    }
}

impl From<OrganizationRow> for Organization {
    fn from(row: OrganizationRow) -> Self {
        Self { id: row.id, display_name: row.display_name, external_id: row.external_id }
    }
}

impl Store {
    /// Organizations, newest first.
    pub async fn organizations(
        &self,
        environment_id: &str,
        filter: &PeopleFilter,
    ) -> Result<Vec<ListedOrganization>, StoreError> {
        Ok(sql("SELECT o.id, o.version, o.display_name, o.external_id, (SELECT COUNT(*) FROM memberships m \
             WHERE m.environment_id = o.environment_id AND m.organization_id = o.id) AS members \
             FROM organizations o WHERE o.environment_id = $1 AND ($2 = '' OR o.id = $2) \
             AND ($3 = '' OR LOWER(o.display_name) LIKE $3 ESCAPE '~' \
             OR LOWER(COALESCE(o.external_id, '')) LIKE $3 ESCAPE '~') \
             ORDER BY o.created_at_ms DESC, o.id DESC LIMIT $4 OFFSET $5")
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
        organization: &SeedOrganization,
        now_ms: UnixMs,
    ) -> Result<(), StoreError> {
        let query = sql(
            "INSERT INTO organizations (environment_id, id, display_name, external_id, created_at_ms, updated_at_ms) \
             VALUES ($1, $2, $3, $4, $5, $5)",
        );
        let query = query
            .bind(environment_id)
            .bind(&organization.id)
            .bind(&organization.display_name)
            .bind(organization.external_id.clone())
            .bind(now_ms);
        self.execute(query).await?;
        Ok(())
    }

    /// Replaces what is known of an organization; `false` when it was changed or deleted since this version was read.
    pub async fn update_organization(
        &self,
        environment_id: &str,
        version: i64,
        organization: &SeedOrganization,
        now_ms: UnixMs,
    ) -> Result<bool, StoreError> {
        let query = sql(
            "UPDATE organizations SET version = version + 1, display_name = $4, external_id = $5, updated_at_ms = $6 \
             WHERE environment_id = $1 AND id = $2 AND version = $3",
        );
        let query = query
            .bind(environment_id)
            .bind(&organization.id)
            .bind(version)
            .bind(&organization.display_name)
            .bind(organization.external_id.clone())
            .bind(now_ms);
        Ok(self.execute(query).await? == 1)
    }

    /// Deletes an organization and its memberships; `false` when there was none.
    pub async fn delete_organization(&self, environment_id: &str, id: &str) -> Result<bool, StoreError> {
        let query = sql("DELETE FROM organizations WHERE environment_id = $1 AND id = $2");
        Ok(self.execute(query.bind(environment_id).bind(id)).await? == 1)
    }

    /// An organization by our id or by the application's own.
    pub async fn organization(
        &self,
        environment_id: &str,
        id: &str,
    ) -> Result<Option<Organization>, StoreError> {
        let row: Option<OrganizationRow> = sql("SELECT id, display_name, external_id FROM organizations \
             WHERE environment_id = $1 AND (id = $2 OR external_id = $2)")
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
        let rows: Vec<OrganizationRow> =
            sql("SELECT o.id, o.display_name, o.external_id FROM organizations o \
             JOIN memberships m ON m.environment_id = o.environment_id AND m.organization_id = o.id \
             WHERE m.environment_id = $1 AND m.user_id = $2 ORDER BY m.created_at_ms, o.id")
            .bind(environment_id)
            .bind(user_id)
            .fetch_all(&self.pool)
            .await?;
        Ok(rows.into_iter().map(Organization::from).collect())
    }
}

/// Writes the organizations of a seed: new ones are made, earlier ones take the seeded values.
pub(super) async fn seed(
    connection: &mut Transaction,
    environment_id: &str,
    organizations: &[SeedOrganization],
    now_ms: UnixMs,
) -> Result<(), StoreError> {
    for organization in organizations {
        sql("INSERT INTO organizations (environment_id, id, display_name, external_id, created_at_ms, \
             updated_at_ms) VALUES ($1, $2, $3, $4, $5, $5) ON CONFLICT (environment_id, id) DO UPDATE SET \
             version = organizations.version + 1, display_name = excluded.display_name, \
             external_id = excluded.external_id, updated_at_ms = excluded.updated_at_ms")
        .bind(environment_id.to_owned())
        .bind(&organization.id)
        .bind(&organization.display_name)
        .bind(organization.external_id.clone())
        .bind(now_ms)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
