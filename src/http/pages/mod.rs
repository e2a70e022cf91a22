//! Pages that people see. Forms work without JavaScript.

pub mod assets;
mod form_error;
pub mod inbox;
pub mod link;
pub mod login;
pub mod render;
pub mod texts;
pub mod views;

use actix_web::HttpResponse;

use super::context::Ctx;
use super::see_other;

/// `GET /`: people who open the server itself find the dashboard; where there is none, the discovery document.
pub async fn home(Ctx(context): Ctx) -> HttpResponse {
    let path =
        if context.app.site.control.is_off() { "/.well-known/openid-configuration" } else { "/dashboard" };
    see_other(&context.public_url.join(path))
}
