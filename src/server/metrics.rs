//! `/metrics`, for Prometheus.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};

use crate::http::context::Ctx;
use crate::http::errors::Problem;
use crate::http::guard;
use crate::service::readings;
use crate::telemetry::metrics::MEDIA_TYPE;

/// `GET /metrics`: the figures of this server process, in OpenMetrics' text format. It answers in an outage of the
/// database too, and says so.
pub async fn show(request: HttpRequest, Ctx(context): Ctx) -> Result<HttpResponse, Problem> {
    if let Err(refusal) = guard::metrics(&request, &context) {
        return Ok(refusal);
    }
    let readings = readings::read(&context).await;
    let text = context.provider.metrics().text(readings).map_err(|error| {
        tracing::error!(%error, "the figures cannot be written");
        Problem::broken()
    })?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, MEDIA_TYPE))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(text))
}
