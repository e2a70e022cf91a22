//! What the HTTP edges share: contexts, parameters, cookies, guards, errors, and the frame around pages.

pub mod api_error;
pub mod assets;
mod brand;
pub mod context;
pub mod cookies;
pub mod denied;
pub mod endpoint;
pub mod errors;
pub mod event_text;
pub mod guard;
pub mod not_emulated;
pub mod openapi_ext;
pub mod params;
pub mod render;
pub mod selector;
pub mod texts;
pub mod views;

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};

/// What stands in a segment of a path (RFC 3986 §3.3): our ids stay as they are, anything else is percent-encoded.
pub fn path_segment(text: &str) -> String {
    const PLAIN: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    percent_encoding::utf8_percent_encode(text, PLAIN).to_string()
}

/// 303: the next request is a GET, whatever this one was (RFC 9700 §4.12). What no URI may hold as it is (RFC 3986 §2),
/// such as letters beyond ASCII, is percent-encoded, as browsers would read it anyway.
pub fn see_other(location: &str) -> HttpResponse {
    const NEVER_PLAIN: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS.add(b' ');
    let location = percent_encoding::utf8_percent_encode(location, NEVER_PLAIN).to_string();
    match header::HeaderValue::from_str(&location) {
        Ok(value) => HttpResponse::build(StatusCode::SEE_OTHER)
            .insert_header((header::LOCATION, value))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .insert_header((header::REFERRER_POLICY, "no-referrer"))
            .finish(),
        Err(_) => {
            tracing::error!("a redirect target was no header value");
            HttpResponse::InternalServerError().finish()
        }
    }
}
