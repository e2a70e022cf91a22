//! Pages that users see. Forms work without JavaScript.

mod development;
mod form_error;
pub mod invitation;
pub mod link;
pub mod login;
pub mod portal;
mod sign_in_frame;
pub mod views;

use actix_web::HttpResponse;

use crate::http::context::Ctx;
use crate::http::see_other;

/// `GET /`: users who open the server itself find the dashboard; where there is none, the discovery document.
pub async fn home(Ctx(context): Ctx) -> HttpResponse {
    let path = if context.runtime.server.control.is_off() {
        "/.well-known/openid-configuration"
    } else {
        "/dashboard"
    };
    see_other(&context.public_url.join(path))
}
