//! Interceptors, and the log of what they were asked.

use super::environment_record::{template_id, write_record};
use super::{EnvironmentRecord, Statement, Store, StoreError, row::row, sql};
use crate::domain::clock::UnixMs;
use crate::domain::interceptor::{CallResult, FailurePolicy, Interceptor, InterceptorCall, TriggerPoint};

/// An interceptor with its secrets as they are stored.
#[derive(Debug, Clone, PartialEq)]
pub struct InterceptorRecord {
    pub interceptor: Interceptor,
    /// [`crate::domain::webhook::WebhookSecrets`], sealed.
    pub sealed_secrets: String,
}

/// A change of an environment's interceptors.
#[derive(Debug, Clone, Copy)]
pub enum InterceptorChange<'a> {
    Insert(&'a InterceptorRecord),
    /// Over the version that was read.
    Update(&'a InterceptorRecord),
    Delete(&'a str),
}

/// Which calls to list.
#[derive(Debug, Clone, Default)]
pub struct CallFilter {
    pub interceptor_id: Option<String>,
    pub flow_id: Option<String>,
    pub result: Option<CallResult>,
    pub offset: i64,
    pub limit: i64,
}

row! {
    struct InterceptorRow {
        id: String,
        version: i64,
        display_name: String,
        description: String,
        trigger_point: String,
        url: String,
        timeout_ms: i64,
        failure_policy: String,
        is_enabled: i64,
        sealed_secrets: String,
        created_at_ms: i64,
        updated_at_ms: i64,
    }
}

row! {
    struct CallRow {
        id: String,
        interceptor_id: String,
        display_name: String,
        trigger_point: String,
        flow_id: Option<String>,
        body: String,
        result: String,
        attempt_json: String,
        created_at_ms: i64,
    }
}

impl TryFrom<InterceptorRow> for InterceptorRecord {
    type Error = StoreError;

    fn try_from(row: InterceptorRow) -> Result<Self, StoreError> {
        let unreadable = || StoreError::Unreadable("interceptor");
        Ok(Self {
            interceptor: Interceptor {
                id: row.id,
                version: row.version,
                display_name: row.display_name,
                description: row.description,
                trigger_point: TriggerPoint::parse(&row.trigger_point).ok_or_else(unreadable)?,
                url: row.url,
                timeout_ms: row.timeout_ms,
                failure_policy: FailurePolicy::parse(&row.failure_policy).ok_or_else(unreadable)?,
                is_enabled: row.is_enabled == 1,
                created_at_ms: row.created_at_ms,
                updated_at_ms: row.updated_at_ms,
            },
            sealed_secrets: row.sealed_secrets,
        })
    }
}

impl TryFrom<CallRow> for InterceptorCall {
    type Error = StoreError;

    fn try_from(row: CallRow) -> Result<Self, StoreError> {
        let unreadable = || StoreError::Unreadable("interceptor call");
        Ok(Self {
            id: row.id,
            interceptor_id: row.interceptor_id,
            display_name: row.display_name,
            trigger_point: TriggerPoint::parse(&row.trigger_point).ok_or_else(unreadable)?,
            flow_id: row.flow_id,
            body: row.body,
            result: CallResult::parse(&row.result).ok_or_else(unreadable)?,
            attempt: serde_json::from_str(&row.attempt_json).map_err(|_| unreadable())?,
            created_at_ms: row.created_at_ms,
        })
    }
}

/// Binds what is known of an interceptor to $1 to $11, with the names that the statements below give them.
fn bind_fields(query: Statement, environment_id: &str, record: &InterceptorRecord) -> Statement {
    let interceptor = &record.interceptor;
    query
        .bind(environment_id.to_owned())
        .bind(interceptor.id.clone())
        .bind(interceptor.display_name.clone())
        .bind(interceptor.description.clone())
        .bind(interceptor.trigger_point.as_str())
        .bind(interceptor.url.clone())
        .bind(interceptor.timeout_ms)
        .bind(interceptor.failure_policy.as_str())
        .bind(i64::from(interceptor.is_enabled))
        .bind(record.sealed_secrets.clone())
        .bind(interceptor.updated_at_ms)
}

fn inserting(environment_id: &str, record: &InterceptorRecord) -> Statement {
    let query = sql(
        "INSERT INTO interceptors (environment_id, id, display_name, description, trigger_point, url, timeout_ms, \
         failure_policy, is_enabled, sealed_secrets, created_at_ms, updated_at_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $12, $11)",
    );
    bind_fields(query, environment_id, record).bind(record.interceptor.created_at_ms)
}

fn updating(environment_id: &str, record: &InterceptorRecord) -> Statement {
    let query = sql("UPDATE interceptors SET version = version + 1, display_name = $3, description = $4, \
         trigger_point = $5, url = $6, timeout_ms = $7, failure_policy = $8, is_enabled = $9, sealed_secrets = $10, \
         updated_at_ms = $11 WHERE environment_id = $1 AND id = $2 AND version = $12");
    bind_fields(query, environment_id, record).bind(record.interceptor.version)
}

/// Makes an interceptor the configured one, whatever became of it.
fn seeding(environment_id: &str, record: &InterceptorRecord) -> Statement {
    let query = sql(
        "INSERT INTO interceptors (environment_id, id, display_name, description, trigger_point, url, timeout_ms, \
         failure_policy, is_enabled, sealed_secrets, created_at_ms, updated_at_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11) \
         ON CONFLICT (environment_id, id) DO UPDATE SET version = interceptors.version + 1, \
         display_name = excluded.display_name, description = excluded.description, \
         trigger_point = excluded.trigger_point, url = excluded.url, timeout_ms = excluded.timeout_ms, \
         failure_policy = excluded.failure_policy, is_enabled = excluded.is_enabled, \
         sealed_secrets = excluded.sealed_secrets, updated_at_ms = excluded.updated_at_ms",
    );
    bind_fields(query, environment_id, record)
}

fn deleting(environment_id: &str, id: &str) -> Statement {
    let query = sql("DELETE FROM interceptors WHERE environment_id = $1 AND id = $2");
    query.bind(environment_id.to_owned()).bind(id.to_owned())
}

impl Store {
    /// The interceptors of an environment, in the order in which they are asked: oldest first.
    pub async fn interceptors(&self, environment_id: &str) -> Result<Vec<InterceptorRecord>, StoreError> {
        let rows: Vec<InterceptorRow> = sql(
            "SELECT id, version, display_name, description, trigger_point, url, timeout_ms, failure_policy, \
             is_enabled, sealed_secrets, created_at_ms, updated_at_ms FROM interceptors \
             WHERE environment_id = $1 ORDER BY created_at_ms, id",
        )
        .bind(environment_id.to_owned())
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(InterceptorRecord::try_from).collect()
    }

    /// The configured interceptors, as the last start left them.
    pub async fn template_interceptors(
        &self,
        environment_id: &str,
    ) -> Result<Vec<InterceptorRecord>, StoreError> {
        self.interceptors(&template_id(environment_id)).await
    }

    /// Writes the configured interceptors that changed, for resets too, and deletes those that are configured no more.
    pub async fn seed_interceptors(
        &self,
        environment_id: &str,
        put: &[InterceptorRecord],
        gone: &[String],
        now_ms: UnixMs,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin_write().await?;
        // First, so that servers that start together take turns.
        sql("UPDATE environments SET version = version + 1, updated_at_ms = $2 WHERE id = $1")
            .bind(environment_id)
            .bind(now_ms)
            .execute(&mut tx)
            .await?;
        for owner in [template_id(environment_id), environment_id.to_owned()] {
            for id in gone {
                deleting(&owner, id).execute(&mut tx).await?;
            }
            for record in put {
                seeding(&owner, record).execute(&mut tx).await?;
            }
        }
        Ok(tx.commit().await?)
    }

    /// Changes interceptors and commits the record. `None`, and nothing written, when the record was changed meanwhile;
    /// `Some(false)`, and nothing written, when the interceptor was.
    pub async fn change_interceptors(
        &self,
        record: &EnvironmentRecord,
        change: InterceptorChange<'_>,
        now_ms: UnixMs,
    ) -> Result<Option<bool>, StoreError> {
        let mut tx = self.begin_write().await?;
        if !write_record(&mut tx, record, now_ms).await? {
            tx.rollback().await?;
            return Ok(None);
        }
        let statement = match change {
            InterceptorChange::Insert(interceptor) => inserting(&record.id, interceptor),
            InterceptorChange::Update(interceptor) => updating(&record.id, interceptor),
            InterceptorChange::Delete(id) => deleting(&record.id, id),
        };
        if statement.execute(&mut tx).await? != 1 {
            tx.rollback().await?;
            return Ok(Some(false));
        }
        tx.commit().await?;
        Ok(Some(true))
    }

    /// Notes a call.
    pub async fn log_interceptor_call(
        &self,
        environment_id: &str,
        call: &InterceptorCall,
        logged_at_ms: UnixMs,
    ) -> Result<(), StoreError> {
        let attempt =
            serde_json::to_string(&call.attempt).map_err(|_| StoreError::Unreadable("interceptor call"))?;
        let query = sql(
            "INSERT INTO interceptor_calls (environment_id, id, interceptor_id, display_name, trigger_point, flow_id, \
             body, result, attempt_json, created_at_ms, logged_at_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        );
        let query = query
            .bind(environment_id.to_owned())
            .bind(call.id.clone())
            .bind(call.interceptor_id.clone())
            .bind(call.display_name.clone())
            .bind(call.trigger_point.as_str())
            .bind(call.flow_id.clone())
            .bind(call.body.clone())
            .bind(call.result.as_str())
            .bind(attempt)
            .bind(call.created_at_ms)
            .bind(logged_at_ms);
        self.execute(query).await?;
        Ok(())
    }

    /// Calls, the newest first.
    pub async fn interceptor_calls(
        &self,
        environment_id: &str,
        filter: &CallFilter,
    ) -> Result<Vec<InterceptorCall>, StoreError> {
        let rows: Vec<CallRow> = sql(
            "SELECT id, interceptor_id, display_name, trigger_point, flow_id, body, result, attempt_json, created_at_ms \
             FROM interceptor_calls WHERE environment_id = $1 AND ($2 = '' OR interceptor_id = $2) \
             AND ($3 = '' OR flow_id = $3) AND ($4 = '' OR result = $4) \
             ORDER BY id DESC LIMIT CAST($5 AS BIGINT) OFFSET CAST($6 AS BIGINT)",
        )
        .bind(environment_id.to_owned())
        .bind(filter.interceptor_id.clone().unwrap_or_default())
        .bind(filter.flow_id.clone().unwrap_or_default())
        .bind(filter.result.map(CallResult::as_str).unwrap_or_default())
        .bind(filter.limit)
        .bind(filter.offset)
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(InterceptorCall::try_from).collect()
    }

    /// Deletes up to `batch` calls that are older than this, and tells how many went.
    pub async fn delete_interceptor_calls(
        &self,
        environment_id: &str,
        before_ms: UnixMs,
        batch: i64,
    ) -> Result<u64, StoreError> {
        let query = sql("DELETE FROM interceptor_calls WHERE (environment_id, id) IN \
             (SELECT environment_id, id FROM interceptor_calls WHERE environment_id = $1 AND logged_at_ms < $2 \
             LIMIT $3)");
        self.execute(query.bind(environment_id.to_owned()).bind(before_ms).bind(batch)).await
    }
}
