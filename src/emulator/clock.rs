//! The environment's clock, for tests that must not wait.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Answer, Body, Control, json, refuse};
use crate::domain::clock::{ClockChange, parse_rfc3339};
use crate::service::changes::ControlError;
use crate::service::clock::{self, ClockView};

/// Furthest jump, in seconds: ten years.
const MAX_ADVANCE_S: i64 = 315_360_000;

/// What to do to the clock. All of it is done in one step: set, then advance, then freeze or resume.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClockInput {
    /// The time to set, RFC 3339.
    pub now: Option<String>,
    /// Seconds to advance; negative moves back. At most ten years.
    pub advance_s: Option<i64>,
    /// `true` freezes the clock, `false` resumes it.
    pub frozen: Option<bool>,
    /// Date tokens by this clock even where it is ahead of real time. Most clients refuse such tokens.
    pub date_tokens_ahead: Option<bool>,
}

impl ClockInput {
    pub fn check(&self) -> Result<ClockChange, ControlError> {
        let set_ms = self.now.as_deref().map(|text| {
            parse_rfc3339(text).ok_or_else(|| {
                ControlError::field("now", "must be an RFC 3339 time such as 2026-12-31T23:59:00Z")
            })
        });
        let advance_s = self.advance_s.unwrap_or_default();
        if !(-MAX_ADVANCE_S..=MAX_ADVANCE_S).contains(&advance_s) {
            let text = format!("must be between -{MAX_ADVANCE_S} and {MAX_ADVANCE_S}");
            return Err(ControlError::field("advance_s", text));
        }
        Ok(ClockChange {
            set_ms: set_ms.transpose()?,
            advance_ms: advance_s * 1000,
            frozen: self.frozen,
            date_tokens_ahead: self.date_tokens_ahead,
        })
    }
}

/// Returns the environment's time.
#[utoipa::path(get, path = "/_emulator/v1/clock", tag = "clock", responses((status = 200, body = ClockView)))]
pub async fn show(Control(context): Control) -> Answer {
    Ok(json(&clock::show(&context)))
}

/// Sets, advances, freezes or resumes the clock, on all servers.
#[utoipa::path(put, path = "/_emulator/v1/clock", tag = "clock", request_body = ClockInput,
    responses((status = 200, body = ClockView), (status = 400, body = super::ProblemDocument)))]
pub async fn change(Control(context): Control, Body(input): Body<ClockInput>) -> Answer {
    let names_nothing = input == ClockInput::default();
    if names_nothing {
        return Err(refuse(ControlError::field(
            "",
            "must name at least one of now, advance_s, frozen, date_tokens_ahead",
        )));
    }
    let change = input.check().map_err(refuse)?;
    Ok(json(&clock::change(&context, change).await.map_err(refuse)?))
}

/// Returns the clock to real time.
#[utoipa::path(delete, path = "/_emulator/v1/clock", tag = "clock", responses((status = 200, body = ClockView)))]
pub async fn reset(Control(context): Control) -> Answer {
    Ok(json(&clock::reset(&context).await.map_err(refuse)?))
}
