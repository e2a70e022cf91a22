//! The URLs under which an environment is reached.

use std::sync::{Arc, LazyLock};

use url::Url;

use super::host::host_of;

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

/// Only met when configuration left no public URL at all, which `config check` refuses.
pub(super) static FALLBACK_URL: LazyLock<PublicUrl> = LazyLock::new(|| PublicUrl {
    base: Arc::from("http://localhost:6870"),
    authority: Arc::from("localhost:6870"),
});
