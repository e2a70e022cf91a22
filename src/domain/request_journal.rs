//! The request journal: the last requests to an environment, for tests and users who ask what an application did.
//!
//! No secret gets in. The value of a parameter is kept where a list here names the parameter, and nowhere else; so is what
//! stands in the place of a path's placeholder. Bodies of API calls and headers are not kept at all.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::clock::UnixMs;
use super::email::EmailAddress;
use super::glob::glob;

/// Most requests that can be kept of an environment.
pub const MAX_KEPT: i64 = 2_000;

/// Longest text that is kept of anything, in bytes.
const MAX_TEXT_BYTES: usize = 200;

/// Most parameters that are kept of a request.
const MAX_PARAMETERS: usize = 16;

/// Most applications and methods that are told of as not emulated.
const MAX_NOT_EMULATED: usize = 100;

/// Longest id or name that is kept of a stranger's words, in bytes. Codes, tokens and secrets of ours are longer.
const MAX_ID_BYTES: usize = 40;

/// What is kept of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
    Value,
    /// An id, and nothing else that was sent in its place, such as a secret.
    Id,
    /// A URI without what may hold a secret: its query, its fragment, and a password.
    Uri,
    /// An email address, and nothing else that was sent in its place.
    Address,
    /// That it was there.
    Name,
}

/// Parameters that are known. A parameter that is not among them is counted, and not even its name is kept: where an
/// application makes a mistake, the secret may stand in the place of the name.
const PARAMETERS: &[(&str, Keep)] = &[
    ("access_token", Keep::Name),
    ("account", Keep::Value),
    ("audience", Keep::Value),
    ("choice", Keep::Value),
    ("claims", Keep::Name),
    ("client_id", Keep::Id),
    ("client_secret", Keep::Name),
    ("code", Keep::Name),
    ("code_challenge", Keep::Name),
    ("code_challenge_method", Keep::Value),
    ("code_verifier", Keep::Name),
    ("connection_id", Keep::Id),
    ("display", Keep::Value),
    ("domain", Keep::Value),
    ("email", Keep::Address),
    ("grant_type", Keep::Value),
    ("id_token_hint", Keep::Name),
    ("link_token", Keep::Name),
    ("login_hint", Keep::Address),
    ("max_age", Keep::Value),
    ("nonce", Keep::Name),
    ("organization_id", Keep::Id),
    ("page_size", Keep::Value),
    ("page_token", Keep::Name),
    ("post_logout_redirect_uri", Keep::Uri),
    ("prompt", Keep::Value),
    ("provider", Keep::Value),
    ("redirect_uri", Keep::Uri),
    ("refresh_token", Keep::Name),
    ("request", Keep::Name),
    ("request_uri", Keep::Name),
    ("response_mode", Keep::Value),
    ("response_type", Keep::Value),
    ("scope", Keep::Value),
    ("sent", Keep::Value),
    ("state", Keep::Name),
    ("token", Keep::Name),
    ("token_type_hint", Keep::Value),
    ("ui_locales", Keep::Value),
];

/// Placeholders of the API's paths that stand for ids and names.
const PATH_FIELDS: &[&str] = &[
    "client_id",
    "connection_id",
    "external_id",
    "id",
    "org_id",
    "organization_id",
    "permission_name",
    "res_id",
    "resource_id",
    "role_name",
    "secret_id",
    "session_id",
    "user_id",
];

/// A parameter as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedParameter {
    pub name: &'static str,
    /// `None`: it was there, and is not kept.
    pub value: Option<String>,
}

/// The parameters of a request, as they are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordedParameters {
    pub known: Vec<RecordedParameter>,
    /// How many others there were.
    pub others: u32,
}

impl RecordedParameters {
    /// Adds a parameter of the query or of a form.
    pub fn add(&mut self, name: &str, value: &str) {
        let known = PARAMETERS.iter().find(|(known, _)| *known == name);
        let Some((name, keep)) = known.filter(|_| self.known.len() < MAX_PARAMETERS) else {
            self.others = self.others.saturating_add(1);
            return;
        };
        let value = match keep {
            Keep::Value => Some(shortened(value)),
            Keep::Id => is_id(value).then(|| value.to_owned()),
            Keep::Uri => uri_without_secrets(value),
            Keep::Address => EmailAddress::parse(value).is_ok().then(|| shortened(value)),
            Keep::Name => None,
        };
        self.known.push(RecordedParameter { name, value });
    }

    /// Adds the parameters of a form to those of its query.
    pub fn extend(&mut self, more: Self) {
        let room = MAX_PARAMETERS.saturating_sub(self.known.len());
        let left_out = more.known.len().saturating_sub(room);
        self.known.extend(more.known.into_iter().take(room));
        self.others = self
            .others
            .saturating_add(more.others)
            .saturating_add(u32::try_from(left_out).unwrap_or(u32::MAX));
    }

    /// The first value of a parameter.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.known.iter().find(|parameter| parameter.name == name)?.value.as_deref()
    }
}

fn uri_without_secrets(uri: &str) -> Option<String> {
    let bare = uri.split(['?', '#']).next().unwrap_or_default();
    (!bare.contains('@')).then(|| shortened(bare))
}

/// A text of a stranger's, cut to what is kept of it.
pub fn shortened(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_TEXT_BYTES)].to_owned()
}

/// Can it be an id or a name, and no secret?
pub fn is_id(text: &str) -> bool {
    (1..=MAX_ID_BYTES).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.:@".contains(&b))
}

/// A path of the API with the ids and names that it was asked with. What is none keeps its placeholder.
pub fn filled_path(template: &str, fields: &[(&str, Option<String>)]) -> String {
    let filled = fields.iter().fold(template.to_owned(), |path, (name, value)| match value {
        Some(value) if PATH_FIELDS.contains(name) && is_id(value) => {
            path.replace(&format!("{{{name}}}"), value)
        }
        _ => path,
    });
    shortened(&filled)
}

/// By which surface a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    /// OAuth 2.0 and OpenID Connect.
    Oauth,
    /// Scalekit's API by REST.
    Rest,
    /// Scalekit's API by gRPC.
    Grpc,
    /// A page that users see while they sign in.
    Page,
    Other,
}

impl RequestKind {
    /// Of an HTTP request to this path.
    pub fn of_path(path: &str) -> Self {
        let is_below = |prefixes: &[&str]| prefixes.iter().any(|prefix| path.starts_with(prefix));
        if is_below(&["/api/v1/"]) {
            Self::Rest
        } else if is_below(&["/login/", "/invite/", "/magicLink/"]) {
            Self::Page
        } else if is_below(&["/oauth/", "/oidc/", "/.well-known/", "/userinfo", "/keys", "/revoke"]) {
            Self::Oauth
        } else {
            Self::Other
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Oauth => "oauth",
            Self::Rest => "rest",
            Self::Grpc => "grpc",
            Self::Page => "page",
            Self::Other => "other",
        }
    }
}

/// A request as the journal has it.
#[derive(Debug, Clone)]
pub struct RecordedRequest {
    /// Grows with every request to the environment.
    pub number: i64,
    /// What the server's log and `x-request-id` call it.
    pub request_id: String,
    /// When it was answered, by the environment's clock.
    pub at_ms: UnixMs,
    pub kind: RequestKind,
    /// HTTP method.
    pub method: String,
    /// Path, or gRPC method, with ids in it but no secret.
    pub path: String,
    /// What the path is an example of; `None`: of nothing that is there.
    pub route: Option<String>,
    /// The client that the request is of, as far as the request says so.
    pub client_id: Option<String>,
    pub parameters: RecordedParameters,
    /// HTTP status; `None`: the connection ended without a response.
    pub status: Option<u16>,
    /// Number of the gRPC status, of a gRPC call.
    pub grpc_status: Option<i32>,
    /// Until the response began.
    pub duration: Duration,
    /// The code of the error that the caller was told.
    pub error: Option<&'static str>,
    /// The fault rule that was applied.
    pub fault: Option<String>,
    /// What it asked for that is not emulated.
    pub not_emulated: Option<String>,
}

impl RecordedRequest {
    /// What `since` takes.
    pub fn id(&self) -> String {
        id_of(self.number)
    }
}

const ID_PREFIX: &str = "req_";

/// The id of a request, which sorts as its number does.
pub fn id_of(number: i64) -> String {
    format!("{ID_PREFIX}{number:019}")
}

/// The number in the id of a request.
pub fn number_of(id: &str) -> Option<i64> {
    id.strip_prefix(ID_PREFIX)?.parse().ok().filter(|number| *number >= 0)
}

/// Which requests to list.
#[derive(Debug, Clone, Default)]
pub struct RequestFilter {
    /// Path or route; `*` stands for any characters.
    pub path: Option<String>,
    pub client_id: Option<String>,
    /// Only requests after the one with this number.
    pub after: Option<i64>,
    pub offset: usize,
    pub limit: usize,
}

impl RequestFilter {
    fn matches(&self, request: &RecordedRequest) -> bool {
        let is_path = |pattern: &str| {
            glob(pattern, &request.path) || request.route.as_deref().is_some_and(|route| glob(pattern, route))
        };
        self.path.as_deref().is_none_or(is_path)
            && (self.client_id.is_none() || self.client_id == request.client_id)
            && self.after.is_none_or(|after| request.number > after)
    }
}

/// How often an application asked for something that is not emulated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotEmulatedCalls {
    /// `None`: the requests did not say.
    pub client_id: Option<String>,
    /// Method of Scalekit's API, or HTTP method and path.
    pub name: String,
    pub times: u64,
    pub last_at_ms: UnixMs,
}

/// The last requests to an environment, oldest first.
#[derive(Debug)]
pub struct RequestLog {
    kept: VecDeque<Arc<RecordedRequest>>,
    last_number: i64,
    not_emulated: Vec<NotEmulatedCalls>,
}

impl RequestLog {
    /// An empty log. A later start begins with higher numbers, so that a cursor of an earlier one hides nothing.
    pub fn begun_at(now_ms: UnixMs) -> Self {
        Self {
            kept: VecDeque::new(),
            last_number: now_ms.clamp(0, i64::MAX >> 20) << 20,
            not_emulated: vec![],
        }
    }

    /// Adds a request, and drops the oldest of those beyond `keep`.
    pub fn push(&mut self, mut request: RecordedRequest, keep: usize) {
        self.last_number += 1;
        request.number = self.last_number;
        if let Some(name) = &request.not_emulated {
            self.count_not_emulated(name, &request);
        }
        self.kept.push_back(Arc::new(request));
        while self.kept.len() > keep {
            self.kept.pop_front();
        }
    }

    fn count_not_emulated(&mut self, name: &str, request: &RecordedRequest) {
        let has_room = self.not_emulated.len() < MAX_NOT_EMULATED;
        let known = self.not_emulated.iter_mut().find(|c| c.client_id == request.client_id && c.name == name);
        match known {
            Some(calls) => {
                calls.times += 1;
                calls.last_at_ms = request.at_ms;
            }
            None if has_room => self.not_emulated.push(NotEmulatedCalls {
                client_id: request.client_id.clone(),
                name: name.to_owned(),
                times: 1,
                last_at_ms: request.at_ms,
            }),
            None => {}
        }
    }

    /// Those that the filter means, newest first.
    pub fn find(&self, filter: &RequestFilter) -> Vec<Arc<RecordedRequest>> {
        let fitting = self.kept.iter().rev().filter(|request| filter.matches(request));
        fitting.skip(filter.offset).take(filter.limit).cloned().collect()
    }

    /// The number of the last request.
    pub fn last_number(&self) -> i64 {
        self.last_number
    }

    /// What was asked for since the last reset that is not emulated, most often first.
    pub fn not_emulated(&self) -> Vec<NotEmulatedCalls> {
        let mut calls = self.not_emulated.clone();
        calls.sort_by(|a, b| b.times.cmp(&a.times).then_with(|| a.name.cmp(&b.name)));
        calls
    }

    /// Forgets everything but the number of the last request.
    pub fn clear(&mut self) {
        self.kept.clear();
        self.not_emulated.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: &str, client_id: Option<&str>) -> RecordedRequest {
        RecordedRequest {
            number: 0,
            request_id: "r".to_owned(),
            at_ms: 1,
            kind: RequestKind::of_path(path),
            method: "GET".to_owned(),
            path: path.to_owned(),
            route: Some(path.to_owned()),
            client_id: client_id.map(str::to_owned),
            parameters: RecordedParameters::default(),
            status: Some(200),
            grpc_status: None,
            duration: Duration::ZERO,
            error: None,
            fault: None,
            not_emulated: None,
        }
    }

    fn filter() -> RequestFilter {
        RequestFilter { limit: 10, ..RequestFilter::default() }
    }

    fn paths(found: &[Arc<RecordedRequest>]) -> Vec<&str> {
        found.iter().map(|request| request.path.as_str()).collect()
    }

    #[test]
    fn values_are_kept_where_the_list_says_so_and_nowhere_else() {
        let mut parameters = RecordedParameters::default();
        for (name, value) in [
            ("grant_type", "authorization_code"),
            ("code", "SECRET-1"),
            ("code_verifier", "SECRET-2"),
            ("client_secret", "SECRET-3"),
            ("refresh_token", "SECRET-4"),
            ("state", "SECRET-5"),
            ("redirect_uri", "https://app.example.com/cb?token=SECRET-6#SECRET-7"),
            ("post_logout_redirect_uri", "https://jane:SECRET-8@app.example.com/"),
            ("login_hint", "SECRET-9"),
            ("password", "SECRET-10"),
            ("client_id", "SECRET-that-stands-where-the-id-of-its-client-belongs"),
            ("SECRET-11", ""),
            ("Code", "SECRET-12"),
        ] {
            parameters.add(name, value);
        }
        assert!(!format!("{parameters:?}").contains("SECRET"), "{parameters:?}");
        assert_eq!(parameters.value("grant_type"), Some("authorization_code"));
        assert_eq!(parameters.value("redirect_uri"), Some("https://app.example.com/cb"));
        assert_eq!((parameters.value("code"), parameters.others), (None, 3));
        let names: Vec<_> = parameters.known.iter().map(|parameter| parameter.name).collect();
        assert!(names.contains(&"code") && names.contains(&"login_hint"), "{names:?}");
        let mut hinted = RecordedParameters::default();
        hinted.add("login_hint", "jane@example.com");
        assert_eq!(hinted.value("login_hint"), Some("jane@example.com"));
    }

    #[test]
    fn parameters_are_in_order_and_listed_once() {
        assert!(PARAMETERS.is_sorted_by(|a, b| a.0 < b.0) && PATH_FIELDS.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn paths_are_filled_with_ids_and_never_with_anything_longer() {
        let id = |value: &str| vec![("id", Some(value.to_owned())), ("link_id", Some("SECRET".to_owned()))];
        let template = "/api/v1/organizations/{id}/portal_links/{link_id}";
        let filled = filled_path(template, &id("org_1"));
        assert_eq!(filled, "/api/v1/organizations/org_1/portal_links/{link_id}");
        for odd in ["", "a b", "a/b", "é", "x".repeat(41).as_str()] {
            assert_eq!(filled_path(template, &id(odd)), template, "{odd:?}");
        }
        assert_eq!(filled_path("/api/v1/users/{id}", &[("id", None)]), "/api/v1/users/{id}");
    }

    #[test]
    fn the_oldest_go_first_and_a_cursor_gives_what_came_after_it() {
        let mut log = RequestLog::begun_at(1_000);
        for path in ["/a", "/b", "/c"] {
            log.push(request(path, None), 2);
        }
        assert_eq!(paths(&log.find(&filter())), ["/c", "/b"]);
        let cursor = number_of(&id_of(log.last_number()));
        assert_eq!(cursor, Some(log.last_number()));
        assert!(log.find(&RequestFilter { after: cursor, ..filter() }).is_empty());
        log.push(request("/d", None), 2);
        assert_eq!(paths(&log.find(&RequestFilter { after: cursor, ..filter() })), ["/d"]);
        let later = RequestLog::begun_at(1_001);
        assert!(later.last_number() > log.last_number(), "a later start hides nothing behind a cursor");
        log.clear();
        assert!(log.find(&filter()).is_empty());
        log.push(request("/e", None), 2);
        assert_eq!(paths(&log.find(&RequestFilter { after: cursor, ..filter() })), ["/e"]);
        log.push(request("/f", None), 0);
        assert!(log.find(&filter()).is_empty());
        for odd in ["", "req_", "req_x", "msg_1", "req_-1"] {
            assert_eq!(number_of(odd), None, "{odd}");
        }
    }

    #[test]
    fn requests_are_found_by_path_route_and_client() {
        let mut log = RequestLog::begun_at(0);
        log.push(
            RecordedRequest {
                route: Some("/api/v1/users/{id}".into()),
                ..request("/api/v1/users/usr_1", None)
            },
            9,
        );
        log.push(request("/oauth/token", Some("skc_1")), 9);
        log.push(request("/oauth/token", Some("skc_2")), 9);
        let by_path = |path: &str| RequestFilter { path: Some(path.to_owned()), ..filter() };
        assert_eq!(log.find(&by_path("/oauth/*")).len(), 2);
        assert_eq!(log.find(&by_path("/api/v1/users/usr_1")).len(), 1);
        assert_eq!(log.find(&by_path("/api/v1/users/{id}")).len(), 1);
        assert_eq!(log.find(&by_path("/oauth")).len(), 0);
        let of_client = RequestFilter { client_id: Some("skc_1".to_owned()), ..filter() };
        assert_eq!(log.find(&of_client).len(), 1);
        let page = RequestFilter { offset: 1, limit: 1, ..filter() };
        assert_eq!(log.find(&page)[0].client_id.as_deref(), Some("skc_1"));
    }

    #[test]
    fn what_is_not_emulated_is_counted_by_application_for_longer_than_requests_are_kept() {
        let mut log = RequestLog::begun_at(0);
        let call = |name: &str, client_id| RecordedRequest {
            not_emulated: Some(name.to_owned()),
            ..request("/x", client_id)
        };
        for _ in 0..4 {
            log.push(call("DirectoryService/ListDirectories", Some("skc_1")), 1);
        }
        log.push(call("DirectoryService/ListDirectories", Some("skc_2")), 1);
        for n in 0..200 {
            log.push(call(&format!("GET /{n}"), None), 1);
        }
        let calls = log.not_emulated();
        assert_eq!((calls[0].client_id.as_deref(), calls[0].times), (Some("skc_1"), 4));
        assert_eq!(calls.len(), MAX_NOT_EMULATED);
        log.clear();
        assert!(log.not_emulated().is_empty());
    }

    /// docs/SECURITY.md says how much memory the journal takes at most.
    #[test]
    fn a_recorded_request_takes_at_most_six_kibibytes() {
        let long = "x".repeat(100_000);
        let text = || Some(shortened(&long));
        let mut parameters = RecordedParameters::default();
        for _ in 0..1_000 {
            parameters.add("scope", &long);
        }
        parameters.extend(parameters.clone());
        let kept = RecordedRequest {
            request_id: shortened(&long),
            method: shortened(&long),
            path: filled_path(&long, &[]),
            route: text(),
            client_id: text(),
            fault: text(),
            not_emulated: text(),
            parameters,
            ..request("/x", None)
        };
        let texts = [Some(&kept.request_id), Some(&kept.method), Some(&kept.path), kept.route.as_ref()];
        let more = [&kept.client_id, &kept.fault, &kept.not_emulated].map(Option::as_ref);
        let values = kept.parameters.known.iter().map(|parameter| parameter.value.as_ref());
        let bytes: usize = texts.into_iter().chain(more).chain(values).flatten().map(String::capacity).sum();
        let own =
            size_of::<RecordedRequest>() + kept.parameters.known.capacity() * size_of::<RecordedParameter>();
        assert!(bytes + own <= 6 * 1024, "{bytes} + {own}");
    }
}
