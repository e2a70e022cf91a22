//! Browser sessions.

use super::{Store, StoreError};
use crate::domain::clock::UnixMs;
use crate::domain::session::Session;

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    user_id: String,
    authenticated_at_ms: i64,
    last_active_at_ms: i64,
    absolute_expires_at_ms: i64,
    ended_at_ms: Option<i64>,
}

impl From<Row> for Session {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            user_id: row.user_id,
            authenticated_at_ms: row.authenticated_at_ms,
            last_active_at_ms: row.last_active_at_ms,
            absolute_expires_at_ms: row.absolute_expires_at_ms,
            ended_at_ms: row.ended_at_ms,
        }
    }
}

impl Store {
    pub async fn session(&self, environment_id: &str, id: &str) -> Result<Option<Session>, StoreError> {
        let row: Option<Row> = sqlx::query_as(
            "SELECT id, user_id, authenticated_at_ms, last_active_at_ms, absolute_expires_at_ms, ended_at_ms \
             FROM sessions WHERE environment_id = $1 AND id = $2",
        )
        .bind(environment_id)
        .bind(id)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(Session::from))
    }

    pub async fn session_by_cookie(
        &self,
        environment_id: &str,
        digest: &str,
    ) -> Result<Option<Session>, StoreError> {
        let row: Option<Row> = sqlx::query_as(
            "SELECT id, user_id, authenticated_at_ms, last_active_at_ms, absolute_expires_at_ms, ended_at_ms \
             FROM sessions WHERE environment_id = $1 AND cookie_digest = $2",
        )
        .bind(environment_id)
        .bind(digest)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(Session::from))
    }

    /// Notes activity, for the idle timeout.
    pub async fn touch_session(
        &self,
        environment_id: &str,
        id: &str,
        now_ms: UnixMs,
    ) -> Result<(), StoreError> {
        let query = sqlx::query(
            "UPDATE sessions SET last_active_at_ms = $3 \
             WHERE environment_id = $1 AND id = $2 AND last_active_at_ms < $3 AND ended_at_ms IS NULL",
        );
        self.execute(query.bind(environment_id.to_owned()).bind(id.to_owned()).bind(now_ms)).await?;
        Ok(())
    }

    /// Ends a session; `false` when it had ended before.
    pub async fn end_session(
        &self,
        environment_id: &str,
        id: &str,
        now_ms: UnixMs,
    ) -> Result<bool, StoreError> {
        let query = sqlx::query(
            "UPDATE sessions SET ended_at_ms = $3 WHERE environment_id = $1 AND id = $2 AND ended_at_ms IS NULL",
        );
        Ok(self.execute(query.bind(environment_id.to_owned()).bind(id.to_owned()).bind(now_ms)).await? == 1)
    }
}
