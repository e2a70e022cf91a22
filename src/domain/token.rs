//! Claims of the tokens, in Scalekit's shape, for its two profiles.
//!
//! *Modular*: `sub` is `connection id;email`. *Full-stack* (`user_management`): `sub` is `usr_…`, with `oid` and
//! `sid` in the access token as well.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::clock::UnixMs;
use super::email;
use super::environment::Environment;
use super::organization::OrganizationSummary;
use super::organization_client::OrganizationClient;
use super::user::UserSummary;

/// Everything the claims of a user's tokens are made of.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub user: &'a UserSummary,
    pub organization: Option<&'a OrganizationSummary>,
    pub session_id: &'a str,
    pub authenticated_at_ms: UnixMs,
    pub access: &'a Access,
    /// What an interceptor added to the session.
    pub custom_claims: &'a Map<String, Value>,
    /// What the token template adds to the access token.
    pub template_claims: &'a Map<String, Value>,
}

/// What a user may do in the organization of the tokens, by name. Empty in the modular profile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    pub roles: Vec<String>,
    pub permissions: Vec<String>,
}

/// Claims of an ID token (OpenID Connect Core 1.0 §2). Optional ones are left out when unknown.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
pub struct IdTokenClaims {
    pub iss: String,
    pub sub: String,
    pub aud: Vec<String>,
    pub azp: String,
    pub client_id: String,
    pub iat: i64,
    pub exp: i64,
    pub auth_time: i64,
    /// The connection used, as Scalekit does; not RFC 8176 method names.
    pub amr: Vec<String>,
    pub sid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub c_hash: Option<String>,
    #[serde(flatten)]
    pub person: PersonClaims,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xoid: Option<String>,
}

/// Claims about the user (OpenID Connect Core 1.0 §5.1).
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq)]
pub struct PersonClaims {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email_verified: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
}

impl PersonClaims {
    /// The claims that scopes or single requests allow. Scalekit's ID tokens carry the address whatever the
    /// scope, so callers say for themselves whether `email` is in.
    pub fn of(user: &UserSummary, allows: impl Fn(&str) -> bool) -> Self {
        let text = |name: &str, value: &Option<String>| value.clone().filter(|_| allows(name));
        Self {
            email: allows("email").then(|| user.email.clone()),
            email_verified: allows("email_verified").then_some(true),
            name: text("name", &user.name),
            given_name: text("given_name", &user.given_name),
            family_name: text("family_name", &user.family_name),
            picture: text("picture", &user.picture),
            locale: text("locale", &user.locale),
        }
    }
}

/// Which claim names a set of scopes allows (OpenID Connect Core 1.0 §5.4).
pub fn scope_allows_claim(scope: &[String], claim: &str) -> bool {
    let has = |s: &str| scope.iter().any(|x| x == s);
    match claim {
        "email" | "email_verified" => has("email"),
        "name" | "given_name" | "family_name" | "picture" | "locale" => has("profile"),
        _ => false,
    }
}

/// Claims of an access token, a JWT that applications may verify by `/keys`.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
pub struct AccessTokenClaims {
    pub iss: String,
    pub sub: String,
    pub aud: Vec<String>,
    pub client_id: String,
    pub iat: i64,
    pub nbf: i64,
    pub exp: i64,
    /// `tkn_…`
    pub jti: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub oid: Option<String>,
    /// Space-separated text (RFC 9068 §2.2.3): the Go SDK reads this one,
    #[serde(default)]
    pub scope: String,
    /// and the Node and Python SDKs this one.
    #[serde(default)]
    pub scopes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub xoid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub xuid: Option<String>,
    /// Names of roles and permissions in the organization of `oid`, in the full-stack profile.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub roles: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub permissions: Vec<String>,
    /// What a machine client of an organization was given to say, or an interceptor added.
    #[serde(skip_serializing_if = "Map::is_empty", default)]
    pub custom_claims: Map<String, Value>,
    /// Claims of the token template. No name of the others is among them.
    #[serde(flatten)]
    pub template_claims: Map<String, Value>,
}

/// `sub` of a user's tokens in the environment's profile.
pub fn subject_identifier(environment: &Environment, user: &UserSummary) -> String {
    modular_subject(environment, &user.email).unwrap_or_else(|| user.id.clone())
}

/// `sub` in the modular profile, where it is made of the address; `None` in the full-stack profile, where it is the
/// user's id.
pub fn modular_subject(environment: &Environment, address: &str) -> Option<String> {
    let is_modular = !environment.tokens.user_management;
    is_modular.then(|| format!("{};{}", environment.passwordless.connection_id, email::key_of(address)))
}

/// The address that a `sub` of the modular profile is made of.
pub fn modular_address<'a>(environment: &Environment, subject: &'a str) -> Option<&'a str> {
    let (connection_id, address) = subject.split_once(';')?;
    let is_modular = !environment.tokens.user_management;
    (is_modular && connection_id == environment.passwordless.connection_id).then_some(address)
}

/// Whole seconds of a time, rounded down: a token must never be dated ahead of the clock that checks it.
pub fn seconds(ms: UnixMs) -> i64 {
    ms.div_euclid(1000)
}

/// What `expires_in` says: the whole seconds surely left when the answer arrives, Scalekit's 899 of 900.
pub fn expires_in_s(lifetime_s: i64) -> i64 {
    (lifetime_s - 1).max(0)
}

/// What an access token says besides whose it is.
#[derive(Debug, Clone, Copy)]
pub struct AccessTokenRequest<'a> {
    pub environment: &'a Environment,
    pub issuer: &'a str,
    pub client_id: &'a str,
    pub scope: &'a [String],
    pub lifetime_s: i64,
    pub jti: &'a str,
    /// When it says to be made: never ahead of the clocks that check it.
    pub dated_at_ms: UnixMs,
    /// From when its lifetime counts.
    pub now_ms: UnixMs,
}

/// The access token a user's grant is worth now.
pub fn access_token(request: &AccessTokenRequest<'_>, subject: &Subject<'_>) -> AccessTokenClaims {
    let full_stack = request.environment.tokens.user_management;
    let dated_s = seconds(request.dated_at_ms);
    AccessTokenClaims {
        iss: request.issuer.to_owned(),
        sub: subject_identifier(request.environment, subject.user),
        aud: vec![request.client_id.to_owned()],
        client_id: request.client_id.to_owned(),
        iat: dated_s,
        nbf: dated_s,
        exp: seconds(request.now_ms) + request.lifetime_s,
        jti: request.jti.to_owned(),
        sid: full_stack.then(|| subject.session_id.to_owned()),
        oid: subject.organization.filter(|_| full_stack).map(|o| o.id.clone()),
        scope: request.scope.join(" "),
        scopes: request.scope.to_vec(),
        xoid: subject.organization.and_then(|o| o.external_id.clone()),
        xuid: subject.user.external_id.clone(),
        roles: subject.access.roles.clone(),
        permissions: subject.access.permissions.clone(),
        custom_claims: subject.custom_claims.clone(),
        template_claims: subject.template_claims.clone(),
    }
}

/// A client's own token (`client_credentials`, RFC 6749 §4.4), with the time it is dated at and the one its lifetime
/// counts from.
pub fn client_token(
    lifetime_s: i64,
    issuer: &str,
    client_id: &str,
    scope: &[String],
    jti: String,
    (dated_at_ms, now_ms): (UnixMs, UnixMs),
) -> AccessTokenClaims {
    AccessTokenClaims {
        iss: issuer.to_owned(),
        sub: client_id.to_owned(),
        aud: vec![client_id.to_owned()],
        client_id: client_id.to_owned(),
        iat: seconds(dated_at_ms),
        nbf: seconds(dated_at_ms),
        exp: seconds(now_ms) + lifetime_s,
        jti,
        sid: None,
        oid: None,
        scope: scope.join(" "),
        scopes: scope.to_vec(),
        xoid: None,
        xuid: None,
        roles: vec![],
        permissions: vec![],
        custom_claims: Map::new(),
        template_claims: Map::new(),
    }
}

/// The same of a machine client of an organization, for whom its owner says it is.
pub fn organization_client_token(
    client: &OrganizationClient,
    issuer: &str,
    scope: &[String],
    jti: String,
    times: (UnixMs, UnixMs),
) -> AccessTokenClaims {
    AccessTokenClaims {
        aud: client.token_audience(),
        oid: Some(client.organization_id.clone()),
        custom_claims: client.token_claims().into_iter().map(|(name, text)| (name, text.into())).collect(),
        ..client_token(client.token_lifetime_s(), issuer, &client.id, scope, jti, times)
    }
}

/// The left half of the SHA-256 of a token or code, base64url: `at_hash` and `c_hash` of RS256 tokens
/// (OpenID Connect Core 1.0 §3.1.3.6, §3.3.2.11).
pub fn half_hash(text: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use sha2::Digest as _;
    URL_SAFE_NO_PAD.encode(&sha2::Sha256::digest(text.as_bytes())[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_hash_is_the_example_of_the_specification() {
        // OpenID Connect Core 1.0 appendix A.3 and A.4.
        assert_eq!(half_hash("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"), "77QmUPtjPfzWtF2AnpK9RQ");
        assert_eq!(
            half_hash("Qcb0Orv1zh30vL1MPRsbm-diHiMwcLyZvn1arpZv-Jxf_11jnpEX3Tgfvk"),
            "LDktKdoQak3Pk0cnXxCltA"
        );
    }

    #[test]
    fn seconds_round_down_so_that_no_token_is_dated_ahead() {
        assert_eq!(seconds(1_999), 1);
        assert_eq!(expires_in_s(900), 899);
    }

    #[test]
    fn scopes_decide_which_claims_are_told() {
        let scope = vec!["openid".to_owned(), "email".to_owned()];
        assert!(scope_allows_claim(&scope, "email_verified"));
        assert!(!scope_allows_claim(&scope, "name"));
        assert!(!scope_allows_claim(&scope, "sub2"));
    }
}
