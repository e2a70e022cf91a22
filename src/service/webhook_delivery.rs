//! Sending events to webhook endpoints. The change that an event tells of wrote down who has to be told; here it is sent,
//! after the commit, so that no caller waits and no crash loses it.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderMap;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::Instant;
use url::Url;

use super::Failure;
use super::delivery::{self, LEASE_MS, Queue};
use super::delivery_http::{LazyClient, PublicAddresses, why_no_answer};
use crate::crypto::webhook_signature::signature;
use crate::domain::clock::Clock as _;
use crate::domain::settings::Mode;
use crate::domain::webhook::{
    DeliveryAttempt, DeliveryStatus, MAX_LOGGED_BODY, WebhookDelivery, WebhookSecrets, check_url,
};
use crate::runtime::{EnvironmentRegistry, ServerState};
use crate::storage::DueReceiver;
use crate::telemetry::metrics::Delivery;

/// How long an endpoint may take to respond.
const RESPOND_WITHIN: Duration = Duration::from_secs(10);

/// Results that wait to be written; whoever has more waits.
const MAX_UNWRITTEN: usize = 16;

/// Headers of a response that the log keeps, and how much of each value.
const MAX_LOGGED_HEADERS: usize = 64;
const MAX_LOGGED_HEADER: usize = 512;

/// Sends webhooks until the task is dropped.
pub async fn run(registry: EnvironmentRegistry) {
    let Some(server) = registry.get().map(|runtime| runtime.server.clone()) else { return };
    let public_addresses = (server.mode == Mode::Production)
        .then(|| PublicAddresses { allowed_hosts: server.webhook_allowed_hosts.clone().into() });
    let events_written = Mutex::new(server.store.events_written());
    let client = LazyClient::default();
    let (concluded, results) = mpsc::channel(MAX_UNWRITTEN);
    let writing = write_results(server.clone(), results);
    let webhooks = Webhooks { registry, server, events_written, public_addresses, client, concluded };
    tokio::join!(delivery::run(webhooks), writing);
}

/// Writes what came of deliveries, those that come together at once, so that many take little of the database.
async fn write_results(server: Arc<ServerState>, mut results: mpsc::Receiver<(String, WebhookDelivery)>) {
    let mut waiting = vec![];
    while results.recv_many(&mut waiting, MAX_UNWRITTEN).await > 0 {
        if let Err(error) = server.store.conclude_deliveries(&waiting).await {
            // Their leases run out, and they are tried again.
            tracing::error!(%error, "webhooks: the results of {} deliveries could not be noted", waiting.len());
        }
        waiting.clear();
    }
}

struct Webhooks {
    registry: EnvironmentRegistry,
    server: Arc<ServerState>,
    events_written: Mutex<watch::Receiver<u64>>,
    /// `None`: any address is good.
    public_addresses: Option<PublicAddresses>,
    client: LazyClient,
    /// Deliveries after an attempt, each with the ID of its environment.
    concluded: mpsc::Sender<(String, WebhookDelivery)>,
}

/// A delivery that is ours for a while.
struct Leased {
    environment_id: String,
    delivery: WebhookDelivery,
}

impl Queue for Webhooks {
    type Receiver = DueReceiver;
    type Item = Leased;

    const NAME: &'static str = "webhooks";

    async fn receivers(&self) -> Result<Vec<DueReceiver>, Failure> {
        Ok(self.server.store.endpoints_with_deliveries().await?)
    }

    fn key(endpoint: &DueReceiver) -> (String, String) {
        (endpoint.environment_id.clone(), endpoint.id.clone())
    }

    /// Due is what the environment's clock says, so that no test waits; leases are real time.
    async fn take(&self, endpoint: &DueReceiver, limit: i64) -> Result<Vec<Leased>, Failure> {
        let (store, machine_ms) = (&self.server.store, self.server.machine_clock.now_ms());
        let now_ms = endpoint.clock.now_ms(machine_ms);
        let due = store.due_deliveries(endpoint, now_ms, machine_ms, limit).await?;
        let environment_id = &endpoint.environment_id;
        let ours = store.lease_deliveries(environment_id, due, machine_ms + LEASE_MS).await?;
        let taken = ours.into_iter();
        Ok(taken.map(|delivery| Leased { environment_id: environment_id.clone(), delivery }).collect())
    }

    async fn deliver(&self, leased: Leased) -> Result<(), Failure> {
        let Leased { environment_id, mut delivery } = leased;
        let store = &self.server.store;
        // Whoever deleted environment or endpoint ended its deliveries.
        let Some(record) = store.webhook(&environment_id, &delivery.endpoint_id).await? else {
            return Ok(());
        };
        let runtime = match self.registry.by_id(&environment_id).await {
            Ok(Some(runtime)) => runtime,
            Ok(None) => return Ok(()),
            Err(error) => {
                tracing::error!(%error, "the environment of a webhook cannot be read");
                return Ok(());
            }
        };
        let secrets = self.server.webhooks().open(&record.sealed_secrets)?;
        let attempt = self.attempt(&record.endpoint.url, &secrets, &delivery).await;
        let retry_percent = runtime.live().environment.delivery_retry_percent;
        delivery.conclude(attempt, runtime.clock.now_ms(), retry_percent);
        self.registry.metrics().webhook(told(&delivery));
        // An error: this server stops. Its lease runs out, and another one delivers again.
        let _ = self.concluded.send((environment_id, delivery)).await;
        Ok(())
    }

    async fn wait(&self) {
        let mut events_written = self.events_written.lock().await;
        tokio::select! {
            // An error: the store is gone, and this server with it.
            _ = events_written.changed() => {}
            () = self.server.deliveries_due.notified() => {}
        }
    }
}

/// Says in the log how a delivery stands after an attempt.
fn told(delivery: &WebhookDelivery) -> Delivery {
    let WebhookDelivery { endpoint_id, event_id, attempts, .. } = delivery;
    let reason = delivery.log.last().and_then(|attempt| attempt.reason.as_deref()).unwrap_or_default();
    match delivery.status {
        DeliveryStatus::Success => {
            tracing::debug!(endpoint_id, event_id, attempts, "webhook delivered");
            Delivery::Delivered
        }
        DeliveryStatus::Queued | DeliveryStatus::Retrying => {
            tracing::warn!(endpoint_id, event_id, attempts, reason, "webhook not delivered yet");
            Delivery::Postponed
        }
        DeliveryStatus::Failed => {
            tracing::error!(endpoint_id, event_id, attempts, reason, "webhook given up");
            Delivery::GivenUp
        }
    }
}

impl Webhooks {
    /// Sends a delivery once. Signatures and their time are real time, by which receivers check them.
    async fn attempt(
        &self,
        url: &str,
        secrets: &WebhookSecrets,
        delivery: &WebhookDelivery,
    ) -> DeliveryAttempt {
        let at_ms = self.server.machine_clock.now_ms();
        let headers = headers(secrets, delivery, at_ms);
        let mut attempt = DeliveryAttempt {
            number: delivery.attempts,
            url: url.to_owned(),
            at_ms,
            request_headers: headers.clone(),
            ..DeliveryAttempt::default()
        };
        let begun = Instant::now();
        let outcome = self.post(url, &headers, &delivery.body, &mut attempt).await;
        attempt.latency_ms = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
        attempt.reason = outcome.err();
        attempt
    }

    /// # Errors
    /// Why it is no success, in words.
    async fn post(
        &self,
        url: &str,
        headers: &[(String, String)],
        body: &str,
        attempt: &mut DeliveryAttempt,
    ) -> Result<(), String> {
        // What was configured in development mode may not be good enough for production.
        check_url(url, self.server.mode).map_err(|reason| format!("the URL {reason}"))?;
        if let (Some(addresses), Ok(url)) = (&self.public_addresses, Url::parse(url)) {
            addresses.check_literal(&url).map_err(|refused| refused.to_string())?;
        }
        let (roots, addresses) = (&self.server.logout_roots, self.public_addresses.clone());
        let client = self.client.get(roots, RESPOND_WITHIN, addresses);
        let client = client.map_err(|error| format!("no HTTP client can be made: {error}"))?;
        let request =
            headers.iter().fold(client.post(url), |request, (name, value)| request.header(name, value));
        let sent = request.body(body.to_owned()).send().await;
        let mut response = sent.map_err(|error| {
            let reason = why_no_answer(&error, url, RESPOND_WITHIN);
            tracing::debug!(error = ?error.without_url(), "webhook: {reason}");
            reason
        })?;
        let status = response.status();
        attempt.status = Some(status.as_u16());
        attempt.response_headers = logged_headers(response.headers());
        attempt.response_body = beginning(&mut response).await;
        if status.is_success() {
            Ok(())
        } else if status.is_redirection() {
            Err(format!("HTTP {}: redirects are not followed", status.as_u16()))
        } else {
            Err(format!("HTTP {}", status.as_u16()))
        }
    }
}

/// The headers of an attempt at a time, with a signature by each secret that is valid then.
pub(super) fn headers(
    secrets: &WebhookSecrets,
    delivery: &WebhookDelivery,
    at_ms: i64,
) -> Vec<(String, String)> {
    let timestamp_s = at_ms.div_euclid(1000);
    let keys = secrets.valid_at(at_ms).filter_map(|secret| secret.key());
    let signatures = keys.map(|key| signature(&key, &delivery.event_id, timestamp_s, &delivery.body));
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("user-agent", concat!("Vestibule/", env!("CARGO_PKG_VERSION")).to_owned()),
        ("webhook-id", delivery.event_id.clone()),
        ("webhook-timestamp", timestamp_s.to_string()),
        ("webhook-signature", signatures.collect::<Vec<_>>().join(" ")),
    ];
    headers.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

/// Headers as the log keeps them.
pub(super) fn logged_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let logged = headers.iter().take(MAX_LOGGED_HEADERS).map(|(name, value)| {
        let value: String =
            String::from_utf8_lossy(value.as_bytes()).chars().take(MAX_LOGGED_HEADER).collect();
        (name.as_str().to_owned(), value)
    });
    logged.collect()
}

/// The beginning of a body; the rest is not read. A response that breaks off or takes too long has said its status already.
async fn beginning(response: &mut reqwest::Response) -> String {
    let mut bytes = vec![];
    while bytes.len() < MAX_LOGGED_BODY
        && let Ok(Some(chunk)) = response.chunk().await
    {
        bytes.extend_from_slice(&chunk);
    }
    bytes.truncate(MAX_LOGGED_BODY);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::entropy::Fixed;
    use crate::domain::webhook::WebhookSecret;

    #[test]
    fn during_a_rotation_there_is_a_signature_by_each_secret() {
        let delivery = WebhookDelivery {
            endpoint_id: "whe_1".into(),
            event_id: "evt_1".into(),
            event_type: "role.created".into(),
            body: "{}".into(),
            status: DeliveryStatus::Queued,
            attempts: 1,
            failures: 0,
            next_attempt_at_ms: Some(0),
            created_at_ms: 0,
            log: vec![],
        };
        let mut secrets = WebhookSecrets::new(WebhookSecret::new(&Fixed(1)));
        secrets.rotate(WebhookSecret::new(&Fixed(2)), 1_000, 5_000);
        let signed = |at_ms| {
            let headers = headers(&secrets, &delivery, at_ms);
            headers.into_iter().find(|(name, _)| name == "webhook-signature").unwrap().1
        };
        let by = |byte, timestamp_s| signature(&[byte; 32], "evt_1", timestamp_s, "{}");
        assert_eq!(signed(5_999), format!("{} {}", by(2, 5), by(1, 5)));
        assert_eq!(signed(6_000), by(2, 6), "the old one has expired");
    }
}
