//! Settings of the panel "Magic link & OTP", changed while the server runs.

use std::ops::RangeInclusive;

use serde_json::{Map, Value, json};

use super::api_error::FieldViolation;
use super::settings::PasswordlessType;

/// Seconds that code and link may live: the range of Scalekit's panel.
pub const VALIDITY_S: RangeInclusive<i64> = 60..=3600;

/// Digits that a code may have.
pub const CODE_LENGTH: RangeInclusive<i64> = 6..=10;

/// What was changed; `None` is as configured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PasswordlessChange {
    pub enabled: Option<bool>,
    pub passwordless_type: Option<PasswordlessType>,
    pub validity_s: Option<i64>,
    pub enforce_same_browser_origin: Option<bool>,
    pub regenerate_passwordless_credentials_on_resend: Option<bool>,
    pub code_length: Option<i64>,
}

impl PasswordlessChange {
    /// The change in the configuration's words.
    pub fn to_settings(self) -> Value {
        let settings = [
            ("enabled", self.enabled.map(Value::from)),
            ("type", self.passwordless_type.map(|t| t.as_str().into())),
            ("validity_s", self.validity_s.map(Value::from)),
            ("enforce_same_browser_origin", self.enforce_same_browser_origin.map(Value::from)),
            (
                "regenerate_passwordless_credentials_on_resend",
                self.regenerate_passwordless_credentials_on_resend.map(Value::from),
            ),
            ("code_length", self.code_length.map(Value::from)),
        ];
        let named = settings.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        json!({ "passwordless": named.collect::<Map<_, _>>() })
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
