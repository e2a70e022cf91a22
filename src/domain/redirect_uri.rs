//! Redirect URIs: how they are registered, and which requests they allow.
//!
//! Comparison is exact, byte for byte (RFC 9700 §2.1), with three registered widenings: one wildcard in the
//! leftmost host label (Scalekit, development only), any port of a registered loopback address (RFC 8252 §7.3,
//! native clients), and in development any loopback `http` address unless redirects are strict.

use std::net::{Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use super::settings::Mode;
use super::uri_scheme;

/// Longest URI that can be registered, in characters (Scalekit's dashboard).
pub const MAX_LENGTH: usize = 256;

/// A registered redirect URI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedirectPattern {
    text: String,
    /// Text before and after the `*` of a wildcard host label.
    wildcard: Option<(String, String)>,
}

/// Why a URI cannot be registered. The sentence follows the URI it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RedirectUriError {
    #[error("is longer than 256 characters")]
    TooLong,
    #[error("is not an absolute URI such as https://app.example.com/callback")]
    NotAbsolute,
    #[error("uses a scheme that browsers execute or open locally")]
    DangerousScheme,
    #[error(
        "uses a scheme that browsers or systems handle themselves, so no application would get the answer"
    )]
    SystemScheme,
    #[error("must name its host in ASCII letters, such as xn--bcher-kva.example for b\u{fc}cher.example")]
    HostNotAscii,
    #[error("must not contain a fragment (#)")]
    Fragment,
    #[error("must not contain a user name or password")]
    Userinfo,
    #[error(
        "may contain one *, only in the leftmost label of the host and never directly under the top-level domain"
    )]
    Wildcard,
    #[error("must name one page, without *")]
    WildcardInPage,
    #[error("must use https or a custom scheme in production mode")]
    HttpInProduction,
    #[error("must not point to this computer in production mode")]
    LoopbackInProduction,
    #[error("must not contain a wildcard in production mode")]
    WildcardInProduction,
}

impl RedirectPattern {
    /// Checks a URI for registration: absolute, without a fragment or credentials, and in production mode with https
    /// or a scheme of the application's own (RFC 6749, section 3.1.2; RFC 8252, section 7.1).
    ///
    /// A query is accepted although Scalekit's dashboard refuses one: OpenID Connect allows it and compares it
    /// byte for byte.
    pub fn parse(text: &str, mode: Mode) -> Result<Self, RedirectUriError> {
        if text.chars().count() > MAX_LENGTH {
            return Err(RedirectUriError::TooLong);
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
            return Err(RedirectUriError::NotAbsolute);
        }
        if text.contains('#') {
            return Err(RedirectUriError::Fragment);
        }
        let wildcard = split_wildcard(text)?;
        // A wildcard is no URL character everywhere: parse with a letter in its place.
        let url = Url::parse(&text.replacen('*', "w", 1)).map_err(|_| RedirectUriError::NotAbsolute)?;
        if uri_scheme::is_dangerous(url.scheme()) {
            return Err(RedirectUriError::DangerousScheme);
        }
        if !is_host_ascii(text) {
            return Err(RedirectUriError::HostNotAscii);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(RedirectUriError::Userinfo);
        }
        let web = matches!(url.scheme(), "http" | "https");
        if web && url.host_str().is_none_or(str::is_empty) {
            return Err(RedirectUriError::NotAbsolute);
        }
        if wildcard.is_some() && !web {
            return Err(RedirectUriError::Wildcard);
        }
        if mode == Mode::Production {
            if wildcard.is_some() {
                return Err(RedirectUriError::WildcardInProduction);
            }
            if uri_scheme::is_of_system(url.scheme()) {
                return Err(RedirectUriError::SystemScheme);
            }
            if url.scheme() == "http" {
                return Err(RedirectUriError::HttpInProduction);
            }
            if web && is_loopback(&url) {
                return Err(RedirectUriError::LoopbackInProduction);
            }
        }
        Ok(Self { text: text.to_owned(), wildcard })
    }

    /// Checks the address of one page, which browsers are sent to as it stands.
    pub fn parse_page(text: &str, mode: Mode) -> Result<Self, RedirectUriError> {
        let page = Self::parse(text, mode)?;
        if page.is_wildcard() { Err(RedirectUriError::WildcardInPage) } else { Ok(page) }
    }

    /// The URI as registered.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Does it stand for many URIs?
    pub fn is_wildcard(&self) -> bool {
        self.wildcard.is_some()
    }

    pub(super) fn allows(&self, requested: &str, any_loopback_port: bool) -> bool {
        if self.text == requested {
            return true;
        }
        if let Some((before, after)) = &self.wildcard {
            let middle = requested.strip_prefix(before.as_str()).and_then(|r| r.strip_suffix(after.as_str()));
            // The wildcard stands for part of one label: letters, digits, hyphens, at least one.
            return middle
                .is_some_and(|m| !m.is_empty() && m.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
        }
        any_loopback_port && same_but_for_port(&self.text, requested)
    }
}

/// Finds the one wildcard a host may hold; anything else with a `*` is an error.
fn split_wildcard(text: &str) -> Result<Option<(String, String)>, RedirectUriError> {
    let Some((before, after)) = text.split_once('*') else { return Ok(None) };
    if after.contains('*') {
        return Err(RedirectUriError::Wildcard);
    }
    let (_, label_start) = before.split_once("://").ok_or(RedirectUriError::Wildcard)?;
    if label_start.contains(['/', '?', '.', '@', ':']) {
        return Err(RedirectUriError::Wildcard);
    }
    let host_rest = after.split(['/', '?', ':']).next().unwrap_or_default();
    // `auth-*.acme.com`: behind the wildcard's label at least two more labels.
    let parent = host_rest.split_once('.').map(|(_, parent)| parent).ok_or(RedirectUriError::Wildcard)?;
    if !parent.contains('.') || parent.split('.').any(str::is_empty) {
        return Err(RedirectUriError::Wildcard);
    }
    Ok(Some((before.to_owned(), after.to_owned())))
}

fn is_loopback(url: &Url) -> bool {
    let is_own_ipv4 = |ip: Ipv4Addr| ip.is_loopback() || ip == Ipv4Addr::UNSPECIFIED;
    match url.host() {
        Some(Host::Domain(name)) => {
            // `localhost.` is the same name, from the root on.
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        Some(Host::Ipv4(ip)) => is_own_ipv4(ip),
        Some(Host::Ipv6(ip)) => {
            ip.is_loopback() || ip == Ipv6Addr::UNSPECIFIED || ip.to_ipv4_mapped().is_some_and(is_own_ipv4)
        }
        None => false,
    }
}

/// Is the host written as it goes over the wire (RFC 3986 §3.2.2)? What a browser makes of other letters, or of
/// percent-encoded ones, may be another host: full-width `localhost` is `localhost`.
fn is_host_ascii(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else { return true };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.is_ascii() && !authority.contains('%')
}

/// A loopback `http` URL that a development environment may send browsers to.
pub(super) fn parse_loopback(text: &str) -> Option<Url> {
    // `http:localhost` is an absolute URL to the parser, and relative to the page it stands on to browsers.
    if text.len() > 2048
        || !text.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http://"))
        || text.contains('#')
        || text.contains(|c: char| c.is_control() || c.is_whitespace() || c == '\\')
        || !is_host_ascii(text)
    {
        return None;
    }
    let url = Url::parse(text).ok()?;
    let plain = url.scheme() == "http" && url.username().is_empty() && url.password().is_none();
    // What is refused in production includes `localhost.`; what is allowed here has only the usual spelling.
    let from_root = url.domain().is_some_and(|name| name.ends_with('.'));
    (plain && !from_root && is_loopback(&url)).then_some(url)
}

/// The same text but for the port (RFC 8252 §7.3), on loopback. Other spellings of one address are other URIs.
fn same_but_for_port(registered: &str, requested: &str) -> bool {
    let is_loopback = |text| parse_loopback(text).is_some();
    let same = split_port(registered).is_some_and(|parts| split_port(requested) == Some(parts));
    same && is_loopback(registered) && is_loopback(requested)
}

/// What stands before and behind the port of an `http` URI, or where it would stand.
fn split_port(uri: &str) -> Option<(&str, &str)> {
    let start = uri.strip_prefix("http://").map(|rest| uri.len() - rest.len())?;
    let end = uri[start..].find(['/', '?']).map_or(uri.len(), |at| start + at);
    let host_end = match uri[start..end].rfind(':') {
        Some(colon) if uri[start + colon + 1..end].bytes().all(|b| b.is_ascii_digit()) => start + colon,
        _ => end,
    };
    Some((&uri[..host_end], &uri[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::client::{Client, ClientKind, RedirectVerdict, check_redirect_uri};
    use proptest::prelude::*;

    fn client(kind: ClientKind, uris: &[&str]) -> Client {
        let uris: Vec<_> =
            uris.iter().map(|u| RedirectPattern::parse(u, Mode::Development).unwrap()).collect();
        Client {
            client_id: "skc_1".into(),
            name: "App".into(),
            kind,
            redirect_uris: uris.clone(),
            post_logout_redirect_uris: uris,
            initiate_login_uri: None,
            backchannel_logout_uri: None,
            enforce_pkce: false,
            require_pushed_authorization_requests: false,
            id_token_signed_response_alg: Default::default(),
            access_token_lifetime_s: None,
            instant_sign_in: false,
            api: Default::default(),
            branding: Default::default(),
        }
    }

    fn web(uris: &[&str]) -> Client {
        client(ClientKind::Web { secrets: vec![] }, uris)
    }

    fn strict(client: &Client, uri: &str) -> bool {
        check_redirect_uri(client, uri, Mode::Development, true).is_allowed()
    }

    #[test]
    fn registration_follows_the_rules_of_each_mode() {
        use RedirectUriError::*;
        let cases: &[(&str, Option<RedirectUriError>, Option<RedirectUriError>)] = &[
            ("https://app.example.com/cb", None, None),
            ("https://app.example.com/cb?x=1", None, None),
            ("http://app.example.com/cb", None, Some(HttpInProduction)),
            ("http://localhost:3000/cb", None, Some(HttpInProduction)),
            ("https://localhost/cb", None, Some(LoopbackInProduction)),
            ("https://[::1]/cb", None, Some(LoopbackInProduction)),
            ("myapp://login/callback", None, None),
            ("com.example.app:/callback", None, None),
            ("https://*.acme.com/cb", None, Some(WildcardInProduction)),
            ("https://auth-*.acme.com/cb", None, Some(WildcardInProduction)),
            ("https://*.com/cb", Some(Wildcard), Some(Wildcard)),
            ("https://a.*.acme.com/cb", Some(Wildcard), Some(Wildcard)),
            ("https://*.*.acme.com/cb", Some(Wildcard), Some(Wildcard)),
            ("https://acme.com/*", Some(Wildcard), Some(Wildcard)),
            ("https://acme.com?x=*", Some(Wildcard), Some(Wildcard)),
            ("https://user@acme.com/cb", Some(Userinfo), Some(Userinfo)),
            ("https://acme.com/cb#x", Some(Fragment), Some(Fragment)),
            ("/cb", Some(NotAbsolute), Some(NotAbsolute)),
            ("javascript:alert(1)", Some(DangerousScheme), Some(DangerousScheme)),
            ("data:text/html,x", Some(DangerousScheme), Some(DangerousScheme)),
            ("VBScript:x", Some(DangerousScheme), Some(DangerousScheme)),
            ("blob:https://acme.com/1", Some(DangerousScheme), Some(DangerousScheme)),
            ("about:blank", Some(DangerousScheme), Some(DangerousScheme)),
            ("file:///etc/passwd", Some(DangerousScheme), Some(DangerousScheme)),
            ("filesystem:https://acme.com/temporary/x", Some(DangerousScheme), Some(DangerousScheme)),
            ("view-source:https://acme.com/", Some(DangerousScheme), Some(DangerousScheme)),
            ("chrome://settings", Some(DangerousScheme), Some(DangerousScheme)),
            ("jar:https://acme.com/a.jar!/x", Some(DangerousScheme), Some(DangerousScheme)),
            ("ms-settings:privacy", Some(DangerousScheme), Some(DangerousScheme)),
            ("ms-msdt:x", Some(DangerousScheme), Some(DangerousScheme)),
            ("ms-app://s-1-15-2-1/", None, None),
            ("mailto:me@acme.com", None, Some(SystemScheme)),
            ("tel:+1", None, Some(SystemScheme)),
            ("sms:+1", None, Some(SystemScheme)),
            ("ftp://acme.com/cb", None, Some(SystemScheme)),
            ("ws://acme.com/cb", None, Some(SystemScheme)),
            ("wss://acme.com/cb", None, Some(SystemScheme)),
            ("https://localhost./cb", None, Some(LoopbackInProduction)),
            ("https://app.localhost./cb", None, Some(LoopbackInProduction)),
            ("https://[::ffff:127.0.0.1]/cb", None, Some(LoopbackInProduction)),
            ("https://[::ffff:7f00:1]/cb", None, Some(LoopbackInProduction)),
            ("https://0x7f.1/cb", None, Some(LoopbackInProduction)),
            ("https://localhost.acme.com/cb", None, None),
            ("http://\u{ff4c}ocalhost:3000/cb", Some(HostNotAscii), Some(HostNotAscii)),
            ("http://%6cocalhost:3000/cb", Some(HostNotAscii), Some(HostNotAscii)),
            ("https://b\u{fc}cher.example/cb", Some(HostNotAscii), Some(HostNotAscii)),
            ("https://xn--bcher-kva.example/cb", None, None),
            ("https://acme.com/r\u{fc}ckruf", None, None),
            ("https://acme.com\\@evil.io/", Some(NotAbsolute), Some(NotAbsolute)),
        ];
        for (uri, dev, prod) in cases {
            assert_eq!(RedirectPattern::parse(uri, Mode::Development).err(), *dev, "{uri}");
            assert_eq!(RedirectPattern::parse(uri, Mode::Production).err(), *prod, "{uri}");
        }
    }

    #[test]
    fn a_page_that_browsers_are_sent_to_is_one_page() {
        let parse = |uri| RedirectPattern::parse_page(uri, Mode::Development);
        assert!(parse("https://app.acme.com/login").is_ok());
        assert_eq!(parse("https://*.acme.com/login").err(), Some(RedirectUriError::WildcardInPage));
    }

    #[test]
    fn a_registered_uri_matches_byte_for_byte() {
        let c = web(&["https://app.example.com/cb"]);
        assert!(strict(&c, "https://app.example.com/cb"));
        for near in [
            "https://app.example.com/cb/",
            "https://app.example.com/cb?x=1",
            "https://app.example.com:443/cb",
            "https://APP.example.com/cb",
            "http://app.example.com/cb",
            "https://app.example.com/cb#x",
            "https://app.example.com.evil.io/cb",
            "https://app.example.com/%63b",
            "",
        ] {
            assert!(!strict(&c, near), "{near}");
        }
    }

    #[test]
    fn a_wildcard_stands_for_part_of_one_label() {
        let c = web(&["https://auth-*.acme.com/cb"]);
        assert!(strict(&c, "https://auth-eu.acme.com/cb"));
        for bad in [
            "https://auth-.acme.com/cb",
            "https://auth-a.b.acme.com/cb",
            "https://auth-x/.acme.com/cb",
            "https://auth-evil.io?.acme.com/cb",
            "https://auth-a@b.acme.com/cb",
            "https://auth-eu.acme.com/cb/x",
        ] {
            assert!(!strict(&c, bad), "{bad}");
        }
    }

    #[test]
    fn native_clients_may_use_any_loopback_port() {
        let native = client(ClientKind::Native, &["http://127.0.0.1:0/callback"]);
        assert!(strict(&native, "http://127.0.0.1:51234/callback"));
        assert!(!strict(&native, "http://127.0.0.1:51234/other"));
        assert!(!strict(&native, "http://localhost:51234/callback"));
        assert!(strict(&native, "http://127.0.0.1/callback"));
        for other_spelling in [
            "http://127.1:1/callback",
            "http://0x7f000001:1/callback",
            "http://127.0.0.1:1/x/../callback",
            "http://127.0.0.1:1/./callback",
            "HTTP://127.0.0.1:1/callback",
            "http:127.0.0.1:1/callback",
            "http://127.0.0.1:1/callback?",
            "http://127.0.0.1:99999/callback",
        ] {
            assert!(!strict(&native, other_spelling), "{other_spelling}");
        }
        let native = client(ClientKind::Native, &["http://[::1]/callback"]);
        assert!(strict(&native, "http://[::1]:51234/callback"));
        assert!(!strict(&native, "http://[0::1]:51234/callback"));
        assert!(!strict(&web(&["http://127.0.0.1:1/callback"]), "http://127.0.0.1:51234/callback"));
    }

    #[test]
    fn development_lets_loopback_through_unless_strict() {
        let c = web(&[]);
        for uri in [
            "http://localhost:3000/cb",
            "http://127.0.0.1/cb?x=1",
            "http://[::1]:9/",
            "http://app.localhost:1/cb",
        ] {
            assert_eq!(
                check_redirect_uri(&c, uri, Mode::Development, false),
                RedirectVerdict::LoopbackInDevelopment
            );
            assert!(!strict(&c, uri));
            assert!(!check_redirect_uri(&c, uri, Mode::Production, false).is_allowed());
        }
        for uri in [
            "http://localhost.evil.io/cb",
            "http://localhost@evil.io/cb",
            "http://127.0.0.1.evil.io/",
            "https://evil.io/",
            "http://localhost:3000/cb#x",
            "http://localhost\\@evil.io/",
            "//localhost/",
            "http:localhost/cb",
            "http:/localhost/cb",
            "http://evil.io/?http://localhost",
            "http://\u{ff4c}ocalhost:3000/cb",
            "http://loc\u{2460}lhost/cb",
            "http://\u{ff11}27.0.0.1/cb",
            "http://%6cocalhost:3000/cb",
            "http://localhost.:3000/cb",
            "http://app.localhost./cb",
            "http://localhost../cb",
        ] {
            assert!(!check_redirect_uri(&c, uri, Mode::Development, false).is_allowed(), "{uri}");
        }
    }

    proptest! {
        #[test]
        fn nothing_but_the_registered_text_is_allowed_when_strict(uri in "\\PC{0,60}") {
            let c = web(&["https://app.example.com/cb"]);
            prop_assert_eq!(strict(&c, &uri), uri == "https://app.example.com/cb");
        }

        #[test]
        fn what_a_wildcard_allows_stays_below_its_domain(middle in "\\PC{0,30}") {
            let c = web(&["https://auth-*.acme.com/cb"]);
            let uri = format!("https://auth-{middle}.acme.com/cb");
            if strict(&c, &uri) {
                let host = Url::parse(&uri).unwrap();
                prop_assert!(host.host_str().unwrap().ends_with(".acme.com"));
            }
        }
    }
}
