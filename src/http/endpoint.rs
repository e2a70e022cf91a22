//! One path with its methods.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode, header};
use actix_web::middleware::{Condition, from_fn};
use actix_web::{HttpRequest, HttpResponse, web};

use super::context::Ctx;
use super::errors::{self, Problem};
use super::{path_segment, see_other};

/// One path with its methods. `GET` answers `HEAD` too; other methods get 405 with the ones allowed.
pub struct Endpoint {
    resource: actix_web::Resource,
    methods: Vec<Method>,
    is_cross_origin: bool,
}

pub fn endpoint(path: &str) -> Endpoint {
    Endpoint { resource: web::resource(path.to_owned()), methods: vec![], is_cross_origin: false }
}

impl Endpoint {
    pub fn get<F, Args>(mut self, handler: F) -> Self
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
    pub fn get_with_effects<F, Args>(mut self, handler: F) -> Self
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

    /// Where the form of this `POST` is, for users who ask for its address: by a reload, or from their history.
    pub fn shown_at(self, page: &'static str) -> Self {
        self.get(move |request: HttpRequest, Ctx(context): Ctx| async move {
            let named = request.match_info().iter();
            let path = named.fold(page.to_owned(), |path, (name, value)| {
                path.replace(&format!("{{{name}}}"), &path_segment(value))
            });
            see_other(&context.public_url.join(&path))
        })
    }

    pub fn post<F, Args>(self, handler: F) -> Self
    where
        F: actix_web::Handler<Args>,
        Args: actix_web::FromRequest + 'static,
        F::Output: actix_web::Responder + 'static,
    {
        self.method(Method::POST, handler)
    }

    pub fn patch<F, Args>(self, handler: F) -> Self
    where
        F: actix_web::Handler<Args>,
        Args: actix_web::FromRequest + 'static,
        F::Output: actix_web::Responder + 'static,
    {
        self.method(Method::PATCH, handler)
    }

    pub fn put<F, Args>(self, handler: F) -> Self
    where
        F: actix_web::Handler<Args>,
        Args: actix_web::FromRequest + 'static,
        F::Output: actix_web::Responder + 'static,
    {
        self.method(Method::PUT, handler)
    }

    pub fn delete<F, Args>(self, handler: F) -> Self
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

    /// Any origin may call it. No cookie is ever sent along, so nothing is given away.
    pub fn cross_origin(mut self) -> Self {
        self.is_cross_origin = true;
        self
    }

    /// Other methods get 405, as a page where a browser asks.
    pub fn end(
        self,
    ) -> actix_web::Resource<
        impl ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<impl MessageBody>,
            Error = actix_web::Error,
            InitError = (),
        >,
    > {
        let allowed = self.methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
        let is_for_browsers = !self.is_cross_origin;
        let resource = self.end_with(move |request: HttpRequest| {
            let allowed = allowed.clone();
            async move { method_not_allowed(&request, &allowed) }
        });
        resource.wrap(Condition::new(is_for_browsers, from_fn(errors::page_for_browsers)))
    }

    /// Other methods are the handler's to answer, and errors are for programs.
    pub fn end_with<F, Args>(
        self,
        other_methods: F,
    ) -> actix_web::Resource<
        impl ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<impl MessageBody>,
            Error = actix_web::Error,
            InitError = (),
        >,
    >
    where
        F: actix_web::Handler<Args>,
        Args: actix_web::FromRequest + 'static,
        F::Output: actix_web::Responder + 'static,
    {
        let cors = actix_cors::Cors::default()
            .allow_any_origin()
            .send_wildcard()
            .allow_any_method()
            .allow_any_header()
            .max_age(3600);
        self.resource.default_service(web::to(other_methods)).wrap(Condition::new(self.is_cross_origin, cors))
    }
}

fn method_not_allowed(request: &HttpRequest, allowed: &str) -> HttpResponse {
    let text = format!("{} does not work here. Use {allowed}.", request.method());
    let status = StatusCode::METHOD_NOT_ALLOWED;
    let mut response =
        Problem::new(status, "invalid_request", "Method not allowed", text).response_for(request);
    if let Ok(allowed) = header::HeaderValue::from_str(allowed) {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}
