//! Names of isolated environments, and the URLs that follow from them.

use std::sync::Arc;

use super::public_url::PublicUrl;

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
