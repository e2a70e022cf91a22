//! Faults on purpose.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value, json};

use super::blocks::{Block, Cell, Form, FormState, Page, Row, Section, Table, hidden};
use super::listing::Listing;
use super::{
    DashboardContext, PageResult, Posted, error_page, form_page, form_params, one, page, redirect_with_flash,
    show_again,
};
use crate::domain::authorization::Parameters;
use crate::domain::fault::FaultRule;
use crate::http::endpoint::endpoint;
use crate::runtime::Context;
use crate::service::changes::ControlError;
use crate::service::{faults, settings};

/// The pages of fault rules.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(endpoint("/faults").get(list).post(create).end())
        .service(endpoint("/faults/new").get(new).end())
        .service(endpoint("/faults/addresses").post(switch_addresses).shown_at("/dashboard/faults").end())
        .service(endpoint("/faults/{id}/delete").post(delete).shown_at("/dashboard/faults").end());
}

const HERE: &str = "/dashboard/faults";
const FORM: &str = "fault";
const NAMES: &[&str] = &[
    "method",
    "path",
    "grpc",
    "to",
    "nth",
    "count",
    "probability",
    "latency_ms",
    "effect",
    "status",
    "code",
];
const EFFECTS: [(&str, &str); 15] = [
    ("", "Delay only"),
    ("status", "HTTP status"),
    ("oauth_error", "OAuth error"),
    ("grpc_status", "gRPC status"),
    ("connection_reset", "Connection reset"),
    ("truncated_body", "Truncated response"),
    ("smtp", "SMTP: temporary failure"),
    ("smtp_permanent", "SMTP: permanent failure"),
    ("wrong_issuer", "Token with a wrong issuer"),
    ("bad_signature", "Token with a bad signature"),
    ("expired", "Expired token"),
    ("unknown_kid", "Token with an unknown key ID"),
    ("sign_in_expired", "Sign-in: expired code and link"),
    ("sign_in_limited", "Sign-in: too many emails"),
    ("sign_in_denied", "Sign-in: access denied"),
];

/// `GET /dashboard/faults`
pub async fn list(request: HttpRequest, DashboardContext(context): DashboardContext) -> PageResult {
    let (context, request) = (&context, &request);
    let all = faults::list(context).await.map_err(|f| error_page(request, f.into()))?;
    let listing = Listing::of(request);
    let mut found = listing.of_all(all, |fault| {
        let rule = serde_json::to_value(&fault.rule).unwrap_or_default();
        format!("{} {} {}", fault.id, plain(&rule["match"]), plain(&rule["effect"]))
    });
    let pager = listing.pager(context, HERE, &mut found);
    let mut page = page(context, request, HERE, "Faults");
    page.lead = Some("Make requests fail, to test how your application handles it.".to_owned());
    let path = context.path(HERE);
    let table = if found.is_empty() {
        listing.empty("No faults", "A fault rule says which requests fail, when and how. Affected responses carry x-vestibule-fault.")
    } else {
        let rows = found.into_iter().map(|fault| {
            let rule = serde_json::to_value(&fault.rule).unwrap_or_default();
            Row {
                cells: vec![
                    Cell::text(plain(&rule["match"])),
                    Cell::text(plain(&rule["effect"])),
                    Cell::text(when(&fault.rule)),
                    Cell::text(format!("{} of {}", fault.fired, fault.matched)),
                ],
                action: Some(
                    Form::post("Delete", format!("{path}/{}/delete", fault.id), vec![], "Delete").curl(
                        context,
                        "DELETE",
                        &format!("/faults/{}", fault.id),
                    ),
                ),
            }
        });
        Block::Table(Table {
            columns: &["Requests", "Effect", "When", "Triggered", "Action"],
            rows: rows.collect(),
        })
    };
    page.search = Some(listing.search(context, HERE, "Path, method or effect"));
    page.new = Some(("New rule", context.path("/dashboard/faults/new")));
    page.sections = vec![Section::new("", vec![table, pager]), built_in_section(context)];
    Ok(super::show(page))
}

/// `GET /dashboard/faults/new`
pub async fn new(request: HttpRequest, DashboardContext(context): DashboardContext) -> HttpResponse {
    super::show(new_page(&context, &request, &FormState::default()))
}

fn new_page(context: &Context, request: &HttpRequest, form_state: &FormState) -> Page {
    let fields = vec![
        form_state.text(FORM, "method", "HTTP method", "").hint("Leave empty for any."),
        form_state
            .text(FORM, "path", "Path", "/oauth/token")
            .hint("* matches any characters. Leave empty for any."),
        form_state
            .text(FORM, "grpc", "gRPC method", "")
            .hint("Use instead of a path, for example *PasswordlessService/Send*."),
        form_state
            .text(FORM, "to", "Email address", "")
            .hint("For SMTP, sign-in and delays of a sign-in, for example *@acme.test."),
        form_state.choice(FORM, "effect", "Effect", "status", &EFFECTS),
        form_state
            .text(FORM, "code", "Status, error or code", "503")
            .hint("503, temporarily_unavailable or UNAVAILABLE. For a truncated response: bytes."),
        form_state.number(FORM, "nth", "Start at request #", "").hint("1 is the first request."),
        form_state.number(FORM, "count", "Limit", "1").hint("Leave empty for no limit."),
        form_state.text(FORM, "probability", "Probability", "").hint("0 to 1. Leave empty for always."),
        form_state.number(FORM, "latency_ms", "Delay (milliseconds)", ""),
    ];
    let body = json!({ "match": { "path": "/oauth/token" }, "count": 1, "effect": { "kind": "status", "status": 503 } });
    let form = Form::post("New rule", context.path(HERE), fields, "Create");
    let form = form.curl_json(context, "POST", "/faults", &body);
    let mut page = form_page(context, request, HERE, ("Faults", HERE), form);
    page.problem = form_state.rest(NAMES);
    page
}

/// Addresses that cause outcomes, and the switch for them.
fn built_in_section(context: &Context) -> Section {
    let is_on = context.environment.fault_addresses;
    let rows = faults::built_in().iter().map(|fault| {
        let pattern = fault.rule.matches.to.clone().unwrap_or_default();
        Row::new(vec![
            Cell::text(pattern),
            Cell::text(fault.about),
            Cell::verdict(if is_on { "on" } else { "off" }, is_on),
        ])
    });
    let table = Table { columns: &["Address", "Effect", "Status"], rows: rows.collect() };
    let name = if is_on { "Turn off" } else { "Turn on" };
    let fields = vec![hidden("addresses", if is_on { "off" } else { "on" })];
    let form = Form::post(name, context.path("/dashboard/faults/addresses"), fields, name);
    let form = form.curl_json(context, "PATCH", "/settings", &json!({ "faults": { "addresses": !is_on } }));
    let text = "Sign in with an address such as ada+vb-expired@example.com to see what happens then.";
    Section::new(
        "Built-in addresses",
        vec![Block::Text(text.to_owned()), Block::Table(table), Block::Form(form)],
    )
}

fn plain(value: &Value) -> String {
    let Some(fields) = value.as_object().filter(|f| !f.is_empty()) else { return "any".to_owned() };
    let texts = fields.iter().map(|(name, value)| match value.as_str() {
        Some(text) => format!("{name} {text}"),
        None => format!("{name} {value}"),
    });
    texts.collect::<Vec<_>>().join(", ")
}

fn when(rule: &FaultRule) -> String {
    let mut parts = vec![];
    parts.extend(rule.nth.map(|n| format!("from request {n}")));
    parts.extend(rule.count.map(|n| if n == 1 { "once".to_owned() } else { format!("{n} times") }));
    parts.extend(rule.probability.map(|p| format!("probability {p}")));
    parts.extend(rule.latency_ms.map(|ms| format!("delay {ms} ms")));
    if parts.is_empty() { "always".to_owned() } else { parts.join(", ") }
}

/// Which requests, or which addresses, a rule with this effect is about.
fn matches(params: &Parameters, effect: &str) -> Map<String, Value> {
    let is_about_an_address = effect.starts_with("smtp")
        || effect.starts_with("sign_in")
        || effect.is_empty() && !one(params, "to").is_empty();
    let names: &[&'static str] = if is_about_an_address {
        &["to"]
    } else if one(params, "grpc").is_empty() {
        &["method", "path"]
    } else {
        &["grpc"]
    };
    let given = names.iter().map(|name| (*name, one(params, name))).filter(|(_, text)| !text.is_empty());
    given.map(|(name, text)| (name.to_owned(), text.into())).collect()
}

/// The form as a rule.
fn wanted(params: &Parameters) -> Result<FaultRule, ControlError> {
    fn number<T: std::str::FromStr>(
        params: &Parameters,
        name: &'static str,
    ) -> Result<Option<T>, ControlError> {
        match one(params, name) {
            "" => Ok(None),
            text => {
                text.parse().map(Some).map_err(|_| ControlError::field(name, "must be a number, or empty"))
            }
        }
    }
    let effect_name = one(params, "effect");
    let code = one(params, "code");
    let whole = || code.parse::<u64>().map_err(|_| ControlError::field("code", "must be a whole number"));
    let effect = match effect_name {
        "" => Value::Null,
        "status" => json!({ "kind": "status", "status": whole()? }),
        "oauth_error" => json!({ "kind": "oauth_error", "error": code }),
        "grpc_status" => json!({ "kind": "grpc_status", "code": code }),
        "truncated_body" => json!({ "kind": "truncated_body", "bytes": whole()? }),
        "connection_reset" => json!({ "kind": "connection_reset" }),
        "smtp" | "smtp_permanent" => json!({ "kind": "smtp", "permanent": effect_name != "smtp" }),
        "sign_in_expired" => json!({ "kind": "sign_in", "outcome": "expired" }),
        "sign_in_limited" => json!({ "kind": "sign_in", "outcome": "limited" }),
        "sign_in_denied" => json!({ "kind": "sign_in", "outcome": "denied" }),
        fault => json!({ "kind": "token", "fault": fault }),
    };
    let rule = json!({
        "match": matches(params, effect_name),
        "nth": number::<u64>(params, "nth")?,
        "count": number::<u64>(params, "count")?,
        "probability": number::<f64>(params, "probability")?,
        "latency_ms": number::<u64>(params, "latency_ms")?,
        "effect": effect,
    });
    let rule: FaultRule =
        serde_json::from_value(rule).map_err(|error| ControlError::field("code", error.to_string()))?;
    // The form has one field for what the API calls by several names.
    rule.check().map_err(|(field, reason)| {
        ControlError::field(if field.starts_with("effect.") { "code" } else { field }, reason)
    })?;
    Ok(rule)
}

/// `POST /dashboard/faults`
pub async fn create(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    let outcome = match wanted(&params) {
        Ok(rule) => faults::create(&context, rule).await,
        Err(refused) => Err(refused),
    };
    match outcome {
        Ok(_) => Ok(redirect_with_flash(&context, "/dashboard/faults", "created")),
        Err(refused) => show_again(&request, (FORM, &params), refused, |form_state| {
            new_page(&context, &request, form_state)
        }),
    }
}

/// `POST /dashboard/faults/{id}/delete`
pub async fn delete(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
) -> PageResult {
    faults::delete(&context, Some(&id)).await.map_err(|r| error_page(&request, r))?;
    Ok(redirect_with_flash(&context, "/dashboard/faults", "deleted"))
}

/// `POST /dashboard/faults/addresses`: switches the built-in rules on or off.
pub async fn switch_addresses(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    let change = json!({ "faults": { "addresses": one(&params, "addresses") == "on" } });
    settings::change(&context, &change).await.map_err(|r| error_page(&request, r))?;
    Ok(redirect_with_flash(&context, "/dashboard/faults", "saved"))
}
