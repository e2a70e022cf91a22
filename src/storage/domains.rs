//! Email domains of organizations.

use super::{Batch, Store, StoreError, Transaction, events, row::row, sql};
use crate::domain::clock::UnixMs;
use crate::domain::event::Event;
use crate::domain::organization_domain::{DomainName, DomainType, OrganizationDomain};

/// A domain that configuration asks for.
#[derive(Debug, Clone)]
pub struct SeedDomain {
    /// Its id, the same at every start.
    pub id: String,
    /// The domain itself.
    pub name: DomainName,
    /// What it is for.
    pub domain_type: DomainType,
}

row! {
    struct DomainRow {
        id: String,
        organization_id: String,
        domain: String,
        domain_type: String,
        created_at_ms: i64,
    }
}

impl TryFrom<DomainRow> for OrganizationDomain {
    type Error = StoreError;

    fn try_from(row: DomainRow) -> Result<Self, StoreError> {
        let unreadable = || StoreError::Unreadable("domain");
        Ok(Self {
            id: row.id,
            organization_id: row.organization_id,
            name: DomainName::parse(&row.domain).ok_or_else(unreadable)?,
            domain_type: DomainType::parse(&row.domain_type).ok_or_else(unreadable)?,
            created_at_ms: row.created_at_ms,
        })
    }
}

impl Store {
    /// Adds a domain. [`StoreError::Exists`]: an organization that must not share it has it already;
    /// [`StoreError::MissingParent`]: its own is gone.
    pub async fn insert_domain(
        &self,
        environment_id: &str,
        domain: &OrganizationDomain,
        event: &Event,
    ) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        let query = sql(
            "INSERT INTO domains (environment_id, id, organization_id, domain, domain_type, created_at_ms) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        );
        let query = query.bind(environment_id.to_owned()).bind(domain.id.clone());
        let query = query.bind(domain.organization_id.clone()).bind(domain.name.as_str().to_owned());
        batch.write(query.bind(domain.domain_type.as_str()).bind(domain.created_at_ms));
        events::write(&mut batch, environment_id, event);
        self.commit(batch).await?;
        Ok(())
    }

    /// A domain of an organization.
    pub async fn domain(
        &self,
        environment_id: &str,
        organization_id: &str,
        id: &str,
    ) -> Result<Option<OrganizationDomain>, StoreError> {
        let row: Option<DomainRow> =
            sql("SELECT id, organization_id, domain, domain_type, created_at_ms FROM domains \
             WHERE environment_id = $1 AND organization_id = $2 AND id = $3")
            .bind(environment_id)
            .bind(organization_id)
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        row.map(OrganizationDomain::try_from).transpose()
    }

    /// Domains of an organization, oldest first: all, or those of a type.
    pub async fn domains(
        &self,
        environment_id: &str,
        organization_id: &str,
        domain_type: Option<DomainType>,
        (limit, offset): (i64, i64),
    ) -> Result<Vec<OrganizationDomain>, StoreError> {
        let rows: Vec<DomainRow> =
            sql("SELECT id, organization_id, domain, domain_type, created_at_ms FROM domains \
             WHERE environment_id = $1 AND organization_id = $2 AND ($3 = '' OR domain_type = $3) \
             ORDER BY created_at_ms, id LIMIT $4 OFFSET $5")
            .bind(environment_id)
            .bind(organization_id)
            .bind(domain_type.map(DomainType::as_str).unwrap_or_default())
            .bind(limit)
            .bind(offset)
            .fetch_all(&self.pool)
            .await?;
        rows.into_iter().map(OrganizationDomain::try_from).collect()
    }

    /// Deletes a domain; `false` when it was gone.
    pub async fn delete_domain(
        &self,
        environment_id: &str,
        domain: &OrganizationDomain,
        event: &Event,
    ) -> Result<bool, StoreError> {
        let mut batch = Batch::default();
        let query = sql("DELETE FROM domains WHERE environment_id = $1 AND id = $2");
        batch.require_one_row(query.bind(environment_id.to_owned()).bind(domain.id.clone()));
        events::write(&mut batch, environment_id, event);
        Ok(self.commit(batch).await?.is_some())
    }
}

/// Writes the domains of a seeded organization. One that it, or another that must not share it, has by now stays there.
pub(super) async fn seed(
    connection: &mut Transaction,
    environment_id: &str,
    organization_id: &str,
    domains: &[SeedDomain],
    now_ms: UnixMs,
) -> Result<(), StoreError> {
    for domain in domains {
        sql("INSERT INTO domains (environment_id, id, organization_id, domain, domain_type, created_at_ms) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING")
        .bind(environment_id.to_owned())
        .bind(&domain.id)
        .bind(organization_id.to_owned())
        .bind(domain.name.as_str())
        .bind(domain.domain_type.as_str())
        .bind(now_ms)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
