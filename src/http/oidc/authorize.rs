//! `/oauth/authorize`.

use actix_web::{HttpRequest, HttpResponse};

use crate::app::Context;
use crate::domain::authorization::PageRefusal;
use crate::domain::client::{ClientKind, ClientPlace};
use crate::domain::environment::Mode;
use crate::domain::redirect_uri::RedirectPattern;
use crate::http::context::Ctx;
use crate::http::errors::Problem;
use crate::http::params::{self, Form, ParamsError};
use crate::http::{cookies, see_other};
use crate::service::authorize::{Authorized, NotAuthorized, authorize};

/// `GET /oauth/authorize` (RFC 6749 §3.1).
pub async fn get(request: HttpRequest, Ctx(context): Ctx) -> HttpResponse {
    let params = match params::query(&request) {
        Ok(params) => params,
        Err(error) => return unreadable(error).page(&request),
    };
    let browser = cookies::browser(&request, &context);
    match authorize(&context, &params, &browser).await {
        Ok(Authorized::Redirect { location }) => see_other(&location),
        Ok(Authorized::ShowPages { auth_request_id, new_browser_cookie }) => {
            let mut response = see_other(&context.public_url.join(&format!("/login/{auth_request_id}")));
            if let Some(value) = new_browser_cookie {
                let _ = response.add_cookie(&cookies::browser_cookie(&context, value));
            }
            response
        }
        Err(NotAuthorized::Page(refusal)) => refused(&context, &refusal).page(&request),
        Err(NotAuthorized::Failure(failure)) => Problem::failure(&failure).page(&request),
    }
}

/// `POST /oauth/authorize` (OpenID Connect Core 1.0 §3.1.2.1). The browser repeats it as GET: cookies are
/// `SameSite=Lax` and do not come with a form that another site sent.
pub async fn post(request: HttpRequest, Ctx(context): Ctx, Form(form): Form) -> HttpResponse {
    match form {
        Ok(params) => {
            let query =
                url::form_urlencoded::Serializer::new(String::new()).extend_pairs(params.pairs()).finish();
            see_other(&context.public_url.join(&format!("/oauth/authorize?{query}")))
        }
        Err(error) => unreadable(error).page(&request),
    }
}

fn unreadable(error: ParamsError) -> Problem {
    Problem::new(error.status(), "invalid_request", "Invalid request", format!("{error}."))
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
                .with_how_to(how_to_register(context, client_id, redirect_uri));
            problem.code = "invalid_redirect_uri";
            problem
        }
    }
}

fn how_to_add(client_id: &str) -> String {
    format!(
        "Use the client_id that the server printed at its start, or add the application to vestibule.toml and restart the server:\n\n[[clients]]\nclient_id = {}\ntype = \"web\"\nclient_secret = \"replace this by a long random text\"\nredirect_uris = [\"https://app.example.com/callback\"]",
        toml_text(client_id)
    )
}

/// How the address becomes a registered one, where the client came from; or why it cannot.
fn how_to_register(context: &Context, client_id: &str, uri: &str) -> String {
    let environment = &context.environment;
    if let Err(error) = RedirectPattern::parse(uri, environment.mode) {
        return format!(
            "The application has to send another redirect_uri. This one cannot be registered: it {error}."
        );
    }
    let mut ways = vec!["If the address is right, register it.".to_owned()];
    let site = &context.app.site;
    if !site.control.is_off() {
        let dashboard = context.public_url.join(&format!("/dashboard/applications/{client_id}"));
        ways.push(format!("On the dashboard, as an allowed callback URL:\n\n{dashboard}"));
    }
    let place = match context.app.name {
        None => site.layers.place_of_client(client_id),
        Some(_) => ClientPlace::Elsewhere,
    };
    let client = environment.client(client_id);
    // Operators of a production server know what else they registered, and strangers need not.
    let known = client.filter(|_| environment.mode == Mode::Development);
    let known = known.iter().flat_map(|client| &client.redirect_uris).map(RedirectPattern::as_str);
    let uris = known.chain([uri]).map(toml_text).collect::<Vec<_>>().join(", ");
    match place {
        ClientPlace::TopLevel => ways.push(format!(
            "At the top of vestibule.toml, or as VESTIBULE_REDIRECT_URIS; then restart the server:\n\nredirect_uris = [{uris}]"
        )),
        ClientPlace::Table => {
            let credentials = match client.map(|client| &client.kind) {
                Some(ClientKind::Spa) => "type = \"spa\"",
                Some(ClientKind::Native) => "type = \"native\"",
                Some(ClientKind::Web { .. }) | None => {
                    "type = \"web\"\nclient_secret = \"the secret that stands here already\""
                }
            };
            ways.push(format!(
                "In the client's table in vestibule.toml; then restart the server:\n\n[[clients]]\nclient_id = {}\n{credentials}\nredirect_uris = [{uris}]",
                toml_text(client_id)
            ));
        }
        ClientPlace::Elsewhere => {}
    }
    ways.join("\n\n")
}

/// A TOML basic string.
fn toml_text(text: &str) -> String {
    let escaped: String = text
        .chars()
        .filter(|c| !c.is_control())
        .flat_map(|c| match c {
            '"' | '\\' => vec!['\\', c],
            c => vec![c],
        })
        .collect();
    format!("\"{escaped}\"")
}
