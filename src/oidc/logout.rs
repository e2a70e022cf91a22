//! `/oidc/logout`.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};

use super::registration::{Address, how_to_register};
use super::{repeat_as_get, unreadable, url_with};
use crate::domain::authorization::Parameters;
use crate::domain::language::Language;
use crate::http::context::Ctx;
use crate::http::errors::Problem;
use crate::http::render::{self, FormsLead};
use crate::runtime::Context;

use super::views;
use crate::http::params::{self, Form};
use crate::http::views::ReturnLink;
use crate::http::{cookies, guard, see_other};
use crate::locales::{self, fill};
use crate::service::end_session::{AfterLogout, Logout, end_confirmed, end_session};

/// `GET /oidc/logout` (OpenID Connect RP-Initiated Logout 1.0 §2).
pub async fn get(request: HttpRequest, Ctx(context): Ctx) -> HttpResponse {
    let params = match params::query(&request) {
        Ok(params) => params,
        Err(error) => return unreadable(error).page(&request),
    };
    let browser = cookies::browser(&request, &context);
    let mut response = match end_session(&context, &params, &browser).await {
        Ok(Logout::Confirm { email, app_name, location }) => {
            return ask(&request, &context, &params, email, app_name, location.as_deref());
        }
        Ok(Logout::Repeated(name)) => {
            let text = "The application sent a parameter more than once. Nothing has changed: you're still signed in.";
            return Problem::bad_request("invalid_request", text)
                .with_detail("Parameter", name)
                .page(&request);
        }
        Ok(Logout::SignedOut(after)) => signed_out(&request, &context, &params, after),
        Err(failure) => return Problem::failure(&failure).page(&request),
    };
    if browser.session_cookie.is_some() {
        let _ = response.add_cookie(&cookies::no_session_cookie(&context));
    }
    response
}

/// `POST /oidc/logout`: the same parameters in a form.
pub async fn post(request: HttpRequest, Ctx(context): Ctx, Form(form): Form) -> HttpResponse {
    repeat_as_get(&request, &context, "/oidc/logout", form)
}

/// `POST /oidc/logout/confirm`: the user's yes. The GET that follows finds nobody signed in and leads on.
pub async fn confirm(request: HttpRequest, Ctx(context): Ctx, Form(form): Form) -> HttpResponse {
    if let Err(problem) = guard::same_origin(&request, &context) {
        return problem.page(&request);
    }
    let params = match form {
        Ok(params) => params,
        Err(error) => return unreadable(error).page(&request),
    };
    if let Err(failure) = end_confirmed(&context, &cookies::browser(&request, &context)).await {
        return Problem::failure(&failure).page(&request);
    }
    let mut response = see_other(&url_with(&context, "/oidc/logout", &params));
    let _ = response.add_cookie(&cookies::no_session_cookie(&context));
    response
}

/// The page that asks before anything ends.
fn ask(
    request: &HttpRequest,
    context: &Context,
    params: &Parameters,
    email: String,
    app_name: Option<String>,
    location: Option<&str>,
) -> HttpResponse {
    let language = language(request, context, params);
    let title = locales::texts(language).pages.title_sign_out.as_str();
    let view = views::SignOut {
        layout: render::user_layout(context, language, client_id(params), title),
        action: context.path("/oidc/logout/confirm"),
        parameters: params.pairs().to_vec(),
        email,
        app_name,
    };
    let forms = location.map_or(FormsLead::Home, |redirect_uri| FormsLead::ToApplication { redirect_uri });
    render::page_with_forms(StatusCode::OK, &view, forms)
}

/// The language that the application, or else the browser, asks for.
fn language(request: &HttpRequest, context: &Context, params: &Parameters) -> Language {
    render::language(context, request, params.one("ui_locales").ok().flatten())
}

fn client_id(params: &Parameters) -> Option<&str> {
    params.one("client_id").ok().flatten()
}

fn signed_out(
    request: &HttpRequest,
    context: &Context,
    params: &Parameters,
    after: AfterLogout,
) -> HttpResponse {
    // What is wrong is for those who build the application to read.
    let heading = locales::texts(Language::En).pages.title_signed_out.as_str();
    let problem = |text: &str| Problem::new(StatusCode::BAD_REQUEST, "invalid_request", heading, text);
    match after {
        AfterLogout::Redirect { location } => see_other(&location),
        AfterLogout::Page { application } => {
            let language = language(request, context, params);
            let texts = &locales::texts(language).pages;
            let view = views::SignedOut {
                layout: render::user_layout(
                    context,
                    language,
                    client_id(params),
                    texts.title_signed_out.as_str(),
                ),
                way_back: application
                    .map(|(name, url)| ReturnLink { text: fill(&texts.return_to, &[("app", &name)]), url }),
            };
            render::page(StatusCode::OK, &view)
        }
        AfterLogout::UriNotRegistered { uri, client_id } => {
            let text = "The application asked to send you to an address that isn't registered for it, so you stay here.";
            let problem = problem(text).with_detail("post_logout_redirect_uri", &uri);
            let problem = match client_id {
                Some(id) => {
                    let how_to = how_to_register(context, Address::AfterLogout, &id, &uri);
                    problem.with_detail("client_id", id).with_how_to(how_to)
                }
                None => problem.with_how_to(
                    "No application has registered this address as one of its post_logout_redirect_uris.",
                ),
            };
            problem.page(request)
        }
        AfterLogout::BadHint => problem(
            "The application sent an id_token_hint that this server did not issue for it, so you stay here.",
        )
        .page(request),
    }
}
