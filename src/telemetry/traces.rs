//! Traces, sent to an OpenTelemetry collector by OTLP over HTTP. A thread of its own sends them, so no request waits for
//! the collector; what it does not take is lost. Built with the feature `otel`; `without_traces.rs` stands in otherwise.

use std::time::Duration;

use http::HeaderMap;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{TraceContextExt as _, TracerProvider as _};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::{Level, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::registry::LookupSpan;

use super::EMAIL_LINES;
use crate::config::TraceSettings;

/// How long the end of the process waits for a collector.
const FINISH_WITHIN: Duration = Duration::from_secs(3);

/// How long a collector may take for one batch.
const SEND_WITHIN: Duration = Duration::from_secs(10);

/// Why traces cannot be sent.
#[derive(Debug, thiserror::Error)]
#[error("traces.endpoint cannot be used: {0}")]
pub struct TracesError(#[from] opentelemetry_otlp::ExporterBuildError);

/// Sends spans in batches. A caller's decision to trace counts; what begins here is sampled.
pub(super) struct Exporter(SdkTracerProvider);

impl Exporter {
    pub(super) fn new(settings: &TraceSettings) -> Result<Self, TracesError> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_endpoint(format!("{}/v1/traces", settings.endpoint.trim_end_matches('/')))
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(SEND_WITHIN)
            .build()?;
        let sampler = Sampler::TraceIdRatioBased(f64::from(settings.sample_percent) / 100.0);
        let resource = Resource::builder().with_service_name(settings.service_name.clone()).build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::ParentBased(Box::new(sampler)))
            .with_resource(resource)
            .build();
        Ok(Self(provider))
    }

    /// Makes spans of ours into spans of a trace: requests, statements, deliveries. What is logged within them goes
    /// along.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let ours = Targets::new()
            .with_target("vestibule", Level::INFO)
            .with_target("vestibule::storage", Level::DEBUG)
            // They have addresses and codes, which are for who develops, and not for a collector.
            .with_target(EMAIL_LINES, LevelFilter::OFF);
        // Paths of sources and numbers of threads help nobody who reads a trace.
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer("vestibule"))
            .with_location(false)
            .with_threads(false)
            .with_filter(ours)
    }

    /// Sends the spans that were not sent yet.
    pub(super) fn finish(&self) {
        if let Err(error) = self.0.shutdown_with_timeout(FINISH_WITHIN) {
            tracing::warn!(%error, "the last spans could not be sent");
        }
    }
}

/// Lets the trace that the caller began go on in this span (W3C Trace Context §3.2).
pub(super) fn set_parent(span: &Span, headers: &HeaderMap) {
    if headers.contains_key("traceparent") {
        let context = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
        // Without an exporter there is nothing to set it on.
        let _ = span.set_parent(context);
    }
}

/// Names the span that runs now; `name` is asked for only where there is a trace.
pub(super) fn set_name(name: impl FnOnce() -> String) {
    let context = Span::current().context();
    if context.has_active_span() {
        context.span().update_name(name());
    }
}
