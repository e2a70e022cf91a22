//! The page of a sign-in that an interceptor denied.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use super::render;
use super::texts;
use super::views::Layout;
use crate::runtime::Context;

/// What the user reads before going back to the application.
#[derive(Template)]
#[template(path = "pages/denied.html")]
struct Denied {
    layout: Layout,
    message: String,
    /// The application's callback, with an error.
    location: String,
}

/// Says why, and leads back to the application, which is told by `access_denied`.
pub fn denied_page(context: &Context, message: String, location: String) -> HttpResponse {
    let layout = render::layout(context, texts::TITLE_DENIED);
    render::page(StatusCode::FORBIDDEN, &Denied { layout, message, location })
}
