//! The logout token (OpenID Connect Back-Channel Logout 1.0 §2.4): tells an application that a session has ended.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use super::clock::UnixMs;
use super::settings::Mode;
use super::token::seconds;

/// `typ` of the header, so that it is taken for no other token (§2.4).
pub const LOGOUT_TOKEN_TYPE: &str = "logout+jwt";

/// The event that makes a token a logout token.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// How long one is good for, in seconds; two minutes is what the specification recommends at most.
const LIFETIME_S: i64 = 120;

/// Claims of a logout token. There is never a nonce (§2.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogoutTokenClaims {
    pub iss: String,
    pub sub: String,
    pub aud: Vec<String>,
    pub iat: i64,
    pub exp: i64,
    /// `tkn_…`, another one with every attempt.
    pub jti: String,
    pub sid: String,
    pub events: Value,
}

impl LogoutTokenClaims {
    pub fn new(
        issuer: &str,
        subject: &str,
        client_id: &str,
        session_id: &str,
        jti: String,
        now_ms: UnixMs,
    ) -> Self {
        Self {
            iss: issuer.to_owned(),
            sub: subject.to_owned(),
            aud: vec![client_id.to_owned()],
            iat: seconds(now_ms),
            exp: seconds(now_ms) + LIFETIME_S,
            jti,
            sid: session_id.to_owned(),
            events: json!({ EVENT: {} }),
        }
    }
}

/// Why a `backchannel_logout_uri` cannot be registered (§2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BackchannelUriError {
    #[error("is not an absolute http or https URL")]
    NotAbsolute,
    #[error("must have no fragment")]
    Fragment,
    #[error("must have no user name or password")]
    Userinfo,
    #[error("must be https in production mode")]
    NotHttps,
}

/// Checks the address that logout tokens are sent to.
pub fn check_backchannel_logout_uri(text: &str, mode: Mode) -> Result<String, BackchannelUriError> {
    let url = Url::parse(text).map_err(|_| BackchannelUriError::NotAbsolute)?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(BackchannelUriError::NotAbsolute);
    }
    if url.fragment().is_some() {
        return Err(BackchannelUriError::Fragment);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(BackchannelUriError::Userinfo);
    }
    if mode == Mode::Production && url.scheme() != "https" {
        return Err(BackchannelUriError::NotHttps);
    }
    Ok(text.to_owned())
}

/// What came of one attempt to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogoutDelivery {
    Delivered,
    /// The application refused the token; repeating it would change nothing (§2.8).
    Refused,
    /// Worth another attempt.
    Failed,
}

impl LogoutDelivery {
    /// By the status of the application's answer (§2.8): 200 is right, 204 is common, 400 is a refusal; everything
    /// else may be an application that starts.
    pub fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Delivered,
            400 => Self::Refused,
            _ => Self::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logout_token_says_who_where_and_what_and_has_no_nonce() {
        let claims = LogoutTokenClaims::new("https://idp", "usr_1", "skc_1", "ses_1", "tkn_1".into(), 5_999);
        assert_eq!(
            serde_json::to_value(&claims).unwrap(),
            json!({
                "iss": "https://idp", "sub": "usr_1", "aud": ["skc_1"], "iat": 5, "exp": 125, "jti": "tkn_1",
                "sid": "ses_1", "events": { "http://schemas.openid.net/event/backchannel-logout": {} }
            })
        );
    }

    #[test]
    fn the_address_is_a_plain_web_address_and_https_in_production() {
        let check = |text| check_backchannel_logout_uri(text, Mode::Development);
        assert!(check("http://localhost:3000/logout?tenant=1").is_ok());
        assert_eq!(check("/logout"), Err(BackchannelUriError::NotAbsolute));
        assert_eq!(check("ftp://app.example.com/"), Err(BackchannelUriError::NotAbsolute));
        assert_eq!(check("https://app.example.com/#x"), Err(BackchannelUriError::Fragment));
        assert_eq!(check("https://me@app.example.com/"), Err(BackchannelUriError::Userinfo));
        let production = |text| check_backchannel_logout_uri(text, Mode::Production);
        assert_eq!(production("http://app.example.com/"), Err(BackchannelUriError::NotHttps));
        assert!(production("https://app.example.com/").is_ok());
    }

    #[test]
    fn only_a_refusal_ends_the_attempts_early() {
        let outcomes = [200, 204, 302, 400, 404, 500, 503].map(LogoutDelivery::of_status);
        use LogoutDelivery::{Delivered, Failed, Refused};
        assert_eq!(outcomes, [Delivered, Delivered, Failed, Refused, Failed, Failed, Failed]);
    }
}
