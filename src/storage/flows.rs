//! The log of sign-ins.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Statement, Store, StoreError, row::row, sql};
use crate::domain::clock::UnixMs;
use crate::domain::email::key_of;
use crate::domain::flow::{About, FlowEvent, FlowStatus, decisive};
use crate::domain::sign_in_event::SignInEvent;

/// A sign-in as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowRow {
    /// The authentication request.
    pub id: String,
    /// Whose sign-in it is, once that is known.
    pub email: Option<String>,
    /// The application.
    pub client_id: Option<String>,
    /// The user, once signed in.
    pub user_id: Option<String>,
    /// Where it stands.
    pub status: FlowStatus,
    /// What decided where it stands.
    pub last_event: SignInEvent,
    /// By the environment's clock.
    pub started_at_ms: UnixMs,
    /// When what is shown of it was decided, by the environment's clock.
    pub changed_at_ms: UnixMs,
}

row! {
    struct Row {
        id: String,
        email: Option<String>,
        client_id: Option<String>,
        user_id: Option<String>,
        status: String,
        last_event_json: String,
        started_at_ms: i64,
        changed_at_ms: i64,
    }
}

impl TryFrom<Row> for FlowRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let last_event: StoredEvent = serde_json::from_str(&row.last_event_json).map_err(|_| UNREADABLE)?;
        Ok(Self {
            id: row.id,
            email: row.email,
            client_id: row.client_id,
            user_id: row.user_id,
            status: FlowStatus::parse(&row.status).unwrap_or(FlowStatus::Initiated),
            last_event: last_event.into(),
            started_at_ms: row.started_at_ms,
            changed_at_ms: row.changed_at_ms,
        })
    }
}

const UNREADABLE: StoreError = StoreError::Unreadable("log of sign-ins");

/// Which sign-ins to list.
#[derive(Debug, Clone, Default)]
pub struct FlowFilter {
    /// See `EmailAddress::key`.
    pub email_key: Option<String>,
    /// A part of an address.
    pub email_part: Option<String>,
    pub client_id: Option<String>,
    pub statuses: Vec<FlowStatus>,
    pub from_ms: Option<UnixMs>,
    pub until_ms: Option<UnixMs>,
    pub offset: i64,
    pub limit: i64,
}

/// A step as logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedStep {
    pub id: String,
    pub flow_id: String,
    pub event: SignInEvent,
    pub at_ms: UnixMs,
}

/// An event as it stands in a row. Those of later versions are read too.
#[derive(Serialize, Deserialize)]
struct StoredEvent {
    kind: String,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    data: Map<String, Value>,
}

impl From<&SignInEvent> for StoredEvent {
    fn from(event: &SignInEvent) -> Self {
        let (kind, data) = event.clone().into_parts();
        Self { kind, data }
    }
}

impl From<StoredEvent> for SignInEvent {
    fn from(stored: StoredEvent) -> Self {
        Self::from_parts(stored.kind, stored.data)
    }
}

/// One of the steps that stand in a row.
#[derive(Serialize, Deserialize)]
struct StoredStep {
    id: String,
    at_ms: UnixMs,
    #[serde(flatten)]
    event: StoredEvent,
}

impl Store {
    /// Writes steps, many in one transaction.
    pub async fn log_flows(&self, events: &[FlowEvent]) -> Result<(), StoreError> {
        if events.is_empty() {
            return Ok(());
        }
        let flows = by_flow(events);
        let steps = flows.iter().map(|steps| writing_steps(steps)).collect::<Result<Vec<_>, _>>()?;
        let last_events =
            flows.iter().map(|steps| writing_last_event(steps)).collect::<Result<Vec<_>, _>>()?;
        self.write_all(steps.into_iter().chain(last_events).collect()).await
    }

    /// Sign-ins, newest first, and how many there are in all.
    pub async fn flows(
        &self,
        environment_id: &str,
        filter: &FlowFilter,
    ) -> Result<(Vec<FlowRow>, i64), StoreError> {
        let statuses: Vec<&str> = filter.statuses.iter().map(|s| s.as_str()).collect();
        let pattern = filter.email_part.as_deref().map(super::like_key_pattern).unwrap_or_default();
        let rows: Vec<Row> = sql(
            "SELECT id, email, client_id, user_id, status, last_event_json, started_at_ms, changed_at_ms FROM flows \
             WHERE environment_id = $1 AND id NOT LIKE 'grt~_%' ESCAPE '~' \
             AND ($2 = '' OR email_key LIKE $2 ESCAPE '~') AND ($3 = '' OR client_id = $3) \
             AND ($4 = '' OR $4 LIKE '%,' || status || ',%') AND started_at_ms >= $5 AND started_at_ms <= $6 \
             AND ($7 = '' OR email_key = $7) ORDER BY started_at_ms DESC, id LIMIT $8 OFFSET $9",
        )
        .bind(environment_id)
        .bind(&pattern)
        .bind(filter.client_id.clone().unwrap_or_default())
        .bind(list(&statuses))
        .bind(filter.from_ms.unwrap_or(i64::MIN))
        .bind(filter.until_ms.unwrap_or(i64::MAX))
        .bind(filter.email_key.clone().unwrap_or_default())
        .bind(filter.limit)
        .bind(filter.offset)
        .fetch_all(&self.pool)
        .await?;
        let (count,): (i64,) =
            sql("SELECT COUNT(*) FROM flows WHERE environment_id = $1 AND id NOT LIKE 'grt~_%' ESCAPE '~' \
             AND ($2 = '' OR email_key LIKE $2 ESCAPE '~') AND ($3 = '' OR client_id = $3) \
             AND ($4 = '' OR $4 LIKE '%,' || status || ',%') AND started_at_ms >= $5 AND started_at_ms <= $6 \
             AND ($7 = '' OR email_key = $7)")
            .bind(environment_id)
            .bind(&pattern)
            .bind(filter.client_id.clone().unwrap_or_default())
            .bind(list(&statuses))
            .bind(filter.from_ms.unwrap_or(i64::MIN))
            .bind(filter.until_ms.unwrap_or(i64::MAX))
            .bind(filter.email_key.clone().unwrap_or_default())
            .fetch_one(&self.pool)
            .await?;
        Ok((rows.into_iter().map(FlowRow::try_from).collect::<Result<_, _>>()?, count))
    }

    pub async fn flow(&self, environment_id: &str, id: &str) -> Result<Option<FlowRow>, StoreError> {
        let row: Option<Row> = sql(
            "SELECT id, email, client_id, user_id, status, last_event_json, started_at_ms, changed_at_ms \
             FROM flows WHERE environment_id = $1 AND id = $2",
        )
        .bind(environment_id)
        .bind(id)
        .fetch_optional(&self.pool)
        .await?;
        row.map(FlowRow::try_from).transpose()
    }

    /// The steps of a sign-in, oldest first.
    pub async fn flow_steps(
        &self,
        environment_id: &str,
        flow_id: &str,
    ) -> Result<Vec<LoggedStep>, StoreError> {
        let rows: Vec<(String,)> =
            sql("SELECT steps_json FROM flow_steps WHERE environment_id = $1 AND flow_id = $2 ORDER BY id")
                .bind(environment_id)
                .bind(flow_id)
                .fetch_all(&self.pool)
                .await?;
        let mut all = vec![];
        for (json,) in rows {
            let steps: Vec<StoredStep> = serde_json::from_str(&json).map_err(|_| UNREADABLE)?;
            all.extend(steps.into_iter().map(|StoredStep { id, at_ms, event }| {
                let flow_id = flow_id.to_owned();
                LoggedStep { id, flow_id, event: event.into(), at_ms }
            }));
        }
        Ok(all)
    }

    /// Deletes up to `batch` rows of steps and of sign-ins of an environment that were last logged before that time.
    pub async fn delete_flows(
        &self,
        environment_id: &str,
        before_ms: UnixMs,
        batch: i64,
    ) -> Result<u64, StoreError> {
        let mut deleted = 0;
        for statement in [
            "DELETE FROM flow_steps WHERE (environment_id, flow_id, id) IN (SELECT environment_id, flow_id, id \
             FROM flow_steps WHERE environment_id = $1 AND logged_at_ms < $2 LIMIT $3)",
            "DELETE FROM flows WHERE (environment_id, id) IN \
             (SELECT environment_id, id FROM flows WHERE environment_id = $1 AND logged_at_ms < $2 LIMIT $3)",
        ] {
            let query = sql(statement).bind(environment_id.to_owned()).bind(before_ms).bind(batch);
            deleted += self.execute(query).await?;
        }
        Ok(deleted)
    }
}

/// The steps of each sign-in, in the order in which they were noted.
fn by_flow(events: &[FlowEvent]) -> Vec<Vec<&FlowEvent>> {
    let mut flows: BTreeMap<(&str, &str), Vec<&FlowEvent>> = BTreeMap::new();
    for event in events {
        flows.entry((&event.environment_id, &event.flow_id)).or_default().push(event);
    }
    let mut flows: Vec<_> = flows.into_values().collect();
    for steps in &mut flows {
        steps.sort_by(|a, b| a.id.cmp(&b.id));
    }
    flows
}

/// Steps of one sign-in as one row, unless its environment was deleted meanwhile. Steps that are written again, because
/// nobody knew whether they were, stand among others then, behind the same first one.
fn writing_steps(steps: &[&FlowEvent]) -> Result<Statement, StoreError> {
    let (Some(first), Some(last)) = (steps.first(), steps.last()) else { return Err(UNREADABLE) };
    let stored: Vec<StoredStep> = steps
        .iter()
        .map(|e| StoredStep { id: e.id.clone(), at_ms: e.at_ms, event: StoredEvent::from(&e.event) })
        .collect();
    let json = serde_json::to_string(&stored).map_err(|_| UNREADABLE)?;
    Ok(sql(
        "INSERT INTO flow_steps (environment_id, flow_id, id, steps_json, logged_at_ms) \
         SELECT id, $2, $3, $4, CAST($5 AS BIGINT) FROM environments WHERE id = $1 \
         ON CONFLICT (environment_id, flow_id, id) DO UPDATE SET steps_json = excluded.steps_json, logged_at_ms = excluded.logged_at_ms",
    )
    .bind(&first.environment_id)
    .bind(&first.flow_id)
    .bind(&first.id)
    .bind(json)
    .bind(last.logged_at_ms))
}

/// What steps of one sign-in say of it: later ones outrank earlier ones where they say anything, and `flow::decisive`
/// tells its outcome and why. That rule goes on in the statement, over what was written before.
fn writing_last_event(steps: &[&FlowEvent]) -> Result<Statement, StoreError> {
    let (Some(first), Some(last)) = (steps.first(), steps.last()) else { return Err(UNREADABLE) };
    let (status, deciding) = decisive(steps).ok_or(UNREADABLE)?;
    let about = steps.iter().fold(About::default(), |old, event| {
        let new = event.about.clone();
        About {
            email: new.email.or(old.email),
            client_id: new.client_id.or(old.client_id),
            user_id: new.user_id.or(old.user_id),
            status,
        }
    });
    let query = sql(
        "INSERT INTO flows (environment_id, id, email, client_id, user_id, status, last_event_json, started_at_ms, \
         changed_at_ms, logged_at_ms, email_key) \
         SELECT id, $2, $3, $4, $5, COALESCE($6, 'INITIATED'), $7, CAST($8 AS BIGINT), CAST($9 AS BIGINT), \
         CAST($10 AS BIGINT), $11 FROM environments WHERE id = $1 \
         ON CONFLICT (environment_id, id) DO UPDATE SET email = COALESCE(excluded.email, flows.email), \
         email_key = COALESCE(excluded.email_key, flows.email_key), \
         client_id = COALESCE(excluded.client_id, flows.client_id), \
         user_id = COALESCE(excluded.user_id, flows.user_id), \
         status = CASE WHEN flows.status IN ('SUCCESS', 'FAILED') THEN flows.status \
         ELSE COALESCE($6, flows.status) END, \
         last_event_json = CASE WHEN flows.status IN ('SUCCESS', 'FAILED') \
         THEN flows.last_event_json ELSE excluded.last_event_json END, \
         changed_at_ms = CASE WHEN flows.status IN ('SUCCESS', 'FAILED') THEN flows.changed_at_ms \
         ELSE excluded.changed_at_ms END, logged_at_ms = excluded.logged_at_ms",
    );
    let email_key = about.email.as_deref().map(key_of);
    let query = query.bind(&first.environment_id).bind(&first.flow_id).bind(about.email);
    let query = query.bind(about.client_id).bind(about.user_id);
    let last_event = serde_json::to_string(&StoredEvent::from(&deciding.event)).map_err(|_| UNREADABLE)?;
    let query = query.bind(about.status.map(|s| s.as_str().to_owned())).bind(last_event);
    Ok(query.bind(first.at_ms).bind(deciding.at_ms).bind(last.logged_at_ms).bind(email_key))
}

/// Words between commas; empty for none.
fn list(words: &[&str]) -> String {
    if words.is_empty() { String::new() } else { format!(",{},", words.join(",")) }
}
