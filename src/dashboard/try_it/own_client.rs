//! The client of Try it itself: it may always return to this server, whatever applications there are.

use serde_json::json;

use super::CALLBACK;
use crate::domain::client::{Client, TRY_IT_CLIENT_ID, check_redirect_uri};
use crate::runtime::Context;
use crate::service::changes::ControlError;
use crate::service::clients;

/// What pages call it.
pub const NAME: &str = "Try it";

/// The application of a sign-in where nobody chooses: the environment's first one that may return here, or else Try it's
/// own client.
pub fn default_client_id(context: &Context) -> &str {
    let applications = context.environment.applications();
    let able: Vec<&Client> = applications.filter(|client| may_return(context, client)).collect();
    let chosen = able.iter().find(|client| !client.is_public()).or(able.first());
    chosen.map_or(TRY_IT_CLIENT_ID, |client| &client.client_id)
}

/// May a browser come back to this page with an answer for the client?
pub fn may_return(context: &Context, client: &Client) -> bool {
    let environment = &context.environment;
    let callback = context.public_url.join(CALLBACK);
    check_redirect_uri(client, &callback, environment.mode, environment.strict_redirects).is_allowed()
}

/// Registers it, and this server's callback with it, where that is still to be done.
pub async fn register(context: &Context) -> Result<(), ControlError> {
    let callback = context.public_url.join(CALLBACK);
    let Some(client) = context.environment.client(TRY_IT_CLIENT_ID) else {
        let fields = json!({
            "client_id": TRY_IT_CLIENT_ID, "name": NAME, "type": "spa", "redirect_uris": [callback],
        });
        return match clients::create(context, fields).await {
            // Another browser pressed the button at the same time. What it registered has to be known here before it is used.
            Err(ControlError::Conflict(_)) => context.runtime.reload().await.map(|_| ()).map_err(Into::into),
            created => created.map(|_| ()),
        };
    };
    if may_return(context, client) {
        return Ok(());
    }
    // The server has another address now, such as that of another port.
    let known = client.redirect_uris.iter().map(|uri| uri.as_str().to_owned());
    let uris: Vec<String> = known.chain([callback]).collect();
    clients::change(context, TRY_IT_CLIENT_ID, &json!({ "redirect_uris": uris })).await.map(|_| ())
}
