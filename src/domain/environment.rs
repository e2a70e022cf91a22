//! An environment: one isolated provider with its own clients, settings and people. Scalekit's word for what
//! other products call a tenant or a project. Today a process serves one; every use case already receives it.

use std::sync::Arc;

use url::Url;

use super::client::Client;
use super::email::EmailAddress;

/// Identifier of the environment that exists when nothing else is configured.
pub const DEFAULT_ENVIRONMENT_ID: &str = "env_687000000000000001";

/// Everything about one environment that requests need to know and that configuration decides.
#[derive(Debug, Clone)]
pub struct Environment {
    pub id: String,
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
}

impl Environment {
    /// The client with this id, when it is registered here.
    pub fn client(&self, client_id: &str) -> Option<&Client> {
        self.clients.iter().find(|c| c.client_id == client_id)
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
    pub fn host(&self) -> &str {
        let host = match self.authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => &self.authority,
        };
        host.trim_start_matches('[').trim_end_matches(']')
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
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
