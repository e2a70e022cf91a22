//! `[sessions]`: how long a browser stays signed in.

use super::setting::{Section, Setting};
use super::source::Source;
use crate::domain::settings::SessionSettings;

static ABSOLUTE_TIMEOUT_S: Setting<i64> = Setting::integer(
    "sessions.absolute_timeout_s",
    60..=31_536_000,
    2_592_000,
    "Seconds after which a session ends.",
)
.changeable(|e| e.sessions.absolute_timeout_s.into());

static IDLE_TIMEOUT_S: Setting<i64> = Setting::integer(
    "sessions.idle_timeout_s",
    60..=31_536_000,
    604_800,
    "Seconds without use after which a session ends.",
)
.changeable(|e| e.sessions.idle_timeout_s.into());

pub(super) fn section() -> Section {
    Section {
        table: "sessions",
        is_list: false,
        about: "Browser sessions, which make the next sign-in silent.",
        settings: vec![ABSOLUTE_TIMEOUT_S.facts(), IDLE_TIMEOUT_S.facts()],
    }
}

pub(super) fn read(source: &mut Source) -> SessionSettings {
    let settings = SessionSettings {
        absolute_timeout_s: source.integer(&ABSOLUTE_TIMEOUT_S),
        idle_timeout_s: source.integer(&IDLE_TIMEOUT_S),
    };
    if settings.idle_timeout_s > settings.absolute_timeout_s {
        let text = "must not be longer than sessions.absolute_timeout_s";
        source.problem(IDLE_TIMEOUT_S.key(), text);
    }
    settings
}
