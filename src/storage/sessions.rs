//! Browser sessions.

use serde_json::{Map, Value};

use super::{Batch, ListFilter, Statement, Store, StoreError, row::row, session_clients, sql};
use crate::domain::clock::UnixMs;
use crate::domain::session::{Device, Session, SessionEnd};

row! {
    struct Row {
        id: String,
        user_id: String,
        organization_id: Option<String>,
        authenticated_at_ms: i64,
        last_active_at_ms: i64,
        absolute_expires_at_ms: i64,
        idle_timeout_s: Option<i64>,
        ended_at_ms: Option<i64>,
    }
}

impl From<Row> for Session {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            user_id: row.user_id,
            organization_id: row.organization_id,
            authenticated_at_ms: row.authenticated_at_ms,
            last_active_at_ms: row.last_active_at_ms,
            absolute_expires_at_ms: row.absolute_expires_at_ms,
            idle_timeout_s: row.idle_timeout_s,
            ended_at_ms: row.ended_at_ms,
        }
    }
}

/// What happens to the browser's session when a user has proven an address.
#[derive(Debug, Clone)]
pub enum SessionChange {
    /// A new session; one the browser had for somebody else ends.
    Start { session: Session, device: Device, ends_session_id: Option<String> },
    /// The same person proved the address again: the session goes on under a new cookie.
    Renew { session: Session, device: Device },
}

impl SessionChange {
    /// `ses_…`
    pub fn session_id(&self) -> &str {
        &self.session().id
    }

    /// The session of somebody else that it ends.
    pub fn ends_session_id(&self) -> Option<&str> {
        match self {
            Self::Start { ends_session_id, .. } => ends_session_id.as_deref(),
            Self::Renew { .. } => None,
        }
    }

    /// The session as it will be.
    pub fn session(&self) -> &Session {
        match self {
            Self::Start { session, .. } | Self::Renew { session, .. } => session,
        }
    }

    /// Does a session go on?
    pub fn is_renewed(&self) -> bool {
        matches!(self, Self::Renew { .. })
    }

    /// Does a session of somebody else end with it?
    pub fn ends_another(&self) -> bool {
        self.ends_session_id().is_some()
    }
}

row! {
    /// Whose a session is: what a list shows beside its record.
    #[derive(Debug, Clone)]
    pub struct SessionRow {
        pub id: String,
        pub email: Option<String>,
        pub organization_name: Option<String>,
    }
}

/// A page of the sessions that a filter names, newest first: the end of a statement that [`bind_page`] gives its values.
macro_rules! page_of_sessions {
    () => {
        "FROM sessions s LEFT JOIN users u ON u.environment_id = s.environment_id AND u.id = s.user_id \
         WHERE s.environment_id = $1 \
         AND ($2 = '' OR u.email_key LIKE $2 ESCAPE '~' OR u.email_key LIKE $3 ESCAPE '~') \
         ORDER BY s.created_at_ms DESC, s.id DESC LIMIT $4 OFFSET $5"
    };
}
pub(super) use page_of_sessions;

/// The values of [`page_of_sessions`].
pub(super) fn bind_page(query: Statement, environment_id: &str, filter: &ListFilter) -> Statement {
    query
        .bind(environment_id)
        .bind(filter.pattern())
        .bind(filter.key_pattern())
        .bind(filter.limit)
        .bind(filter.offset)
}

impl Store {
    /// Sessions, newest first.
    pub async fn sessions(
        &self,
        environment_id: &str,
        filter: &ListFilter,
    ) -> Result<Vec<SessionRow>, StoreError> {
        let query = sql(concat!(
            "SELECT s.id, u.email, (SELECT o.display_name FROM organizations o \
             WHERE o.environment_id = s.environment_id AND o.id = s.organization_id) AS organization_name ",
            page_of_sessions!()
        ));
        Ok(bind_page(query, environment_id, filter).fetch_all(&self.pool).await?)
    }

    pub async fn session(&self, environment_id: &str, id: &str) -> Result<Option<Session>, StoreError> {
        let row: Option<Row> = sql(
            "SELECT id, user_id, organization_id, authenticated_at_ms, last_active_at_ms, absolute_expires_at_ms, \
             idle_timeout_s, ended_at_ms FROM sessions WHERE environment_id = $1 AND id = $2",
        )
        .bind(environment_id)
        .bind(id)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(Session::from))
    }

    /// The session whose cookie has this digest.
    pub async fn session_by_cookie(
        &self,
        environment_id: &str,
        id: &str,
        digest: &str,
    ) -> Result<Option<Session>, StoreError> {
        let row: Option<Row> = sql(
            "SELECT id, user_id, organization_id, authenticated_at_ms, last_active_at_ms, absolute_expires_at_ms, \
             idle_timeout_s, ended_at_ms FROM sessions WHERE environment_id = $1 AND id = $2 AND cookie_digest = $3",
        )
        .bind(environment_id)
        .bind(id)
        .bind(digest)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(Session::from))
    }

    /// Adds a session under a cookie.
    pub async fn insert_session(
        &self,
        environment_id: &str,
        session: &Session,
        cookie_digest: &str,
    ) -> Result<(), StoreError> {
        let query =
            sql("INSERT INTO sessions (environment_id, id, user_id, cookie_digest, authenticated_at_ms, \
             last_active_at_ms, absolute_expires_at_ms, organization_id, idle_timeout_s, created_at_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $5)");
        let query = query
            .bind(environment_id.to_owned())
            .bind(session.id.clone())
            .bind(session.user_id.clone())
            .bind(cookie_digest.to_owned())
            .bind(session.authenticated_at_ms)
            .bind(session.last_active_at_ms)
            .bind(session.absolute_expires_at_ms)
            .bind(session.organization_id.clone())
            .bind(session.idle_timeout_s);
        self.execute(query).await?;
        Ok(())
    }

    /// Notes activity, for the idle timeout.
    pub async fn touch_session(
        &self,
        environment_id: &str,
        id: &str,
        now_ms: UnixMs,
    ) -> Result<(), StoreError> {
        let query = sql("UPDATE sessions SET last_active_at_ms = $3 \
             WHERE environment_id = $1 AND id = $2 AND last_active_at_ms < $3 AND ended_at_ms IS NULL");
        self.execute(query.bind(environment_id.to_owned()).bind(id.to_owned()).bind(now_ms)).await?;
        Ok(())
    }
}

/// A session goes to another organization.
pub(super) fn entering(environment_id: &str, session: &Session) -> Statement {
    sql("UPDATE sessions SET organization_id = $3, idle_timeout_s = $4, absolute_expires_at_ms = $5 \
         WHERE environment_id = $1 AND id = $2 AND ended_at_ms IS NULL")
    .bind(environment_id)
    .bind(&session.id)
    .bind(session.organization_id.clone())
    .bind(session.idle_timeout_s)
    .bind(session.absolute_expires_at_ms)
}

/// Starts or renews a session.
pub(super) fn write(
    batch: &mut Batch,
    environment_id: &str,
    change: &SessionChange,
    cookie_digest: &str,
    now_ms: UnixMs,
) {
    match change {
        SessionChange::Start { session, device, ends_session_id } => {
            if let Some(old) = ends_session_id {
                session_clients::end(batch, environment_id, old, SessionEnd::Revocation, now_ms);
            }
            let query = sql(
                "INSERT INTO sessions (environment_id, id, user_id, cookie_digest, authenticated_at_ms, \
                 last_active_at_ms, absolute_expires_at_ms, created_at_ms, user_agent, ip_address, organization_id, \
                 idle_timeout_s) VALUES ($1, $2, $3, $4, $5, $6, $7, $5, $8, $9, $10, $11)",
            )
            .bind(environment_id)
            .bind(&session.id)
            .bind(&session.user_id)
            .bind(cookie_digest.to_owned())
            .bind(session.authenticated_at_ms)
            .bind(session.last_active_at_ms)
            .bind(session.absolute_expires_at_ms)
            .bind(device.user_agent.clone())
            .bind(device.ip_address.clone())
            .bind(session.organization_id.clone())
            .bind(session.idle_timeout_s);
            batch.write(query);
        }
        SessionChange::Renew { session, device } => {
            let query = sql(
                "UPDATE sessions SET cookie_digest = $3, authenticated_at_ms = $4, last_active_at_ms = $4, \
                 user_agent = $5, ip_address = $6, organization_id = $7, idle_timeout_s = $8, \
                 absolute_expires_at_ms = $9 WHERE environment_id = $1 AND id = $2",
            )
            .bind(environment_id)
            .bind(&session.id)
            .bind(cookie_digest.to_owned())
            .bind(session.authenticated_at_ms)
            .bind(device.user_agent.clone())
            .bind(device.ip_address.clone())
            .bind(session.organization_id.clone())
            .bind(session.idle_timeout_s)
            .bind(session.absolute_expires_at_ms);
            // It may have been deleted since it was read.
            batch.require_one_row(query);
        }
    }
}

/// What an interceptor adds to the tokens of a session, for those that come. It has to be written before them.
pub(super) fn claiming(
    environment_id: &str,
    session_id: &str,
    custom_claims: &Map<String, Value>,
) -> Statement {
    sql("UPDATE sessions SET custom_claims_json = $3 WHERE environment_id = $1 AND id = $2")
        .bind(environment_id)
        .bind(session_id)
        .bind(Value::Object(custom_claims.clone()).to_string())
}
