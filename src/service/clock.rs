//! The environment's clock.

use serde::Serialize;
use utoipa::ToSchema;

use super::changes::{ControlError, change_record};
use crate::domain::clock::{ClockChange, ClockSetting, rfc3339};
use crate::runtime::Context;

/// The clock as it stands.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ClockView {
    /// The environment's time, RFC 3339.
    pub now: String,
    /// The machine's time, RFC 3339.
    pub real_now: String,
    pub frozen: bool,
    /// Whole seconds that the environment's time is ahead of the machine's; negative when behind.
    pub ahead_s: i64,
    /// Are tokens dated by the environment's time even where it is ahead of the machine's?
    pub date_tokens_ahead: bool,
}

pub fn show(context: &Context) -> ClockView {
    let clock = &context.runtime.clock;
    // One reading of the machine's clock, or an unmoved clock would seem to be behind.
    let (real_ms, setting) = (clock.machine_ms(), clock.setting());
    let now_ms = setting.now_ms(real_ms);
    ClockView {
        now: rfc3339(now_ms),
        real_now: rfc3339(real_ms),
        frozen: setting.is_frozen(),
        ahead_s: (now_ms - real_ms) / 1000,
        date_tokens_ahead: setting.date_tokens_ahead,
    }
}

/// Sets, moves, stops or starts the clock, for everything and on all servers.
pub async fn change(context: &Context, change: ClockChange) -> Result<ClockView, ControlError> {
    let machine_ms = context.runtime.clock.machine_ms();
    change_record(context, |record| {
        record.clock = record
            .clock
            .changed(change, machine_ms)
            .ok_or_else(|| ControlError::field("now", "would be before 1970 or after 9999"))?;
        Ok(())
    })
    .await?;
    wake_deliveries(context);
    Ok(show(context))
}

/// Back to real time.
pub async fn reset(context: &Context) -> Result<ClockView, ControlError> {
    change_record(context, |record| {
        record.clock = ClockSetting::default();
        Ok(())
    })
    .await?;
    wake_deliveries(context);
    Ok(show(context))
}

/// What waits by the clock for another attempt may be due now.
fn wake_deliveries(context: &Context) {
    let server = &context.runtime.server;
    server.deliveries_due.notify_one();
    server.sessions_ended.notify_one();
}
