//! `scalekit.v1.clients.ClientService`: machine clients of organizations.

use secrecy::{ExposeSecret as _, SecretString};
use tonic::{Request, Response, Status};

use super::call::context_of;
use super::convert::{answer, timestamp};
use super::pb::scalekit::v1::clients::client_service_server::ClientService;
use super::pb::scalekit::v1::clients::{
    ClientSecret, ClientSecretStatus, CreateOrganizationClientRequest, CreateOrganizationClientResponse,
    CreateOrganizationClientSecretRequest, CreateOrganizationClientSecretResponse, CustomClaim,
    DeleteOrganizationClientRequest, DeleteOrganizationClientSecretRequest, GetOrganizationClientRequest,
    GetOrganizationClientResponse, ListOrganizationClientsRequest, ListOrganizationClientsResponse,
    M2mClient, OrganizationClient, UpdateOrganizationClientRequest, UpdateOrganizationClientResponse,
};
use crate::domain::organization_client::{self as domain, OrganizationClientChange};
use crate::service::organization_clients;

#[derive(Clone)]
pub struct Clients;

#[tonic::async_trait]
impl ClientService for Clients {
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
    let time = Some(timestamp(secret.created_at_ms));
    ClientSecret {
        id: secret.id,
        create_time: time,
        update_time: time,
        secret_suffix: secret.suffix,
        status: ClientSecretStatus::Active.into(),
        created_by: None,
        expire_time: None,
        last_used_time: None,
        plain_secret: None,
    }
}
