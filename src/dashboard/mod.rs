//! The dashboard: what the control API does, for users. Every page is forms and tables that work without a script.

mod api_reference;
mod api_tokens;
mod applications;
mod blocks;
mod clock;
pub mod control_api;
mod domains;
mod environments;
mod faults;
mod flows;
mod form_reader;
mod frame;
mod home;
pub mod inbox;
mod interceptors;
mod kept_pages;
mod listing;
mod memberships;
mod openapi_reader;
mod organization_clients;
mod organizations;
mod passwordless_settings;
mod permissions;
mod request_journal;
mod roles;
mod sessions;
mod setting_fields;
mod settings;
mod token_template;
mod tokens;
mod try_it;
mod users;
mod webhooks;

use actix_web::dev::Payload;
use actix_web::error::InternalError;
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::from_fn;
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use futures_util::future::LocalBoxFuture;
use secrecy::ExposeSecret as _;

use crate::crypto::server_secret::constant_time_eq;
use crate::domain::authorization::Parameters;
use crate::domain::field_error::FieldError;
use crate::http::context::Ctx;
use crate::http::endpoint::endpoint;
use crate::http::errors::Problem;
use crate::http::params::{self, Form as Posted};
use crate::http::render;
use crate::http::{cookies, guard, see_other};
use crate::runtime::{Access, Context};
use crate::service::changes::ControlError;
pub use api_reference::ApiReference;
use blocks::{Block, Form, FormState, Page, Section, capitalized};
pub use kept_pages::KeptPages;
pub use try_it::Attempts;

/// All pages of the dashboard.
pub fn routes(config: &mut web::ServiceConfig) {
    config.service(
        web::scope("/dashboard")
            .wrap(from_fn(kept_pages::keep))
            .service(endpoint("").get(home::show).end())
            .service(endpoint("/result/{key}").get(kept_pages::show).end())
            .service(endpoint("/sign-in").get(sign_in_page).post(sign_in).end())
            .service(endpoint("/usual").post(frame::make_usual).shown_at("/dashboard").end())
            .service(endpoint("/sign-out").post(sign_out).shown_at("/dashboard").end())
            .service(endpoint("/inbox/{id}/other-browser").get(flows::other_browser).end())
            .service(endpoint("/settings").get(settings::show).post(settings::save).end())
            .service(endpoint("/settings/reset").post(settings::reset).shown_at("/dashboard/settings").end())
            .service(
                endpoint("/methods").get(passwordless_settings::show).post(passwordless_settings::save).end(),
            )
            .configure(applications::routes)
            .configure(try_it::routes)
            .configure(users::routes)
            .configure(organizations::routes)
            .configure(memberships::routes)
            .configure(domains::routes)
            .configure(roles::routes)
            .configure(permissions::routes)
            .configure(organization_clients::routes)
            .configure(api_reference::routes)
            .configure(api_tokens::routes)
            .configure(sessions::routes)
            .service(endpoint("/flows").get(flows::list).end())
            .service(endpoint("/flows/{id}").get(flows::show).end())
            .service(endpoint("/requests").get(request_journal::list).end())
            .service(endpoint("/requests/{id}").get(request_journal::show).end())
            .service(endpoint("/tokens").get(tokens::show).post(tokens::act).end())
            .service(endpoint("/token-template").get(token_template::show).post(token_template::act).end())
            .configure(interceptors::routes)
            .service(endpoint("/clock").get(clock::show).post(clock::change).end())
            .configure(faults::routes)
            .configure(webhooks::routes)
            .configure(environments::routes)
            .service(endpoint("/state").get(environments::state).post(environments::change_state).end()),
    );
}

/// What handlers give.
type PageResult = Result<HttpResponse, actix_web::Error>;

fn end_with(response: HttpResponse) -> actix_web::Error {
    InternalError::from_response("refused", response).into()
}

/// The context of a request that may use the dashboard; a form has to come from a page of ours.
pub struct DashboardContext(Context);

impl FromRequest for DashboardContext {
    type Error = actix_web::Error;
    type Future = LocalBoxFuture<'static, Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let context = Ctx::from_request(request, payload);
        let request = request.clone();
        Box::pin(async move {
            let Ctx(context) = context.await.map_err(|problem: Problem| end_with(problem.page(&request)))?;
            guard::control(&request, &context).map_err(end_with)?;
            if *request.method() == Method::POST {
                guard::same_origin(&request, &context).map_err(|p| end_with(p.page(&request)))?;
            }
            frame::load(&request, &context).await;
            Ok(Self(context))
        })
    }
}

/// A page with nothing on it yet.
fn page(context: &Context, request: &HttpRequest, current: &'static str, title: &str) -> Page {
    Page {
        layout: frame::layout(context, request, title, current),
        done: done(request),
        problem: None,
        lead: None,
        back: None,
        search: None,
        new: None,
        reset: None,
        is_live: false,
        sections: vec![],
    }
}

/// How users call an application.
fn application_name<'a>(context: &'a Context, client_id: &'a str) -> &'a str {
    context.environment.client(client_id).map_or(client_id, |client| &client.name)
}

/// What the last form did; it led here with a word.
fn done(request: &HttpRequest) -> Option<&'static str> {
    let query = params::query(request).ok()?;
    Some(match query.one("done").ok()?? {
        "saved" => "Saved. The next request uses it.",
        "created" => "Created.",
        "deleted" => "Deleted.",
        "reset" => "Reset to the seed.",
        "ended" => "Session revoked.",
        "queued" => "Queued. Load the page again to see what came of it.",
        "rotated" => "Rotated. The old secret stays valid for a day.",
        "all_ended" => "All sessions of the user are revoked.",
        "invited" => "Invitation sent.",
        "resent" => "Invitation sent again.",
        "removed" => "Removed from the organization.",
        "configured" => "Reset to the configuration.",
        "read" => "All emails are marked as read.",
        "real_time" => "The clock shows real time again.",
        "faults_deleted" => "All faults are deleted.",
        "invalidated" => "The token is invalid now.",
        "refreshed" => "Refreshed. These are the new tokens.",
        "signed_out" => "Signed out.",
        "nothing_tried" => "This browser has not tried a sign-in yet.",
        "not_kept" => "That page is no longer available. Fill in the form again.",
        _ => return None,
    })
}

/// A page of its own for one form, which makes something of the list that it goes back to.
fn form_page(
    context: &Context,
    request: &HttpRequest,
    current: &'static str,
    (list, path): (&str, &str),
    form: Form,
) -> Page {
    let mut page = page(context, request, current, &form.name);
    page.back = Some((list.to_owned(), context.path(path)));
    page.sections = vec![Section::new("", vec![Block::Form(form)])];
    page
}

fn show(page: Page) -> HttpResponse {
    show_with(StatusCode::OK, page)
}

fn show_with(status: StatusCode, mut page: Page) -> HttpResponse {
    page.mark_primary();
    render::page(status, &page)
}

/// A page with what is wrong in one of its forms.
fn show_refused(page: Page) -> HttpResponse {
    show_with(StatusCode::BAD_REQUEST, page)
}

/// Back to a page, which says what was done.
fn redirect_with_flash(context: &Context, path: &str, done: &str) -> HttpResponse {
    let mark = if path.contains('?') { '&' } else { '?' };
    see_other(&context.public_url.join(&format!("{path}{mark}done={done}")))
}

/// The form's parameters.
fn form_params(request: &HttpRequest, form: Posted) -> Result<Parameters, actix_web::Error> {
    form.0.map_err(|error| {
        let text = format!("{error}.");
        end_with(Problem::new(error.status(), "invalid_request", "Invalid form", text).page(request))
    })
}

/// The page of a form that was refused, as it is built with what was typed and what is wrong with it.
fn show_again(
    request: &HttpRequest,
    (form, params): (&'static str, &Parameters),
    refused: ControlError,
    build_page: impl FnOnce(&FormState) -> Page,
) -> PageResult {
    Ok(show_refused(build_page(&redisplay(request, form, params, refused)?)))
}

/// What a refused form is shown again with; everything else ends the request.
fn redisplay(
    request: &HttpRequest,
    form: &'static str,
    params: &Parameters,
    refused: ControlError,
) -> Result<FormState, actix_web::Error> {
    match refused {
        ControlError::Invalid(errors) => Ok(FormState::new(form, params, errors)),
        ControlError::Conflict(error) => Ok(FormState::new(form, params, vec![error])),
        other => Err(error_page(request, other)),
    }
}

/// A refusal as a page.
fn error_page(request: &HttpRequest, refused: ControlError) -> actix_web::Error {
    let text = format!("{}.", capitalized(&refused.to_string()));
    end_with(match refused {
        ControlError::NotFound(_) => {
            Problem::new(StatusCode::NOT_FOUND, "not_found", "Not found", text).page(request)
        }
        ControlError::Failure(failure) => Problem::failure(&failure).page(request),
        _ => Problem::new(StatusCode::BAD_REQUEST, "invalid_request", "Invalid request", text).page(request),
    })
}

fn one<'p>(params: &'p Parameters, name: &'static str) -> &'p str {
    params.one(name).ok().flatten().unwrap_or_default().trim()
}

/// Lines of a long field.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|l| !l.is_empty()).collect()
}

/// `GET /dashboard/sign-in`: asks for the control token, where one is demanded.
async fn sign_in_page(request: HttpRequest, Ctx(context): Ctx) -> HttpResponse {
    match &context.runtime.server.control {
        Access::Token(_) => {
            let query = params::query(&request).unwrap_or_default();
            if !matches!(query.one("error"), Ok(Some("wrong_token"))) {
                return show(asking(&context, &request, &FormState::default()));
            }
            let error = FieldError::new("token", "Incorrect token.");
            let form_state = FormState::new("sign-in", &Parameters::default(), vec![error]);
            show_with(StatusCode::UNAUTHORIZED, asking(&context, &request, &form_state))
        }
        Access::Open | Access::Off => see_other(&context.public_url.join("/dashboard")),
    }
}

fn asking(context: &Context, request: &HttpRequest, form_state: &FormState) -> Page {
    let mut page = page(context, request, "", "Sign in to the dashboard");
    page.lead =
        Some("This server requires its control token (control.token, VESTIBULE_CONTROL__TOKEN).".to_owned());
    let field = form_state.text("sign-in", "token", "Control token", "");
    let form = Form::post("Sign in", context.path("/dashboard/sign-in"), vec![field], "Sign in");
    page.sections = vec![Section::new("", vec![Block::Form(form)])];
    page
}

/// `POST /dashboard/sign-in`
async fn sign_in(request: HttpRequest, Ctx(context): Ctx, form: Posted) -> PageResult {
    guard::same_origin(&request, &context).map_err(|p| end_with(p.page(&request)))?;
    let params = form_params(&request, form)?;
    let Access::Token(token) = &context.runtime.server.control else {
        return Ok(see_other(&context.public_url.join("/dashboard")));
    };
    let shown = one(&params, "token");
    if !constant_time_eq(shown, token.expose_secret()) {
        return Ok(see_other(&context.public_url.join("/dashboard/sign-in?error=wrong_token")));
    }
    let mut response = see_other(&context.public_url.join("/dashboard"));
    let _ = response.add_cookie(&cookies::control_cookie(&context, Some(token.expose_secret())));
    Ok(response)
}

/// `POST /dashboard/sign-out`
async fn sign_out(DashboardContext(context): DashboardContext) -> HttpResponse {
    let mut response = see_other(&context.public_url.join("/dashboard/sign-in"));
    let _ = response.add_cookie(&cookies::control_cookie(&context, None));
    response
}
