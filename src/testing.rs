//! For tests written in Rust: a server within the test's process, and an isolated environment for every test.
//!
//! ```no_run
//! # async fn example() -> Result<(), vestibule::testing::TestError> {
//! let server = vestibule::testing::Server::start().await?;
//! let environment = server.new_environment().await?;
//! let mut inbox = environment.inbox("jane@example.com").await?;
//! // … send the browser to `environment.url`, with `environment.client_id` …
//! let code = inbox.next_code().await?;
//! # Ok(())
//! # }
//! ```
//!
//! It is a thin layer over the control API, which docs/CONTROL.md describes.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, Method, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::{Config, ListenAddress, Source};
use crate::crypto::entropy::SystemEntropy;
use crate::domain::clock::SystemClock;
use crate::runtime::EnvironmentRegistry;
use crate::server::{self, Deadlines, Listeners, Listening, ServeError, Stop};
use crate::service::{backchannel_logout, flows, outbox, webhook_delivery};

/// How long an email, an event or a request may take, unless told otherwise.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a helper did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum TestError {
    /// The configuration has errors, named in the text.
    #[error("invalid configuration: {0}")]
    Configuration(String),
    /// The server did not start; the text says why.
    #[error("the server did not start: {0}")]
    Start(String),
    /// The control API refused the request (RFC 9457), or Scalekit's API, which it serves below `/api`.
    #[error("{status}: {detail}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What is wrong, in a sentence.
        detail: String,
        /// Fields, each with what is wrong with it.
        errors: Vec<(String, String)>,
    },
    /// The server did not respond.
    #[error("the server does not respond: {0}")]
    Http(#[from] reqwest::Error),
}

impl From<ServeError> for TestError {
    fn from(error: ServeError) -> Self {
        Self::Start(error.to_string())
    }
}

/// A server on a free port, with a database of its own that goes with it. It stops when it is dropped.
pub struct Server {
    default: Environment,
    stop: Stop,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Asking is enough; the server's thread does the rest.
        let _ = futures_util::FutureExt::now_or_never(self.stop.at_once());
    }
}

impl std::ops::Deref for Server {
    type Target = Environment;

    /// The default environment.
    fn deref(&self) -> &Environment {
        &self.default
    }
}

impl Server {
    /// A server with nothing configured.
    ///
    /// # Errors
    /// When it cannot listen or open its database.
    pub async fn start() -> Result<Self, TestError> {
        Self::with("").await
    }

    /// A server with this `vestibule.toml`.
    ///
    /// # Errors
    /// When the text has mistakes, all of which are named, or the server cannot start.
    pub async fn with(toml: &str) -> Result<Self, TestError> {
        let mut source = Source::default();
        source.add_file(Path::new("vestibule.toml"), toml);
        source.add_flag("ephemeral", "testing", "true");
        let mut config =
            Config::read(source, Path::new(".")).map_err(|e| TestError::Configuration(e.to_string()))?;
        let listeners = server::listen(&ListenAddress { host: "localhost".to_owned(), port: 0 })?;
        let first = listeners.first().and_then(|listener| listener.local_addr().ok());
        config.settle_public_urls(first.map_or(0, |address| address.port()), None);
        let url = config.public_url("http").unwrap_or_default().to_owned();
        let (tell, told) = tokio::sync::oneshot::channel();
        // The server's workers live on their own runtime, whatever runtime the test has.
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                match run(&config, listeners).await {
                    Ok((running, stop)) => {
                        let _ = tell.send(Ok(stop));
                        let _ = running.await;
                    }
                    Err(error) => {
                        let _ = tell.send(Err(error));
                    }
                }
            });
        });
        let stop = told.await.map_err(|_| TestError::Start("its thread ended".to_owned()))??;
        let http = Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
        let mut default =
            Environment { url, http, name: None, client_id: String::new(), client_secret: String::new() };
        let described: Described = default.ask(Method::GET, "/environment", None).await?.json().await?;
        default.client_id = described.client_id.unwrap_or_default();
        default.client_secret = described.client_secret.unwrap_or_default();
        Ok(Self { default, stop })
    }

    /// An isolated environment with credentials, users, clock, inbox and faults of its own.
    ///
    /// # Errors
    /// When the server refuses or does not answer.
    pub async fn new_environment(&self) -> Result<Environment, TestError> {
        self.new_environment_with(json!({})).await
    }

    /// The same, as the body of `POST /_emulator/v1/environments` says: `name`, `settings`, `seed`, `clock`,
    /// `redirect_uris`, `instant_sign_in`.
    ///
    /// # Errors
    /// When a field is wrong, or the server does not answer.
    pub async fn new_environment_with(&self, wanted: Value) -> Result<Environment, TestError> {
        let made: Described = self.ask(Method::POST, "/environments", Some(wanted)).await?.json().await?;
        Ok(Environment {
            url: made.path_url,
            http: self.http.clone(),
            name: made.name,
            client_id: made.client_id.unwrap_or_default(),
            client_secret: made.client_secret.unwrap_or_default(),
        })
    }
}

async fn run(
    config: &Config,
    one_port: Vec<TcpListener>,
) -> Result<(impl Future<Output = std::io::Result<()>>, Stop), TestError> {
    let start = |error: crate::runtime::StartError| TestError::Start(error.to_string());
    let opened = server::open_store(config).await?;
    let parts = server::parts(config, opened.store.clone(), Arc::new(SystemClock), Arc::new(SystemEntropy))?;
    let started = parts.start().await.map_err(start)?;
    let runtime = Arc::new(parts.into_runtime(started).map_err(start)?);
    let registry = EnvironmentRegistry::default();
    registry.fill(runtime.clone());
    let listeners = Listeners {
        one_port,
        tls_only: vec![],
        tls: None,
        ca_file: None,
        workers: Some(1),
        deadlines: Deadlines::default(),
        shutdown_timeout_s: 1,
    };
    let Listening { server, stop } =
        server::listening(registry.clone(), listeners).map_err(|e| TestError::Start(e.to_string()))?;
    actix_web::rt::spawn(outbox::run(registry.clone()));
    actix_web::rt::spawn(backchannel_logout::run(registry.clone()));
    actix_web::rt::spawn(webhook_delivery::run(registry));
    actix_web::rt::spawn(flows::write_always(runtime));
    let running = async move {
        let outcome = server.await;
        // The database lives as long as the server.
        drop(opened);
        outcome
    };
    Ok((running, stop))
}

#[derive(Deserialize)]
struct Described {
    name: Option<String>,
    path_url: String,
    client_id: Option<String>,
    client_secret: Option<String>,
}

/// An email that the server sent.
#[derive(Debug, Clone, Deserialize)]
pub struct Message {
    /// Its ID in the inbox.
    pub id: String,
    /// The address it was sent to.
    pub to: String,
    /// The subject line.
    pub subject: String,
    /// The plain text part.
    pub text: String,
    /// The HTML part.
    pub html: String,
    /// The code, where it has one.
    pub code: Option<String>,
    /// The magic link, where it has one.
    pub link: Option<String>,
    /// The sign-in it belongs to.
    pub auth_request_id: String,
}

/// Something that happened, as webhooks tell it.
#[derive(Debug, Clone, Deserialize)]
pub struct Event {
    /// Its ID, which is the `webhook-id` of its webhooks.
    pub id: String,
    /// Its type, such as `organization.created`.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The organization, where it is about one.
    pub organization_id: Option<String>,
    /// When it happened, by the environment's clock (RFC 3339).
    pub occurred_at: String,
    /// What its type says.
    pub data: Value,
}

/// A request that an application or a browser made to the environment. Nothing secret is in it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct RecordedRequest {
    /// What `since` takes.
    pub id: String,
    /// `oauth`, `rest`, `grpc`, `page` or `other`.
    pub kind: String,
    /// The HTTP method.
    pub method: String,
    /// The path below the environment's URL, or `/service/method` of a gRPC call.
    pub path: String,
    /// The template of the path, such as `/api/v1/users/{id}`.
    pub route: Option<String>,
    /// The client that it is of, where it says so.
    pub client_id: Option<String>,
    /// Parameters of query and form. Values that could be secret are `[redacted]`.
    pub parameters: BTreeMap<String, String>,
    /// The HTTP status; `None` where the connection ended without a response.
    pub status: Option<u16>,
    /// The name of the gRPC status, of a gRPC call.
    pub grpc_status: Option<String>,
    /// How many milliseconds it took.
    pub duration_ms: f64,
    /// The code of the error that the caller was told, such as `invalid_grant`.
    pub error: Option<String>,
    /// The fault rule that was applied.
    pub fault: Option<String>,
    /// What it asked for that is not emulated.
    pub not_emulated: Option<String>,
}

/// How often an application asked for something that is not emulated.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NotEmulated {
    /// The application; `None` where its requests did not say.
    pub client_id: Option<String>,
    /// The method of Scalekit's API, or HTTP method and path.
    pub name: String,
    /// How often.
    pub times: u64,
}

/// Requests, and where the journal stands.
#[derive(Debug, Clone, Deserialize)]
pub struct RequestList {
    /// At most 50, newest first.
    pub requests: Vec<RecordedRequest>,
    /// For `since`: what is asked from now on.
    pub cursor: String,
    /// What applications asked for that is not emulated.
    pub not_emulated: Vec<NotEmulated>,
}

/// Where a browser would be after an instant sign-in.
#[derive(Debug, Clone, Deserialize)]
pub struct SignedIn {
    /// The redirect URI with its parameters.
    pub callback_url: String,
    /// The authorization code.
    pub code: Option<String>,
    /// The `state` of the authorization request.
    pub state: Option<String>,
    /// The error code, where the request was refused (RFC 6749, section 4.1.2.1).
    pub error: Option<String>,
}

/// An environment: put `url`, `client_id` and `client_secret` where Scalekit's were.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The environment URL, which is the issuer.
    pub url: String,
    /// Its name; `None` for the default environment.
    pub name: Option<String>,
    /// The client ID of its first client.
    pub client_id: String,
    /// The secret of that client.
    pub client_secret: String,
    http: Client,
}

/// What the control API refuses, or Scalekit's API, which words it otherwise.
fn refusal(status: u16, body: &Value) -> TestError {
    let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let violations = &body["details"][0]["validation_error_info"]["field_violations"];
    let (detail, errors, reason) = if body["detail"].is_string() {
        ("detail", &body["errors"], "reason")
    } else {
        ("message", violations, "description")
    };
    let errors = errors.as_array().into_iter().flatten();
    let timeline = body["timeline"].as_array().into_iter().flatten().filter_map(Value::as_str);
    TestError::Refused {
        status,
        detail: timeline.fold(text(body, detail), |detail, line| detail + "\n" + line),
        errors: errors.map(|error| (text(error, "field"), text(error, reason))).collect(),
    }
}

impl Environment {
    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<Response, TestError> {
        let mut request = self.http.request(method, format!("{}/_emulator/v1{path}", self.url));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let body: Value = response.json().await.unwrap_or_default();
        Err(refusal(status, &body))
    }

    /// The variables by which an application finds this environment, by the names of Scalekit's documentation.
    pub fn env(&self) -> [(&'static str, &str); 4] {
        [
            ("SCALEKIT_ENVIRONMENT_URL", &self.url),
            ("SCALEKIT_ENV_URL", &self.url),
            ("SCALEKIT_CLIENT_ID", &self.client_id),
            ("SCALEKIT_CLIENT_SECRET", &self.client_secret),
        ]
    }

    /// Opens the inbox of an address, to read what arrives from now on.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn inbox(&self, address: &str) -> Result<Inbox, TestError> {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("to", address)
            .append_pair("page_size", "1")
            .finish();
        let list: Listed = self.ask(Method::GET, &format!("/messages?{query}"), None).await?.json().await?;
        Ok(Inbox { environment: self.clone(), address: address.to_owned(), cursor: list.cursor })
    }

    /// The newest email to an address, as soon as there is one; `since` (an id): only a newer one. Without it, an email
    /// of an earlier sign-in counts; [`Environment::inbox`] cannot give one.
    ///
    /// # Errors
    /// `Refused` with 404 when none came within ten seconds; its text ends with the timeline of the address's newest
    /// sign-in.
    pub async fn wait_for_message(&self, address: &str, since: Option<&str>) -> Result<Message, TestError> {
        self.newest_message(address, since.map(|id| ("since", id))).await
    }

    async fn newest_message(&self, address: &str, which: Option<(&str, &str)>) -> Result<Message, TestError> {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("to", address)
            .append_pair("wait_ms", &PATIENCE.as_millis().to_string())
            .extend_pairs(which)
            .finish();
        let response = self.ask(Method::GET, &format!("/messages/latest?{query}"), None).await?;
        Ok(response.json().await?)
    }

    /// The code of the newest email to an address, never of a sign-in that is over.
    ///
    /// # Errors
    /// As [`Environment::wait_for_message`], and when the email carries no code.
    pub async fn wait_for_code(&self, address: &str) -> Result<String, TestError> {
        let code = self.newest_message(address, Some(("unused", "true"))).await?.code;
        code.ok_or_else(|| missing("the email carries a link and no code"))
    }

    /// The link of the newest email to an address, never of a sign-in that is over.
    ///
    /// # Errors
    /// As [`Environment::wait_for_message`], and when the email carries no link.
    pub async fn wait_for_link(&self, address: &str) -> Result<String, TestError> {
        let link = self.newest_message(address, Some(("unused", "true"))).await?.link;
        link.ok_or_else(|| missing("the email carries a code and no link"))
    }

    /// Where the events stand now: take it before a change, and since it only what that change causes counts.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn event_cursor(&self) -> Result<String, TestError> {
        let list: Listed = self.ask(Method::GET, "/events?page_size=1", None).await?.json().await?;
        Ok(list.cursor)
    }

    /// The newest event of a type, as soon as there is one, whether or not there is a webhook; `since` (an id, or what
    /// [`Environment::event_cursor`] gave): only a newer one.
    ///
    /// # Errors
    /// `Refused` with 404 when none happened within ten seconds.
    pub async fn wait_for_event(&self, event_type: &str, since: Option<&str>) -> Result<Event, TestError> {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("type", event_type)
            .append_pair("page_size", "1")
            .append_pair("wait_ms", &PATIENCE.as_millis().to_string())
            .extend_pairs(since.map(|id| ("since", id)))
            .finish();
        let list: Events = self.ask(Method::GET, &format!("/events?{query}"), None).await?.json().await?;
        let newest = list.events.into_iter().next();
        newest.ok_or_else(|| missing(&format!("no {event_type} happened in time")))
    }

    /// The newest requests to a path, in which `*` stands for any characters, without their secrets.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn requests(&self, path: &str) -> Result<RequestList, TestError> {
        self.requests_within(path, None, Duration::ZERO).await
    }

    async fn requests_within(
        &self,
        path: &str,
        since: Option<&str>,
        wait: Duration,
    ) -> Result<RequestList, TestError> {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("path", path)
            .append_pair("wait_ms", &wait.as_millis().to_string())
            .extend_pairs(since.map(|id| ("since", id)))
            .finish();
        Ok(self.ask(Method::GET, &format!("/requests?{query}"), None).await?.json().await?)
    }

    /// The newest request to a path, in which `*` stands for any characters, as soon as there is one. One that was made
    /// already counts, unless `since` (an id, or a [`RequestList::cursor`]) says that only a newer one does.
    ///
    /// # Errors
    /// `Refused` with 404, and with the last requests, when none came within ten seconds.
    pub async fn expect_request(
        &self,
        path: &str,
        since: Option<&str>,
    ) -> Result<RecordedRequest, TestError> {
        self.expect_request_within(path, since, PATIENCE).await
    }

    /// The same within this time, at most a minute.
    ///
    /// # Errors
    /// As [`Environment::expect_request`].
    pub async fn expect_request_within(
        &self,
        path: &str,
        since: Option<&str>,
        wait: Duration,
    ) -> Result<RecordedRequest, TestError> {
        let found = self.requests_within(path, since, wait).await?.requests;
        if let Some(request) = found.into_iter().next() {
            return Ok(request);
        }
        let last = self.requests("*").await?.requests;
        let seen = last.iter().take(5).map(|request| {
            let status =
                request.status.map_or_else(|| "disconnected".to_owned(), |status| status.to_string());
            format!("{} {} {status}", request.method, request.path)
        });
        let seen = seen.collect::<Vec<_>>().join(", ");
        let seen = if seen.is_empty() { "none" } else { &seen };
        let detail = format!("no request to {path} came in time; the last ones: {seen}");
        Err(TestError::Refused { status: 404, detail, errors: vec![] })
    }

    /// Signs an address in for an authorization URL, without email or page. The client has to allow it.
    ///
    /// # Errors
    /// `Refused` with 403 where it does not.
    pub async fn sign_in(&self, email: &str, authorization_url: &str) -> Result<SignedIn, TestError> {
        let body = json!({ "email": email, "authorization_url": authorization_url });
        Ok(self.ask(Method::POST, "/sign-in", Some(body)).await?.json().await?)
    }

    /// Moves the environment's clock on.
    ///
    /// # Errors
    /// When it would go beyond ten years at once.
    pub async fn advance(&self, by: Duration) -> Result<(), TestError> {
        self.call(Method::PUT, "/clock", json!({ "advance_s": by.as_secs() })).await.map(|_| ())
    }

    /// Everything as it was seeded.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn reset(&self) -> Result<(), TestError> {
        self.call(Method::POST, "/reset", json!({})).await.map(|_| ())
    }

    /// Any call of the control API, such as `POST /faults`, or of Scalekit's API, such as `GET /api/users`; its answer as
    /// JSON, `null` for none.
    ///
    /// # Errors
    /// `Refused` with the fields that are wrong.
    pub async fn call(&self, method: Method, path: &str, body: Value) -> Result<Value, TestError> {
        let text = self.ask(method, path, Some(body)).await?.text().await?;
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    /// Deletes the environment with everything in it; the default one stays.
    ///
    /// # Errors
    /// When it is gone already.
    pub async fn delete(self) -> Result<(), TestError> {
        let Some(name) = &self.name else { return Ok(()) };
        self.ask(Method::DELETE, &format!("/environments/{name}"), None).await.map(|_| ())
    }
}

#[derive(Deserialize)]
struct Listed {
    cursor: String,
}

#[derive(Deserialize)]
struct Events {
    events: Vec<Event>,
}

/// The emails to an address from a moment on. Open it before the sign-in, or before a resend: then no email of an earlier
/// one can be taken for its, however late it is sent.
#[derive(Debug, Clone)]
pub struct Inbox {
    environment: Environment,
    address: String,
    cursor: String,
}

impl Inbox {
    /// The newest email since the inbox was opened or last read, as soon as there is one.
    ///
    /// # Errors
    /// `Refused` with 404 when none came within ten seconds.
    pub async fn next_message(&mut self) -> Result<Message, TestError> {
        let message = self.environment.wait_for_message(&self.address, Some(&self.cursor)).await?;
        self.cursor.clone_from(&message.id);
        Ok(message)
    }

    /// The code of the next email.
    ///
    /// # Errors
    /// As [`Inbox::next_message`], and when the email carries no code.
    pub async fn next_code(&mut self) -> Result<String, TestError> {
        self.next_message().await?.code.ok_or_else(|| missing("the email carries a link and no code"))
    }

    /// The link of the next email.
    ///
    /// # Errors
    /// As [`Inbox::next_message`], and when the email carries no link.
    pub async fn next_link(&mut self) -> Result<String, TestError> {
        self.next_message().await?.link.ok_or_else(|| missing("the email carries a code and no link"))
    }
}

fn missing(detail: &str) -> TestError {
    TestError::Refused { status: 404, detail: detail.to_owned(), errors: vec![] }
}
