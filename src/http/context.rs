//! From an HTTP request to a [`Context`]: the environment and the public URL it came under.

use std::future::{Ready, ready};
use std::sync::{Arc, OnceLock};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};

use super::errors::Problem;
use crate::app::{App, Context};

/// The provider as the listener knows it: there from the first connection on, filled once the database answered.
#[derive(Clone, Default)]
pub struct Provider(Arc<OnceLock<Arc<App>>>);

impl Provider {
    pub fn get(&self) -> Option<&Arc<App>> {
        self.0.get()
    }

    /// Opens the provider for requests.
    pub fn fill(&self, app: Arc<App>) {
        let _ = self.0.set(app);
    }
}

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
    let app = request
        .app_data::<web::Data<Provider>>()
        .and_then(|p| p.get().cloned())
        .ok_or_else(Problem::starting)?;
    // Only the Host header itself: forwarded headers are anybody's to write.
    let authority = request_authority(request);
    let public_url = app.environment.public_url_for(false, authority).clone();
    if authority.is_some_and(|a| !a.eq_ignore_ascii_case(public_url.authority())) {
        tracing::debug!(
            host = authority,
            used = public_url.issuer(),
            "unknown Host: the first of public_urls is used; add the URL to public_urls to serve it"
        );
    }
    Ok(Context { environment: app.environment.clone(), app, public_url })
}

/// Host and port the client asked for.
pub fn request_authority(request: &HttpRequest) -> Option<&str> {
    let of_uri = request.uri().authority().map(|a| a.as_str());
    of_uri.or_else(|| request.headers().get(actix_web::http::header::HOST)?.to_str().ok())
}
