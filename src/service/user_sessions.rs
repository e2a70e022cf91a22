//! Sessions of users as Scalekit's API tells and ends them.

use std::collections::BTreeMap;

use super::api::ApiRefusal;
use super::end_session::end;
use super::{Failure, total_of, users};
use crate::domain::api_error::{ApiErrorCode, FieldViolation};
use crate::domain::clock::UnixMs;
use crate::domain::page::{Page, PageRequest, Position, Scope};
use crate::domain::record_key::RecordKey;
use crate::domain::session::{SessionEnd, SessionRecord, SessionStatus};
use crate::runtime::Context;
pub use crate::storage::SessionRow;
use crate::storage::{ListFilter, SessionFilter};

/// Records of a page where nobody says how many.
const PAGE_SIZE: u32 = 10;

/// Sessions that are ended by one statement after the other before the next are looked for.
const ENDED_AT_ONCE: u32 = 100;

/// Which sessions of a user to list.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Names of statuses, in any case; none: all.
    pub statuses: Vec<String>,
    /// When they began, at the earliest and at the latest.
    pub from_ms: Option<UnixMs>,
    pub to_ms: Option<UnixMs>,
}

/// Finds a session.
pub async fn find(context: &Context, id: &str) -> Result<SessionRecord, ApiRefusal> {
    let found = context.store().session_record(context.environment_id(), id).await?;
    found.ok_or_else(|| {
        ApiRefusal::new(ApiErrorCode::NotFound, format!("session not found: there is no session {id}"))
    })
}

/// Sessions of all users with whose they are, newest first, by the offset of a page.
pub async fn recent(
    context: &Context,
    filter: &ListFilter,
) -> Result<Vec<(SessionRecord, SessionRow)>, Failure> {
    let (store, environment_id) = (context.store(), context.environment_id());
    let listed = store.sessions(environment_id, filter).await?;
    let records = store.listed_session_records(environment_id, filter).await?.into_iter();
    let mut records: BTreeMap<_, _> = records.map(|record| (record.session.id.clone(), record)).collect();
    // What one of the two did not see any more, or not yet, stays away.
    let found = listed.into_iter().filter_map(|row| Some((records.remove(&row.id)?, row)));
    Ok(found.collect())
}

/// Lists the sessions of a user, newest first.
pub async fn list(
    context: &Context,
    user_id: &str,
    wanted: &Wanted,
    page_size: u32,
    page_token: &str,
) -> Result<Page<SessionRecord>, ApiRefusal> {
    let user = users::find(context, &RecordKey::Id(user_id.to_owned())).await?;
    let statuses = statuses(&wanted.statuses)?;
    let (from_ms, to_ms) = (wanted.from_ms.unwrap_or(UnixMs::MIN), wanted.to_ms.unwrap_or(UnixMs::MAX));
    let mut words: Vec<&str> = statuses.iter().map(|status| status.as_str()).collect();
    words.sort_unstable();
    let (words, times) = (words.join(","), format!("{from_ms}-{to_ms}"));
    let scope: Scope<'_> = &["sessions", &user.id, &words, &times];
    let request =
        PageRequest::parse(page_size, PAGE_SIZE, page_token, scope).map_err(|violation| vec![violation])?;
    let filter = SessionFilter {
        user_id: &user.id,
        statuses: &statuses,
        from_ms,
        to_ms,
        now_ms: context.now_ms(),
        settings: &context.environment.sessions,
    };
    let (store, environment_id) = (context.store(), context.environment_id());
    let found = store.session_records(environment_id, &filter, &request).await?;
    let total = total_of(&request, &found, store.count_session_records(environment_id, &filter)).await?;
    Ok(request.page(found, total, scope, |record| Position {
        created_at_ms: record.created_at_ms,
        id: record.session.id.clone(),
    }))
}

fn statuses(words: &[String]) -> Result<Vec<SessionStatus>, ApiRefusal> {
    let parsed = words.iter().enumerate().map(|(index, word)| {
        SessionStatus::parse(word).ok_or_else(|| {
            let field = format!("filter.status[{index}]");
            let text = format!("{field} is invalid: it is none of active, expired, revoked, logout");
            vec![FieldViolation::new(&field, "in", text)].into()
        })
    });
    parsed.collect()
}

/// Ends a session. One that is not active any more stays as it is.
pub async fn revoke(context: &Context, id: &str) -> Result<SessionRecord, ApiRefusal> {
    let before = find(context, id).await?;
    if before.status(context.now_ms(), &context.environment.sessions) != SessionStatus::Active {
        return Ok(before);
    }
    end(context, id, SessionEnd::Revocation).await?;
    find(context, id).await
}

/// Ends all active sessions of a user, and gives them as they are afterwards.
pub async fn revoke_all(context: &Context, user_id: &str) -> Result<Vec<SessionRecord>, ApiRefusal> {
    let active = Wanted { statuses: vec![SessionStatus::Active.as_str().to_owned()], ..Wanted::default() };
    let mut revoked = vec![];
    // What was revoked is active no more, so the first page is always the next one.
    loop {
        let page = list(context, user_id, &active, ENDED_AT_ONCE, "").await?;
        if page.records.is_empty() {
            return Ok(revoked);
        }
        for record in page.records {
            revoked.push(revoke(context, &record.session.id).await?);
        }
    }
}
