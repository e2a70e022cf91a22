//! What a request says about the environment that it is for.

use actix_web::http::header;
use actix_web::{HttpMessage as _, HttpRequest};

use crate::domain::environment_name::EnvironmentName;
use crate::runtime::EnvironmentSelector;

/// Did the request come over TLS? The listener says so.
#[derive(Debug, Clone, Copy, Default)]
pub struct OverTls(pub bool);

/// The isolated environment that the path named; the listener took it out of the path.
#[derive(Debug, Clone)]
pub struct InEnvironment(pub EnvironmentName);

/// What decides for which environment a request is.
pub fn selector<'r>(request: &'r HttpRequest, name: Option<&'r InEnvironment>) -> EnvironmentSelector<'r> {
    let over_tls = request.extensions().get::<OverTls>().copied().unwrap_or_default().0;
    // Only the Host header itself: forwarded headers are anybody's to write.
    EnvironmentSelector { over_tls, authority: request_authority(request), name: name.map(|n| &n.0) }
}

/// Host and port the client asked for.
pub fn request_authority(request: &HttpRequest) -> Option<&str> {
    let of_uri = request.uri().authority().map(|a| a.as_str());
    of_uri.or_else(|| request.headers().get(header::HOST)?.to_str().ok())
}

/// The credentials of an `Authorization` header of the given scheme.
pub fn authorization<'r>(request: &'r HttpRequest, scheme: &str) -> Option<&'r str> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (name, credentials) = value.split_once(' ')?;
    name.eq_ignore_ascii_case(scheme).then(|| credentials.trim())
}
