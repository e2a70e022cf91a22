//! Who is asking at the token endpoint (RFC 6749 §2.3).

use super::{Failure, organization_clients};
use crate::crypto::client_secrets::TooManyChecks;
use crate::domain::client::{Client, ClientKind};
use crate::domain::environment::Environment;
use crate::domain::organization_client::{self, OrganizationClient};
use crate::domain::settings::Mode;
use crate::runtime::Context;

/// Who authenticated.
#[derive(Debug)]
pub enum AuthenticatedClient<'c> {
    /// An application of the environment.
    Application(&'c Client),
    /// A machine client of an organization.
    OfOrganization(Box<OrganizationClient>),
}

impl AuthenticatedClient<'_> {
    /// Its `client_id`.
    pub fn id(&self) -> &str {
        match self {
            Self::Application(client) => &client.client_id,
            Self::OfOrganization(client) => &client.id,
        }
    }

    /// Did it need no secret?
    pub fn is_public(&self) -> bool {
        matches!(self, Self::Application(client) if client.is_public())
    }
}

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
///
/// # Errors
/// When the database does not answer; the inner error when the client is not believed.
pub async fn authenticate<'c>(
    context: &'c Context,
    shown: &ClientCredentials,
) -> Result<Result<AuthenticatedClient<'c>, ClientRefusal>, Failure> {
    let Some(client_id) = shown.client_id.as_deref() else { return Ok(Err(ClientRefusal::IdMissing)) };
    let secret = shown.client_secret.as_deref();
    if let Some(client) = context.environment.client(client_id) {
        let checked = check(context, client, secret).await;
        return Ok(checked.map(|()| AuthenticatedClient::Application(client)));
    }
    if !client_id.starts_with(organization_client::ID_PREFIX) {
        return Ok(Err(ClientRefusal::Unknown));
    }
    let found = context.store().organization_client(context.environment_id(), client_id).await?;
    Ok(match (found, secret) {
        (None, _) => Err(ClientRefusal::Unknown),
        (Some(_), None) => Err(ClientRefusal::SecretMissing),
        (Some(client), Some(secret)) if organization_clients::is_secret_of(context, &client, secret) => {
            Ok(AuthenticatedClient::OfOrganization(Box::new(client)))
        }
        (Some(_), Some(_)) => Err(ClientRefusal::WrongSecret),
    })
}

async fn check(context: &Context, client: &Client, secret: Option<&str>) -> Result<(), ClientRefusal> {
    match (&client.kind, secret) {
        (ClientKind::Spa | ClientKind::Native, None) => Ok(()),
        (ClientKind::Spa | ClientKind::Native, Some(_)) => Err(ClientRefusal::SecretOfPublicClient),
        (ClientKind::Web { .. }, None) => Err(ClientRefusal::SecretMissing),
        (ClientKind::Web { .. }, Some(secret))
            if context.live.client_secrets.verify(client, secret).await? =>
        {
            Ok(())
        }
        (ClientKind::Web { .. }, Some(_)) => Err(ClientRefusal::WrongSecret),
    }
}
