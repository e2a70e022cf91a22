//! Members of organizations: their roles, and the state of their invitations.

use actix_web::{HttpRequest, web};
use serde_json::json;

use super::blocks::{Block, Cell, Fact, Field, Form, FormState, Page, Row, Section, Table};
use super::form_reader::{FormReader, shown_texts};
use super::listing::{Listing, PAGE_SIZE};
use super::{
    DashboardContext, PageResult, Posted, endpoint, error_page, form_params, organizations, page,
    redirect_with_flash, redisplay, show_refused,
};
use crate::domain::authorization::Parameters;
use crate::domain::clock::{UnixMs, rfc3339};
use crate::domain::email::EmailAddress;
use crate::domain::membership::{Membership, MembershipStatus, ProvisioningMethod};
use crate::domain::metadata::{Metadata, MetadataLimits};
use crate::domain::record_key::RecordKey;
use crate::domain::role::RoleName;
use crate::domain::user::{ProfileChange, User, UserChange};
use crate::runtime::Context;
use crate::service::changes::ControlError;
use crate::service::memberships::{NewMembership, NewUser};
use crate::service::{invitations, memberships, roles, users};

const MEMBER: &str = "member";
const ROLE: &str = "role";
const METADATA: &str = "metadata";

/// Fields of the forms.
const NAMES: &[&str] =
    &["email", "given_name", "family_name", "roles", "inviter_email", "role_name", "metadata"];

/// What applications may keep with users and their memberships.
pub const METADATA_LIMITS: MetadataLimits = MetadataLimits { pairs: 20, key: 3..=25, value: 1..=256 };

/// Organization and user.
type Ids = web::Path<(String, String)>;

pub fn routes(config: &mut web::ServiceConfig) {
    const MEMBER_PAGE: &str = "/dashboard/organizations/{organization_id}/members/{user_id}";
    let member =
        |rest: &str| endpoint(&format!("/organizations/{{organization_id}}/members/{{user_id}}{rest}"));
    config
        .service(endpoint("/organizations/{organization_id}/members").get(list).post(create).end())
        .service(endpoint("/organizations/{organization_id}/members/new").get(new).end())
        .service(member("").get(show).end())
        .service(member("/roles").post(give_role).shown_at(MEMBER_PAGE).end())
        .service(member("/roles/{role_name}/remove").post(remove_role).shown_at(MEMBER_PAGE).end())
        .service(member("/metadata").post(save_metadata).shown_at(MEMBER_PAGE).end())
        .service(member("/resend").post(resend).shown_at(MEMBER_PAGE).end())
        .service(member("/remove").post(remove).shown_at(MEMBER_PAGE).end());
}

fn list_path(organization_id: &str) -> String {
    format!("/dashboard/organizations/{organization_id}/members")
}

/// Where the page of a member is.
pub fn path(organization_id: &str, user_id: &str) -> String {
    format!("{}/{user_id}", list_path(organization_id))
}

/// How a membership stands.
pub fn status_cell(membership: &Membership, now_ms: UnixMs) -> Cell {
    match membership.status {
        MembershipStatus::Active => Cell::verdict("active", true),
        MembershipStatus::Inactive => Cell::verdict("inactive", false),
        MembershipStatus::PendingInvite if membership.is_expired(now_ms) => {
            Cell::verdict("invitation expired", false)
        }
        MembershipStatus::PendingInvite => Cell::text("invited"),
    }
}

/// The names of a member's roles.
pub fn role_names(membership: &Membership) -> String {
    let names: Vec<&str> = membership.roles.iter().map(|role| role.name.as_str()).collect();
    names.join(", ")
}

/// What is asked of a new membership.
pub fn new_fields(form_state: &FormState, form: &str) -> Vec<Field> {
    vec![
        form_state
            .long(form, "roles", "Roles", "")
            .hint("Names, one per line. Leave empty for the default role."),
        form_state
            .check(form, "invitation", "Send an invitation", true)
            .hint("The membership begins when the user accepts it. Without one it begins at once."),
        form_state.text(form, "inviter_email", "Invited by", "").hint("An email address. Optional."),
    ]
}

/// The answer to [`new_fields`].
pub fn read_new(reader: &mut FormReader<'_>) -> NewMembership {
    let named = |name: String| RoleName { name, ..RoleName::default() };
    let inviter_email = reader.optional("inviter_email", bad_email);
    NewMembership {
        roles: reader.lines("roles").into_iter().map(named).collect(),
        metadata: Metadata::default(),
        inviter_email: Some(inviter_email.to_owned()).filter(|email| !email.is_empty()),
        is_invitation: reader.is_checked("invitation"),
    }
}

fn bad_email(text: &str) -> Option<&'static str> {
    EmailAddress::parse(text).is_err().then_some("is not a valid email address")
}

/// What was done when it was made, as pages say it.
pub fn done(new: &NewMembership) -> &'static str {
    if new.is_invitation { "invited" } else { "created" }
}

/// `GET /dashboard/organizations/{organization_id}/members`
async fn list(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    organization_id: web::Path<String>,
) -> PageResult {
    Ok(super::show(list_page(&context, &request, &organization_id).await?))
}

async fn list_page(
    context: &Context,
    request: &HttpRequest,
    organization_id: &str,
) -> Result<Page, actix_web::Error> {
    let organization =
        organizations::find(context, organization_id).await.map_err(|r| error_page(request, r))?;
    let listing = Listing::of(request);
    let size = u32::try_from(PAGE_SIZE).unwrap_or_default();
    let found = users::members(context, organization_id, &listing.q, size, &listing.page_token).await;
    let found = found.map_err(|r| error_page(request, r.into()))?;
    let path_here = list_path(organization_id);
    let pager = listing.token_pager(context, &path_here, &found.next_page_token);
    let table = if found.records.is_empty() {
        listing.empty("No members yet", "Members come by sign-up, by invitation, or by New member.")
    } else {
        let rows = found.records.iter().filter_map(|user| member_row(context, organization_id, user));
        let columns = &["Email", "Name", "Status", "Roles", "Since"];
        Block::Table(Table { columns, rows: rows.collect() })
    };
    let titles = ("Members", "members");
    let mut page =
        organizations::list_page_of(context, request, &organization, titles, "New member", [table, pager]);
    page.search = Some(listing.search(context, &path_here, "Email, ID or external ID"));
    Ok(page)
}

/// `GET /dashboard/organizations/{organization_id}/members/new`
async fn new(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    organization_id: web::Path<String>,
) -> PageResult {
    Ok(super::show(new_page(&context, &request, &organization_id, &FormState::default()).await?))
}

async fn new_page(
    context: &Context,
    request: &HttpRequest,
    organization_id: &str,
    form_state: &FormState,
) -> Result<Page, actix_web::Error> {
    let list = list_path(organization_id);
    let mut fields = vec![
        form_state.text(MEMBER, "email", "Email address", ""),
        form_state.text(MEMBER, "given_name", "Given name", ""),
        form_state.text(MEMBER, "family_name", "Family name", ""),
    ];
    fields.extend(new_fields(form_state, MEMBER));
    let api = format!("/api/organizations/{organization_id}/users?send_invitation_email=true");
    let form = Form::post("New member", context.path(&list), fields, "Add");
    let form =
        form.curl_json(context, "POST", &api, &json!({ "email": "jane@example.com", "membership": {} }));
    let (list, problem) = (("Members", list.as_str()), form_state.rest(NAMES));
    let page = organizations::form_page_of(context, request, organization_id, list, form, problem);
    let mut page = page.await?;
    let about = "This makes a new user. To add one that exists, go to the user's page.";
    page.sections.insert(0, Section::new("", vec![Block::Text(about.to_owned())]));
    Ok(page)
}

fn member_row(context: &Context, organization_id: &str, user: &User) -> Option<Row> {
    let membership = user.membership(organization_id)?;
    Some(Row::new(vec![
        Cell::link(user.email.as_str(), context.path(&path(organization_id, &user.id))),
        Cell::text(user.profile.full_name().unwrap_or_default()),
        status_cell(membership, context.now_ms()),
        Cell::text(role_names(membership)),
        Cell::time(membership.created_at_ms),
    ]))
}

/// `POST /dashboard/organizations/{organization_id}/members`
async fn create(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    organization_id: web::Path<String>,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    match create_member(&context, &organization_id, &params).await {
        Ok((user_id, done)) => Ok(redirect_with_flash(&context, &path(&organization_id, &user_id), done)),
        Err(refused) => {
            let form_state = redisplay(&request, MEMBER, &params, refused)?;
            Ok(show_refused(new_page(&context, &request, &organization_id, &form_state).await?))
        }
    }
}

/// The ID of the new member, and the word for what was done.
async fn create_member(
    context: &Context,
    organization_id: &str,
    params: &Parameters,
) -> Result<(String, &'static str), ControlError> {
    let mut reader = FormReader::new(params);
    let email = reader.required("email", usize::MAX).to_owned();
    let profile = ProfileChange {
        given_name: Some(reader.text("given_name", 255).to_owned()),
        family_name: Some(reader.text("family_name", 255).to_owned()),
        ..ProfileChange::default()
    };
    let membership = read_new(&mut reader);
    reader.finish()?;
    let done = done(&membership);
    let fields = UserChange { profile, ..UserChange::default() };
    let new = NewUser { email, fields, membership };
    Ok((memberships::create_user(context, organization_id, new).await?.id, done))
}

/// `GET /dashboard/organizations/{organization_id}/members/{user_id}`
async fn show(request: HttpRequest, DashboardContext(context): DashboardContext, ids: Ids) -> PageResult {
    Ok(super::show(member_page(&context, &request, &ids, &FormState::default()).await?))
}

async fn member_page(
    context: &Context,
    request: &HttpRequest,
    (organization_id, user_id): &(String, String),
    form_state: &FormState,
) -> Result<Page, actix_web::Error> {
    let (user, membership) =
        find(context, organization_id, user_id).await.map_err(|r| error_page(request, r))?;
    let roles = role_blocks(context, form_state, &user, &membership).await;
    let roles = roles.map_err(|r| error_page(request, r))?;
    let permissions = memberships::permissions(context, organization_id, user_id).await;
    let permissions = permissions.map_err(|r| error_page(request, r.into()))?;
    let names: Vec<String> = permissions.into_iter().map(|permission| permission.name).collect();
    let names = if names.is_empty() { "None.".to_owned() } else { names.join(", ") };
    let path = context.path(&path(organization_id, user_id));
    let metadata = form_state.long(METADATA, "metadata", "Metadata", shown_texts(&membership.metadata.0));
    let metadata = metadata.hint("JSON: texts by name. Your application keeps them with the membership.");
    let api = format!("organizations/{organization_id}/users/{user_id}");
    let metadata = Form::post("Metadata", format!("{path}/metadata"), vec![metadata], "Save metadata")
        .curl_json(
            context,
            "PATCH",
            &format!("/api/memberships/{api}"),
            &json!({ "metadata": membership.metadata.0 }),
        );
    let mut page = page(context, request, organizations::HERE, user.email.as_str());
    page.lead = Some(format!("As a member of {}.", membership.organization_name));
    page.problem = form_state.rest(NAMES);
    let links = vec![
        ("User".to_owned(), context.path(&format!("/dashboard/users/{user_id}"))),
        ("Organization".to_owned(), context.path(&organizations::path(organization_id))),
        ("All members".to_owned(), context.path(&list_path(organization_id))),
    ];
    page.sections =
        vec![Section::new("", vec![Block::Facts(facts(&membership, context.now_ms())), Block::Links(links)])];
    if membership.pending_invitation().is_some() {
        let resend =
            Form::post("Resend the invitation", format!("{path}/resend"), vec![], "Resend the invitation");
        let resend = resend.curl_json(context, "PATCH", &format!("/api/invites/{api}/resend"), &json!({}));
        page.sections.push(Section::new("Invitation", vec![Block::Form(resend)]));
    }
    let remove = remove_form(&membership, &path);
    let remove = remove.curl(context, "DELETE", &format!("/api/memberships/{api}"));
    page.sections.extend([
        Section::new("Roles", roles),
        Section::new("Permissions", vec![Block::Text(names)]),
        Section::new("Metadata", vec![Block::Form(metadata)]),
        Section::new("Remove", vec![Block::Form(remove)]),
    ]);
    Ok(page)
}

async fn find(
    context: &Context,
    organization_id: &str,
    user_id: &str,
) -> Result<(User, Membership), ControlError> {
    let user = users::find(context, &RecordKey::Id(user_id.to_owned())).await?;
    match user.membership(organization_id).cloned() {
        Some(membership) => Ok((user, membership)),
        None => {
            let text = format!("user {user_id} does not belong to organization {organization_id}");
            Err(ControlError::NotFound(text))
        }
    }
}

fn facts(membership: &Membership, now_ms: UnixMs) -> Vec<Fact> {
    let joined = match membership.provisioning_method {
        ProvisioningMethod::OrgCreator => "Signed up and created the organization",
        ProvisioningMethod::Invitation => "Invited",
        ProvisioningMethod::DirectProvision => "Added without an invitation",
        ProvisioningMethod::AllowedEmailDomain => "Chose it, by an address of an allowed domain",
    };
    let mut facts = vec![
        Fact::text("Status", status_cell(membership, now_ms).text),
        Fact::text("Joined", joined),
        Fact::time("Since", membership.created_at_ms),
    ];
    let Some(invitation) = &membership.invitation else { return facts };
    facts.extend(invitation.inviter_email.as_ref().map(|email| Fact::text("Invited by", email)));
    facts.push(match invitation.accepted_at_ms {
        Some(accepted_at_ms) => Fact::time("Accepted", accepted_at_ms),
        None => Fact::time("Invitation expires", invitation.expires_at_ms),
    });
    if let Some(resent_at_ms) = invitation.resent_at_ms {
        let text = format!("{}, last at {}", invitation.resent_count, rfc3339(resent_at_ms));
        facts.push(Fact::text("Resent", text));
    }
    facts
}

/// The roles that a member has, and those that it could have.
async fn role_blocks(
    context: &Context,
    form_state: &FormState,
    user: &User,
    membership: &Membership,
) -> Result<Vec<Block>, ControlError> {
    let organization_id = &membership.organization_id;
    let catalog = roles::list(context, Some(organization_id)).await?;
    let path = context.path(&format!("{}/roles", path(organization_id, &user.id)));
    let api = format!("/api/organizations/{organization_id}/users/{}/roles", user.id);
    let rows = membership.roles.iter().map(|role| Row {
        cells: vec![Cell::text(&role.display_name), Cell::text(&role.name)],
        action: Some(
            Form::post("Take away", format!("{path}/{}/remove", role.name), vec![], "Take away").curl(
                context,
                "DELETE",
                &format!("{api}/{}", role.name),
            ),
        ),
    });
    let rows: Vec<Row> = rows.collect();
    let mut blocks = vec![if rows.is_empty() {
        Block::Text("The member has no role.".to_owned())
    } else {
        Block::Table(Table { columns: &["Role", "Name", "Action"], rows })
    }];
    let is_held = |id: &str| membership.roles.iter().any(|held| held.id == id);
    let choices = catalog.roles().iter().filter(|role| !is_held(&role.id));
    let choices: Vec<_> = choices.map(|role| (role.name.clone(), role.display_name.clone())).collect();
    if !choices.is_empty() {
        let body = json!([{ "role_name": choices[0].0 }]);
        let field = form_state.choice_of(ROLE, "role_name", "Role", "", choices);
        let form = Form::post("Give a role", path, vec![field], "Give");
        blocks.push(Block::Form(form.curl_json(context, "POST", &api, &body)));
    }
    Ok(blocks)
}

fn remove_form(membership: &Membership, path: &str) -> Form {
    let name = if membership.pending_invitation().is_some() {
        "Withdraw the invitation"
    } else {
        "Remove from the organization"
    };
    let cascade = FormState::default()
        .check("remove", "cascade", "Delete the user too", false)
        .hint("If this is the user's only organization.");
    Form {
        asks: Some("Its roles and metadata are lost, and sessions in the organization end.".to_owned()),
        ..Form::post(name, format!("{path}/remove"), vec![cascade], name)
    }
}

/// Leads back to the member's page, which says what was done or what is wrong in one of its forms.
async fn done_or_refused(
    context: &Context,
    request: &HttpRequest,
    ids: &(String, String),
    (form, params): (&'static str, &Parameters),
    outcome: Result<&'static str, ControlError>,
) -> PageResult {
    match outcome {
        Ok(done) => Ok(redirect_with_flash(context, &path(&ids.0, &ids.1), done)),
        Err(refused) => {
            let form_state = redisplay(request, form, params, refused)?;
            Ok(show_refused(member_page(context, request, ids, &form_state).await?))
        }
    }
}

/// `POST /dashboard/organizations/{organization_id}/members/{user_id}/roles`
async fn give_role(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    ids: Ids,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    let given = async {
        let mut reader = FormReader::new(&params);
        let name = reader.required("role_name", 100).to_owned();
        reader.finish()?;
        let named = RoleName { name, ..RoleName::default() };
        memberships::assign_roles(&context, &ids.0, &ids.1, &[named]).await?;
        Ok("saved")
    };
    done_or_refused(&context, &request, &ids, (ROLE, &params), given.await).await
}

/// `POST /dashboard/organizations/{organization_id}/members/{user_id}/roles/{role_name}/remove`
async fn remove_role(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    names: web::Path<(String, String, String)>,
) -> PageResult {
    let (organization_id, user_id, role_name) = names.into_inner();
    let removed = memberships::remove_role(&context, &organization_id, &user_id, &role_name).await;
    removed.map_err(|r| error_page(&request, r.into()))?;
    Ok(redirect_with_flash(&context, &path(&organization_id, &user_id), "saved"))
}

/// `POST /dashboard/organizations/{organization_id}/members/{user_id}/metadata`
async fn save_metadata(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    ids: Ids,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    let saved = async {
        let (_, membership) = find(&context, &ids.0, &ids.1).await?;
        let mut reader = FormReader::new(&params);
        let metadata = reader.texts_by_name("metadata", &METADATA_LIMITS);
        reader.keep_filled("metadata", !membership.metadata.is_empty(), !metadata.is_empty());
        reader.finish()?;
        let key = RecordKey::Id(ids.1.clone());
        memberships::update(&context, &ids.0, &key, &[], metadata).await?;
        Ok("saved")
    };
    done_or_refused(&context, &request, &ids, (METADATA, &params), saved.await).await
}

/// `POST /dashboard/organizations/{organization_id}/members/{user_id}/resend`
async fn resend(request: HttpRequest, DashboardContext(context): DashboardContext, ids: Ids) -> PageResult {
    let sent = invitations::resend(&context, &ids.0, &ids.1).await;
    let sent = sent.map(|_| "resent").map_err(ControlError::from);
    done_or_refused(&context, &request, &ids, ("resend", &Parameters::default()), sent).await
}

/// `POST /dashboard/organizations/{organization_id}/members/{user_id}/remove`
async fn remove(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    ids: Ids,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    let cascade = FormReader::new(&params).is_checked("cascade");
    let key = RecordKey::Id(ids.1.clone());
    let removed = memberships::delete(&context, &ids.0, &key, cascade).await;
    removed.map_err(|r| error_page(&request, r.into()))?;
    Ok(redirect_with_flash(&context, &list_path(&ids.0), "removed"))
}
