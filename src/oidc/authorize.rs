//! `/oauth/authorize`.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};

use super::registration::{Address, how_to_add, how_to_register};
use super::{repeat_as_get, unreadable, url_with};
use crate::domain::authorization::{PageRefusal, Parameters};
use crate::domain::redirect_uri::RedirectPattern;
use crate::domain::settings::Mode;
use crate::http::context::Ctx;
use crate::http::denied::denied_page;
use crate::http::errors::{Problem, Remedy};
use crate::http::params::{self, Form};
use crate::http::{cookies, guard, see_other, texts};
use crate::runtime::Context;
use crate::service::authorize::{AuthorizeError, Authorized, authorize};
use crate::service::changes::ControlError;
use crate::service::clients;

/// `GET /oauth/authorize` (RFC 6749 §3.1).
pub async fn get(request: HttpRequest, Ctx(context): Ctx) -> HttpResponse {
    let params = match params::query(&request) {
        Ok(params) => params,
        Err(error) => return unreadable(error).page(&request),
    };
    let browser = cookies::browser(&request, &context);
    match authorize(&context, &params, &browser).await {
        Ok(Authorized::Redirect { location }) => see_other(&location),
        Ok(Authorized::Denied { denied, location }) => denied_page(&context, denied, location),
        Ok(Authorized::ShowPages { auth_request_id, new_browser_cookie }) => {
            let mut response = see_other(&context.public_url.join(&format!("/login/{auth_request_id}")));
            if let Some(value) = new_browser_cookie {
                let _ = response.add_cookie(&cookies::browser_cookie(&context, value));
            }
            response
        }
        Err(AuthorizeError::Page(refusal)) => refused(&context, &refusal)
            .with_remedy(remedy(&request, &context, &params, &refusal))
            .page(&request),
        Err(AuthorizeError::Failure(failure)) => Problem::failure(&failure).page(&request),
    }
}

/// `POST /oauth/authorize` (OpenID Connect Core 1.0 §3.1.2.1).
pub async fn post(request: HttpRequest, Ctx(context): Ctx, Form(form): Form) -> HttpResponse {
    repeat_as_get(&request, &context, "/oauth/authorize", form)
}

/// `POST /oauth/authorize/allow`: registers the callback of a request that was refused, and goes on with that.
pub async fn allow(request: HttpRequest, Ctx(context): Ctx, Form(form): Form) -> HttpResponse {
    let params = match form {
        Ok(params) => params,
        Err(error) => return unreadable(error).page(&request),
    };
    if let Err(problem) = guard::same_origin(&request, &context) {
        return problem.page(&request);
    }
    if !may_allow(&request, &context) {
        let text =
            "Redirect URIs are registered here only in development, by those who may use the control API.";
        return Problem::new(StatusCode::FORBIDDEN, "forbidden", "Not allowed", text).page(&request);
    }
    let one = |name| params.one(name).ok().flatten().unwrap_or_default();
    match clients::allow_redirect_uri(&context, one("client_id"), one("redirect_uri")).await {
        Ok(()) => see_other(&url_with(&context, "/oauth/authorize", &params)),
        Err(ControlError::Failure(failure)) => Problem::failure(&failure).page(&request),
        Err(refusal) => Problem::bad_request("invalid_request", format!("{refusal}.")).page(&request),
    }
}

/// What registers a refused callback by a press, where that may be.
fn remedy(
    request: &HttpRequest,
    context: &Context,
    params: &Parameters,
    refusal: &PageRefusal,
) -> Option<Remedy> {
    let PageRefusal::RedirectUriNotRegistered { redirect_uri, .. } = refusal else { return None };
    let can_be_registered = RedirectPattern::parse(redirect_uri, context.environment.mode).is_ok();
    (can_be_registered && may_allow(request, context)).then(|| Remedy {
        action: context.path("/oauth/authorize/allow"),
        parameters: params.pairs().to_vec(),
        button: texts::ALLOW_REDIRECT_URI,
        leads_to: redirect_uri.clone(),
    })
}

/// Strangers of a demonstration may not, whatever else is open to them.
fn may_allow(request: &HttpRequest, context: &Context) -> bool {
    let environment = &context.environment;
    environment.mode == Mode::Development && !environment.demo && guard::control(request, context).is_ok()
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
