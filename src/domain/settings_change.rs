//! Settings of the panel "Magic link & OTP", changed while the server runs.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::api_error::FieldViolation;
use super::environment::{PasswordlessSettings, PasswordlessType};

/// Seconds that code and link may live: the range of Scalekit's panel.
pub const VALIDITY_S: RangeInclusive<i64> = 60..=3600;

/// Digits that a code may have.
pub const CODE_LENGTH: RangeInclusive<i64> = 6..=10;

/// What was changed; `None` is as configured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PasswordlessChange {
    pub enabled: Option<bool>,
    pub passwordless_type: Option<PasswordlessType>,
    pub validity_s: Option<i64>,
    pub enforce_same_browser_origin: Option<bool>,
    pub regenerate_passwordless_credentials_on_resend: Option<bool>,
    pub code_length: Option<i64>,
}

impl PasswordlessChange {
    /// This change, and on top of it a later one.
    pub fn then(self, later: Self) -> Self {
        Self {
            enabled: later.enabled.or(self.enabled),
            passwordless_type: later.passwordless_type.or(self.passwordless_type),
            validity_s: later.validity_s.or(self.validity_s),
            enforce_same_browser_origin: later
                .enforce_same_browser_origin
                .or(self.enforce_same_browser_origin),
            regenerate_passwordless_credentials_on_resend: later
                .regenerate_passwordless_credentials_on_resend
                .or(self.regenerate_passwordless_credentials_on_resend),
            code_length: later.code_length.or(self.code_length),
        }
    }

    /// The settings with this change made.
    pub fn applied_to(&self, configured: &PasswordlessSettings) -> PasswordlessSettings {
        let code_length = self.code_length.and_then(|n| u32::try_from(n).ok());
        PasswordlessSettings {
            enabled: self.enabled.unwrap_or(configured.enabled),
            passwordless_type: self.passwordless_type.unwrap_or(configured.passwordless_type),
            validity_s: self.validity_s.unwrap_or(configured.validity_s),
            enforce_same_browser_origin: self
                .enforce_same_browser_origin
                .unwrap_or(configured.enforce_same_browser_origin),
            regenerate_passwordless_credentials_on_resend: self
                .regenerate_passwordless_credentials_on_resend
                .unwrap_or(configured.regenerate_passwordless_credentials_on_resend),
            code_length: code_length.unwrap_or(configured.code_length),
            ..configured.clone()
        }
    }

    /// The rules that configuration keeps, too.
    pub fn check(&self) -> Result<(), Vec<FieldViolation>> {
        let mut found = vec![];
        let mut check = |field: &str, value: Option<i64>, range: RangeInclusive<i64>| {
            if let Some(value) = value.filter(|v| !range.contains(v)) {
                let (from, to) = range.into_inner();
                let text = format!("{field} is invalid: {value} is not between {from} and {to}");
                found.push(FieldViolation::new(field, "range", text));
            }
        };
        check("passwordless_config.validity", self.validity_s, VALIDITY_S);
        check("passwordless_config.code_challenge_length", self.code_length, CODE_LENGTH);
        if found.is_empty() { Ok(()) } else { Err(found) }
    }
}
