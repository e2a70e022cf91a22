//! What happened to records, written in the same transaction as the change, with the deliveries to the endpoints that want
//! to hear of it.

use super::{Batch, Statement, Store, StoreError, row::row, sql, webhooks};
use crate::domain::clock::UnixMs;
use crate::domain::event::{Event, EventType};

/// Which events to list.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    pub event_type: Option<EventType>,
    pub organization_id: Option<String>,
    /// Only newer ones than this.
    pub after_id: Option<String>,
    /// The oldest first, not the newest.
    pub is_oldest_first: bool,
    pub offset: i64,
    pub limit: i64,
}

/// Lists events in an order of their ids.
macro_rules! events_by {
    ($order:literal) => {
        sql(concat!(
            "SELECT id, type AS event_type, organization_id, data_json, occurred_at_ms, logged_at_ms FROM events \
             WHERE environment_id = $1 AND id > $2 AND ($3 = '' OR type = $3) AND ($4 = '' OR organization_id = $4) ",
            $order,
            " LIMIT CAST($5 AS BIGINT) OFFSET CAST($6 AS BIGINT)"
        ))
    };
}

row! {
    struct Row {
        id: String,
        event_type: String,
        organization_id: Option<String>,
        data_json: String,
        occurred_at_ms: i64,
        logged_at_ms: i64,
    }
}

impl TryFrom<Row> for Event {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let unreadable = || StoreError::Unreadable("event");
        Ok(Self {
            id: row.id,
            event_type: EventType::parse(&row.event_type).ok_or_else(unreadable)?,
            organization_id: row.organization_id,
            occurred_at_ms: row.occurred_at_ms,
            logged_at_ms: row.logged_at_ms,
            data: serde_json::from_str(&row.data_json).map_err(|_| unreadable())?,
        })
    }
}

/// Notes an event, and queues it for the endpoints that want it.
pub(super) fn write(batch: &mut Batch, environment_id: &str, event: &Event) {
    let inserting =
        sql("INSERT INTO events (environment_id, id, type, organization_id, data_json, occurred_at_ms, \
         logged_at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7)");
    finish(batch, bind(inserting, environment_id, event), environment_id, event);
}

/// Notes what is told of sessions, by their ids, that are ended next: of each that has not ended before.
pub(super) fn write_logouts(batch: &mut Batch, environment_id: &str, logouts: &[(String, Event)]) {
    for (session_id, event) in logouts {
        let inserting =
            sql("INSERT INTO events (environment_id, id, type, organization_id, data_json, occurred_at_ms, \
             logged_at_ms) SELECT $1, $2, $3, $4, $5, CAST($6 AS BIGINT), CAST($7 AS BIGINT) WHERE EXISTS \
             (SELECT 1 FROM sessions WHERE environment_id = $1 AND id = $8 AND ended_at_ms IS NULL)");
        let inserting = bind(inserting, environment_id, event).bind(session_id.to_owned());
        finish(batch, inserting, environment_id, event);
    }
}

fn finish(batch: &mut Batch, inserting: Statement, environment_id: &str, event: &Event) {
    batch.write(inserting);
    batch.write(webhooks::queueing(environment_id, event));
    batch.has_events = true;
}

fn bind(query: Statement, environment_id: &str, event: &Event) -> Statement {
    query
        .bind(environment_id.to_owned())
        .bind(event.id.clone())
        .bind(event.event_type.as_str())
        .bind(event.organization_id.clone())
        .bind(event.data.to_string())
        .bind(event.occurred_at_ms)
        .bind(event.logged_at_ms)
}

impl Store {
    /// The types of an environment's events with what they are about, oldest first.
    pub async fn events(&self, environment_id: &str) -> Result<Vec<(String, String)>, StoreError> {
        let query = sql("SELECT type, data_json FROM events WHERE environment_id = $1 ORDER BY id");
        Ok(query.bind(environment_id).fetch_all(&self.pool).await?)
    }

    /// Events in the order that the filter says.
    pub async fn listed_events(
        &self,
        environment_id: &str,
        filter: &EventFilter,
    ) -> Result<Vec<Event>, StoreError> {
        let query = if filter.is_oldest_first {
            events_by!("ORDER BY id ASC")
        } else {
            events_by!("ORDER BY id DESC")
        };
        let rows: Vec<Row> = query
            .bind(environment_id)
            .bind(filter.after_id.clone().unwrap_or_default())
            .bind(filter.event_type.map(EventType::as_str).unwrap_or_default())
            .bind(filter.organization_id.clone().unwrap_or_default())
            .bind(filter.limit)
            .bind(filter.offset)
            .fetch_all(&self.pool)
            .await?;
        rows.into_iter().map(Event::try_from).collect()
    }

    /// Deletes up to `batch` events that are older than this, and tells how many went.
    pub async fn delete_events(
        &self,
        environment_id: &str,
        before_ms: UnixMs,
        batch: i64,
    ) -> Result<u64, StoreError> {
        let query = sql("DELETE FROM events WHERE (environment_id, id) IN \
             (SELECT environment_id, id FROM events WHERE environment_id = $1 AND logged_at_ms < $2 LIMIT $3)");
        self.execute(query.bind(environment_id.to_owned()).bind(before_ms).bind(batch)).await
    }
}
