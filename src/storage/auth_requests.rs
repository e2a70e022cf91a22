//! Authentication requests.

use super::{AttemptUpdate, Batch, Statement, Store, StoreError, failed_attempts, row::row, sql, to_json};
use crate::domain::auth_request::{AuthRequest, CodeForm, Credentials, Guess, Hosted, Origin, Stage};
use crate::domain::clock::UnixMs;
use crate::domain::email::EmailAddress;
use crate::domain::headless::Headless;
use crate::domain::limits::RecentTimes;
use crate::domain::settings::PasswordlessType;

row! {
    /// The columns in which requests of a browser and requests by API differ.
    #[derive(Default)]
    pub struct OriginColumns {
        authorization_json: String,
        browser_digest: String,
        issuer: String,
        headless_json: Option<String>,
        client_id: String,
    }
}

/// A kind of request as stored.
pub trait StoredOrigin: Origin {
    fn to_columns(&self) -> Result<OriginColumns, StoreError>;

    /// `None`: the row is of the other kind.
    fn from_columns(columns: OriginColumns) -> Result<Option<Self>, StoreError>;
}

impl StoredOrigin for Hosted {
    fn to_columns(&self) -> Result<OriginColumns, StoreError> {
        Ok(OriginColumns {
            authorization_json: to_json(&self.authorization)?,
            browser_digest: self.browser_digest.clone(),
            issuer: self.issuer.clone(),
            headless_json: None,
            client_id: self.authorization.client_id.clone(),
        })
    }

    fn from_columns(columns: OriginColumns) -> Result<Option<Self>, StoreError> {
        if columns.headless_json.is_some() {
            return Ok(None);
        }
        let authorization = serde_json::from_str(&columns.authorization_json);
        Ok(Some(Self {
            authorization: authorization.map_err(|_| StoreError::Unreadable("auth request"))?,
            browser_digest: columns.browser_digest,
            issuer: columns.issuer,
        }))
    }
}

impl StoredOrigin for Headless {
    fn to_columns(&self) -> Result<OriginColumns, StoreError> {
        let json = serde_json::to_string(self).map_err(|_| StoreError::Unreadable("auth request"))?;
        let client_id = self.client_id.clone();
        Ok(OriginColumns { headless_json: Some(json), client_id, ..OriginColumns::default() })
    }

    fn from_columns(columns: OriginColumns) -> Result<Option<Self>, StoreError> {
        let headless = columns.headless_json.map(|json| serde_json::from_str(&json));
        headless.transpose().map_err(|_| StoreError::Unreadable("auth request"))
    }
}

row! {
    struct Row {
        id: String,
        version: i64,
        stage: String,
        origin: OriginColumns,
        credentials: CredentialColumns,
        attempts_at_ms: String,
        last_guess_digest: Option<String>,
        last_guess_at_ms: Option<i64>,
        created_at_ms: i64,
        expires_at_ms: i64,
    }
}

row! {
    /// What the last email carried; all are null where there was none.
    #[derive(Default)]
    struct CredentialColumns {
        email: Option<String>,
        passwordless_type: Option<String>,
        generation: Option<i64>,
        /// One of these two is null.
        code_length: Option<i64>,
        static_code: Option<String>,
        sent_at_ms: Option<i64>,
        credentials_expire_at_ms: Option<i64>,
    }
}

impl CredentialColumns {
    fn of(request: &AuthRequest<impl Origin>) -> Self {
        let Some(sent) = request.credentials() else { return Self::default() };
        let (code_length, static_code) = match &sent.code {
            CodeForm::Digits(length) => (Some(i64::from(*length)), None),
            CodeForm::Static(code) => (None, Some(code.clone())),
        };
        Self {
            email: Some(sent.email.as_str().to_owned()),
            passwordless_type: Some(sent.passwordless_type.as_str().to_owned()),
            generation: Some(sent.generation),
            code_length,
            static_code,
            sent_at_ms: Some(sent.sent_at_ms),
            credentials_expire_at_ms: Some(sent.expire_at_ms),
        }
    }

    /// `None`: they are not complete.
    fn read(self) -> Option<Credentials> {
        let length = self.code_length.and_then(|length| u32::try_from(length).ok());
        Some(Credentials {
            email: EmailAddress::parse(&self.email?).ok()?,
            passwordless_type: PasswordlessType::parse(&self.passwordless_type?)?,
            generation: self.generation?,
            code: self.static_code.map(CodeForm::Static).or(length.map(CodeForm::Digits))?,
            sent_at_ms: self.sent_at_ms?,
            expire_at_ms: self.credentials_expire_at_ms?,
        })
    }

    fn bind_to(self, query: Statement) -> Statement {
        query
            .bind(self.email)
            .bind(self.passwordless_type)
            .bind(self.generation)
            .bind(self.code_length)
            .bind(self.static_code)
            .bind(self.sent_at_ms)
            .bind(self.credentials_expire_at_ms)
    }
}

impl Row {
    /// `None`: the request is of the other kind.
    fn read<O: StoredOrigin>(self) -> Result<Option<AuthRequest<O>>, StoreError> {
        let unreadable = || StoreError::Unreadable("auth request");
        let Some(origin) = O::from_columns(self.origin)? else { return Ok(None) };
        Ok(Some(AuthRequest {
            origin,
            stage: Stage::from_parts(&self.stage, self.credentials.read()).ok_or_else(unreadable)?,
            attempts: RecentTimes::parse(&self.attempts_at_ms),
            last_guess: self
                .last_guess_digest
                .zip(self.last_guess_at_ms)
                .map(|(digest, at_ms)| Guess { digest, at_ms }),
            id: self.id,
            version: self.version,
            created_at_ms: self.created_at_ms,
            expires_at_ms: self.expires_at_ms,
        }))
    }
}

impl Store {
    pub async fn insert_auth_request(
        &self,
        environment_id: &str,
        request: &AuthRequest<impl StoredOrigin>,
    ) -> Result<(), StoreError> {
        self.execute(inserting(environment_id, request, None)?).await?;
        Ok(())
    }

    /// `None` also for a request of the other kind.
    pub async fn auth_request<O: StoredOrigin>(
        &self,
        environment_id: &str,
        id: &str,
    ) -> Result<Option<AuthRequest<O>>, StoreError> {
        sql("SELECT id, version, stage, authorization_json, browser_digest, issuer, headless_json, client_id, email, \
             passwordless_type, generation, code_length, static_code, sent_at_ms, credentials_expire_at_ms, \
             attempts_at_ms, last_guess_digest, last_guess_at_ms, created_at_ms, expires_at_ms \
             FROM auth_requests WHERE environment_id = $1 AND id = $2")
        .bind(environment_id)
        .bind(id)
        .fetch_optional(&self.pool)
        .await?
        .map_or(Ok(None), Row::read)
    }

    /// The request whose living link has this digest.
    pub async fn auth_request_by_link<O: StoredOrigin>(
        &self,
        environment_id: &str,
        link_digest: &str,
    ) -> Result<Option<AuthRequest<O>>, StoreError> {
        sql("SELECT id, version, stage, authorization_json, browser_digest, issuer, headless_json, client_id, email, \
             passwordless_type, generation, code_length, static_code, sent_at_ms, credentials_expire_at_ms, \
             attempts_at_ms, last_guess_digest, last_guess_at_ms, created_at_ms, expires_at_ms \
             FROM auth_requests WHERE environment_id = $1 AND link_digest = $2")
        .bind(environment_id)
        .bind(link_digest)
        .fetch_optional(&self.pool)
        .await?
        .map_or(Ok(None), Row::read)
    }

    /// Commits a judged attempt: stage and attempts, and what it counts for its address. `false`, and nothing written,
    /// when somebody else moved either since they were read.
    pub async fn update_auth_request(
        &self,
        environment_id: &str,
        next: &AuthRequest<impl Origin>,
        counted: Option<AttemptUpdate<'_>>,
    ) -> Result<bool, StoreError> {
        let mut batch = Batch::default();
        batch.require_one_row(judging(environment_id, next));
        if let Some(counted) = counted {
            batch.require_one_row(failed_attempts::writing(environment_id, counted));
        }
        Ok(self.commit(batch).await?.is_some())
    }
}

/// A new request.
pub(super) fn inserting(
    environment_id: &str,
    request: &AuthRequest<impl StoredOrigin>,
    link_digest: Option<&str>,
) -> Result<Statement, StoreError> {
    let origin = request.origin.to_columns()?;
    let query = sql(
        "INSERT INTO auth_requests (environment_id, id, version, stage, authorization_json, browser_digest, issuer, \
         headless_json, link_digest, attempts_at_ms, created_at_ms, expires_at_ms, client_id, email, passwordless_type, \
         generation, code_length, static_code, sent_at_ms, credentials_expire_at_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)",
    )
    .bind(environment_id)
    .bind(&request.id)
    .bind(request.version)
    .bind(request.stage.as_str())
    .bind(origin.authorization_json)
    .bind(origin.browser_digest)
    .bind(origin.issuer)
    .bind(origin.headless_json)
    .bind(link_digest.map(str::to_owned))
    .bind(request.attempts.to_text())
    .bind(request.created_at_ms)
    .bind(request.expires_at_ms)
    .bind(origin.client_id);
    Ok(CredentialColumns::of(request).bind_to(query))
}

/// A send: address, credentials and their expiry change together, so that an earlier code and link end in the
/// very write that makes the new ones.
pub(super) fn sending(
    environment_id: &str,
    next: &AuthRequest<impl Origin>,
    link_digest: Option<&str>,
) -> Statement {
    let query =
        sql("UPDATE auth_requests SET version = version + 1, stage = $4, link_digest = $5, email = $6, \
         passwordless_type = $7, generation = $8, code_length = $9, static_code = $10, sent_at_ms = $11, \
         credentials_expire_at_ms = $12 WHERE environment_id = $1 AND id = $2 AND version = $3")
        .bind(environment_id)
        .bind(&next.id)
        .bind(next.version)
        .bind(next.stage.as_str())
        .bind(link_digest.map(str::to_owned));
    CredentialColumns::of(next).bind_to(query)
}

/// A request that a session answered, which is used up.
pub(super) fn closing(environment_id: &str, request: &AuthRequest<impl Origin>, now_ms: UnixMs) -> Statement {
    sql("UPDATE auth_requests SET version = version + 1, expires_at_ms = $4 \
         WHERE environment_id = $1 AND id = $2 AND version = $3")
    .bind(environment_id)
    .bind(&request.id)
    .bind(request.version)
    .bind(now_ms)
}

/// A judged attempt. Its credentials are written too: instant sign-in has them only now.
pub(super) fn judging(environment_id: &str, next: &AuthRequest<impl Origin>) -> Statement {
    let query = sql(
        "UPDATE auth_requests SET version = version + 1, stage = $4, attempts_at_ms = $5, last_guess_digest = $6, \
         last_guess_at_ms = $7, email = $8, passwordless_type = $9, generation = $10, code_length = $11, \
         static_code = $12, sent_at_ms = $13, credentials_expire_at_ms = $14 \
         WHERE environment_id = $1 AND id = $2 AND version = $3",
    )
    .bind(environment_id)
    .bind(&next.id)
    .bind(next.version)
    .bind(next.stage.as_str())
    .bind(next.attempts.to_text())
    .bind(next.last_guess.as_ref().map(|g| g.digest.clone()))
    .bind(next.last_guess.as_ref().map(|g| g.at_ms));
    CredentialColumns::of(next).bind_to(query)
}
