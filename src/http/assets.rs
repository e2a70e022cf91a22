//! Styles, scripts and the logo, from the binary and from our own address: pages make no third-party request.

use std::borrow::Cow;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use rust_embed::RustEmbed;

use super::brand;
use crate::http::context::Ctx;
use crate::http::errors::Problem;
use crate::service::files;

/// Largest logo.
const MAX_LOGO_BYTES: u64 = 4 << 20;

/// How long browsers keep a file, in seconds; an ETag answers sooner checks.
const CACHE_CONTROL: &str = "public, max-age=300";

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/static/"]
struct Static;

/// `GET /assets/{file}`.
pub async fn file(request: HttpRequest, name: web::Path<String>) -> HttpResponse {
    serve(request, &name).await
}

/// `GET /favicon.ico`: the mark, which pages name as their icon themselves; other answers have no page to name it.
pub async fn icon(request: HttpRequest) -> HttpResponse {
    serve(request, "mark.svg").await
}

async fn serve(request: HttpRequest, name: &str) -> HttpResponse {
    let Some(found) = Static::get(name) else { return super::not_emulated::answer(request).await };
    let etag: String = found.metadata.sha256_hash()[..8].iter().map(|b| format!("{b:02x}")).collect();
    let etag = format!("\"{etag}\"");
    let known = request.headers().get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok());
    let mut response =
        if known == Some(etag.as_str()) { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((header::ETAG, etag.as_str()))
        .insert_header((header::CACHE_CONTROL, CACHE_CONTROL));
    if known == Some(etag.as_str()) {
        return response.finish();
    }
    let bytes = match found.data {
        Cow::Borrowed(embedded) => web::Bytes::from_static(embedded),
        Cow::Owned(read) => read.into(),
    };
    response.content_type(media_type(name)).body(bytes)
}

/// The media types of the files in `static/`.
fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("webp") => "image/webp",
        _ => "application/octet-stream",
    }
}

/// `GET /assets/brand.css`: the configured colour, in the shades that stay readable.
pub async fn brand_css(Ctx(context): Ctx) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/css; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, CACHE_CONTROL))
        .body(brand::brand_css(&context.environment.branding.accent_color))
}

/// `GET /assets/logo`: the configured file.
pub async fn logo(request: HttpRequest, Ctx(context): Ctx) -> HttpResponse {
    let Some(path) = &context.environment.branding.logo_path else {
        return super::not_emulated::answer(request).await;
    };
    match files::read(path, MAX_LOGO_BYTES).await {
        Ok(bytes) => HttpResponse::Ok()
            .content_type(media_type(&path.to_string_lossy()))
            .insert_header((header::CACHE_CONTROL, CACHE_CONTROL))
            // An SVG may carry scripts; here it can run none.
            .insert_header((header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"))
            .body(bytes),
        Err(error) => {
            tracing::error!(path = %path.display(), %error, "the logo cannot be read");
            Problem::new(
                actix_web::http::StatusCode::NOT_FOUND,
                "not_found",
                "No logo",
                "The logo cannot be read.",
            )
            .json()
        }
    }
}
