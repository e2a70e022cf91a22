//! `[test_users]`: addresses that sign in with a fixed code.

use super::setting::{Section, Setting};
use super::source::Source;
use crate::domain::settings::{Mode, PasswordlessSettings, TestUsers};

static ENABLED: Setting<bool> =
    Setting::boolean("test_users.enabled", true, "Scalekit's switch \"Test users\".")
        .except_in("production mode", false)
        .changeable(|e| e.test_users.enabled.into());

static PATTERNS: Setting<&[&str]> = Setting::list(
    "test_users.patterns",
    &["*+sktest*@*"],
    "Addresses; `*` stands for any characters. Any number of addresses may match, and links work too.",
)
.changeable(|e| e.test_users.patterns.clone().into());

static STATIC_CODE: Setting<Option<&str>> = Setting::optional_text(
    "test_users.static_code",
    "424242",
    "Their code. Default: the first digits of 4242424242, as many as a code has.",
)
.changeable(|e| e.test_users.static_code.as_str().into());

pub(super) fn section() -> Section {
    Section {
        table: "test_users",
        is_list: false,
        about: "Addresses that sign in with a fixed code and get no email by SMTP. Never in production mode.",
        settings: vec![ENABLED.facts(), PATTERNS.facts(), STATIC_CODE.facts()],
    }
}

pub(super) fn read(source: &mut Source, mode: Mode, passwordless: &PasswordlessSettings) -> TestUsers {
    let enabled = source.boolean(&ENABLED.in_case(mode == Mode::Production));
    if enabled && mode == Mode::Production {
        source.problem(ENABLED.key(), "must be false in production mode");
    }
    let length = passwordless.code_length as usize;
    let default_code = "4242424242"[..length.min(10)].to_owned();
    let static_code = source.optional_text(&STATIC_CODE).unwrap_or(default_code);
    if static_code.len() != length || !static_code.bytes().all(|b| b.is_ascii_digit()) {
        let text = format!("must be {length} digits, as passwordless.code_length says");
        source.problem(STATIC_CODE.key(), text);
    }
    TestUsers { enabled, patterns: source.list(&PATTERNS), static_code }
}
