//! `[limits]`: limits against guessing and flooding.

use std::ops::RangeInclusive;

use super::setting::{Section, Setting};
use super::source::Source;
use crate::domain::limits::MAX_RECENT_SENDS;
use crate::domain::settings::{Limits, Mode};

/// Emails of a source, or of all: as many as are remembered.
#[expect(clippy::cast_possible_wrap, reason = "it is a small number")]
const RECENT_SENDS: RangeInclusive<i64> = 0..=MAX_RECENT_SENDS as i64;

static CODE_ATTEMPTS: Setting<i64> = Setting::integer(
    "limits.code_attempts",
    1..=100,
    5,
    "Code attempts per sign-in within code_attempts_window_s; one more closes the sign-in.",
)
.changeable(|e| e.limits.code_attempts.into());

static CODE_ATTEMPTS_WINDOW_S: Setting<i64> = Setting::integer(
    "limits.code_attempts_window_s",
    1..=86_400,
    600,
    "The window of code_attempts, in seconds.",
)
.changeable(|e| e.limits.code_attempts_window_s.into());

static MAILS_PER_ADDRESS: Setting<i64> = Setting::integer(
    "limits.mails_per_address",
    0..=10_000,
    2,
    "Emails per address within mails_window_s, sends and resends together; 0 switches the limit off. Test users have none.",
)
.changeable(|e| e.limits.mails_per_address.unwrap_or_default().into());

static MAILS_WINDOW_S: Setting<i64> =
    Setting::integer("limits.mails_window_s", 1..=86_400, 60, "The window of the email limits, in seconds.")
        .changeable(|e| e.limits.mails_window_s.into());

static MAILS_PER_SOURCE: Setting<i64> = Setting::integer(
    "limits.mails_per_source",
    RECENT_SENDS,
    0,
    "Emails that one source may cause on the sign-in pages within mails_window_s; 0 switches the limit off. A source is an IPv4 address, or the first 64 bits of an IPv6 address.",
)
.except_in("production mode", 30)
.changeable(|e| e.limits.mails_per_source.unwrap_or_default().into());

static MAILS_IN_ALL: Setting<i64> = Setting::integer(
    "limits.mails_in_all",
    RECENT_SENDS,
    0,
    "Emails that all sources together may cause on the sign-in pages within mails_window_s; 0 switches the limit off. Each server counts its own, and calls of the API do not count.",
)
.except_in("production mode", 600)
.changeable(|e| e.limits.mails_in_all.unwrap_or_default().into());

static FAILED_ATTEMPTS_PER_ADDRESS: Setting<i64> = Setting::integer(
    "limits.failed_attempts_per_address",
    0..=10_000,
    100,
    "Limit of wrong codes per address within 24 hours. It is never reached: after one fewer, only links sign in. 0 switches the limit off.",
)
.changeable(|e| e.limits.failed_attempts_per_address.unwrap_or_default().into());

static AUTH_REQUEST_LIFETIME_S: Setting<i64> = Setting::integer(
    "limits.auth_request_lifetime_s",
    60..=86_400,
    3_600,
    "Seconds from the first page until the address is proved.",
)
.changeable(|e| e.limits.auth_request_lifetime_s.into());

pub(super) fn section() -> Section {
    Section {
        table: "limits",
        is_list: false,
        about: "Limits against guessing and flooding. Those per sign-in and per address are counted in the database, those per source and in all in each server's memory.",
        settings: vec![
            CODE_ATTEMPTS.facts(),
            CODE_ATTEMPTS_WINDOW_S.facts(),
            MAILS_PER_ADDRESS.facts(),
            MAILS_WINDOW_S.facts(),
            MAILS_PER_SOURCE.facts(),
            MAILS_IN_ALL.facts(),
            FAILED_ATTEMPTS_PER_ADDRESS.facts(),
            AUTH_REQUEST_LIFETIME_S.facts(),
        ],
    }
}

pub(super) fn read(source: &mut Source, mode: Mode) -> Limits {
    let is_production = mode == Mode::Production;
    let mut limit = |setting: &Setting<i64>| Some(source.unsigned(setting)).filter(|n| *n > 0);
    let mails_per_source = limit(&MAILS_PER_SOURCE.in_case(is_production));
    let mails_in_all = limit(&MAILS_IN_ALL.in_case(is_production));
    let mails_per_address = limit(&MAILS_PER_ADDRESS);
    let failed_attempts_per_address = limit(&FAILED_ATTEMPTS_PER_ADDRESS);
    if failed_attempts_per_address == Some(1) {
        let text = "must be 0, or at least 2: 1 would judge no code at all";
        source.problem(FAILED_ATTEMPTS_PER_ADDRESS.key(), text);
    }
    Limits {
        code_attempts: source.unsigned(&CODE_ATTEMPTS),
        code_attempts_window_s: source.integer(&CODE_ATTEMPTS_WINDOW_S),
        mails_per_address,
        failed_attempts_per_address,
        mails_per_source,
        mails_in_all,
        mails_window_s: source.integer(&MAILS_WINDOW_S),
        auth_request_lifetime_s: source.integer(&AUTH_REQUEST_LIFETIME_S),
    }
}
