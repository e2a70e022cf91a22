//! Server-sent events: what the streams of the control API have in common.

use std::time::Duration;

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use futures_util::{Stream, StreamExt as _};
use serde::Serialize;

/// How long a stream is silent before a comment keeps it alive.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(15);

/// One event of a stream.
pub(super) fn event(id: &str, name: &str, view: &impl Serialize) -> String {
    let data = serde_json::to_string(view).unwrap_or_default();
    format!("id: {id}\nevent: {name}\ndata: {data}\n\n")
}

/// A response of such events, as they come; a comment in place of none.
pub(super) fn response(texts: impl Stream<Item = String> + 'static) -> HttpResponse {
    let stream = texts.map(|text| {
        let text = if text.is_empty() { ": still here\n\n".to_owned() } else { text };
        Ok::<_, actix_web::Error>(web::Bytes::from(text))
    });
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .streaming(stream)
}
