//! Machine clients of organizations.

use super::{Statement, Store, StoreError, row::row, sql};
use crate::domain::organization_client::OrganizationClient;
use crate::domain::page::{PageAnchor, PageRequest};

row! {
    struct ClientRow {
        id: String,
        version: i64,
        organization_id: String,
        name: String,
        description: String,
        scopes_json: String,
        audience_json: String,
        custom_claims_json: String,
        expiry_s: i64,
        secrets_json: String,
        created_at_ms: i64,
        updated_at_ms: i64,
    }
}

impl TryFrom<ClientRow> for OrganizationClient {
    type Error = StoreError;

    fn try_from(row: ClientRow) -> Result<Self, StoreError> {
        let unreadable = |_| StoreError::Unreadable("client of an organization");
        Ok(Self {
            scopes: serde_json::from_str(&row.scopes_json).map_err(unreadable)?,
            audience: serde_json::from_str(&row.audience_json).map_err(unreadable)?,
            custom_claims: serde_json::from_str(&row.custom_claims_json).map_err(unreadable)?,
            secrets: serde_json::from_str(&row.secrets_json).map_err(unreadable)?,
            id: row.id,
            version: row.version,
            organization_id: row.organization_id,
            name: row.name,
            description: row.description,
            expiry_s: row.expiry_s,
            created_at_ms: row.created_at_ms,
            updated_at_ms: row.updated_at_ms,
        })
    }
}

impl Store {
    /// Adds a client. [`StoreError::MissingParent`]: its organization is gone.
    pub async fn insert_organization_client(
        &self,
        environment_id: &str,
        client: &OrganizationClient,
    ) -> Result<(), StoreError> {
        let query = sql(
            "INSERT INTO organization_clients (environment_id, id, version, organization_id, name, description, \
             scopes_json, audience_json, custom_claims_json, expiry_s, secrets_json, created_at_ms, updated_at_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $13, $12)",
        );
        self.execute(bind_fields(query, environment_id, client)?.bind(client.created_at_ms)).await?;
        Ok(())
    }

    /// A client of any organization.
    pub async fn organization_client(
        &self,
        environment_id: &str,
        id: &str,
    ) -> Result<Option<OrganizationClient>, StoreError> {
        let row: Option<ClientRow> = sql(
            "SELECT id, version, organization_id, name, description, scopes_json, audience_json, \
             custom_claims_json, expiry_s, secrets_json, created_at_ms, updated_at_ms FROM organization_clients \
             WHERE environment_id = $1 AND id = $2",
        )
        .bind(environment_id)
        .bind(id)
        .fetch_optional(&self.pool)
        .await?;
        row.map(OrganizationClient::try_from).transpose()
    }

    /// A page of the clients of an organization, as [`PageRequest::page`] takes it.
    pub async fn organization_clients(
        &self,
        environment_id: &str,
        organization_id: &str,
        page: &PageRequest,
    ) -> Result<Vec<OrganizationClient>, StoreError> {
        let query = match &page.anchor {
            PageAnchor::Newest | PageAnchor::After(_) => {
                sql("SELECT id, version, organization_id, name, description, scopes_json, audience_json, \
                 custom_claims_json, expiry_s, secrets_json, created_at_ms, updated_at_ms FROM organization_clients \
                 WHERE environment_id = $1 AND organization_id = $2 AND (created_at_ms, id) < ($3, $4) \
                 ORDER BY created_at_ms DESC, id DESC LIMIT $5")
            }
            PageAnchor::Before(_) => {
                sql("SELECT id, version, organization_id, name, description, scopes_json, audience_json, \
                 custom_claims_json, expiry_s, secrets_json, created_at_ms, updated_at_ms FROM organization_clients \
                 WHERE environment_id = $1 AND organization_id = $2 AND (created_at_ms, id) > ($3, $4) \
                 ORDER BY created_at_ms, id LIMIT $5")
            }
        };
        let (created_at_ms, id) = page.anchor.bound();
        let rows: Vec<ClientRow> = query
            .bind(environment_id)
            .bind(organization_id)
            .bind(created_at_ms)
            .bind(id.to_owned())
            .bind(page.limit())
            .fetch_all(&self.pool)
            .await?;
        rows.into_iter().map(OrganizationClient::try_from).collect()
    }

    /// How many clients an organization has.
    pub async fn count_organization_clients(
        &self,
        environment_id: &str,
        organization_id: &str,
    ) -> Result<i64, StoreError> {
        let query = sql("SELECT COUNT(*) FROM organization_clients \
             WHERE environment_id = $1 AND organization_id = $2");
        let (count,): (i64,) = query.bind(environment_id).bind(organization_id).fetch_one(&self.pool).await?;
        Ok(count)
    }

    /// Replaces what is known of a client; `false` when it was changed or deleted since its version was read.
    pub async fn update_organization_client(
        &self,
        environment_id: &str,
        client: &OrganizationClient,
    ) -> Result<bool, StoreError> {
        let query = sql(
            "UPDATE organization_clients SET version = version + 1, name = $5, description = $6, scopes_json = $7, \
             audience_json = $8, custom_claims_json = $9, expiry_s = $10, secrets_json = $11, updated_at_ms = $12 \
             WHERE environment_id = $1 AND id = $2 AND version = $3 AND organization_id = $4",
        );
        Ok(self.execute(bind_fields(query, environment_id, client)?).await? == 1)
    }

    /// Deletes a client of an organization with its secrets; `false` when there is none.
    pub async fn delete_organization_client(
        &self,
        environment_id: &str,
        organization_id: &str,
        id: &str,
    ) -> Result<bool, StoreError> {
        let query = sql("DELETE FROM organization_clients \
             WHERE environment_id = $1 AND organization_id = $2 AND id = $3");
        let query = query.bind(environment_id.to_owned()).bind(organization_id.to_owned());
        Ok(self.execute(query.bind(id.to_owned())).await? == 1)
    }
}

/// Binds what is known of a client to $1 to $12, with the names that the statements above give them.
fn bind_fields(
    query: Statement,
    environment_id: &str,
    client: &OrganizationClient,
) -> Result<Statement, StoreError> {
    let unreadable = |_| StoreError::Unreadable("client of an organization");
    Ok(query
        .bind(environment_id.to_owned())
        .bind(client.id.clone())
        .bind(client.version)
        .bind(client.organization_id.clone())
        .bind(client.name.clone())
        .bind(client.description.clone())
        .bind(serde_json::to_string(&client.scopes).map_err(unreadable)?)
        .bind(serde_json::to_string(&client.audience).map_err(unreadable)?)
        .bind(serde_json::to_string(&client.custom_claims).map_err(unreadable)?)
        .bind(client.expiry_s)
        .bind(serde_json::to_string(&client.secrets).map_err(unreadable)?)
        .bind(client.updated_at_ms))
}
