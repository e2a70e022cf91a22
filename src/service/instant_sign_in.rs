//! Instant sign-in for tests: one call goes the whole way of an authorization request, without email or page.

use serde::Serialize;
use utoipa::ToSchema;

use super::changes::ControlError;
use crate::domain::authorization::Parameters;
use crate::domain::email::EmailAddress;
use crate::runtime::Context;
use crate::service::authorize::{AuthorizeError, Authorized, authorize};
use crate::service::passwordless::{PasswordlessError, prove_without_mail};
use crate::service::sessions::Browser;

/// Where the browser would be now.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct InstantSignIn {
    /// The application's callback with `code` and `state`, or with an `error`.
    pub callback_url: String,
    pub code: Option<String>,
    pub state: Option<String>,
    pub error: Option<String>,
    /// The environment's session cookie, for those who want to go on as this browser.
    pub session_cookie: Option<String>,
}

/// Signs an address in for an authorization request, where the application allows it.
pub async fn sign_in(
    context: &Context,
    email: &str,
    params: &Parameters,
) -> Result<InstantSignIn, ControlError> {
    let email = EmailAddress::parse(email).map_err(|e| ControlError::field("email", e.to_string()))?;
    let client_id = params.one("client_id").ok().flatten().unwrap_or_default();
    let Some(client) = context.environment.client(client_id) else {
        return Err(ControlError::field("client_id", "is not a client of this environment"));
    };
    if !client.instant_sign_in {
        let text = format!(
            "{client_id} does not allow instant sign-in: set instant_sign_in = true for it, in the configuration or by \
             PATCH /_emulator/v1/clients/{client_id}"
        );
        return Err(ControlError::NotAllowed(text));
    }
    // A hint would send the very email that this is to spare.
    let pairs = params.pairs().iter().filter(|(name, _)| name != "login_hint").cloned().collect();
    let params = Parameters::new(pairs);
    let location = match authorize(context, &params, &Browser::default()).await {
        Ok(Authorized::Redirect { location } | Authorized::Denied { location, .. }) => {
            return Ok(arrived(location, None));
        }
        Err(AuthorizeError::Page(refusal)) => {
            return Err(ControlError::field("redirect_uri", refusal.to_string()));
        }
        Err(AuthorizeError::Failure(failure)) => return Err(ControlError::Failure(failure)),
        Ok(Authorized::ShowPages { auth_request_id, new_browser_cookie }) => {
            let browser = Browser { browser_cookie: new_browser_cookie, ..Browser::default() };
            prove_without_mail(context, &browser, &auth_request_id, &email).await
        }
    };
    match location {
        Ok(done) => Ok(arrived(done.location, done.session_cookie)),
        Err(PasswordlessError::Failure(failure)) => Err(ControlError::Failure(failure)),
        Err(refusal) => Err(ControlError::NotAllowed(format!("the sign-in was refused: {refusal}"))),
    }
}

fn arrived(callback_url: String, session_cookie: Option<String>) -> InstantSignIn {
    let parsed = url::Url::parse(&callback_url).ok();
    let one = |name: &str| {
        parsed.as_ref()?.query_pairs().find(|(n, _)| n == name).map(|(_, value)| value.into_owned())
    };
    InstantSignIn {
        code: one("code"),
        state: one("state"),
        error: one("error"),
        session_cookie,
        callback_url,
    }
}
