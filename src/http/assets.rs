//! Styles, scripts and the logo, from the binary and from our own address: pages make no third-party request.

use std::borrow::Cow;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rust_embed::RustEmbed;

use super::{brand, params};
use crate::domain::settings::{Branding, Logo};
use crate::http::context::Ctx;
use crate::http::errors::Problem;
use crate::runtime::Context;
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

/// What the query of a brand's file names: the branding of one application, or the environment's.
fn branding_of(request: &HttpRequest, context: &Context) -> Branding {
    let query = params::query(request).unwrap_or_default();
    match query.one("client_id") {
        Ok(Some(client_id)) => context.environment.branding_of(client_id),
        _ => context.environment.branding.clone(),
    }
}

/// `GET /assets/brand.css`: the configured colour, in the shades that stay readable.
pub async fn brand_css(request: HttpRequest, Ctx(context): Ctx) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/css; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, CACHE_CONTROL))
        .body(brand::brand_css(&branding_of(&request, &context).accent_color))
}

/// `GET /assets/logo`: the configured picture.
pub async fn logo(request: HttpRequest, Ctx(context): Ctx) -> HttpResponse {
    match branding_of(&request, &context).logo {
        Some(logo) => picture(&logo).await,
        None => super::not_emulated::answer(request).await,
    }
}

/// `GET /assets/icon`: what browsers show beside a page's title, the logo or else the mark in the brand's colour.
pub async fn brand_icon(request: HttpRequest, Ctx(context): Ctx) -> HttpResponse {
    let branding = branding_of(&request, &context);
    match &branding.logo {
        Some(logo) => picture(logo).await,
        None => HttpResponse::Ok()
            .content_type("image/svg+xml")
            .insert_header((header::CACHE_CONTROL, CACHE_CONTROL))
            .body(brand::mark(&branding.accent_color)),
    }
}

async fn picture(logo: &Logo) -> HttpResponse {
    let read = match logo {
        Logo::File(path) => match files::read(path, MAX_LOGO_BYTES).await {
            Ok(bytes) => Some((media_type(&path.to_string_lossy()).to_owned(), bytes)),
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "the logo cannot be read");
                None
            }
        },
        Logo::DataUrl(url) => of_data_url(url),
    };
    match read {
        Some((media_type, bytes)) => HttpResponse::Ok()
            .content_type(media_type)
            .insert_header((header::CACHE_CONTROL, CACHE_CONTROL))
            // An SVG may carry scripts; here it can run none.
            .insert_header((header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"))
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .body(bytes),
        None => {
            let text = "The logo cannot be read.";
            Problem::new(StatusCode::NOT_FOUND, "not_found", "No logo", text).json()
        }
    }
}

/// Media type and bytes of a `data:` URL; the configuration lets pictures in alone.
fn of_data_url(url: &str) -> Option<(String, Vec<u8>)> {
    let (media_type, encoded) = url.strip_prefix("data:")?.split_once(";base64,")?;
    Some((media_type.to_owned(), STANDARD.decode(encoded).ok()?))
}
