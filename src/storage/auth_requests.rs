//! Authentication requests.

use super::{Store, StoreError, to_json};
use crate::domain::auth_request::{AuthRequest, Stage};
use crate::domain::email::EmailAddress;
use crate::domain::environment::PasswordlessType;
use crate::domain::limits::RecentTimes;

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    version: i64,
    stage: String,
    authorization_json: String,
    browser_digest: String,
    issuer: String,
    email: Option<String>,
    passwordless_type: String,
    generation: i64,
    credentials_expire_at_ms: i64,
    attempts_at_ms: String,
    created_at_ms: i64,
    expires_at_ms: i64,
}

impl TryFrom<Row> for AuthRequest {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let unreadable = || StoreError::Unreadable("auth request");
        Ok(Self {
            authorization: serde_json::from_str(&row.authorization_json).map_err(|_| unreadable())?,
            stage: Stage::parse(&row.stage).ok_or_else(unreadable)?,
            email: row.email.map(|e| EmailAddress::parse(&e)).transpose().map_err(|_| unreadable())?,
            passwordless_type: PasswordlessType::parse(&row.passwordless_type).ok_or_else(unreadable)?,
            attempts: RecentTimes::parse(&row.attempts_at_ms),
            id: row.id,
            version: row.version,
            browser_digest: row.browser_digest,
            issuer: row.issuer,
            generation: row.generation,
            credentials_expire_at_ms: row.credentials_expire_at_ms,
            created_at_ms: row.created_at_ms,
            expires_at_ms: row.expires_at_ms,
        })
    }
}

impl Store {
    pub async fn insert_auth_request(
        &self,
        environment_id: &str,
        request: &AuthRequest,
    ) -> Result<(), StoreError> {
        let _turn = self.write_turn().await;
        insert(&self.pool, environment_id, request, None).await
    }

    pub async fn auth_request(
        &self,
        environment_id: &str,
        id: &str,
    ) -> Result<Option<AuthRequest>, StoreError> {
        sqlx::query_as::<_, Row>(
            "SELECT id, version, stage, authorization_json, browser_digest, issuer, email, passwordless_type, \
             generation, credentials_expire_at_ms, attempts_at_ms, created_at_ms, expires_at_ms \
             FROM auth_requests WHERE environment_id = $1 AND id = $2",
        )
        .bind(environment_id)
        .bind(id)
        .fetch_optional(&self.pool)
        .await?
        .map(AuthRequest::try_from)
        .transpose()
    }

    /// The request whose living link has this digest.
    pub async fn auth_request_by_link(
        &self,
        environment_id: &str,
        link_digest: &str,
    ) -> Result<Option<AuthRequest>, StoreError> {
        sqlx::query_as::<_, Row>(
            "SELECT id, version, stage, authorization_json, browser_digest, issuer, email, passwordless_type, \
             generation, credentials_expire_at_ms, attempts_at_ms, created_at_ms, expires_at_ms \
             FROM auth_requests WHERE environment_id = $1 AND link_digest = $2",
        )
        .bind(environment_id)
        .bind(link_digest)
        .fetch_optional(&self.pool)
        .await?
        .map(AuthRequest::try_from)
        .transpose()
    }

    /// Commits a judged attempt: stage and attempts alone. `false` when somebody else moved the request since it
    /// was read.
    pub async fn update_auth_request(
        &self,
        environment_id: &str,
        next: &AuthRequest,
    ) -> Result<bool, StoreError> {
        let _turn = self.write_turn().await;
        update_judgement(&self.pool, environment_id, next).await
    }
}

pub(super) async fn insert<'e>(
    executor: impl sqlx::Executor<'e, Database = sqlx::Any>,
    environment_id: &str,
    request: &AuthRequest,
    link_digest: Option<&str>,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO auth_requests (environment_id, id, version, stage, authorization_json, browser_digest, issuer, \
         email, passwordless_type, generation, link_digest, credentials_expire_at_ms, attempts_at_ms, created_at_ms, \
         expires_at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
    )
    .bind(environment_id)
    .bind(&request.id)
    .bind(request.version)
    .bind(request.stage.as_str())
    .bind(to_json(&request.authorization)?)
    .bind(&request.browser_digest)
    .bind(&request.issuer)
    .bind(request.email.as_ref().map(|e| e.as_str().to_owned()))
    .bind(request.passwordless_type.as_str())
    .bind(request.generation)
    .bind(link_digest.map(str::to_owned))
    .bind(request.credentials_expire_at_ms)
    .bind(request.attempts.to_text())
    .bind(request.created_at_ms)
    .bind(request.expires_at_ms)
    .execute(executor)
    .await?;
    Ok(())
}

/// A send: address, credentials and their expiry change together, so that an earlier code and link die in the
/// very write that makes the new ones.
pub(super) async fn update_credentials<'e>(
    executor: impl sqlx::Executor<'e, Database = sqlx::Any>,
    environment_id: &str,
    next: &AuthRequest,
    link_digest: &str,
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "UPDATE auth_requests SET version = version + 1, stage = $4, email = $5, passwordless_type = $6, \
         generation = $7, link_digest = $8, credentials_expire_at_ms = $9 \
         WHERE environment_id = $1 AND id = $2 AND version = $3",
    )
    .bind(environment_id)
    .bind(&next.id)
    .bind(next.version)
    .bind(next.stage.as_str())
    .bind(next.email.as_ref().map(|e| e.as_str().to_owned()))
    .bind(next.passwordless_type.as_str())
    .bind(next.generation)
    .bind(link_digest)
    .bind(next.credentials_expire_at_ms)
    .execute(executor)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn update_judgement<'e>(
    executor: impl sqlx::Executor<'e, Database = sqlx::Any>,
    environment_id: &str,
    next: &AuthRequest,
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "UPDATE auth_requests SET version = version + 1, stage = $4, attempts_at_ms = $5 \
         WHERE environment_id = $1 AND id = $2 AND version = $3",
    )
    .bind(environment_id)
    .bind(&next.id)
    .bind(next.version)
    .bind(next.stage.as_str())
    .bind(next.attempts.to_text())
    .execute(executor)
    .await?;
    Ok(done.rows_affected() == 1)
}
