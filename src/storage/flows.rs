//! The log of sign-ins.

use std::collections::HashMap;

use super::{Store, StoreError, Write};
use crate::domain::clock::UnixMs;
use crate::domain::flow::{About, FlowEvent, FlowStatus, Step};

/// A sign-in as listed.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct FlowRow {
    pub id: String,
    pub email: Option<String>,
    pub client_id: Option<String>,
    pub user_id: Option<String>,
    pub status: String,
    pub why: String,
    pub started_at_ms: UnixMs,
    pub changed_at_ms: UnixMs,
}

impl FlowRow {
    pub fn status(&self) -> FlowStatus {
        FlowStatus::parse(&self.status).unwrap_or(FlowStatus::Initiated)
    }
}

/// Which sign-ins to list.
#[derive(Debug, Clone, Default)]
pub struct FlowFilter {
    /// Lower-case address.
    pub email: Option<String>,
    /// A part of one.
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
    pub step: Step,
    pub at_ms: UnixMs,
}

#[derive(sqlx::FromRow)]
struct StepRow {
    id: String,
    flow_id: String,
    event_json: String,
    at_ms: i64,
}

impl TryFrom<StepRow> for LoggedStep {
    type Error = StoreError;

    fn try_from(row: StepRow) -> Result<Self, StoreError> {
        let step = serde_json::from_str(&row.event_json).map_err(|_| StoreError::Unreadable("flow step"))?;
        Ok(Self { id: row.id, flow_id: row.flow_id, step, at_ms: row.at_ms })
    }
}

impl Store {
    /// Writes steps, many in one transaction.
    pub async fn log_flows(&self, events: &[FlowEvent]) -> Result<(), StoreError> {
        if events.is_empty() {
            return Ok(());
        }
        let steps = events.iter().map(inserting_step).collect::<Result<Vec<_>, _>>()?;
        let flows = last_words(events).into_iter().map(LastWord::writing).collect();
        self.write_all(steps).await?;
        self.write_all(flows).await
    }

    /// Sign-ins, newest first, and how many there are in all.
    pub async fn flows(
        &self,
        environment_id: &str,
        filter: &FlowFilter,
    ) -> Result<(Vec<FlowRow>, i64), StoreError> {
        let statuses: Vec<&str> = filter.statuses.iter().map(|s| s.as_str()).collect();
        let pattern = filter.email_part.as_deref().map(super::like_pattern).unwrap_or_default();
        let rows = sqlx::query_as(
            "SELECT id, email, client_id, user_id, status, why, started_at_ms, changed_at_ms FROM flows \
             WHERE environment_id = $1 AND id NOT LIKE 'grt~_%' ESCAPE '~' \
             AND ($2 = '' OR LOWER(COALESCE(email, '')) LIKE $2 ESCAPE '~') AND ($3 = '' OR client_id = $3) \
             AND ($4 = '' OR $4 LIKE '%,' || status || ',%') AND started_at_ms >= $5 AND started_at_ms <= $6 \
             AND ($7 = '' OR LOWER(COALESCE(email, '')) = $7) ORDER BY started_at_ms DESC, id LIMIT $8 OFFSET $9",
        )
        .bind(environment_id)
        .bind(&pattern)
        .bind(filter.client_id.clone().unwrap_or_default())
        .bind(list(&statuses))
        .bind(filter.from_ms.unwrap_or(i64::MIN))
        .bind(filter.until_ms.unwrap_or(i64::MAX))
        .bind(filter.email.clone().unwrap_or_default())
        .bind(filter.limit)
        .bind(filter.offset)
        .fetch_all(&self.pool)
        .await?;
        let count: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM flows WHERE environment_id = $1 AND id NOT LIKE 'grt~_%' ESCAPE '~' \
             AND ($2 = '' OR LOWER(COALESCE(email, '')) LIKE $2 ESCAPE '~') AND ($3 = '' OR client_id = $3) \
             AND ($4 = '' OR $4 LIKE '%,' || status || ',%') AND started_at_ms >= $5 AND started_at_ms <= $6 \
             AND ($7 = '' OR LOWER(COALESCE(email, '')) = $7)",
        )
        .bind(environment_id)
        .bind(&pattern)
        .bind(filter.client_id.clone().unwrap_or_default())
        .bind(list(&statuses))
        .bind(filter.from_ms.unwrap_or(i64::MIN))
        .bind(filter.until_ms.unwrap_or(i64::MAX))
        .bind(filter.email.clone().unwrap_or_default())
        .fetch_one(&self.pool)
        .await?;
        Ok((rows, count))
    }

    pub async fn flow(&self, environment_id: &str, id: &str) -> Result<Option<FlowRow>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT id, email, client_id, user_id, status, why, started_at_ms, changed_at_ms FROM flows \
             WHERE environment_id = $1 AND id = $2",
        )
        .bind(environment_id)
        .bind(id)
        .fetch_optional(&self.pool)
        .await?)
    }

    /// The steps of a sign-in, oldest first.
    pub async fn flow_steps(
        &self,
        environment_id: &str,
        flow_id: &str,
    ) -> Result<Vec<LoggedStep>, StoreError> {
        let rows: Vec<StepRow> = sqlx::query_as(
            "SELECT id, flow_id, event_json, at_ms FROM flow_events \
             WHERE environment_id = $1 AND flow_id = $2 ORDER BY id",
        )
        .bind(environment_id)
        .bind(flow_id)
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(LoggedStep::try_from).collect()
    }

    /// Deletes up to `batch` steps and sign-ins of an environment that were last logged before that time.
    pub async fn delete_flows(
        &self,
        environment_id: &str,
        before_ms: UnixMs,
        batch: i64,
    ) -> Result<u64, StoreError> {
        let mut deleted = 0;
        for statement in [
            "DELETE FROM flow_events WHERE (environment_id, id) IN \
             (SELECT environment_id, id FROM flow_events WHERE environment_id = $1 AND logged_at_ms < $2 LIMIT $3)",
            "DELETE FROM flows WHERE (environment_id, id) IN \
             (SELECT environment_id, id FROM flows WHERE environment_id = $1 AND logged_at_ms < $2 LIMIT $3)",
        ] {
            let query = sqlx::query(statement).bind(environment_id.to_owned()).bind(before_ms).bind(batch);
            deleted += self.execute(query).await?;
        }
        Ok(deleted)
    }
}

fn inserting_step(event: &FlowEvent) -> Result<Write<'static>, StoreError> {
    let json = serde_json::to_string(&event.step).map_err(|_| StoreError::Unreadable("flow step"))?;
    Ok(sqlx::query(
        "INSERT INTO flow_events (environment_id, id, flow_id, event_json, at_ms, logged_at_ms) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (environment_id, id) DO NOTHING",
    )
    .bind(&event.environment_id)
    .bind(&event.id)
    .bind(&event.flow_id)
    .bind(json)
    .bind(event.at_ms)
    .bind(event.logged_at_ms))
}

/// What several steps together say of their sign-in.
struct LastWord<'e> {
    first: &'e FlowEvent,
    last: &'e FlowEvent,
    about: About,
}

/// The last word on each sign-in, in the order of their first steps: later steps outrank earlier ones where they say
/// anything.
fn last_words(events: &[FlowEvent]) -> Vec<LastWord<'_>> {
    let mut words: Vec<LastWord<'_>> = Vec::new();
    let mut places: HashMap<(&str, &str), usize> = HashMap::new();
    for event in events {
        let next = words.len();
        let place = *places.entry((&event.environment_id, &event.flow_id)).or_insert(next);
        match words.get_mut(place) {
            None => words.push(LastWord { first: event, last: event, about: event.about.clone() }),
            Some(word) => {
                word.last = event;
                let (new, old) = (event.about.clone(), std::mem::take(&mut word.about));
                word.about = About {
                    email: new.email.or(old.email),
                    client_id: new.client_id.or(old.client_id),
                    user_id: new.user_id.or(old.user_id),
                    status: new.status.or(old.status),
                };
            }
        }
    }
    words
}

impl LastWord<'_> {
    fn writing(self) -> Write<'static> {
        let Self { first, last, about } = self;
        // The last word on a sign-in is the last step that says something of its status.
        sqlx::query(
            "INSERT INTO flows (environment_id, id, email, client_id, user_id, status, why, started_at_ms, \
             changed_at_ms, logged_at_ms) \
             VALUES ($1, $2, $3, $4, $5, COALESCE($6, 'INITIATED'), $7, $8, $9, $10) \
             ON CONFLICT (environment_id, id) DO UPDATE SET email = COALESCE(excluded.email, flows.email), \
             client_id = COALESCE(excluded.client_id, flows.client_id), \
             user_id = COALESCE(excluded.user_id, flows.user_id), status = COALESCE($6, flows.status), \
             why = excluded.why, changed_at_ms = excluded.changed_at_ms, logged_at_ms = excluded.logged_at_ms",
        )
        .bind(&first.environment_id)
        .bind(&first.flow_id)
        .bind(about.email)
        .bind(about.client_id)
        .bind(about.user_id)
        .bind(about.status.map(|s| s.as_str().to_owned()))
        .bind(&last.step.text)
        .bind(first.at_ms)
        .bind(last.at_ms)
        .bind(last.logged_at_ms)
    }
}

/// Words between commas; empty for none.
fn list(words: &[&str]) -> String {
    if words.is_empty() { String::new() } else { format!(",{},", words.join(",")) }
}
