//! API tokens of organizations and of their members.

use secrecy::SecretString;

use super::api::ApiRefusal;
use super::{Failure, organizations, retry_on_conflict, total_of};
use crate::crypto::server_secret::{Purpose, constant_time_eq};
use crate::domain::api_error::{ApiErrorCode, FieldViolation};
use crate::domain::api_token::{self, ApiToken, ApiTokenChange, ApiTokenInfo};
use crate::domain::clock::{TIMES_MS, UnixMs};
use crate::domain::ids::IdKind;
use crate::domain::membership::MembershipStatus;
use crate::domain::page::{Page, PageRequest, Position, Scope};
use crate::domain::record_key::RecordKey;
use crate::domain::user::User;
use crate::runtime::Context;
use crate::storage::StoreError;

/// Tokens of a page where nobody says how many.
const PAGE_SIZE: u32 = 10;

/// A new token.
#[derive(Debug, Clone, Default)]
pub struct NewApiToken {
    pub organization_id: String,
    /// `None`: it stands for the organization itself.
    pub user_id: Option<String>,
    pub fields: ApiTokenChange,
    /// `None`: never.
    pub expires_at_ms: Option<UnixMs>,
}

/// Adds a token, whose value is told this once.
pub async fn create(context: &Context, new: NewApiToken) -> Result<(ApiTokenInfo, SecretString), ApiRefusal> {
    let now_ms = context.now_ms();
    check_new(&new, now_ms)?;
    let id = context.new_id(IdKind::ApiToken);
    let value = api_token::new_value(&id, context.entropy());
    let kept = (digest(context, &value), api_token::suffix(&value));
    let mut token = ApiToken::new(id, new.organization_id, new.user_id, kept, now_ms);
    token.expires_at_ms = new.expires_at_ms;
    token.change(new.fields);
    let info = retry_on_conflict(|| async {
        let key = RecordKey::Id(token.organization_id.clone());
        let organization = organizations::find(context, &key).await?;
        let mut info = ApiTokenInfo {
            token: token.clone(),
            organization_external_id: organization.external_id,
            user_external_id: None,
            email: None,
            roles: vec![],
        };
        if let Some(user_id) = &token.user_id {
            let (user, roles) = active_member(context, &token.organization_id, user_id).await?;
            info.user_external_id = user.external_id;
            info.email = Some(user.email.as_str().to_owned());
            info.roles = roles;
        }
        match context.store().insert_api_token(context.environment_id(), &token).await {
            Ok(()) => Ok(Some(info)),
            // Organization or membership was deleted meanwhile.
            Err(StoreError::MissingParent(_)) => Ok(None),
            Err(error) => Err(ApiRefusal::from(Failure::from(error))),
        }
    })
    .await?;
    Ok((info, SecretString::from(value)))
}

fn check_new(new: &NewApiToken, now_ms: UnixMs) -> Result<(), ApiRefusal> {
    let refused = |field: &str, rule: &'static str, why: &str| {
        Err(vec![FieldViolation::new(field, rule, format!("{field} {why}"))].into())
    };
    if new.organization_id.is_empty() {
        return refused("token.organization_id", "required", "is required");
    }
    match new.expires_at_ms {
        Some(at_ms) if at_ms <= now_ms => refused("token.expiry", "future", "is invalid: it has passed"),
        Some(at_ms) if !TIMES_MS.contains(&at_ms) => {
            refused("token.expiry", "range", "is invalid: it is beyond the year 9999")
        }
        _ => Ok(()),
    }
}

/// A user who is an active member of an organization, and the names of the member's roles.
async fn active_member(
    context: &Context,
    organization_id: &str,
    user_id: &str,
) -> Result<(User, Vec<String>), ApiRefusal> {
    let found = context.store().user(context.environment_id(), &RecordKey::Id(user_id.to_owned())).await?;
    let member = found.and_then(|user| {
        let membership = user.membership(organization_id)?;
        let is_active = membership.status == MembershipStatus::Active;
        let roles = membership.roles.iter().map(|role| role.name.clone()).collect();
        is_active.then_some((user, roles))
    });
    member.ok_or_else(|| {
        let text = format!("user {user_id} is no active member of organization {organization_id}");
        ApiRefusal::new(ApiErrorCode::FailedPrecondition, text)
    })
}

/// What is kept of a value, which is random enough for a digest that is quick to compute.
fn digest(context: &Context, value: &str) -> String {
    context.secret().digest(Purpose::ApiToken, value)
}

/// Finds a token by its value or its id, valid or not.
async fn find(context: &Context, shown: &str) -> Result<ApiTokenInfo, ApiRefusal> {
    let Some(id) = api_token::token_id(shown) else { return Err(unknown()) };
    let found = context.store().api_token(context.environment_id(), &id).await?;
    let is_shown =
        |token: &ApiToken| shown == token.id || constant_time_eq(&token.digest, &digest(context, shown));
    found.filter(|info| is_shown(&info.token)).ok_or_else(unknown)
}

fn unknown() -> ApiRefusal {
    let text = "token not found: it is unknown, has expired or was invalidated";
    ApiRefusal::new(ApiErrorCode::NotFound, text)
}

/// Finds a valid token by its value or its id.
pub async fn validate(context: &Context, shown: &str) -> Result<ApiTokenInfo, ApiRefusal> {
    let info = find(context, shown).await?;
    if info.token.is_valid(context.now_ms()) { Ok(info) } else { Err(unknown()) }
}

/// Makes a token invalid for good; one that is so already stays as it is.
pub async fn invalidate(context: &Context, shown: &str) -> Result<(), ApiRefusal> {
    retry_on_conflict(|| async {
        let mut token = find(context, shown).await?.token;
        if token.invalidated_at_ms.is_some() {
            return Ok(Some(()));
        }
        token.invalidated_at_ms = Some(context.now_ms());
        let is_done = context.store().update_api_token(context.environment_id(), &token).await?;
        Ok::<_, ApiRefusal>(is_done.then_some(()))
    })
    .await
}

/// Lists the valid tokens of an organization, or of one of its members, newest first.
pub async fn list(
    context: &Context,
    organization_id: &str,
    user_id: Option<&str>,
    page_size: u32,
    page_token: &str,
) -> Result<Page<ApiTokenInfo>, ApiRefusal> {
    let scope: Scope<'_> = &["api_tokens", organization_id, user_id.unwrap_or_default()];
    let request =
        PageRequest::parse(page_size, PAGE_SIZE, page_token, scope).map_err(|violation| vec![violation])?;
    organizations::find(context, &RecordKey::Id(organization_id.to_owned())).await?;
    let (store, environment_id, now_ms) = (context.store(), context.environment_id(), context.now_ms());
    let found = store.api_tokens(environment_id, organization_id, user_id, now_ms, &request).await?;
    let total =
        total_of(&request, &found, store.count_api_tokens(environment_id, organization_id, user_id, now_ms))
            .await?;
    Ok(request.page(found, total, scope, |info| Position {
        created_at_ms: info.token.created_at_ms,
        id: info.token.id.clone(),
    }))
}

/// Changes a valid token over the version that was read, again while others change it.
pub async fn update(
    context: &Context,
    shown: &str,
    change: ApiTokenChange,
) -> Result<ApiTokenInfo, ApiRefusal> {
    retry_on_conflict(|| async {
        let mut info = validate(context, shown).await?;
        info.token.change(change.clone());
        let is_done = context.store().update_api_token(context.environment_id(), &info.token).await?;
        Ok::<_, ApiRefusal>(is_done.then_some(info))
    })
    .await
}
