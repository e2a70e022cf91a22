//! The server's clock, for tests that must not wait. It moves this process alone.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use crate::app::Context;
use crate::domain::clock::{MovableClock, rfc3339};
use crate::http::context::Ctx;
use crate::http::errors::Problem;
use crate::http::guard;

/// Furthest jump, in seconds: ten years.
const MAX_ADVANCE_S: i64 = 315_360_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Seconds to move on.
    advance_s: i64,
}

/// `GET /_emulator/v1/clock`
pub async fn show(request: HttpRequest, Ctx(context): Ctx) -> HttpResponse {
    match allowed(&request, &context) {
        Ok(clock) => shown(&context, clock),
        Err(refused) => refused,
    }
}

/// `PUT /_emulator/v1/clock`
pub async fn change(
    request: HttpRequest,
    Ctx(context): Ctx,
    body: Result<web::Json<Change>, actix_web::Error>,
) -> HttpResponse {
    let clock = match allowed(&request, &context) {
        Ok(clock) => clock,
        Err(refused) => return refused,
    };
    let refuse = |text: String| Problem::bad_request("invalid_request", text).json();
    match body {
        Ok(change) if (0..=MAX_ADVANCE_S).contains(&change.advance_s) => {
            clock.advance_ms(change.advance_s * 1000);
            shown(&context, clock)
        }
        Ok(_) => refuse(format!("advance_s must be between 0 and {MAX_ADVANCE_S}: the clock only moves on")),
        Err(error) => refuse(format!("the body must be JSON such as {{\"advance_s\": 600}}: {error}")),
    }
}

fn allowed<'c>(request: &HttpRequest, context: &'c Context) -> Result<&'c MovableClock, HttpResponse> {
    guard::control(request, context)?;
    context.app.movable_clock.as_deref().ok_or_else(|| {
        let text = "this server's clock cannot be moved";
        Problem::new(StatusCode::NOT_FOUND, "not_found", "Not here", text).json()
    })
}

fn shown(context: &Context, clock: &MovableClock) -> HttpResponse {
    HttpResponse::Ok().json(json!({
        "now": rfc3339(context.now_ms()),
        "ahead_s": clock.ahead_ms() / 1000,
    }))
}
