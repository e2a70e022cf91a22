//! Figures for Prometheus. Every label has few values, whatever strangers send: routes as they are registered, methods
//! and codes as they are known, and never an address, a client or an environment.

use std::sync::atomic::Ordering;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::domain::sign_in_event::SignInEvent;

/// What stands for everything that is not known by name.
pub const OTHER: &str = "other";

/// Upper bounds of how long an answer takes, in seconds: around what is usual, and where users begin to wait.
const DURATIONS_S: [f64; 12] = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// Media type of [`Metrics::text`].
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HttpLabels {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabels {
    method: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GrpcLabels {
    method: String,
    code: i32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabels {
    step: &'static str,
    verdict: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenLabels {
    grant_type: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

/// How an attempt to tell somebody something ended: an email server, or an application of a logout or an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    Delivered,
    /// It is tried again.
    Postponed,
    /// It was not wanted, and is not tried again.
    Refused,
    /// It was tried often enough.
    GivenUp,
}

impl Delivery {
    const ALL: [Self; 4] = [Self::Delivered, Self::Postponed, Self::Refused, Self::GivenUp];

    fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Postponed => "postponed",
            Self::Refused => "refused",
            Self::GivenUp => "given_up",
        }
    }
}

/// What is looked up at the time somebody asks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Gauges {
    /// `None`: the database did not answer.
    pub outbox: Option<OutboxGauges>,
    pub connections_in_use: usize,
    pub connections_idle: usize,
    /// Steps that the log of sign-ins had no room for.
    pub steps_lost: u64,
}

/// Emails that wait for the email server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OutboxGauges {
    pub waiting: i64,
    /// Since the oldest of them was written; 0 when none waits.
    pub oldest_age_s: i64,
}

/// The metrics of one server process.
pub struct Metrics {
    registry: Registry,
    http_requests: Family<HttpLabels, Counter>,
    http_durations: Family<RouteLabels, Histogram>,
    grpc_calls: Family<GrpcLabels, Counter>,
    grpc_durations: Family<MethodLabels, Histogram>,
    sign_in_steps: Family<StepLabels, Counter>,
    token_requests: Family<TokenLabels, Counter>,
    mails: Family<OutcomeLabels, Counter>,
    logout_notices: Family<OutcomeLabels, Counter>,
    webhooks: Family<OutcomeLabels, Counter>,
    rows_deleted: Counter,
    steps_lost: Counter,
    connections: Gauge,
    database_up: Gauge,
    database_connections: Family<StateLabels, Gauge>,
    outbox_waiting: Gauge,
    outbox_oldest_age: Gauge,
    resident_memory: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(DURATIONS_S);
        let mut metrics = Self {
            registry: Registry::default(),
            http_requests: Family::default(),
            http_durations: Family::new_with_constructor(histogram),
            grpc_calls: Family::default(),
            grpc_durations: Family::new_with_constructor(histogram),
            sign_in_steps: Family::default(),
            token_requests: Family::default(),
            mails: Family::default(),
            logout_notices: Family::default(),
            webhooks: Family::default(),
            rows_deleted: Counter::default(),
            steps_lost: Counter::default(),
            connections: Gauge::default(),
            database_up: Gauge::default(),
            database_connections: Family::default(),
            outbox_waiting: Gauge::default(),
            outbox_oldest_age: Gauge::default(),
            resident_memory: Gauge::default(),
        };
        // A series that begins with its first failure has no rate at that time.
        for outcome in Delivery::ALL {
            let labels = OutcomeLabels { outcome: outcome.as_str() };
            drop(metrics.mails.get_or_create(&labels));
            drop(metrics.logout_notices.get_or_create(&labels));
            drop(metrics.webhooks.get_or_create(&labels));
        }
        metrics.registry = metrics.registered();
        metrics
    }
}

impl Metrics {
    fn registered(&self) -> Registry {
        let mut registry = Registry::default();
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("vestibule_build", "The program", version);
        let ours = registry.sub_registry_with_prefix("vestibule");
        ours.register("http_requests", "Answered HTTP requests", self.http_requests.clone());
        ours.register_with_unit(
            "http_request_duration",
            "From a request's head to the head of its answer",
            Unit::Seconds,
            self.http_durations.clone(),
        );
        ours.register("grpc_calls", "Answered gRPC calls, by status code", self.grpc_calls.clone());
        ours.register_with_unit(
            "grpc_call_duration",
            "From a call's head to the head of its answer",
            Unit::Seconds,
            self.grpc_durations.clone(),
        );
        ours.register(
            "sign_in_steps",
            "Checks and decisions in sign-ins, as their log tells them",
            self.sign_in_steps.clone(),
        );
        ours.register("token_requests", "Requests for tokens, by OAuth error", self.token_requests.clone());
        ours.register("emails", "Attempts to deliver an email", self.mails.clone());
        ours.register(
            "logout_notices",
            "Attempts to tell an application of a logout",
            self.logout_notices.clone(),
        );
        ours.register("webhooks", "Attempts to deliver a webhook", self.webhooks.clone());
        ours.register("expired_rows_deleted", "Rows that nobody can use any more", self.rows_deleted.clone());
        ours.register(
            "sign_in_steps_lost",
            "Steps that are missing in the log of sign-ins",
            self.steps_lost.clone(),
        );
        ours.register("connections", "Open connections of clients", self.connections.clone());
        ours.register("database_up", "1: the database answered this question", self.database_up.clone());
        ours.register(
            "database_connections",
            "Connections to the database",
            self.database_connections.clone(),
        );
        ours.register("outbox_emails", "Emails that wait for the mail server", self.outbox_waiting.clone());
        ours.register_with_unit(
            "outbox_oldest_age",
            "Since the oldest of them was written",
            Unit::Seconds,
            self.outbox_oldest_age.clone(),
        );
        if cfg!(target_os = "linux") {
            registry.register_with_unit(
                "process_resident_memory",
                "Memory of the process",
                Unit::Bytes,
                self.resident_memory.clone(),
            );
        }
        registry
    }

    /// An answered HTTP request. `route` is the pattern it fits, `None` for what has none.
    pub fn http_request(&self, method: &str, route: Option<String>, status: u16, took: Duration) {
        let route = route.unwrap_or_else(|| OTHER.to_owned());
        self.http_durations.get_or_create(&RouteLabels { route: route.clone() }).observe(took.as_secs_f64());
        self.http_requests.get_or_create(&HttpLabels { method: known_method(method), route, status }).inc();
    }

    /// An answered gRPC call. `method` is one of Scalekit's, as `service/Method`; `None` for all others.
    pub fn grpc_call(&self, method: Option<String>, code: i32, took: Duration) {
        let method = method.unwrap_or_else(|| OTHER.to_owned());
        self.grpc_durations
            .get_or_create(&MethodLabels { method: method.clone() })
            .observe(took.as_secs_f64());
        self.grpc_calls.get_or_create(&GrpcLabels { method, code }).inc();
    }

    /// A step of a sign-in.
    pub fn sign_in_step(&self, event: &SignInEvent) {
        let labels = StepLabels { step: event.subject(), verdict: event.verdict().as_str() };
        self.sign_in_steps.get_or_create(&labels).inc();
    }

    /// A request at the token endpoint; `outcome` is `issued`, or the error of RFC 6749 §5.2.
    pub fn token_request(&self, grant_type: &str, outcome: &'static str) {
        let known = ["authorization_code", "refresh_token", "client_credentials"];
        let grant_type = known.into_iter().find(|k| *k == grant_type).unwrap_or(OTHER);
        self.token_requests.get_or_create(&TokenLabels { grant_type, outcome }).inc();
    }

    pub fn mail(&self, outcome: Delivery) {
        self.mails.get_or_create(&OutcomeLabels { outcome: outcome.as_str() }).inc();
    }

    pub fn logout_notice(&self, outcome: Delivery) {
        self.logout_notices.get_or_create(&OutcomeLabels { outcome: outcome.as_str() }).inc();
    }

    pub fn webhook(&self, outcome: Delivery) {
        self.webhooks.get_or_create(&OutcomeLabels { outcome: outcome.as_str() }).inc();
    }

    pub fn rows_deleted(&self, rows: u64) {
        self.rows_deleted.inc_by(rows);
    }

    /// A client's connection, counted until the guard is dropped.
    pub fn connection(&self) -> OpenConnection {
        self.connections.inc();
        OpenConnection(self.connections.clone())
    }

    /// All metrics in OpenMetrics' text format. `Err`: they cannot be written, which would be our mistake.
    pub fn text(&self, gauges: Gauges) -> Result<String, std::fmt::Error> {
        self.database_up.set(i64::from(gauges.outbox.is_some()));
        // Where nobody knows, the last that was known stands beside `database_up 0`.
        if let Some(outbox) = gauges.outbox {
            self.outbox_waiting.set(outbox.waiting);
            self.outbox_oldest_age.set(outbox.oldest_age_s);
        }
        for (state, count) in [("in_use", gauges.connections_in_use), ("idle", gauges.connections_idle)] {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.database_connections.get_or_create(&StateLabels { state }).set(count);
        }
        self.steps_lost.inner().store(gauges.steps_lost, Ordering::Relaxed);
        if let Some(bytes) = resident_bytes() {
            self.resident_memory.set(bytes);
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// A connection that is open.
pub struct OpenConnection(Gauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn known_method(method: &str) -> &'static str {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    known.into_iter().find(|k| *k == method).unwrap_or(OTHER)
}

/// What the process holds in memory, where the system tells it.
fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: i64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}
