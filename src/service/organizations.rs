//! Organizations: the customers of an application.

use super::api::ApiRefusal;
use super::{Failure, events, retry_on_conflict, total_of};
use crate::domain::api_error::{ApiErrorCode, FieldViolation};
use crate::domain::event::EventType;
use crate::domain::ids::IdKind;
use crate::domain::organization::{Feature, Organization, OrganizationChange, Region, SessionPolicyChange};
use crate::domain::page::{Page, PageRequest, Position, Scope};
use crate::domain::record_key::RecordKey;
use crate::runtime::Context;
pub use crate::storage::ListedOrganization;
use crate::storage::{ListFilter, Members, OrganizationFilter, StoreError};

/// Records of a page where nobody says how many.
const PAGE_SIZE: u32 = 10;

/// A new organization.
#[derive(Debug, Clone, Default)]
pub struct NewOrganization {
    /// Where its data is kept.
    pub region: Region,
    /// Everything else; empty texts are the same as none.
    pub fields: OrganizationChange,
}

/// Adds an organization without members.
pub async fn create(context: &Context, new: NewOrganization) -> Result<Organization, ApiRefusal> {
    let id = context.new_id(IdKind::Organization);
    let mut organization = Organization::new(id, String::new(), context.now_ms());
    organization.region = new.region;
    organization.change(new.fields).map_err(|violation| vec![violation])?;
    let event = events::of_organization(context, EventType::OrganizationCreated, &organization);
    context
        .store()
        .insert_organization(context.environment_id(), &organization, &event)
        .await
        .map_err(duplicate)?;
    Ok(organization)
}

/// Finds an organization.
pub async fn find(context: &Context, key: &RecordKey) -> Result<Organization, ApiRefusal> {
    let found = context.store().organization(context.environment_id(), key).await?;
    found.ok_or_else(|| unknown(key))
}

/// There is no such organization.
pub(super) fn unknown(key: &RecordKey) -> ApiRefusal {
    let text = format!("organization not found: there is no organization {key}");
    ApiRefusal::new(ApiErrorCode::NotFound, text)
}

/// Organizations whose name, slug or external id has some part, newest first, by the offset of a page.
pub async fn listed(context: &Context, filter: &ListFilter) -> Result<Vec<ListedOrganization>, Failure> {
    Ok(context.store().listed_organizations(context.environment_id(), filter).await?)
}

/// Lists organizations, newest first: all, or the one of an external id.
pub async fn list(
    context: &Context,
    external_id: &str,
    page_size: u32,
    page_token: &str,
) -> Result<Page<Organization>, ApiRefusal> {
    let filter = OrganizationFilter { external_id: external_id.to_owned(), ..OrganizationFilter::default() };
    page(context, &filter, page_size, page_token, &["organizations", "external_id", external_id]).await
}

/// Finds organizations by a part of a name, a slug, an id or an external id, newest first.
pub async fn search(
    context: &Context,
    query: &str,
    page_size: u32,
    page_token: &str,
) -> Result<Page<Organization>, ApiRefusal> {
    let filter = OrganizationFilter { query: query.to_owned(), ..OrganizationFilter::default() };
    page(context, &filter, page_size, page_token, &["organizations", "query", query]).await
}

async fn page(
    context: &Context,
    filter: &OrganizationFilter,
    page_size: u32,
    page_token: &str,
    scope: Scope<'_>,
) -> Result<Page<Organization>, ApiRefusal> {
    let request =
        PageRequest::parse(page_size, PAGE_SIZE, page_token, scope).map_err(|violation| vec![violation])?;
    let (store, environment_id) = (context.store(), context.environment_id());
    let found = store.organizations(environment_id, filter, &request).await?;
    let total = total_of(&request, &found, store.count_organizations(environment_id, filter)).await?;
    Ok(request.page(found, total, scope, |organization| Position {
        created_at_ms: organization.created_at_ms,
        id: organization.id.clone(),
    }))
}

/// Changes the fields that are named.
pub async fn update(
    context: &Context,
    key: &RecordKey,
    change: OrganizationChange,
) -> Result<Organization, ApiRefusal> {
    write_over(context, key, |organization| {
        organization.change(change.clone()).map_err(|violation| vec![violation].into())
    })
    .await
}

/// Switches the named features; others stay as they are.
pub async fn set_features(
    context: &Context,
    key: &RecordKey,
    named: &[(String, bool)],
) -> Result<Organization, ApiRefusal> {
    let mut features = vec![];
    for (at, (name, is_enabled)) in named.iter().enumerate() {
        let feature = Feature::parse(name).ok_or_else(|| {
            let known = Feature::ALL.map(Feature::as_str).join(", ");
            let field = format!("settings.features[{at}].name");
            let text = format!("{field} is invalid: it is none of {known}");
            vec![FieldViolation::new(field, "in", text)]
        })?;
        features.push((feature, *is_enabled));
    }
    write_over(context, key, |organization| {
        for (feature, is_enabled) in &features {
            organization.features.set(*feature, *is_enabled);
        }
        Ok(())
    })
    .await
}

/// Lets sessions of an organization last as it says, or, with `None`, as the application says.
pub async fn set_session_policy(
    context: &Context,
    key: &RecordKey,
    change: Option<SessionPolicyChange>,
) -> Result<Organization, ApiRefusal> {
    let access_token_lifetime_s = context.environment.tokens.access_token_lifetime_s;
    write_over(context, key, |organization| {
        match &change {
            None => organization.use_session_policy_of_application(),
            Some(change) => organization
                .change_session_policy(change, access_token_lifetime_s)
                .map_err(|violation| vec![violation])?,
        }
        Ok(())
    })
    .await
}

/// Says how many users an organization may have; `None` leaves it as it is.
pub async fn set_max_allowed_users(
    context: &Context,
    key: &RecordKey,
    most: Option<i32>,
) -> Result<Organization, ApiRefusal> {
    if most.is_some_and(|most| most < 0) {
        let field = "settings.max_allowed_users";
        let text = format!("{field} is invalid: it is less than 0");
        return Err(vec![FieldViolation::new(field, "gte", text)].into());
    }
    write_over(context, key, |organization| {
        organization.max_allowed_users = most.or(organization.max_allowed_users);
        Ok(())
    })
    .await
}

/// Deletes an organization with everything that belongs to it, and the users who belong to no other.
pub async fn delete(context: &Context, key: &RecordKey) -> Result<(), ApiRefusal> {
    delete_with(context, key, Members::GoWithTheirLastOrganization).await
}

/// The same, but all members stay users.
pub async fn delete_and_keep_members(context: &Context, key: &RecordKey) -> Result<(), ApiRefusal> {
    delete_with(context, key, Members::Stay).await
}

async fn delete_with(context: &Context, key: &RecordKey, members: Members) -> Result<(), ApiRefusal> {
    retry_on_conflict(|| async {
        let before = find(context, key).await?;
        let told = events::of_deleted_organization(context, &before).await?;
        let (store, environment_id, now_ms) = (context.store(), context.environment_id(), context.now_ms());
        let is_done = store
            .delete_organization(environment_id, &before, members, &told.events, &told.logouts, now_ms)
            .await?;
        Ok::<_, ApiRefusal>(is_done.then_some(()))
    })
    .await?;
    // Sessions in it, and those of deleted users, have ended: applications hear of it.
    context.runtime.server.sessions_ended.notify_one();
    Ok(())
}

/// Changes an organization over the version that was read, again while others change it.
async fn write_over(
    context: &Context,
    key: &RecordKey,
    change: impl Fn(&mut Organization) -> Result<(), ApiRefusal>,
) -> Result<Organization, ApiRefusal> {
    retry_on_conflict(|| async {
        let mut organization = find(context, key).await?;
        change(&mut organization)?;
        organization.updated_at_ms = context.now_ms();
        let event = events::of_organization(context, EventType::OrganizationUpdated, &organization);
        let (store, environment_id) = (context.store(), context.environment_id());
        let is_done =
            store.update_organization(environment_id, &organization, &event).await.map_err(duplicate)?;
        Ok::<_, ApiRefusal>(is_done.then_some(organization))
    })
    .await
}

/// Another organization has the same external id or slug.
fn duplicate(error: StoreError) -> ApiRefusal {
    let field = ["external_id", "slug"].into_iter().find(|column| error.is_duplicate(column));
    match field {
        Some(field) => ApiRefusal::duplicate(&format!("organization.{field}"), "organization"),
        None => Failure::from(error).into(),
    }
}
