//! The two writes of a sign-in that touch several tables: sending, and completing. Each is one transaction that
//! begins with its conditional statement, so that a loser leaves nothing behind.

use serde_json::{Map, Value};

use super::{
    AttemptUpdate, Batch, NewMail, SessionChange, SessionClient, Statement, Store, StoreError, auth_requests,
    events, grants, mail, memberships, organizations, roles, session_clients, sessions, sql,
};
use crate::domain::auth_request::AuthRequest;
use crate::domain::clock::UnixMs;
use crate::domain::email::EmailAddress;
use crate::domain::event::Event;
use crate::domain::grant::Grant;
use crate::domain::limits::RecentTimes;
use crate::domain::membership::Membership;
use crate::domain::organization::Organization;
use crate::domain::session::Session;
use crate::domain::user::User;

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
    /// What a proof by code writes about its address.
    pub counted: Option<AttemptUpdate<'a>>,
    /// The user as read; `None`: the address is new.
    pub before: Option<&'a User>,
    /// The user as the sign-in leaves it.
    pub user: &'a User,
    /// How the user comes to a new membership, which has no roles yet.
    pub joining: Option<Joining<'a>>,
    pub events: &'a [Event],
    /// What is told of sessions, by their ids, that it ends.
    pub logouts: &'a [(String, Event)],
    pub session: SessionChange,
    pub session_cookie_digest: &'a str,
    /// What interceptors add to the tokens of the session; `None`: what it has stays.
    pub custom_claims: Option<&'a Map<String, Value>>,
    pub grant: &'a Grant,
    pub code_digest: &'a str,
    /// Set where the application wants to hear of the session's end.
    pub backchannel_client: Option<&'a SessionClient>,
    pub now_ms: UnixMs,
}

impl Completion<'_> {
    fn stored_memberships(&self) -> &[Membership] {
        self.before.map(|before| before.memberships.as_slice()).unwrap_or_default()
    }
}

/// Everything that a sign-in by a session writes, which nobody had to prove anything for.
#[derive(Debug, Clone, Copy)]
pub struct SilentSignIn<'a> {
    /// The request whose page the user answered; it is used up.
    pub closes: Option<&'a AuthRequest>,
    /// The session, where it goes to another organization.
    pub enters: Option<&'a Session>,
    /// What interceptors add to the tokens of the session; `None`: what it has stays.
    pub custom_claims: Option<&'a Map<String, Value>>,
    pub grant: &'a Grant,
    pub code_digest: &'a str,
    /// Set where the application wants to hear of the session's end.
    pub backchannel_client: Option<&'a SessionClient>,
    pub now_ms: UnixMs,
}

/// How a sign-in makes a membership.
#[derive(Debug, Clone, Copy)]
pub enum Joining<'a> {
    /// It makes the organization.
    Creates(&'a Organization),
    /// It joins one as it was read, whose limit of members was looked at, with the role that members have.
    Joins(&'a Organization),
    /// The same with roles that the membership names.
    JoinsWithRoles(&'a Organization),
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
        let mut batch = Batch::default().unordered(true);
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

    /// Commits a completed sign-in: request, user, session and grant together. `false`, and nothing written, when the
    /// request, the user, the session or the count of the address changed since it was read.
    pub async fn commit_completion(
        &self,
        environment_id: &str,
        done: &Completion<'_>,
    ) -> Result<bool, StoreError> {
        // Of most sign-ins only the session and the grant are new, and nothing has to be told of them.
        let is_unordered = done.user.memberships == done.stored_memberships()
            && done.custom_claims.is_none()
            && done.events.is_empty()
            && done.logouts.is_empty();
        let mut batch = Batch::default().unordered(is_unordered);
        batch.require_one_row(auth_requests::judging(environment_id, done.request));
        if let Some(counted) = done.counted {
            batch.require_one_row(self.holding_failed_attempts(environment_id, counted));
        }
        events::write_logouts(&mut batch, environment_id, done.logouts);
        write_user(&mut batch, environment_id, done)?;
        let (grant, cookie_digest) = (done.grant, done.session_cookie_digest);
        sessions::write(&mut batch, environment_id, &done.session, cookie_digest, done.now_ms);
        if let Some(custom_claims) = done.custom_claims {
            batch.write(sessions::claiming(environment_id, done.session.session_id(), custom_claims));
        }
        batch.write(grants::inserting(environment_id, grant, done.code_digest, done.now_ms)?);
        if let Some(client) = done.backchannel_client {
            let (session_id, user_id) = (&grant.session_id, &done.user.id);
            batch.write(session_clients::noting(environment_id, session_id, user_id, client));
        }
        for event in done.events {
            events::write(&mut batch, environment_id, event);
        }
        Ok(self.commit(batch).await?.is_some())
    }

    /// Commits a sign-in by a session. `false`, and nothing written, when the request was used or the session ended since they
    /// were read.
    pub async fn commit_silent_sign_in(
        &self,
        environment_id: &str,
        done: &SilentSignIn<'_>,
    ) -> Result<bool, StoreError> {
        let mut batch = Batch::default();
        if let Some(request) = done.closes {
            batch.require_one_row(auth_requests::closing(environment_id, request, done.now_ms));
        }
        if let Some(session) = done.enters {
            batch.require_one_row(sessions::entering(environment_id, session));
        }
        let grant = done.grant;
        if let Some(custom_claims) = done.custom_claims {
            batch.write(sessions::claiming(environment_id, &grant.session_id, custom_claims));
        }
        batch.write(grants::inserting(environment_id, grant, done.code_digest, done.now_ms)?);
        if let Some(client) = done.backchannel_client {
            let (session_id, user_id) = (&grant.session_id, &grant.user_id);
            batch.write(session_clients::noting(environment_id, session_id, user_id, client));
        }
        Ok(self.commit(batch).await?.is_some())
    }

    /// Commits a proof after which the user chooses an organization, in the browser that the proof came from: only that one
    /// may. `false`, and nothing written, as for [`Store::commit_completion`].
    pub async fn commit_proof(
        &self,
        environment_id: &str,
        next: &AuthRequest,
        counted: Option<AttemptUpdate<'_>>,
    ) -> Result<bool, StoreError> {
        let mut batch = Batch::default();
        batch.require_one_row(auth_requests::judging(environment_id, next));
        if let Some(counted) = counted {
            batch.require_one_row(self.holding_failed_attempts(environment_id, counted));
        }
        let binding =
            sql("UPDATE auth_requests SET browser_digest = $3 WHERE environment_id = $1 AND id = $2");
        batch.write(binding.bind(environment_id).bind(&next.id).bind(&next.origin.browser_digest));
        Ok(self.commit(batch).await?.is_some())
    }
}

/// The user who proved an address, new or known, with a membership that the sign-in makes.
fn write_user(batch: &mut Batch, environment_id: &str, done: &Completion<'_>) -> Result<(), StoreError> {
    let user = done.user;
    if let Some(Joining::Joins(organization) | Joining::JoinsWithRoles(organization)) = done.joining
        && organization.max_allowed_users.is_some()
    {
        memberships::hold_organization(batch, environment_id, organization);
    }
    let stored = done.stored_memberships();
    batch.require_one_row(match done.before {
        None => inserting_user(environment_id, user, done.now_ms),
        Some(before) => updating_user(environment_id, before, user, done.now_ms),
    });
    if user.memberships == stored {
        return Ok(());
    }
    if let Some(Joining::Creates(organization)) = done.joining {
        batch.write(organizations::inserting(environment_id, organization)?);
    }
    memberships::write_changed(batch, environment_id, stored, user)?;
    match done.joining {
        Some(Joining::Creates(organization)) => {
            batch.write(roles::giving_creator_role(environment_id, &user.id, &organization.id));
        }
        Some(Joining::Joins(organization)) => {
            batch.write(roles::giving_member_role(environment_id, &user.id, &organization.id));
        }
        Some(Joining::JoinsWithRoles(_)) | None => {}
    }
    Ok(())
}

/// A new user, unless somebody else has the address by now.
fn inserting_user(environment_id: &str, user: &User, now_ms: UnixMs) -> Statement {
    sql("INSERT INTO users (environment_id, id, email, email_key, created_at_ms, updated_at_ms, \
         last_sign_in_at_ms, email_verified_at_ms) VALUES ($1, $2, $3, $4, $5, $5, $5, $5) \
         ON CONFLICT (environment_id, email_key) DO NOTHING")
    .bind(environment_id)
    .bind(&user.id)
    .bind(user.email.as_str())
    .bind(user.email.key())
    .bind(now_ms)
}

/// A known user, as read. A sign-in that changes no membership makes no new version.
fn updating_user(environment_id: &str, before: &User, after: &User, now_ms: UnixMs) -> Statement {
    let is_changed = before.memberships != after.memberships;
    sql("UPDATE users SET last_sign_in_at_ms = $4, email_verified_at_ms = COALESCE(email_verified_at_ms, $4), \
         version = version + $5, updated_at_ms = $6 WHERE environment_id = $1 AND id = $2 AND version = $3")
    .bind(environment_id)
    .bind(&before.id)
    .bind(before.version)
    .bind(now_ms)
    .bind(i64::from(is_changed))
    .bind(after.updated_at_ms)
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
