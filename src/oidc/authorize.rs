//! `/oauth/authorize`.

use actix_web::{HttpRequest, HttpResponse};

use super::registration::{Address, how_to_add, how_to_register};
use super::{repeat_as_get, unreadable};
use crate::domain::authorization::PageRefusal;
use crate::http::context::Ctx;
use crate::http::denied::denied_page;
use crate::http::errors::Problem;
use crate::http::params::{self, Form};
use crate::http::{cookies, see_other};
use crate::runtime::Context;
use crate::service::authorize::{AuthorizeError, Authorized, authorize};

/// `GET /oauth/authorize` (RFC 6749 §3.1).
pub async fn get(request: HttpRequest, Ctx(context): Ctx) -> HttpResponse {
    let params = match params::query(&request) {
        Ok(params) => params,
        Err(error) => return unreadable(error).page(&request),
    };
    let browser = cookies::browser(&request, &context);
    match authorize(&context, &params, &browser).await {
        Ok(Authorized::Redirect { location }) => see_other(&location),
        Ok(Authorized::Denied { message, location }) => denied_page(&context, message, location),
        Ok(Authorized::ShowPages { auth_request_id, new_browser_cookie }) => {
            let mut response = see_other(&context.public_url.join(&format!("/login/{auth_request_id}")));
            if let Some(value) = new_browser_cookie {
                let _ = response.add_cookie(&cookies::browser_cookie(&context, value));
            }
            response
        }
        Err(AuthorizeError::Page(refusal)) => refused(&context, &refusal).page(&request),
        Err(AuthorizeError::Failure(failure)) => Problem::failure(&failure).page(&request),
    }
}

/// `POST /oauth/authorize` (OpenID Connect Core 1.0 §3.1.2.1).
pub async fn post(request: HttpRequest, Ctx(context): Ctx, Form(form): Form) -> HttpResponse {
    repeat_as_get(&request, &context, "/oauth/authorize", form)
}

/// The page that names what is wrong and how to put it right.
fn refused(context: &Context, refusal: &PageRefusal) -> Problem {
    let problem = |message: &str| Problem::bad_request("invalid_request", message);
    match refusal {
        PageRefusal::Repeated(name) => {
            problem("The application sent a parameter more than once.").with_detail("Parameter", *name)
        }
        PageRefusal::ClientIdMissing => {
            problem("The application did not say who it is: client_id is missing.")
        }
        PageRefusal::UnknownClient { client_id } => {
            problem("No application with this client_id is registered here.")
                .with_detail("client_id", client_id)
                .with_how_to(how_to_add(client_id))
        }
        PageRefusal::UnknownRequestUri { client_id } => {
            let mut problem = problem(
                "This sign-in request was used already, or it has expired. Go back to the application and start again.",
            )
            .with_detail("client_id", client_id);
            problem.code = "invalid_request_uri";
            problem
        }
        PageRefusal::RedirectUriMissing { client_id } => {
            problem("The application did not say where to return to: redirect_uri is missing.")
                .with_detail("client_id", client_id)
        }
        PageRefusal::RedirectUriNotRegistered { client_id, redirect_uri } => {
            let mut problem = problem("The redirect URI isn't registered for this application.")
                .with_detail("redirect_uri", redirect_uri)
                .with_detail("client_id", client_id)
                .with_how_to(how_to_register(context, Address::Callback, client_id, redirect_uri));
            problem.code = "invalid_redirect_uri";
            problem
        }
    }
}
