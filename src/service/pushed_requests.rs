//! Pushed authorization requests (RFC 9126): a client sends the parameters itself, and the browser carries only a
//! reference to them.

use super::Failure;
use crate::crypto::server_secret::Purpose;
use crate::domain::authorization::{
    self, AuthorizationRequestError, PageRefusal, Parameters, RepeatedParameter,
};
use crate::domain::client::Client;
use crate::domain::entropy::secret_text;
use crate::runtime::Context;

/// What a `request_uri` of ours begins with (RFC 9126 §2.2).
const REQUEST_URI_PREFIX: &str = "urn:ietf:params:oauth:request_uri:";

/// How long a reference is good for, in seconds: enough for a redirect.
const LIFETIME_S: i64 = 90;

/// Parameters that authenticate the client and are none of the authorization request.
const OF_THE_CLIENT: [&str; 3] = ["client_secret", "client_assertion", "client_assertion_type"];

/// The answer to a pushed request (RFC 9126 §2.2).
#[derive(Debug, serde::Serialize)]
pub struct Pushed {
    pub request_uri: String,
    /// Seconds.
    pub expires_in: i64,
}

/// Why a request cannot be pushed: an OAuth error code and what to do (RFC 9126 §2.3).
#[derive(Debug)]
pub enum NotPushed {
    Refused { code: &'static str, description: String },
    Failure(Failure),
}

impl<E: Into<Failure>> From<E> for NotPushed {
    fn from(error: E) -> Self {
        Self::Failure(error.into())
    }
}

fn invalid(description: impl Into<String>) -> NotPushed {
    NotPushed::Refused { code: "invalid_request", description: description.into() }
}

/// Checks a request as `/oauth/authorize` would, and keeps it for one use.
pub async fn push(context: &Context, client: &Client, params: &Parameters) -> Result<Pushed, NotPushed> {
    let one = |name| params.one(name).map_err(|error: RepeatedParameter| invalid(error.to_string()));
    if one("request_uri")?.is_some() {
        return Err(invalid("request_uri cannot be pushed"));
    }
    // A Basic header may have said who asks.
    let is_named = one("client_id")?.is_some();
    let own = params.pairs().iter().filter(|(name, _)| !OF_THE_CLIENT.contains(&name.as_str())).cloned();
    let named = (!is_named).then(|| ("client_id".to_owned(), client.client_id.clone()));
    let request = Parameters::new(own.chain(named).collect());
    match authorization::parse(&context.environment, &request) {
        Ok(parsed) if parsed.client_id == client.client_id => {}
        Ok(_) => return Err(invalid("client_id is not the client that authenticated")),
        Err(AuthorizationRequestError::Page(refusal)) => return Err(invalid(refusal.to_string())),
        Err(AuthorizationRequestError::Redirect { code, description, .. }) => {
            return Err(NotPushed::Refused { code: code.as_str(), description });
        }
    }
    let reference = secret_text(context.entropy());
    let digest = context.secret().digest(Purpose::PushedRequest, &reference);
    let expires_at_ms = context.now_ms() + LIFETIME_S * 1000;
    context
        .store()
        .insert_pushed_request(context.environment_id(), &digest, &client.client_id, &request, expires_at_ms)
        .await?;
    Ok(Pushed { request_uri: format!("{REQUEST_URI_PREFIX}{reference}"), expires_in: LIFETIME_S })
}

/// Why a reference leads nowhere.
#[derive(Debug)]
pub enum ParError {
    Page(PageRefusal),
    Failure(Failure),
}

/// The parameters that a `request_uri` of ours stands for; `None` where there is none. Whatever else the browser brought
/// does not count (RFC 9126 §4, RFC 9101 §6.3).
pub async fn take(context: &Context, params: &Parameters) -> Result<Option<Parameters>, ParError> {
    let page = |RepeatedParameter(name)| ParError::Page(PageRefusal::Repeated(name));
    let reference = params.one("request_uri").map_err(page)?.and_then(|u| u.strip_prefix(REQUEST_URI_PREFIX));
    let Some(reference) = reference else { return Ok(None) };
    let client_id = params.one("client_id").map_err(page)?;
    let client_id = client_id.ok_or(ParError::Page(PageRefusal::ClientIdMissing))?;
    let digest = context.secret().digest(Purpose::PushedRequest, reference);
    let found = context
        .store()
        .use_pushed_request(context.environment_id(), &digest, client_id, context.now_ms())
        .await
        .map_err(|error| ParError::Failure(error.into()))?;
    match found {
        Some(pushed) => Ok(Some(pushed)),
        None => {
            let client_id = client_id.to_owned();
            Err(ParError::Page(PageRefusal::UnknownRequestUri { client_id }))
        }
    }
}
