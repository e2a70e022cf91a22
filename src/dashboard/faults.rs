//! Faults on purpose.

use actix_web::{HttpRequest, web};
use serde_json::{Value, json};

use super::blocks::{Block, Cell, Form, FormState, Page, Row, Section, Table};
use super::listing::Listing;
use super::{
    DashboardContext, PageResult, Posted, error_page, form_params, one, page, redirect_with_flash, redisplay,
    show_refused,
};
use crate::domain::authorization::Parameters;
use crate::domain::fault::FaultRule;
use crate::runtime::Context;
use crate::service::changes::ControlError;
use crate::service::faults;

const FORM: &str = "fault";
const NAMES: &[&str] =
    &["method", "path", "grpc", "nth", "count", "probability", "latency_ms", "effect", "status", "code"];
const EFFECTS: [(&str, &str); 12] = [
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
];

/// `GET /dashboard/faults`
pub async fn list(request: HttpRequest, DashboardContext(context): DashboardContext) -> PageResult {
    Ok(super::show(&build_page(&context, &request, &FormState::default()).await?))
}

async fn build_page(
    context: &Context,
    request: &HttpRequest,
    form_state: &FormState,
) -> Result<Page, actix_web::Error> {
    const HERE: &str = "/dashboard/faults";
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
                action: Some(Form::post("Delete", format!("{path}/{}/delete", fault.id), vec![], "Delete")),
            }
        });
        Block::Table(Table {
            columns: &["Requests", "Effect", "When", "Triggered", "Action"],
            rows: rows.collect(),
        })
    };
    let fields = vec![
        form_state.text(FORM, "method", "HTTP method", "").hint("Leave empty for any."),
        form_state
            .text(FORM, "path", "Path", "/oauth/token")
            .hint("* matches any characters. Leave empty for any."),
        form_state
            .text(FORM, "grpc", "gRPC method", "")
            .hint("Use instead of a path, for example *PasswordlessService/Send*."),
        form_state.choice(FORM, "effect", "Effect", "status", &EFFECTS),
        form_state
            .text(FORM, "code", "Status, error or code", "503")
            .hint("503, temporarily_unavailable or UNAVAILABLE. For a truncated response: bytes."),
        form_state.number(FORM, "nth", "Start at request #", "").hint("1 is the first request."),
        form_state.number(FORM, "count", "Limit", "1").hint("Leave empty for no limit."),
        form_state.text(FORM, "probability", "Probability", "").hint("0 to 1. Leave empty for always."),
        form_state.number(FORM, "latency_ms", "Delay (milliseconds)", ""),
    ];
    page.problem = form_state.rest(NAMES);
    page.sections = vec![
        Section::new("Rules", vec![listing.search(context, HERE, "Path, method or effect"), table, pager]),
        Section::new("New rule", vec![Block::Form(Form::post("New rule", path, fields, "Create"))]),
    ];
    Ok(page)
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
    let mut asked = serde_json::Map::new();
    for name in ["method", "path", "grpc"] {
        let text = one(params, name);
        let is_replaced = name != "grpc" && !one(params, "grpc").is_empty();
        if !text.is_empty() && !is_replaced {
            asked.insert(name.to_owned(), text.into());
        }
    }
    let code = one(params, "code");
    let whole = || code.parse::<u64>().map_err(|_| ControlError::field("code", "must be a whole number"));
    let effect = match one(params, "effect") {
        "" => Value::Null,
        "status" => json!({ "kind": "status", "status": whole()? }),
        "oauth_error" => json!({ "kind": "oauth_error", "error": code }),
        "grpc_status" => json!({ "kind": "grpc_status", "code": code }),
        "truncated_body" => json!({ "kind": "truncated_body", "bytes": whole()? }),
        "connection_reset" => json!({ "kind": "connection_reset" }),
        "smtp" | "smtp_permanent" => json!({ "kind": "smtp", "permanent": one(params, "effect") != "smtp" }),
        fault => json!({ "kind": "token", "fault": fault }),
    };
    let is_about_mails = one(params, "effect").starts_with("smtp");
    let rule = json!({
        "match": if is_about_mails { json!({}) } else { Value::Object(asked) },
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
        Err(refused) => {
            let form_state = redisplay(&request, FORM, &params, refused)?;
            Ok(show_refused(&build_page(&context, &request, &form_state).await?))
        }
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
