//! What has to hold for any input, each said once and judged by another way than ours. The targets of this folder try
//! it with changed seeds, those of `fuzz/` with whatever reaches code that no input reached before. A property that
//! does not hold panics.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use actix_web::http::header::HeaderValue;
use actix_web::test::TestRequest;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use url::Url;
use vestibule::config::{Config, Source};
use vestibule::crypto::entropy::SystemEntropy;
use vestibule::crypto::signing::{KeySet, SigningKey, generate_pkcs8};
use vestibule::domain::authorization::{
    self, AuthorizationRequest, AuthorizationRequestError, SUPPORTED_SCOPES, response_url,
};
use vestibule::domain::client::ClientKind;
use vestibule::domain::client::{RedirectVerdict, check_redirect_uri};
use vestibule::domain::email::EmailAddress;
use vestibule::domain::environment::Environment;
use vestibule::domain::expression::Expression;
use vestibule::domain::settings::{MailFrom, Mode};
use vestibule::domain::signing_algorithm::SigningAlgorithm;
use vestibule::http::params::{self, ParamsError};
use vestibule::oidc::client_credentials;
use vestibule::service::client_auth::ClientCredentials;

const CLIENTS: &str = r#"
[[clients]]
client_id = "web"
client_secret = "secret"
redirect_uris = ["https://app.example.com/cb", "https://app.example.com/query?tenant=1", "https://auth-*.acme.example.com/cb"]
[[clients]]
client_id = "spa"
type = "spa"
redirect_uris = ["https://spa.example.com/cb"]
[[clients]]
client_id = "native"
type = "native"
redirect_uris = ["http://127.0.0.1/callback", "http://[::1]:0/callback", "com.example.app:/callback"]
"#;

/// The same clients where redirects are strict, and where they are not.
static ENVIRONMENTS: LazyLock<[Environment; 2]> = LazyLock::new(|| {
    [true, false].map(|strict| {
        let mut source = Source::default();
        source.add_file(Path::new("vestibule.toml"), &format!("strict_redirects = {strict}\n{CLIENTS}"));
        Config::read(source, Path::new(".")).unwrap_or_else(|problems| panic!("{problems}")).environment
    })
});

/// The URL without its port, when it has the form `http://host[:port]/…`.
fn without_port(uri: &str) -> Option<(String, &str)> {
    let rest = uri.strip_prefix("http://")?;
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    };
    Some((host.to_owned(), path))
}

/// May a browser be sent to this URI? Judged by where it would really go.
fn is_safe(environment: &Environment, client_id: &str, uri: &str) -> bool {
    let client = environment.client(client_id).unwrap();
    if client.redirect_uris.iter().any(|registered| registered.as_str() == uri) {
        return true;
    }
    // Resolved as browsers resolve a Location, relative to our page.
    let Ok(target) = Url::parse("http://id.example.com/oauth/authorize").unwrap().join(uri) else {
        return false;
    };
    if !target.username().is_empty() || target.password().is_some() || target.fragment().is_some() {
        return false;
    }
    let host = target.host_str().unwrap_or_default();
    let is_loopback = matches!(host, "localhost" | "[::1]" | "0.0.0.0" | "[::]")
        || host.ends_with(".localhost")
        || host.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.octets()[0] == 127);
    let by_wildcard = client_id == "web"
        && target.scheme() == "https"
        && host.starts_with("auth-")
        && host.ends_with(".acme.example.com")
        && host.split('.').count() == 4
        && target.port().is_none()
        && (target.path(), target.query()) == ("/cb", None);
    let by_port = matches!(client.kind, ClientKind::Native)
        && without_port(uri).is_some_and(|(host, rest)| {
            matches!(host.as_str(), "127.0.0.1" | "[::1]") && rest == "/callback"
        });
    let by_development = !environment.strict_redirects && target.scheme() == "http" && is_loopback;
    by_wildcard || by_port || by_development
}

/// An expression comes to the same with and without braces, and a fallback helps where its value is missing and nowhere
/// else.
pub fn expression(text: &str) {
    let Ok(parsed) = Expression::parse(text) else { return };
    assert_eq!(parsed.text(), text);
    let variables = json!({
        "user": { "email": "jane@acme.test", "groups": ["red"], "metadata": { "role": "admin", "cost-center": "1" } },
        "organization": null,
    });
    let value = parsed.value(&variables);
    assert_ne!(value, Ok(Some(Value::Null)), "{text:?}");
    // Whoever wrote braces has written the longest text.
    if text.trim().starts_with("{{") || text.len() > 400 {
        return;
    }
    let again =
        |text: String| Expression::parse(&text).unwrap_or_else(|e| panic!("{text:?}: {e}")).value(&variables);
    assert_eq!(again(format!(" {{{{ {text} }}}}")), value, "{text:?} in braces");
    let with_fallback = value.map(|value| value.or_else(|| Some(json!("none"))));
    assert_eq!(again(format!("{text} ?? \"none\"")), with_fallback, "{text:?} with a fallback");
}

/// Only registered redirect URIs are allowed, and they lead where they say.
pub fn redirect_uri(uri: &str) {
    for environment in &*ENVIRONMENTS {
        for client_id in ["web", "spa", "native"] {
            let client = environment.client(client_id).unwrap();
            let verdict = check_redirect_uri(client, uri, Mode::Development, environment.strict_redirects);
            let is_registered = client.redirect_uris.iter().any(|r| r.as_str() == uri);
            assert!(!is_registered || verdict == RedirectVerdict::Registered, "{uri:?} is registered");
            assert!(
                !verdict.is_allowed() || is_safe(environment, client_id, uri),
                "{client_id} may use {uri:?}: {verdict:?}"
            );
            let in_production = check_redirect_uri(client, uri, Mode::Production, false);
            assert_ne!(in_production, RedirectVerdict::LoopbackInDevelopment, "{uri:?} in production");
        }
    }
}

/// An authorization request is what was sent, or is refused where it is safe.
pub fn authorize(query: &[u8]) {
    let Ok(parameters) = params::parse(query) else { return };
    // Another reader of the same query.
    let sent = |name: &str| -> Vec<String> {
        let pairs = url::form_urlencoded::parse(query).filter(|(n, _)| n == name);
        pairs.map(|(_, value)| value.into_owned()).collect()
    };
    for environment in &*ENVIRONMENTS {
        match authorization::parse(environment, &parameters) {
            Ok(request) => is_what_was_sent(environment, &request, &sent),
            Err(AuthorizationRequestError::Redirect { redirect_uri, state, code, description }) => {
                let one = |name: &str| sent(name).pop().filter(|v| !v.is_empty());
                let client_id = one("client_id").unwrap();
                assert!(is_safe(environment, &client_id, &redirect_uri), "{client_id}: {redirect_uri:?}");
                assert_eq!(Some(redirect_uri.clone()), one("redirect_uri"));
                let state = state.as_deref();
                assert!(sent("state").len() > 1 || state == one("state").as_deref(), "{state:?}");
                let answer = response_url(
                    &redirect_uri,
                    &[("error", code.as_str()), ("error_description", &description)],
                    state,
                    "https://id.example.com",
                );
                assert!(
                    answer.starts_with(&redirect_uri) && !answer.contains(['\r', '\n', '#', ' ']),
                    "{answer:?}"
                );
                let answer = Url::parse(&answer).unwrap();
                let said = |name: &str| {
                    answer.query_pairs().filter(|(n, _)| n == name).last().map(|(_, v)| v.into_owned())
                };
                assert_eq!(said("error").as_deref(), Some(code.as_str()), "{answer}");
                assert_eq!(said("iss").as_deref(), Some("https://id.example.com"), "{answer}");
                assert!(state.is_none() || said("state").as_deref() == state, "{answer}: {state:?}");
            }
            Err(AuthorizationRequestError::Page(_)) => {}
        }
    }
}

fn is_what_was_sent(
    environment: &Environment,
    request: &AuthorizationRequest,
    sent: &dyn Fn(&str) -> Vec<String>,
) {
    let one = |name: &str| sent(name).pop().filter(|v| !v.is_empty());
    let client = environment.client(&request.client_id).unwrap();
    for name in
        ["client_id", "redirect_uri", "response_type", "state", "scope", "code_challenge", "claims", "prompt"]
    {
        assert!(sent(name).len() <= 1, "{name} was sent twice");
    }
    assert_eq!(one("response_type").as_deref(), Some("code"));
    for name in ["request", "request_uri", "registration", "provider"] {
        assert_eq!(one(name), None, "{name} is not supported");
    }
    assert_eq!(Some(&request.redirect_uri), one("redirect_uri").as_ref());
    assert!(is_safe(environment, &request.client_id, &request.redirect_uri), "{request:?}");
    assert_eq!(request.state, one("state"));
    assert_eq!(request.nonce, one("nonce"));
    let max_age = one("max_age");
    assert!(
        request.max_age_s.is_none_or(|s| s >= 0 && max_age.as_ref().unwrap().parse() == Ok(s)),
        "{:?} of {max_age:?}",
        request.max_age_s
    );
    let mut scopes = request.scope.clone();
    scopes.sort();
    scopes.dedup();
    assert_eq!(scopes.len(), request.scope.len(), "{:?}", request.scope);
    assert!(scopes.iter().all(|s| SUPPORTED_SCOPES.contains(&s.as_str())), "{scopes:?}");
    match &request.code_challenge {
        None => assert!(!client.needs_pkce() && one("code_challenge").is_none(), "no challenge: {request:?}"),
        Some(_) => {
            assert_eq!(one("code_challenge_method").as_deref(), Some("S256"));
            let digest = one("code_challenge").unwrap();
            assert!(
                digest.len() == 43 && digest.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)),
                "{digest:?}"
            );
        }
    }
    let claims: Value = one("claims").map_or(json!({}), |text| serde_json::from_str(&text).unwrap());
    for (member, names) in [("userinfo", &request.claims.userinfo), ("id_token", &request.claims.id_token)] {
        assert!(names.iter().all(|name| claims[member].get(name).is_some()), "{member}: {names:?}");
    }
    // It is stored as JSON until the person is done.
    let stored = serde_json::to_string(request).unwrap();
    assert_eq!(&serde_json::from_str::<AuthorizationRequest>(&stored).unwrap(), request);
}

/// A form says what another reader sees, or is refused.
pub fn form(body: &[u8]) {
    let lossy: Vec<(String, String)> =
        url::form_urlencoded::parse(body).map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
    // Separators are ASCII, so the parts are UTF-8 exactly when the whole is.
    let is_text = percent_encoding::percent_decode(body).decode_utf8().is_ok();
    match params::parse(body) {
        Ok(read) => {
            assert!(is_text, "read though it is no text");
            assert_eq!(read.pairs(), lossy);
            let written =
                url::form_urlencoded::Serializer::new(String::new()).extend_pairs(read.pairs()).finish();
            let again = params::parse(written.as_bytes()).unwrap();
            assert_eq!(again.pairs(), read.pairs(), "written as {written:?}");
        }
        Err(error) => {
            assert_eq!(error, ParamsError::NotUtf8);
            assert!(!is_text, "refused though it is text");
        }
    }
}

/// The credentials of a request with this `Authorization`, if it is not refused.
fn presented(header: HeaderValue, body: &str) -> Option<ClientCredentials> {
    let request = TestRequest::post().insert_header(("authorization", header)).to_http_request();
    client_credentials(&request, &params::parse(body.as_bytes()).unwrap()).ok()
}

fn basic(credentials: &[u8]) -> HeaderValue {
    format!("Basic {}", STANDARD.encode(credentials)).parse().unwrap()
}

/// Basic credentials come back as they were encoded.
pub fn basic_encoded(id: &str, secret: &str) {
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let header = basic(format!("{}:{}", encode(id), encode(secret)).as_bytes());
    let found = presented(header.clone(), "").unwrap();
    assert_eq!(found.client_id.unwrap_or_default(), id);
    assert_eq!(found.client_secret.unwrap_or_default(), secret);
    assert!(presented(header, "client_secret=other").is_none(), "one method only (RFC 6749 §2.3)");
}

/// What stands in a Basic header is read as text with a colon in it, or refused.
pub fn basic_raw(raw: &[u8]) {
    let found = presented(basic(raw), "");
    let Ok(text) = std::str::from_utf8(raw) else {
        assert!(found.is_none(), "what is no text was read");
        return;
    };
    assert_eq!(found.is_some(), text.contains(':'), "{text:?}");
    let decode = |part: &str| {
        let spaced = part.replace('+', " ");
        percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    if let (Some(found), Some((id, secret))) = (found, text.split_once(':')) {
        assert_eq!(found.client_id.unwrap_or_default(), decode(id));
        assert_eq!(found.client_secret.unwrap_or_default(), decode(secret));
    }
}

/// Any header is read or refused, and one of another scheme says nothing.
pub fn basic_header(header: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(header) else { return };
    let found = presented(value, "client_id=a");
    let is_basic = header.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"basic "));
    if !is_basic {
        let found = found.map(|found| (found.client_id, found.client_secret));
        assert_eq!(found, Some((Some("a".to_owned()), None)), "{header:?}");
    }
}

/// An address is one mailbox for everybody who reads it.
pub fn email(text: &str) {
    static FROM: LazyLock<MailFrom> = LazyLock::new(|| MailFrom {
        name: "Vestibule".into(),
        address: EmailAddress::parse("no-reply@example.com").unwrap(),
    });
    let Ok(address) = EmailAddress::parse(text) else { return };
    let kept = address.as_str();
    // Nothing is dropped: what was typed is kept, but for the form of letters and of an international domain.
    let (kept_local, kept_domain) = kept.split_once('@').unwrap();
    let (local, domain) = text.trim_matches([' ', '\t']).split_once('@').unwrap();
    assert!(kept_local == local || !local.is_ascii(), "{kept:?} of {text:?}");
    assert!(kept_domain == domain || !domain.is_ascii() && kept_domain.is_ascii(), "{kept:?} of {text:?}");
    assert!(
        !kept.chars().any(|c| c.is_control() || c.is_whitespace() || ",;:<>()[]\"\\".contains(c)),
        "{kept:?}"
    );
    assert_eq!(kept.matches('@').count(), 1, "{kept:?}");
    assert_eq!(EmailAddress::parse(kept).as_ref(), Ok(&address));
    assert!(!address.domain().is_empty(), "{kept:?}");
    // Whoever reads email for one spelling is the person of all spellings with the same key, so no key may stand
    // for two mailboxes: upper case and lower case lead back to each other.
    assert!(!address.key().is_ascii() || kept.is_ascii(), "{kept:?} passes for {:?}", address.key());
    let key = EmailAddress::parse(address.key());
    assert!(key.as_ref().is_ok_and(|key| key.key() == address.key()), "{kept:?}: {key:?}");
    // As the email is sent: exactly one recipient, and it is this one.
    let mailboxes: lettre::message::Mailboxes = kept.parse().unwrap_or_else(|e| panic!("{kept:?}: {e}"));
    assert_eq!(mailboxes.iter().count(), 1, "{kept:?}");
    let envelope = vestibule::mail::Envelope {
        from: &FROM,
        to: kept,
        message_id: "msg_1",
        subject: "Code",
        text: "1",
        html: "<p>1</p>",
        created_at_ms: 0,
    };
    let source = vestibule::mail::source(&envelope).unwrap_or_else(|e| panic!("{kept:?}: {e}"));
    let source = String::from_utf8(source).unwrap();
    let recipients: Vec<&str> = source
        .lines()
        .take_while(|l| !l.is_empty())
        .filter(|line| {
            let line = line.to_ascii_lowercase();
            line.starts_with("to:") || line.starts_with("cc:") || line.starts_with("bcc:")
        })
        .collect();
    assert_eq!(recipients.len(), 1, "{kept:?}: {recipients:?}");
    assert_eq!(recipients[0].matches('@').count(), 1, "{kept:?}: {recipients:?}");
    // Where it goes is what the key says.
    let domain = address.key().split_once('@').unwrap().1;
    assert!(
        recipients[0].trim_end_matches(['>', '\r']).ends_with(&format!("@{domain}")),
        "{kept:?}: {recipients:?}"
    );
}

/// A token of ours, and the keys that its verifiers have.
pub struct Signed {
    pub keys: KeySet,
    pub token: String,
}

impl Signed {
    pub fn one() -> Self {
        let key = |n: i64| {
            let der = generate_pkcs8(SigningAlgorithm::Rs256, &SystemEntropy).unwrap();
            Arc::new(SigningKey::from_pkcs8(n, &format!("snk_{n}"), 0, &der).unwrap())
        };
        let (ours, other) = (key(1), key(2));
        let claims = json!({ "iss": "https://id.example.com", "sub": "usr_1", "aud": ["web"], "exp": 4_102_444_800_i64, "jti": "tkn_1" });
        let token = ours.sign(&claims).unwrap();
        let keys = KeySet::new(vec![ours, other]);
        assert_eq!(keys.verify::<Value>(&token), Ok(claims));
        Self { keys, token }
    }

    /// The token with other parts where they are given: header and claims as they are before they are encoded, the
    /// signature as it stands in the token.
    pub fn with(&self, header: Option<&[u8]>, claims: Option<&[u8]>, signature: Option<&str>) -> String {
        let parts: Vec<&str> = self.token.split('.').collect();
        let part = |changed: Option<&[u8]>, ours: &str| {
            changed.map_or_else(|| ours.to_owned(), |bytes| URL_SAFE_NO_PAD.encode(bytes))
        };
        let (header, claims) = (part(header, parts[0]), part(claims, parts[1]));
        format!("{header}.{claims}.{}", signature.unwrap_or(parts[2]))
    }

    /// No change of a token is ever believed.
    pub fn is_the_only_one_believed(&self, forged: &str) {
        assert_eq!(self.keys.verify::<Value>(forged).is_ok(), forged == self.token, "{forged}");
    }
}

/// Methods of the gRPC API that read a message, and one that is not there.
pub const GRPC_METHODS: &[&str] = &[
    "/scalekit.v1.auth.passwordless.PasswordlessService/SendPasswordlessEmail",
    "/scalekit.v1.auth.passwordless.PasswordlessService/ResendPasswordlessEmail",
    "/scalekit.v1.auth.passwordless.PasswordlessService/VerifyPasswordlessEmail",
    "/scalekit.v1.connections.ConnectionService/ListConnections",
    "/scalekit.v1.connections.ConnectionService/GetEnvironmentConnection",
    "/scalekit.v1.connections.ConnectionService/UpdateEnvironmentConnection",
    "/scalekit.v1.auth.AuthService/ListAuthMethods",
    "/scalekit.v1.auth.AuthService/DiscoveryAuthMethod",
    "/scalekit.v1.auditlogs.AuditLogsService/ListAuthRequests",
    "/scalekit.v1.users.UserService/GetUser",
    "/no.such.Service/Method",
];

/// Headers of gRPC calls that change how the body is read, or who is taken to call.
pub const GRPC_HEADERS: &[(&str, &str)] = &[
    ("grpc-encoding", "gzip"),
    ("grpc-encoding", "no such"),
    ("grpc-timeout", "1H"),
    ("grpc-timeout", "99999999999H"),
    ("grpc-timeout", "x"),
    ("grpc-accept-encoding", "gzip"),
    ("content-type", "application/grpc+proto"),
    ("authorization", "Bearer a.b.c"),
    ("x-bin", "%%%"),
    ("user-agent", ""),
];

/// A message below a prefix that is right (gRPC over HTTP/2, "Length-Prefixed-Message").
pub fn grpc_frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], length.as_slice(), message].concat()
}

/// Any gRPC body gets an answer that blames the caller. Headers and trailers stand together.
pub fn grpc_answer(http_status: u16, headers: &http::HeaderMap) {
    assert_eq!(http_status, 200);
    let status = headers.get("grpc-status").and_then(|v| v.to_str().ok()?.parse::<i32>().ok());
    // Neither UNKNOWN, INTERNAL, UNAVAILABLE nor DATA_LOSS.
    assert!(status.is_some_and(|status| ![2, 13, 14, 15].contains(&status)), "{headers:?}");
    assert!(status == Some(0) || headers.contains_key("grpc-status-details-bin"), "{headers:?}");
}
