//! Sessions with all that is told of them.

use super::sessions::{bind_page, page_of_sessions};
use super::{ListFilter, Store, StoreError, row::row, sql};
use crate::domain::clock::UnixMs;
use crate::domain::page::{PageAnchor, PageRequest};
use crate::domain::session::{Device, Session, SessionEnd, SessionEntry, SessionRecord, SessionStatus};
use crate::domain::settings::SessionSettings;

row! {
    /// A session, once for each application and organization of its tokens.
    struct RecordRow {
        id: String,
        user_id: String,
        session_organization_id: Option<String>,
        authenticated_at_ms: i64,
        last_active_at_ms: i64,
        absolute_expires_at_ms: i64,
        idle_timeout_s: Option<i64>,
        ended_at_ms: Option<i64>,
        ended_by: Option<String>,
        user_agent: Option<String>,
        ip_address: Option<String>,
        created_at_ms: i64,
        client_id: Option<String>,
        organization_id: Option<String>,
    }
}

impl RecordRow {
    fn entry(&mut self) -> Option<SessionEntry> {
        Some(SessionEntry { client_id: self.client_id.take()?, organization_id: self.organization_id.take() })
    }

    fn record(mut self) -> Result<SessionRecord, StoreError> {
        let entries = self.entry().into_iter().collect();
        let ended_by =
            self.ended_by.map(|text| SessionEnd::parse(&text).ok_or(StoreError::Unreadable("session")));
        Ok(SessionRecord {
            session: Session {
                id: self.id,
                user_id: self.user_id,
                organization_id: self.session_organization_id,
                authenticated_at_ms: self.authenticated_at_ms,
                last_active_at_ms: self.last_active_at_ms,
                absolute_expires_at_ms: self.absolute_expires_at_ms,
                idle_timeout_s: self.idle_timeout_s,
                ended_at_ms: self.ended_at_ms,
            },
            created_at_ms: self.created_at_ms,
            ended_by: ended_by.transpose()?,
            device: Device { user_agent: self.user_agent, ip_address: self.ip_address },
            entries,
        })
    }
}

/// Sessions of rows, of which those of one session come one after the other.
fn records_of(rows: Vec<RecordRow>) -> Result<Vec<SessionRecord>, StoreError> {
    let mut records: Vec<SessionRecord> = vec![];
    for mut row in rows {
        match records.last_mut() {
            Some(last) if last.session.id == row.id => last.entries.extend(row.entry()),
            _ => records.push(row.record()?),
        }
    }
    Ok(records)
}

/// Reads the sessions that a statement finds, with the applications of their tokens. It says how they are ordered.
macro_rules! sessions_with_entries {
    ($page:expr, $order:literal) => {
        sql(concat!(
            "SELECT s.id, s.user_id, s.organization_id AS session_organization_id, s.authenticated_at_ms, \
             s.last_active_at_ms, s.absolute_expires_at_ms, s.idle_timeout_s, s.ended_at_ms, s.ended_by, s.user_agent, \
             s.ip_address, s.created_at_ms, g.client_id, g.organization_id FROM ( ",
            $page,
            " ) s LEFT JOIN grants g ON g.environment_id = s.environment_id AND g.session_id = s.id \
             GROUP BY s.id, s.user_id, s.organization_id, s.authenticated_at_ms, s.last_active_at_ms, \
             s.absolute_expires_at_ms, s.idle_timeout_s, s.ended_at_ms, s.ended_by, s.user_agent, s.ip_address, s.created_at_ms, g.client_id, g.organization_id \
             ORDER BY ",
            $order,
            ", MAX(g.created_at_ms) DESC, MAX(g.id) DESC"
        ))
    };
}

/// Those of a user that a filter names. $5 says which statuses are asked for, $6 is the present, $7 since when a live
/// session was used.
macro_rules! matching {
    ($position:literal) => {
        concat!(
            "FROM sessions WHERE environment_id = $1 AND user_id = $2 AND created_at_ms >= $3 AND created_at_ms <= $4 \
             AND ($5 = '' OR $5 LIKE '%,' || (CASE WHEN ended_by = 'logout' THEN 'logout' \
             WHEN ended_by = 'revocation' THEN 'revoked' \
             WHEN absolute_expires_at_ms > $6 AND last_active_at_ms > $7 \
             AND last_active_at_ms > $6 - COALESCE(idle_timeout_s * 1000, $6) THEN 'active' ELSE 'expired' END) || ',%')",
            $position
        )
    };
}

/// Which sessions of a user to list.
#[derive(Debug, Clone)]
pub struct SessionFilter<'f> {
    pub user_id: &'f str,
    /// None: all.
    pub statuses: &'f [SessionStatus],
    /// When they began, at the earliest and at the latest.
    pub from_ms: UnixMs,
    pub to_ms: UnixMs,
    pub now_ms: UnixMs,
    pub settings: &'f SessionSettings,
}

impl SessionFilter<'_> {
    fn words(&self) -> String {
        let words: Vec<&str> = self.statuses.iter().map(|status| status.as_str()).collect();
        if words.is_empty() { String::new() } else { format!(",{},", words.join(",")) }
    }

    fn used_after_ms(&self) -> UnixMs {
        self.now_ms - self.settings.idle_timeout_s * 1000
    }
}

impl Store {
    /// A session with all that is told of it.
    pub async fn session_record(
        &self,
        environment_id: &str,
        id: &str,
    ) -> Result<Option<SessionRecord>, StoreError> {
        let query = sessions_with_entries!(
            "SELECT * FROM sessions WHERE environment_id = $1 AND id = $2",
            "s.created_at_ms"
        );
        Ok(records_of(query.bind(environment_id).bind(id).fetch_all(&self.pool).await?)?.into_iter().next())
    }

    /// The sessions of a user that nobody ended.
    pub async fn open_sessions_of_user(
        &self,
        environment_id: &str,
        user_id: &str,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        let query = sessions_with_entries!(
            "SELECT * FROM sessions WHERE environment_id = $1 AND user_id = $2 AND ended_at_ms IS NULL",
            "s.created_at_ms, s.id"
        );
        records_of(query.bind(environment_id).bind(user_id).fetch_all(&self.pool).await?)
    }

    /// The sessions in an organization that nobody ended.
    pub async fn open_sessions_in_organization(
        &self,
        environment_id: &str,
        organization_id: &str,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        let query = sessions_with_entries!(
            "SELECT * FROM sessions WHERE environment_id = $1 AND organization_id = $2 AND ended_at_ms IS NULL",
            "s.created_at_ms, s.id"
        );
        records_of(query.bind(environment_id).bind(organization_id).fetch_all(&self.pool).await?)
    }

    /// Sessions of all users, newest first, by the offset of a page, as [`Store::sessions`] lists them.
    pub async fn listed_session_records(
        &self,
        environment_id: &str,
        filter: &ListFilter,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        let query = sessions_with_entries!(
            concat!("SELECT s.* ", page_of_sessions!()),
            "s.created_at_ms DESC, s.id DESC"
        );
        records_of(bind_page(query, environment_id, filter).fetch_all(&self.pool).await?)
    }

    /// A page of sessions, as [`PageRequest::page`] takes it.
    pub async fn session_records(
        &self,
        environment_id: &str,
        filter: &SessionFilter<'_>,
        page: &PageRequest,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        let query = if matches!(page.anchor, PageAnchor::Before(_)) {
            sessions_with_entries!(
                concat!(
                    "SELECT * ",
                    matching!(" AND (created_at_ms, id) > ($8, $9) ORDER BY created_at_ms, id LIMIT $10")
                ),
                "s.created_at_ms, s.id"
            )
        } else {
            sessions_with_entries!(
                concat!(
                    "SELECT * ",
                    matching!(
                        " AND (created_at_ms, id) < ($8, $9) ORDER BY created_at_ms DESC, id DESC LIMIT $10"
                    )
                ),
                "s.created_at_ms DESC, s.id DESC"
            )
        };
        let (at_ms, id) = page.anchor.bound();
        let query = query.bind(environment_id).bind(filter.user_id).bind(filter.from_ms).bind(filter.to_ms);
        let query = query.bind(filter.words()).bind(filter.now_ms).bind(filter.used_after_ms());
        records_of(query.bind(at_ms).bind(id).bind(page.limit()).fetch_all(&self.pool).await?)
    }

    /// How many sessions there are.
    pub async fn count_session_records(
        &self,
        environment_id: &str,
        filter: &SessionFilter<'_>,
    ) -> Result<i64, StoreError> {
        let query = sql(concat!("SELECT COUNT(*) ", matching!("")));
        let query = query.bind(environment_id).bind(filter.user_id).bind(filter.from_ms).bind(filter.to_ms);
        let query = query.bind(filter.words()).bind(filter.now_ms).bind(filter.used_after_ms());
        let (count,): (i64,) = query.fetch_one(&self.pool).await?;
        Ok(count)
    }
}
