//! Organizations and who belongs to them.

use super::domains::{self, SeedDomain};
use super::{
    Batch, ListFilter, Statement, Store, StoreError, Transaction, events, like_pattern, row::row,
    session_clients, sql,
};
use crate::domain::clock::UnixMs;
use crate::domain::event::Event;
use crate::domain::metadata::Metadata;
use crate::domain::organization::{Organization, OrganizationSummary, Region, SessionPolicy};
use crate::domain::organization_domain::DomainName;
use crate::domain::page::{PageAnchor, PageRequest};
use crate::domain::record_key::RecordKey;

/// An organization that configuration asks for.
#[derive(Debug, Clone, Default)]
pub struct SeedOrganization {
    /// Its id.
    pub id: String,
    /// What users read.
    pub display_name: String,
    /// The application's own id for it.
    pub external_id: Option<String>,
    /// A name in URLs and hosts.
    pub slug: Option<String>,
    /// What the application keeps with it.
    pub metadata: Metadata,
    /// Its email domains.
    pub domains: Vec<SeedDomain>,
}

/// An organization with what lists show.
#[derive(Debug, Clone)]
pub struct ListedOrganization {
    /// The organization.
    pub organization: Organization,
    /// How many users belong to it.
    pub members: i64,
}

/// Which organizations to list. Empty texts ask for nothing.
#[derive(Debug, Clone, Default)]
pub struct OrganizationFilter {
    /// The one with this external id.
    pub external_id: String,
    /// Part of a name, a slug, an id or an external id; case does not count.
    pub query: String,
}

impl OrganizationFilter {
    fn pattern(&self) -> String {
        if self.query.is_empty() { String::new() } else { like_pattern(&self.query) }
    }
}

/// What becomes of the members of an organization that is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Members {
    /// All stay.
    Stay,
    /// Those who belong to no other organization are deleted.
    GoWithTheirLastOrganization,
}

row! {
    struct OrganizationRow {
        id: String,
        version: i64,
        display_name: String,
        region_code: String,
        external_id: Option<String>,
        slug: Option<String>,
        logo_url: Option<String>,
        metadata_json: String,
        features_json: String,
        max_allowed_users: Option<i64>,
        absolute_session_timeout_min: Option<i64>,
        idle_session_timeout_min: Option<i64>,
        created_at_ms: i64,
        updated_at_ms: i64,
    }
}

row! {
    struct ListedOrganizationRow {
        organization: OrganizationRow,
        members: i64,
    }
}

row! {
    struct SummaryRow {
        id: String,
        display_name: String,
        external_id: Option<String>,
    }
}

impl TryFrom<OrganizationRow> for Organization {
    type Error = StoreError;

    fn try_from(row: OrganizationRow) -> Result<Self, StoreError> {
        let unreadable = || StoreError::Unreadable("organization");
        Ok(Self {
            id: row.id,
            version: row.version,
            display_name: row.display_name,
            region: Region::parse(&row.region_code).ok_or_else(unreadable)?,
            external_id: row.external_id,
            slug: row.slug,
            logo_url: row.logo_url,
            metadata: serde_json::from_str(&row.metadata_json).map_err(|_| unreadable())?,
            features: serde_json::from_str(&row.features_json).map_err(|_| unreadable())?,
            session_policy: row.absolute_session_timeout_min.map(|absolute_timeout_min| SessionPolicy {
                absolute_timeout_min,
                idle_timeout_min: row.idle_session_timeout_min,
            }),
            max_allowed_users: row
                .max_allowed_users
                .map(i32::try_from)
                .transpose()
                .map_err(|_| unreadable())?,
            created_at_ms: row.created_at_ms,
            updated_at_ms: row.updated_at_ms,
        })
    }
}

impl From<SummaryRow> for OrganizationSummary {
    fn from(row: SummaryRow) -> Self {
        Self { id: row.id, display_name: row.display_name, external_id: row.external_id }
    }
}

impl Store {
    /// Organizations with how many members they have, newest first.
    pub async fn listed_organizations(
        &self,
        environment_id: &str,
        filter: &ListFilter,
    ) -> Result<Vec<ListedOrganization>, StoreError> {
        let rows: Vec<ListedOrganizationRow> = sql(
            "SELECT o.id, o.version, o.display_name, o.region_code, o.external_id, o.slug, o.logo_url, \
             o.metadata_json, o.features_json, o.max_allowed_users, o.absolute_session_timeout_min, \
             o.idle_session_timeout_min, o.created_at_ms, o.updated_at_ms, (SELECT COUNT(*) FROM memberships m \
             WHERE m.environment_id = o.environment_id AND m.organization_id = o.id) AS members \
             FROM organizations o WHERE o.environment_id = $1 \
             AND ($2 = '' OR LOWER(o.display_name) LIKE $2 ESCAPE '~' OR LOWER(COALESCE(o.slug, '')) LIKE $2 ESCAPE '~' \
             OR LOWER(COALESCE(o.external_id, '')) LIKE $2 ESCAPE '~') \
             ORDER BY o.created_at_ms DESC, o.id DESC LIMIT $3 OFFSET $4",
        )
        .bind(environment_id)
        .bind(filter.pattern())
        .bind(filter.limit)
        .bind(filter.offset)
        .fetch_all(&self.pool)
        .await?;
        let listed = rows.into_iter().map(|row| {
            Ok(ListedOrganization { organization: row.organization.try_into()?, members: row.members })
        });
        listed.collect()
    }

    /// A page of organizations, as [`PageRequest::page`] takes it.
    pub async fn organizations(
        &self,
        environment_id: &str,
        filter: &OrganizationFilter,
        page: &PageRequest,
    ) -> Result<Vec<Organization>, StoreError> {
        let query = match &page.anchor {
            PageAnchor::Newest | PageAnchor::After(_) => sql(
                "SELECT id, version, display_name, region_code, external_id, slug, logo_url, metadata_json, \
                 features_json, max_allowed_users, absolute_session_timeout_min, idle_session_timeout_min, \
                 created_at_ms, updated_at_ms FROM organizations WHERE environment_id = $1 \
                 AND (created_at_ms, id) < ($2, $3) AND ($4 = '' OR external_id = $4) AND ($5 = '' \
                 OR LOWER(display_name) LIKE $5 ESCAPE '~' OR LOWER(COALESCE(slug, '')) LIKE $5 ESCAPE '~' \
                 OR LOWER(COALESCE(external_id, '')) LIKE $5 ESCAPE '~' OR id LIKE $5 ESCAPE '~') \
                 ORDER BY created_at_ms DESC, id DESC LIMIT $6",
            ),
            PageAnchor::Before(_) => sql(
                "SELECT id, version, display_name, region_code, external_id, slug, logo_url, metadata_json, \
                 features_json, max_allowed_users, absolute_session_timeout_min, idle_session_timeout_min, \
                 created_at_ms, updated_at_ms FROM organizations WHERE environment_id = $1 \
                 AND (created_at_ms, id) > ($2, $3) AND ($4 = '' OR external_id = $4) AND ($5 = '' \
                 OR LOWER(display_name) LIKE $5 ESCAPE '~' OR LOWER(COALESCE(slug, '')) LIKE $5 ESCAPE '~' \
                 OR LOWER(COALESCE(external_id, '')) LIKE $5 ESCAPE '~' OR id LIKE $5 ESCAPE '~') \
                 ORDER BY created_at_ms, id LIMIT $6",
            ),
        };
        let (created_at_ms, id) = page.anchor.bound();
        let rows: Vec<OrganizationRow> = query
            .bind(environment_id)
            .bind(created_at_ms)
            .bind(id.to_owned())
            .bind(filter.external_id.clone())
            .bind(filter.pattern())
            .bind(page.limit())
            .fetch_all(&self.pool)
            .await?;
        rows.into_iter().map(Organization::try_from).collect()
    }

    /// How many organizations there are.
    pub async fn count_organizations(
        &self,
        environment_id: &str,
        filter: &OrganizationFilter,
    ) -> Result<i64, StoreError> {
        let query = sql(
            "SELECT COUNT(*) FROM organizations WHERE environment_id = $1 AND ($2 = '' OR external_id = $2) \
             AND ($3 = '' OR LOWER(display_name) LIKE $3 ESCAPE '~' OR LOWER(COALESCE(slug, '')) LIKE $3 ESCAPE '~' \
             OR LOWER(COALESCE(external_id, '')) LIKE $3 ESCAPE '~' OR id LIKE $3 ESCAPE '~')",
        );
        let query = query.bind(environment_id).bind(filter.external_id.clone()).bind(filter.pattern());
        let (count,): (i64,) = query.fetch_one(&self.pool).await?;
        Ok(count)
    }

    /// The organization of a key.
    pub async fn organization(
        &self,
        environment_id: &str,
        key: &RecordKey,
    ) -> Result<Option<Organization>, StoreError> {
        let query = match key {
            RecordKey::Id(id) => sql(
                "SELECT id, version, display_name, region_code, external_id, slug, logo_url, metadata_json, \
                 features_json, max_allowed_users, absolute_session_timeout_min, idle_session_timeout_min, \
                 created_at_ms, updated_at_ms FROM organizations WHERE environment_id = $1 AND id = $2",
            )
            .bind(environment_id)
            .bind(id.clone()),
            RecordKey::ExternalId(id) => sql(
                "SELECT id, version, display_name, region_code, external_id, slug, logo_url, metadata_json, \
                 features_json, max_allowed_users, absolute_session_timeout_min, idle_session_timeout_min, \
                 created_at_ms, updated_at_ms FROM organizations WHERE environment_id = $1 AND external_id = $2",
            )
            .bind(environment_id)
            .bind(id.clone()),
        };
        let row: Option<OrganizationRow> = query.fetch_optional(&self.pool).await?;
        row.map(Organization::try_from).transpose()
    }

    /// Adds an organization. [`StoreError::Exists`]: its id, external id or slug is taken.
    pub async fn insert_organization(
        &self,
        environment_id: &str,
        organization: &Organization,
        event: &Event,
    ) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        batch.write(inserting(environment_id, organization)?);
        events::write(&mut batch, environment_id, event);
        self.commit(batch).await?;
        Ok(())
    }

    /// Replaces what is known of an organization; `false` when it was changed or deleted since its version was read.
    pub async fn update_organization(
        &self,
        environment_id: &str,
        organization: &Organization,
        event: &Event,
    ) -> Result<bool, StoreError> {
        let mut batch = Batch::default();
        let query = sql(
            "UPDATE organizations SET version = version + 1, display_name = $4, region_code = $5, external_id = $6, \
             slug = $7, logo_url = $8, metadata_json = $9, features_json = $10, max_allowed_users = $11, \
             absolute_session_timeout_min = $12, idle_session_timeout_min = $13, updated_at_ms = $14 \
             WHERE environment_id = $1 AND id = $2 AND version = $3",
        );
        batch.require_one_row(bind_fields(query, environment_id, organization)?);
        events::write(&mut batch, environment_id, event);
        Ok(self.commit(batch).await?.is_some())
    }

    /// Deletes an organization with what belongs to it, and ends the sessions that are in it; `false` when it was changed or
    /// deleted since its version was read.
    pub async fn delete_organization(
        &self,
        environment_id: &str,
        organization: &Organization,
        members: Members,
        told: &[Event],
        logouts: &[(String, Event)],
        now_ms: UnixMs,
    ) -> Result<bool, StoreError> {
        let mut batch = Batch::default();
        events::write_logouts(&mut batch, environment_id, logouts);
        if members == Members::GoWithTheirLastOrganization {
            delete_lone_members(&mut batch, environment_id, &organization.id);
        }
        // A sign-in that has read them as members reads again, and its session is not forgotten.
        let touching = sql("UPDATE users SET version = version + 1 WHERE environment_id = $1 \
             AND id IN (SELECT user_id FROM memberships WHERE environment_id = $1 AND organization_id = $2)");
        batch.write(touching.bind(environment_id.to_owned()).bind(organization.id.clone()));
        // Behind the users, as sign-ins write: neither waits for the other.
        session_clients::end_in_organization(&mut batch, environment_id, &organization.id, None, now_ms);
        let deleting =
            sql("DELETE FROM organizations WHERE environment_id = $1 AND id = $2 AND version = $3");
        let deleting = deleting.bind(environment_id.to_owned()).bind(organization.id.clone());
        batch.require_one_row(deleting.bind(organization.version));
        for event in told {
            events::write(&mut batch, environment_id, event);
        }
        Ok(self.commit(batch).await?.is_some())
    }

    /// An organization by our id or by the application's own.
    pub async fn organization_summary(
        &self,
        environment_id: &str,
        id: &str,
    ) -> Result<Option<OrganizationSummary>, StoreError> {
        let row: Option<SummaryRow> = sql("SELECT id, display_name, external_id FROM organizations \
             WHERE environment_id = $1 AND (id = $2 OR external_id = $2)")
        .bind(environment_id)
        .bind(id)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(OrganizationSummary::from))
    }

    /// Organizations that everybody with an address of this domain may join, and that have room for one more; as many as
    /// one would look at.
    pub async fn organizations_of_domain(
        &self,
        environment_id: &str,
        domain: &DomainName,
        now_ms: UnixMs,
    ) -> Result<Vec<OrganizationSummary>, StoreError> {
        let rows: Vec<SummaryRow> = sql(
            "SELECT o.id, o.display_name, o.external_id FROM domains d JOIN organizations o \
             ON o.environment_id = d.environment_id AND o.id = d.organization_id WHERE d.environment_id = $1 \
             AND d.domain = $2 AND d.domain_type = 'ALLOWED_EMAIL_DOMAIN' \
             AND (COALESCE(o.max_allowed_users, 0) = 0 OR o.max_allowed_users > (SELECT COUNT(*) FROM memberships m \
             WHERE m.environment_id = o.environment_id AND m.organization_id = o.id \
             AND (m.status = 'ACTIVE' OR (m.status = 'PENDING_INVITE' AND m.expires_at_ms > $3)))) \
             ORDER BY d.created_at_ms, o.id LIMIT 50",
        )
        .bind(environment_id)
        .bind(domain.as_str())
        .bind(now_ms)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(OrganizationSummary::from).collect())
    }

    /// The organizations a user belongs to, oldest membership first.
    pub async fn organizations_of(
        &self,
        environment_id: &str,
        user_id: &str,
    ) -> Result<Vec<OrganizationSummary>, StoreError> {
        let rows: Vec<SummaryRow> = sql("SELECT o.id, o.display_name, o.external_id FROM organizations o \
             JOIN memberships m ON m.environment_id = o.environment_id AND m.organization_id = o.id \
             WHERE m.environment_id = $1 AND m.user_id = $2 AND m.status = 'ACTIVE' ORDER BY m.created_at_ms, o.id")
        .bind(environment_id)
        .bind(user_id)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(OrganizationSummary::from).collect())
    }
}

/// A new organization.
pub(super) fn inserting(environment_id: &str, organization: &Organization) -> Result<Statement, StoreError> {
    let query = sql(
        "INSERT INTO organizations (environment_id, id, version, display_name, region_code, external_id, slug, \
         logo_url, metadata_json, features_json, max_allowed_users, absolute_session_timeout_min, \
         idle_session_timeout_min, created_at_ms, updated_at_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $15, $14)",
    );
    Ok(bind_fields(query, environment_id, organization)?.bind(organization.created_at_ms))
}

/// Binds what is known of an organization to $1 to $14, with the names that the statements above give them.
fn bind_fields(
    query: Statement,
    environment_id: &str,
    organization: &Organization,
) -> Result<Statement, StoreError> {
    let json = |text: Result<String, _>| text.map_err(|_| StoreError::Unreadable("organization"));
    let policy = organization.session_policy;
    Ok(query
        .bind(environment_id.to_owned())
        .bind(organization.id.clone())
        .bind(organization.version)
        .bind(organization.display_name.clone())
        .bind(organization.region.as_str())
        .bind(organization.external_id.clone())
        .bind(organization.slug.clone())
        .bind(organization.logo_url.clone())
        .bind(json(serde_json::to_string(&organization.metadata))?)
        .bind(json(serde_json::to_string(&organization.features))?)
        .bind(organization.max_allowed_users.map(i64::from))
        .bind(policy.map(|policy| policy.absolute_timeout_min))
        .bind(policy.and_then(|policy| policy.idle_timeout_min))
        .bind(organization.updated_at_ms))
}

/// Deletes the users who belong to this organization alone, with their sessions, of whose end applications hear.
fn delete_lone_members(batch: &mut Batch, environment_id: &str, organization_id: &str) {
    // Zero is due whatever the time is.
    let notifying =
        sql("UPDATE session_clients SET notify_at_ms = 0 WHERE environment_id = $1 AND outcome IS NULL \
         AND session_id IN (SELECT s.id FROM sessions s JOIN memberships m \
         ON m.environment_id = s.environment_id AND m.user_id = s.user_id \
         WHERE m.environment_id = $1 AND m.organization_id = $2 AND NOT EXISTS (SELECT 1 FROM memberships o \
         WHERE o.environment_id = $1 AND o.user_id = m.user_id AND o.organization_id <> $2))");
    batch.write(notifying.bind(environment_id.to_owned()).bind(organization_id.to_owned()));
    let deleting =
        sql("DELETE FROM users WHERE environment_id = $1 AND id IN (SELECT m.user_id FROM memberships m \
         WHERE m.environment_id = $1 AND m.organization_id = $2 AND NOT EXISTS (SELECT 1 FROM memberships o \
         WHERE o.environment_id = $1 AND o.user_id = m.user_id AND o.organization_id <> $2))");
    batch.write(deleting.bind(environment_id.to_owned()).bind(organization_id.to_owned()));
}

/// Writes the organizations of a seed: new ones are made, earlier ones take the seeded values.
pub(super) async fn seed(
    connection: &mut Transaction,
    environment_id: &str,
    organizations: &[SeedOrganization],
    now_ms: UnixMs,
) -> Result<(), StoreError> {
    for organization in organizations {
        let metadata = serde_json::to_string(&organization.metadata)
            .map_err(|_| StoreError::Unreadable("organization"))?;
        sql(
            "INSERT INTO organizations (environment_id, id, display_name, external_id, slug, metadata_json, \
             created_at_ms, updated_at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $7) \
             ON CONFLICT (environment_id, id) DO UPDATE SET version = organizations.version + 1, \
             display_name = excluded.display_name, external_id = excluded.external_id, slug = excluded.slug, \
             metadata_json = excluded.metadata_json, updated_at_ms = excluded.updated_at_ms",
        )
        .bind(environment_id.to_owned())
        .bind(&organization.id)
        .bind(&organization.display_name)
        .bind(organization.external_id.clone())
        .bind(organization.slug.clone())
        .bind(metadata)
        .bind(now_ms)
        .execute(&mut *connection)
        .await?;
        domains::seed(connection, environment_id, &organization.id, &organization.domains, now_ms).await?;
    }
    Ok(())
}
