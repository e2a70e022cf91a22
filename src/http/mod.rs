//! The HTTP edge: every route on one screen.

pub mod api;
pub mod context;
pub mod control;
pub mod cookies;
mod dashboard;
mod described;
pub mod errors;
mod guard;
mod llms;
mod not_emulated;
pub mod oidc;
pub mod pages;
pub mod params;

use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode, header};
use actix_web::middleware::{Condition, Next, from_fn};
use actix_web::{HttpRequest, HttpResponse, web};
use tracing::Span;

use api::{audit_logs, connections, health, metrics, openapi, passwordless};
use context::Ctx;
use errors::Problem;
use pages::{assets, inbox, link, login};

pub use dashboard::KeptPages;
pub use guard::{known_host, no_prefetch};

use crate::app::Provider;
use crate::domain::limits::MAX_HEADER_BYTES;
use crate::telemetry::request;

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
        // Pages that people see while they sign in.
        .service(endpoint("/login/link").get(link::landing).post(link::sign_in).end())
        .service(
            web::scope("/login/{id}")
                .service(endpoint("").get(login::show).end())
                .service(endpoint("/status").get(login::status).end())
                .service(endpoint("/email").post(login::email).shown_at("/login/{id}").end())
                .service(endpoint("/code").post(login::code).shown_at("/login/{id}").end())
                .service(endpoint("/resend").post(login::resend).shown_at("/login/{id}").end())
                .service(endpoint("/restart").post(login::restart).shown_at("/login/{id}").end())
                .service(endpoint("/account").post(login::account).shown_at("/login/{id}").end()),
        )
        .service(endpoint("/assets/brand.css").get(assets::brand_css).end())
        .service(endpoint("/assets/logo").get(assets::logo).end())
        .service(endpoint("/assets/{file}").get(assets::file).end())
        // Browsers ask for it unasked.
        .service(endpoint("/favicon.ico").get(assets::icon).end())
        // Scalekit's REST API; every other path of it is answered by the default service.
        .service(
            web::scope("/api/v1")
                .service(api("/passwordless/email/send").post(passwordless::send).end())
                .service(api("/passwordless/email/resend").post(passwordless::resend).end())
                .service(api("/passwordless/email/verify").post(passwordless::verify).end())
                .service(api("/connections").get(connections::list).end())
                .service(api("/connections/{id}:enable").patch(connections::enable).end())
                .service(api("/connections/{id}:disable").patch(connections::disable).end())
                .service(api("/connections/{id}").get(connections::show).patch(connections::change).end())
                .service(api("/authmethods").get(connections::methods).end())
                .service(api("/logs/authentication/requests").get(audit_logs::list).end())
                .service(api("/auth:discovery").post(connections::discover).end())
                .service(api("/openapi.json").get(openapi::show).end()),
        )
        .service(endpoint("/compatibility").get(not_emulated::compatibility).end())
        // The inbox, for people.
        .service(endpoint("/_emulator/inbox").get(inbox::page).end())
        .service(endpoint("/_emulator/inbox/{id}").get(inbox::message_page).end())
        .service(endpoint("/_emulator/inbox/{id}/html").get(inbox::message_html).end())
        .service(endpoint("/_emulator").get(control::index::show).end())
        .service(endpoint("/_emulator/").get(control::index::show).end())
        .service(endpoint("/_emulator/v1").get(control::index::show).end())
        .service(endpoint("/_emulator/v1/").get(control::index::show).end())
        .configure(control_routes)
        .configure(dashboard::routes)
        // Operation.
        .service(endpoint("/live").get(health::live).end())
        .service(endpoint("/health").get(health::ready).end())
        .service(endpoint("/ready").get(health::ready).end())
        .service(endpoint("/metrics").get(metrics::show).end())
        .service(endpoint("/llms.txt").get(llms::show).end())
        .service(endpoint("/").get(pages::home).end())
        .default_service(web::to(not_emulated::fallback));
}

/// Counts what is answered, by route, and names the route in the request's span.
pub async fn observed(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let begun = Instant::now();
    let answer = next.call(request).await?;
    let asked = answer.request();
    let (method, route) = (asked.method().as_str(), asked.match_pattern());
    if let Some(route) = &route {
        Span::current().record("http.route", route.as_str());
        request::name_span(route, Some(method));
    }
    if let Some(provider) = asked.app_data::<web::Data<Provider>>() {
        provider.metrics().http_request(method, route, answer.status().as_u16(), begun.elapsed());
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

/// The control API, for tests.
fn control_routes(config: &mut web::ServiceConfig) {
    use control::{
        clients, clock, environments, faults, flows, inbox, openapi, people, sign_in, state, tokens,
    };
    config.service(
        web::scope("/_emulator/v1")
            .service(endpoint("/openapi.json").get(openapi::show).end())
            .service(endpoint("/messages").get(inbox::list).delete(inbox::delete).end())
            .service(endpoint("/messages/latest").get(inbox::latest).end())
            .service(endpoint("/messages/events").get(inbox::events).end())
            .service(endpoint("/messages/{id}").get(inbox::show).delete(inbox::delete_one).end())
            .service(endpoint("/messages/{id}/html").get(inbox::html).end())
            .service(endpoint("/messages/{id}/raw").get(inbox::raw).end())
            .service(endpoint("/clock").get(clock::show).put(clock::change).delete(clock::reset).end())
            .service(endpoint("/reset").post(state::reset).end())
            .service(endpoint("/snapshot").get(state::snapshot).put(state::restore).end())
            .service(endpoint("/seed").post(state::seed).end())
            .service(endpoint("/scenarios").get(state::scenarios).end())
            .service(endpoint("/scenarios/{name}/load").post(state::load_scenario).end())
            .service(
                endpoint("/faults").get(faults::list).post(faults::create).delete(faults::delete_all).end(),
            )
            .service(endpoint("/faults/{id}").delete(faults::delete).end())
            .service(endpoint("/flows").get(flows::list).end())
            .service(endpoint("/flows/{id}").get(flows::show).end())
            .service(endpoint("/tokens").post(tokens::mint).end())
            .service(endpoint("/tokens/decode").post(tokens::decode).end())
            .service(endpoint("/sign-in").post(sign_in::sign_in).end())
            .service(endpoint("/environment").get(environments::current).end())
            .service(
                endpoint("/environments")
                    .get(environments::list)
                    .post(environments::create)
                    .delete(environments::delete_all)
                    .end(),
            )
            .service(
                endpoint("/environments/{name}").get(environments::show).delete(environments::delete).end(),
            )
            .service(
                endpoint("/settings")
                    .get(environments::show_settings)
                    .patch(environments::change_settings)
                    .end(),
            )
            .service(endpoint("/redirects/check").get(environments::check_redirect).end())
            .service(endpoint("/clients").get(clients::list).post(clients::create).end())
            .service(
                endpoint("/clients/{id}")
                    .get(clients::show)
                    .patch(clients::change)
                    .delete(clients::delete)
                    .end(),
            )
            .service(endpoint("/users").get(people::users).post(people::create_user).end())
            .service(
                endpoint("/users/{id}")
                    .get(people::user)
                    .patch(people::change_user)
                    .delete(people::delete_user)
                    .end(),
            )
            .service(
                endpoint("/organizations").get(people::organizations).post(people::create_organization).end(),
            )
            .service(
                endpoint("/organizations/{id}")
                    .get(people::organization)
                    .patch(people::change_organization)
                    .delete(people::delete_organization)
                    .end(),
            )
            .service(endpoint("/logout-notices").get(people::logout_notices).end())
            .service(endpoint("/sessions").get(people::sessions).end())
            .service(endpoint("/sessions/{id}").delete(people::end_session).end()),
    );
}

/// One path with its methods. `GET` answers `HEAD` too; other methods get 405 with the ones allowed.
struct Endpoint {
    resource: actix_web::Resource,
    methods: Vec<Method>,
    is_cross_origin: bool,
    is_api: bool,
}

fn endpoint(path: &str) -> Endpoint {
    Endpoint {
        resource: web::resource(path.to_owned()),
        methods: vec![],
        is_cross_origin: false,
        is_api: false,
    }
}

/// A path of Scalekit's REST API: a method it has and we have not is named, in the API's shape.
fn api(path: &str) -> Endpoint {
    Endpoint { is_api: true, ..endpoint(path) }
}

impl Endpoint {
    fn get<F, Args>(mut self, handler: F) -> Self
    where
        F: actix_web::Handler<Args> + Clone,
        Args: actix_web::FromRequest + 'static,
        F::Output: actix_web::Responder + 'static,
    {
        self.methods.extend([Method::GET, Method::HEAD]);
        self.resource = self.resource.route(web::get().to(handler.clone())).route(web::head().to(handler));
        self
    }

    /// A `GET` that changes or sends something: `HEAD` is answered without it.
    fn get_with_effects<F, Args>(mut self, handler: F) -> Self
    where
        F: actix_web::Handler<Args>,
        Args: actix_web::FromRequest + 'static,
        F::Output: actix_web::Responder + 'static,
    {
        self.methods.extend([Method::GET, Method::HEAD]);
        let nothing = async || HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).finish();
        self.resource = self.resource.route(web::get().to(handler)).route(web::head().to(nothing));
        self
    }

    /// Where the form of this `POST` is, for people who ask for its address: by a reload, or from their history.
    fn shown_at(self, page: &'static str) -> Self {
        self.get(move |request: HttpRequest, Ctx(context): Ctx| async move {
            let named = request.match_info().iter();
            let path = named.fold(page.to_owned(), |path, (name, value)| {
                path.replace(&format!("{{{name}}}"), &path_segment(value))
            });
            see_other(&context.public_url.join(&path))
        })
    }

    fn post<F, Args>(self, handler: F) -> Self
    where
        F: actix_web::Handler<Args>,
        Args: actix_web::FromRequest + 'static,
        F::Output: actix_web::Responder + 'static,
    {
        self.method(Method::POST, handler)
    }

    fn patch<F, Args>(self, handler: F) -> Self
    where
        F: actix_web::Handler<Args>,
        Args: actix_web::FromRequest + 'static,
        F::Output: actix_web::Responder + 'static,
    {
        self.method(Method::PATCH, handler)
    }

    fn put<F, Args>(self, handler: F) -> Self
    where
        F: actix_web::Handler<Args>,
        Args: actix_web::FromRequest + 'static,
        F::Output: actix_web::Responder + 'static,
    {
        self.method(Method::PUT, handler)
    }

    fn delete<F, Args>(self, handler: F) -> Self
    where
        F: actix_web::Handler<Args>,
        Args: actix_web::FromRequest + 'static,
        F::Output: actix_web::Responder + 'static,
    {
        self.method(Method::DELETE, handler)
    }

    fn method<F, Args>(mut self, method: Method, handler: F) -> Self
    where
        F: actix_web::Handler<Args>,
        Args: actix_web::FromRequest + 'static,
        F::Output: actix_web::Responder + 'static,
    {
        self.resource = self.resource.route(web::method(method.clone()).to(handler));
        self.methods.push(method);
        self
    }

    /// Any origin may call it. No cookie is ever sent along, so nothing is given away (product rule B-11).
    fn cross_origin(mut self) -> Self {
        self.is_cross_origin = true;
        self
    }

    fn end(
        self,
    ) -> actix_web::Resource<
        impl actix_web::dev::ServiceFactory<
            actix_web::dev::ServiceRequest,
            Config = (),
            Response = actix_web::dev::ServiceResponse<impl actix_web::body::MessageBody>,
            Error = actix_web::Error,
            InitError = (),
        >,
    > {
        let allowed = self.methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
        let cors = actix_cors::Cors::default()
            .allow_any_origin()
            .send_wildcard()
            .allow_any_method()
            .allow_any_header()
            .max_age(3600);
        let is_api = self.is_api;
        let is_for_browsers = !self.is_api && !self.is_cross_origin;
        self.resource
            .default_service(web::to(move |request: HttpRequest, context: Result<Ctx, Problem>| {
                let allowed = allowed.clone();
                async move {
                    if is_api {
                        return not_emulated::fallback(request, context).await;
                    }
                    let text = format!("{} does not work here. Use {allowed}.", request.method());
                    let problem = Problem::new(
                        StatusCode::METHOD_NOT_ALLOWED,
                        "invalid_request",
                        "Method not allowed",
                        text,
                    );
                    let mut response = problem.response_for(&request);
                    if let Ok(allowed) = header::HeaderValue::from_str(&allowed) {
                        response.headers_mut().insert(header::ALLOW, allowed);
                    }
                    response
                }
            }))
            .wrap(Condition::new(is_for_browsers, from_fn(errors::page_for_browsers)))
            .wrap(Condition::new(self.is_cross_origin, cors))
    }
}

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
