//! An environment: one isolated provider with its own clients, settings and people. Scalekit's word for what
//! other products call a tenant or a project. A process serves the default one and any number of isolated ones,
//! which testers make while it runs; every use case receives the one it works in.

use std::sync::Arc;

use url::Url;

use super::client::Client;
use super::email::EmailAddress;
use super::host::host_of;

/// Identifier of the environment that exists when nothing else is configured.
pub const DEFAULT_ENVIRONMENT_ID: &str = "env_687000000000000001";

/// Everything about one environment that requests need to know and that configuration decides.
#[derive(Debug, Clone)]
pub struct Environment {
    pub id: String,
    /// `None`: the default one, which needs no name.
    pub name: Option<EnvironmentName>,
    pub mode: Mode,
    /// Base URLs under which this environment is reached, without a trailing slash. The first is the default.
    /// Issuers, links and redirects are built from these alone, never from a request's own words.
    pub public_urls: Vec<PublicUrl>,
    /// In development mode, refuse loopback `http` redirect URIs that are not registered.
    pub strict_redirects: bool,
    pub clients: Vec<Client>,
    pub passwordless: PasswordlessSettings,
    pub login_hint: LoginHintMode,
    pub test_users: TestUsers,
    pub tokens: TokenSettings,
    pub sessions: SessionSettings,
    pub limits: Limits,
    pub branding: Branding,
    /// Sender of every mail.
    pub mail_from: MailFrom,
    /// Makes ids, codes, links and token ids repeatable.
    pub deterministic_seed: Option<String>,
    /// A demonstration: pages say so, and show the code that the mail carries.
    pub demo: bool,
    /// How long the log of sign-ins is kept, in seconds; 0 keeps none.
    pub flows_keep_s: i64,
    pub logout_confirm: LogoutConfirm,
}

impl Environment {
    /// The client with this id, when it is registered here.
    pub fn client(&self, client_id: &str) -> Option<&Client> {
        self.clients.iter().find(|c| c.client_id == client_id)
    }

    /// The public client that applications without a secret are pointed to.
    pub fn first_public_client(&self) -> Option<&Client> {
        self.clients.iter().find(|c| c.is_public())
    }

    /// Is this one of the environment's issuers? Any of its URLs is; tokens of all of them are its own.
    pub fn is_issuer(&self, issuer: &str) -> bool {
        self.public_urls.iter().any(|u| u.issuer() == issuer)
    }

    /// The public URL a request belongs to: the one whose host and port it names, preferring its scheme,
    /// else the first one configured. `authority` is the request's `Host`; it chooses, it never adds.
    pub fn public_url_for(&self, secure: bool, authority: Option<&str>) -> &PublicUrl {
        let wanted = authority.map(str::to_ascii_lowercase);
        let mut named = self.public_urls.iter().filter(|u| Some(u.authority()) == wanted.as_deref());
        let scheme = if secure { "https" } else { "http" };
        let first = named.next();
        named
            .chain(first)
            .find(|u| u.scheme() == scheme)
            .or(first)
            .or(self.public_urls.first())
            .unwrap_or(&FALLBACK_URL)
    }
}

/// Only met when configuration left no public URL at all, which `config check` refuses.
static FALLBACK_URL: std::sync::LazyLock<PublicUrl> = std::sync::LazyLock::new(|| PublicUrl {
    base: Arc::from("http://localhost:6870"),
    authority: Arc::from("localhost:6870"),
});

/// Metadata documents whose path may come before that of the issuer.
const WELL_KNOWN: [&str; 2] =
    ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"];

/// Path under which isolated environments are reached: `/e/NAME`.
pub const ENVIRONMENT_PATH: &str = "/e/";

/// Name of an isolated environment: part of its host name and of its path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub struct EnvironmentName(Arc<str>);

impl EnvironmentName {
    /// A DNS label (RFC 1123 §2.1): 1 to 63 letters, digits and inner hyphens. Case does not count.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let is_label = (1..=63).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !text.starts_with('-')
            && !text.ends_with('-');
        is_label.then(|| Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name in `NAME.localhost:PORT`.
    pub fn of_authority(authority: &str) -> Option<Self> {
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host).to_ascii_lowercase();
        Self::parse(host.strip_suffix(".localhost")?)
    }

    /// Splits `/e/NAME/rest` into name and `/rest`; the query stays with the rest. RFC 8414 §3.1 puts its well-known
    /// path before the issuer's, so `/.well-known/…/e/NAME` belongs to that environment as well.
    pub fn split_path(path_and_query: &str) -> Option<(Self, &str)> {
        for document in WELL_KNOWN {
            if let Some(issuer_path) = path_and_query.strip_prefix(document)
                && let Some((name, "")) = Self::split_path(issuer_path)
            {
                return Some((name, document));
            }
        }
        let rest = path_and_query.trim_start_matches('/').strip_prefix(&ENVIRONMENT_PATH[1..])?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        Some((Self::parse(&rest[..end])?, &rest[end..]))
    }
}

/// The URLs of an isolated environment, made from those of the default one: `NAME.localhost` for every `localhost`,
/// and a path below every one.
pub fn urls_of(name: &EnvironmentName, default: &[PublicUrl]) -> Vec<PublicUrl> {
    let by_host = default.iter().filter(|u| u.host() == "localhost" && u.path().is_empty()).filter_map(|u| {
        let port = u.authority().strip_prefix("localhost")?;
        PublicUrl::parse(&format!("{}://{}.localhost{port}", u.scheme(), name.as_str())).ok()
    });
    let by_path = default
        .iter()
        .filter_map(|u| PublicUrl::parse(&u.join(&format!("{ENVIRONMENT_PATH}{}", name.as_str()))).ok());
    by_host.chain(by_path).collect()
}

/// How strict the environment is: Scalekit's two kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Local development, tests and demos: inbox, test users, loopback redirects.
    Development,
    /// Real people: no inbox, no test users, only `https` and custom-scheme redirect URIs.
    Production,
}

/// A base URL without trailing slash: scheme, host, optional port, optional path prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    base: Arc<str>,
    authority: Arc<str>,
}

/// Why a text is no public URL.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PublicUrlError {
    #[error("is not an absolute URL")]
    NotAbsolute,
    #[error("must start with http:// or https://")]
    Scheme,
    #[error("must have no query, fragment or user name")]
    Extra,
}

impl PublicUrl {
    /// Parses `http(s)://host[:port][/prefix]`; a trailing slash is dropped.
    pub fn parse(text: &str) -> Result<Self, PublicUrlError> {
        let url = Url::parse(text).map_err(|_| PublicUrlError::NotAbsolute)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(PublicUrlError::Scheme);
        }
        let host = url.host_str().ok_or(PublicUrlError::NotAbsolute)?;
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
            return Err(PublicUrlError::Extra);
        }
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let base = url.as_str().trim_end_matches('/');
        Ok(Self { base: base.into(), authority: authority.into() })
    }

    /// The issuer identifier (OpenID Connect Core 1.0 §2): this URL, no trailing slash.
    pub fn issuer(&self) -> &str {
        &self.base
    }

    /// Host and, where it is not the scheme's default, port: what a request's `Host` header says.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The host alone; an IPv6 address without its brackets.
    pub fn host(&self) -> String {
        host_of(&self.authority)
    }

    /// The path prefix, without a trailing slash: empty for most.
    pub fn path(&self) -> &str {
        let after_scheme = self.base.find("://").map_or(0, |at| at + 3);
        self.base[after_scheme..].find('/').map_or("", |at| &self.base[after_scheme + at..])
    }

    pub fn scheme(&self) -> &str {
        if self.base.starts_with("https:") { "https" } else { "http" }
    }

    /// True when browsers reach this URL over TLS, so that cookies can be `Secure`.
    pub fn is_secure(&self) -> bool {
        self.scheme() == "https"
    }

    /// This URL with an absolute `path` (starting with `/`) appended.
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

/// What the mail carries: Scalekit's dashboard switch "Magic link & OTP".
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub enum PasswordlessType {
    #[serde(rename = "OTP")]
    Otp,
    #[serde(rename = "LINK")]
    Link,
    #[serde(rename = "LINK_OTP")]
    LinkOtp,
}

impl PasswordlessType {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Otp => "OTP",
            Self::Link => "LINK",
            Self::LinkOtp => "LINK_OTP",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Otp, Self::Link, Self::LinkOtp].into_iter().find(|t| t.as_str() == text)
    }

    pub fn has_code(self) -> bool {
        self != Self::Link
    }

    pub fn has_link(self) -> bool {
        self != Self::Otp
    }
}

/// The passwordless panel of Scalekit's dashboard.
#[derive(Debug, Clone)]
pub struct PasswordlessSettings {
    /// Switched off, no e-mail method is offered.
    pub enabled: bool,
    pub passwordless_type: PasswordlessType,
    /// How long a code or link lives, 60..=3600 s.
    pub validity_s: i64,
    pub enforce_same_browser_origin: bool,
    pub regenerate_passwordless_credentials_on_resend: bool,
    /// Digits of a code. Scalekit uses 6.
    pub code_length: u32,
    /// `conn_…`: appears in `amr` and, in the modular profile, in `sub`.
    pub connection_id: String,
    /// May unknown addresses sign up?
    pub sign_up_allowed: bool,
}

/// What `login_hint` does on the hosted pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginHintMode {
    /// Mail the address at once and ask for the code.
    Send,
    /// Fill the form and let the person press the button.
    Prefill,
}

/// When logout asks the person first. A hint that belongs to another session always asks (OpenID Connect RP-Initiated
/// Logout 1.0 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogoutConfirm {
    /// Where no valid `id_token_hint` came with the request, as the specification demands (§2, §6).
    WithoutHint,
    /// Not for want of a hint: samples and tests call logout without one.
    Never,
}

impl LogoutConfirm {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WithoutHint => "without_hint",
            Self::Never => "never",
        }
    }
}

/// Addresses that sign in with a fixed code and receive no mail.
#[derive(Debug, Clone)]
pub struct TestUsers {
    pub enabled: bool,
    /// Patterns of addresses; `*` stands for any run of characters. Default `*+sktest*@*`.
    pub patterns: Vec<String>,
    /// Six digits, 424242 by default.
    pub static_code: String,
}

/// Which claims the tokens carry, and how long they live.
#[derive(Debug, Clone)]
pub struct TokenSettings {
    /// `true`: Scalekit's full-stack profile (`sub` = `usr_…`, `oid`, `sid`); `false`: modular (`conn_…;email`).
    pub user_management: bool,
    pub access_token_lifetime_s: i64,
    pub id_token_lifetime_s: i64,
    pub client_token_lifetime_s: i64,
    pub authorization_code_lifetime_s: i64,
    pub refresh_token_lifetime_s: i64,
    /// How long a rotated refresh token, repeated, gets the same successor again instead of an alarm.
    pub refresh_grace_s: i64,
}

/// How long a browser session lives (single sign-on over the environment's applications).
#[derive(Debug, Clone)]
pub struct SessionSettings {
    pub absolute_timeout_s: i64,
    pub idle_timeout_s: i64,
}

/// Limits against guessing and flooding.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Code attempts judged per authentication request within the window.
    pub code_attempts: u32,
    pub code_attempts_window_s: i64,
    /// Mails per address and window; `None` switches the limit off.
    pub mails_per_address: Option<u32>,
    pub mails_window_s: i64,
    /// Mails that one source may cause within that window; `None` switches the limit off.
    pub mails_per_source: Option<u32>,
    /// Mails that all sources together may cause within that window; `None` switches the limit off.
    pub mails_in_all: Option<u32>,
    /// Wrong codes per address and 24 hours that are not reached: one fewer is judged. `None` switches the limit off.
    pub failed_attempts_per_address: Option<u32>,
    /// How long a started sign-in may take from first page to proof.
    pub auth_request_lifetime_s: i64,
}

/// What people see of the environment's owner.
#[derive(Debug, Clone)]
pub struct Branding {
    pub name: String,
    /// A file, served by ourselves so that pages make no third-party request.
    pub logo_path: Option<std::path::PathBuf>,
    /// CSS colour `#rrggbb` of buttons and links.
    pub accent_color: String,
    pub support_email: Option<String>,
}

#[derive(Debug, Clone)]
pub struct MailFrom {
    pub name: String,
    pub address: EmailAddress,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_isolated_environment_is_named_by_host_or_path() {
        let named = |text| EnvironmentName::parse(text).unwrap();
        assert_eq!(EnvironmentName::of_authority("Run-7.localhost:6870"), Some(named("run-7")));
        assert_eq!(EnvironmentName::of_authority("run-7.localhost"), Some(named("run-7")));
        for other in
            ["localhost:6870", "a.b.localhost", "127.0.0.1:1", "x.example.com", ".localhost", "-.localhost"]
        {
            assert_eq!(EnvironmentName::of_authority(other), None, "{other}");
        }
        assert_eq!(EnvironmentName::split_path("/e/a1/oauth/token"), Some((named("a1"), "/oauth/token")));
        assert_eq!(EnvironmentName::split_path("//e/a1?x=/e/b"), Some((named("a1"), "?x=/e/b")));
        assert_eq!(EnvironmentName::split_path("/e/a1"), Some((named("a1"), "")));
        assert_eq!(
            EnvironmentName::split_path("/.well-known/oauth-authorization-server/e/a1"),
            Some((named("a1"), "/.well-known/oauth-authorization-server"))
        );
        assert_eq!(EnvironmentName::split_path("/.well-known/openid-configuration/e/a1/x"), None);
        for other in ["/e/", "/e", "/eternal/a", "/e/a_b/x", "/oauth/token"] {
            assert_eq!(EnvironmentName::split_path(other), None, "{other}");
        }
    }

    #[test]
    fn its_urls_follow_those_of_the_default_one() {
        let default: Vec<PublicUrl> =
            ["http://localhost:6870", "https://127.0.0.1:6870", "https://auth.example.com/idp"]
                .map(|u| PublicUrl::parse(u).unwrap())
                .into();
        let urls = urls_of(&EnvironmentName::parse("a").unwrap(), &default);
        let texts: Vec<&str> = urls.iter().map(PublicUrl::issuer).collect();
        assert_eq!(
            texts,
            [
                "http://a.localhost:6870",
                "http://localhost:6870/e/a",
                "https://127.0.0.1:6870/e/a",
                "https://auth.example.com/idp/e/a"
            ]
        );
        assert_eq!(urls.iter().map(PublicUrl::path).collect::<Vec<_>>(), ["", "/e/a", "/e/a", "/idp/e/a"]);
    }
}
