//! Who is asking at the token endpoint (RFC 6749 §2.3).

use crate::crypto::client_secrets::TooManyChecks;
use crate::domain::client::{Client, ClientKind};
use crate::domain::environment::Environment;
use crate::domain::settings::Mode;
use crate::runtime::Context;

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

/// Why a client is not believed. All of them but the last are `invalid_client`. The sentences are for the log;
/// [`ClientRefusal::description`] is for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClientRefusal {
    #[error("client_id is missing")]
    IdMissing,
    #[error("unknown client")]
    Unknown,
    #[error("wrong client_secret")]
    WrongSecret,
    #[error("a confidential client sent no client_secret")]
    SecretMissing,
    #[error("a public client sent a client_secret")]
    SecretOfPublicClient,
    /// It may ask again in a second.
    #[error(transparent)]
    TooManyChecks(#[from] TooManyChecks),
}

/// Most clients that an error names.
const MAX_NAMED: usize = 5;

impl ClientRefusal {
    /// What the client is told (RFC 6749 §5.2). In development which mistake it is and how to mend it; in production
    /// mode nothing that tells a stranger which clients there are.
    pub fn description(self, environment: &Environment, client_id: Option<&str>) -> String {
        if environment.mode == Mode::Production && self != Self::IdMissing {
            return "client authentication failed: unknown client, or a wrong or missing secret".to_owned();
        }
        let id = printable(client_id.unwrap_or_default());
        match self {
            Self::IdMissing | Self::TooManyChecks(_) => self.to_string(),
            Self::Unknown => {
                let ids: Vec<String> =
                    environment.clients.iter().take(MAX_NAMED).map(|c| printable(&c.client_id)).collect();
                let more = if environment.clients.len() > MAX_NAMED { " and others" } else { "" };
                format!("unknown client: there is no client_id {id} here; there is {}{more}", ids.join(", "))
            }
            Self::WrongSecret => format!("wrong secret: this is not the client_secret of {id}"),
            Self::SecretMissing => {
                let instead = match environment.first_public_client() {
                    Some(public) => format!("such as {} with PKCE", printable(&public.client_id)),
                    None => "of type spa or native, with PKCE".to_owned(),
                };
                format!(
                    "wrong type: {id} is a confidential client (web) and sent no client_secret; an application \
                     without a secret uses a public client, {instead}"
                )
            }
            Self::SecretOfPublicClient => {
                format!(
                    "wrong type: {id} is a public client and has no client_secret; leave it out, and send \
                     code_verifier (PKCE)"
                )
            }
        }
    }
}

/// A text of the caller's with the characters that `error_description` may hold (RFC 6749 §5.2), at most 80.
fn printable(text: &str) -> String {
    text.chars().filter(|c| matches!(c, ' '..='~') && !['"', '\\'].contains(c)).take(80).collect()
}

/// The client, authenticated with its secret; a public client by its id alone, when it sends no secret.
pub async fn authenticate<'c>(
    context: &'c Context,
    shown: &ClientCredentials,
) -> Result<&'c Client, ClientRefusal> {
    let client_id = shown.client_id.as_deref().ok_or(ClientRefusal::IdMissing)?;
    let client = context.environment.client(client_id).ok_or(ClientRefusal::Unknown)?;
    match (&client.kind, shown.client_secret.as_deref()) {
        (ClientKind::Spa | ClientKind::Native, None) => Ok(client),
        (ClientKind::Spa | ClientKind::Native, Some(_)) => Err(ClientRefusal::SecretOfPublicClient),
        (ClientKind::Web { .. }, None) => Err(ClientRefusal::SecretMissing),
        (ClientKind::Web { .. }, Some(secret))
            if context.live.client_secrets.verify(client, secret).await? =>
        {
            Ok(client)
        }
        (ClientKind::Web { .. }, Some(_)) => Err(ClientRefusal::WrongSecret),
    }
}
