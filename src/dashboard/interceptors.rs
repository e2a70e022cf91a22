//! Interceptors: who is asked, what they said, and a call to try them.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::blocks::{Block, Cell, Fact, Field, Form, FormState, Page, Row, Section, Table};
use super::{
    DashboardContext, PageResult, Posted, error_page, form_page, form_params, one, page, redirect_with_flash,
    redisplay, show_again, show_with,
};
use crate::domain::authorization::Parameters;
use crate::domain::interceptor::{CallResult, FailurePolicy, TriggerPoint};
use crate::http::endpoint::endpoint;
use crate::runtime::Context;
use crate::service::changes::ControlError;
use crate::service::interceptors::{
    self, CallFilter, CallView, ChangeInterceptor, CreateInterceptor, InterceptorTest, InterceptorView,
    TestInterceptor,
};
use crate::service::signing_secrets::RotateSecret;

/// The pages of interceptors.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(endpoint("/interceptors").get(list).post(create).end())
        .service(endpoint("/interceptors/new").get(new).end())
        .service(endpoint("/interceptors/{id}").get(show).post(save).end())
        .service(
            endpoint("/interceptors/{id}/test").post(test).shown_at("/dashboard/interceptors/{id}").end(),
        )
        .service(
            endpoint("/interceptors/{id}/rotate-secret")
                .post(rotate_secret)
                .shown_at("/dashboard/interceptors/{id}")
                .end(),
        )
        .service(
            endpoint("/interceptors/{id}/delete").post(delete).shown_at("/dashboard/interceptors/{id}").end(),
        );
}

const PATH: &str = "/dashboard/interceptors";
const FORM: &str = "interceptor";
const NAMES: &[&str] =
    &["display_name", "description", "trigger_point", "url", "timeout_ms", "failure_policy", "enabled"];

const TRIGGERS: [(&str, &str); 4] = [
    ("PRE_SIGNUP", "Before a sign-up creates an organization"),
    ("PRE_SESSION_CREATION", "Before a session is created"),
    ("PRE_USER_INVITATION", "Before a user is invited"),
    ("PRE_M2M_TOKEN_CREATION", "Before a machine client gets a token"),
];

const POLICIES: [(&str, &str); 2] = [("FAIL_OPEN", "Allow"), ("FAIL_CLOSED", "Deny")];

/// Calls that a page shows.
const CALLS: i64 = 50;

fn path_of(context: &Context, id: &str, rest: &str) -> String {
    context.path(&format!("{PATH}/{id}{rest}"))
}

/// `GET /dashboard/interceptors`
pub async fn list(request: HttpRequest, DashboardContext(context): DashboardContext) -> PageResult {
    let (context, request) = (&context, &request);
    let found = interceptors::list(context).await.map_err(|r| error_page(request, r))?;
    let calls = calls(context, request, None).await?;
    let mut page = page(context, request, PATH, "Interceptors");
    page.lead =
        Some("Your application is asked before something happens, and allows or denies it.".to_owned());
    let table = if found.is_empty() {
        let text = "Create one to check sign-ups, add claims to tokens or refuse invitations.".to_owned();
        Block::Empty { title: "No interceptors".to_owned(), text }
    } else {
        let rows = found.into_iter().map(|interceptor| {
            Row::new(vec![
                Cell::link(interceptor.display_name, path_of(context, &interceptor.id, "")),
                Cell::text(interceptor.trigger_point.as_str()),
                Cell::text(interceptor.url),
                Cell::verdict(if interceptor.enabled { "Enabled" } else { "Disabled" }, interceptor.enabled),
            ])
        });
        Block::Table(Table { columns: &["Interceptor", "Trigger", "URL", "Status"], rows: rows.collect() })
    };
    page.new = Some(("New interceptor", context.path("/dashboard/interceptors/new")));
    page.sections = vec![Section::new("", vec![table]), Section::new("Calls", vec![calls])];
    Ok(super::show(page))
}

/// `GET /dashboard/interceptors/new`
pub async fn new(request: HttpRequest, DashboardContext(context): DashboardContext) -> HttpResponse {
    super::show(new_page(&context, &request, &FormState::default()))
}

fn new_page(context: &Context, request: &HttpRequest, form_state: &FormState) -> Page {
    let form = Form::post("New interceptor", context.path(PATH), fields(form_state, None), "Create");
    let body =
        json!({ "trigger_point": "PRE_SESSION_CREATION", "url": "http://localhost:3000/interceptors" });
    let form = form.curl_json(context, "POST", "/interceptors", &body);
    let mut page = form_page(context, request, PATH, ("Interceptors", PATH), form);
    page.problem = form_state.rest(NAMES);
    page
}

fn fields(form_state: &FormState, shown: Option<&InterceptorView>) -> Vec<Field> {
    let text = |of: fn(&InterceptorView) -> String, default: &str| shown.map_or(default.to_owned(), of);
    let trigger_point = text(|i| i.trigger_point.as_str().to_owned(), "PRE_SESSION_CREATION");
    let failure_policy = text(|i| i.failure_policy.as_str().to_owned(), "FAIL_OPEN");
    vec![
        form_state.text(FORM, "display_name", "Name", text(|i| i.display_name.clone(), "")),
        form_state.text(FORM, "description", "Description", text(|i| i.description.clone(), "")),
        form_state.choice(FORM, "trigger_point", "Trigger", &trigger_point, &TRIGGERS),
        form_state.text(FORM, "url", "URL", text(|i| i.url.clone(), "http://localhost:3000/interceptors")),
        form_state.number(
            FORM,
            "timeout_ms",
            "Time limit (milliseconds)",
            text(|i| i.timeout_ms.to_string(), "10000"),
        ),
        form_state.choice(FORM, "failure_policy", "Without a decision", &failure_policy, &POLICIES),
        form_state.check(FORM, "enabled", "Enabled", shown.is_none_or(|i| i.enabled)),
    ]
}

/// What was typed. A name that is left empty is the trigger's.
fn typed(params: &Parameters) -> Result<ChangeInterceptor, ControlError> {
    let field = ControlError::field;
    let trigger_point = TriggerPoint::parse(one(params, "trigger_point"));
    let trigger_point = trigger_point.ok_or_else(|| field("trigger_point", "is none of the triggers"))?;
    let failure_policy = FailurePolicy::parse(one(params, "failure_policy"));
    let timeout_ms = one(params, "timeout_ms").parse();
    let name = one(params, "display_name");
    Ok(ChangeInterceptor {
        display_name: Some(if name.is_empty() { trigger_point.as_str() } else { name }.to_owned()),
        description: Some(one(params, "description").to_owned()),
        trigger_point: Some(trigger_point),
        url: Some(one(params, "url").to_owned()),
        timeout_ms: Some(timeout_ms.map_err(|_| field("timeout_ms", "must be a whole number"))?),
        failure_policy: Some(
            failure_policy.ok_or_else(|| field("failure_policy", "must be FAIL_OPEN or FAIL_CLOSED"))?,
        ),
        enabled: Some(one(params, "enabled") == "on"),
    })
}

/// `POST /dashboard/interceptors`
pub async fn create(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    match create_typed(&context, &params).await {
        Ok(made) => Ok(redirect_with_flash(&context, &format!("{PATH}/{}", made.id), "created")),
        Err(refused) => show_again(&request, (FORM, &params), refused, |form_state| {
            new_page(&context, &request, form_state)
        }),
    }
}

async fn create_typed(context: &Context, params: &Parameters) -> Result<InterceptorView, ControlError> {
    let typed = typed(params)?;
    let wanted = CreateInterceptor {
        display_name: typed.display_name,
        description: typed.description.unwrap_or_default(),
        trigger_point: typed.trigger_point.unwrap_or(TriggerPoint::PreSessionCreation),
        url: typed.url.unwrap_or_default(),
        timeout_ms: typed.timeout_ms,
        failure_policy: typed.failure_policy,
        enabled: typed.enabled,
        secret: None,
    };
    interceptors::create(context, wanted).await
}

/// `GET /dashboard/interceptors/{id}`
pub async fn show(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
) -> PageResult {
    Ok(super::show(one_page(&context, &request, &id, &FormState::default(), vec![]).await?))
}

async fn one_page(
    context: &Context,
    request: &HttpRequest,
    id: &str,
    form_state: &FormState,
    answer: Vec<Section>,
) -> Result<Page, actix_web::Error> {
    let shown = interceptors::get(context, id).await.map_err(|r| error_page(request, r))?;
    let calls = calls(context, request, Some(id)).await?;
    let mut page = page(context, request, PATH, &shown.display_name);
    let facts = vec![
        Fact::code("ID", &shown.id),
        Fact::code("Secret", &shown.secret),
        Fact::text("Older secrets that are still valid", shown.old_secrets.to_string()),
    ];
    let path = path_of(context, id, "");
    let api = format!("/interceptors/{id}");
    let test = Form::post("Test", path_of(context, id, "/test"), vec![], "Send a sample");
    let test = test.curl_json(context, "POST", &format!("{api}/test"), &json!({}));
    let rotate = Form::post("Rotate the secret", path_of(context, id, "/rotate-secret"), vec![], "Rotate");
    let rotate = rotate.curl(context, "POST", &format!("{api}/rotate-secret"));
    let delete = Form::dangerous(
        "Delete",
        path_of(context, id, "/delete"),
        "Nobody is asked any more. Its calls stay in the log.",
    );
    let delete = delete.curl(context, "DELETE", &api);
    let save = Form::post("Change", path, fields(form_state, Some(&shown)), "Save");
    let saved = json!({
        "display_name": shown.display_name,
        "description": shown.description,
        "trigger_point": shown.trigger_point,
        "url": shown.url,
        "timeout_ms": shown.timeout_ms,
        "failure_policy": shown.failure_policy,
        "enabled": shown.enabled,
    });
    let save = save.curl_json(context, "PATCH", &api, &saved);
    page.problem = form_state.rest(NAMES);
    page.sections = answer;
    page.sections.extend([
        Section::new("", vec![Block::Facts(facts), Block::Form(test), Block::Form(rotate)]),
        Section::new("Settings", vec![Block::Form(save), Block::Form(delete)]),
        Section::new("Calls", vec![calls]),
    ]);
    Ok(page)
}

/// `POST /dashboard/interceptors/{id}`
pub async fn save(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    let outcome = match typed(&params) {
        Ok(change) => interceptors::change(&context, &id, &change).await,
        Err(refused) => Err(refused),
    };
    match outcome {
        Ok(_) => Ok(redirect_with_flash(&context, &format!("{PATH}/{id}"), "saved")),
        Err(refused) => {
            let form_state = redisplay(&request, FORM, &params, refused)?;
            let page = one_page(&context, &request, &id, &form_state, vec![]).await?;
            Ok(show_with(StatusCode::BAD_REQUEST, page))
        }
    }
}

/// `POST /dashboard/interceptors/{id}/test`
pub async fn test(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
) -> PageResult {
    let tested = interceptors::test(&context, &id, TestInterceptor::default()).await;
    let tested = tested.map_err(|r| error_page(&request, r))?;
    let page = one_page(&context, &request, &id, &FormState::default(), test_sections(tested)).await?;
    Ok(super::show(page))
}

fn test_sections(tested: InterceptorTest) -> Vec<Section> {
    let mut facts = vec![
        Fact::text("Result", tested.result.as_str()),
        Fact::text("Time", format!("{} ms", tested.attempt.latency_ms)),
    ];
    facts.extend(tested.attempt.reason.map(|reason| Fact::text("Reason", reason)));
    facts.extend(tested.message.map(|message| Fact::text("Message", message)));
    let folded = |name: &str, text: String| Block::Folded { name: name.to_owned(), text };
    let headers = |headers: &[(String, String)]| {
        headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect::<String>()
    };
    let request = format!("{}\n{:#}", headers(&tested.attempt.request_headers), tested.body);
    let response = format!("{}\n{}", headers(&tested.attempt.response_headers), tested.attempt.response_body);
    vec![Section::new(
        "Test",
        vec![Block::Facts(facts), folded("Request", request), folded("Response", response)],
    )]
}

/// `POST /dashboard/interceptors/{id}/rotate-secret`
pub async fn rotate_secret(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
) -> PageResult {
    let wanted = RotateSecret::default();
    interceptors::rotate_secret(&context, &id, &wanted).await.map_err(|r| error_page(&request, r))?;
    Ok(redirect_with_flash(&context, &format!("{PATH}/{id}"), "saved"))
}

/// `POST /dashboard/interceptors/{id}/delete`
pub async fn delete(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
) -> PageResult {
    interceptors::delete(&context, &id).await.map_err(|r| error_page(&request, r))?;
    Ok(redirect_with_flash(&context, PATH, "deleted"))
}

/// The last calls.
async fn calls(
    context: &Context,
    request: &HttpRequest,
    interceptor_id: Option<&str>,
) -> Result<Block, actix_web::Error> {
    let filter = CallFilter {
        interceptor_id: interceptor_id.map(str::to_owned),
        limit: CALLS,
        ..CallFilter::default()
    };
    let found = interceptors::calls(context, &filter).await.map_err(|r| error_page(request, r))?;
    if found.is_empty() {
        let text = "Calls are kept as long as the log of sign-ins. Tests are not among them.".to_owned();
        return Ok(Block::Empty { title: "No calls yet".to_owned(), text });
    }
    let rows = found.into_iter().map(|call| row(context, call)).collect();
    Ok(Block::Table(Table { columns: &["Time", "Trigger", "Result", "Latency", "Message", "Sign-in"], rows }))
}

fn row(context: &Context, call: CallView) -> Row {
    let flow = match &call.flow_id {
        Some(id) => Cell::link("Timeline", context.path(&format!("/dashboard/flows/{id}"))),
        None => Cell::text(""),
    };
    let message = call.attempt.reason.unwrap_or_else(|| denial(&call.attempt.response_body));
    Row::new(vec![
        Cell::text(call.created_at),
        Cell::text(call.trigger_point.as_str()),
        Cell::verdict(call.result.as_str(), call.result == CallResult::Allow),
        Cell::text(format!("{} ms", call.attempt.latency_ms)),
        Cell::text(message),
        flow,
    ])
}

/// The message of a denial, as the response has it.
fn denial(body: &str) -> String {
    let response: Value = serde_json::from_str(body).unwrap_or_default();
    response["error"]["message"].as_str().unwrap_or_default().to_owned()
}
