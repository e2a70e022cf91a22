//! Every route on one screen, and what all requests go through.

use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::middleware::Next;
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, web};
use tracing::Span;

use super::{authority, health, metrics};
use crate::api::rest::{self, PathTemplate};
use crate::api::{not_emulated, openapi};
use crate::dashboard::{self, ApiReference, inbox};
use crate::domain::limits::MAX_HEADER_BYTES;
use crate::emulator::Control;
use crate::http::assets;
use crate::http::endpoint::endpoint;
use crate::http::errors::Problem;
use crate::pages::{invitation, link, login, portal};
use crate::runtime::{EnvironmentRegistry, current_request};
use crate::telemetry::request;
use crate::{emulator, oidc, pages};

/// All routes. Slashes are merged before, so `//oauth/token`, which some SDKs ask for, is `/oauth/token`.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        // OAuth 2.0 and OpenID Connect. What browser applications fetch themselves answers cross-origin.
        .service(
            endpoint("/oauth/authorize")
                .get_with_effects(oidc::authorize::get)
                .post(oidc::authorize::post)
                .end(),
        )
        .service(
            endpoint("/oauth/authorize/allow")
                .post(oidc::authorize::allow)
                .shown_at("/oauth/authorize")
                .end(),
        )
        .service(endpoint("/oauth/par").cross_origin().post(oidc::par::post).end())
        .service(endpoint("/oauth/token").cross_origin().post(oidc::token::post).end())
        .service(endpoint("/oauth/introspect").cross_origin().post(oidc::introspection::introspect).end())
        .service(endpoint("/revoke").cross_origin().post(oidc::introspection::revoke).end())
        .service(
            endpoint("/userinfo").cross_origin().get(oidc::userinfo::get).post(oidc::userinfo::post).end(),
        )
        .service(endpoint("/keys").cross_origin().get(oidc::metadata::keys).end())
        .service(
            endpoint("/.well-known/openid-configuration").cross_origin().get(oidc::metadata::discovery).end(),
        )
        .service(
            endpoint("/.well-known/oauth-authorization-server")
                .cross_origin()
                .get(oidc::metadata::discovery)
                .end(),
        )
        .service(endpoint("/oidc/logout").get_with_effects(oidc::logout::get).post(oidc::logout::post).end())
        .service(endpoint("/oidc/logout/confirm").post(oidc::logout::confirm).shown_at("/oidc/logout").end())
        // Pages that users see while they sign in.
        .service(endpoint("/login/link").get(link::landing).post(link::sign_in).end())
        .service(
            web::scope("/login/{id}")
                .service(endpoint("").get(login::show).end())
                .service(endpoint("/status").get(login::status).end())
                .service(endpoint("/email").post(login::email).shown_at("/login/{id}").end())
                .service(endpoint("/code").post(login::code).shown_at("/login/{id}").end())
                .service(endpoint("/resend").post(login::resend).shown_at("/login/{id}").end())
                .service(endpoint("/restart").post(login::restart).shown_at("/login/{id}").end())
                .service(endpoint("/sign-in").get_with_effects(login::to_sign_in).end())
                .service(endpoint("/sign-up").get_with_effects(login::to_sign_up).end())
                .service(endpoint("/account").post(login::account).shown_at("/login/{id}").end())
                .service(endpoint("/organization").post(login::organization).shown_at("/login/{id}").end()),
        )
        .service(endpoint("/invite/{token}").get(invitation::show).post(invitation::accept).end())
        .service(endpoint("/magicLink/{id}").get_with_effects(portal::open).end())
        .service(endpoint("/assets/brand.css").get(assets::brand_css).end())
        .service(endpoint("/assets/logo").get(assets::logo).end())
        .service(endpoint("/assets/icon").get(assets::brand_icon).end())
        .service(endpoint("/assets/{file}").get(assets::file).end())
        // Browsers ask for it unasked.
        .service(endpoint("/favicon.ico").get(assets::icon).end())
        // Scalekit's REST API: its paths are those of its descriptors, and reach the default service.
        .service(endpoint("/api/v1/openapi.json").get(openapi::show).end_with(not_emulated::fallback))
        .service(endpoint("/compatibility").get(not_emulated::compatibility).end())
        // The inbox, for users.
        .service(endpoint("/_emulator/inbox").get(inbox::page).end())
        .service(
            endpoint("/_emulator/inbox/delete").post(inbox::delete_all).shown_at("/_emulator/inbox").end(),
        )
        .service(endpoint("/_emulator/inbox/{id}").get(inbox::message_page).end())
        .service(endpoint("/_emulator/inbox/{id}/html").get(inbox::message_html).end())
        .service(endpoint("/_emulator/inbox/{id}/eml").get(inbox::download).end())
        .service(
            endpoint("/_emulator/inbox/{id}/delete")
                .post(inbox::delete_one)
                .shown_at("/_emulator/inbox/{id}")
                .end(),
        )
        .service(endpoint("/_emulator").get(dashboard::control_api::show).end())
        .service(endpoint("/_emulator/").get(dashboard::control_api::show).end())
        .service(endpoint("/_emulator/ca.pem").get(authority::show).end())
        .service(endpoint("/_emulator/v1").get(dashboard::control_api::show).end())
        .service(endpoint("/_emulator/v1/").get(dashboard::control_api::show).end())
        // The control API: Scalekit's own for what that can do, and what only an emulator has.
        .service(web::resource("/_emulator/v1/api/{path:.*}").to(api_for_operators))
        .configure(emulator::openapi::routes)
        .configure(dashboard::routes)
        // Operation.
        .service(endpoint("/live").get(health::live).end())
        .service(endpoint("/health").get(health::ready).end())
        .service(endpoint("/ready").get(health::ready).end())
        .service(endpoint("/metrics").get(metrics::show).end())
        .service(endpoint("/llms.txt").get(emulator::llms::show).end())
        .service(endpoint("/").get(pages::home).end())
        .default_service(web::to(not_emulated::fallback));
}

/// What the dashboard's reference describes.
pub fn api_reference() -> ApiReference {
    ApiReference::new(emulator::openapi::document, openapi::document)
}

/// Scalekit's REST API, for those who may use the control API.
async fn api_for_operators(
    request: HttpRequest,
    Control(context): Control,
    body: web::Payload,
) -> HttpResponse {
    rest::call_by_operator(request, context, body).await
}

/// Counts what is answered, by route, and names the route in the request's span and in the journal.
pub async fn observed(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let begun = Instant::now();
    let answer = next.call(request).await?;
    let asked = answer.request();
    let template = asked.extensions().get::<PathTemplate>().map(|template| template.0.to_owned());
    let (method, route) = (asked.method().as_str(), template.or_else(|| asked.match_pattern()));
    if let Some(route) = &route {
        Span::current().record("http.route", route.as_str());
        request::name_span(route, Some(method));
        current_request::note(|notes| notes.route = Some(route.clone()));
    }
    if let Some(registry) = asked.app_data::<web::Data<EnvironmentRegistry>>() {
        registry.metrics().http_request(method, route, answer.status().as_u16(), begun.elapsed());
    }
    Ok(answer)
}

/// Refuses a request with too many bytes of headers, in words: what the server itself refuses it hangs up on. Cookies of
/// one host are sent to all of its ports, so that those of other programs on localhost can be the cause.
pub async fn refuse_large_heads<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let headers = request.headers().iter();
    let bytes: usize = headers.map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes <= MAX_HEADER_BYTES {
        return Ok(next.call(request).await?.map_into_left_body());
    }
    let text = "The request's headers are larger than 32 KiB, most likely by cookies. Delete the cookies of this address \
        in the browser, then try again.";
    let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    let problem = Problem::new(status, "invalid_request", "This request is too large", text);
    let response = problem.response_for(request.request());
    Ok(request.into_response(response).map_into_right_body())
}
