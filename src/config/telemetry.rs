//! `[log]`, `[metrics]` and `[traces]`.

use secrecy::SecretString;

use super::secrets::read_secret;
use super::setting::{Section, Setting};
use super::source::Source;

static LOG_FORMAT: Setting<LogFormat> = Setting::choice(
    "log.format",
    &[("text", LogFormat::Text), ("json", LogFormat::Json)],
    LogFormat::Text,
    "Format of a log line.",
);

pub(super) static LOG_FILTER: Setting<&str> = Setting::text(
    "log.filter",
    // Our own words, and trouble of the libraries.
    "info,actix_server=warn,sqlx=warn,rustls_platform_verifier=off",
    "Level, or levels by module: `warn,vestibule=debug`. In development every email is a line of `vestibule::email`; `info,vestibule::email=off` leaves these out.",
);

static METRICS_ENABLED: Setting<bool> =
    Setting::boolean("metrics.enabled", true, "Serve them. In production mode they need a token.");

static METRICS_TOKEN: Setting<Option<&str>> = Setting::optional_text(
    "metrics.token",
    "",
    "Required as Bearer token when set, 16 characters or more. Default: control.token.",
);

static TRACES_ENDPOINT: Setting<Option<&str>> = Setting::optional_text(
    "traces.endpoint",
    "http://127.0.0.1:4318",
    "Base URL of the collector, which speaks OTLP over HTTP. `OTEL_EXPORTER_OTLP_HEADERS` adds headers. The program must be built with the feature `otel`, as the container image is.",
)
.also_from("OTEL_EXPORTER_OTLP_ENDPOINT");

static TRACES_SERVICE_NAME: Setting<&str> =
    Setting::text("traces.service_name", "vestibule", "Name of this service in traces.")
        .also_from("OTEL_SERVICE_NAME");

static TRACES_SAMPLE_PERCENT: Setting<i64> = Setting::integer(
    "traces.sample_percent",
    0..=100,
    100,
    "Percentage of the traces that begin here. A caller's decision outranks it.",
);

pub(super) fn log_section() -> Section {
    Section {
        table: "log",
        is_list: false,
        about: "Logs go to standard error.",
        settings: vec![LOG_FORMAT.facts(), LOG_FILTER.facts()],
    }
}

pub(super) fn metrics_section() -> Section {
    Section {
        table: "metrics",
        is_list: false,
        about: "Metrics for Prometheus at /metrics. In development everybody on this machine may read them, or the holder of the control API's token.",
        settings: vec![METRICS_ENABLED.facts(), METRICS_TOKEN.facts()],
    }
}

pub(super) fn traces_section() -> Section {
    Section {
        table: "traces",
        is_list: false,
        about: "Traces for an OpenTelemetry collector. Without an endpoint there are none.",
        settings: vec![TRACES_ENDPOINT.facts(), TRACES_SERVICE_NAME.facts(), TRACES_SAMPLE_PERCENT.facts()],
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone)]
pub struct LogSettings {
    pub format: LogFormat,
    /// A `tracing` filter such as `info` or `vestibule=debug`.
    pub filter: String,
}

/// Metrics for Prometheus.
#[derive(Debug, Clone)]
pub struct MetricsSettings {
    pub enabled: bool,
    /// Required of the reader when set.
    pub token: Option<SecretString>,
}

/// Where traces go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceSettings {
    /// Base URL of an OpenTelemetry collector that speaks OTLP over HTTP.
    pub endpoint: String,
    pub service_name: String,
    /// Of the traces that begin here, how many are sent.
    pub sample_percent: u8,
}

pub(super) fn read_log(source: &mut Source) -> LogSettings {
    LogSettings { format: source.choice(&LOG_FORMAT), filter: source.text(&LOG_FILTER) }
}

/// Metrics follow the control API where nothing else is said: open on loopback in development, by its token where it has
/// one, and otherwise for nobody.
pub(super) fn read_metrics(
    source: &mut Source,
    is_open: bool,
    control_token: Option<&SecretString>,
) -> MetricsSettings {
    let token = read_secret(source, &METRICS_TOKEN).or(control_token.cloned());
    let enabled = source.boolean(&METRICS_ENABLED.or(token.is_some() || is_open));
    if enabled && token.is_none() && !is_open {
        source.problem(
            METRICS_TOKEN.key(),
            "is missing: in production mode, and with a listener that others can reach, metrics need a token \
             (VESTIBULE_METRICS__TOKEN)",
        );
    }
    MetricsSettings { enabled, token }
}

pub(super) fn read_traces(source: &mut Source) -> Option<TraceSettings> {
    let endpoint = source.optional_text(&TRACES_ENDPOINT);
    let service_name = source.text(&TRACES_SERVICE_NAME);
    let sample_percent = u8::try_from(source.integer(&TRACES_SAMPLE_PERCENT)).unwrap_or_default();
    let endpoint = endpoint?;
    let is_url = url::Url::parse(&endpoint).is_ok_and(|u| matches!(u.scheme(), "http" | "https"));
    if !is_url {
        source.problem(TRACES_ENDPOINT.key(), "must be a URL such as http://127.0.0.1:4318");
    }
    is_url.then_some(TraceSettings { endpoint, service_name, sample_percent })
}
