//! Memberships: who belongs to which organization, with which roles.

use super::api::ApiRefusal;
use super::interception::Answers;
use super::roles::AccessOfMembers;
use super::{Failure, events, invitations, organizations, outbox, retry_on_conflict, users};
use crate::domain::api_error::{ApiError, ApiErrorCode, FieldViolation};
use crate::domain::email::EmailAddress;
use crate::domain::ids::IdKind;
use crate::domain::membership::{Membership, MembershipChange};
use crate::domain::metadata::Metadata;
use crate::domain::organization::Organization;
use crate::domain::permission::Permission;
use crate::domain::record_key::RecordKey;
use crate::domain::role::{Role, RoleName, RoleSummary};
use crate::domain::settings::ExistingEmail;
use crate::domain::user::{User, UserChange};
use crate::runtime::Context;
use crate::storage::{StoreError, WithUser};

/// A new membership.
#[derive(Debug, Clone, Default)]
pub struct NewMembership {
    /// None: the role that members have where nobody says otherwise.
    pub roles: Vec<RoleName>,
    pub metadata: Metadata,
    pub inviter_email: Option<String>,
    /// Does the user have to accept it?
    pub is_invitation: bool,
}

impl NewMembership {
    fn in_organization(
        &self,
        context: &Context,
        user_id: &str,
        organization: &Organization,
        roles: Vec<RoleSummary>,
    ) -> Membership {
        let (id, name, now_ms) =
            (organization.id.clone(), organization.display_name.clone(), context.now_ms());
        let membership = if self.is_invitation {
            let invitation = invitations::new(context, user_id, &id, self.inviter_email.clone());
            Membership::invited(id, name, invitation, now_ms)
        } else {
            Membership::direct(id, name, now_ms)
        };
        Membership { roles, metadata: self.metadata.clone(), ..membership }
    }
}

/// A new user, who is a member of an organization from the start.
#[derive(Debug, Clone, Default)]
pub struct NewUser {
    pub email: String,
    /// Everything else; empty texts are the same as none.
    pub fields: UserChange,
    pub membership: NewMembership,
}

/// Adds a user as a member of an organization.
pub async fn create_user(context: &Context, organization_id: &str, new: NewUser) -> Result<User, ApiRefusal> {
    let email = EmailAddress::parse(&new.email).map_err(|error| {
        vec![FieldViolation::new("user.email", "email", format!("user.email is invalid: {error}"))]
    })?;
    let mut user = User::new(context.new_id(IdKind::User), email, context.now_ms());
    user.change(new.fields);
    let joins_existing = context.environment.management.existing_email == ExistingEmail::Join;
    let answers = &Answers::default();
    retry_on_conflict(|| async {
        let organization = organization_with_room(context, organization_id).await?;
        let roles =
            roles_for(context, organization_id, &new.membership.roles, "user.membership.roles").await?;
        // Who has an account is refused, or joins by a way of its own.
        if new.membership.is_invitation && !is_known(context, &user.email).await? {
            invitations::ask_before(context, answers, None, &user.email, &organization).await?;
        }
        let mut user = user.clone();
        user.join(new.membership.in_organization(context, &user.id, &organization, roles));
        let events = events::of_memberships(context, None, Some(&user)).await?;
        let mail = invitations::compose(context, &user, &organization.id)?;
        let with = WithUser {
            held: organization.max_allowed_users.and(Some(&organization)),
            events: &events,
            mail: mail.as_ref(),
            ..WithUser::default()
        };
        match context.store().insert_user(context.environment_id(), &user, with).await {
            Ok(true) => {
                outbox::announce(context, mail.as_ref());
                Ok(Some(user))
            }
            // Somebody else was first, or the organization or a role was deleted meanwhile.
            Ok(false) | Err(StoreError::MissingParent(_)) => Ok(None),
            Err(error) if users::is_email_taken(&error) && joins_existing => {
                join_existing(context, organization_id, &user.email, new.membership.clone()).await
            }
            Err(error) => Err(users::duplicate(error)),
        }
    })
    .await
}

/// Has somebody this address?
async fn is_known(context: &Context, email: &EmailAddress) -> Result<bool, Failure> {
    Ok(context.store().user_by_email(context.environment_id(), email).await?.is_some())
}

/// Makes the user who has this address a member of an organization; `None`: there is none any more.
async fn join_existing(
    context: &Context,
    organization_id: &str,
    email: &EmailAddress,
    new: NewMembership,
) -> Result<Option<User>, ApiRefusal> {
    let Some(user) = context.store().user_by_email(context.environment_id(), email).await? else {
        return Ok(None);
    };
    create(context, organization_id, &RecordKey::Id(user.id), new).await.map(Some)
}

/// Makes a user a member of an organization.
pub async fn create(
    context: &Context,
    organization_id: &str,
    key: &RecordKey,
    new: NewMembership,
) -> Result<User, ApiRefusal> {
    let answers = &Answers::default();
    retry_on_conflict(|| async {
        let before = users::find(context, key).await?;
        if before.membership(organization_id).is_some() {
            return Err(already_member());
        }
        let organization = organization_with_room(context, organization_id).await?;
        let roles = roles_for(context, organization_id, &new.roles, "membership.roles").await?;
        if new.is_invitation {
            invitations::ask_before(context, answers, Some(&before), &before.email, &organization).await?;
        }
        let mut after = User { updated_at_ms: context.now_ms(), ..before.clone() };
        after.join(new.in_organization(context, &before.id, &organization, roles));
        let events = events::of_memberships(context, Some(&before), Some(&after)).await?;
        let mail = invitations::compose(context, &after, &organization.id)?;
        let with = WithUser {
            held: organization.max_allowed_users.and(Some(&organization)),
            events: &events,
            mail: mail.as_ref(),
            ..WithUser::default()
        };
        match context.store().update_user(context.environment_id(), &before, &after, with).await {
            Ok(true) => {
                outbox::announce(context, mail.as_ref());
                Ok(Some(after))
            }
            // Somebody else was first, or the organization or a role was deleted meanwhile.
            Ok(false) | Err(StoreError::MissingParent(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    })
    .await
}

/// Changes roles and metadata of a membership; what is empty stays.
pub async fn update(
    context: &Context,
    organization_id: &str,
    key: &RecordKey,
    roles: &[RoleName],
    metadata: Metadata,
) -> Result<User, ApiRefusal> {
    let named = (roles, "membership.roles");
    write_over(context, organization_id, key, named, |membership, roles| {
        membership.change(MembershipChange { roles, metadata: metadata.clone() });
        Ok(())
    })
    .await
}

/// Removes a user from an organization. With `cascade`, a user who belongs to no other is deleted.
pub async fn delete(
    context: &Context,
    organization_id: &str,
    key: &RecordKey,
    cascade: bool,
) -> Result<(), ApiRefusal> {
    retry_on_conflict(|| async {
        let before = users::find(context, key).await?;
        let mut after = User { updated_at_ms: context.now_ms(), ..before.clone() };
        if !after.leave(organization_id) {
            return Err(users::not_a_member(&before, organization_id));
        }
        if cascade && after.memberships.is_empty() {
            return Ok(users::delete_read(context, &before).await?.then_some(()));
        }
        let events = events::of_memberships(context, Some(&before), Some(&after)).await?;
        let logouts = events::of_left_organizations(context, &before, &after).await?;
        let with = WithUser { events: &events, logouts: &logouts, ..WithUser::default() };
        let is_done = context.store().update_user(context.environment_id(), &before, &after, with).await?;
        Ok(is_done.then_some(()))
    })
    .await?;
    // Sessions in the organization have ended: applications hear of it.
    context.runtime.server.sessions_ended.notify_one();
    Ok(())
}

/// The roles that a member was given, then those that they extend.
pub async fn roles(
    context: &Context,
    organization_id: &str,
    user_id: &str,
) -> Result<Vec<RoleSummary>, ApiRefusal> {
    let (membership, access) = with_access(context, organization_id, user_id).await?;
    Ok(access.access(&membership).roles.into_iter().map(Role::summary).collect())
}

/// The permissions that a member has by roles.
pub async fn permissions(
    context: &Context,
    organization_id: &str,
    user_id: &str,
) -> Result<Vec<Permission>, ApiRefusal> {
    let (membership, access) = with_access(context, organization_id, user_id).await?;
    Ok(access.access(&membership).permissions.into_iter().cloned().collect())
}

async fn with_access(
    context: &Context,
    organization_id: &str,
    user_id: &str,
) -> Result<(Membership, AccessOfMembers), ApiRefusal> {
    let user = users::find(context, &RecordKey::Id(user_id.to_owned())).await?;
    let Some(membership) = user.membership(organization_id) else {
        return Err(users::not_a_member(&user, organization_id));
    };
    let access = AccessOfMembers::of(context, std::iter::once(membership)).await?;
    Ok((membership.clone(), access))
}

/// Gives a member more roles, and tells all that it has then.
pub async fn assign_roles(
    context: &Context,
    organization_id: &str,
    user_id: &str,
    named: &[RoleName],
) -> Result<Vec<RoleSummary>, ApiRefusal> {
    let key = RecordKey::Id(user_id.to_owned());
    let user = write_over(context, organization_id, &key, (named, "roles"), |membership, added| {
        membership.add_roles(added);
        Ok(())
    })
    .await?;
    Ok(user.membership(organization_id).map(|membership| membership.roles.clone()).unwrap_or_default())
}

/// Takes a role from a member.
pub async fn remove_role(
    context: &Context,
    organization_id: &str,
    user_id: &str,
    role_name: &str,
) -> Result<(), ApiRefusal> {
    let key = RecordKey::Id(user_id.to_owned());
    write_over(context, organization_id, &key, (&[], "roles"), |membership, _| {
        if membership.remove_role(role_name) {
            return Ok(());
        }
        let text = format!("role not found: the member does not have the role {role_name:?}");
        Err(ApiRefusal::new(ApiErrorCode::NotFound, text))
    })
    .await?;
    Ok(())
}

/// Changes a membership over the version of its user that was read, again while others change the user. The change is given
/// the roles that are named in a field.
async fn write_over(
    context: &Context,
    organization_id: &str,
    key: &RecordKey,
    (named, field): (&[RoleName], &str),
    change: impl Fn(&mut Membership, Vec<RoleSummary>) -> Result<(), ApiRefusal>,
) -> Result<User, ApiRefusal> {
    retry_on_conflict(|| async {
        let before = users::find(context, key).await?;
        let mut after = before.clone();
        let Some(membership) = after.membership_mut(organization_id) else {
            return Err(users::not_a_member(&before, organization_id));
        };
        let roles = match named {
            [] => vec![],
            named => roles_named(context, organization_id, named, field).await?,
        };
        change(membership, roles)?;
        users::write_read(context, before, after).await
    })
    .await
}

/// An organization that may have one member more.
async fn organization_with_room(
    context: &Context,
    organization_id: &str,
) -> Result<Organization, ApiRefusal> {
    let organization = organizations::find(context, &RecordKey::Id(organization_id.to_owned())).await?;
    if let Some(most) = organization.user_limit() {
        let (store, environment_id) = (context.store(), context.environment_id());
        let seats = store.count_seats(environment_id, &organization.id, context.now_ms()).await?;
        if seats >= most {
            let text = format!("organization user limit reached: it may have {most}");
            return Err(ApiRefusal::new(ApiErrorCode::UserLimitReached, text));
        }
    }
    Ok(organization)
}

/// The roles of a new membership: those that are named or, where none is, the default one.
async fn roles_for(
    context: &Context,
    organization_id: &str,
    named: &[RoleName],
    field: &str,
) -> Result<Vec<RoleSummary>, ApiRefusal> {
    if !named.is_empty() {
        return roles_named(context, organization_id, named, field).await;
    }
    Ok(default_roles(context, organization_id).await?)
}

/// The role that members of an organization have where nobody says otherwise, if there is one.
pub(super) async fn default_roles(
    context: &Context,
    organization_id: &str,
) -> Result<Vec<RoleSummary>, Failure> {
    let catalog = context.store().role_catalog(context.environment_id(), Some(organization_id)).await?;
    Ok(catalog.default_member().map(Role::summary).into_iter().collect())
}

/// The roles of these names that members of an organization can have, each once.
async fn roles_named(
    context: &Context,
    organization_id: &str,
    named: &[RoleName],
    field: &str,
) -> Result<Vec<RoleSummary>, ApiRefusal> {
    let catalog = context.store().role_catalog(context.environment_id(), Some(organization_id)).await?;
    for (at, name) in named.iter().enumerate() {
        if !catalog.roles().iter().any(|role| name.names(role)) {
            let field = format!("{field}[{at}]");
            let text = format!("{field} is invalid: role not found: {name}");
            return Err(vec![FieldViolation::new(field, "role", text)].into());
        }
    }
    Ok(catalog.summaries(|role| named.iter().any(|name| name.names(role))))
}

fn already_member() -> ApiRefusal {
    let field = "organization_id";
    let text = "membership already exists: the user belongs to the organization";
    let violations = vec![FieldViolation::new(field, "unique", text)];
    ApiError { violations, ..ApiError::new(ApiErrorCode::AlreadyExists, text) }.into()
}
