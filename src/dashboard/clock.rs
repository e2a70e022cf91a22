//! The clock.

use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::blocks::{Block, Fact, Form, FormState, Page, Section, hidden};
use super::{
    DashboardContext, PageResult, Posted, error_page, form_params, one, page, redirect_with_flash, redisplay,
    show_refused,
};
use crate::domain::authorization::Parameters;
use crate::domain::clock::{ClockChange, parse_rfc3339};
use crate::runtime::Context;
use crate::service::changes::ControlError;
use crate::service::clock;

/// The same by the control API.
const API: &str = "/clock";

const FORM: &str = "set";

/// Steps that tests take most: label and seconds.
const STEPS: [(&str, &str); 5] = [
    ("1 minute", "60"),
    ("5 minutes", "300"),
    ("10 minutes", "600"),
    ("1 hour", "3600"),
    ("30 days", "2592000"),
];

/// `GET /dashboard/clock`
pub async fn show(request: HttpRequest, DashboardContext(context): DashboardContext) -> HttpResponse {
    super::show(build_page(&context, &request, &FormState::default()))
}

fn build_page(context: &Context, request: &HttpRequest, form_state: &FormState) -> Page {
    let mut page = page(context, request, "/dashboard/clock", "Clock");
    page.lead = Some("Codes, limits, sessions and tokens all use this clock.".to_owned());
    let path = context.path("/dashboard/clock");
    let view = clock::show(context);
    let facts = vec![
        Fact::text("Server time", &view.now),
        Fact::text("Real time", &view.real_now),
        Fact::text("Offset", format!("{} s", view.ahead_s)),
        Fact::text("State", if view.frozen { "Frozen" } else { "Running" }),
    ];
    let choice = FormState::default().choice(
        "advance",
        "advance_s",
        "Advance by",
        "300",
        &STEPS.map(|(label, s)| (s, label)),
    );
    let advance = Form::post("Advance", path.clone(), vec![choice], "Advance");
    let advance = advance.curl_json(context, "PUT", API, &json!({ "advance_s": 300 }));
    let frozen = if view.frozen { "false" } else { "true" };
    let freeze = Form::post(
        "Freeze",
        path.clone(),
        vec![hidden("frozen", frozen)],
        if view.frozen { "Unfreeze" } else { "Freeze" },
    );
    let freeze = freeze.curl_json(context, "PUT", API, &json!({ "frozen": !view.frozen }));
    let set = Form::post(
        "Set the time",
        path.clone(),
        vec![form_state.text(FORM, "now", "Time", &view.now).hint("RFC 3339, such as 2030-01-01T00:00:00Z.")],
        "Set",
    );
    let set = set.curl_json(context, "PUT", API, &json!({ "now": view.now }));
    let reset = Form::post("Real time", path, vec![hidden("reset", "on")], "Use real time");
    let reset = reset.curl(context, "DELETE", API);
    page.problem = form_state.rest(&["now"]);
    page.sections = vec![
        Section::new("Now", vec![Block::Facts(facts), Block::Form(freeze), Block::Form(reset)]),
        Section::new("Advance", vec![Block::Form(advance)]),
        Section::new("Set the time", vec![Block::Form(set)]),
    ];
    page
}

fn wanted(params: &Parameters) -> Result<ClockChange, ControlError> {
    let now = one(params, "now");
    let set_ms = match now {
        "" => None,
        text => {
            Some(parse_rfc3339(text).ok_or_else(|| ControlError::field("now", "must be an RFC 3339 time"))?)
        }
    };
    let advance_s: i64 = one(params, "advance_s").parse().unwrap_or_default();
    let frozen = match one(params, "frozen") {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    };
    Ok(ClockChange { set_ms, advance_ms: advance_s.saturating_mul(1000), frozen, date_tokens_ahead: None })
}

/// `POST /dashboard/clock`
pub async fn change(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    if one(&params, "reset") == "on" {
        clock::reset(&context).await.map_err(|r| error_page(&request, r))?;
        return Ok(redirect_with_flash(&context, "/dashboard/clock", "saved"));
    }
    let outcome = match wanted(&params) {
        Ok(change) => clock::change(&context, change).await,
        Err(refused) => Err(refused),
    };
    match outcome {
        Ok(_) => Ok(redirect_with_flash(&context, "/dashboard/clock", "saved")),
        Err(refused) => {
            let form_state = redisplay(&request, FORM, &params, refused)?;
            Ok(show_refused(build_page(&context, &request, &form_state)))
        }
    }
}
