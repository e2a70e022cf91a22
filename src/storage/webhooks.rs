//! Webhook endpoints and deliveries to them. A delivery is queued in the transaction of the event that it tells, by
//! [`queueing`]; servers that share a database take deliveries from each other's way by leases.

use super::due_receivers::{DueReceiver, DueRow};
use super::environment_record::template_id;
use super::{Batch, Statement, Store, StoreError, row::row, sql};
use crate::domain::clock::UnixMs;
use crate::domain::event::{Event, EventType};
use crate::domain::webhook::{DeliveryStatus, WebhookDelivery, WebhookEndpoint};

/// An endpoint with its secrets as they are stored.
#[derive(Debug, Clone, PartialEq)]
pub struct WebhookRecord {
    pub endpoint: WebhookEndpoint,
    /// [`crate::domain::webhook::WebhookSecrets`], sealed.
    pub sealed_secrets: String,
}

/// A configured endpoint.
#[derive(Debug, Clone)]
pub struct SeedWebhook {
    pub record: WebhookRecord,
    /// Was its secret configured? One that was made is kept from start to start.
    pub has_own_secret: bool,
}

/// Which deliveries to list.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    pub endpoint_id: Option<String>,
    pub event_id: Option<String>,
    pub event_type: Option<EventType>,
    pub status: Option<DeliveryStatus>,
    pub offset: i64,
    pub limit: i64,
}

row! {
    struct EndpointRow {
        id: String,
        version: i64,
        url: String,
        events_json: String,
        description: String,
        is_enabled: i64,
        sealed_secrets: String,
        created_at_ms: i64,
        updated_at_ms: i64,
    }
}

row! {
    struct DeliveryRow {
        endpoint_id: String,
        event_id: String,
        event_type: String,
        body: String,
        status: String,
        attempts: i64,
        failures: i64,
        next_attempt_at_ms: Option<i64>,
        log_json: String,
        created_at_ms: i64,
    }
}

impl TryFrom<EndpointRow> for WebhookRecord {
    type Error = StoreError;

    fn try_from(row: EndpointRow) -> Result<Self, StoreError> {
        let names: Vec<String> =
            serde_json::from_str(&row.events_json).map_err(|_| StoreError::Unreadable("webhook"))?;
        Ok(Self {
            endpoint: WebhookEndpoint {
                id: row.id,
                version: row.version,
                url: row.url,
                events: names.iter().filter_map(|name| EventType::parse(name)).collect(),
                description: row.description,
                is_enabled: row.is_enabled == 1,
                created_at_ms: row.created_at_ms,
                updated_at_ms: row.updated_at_ms,
            },
            sealed_secrets: row.sealed_secrets,
        })
    }
}

impl TryFrom<DeliveryRow> for WebhookDelivery {
    type Error = StoreError;

    fn try_from(row: DeliveryRow) -> Result<Self, StoreError> {
        let unreadable = || StoreError::Unreadable("webhook delivery");
        Ok(Self {
            endpoint_id: row.endpoint_id,
            event_id: row.event_id,
            event_type: row.event_type,
            body: row.body,
            status: DeliveryStatus::parse(&row.status).ok_or_else(unreadable)?,
            attempts: row.attempts,
            failures: row.failures,
            next_attempt_at_ms: row.next_attempt_at_ms,
            log: serde_json::from_str(&row.log_json).map_err(|_| unreadable())?,
            created_at_ms: row.created_at_ms,
        })
    }
}

/// Queues an event that the same transaction wrote for the enabled endpoints that want it.
pub(super) fn queueing(environment_id: &str, event: &Event) -> Statement {
    sql("INSERT INTO webhook_deliveries (environment_id, endpoint_id, event_id, event_type, body, status, attempts, \
         failures, next_attempt_at_ms, leased_until_ms, log_json, created_at_ms, logged_at_ms) \
         SELECT w.environment_id, w.id, e.id, e.type, $3, 'QUEUED', 0, 0, 0, 0, '[]', e.occurred_at_ms, \
         e.logged_at_ms FROM events e JOIN webhook_endpoints w ON w.environment_id = e.environment_id \
         WHERE e.environment_id = $1 AND e.id = $2 AND w.is_enabled = 1 \
         AND (w.events_json = '[]' OR w.events_json LIKE CAST($4 AS TEXT))")
    .bind(environment_id.to_owned())
    .bind(event.id.clone())
    .bind(event.payload(environment_id).to_body())
    .bind(format!("%\"{}\"%", event.event_type.as_str()))
}

/// Binds what is known of an endpoint to $1 to $8, with the names that the statements below give them.
fn bind_fields(
    query: Statement,
    environment_id: &str,
    record: &WebhookRecord,
) -> Result<Statement, StoreError> {
    let endpoint = &record.endpoint;
    let names: Vec<&str> = endpoint.events.iter().map(|event_type| event_type.as_str()).collect();
    let events_json = serde_json::to_string(&names).map_err(|_| StoreError::Unreadable("webhook"))?;
    Ok(query
        .bind(environment_id.to_owned())
        .bind(endpoint.id.clone())
        .bind(endpoint.url.clone())
        .bind(events_json)
        .bind(endpoint.description.clone())
        .bind(i64::from(endpoint.is_enabled))
        .bind(record.sealed_secrets.clone())
        .bind(endpoint.updated_at_ms))
}

/// Makes an endpoint the configured one: a version more where it was another one.
fn seeding(environment_id: &str, webhook: &SeedWebhook) -> Result<Statement, StoreError> {
    let query =
        sql("INSERT INTO webhook_endpoints (environment_id, id, url, events_json, description, is_enabled, \
         sealed_secrets, created_at_ms, updated_at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) \
         ON CONFLICT (environment_id, id) DO UPDATE SET version = webhook_endpoints.version + 1, \
         url = excluded.url, events_json = excluded.events_json, description = excluded.description, \
         is_enabled = excluded.is_enabled, updated_at_ms = excluded.updated_at_ms, \
         sealed_secrets = CASE WHEN CAST($9 AS BIGINT) = 1 THEN excluded.sealed_secrets \
         ELSE webhook_endpoints.sealed_secrets END");
    Ok(bind_fields(query, environment_id, &webhook.record)?.bind(i64::from(webhook.has_own_secret)))
}

impl Store {
    /// Writes the configured endpoints, for resets too. What was configured and is no more goes.
    pub async fn seed_webhooks(
        &self,
        environment_id: &str,
        webhooks: &[SeedWebhook],
    ) -> Result<(), StoreError> {
        let template = template_id(environment_id);
        let configured = self.webhooks(&template).await?;
        let is_gone = |id: &str| !webhooks.iter().any(|webhook| webhook.record.endpoint.id == id);
        let mut batch = Batch::default();
        for record in configured.iter().filter(|record| is_gone(&record.endpoint.id)) {
            for owner in [environment_id, template.as_str()] {
                let query = sql("DELETE FROM webhook_endpoints WHERE environment_id = $1 AND id = $2");
                batch.write(query.bind(owner.to_owned()).bind(record.endpoint.id.clone()));
            }
        }
        for webhook in webhooks {
            for owner in [environment_id, template.as_str()] {
                batch.write(seeding(owner, webhook)?);
            }
        }
        if batch.len() > 0 {
            self.commit(batch).await?;
        }
        Ok(())
    }

    /// The endpoints of an environment, oldest first.
    pub async fn webhooks(&self, environment_id: &str) -> Result<Vec<WebhookRecord>, StoreError> {
        let rows: Vec<EndpointRow> = sql(
            "SELECT id, version, url, events_json, description, is_enabled, sealed_secrets, created_at_ms, \
             updated_at_ms FROM webhook_endpoints WHERE environment_id = $1 ORDER BY created_at_ms, id",
        )
        .bind(environment_id.to_owned())
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(WebhookRecord::try_from).collect()
    }

    /// An endpoint.
    pub async fn webhook(&self, environment_id: &str, id: &str) -> Result<Option<WebhookRecord>, StoreError> {
        let row: Option<EndpointRow> = sql(
            "SELECT id, version, url, events_json, description, is_enabled, sealed_secrets, created_at_ms, \
             updated_at_ms FROM webhook_endpoints WHERE environment_id = $1 AND id = $2",
        )
        .bind(environment_id.to_owned())
        .bind(id.to_owned())
        .fetch_optional(&self.pool)
        .await?;
        row.map(WebhookRecord::try_from).transpose()
    }

    /// Adds an endpoint.
    pub async fn insert_webhook(
        &self,
        environment_id: &str,
        record: &WebhookRecord,
    ) -> Result<(), StoreError> {
        let query = sql(
            "INSERT INTO webhook_endpoints (environment_id, id, url, events_json, description, is_enabled, \
             sealed_secrets, created_at_ms, updated_at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $9, $8)",
        );
        let query = bind_fields(query, environment_id, record)?.bind(record.endpoint.created_at_ms);
        self.execute(query).await?;
        Ok(())
    }

    /// Replaces what is known of an endpoint; `false` when it was changed or deleted since its version was read.
    pub async fn update_webhook(
        &self,
        environment_id: &str,
        record: &WebhookRecord,
    ) -> Result<bool, StoreError> {
        let query = sql("UPDATE webhook_endpoints SET version = version + 1, url = $3, events_json = $4, \
             description = $5, is_enabled = $6, sealed_secrets = $7, updated_at_ms = $8 \
             WHERE environment_id = $1 AND id = $2 AND version = $9");
        let query = bind_fields(query, environment_id, record)?.bind(record.endpoint.version);
        Ok(self.execute(query).await? == 1)
    }

    /// Deletes an endpoint and ends the deliveries to it; `false` when it was gone.
    pub async fn delete_webhook(&self, environment_id: &str, id: &str) -> Result<bool, StoreError> {
        let mut batch = Batch::default();
        let query = sql("DELETE FROM webhook_endpoints WHERE environment_id = $1 AND id = $2");
        batch.require_one_row(query.bind(environment_id.to_owned()).bind(id.to_owned()));
        let query = sql("UPDATE webhook_deliveries SET status = 'FAILED', next_attempt_at_ms = NULL \
             WHERE environment_id = $1 AND endpoint_id = $2 AND next_attempt_at_ms IS NOT NULL");
        batch.write(query.bind(environment_id.to_owned()).bind(id.to_owned()));
        Ok(self.commit(batch).await?.is_some())
    }

    /// Queues a delivery that no event stands behind, to try an endpoint.
    pub async fn insert_delivery(
        &self,
        environment_id: &str,
        delivery: &WebhookDelivery,
        logged_at_ms: UnixMs,
    ) -> Result<(), StoreError> {
        let query = sql(
            "INSERT INTO webhook_deliveries (environment_id, endpoint_id, event_id, event_type, body, \
             status, attempts, failures, next_attempt_at_ms, leased_until_ms, log_json, created_at_ms, logged_at_ms) \
             VALUES ($1, $2, $3, $4, $5, 'QUEUED', 0, 0, 0, 0, '[]', $6, $7)",
        );
        let query = query
            .bind(environment_id.to_owned())
            .bind(delivery.endpoint_id.clone())
            .bind(delivery.event_id.clone())
            .bind(delivery.event_type.clone())
            .bind(delivery.body.clone())
            .bind(delivery.created_at_ms)
            .bind(logged_at_ms);
        self.execute(query).await?;
        Ok(())
    }

    /// Deliveries of an environment, those of the newest events first.
    pub async fn deliveries(
        &self,
        environment_id: &str,
        filter: &DeliveryFilter,
    ) -> Result<Vec<WebhookDelivery>, StoreError> {
        let rows: Vec<DeliveryRow> = sql(
            "SELECT endpoint_id, event_id, event_type, body, status, attempts, failures, next_attempt_at_ms, log_json, \
             created_at_ms FROM webhook_deliveries WHERE environment_id = $1 AND ($2 = '' OR endpoint_id = $2) \
             AND ($3 = '' OR event_id = $3) AND ($4 = '' OR event_type = $4) AND ($5 = '' OR status = $5) \
             ORDER BY event_id DESC, endpoint_id LIMIT CAST($6 AS BIGINT) OFFSET CAST($7 AS BIGINT)",
        )
        .bind(environment_id.to_owned())
        .bind(filter.endpoint_id.clone().unwrap_or_default())
        .bind(filter.event_id.clone().unwrap_or_default())
        .bind(filter.event_type.map(EventType::as_str).unwrap_or_default())
        .bind(filter.status.map(DeliveryStatus::as_str).unwrap_or_default())
        .bind(filter.limit)
        .bind(filter.offset)
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(WebhookDelivery::try_from).collect()
    }

    /// Sends deliveries to an endpoint again, from the first attempt on, whatever became of them: one by its event, or
    /// those of a status. One that is being tried at this moment is left alone. Tells how many.
    pub async fn replay_deliveries(
        &self,
        environment_id: &str,
        endpoint_id: &str,
        event_id: Option<&str>,
        status: Option<DeliveryStatus>,
        machine_ms: UnixMs,
    ) -> Result<u64, StoreError> {
        let query =
            sql("UPDATE webhook_deliveries SET status = 'QUEUED', failures = 0, next_attempt_at_ms = 0 \
             WHERE environment_id = $1 AND endpoint_id = $2 AND ($3 = '' OR event_id = $3) \
             AND ($4 = '' OR status = $4) AND leased_until_ms <= $5");
        let query = query
            .bind(environment_id.to_owned())
            .bind(endpoint_id.to_owned())
            .bind(event_id.unwrap_or_default().to_owned())
            .bind(status.map(DeliveryStatus::as_str).unwrap_or_default())
            .bind(machine_ms);
        self.execute(query).await
    }

    /// Deliveries of an environment's endpoints that were given up.
    pub async fn count_failed_deliveries(&self, environment_id: &str) -> Result<i64, StoreError> {
        let query = sql("SELECT COUNT(*) FROM webhook_deliveries d JOIN webhook_endpoints w \
             ON w.environment_id = d.environment_id AND w.id = d.endpoint_id \
             WHERE d.environment_id = $1 AND d.status = 'FAILED'");
        let (count,): (i64,) = query.bind(environment_id.to_owned()).fetch_one(&self.pool).await?;
        Ok(count)
    }

    /// Enabled endpoints, of all environments, with deliveries that are not over.
    pub async fn endpoints_with_deliveries(&self) -> Result<Vec<DueReceiver>, StoreError> {
        let rows: Vec<DueRow> = sql(
            "SELECT w.environment_id, w.id, e.clock_json FROM webhook_endpoints w \
             JOIN environments e ON e.id = w.environment_id WHERE w.is_enabled = 1 AND EXISTS (\
             SELECT 1 FROM webhook_deliveries d WHERE d.environment_id = w.environment_id AND d.endpoint_id = w.id \
             AND d.next_attempt_at_ms IS NOT NULL)",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(DueReceiver::try_from).collect()
    }

    /// Deliveries to an endpoint whose time has come by the environment's clock and that no server has by the machine's,
    /// oldest first.
    pub async fn due_deliveries(
        &self,
        endpoint: &DueReceiver,
        now_ms: UnixMs,
        machine_ms: UnixMs,
        limit: i64,
    ) -> Result<Vec<WebhookDelivery>, StoreError> {
        let rows: Vec<DeliveryRow> = sql(
            "SELECT endpoint_id, event_id, event_type, body, status, attempts, failures, next_attempt_at_ms, log_json, \
             created_at_ms FROM webhook_deliveries WHERE environment_id = $1 AND endpoint_id = $2 \
             AND next_attempt_at_ms IS NOT NULL AND next_attempt_at_ms <= $3 AND leased_until_ms <= $4 \
             ORDER BY next_attempt_at_ms, event_id LIMIT CAST($5 AS BIGINT)",
        )
        .bind(endpoint.environment_id.clone())
        .bind(endpoint.id.clone())
        .bind(now_ms)
        .bind(machine_ms)
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(WebhookDelivery::try_from).collect()
    }

    /// Takes deliveries until `until_ms` by the machine's clock, and gives those that are ours, each with one attempt more:
    /// another server may have the others, or they are over. A server that dies while it delivers leaves them to whoever
    /// comes after that time.
    pub async fn lease_deliveries(
        &self,
        environment_id: &str,
        deliveries: Vec<WebhookDelivery>,
        until_ms: UnixMs,
    ) -> Result<Vec<WebhookDelivery>, StoreError> {
        if deliveries.is_empty() {
            return Ok(deliveries);
        }
        let mut batch = Batch::default();
        for delivery in &deliveries {
            let query = sql("UPDATE webhook_deliveries SET attempts = attempts + 1, leased_until_ms = $5 \
                 WHERE environment_id = $1 AND endpoint_id = $2 AND event_id = $3 AND attempts = $4 \
                 AND next_attempt_at_ms IS NOT NULL");
            let query = query
                .bind(environment_id.to_owned())
                .bind(delivery.endpoint_id.clone())
                .bind(delivery.event_id.clone())
                .bind(delivery.attempts)
                .bind(until_ms);
            batch.write(query);
        }
        let results = self.commit(batch).await?.unwrap_or_default();
        let ours = deliveries.into_iter().zip(results).filter(|(_, result)| result.rows_affected == 1);
        Ok(ours.map(|(d, _)| WebhookDelivery { attempts: d.attempts + 1, ..d }).collect())
    }

    /// Notes how attempts of leased deliveries went, each with the ID of its environment, and gives the leases back. Nothing
    /// of one that went on without us, or was ended by the deletion of its endpoint.
    pub async fn conclude_deliveries(
        &self,
        deliveries: &[(String, WebhookDelivery)],
    ) -> Result<(), StoreError> {
        let mut statements = vec![];
        for (environment_id, delivery) in deliveries {
            let log = serde_json::to_string(&delivery.log)
                .map_err(|_| StoreError::Unreadable("webhook delivery"))?;
            let query = sql(
                "UPDATE webhook_deliveries SET status = $5, failures = $6, next_attempt_at_ms = $7, \
                 log_json = $8, leased_until_ms = 0 WHERE environment_id = $1 AND endpoint_id = $2 AND event_id = $3 \
                 AND attempts = $4 AND next_attempt_at_ms IS NOT NULL",
            );
            let query = query
                .bind(environment_id.clone())
                .bind(delivery.endpoint_id.clone())
                .bind(delivery.event_id.clone())
                .bind(delivery.attempts)
                .bind(delivery.status.as_str())
                .bind(delivery.failures)
                .bind(delivery.next_attempt_at_ms)
                .bind(log);
            statements.push(query);
        }
        self.write_all(statements).await
    }

    /// Deletes up to `batch` deliveries that are older than this, and tells how many went. What still waits for its
    /// endpoint stays.
    pub async fn delete_deliveries(
        &self,
        environment_id: &str,
        before_ms: UnixMs,
        batch: i64,
    ) -> Result<u64, StoreError> {
        let query = sql("DELETE FROM webhook_deliveries WHERE (environment_id, endpoint_id, event_id) IN \
             (SELECT d.environment_id, d.endpoint_id, d.event_id FROM webhook_deliveries d \
             WHERE d.environment_id = $1 AND d.logged_at_ms < $2 AND (d.next_attempt_at_ms IS NULL \
             OR NOT EXISTS (SELECT 1 FROM webhook_endpoints w WHERE w.environment_id = d.environment_id \
             AND w.id = d.endpoint_id)) LIMIT $3)");
        self.execute(query.bind(environment_id.to_owned()).bind(before_ms).bind(batch)).await
    }
}
