//! Users and organizations in the words of the configuration: those that exist before anybody signs in, and users that
//! the control API adds.

use serde_json::{Value, json};

use super::changes::{ControlError, exists};
use super::users::{self, UserView};
use super::{events, memberships, retry_on_conflict};
use crate::config::{SeedOrganization as SeedOrganizationSettings, SeedSettings, merge, seed_from_json};
use crate::domain::clock::UnixMs;
use crate::domain::field_error::FieldError;
use crate::domain::ids::{IdKind, stable_id};
use crate::domain::membership::{Membership, MembershipStatus};
use crate::domain::permission::Permission;
use crate::domain::record_key::RecordKey;
use crate::domain::user::{Profile, User};
use crate::runtime::{Context, Seed};
use crate::storage::{SeedDomain, SeedOrganization, SeedUser, StoreError, WithUser};

/// Gives ids to seeded records that have none. Organizations need the same one at every start, so theirs comes
/// from their external id or name, and those of domains from what they are; users keep the id that their address has.
pub fn with_ids(settings: &SeedSettings, now_ms: UnixMs, mut new_user_id: impl FnMut() -> String) -> Seed {
    let organizations: Vec<SeedOrganization> = settings.organizations.iter().map(organization).collect();
    let users = settings
        .users
        .iter()
        .map(|u| SeedUser {
            id: u.id.clone().unwrap_or_else(&mut new_user_id),
            email: u.email.clone(),
            name: u.name.clone(),
            given_name: u.given_name.clone(),
            family_name: u.family_name.clone(),
            picture: u.picture.clone(),
            locale: u.locale.clone(),
            external_id: u.external_id.clone(),
            organization_ids: organizations
                .iter()
                .filter(|o| u.organizations.iter().any(|name| is_named(o, name)))
                .map(|o| o.id.clone())
                .collect(),
            roles: organizations
                .iter()
                .flat_map(|o| {
                    let there = u.roles.iter().filter(move |(name, _)| is_named(o, name));
                    there.flat_map(|(_, roles)| roles).map(move |role| (o.id.clone(), role.clone()))
                })
                .collect(),
        })
        .collect();
    let permissions = settings.permissions.iter().map(|permission| {
        let id = stable_id(IdKind::Permission, &permission.name);
        Permission::new(id, permission.name.clone(), permission.description.clone(), now_ms)
    });
    Seed { permissions: permissions.collect(), roles: settings.roles.clone(), organizations, users }
}

/// Does a user's list of organizations mean this one?
fn is_named(organization: &SeedOrganization, name: &str) -> bool {
    name == organization.id || Some(name) == organization.external_id.as_deref()
}

fn organization(settings: &SeedOrganizationSettings) -> SeedOrganization {
    let id = settings.id.clone().unwrap_or_else(|| {
        let name = settings.external_id.as_deref().unwrap_or(&settings.display_name);
        stable_id(IdKind::Organization, name)
    });
    let domains = settings.domains.iter().map(|(name, domain_type)| SeedDomain {
        id: stable_id(IdKind::Domain, &format!("{id}\n{}\n{}", domain_type.as_str(), name.as_str())),
        name: name.clone(),
        domain_type: *domain_type,
    });
    SeedOrganization {
        domains: domains.collect(),
        display_name: settings.display_name.clone(),
        external_id: settings.external_id.clone(),
        slug: settings.slug.clone(),
        metadata: settings.metadata.clone(),
        id,
    }
}

/// Writes a seed; a pinned id that is taken is named.
pub async fn write(context: &Context, seed: &Seed, until_reset: bool) -> Result<(), ControlError> {
    context.store().seed(context.environment_id(), seed, until_reset, context.now_ms()).await.map_err(
        |error| {
            exists(error, "users", "or organizations: an id or external_id is used by another record already")
        },
    )
}

/// Adds users, organizations and roles in the words of the configuration. With `until_reset`, resets do not go back to them.
pub async fn write_json(
    context: &Context,
    value: &Value,
    until_reset: bool,
) -> Result<(usize, usize), ControlError> {
    let settings = seed_from_json(value).map_err(ControlError::Invalid)?;
    let ready = with_ids(&settings, context.now_ms(), context.many_ids(IdKind::User));
    write(context, &ready, until_reset).await?;
    Ok((settings.users.len(), settings.organizations.len()))
}

/// Fields of a user that name organizations, with the status of the user there. Only a test has a use for the second:
/// nothing in Scalekit's API makes a membership inactive.
const NAMED_MEMBERSHIPS: [(&str, MembershipStatus); 2] =
    [("organizations", MembershipStatus::Active), ("inactive_organizations", MembershipStatus::Inactive)];

async fn find(context: &Context, id: &str) -> Result<User, ControlError> {
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
    let named = NAMED_MEMBERSHIPS.map(|(field, status)| (field, status, object.remove(field)));
    if let Some(before) = before {
        object.insert("id".to_owned(), before.id.clone().into());
    }
    let settings = seed_from_json(&json!({ "users": [fields] })).map_err(|e| own(e, "users[0]."))?;
    let Some(user) =
        with_ids(&settings, context.now_ms(), context.many_ids(IdKind::User)).users.into_iter().next()
    else {
        return Err(ControlError::field("email", "is missing"));
    };
    let mut joined = vec![];
    for (field, status, names) in named {
        joined.extend(named_memberships(context, field, status, names, before).await?);
    }
    let mut checked =
        before.cloned().unwrap_or_else(|| User::new(user.id, user.email.clone(), context.now_ms()));
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

/// Memberships in the organizations that a field of a user names by id or external id.
async fn named_memberships(
    context: &Context,
    field: &str,
    status: MembershipStatus,
    names: Option<Value>,
    before: Option<&User>,
) -> Result<Vec<Membership>, ControlError> {
    let names = names.unwrap_or_else(|| json!([]));
    let Some(names) = names.as_array() else {
        return Err(ControlError::field(field, "must be a list of ids or external ids"));
    };
    let mut found = vec![];
    for name in names {
        let text = name.as_str().unwrap_or_default();
        let Some(organization) = context.store().organization_summary(context.environment_id(), text).await?
        else {
            let reason = format!("names {name}, which is neither id nor external_id of an organization");
            return Err(ControlError::field(field, reason));
        };
        let stored = before.and_then(|user| user.membership(&organization.id)).cloned();
        found.push(match stored {
            Some(stored) => stored,
            None => Membership {
                status,
                roles: memberships::default_roles(context, &organization.id).await?,
                ..Membership::direct(organization.id, organization.display_name, context.now_ms())
            },
        });
    }
    Ok(found)
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
    Ok(find(context, &new.id).await?.into())
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
        let before = find(context, id).await?;
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
    Ok(find(context, id).await?.into())
}
