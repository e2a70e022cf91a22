//! `scalekit.v1.clients.ClientService`: applications of the environment, and machine clients of organizations.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret as _, SecretString};
use tonic::{Request, Response, Status};

use super::call::context_of;
use super::convert::{answer, masked_fields, timestamp};
use super::pb::scalekit::v1::clients::client_service_server::ClientService;
use super::pb::scalekit::v1::clients::{
    Client, ClientSecret, ClientSecretStatus, CreateClientRequest, CreateClientResponse,
    CreateClientSecretRequest, CreateClientSecretResponse, CreateOrganizationClientRequest,
    CreateOrganizationClientResponse, CreateOrganizationClientSecretRequest,
    CreateOrganizationClientSecretResponse, CustomClaim, DeleteClientRequest, DeleteClientSecretRequest,
    DeleteOrganizationClientRequest, DeleteOrganizationClientSecretRequest, GetClientRequest,
    GetClientResponse, GetOrganizationClientRequest, GetOrganizationClientResponse, IpAllowlist,
    ListClientsRequest, ListClientsResponse, ListOrganizationClientsRequest, ListOrganizationClientsResponse,
    M2mClient, OrganizationClient, UpdateClientRequest, UpdateClientResponse,
    UpdateOrganizationClientRequest, UpdateOrganizationClientResponse,
};
use crate::domain::api_error::FieldViolation;
use crate::domain::clock::UnixMs;
use crate::domain::organization_client::{self as domain, OrganizationClientChange};
use crate::domain::redirect_uri::RedirectPattern;
use crate::service::api::ApiRefusal;
use crate::service::applications::{self, Application, ApplicationFields};
use crate::service::organization_clients;

#[derive(Clone)]
pub struct Clients;

#[tonic::async_trait]
impl ClientService for Clients {
    async fn list_client(
        &self,
        request: Request<ListClientsRequest>,
    ) -> Result<Response<ListClientsResponse>, Status> {
        let listed = async {
            let context = context_of(&request)?;
            let request = request.into_inner();
            let types = request.filter.unwrap_or_default().client_type;
            let page = applications::list(&context, &types, request.page_size, &request.page_token).await?;
            Ok(ListClientsResponse {
                total_size: page.total,
                clients: page.records.into_iter().map(shown_application).collect(),
                next_page_token: page.next_page_token,
                prev_page_token: page.prev_page_token,
            })
        };
        answer(listed.await)
    }

    async fn create_client(
        &self,
        request: Request<CreateClientRequest>,
    ) -> Result<Response<CreateClientResponse>, Status> {
        let created = async {
            let context = context_of(&request)?;
            let new = request.into_inner().client.unwrap_or_default();
            refuse_allowlist(new.ip_allowlist.as_ref())?;
            let fields = ApplicationFields {
                name: Some(new.name),
                post_login_uris: Some(new.post_login_uris),
                post_logout_redirect_uris: Some(new.post_logout_redirect_uris),
                back_channel_logout_uris: Some(new.back_channel_logout_uris),
                initiate_login_uri: new.initiate_login_uri,
                access_token_expiry: Some(new.access_token_expiry),
                enforce_pkce: new.enforce_pkce,
                disallow_scalekit_api_access: new.disallow_scalekit_api_access,
                scopes: Some(new.scopes),
                grant_types: Some(new.grant_types),
                custom_claims: Some(by_key(new.custom_claims)),
            };
            let application = applications::create(&context, &new.client_type, fields).await?;
            Ok(CreateClientResponse { client: Some(shown_application(application)) })
        };
        answer(created.await)
    }

    async fn get_client(
        &self,
        request: Request<GetClientRequest>,
    ) -> Result<Response<GetClientResponse>, Status> {
        let found = async {
            let context = context_of(&request)?;
            let application = applications::find(&context, &request.into_inner().client_id).await?;
            Ok(GetClientResponse { client: Some(shown_application(application)) })
        };
        answer(found.await)
    }

    async fn update_client(
        &self,
        request: Request<UpdateClientRequest>,
    ) -> Result<Response<UpdateClientResponse>, Status> {
        let updated = async {
            let context = context_of(&request)?;
            let UpdateClientRequest { client_id, client, mask } = request.into_inner();
            let change = client.unwrap_or_default();
            refuse_allowlist(change.ip_allowlist.as_ref())?;
            // Nobody can tell an empty list from an absent one.
            let filled = |list: Vec<String>| Some(list).filter(|list| !list.is_empty());
            let fields = ApplicationFields {
                name: Some(change.name).filter(|name| !name.is_empty()),
                post_login_uris: filled(change.post_login_uris),
                post_logout_redirect_uris: filled(change.post_logout_redirect_uris),
                back_channel_logout_uris: filled(change.back_channel_logout_uris),
                initiate_login_uri: change.initiate_login_uri,
                access_token_expiry: Some(change.access_token_expiry).filter(|seconds| *seconds != 0),
                enforce_pkce: change.enforce_pkce,
                disallow_scalekit_api_access: change.disallow_scalekit_api_access,
                scopes: filled(change.scopes),
                grant_types: filled(change.grant_types),
                custom_claims: Some(by_key(change.custom_claims)).filter(|claims| !claims.is_empty()),
            };
            let fields = match masked_fields("mask", mask, &ApplicationFields::NAMES)? {
                Some(named) => fields.masked(&named),
                None => fields,
            };
            let application = applications::update(&context, &client_id, fields).await?;
            Ok(UpdateClientResponse { client: Some(shown_application(application)) })
        };
        answer(updated.await)
    }

    async fn delete_client(&self, request: Request<DeleteClientRequest>) -> Result<Response<()>, Status> {
        let deleted = async {
            let context = context_of(&request)?;
            applications::delete(&context, &request.into_inner().client_id).await
        };
        answer(deleted.await)
    }

    async fn create_client_secret(
        &self,
        request: Request<CreateClientSecretRequest>,
    ) -> Result<Response<CreateClientSecretResponse>, Status> {
        let created = async {
            let context = context_of(&request)?;
            let client_id = request.into_inner().client_id;
            let (secret, plain) = applications::add_secret(&context, &client_id).await?;
            let secret = secret_of(secret.id, secret.suffix, secret.created_at_ms);
            Ok(CreateClientSecretResponse { plain_secret: told(&plain), secret: Some(secret) })
        };
        answer(created.await)
    }

    async fn delete_client_secret(
        &self,
        request: Request<DeleteClientSecretRequest>,
    ) -> Result<Response<()>, Status> {
        let deleted = async {
            let context = context_of(&request)?;
            let DeleteClientSecretRequest { client_id, secret_id } = request.into_inner();
            applications::delete_secret(&context, &client_id, &secret_id).await
        };
        answer(deleted.await)
    }

    async fn create_organization_client(
        &self,
        request: Request<CreateOrganizationClientRequest>,
    ) -> Result<Response<CreateOrganizationClientResponse>, Status> {
        let created = async {
            let context = context_of(&request)?;
            let CreateOrganizationClientRequest { organization_id, client } = request.into_inner();
            let fields = change(client.unwrap_or_default());
            let (client, secret) = organization_clients::create(&context, &organization_id, fields).await?;
            let plain_secret = told(&secret);
            Ok(CreateOrganizationClientResponse { client: Some(shown(client)), plain_secret })
        };
        answer(created.await)
    }

    async fn get_organization_client(
        &self,
        request: Request<GetOrganizationClientRequest>,
    ) -> Result<Response<GetOrganizationClientResponse>, Status> {
        let found = async {
            let context = context_of(&request)?;
            let GetOrganizationClientRequest { organization_id, client_id } = request.into_inner();
            let client = organization_clients::find(&context, &organization_id, &client_id).await?;
            Ok(GetOrganizationClientResponse { client: Some(shown(client)) })
        };
        answer(found.await)
    }

    async fn create_organization_client_secret(
        &self,
        request: Request<CreateOrganizationClientSecretRequest>,
    ) -> Result<Response<CreateOrganizationClientSecretResponse>, Status> {
        let created = async {
            let context = context_of(&request)?;
            let CreateOrganizationClientSecretRequest { organization_id, client_id } = request.into_inner();
            let (secret, plain) =
                organization_clients::add_secret(&context, &organization_id, &client_id).await?;
            Ok(CreateOrganizationClientSecretResponse {
                plain_secret: told(&plain),
                secret: Some(shown_secret(secret)),
            })
        };
        answer(created.await)
    }

    async fn delete_organization_client_secret(
        &self,
        request: Request<DeleteOrganizationClientSecretRequest>,
    ) -> Result<Response<()>, Status> {
        let deleted = async {
            let context = context_of(&request)?;
            let DeleteOrganizationClientSecretRequest { organization_id, client_id, secret_id } =
                request.into_inner();
            organization_clients::delete_secret(&context, &organization_id, &client_id, &secret_id).await
        };
        answer(deleted.await)
    }

    async fn update_organization_client(
        &self,
        request: Request<UpdateOrganizationClientRequest>,
    ) -> Result<Response<UpdateOrganizationClientResponse>, Status> {
        let updated = async {
            let context = context_of(&request)?;
            let UpdateOrganizationClientRequest { organization_id, client_id, client } = request.into_inner();
            let change = change(client.unwrap_or_default());
            let client = organization_clients::update(&context, &organization_id, &client_id, change).await?;
            Ok(UpdateOrganizationClientResponse { client: Some(shown(client)) })
        };
        answer(updated.await)
    }

    async fn delete_organization_client(
        &self,
        request: Request<DeleteOrganizationClientRequest>,
    ) -> Result<Response<()>, Status> {
        let deleted = async {
            let context = context_of(&request)?;
            let DeleteOrganizationClientRequest { organization_id, client_id } = request.into_inner();
            organization_clients::delete(&context, &organization_id, &client_id).await
        };
        answer(deleted.await)
    }

    async fn list_organization_clients(
        &self,
        request: Request<ListOrganizationClientsRequest>,
    ) -> Result<Response<ListOrganizationClientsResponse>, Status> {
        let listed = async {
            let context = context_of(&request)?;
            let ListOrganizationClientsRequest { organization_id, page_size, page_token } =
                request.into_inner();
            let page = organization_clients::list(&context, &organization_id, page_size, &page_token).await?;
            Ok(ListOrganizationClientsResponse {
                next_page_token: page.next_page_token,
                prev_page_token: page.prev_page_token,
                total_size: page.total,
                clients: page.records.into_iter().map(shown).collect(),
            })
        };
        answer(listed.await)
    }
}

fn change(client: OrganizationClient) -> OrganizationClientChange {
    let claims = client.custom_claims.into_iter();
    OrganizationClientChange {
        name: client.name,
        description: client.description,
        scopes: client.scopes,
        audience: client.audience,
        custom_claims: claims.map(|CustomClaim { key, value }| domain::CustomClaim { key, value }).collect(),
        expiry_s: client.expiry,
    }
}

/// A secret in the one answer that tells it.
fn told(secret: &SecretString) -> String {
    secret.expose_secret().to_owned()
}

fn shown(client: domain::OrganizationClient) -> M2mClient {
    let claims = client.custom_claims.into_iter();
    M2mClient {
        create_time: Some(timestamp(client.created_at_ms)),
        update_time: Some(timestamp(client.updated_at_ms)),
        client_id: client.id,
        secrets: client.secrets.into_iter().map(shown_secret).collect(),
        name: client.name,
        description: client.description,
        organization_id: client.organization_id,
        scopes: client.scopes,
        audience: client.audience,
        custom_claims: claims.map(|domain::CustomClaim { key, value }| CustomClaim { key, value }).collect(),
        expiry: client.expiry_s,
        // Resources, dynamic registration and client metadata documents are not emulated.
        resource_id: String::new(),
        redirect_uris: vec![],
        is_dcr: false,
        is_cimd: false,
        metadata_uri: String::new(),
    }
}

fn shown_secret(secret: domain::OrganizationClientSecret) -> ClientSecret {
    secret_of(secret.id, secret.suffix, secret.created_at_ms)
}

fn secret_of(id: String, suffix: String, created_at_ms: UnixMs) -> ClientSecret {
    let time = Some(timestamp(created_at_ms));
    ClientSecret {
        id,
        create_time: time,
        update_time: time,
        secret_suffix: suffix,
        status: ClientSecretStatus::Active.into(),
        created_by: None,
        expire_time: None,
        last_used_time: None,
        plain_secret: None,
    }
}

/// Of two claims of one name the later one counts.
fn by_key(claims: Vec<CustomClaim>) -> BTreeMap<String, String> {
    claims.into_iter().map(|CustomClaim { key, value }| (key, value)).collect()
}

/// What nobody would keep out by it is not taken for a list that does.
fn refuse_allowlist(list: Option<&IpAllowlist>) -> Result<(), ApiRefusal> {
    if list.is_some_and(|list| list.opted_in) {
        let field = "client.ip_allowlist.opted_in";
        let text = format!("{field} is invalid: lists of allowed addresses are not emulated");
        return Err(vec![FieldViolation::new(field, "not_emulated", text)].into());
    }
    Ok(())
}

fn shown_application(application: Application) -> Client {
    let client = application.client;
    let texts = |patterns: &[RedirectPattern]| patterns.iter().map(|p| p.as_str().to_owned()).collect();
    let back_channel_logout_uris = client.backchannel_logout_uris().map(str::to_owned).collect();
    let claims = client.api.custom_claims.into_iter();
    let secrets = application.secrets.into_iter();
    Client {
        create_time: Some(timestamp(application.created_at_ms)),
        update_time: Some(timestamp(application.updated_at_ms)),
        secrets: secrets.map(|secret| secret_of(secret.id, secret.suffix, secret.created_at_ms)).collect(),
        post_logout_redirect_uris: texts(&client.post_logout_redirect_uris),
        post_login_uris: texts(&client.redirect_uris),
        back_channel_logout_uris,
        initiate_login_uri: client.initiate_login_uri.unwrap_or_default(),
        access_token_expiry: client.access_token_lifetime_s,
        scopes: client.api.scopes,
        custom_claims: claims.map(|(key, value)| CustomClaim { key, value }).collect(),
        disallow_scalekit_api_access: client.api.disallow_scalekit_api_access,
        grant_types: client.api.grant_types,
        client_type: application.application_type.as_str().to_owned(),
        enforce_pkce: client.enforce_pkce,
        id: client.client_id,
        name: client.name,
        key_id: String::new(),
        ip_allowlist: None,
    }
}
