//! Email domains of organizations.

use super::api::ApiRefusal;
use super::{Failure, events, organizations};
use crate::domain::api_error::{ApiError, ApiErrorCode, FieldViolation};
use crate::domain::event::EventType;
use crate::domain::ids::IdKind;
use crate::domain::organization_domain::{DomainName, DomainType, OrganizationDomain};
use crate::domain::record_key::RecordKey;
use crate::runtime::Context;
use crate::storage::StoreError;

/// Domains of a page where nobody says how many, and at most.
const PAGE_SIZE: i32 = 30;
const MAX_PAGE_SIZE: i32 = 100;

/// The field of a request that holds the domain itself.
const FIELD: &str = "domain.domain";

/// A page of domains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainPage {
    /// Most domains of a page.
    pub size: i32,
    /// Which page it is, from 0 on.
    pub number: i32,
    /// Oldest first.
    pub domains: Vec<OrganizationDomain>,
}

/// Adds a domain to an organization.
pub async fn create(
    context: &Context,
    organization: &RecordKey,
    domain: &str,
    domain_type: DomainType,
) -> Result<OrganizationDomain, ApiRefusal> {
    let organization = organizations::find(context, organization).await?;
    let name = DomainName::parse(domain).ok_or_else(|| {
        let text = format!("{FIELD} is invalid: it is no domain name such as acme.com");
        vec![FieldViolation::new(FIELD, "hostname", text)]
    })?;
    if name.is_public_or_disposable() {
        return Err(public_or_disposable(&name).into());
    }
    let domain = OrganizationDomain {
        id: context.new_id(IdKind::Domain),
        organization_id: organization.id,
        name,
        domain_type,
        created_at_ms: context.now_ms(),
    };
    let event = events::of_domain(context, EventType::DomainCreated, &domain);
    let inserted = context.store().insert_domain(context.environment_id(), &domain, &event).await;
    match inserted {
        Ok(()) => Ok(domain),
        Err(error) if error.is_duplicate("domain") => Err(duplicate(&domain).into()),
        // Deleted since it was found.
        Err(StoreError::MissingParent(_)) => {
            Err(organizations::unknown(&RecordKey::Id(domain.organization_id)))
        }
        Err(error) => Err(Failure::from(error).into()),
    }
}

fn public_or_disposable(name: &DomainName) -> ApiError {
    let text = format!("{FIELD} is invalid: {} is a public or disposable email domain", name.as_str());
    let violations = vec![FieldViolation::new(FIELD, "not_public", text.clone())];
    ApiError { violations, ..ApiError::new(ApiErrorCode::DisposableOrPublicEmail, text) }
}

fn duplicate(domain: &OrganizationDomain) -> Vec<FieldViolation> {
    let whose = match domain.domain_type {
        DomainType::OrganizationDomain => "an organization of this environment",
        DomainType::AllowedEmailDomain => "this organization",
    };
    let text = format!("{FIELD} already exists: {} is a domain of {whose}", domain.name.as_str());
    vec![FieldViolation::new(FIELD, "unique", text)]
}

/// Finds a domain of an organization.
pub async fn find(
    context: &Context,
    organization: &RecordKey,
    id: &str,
) -> Result<OrganizationDomain, ApiRefusal> {
    let organization = organizations::find(context, organization).await?;
    let found = context.store().domain(context.environment_id(), &organization.id, id).await?;
    found.ok_or_else(|| unknown(&organization.id, id))
}

fn unknown(organization_id: &str, id: &str) -> ApiRefusal {
    let text = format!("domain not found: {organization_id} has no domain {id}");
    ApiRefusal::new(ApiErrorCode::NotFound, text)
}

/// Lists the domains of an organization, oldest first: all, or those of a type.
pub async fn list(
    context: &Context,
    organization: &RecordKey,
    domain_type: Option<DomainType>,
    page_size: Option<i32>,
    page_number: Option<i32>,
) -> Result<DomainPage, ApiRefusal> {
    let (size, number) = (page_size.unwrap_or_default(), page_number.unwrap_or_default());
    for (field, value) in [("page_size", size), ("page_number", number)] {
        if value < 0 {
            let text = format!("{field} is invalid: it is less than 0");
            return Err(vec![FieldViolation::new(field, "gte", text)].into());
        }
    }
    let size = if size == 0 { PAGE_SIZE } else { size.min(MAX_PAGE_SIZE) };
    let range = (i64::from(size), i64::from(size) * i64::from(number));
    let organization = organizations::find(context, organization).await?;
    let (store, environment_id) = (context.store(), context.environment_id());
    let domains = store.domains(environment_id, &organization.id, domain_type, range).await?;
    Ok(DomainPage { size, number, domains })
}

/// Removes a domain from an organization.
pub async fn delete(context: &Context, organization: &RecordKey, id: &str) -> Result<(), ApiRefusal> {
    let domain = find(context, organization, id).await?;
    let event = events::of_domain(context, EventType::DomainDeleted, &domain);
    let is_done = context.store().delete_domain(context.environment_id(), &domain, &event).await?;
    if is_done { Ok(()) } else { Err(unknown(&domain.organization_id, id)) }
}
