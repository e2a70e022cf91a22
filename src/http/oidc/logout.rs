//! `/oidc/logout`.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};

use crate::app::Context;
use crate::domain::authorization::Parameters;
use crate::http::context::Ctx;
use crate::http::errors::Problem;
use crate::http::pages::{render, views};
use crate::http::params::{self, Form, ParamsError};
use crate::http::{cookies, see_other};
use crate::service::end_session::{LoggedOut, end_session};

/// `GET /oidc/logout` (OpenID Connect RP-Initiated Logout 1.0 §2).
pub async fn get(request: HttpRequest, Ctx(context): Ctx) -> HttpResponse {
    answer(&request, &context, params::query(&request)).await
}

/// `POST /oidc/logout`: the same parameters in a form.
pub async fn post(request: HttpRequest, Ctx(context): Ctx, Form(form): Form) -> HttpResponse {
    answer(&request, &context, form).await
}

async fn answer(
    request: &HttpRequest,
    context: &Context,
    params: Result<Parameters, ParamsError>,
) -> HttpResponse {
    let params = match params {
        Ok(params) => params,
        Err(error) => {
            let problem =
                Problem::new(error.status(), "invalid_request", "This does not work", format!("{error}."));
            return problem.page(request);
        }
    };
    let browser = cookies::browser(request, context);
    let mut response = match end_session(context, &params, &browser).await {
        Ok(LoggedOut::Redirect { location }) => see_other(&location),
        Ok(LoggedOut::Page) => {
            render::page(StatusCode::OK, &views::SignedOut { layout: render::layout(context, "Signed out") })
        }
        Ok(refused) => refusal(&refused).page(request),
        Err(failure) => return Problem::failure(&failure).page(request),
    };
    let _ = response.add_cookie(&cookies::no_session_cookie(context));
    response
}

fn refusal(refused: &LoggedOut) -> Problem {
    let signed_out =
        |text: &str| Problem::new(StatusCode::BAD_REQUEST, "invalid_request", "You are signed out", text);
    match refused {
        LoggedOut::UriNotRegistered { uri } => {
            signed_out("The application wants you to go on to an address that is not registered for it, so you stay here.")
                .with_detail("post_logout_redirect_uri", uri)
                .with_how_to("Register the address in vestibule.toml as one of the client's post_logout_redirect_uris, and restart the server.")
        }
        LoggedOut::BadHint => signed_out("The application sent an id_token_hint that this server did not issue for it, so you stay here."),
        LoggedOut::Repeated(name) => {
            signed_out("The application sent a parameter more than once, so you stay here.").with_detail("Parameter", *name)
        }
        LoggedOut::Redirect { .. } | LoggedOut::Page => signed_out("You are signed out."),
    }
}
