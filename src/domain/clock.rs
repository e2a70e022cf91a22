//! Time as an argument. Nothing else in the crate reads the system clock.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type UnixMs = i64;

/// Where the time comes from.
pub trait Clock: Send + Sync {
    /// Now, in milliseconds UTC.
    fn now_ms(&self) -> UnixMs;
}

/// The machine's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that may read the system clock")]
    fn now_ms(&self) -> UnixMs {
        chrono::Utc::now().timestamp_millis()
    }
}

/// How an environment's clock differs from the machine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ClockState {
    /// It runs as the machine's does, so far ahead of it (or behind).
    Running {
        ahead_ms: i64,
    },
    Frozen {
        at_ms: UnixMs,
    },
}

/// The clock of one environment, as testers set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClockSetting {
    pub state: ClockState,
    /// Date tokens by this clock even where it is ahead of real time, in which case most clients refuse them.
    pub date_tokens_ahead: bool,
}

impl Default for ClockSetting {
    fn default() -> Self {
        Self { state: ClockState::Running { ahead_ms: 0 }, date_tokens_ahead: false }
    }
}

/// Something a tester does to the clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClockChange {
    /// Be this time now.
    pub set_ms: Option<UnixMs>,
    /// Then move on (or back) by this much.
    pub advance_ms: i64,
    /// Then stand still, or run on.
    pub frozen: Option<bool>,
    pub date_tokens_ahead: Option<bool>,
}

/// 1970 to 9999: what RFC 3339 can say.
pub const TIMES_MS: std::ops::RangeInclusive<i64> = 0..=253_402_300_799_999;

impl ClockSetting {
    pub fn now_ms(&self, machine_ms: UnixMs) -> UnixMs {
        match self.state {
            ClockState::Running { ahead_ms } => machine_ms.saturating_add(ahead_ms),
            ClockState::Frozen { at_ms } => at_ms,
        }
    }

    /// Is the time that it gives within the years 1970 to 9999?
    pub fn is_possible(&self, machine_ms: UnixMs) -> bool {
        TIMES_MS.contains(&self.now_ms(machine_ms))
    }

    pub fn is_frozen(&self) -> bool {
        matches!(self.state, ClockState::Frozen { .. })
    }

    /// The setting after a change; `None` when the clock would leave the years 1970 to 9999.
    pub fn changed(self, change: ClockChange, machine_ms: UnixMs) -> Option<Self> {
        let at_ms =
            change.set_ms.unwrap_or_else(|| self.now_ms(machine_ms)).checked_add(change.advance_ms)?;
        if !TIMES_MS.contains(&at_ms) {
            return None;
        }
        let state = if change.frozen.unwrap_or_else(|| self.is_frozen()) {
            ClockState::Frozen { at_ms }
        } else {
            ClockState::Running { ahead_ms: at_ms - machine_ms }
        };
        let date_tokens_ahead = change.date_tokens_ahead.unwrap_or(self.date_tokens_ahead);
        Some(Self { state, date_tokens_ahead })
    }
}

/// An environment's clock: the machine's, moved or stopped by what testers ask for.
pub struct EnvironmentClock {
    machine: Arc<dyn Clock>,
    setting: RwLock<ClockSetting>,
}

impl EnvironmentClock {
    pub fn new(machine: Arc<dyn Clock>, setting: ClockSetting) -> Self {
        Self { machine, setting: RwLock::new(setting) }
    }

    pub fn setting(&self) -> ClockSetting {
        *self.setting.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set(&self, setting: ClockSetting) {
        *self.setting.write().unwrap_or_else(PoisonError::into_inner) = setting;
    }

    /// Real time.
    pub fn machine_ms(&self) -> UnixMs {
        self.machine.now_ms()
    }

    /// The time at which tokens are dated: never ahead of real time, by which clients check them, unless asked.
    pub fn token_date_ms(&self) -> UnixMs {
        let (setting, machine_ms) = (self.setting(), self.machine.now_ms());
        let now_ms = setting.now_ms(machine_ms);
        if setting.date_tokens_ahead { now_ms } else { now_ms.min(machine_ms) }
    }
}

impl Clock for EnvironmentClock {
    fn now_ms(&self) -> UnixMs {
        self.setting().now_ms(self.machine.now_ms())
    }
}

/// A clock that moves only when told: for tests.
#[derive(Debug)]
pub struct FrozenClock(AtomicI64);

impl FrozenClock {
    pub fn at(now_ms: UnixMs) -> Self {
        Self(AtomicI64::new(now_ms))
    }

    pub fn advance_ms(&self, by_ms: i64) {
        self.0.fetch_add(by_ms, Ordering::SeqCst);
    }
}

impl Clock for FrozenClock {
    fn now_ms(&self) -> UnixMs {
        self.0.load(Ordering::SeqCst)
    }
}

/// RFC 3339 text of a time, whole milliseconds, UTC.
pub fn rfc3339(ms: UnixMs) -> String {
    chrono::DateTime::from_timestamp_millis(ms)
        .unwrap_or_default()
        .to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// The time that an RFC 3339 text says.
pub fn parse_rfc3339(text: &str) -> Option<UnixMs> {
    Some(chrono::DateTime::parse_from_rfc3339(text).ok()?.timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn change() -> ClockChange {
        ClockChange::default()
    }

    #[test]
    fn a_frozen_clock_stands_and_runs_on_from_where_it_stood() {
        let frozen =
            ClockSetting::default().changed(ClockChange { frozen: Some(true), ..change() }, 1_000).unwrap();
        assert_eq!(frozen.now_ms(9_000), 1_000);
        let moved = frozen.changed(ClockChange { advance_ms: 500, ..change() }, 9_000).unwrap();
        assert_eq!(moved.now_ms(10_000), 1_500);
        let running = moved.changed(ClockChange { frozen: Some(false), ..change() }, 10_000).unwrap();
        assert_eq!(running.now_ms(10_250), 1_750);
    }

    #[test]
    fn tokens_are_not_dated_ahead_unless_asked() {
        let machine = Arc::new(FrozenClock::at(1_000_000));
        let ahead =
            ClockSetting { state: ClockState::Running { ahead_ms: 60_000 }, date_tokens_ahead: false };
        let clock = EnvironmentClock::new(machine, ahead);
        assert_eq!((clock.now_ms(), clock.token_date_ms()), (1_060_000, 1_000_000));
        clock.set(ClockSetting { date_tokens_ahead: true, ..ahead });
        assert_eq!(clock.token_date_ms(), 1_060_000);
        clock.set(ClockSetting { state: ClockState::Running { ahead_ms: -60_000 }, ..ahead });
        assert_eq!(clock.token_date_ms(), 940_000);
    }

    #[test]
    fn times_survive_their_text() {
        assert_eq!(parse_rfc3339(&rfc3339(1_795_000_000_123)), Some(1_795_000_000_123));
        assert_eq!(parse_rfc3339("2026-11-23T12:00:00+02:00"), Some(1_795_428_000_000));
        assert_eq!(parse_rfc3339("yesterday"), None);
    }

    #[test]
    fn a_stored_clock_is_read_whatever_version_wrote_it() {
        for (stored, expected) in [
            ("{}", ClockSetting::default()),
            (
                r#"{ "state": { "state": "frozen", "at_ms": 7, "zone": "UTC" }, "speed": 2 }"#,
                ClockSetting { state: ClockState::Frozen { at_ms: 7 }, date_tokens_ahead: false },
            ),
        ] {
            assert_eq!(serde_json::from_str::<ClockSetting>(stored).unwrap(), expected);
        }
    }

    proptest! {
        #[test]
        fn a_change_gives_the_time_it_asked_for_or_nothing(
            set_ms in proptest::option::of(any::<i64>()), advance_ms in any::<i64>(),
            frozen in proptest::option::of(any::<bool>()), machine_ms in 0i64..4_000_000_000_000,
        ) {
            let change = ClockChange { set_ms, advance_ms, frozen, date_tokens_ahead: None };
            if let Some(changed) = ClockSetting::default().changed(change, machine_ms) {
                prop_assert_eq!(changed.now_ms(machine_ms), set_ms.unwrap_or(machine_ms) + advance_ms);
                prop_assert_eq!(changed.is_frozen(), frozen.unwrap_or(false));
            }
        }
    }
}
