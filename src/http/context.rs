//! From an HTTP request to a [`Context`]: the environment and the public URL it came under.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, web};
use futures_util::future::{Either, LocalBoxFuture};

use super::errors::Problem;
use crate::domain::environment::EnvironmentName;
use crate::runtime::{Asked, Context, Provider};

/// Did the request come over TLS? The listener says so.
#[derive(Debug, Clone, Copy, Default)]
pub struct OverTls(pub bool);

/// The isolated environment that the path named; the listener took it out of the path.
#[derive(Debug, Clone)]
pub struct InEnvironment(pub EnvironmentName);

/// The context of a request, resolved here and nowhere else.
pub struct Ctx(pub Context);

impl FromRequest for Ctx {
    type Error = Problem;
    type Future = Either<Ready<Result<Self, Problem>>, LocalBoxFuture<'static, Result<Self, Problem>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let Some(provider) = request.app_data::<web::Data<Provider>>() else {
            return Either::Left(ready(Err(Problem::starting())));
        };
        let name = request.extensions().get::<InEnvironment>().cloned();
        let over_tls = request.extensions().get::<OverTls>().copied().unwrap_or_default().0;
        // Only the Host header itself: forwarded headers are anybody's to write.
        let authority = request_authority(request);
        let asked = Asked { over_tls, authority, name: name.as_ref().map(|n| &n.0) };
        if let Some(context) = provider.context_now(asked) {
            return Either::Left(ready(Ok(Self(context))));
        }
        let (provider, authority) = (provider.clone(), authority.map(str::to_owned));
        Either::Right(Box::pin(async move {
            let asked =
                Asked { over_tls, authority: authority.as_deref(), name: name.as_ref().map(|n| &n.0) };
            Ok(Self(provider.context(asked).await.map_err(|refusal| Problem::no_context(&refusal))?))
        }))
    }
}

/// Host and port the client asked for.
pub fn request_authority(request: &HttpRequest) -> Option<&str> {
    let of_uri = request.uri().authority().map(|a| a.as_str());
    of_uri.or_else(|| request.headers().get(actix_web::http::header::HOST)?.to_str().ok())
}

/// The credentials of an `Authorization` header of the given scheme.
pub fn authorization<'r>(request: &'r HttpRequest, scheme: &str) -> Option<&'r str> {
    let value = request.headers().get(actix_web::http::header::AUTHORIZATION)?.to_str().ok()?;
    let (name, credentials) = value.split_once(' ')?;
    name.eq_ignore_ascii_case(scheme).then(|| credentials.trim())
}
