//! Tokens for tests: mint one, or look into one and learn why it is refused.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::changes::ControlError;
use super::organization_entry;
use crate::crypto::signing::TokenRejection;
use crate::domain::authorization::{AuthorizationRequest, Prompt, RequestedClaims};
use crate::domain::email::EmailAddress;
use crate::domain::grant::RefreshStanding;
use crate::domain::ids::{IdKind, grant_of_token_id};
use crate::domain::organization::Organization;
use crate::domain::session::Session;
use crate::domain::signing_algorithm::SigningAlgorithm;
use crate::domain::token::seconds;
use crate::domain::user::UserSummary;
use crate::runtime::Context;
use crate::service::token::{TokenOverrides, TokenRefusal, TokenResponse, issue_for_test};

/// What tokens to mint.
#[derive(Debug, Clone, Default)]
pub struct MintTokens {
    /// Id or address of a user.
    pub user: String,
    /// The first client when left out.
    pub client_id: Option<String>,
    pub scope: Vec<String>,
    pub nonce: Option<String>,
    pub organization_id: Option<String>,
    /// Added to the claims of access and ID token; replaces those of the same name.
    pub claims: Map<String, Value>,
    pub access_token_lifetime_s: Option<i64>,
    pub id_token_lifetime_s: Option<i64>,
}

/// Gives tokens to a user as if that user had just signed in. They are as good as any: they introspect, refresh and
/// can be revoked.
pub async fn mint(context: &Context, wanted: MintTokens) -> Result<TokenResponse, ControlError> {
    let environment = &context.environment;
    let client = match &wanted.client_id {
        Some(id) => environment.client(id),
        None => environment.applications().next(),
    };
    let client =
        client.ok_or_else(|| ControlError::field("client_id", "is not a client of this environment"))?;
    let user = find_user(context, &wanted.user).await?;
    if let Some(id) = &wanted.organization_id
        && context.store().organization_summary(context.environment_id(), id).await?.is_none()
    {
        return Err(ControlError::field("organization_id", "is not an organization of this environment"));
    }
    for (field, value) in [
        ("access_token_lifetime_s", wanted.access_token_lifetime_s),
        ("id_token_lifetime_s", wanted.id_token_lifetime_s),
    ] {
        if value.is_some_and(|s| !(-31_536_000..=31_536_000).contains(&s)) {
            return Err(ControlError::field(field, "must be at most a year, either way"));
        }
    }
    let now_ms = context.now_ms();
    let mut session = Session {
        id: context.new_id(IdKind::Session),
        user_id: user.id.clone(),
        organization_id: None,
        authenticated_at_ms: now_ms,
        last_active_at_ms: now_ms,
        absolute_expires_at_ms: now_ms + environment.sessions.absolute_timeout_s * 1000,
        idle_timeout_s: None,
        ended_at_ms: None,
    };
    let organization = organization_of(context, &user.id, wanted.organization_id.as_deref()).await?;
    let policy = organization.as_ref().and_then(|organization| organization.session_policy);
    session.enter(organization.map(|organization| organization.id), policy, now_ms);
    let authorization = AuthorizationRequest {
        client_id: client.client_id.clone(),
        redirect_uri: String::new(),
        scope: wanted.scope,
        state: None,
        nonce: wanted.nonce,
        login_hint: None,
        prompt: Prompt::Auto,
        max_age_s: None,
        id_token_hint: None,
        code_challenge: None,
        organization_id: wanted.organization_id,
        claims: RequestedClaims::default(),
        language: None,
    };
    let overrides = TokenOverrides {
        claims: wanted.claims,
        access_token_lifetime_s: wanted.access_token_lifetime_s,
        id_token_lifetime_s: wanted.id_token_lifetime_s,
        fault: None,
    };
    issue_for_test(context, client, session, authorization, &overrides).await.map_err(|refusal| match refusal
    {
        TokenRefusal::Failure(failure) => ControlError::Failure(failure),
        other => ControlError::NotAllowed(other.to_string()),
    })
}

/// The organization that is asked for by id or external id, if the user belongs to it, or else the oldest one.
async fn organization_of(
    context: &Context,
    user_id: &str,
    asked: Option<&str>,
) -> Result<Option<Organization>, ControlError> {
    let organizations = context.store().organizations_of(context.environment_id(), user_id).await?;
    let found = organizations
        .into_iter()
        .find(|o| asked.is_none_or(|asked| o.id == asked || o.external_id.as_deref() == Some(asked)));
    let id = found.map(|organization| organization.id);
    Ok(organization_entry::find(context, id.as_deref()).await?)
}

/// Finds a user by id or address, for the field `user`.
pub(super) async fn find_user(context: &Context, text: &str) -> Result<UserSummary, ControlError> {
    let found = match EmailAddress::parse(text) {
        Ok(email) => context.store().user_by_email(context.environment_id(), &email).await?,
        Err(_) => context.store().user_summary(context.environment_id(), text).await?,
    };
    found
        .ok_or_else(|| ControlError::field("user", "is neither id nor address of a user of this environment"))
}

/// What a token says, and whether it holds.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct DecodedToken {
    /// `jwt`, `refresh_token` or `unknown`.
    pub kind: &'static str,
    #[schema(value_type = Option<Object>)]
    pub header: Option<Value>,
    #[schema(value_type = Option<Object>)]
    pub claims: Option<Value>,
    /// Would this environment accept it now?
    pub valid: bool,
    pub checks: Vec<TokenCheck>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TokenCheck {
    pub name: &'static str,
    pub ok: bool,
    pub text: String,
}

/// Looks into any token. `audience`: the client that it should be for.
pub async fn decode(
    context: &Context,
    token: &str,
    audience: Option<&str>,
) -> Result<DecodedToken, ControlError> {
    let token = token.trim();
    let mut decoded = if token.starts_with("rt_") {
        decode_refresh(context, token).await?
    } else {
        decode_jwt(context, token, audience).await?
    };
    decoded.valid = !decoded.checks.is_empty() && decoded.checks.iter().all(|c| c.ok);
    Ok(decoded)
}

fn check(name: &'static str, ok: bool, text: impl Into<String>) -> TokenCheck {
    TokenCheck { name, ok, text: text.into() }
}

async fn decode_refresh(context: &Context, token: &str) -> Result<DecodedToken, ControlError> {
    let mut decoded = DecodedToken { kind: "refresh_token", ..DecodedToken::default() };
    let Some((grant_id, generation)) = context.secret().open_refresh_token(token) else {
        decoded.checks.push(check("seal", false, "It was not made by this environment, or was changed."));
        return Ok(decoded);
    };
    decoded.checks.push(check("seal", true, "It was made by this environment."));
    let Some(grant) = context.store().grant(context.environment_id(), &grant_id).await? else {
        decoded.checks.push(check("grant", false, "What it was given for is gone."));
        return Ok(decoded);
    };
    decoded.claims = Some(serde_json::json!({
        "grant_id": grant_id, "generation": generation, "client_id": grant.authorization.client_id,
        "user_id": grant.user_id, "session_id": grant.session_id, "scope": grant.authorization.scope.join(" "),
        "exp": seconds(grant.refresh_expires_at_ms),
    }));
    let grace_s = context.environment.tokens.refresh_grace_s;
    let (ok, text) = match grant.refresh_standing(generation, grace_s, context.now_ms()) {
        RefreshStanding::Current => (true, "It is the newest of its family."),
        RefreshStanding::Repeated => (true, "It was used just now; repeated, it gets the same successor."),
        RefreshStanding::Reused => (false, "It was used already; using it again revokes its family."),
        RefreshStanding::Expired => (false, "It has expired."),
        RefreshStanding::Revoked => (false, "It was revoked."),
    };
    decoded.checks.push(check("family", ok, text));
    decoded.checks.push(session_check(context, &grant.session_id).await?);
    Ok(decoded)
}

async fn session_check(context: &Context, id: &str) -> Result<TokenCheck, ControlError> {
    let session = context.store().session(context.environment_id(), id).await?;
    let live = session.is_some_and(|s| s.is_live(context.now_ms(), &context.environment.sessions));
    let text = if live { "Its session lives." } else { "Its session has ended." };
    Ok(check("session", live, text))
}

async fn decode_jwt(
    context: &Context,
    token: &str,
    audience: Option<&str>,
) -> Result<DecodedToken, ControlError> {
    let part = |index: usize| -> Option<Value> {
        let text = token.split('.').nth(index)?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
    };
    let (header, claims) = (part(0), part(1));
    let mut decoded = DecodedToken { kind: "jwt", ..DecodedToken::default() };
    let (Some(header), Some(claims), 3) = (header, claims, token.split('.').count()) else {
        decoded.kind = "unknown";
        decoded.checks.push(check("form", false, "It is neither a JWT nor a refresh token of ours."));
        return Ok(decoded);
    };
    let checks = &mut decoded.checks;
    let algorithm = header.get("alg").and_then(Value::as_str).unwrap_or("none").to_owned();
    checks.push(check(
        "algorithm",
        SigningAlgorithm::ALL.iter().any(|a| a.as_str() == algorithm),
        format!("It says {algorithm}; RS256, or ES256 for clients that ask for it, is what is signed with."),
    ));
    let typ = header.get("typ").and_then(Value::as_str).unwrap_or_default();
    let (ok, text) = match context.runtime.keys.current().verify_typed::<Value>(typ, token) {
        Ok(_) => (true, "A key of this environment made it."),
        Err(TokenRejection::Malformed | TokenRejection::OtherType) => (false, "It cannot be read."),
        Err(TokenRejection::UnknownKey) => (false, "Its kid is not one of /keys."),
        Err(TokenRejection::BadSignature) => (false, "The key of its kid did not make it."),
    };
    checks.push(check("signature", ok, text));
    let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or_default();
    let is_ours = context.environment.is_issuer(issuer);
    checks.push(check("issuer", is_ours, format!("It says {issuer:?}.")));
    let (now_s, real_s) = (seconds(context.now_ms()), seconds(context.runtime.clock.machine_ms()));
    let number = |name: &str| claims.get(name).and_then(Value::as_i64);
    match number("exp") {
        Some(exp) if exp > now_s => {
            checks.push(check("expiry", true, format!("{} s are left.", exp - now_s)));
        }
        Some(exp) => checks.push(check("expiry", false, format!("It expired {} s ago.", now_s - exp))),
        None => checks.push(check("expiry", false, "It has no exp.")),
    }
    if let Some(ahead_s) = number("iat").map(|iat| iat - real_s).filter(|s| *s > 0) {
        checks.push(check(
            "date",
            false,
            format!("It is dated {ahead_s} s ahead of real time; most clients refuse it."),
        ));
    }
    if let Some(wanted) = audience {
        let aud = claims.get("aud").cloned().unwrap_or_default();
        let fits = aud == wanted || aud.as_array().is_some_and(|list| list.iter().any(|a| a == wanted));
        checks.push(check("audience", fits, format!("It is for {aud}.")));
    }
    if let Some(jti) = claims.get("jti").and_then(Value::as_str) {
        let revoked = context.store().is_token_revoked(context.environment_id(), jti).await?;
        checks.push(check(
            "revocation",
            !revoked,
            if revoked { "It was revoked." } else { "It was not revoked." },
        ));
        if let Some(grant_id) = grant_of_token_id(jti) {
            let grant = context.store().grant(context.environment_id(), &grant_id).await?;
            let stands = grant.is_some_and(|g| g.revoked_at_ms.is_none());
            let text = if stands {
                "What it was given for stands."
            } else {
                "What it was given for is gone or revoked."
            };
            decoded.checks.push(check("grant", stands, text));
        }
    }
    decoded.header = Some(header);
    decoded.claims = Some(claims);
    Ok(decoded)
}
