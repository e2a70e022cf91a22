//! Instant sign-in.

use serde::Deserialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

use super::{Answer, Body, Control, ProblemDocument, json, refuse};
use crate::domain::authorization::Parameters;
use crate::service::changes::ControlError;
use crate::service::instant_sign_in::{self, InstantSignIn};

/// Whom to sign in, and what for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignInInput {
    pub email: String,
    /// The authorization URL that the application sends the browser to.
    pub authorization_url: Option<String>,
    /// Instead of the URL, its parameters: `client_id`, `redirect_uri`, `scope`, `state`, `nonce`, `code_challenge` …
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
}

/// Completes an authorization request for an email address and returns the callback URL. The client must allow it
/// (`instant_sign_in`).
#[utoipa::path(post, path = "/_emulator/v1/sign-in", tag = "sign-in", request_body = SignInInput,
    responses((status = 200, body = InstantSignIn), (status = 400, body = ProblemDocument), (status = 403, body = ProblemDocument)))]
pub async fn sign_in(Control(context): Control, Body(input): Body<SignInInput>) -> Answer {
    let mut pairs: Vec<(String, String)> = match &input.authorization_url {
        None => vec![],
        Some(text) => {
            let url = url::Url::parse(text)
                .map_err(|_| refuse(ControlError::field("authorization_url", "is not an absolute URL")))?;
            url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
        }
    };
    pairs.extend(input.parameters);
    let done: InstantSignIn =
        instant_sign_in::sign_in(&context, &input.email, &Parameters::new(pairs)).await.map_err(refuse)?;
    Ok(json(&done))
}
