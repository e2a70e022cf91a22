//! Registered applications (OAuth 2.0 clients, RFC 6749 §2).

use std::collections::BTreeMap;

use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::redirect_uri::{RedirectPattern, parse_loopback};
use super::settings::{ClientBranding, Mode};
use super::signing_algorithm::SigningAlgorithm;

/// An application that may ask for tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    pub client_id: String,
    /// What users read on pages and in emails.
    pub name: String,
    pub kind: ClientKind,
    /// Registered callback URLs ("Allowed callback URLs" in Scalekit's dashboard).
    pub redirect_uris: Vec<RedirectPattern>,
    pub post_logout_redirect_uris: Vec<RedirectPattern>,
    /// Where a browser goes that lost its sign-in (Scalekit: "Initiate login URL").
    pub initiate_login_uri: Option<String>,
    /// Where logout tokens are sent when a session ends in which this client got tokens.
    pub backchannel_logout_uri: Option<String>,
    /// PKCE is demanded of web clients too. Public clients always need it.
    pub enforce_pkce: bool,
    /// Only pushed authorization requests are answered (RFC 9126 §6).
    pub require_pushed_authorization_requests: bool,
    /// What ID tokens and logout tokens of this client are signed with.
    pub id_token_signed_response_alg: SigningAlgorithm,
    /// Access token lifetime of this client alone.
    pub access_token_lifetime_s: Option<i64>,
    /// The control API may sign users in for this client without an email.
    pub instant_sign_in: bool,
    pub api: ClientApiSettings,
    /// What its sign-in pages and emails have of their own.
    pub branding: ClientBranding,
}

/// What Scalekit's API keeps with an application beside what sign-in needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ClientApiSettings {
    /// Where logout tokens are sent beside `backchannel_logout_uri`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub more_backchannel_logout_uris: Vec<String>,
    /// Its tokens open nothing of Scalekit's API.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disallow_scalekit_api_access: bool,
    /// Kept, and enforced by nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Kept, and enforced by nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub grant_types: Vec<String>,
    /// Kept; no token says them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub custom_claims: BTreeMap<String, String>,
}

/// Kinds of client and, for the confidential one, how its secrets are checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientKind {
    /// Confidential: authenticates with a secret. At most two are active at once, so that one can be replaced.
    Web { secrets: Vec<ClientSecret> },
    /// Public browser application: PKCE, CORS, no secret.
    Spa,
    /// Public native application: PKCE, loopback redirect on any port (RFC 8252 §7.3).
    Native,
}

/// The client of the dashboard's Try it, which is there once it was used.
pub const TRY_IT_CLIENT_ID: &str = "try_it";

/// The root of a web address: the page that the application at its callback begins with.
pub fn web_root(uri: &str) -> Option<String> {
    let url = url::Url::parse(uri).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    url.join("/").ok().map(String::from)
}

/// Where the configuration file speaks of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientPlace {
    /// At its top level: `client_id`, `redirect_uris`.
    TopLevel,
    /// In one of its tables `[[clients]]`.
    Table,
    /// Nowhere: it was made while the server ran.
    Elsewhere,
}

/// A secret as configuration holds it.
#[derive(Clone)]
pub enum ClientSecret {
    /// Written out in configuration (the well-known development secret is one).
    Plain(secrecy::SecretString),
    /// An argon2id hash in PHC text form.
    Argon2(String),
}

impl PartialEq for ClientSecret {
    /// Of what is configured with what is stored; secrets that are shown are compared elsewhere, in constant time.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Plain(a), Self::Plain(b)) => a.expose_secret() == b.expose_secret(),
            (Self::Argon2(a), Self::Argon2(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for ClientSecret {}

impl std::fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientSecret([redacted])")
    }
}

impl Client {
    /// Public clients hold no secret (RFC 6749 §2.1).
    pub fn is_public(&self) -> bool {
        !matches!(self.kind, ClientKind::Web { .. })
    }

    /// Every address that logout tokens are sent to.
    pub fn backchannel_logout_uris(&self) -> impl Iterator<Item = &str> {
        let more = self.api.more_backchannel_logout_uris.iter();
        self.backchannel_logout_uri.iter().chain(more).map(String::as_str)
    }

    /// Has it anything of its own to be recognized by?
    pub fn has_branding(&self) -> bool {
        self.branding != ClientBranding::default()
    }

    /// A page of the application for users who have signed out of it: its first post-logout address, else where its
    /// sign-ins begin, else the root of its first web callback.
    pub fn home_url(&self) -> Option<String> {
        let exact = |uris: &[RedirectPattern]| {
            uris.iter().find(|uri| !uri.is_wildcard()).map(|uri| uri.as_str().to_owned())
        };
        let root = || web_root(&exact(&self.redirect_uris)?);
        exact(&self.post_logout_redirect_uris).or_else(|| self.initiate_login_uri.clone()).or_else(root)
    }

    /// Must an authorization request of this client carry a code challenge (RFC 7636)?
    pub fn needs_pkce(&self) -> bool {
        self.is_public() || self.enforce_pkce
    }
}

/// Why a `redirect_uri` was let through or not: the words of the redirect checker and of the error page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedirectVerdict {
    Registered,
    /// Not registered, but any loopback `http` URL may be used in development.
    LoopbackInDevelopment,
    NotRegistered,
}

impl RedirectVerdict {
    pub fn is_allowed(self) -> bool {
        self != Self::NotRegistered
    }
}

/// May `client` be sent back to `requested` (RFC 6749 §3.1.2.3)?
pub fn check_redirect_uri(client: &Client, requested: &str, mode: Mode, strict: bool) -> RedirectVerdict {
    verdict(client, &client.redirect_uris, requested, mode, strict)
}

/// May a browser go to `requested` after logout (OpenID Connect RP-Initiated Logout 1.0 §3)?
pub fn check_post_logout_uri(client: &Client, requested: &str, mode: Mode, strict: bool) -> RedirectVerdict {
    verdict(client, &client.post_logout_redirect_uris, requested, mode, strict)
}

fn verdict(
    client: &Client,
    registered: &[RedirectPattern],
    requested: &str,
    mode: Mode,
    strict: bool,
) -> RedirectVerdict {
    let any_loopback_port = matches!(client.kind, ClientKind::Native);
    if registered.iter().any(|p| p.allows(requested, any_loopback_port)) {
        RedirectVerdict::Registered
    } else if mode == Mode::Development && !strict && parse_loopback(requested).is_some() {
        RedirectVerdict::LoopbackInDevelopment
    } else {
        RedirectVerdict::NotRegistered
    }
}
