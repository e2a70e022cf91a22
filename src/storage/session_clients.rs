//! Which applications hear of the end of a session, and whether they were told (OpenID Connect Back-Channel Logout 1.0).

use super::due_receivers::{DueReceiver, DueRow};
use super::{Batch, Statement, Store, StoreError, events, row::row, sql};
use crate::domain::clock::UnixMs;
use crate::domain::event::Event;
use crate::domain::session::SessionEnd;

/// An application that gets tokens in a session and wants to hear of its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionClient {
    pub client_id: String,
    /// `iss` of its ID tokens.
    pub issuer: String,
    /// `sub` of its ID tokens; `None`: the user's id.
    pub subject: Option<String>,
    /// When nobody cares any more: the session is over by then anyway.
    pub expires_at_ms: UnixMs,
}

row! {
    /// A session's end that an application has to be told, or was.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct LogoutNotice {
        pub environment_id: String,
        pub session_id: String,
        pub client_id: String,
        pub issuer: String,
        pub subject: String,
        /// When to try next; `None`: the matter is closed.
        pub notify_at_ms: Option<UnixMs>,
        pub attempts: i64,
        /// How it ended: the caller's words.
        pub outcome: Option<String>,
        /// What the application said last.
        pub last_answer: Option<String>,
    }
}

/// Notes that an application gets tokens in a session of a user.
pub(super) fn noting(
    environment_id: &str,
    session_id: &str,
    user_id: &str,
    client: &SessionClient,
) -> Statement {
    sql(
        "INSERT INTO session_clients (environment_id, session_id, client_id, issuer, subject, attempts, expires_at_ms) \
         VALUES ($1, $2, $3, $4, $5, 0, $6) ON CONFLICT (environment_id, session_id, client_id) \
         DO UPDATE SET issuer = excluded.issuer, subject = excluded.subject",
    )
    .bind(environment_id)
    .bind(session_id)
    .bind(&client.client_id)
    .bind(&client.issuer)
    .bind(client.subject.as_deref().unwrap_or(user_id))
    .bind(client.expires_at_ms)
}

/// Ends a session, if it has not ended, and lets its applications be told at once.
pub(super) fn end(
    batch: &mut Batch,
    environment_id: &str,
    session_id: &str,
    ended_by: SessionEnd,
    now_ms: UnixMs,
) {
    batch.write(telling(environment_id, session_id));
    batch.write(ending(environment_id, session_id, ended_by, now_ms));
}

fn telling(environment_id: &str, session_id: &str) -> Statement {
    // Zero is due whatever the time is.
    sql("UPDATE session_clients SET notify_at_ms = 0 WHERE environment_id = $1 AND session_id = $2 \
         AND EXISTS (SELECT 1 FROM sessions WHERE environment_id = $1 AND id = $2 AND ended_at_ms IS NULL)")
    .bind(environment_id)
    .bind(session_id)
}

fn ending(environment_id: &str, session_id: &str, ended_by: SessionEnd, now_ms: UnixMs) -> Statement {
    sql("UPDATE sessions SET ended_at_ms = $3, ended_by = $4 \
         WHERE environment_id = $1 AND id = $2 AND ended_at_ms IS NULL")
    .bind(environment_id)
    .bind(session_id)
    .bind(now_ms)
    .bind(ended_by.as_str())
}

/// Ends the sessions that are in an organization, of one user or of all, as [`end`] ends one.
pub(super) fn end_in_organization(
    batch: &mut Batch,
    environment_id: &str,
    organization_id: &str,
    user_id: Option<&str>,
    now_ms: UnixMs,
) {
    let user_id = user_id.unwrap_or_default();
    // Zero is due whatever the time is.
    let telling =
        sql("UPDATE session_clients SET notify_at_ms = 0 WHERE environment_id = $1 AND session_id IN \
         (SELECT id FROM sessions WHERE environment_id = $1 AND organization_id = $2 AND ended_at_ms IS NULL \
         AND ($3 = '' OR user_id = $3))");
    batch.write(telling.bind(environment_id).bind(organization_id).bind(user_id));
    let ending = sql("UPDATE sessions SET ended_at_ms = $4, ended_by = $5 WHERE environment_id = $1 \
         AND organization_id = $2 AND ended_at_ms IS NULL AND ($3 = '' OR user_id = $3)");
    let ending = ending.bind(environment_id).bind(organization_id).bind(user_id).bind(now_ms);
    batch.write(ending.bind(SessionEnd::Revocation.as_str()));
}

impl Store {
    /// Ends a session, of which `logouts` tell; `false` when it had ended before.
    pub async fn end_session(
        &self,
        environment_id: &str,
        id: &str,
        ended_by: SessionEnd,
        logouts: &[(String, Event)],
        now_ms: UnixMs,
    ) -> Result<bool, StoreError> {
        let mut batch = Batch::default();
        events::write_logouts(&mut batch, environment_id, logouts);
        batch.write(telling(environment_id, id));
        // Nobody is told twice where two end it at once.
        batch.require_one_row(ending(environment_id, id, ended_by, now_ms));
        Ok(self.commit(batch).await?.is_some())
    }

    /// Clients, of all environments, with notices that are not over.
    pub async fn clients_with_logout_notices(&self) -> Result<Vec<DueReceiver>, StoreError> {
        let rows: Vec<DueRow> =
            sql("SELECT DISTINCT s.environment_id, s.client_id AS id, e.clock_json FROM session_clients s \
             JOIN environments e ON e.id = s.environment_id WHERE s.notify_at_ms IS NOT NULL")
            .fetch_all(&self.pool)
            .await?;
        rows.into_iter().map(DueReceiver::try_from).collect()
    }

    /// Notices for a client whose time has come by the environment's clock and that no server has by the machine's, oldest
    /// first.
    pub async fn due_logout_notices(
        &self,
        client: &DueReceiver,
        now_ms: UnixMs,
        machine_ms: UnixMs,
        limit: i64,
    ) -> Result<Vec<LogoutNotice>, StoreError> {
        Ok(sql(
            "SELECT environment_id, session_id, client_id, issuer, subject, notify_at_ms, attempts, outcome, \
             last_answer FROM session_clients WHERE environment_id = $1 AND client_id = $2 \
             AND notify_at_ms IS NOT NULL AND notify_at_ms <= $3 AND leased_until_ms <= $4 \
             ORDER BY notify_at_ms LIMIT CAST($5 AS BIGINT)",
        )
        .bind(client.environment_id.clone())
        .bind(client.id.clone())
        .bind(now_ms)
        .bind(machine_ms)
        .bind(limit)
        .fetch_all(&self.pool)
        .await?)
    }

    /// The notices of ended sessions, open ones first.
    pub async fn logout_notices(
        &self,
        environment_id: &str,
        limit: i64,
    ) -> Result<Vec<LogoutNotice>, StoreError> {
        Ok(sql(
            "SELECT environment_id, session_id, client_id, issuer, subject, notify_at_ms, attempts, outcome, \
             last_answer FROM session_clients WHERE environment_id = $1 \
             AND (notify_at_ms IS NOT NULL OR outcome IS NOT NULL) \
             ORDER BY CASE WHEN outcome IS NULL THEN 0 ELSE 1 END, session_id DESC, client_id LIMIT $2",
        )
        .bind(environment_id)
        .bind(limit)
        .fetch_all(&self.pool)
        .await?)
    }

    /// Takes a notice until `until_ms` by the machine's clock; `false` when another server has it, or it is over.
    pub async fn lease_logout_notice(
        &self,
        notice: &LogoutNotice,
        until_ms: UnixMs,
    ) -> Result<bool, StoreError> {
        let query = sql("UPDATE session_clients SET attempts = attempts + 1, leased_until_ms = $5 \
             WHERE environment_id = $1 AND session_id = $2 AND client_id = $3 AND attempts = $4 \
             AND notify_at_ms IS NOT NULL");
        let query = query
            .bind(notice.environment_id.clone())
            .bind(notice.session_id.clone())
            .bind(notice.client_id.clone())
            .bind(notice.attempts)
            .bind(until_ms);
        Ok(self.execute(query).await? == 1)
    }

    /// Notes what came of an attempt, and gives the lease back: another one at `notify_at_ms`, or how the matter ended.
    pub async fn note_logout_attempt(
        &self,
        notice: &LogoutNotice,
        notify_at_ms: Option<UnixMs>,
        outcome: Option<&str>,
        answer: &str,
    ) -> Result<(), StoreError> {
        let query = sql(
            "UPDATE session_clients SET notify_at_ms = $4, outcome = $5, last_answer = $6, leased_until_ms = 0 \
             WHERE environment_id = $1 AND session_id = $2 AND client_id = $3",
        );
        let query = query
            .bind(notice.environment_id.clone())
            .bind(notice.session_id.clone())
            .bind(notice.client_id.clone())
            .bind(notify_at_ms)
            .bind(outcome.map(str::to_owned))
            .bind(answer.to_owned());
        self.execute(query).await?;
        Ok(())
    }
}
