//! Looking into tokens, and minting them.

use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::blocks::{Block, Cell, Form, FormState, Page, Row, Section, Table};
use super::{DashboardContext, PageResult, Posted, form_params, one, page, redisplay, show_refused};
use crate::runtime::Context;
use crate::service::changes::ControlError;
use crate::service::test_tokens::{self, MintTokens};

const DECODE: &str = "decode";
const MINT: &str = "mint";

/// `GET /dashboard/tokens`
pub async fn show(request: HttpRequest, DashboardContext(context): DashboardContext) -> HttpResponse {
    super::show(build_page(&context, &request, &FormState::default(), vec![]))
}

fn build_page(
    context: &Context,
    request: &HttpRequest,
    form_state: &FormState,
    answer: Vec<Section>,
) -> Page {
    let mut page = page(context, request, "/dashboard/tokens", "Tokens");
    let path = context.path("/dashboard/tokens");
    let decode = vec![
        super::blocks::hidden("act", DECODE),
        form_state.long(DECODE, "token", "Token", "").hint("A JWT or a refresh token."),
        form_state.text(DECODE, "client_id", "Expected audience", "").hint("Optional."),
    ];
    let mint = vec![
        super::blocks::hidden("act", MINT),
        form_state.text(MINT, "user", "User", "").hint("ID or email."),
        form_state.text(MINT, "client_id", "Client", "").hint("Leave empty for the first client."),
        form_state.text(MINT, "scope", "Scope", "openid profile email offline_access"),
        form_state
            .long(MINT, "claims", "Extra claims", "{}")
            .hint("JSON. Overrides the claims of the access and ID token."),
        form_state
            .number(MINT, "access_token_lifetime_s", "Access token lifetime (seconds)", "")
            .hint("Negative for an expired token. Leave empty for the default."),
    ];
    let decode = Form::post("Decode", path.clone(), decode, "Decode");
    let decode = decode.curl_json(context, "POST", "/tokens/decode", &json!({ "token": "eyJ..." }));
    let mint = Form::post("Mint", path, mint, "Mint");
    let mint = mint.curl_json(context, "POST", "/tokens", &json!({ "user": "jane@example.com" }));
    page.problem =
        form_state.rest(&["token", "client_id", "user", "scope", "claims", "access_token_lifetime_s"]);
    page.sections = answer;
    page.sections.push(Section::new("Decode", vec![Block::Form(decode)]));
    page.sections.push(Section::new("Mint", vec![Block::Form(mint)]));
    page
}

/// `POST /dashboard/tokens`
pub async fn act(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    let is_mint = one(&params, "act") == MINT;
    let outcome = if is_mint { mint(&context, &params).await } else { decode(&context, &params).await };
    match outcome {
        Ok(answer) => {
            let form_state = FormState::new(if is_mint { MINT } else { DECODE }, &params, vec![]);
            Ok(super::show(build_page(&context, &request, &form_state, answer)))
        }
        Err(refused) => {
            let form_state = redisplay(&request, if is_mint { MINT } else { DECODE }, &params, refused)?;
            Ok(show_refused(build_page(&context, &request, &form_state, vec![])))
        }
    }
}

type Params = crate::domain::authorization::Parameters;

async fn decode(context: &Context, params: &Params) -> Result<Vec<Section>, ControlError> {
    let token = one(params, "token");
    if token.is_empty() {
        return Err(ControlError::field("token", "is empty"));
    }
    let audience = Some(one(params, "client_id")).filter(|c| !c.is_empty());
    let decoded = test_tokens::decode(context, token, audience).await?;
    let rows =
        decoded.checks.iter().map(|c| Row::new(vec![Cell::verdict(c.name, c.ok), Cell::text(&c.text)]));
    let table = Table { columns: &["Check", "Result"], rows: rows.collect() };
    let title = if decoded.valid { "Valid" } else { "Not valid" };
    let blocks = vec![Block::Table(table)];
    let mut sections = vec![];
    for (name, value) in [("Header", decoded.header), ("Claims", decoded.claims)] {
        if let Some(value) = value {
            let rows = value.as_object().into_iter().flatten().map(|(name, value)| {
                Row::new(vec![Cell::text(name), Cell::code(shown(value)), time_of(name, value)])
            });
            let table = Table { columns: &["Name", "Value", "Time"], rows: rows.collect() };
            let json = Block::Folded { name: "JSON".to_owned(), text: format!("{value:#}") };
            sections.push(Section::new(name, vec![Block::Table(table), json]));
        }
    }
    sections.insert(0, Section::new(title, blocks));
    Ok(sections)
}

/// A value as text; a string without its quotes.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What a claim says as a time (RFC 7519 §4.1), beside its number of seconds; empty where it says none.
fn time_of(name: &str, value: &Value) -> Cell {
    let is_time = matches!(name, "exp" | "iat" | "nbf" | "auth_time");
    match value.as_i64().and_then(|seconds| seconds.checked_mul(1000)).filter(|_| is_time) {
        Some(ms) => Cell::time(ms),
        None => Cell::default(),
    }
}

async fn mint(context: &Context, params: &Params) -> Result<Vec<Section>, ControlError> {
    let claims = match one(params, "claims") {
        "" => serde_json::Map::new(),
        text => serde_json::from_str(text)
            .map_err(|error| ControlError::field("claims", format!("is not a JSON object: {error}")))?,
    };
    let lifetime = match one(params, "access_token_lifetime_s") {
        "" => None,
        text => Some(
            text.parse()
                .map_err(|_| ControlError::field("access_token_lifetime_s", "must be a whole number"))?,
        ),
    };
    let wanted = MintTokens {
        user: one(params, "user").to_owned(),
        client_id: Some(one(params, "client_id").to_owned()).filter(|c| !c.is_empty()),
        scope: one(params, "scope").split_whitespace().map(str::to_owned).collect(),
        claims,
        access_token_lifetime_s: lifetime,
        ..MintTokens::default()
    };
    let made = test_tokens::mint(context, wanted).await?;
    let mut blocks = vec![Block::Code { name: "Access token".to_owned(), text: made.access_token }];
    let others = [("ID token", made.id_token), ("Refresh token", made.refresh_token)];
    blocks.extend(
        others
            .into_iter()
            .filter_map(|(name, token)| Some(Block::Folded { name: name.to_owned(), text: token? })),
    );
    Ok(vec![Section::new("Minted", blocks)])
}
