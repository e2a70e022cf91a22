//! Users, organizations and sessions.

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::changes::{ControlError, exists};
use crate::config::{self, merge, seed_from_json};
use crate::domain::clock::rfc3339;
use crate::domain::event::EventType;
use crate::domain::field_error::FieldError;
use crate::domain::ids::IdKind;
use crate::domain::membership::Membership;
use crate::domain::metadata::Metadata;
use crate::domain::organization::Organization;
use crate::domain::record_key::RecordKey;
use crate::domain::session::SessionEnd;
use crate::domain::user::{Profile, User};
use crate::runtime::{Context, Seed};
use crate::service::{events, memberships, retry_on_conflict, seed, users};
pub use crate::storage::PeopleFilter;
use crate::storage::{ListedOrganization, Members, SessionRow, StoreError, WithUser};

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

/// An organization as the control API shows it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct OrganizationView {
    pub id: String,
    pub display_name: String,
    pub external_id: Option<String>,
    pub slug: Option<String>,
    /// Texts by name.
    #[schema(value_type = HashMap<String, String>)]
    pub metadata: Metadata,
    /// How many users belong to it.
    pub members: i64,
}

impl From<ListedOrganization> for OrganizationView {
    fn from(listed: ListedOrganization) -> Self {
        let Organization { id, display_name, external_id, slug, metadata, .. } = listed.organization;
        Self { id, display_name, external_id, slug, metadata, members: listed.members }
    }
}

/// A browser session as the control API shows it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SessionView {
    pub id: String,
    pub user_id: String,
    pub email: Option<String>,
    /// Can it still sign in silently?
    pub live: bool,
    /// RFC 3339.
    pub authenticated_at: String,
    pub last_active_at: String,
    pub expires_at: String,
    pub ended_at: Option<String>,
}

/// Writes a seed; a pinned id that is taken is named.
pub async fn write_seed(context: &Context, seed: &Seed, until_reset: bool) -> Result<(), ControlError> {
    context.store().seed(context.environment_id(), seed, until_reset, context.now_ms()).await.map_err(
        |error| {
            exists(error, "users", "or organizations: an id or external_id is used by another record already")
        },
    )
}

/// Adds people, organizations and roles in the words of the configuration. With `until_reset`, resets do not go back to them.
pub async fn seed_from(
    context: &Context,
    value: &Value,
    until_reset: bool,
) -> Result<(usize, usize), ControlError> {
    let settings = seed_from_json(value).map_err(ControlError::Invalid)?;
    let ready = seed::with_ids(&settings, context.now_ms(), context.many_ids(IdKind::User));
    write_seed(context, &ready, until_reset).await?;
    Ok((settings.users.len(), settings.organizations.len()))
}

pub async fn users(context: &Context, filter: &PeopleFilter) -> Result<Vec<UserView>, ControlError> {
    let found = context.store().listed_users(context.environment_id(), filter).await?;
    Ok(found.into_iter().map(UserView::from).collect())
}

pub async fn user(context: &Context, id: &str) -> Result<UserView, ControlError> {
    Ok(UserView::from(stored_user(context, id).await?))
}

async fn stored_user(context: &Context, id: &str) -> Result<User, ControlError> {
    Ok(users::find(context, &RecordKey::Id(id.to_owned())).await?)
}

/// Checks one user by the rules of the configuration, and finds the organizations it names. Memberships of `before` stay as
/// they are.
async fn checked(context: &Context, mut fields: Value, before: Option<&User>) -> Result<User, ControlError> {
    let Some(object) = fields.as_object_mut() else {
        return Err(ControlError::field("", "must be a JSON object"));
    };
    for read_only in ["created_at", "updated_at", "last_sign_in_at"] {
        object.remove(read_only);
    }
    if object.contains_key("roles") {
        let text = "cannot be set here: Scalekit's API gives and takes roles, at /_emulator/v1/api too";
        return Err(ControlError::field("roles", text));
    }
    let named = object.remove("organizations").unwrap_or_else(|| json!([]));
    if let Some(before) = before {
        object.insert("id".to_owned(), before.id.clone().into());
    }
    let settings = seed_from_json(&json!({ "users": [fields] })).map_err(|e| own(e, "users[0]."))?;
    let Some(user) =
        seed::with_ids(&settings, context.now_ms(), context.many_ids(IdKind::User)).users.into_iter().next()
    else {
        return Err(ControlError::field("email", "is missing"));
    };
    let Some(named) = named.as_array() else {
        return Err(ControlError::field("organizations", "must be a list of ids or external ids"));
    };
    let now_ms = context.now_ms();
    let mut joined = vec![];
    for name in named {
        let text = name.as_str().unwrap_or_default();
        let Some(organization) = context.store().organization_summary(context.environment_id(), text).await?
        else {
            let reason = format!("names {name}, which is neither id nor external_id of an organization");
            return Err(ControlError::field("organizations", reason));
        };
        let stored = before.and_then(|user| user.membership(&organization.id)).cloned();
        let membership = match stored {
            Some(stored) => stored,
            None => Membership {
                roles: memberships::default_roles(context, &organization.id).await?,
                ..Membership::direct(organization.id, organization.display_name, now_ms)
            },
        };
        joined.push(membership);
    }
    let mut checked = before.cloned().unwrap_or_else(|| User::new(user.id, user.email.clone(), now_ms));
    checked.email = user.email;
    checked.external_id = user.external_id;
    let Profile { details, .. } = checked.profile;
    checked.profile = Profile {
        name: user.name,
        given_name: user.given_name,
        family_name: user.family_name,
        picture: user.picture,
        locale: user.locale,
        details,
    };
    checked.memberships.clear();
    for membership in joined {
        // One that is named twice is one.
        if checked.membership(&membership.organization_id).is_none() {
            checked.join(membership);
        }
    }
    Ok(checked)
}

/// Names of single fields instead of those within a list.
fn own(errors: Vec<FieldError>, prefix: &str) -> ControlError {
    let stripped = errors.into_iter().map(|e| {
        let field = e.field.strip_prefix(prefix).unwrap_or(&e.field).to_owned();
        FieldError::new(field, e.reason)
    });
    ControlError::Invalid(stripped.collect())
}

const USER_TAKEN: &str = "id or external_id is used by another user already";

pub async fn create_user(context: &Context, fields: Value) -> Result<UserView, ControlError> {
    let new = checked(context, fields, None).await?;
    let events = events::of_memberships(context, None, Some(&new)).await?;
    context
        .store()
        .insert_user(context.environment_id(), &new, WithUser { events: &events, ..WithUser::default() })
        .await
        .map_err(|error| exists(error, "email", USER_TAKEN))?;
    user(context, &new.id).await
}

/// Changes a user: what is named replaces what was there.
pub async fn change_user(context: &Context, id: &str, patch: &Value) -> Result<UserView, ControlError> {
    if !patch.is_object() {
        return Err(ControlError::field("", "must be a JSON object"));
    }
    if patch.get("id").is_some_and(|new| new != id) {
        return Err(ControlError::field("id", "cannot be changed"));
    }
    retry_on_conflict(|| async {
        let before = stored_user(context, id).await?;
        let mut fields = serde_json::to_value(UserView::from(before.clone())).unwrap_or_default();
        merge(&mut fields, patch);
        let after = checked(context, fields, Some(&before)).await?;
        let after = User { updated_at_ms: context.now_ms(), ..after };
        let events = events::of_memberships(context, Some(&before), Some(&after)).await?;
        let logouts = events::of_left_organizations(context, &before, &after).await?;
        let with = WithUser { events: &events, logouts: &logouts, ..WithUser::default() };
        match context.store().update_user(context.environment_id(), &before, &after, with).await {
            Ok(is_done) => Ok(is_done.then_some(())),
            // An organization was deleted meanwhile.
            Err(StoreError::MissingParent(_)) => Ok(None),
            Err(error) => Err(exists(error, "email", USER_TAKEN)),
        }
    })
    .await?;
    // Sessions in organizations that the user left have ended: applications hear of it.
    context.runtime.server.sessions_ended.notify_one();
    user(context, id).await
}

/// Deletes a user, with sessions and everything that was granted.
pub async fn delete_user(context: &Context, id: &str) -> Result<(), ControlError> {
    Ok(users::delete(context, &RecordKey::Id(id.to_owned())).await?)
}

pub async fn organizations(
    context: &Context,
    filter: &PeopleFilter,
) -> Result<Vec<OrganizationView>, ControlError> {
    let found = context.store().listed_organizations(context.environment_id(), filter).await?;
    Ok(found.into_iter().map(OrganizationView::from).collect())
}

pub async fn organization(context: &Context, id: &str) -> Result<OrganizationView, ControlError> {
    Ok(stored_organization(context, id).await?.into())
}

async fn stored_organization(context: &Context, id: &str) -> Result<ListedOrganization, ControlError> {
    let filter = PeopleFilter { id: Some(id.to_owned()), limit: 1, ..PeopleFilter::default() };
    let found = context.store().listed_organizations(context.environment_id(), &filter).await?;
    found.into_iter().next().ok_or_else(|| unknown_organization(id))
}

fn unknown_organization(id: &str) -> ControlError {
    ControlError::NotFound(format!("there is no organization {id}"))
}

/// Checks one organization by the rules of the configuration.
fn checked_organization(fields: Value) -> Result<config::SeedOrganization, ControlError> {
    let mut fields = fields;
    let Some(object) = fields.as_object_mut() else {
        return Err(ControlError::field("", "must be a JSON object"));
    };
    object.remove("members");
    if let Some(field) = ["domains", "allowed_email_domains"].into_iter().find(|f| object.contains_key(*f)) {
        let text = "cannot be set here: Scalekit's API adds and deletes domains, at /_emulator/v1/api too";
        return Err(ControlError::field(field, text));
    }
    let settings =
        seed_from_json(&json!({ "organizations": [fields] })).map_err(|e| own(e, "organizations[0]."))?;
    let organization = settings.organizations.into_iter().next();
    organization.ok_or_else(|| ControlError::field("display_name", "is missing"))
}

/// A value that another organization has already.
fn taken(error: StoreError) -> ControlError {
    let field = if error.is_duplicate("slug") { "slug" } else { "external_id" };
    exists(error, field, "or id is used by another organization already")
}

pub async fn create_organization(context: &Context, fields: Value) -> Result<OrganizationView, ControlError> {
    let wanted = checked_organization(fields)?;
    let id = wanted.id.unwrap_or_else(|| context.new_id(IdKind::Organization));
    let new = Organization {
        external_id: wanted.external_id,
        slug: wanted.slug,
        metadata: wanted.metadata,
        ..Organization::new(id, wanted.display_name, context.now_ms())
    };
    let event = events::of_organization(context, EventType::OrganizationCreated, &new);
    context.store().insert_organization(context.environment_id(), &new, &event).await.map_err(taken)?;
    organization(context, &new.id).await
}

/// Deletes an organization. Its members stay, whoever else they belong to.
pub async fn delete_organization(context: &Context, id: &str) -> Result<(), ControlError> {
    retry_on_conflict(|| async {
        let before = stored_organization(context, id).await?.organization;
        let told = events::of_deleted_organization(context, &before).await?;
        let (store, environment_id, now_ms) = (context.store(), context.environment_id(), context.now_ms());
        let is_done = store
            .delete_organization(environment_id, &before, Members::Stay, &told.events, &told.logouts, now_ms)
            .await?;
        Ok::<_, ControlError>(is_done.then_some(()))
    })
    .await?;
    // Sessions in it have ended: applications hear of it.
    context.runtime.server.sessions_ended.notify_one();
    Ok(())
}

pub async fn sessions(context: &Context, filter: &PeopleFilter) -> Result<Vec<SessionView>, ControlError> {
    let found = context.store().sessions(context.environment_id(), filter).await?;
    let now_ms = context.now_ms();
    let views = found.into_iter().map(|SessionRow { session, email }| SessionView {
        live: session.is_live(now_ms, &context.environment.sessions),
        id: session.id,
        user_id: session.user_id,
        email,
        authenticated_at: rfc3339(session.authenticated_at_ms),
        last_active_at: rfc3339(session.last_active_at_ms),
        expires_at: rfc3339(session.absolute_expires_at_ms),
        ended_at: session.ended_at_ms.map(rfc3339),
    });
    Ok(views.collect())
}

/// Ends a session, and with it what lives as long as it.
pub async fn end_session(context: &Context, id: &str) -> Result<(), ControlError> {
    if crate::service::end_session::end(context, id, SessionEnd::Revocation).await? {
        return Ok(());
    }
    Err(ControlError::NotFound(format!("there is no session {id} that has not ended")))
}
