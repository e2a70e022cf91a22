//! Webhook endpoints: list, create, change, delete, rotate secrets, try; and what was sent to them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::changes::{ControlError, exists};
use super::retry_on_conflict;
use super::signing_secrets::{self, RotateSecret, Rotation};
use super::webhook_delivery::headers;
use crate::domain::clock::{UnixMs, rfc3339};
use crate::domain::event::{Event, EventType, sample_data};
use crate::domain::ids::IdKind;
use crate::domain::shell::quoted;
use crate::domain::webhook::{
    DeliveryAttempt, DeliveryStatus, WebhookDelivery, WebhookEndpoint, bad_description, check_url,
    parse_events,
};
use crate::runtime::Context;
pub use crate::storage::DeliveryFilter;
use crate::storage::WebhookRecord;

/// An endpoint as the control API shows it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct WebhookView {
    /// `whe_…`
    pub id: String,
    pub url: String,
    /// Types of the events that are sent; empty: all.
    pub events: Vec<String>,
    pub description: String,
    pub enabled: bool,
    /// What receivers verify signatures with: `whsec_…`.
    pub secret: String,
    /// How many older secrets are still valid, so that deliveries carry a signature by each.
    pub old_secrets: usize,
    /// RFC 3339.
    pub created_at: String,
    pub updated_at: String,
}

/// An endpoint to be made.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateWebhook {
    /// `https` in production mode.
    pub url: String,
    /// Types of the events that are sent; left out: all.
    #[serde(default)]
    pub events: Vec<String>,
    #[serde(default)]
    pub description: String,
    /// `true` when left out.
    pub enabled: Option<bool>,
    /// `whsec_` and 24 to 64 bytes in base64; made when left out.
    pub secret: Option<String>,
}

/// What to change of an endpoint; what is left out stays.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeWebhook {
    pub url: Option<String>,
    /// Replaces the list; empty: all.
    pub events: Option<Vec<String>>,
    pub description: Option<String>,
    pub enabled: Option<bool>,
}

/// What to try an endpoint with.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SendTestEvent {
    /// A type; by default the first that the endpoint wants.
    #[serde(rename = "type")]
    pub event_type: Option<String>,
}

/// What to send again.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// One delivery, by its event, whatever its status.
    pub event_id: Option<String>,
    /// Without `event_id`: those of this status; `FAILED` when left out.
    pub status: Option<String>,
}

/// A delivery as the control API shows it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DeliveryView {
    pub webhook_id: String,
    /// `webhook-id` of its requests.
    pub event_id: String,
    #[serde(rename = "type")]
    pub event_type: String,
    pub status: DeliveryStatus,
    /// Attempts that were begun.
    pub attempts: i64,
    /// By the environment's clock. Left out where none follows, and where it is made at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<String>,
    /// By the environment's clock.
    pub created_at: String,
    /// The body of its requests.
    pub body: String,
    /// The last attempts, the oldest first.
    pub log: Vec<AttemptView>,
}

/// An attempt as the control API shows it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AttemptView {
    /// From 1 on.
    pub number: i64,
    pub url: String,
    /// Real time.
    pub at: String,
    pub latency_ms: i64,
    #[schema(value_type = Vec<Vec<String>>)]
    pub request_headers: Vec<(String, String)>,
    /// Left out where there was no response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[schema(value_type = Vec<Vec<String>>)]
    pub response_headers: Vec<(String, String)>,
    /// Its first 4 KiB.
    pub response_body: String,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl From<DeliveryAttempt> for AttemptView {
    fn from(attempt: DeliveryAttempt) -> Self {
        Self {
            number: attempt.number,
            url: attempt.url,
            at: rfc3339(attempt.at_ms),
            latency_ms: attempt.latency_ms,
            request_headers: attempt.request_headers,
            status: attempt.status,
            response_headers: attempt.response_headers,
            response_body: attempt.response_body,
            reason: attempt.reason,
        }
    }
}

impl From<WebhookDelivery> for DeliveryView {
    fn from(delivery: WebhookDelivery) -> Self {
        Self {
            webhook_id: delivery.endpoint_id,
            event_id: delivery.event_id,
            event_type: delivery.event_type,
            status: delivery.status,
            attempts: delivery.attempts,
            next_attempt_at: delivery.next_attempt_at_ms.filter(|ms| *ms > 0).map(rfc3339),
            created_at: rfc3339(delivery.created_at_ms),
            body: delivery.body,
            log: delivery.log.into_iter().map(AttemptView::from).collect(),
        }
    }
}

fn unknown(id: &str) -> ControlError {
    ControlError::NotFound(format!("there is no webhook {id}"))
}

fn real_ms(context: &Context) -> UnixMs {
    context.runtime.clock.machine_ms()
}

fn view(context: &Context, record: &WebhookRecord) -> Result<WebhookView, ControlError> {
    let (secret, old_secrets) = signing_secrets::open(context, &record.sealed_secrets)?;
    let endpoint = &record.endpoint;
    Ok(WebhookView {
        id: endpoint.id.clone(),
        url: endpoint.url.clone(),
        events: endpoint.events.iter().map(|event_type| event_type.as_str().to_owned()).collect(),
        description: endpoint.description.clone(),
        enabled: endpoint.is_enabled,
        secret,
        old_secrets,
        created_at: rfc3339(endpoint.created_at_ms),
        updated_at: rfc3339(endpoint.updated_at_ms),
    })
}

async fn find(context: &Context, id: &str) -> Result<WebhookRecord, ControlError> {
    let found = context.store().webhook(context.environment_id(), id).await?;
    found.ok_or_else(|| unknown(id))
}

/// The endpoints, oldest first.
pub async fn list(context: &Context) -> Result<Vec<WebhookView>, ControlError> {
    let records = context.store().webhooks(context.environment_id()).await?;
    records.iter().map(|record| view(context, record)).collect()
}

/// An endpoint.
pub async fn get(context: &Context, id: &str) -> Result<WebhookView, ControlError> {
    view(context, &find(context, id).await?)
}

/// Lays changes over an endpoint.
fn apply(
    context: &Context,
    endpoint: &mut WebhookEndpoint,
    change: &ChangeWebhook,
) -> Result<(), ControlError> {
    if let Some(url) = &change.url {
        let checked = check_url(url, context.runtime.server.mode);
        endpoint.url = checked.map_err(|reason| ControlError::field("url", reason))?;
    }
    if let Some(names) = &change.events {
        endpoint.events = parse_events(names).map_err(|reason| ControlError::field("events", reason))?;
    }
    if let Some(description) = &change.description {
        if let Some(reason) = bad_description(description) {
            return Err(ControlError::field("description", reason));
        }
        endpoint.description = description.clone();
    }
    endpoint.is_enabled = change.enabled.unwrap_or(endpoint.is_enabled);
    endpoint.updated_at_ms = context.now_ms();
    Ok(())
}

/// Makes an endpoint.
pub async fn create(context: &Context, wanted: CreateWebhook) -> Result<WebhookView, ControlError> {
    let now_ms = context.now_ms();
    let mut endpoint = WebhookEndpoint {
        id: context.new_id(IdKind::WebhookEndpoint),
        version: 1,
        url: String::new(),
        events: vec![],
        description: String::new(),
        is_enabled: true,
        created_at_ms: now_ms,
        updated_at_ms: now_ms,
    };
    let sealed_secrets = signing_secrets::seal_first(context, wanted.secret.as_deref())?;
    let change = ChangeWebhook {
        url: Some(wanted.url),
        events: Some(wanted.events),
        description: Some(wanted.description),
        enabled: wanted.enabled,
    };
    apply(context, &mut endpoint, &change)?;
    let record = WebhookRecord { endpoint, sealed_secrets };
    let inserted = context.store().insert_webhook(context.environment_id(), &record).await;
    inserted.map_err(|error| exists(error, "url", "two webhooks were made at the same moment: try again"))?;
    view(context, &record)
}

/// Changes an endpoint over what is stored, again while others change it.
async fn change_record(
    context: &Context,
    id: &str,
    change: impl Fn(&mut WebhookRecord) -> Result<(), ControlError>,
) -> Result<WebhookView, ControlError> {
    retry_on_conflict(|| async {
        let mut record = find(context, id).await?;
        change(&mut record)?;
        let is_done = context.store().update_webhook(context.environment_id(), &record).await?;
        if is_done { view(context, &record).map(Some) } else { Ok(None) }
    })
    .await
}

/// Changes an endpoint. What waits for it is delivered as it is from then on.
pub async fn change(
    context: &Context,
    id: &str,
    change: &ChangeWebhook,
) -> Result<WebhookView, ControlError> {
    let changed = change_record(context, id, |record| apply(context, &mut record.endpoint, change)).await?;
    // One that was enabled again has something to receive.
    context.runtime.server.deliveries_due.notify_one();
    Ok(changed)
}

/// Deletes an endpoint. What waits for it is not delivered any more.
pub async fn delete(context: &Context, id: &str) -> Result<(), ControlError> {
    let is_done = context.store().delete_webhook(context.environment_id(), id).await?;
    if is_done { Ok(()) } else { Err(unknown(id)) }
}

/// Gives an endpoint a new secret; the one before stays valid for a while.
pub async fn rotate_secret(
    context: &Context,
    id: &str,
    wanted: &RotateSecret,
) -> Result<WebhookView, ControlError> {
    let rotation = Rotation::new(context, wanted)?;
    change_record(context, id, |record| {
        record.sealed_secrets = rotation.apply(context, &record.sealed_secrets)?;
        record.endpoint.updated_at_ms = context.now_ms();
        Ok(())
    })
    .await
}

/// Sends an endpoint an event that never happened, whether or not it wants its type.
pub async fn send_test_event(
    context: &Context,
    id: &str,
    wanted: &SendTestEvent,
) -> Result<DeliveryView, ControlError> {
    let endpoint = find(context, id).await?.endpoint;
    if !endpoint.is_enabled {
        return Err(ControlError::NotAllowed("the webhook is disabled: enable it to send to it".to_owned()));
    }
    let event_type = match wanted.event_type.as_deref() {
        Some(name) => event_type(name)?,
        None => endpoint.events.first().copied().unwrap_or(EventType::OrganizationCreated),
    };
    let event = Event {
        id: context.new_event_id(),
        event_type,
        organization_id: None,
        occurred_at_ms: context.now_ms(),
        logged_at_ms: real_ms(context),
        data: sample_data(context.environment_id(), event_type, context.now_ms()),
    };
    let delivery = WebhookDelivery {
        endpoint_id: endpoint.id,
        body: event.payload(context.environment_id()).to_body(),
        event_id: event.id,
        event_type: event_type.as_str().to_owned(),
        status: DeliveryStatus::Queued,
        attempts: 0,
        failures: 0,
        next_attempt_at_ms: Some(0),
        created_at_ms: event.occurred_at_ms,
        log: vec![],
    };
    context.store().insert_delivery(context.environment_id(), &delivery, event.logged_at_ms).await?;
    context.runtime.server.deliveries_due.notify_one();
    Ok(delivery.into())
}

/// A type by its name.
///
/// # Errors
/// It is none; the types that there are.
pub fn event_type(name: &str) -> Result<EventType, ControlError> {
    let types = parse_events(&[name.to_owned()]).map_err(|reason| ControlError::field("type", reason))?;
    types.first().copied().ok_or_else(|| ControlError::field("type", "is missing"))
}

/// A status by its name.
///
/// # Errors
/// It is none.
pub fn status(name: &str) -> Result<DeliveryStatus, ControlError> {
    let found = DeliveryStatus::parse(name);
    found.ok_or_else(|| ControlError::field("status", "must be QUEUED, RETRYING, SUCCESS or FAILED"))
}

/// What was sent, or is to be, the newest first.
pub async fn deliveries(
    context: &Context,
    filter: &DeliveryFilter,
) -> Result<Vec<DeliveryView>, ControlError> {
    if let Some(id) = &filter.endpoint_id {
        find(context, id).await?;
    }
    let found = context.store().deliveries(context.environment_id(), filter).await?;
    Ok(found.into_iter().map(DeliveryView::from).collect())
}

/// A delivery of an event to an endpoint, and a command that sends it once more, signed at this moment.
pub async fn delivery(
    context: &Context,
    id: &str,
    event_id: &str,
) -> Result<(DeliveryView, String), ControlError> {
    let record = find(context, id).await?;
    let filter = DeliveryFilter {
        endpoint_id: Some(id.to_owned()),
        event_id: Some(event_id.to_owned()),
        limit: 1,
        ..DeliveryFilter::default()
    };
    let found = context.store().deliveries(context.environment_id(), &filter).await?;
    let none = || ControlError::NotFound(format!("no delivery of {event_id} to this webhook is there"));
    let delivery = found.into_iter().next().ok_or_else(none)?;
    let secrets = context.runtime.server.webhooks().open(&record.sealed_secrets)?;
    let mut command = format!("curl {}", quoted(&record.endpoint.url));
    for (name, value) in headers(&secrets, &delivery, real_ms(context)) {
        command.push_str(&format!(" \\\n  -H {}", quoted(&format!("{name}: {value}"))));
    }
    command.push_str(&format!(" \\\n  --data-raw {}", quoted(&delivery.body)));
    Ok((delivery.into(), command))
}

/// Sends deliveries again, from the first attempt on; tells how many.
pub async fn replay(context: &Context, id: &str, wanted: &Replay) -> Result<u64, ControlError> {
    find(context, id).await?;
    let one = wanted.event_id.as_deref();
    let wanted_status = match (one, wanted.status.as_deref()) {
        (Some(_), Some(_)) => {
            return Err(ControlError::field("status", "must be left out beside event_id"));
        }
        (Some(_), None) => None,
        (None, Some(name)) => Some(status(name)?),
        (None, None) => Some(DeliveryStatus::Failed),
    };
    let (store, environment_id) = (context.store(), context.environment_id());
    let replayed = store.replay_deliveries(environment_id, id, one, wanted_status, real_ms(context)).await?;
    context.runtime.server.deliveries_due.notify_one();
    match one {
        Some(event_id) if replayed == 0 => {
            let text =
                format!("no delivery of {event_id} to this webhook is there, or it is being tried now");
            Err(ControlError::NotFound(text))
        }
        _ => Ok(replayed),
    }
}

/// How many deliveries were given up and not sent again since.
pub async fn failed_deliveries(context: &Context) -> Result<usize, ControlError> {
    let failed = context.store().count_failed_deliveries(context.environment_id()).await?;
    Ok(usize::try_from(failed).unwrap_or_default())
}

/// Sends every failed delivery again, from the first attempt on.
pub async fn replay_failed(context: &Context) -> Result<(), ControlError> {
    for endpoint in context.store().webhooks(context.environment_id()).await? {
        replay(context, &endpoint.endpoint.id, &Replay::default()).await?;
    }
    Ok(())
}
