//! `[passwordless]`: how users prove their address.

use super::setting::{Section, Setting};
use super::source::Source;
use crate::domain::settings::{PasswordlessSettings, PasswordlessType};
use crate::domain::settings_change::{CODE_LENGTH, VALIDITY_S as VALIDITY_RANGE};

static ENABLED: Setting<bool> = Setting::boolean("passwordless.enabled", true, "Allow sign-in by email.")
    .changeable(|e| e.passwordless.enabled.into());

static TYPE: Setting<PasswordlessType> = Setting::choice(
    "passwordless.type",
    &[
        (PasswordlessType::Otp.as_str(), PasswordlessType::Otp),
        (PasswordlessType::Link.as_str(), PasswordlessType::Link),
        (PasswordlessType::LinkOtp.as_str(), PasswordlessType::LinkOtp),
    ],
    PasswordlessType::LinkOtp,
    "What emails contain: `OTP` a code, `LINK` a link, `LINK_OTP` both.",
)
.changeable(|e| e.passwordless.passwordless_type.as_str().into());

static VALIDITY_S: Setting<i64> =
    Setting::integer("passwordless.validity_s", VALIDITY_RANGE, 300, "Seconds that code and link are valid.")
        .changeable(|e| e.passwordless.validity_s.into());

static ENFORCE_SAME_BROWSER_ORIGIN: Setting<bool> = Setting::boolean(
    "passwordless.enforce_same_browser_origin",
    true,
    "A link works only in the browser that requested it.",
)
.changeable(|e| e.passwordless.enforce_same_browser_origin.into());

static REGENERATE_ON_RESEND: Setting<bool> = Setting::boolean(
    "passwordless.regenerate_passwordless_credentials_on_resend",
    true,
    "A resend creates a new code and link and invalidates the earlier ones. Off: the same are sent again.",
)
.changeable(|e| e.passwordless.regenerate_passwordless_credentials_on_resend.into());

static CODE_DIGITS: Setting<i64> =
    Setting::integer("passwordless.code_length", CODE_LENGTH, 6, "Digits of a code. Scalekit uses 6.")
        .changeable(|e| e.passwordless.code_length.into());

static CONNECTION_ID: Setting<&str> = Setting::text(
    "passwordless.connection_id",
    "conn_687000000000000001",
    "Id of the passwordless connection: in `amr`, and in `sub` of the modular profile.",
)
.changeable(|e| e.passwordless.connection_id.as_str().into());

static SIGN_UP_ALLOWED: Setting<bool> = Setting::boolean(
    "passwordless.sign_up_allowed",
    true,
    "Allow unknown addresses to sign up. If not, users are told so only after they have proved their address.",
)
.changeable(|e| e.passwordless.sign_up_allowed.into());

pub(super) fn section() -> Section {
    Section {
        table: "passwordless",
        is_list: false,
        about: "Scalekit's panel \"Magic link & OTP\".",
        settings: vec![
            ENABLED.facts(),
            TYPE.facts(),
            VALIDITY_S.facts(),
            ENFORCE_SAME_BROWSER_ORIGIN.facts(),
            REGENERATE_ON_RESEND.facts(),
            CODE_DIGITS.facts(),
            CONNECTION_ID.facts(),
            SIGN_UP_ALLOWED.facts(),
        ],
    }
}

pub(super) fn read(source: &mut Source) -> PasswordlessSettings {
    PasswordlessSettings {
        enabled: source.boolean(&ENABLED),
        passwordless_type: source.choice(&TYPE),
        validity_s: source.integer(&VALIDITY_S),
        enforce_same_browser_origin: source.boolean(&ENFORCE_SAME_BROWSER_ORIGIN),
        regenerate_passwordless_credentials_on_resend: source.boolean(&REGENERATE_ON_RESEND),
        code_length: source.unsigned(&CODE_DIGITS),
        connection_id: read_connection_id(source),
        sign_up_allowed: source.boolean(&SIGN_UP_ALLOWED),
    }
}

fn read_connection_id(source: &mut Source) -> String {
    let id = source.text(&CONNECTION_ID);
    if !id.starts_with("conn_") || id.contains(';') {
        source.problem(CONNECTION_ID.key(), "must start with conn_ and contain no semicolon");
    }
    id
}
