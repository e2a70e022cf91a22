//! `[tokens]`: token profile and lifetimes.

use std::ops::RangeInclusive;

use super::setting::{Section, Setting};
use super::source::Source;
use crate::domain::settings::TokenSettings;

/// Seconds that a token may be valid: up to thirty days.
pub(super) const LIFETIME_S: RangeInclusive<i64> = 5..=2_592_000;

const FULL_STACK: &str = "the full-stack profile";

static USER_MANAGEMENT: Setting<bool> = Setting::boolean(
    "tokens.user_management",
    false,
    "false: Scalekit's modular profile, `sub` is `conn_…;email`. true: full-stack, `sub` is `usr_…`, with `oid` and `sid`.",
)
.changeable(|e| e.tokens.user_management.into());

static ACCESS_TOKEN_LIFETIME_S: Setting<i64> =
    Setting::integer("tokens.access_token_lifetime_s", LIFETIME_S, 900, "Access tokens.")
        .except_in(FULL_STACK, 300)
        .changeable(|e| e.tokens.access_token_lifetime_s.into());

static ID_TOKEN_LIFETIME_S: Setting<i64> =
    Setting::integer("tokens.id_token_lifetime_s", LIFETIME_S, 259_200, "ID tokens.")
        .except_in(FULL_STACK, 1_800)
        .changeable(|e| e.tokens.id_token_lifetime_s.into());

static CLIENT_TOKEN_LIFETIME_S: Setting<i64> =
    Setting::integer("tokens.client_token_lifetime_s", LIFETIME_S, 86_399, "Tokens of client_credentials.")
        .changeable(|e| e.tokens.client_token_lifetime_s.into());

static AUTHORIZATION_CODE_LIFETIME_S: Setting<i64> =
    Setting::integer("tokens.authorization_code_lifetime_s", 5..=600, 600, "Authorization codes.")
        .changeable(|e| e.tokens.authorization_code_lifetime_s.into());

static REFRESH_TOKEN_LIFETIME_S: Setting<i64> = Setting::integer(
    "tokens.refresh_token_lifetime_s",
    60..=31_536_000,
    2_592_000,
    "Refresh tokens: the whole family, from the first token on.",
)
.changeable(|e| e.tokens.refresh_token_lifetime_s.into());

static REFRESH_GRACE_S: Setting<i64> = Setting::integer(
    "tokens.refresh_grace_s",
    0..=120,
    30,
    "Seconds after a refresh in which the token it used may be used again and gets the same successor: for refreshes whose response was lost, and parallel ones.",
)
.changeable(|e| e.tokens.refresh_grace_s.into());

pub(super) fn section() -> Section {
    Section {
        table: "tokens",
        is_list: false,
        about: "Token profile and lifetimes, in seconds.",
        settings: vec![
            USER_MANAGEMENT.facts(),
            ACCESS_TOKEN_LIFETIME_S.facts(),
            ID_TOKEN_LIFETIME_S.facts(),
            CLIENT_TOKEN_LIFETIME_S.facts(),
            AUTHORIZATION_CODE_LIFETIME_S.facts(),
            REFRESH_TOKEN_LIFETIME_S.facts(),
            REFRESH_GRACE_S.facts(),
        ],
    }
}

pub(super) fn read(source: &mut Source) -> TokenSettings {
    let is_full_stack = source.boolean(&USER_MANAGEMENT);
    TokenSettings {
        user_management: is_full_stack,
        access_token_lifetime_s: source.integer(&ACCESS_TOKEN_LIFETIME_S.in_case(is_full_stack)),
        id_token_lifetime_s: source.integer(&ID_TOKEN_LIFETIME_S.in_case(is_full_stack)),
        client_token_lifetime_s: source.integer(&CLIENT_TOKEN_LIFETIME_S),
        authorization_code_lifetime_s: source.integer(&AUTHORIZATION_CODE_LIFETIME_S),
        refresh_token_lifetime_s: source.integer(&REFRESH_TOKEN_LIFETIME_S),
        refresh_grace_s: source.integer(&REFRESH_GRACE_S),
    }
}
