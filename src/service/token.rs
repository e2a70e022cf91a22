//! `/oauth/token`: the three grants.

use serde::Serialize;
use serde_json::Value;

use super::client_auth::ClientRefusal;
use super::sessions::touch;
use super::{Failure, faults, flows};
use crate::crypto::server_secret::Purpose;
use crate::crypto::signing::SigningError;
use crate::domain::authorization::{AuthorizationRequest, scope_words};
use crate::domain::client::Client;
use crate::domain::fault::TokenFault;
use crate::domain::flow::{About, FlowStatus, Step, Verdict};
use crate::domain::grant::{CodeRedemption, CodeRefusal, Grant, RefreshStanding};
use crate::domain::ids::{IdKind, opened_by, secret_for, token_id_of_grant};
use crate::domain::session::Session;
use crate::domain::settings::Mode;
use crate::domain::signing_algorithm::SigningAlgorithm;
use crate::domain::token::{
    self, IdTokenClaims, PersonClaims, Subject, expires_in_s, half_hash, scope_allows_claim,
    subject_identifier,
};
use crate::domain::user::{Organization, User};
use crate::runtime::Context;
use crate::storage::{GrantStanding, StoreError};

/// The endpoint, as rules for faults name it.
const TOKEN_PATH: &str = "/oauth/token";

/// How long ago a token expired that a fault made so, in seconds.
const EXPIRED_AGO_S: i64 = 3600;

/// A successful answer (RFC 6749 §5.1, OpenID Connect Core 1.0 §3.1.3.3).
#[derive(Serialize, utoipa::ToSchema)]
pub struct TokenResponse {
    pub access_token: String,
    pub token_type: &'static str,
    /// Whole seconds left.
    pub expires_in: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    pub scope: String,
}

/// Why no token is given (RFC 6749 §5.2).
#[derive(Debug, thiserror::Error)]
pub enum TokenRefusal {
    #[error("{0}")]
    InvalidGrant(String),
    #[error("{0}")]
    InvalidScope(String),
    #[error("{0}")]
    UnauthorizedClient(&'static str),
    #[error("{0}")]
    Failure(Failure),
}

impl<E: Into<Failure>> From<E> for TokenRefusal {
    fn from(error: E) -> Self {
        Self::Failure(error.into())
    }
}

fn invalid_grant(reason: impl Into<String>) -> TokenRefusal {
    TokenRefusal::InvalidGrant(reason.into())
}

fn refused_code(refusal: CodeRefusal) -> TokenRefusal {
    invalid_grant(refusal.to_string())
}

/// The claims of an `id_token_hint`, if this environment issued it. It may be long expired (OpenID Connect Core 1.0
/// §3.1.2.1): hints come late.
pub fn hinted(context: &Context, token: &str) -> Option<IdTokenClaims> {
    let claims = context.app.keys.current().verify::<IdTokenClaims>(token).ok()?;
    context.environment.is_issuer(&claims.iss).then_some(claims)
}

/// The issuer that a grant's tokens name: the one its sign-in began under, so that they agree with the `iss` of its
/// callback. Where that is no URL of ours any more, such as after a start on another port, the one asked now.
fn issuer_of<'a>(context: &'a Context, grant: &'a Grant) -> &'a str {
    if context.environment.is_issuer(&grant.issuer) { &grant.issuer } else { context.issuer() }
}

/// Exchanges an authorization code (RFC 6749 §4.1.3). A code used twice revokes what its first use gave (§4.1.2).
pub async fn exchange_code(
    context: &Context,
    client: &Client,
    code: &str,
    redirect_uri: Option<&str>,
    code_verifier: Option<&str>,
) -> Result<TokenResponse, TokenRefusal> {
    let found = grant_of_code(context, code).await?;
    let grant_id = found.as_ref().map(|found| found.grant.id.clone());
    let shown = CodeRedemption { client_id: &client.client_id, redirect_uri, code_verifier };
    let outcome = redeem(context, client, found, code, &shown).await;
    note_tokens(context, client, grant_id, "The authorization code", &outcome);
    outcome
}

async fn grant_of_code(context: &Context, code: &str) -> Result<Option<GrantStanding>, StoreError> {
    let Some(id) = opened_by(IdKind::Grant, code) else { return Ok(None) };
    let digest = context.secret().digest(Purpose::AuthorizationCode, code);
    context.store().grant_standing_by_code(context.environment_id(), &id, &digest).await
}

/// Notes why a client was not believed: with the sign-in whose code it brought. Without one it is told in development
/// only, where nobody fills the log from outside.
///
/// # Errors
/// When the database does not answer.
pub async fn note_refused_client(
    context: &Context,
    client_id: &str,
    code: Option<&str>,
    refusal: ClientRefusal,
) -> Result<(), TokenRefusal> {
    let found = match code {
        Some(code) => grant_of_code(context, code).await?,
        None => None,
    };
    let text = format!("The client was refused with invalid_client: {refusal}.");
    let step = Step::new("token", Verdict::Refused, text).with("client_id", client_id);
    match found {
        Some(found) => flows::note(context, &found.grant.id, About::default(), step),
        None if context.environment.mode == Mode::Development => {
            let about = About::status(FlowStatus::Failed).client(client_id);
            flows::note(context, &flows::new_flow_id(context), about, step);
        }
        None => {}
    }
    Ok(())
}

/// Notes what a client got, or why not.
fn note_tokens(
    context: &Context,
    client: &Client,
    grant_id: Option<String>,
    shown: &str,
    outcome: &Result<TokenResponse, TokenRefusal>,
) {
    let step = match outcome {
        Ok(_) => Step::new("token", Verdict::Ok, format!("{shown} was exchanged for tokens.")),
        Err(TokenRefusal::InvalidGrant(why)) => {
            Step::new("token", Verdict::Refused, format!("{shown} was refused with invalid_grant: {why}."))
        }
        Err(why @ (TokenRefusal::InvalidScope(_) | TokenRefusal::UnauthorizedClient(_))) => {
            Step::new("token", Verdict::Refused, format!("{shown} was refused: {why}."))
        }
        Err(TokenRefusal::Failure(_)) => return,
    };
    let step = step.with("client_id", client.client_id.as_str());
    match grant_id {
        Some(id) => flows::note(context, &id, About::default(), step),
        None => {
            let about = About::status(FlowStatus::Failed).client(&client.client_id);
            flows::note(context, &flows::new_flow_id(context), about, step);
        }
    }
}

async fn redeem(
    context: &Context,
    client: &Client,
    found: Option<GrantStanding>,
    code: &str,
    shown: &CodeRedemption<'_>,
) -> Result<TokenResponse, TokenRefusal> {
    let now_ms = context.now_ms();
    let found = found.ok_or_else(|| refused_code(CodeRefusal::Unknown))?;
    let GrantStanding { mut grant, user, organizations, .. } = found;
    match grant.check_code(shown, now_ms) {
        Ok(()) => {}
        Err(CodeRefusal::AlreadyUsed) => return Err(revoke_reused(context, &grant).await),
        Err(refusal) => return Err(refused_code(refusal)),
    }
    let holder = Holder::choose(&grant, user, organizations);
    grant.refresh_generation = grant.authorization.has_scope("offline_access").then_some(0);
    grant.refresh_expires_at_ms = now_ms + lifetime_s(context, client, &grant.authorization) * 1000;
    if !context.store().consume_code(context.environment_id(), &grant, now_ms).await? {
        return Err(revoke_reused(context, &grant).await);
    }
    let extras = Extras::of_faults(context).await;
    issue(context, client, &grant, &holder, &grant.authorization.scope, Some(code), &extras).await
}

async fn revoke_reused(context: &Context, grant: &Grant) -> TokenRefusal {
    tracing::warn!(
        grant_id = grant.id,
        client_id = grant.authorization.client_id,
        "authorization code used twice"
    );
    match context.store().revoke_grant(context.environment_id(), &grant.id, context.now_ms()).await {
        Ok(()) => refused_code(CodeRefusal::AlreadyUsed),
        Err(error) => error.into(),
    }
}

/// Rotates a refresh token (RFC 6749 §6, RFC 9700 §4.14.2).
pub async fn refresh(
    context: &Context,
    client: &Client,
    refresh_token: &str,
    scope: Option<&str>,
) -> Result<TokenResponse, TokenRefusal> {
    let outcome = rotate(context, client, refresh_token, scope).await;
    let grant_id = context.secret().open_refresh_token(refresh_token).map(|(id, _)| id);
    note_tokens(context, client, grant_id, "A refresh token", &outcome);
    outcome
}

async fn rotate(
    context: &Context,
    client: &Client,
    refresh_token: &str,
    scope: Option<&str>,
) -> Result<TokenResponse, TokenRefusal> {
    let unknown = || invalid_grant("the refresh token is not valid");
    let (grant_id, generation) = context.secret().open_refresh_token(refresh_token).ok_or_else(unknown)?;
    // Twice: a rotation that somebody else won is judged again, as a repetition.
    for _ in 0..2 {
        let now_ms = context.now_ms();
        let found = context.store().grant_standing(context.environment_id(), &grant_id).await?;
        let found = found.filter(|f| f.grant.authorization.client_id == client.client_id);
        let GrantStanding { mut grant, session, user, organizations } = found.ok_or_else(unknown)?;
        let scope = narrow_scope(&grant, scope)?;
        match grant.refresh_standing(generation, context.environment.tokens.refresh_grace_s, now_ms) {
            RefreshStanding::Expired => return Err(invalid_grant("the refresh token has expired")),
            RefreshStanding::Revoked => return Err(invalid_grant("the refresh token was revoked")),
            RefreshStanding::Reused => {
                tracing::warn!(
                    grant_id,
                    client_id = client.client_id,
                    "refresh token used twice: family revoked"
                );
                context.store().revoke_grant(context.environment_id(), &grant_id, now_ms).await?;
                return Err(invalid_grant("the refresh token was already used; its family is revoked"));
            }
            standing @ (RefreshStanding::Current | RefreshStanding::Repeated) => {
                check_session(context, &session).await?;
                let holder = Holder::choose(&grant, user, organizations);
                if standing == RefreshStanding::Current {
                    let rotated = context
                        .store()
                        .rotate_refresh(context.environment_id(), &grant_id, generation, now_ms)
                        .await?;
                    if !rotated {
                        continue;
                    }
                    grant.refresh_generation = Some(generation + 1);
                }
                let extras = Extras::of_faults(context).await;
                return issue(context, client, &grant, &holder, &scope, None, &extras).await;
            }
        }
    }
    Err(TokenRefusal::Failure(Failure::Contention))
}

fn scope_list(scope: &str) -> Result<Vec<String>, TokenRefusal> {
    let words = scope_words(scope).map_err(|error| TokenRefusal::InvalidScope(error.to_string()))?;
    Ok(words.into_iter().map(str::to_owned).collect())
}

/// The scope asked for, when the grant covers it; else the grant's own (RFC 6749 §6).
fn narrow_scope(grant: &Grant, asked: Option<&str>) -> Result<Vec<String>, TokenRefusal> {
    let Some(asked) = asked else { return Ok(grant.authorization.scope.clone()) };
    let words = scope_list(asked)?;
    if words.iter().all(|w| grant.authorization.has_scope(w)) {
        Ok(words)
    } else {
        Err(TokenRefusal::InvalidScope("scope goes beyond what was granted".to_owned()))
    }
}

/// A refresh token lives as long as the session it came from.
async fn check_session(context: &Context, session: &Session) -> Result<(), TokenRefusal> {
    if !session.is_live(context.now_ms(), &context.environment.sessions) {
        return Err(invalid_grant("the session has ended"));
    }
    Ok(touch(context, session).await?)
}

/// A client's own token (RFC 6749 §4.4). Nothing is stored.
pub async fn client_credentials(
    context: &Context,
    client: &Client,
    scope: Option<&str>,
) -> Result<TokenResponse, TokenRefusal> {
    if client.is_public() {
        return Err(TokenRefusal::UnauthorizedClient("public clients cannot use client_credentials"));
    }
    let scope = scope_list(scope.unwrap_or("openid"))?;
    let tokens = &context.environment.tokens;
    let extras = Extras::of_faults(context).await;
    let jti = context.new_id(IdKind::Token);
    let times = (context.token_date_ms(), context.now_ms());
    let claims = token::client_token(tokens, context.issuer(), &client.client_id, &scope, jti, times);
    Ok(TokenResponse {
        access_token: extras.sign(context, SigningAlgorithm::default(), &claims).await?,
        token_type: "Bearer",
        expires_in: tokens.client_token_lifetime_s,
        id_token: None,
        refresh_token: None,
        scope: scope.join(" "),
    })
}

/// The person behind a grant.
struct Holder {
    user: User,
    organization: Option<Organization>,
}

impl Holder {
    /// The person, in the organization that the application asked for, or else the first one's.
    fn choose(grant: &Grant, user: User, mut organizations: Vec<Organization>) -> Self {
        let chosen = grant.authorization.organization_id.as_deref();
        let position = organizations
            .iter()
            .position(|o| chosen.is_none_or(|c| o.id == c || o.external_id.as_deref() == Some(c)));
        Self { user, organization: position.map(|i| organizations.swap_remove(i)) }
    }
}

/// How long the tokens of an authorization may live, in seconds.
pub(super) fn lifetime_s(context: &Context, client: &Client, authorization: &AuthorizationRequest) -> i64 {
    if authorization.has_scope("offline_access") {
        context.environment.tokens.refresh_token_lifetime_s
    } else {
        access_token_lifetime_s(context, client)
    }
}

fn access_token_lifetime_s(context: &Context, client: &Client) -> i64 {
    client.access_token_lifetime_s.unwrap_or(context.environment.tokens.access_token_lifetime_s)
}

/// What testers want different about tokens.
#[derive(Debug, Clone, Default)]
pub struct Extras {
    /// Laid over the claims of access and ID token.
    pub claims: serde_json::Map<String, Value>,
    pub access_token_lifetime_s: Option<i64>,
    pub id_token_lifetime_s: Option<i64>,
    pub fault: Option<TokenFault>,
}

impl Extras {
    /// What rules for faults say about the tokens that are about to be given.
    async fn of_faults(context: &Context) -> Self {
        Self { fault: faults::on_tokens(&context.app, TOKEN_PATH).await, ..Self::default() }
    }

    /// Signs the claims as wanted.
    async fn sign(
        &self,
        context: &Context,
        algorithm: SigningAlgorithm,
        claims: &impl Serialize,
    ) -> Result<String, TokenRefusal> {
        let key = context.app.signing_key(algorithm).await?;
        if self.claims.is_empty() && self.fault.is_none() {
            return Ok(key.sign(claims)?);
        }
        let mut claims = serde_json::to_value(claims).map_err(|_| SigningError::Failed)?;
        for (name, value) in &self.claims {
            claims[name] = value.clone();
        }
        match self.fault {
            None => Ok(key.sign(&claims)?),
            Some(TokenFault::WrongIssuer) => {
                claims["iss"] = "https://wrong-issuer.invalid".into();
                Ok(key.sign(&claims)?)
            }
            Some(TokenFault::Expired) => {
                let past_s = token::seconds(context.token_date_ms()) - EXPIRED_AGO_S;
                claims["iat"] = (past_s - EXPIRED_AGO_S).into();
                claims["exp"] = past_s.into();
                if claims.get("nbf").is_some() {
                    claims["nbf"] = (past_s - EXPIRED_AGO_S).into();
                }
                Ok(key.sign(&claims)?)
            }
            Some(TokenFault::UnknownKid) => Ok(key.sign_as("snk_0000000000000000000", &claims)?),
            Some(TokenFault::BadSignature) => Ok(with_broken_signature(&key.sign(&claims)?)),
        }
    }
}

/// The same token with the first character of its signature changed.
fn with_broken_signature(token: &str) -> String {
    match token.rsplit_once('.') {
        Some((signed, signature)) => {
            let first = if signature.starts_with('A') { 'B' } else { 'A' };
            format!("{signed}.{first}{}", signature.get(1..).unwrap_or_default())
        }
        None => token.to_owned(),
    }
}

/// Tokens for a new session of a test, with a grant behind them like any other.
pub async fn issue_for_test(
    context: &Context,
    client: &Client,
    session: Session,
    authorization: AuthorizationRequest,
    extras: &Extras,
) -> Result<TokenResponse, TokenRefusal> {
    let now_ms = context.now_ms();
    let offline = authorization.has_scope("offline_access");
    let kept_until_ms = now_ms + context.environment.tokens.refresh_token_lifetime_s * 1000;
    let mut grant = Grant {
        id: context.new_id(IdKind::Grant),
        issuer: context.issuer().to_owned(),
        user_id: session.user_id.clone(),
        session_id: session.id.clone(),
        authenticated_at_ms: now_ms,
        code_expires_at_ms: now_ms,
        code_used_at_ms: None,
        refresh_generation: None,
        refresh_rotated_at_ms: now_ms,
        refresh_expires_at_ms: now_ms,
        revoked_at_ms: None,
        kept_until_ms,
        authorization,
    };
    let code = secret_for(&grant.id, context.entropy());
    let cookie = secret_for(&session.id, context.entropy());
    let (store, environment_id) = (context.store(), context.environment_id());
    let user = store.user(environment_id, &grant.user_id).await?;
    let user = user.ok_or_else(|| invalid_grant("the user no longer exists"))?;
    let organizations = store.organizations_of(environment_id, &grant.user_id).await?;
    let holder = Holder::choose(&grant, user, organizations);
    let cookie_digest = context.secret().digest(Purpose::SessionCookie, &cookie);
    store.insert_session(environment_id, &session, &cookie_digest).await?;
    let code_digest = context.secret().digest(Purpose::AuthorizationCode, &code);
    store.insert_grant(environment_id, &grant, &code_digest, None, now_ms).await?;
    grant.refresh_generation = offline.then_some(0);
    grant.refresh_expires_at_ms = kept_until_ms;
    store.consume_code(environment_id, &grant, now_ms).await?;
    let scope = grant.authorization.scope.clone();
    issue(context, client, &grant, &holder, &scope, None, extras).await
}

/// Signs the tokens of a grant. `code` is there when they answer a code, for `c_hash`.
async fn issue(
    context: &Context,
    client: &Client,
    grant: &Grant,
    holder: &Holder,
    scope: &[String],
    code: Option<&str>,
    extras: &Extras,
) -> Result<TokenResponse, TokenRefusal> {
    let subject = Subject {
        user: &holder.user,
        organization: holder.organization.as_ref(),
        session_id: &grant.session_id,
        authenticated_at_ms: grant.authenticated_at_ms,
    };
    let configured_s = access_token_lifetime_s(context, client);
    let lifetime_s = extras.access_token_lifetime_s.unwrap_or(configured_s);
    let jti = token_id_of_grant(&grant.id, context.entropy());
    let claims = token::access_token(
        &token::AccessTokenRequest {
            environment: &context.environment,
            issuer: issuer_of(context, grant),
            client_id: &client.client_id,
            scope,
            lifetime_s,
            jti: &jti,
            dated_at_ms: context.token_date_ms(),
            now_ms: context.now_ms(),
        },
        &subject,
    );
    let access_token = extras.sign(context, SigningAlgorithm::default(), &claims).await?;
    let id_token = if scope.iter().any(|s| s == "openid") {
        let mut claims = id_token_claims(context, grant, &subject, scope, &access_token, code);
        if let Some(lifetime_s) = extras.id_token_lifetime_s {
            claims.exp = token::seconds(context.now_ms()) + lifetime_s;
        }
        Some(extras.sign(context, client.id_token_signed_response_alg, &claims).await?)
    } else {
        None
    };
    Ok(TokenResponse {
        access_token,
        token_type: "Bearer",
        expires_in: expires_in_s(lifetime_s),
        id_token,
        refresh_token: grant.refresh_generation.map(|g| context.secret().refresh_token(&grant.id, g)),
        scope: scope.join(" "),
    })
}

fn id_token_claims(
    context: &Context,
    grant: &Grant,
    subject: &Subject<'_>,
    scope: &[String],
    access_token: &str,
    code: Option<&str>,
) -> IdTokenClaims {
    let environment = &context.environment;
    let client_id = &grant.authorization.client_id;
    let now_s = token::seconds(context.now_ms());
    let dated_s = token::seconds(context.token_date_ms());
    let asked = &grant.authorization.claims.id_token;
    let allows = |claim: &str| {
        // Scalekit's ID tokens carry the address whatever the scope.
        claim.starts_with("email") || scope_allows_claim(scope, claim) || asked.iter().any(|c| c == claim)
    };
    IdTokenClaims {
        iss: issuer_of(context, grant).to_owned(),
        sub: subject_identifier(environment, subject.user),
        aud: vec![client_id.clone()],
        azp: client_id.clone(),
        client_id: client_id.clone(),
        iat: dated_s,
        exp: now_s + environment.tokens.id_token_lifetime_s,
        auth_time: token::seconds(subject.authenticated_at_ms).min(dated_s),
        amr: vec![environment.passwordless.connection_id.clone()],
        sid: subject.session_id.to_owned(),
        oid: subject.organization.filter(|_| environment.tokens.user_management).map(|o| o.id.clone()),
        nonce: grant.authorization.nonce.clone(),
        at_hash: Some(half_hash(access_token)),
        c_hash: code.map(half_hash),
        person: PersonClaims::of(subject.user, allows),
        xoid: subject.organization.and_then(|o| o.external_id.clone()),
    }
}
