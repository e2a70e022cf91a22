//! What an operator sees of a running server: logs, metrics and traces. None of them holds an address, a code, a token
//! or a query string, but for [`EMAIL_LINES`].

pub mod metrics;
pub mod request;
#[cfg(feature = "otel")]
mod traces;
#[cfg(not(feature = "otel"))]
#[path = "without_traces.rs"]
mod traces;

use std::error::Error;
use std::ffi::OsStr;
use std::io::IsTerminal as _;

use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{EnvFilter, Layer, Registry};

pub use traces::TracesError;

use crate::config::{LogFormat, LogSettings, TraceSettings};
use traces::Exporter;

/// The target of the lines that say in development what an email has: its address, code and link. They are no part of
/// traces.
pub const EMAIL_LINES: &str = "vestibule::email";

/// What has to be ended with the process: see [`Telemetry::finish`].
#[must_use]
pub struct Telemetry(Option<Exporter>);

impl Telemetry {
    /// Sends the spans that were not sent yet. Waits a few seconds for a collector at most.
    pub fn finish(self) {
        if let Some(exporter) = self.0 {
            exporter.finish();
        }
    }
}

/// Starts logging, to standard error as text or JSON, and tracing where it is configured. Called once, at the start of
/// the process and outside of any runtime.
pub fn init(log: &LogSettings, traces: Option<&TraceSettings>) -> Result<Telemetry, TracesError> {
    let exporter = traces.map(Exporter::new).transpose()?;
    let filter = EnvFilter::try_new(&log.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(is_coloured(std::io::stderr().is_terminal(), std::env::var_os("NO_COLOR").as_deref()))
        .with_span_events(FmtSpan::NONE);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match log.format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    // A second initialisation, as in tests, keeps the first.
    let _: Result<(), TryInitError> = match &exporter {
        None => tracing_subscriber::registry().with(lines).with(filter).try_init(),
        Some(exporter) => {
            let lines = lines.with_filter(filter);
            tracing_subscriber::registry().with(lines).with(exporter.layer()).try_init()
        }
    };
    Ok(Telemetry(exporter))
}

/// Colour is for users at a terminal who did not ask for none (no-color.org); in files it would be noise.
fn is_coloured(is_terminal: bool, no_color: Option<&OsStr>) -> bool {
    is_terminal && no_color.is_none_or(OsStr::is_empty)
}

/// An error with its causes, each said once: many errors name their cause themselves.
pub fn said_once(error: &(dyn Error + 'static)) -> String {
    let mut said = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !said.contains(&text) {
            said = format!("{said}: {text}");
        }
        next = cause.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Failed {
        #[error("cannot write ready.json: {0}")]
        Named(#[source] io::Error),
        #[error("cannot write ready.json")]
        Left(#[source] io::Error),
    }

    #[test]
    fn colour_is_for_a_terminal_where_nobody_refused_it() {
        for (is_terminal, no_color, expected) in [
            (true, None, true),
            (true, Some(""), true),
            (true, Some("1"), false),
            (false, None, false),
            (false, Some("1"), false),
        ] {
            let found = is_coloured(is_terminal, no_color.map(OsStr::new));
            assert_eq!(found, expected, "{is_terminal} {no_color:?}");
        }
    }

    #[test]
    fn a_cause_is_said_once_whoever_names_it() {
        let refused = || io::Error::from_raw_os_error(13);
        let said = "cannot write ready.json: Permission denied (os error 13)";
        assert_eq!(said_once(&Failed::Named(refused())), said);
        assert_eq!(said_once(&Failed::Left(refused())), said);
    }
}
