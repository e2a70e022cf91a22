//! The two writes of a sign-in that touch several tables: sending, and completing. Each is one transaction that
//! begins with its conditional statement, so that a loser leaves nothing behind.

use super::{
    AttemptUpdate, Batch, NewMail, SessionChange, SessionClient, Statement, StatementResult, Store,
    StoreError, auth_requests, events, grants, mail, roles, session_clients, sessions, sql,
    users::SummaryRow,
};
use crate::domain::auth_request::AuthRequest;
use crate::domain::clock::UnixMs;
use crate::domain::email::EmailAddress;
use crate::domain::event::Event;
use crate::domain::grant::Grant;
use crate::domain::limits::RecentTimes;
use crate::domain::organization::Organization;
use crate::domain::user::UserSummary;

/// How many emails an address received lately, as read; written back only if nobody else counted meanwhile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailQuota {
    /// `None`: no row yet.
    pub version: Option<i64>,
    pub sent: RecentTimes,
}

/// Everything that completing a sign-in writes.
#[derive(Debug, Clone)]
pub struct Completion<'a> {
    /// The judged request, still carrying the version that was read.
    pub request: &'a AuthRequest,
    pub email: &'a EmailAddress,
    /// What a proof by code writes about its address.
    pub counted: Option<AttemptUpdate<'a>>,
    /// Id for the user if the address is new.
    pub new_user_id: &'a str,
    /// The organization that a new user gets, in the full-stack profile, and what is told of that.
    pub new_organization: Option<&'a (Organization, Vec<Event>)>,
    pub session: SessionChange,
    pub session_cookie_digest: &'a str,
    pub grant: &'a Grant,
    pub code_digest: &'a str,
    /// Set where the application wants to hear of the session's end.
    pub backchannel_client: Option<&'a SessionClient>,
    pub now_ms: UnixMs,
}

impl Store {
    pub async fn mail_budget(
        &self,
        environment_id: &str,
        email: &EmailAddress,
    ) -> Result<MailQuota, StoreError> {
        let row: Option<(i64, String)> =
            sql("SELECT version, sent_at_ms FROM mail_budgets WHERE environment_id = $1 AND email_key = $2")
                .bind(environment_id)
                .bind(email.key().to_owned())
                .fetch_optional(&self.pool)
                .await?;
        Ok(row.map_or_else(MailQuota::default, |(version, sent)| MailQuota {
            version: Some(version),
            sent: RecentTimes::parse(&sent),
        }))
    }

    /// Commits a send: request, budget and email together. `false`, and nothing written, when the request or the
    /// budget moved since they were read. `is_new` inserts the request, for a sign-in that starts with a send.
    #[expect(clippy::too_many_arguments, reason = "one transaction over three tables")]
    pub async fn commit_send(
        &self,
        environment_id: &str,
        request: &AuthRequest<impl auth_requests::StoredOrigin>,
        is_new: bool,
        link_digest: Option<&str>,
        budget: Option<(&EmailAddress, &MailQuota, UnixMs)>,
        mail: &NewMail,
        now_ms: UnixMs,
    ) -> Result<bool, StoreError> {
        let mut batch = Batch::default();
        if is_new {
            batch.write(auth_requests::inserting(environment_id, request, link_digest)?);
        } else {
            batch.require_one_row(auth_requests::sending(environment_id, request, link_digest));
        }
        if let Some((email, budget, expires_at_ms)) = budget {
            batch.require_one_row(writing_budget(environment_id, email, budget, expires_at_ms));
        }
        mail::insert(&mut batch, environment_id, mail, now_ms);
        Ok(self.commit(batch).await?.is_some())
    }

    /// Commits a completed sign-in: request, user, session and grant together. `None`, and nothing written, when
    /// the request, the session or the count of the address changed since it was read.
    pub async fn commit_completion(
        &self,
        environment_id: &str,
        done: &Completion<'_>,
    ) -> Result<Option<UserSummary>, StoreError> {
        let mut batch = Batch::default();
        batch.require_one_row(auth_requests::judging(environment_id, done.request));
        if let Some(counted) = done.counted {
            batch.require_one_row(self.holding_failed_attempts(environment_id, counted));
        }
        let user_at = batch.len();
        batch.require_one_row(writing_user(environment_id, done));
        if let Some(organization) = done.new_organization {
            write_organization(&mut batch, environment_id, organization, done.new_user_id, done.now_ms);
        }
        let (grant, key) = (done.grant, done.email.key());
        let cookie_digest = done.session_cookie_digest;
        sessions::write(&mut batch, environment_id, key, &done.session, cookie_digest, done.now_ms);
        batch.write(grants::inserting(environment_id, grant, done.code_digest, done.now_ms)?);
        if let Some(client) = done.backchannel_client {
            batch.write(session_clients::noting(environment_id, &grant.session_id, None, key, client));
        }
        let Some(written) = self.commit(batch).await? else { return Ok(None) };
        let row: Option<SummaryRow> = written.get(user_at).map(StatementResult::first).transpose()?.flatten();
        Ok(Some(row.ok_or(StoreError::Unreadable("user"))?.into()))
    }
}

/// The person who proved an address, new or known; gives the user's row.
fn writing_user(environment_id: &str, done: &Completion<'_>) -> Statement {
    sql(
        "INSERT INTO users (environment_id, id, email, email_key, created_at_ms, updated_at_ms, \
         last_sign_in_at_ms, email_verified_at_ms) VALUES ($1, $2, $3, $4, $5, $5, $5, $5) \
         ON CONFLICT (environment_id, email_key) DO UPDATE SET last_sign_in_at_ms = excluded.last_sign_in_at_ms, \
         email_verified_at_ms = COALESCE(users.email_verified_at_ms, excluded.email_verified_at_ms) RETURNING id, email, name, given_name, \
         family_name, picture, locale, external_id, created_at_ms, updated_at_ms",
    )
    .bind(environment_id)
    .bind(done.new_user_id)
    .bind(done.email.as_str())
    .bind(done.email.key().to_owned())
    .bind(done.now_ms)
}

/// The count of an address's emails, unless somebody else sent one since it was read.
fn writing_budget(
    environment_id: &str,
    email: &EmailAddress,
    budget: &MailQuota,
    expires_at_ms: UnixMs,
) -> Statement {
    let query = match budget.version {
        None => {
            sql("INSERT INTO mail_budgets (environment_id, email_key, version, sent_at_ms, expires_at_ms) \
             VALUES ($1, $2, $3 + 1, $4, $5) ON CONFLICT (environment_id, email_key) DO NOTHING")
        }
        Some(_) => sql("UPDATE mail_budgets SET version = version + 1, sent_at_ms = $4, expires_at_ms = $5 \
             WHERE environment_id = $1 AND email_key = $2 AND version = $3"),
    };
    query
        .bind(environment_id)
        .bind(email.key().to_owned())
        .bind(budget.version.unwrap_or_default())
        .bind(budget.sent.to_text())
        .bind(expires_at_ms)
}

/// An organization with its first member, if this user was new.
fn write_organization(
    batch: &mut Batch,
    environment_id: &str,
    (organization, told): &(Organization, Vec<Event>),
    new_user_id: &str,
    now_ms: UnixMs,
) {
    let query =
        sql("INSERT INTO organizations (environment_id, id, display_name, created_at_ms, updated_at_ms) \
         SELECT $1, $2, $3, CAST($4 AS BIGINT), CAST($4 AS BIGINT) \
         WHERE EXISTS (SELECT 1 FROM users WHERE environment_id = $1 AND id = $5)");
    let query = query.bind(environment_id).bind(&organization.id).bind(&organization.display_name);
    batch.write(query.bind(now_ms).bind(new_user_id));
    let query = sql(
        "INSERT INTO memberships (environment_id, organization_id, user_id, created_at_ms, provisioning_method) \
         SELECT $1, $2, $3, CAST($4 AS BIGINT), 'org_creator' \
         WHERE EXISTS (SELECT 1 FROM users WHERE environment_id = $1 AND id = $3)",
    );
    batch.write(query.bind(environment_id).bind(&organization.id).bind(new_user_id).bind(now_ms));
    batch.write(roles::giving_creator_role(environment_id, new_user_id, &organization.id));
    for event in told {
        batch.write(events::inserting_with_user(environment_id, event, new_user_id));
    }
}
