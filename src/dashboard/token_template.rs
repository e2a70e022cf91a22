//! The token template: its claims, and what they come to for a user.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::blocks::{Block, Cell, Form, FormState, Page, Row, Section, Table, hidden};
use super::setting_fields::table_patch;
use super::{
    DashboardContext, PageResult, Posted, form_params, lines, one, page, redirect_with_flash, redisplay,
    show_with,
};
use crate::domain::authorization::Parameters;
use crate::domain::field_error::FieldError;
use crate::runtime::Context;
use crate::service::changes::ControlError;
use crate::service::settings;
use crate::service::token_template::{self, PreviewRequest};

const PATH: &str = "/dashboard/token-template";
const SAVE: &str = "save";
const PREVIEW: &str = "preview";

/// `GET /dashboard/token-template`
pub async fn show(request: HttpRequest, DashboardContext(context): DashboardContext) -> HttpResponse {
    super::show(build_page(&context, &request, &FormState::default(), vec![]))
}

fn build_page(
    context: &Context,
    request: &HttpRequest,
    form_state: &FormState,
    answer: Vec<Section>,
) -> Page {
    let template = &context.environment.token_template;
    let written: Vec<String> =
        template.claims.iter().map(|claim| format!("{} = {}", claim.name, claim.expression.text())).collect();
    let mut page = page(context, request, PATH, "Token template");
    let text = "Claims of your own in access tokens. They are recomputed with each token, and a claim without a value \
                is left out.";
    page.lead = Some(text.to_owned());
    let claims = vec![
        hidden("act", SAVE),
        form_state.check(SAVE, "enabled", "Add the claims to access tokens", template.is_enabled),
        form_state
            .long(SAVE, "claims", "Claims", written.join("\n"))
            .hint("One per line: plan = organization.metadata.plan ?? \"free\"."),
    ];
    let preview = vec![
        hidden("act", PREVIEW),
        form_state.text(PREVIEW, "user", "User", "").hint("ID or email."),
        form_state
            .text(PREVIEW, "organization_id", "Organization", "")
            .hint("ID or external ID. Leave empty for the user's first one."),
    ];
    page.problem = form_state.rest(&["claims", "user", "organization_id"]);
    let path = context.path(PATH);
    let saved = json!({ "token_template": { "enabled": template.is_enabled, "claims": template.to_json() } });
    let claims = Form::post("Claims", path.clone(), claims, "Save");
    let claims = claims.curl_json(context, "PATCH", "/settings", &saved);
    let preview = Form::post("Preview", path, preview, "Preview");
    let body = json!({ "user": "jane@example.com" });
    let preview = preview.curl_json(context, "POST", "/token-template/preview", &body);
    page.sections = answer;
    page.sections.push(Section::new("Claims", vec![Block::Form(claims)]));
    page.sections.push(Section::new("Preview", vec![Block::Form(preview)]));
    page
}

/// `POST /dashboard/token-template`
pub async fn act(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    let is_preview = one(&params, "act") == PREVIEW;
    let form = if is_preview { PREVIEW } else { SAVE };
    let outcome = if is_preview { preview(&context, &params).await } else { save(&context, &params).await };
    match outcome {
        Ok(answer) if is_preview => {
            let form_state = FormState::new(form, &params, vec![]);
            Ok(super::show(build_page(&context, &request, &form_state, answer)))
        }
        Ok(_) => Ok(redirect_with_flash(&context, PATH, "saved")),
        Err(refused) => {
            let form_state = redisplay(&request, form, &params, refused)?;
            let page = build_page(&context, &request, &form_state, vec![]);
            Ok(show_with(StatusCode::BAD_REQUEST, page))
        }
    }
}

/// Claims as they are typed, one on a line.
fn typed(text: &str) -> Result<BTreeMap<&str, &str>, ControlError> {
    let mut claims = BTreeMap::new();
    for line in lines(text) {
        let Some((name, expression)) = line.split_once('=') else {
            let reason = format!("has the line {line:?}: write name = expression");
            return Err(ControlError::field("claims", reason));
        };
        if claims.insert(name.trim(), expression.trim()).is_some() {
            return Err(ControlError::field("claims", format!("has {:?} twice", name.trim())));
        }
    }
    Ok(claims)
}

async fn save(context: &Context, params: &Parameters) -> Result<Vec<Section>, ControlError> {
    let claims = typed(one(params, "claims"))?;
    let claims = table_patch(json!(claims), &context.environment.token_template.to_json());
    let change = json!({ "token_template": { "enabled": one(params, "enabled") == "on", "claims": claims } });
    match settings::change(context, &change).await {
        Ok(_) => Ok(vec![]),
        Err(ControlError::Invalid(errors)) => Err(ControlError::Invalid(beside_the_claims(errors))),
        Err(other) => Err(other),
    }
}

/// All claims stand in one field.
fn beside_the_claims(errors: Vec<FieldError>) -> Vec<FieldError> {
    let named = errors.into_iter().map(|error| match error.field.strip_prefix("token_template.claims.") {
        Some(name) => FieldError::new("claims", format!("{name} {}", error.reason)),
        None => error,
    });
    named.collect()
}

async fn preview(context: &Context, params: &Parameters) -> Result<Vec<Section>, ControlError> {
    let wanted = PreviewRequest {
        user: one(params, "user").to_owned(),
        organization_id: Some(one(params, "organization_id").to_owned()).filter(|id| !id.is_empty()),
        claims: None,
    };
    let preview = token_template::preview(context, &wanted).await?;
    let claims = preview.claims.iter().map(|(name, value)| {
        Row::new(vec![Cell::text(name), Cell::text(value.to_string()), Cell::verdict("in the token", true)])
    });
    let omitted = preview.omitted.iter().map(|claim| {
        let reason = Cell::verdict(format!("left out: {}", claim.reason), false);
        Row::new(vec![Cell::text(&claim.name), Cell::text(""), reason])
    });
    let rows = claims.chain(omitted).collect();
    let table = Table { columns: &["Claim", "Value", "Result"], rows };
    let variables = folded("What expressions can read", &preview.variables);
    Ok(vec![Section::new("Result", vec![Block::Table(table), variables])])
}

fn folded(name: &str, value: &Value) -> Block {
    Block::Folded { name: name.to_owned(), text: format!("{value:#}") }
}
