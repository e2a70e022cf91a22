//! `scalekit.v1.domains.DomainService`: email domains of organizations.

use tonic::{Request, Response, Status};

use super::call::context_of;
use super::convert::{answer, record_key, record_keys, timestamp, undefined};
use super::pb::scalekit::v1::domains::domain_service_server::DomainService;
use super::pb::scalekit::v1::domains::{
    CreateDomainRequest, CreateDomainResponse, DeleteDomainRequest, Domain, DomainType, GetDomainRequest,
    GetDomainResponse, ListDomainRequest, ListDomainResponse, VerificationMethod, VerificationStatus,
    create_domain_request, delete_domain_request, get_domain_request, list_domain_request,
};
use crate::domain::organization_domain as domain;
use crate::domain::record_key::RecordKey;
use crate::runtime::Context;
use crate::service::api::ApiRefusal;
use crate::service::domains;

record_keys!(
    OrganizationId: create_domain_request,
    get_domain_request,
    delete_domain_request,
    list_domain_request,
);

#[derive(Clone)]
pub struct Domains;

#[tonic::async_trait]
impl DomainService for Domains {
    async fn create_domain(
        &self,
        request: Request<CreateDomainRequest>,
    ) -> Result<Response<CreateDomainResponse>, Status> {
        let created = async {
            let context = context_of(&request)?;
            let request = request.into_inner();
            let organization = record_key(request.identities)?;
            let new = request.domain.unwrap_or_default();
            let domain_type = domain_type("domain.domain_type", new.domain_type)?.unwrap_or_default();
            let domain = domains::create(&context, &organization, &new.domain, domain_type).await?;
            Ok(CreateDomainResponse { domain: Some(shown(&context, domain)) })
        };
        answer(created.await)
    }

    async fn get_domain(
        &self,
        request: Request<GetDomainRequest>,
    ) -> Result<Response<GetDomainResponse>, Status> {
        let found = async {
            let context = context_of(&request)?;
            let GetDomainRequest { identities, id } = request.into_inner();
            let domain = domains::find(&context, &record_key(identities)?, &id).await?;
            Ok(GetDomainResponse { domain: Some(shown(&context, domain)) })
        };
        answer(found.await)
    }

    async fn delete_domain(&self, request: Request<DeleteDomainRequest>) -> Result<Response<()>, Status> {
        let deleted = async {
            let context = context_of(&request)?;
            let request = request.into_inner();
            domains::delete(&context, &record_key(request.identities)?, &request.id).await
        };
        answer(deleted.await)
    }

    async fn list_domains(
        &self,
        request: Request<ListDomainRequest>,
    ) -> Result<Response<ListDomainResponse>, Status> {
        let listed = async {
            let context = context_of(&request)?;
            let request = request.into_inner();
            let organization = record_key(request.identities)?;
            let domain_type = domain_type("domain_type", request.domain_type)?;
            let (size, number) = (request.page_size, request.page_number);
            let page = domains::list(&context, &organization, domain_type, size, number).await?;
            Ok(ListDomainResponse {
                page_size: page.size,
                page_number: page.number,
                domains: page.domains.into_iter().map(|domain| shown(&context, domain)).collect(),
            })
        };
        answer(listed.await)
    }
}

/// `None`: nobody said.
fn domain_type(field: &str, number: i32) -> Result<Option<domain::DomainType>, ApiRefusal> {
    match DomainType::try_from(number) {
        Ok(DomainType::Unspecified) => Ok(None),
        Ok(DomainType::AllowedEmailDomain) => Ok(Some(domain::DomainType::AllowedEmailDomain)),
        Ok(DomainType::OrganizationDomain) => Ok(Some(domain::DomainType::OrganizationDomain)),
        Err(_) => Err(undefined(field)),
    }
}

fn shown(context: &Context, domain: domain::OrganizationDomain) -> Domain {
    let domain_type = match domain.domain_type {
        domain::DomainType::AllowedEmailDomain => DomainType::AllowedEmailDomain,
        domain::DomainType::OrganizationDomain => DomainType::OrganizationDomain,
    };
    let (status, method) = domain.domain_type.verification();
    let time = Some(timestamp(domain.created_at_ms));
    Domain {
        environment_id: context.environment_id().to_owned(),
        domain: domain.name.as_str().to_owned(),
        domain_type: domain_type.into(),
        verification_status: VerificationStatus::from_str_name(status).unwrap_or_default().into(),
        verification_method: VerificationMethod::from_str_name(method).unwrap_or_default().into(),
        create_time: time,
        update_time: time,
        id: domain.id,
        organization_id: domain.organization_id,
        // It is verified already.
        txt_record_key: String::new(),
        txt_record_secret: String::new(),
    }
}
