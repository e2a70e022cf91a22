//! What every call of Scalekit's API has in common: who may make it, and how it is refused.

use std::sync::PoisonError;

use super::changes::ControlError;
use super::userinfo::{AccessRefusal, check_access_token};
use super::{Failure, NOT_TEXT};
use crate::domain::api_error::{ApiError, ApiErrorCode, FieldViolation};
use crate::domain::client::Client;
use crate::domain::field_error::FieldError;
use crate::domain::organization_client;
use crate::domain::scalekit_api::Method;
use crate::domain::token::AccessTokenClaims;
use crate::runtime::{Context, current_request};

/// Why a call does not do what it asks for.
#[derive(Debug)]
pub enum ApiRefusal {
    Refused(ApiError),
    Failure(Failure),
}

impl<E: Into<Failure>> From<E> for ApiRefusal {
    fn from(error: E) -> Self {
        Self::Failure(error.into())
    }
}

impl From<Vec<FieldViolation>> for ApiRefusal {
    fn from(violations: Vec<FieldViolation>) -> Self {
        Self::Refused(ApiError::invalid(violations))
    }
}

impl From<ApiError> for ApiRefusal {
    fn from(error: ApiError) -> Self {
        Self::Refused(error)
    }
}

impl ApiRefusal {
    pub fn new(code: ApiErrorCode, message: impl Into<String>) -> Self {
        Self::Refused(ApiError::new(code, message))
    }

    /// Another record of its kind, such as an organization, has the same value in a field that has to be unique.
    pub fn duplicate(field: &str, kind: &str) -> Self {
        let text = format!("{field} already exists: another {kind} has the same one");
        let violations = vec![FieldViolation::new(field, "unique", text.clone())];
        Self::Refused(ApiError { violations, ..ApiError::new(ApiErrorCode::AlreadyExists, text) })
    }

    /// What the caller is told. A failure of ours is logged here.
    pub fn into_error(self) -> ApiError {
        match self {
            Self::Refused(error) => error,
            Self::Failure(failure) if failure.is_passing() => {
                tracing::error!(error = %failure, "the database does not answer");
                ApiError::new(
                    ApiErrorCode::Unavailable,
                    "the database does not answer; try again in a moment",
                )
            }
            Self::Failure(failure) if failure.is_of_caller() => {
                ApiError::new(ApiErrorCode::InvalidArgument, format!("invalid request: {NOT_TEXT}"))
            }
            Self::Failure(failure) => {
                tracing::error!(error = ?failure, "API call failed");
                ApiError::new(ApiErrorCode::Internal, "something went wrong; the server's log says what")
            }
        }
    }
}

/// As the control API and the dashboard say it: the fields stay, and their reasons stand without them.
impl From<ApiRefusal> for ControlError {
    fn from(refusal: ApiRefusal) -> Self {
        let error = match refusal {
            ApiRefusal::Failure(failure) => return Self::Failure(failure),
            ApiRefusal::Refused(error) => error,
        };
        if !error.violations.is_empty() {
            return Self::Invalid(error.violations.into_iter().map(reason_of).collect());
        }
        match error.code {
            ApiErrorCode::NotFound => Self::NotFound(error.message),
            _ => Self::field("", error.message),
        }
    }
}

/// `client.scopes[0] is invalid: it is empty` as the field and `it is empty`.
fn reason_of(violation: FieldViolation) -> FieldError {
    let text = violation.description.strip_prefix(&violation.field).unwrap_or(&violation.description).trim();
    let text = text.strip_prefix("is invalid: ").unwrap_or(text).to_owned();
    FieldError::new(violation.field, text)
}

/// Why a request that came by a name of public DNS is not answered: see [`Context::is_misdirected`].
pub fn misdirected(host: &str) -> ApiError {
    ApiError::new(
        ApiErrorCode::MisdirectedRequest,
        format!("misdirected request: {}", misdirected_text(host)),
    )
}

/// The same as sentences.
pub fn misdirected_text(host: &str) -> String {
    format!(
        "This server uses the well-known development credentials, so it does not answer to the name {host:?}, which anybody \
         could point at it (DNS rebinding). If the name is yours, add its URL to public_urls, or configure your own client \
         secret."
    )
}

/// Where the paths of Scalekit's REST API begin.
pub const REST_PREFIX: &str = "/api/v1/";

/// Where a server shows what it emulates.
pub const COMPATIBILITY_PATH: &str = "/compatibility";

/// The answer of a method that Scalekit has and we have not.
pub fn not_emulated(context: &Context, method: &Method) -> ApiError {
    let times = {
        let mut counts = context.runtime.server.not_emulated.lock().unwrap_or_else(PoisonError::into_inner);
        let times = counts.entry(method.path()).or_default();
        *times += 1;
        *times
    };
    tracing::info!(service = method.service, method = method.name, times, "not emulated");
    current_request::note(|notes| notes.not_emulated = Some(method.path()));
    let help_url = context.public_url.join(COMPATIBILITY_PATH);
    let text = format!("{} is not emulated by Vestibule; {help_url} lists what is", method.path());
    ApiError { help_url: Some(help_url), ..ApiError::new(ApiErrorCode::NotEmulated, text) }
}

/// The client that calls, by any of the Bearer tokens that it sent. Python's SDK sends two, the older of which may
/// have expired.
pub async fn caller<'c>(context: &'c Context, tokens: &[&str]) -> Result<&'c Client, ApiRefusal> {
    let mut refusal = ApiRefusal::new(
        ApiErrorCode::Unauthenticated,
        "Token empty: send the access token of client_credentials as Authorization: Bearer",
    );
    for token in tokens {
        match caller_by(context, token).await {
            Ok(client) => return Ok(client),
            Err(ApiRefusal::Failure(failure)) => return Err(failure.into()),
            Err(refused) => refusal = refused,
        }
    }
    Err(refusal)
}

/// Notes who called a method that is not emulated, by a token of ours, however old: the journal tells which application
/// would need it.
pub fn note_caller(context: &Context, tokens: &[&str]) {
    let keys = context.runtime.keys.current();
    let claims = tokens.iter().find_map(|token| keys.verify::<AccessTokenClaims>(token).ok());
    if let Some(claims) = claims {
        current_request::note_client(&claims.client_id);
    }
}

async fn caller_by<'c>(context: &'c Context, token: &str) -> Result<&'c Client, ApiRefusal> {
    let unauthenticated = |why: &str| ApiRefusal::new(ApiErrorCode::Unauthenticated, why);
    let (claims, grant) = check_access_token(context, token).await.map_err(|refusal| match refusal {
        AccessRefusal::InvalidToken(why) => unauthenticated(why),
        AccessRefusal::InsufficientScope => unauthenticated("the access token is not valid"),
        AccessRefusal::Failure(failure) => failure.into(),
    })?;
    if grant.is_some() || claims.sub != claims.client_id {
        let text = "this access token belongs to a user; the API needs one of client_credentials";
        return Err(ApiRefusal::new(ApiErrorCode::PermissionDenied, text));
    }
    if claims.client_id.starts_with(organization_client::ID_PREFIX) {
        let text =
            "this access token belongs to a client of an organization; the API needs one of the environment";
        return Err(ApiRefusal::new(ApiErrorCode::PermissionDenied, text));
    }
    current_request::note_client(&claims.client_id);
    let client = context.environment.client(&claims.client_id);
    let client = client
        .ok_or_else(|| unauthenticated("the client of this access token is not registered any more"))?;
    if client.api.disallow_scalekit_api_access {
        return Err(unauthenticated("unauthenticated: this client may not call Scalekit's API"));
    }
    Ok(client)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invalid(refusal: impl Into<ApiRefusal>) -> Vec<(String, String)> {
        match ControlError::from(refusal.into()) {
            ControlError::Invalid(errors) => errors.into_iter().map(|e| (e.field, e.reason)).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_the_api_refuses_is_told_by_field_without_its_name_again() {
        let violation = |field: &str, text: &str| vec![FieldViolation::new(field, "rule", text)];
        let told = |field: &str, reason: &str| vec![(field.to_owned(), reason.to_owned())];
        for (text, reason) in [
            ("client.expiry is invalid: it is too long", "it is too long"),
            ("client.expiry is required", "is required"),
            ("the client expires", "the client expires"),
        ] {
            assert_eq!(invalid(violation("client.expiry", text)), told("client.expiry", reason));
        }
        let taken = ApiRefusal::duplicate("organization.slug", "organization");
        assert_eq!(
            invalid(taken),
            told("organization.slug", "already exists: another organization has the same one")
        );
        let limit = ApiRefusal::new(ApiErrorCode::UserLimitReached, "limit reached");
        assert_eq!(invalid(limit), told("", "limit reached"));
        let gone = ApiRefusal::new(ApiErrorCode::NotFound, "user not found");
        assert!(matches!(ControlError::from(gone), ControlError::NotFound(text) if text == "user not found"));
    }
}
