//! Why a form was refused, as the address of the page says it that follows (POST, 303, GET): reload, restore and duplicate
//! show the same again and repeat nothing. A word and a time, no text: what users read is ours alone.

use actix_web::http::StatusCode;

use crate::domain::auth_request::{AuthRequest, Stage};
use crate::domain::authorization::Parameters;
use crate::domain::clock::UnixMs;
use crate::domain::email::{EmailAddress, EmailError};
use crate::domain::limits::MailLimit;
use crate::domain::settings::Mode;
use crate::locales::{self, PageTexts};
use crate::runtime::Context;

/// Longest wait that a page speaks of: a day.
const MAX_WAIT_MS: i64 = 86_400_000;

/// Why a form of a sign-in was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormError {
    InvalidEmail,
    /// Emails are limited; one may be sent again at this time.
    EmailRateLimited {
        limit: MailLimit,
        until_ms: UnixMs,
    },
    CodeMissing,
    WrongCode,
    CodeExpired,
    /// The address had its wrong codes for a day; a code is judged again at this time.
    AddressRateLimited {
        until_ms: UnixMs,
    },
}

/// What a page says about its refused form.
#[derive(Debug, Default)]
pub struct Said {
    pub status: StatusCode,
    pub error: Option<String>,
    pub notice: Option<String>,
    /// The address as typed, when it was refused.
    pub typed: Option<String>,
    /// Seconds after which it may go well.
    pub retry_after_s: Option<i64>,
}

impl Said {
    fn error(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, error: Some(text.into()), ..Self::default() }
    }

    /// What `text` says about the seconds to wait; nothing once the time has come.
    fn wait(now_ms: UnixMs, until_ms: UnixMs, text: impl FnOnce(i64) -> String) -> Self {
        let wait_ms = until_ms.saturating_sub(now_ms).clamp(0, MAX_WAIT_MS);
        let wait_s = (wait_ms + 999) / 1000;
        if wait_s == 0 {
            return Self::default();
        }
        let retry_after_s = Some(wait_s);
        Self { retry_after_s, ..Self::error(StatusCode::TOO_MANY_REQUESTS, text(wait_s)) }
    }
}

impl FormError {
    pub fn email_rate_limited(limit: MailLimit, now_ms: UnixMs, retry_after_s: i64) -> Self {
        Self::EmailRateLimited { limit, until_ms: now_ms + retry_after_s * 1000 }
    }

    pub fn address_rate_limited(now_ms: UnixMs, retry_after_s: i64) -> Self {
        Self::AddressRateLimited { until_ms: now_ms + retry_after_s * 1000 }
    }

    /// Its name in the query, and for the journal.
    pub fn code(self) -> &'static str {
        match self {
            Self::InvalidEmail => "invalid_email",
            Self::EmailRateLimited { .. } => "email_rate_limited",
            Self::CodeMissing => "code_missing",
            Self::WrongCode => "wrong_code",
            Self::CodeExpired => "code_expired",
            Self::AddressRateLimited { .. } => "address_rate_limited",
        }
    }

    /// The query of the page's address.
    pub fn query(self) -> String {
        let query = format!("?error={}", self.code());
        match self {
            Self::EmailRateLimited { limit, until_ms } => {
                format!("{query}&limit={}&until_ms={until_ms}", limit.as_str())
            }
            Self::AddressRateLimited { until_ms } => format!("{query}&until_ms={until_ms}"),
            Self::InvalidEmail | Self::CodeMissing | Self::WrongCode | Self::CodeExpired => query,
        }
    }

    /// Reads what [`Self::query`] wrote; anything else is no error.
    pub fn of_query(query: &Parameters) -> Option<Self> {
        let until_ms = || query.one("until_ms").ok()??.parse().ok();
        Some(match query.one("error").ok()?? {
            "invalid_email" => Self::InvalidEmail,
            "email_rate_limited" => {
                let limit = query.one("limit").ok().flatten().and_then(MailLimit::parse);
                let limit = limit.unwrap_or(MailLimit::Address);
                Self::EmailRateLimited { limit, until_ms: until_ms()? }
            }
            "code_missing" => Self::CodeMissing,
            "wrong_code" => Self::WrongCode,
            "code_expired" => Self::CodeExpired,
            "address_rate_limited" => Self::AddressRateLimited { until_ms: until_ms()? },
            _ => return None,
        })
    }

    /// What the page says, as far as the error still holds and belongs to the page that the request's state calls for.
    /// `typed` is the address that was refused.
    pub fn said(
        self,
        context: &Context,
        request: &AuthRequest,
        texts: &PageTexts,
        typed: Option<String>,
    ) -> Said {
        let asks_for_code = request.awaited().is_some_and(|sent| sent.passwordless_type.has_code());
        match self {
            Self::InvalidEmail if request.stage == Stage::AwaitingEmail => {
                let text = typed.clone().unwrap_or_default();
                match EmailAddress::parse(&text) {
                    Err(error) => {
                        Said { typed, ..Said::error(StatusCode::BAD_REQUEST, email_error(texts, error)) }
                    }
                    Ok(_) => Said { typed, ..Said::default() },
                }
            }
            Self::EmailRateLimited { limit, until_ms } => {
                let is_development = context.environment.mode == Mode::Development;
                let text = |wait_s| too_many_emails(texts, limit, wait_s, is_development);
                Said { typed, ..Said::wait(context.now_ms(), until_ms, text) }
            }
            Self::CodeMissing if asks_for_code => Said::error(StatusCode::BAD_REQUEST, &texts.code_missing),
            Self::WrongCode if asks_for_code => {
                let left = request.attempts_left(&context.environment.limits, context.now_ms());
                Said::error(StatusCode::BAD_REQUEST, wrong_code(texts, left))
            }
            Self::CodeExpired if asks_for_code && request.credentials_expired(context.now_ms()) => {
                // The page is about nothing else.
                Said { status: StatusCode::BAD_REQUEST, ..Said::default() }
            }
            Self::AddressRateLimited { until_ms } => {
                let has_link = context.environment.passwordless.passwordless_type.has_link();
                let text =
                    if has_link { &texts.address_rate_limited_link } else { &texts.address_rate_limited };
                let text = |_| text.clone();
                Said { typed, ..Said::wait(context.now_ms(), until_ms, text) }
            }
            Self::InvalidEmail | Self::CodeMissing | Self::WrongCode | Self::CodeExpired => Said::default(),
        }
    }
}

/// Why an address was refused, and what to do.
fn email_error(texts: &PageTexts, error: EmailError) -> &str {
    match error {
        EmailError::Empty => &texts.email_empty,
        EmailError::TooLong => &texts.email_too_long,
        EmailError::Invalid => &texts.email_invalid,
    }
}

/// A wrong code, with what is left.
fn wrong_code(texts: &PageTexts, attempts_left: usize) -> String {
    match i64::try_from(attempts_left).unwrap_or(i64::MAX) {
        // Only while the limit is being lowered: the sign-in is closed with the last attempt.
        0 => texts.too_many_codes.clone(),
        left => locales::count(&texts.wrong_code_one, &texts.wrong_code_other, left),
    }
}

/// A limit of emails, with how long to wait, and in development how to lift it, which is told those who build.
fn too_many_emails(texts: &PageTexts, limit: MailLimit, retry_after_s: i64, is_development: bool) -> String {
    let what = match limit {
        MailLimit::Address => &texts.emails_to_address,
        MailLimit::Source | MailLimit::Total => &texts.emails_requested,
    };
    let wait = locales::count(&texts.try_again_one, &texts.try_again_other, retry_after_s);
    let setting = limit.setting();
    let lift = if is_development {
        format!(" In development, {setting} = 0 lifts this limit.")
    } else {
        String::new()
    };
    format!("{what} {wait}{lift}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::params;

    #[test]
    fn what_stands_in_the_address_is_read_again_and_nothing_else_is() {
        for error in [
            FormError::InvalidEmail,
            FormError::email_rate_limited(MailLimit::Source, 1_000_500, 60),
            FormError::CodeMissing,
            FormError::WrongCode,
            FormError::CodeExpired,
            FormError::address_rate_limited(1_000_500, 86_400),
        ] {
            let query = params::parse(error.query().trim_start_matches('?').as_bytes()).unwrap();
            assert_eq!(FormError::of_query(&query), Some(error));
        }
        for foreign in [
            "",
            "error=",
            "error=Call+0900",
            "error=wrong_code&error=wrong_code",
            "error=email_rate_limited&until_ms=soon",
            "error=address_rate_limited",
        ] {
            assert_eq!(FormError::of_query(&params::parse(foreign.as_bytes()).unwrap()), None, "{foreign}");
        }
    }
}
