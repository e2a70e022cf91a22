//! Traces, sent to an OpenTelemetry collector by OTLP over HTTP. A thread of its own sends them, so no request waits for
//! the collector; what it does not take is lost.

use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::{Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

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
pub(super) fn provider(settings: &TraceSettings) -> Result<SdkTracerProvider, TracesError> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(format!("{}/v1/traces", settings.endpoint.trim_end_matches('/')))
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(SEND_WITHIN)
        .build()?;
    let sampler = Sampler::TraceIdRatioBased(f64::from(settings.sample_percent) / 100.0);
    let resource = Resource::builder().with_service_name(settings.service_name.clone()).build();
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::ParentBased(Box::new(sampler)))
        .with_resource(resource)
        .build())
}

/// Makes spans of ours into spans of a trace: requests, statements, deliveries. What is logged within them goes along.
pub(super) fn layer<S>(provider: &SdkTracerProvider) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let ours =
        Targets::new().with_target("vestibule", Level::INFO).with_target("vestibule::storage", Level::DEBUG);
    let tracer = provider.tracer("vestibule");
    // Paths of sources and numbers of threads help nobody who reads a trace.
    tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_filter(ours)
}

pub(super) fn finish(provider: &SdkTracerProvider) {
    if let Err(error) = provider.shutdown_with_timeout(FINISH_WITHIN) {
        tracing::warn!(%error, "the last spans could not be sent");
    }
}
