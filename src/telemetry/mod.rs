//! What an operator sees of a running server: logs, figures and traces. None of them holds an address, a code, a token
//! or a query string.

pub mod metrics;
pub mod request;
mod traces;

use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{EnvFilter, Layer, Registry};

pub use traces::TracesError;

use crate::config::{LogFormat, LogSettings, TraceSettings};

/// What has to be ended with the process: see [`Telemetry::finish`].
#[must_use]
pub struct Telemetry(Option<SdkTracerProvider>);

impl Telemetry {
    /// Sends the spans that were not sent yet. Waits a few seconds for a collector at most.
    pub fn finish(self) {
        if let Some(traces) = self.0 {
            traces::finish(&traces);
        }
    }
}

/// Starts logging, to standard error as text or JSON, and tracing where it is configured. Called once, at the start of
/// the process and outside of any runtime.
pub fn init(log: &LogSettings, traces: Option<&TraceSettings>) -> Result<Telemetry, TracesError> {
    let provider = traces.map(traces::provider).transpose()?;
    let filter = EnvFilter::try_new(&log.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_span_events(FmtSpan::NONE);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match (log.format, &provider) {
        (LogFormat::Text, _) => lines.boxed(),
        (LogFormat::Json, _) => lines.json().boxed(),
    };
    // A second initialisation, as in tests, keeps the first.
    let _: Result<(), TryInitError> = match &provider {
        None => tracing_subscriber::registry().with(lines).with(filter).try_init(),
        Some(provider) => {
            let lines = lines.with_filter(filter);
            tracing_subscriber::registry().with(lines).with(traces::layer(provider)).try_init()
        }
    };
    Ok(Telemetry(provider))
}
