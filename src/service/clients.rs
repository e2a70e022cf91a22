//! Applications (OAuth clients), in the words of the configuration's `[[clients]]`.

use std::sync::{Mutex, PoisonError};

use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::changed_settings::change_with;
use super::changes::ControlError;
use super::flows;
use crate::config::merge;
use crate::domain::client::{Client, ClientApiSettings, ClientKind, ClientSecret};
use crate::domain::entropy::Entropy;
use crate::domain::field_error::FieldError;
use crate::domain::flow::{About, FlowStatus};
use crate::domain::settings::ClientBranding;
use crate::domain::sign_in_event::SignInEvent;
use crate::runtime::Context;
use crate::storage::StoreError;

/// An application as the control API shows it, secrets included: it is a tool of those who run the server.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ClientView {
    pub client_id: String,
    pub name: String,
    /// `web`, `spa` or `native`.
    pub r#type: &'static str,
    /// Secrets in the clear, where the server has them so; at most two. Absent where they are known as a hash alone, and
    /// of public clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secrets: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret_argon2: Option<String>,
    pub redirect_uris: Vec<String>,
    pub post_logout_redirect_uris: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initiate_login_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backchannel_logout_uri: Option<String>,
    pub enforce_pkce: bool,
    pub require_pushed_authorization_requests: bool,
    /// `RS256` or `ES256`.
    pub id_token_signed_response_alg: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_token_lifetime_s: Option<i64>,
    pub instant_sign_in: bool,
    #[serde(flatten)]
    pub api: ClientApiSettings,
    #[serde(flatten)]
    pub branding: ClientBranding,
}

impl From<&Client> for ClientView {
    fn from(client: &Client) -> Self {
        let (kind, secrets) = match &client.kind {
            ClientKind::Web { secrets } => ("web", secrets.as_slice()),
            ClientKind::Spa => ("spa", &[][..]),
            ClientKind::Native => ("native", &[][..]),
        };
        let texts = |patterns: &[crate::domain::redirect_uri::RedirectPattern]| {
            patterns.iter().map(|p| p.as_str().to_owned()).collect()
        };
        let plain: Vec<String> = secrets
            .iter()
            .filter_map(|s| match s {
                ClientSecret::Plain(secret) => Some(secret.expose_secret().to_owned()),
                ClientSecret::Argon2(_) => None,
            })
            .collect();
        // A web client without any says so.
        let is_shown = !plain.is_empty() || (!client.is_public() && secrets.is_empty());
        Self {
            client_id: client.client_id.clone(),
            name: client.name.clone(),
            r#type: kind,
            client_secrets: is_shown.then_some(plain),
            client_secret_argon2: secrets.iter().find_map(|s| match s {
                ClientSecret::Argon2(hash) => Some(hash.clone()),
                ClientSecret::Plain(_) => None,
            }),
            redirect_uris: texts(&client.redirect_uris),
            post_logout_redirect_uris: texts(&client.post_logout_redirect_uris),
            initiate_login_uri: client.initiate_login_uri.clone(),
            backchannel_logout_uri: client.backchannel_logout_uri.clone(),
            enforce_pkce: client.enforce_pkce,
            id_token_signed_response_alg: client.id_token_signed_response_alg.as_str(),
            require_pushed_authorization_requests: client.require_pushed_authorization_requests,
            access_token_lifetime_s: client.access_token_lifetime_s,
            instant_sign_in: client.instant_sign_in,
            api: client.api.clone(),
            branding: client.branding.clone(),
        }
    }
}

/// A new secret, in the shape of Scalekit's.
pub fn new_secret(entropy: &dyn Entropy) -> SecretString {
    SecretString::from(format!("test_{}", crate::domain::entropy::secret_text(entropy)))
}

/// A new client id, in the shape of Scalekit's.
pub fn new_client_id(entropy: &dyn Entropy) -> String {
    new_client_id_of("skc", entropy)
}

/// The same of another kind of client.
pub(super) fn new_client_id_of(prefix: &str, entropy: &dyn Entropy) -> String {
    let mut bytes = [0; 8];
    entropy.fill(&mut bytes);
    format!("{prefix}_{:018}", u64::from_le_bytes(bytes) % 10u64.pow(18))
}

pub fn list(context: &Context) -> Vec<ClientView> {
    context.environment.clients.iter().map(ClientView::from).collect()
}

pub fn show(context: &Context, client_id: &str) -> Result<ClientView, ControlError> {
    context.environment.client(client_id).map(ClientView::from).ok_or_else(|| unknown(client_id))
}

fn unknown(client_id: &str) -> ControlError {
    ControlError::NotFound(format!("there is no client {client_id}"))
}

/// Adds an application. Without `client_id`, or a web client's secret, they are made.
pub async fn create(context: &Context, fields: Value) -> Result<ClientView, ControlError> {
    let Value::Object(mut fields) = fields else {
        return Err(ControlError::field("", "must be a JSON object"));
    };
    let is_web = fields.get("type").is_none_or(|t| t == "web");
    fields.entry("client_id").or_insert_with(|| new_client_id(context.entropy()).into());
    let has_secret =
        ["client_secret", "client_secrets", "client_secret_argon2"].iter().any(|f| fields.contains_key(*f));
    if is_web && !has_secret {
        let secret = new_secret(context.entropy());
        fields.insert("client_secret".to_owned(), secret.expose_secret().into());
    }
    let client_id = fields.get("client_id").and_then(Value::as_str).unwrap_or_default().to_owned();
    edit(context, &client_id, |clients| {
        if clients.iter().any(|c| c.get("client_id").and_then(Value::as_str) == Some(&client_id)) {
            let error = FieldError::new("client_id", "is used by another client already");
            return Err(ControlError::Conflict(error));
        }
        clients.push(Value::Object(fields.clone()));
        Ok(())
    })
    .await?;
    view_of(context, &client_id)
}

/// Changes an application: what is named replaces what was there, `null` goes back to the default.
pub async fn change(context: &Context, client_id: &str, patch: &Value) -> Result<ClientView, ControlError> {
    if !patch.is_object() {
        return Err(ControlError::field("", "must be a JSON object"));
    }
    if patch.get("client_id").is_some_and(|id| id != client_id) {
        return Err(ControlError::field("client_id", "cannot be changed"));
    }
    edit(context, client_id, |clients| {
        let found =
            clients.iter_mut().find(|c| c.get("client_id").and_then(Value::as_str) == Some(client_id));
        let client = found.ok_or_else(|| unknown(client_id))?;
        // A single secret replaces all that were there.
        if patch.get("client_secret").is_some()
            && let Some(fields) = client.as_object_mut()
        {
            fields.remove("client_secrets");
            fields.remove("client_secret_argon2");
        }
        merge(client, patch);
        Ok(())
    })
    .await?;
    view_of(context, client_id)
}

/// Registers a callback from the page that refused it. The log of sign-ins says so.
pub async fn allow_redirect_uri(
    context: &Context,
    client_id: &str,
    redirect_uri: &str,
) -> Result<(), ControlError> {
    edit(context, client_id, |clients| {
        let client =
            clients.iter_mut().find(|c| c.get("client_id").and_then(Value::as_str) == Some(client_id));
        let client = client.ok_or_else(|| unknown(client_id))?;
        let mut uris = client.get("redirect_uris").and_then(Value::as_array).cloned().unwrap_or_default();
        if !uris.iter().any(|uri| uri == redirect_uri) {
            uris.push(redirect_uri.into());
        }
        merge(client, &json!({ "redirect_uris": uris }));
        Ok(())
    })
    .await?;
    let (client_id, redirect_uri) = (client_id.to_owned(), redirect_uri.to_owned());
    let about = About::status(FlowStatus::Initiated).client(client_id.as_str());
    let event = SignInEvent::RedirectUriAllowed { client_id, redirect_uri };
    flows::note(context, &flows::new_flow_id(context), about, event);
    Ok(())
}

pub async fn delete(context: &Context, client_id: &str) -> Result<(), ControlError> {
    edit(context, client_id, |clients| {
        let before = clients.len();
        clients.retain(|c| c.get("client_id").and_then(Value::as_str) != Some(client_id));
        if clients.len() == before { Err(unknown(client_id)) } else { Ok(()) }
    })
    .await
}

fn view_of(context: &Context, client_id: &str) -> Result<ClientView, ControlError> {
    let live = context.runtime.live();
    live.environment.client(client_id).map(ClientView::from).ok_or_else(|| unknown(client_id))
}

/// Edits the list of clients. Mistakes are named as those of the one client that is edited.
pub(super) async fn edit(
    context: &Context,
    client_id: &str,
    change: impl Fn(&mut Vec<Value>) -> Result<(), ControlError>,
) -> Result<(), ControlError> {
    let edited_at = Mutex::new(None);
    let outcome = change_with(context, |changes, clients| {
        let mut clients = described(clients)?;
        change(&mut clients)?;
        let is_edited = |c: &Value| c.get("client_id").and_then(Value::as_str) == Some(client_id);
        *edited_at.lock().unwrap_or_else(PoisonError::into_inner) = clients.iter().position(is_edited);
        merge(changes, &json!({ "clients": clients }));
        Ok(())
    })
    .await;
    match outcome {
        Ok(_) => Ok(()),
        Err(ControlError::Invalid(errors)) => {
            let edited_at = edited_at.into_inner().unwrap_or_else(PoisonError::into_inner);
            let prefix = edited_at.map(|at| format!("clients[{at}].")).unwrap_or_default();
            let own = errors.into_iter().map(|e| {
                let field = e.field.strip_prefix(&prefix).unwrap_or(&e.field).to_owned();
                FieldError::new(field, e.reason)
            });
            Err(ControlError::Invalid(own.collect()))
        }
        Err(other) => Err(other),
    }
}

/// Clients in the configuration's words.
pub(super) fn described(clients: &[Client]) -> Result<Vec<Value>, ControlError> {
    let views = clients.iter().map(|c| serde_json::to_value(ClientView::from(c)));
    views
        .collect::<Result<_, _>>()
        .map_err(|_| ControlError::Failure(StoreError::Unreadable("client").into()))
}

/// The clients that a reset goes back to, in the configuration's words.
pub(super) async fn first(context: &Context) -> Result<Value, ControlError> {
    let stored = context.store().template_clients(context.environment_id()).await?;
    Ok(described(&context.runtime.server.clients().open_all(&stored)?)?.into())
}
