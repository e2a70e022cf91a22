//! What happened to records, written in the same transaction as the change.

use super::{Batch, Statement, Store, StoreError, sql};
use crate::domain::clock::UnixMs;
use crate::domain::event::Event;

/// Notes an event.
pub(super) fn inserting(environment_id: &str, event: &Event) -> Statement {
    bind(
        sql("INSERT INTO events (environment_id, id, type, organization_id, data_json, occurred_at_ms, \
             logged_at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7)"),
        environment_id,
        event,
    )
}

/// Notes what is told of sessions, by their ids, that are ended next.
pub(super) fn write_logouts(batch: &mut Batch, environment_id: &str, logouts: &[(String, Event)]) {
    for (session_id, event) in logouts {
        batch.write(inserting_before_end(environment_id, event, session_id));
    }
}

/// Notes an event about the end of a session, where that has not ended before.
fn inserting_before_end(environment_id: &str, event: &Event, session_id: &str) -> Statement {
    bind(
        sql("INSERT INTO events (environment_id, id, type, organization_id, data_json, occurred_at_ms, \
             logged_at_ms) SELECT $1, $2, $3, $4, $5, CAST($6 AS BIGINT), CAST($7 AS BIGINT) WHERE EXISTS \
             (SELECT 1 FROM sessions WHERE environment_id = $1 AND id = $8 AND ended_at_ms IS NULL)"),
        environment_id,
        event,
    )
    .bind(session_id.to_owned())
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
