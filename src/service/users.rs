//! Users: who is known to the environment.

use serde::Serialize;
use utoipa::ToSchema;

use super::api::ApiRefusal;
use super::{Failure, events, organizations, retry_on_conflict, total_of};
use crate::domain::api_error::ApiErrorCode;
use crate::domain::clock::rfc3339;
use crate::domain::page::{Page, PageRequest, Position, Scope};
use crate::domain::record_key::RecordKey;
use crate::domain::user::{User, UserChange};
use crate::runtime::Context;
pub use crate::storage::ListFilter;
use crate::storage::{StoreError, UserFilter, WithUser};

/// Records of a page where nobody says how many.
const PAGE_SIZE: u32 = 10;

/// A user as the control API shows it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct UserView {
    pub id: String,
    pub email: String,
    pub name: Option<String>,
    pub given_name: Option<String>,
    pub family_name: Option<String>,
    pub picture: Option<String>,
    pub locale: Option<String>,
    pub external_id: Option<String>,
    /// Ids of the organizations the user belongs to.
    pub organizations: Vec<String>,
    /// RFC 3339.
    pub created_at: String,
    pub updated_at: String,
    pub last_sign_in_at: Option<String>,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            email: user.email.as_str().to_owned(),
            name: user.profile.name,
            given_name: user.profile.given_name,
            family_name: user.profile.family_name,
            picture: user.profile.picture,
            locale: user.profile.locale,
            external_id: user.external_id,
            organizations: user
                .memberships
                .into_iter()
                .map(|membership| membership.organization_id)
                .collect(),
            created_at: rfc3339(user.created_at_ms),
            updated_at: rfc3339(user.updated_at_ms),
            last_sign_in_at: user.last_sign_in_at_ms.map(rfc3339),
        }
    }
}

/// Finds a user.
pub async fn find(context: &Context, key: &RecordKey) -> Result<User, ApiRefusal> {
    let found = context.store().user(context.environment_id(), key).await?;
    found.ok_or_else(|| {
        ApiRefusal::new(ApiErrorCode::NotFound, format!("user not found: there is no user {key}"))
    })
}

/// Users whose address, name or external id has some part, newest first, by the offset of a page.
pub async fn listed(context: &Context, filter: &ListFilter) -> Result<Vec<UserView>, Failure> {
    let found = context.store().listed_users(context.environment_id(), filter).await?;
    Ok(found.into_iter().map(UserView::from).collect())
}

/// Lists all users, newest first.
pub async fn list(context: &Context, page_size: u32, page_token: &str) -> Result<Page<User>, ApiRefusal> {
    page(context, UserFilter::default(), page_size, page_token).await
}

/// Finds users by a part of an address, an id or an external id, newest first.
pub async fn search(
    context: &Context,
    query: &str,
    page_size: u32,
    page_token: &str,
) -> Result<Page<User>, ApiRefusal> {
    let filter = UserFilter { organization_id: None, query: query.to_owned() };
    page(context, filter, page_size, page_token).await
}

/// Lists the members of an organization, or finds some as [`search`] does, newest membership first.
pub async fn members(
    context: &Context,
    organization_id: &str,
    query: &str,
    page_size: u32,
    page_token: &str,
) -> Result<Page<User>, ApiRefusal> {
    let organization = organizations::find(context, &RecordKey::Id(organization_id.to_owned())).await?;
    let filter = UserFilter { organization_id: Some(organization.id), query: query.to_owned() };
    page(context, filter, page_size, page_token).await
}

async fn page(
    context: &Context,
    filter: UserFilter,
    page_size: u32,
    page_token: &str,
) -> Result<Page<User>, ApiRefusal> {
    let organization_id = filter.organization_id.as_deref();
    let scope: Scope<'_> = &["users", organization_id.unwrap_or_default(), &filter.query];
    let request =
        PageRequest::parse(page_size, PAGE_SIZE, page_token, scope).map_err(|violation| vec![violation])?;
    let (store, environment_id) = (context.store(), context.environment_id());
    let found = store.users(environment_id, &filter, &request).await?;
    let total = total_of(&request, &found, store.count_users(environment_id, &filter)).await?;
    Ok(request.page(found, total, scope, |user| {
        let membership = organization_id.and_then(|id| user.membership(id));
        let created_at_ms = membership.map_or(user.created_at_ms, |membership| membership.created_at_ms);
        Position { created_at_ms, id: user.id.clone() }
    }))
}

/// Changes the fields that are named.
pub async fn update(context: &Context, key: &RecordKey, change: UserChange) -> Result<User, ApiRefusal> {
    write_over(context, key, |user| {
        user.change(change.clone());
        Ok(())
    })
    .await
}

/// Deletes a user with memberships, sessions and everything that was granted.
pub async fn delete(context: &Context, key: &RecordKey) -> Result<(), ApiRefusal> {
    retry_on_conflict(|| async {
        let before = find(context, key).await?;
        Ok::<_, ApiRefusal>(delete_read(context, &before).await?.then_some(()))
    })
    .await?;
    // The sessions have ended: applications hear of it.
    context.runtime.server.sessions_ended.notify_one();
    Ok(())
}

/// Deletes a user; `false` when somebody changed or deleted the user since.
pub(super) async fn delete_read(context: &Context, before: &User) -> Result<bool, Failure> {
    let events = events::of_memberships(context, Some(before), None).await?;
    let logouts = events::of_user_sessions(context, before).await?;
    Ok(context.store().delete_user(context.environment_id(), before, &events, &logouts).await?)
}

/// Changes a user over the version that was read, again while others change it.
async fn write_over(
    context: &Context,
    key: &RecordKey,
    change: impl Fn(&mut User) -> Result<(), ApiRefusal>,
) -> Result<User, ApiRefusal> {
    retry_on_conflict(|| async {
        let before = find(context, key).await?;
        let mut after = before.clone();
        change(&mut after)?;
        write_read(context, before, after).await
    })
    .await
}

/// Makes a user what `after` says; `None` when somebody changed or deleted the user, or a role, since `before` was read.
pub(super) async fn write_read(
    context: &Context,
    before: User,
    mut after: User,
) -> Result<Option<User>, ApiRefusal> {
    if after == before {
        return Ok(Some(before));
    }
    after.updated_at_ms = context.now_ms();
    let events = events::of_memberships(context, Some(&before), Some(&after)).await?;
    let with = WithUser { events: &events, ..WithUser::default() };
    match context.store().update_user(context.environment_id(), &before, &after, with).await {
        Ok(is_done) => Ok(is_done.then_some(after)),
        // A role was deleted meanwhile.
        Err(StoreError::MissingParent(_)) => Ok(None),
        Err(error) => Err(duplicate(error)),
    }
}

/// The user is not a member of this organization.
pub(super) fn not_a_member(user: &User, organization_id: &str) -> ApiRefusal {
    let text =
        format!("membership not found: user {} does not belong to organization {organization_id}", user.id);
    ApiRefusal::new(ApiErrorCode::NotFound, text)
}

/// Has another user the same address?
pub(super) fn is_email_taken(error: &StoreError) -> bool {
    // It is compared by its key, of which the index is named after the address.
    ["email", "email_key"].into_iter().any(|column| error.is_duplicate(column))
}

/// Another user has the same address or external id.
pub(super) fn duplicate(error: StoreError) -> ApiRefusal {
    if is_email_taken(&error) {
        ApiRefusal::duplicate("user.email", "user")
    } else if error.is_duplicate("external_id") {
        ApiRefusal::duplicate("user.external_id", "user")
    } else {
        Failure::from(error).into()
    }
}
