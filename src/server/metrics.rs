//! `/metrics`, for Prometheus.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};

use crate::http::context::Ctx;
use crate::http::errors::Problem;
use crate::http::guard;
use crate::service::scrape;
use crate::telemetry::metrics::MEDIA_TYPE;

/// `GET /metrics`: the metrics of this server process, in OpenMetrics' text format. It answers in an outage of the
/// database too, and says so.
pub async fn show(request: HttpRequest, Ctx(context): Ctx) -> Result<HttpResponse, Problem> {
    if let Err(refusal) = guard::metrics(&request, &context) {
        return Ok(refusal);
    }
    let gauges = scrape::read(&context).await;
    let text = context.registry.metrics().text(gauges).map_err(|error| {
        tracing::error!(%error, "metrics cannot be written");
        Problem::broken()
    })?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, MEDIA_TYPE))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(text))
}
