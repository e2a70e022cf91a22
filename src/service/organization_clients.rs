//! Machine clients of organizations.

use secrecy::{ExposeSecret as _, SecretString};

use super::api::ApiRefusal;
use super::{Failure, clients, organizations, retry_on_conflict, total_of};
use crate::crypto::server_secret::{Purpose, constant_time_eq};
use crate::domain::api_error::ApiErrorCode;
use crate::domain::ids::IdKind;
use crate::domain::organization_client::{
    OrganizationClient, OrganizationClientChange, OrganizationClientSecret, SecretError,
};
use crate::domain::page::{Page, PageRequest, Position, Scope};
use crate::domain::record_key::RecordKey;
use crate::runtime::Context;
use crate::storage::StoreError;

/// Clients of a page where nobody says how many.
const PAGE_SIZE: u32 = 30;

/// How many of a secret's last characters are shown.
const SUFFIX_LENGTH: usize = 4;

/// Adds a client to an organization, with a secret that is told this once.
pub async fn create(
    context: &Context,
    organization_id: &str,
    fields: OrganizationClientChange,
) -> Result<(OrganizationClient, SecretString), ApiRefusal> {
    let id = context.new_id(IdKind::OrganizationClient);
    let (secret, plain_secret) = new_secret(context, &id);
    let mut client = OrganizationClient::new(id, organization_id.to_owned(), secret, context.now_ms());
    client.change(fields).map_err(|violation| vec![violation])?;
    match context.store().insert_organization_client(context.environment_id(), &client).await {
        Ok(()) => Ok((client, plain_secret)),
        Err(StoreError::MissingParent(_)) => {
            Err(organizations::unknown(&RecordKey::Id(client.organization_id)))
        }
        Err(error) => Err(Failure::from(error).into()),
    }
}

fn new_secret(context: &Context, client_id: &str) -> (OrganizationClientSecret, SecretString) {
    let plain = clients::new_secret(context.entropy());
    let text = plain.expose_secret();
    let secret = OrganizationClientSecret {
        id: context.new_id(IdKind::ClientSecret),
        digest: digest(context, client_id, text),
        suffix: text.get(text.len().saturating_sub(SUFFIX_LENGTH)..).unwrap_or_default().to_owned(),
        created_at_ms: context.now_ms(),
    };
    (secret, plain)
}

/// What is kept of a secret, which is random enough for a digest that is quick to compute.
fn digest(context: &Context, client_id: &str, secret: &str) -> String {
    context.secret().digest(Purpose::ClientSecret, &format!("{client_id}\n{secret}"))
}

/// Is it one of the client's secrets?
pub(super) fn is_secret_of(context: &Context, client: &OrganizationClient, shown: &str) -> bool {
    let shown = digest(context, &client.id, shown);
    client.secrets.iter().fold(false, |found, secret| found | constant_time_eq(&secret.digest, &shown))
}

/// Finds a client of an organization.
pub async fn find(
    context: &Context,
    organization_id: &str,
    id: &str,
) -> Result<OrganizationClient, ApiRefusal> {
    let found = context.store().organization_client(context.environment_id(), id).await?;
    found
        .filter(|client| client.organization_id == organization_id)
        .ok_or_else(|| unknown(organization_id, id))
}

fn unknown(organization_id: &str, id: &str) -> ApiRefusal {
    let text = format!("client not found: {organization_id} has no client {id}");
    ApiRefusal::new(ApiErrorCode::NotFound, text)
}

/// Lists the clients of an organization, newest first.
pub async fn list(
    context: &Context,
    organization_id: &str,
    page_size: u32,
    page_token: &str,
) -> Result<Page<OrganizationClient>, ApiRefusal> {
    let scope: Scope<'_> = &["organization_clients", organization_id];
    let request =
        PageRequest::parse(page_size, PAGE_SIZE, page_token, scope).map_err(|violation| vec![violation])?;
    organizations::find(context, &RecordKey::Id(organization_id.to_owned())).await?;
    let (store, environment_id) = (context.store(), context.environment_id());
    let found = store.organization_clients(environment_id, organization_id, &request).await?;
    let total =
        total_of(&request, &found, store.count_organization_clients(environment_id, organization_id)).await?;
    Ok(request.page(found, total, scope, |client| Position {
        created_at_ms: client.created_at_ms,
        id: client.id.clone(),
    }))
}

/// Changes what is named.
pub async fn update(
    context: &Context,
    organization_id: &str,
    id: &str,
    change: OrganizationClientChange,
) -> Result<OrganizationClient, ApiRefusal> {
    write_over(context, organization_id, id, |client| {
        client.change(change.clone()).map_err(|violation| vec![violation].into())
    })
    .await
}

/// Deletes a client. Tokens that it has stay valid for their time.
pub async fn delete(context: &Context, organization_id: &str, id: &str) -> Result<(), ApiRefusal> {
    let (store, environment_id) = (context.store(), context.environment_id());
    let is_done = store.delete_organization_client(environment_id, organization_id, id).await?;
    if is_done { Ok(()) } else { Err(unknown(organization_id, id)) }
}

/// Gives a client one more secret, which is told this once.
pub async fn add_secret(
    context: &Context,
    organization_id: &str,
    id: &str,
) -> Result<(OrganizationClientSecret, SecretString), ApiRefusal> {
    let (secret, plain_secret) = new_secret(context, id);
    write_over(context, organization_id, id, |client| client.add_secret(secret.clone()).map_err(refused))
        .await?;
    Ok((secret, plain_secret))
}

/// Takes a secret away from a client, but for its last one.
pub async fn delete_secret(
    context: &Context,
    organization_id: &str,
    id: &str,
    secret_id: &str,
) -> Result<(), ApiRefusal> {
    write_over(context, organization_id, id, |client| client.remove_secret(secret_id).map_err(refused))
        .await?;
    Ok(())
}

fn refused(error: SecretError) -> ApiRefusal {
    let code = match error {
        SecretError::TooMany | SecretError::Last => ApiErrorCode::FailedPrecondition,
        SecretError::Unknown => ApiErrorCode::NotFound,
    };
    ApiRefusal::new(code, error.to_string())
}

/// Changes a client over the version that was read, again while others change it.
async fn write_over(
    context: &Context,
    organization_id: &str,
    id: &str,
    change: impl Fn(&mut OrganizationClient) -> Result<(), ApiRefusal>,
) -> Result<OrganizationClient, ApiRefusal> {
    retry_on_conflict(|| async {
        let mut client = find(context, organization_id, id).await?;
        change(&mut client)?;
        client.updated_at_ms = context.now_ms();
        let is_done = context.store().update_organization_client(context.environment_id(), &client).await?;
        Ok::<_, ApiRefusal>(is_done.then_some(client))
    })
    .await
}
