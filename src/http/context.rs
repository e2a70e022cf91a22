//! From an HTTP request to a [`Context`]: the environment and the public URL it came under.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, web};

use super::errors::Problem;
use crate::app::{Context, Provider};

/// Did the request come over TLS? The listener says so.
#[derive(Debug, Clone, Copy, Default)]
pub struct OverTls(pub bool);

/// The context of a request, resolved here and nowhere else.
pub struct Ctx(pub Context);

impl FromRequest for Ctx {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(context_of(request).map(Ctx))
    }
}

fn context_of(request: &HttpRequest) -> Result<Context, Problem> {
    let over_tls = request.extensions().get::<OverTls>().copied().unwrap_or_default().0;
    let provider = request.app_data::<web::Data<Provider>>().ok_or_else(Problem::starting)?;
    // Only the Host header itself: forwarded headers are anybody's to write.
    provider.context(over_tls, request_authority(request)).ok_or_else(Problem::starting)
}

/// Host and port the client asked for.
pub fn request_authority(request: &HttpRequest) -> Option<&str> {
    let of_uri = request.uri().authority().map(|a| a.as_str());
    of_uri.or_else(|| request.headers().get(actix_web::http::header::HOST)?.to_str().ok())
}
