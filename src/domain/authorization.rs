//! The authorization request (OpenID Connect Core 1.0 §3.1.2.1, RFC 6749 §4.1.1), parsed into checked values.

use serde::{Deserialize, Serialize};

use super::client::Client;
use super::client::check_redirect_uri;
use super::environment::Environment;
use super::language::Language;
use super::pkce::CodeChallenge;

/// Scopes with a meaning here; others are accepted and dropped (OpenID Connect Core 1.0 §3.1.2.1).
pub const SUPPORTED_SCOPES: [&str; 4] = ["openid", "profile", "email", "offline_access"];

/// What a request without `scope` means: the SDKs' default, since one of them may leave the parameter out.
const DEFAULT_SCOPE: &str = "openid profile email";

/// Longest `state` or `nonce` kept, in bytes.
const MAX_OPAQUE_BYTES: usize = 4096;

/// A request that may be acted upon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationRequest {
    pub client_id: String,
    pub redirect_uri: String,
    /// Granted scopes, in the order asked.
    #[serde(default)]
    pub scope: Vec<String>,
    pub state: Option<String>,
    pub nonce: Option<String>,
    pub login_hint: Option<String>,
    #[serde(default)]
    pub prompt: Prompt,
    pub max_age_s: Option<i64>,
    pub id_token_hint: Option<String>,
    pub code_challenge: Option<CodeChallenge>,
    pub organization_id: Option<String>,
    #[serde(default)]
    pub claims: RequestedClaims,
    /// Of pages and emails: what `ui_locales` asked for and, once pages are shown, else what the browser did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
}

/// `prompt`, reduced to what it makes the pages do. `consent` is accepted and means nothing here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prompt {
    /// Sign in silently when a session allows it.
    #[default]
    Auto,
    /// Never show a page.
    None,
    /// Demand a new proof.
    Login,
    /// Show the sign-up page.
    Create,
    SelectAccount,
}

impl Prompt {
    /// The value of the parameter; `None` where it was left out.
    pub fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Auto => None,
            Self::None => Some("none"),
            Self::Login => Some("login"),
            Self::Create => Some("create"),
            Self::SelectAccount => Some("select_account"),
        }
    }
}

/// Names of single claims asked for with `claims` (OpenID Connect Core 1.0 §5.5).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RequestedClaims {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub userinfo: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub id_token: Vec<String>,
    /// The only subjects that the answer may be about (§5.5.1); `None`: anybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subjects: Option<Vec<String>>,
}

impl RequestedClaims {
    /// May the answer be about this `sub`? Nobody else's tokens may be given (§3.1.2.2).
    pub fn allows_subject(&self, subject: &str) -> bool {
        self.subjects.as_ref().is_none_or(|allowed| allowed.iter().any(|s| s == subject))
    }
}

impl AuthorizationRequest {
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scope.iter().any(|s| s == scope)
    }
}

/// Parameters as they arrived: decoded, in order, repetitions included.
#[derive(Debug, Clone, Default)]
pub struct Parameters(Vec<(String, String)>);

/// A parameter that was sent more than once (RFC 6749 §3.1 forbids it).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the parameter {0} was sent more than once")]
pub struct RepeatedParameter(pub &'static str);

impl Parameters {
    pub fn new(pairs: Vec<(String, String)>) -> Self {
        Self(pairs)
    }

    /// All pairs as they came.
    pub fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    /// The one non-empty value of `name` (RFC 6749 §3.1: an empty value counts as absent).
    pub fn one(&self, name: &'static str) -> Result<Option<&str>, RepeatedParameter> {
        let mut values = self.0.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str());
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(RepeatedParameter(name)),
            (value, None) => Ok(value.filter(|v| !v.is_empty())),
        }
    }
}

/// Error codes of the authorization response: RFC 6749 §4.1.2.1, OpenID Connect Core 1.0 §3.1.2.6 and Scalekit's
/// documented ones for single sign-on selectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    InvalidRequest,
    UnsupportedResponseType,
    InvalidScope,
    AccessDenied,
    ServerError,
    TemporarilyUnavailable,
    LoginRequired,
    /// OpenID Connect Core Error Code unmet_authentication_requirements 1.0 §2.
    UnmetAuthenticationRequirements,
    RequestNotSupported,
    RequestUriNotSupported,
    RegistrationNotSupported,
    InvalidConnectionId,
    InvalidOrganizationId,
    NoActiveConnections,
}

impl ErrorCode {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::InvalidScope => "invalid_scope",
            Self::AccessDenied => "access_denied",
            Self::ServerError => "server_error",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::LoginRequired => "login_required",
            Self::UnmetAuthenticationRequirements => "unmet_authentication_requirements",
            Self::RequestNotSupported => "request_not_supported",
            Self::RequestUriNotSupported => "request_uri_not_supported",
            Self::RegistrationNotSupported => "registration_not_supported",
            Self::InvalidConnectionId => "invalid_connection_id",
            Self::InvalidOrganizationId => "invalid_organization_id",
            Self::NoActiveConnections => "no_active_connections",
        }
    }
}

/// Why a request was refused, and who may be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthorizationRequestError {
    /// Nobody can be redirected: the user sees a page.
    Page(PageRefusal),
    /// The client is told through its redirect URI.
    Redirect { redirect_uri: String, state: Option<String>, code: ErrorCode, description: String },
}

/// Refusals that are shown, never redirected (RFC 6749 §4.1.2.1).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PageRefusal {
    #[error("{0} is there more than once")]
    Repeated(&'static str),
    #[error("client_id is missing")]
    ClientIdMissing,
    #[error("client_id {client_id} is not registered")]
    UnknownClient { client_id: String },
    /// A pushed request (RFC 9126) that was used, has expired or never was.
    #[error("request_uri is not known")]
    UnknownRequestUri { client_id: String },
    #[error("redirect_uri is missing")]
    RedirectUriMissing { client_id: String },
    #[error("redirect_uri {redirect_uri} is not registered for {client_id}")]
    RedirectUriNotRegistered { client_id: String, redirect_uri: String },
}

/// The two parameters that decide where an answer may go.
fn destination<'e, 'p>(
    environment: &'e Environment,
    params: &'p Parameters,
) -> Result<(&'e Client, &'p str), PageRefusal> {
    let one = |name| params.one(name).map_err(|RepeatedParameter(n)| PageRefusal::Repeated(n));
    let client_id = one("client_id")?.ok_or(PageRefusal::ClientIdMissing)?;
    let client = environment
        .client(client_id)
        .ok_or_else(|| PageRefusal::UnknownClient { client_id: client_id.to_owned() })?;
    let redirect_uri = one("redirect_uri")?
        .ok_or_else(|| PageRefusal::RedirectUriMissing { client_id: client_id.to_owned() })?;
    let verdict = check_redirect_uri(client, redirect_uri, environment.mode, environment.strict_redirects);
    if !verdict.is_allowed() {
        let (client_id, redirect_uri) = (client_id.to_owned(), redirect_uri.to_owned());
        return Err(PageRefusal::RedirectUriNotRegistered { client_id, redirect_uri });
    }
    Ok((client, redirect_uri))
}

/// Checks a whole authorization request. Where the answer may go is settled first; every later mistake is the
/// client's to hear about.
pub fn parse(
    environment: &Environment,
    params: &Parameters,
) -> Result<AuthorizationRequest, AuthorizationRequestError> {
    let (client, redirect_uri) = destination(environment, params).map_err(AuthorizationRequestError::Page)?;
    parse_rest(environment, client, redirect_uri, params).map_err(|(code, description)| {
        AuthorizationRequestError::Redirect {
            redirect_uri: redirect_uri.to_owned(),
            state: params.one("state").ok().flatten().map(str::to_owned),
            code,
            description,
        }
    })
}

type Mistake = (ErrorCode, String);

fn invalid(text: impl Into<String>) -> Mistake {
    (ErrorCode::InvalidRequest, text.into())
}

fn parse_rest(
    environment: &Environment,
    client: &Client,
    redirect_uri: &str,
    params: &Parameters,
) -> Result<AuthorizationRequest, Mistake> {
    let one = |name| params.one(name).map_err(|e| invalid(e.to_string()));
    let owned = |name| one(name).map(|v| v.map(str::to_owned));
    // Read before anything is judged, so that a repeated parameter is refused whatever its value.
    for name in ["acr_values", "display", "domain", "domain_hint", "registration"] {
        one(name)?;
    }
    let ui_locales = one("ui_locales")?;
    check_response(one("response_type")?, one("response_mode")?)?;
    for (name, code) in [
        ("request", ErrorCode::RequestNotSupported),
        ("request_uri", ErrorCode::RequestUriNotSupported),
        ("registration", ErrorCode::RegistrationNotSupported),
    ] {
        if one(name)?.is_some() {
            return Err((code, format!("the parameter {name} is not supported")));
        }
    }
    check_selectors(environment, one("connection_id")?, one("provider")?)?;
    Ok(AuthorizationRequest {
        client_id: client.client_id.clone(),
        redirect_uri: redirect_uri.to_owned(),
        scope: parse_scope(one("scope")?)?,
        state: bounded("state", owned("state")?)?,
        nonce: bounded("nonce", owned("nonce")?)?,
        login_hint: owned("login_hint")?,
        prompt: parse_prompt(one("prompt")?)?,
        max_age_s: one("max_age")?.map(parse_max_age).transpose()?,
        id_token_hint: owned("id_token_hint")?,
        code_challenge: parse_challenge(client, one("code_challenge")?, one("code_challenge_method")?)?,
        organization_id: owned("organization_id")?,
        claims: parse_claims(one("claims")?)?,
        language: ui_locales.and_then(Language::of_ui_locales),
    })
}

fn check_response(response_type: Option<&str>, response_mode: Option<&str>) -> Result<(), Mistake> {
    match response_type {
        None => return Err(invalid("the parameter response_type is missing: use response_type=code")),
        Some("code") => {}
        Some(_) => {
            let text = "only response_type=code is supported".to_owned();
            return Err((ErrorCode::UnsupportedResponseType, text));
        }
    }
    match response_mode {
        None | Some("query") => Ok(()),
        Some(_) => Err(invalid("only response_mode=query is supported")),
    }
}

/// Selectors of single sign-on and social connections, which are not emulated.
fn check_selectors(
    environment: &Environment,
    connection_id: Option<&str>,
    provider: Option<&str>,
) -> Result<(), Mistake> {
    if let Some(id) = connection_id
        && id != environment.passwordless.connection_id
    {
        let text = format!(
            "connection_id is not a connection of this environment; single sign-on is not emulated, the passwordless connection is {}",
            environment.passwordless.connection_id
        );
        return Err((ErrorCode::InvalidConnectionId, text));
    }
    if provider.is_some() {
        let text =
            "the social login named by provider is not emulated; leave provider out to sign in by email";
        return Err((ErrorCode::NoActiveConnections, text.to_owned()));
    }
    if !environment.passwordless.enabled {
        let text = "Magic link & OTP is switched off and no other sign-in method is configured";
        return Err((ErrorCode::NoActiveConnections, text.to_owned()));
    }
    Ok(())
}

fn bounded(name: &str, value: Option<String>) -> Result<Option<String>, Mistake> {
    if value.as_ref().is_some_and(|v| v.len() > MAX_OPAQUE_BYTES) {
        return Err(invalid(format!("the parameter {name} is longer than {MAX_OPAQUE_BYTES} bytes")));
    }
    Ok(value)
}

/// Scopes that were joined by something else than a space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("scopes are separated by spaces: scope=openid email, which is openid%20email in a URL")]
pub struct ScopesJoined;

/// The words of a `scope` (RFC 6749 §3.3). Unknown ones are the caller's to judge; known ones behind a comma or the like
/// are a mistake that would silently take them away.
pub fn scope_words(scope: &str) -> Result<Vec<&str>, ScopesJoined> {
    let words: Vec<&str> = scope.split(' ').filter(|word| !word.is_empty()).collect();
    let is_joined = |word: &&str| {
        let parts: Vec<&str> = word.split([',', ';', '+', '|']).flat_map(|part| part.split("%20")).collect();
        parts.len() > 1 && parts.iter().any(|part| SUPPORTED_SCOPES.contains(part))
    };
    if words.iter().any(is_joined) { Err(ScopesJoined) } else { Ok(words) }
}

fn parse_scope(scope: Option<&str>) -> Result<Vec<String>, Mistake> {
    let words = scope_words(scope.unwrap_or(DEFAULT_SCOPE));
    let words = words.map_err(|error| (ErrorCode::InvalidScope, error.to_string()))?;
    let mut granted: Vec<String> = Vec::new();
    for word in words {
        if SUPPORTED_SCOPES.contains(&word) && !granted.iter().any(|g| g == word) {
            granted.push(word.to_owned());
        }
    }
    Ok(granted)
}

fn parse_prompt(prompt: Option<&str>) -> Result<Prompt, Mistake> {
    let words: Vec<&str> = prompt.unwrap_or_default().split(' ').filter(|w| !w.is_empty()).collect();
    let known = ["none", "login", "create", "select_account", "consent"];
    if words.iter().any(|w| !known.contains(w)) {
        return Err(invalid("prompt must be none, login, create, select_account or consent"));
    }
    let has = |word| words.contains(&word);
    if has("none") && words.len() > 1 {
        return Err(invalid("prompt=none cannot be combined with another value"));
    }
    Ok(match () {
        () if has("none") => Prompt::None,
        () if has("create") => Prompt::Create,
        () if has("login") => Prompt::Login,
        () if has("select_account") => Prompt::SelectAccount,
        () => Prompt::Auto,
    })
}

fn parse_max_age(text: &str) -> Result<i64, Mistake> {
    let digits = text.len() <= 10 && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or_else(|| invalid("max_age must be a whole number of seconds"))
}

fn parse_challenge(
    client: &Client,
    challenge: Option<&str>,
    method: Option<&str>,
) -> Result<Option<CodeChallenge>, Mistake> {
    match (challenge, method) {
        (None, None) if client.needs_pkce() => {
            Err(invalid("this client must send code_challenge and code_challenge_method=S256"))
        }
        (None, None) => Ok(None),
        (None, Some(_)) => Err(invalid("code_challenge_method was sent without code_challenge")),
        (Some(text), Some("S256")) => {
            let challenge = CodeChallenge::parse(text);
            Ok(Some(
                challenge
                    .ok_or_else(|| invalid("code_challenge is not the base64url text of a SHA-256 digest"))?,
            ))
        }
        // RFC 7636 §4.3: a missing method means plain, which is not accepted.
        (Some(_), _) => Err(invalid("code_challenge_method must be S256")),
    }
}

/// Most single claims, or values of one, that a request may name.
const MAX_REQUESTED: usize = 50;

fn parse_claims(text: Option<&str>) -> Result<RequestedClaims, Mistake> {
    let Some(text) = text else { return Ok(RequestedClaims::default()) };
    let wrong = || invalid("claims must be a JSON object with the members userinfo and id_token");
    let value: serde_json::Value = serde_json::from_str(text).map_err(|_| wrong())?;
    let object = value.as_object().ok_or_else(wrong)?;
    let mut claims = RequestedClaims::default();
    for (member, names) in [("userinfo", &mut claims.userinfo), ("id_token", &mut claims.id_token)] {
        let asked = match object.get(member) {
            None | Some(serde_json::Value::Null) => continue,
            Some(serde_json::Value::Object(asked)) => asked,
            Some(_) => return Err(wrong()),
        };
        names.extend(asked.keys().take(MAX_REQUESTED).cloned());
        if let Some(values) = requested_values("sub", asked.get("sub"))? {
            let earlier = claims.subjects.take();
            let fits = |value: &String| earlier.as_ref().is_none_or(|earlier| earlier.contains(value));
            claims.subjects = Some(values.into_iter().filter(fits).collect());
        }
        check_acr(asked.get("acr"))?;
    }
    Ok(claims)
}

/// The values that a claim is asked for with, by `value` or `values` (OpenID Connect Core 1.0 §5.5.1); `None`: any.
fn requested_values(name: &str, claim: Option<&serde_json::Value>) -> Result<Option<Vec<String>>, Mistake> {
    use serde_json::Value;
    let wrong = || {
        invalid(format!(
            "claims: {name} must be null, or an object whose value is text and whose values are a list of texts"
        ))
    };
    let claim = match claim {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(claim)) => claim,
        Some(_) => return Err(wrong()),
    };
    let one = match claim.get("value") {
        None => None,
        Some(value) => Some(value.as_str().ok_or_else(wrong)?.to_owned()),
    };
    let several: Option<Vec<String>> = match claim.get("values") {
        None => None,
        Some(Value::Array(values)) if values.len() <= MAX_REQUESTED => Some(
            values
                .iter()
                .map(|v| v.as_str().map(str::to_owned).ok_or_else(wrong))
                .collect::<Result<_, _>>()?,
        ),
        Some(Value::Array(_)) => {
            return Err(invalid(format!("claims: {name} names more than {MAX_REQUESTED} values")));
        }
        Some(_) => return Err(wrong()),
    };
    Ok(match (one, several) {
        (None, several) => several,
        (Some(one), several) => {
            let fits = several.is_none_or(|several| several.contains(&one));
            Some(if fits { vec![one] } else { vec![] })
        }
    })
}

/// An essential `acr` of certain values that cannot be met is a failed authentication (OpenID Connect Core 1.0
/// §5.5.1.1). No `acr` is ever told here.
fn check_acr(claim: Option<&serde_json::Value>) -> Result<(), Mistake> {
    let is_essential = claim.and_then(|c| c.get("essential")).is_some_and(|e| *e == true);
    if requested_values("acr", claim)?.is_some() && is_essential {
        let text = "claims asks for an essential acr of certain values, and this provider tells no acr";
        return Err((ErrorCode::UnmetAuthenticationRequirements, text.to_owned()));
    }
    Ok(())
}

/// The redirect that answers an authorization request: code or error, `state`, and `iss` (RFC 9207).
pub fn response_url(
    redirect_uri: &str,
    parameters: &[(&str, &str)],
    state: Option<&str>,
    issuer: &str,
) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters);
    if let Some(state) = state {
        query.append_pair("state", state);
    }
    query.append_pair("iss", issuer);
    with_query(redirect_uri, &query.finish())
}

/// A URI with more parameters behind those that it has.
pub fn with_query(uri: &str, query: &str) -> String {
    let separator = match uri.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some(_) => "&",
    };
    format!("{uri}{separator}{query}")
}

#[cfg(test)]
#[path = "authorization_tests.rs"]
mod tests;
