//! `scalekit.v1.organizations.OrganizationService`: organizations with their settings.

use tonic::{Request, Response, Status};

use super::call::context_of;
use super::convert::{answer, masked_fields, record_key, record_keys, timestamp, undefined};
use super::pb::scalekit::v1::commons::{RegionCode, TimeUnit};
use super::pb::scalekit::v1::organizations::organization_service_server::OrganizationService;
use super::pb::scalekit::v1::organizations::{
    CreateOrganizationRequest, CreateOrganizationResponse, DeleteOrganizationRequest, Feature,
    GeneratePortalLinkRequest, GeneratePortalLinkResponse, GetOrganizationRequest, GetOrganizationResponse,
    GetOrganizationSessionPolicyRequest, GetOrganizationSessionPolicyResponse,
    GetOrganizationUserManagementSettingsRequest, GetOrganizationUserManagementSettingsResponse, Link,
    ListOrganizationsRequest, ListOrganizationsResponse, Organization, OrganizationSessionPolicySettings,
    OrganizationSettings, OrganizationSettingsFeature, OrganizationUserManagementSettings,
    SearchOrganizationsRequest, SearchOrganizationsResponse, SessionPolicyType, UpdateOrganizationRequest,
    UpdateOrganizationResponse, UpdateOrganizationSessionPolicyRequest,
    UpdateOrganizationSessionPolicyResponse, UpdateOrganizationSettingsRequest,
    UpsertUserManagementSettingsRequest, UpsertUserManagementSettingsResponse, delete_organization_request,
    get_organization_request, update_organization_request,
};
use crate::domain::api_error::{ApiErrorCode, FieldViolation};
use crate::domain::metadata::Metadata;
use crate::domain::organization::{self as domain, OrganizationChange, SessionPolicyChange, Timeout};
use crate::domain::record_key::RecordKey;
use crate::service::api::ApiRefusal;
use crate::service::organizations::{self, NewOrganization};
use crate::service::portal_links;

record_keys!(get_organization_request, update_organization_request, delete_organization_request);

#[derive(Clone)]
pub struct Organizations;

#[tonic::async_trait]
impl OrganizationService for Organizations {
    async fn create_organization(
        &self,
        request: Request<CreateOrganizationRequest>,
    ) -> Result<Response<CreateOrganizationResponse>, Status> {
        let created = async {
            let context = context_of(&request)?;
            let new = request.into_inner().organization.unwrap_or_default();
            let fields = OrganizationChange {
                display_name: Some(new.display_name),
                external_id: new.external_id,
                slug: new.slug,
                logo_url: new.logo_url,
                metadata: Some(Metadata::from(new.metadata)),
            };
            let new = NewOrganization { region: region(new.region_code)?, fields };
            let organization = organizations::create(&context, new).await?;
            Ok(CreateOrganizationResponse { organization: Some(shown(organization)) })
        };
        answer(created.await)
    }

    async fn update_organization(
        &self,
        request: Request<UpdateOrganizationRequest>,
    ) -> Result<Response<UpdateOrganizationResponse>, Status> {
        let updated = async {
            let context = context_of(&request)?;
            let request = request.into_inner();
            let key = record_key(request.identities)?;
            let fields = request.organization.unwrap_or_default();
            let change = OrganizationChange {
                display_name: fields.display_name,
                external_id: fields.external_id,
                slug: fields.slug,
                logo_url: fields.logo_url,
                // Nobody can tell an empty map from an absent one.
                metadata: Some(Metadata::from(fields.metadata)).filter(|metadata| !metadata.is_empty()),
            };
            let change = match masked_fields("update_mask", request.update_mask, &OrganizationChange::FIELDS)?
            {
                Some(fields) => change.masked(&fields),
                None => change,
            };
            let organization = organizations::update(&context, &key, change).await?;
            Ok(UpdateOrganizationResponse { organization: Some(shown(organization)) })
        };
        answer(updated.await)
    }

    async fn get_organization(
        &self,
        request: Request<GetOrganizationRequest>,
    ) -> Result<Response<GetOrganizationResponse>, Status> {
        let found = async {
            let context = context_of(&request)?;
            let key = record_key(request.into_inner().identities)?;
            let organization = organizations::find(&context, &key).await?;
            Ok(GetOrganizationResponse { organization: Some(shown(organization)) })
        };
        answer(found.await)
    }

    async fn get_organization_by_external_id(
        &self,
        request: Request<GetOrganizationRequest>,
    ) -> Result<Response<GetOrganizationResponse>, Status> {
        let found = async {
            let context = context_of(&request)?;
            let Ok(key @ RecordKey::ExternalId(_)) = record_key(request.into_inner().identities) else {
                return Err(ApiRefusal::new(ApiErrorCode::InvalidArgument, "ExternalId is required"));
            };
            let organization = organizations::find(&context, &key).await?;
            Ok(GetOrganizationResponse { organization: Some(shown(organization)) })
        };
        answer(found.await)
    }

    async fn list_organization(
        &self,
        request: Request<ListOrganizationsRequest>,
    ) -> Result<Response<ListOrganizationsResponse>, Status> {
        let listed = async {
            let context = context_of(&request)?;
            let ListOrganizationsRequest { page_size, page_token, external_id } = request.into_inner();
            let external_id = external_id.unwrap_or_default();
            let page = organizations::list(&context, &external_id, page_size, &page_token).await?;
            Ok(ListOrganizationsResponse {
                next_page_token: page.next_page_token,
                prev_page_token: page.prev_page_token,
                total_size: page.total,
                organizations: page.records.into_iter().map(shown).collect(),
            })
        };
        answer(listed.await)
    }

    async fn search_organization(
        &self,
        request: Request<SearchOrganizationsRequest>,
    ) -> Result<Response<SearchOrganizationsResponse>, Status> {
        let found = async {
            let context = context_of(&request)?;
            let SearchOrganizationsRequest { query, page_size, page_token } = request.into_inner();
            let page = organizations::search(&context, &query, page_size, &page_token).await?;
            Ok(SearchOrganizationsResponse {
                next_page_token: page.next_page_token,
                prev_page_token: page.prev_page_token,
                total_size: page.total,
                organizations: page.records.into_iter().map(shown).collect(),
            })
        };
        answer(found.await)
    }

    async fn delete_organization(
        &self,
        request: Request<DeleteOrganizationRequest>,
    ) -> Result<Response<()>, Status> {
        let deleted = async {
            let context = context_of(&request)?;
            let key = record_key(request.into_inner().identities)?;
            organizations::delete(&context, &key).await
        };
        answer(deleted.await)
    }

    async fn generate_portal_link(
        &self,
        request: Request<GeneratePortalLinkRequest>,
    ) -> Result<Response<GeneratePortalLinkResponse>, Status> {
        let generated = async {
            let context = context_of(&request)?;
            let features = asked_features(request.get_ref());
            let key = RecordKey::Id(request.into_inner().id);
            let link = portal_links::create(&context, &key, &features).await?;
            let expire_time = Some(timestamp(link.expires_at_ms));
            Ok(GeneratePortalLinkResponse {
                link: Some(Link { id: link.id, location: link.location, expire_time }),
            })
        };
        answer(generated.await)
    }

    async fn update_organization_settings(
        &self,
        request: Request<UpdateOrganizationSettingsRequest>,
    ) -> Result<Response<GetOrganizationResponse>, Status> {
        let updated = async {
            let context = context_of(&request)?;
            let UpdateOrganizationSettingsRequest { id, settings } = request.into_inner();
            let features = settings.unwrap_or_default().features;
            let features: Vec<_> =
                features.into_iter().map(|feature| (feature.name, feature.enabled)).collect();
            let organization = organizations::set_features(&context, &RecordKey::Id(id), &features).await?;
            Ok(GetOrganizationResponse { organization: Some(shown(organization)) })
        };
        answer(updated.await)
    }

    async fn update_organization_session_policy(
        &self,
        request: Request<UpdateOrganizationSessionPolicyRequest>,
    ) -> Result<Response<UpdateOrganizationSessionPolicyResponse>, Status> {
        let updated = async {
            let context = context_of(&request)?;
            let request = request.into_inner();
            let change = policy_change(&request)?;
            let key = RecordKey::Id(request.organization_id);
            let organization = organizations::set_session_policy(&context, &key, change).await?;
            Ok(UpdateOrganizationSessionPolicyResponse { policy: Some(shown_policy(&organization)) })
        };
        answer(updated.await)
    }

    async fn get_organization_session_policy(
        &self,
        request: Request<GetOrganizationSessionPolicyRequest>,
    ) -> Result<Response<GetOrganizationSessionPolicyResponse>, Status> {
        let found = async {
            let context = context_of(&request)?;
            let key = RecordKey::Id(request.into_inner().organization_id);
            let organization = organizations::find(&context, &key).await?;
            Ok(GetOrganizationSessionPolicyResponse { policy: Some(shown_policy(&organization)) })
        };
        answer(found.await)
    }

    async fn upsert_user_management_settings(
        &self,
        request: Request<UpsertUserManagementSettingsRequest>,
    ) -> Result<Response<UpsertUserManagementSettingsResponse>, Status> {
        let updated = async {
            let context = context_of(&request)?;
            let UpsertUserManagementSettingsRequest { organization_id, settings } = request.into_inner();
            let (key, most) =
                (RecordKey::Id(organization_id), settings.unwrap_or_default().max_allowed_users);
            let organization = organizations::set_max_allowed_users(&context, &key, most).await?;
            Ok(UpsertUserManagementSettingsResponse { settings: Some(shown_user_management(&organization)) })
        };
        answer(updated.await)
    }

    async fn get_organization_user_management_setting(
        &self,
        request: Request<GetOrganizationUserManagementSettingsRequest>,
    ) -> Result<Response<GetOrganizationUserManagementSettingsResponse>, Status> {
        let found = async {
            let context = context_of(&request)?;
            let key = RecordKey::Id(request.into_inner().organization_id);
            let organization = organizations::find(&context, &key).await?;
            let settings = Some(shown_user_management(&organization));
            Ok(GetOrganizationUserManagementSettingsResponse { settings })
        };
        answer(found.await)
    }
}

fn shown(organization: domain::Organization) -> Organization {
    let features = organization
        .features
        .listed()
        .map(|(feature, enabled)| OrganizationSettingsFeature { name: feature.as_str().to_owned(), enabled });
    let region = match organization.region {
        domain::Region::Us => RegionCode::Us,
        domain::Region::Eu => RegionCode::Eu,
    };
    Organization {
        create_time: Some(timestamp(organization.created_at_ms)),
        update_time: Some(timestamp(organization.updated_at_ms)),
        region_code: region.into(),
        settings: Some(OrganizationSettings { features: features.collect() }),
        id: organization.id,
        display_name: organization.display_name,
        external_id: organization.external_id,
        metadata: organization.metadata.0.into_iter().collect(),
        slug: organization.slug,
        logo_url: organization.logo_url,
    }
}

fn shown_policy(organization: &domain::Organization) -> OrganizationSessionPolicySettings {
    let Some(policy) = organization.session_policy else {
        return OrganizationSessionPolicySettings {
            policy_source: SessionPolicyType::Application.into(),
            ..OrganizationSessionPolicySettings::default()
        };
    };
    let minutes = |minutes: i64| i32::try_from(minutes).unwrap_or(i32::MAX);
    OrganizationSessionPolicySettings {
        policy_source: SessionPolicyType::Custom.into(),
        absolute_session_timeout: Some(minutes(policy.absolute_timeout_min)),
        absolute_session_timeout_unit: Some(TimeUnit::Minutes.into()),
        idle_session_timeout_enabled: Some(policy.idle_timeout_min.is_some()),
        idle_session_timeout: policy.idle_timeout_min.map(minutes),
        idle_session_timeout_unit: policy.idle_timeout_min.map(|_| TimeUnit::Minutes.into()),
    }
}

fn shown_user_management(organization: &domain::Organization) -> OrganizationUserManagementSettings {
    OrganizationUserManagementSettings { max_allowed_users: organization.max_allowed_users }
}

fn region(code: i32) -> Result<domain::Region, ApiRefusal> {
    match RegionCode::try_from(code) {
        Ok(RegionCode::Unspecified) => Ok(domain::Region::default()),
        Ok(RegionCode::Us) => Ok(domain::Region::Us),
        Ok(RegionCode::Eu) => Ok(domain::Region::Eu),
        Err(_) => Err(undefined("organization.region_code")),
    }
}

/// What a link is asked for, by the list or by the older flags.
fn asked_features(request: &GeneratePortalLinkRequest) -> Vec<domain::Feature> {
    let listed = request.features().filter_map(|feature| match feature {
        Feature::Sso => Some(domain::Feature::Sso),
        Feature::DirSync => Some(domain::Feature::DirSync),
        Feature::Unspecified => None,
    });
    #[allow(deprecated, reason = "older SDKs send them")]
    let flags = [
        request.sso.unwrap_or_default().then_some(domain::Feature::Sso),
        request.directory_sync.unwrap_or_default().then_some(domain::Feature::DirSync),
    ];
    let mut features: Vec<_> = listed.chain(flags.into_iter().flatten()).collect();
    features.sort_unstable();
    features.dedup();
    features
}

/// `None`: as the application says.
fn policy_change(
    request: &UpdateOrganizationSessionPolicyRequest,
) -> Result<Option<SessionPolicyChange>, ApiRefusal> {
    match SessionPolicyType::try_from(request.policy_source) {
        Ok(SessionPolicyType::Application) => return Ok(None),
        Ok(SessionPolicyType::Custom) => {}
        Ok(SessionPolicyType::Unspecified) => {
            let text = "policy_source is required";
            return Err(vec![FieldViolation::new("policy_source", "required", text)].into());
        }
        Err(_) => return Err(undefined("policy_source")),
    }
    let timeout = |amount: Option<i32>, unit: Option<i32>, field: &str| {
        let unit = match unit.map(TimeUnit::try_from) {
            None | Some(Ok(TimeUnit::SessionTimeUnitUnspecified)) => None,
            Some(Ok(TimeUnit::Minutes)) => Some(domain::TimeUnit::Minutes),
            Some(Ok(TimeUnit::Hours)) => Some(domain::TimeUnit::Hours),
            Some(Ok(TimeUnit::Days)) => Some(domain::TimeUnit::Days),
            Some(Err(_)) => return Err(undefined(field)),
        };
        Ok(amount.map(|amount| Timeout { amount, unit }))
    };
    let (absolute, absolute_unit) = (request.absolute_session_timeout, request.absolute_session_timeout_unit);
    let (idle, idle_unit) = (request.idle_session_timeout, request.idle_session_timeout_unit);
    Ok(Some(SessionPolicyChange {
        absolute_timeout: timeout(absolute, absolute_unit, "absolute_session_timeout_unit")?,
        is_idle_timeout_enabled: request.idle_session_timeout_enabled,
        idle_timeout: timeout(idle, idle_unit, "idle_session_timeout_unit")?,
    }))
}
