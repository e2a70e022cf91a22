//! `scalekit.v1.users.UserService`: users and their memberships.

use tonic::{Request, Response, Status};

use super::call::context_of;
use super::convert::{answer, record_key, record_keys, timestamp};
use super::pb::scalekit::v1::commons::{self, MembershipStatus, OrganizationMembership, UserProfile};
use super::pb::scalekit::v1::users::user_service_server::UserService;
use super::pb::scalekit::v1::users::{
    AssignRoleRequest, AssignUserRolesRequest, AssignUserRolesResponse, CreateMembership,
    CreateMembershipRequest, CreateMembershipResponse, CreateUserAndMembershipRequest,
    CreateUserAndMembershipResponse, CreateUserProfile, DeleteMembershipRequest, DeleteUserRequest,
    GetUserRequest, GetUserResponse, Invite, ListOrganizationUsersRequest, ListOrganizationUsersResponse,
    ListUserPermissionsRequest, ListUserPermissionsResponse, ListUserRolesRequest, ListUserRolesResponse,
    ListUsersRequest, ListUsersResponse, Permission, RemoveUserRoleRequest, ResendInviteRequest,
    ResendInviteResponse, SearchOrganizationUsersRequest, SearchOrganizationUsersResponse,
    SearchUsersRequest, SearchUsersResponse, UpdateMembershipRequest, UpdateMembershipResponse,
    UpdateUserProfile, UpdateUserRequest, UpdateUserResponse, User, create_membership_request,
    delete_membership_request, delete_user_request, get_user_request, update_membership_request,
    update_user_request,
};
use crate::domain::membership::{self, Membership};
use crate::domain::metadata::Metadata;
use crate::domain::record_key::RecordKey;
use crate::domain::role::{RoleName, RoleSummary};
use crate::domain::user::{self as domain, ProfileChange, UserChange};
use crate::runtime::Context;
use crate::service::api::ApiRefusal;
use crate::service::memberships::{self, NewMembership, NewUser};
use crate::service::roles::AccessOfMembers;
use crate::service::{invitations, users};

record_keys!(
    get_user_request,
    update_user_request,
    delete_user_request,
    create_membership_request,
    update_membership_request,
    delete_membership_request,
);

#[derive(Clone)]
pub struct Users;

#[tonic::async_trait]
impl UserService for Users {
    async fn get_user(&self, request: Request<GetUserRequest>) -> Result<Response<GetUserResponse>, Status> {
        let found = async {
            let context = context_of(&request)?;
            let key = record_key(request.into_inner().identities)?;
            let user = users::find(&context, &key).await?;
            Ok(GetUserResponse { user: Some(shown_one(&context, user).await?) })
        };
        answer(found.await)
    }

    async fn list_users(
        &self,
        request: Request<ListUsersRequest>,
    ) -> Result<Response<ListUsersResponse>, Status> {
        let listed = async {
            let context = context_of(&request)?;
            let ListUsersRequest { page_size, page_token } = request.into_inner();
            let page = users::list(&context, page_size, &page_token).await?;
            Ok(ListUsersResponse {
                next_page_token: page.next_page_token,
                prev_page_token: page.prev_page_token,
                total_size: page.total,
                users: shown_all(&context, page.records).await?,
            })
        };
        answer(listed.await)
    }

    async fn search_users(
        &self,
        request: Request<SearchUsersRequest>,
    ) -> Result<Response<SearchUsersResponse>, Status> {
        let found = async {
            let context = context_of(&request)?;
            let SearchUsersRequest { query, page_size, page_token } = request.into_inner();
            let page = users::search(&context, &query, page_size, &page_token).await?;
            Ok(SearchUsersResponse {
                next_page_token: page.next_page_token,
                prev_page_token: page.prev_page_token,
                total_size: page.total,
                users: shown_all(&context, page.records).await?,
            })
        };
        answer(found.await)
    }

    async fn list_organization_users(
        &self,
        request: Request<ListOrganizationUsersRequest>,
    ) -> Result<Response<ListOrganizationUsersResponse>, Status> {
        let listed = async {
            let context = context_of(&request)?;
            let ListOrganizationUsersRequest { organization_id, page_size, page_token } =
                request.into_inner();
            let page = users::members(&context, &organization_id, "", page_size, &page_token).await?;
            Ok(ListOrganizationUsersResponse {
                next_page_token: page.next_page_token,
                prev_page_token: page.prev_page_token,
                total_size: page.total,
                users: shown_all(&context, page.records).await?,
            })
        };
        answer(listed.await)
    }

    async fn search_organization_users(
        &self,
        request: Request<SearchOrganizationUsersRequest>,
    ) -> Result<Response<SearchOrganizationUsersResponse>, Status> {
        let found = async {
            let context = context_of(&request)?;
            let SearchOrganizationUsersRequest { organization_id, query, page_size, page_token } =
                request.into_inner();
            let page = users::members(&context, &organization_id, &query, page_size, &page_token).await?;
            Ok(SearchOrganizationUsersResponse {
                next_page_token: page.next_page_token,
                prev_page_token: page.prev_page_token,
                total_size: page.total,
                users: shown_all(&context, page.records).await?,
            })
        };
        answer(found.await)
    }

    async fn update_user(
        &self,
        request: Request<UpdateUserRequest>,
    ) -> Result<Response<UpdateUserResponse>, Status> {
        let updated = async {
            let context = context_of(&request)?;
            let request = request.into_inner();
            let key = record_key(request.identities)?;
            let fields = request.user.unwrap_or_default();
            let change = UserChange {
                external_id: fields.external_id,
                metadata: fields.metadata.into(),
                profile: profile_change(fields.user_profile.unwrap_or_default()),
            };
            let user = users::update(&context, &key, change).await?;
            Ok(UpdateUserResponse { user: Some(shown_one(&context, user).await?) })
        };
        answer(updated.await)
    }

    async fn delete_user(&self, request: Request<DeleteUserRequest>) -> Result<Response<()>, Status> {
        let deleted = async {
            let context = context_of(&request)?;
            let key = record_key(request.into_inner().identities)?;
            users::delete(&context, &key).await
        };
        answer(deleted.await)
    }

    async fn create_user_and_membership(
        &self,
        request: Request<CreateUserAndMembershipRequest>,
    ) -> Result<Response<CreateUserAndMembershipResponse>, Status> {
        let created = async {
            let context = context_of(&request)?;
            let CreateUserAndMembershipRequest { organization_id, user, send_invitation_email } =
                request.into_inner();
            let user = user.unwrap_or_default();
            let new = NewUser {
                email: user.email,
                fields: UserChange {
                    external_id: user.external_id,
                    metadata: user.metadata.into(),
                    profile: new_profile(user.user_profile.unwrap_or_default()),
                },
                membership: new_membership(user.membership.unwrap_or_default(), send_invitation_email),
            };
            let user = memberships::create_user(&context, &organization_id, new).await?;
            Ok(CreateUserAndMembershipResponse { user: Some(shown_one(&context, user).await?) })
        };
        answer(created.await)
    }

    async fn create_membership(
        &self,
        request: Request<CreateMembershipRequest>,
    ) -> Result<Response<CreateMembershipResponse>, Status> {
        let created = async {
            let context = context_of(&request)?;
            let request = request.into_inner();
            let key = record_key(request.identities)?;
            let new = new_membership(request.membership.unwrap_or_default(), request.send_invitation_email);
            let user = memberships::create(&context, &request.organization_id, &key, new).await?;
            Ok(CreateMembershipResponse { user: Some(shown_one(&context, user).await?) })
        };
        answer(created.await)
    }

    async fn update_membership(
        &self,
        request: Request<UpdateMembershipRequest>,
    ) -> Result<Response<UpdateMembershipResponse>, Status> {
        let updated = async {
            let context = context_of(&request)?;
            let request = request.into_inner();
            let key = record_key(request.identities)?;
            let fields = request.membership.unwrap_or_default();
            let (roles, metadata) = (role_names(fields.roles), Metadata::from(fields.metadata));
            let organization_id = &request.organization_id;
            let user = memberships::update(&context, organization_id, &key, &roles, metadata).await?;
            Ok(UpdateMembershipResponse { user: Some(shown_one(&context, user).await?) })
        };
        answer(updated.await)
    }

    async fn delete_membership(
        &self,
        request: Request<DeleteMembershipRequest>,
    ) -> Result<Response<()>, Status> {
        let deleted = async {
            let context = context_of(&request)?;
            let request = request.into_inner();
            let key = record_key(request.identities)?;
            let cascade = request.cascade.unwrap_or_default();
            memberships::delete(&context, &request.organization_id, &key, cascade).await
        };
        answer(deleted.await)
    }

    async fn resend_invite(
        &self,
        request: Request<ResendInviteRequest>,
    ) -> Result<Response<ResendInviteResponse>, Status> {
        let resent = async {
            let context = context_of(&request)?;
            let ResendInviteRequest { organization_id, id } = request.into_inner();
            let membership = invitations::resend(&context, &organization_id, &id).await?;
            Ok(ResendInviteResponse { invite: shown_invite(id, membership, context.now_ms()) })
        };
        answer(resent.await)
    }

    async fn list_user_roles(
        &self,
        request: Request<ListUserRolesRequest>,
    ) -> Result<Response<ListUserRolesResponse>, Status> {
        let listed = async {
            let context = context_of(&request)?;
            let ListUserRolesRequest { organization_id, user_id } = request.into_inner();
            let roles = memberships::roles(&context, &organization_id, &user_id).await?;
            Ok(ListUserRolesResponse { roles: roles.into_iter().map(shown_role).collect() })
        };
        answer(listed.await)
    }

    async fn list_user_permissions(
        &self,
        request: Request<ListUserPermissionsRequest>,
    ) -> Result<Response<ListUserPermissionsResponse>, Status> {
        let listed = async {
            let context = context_of(&request)?;
            let ListUserPermissionsRequest { organization_id, user_id } = request.into_inner();
            let held = memberships::permissions(&context, &organization_id, &user_id).await?;
            let permissions = held.into_iter().map(|permission| Permission {
                id: permission.id,
                name: permission.name,
                description: permission.description,
                tags: vec![],
            });
            Ok(ListUserPermissionsResponse { permissions: permissions.collect() })
        };
        answer(listed.await)
    }

    async fn assign_user_roles(
        &self,
        request: Request<AssignUserRolesRequest>,
    ) -> Result<Response<AssignUserRolesResponse>, Status> {
        let assigned = async {
            let context = context_of(&request)?;
            let AssignUserRolesRequest { organization_id, user_id, roles } = request.into_inner();
            #[allow(deprecated, reason = "older SDKs send it")]
            let named = |role: AssignRoleRequest| RoleName { id: role.id, name: role.role_name };
            let named: Vec<RoleName> = roles.into_iter().map(named).collect();
            let roles = memberships::assign_roles(&context, &organization_id, &user_id, &named).await?;
            Ok(AssignUserRolesResponse { roles: roles.into_iter().map(shown_role).collect() })
        };
        answer(assigned.await)
    }

    async fn remove_user_role(
        &self,
        request: Request<RemoveUserRoleRequest>,
    ) -> Result<Response<()>, Status> {
        let removed = async {
            let context = context_of(&request)?;
            let RemoveUserRoleRequest { organization_id, user_id, role_name } = request.into_inner();
            memberships::remove_role(&context, &organization_id, &user_id, &role_name).await
        };
        answer(removed.await)
    }
}

/// Without a word about it, the user is invited.
fn new_membership(fields: CreateMembership, sends_invitation: Option<bool>) -> NewMembership {
    NewMembership {
        roles: role_names(fields.roles),
        metadata: fields.metadata.into(),
        inviter_email: fields.inviter_email,
        is_invitation: sends_invitation.unwrap_or(true),
    }
}

fn role_names(roles: Vec<commons::Role>) -> Vec<RoleName> {
    roles.into_iter().map(|role| RoleName { id: role.id, name: role.name }).collect()
}

#[allow(deprecated, reason = "older SDKs send first_name and last_name alone")]
fn new_profile(fields: CreateUserProfile) -> ProfileChange {
    let newer = |newer: String, older: String| Some(if newer.is_empty() { older } else { newer });
    ProfileChange {
        name: Some(fields.name),
        given_name: newer(fields.given_name, fields.first_name),
        family_name: newer(fields.family_name, fields.last_name),
        picture: fields.picture,
        locale: Some(fields.locale),
        phone_number: Some(fields.phone_number),
        preferred_username: Some(fields.preferred_username),
        gender: fields.gender,
        groups: fields.groups,
        metadata: fields.metadata.into(),
        custom_attributes: fields.custom_attributes.into(),
    }
}

#[allow(deprecated, reason = "older SDKs send first_name and last_name alone")]
fn profile_change(fields: UpdateUserProfile) -> ProfileChange {
    ProfileChange {
        name: fields.name,
        given_name: fields.given_name.or(fields.first_name),
        family_name: fields.family_name.or(fields.last_name),
        picture: fields.picture,
        locale: fields.locale,
        phone_number: fields.phone_number,
        preferred_username: fields.preferred_username,
        gender: fields.gender,
        groups: fields.groups,
        metadata: fields.metadata.into(),
        custom_attributes: fields.custom_attributes.into(),
    }
}

async fn shown_one(context: &Context, user: domain::User) -> Result<User, ApiRefusal> {
    let mut shown = shown_all(context, vec![user]).await?;
    Ok(shown.pop().unwrap_or_default())
}

async fn shown_all(context: &Context, users: Vec<domain::User>) -> Result<Vec<User>, ApiRefusal> {
    let access = AccessOfMembers::of_users(context, &users).await?;
    Ok(users.into_iter().map(|user| shown(context, &access, user)).collect())
}

fn shown(context: &Context, access: &AccessOfMembers, user: domain::User) -> User {
    let now_ms = context.now_ms();
    let user_profile = Some(shown_profile(&user));
    let memberships = user.memberships.into_iter();
    User {
        environment_id: context.environment_id().to_owned(),
        create_time: Some(timestamp(user.created_at_ms)),
        update_time: Some(timestamp(user.updated_at_ms)),
        last_login_time: user.last_sign_in_at_ms.map(timestamp),
        email: user.email.as_str().to_owned(),
        user_profile,
        id: user.id,
        external_id: user.external_id,
        metadata: user.metadata.0.into_iter().collect(),
        memberships: memberships.map(|membership| shown_membership(access, membership, now_ms)).collect(),
    }
}

#[allow(deprecated, reason = "older SDKs read first_name and last_name")]
fn shown_profile(user: &domain::User) -> UserProfile {
    let profile = user.profile.clone();
    let name = profile.full_name().unwrap_or_default();
    let given_name = profile.given_name.unwrap_or_default();
    let family_name = profile.family_name.unwrap_or_default();
    UserProfile {
        id: user.profile_id(),
        name,
        first_name: given_name.clone(),
        last_name: family_name.clone(),
        given_name,
        family_name,
        locale: profile.locale.unwrap_or_default(),
        email_verified: user.email_verified_at_ms.is_some(),
        phone_number: profile.details.phone_number.unwrap_or_default(),
        phone_number_verified: false,
        metadata: profile.details.metadata.0.into_iter().collect(),
        custom_attributes: profile.details.custom_attributes.0.into_iter().collect(),
        preferred_username: profile.details.preferred_username.unwrap_or_default(),
        picture: profile.picture.unwrap_or_default(),
        groups: profile.details.groups,
        gender: profile.details.gender.unwrap_or_default(),
        external_identities: vec![],
    }
}

fn shown_status(membership: &Membership, now_ms: i64) -> MembershipStatus {
    match membership.status {
        membership::MembershipStatus::Active => MembershipStatus::Active,
        membership::MembershipStatus::Inactive => MembershipStatus::Inactive,
        membership::MembershipStatus::PendingInvite if membership.is_expired(now_ms) => {
            MembershipStatus::InviteExpired
        }
        membership::MembershipStatus::PendingInvite => MembershipStatus::PendingInvite,
    }
}

fn shown_invite(user_id: String, membership: Membership, now_ms: i64) -> Option<Invite> {
    let status = shown_status(&membership, now_ms);
    let invitation = membership.invitation?;
    Some(Invite {
        organization_id: membership.organization_id,
        user_id,
        inviter_email: invitation.inviter_email,
        status: status.as_str_name().to_owned(),
        created_at: Some(timestamp(membership.created_at_ms)),
        expires_at: Some(timestamp(invitation.expires_at_ms)),
        resent_at: invitation.resent_at_ms.map(timestamp),
        resent_count: i32::try_from(invitation.resent_count).unwrap_or(i32::MAX),
    })
}

fn shown_membership(access: &AccessOfMembers, membership: Membership, now_ms: i64) -> OrganizationMembership {
    let permissions = access.access(&membership).permission_names();
    let status = shown_status(&membership, now_ms);
    let invitation = membership.invitation;
    OrganizationMembership {
        join_time: Some(timestamp(membership.created_at_ms)),
        membership_status: status.into(),
        name: Some(membership.organization_name.clone()),
        display_name: Some(membership.organization_name),
        organization_id: membership.organization_id,
        roles: membership.roles.into_iter().map(shown_role).collect(),
        metadata: membership.metadata.0.into_iter().collect(),
        created_at: invitation.as_ref().map(|_| timestamp(membership.created_at_ms)),
        accepted_at: invitation.as_ref().and_then(|i| i.accepted_at_ms).map(timestamp),
        expires_at: invitation.as_ref().map(|i| timestamp(i.expires_at_ms)),
        inviter_email: invitation.and_then(|i| i.inviter_email),
        provisioning_method: Some(membership.provisioning_method.as_str().to_owned()),
        permissions,
    }
}

fn shown_role(role: RoleSummary) -> commons::Role {
    commons::Role { id: role.id, name: role.name, display_name: role.display_name }
}
