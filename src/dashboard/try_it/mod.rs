//! Try it: an application of this server's own, which signs in here and shows every request and token on the way. Like the
//! rest of the dashboard it is not there in production mode.

mod attempts;
mod claims;
mod endings;
mod headless;
mod own_client;
mod steps;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use serde_json::Value;

use super::blocks::{Block, Cell, Fact, Form, FormState, Page, Row, Section, Table, hidden};
use super::form_reader::FormReader;
use super::{
    DashboardContext, PageResult, Posted, end_with, error_page, form_params, one, page, redirect_with_flash,
    show_again, show_with,
};
use crate::crypto::server_secret::constant_time_eq;
use crate::domain::authorization::Parameters;
use crate::domain::client::{Client, TRY_IT_CLIENT_ID};
use crate::domain::entropy::secret_text;
use crate::http::endpoint::endpoint;
use crate::http::{cookies, params, see_other};
use crate::runtime::Context;
use crate::service::changes::ControlError;
use crate::service::end_session::{Logout, end_session};
use crate::service::flows::{self, FlowFilter};
use crate::service::organizations;
use crate::service::test_tokens::{self, DecodedToken};
use crate::service::token::{self, TokenRefusal, TokenResponse};
use crate::service::userinfo::{AccessRefusal, userinfo};
pub use attempts::Attempts;
use attempts::{Attempt, Outcome, Tokens, TryRequest};
use claims::Expected;
use endings::Ending;
use steps::{Steps, secret_of};

/// The page.
pub const PATH: &str = "/dashboard/try";
const CALLBACK: &str = "/dashboard/try/callback";
const RESULT: &str = "/dashboard/try/result";

const FORM: &str = "try";

/// Who signs in by one click. Any address would do.
const EMAIL: &str = "ada@example.com";

/// Who is signed in nowhere.
const STRANGER: &str = "nobody@example.com";

const SCOPE: &str = "openid profile email offline_access";

const PROMPTS: [(&str, &str); 5] = [
    ("", "Not sent"),
    ("login", "login: always ask"),
    ("create", "create: sign up"),
    ("select_account", "select_account: choose"),
    ("none", "none: never show a page"),
];

/// Organizations to choose among.
const MAX_ORGANIZATIONS: u32 = 50;

/// Sign-ins looked through for the one that was tried.
const RECENT: i64 = 20;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .configure(headless::routes)
        .service(endpoint("/try").get(show).post(start).end())
        .service(endpoint("/try/callback").get_with_effects(callback).end())
        .service(endpoint("/try/result").get(result).end())
        .service(endpoint("/try/refresh").post(refresh).shown_at(RESULT).end())
        .service(endpoint("/try/log-out").post(log_out).shown_at(RESULT).end());
}

/// `GET /dashboard/try`
async fn show(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    attempts: web::Data<Attempts>,
) -> PageResult {
    let organizations = organization_choices(&request, &context).await?;
    let has_result = attempt_of(&request, &context, &attempts).is_some_and(|a| a.outcome.is_some());
    Ok(super::show(build_page(&context, &request, &FormState::default(), organizations, has_result)))
}

async fn organization_choices(
    request: &HttpRequest,
    context: &Context,
) -> Result<Vec<(String, String)>, actix_web::Error> {
    let found = organizations::list(context, "", MAX_ORGANIZATIONS, "").await;
    let found = found.map_err(|refused| error_page(request, refused.into()))?;
    let none = (String::new(), "Not sent".to_owned());
    Ok(std::iter::once(none).chain(found.records.into_iter().map(|o| (o.id, o.display_name))).collect())
}

fn build_page(
    context: &Context,
    request: &HttpRequest,
    form_state: &FormState,
    organizations: Vec<(String, String)>,
    has_result: bool,
) -> Page {
    let mut page = page(context, request, PATH, "Try it");
    page.lead = Some(
        "Sign in here as a user of your application would, and see every request, token and claim on the way. The code is shown on the sign-in page; \"Sign in at once\" enters it for you."
            .to_owned(),
    );
    let client_id = own_client::default_client_id(context);
    page.problem = form_state.rest(&["client_id", "scope", "prompt", "login_hint", "organization_id"]);
    let mut first = vec![Block::Form(Form {
        is_primary: true,
        ..request_form(context, &format!("Sign in as {EMAIL}"), client_id, EMAIL, "")
    })];
    first.push(endings::success(context, client_id));
    let mut links = vec![headless::link(context)];
    if has_result {
        links.insert(0, ("The result of your last sign-in".to_owned(), context.path(RESULT)));
    }
    first.push(Block::Links(links));
    page.sections = vec![
        Section::new("", first),
        Section::new("When it goes wrong", endings::failures(context, client_id)),
        Section::new(
            "Your own request",
            vec![Block::Form(own_request(context, form_state, client_id, organizations))],
        ),
    ];
    let refused = refused_callbacks(context);
    if !refused.is_empty() {
        page.sections.push(Section::new("Redirect URI", refused));
    }
    page
}

/// A button that starts a sign-in.
fn request_form(context: &Context, name: &str, client_id: &str, login_hint: &str, prompt: &str) -> Form {
    let fields = vec![
        hidden("client_id", client_id),
        hidden("scope", SCOPE),
        hidden("login_hint", login_hint),
        hidden("prompt", prompt),
        hidden("pkce", "on"),
    ];
    Form::post(name, context.path(PATH), fields, name)
}

fn own_request(
    context: &Context,
    form_state: &FormState,
    client_id: &str,
    organizations: Vec<(String, String)>,
) -> Form {
    let name = |id: &str, name: &str| (id.to_owned(), format!("{name} ({id})"));
    let applications = context.environment.applications().map(|c| name(&c.client_id, &c.name));
    let clients = applications.chain([name(TRY_IT_CLIENT_ID, own_client::NAME)]).collect();
    let mut fields = vec![
        form_state
            .choice_of(FORM, "client_id", "Application", client_id, clients)
            .hint("Try it is a public client of this page's own, which may always return here."),
        form_state.text(FORM, "scope", "Scopes", SCOPE).hint("offline_access asks for a refresh token."),
        form_state
            .text(FORM, "login_hint", "Login hint", "")
            .hint("An email address. The email is sent at once."),
        form_state.choice(FORM, "prompt", "Prompt", "", &PROMPTS),
    ];
    if organizations.len() > 1 {
        fields.push(form_state.choice_of(FORM, "organization_id", "Organization", "", organizations));
    }
    fields.push(form_state.check(FORM, "pkce", "PKCE", true).hint("Public clients always need it."));
    Form::post("Your own request", context.path(PATH), fields, "Sign in")
}

/// How the callback of this page becomes one of an application, where it is none.
fn refused_callbacks(context: &Context) -> Vec<Block> {
    let callback = context.public_url.join(CALLBACK);
    let applications = context.environment.applications();
    let refused: Vec<_> = applications.filter(|client| !own_client::may_return(context, client)).collect();
    if refused.is_empty() {
        return vec![];
    }
    let links = refused.iter().map(|client| {
        let path = format!("/dashboard/applications/{}", client.client_id);
        (format!("Redirect URIs of {}", client.client_id), context.path(&path))
    });
    vec![
        Block::Text(
            "These applications may not return to this page. Add its callback to their redirect URIs, here or in vestibule.toml."
                .to_owned(),
        ),
        Block::Links(links.collect()),
        Block::Code {
            name: "vestibule.toml".to_owned(),
            text: format!("redirect_uris = [{}]", Value::from(callback)),
        },
    ]
}

fn read(context: &Context, params: &Parameters) -> Result<(TryRequest, bool), ControlError> {
    let mut reader = FormReader::new(params);
    let client_id = reader.required("client_id", 200).to_owned();
    let client = context.environment.client(&client_id);
    let is_own = client_id == TRY_IT_CLIENT_ID;
    if client.is_none() && !client_id.is_empty() && !is_own {
        reader.refuse("client_id", "is not an application of this environment");
    }
    let request = TryRequest {
        redirect_uri: context.public_url.join(CALLBACK),
        scope: reader.text("scope", 500).to_owned(),
        prompt: reader.text("prompt", 50).to_owned(),
        login_hint: reader.text("login_hint", 320).to_owned(),
        organization_id: reader.text("organization_id", 200).to_owned(),
        client_id,
    };
    let is_pkce = reader.is_checked("pkce") || is_own || client.is_some_and(Client::needs_pkce);
    reader.finish()?;
    Ok((request, is_pkce))
}

/// `POST /dashboard/try`: what an application does when somebody wants to sign in.
async fn start(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    attempts: web::Data<Attempts>,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    let (wanted, is_pkce) = match read(&context, &params) {
        Ok(read) => read,
        Err(refused) => {
            let organizations = organization_choices(&request, &context).await?;
            return show_again(&request, (FORM, &params), refused, |form_state| {
                build_page(&context, &request, form_state, organizations, false)
            });
        }
    };
    if wanted.client_id == TRY_IT_CLIENT_ID {
        own_client::register(&context).await.map_err(|refused| error_page(&request, refused))?;
    }
    let secret = || secret_text(context.entropy());
    let attempt = Attempt {
        key: secret(),
        environment_id: context.environment_id().to_owned(),
        request: wanted,
        state: secret(),
        nonce: secret(),
        code_verifier: is_pkce.then(secret),
        started_at_ms: context.now_ms(),
        outcome: None,
        token_lock: Default::default(),
    };
    let steps = steps_of(&context, &attempt);
    let mut response = match Ending::parse(one(&params, "ending")) {
        Some(ending) => endings::bring_about(ending, &request, &context, &steps).await?,
        None => see_other(&steps.authorize_url()),
    };
    let _ = response.add_cookie(&cookies::attempt_cookie(&context, attempt.key.clone()));
    attempts.add(attempt, cookies::attempt(&request, &context).as_deref());
    Ok(response)
}

/// The sign-in that this browser tries.
fn attempt_of(request: &HttpRequest, context: &Context, attempts: &Attempts) -> Option<Attempt> {
    attempts.get(context.environment_id(), &cookies::attempt(request, context)?)
}

fn client_of<'c>(context: &'c Context, attempt: &Attempt) -> Option<&'c Client> {
    context.environment.client(&attempt.request.client_id)
}

fn steps_of<'a>(context: &'a Context, attempt: &'a Attempt) -> Steps<'a> {
    let secret = client_of(context, attempt).and_then(secret_of);
    Steps { issuer: context.issuer(), attempt, client_secret: secret }
}

/// `GET /dashboard/try/callback`: what an application does when the browser comes back.
async fn callback(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    attempts: web::Data<Attempts>,
) -> PageResult {
    let query = params::query(&request).unwrap_or_default();
    let state = one(&query, "state");
    let attempt = attempt_of(&request, &context, &attempts);
    let Some(attempt) = attempt.filter(|attempt| constant_time_eq(&attempt.state, state)) else {
        return Ok(show_with(StatusCode::BAD_REQUEST, other_browser(&context, &request)));
    };
    let _held = attempt.token_lock.lock().await;
    if finished(&request, &context, &attempts).is_some() {
        // A reload: an application would not exchange a code twice either.
        return Ok(see_other(&context.public_url.join(RESULT)));
    }
    let tokens = match (one(&query, "code"), client_of(&context, &attempt)) {
        ("", _) | (_, None) => Tokens::NotRequested,
        (code, Some(client)) => {
            let redirect_uri = Some(attempt.request.redirect_uri.as_str());
            let verifier = attempt.code_verifier.as_deref();
            let outcome = token::exchange_code(&context, client, code, redirect_uri, verifier).await;
            tokens_of(&request, outcome, false)?
        }
    };
    let flow_id = flow_of(&request, &context, &attempt, &tokens).await?;
    let outcome = Outcome { callback: query.pairs().to_vec(), tokens, flow_id };
    attempts.finish(&attempt, outcome);
    Ok(see_other(&context.public_url.join(RESULT)))
}

fn tokens_of(
    request: &HttpRequest,
    outcome: Result<TokenResponse, TokenRefusal>,
    is_refreshed: bool,
) -> Result<Tokens, actix_web::Error> {
    match outcome {
        Ok(response) => {
            let response = serde_json::to_value(response).unwrap_or_default();
            Ok(Tokens::Issued { response, is_refreshed })
        }
        Err(TokenRefusal::Failure(failure)) => Err(error_page(request, ControlError::Failure(failure))),
        Err(refusal) => Ok(Tokens::Refused {
            error: refusal.error().unwrap_or_default().to_owned(),
            description: refusal.to_string(),
            is_refreshed,
        }),
    }
}

/// The sign-in in the log: the newest of the application since it was tried, the user's own where there is one.
async fn flow_of(
    request: &HttpRequest,
    context: &Context,
    attempt: &Attempt,
    tokens: &Tokens,
) -> Result<Option<String>, actix_web::Error> {
    let filter = FlowFilter {
        client_id: Some(attempt.request.client_id.clone()),
        from_ms: Some(attempt.started_at_ms),
        limit: RECENT,
        ..FlowFilter::default()
    };
    let (found, _) = flows::list(context, &filter).await.map_err(|f| error_page(request, f.into()))?;
    let email = match tokens {
        Tokens::Issued { response, .. } => {
            let claims = decoded(request, context, text_of(response, "id_token"), None).await?.claims;
            claims.and_then(|claims| claims["email"].as_str().map(str::to_owned))
        }
        _ => Some(attempt.request.login_hint.clone()),
    };
    let is_own = |email: &Option<String>, own: &Option<String>| match (email, own) {
        (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
        _ => false,
    };
    let own = found.iter().find(|row| is_own(&row.email, &email));
    Ok(own.or(found.first()).map(|row| row.id.clone()))
}

fn text_of<'v>(response: &'v Value, name: &str) -> &'v str {
    response[name].as_str().unwrap_or_default()
}

/// What a browser sees that did not start the sign-in.
fn other_browser(context: &Context, request: &HttpRequest) -> Page {
    let mut page = page(context, request, PATH, "Refused");
    page.back = Some(("Try it".to_owned(), context.path(PATH)));
    page.problem = Some("This callback belongs to no sign-in that this browser started.".to_owned());
    page.lead = Some(
        "Its state is not the one that the application kept for this browser. Without this check, somebody could be signed in to another person's account. Nothing was exchanged."
            .to_owned(),
    );
    page
}

/// `GET /dashboard/try/result`
async fn result(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    attempts: web::Data<Attempts>,
) -> PageResult {
    let (attempt, outcome) = finished_or_back(&request, &context, &attempts)?;
    let mut page = page(&context, &request, PATH, "Sign-in result");
    page.back = Some(("Try it".to_owned(), context.path(PATH)));
    let callback = Parameters::new(outcome.callback.clone());
    let title_and_problem = match &outcome.tokens {
        Tokens::Issued { .. } => None,
        Tokens::NotRequested => Some((one(&callback, "error"), one(&callback, "error_description"))),
        Tokens::Refused { error, description, .. } => Some((error.as_str(), description.as_str())),
    };
    page.problem = title_and_problem.map(|(error, description)| format!("{error}: {description}"));
    if let Tokens::Issued { .. } = &outcome.tokens {
        page.lead = Some(
            "Signed in. Below is every step that your application would take, with the checks that it has to make."
                .to_owned(),
        );
    }
    let steps = steps_of(&context, &attempt);
    page.sections.push(Section::new("", actions(&context, &attempt, &outcome)));
    let asked = vec![Block::Facts(facts(&steps.parameters())), steps.authorize()];
    page.sections.push(Section::new("Authorization request", asked));
    page.sections.push(Section::new("Callback", callback_blocks(&outcome)));
    page.sections.extend(timeline(&request, &context, &outcome).await?);
    let code = one(&callback, "code");
    match &outcome.tokens {
        Tokens::NotRequested => {}
        Tokens::Refused { error, description, is_refreshed } => {
            let text =
                format!("{:#}", serde_json::json!({ "error": error, "error_description": description }));
            page.sections.extend(token_request(&steps, code, text, *is_refreshed));
        }
        Tokens::Issued { response, is_refreshed } => {
            page.sections.extend(token_request(&steps, code, format!("{response:#}"), *is_refreshed));
            let expected_code = (!is_refreshed).then_some(code);
            let sections = token_sections(&request, &context, &attempt, response, expected_code).await?;
            page.sections.extend(sections);
        }
    }
    Ok(super::show(page))
}

/// What the server did in the sign-in, if it is in the log still.
async fn timeline(
    request: &HttpRequest,
    context: &Context,
    outcome: &Outcome,
) -> Result<Option<Section>, actix_web::Error> {
    let Some(id) = &outcome.flow_id else { return Ok(None) };
    let found = flows::show(context, id).await.map_err(|f| error_page(request, f.into()))?;
    Ok(found.map(|(row, steps)| Section::new("Timeline", vec![super::flows::timeline(&row, steps)])))
}

fn finished(request: &HttpRequest, context: &Context, attempts: &Attempts) -> Option<(Attempt, Outcome)> {
    let attempt = attempt_of(request, context, attempts)?;
    let outcome = attempt.outcome.clone()?;
    Some((attempt, outcome))
}

/// The sign-in that this browser has tried; where there is none, it is led back.
fn finished_or_back(
    request: &HttpRequest,
    context: &Context,
    attempts: &Attempts,
) -> Result<(Attempt, Outcome), actix_web::Error> {
    let back = || end_with(redirect_with_flash(context, PATH, "nothing_tried"));
    finished(request, context, attempts).ok_or_else(back)
}

/// A token as an application reads it. `audience`: the client that it should be for.
async fn decoded(
    request: &HttpRequest,
    context: &Context,
    token: &str,
    audience: Option<&str>,
) -> Result<DecodedToken, actix_web::Error> {
    let decoded = test_tokens::decode(context, token, audience).await;
    decoded.map_err(|refused| error_page(request, refused))
}

/// What can be done now.
fn actions(context: &Context, attempt: &Attempt, outcome: &Outcome) -> Vec<Block> {
    let mut links = vec![];
    if let Some(id) = &outcome.flow_id {
        links.push(("Timeline of this sign-in".to_owned(), context.path(&format!("/dashboard/flows/{id}"))));
    }
    links.push(("Try another sign-in".to_owned(), context.path(PATH)));
    let mut blocks = vec![Block::Links(links)];
    if let Tokens::Issued { response, .. } = &outcome.tokens
        && client_of(context, attempt).is_some()
    {
        let button = |name: &str, path: &str| Block::Form(Form::post(name, context.path(path), vec![], name));
        if !text_of(response, "refresh_token").is_empty() {
            blocks.push(button("Refresh tokens", "/dashboard/try/refresh"));
        }
        blocks.push(button("Log out", "/dashboard/try/log-out"));
    }
    blocks
}

fn facts(pairs: &[(&'static str, String)]) -> Vec<Fact> {
    pairs.iter().map(|(name, value)| Fact::text(name, value)).collect()
}

fn callback_blocks(outcome: &Outcome) -> Vec<Block> {
    let rows = outcome.callback.iter().map(|(name, value)| {
        let (meaning, check) = match name.as_str() {
            "code" => ("Exchanged for tokens, once and soon.", Cell::default()),
            "state" => ("The one that this browser was sent away with.", Cell::verdict("OK", true)),
            "iss" => ("Who answers, so that answers of two servers cannot be mixed up.", Cell::default()),
            "error" => ("Why there is no code.", Cell::default()),
            "error_description" => ("The same for developers.", Cell::default()),
            _ => ("", Cell::default()),
        };
        Row::new(vec![Cell::text(name), Cell::text(value), Cell::text(meaning), check])
    });
    let table = Table { columns: &["Parameter", "Value", "Meaning", "Check"], rows: rows.collect() };
    vec![Block::Table(table)]
}

/// The token request of the code, and what the last one gave.
fn token_request(steps: &Steps<'_>, code: &str, response: String, is_refreshed: bool) -> Vec<Section> {
    let request = Block::Code { name: "Token request".to_owned(), text: steps.exchange_command(code) };
    let name = if is_refreshed { "Refresh response" } else { "Token response" };
    vec![
        Section::new("Token request", vec![request, steps.exchange(code)]),
        Section::new(name, vec![Block::Code { name: name.to_owned(), text: response }]),
    ]
}

/// The tokens as an application reads them, checked anew each time that the page is shown.
async fn token_sections(
    request: &HttpRequest,
    context: &Context,
    attempt: &Attempt,
    response: &Value,
    code: Option<&str>,
) -> Result<Vec<Section>, actix_web::Error> {
    let steps = steps_of(context, attempt);
    let audience = Some(attempt.request.client_id.as_str());
    let (access_token, id_token) = (text_of(response, "access_token"), text_of(response, "id_token"));
    let refresh_token = text_of(response, "refresh_token");
    let mut sections = vec![];
    if !id_token.is_empty() {
        let token = decoded(request, context, id_token, audience).await?;
        let expected = Expected { nonce: &attempt.nonce, access_token, code };
        sections.push(Section::new("ID token", vec![claims::table(&token, Some(expected))]));
    }
    let token = decoded(request, context, access_token, audience).await?;
    let blocks = vec![claims::table(&token, None), Steps::validate()];
    sections.push(Section::new("Access token", blocks));
    let info = match userinfo(context, access_token).await {
        Ok(info) => format!("{:#}", serde_json::to_value(info).unwrap_or_default()),
        Err(AccessRefusal::InvalidToken(why)) => format!("invalid_token: {why}"),
        Err(AccessRefusal::InsufficientScope) => "insufficient_scope: the scope openid is needed".to_owned(),
        Err(AccessRefusal::Failure(failure)) => return Err(error_page(request, failure.into())),
    };
    let command = steps.userinfo_command(access_token);
    sections.push(Section::new(
        "UserInfo",
        vec![
            Block::Code { name: "UserInfo response".to_owned(), text: info },
            Block::Folded { name: "UserInfo with curl".to_owned(), text: command },
        ],
    ));
    if !refresh_token.is_empty() {
        let token = decoded(request, context, refresh_token, None).await?;
        let rows = token.checks.iter().map(|check| {
            let verdict = if check.ok { "OK" } else { "Refused" };
            Row::new(vec![Cell::text(check.name), Cell::text(&check.text), Cell::verdict(verdict, check.ok)])
        });
        let table = Table { columns: &["Name", "Meaning", "Check"], rows: rows.collect() };
        let blocks = vec![Block::Table(table), steps.refresh(refresh_token)];
        sections.push(Section::new("Refresh token", blocks));
    }
    sections.push(Section::new("Logout", vec![steps.log_out(&context.public_url.join(RESULT))]));
    Ok(sections)
}

/// `POST /dashboard/try/refresh`
async fn refresh(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    attempts: web::Data<Attempts>,
) -> PageResult {
    // Of a button that is pressed twice, the second press uses what came of the first.
    let token_lock = attempt_of(&request, &context, &attempts).map(|attempt| attempt.token_lock);
    let token_lock = token_lock.unwrap_or_default();
    let _held = token_lock.lock().await;
    let (attempt, outcome) = finished_or_back(&request, &context, &attempts)?;
    let (Tokens::Issued { response, .. }, Some(client)) = (&outcome.tokens, client_of(&context, &attempt))
    else {
        return Ok(see_other(&context.public_url.join(RESULT)));
    };
    let refreshed = token::refresh(&context, client, text_of(response, "refresh_token"), None).await;
    let tokens = tokens_of(&request, refreshed, true)?;
    let is_refreshed = matches!(tokens, Tokens::Issued { .. });
    attempts.finish(&attempt, Outcome { tokens, ..outcome });
    if is_refreshed {
        return Ok(redirect_with_flash(&context, RESULT, "refreshed"));
    }
    Ok(see_other(&context.public_url.join(RESULT)))
}

/// `POST /dashboard/try/log-out`: what `/oidc/logout` does, with the ID token kept out of the address.
async fn log_out(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    attempts: web::Data<Attempts>,
) -> PageResult {
    let (attempt, outcome) = finished_or_back(&request, &context, &attempts)?;
    let mut params = vec![("client_id".to_owned(), attempt.request.client_id.clone())];
    if let Tokens::Issued { response, .. } = &outcome.tokens {
        params.push(("id_token_hint".to_owned(), text_of(response, "id_token").to_owned()));
    }
    let browser = cookies::browser(&request, &context);
    let logout = end_session(&context, &Parameters::new(params), &browser).await;
    match logout.map_err(|failure| error_page(&request, failure.into()))? {
        Logout::SignedOut(_) => {
            let mut response = redirect_with_flash(&context, RESULT, "signed_out");
            if browser.session_cookie.is_some() {
                let _ = response.add_cookie(&cookies::no_session_cookie(&context));
            }
            Ok(response)
        }
        // Another user is signed in by now: the page of the server asks.
        Logout::Confirm { .. } | Logout::Repeated(_) => {
            Ok(see_other(&context.public_url.join("/oidc/logout")))
        }
    }
}
