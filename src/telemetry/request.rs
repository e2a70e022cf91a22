//! One request: its id, which every line of its log carries and its answer names, and its span.

use std::fmt;

use http::{HeaderMap, HeaderValue};
use tracing::Span;
use uuid::Uuid;

use super::traces;

/// Header by which a request is named, by callers to us and by us to them.
pub const REQUEST_ID: &str = "x-request-id";

/// Longest id taken over from a caller, in characters.
const MAX_LENGTH: usize = 64;

/// Longest path in a log, in its parts.
const MAX_SEGMENTS: usize = 12;

/// Names one request. It is no secret and opens nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    /// The id that came along, so that a caller finds its own in our log; a new one where none came, or one that could
    /// make a log lie.
    #[expect(
        clippy::disallowed_methods,
        reason = "it opens nothing, and requests come before there is a provider"
    )]
    pub fn of(headers: &HeaderMap) -> Self {
        let harmless = |id: &&str| {
            (1..=MAX_LENGTH).contains(&id.len())
                && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
        };
        let shown = headers.get(REQUEST_ID).and_then(|v| v.to_str().ok()).filter(harmless);
        Self(shown.map_or_else(|| Uuid::new_v4().to_string(), str::to_owned))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Names the request in its answer.
    pub fn mark<B>(&self, response: &mut http::Response<B>) {
        if let Ok(value) = HeaderValue::from_str(&self.0) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A path as logs show it: `{}` in the place of whatever is no plain word, since strangers write codes, tokens and
/// addresses there.
pub fn shown_path(path: &str) -> String {
    const LONGEST_WORD: usize = 64;
    let is_version = |s: &str| s.strip_prefix('v').is_some_and(|n| n.len() == 1 && n != "0");
    let is_word = |s: &str| {
        s.len() <= LONGEST_WORD && s.bytes().all(|b| b.is_ascii_alphabetic() || b"-_.:".contains(&b))
    };
    let shown = path.split('/').map(|s| {
        let is_plain = is_version(s) || s.split('.').all(|part| is_version(part) || is_word(part));
        if is_plain && s.len() <= LONGEST_WORD { s } else { "{}" }
    });
    shown.take(MAX_SEGMENTS).collect::<Vec<_>>().join("/")
}

/// The span of a request. Queries, which hold codes and addresses, are left out. A trace that the caller began goes on in
/// it (W3C Trace Context §3.2).
pub fn span<B>(id: &RequestId, request: &http::Request<B>) -> Span {
    let span = tracing::info_span!(
        "request",
        id = id.as_str(),
        method = %request.method(),
        path = shown_path(request.uri().path()),
        otel.kind = "server",
        http.route = tracing::field::Empty,
        http.response.status_code = tracing::field::Empty,
        rpc.grpc.status_code = tracing::field::Empty,
    );
    traces::set_parent(&span, request.headers());
    span
}

/// Names the request's span in a trace, once it is known what was asked for.
pub fn name_span(route: &str, method: Option<&str>) {
    traces::set_name(|| method.map_or_else(|| route.to_owned(), |method| format!("{method} {route}")));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(shown: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, HeaderValue::from_bytes(shown.as_bytes()).unwrap());
        RequestId::of(&headers).to_string()
    }

    #[test]
    fn a_path_is_shown_without_what_may_be_secret() {
        for (path, shown) in [
            ("/oauth/token", "/oauth/token"),
            ("/login/areq_0196", "/login/{}"),
            ("/api/v1/connections/conn_12:enable", "/api/v1/connections/{}"),
            (
                "/scalekit.v1.auth.passwordless.PasswordlessService/Send",
                "/scalekit.v1.auth.passwordless.PasswordlessService/Send",
            ),
            ("/jane@example.com/123456", "/{}/{}"),
            ("/a%0Ab/%31%32", "/{}/{}"),
            ("/assets/vestibule.css", "/assets/vestibule.css"),
            ("/", "/"),
        ] {
            assert_eq!(shown_path(path), shown);
        }
        assert!(shown_path(&"/x".repeat(1000)).len() < 100);
    }

    #[test]
    fn a_callers_id_is_taken_over_unless_it_could_make_a_log_lie() {
        assert_eq!(id("01J9-abc_d.e:f"), "01J9-abc_d.e:f");
        for wrong in ["", "two words", "a\tb", "a=\"b\"", "{}", "é", &"x".repeat(MAX_LENGTH + 1)] {
            assert_eq!(id(wrong).len(), 36, "{wrong:?}");
        }
        assert_ne!(RequestId::of(&HeaderMap::new()), RequestId::of(&HeaderMap::new()));
    }
}
