//! Who is asking at the token endpoint (RFC 6749 §2.3).

use crate::app::Context;
use crate::domain::client::Client;

/// Credentials as a request brought them: in the form body or in a Basic header.
#[derive(Clone, Default)]
pub struct ClientCredentials {
    pub client_id: Option<String>,
    pub client_secret: Option<String>,
}

impl std::fmt::Debug for ClientCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ClientCredentials({:?}, [redacted])", self.client_id)
    }
}

/// Why a client is not believed. All of them are `invalid_client`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClientRefusal {
    #[error("client_id is missing")]
    IdMissing,
    #[error("client authentication failed: unknown client, or a wrong or missing secret")]
    Failed,
}

/// The client, authenticated with its secret; a public client by its id alone, when it sends no secret.
pub async fn authenticate<'c>(
    context: &'c Context,
    shown: &ClientCredentials,
) -> Result<&'c Client, ClientRefusal> {
    let client_id = shown.client_id.as_deref().ok_or(ClientRefusal::IdMissing)?;
    let client = context.environment.client(client_id).ok_or(ClientRefusal::Failed)?;
    match shown.client_secret.as_deref() {
        None if client.is_public() => Ok(client),
        Some(secret) if context.live.client_secrets.verify(client, secret).await => Ok(client),
        _ => Err(ClientRefusal::Failed),
    }
}

/// Like [`authenticate`], for endpoints that public clients may not use.
pub async fn authenticate_confidential<'c>(
    context: &'c Context,
    shown: &ClientCredentials,
) -> Result<&'c Client, ClientRefusal> {
    authenticate(context, shown)
        .await
        .and_then(|c| if c.is_public() { Err(ClientRefusal::Failed) } else { Ok(c) })
}
