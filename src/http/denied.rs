//! The page of a sign-in that an interceptor denied.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use super::views::{Layout, ReturnLink};
use super::{render, texts};
use crate::locales::{self, fill};
use crate::runtime::Context;
use crate::service::passwordless::name_of_client;
use crate::service::sign_in::DeniedSignIn;

/// What the user reads before going back to the application.
#[derive(Template)]
#[template(path = "pages/denied.html")]
struct Denied {
    layout: Layout,
    message: String,
    /// To the application's callback, with an error.
    way_back: ReturnLink,
}

/// Says why, and leads back to the application, which is told by `access_denied`.
pub fn denied_page(context: &Context, denied: DeniedSignIn, location: String) -> HttpResponse {
    let language = denied.language.unwrap_or(context.environment.pages.language);
    let texts = &locales::texts(language).pages;
    let app = name_of_client(&context.environment, &denied.client_id);
    let view = Denied {
        layout: render::user_layout(context, language, Some(&denied.client_id), texts.title_denied.as_str()),
        message: denied.message,
        way_back: ReturnLink { text: fill(&texts.return_to, &[("app", app)]), url: location },
    };
    render::page(StatusCode::FORBIDDEN, &view)
}
