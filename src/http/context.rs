//! From an HTTP request to a [`Context`]: the environment and the public URL it came under.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, web};
use futures_util::future::{Either, LocalBoxFuture};

use super::errors::Problem;
use super::selector::{InEnvironment, selector};
use crate::runtime::{Context, EnvironmentRegistry};

/// The context of a request, resolved here and nowhere else.
pub struct Ctx(pub Context);

impl FromRequest for Ctx {
    type Error = Problem;
    type Future = Either<Ready<Result<Self, Problem>>, LocalBoxFuture<'static, Result<Self, Problem>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let Some(registry) = request.app_data::<web::Data<EnvironmentRegistry>>() else {
            return Either::Left(ready(Err(Problem::starting())));
        };
        let name = request.extensions().get::<InEnvironment>().cloned();
        if let Some(context) = registry.context_now(selector(request, name.as_ref())) {
            return Either::Left(ready(Ok(Self(context))));
        }
        let (registry, request) = (registry.clone(), request.clone());
        Either::Right(Box::pin(async move {
            let asked = selector(&request, name.as_ref());
            Ok(Self(registry.context(asked).await.map_err(|refusal| Problem::no_context(&refusal))?))
        }))
    }
}
