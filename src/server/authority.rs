//! The certificate of the local authority, for machines and containers that cannot read its file.

use std::path::PathBuf;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};

use crate::http::context::Ctx;
use crate::http::errors::Problem;

/// The file with the certificate. `None`: the server has a certificate of one's own, or no TLS.
#[derive(Debug, Clone)]
pub(super) struct CaFile(pub(super) Option<PathBuf>);

/// `GET /_emulator/ca.pem`. It needs no token: every TLS connection shows what this certificate signed, and whoever is to
/// trust it has no safe connection to send a token by.
pub async fn show(request: HttpRequest, Ctx(context): Ctx, file: web::Data<CaFile>) -> HttpResponse {
    let not_there = |text: &str| {
        Problem::new(StatusCode::NOT_FOUND, "not_found", "Not found", text).response_for(&request)
    };
    if context.runtime.server.control.is_off() {
        return not_there("The control API is switched off here (control.enabled, mode).");
    }
    let Some(path) = &file.0 else {
        return not_there("This server has no authority of its own. Trust the issuer of its certificate.");
    };
    // It is renewed while the server runs.
    match tokio::fs::read(path).await {
        Ok(pem) => HttpResponse::Ok()
            .content_type("application/x-pem-file")
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .body(pem),
        Err(error) => {
            tracing::error!(path = %path.display(), %error, "the authority's certificate cannot be read");
            Problem::broken().response_for(&request)
        }
    }
}
