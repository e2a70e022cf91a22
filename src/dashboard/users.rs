//! Users, with their memberships.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::blocks::{Block, Cell, Fact, Field, Form, FormState, Page, Row, Section, Table};
use super::form_reader::{FormReader, shown_texts};
use super::listing::Listing;
use super::{
    DashboardContext, PageResult, Posted, endpoint, error_page, form_page, form_params, lines, memberships,
    one, organizations, page, redirect_with_flash, redisplay, show_again, show_refused,
};
use crate::domain::authorization::Parameters;
use crate::domain::record_key::RecordKey;
use crate::domain::user::{User, UserChange};
use crate::runtime::Context;
use crate::service::changes::ControlError;
use crate::service::memberships::create as add_member;
use crate::service::{seed, user_sessions, users};

const HERE: &str = "/dashboard/users";

const USER: &str = "user";
const MEMBERSHIP: &str = "membership";
const METADATA: &str = "metadata";

/// Fields of the forms.
const NAMES: &[&str] = &[
    "email",
    "name",
    "given_name",
    "family_name",
    "external_id",
    "picture",
    "locale",
    "organizations",
    "organization_id",
    "roles",
    "metadata",
];

pub fn routes(config: &mut web::ServiceConfig) {
    const USER_PAGE: &str = "/dashboard/users/{id}";
    config
        .service(endpoint("/users").get(list).post(create).end())
        .service(endpoint("/users/new").get(new).end())
        .service(endpoint("/users/{id}").get(show).post(save).end())
        .service(endpoint("/users/{id}/memberships").post(join).shown_at(USER_PAGE).end())
        .service(endpoint("/users/{id}/metadata").post(save_metadata).shown_at(USER_PAGE).end())
        .service(endpoint("/users/{id}/end-sessions").post(end_sessions).shown_at(USER_PAGE).end())
        .service(endpoint("/users/{id}/delete").post(delete).shown_at(USER_PAGE).end());
}

/// Where the page of a user is.
pub fn path(id: &str) -> String {
    format!("{HERE}/{id}")
}

/// `GET /dashboard/users`
async fn list(request: HttpRequest, DashboardContext(context): DashboardContext) -> PageResult {
    let (context, request) = (&context, &request);
    let listing = Listing::of(request);
    let found = users::listed(context, &listing.filter()).await;
    let mut found = found.map_err(|failure| error_page(request, failure.into()))?;
    let pager = listing.pager(context, HERE, &mut found);
    let mut page = page(context, request, HERE, "Users");
    let table = if found.is_empty() {
        listing.empty("No users yet", "Users appear here after their first sign-in, from [[users]] in the configuration, or by New user.")
    } else {
        let rows = found.into_iter().map(|user| {
            Row::new(vec![
                Cell::link(&user.email, context.path(&path(&user.id))),
                Cell::text(user.name.unwrap_or_default()),
                Cell::text(user.organizations.len().to_string()),
                Cell::code(user.id),
                Cell::time_or_never(user.last_sign_in_at),
            ])
        });
        let columns = &["Email", "Name", "Organizations", "ID", "Last sign-in"];
        Block::Table(Table { columns, rows: rows.collect() })
    };
    page.search = Some(listing.search(context, HERE, "Email, name or external ID"));
    page.new = Some(("New user", context.path("/dashboard/users/new")));
    page.sections = vec![Section::new("", vec![table, pager])];
    Ok(super::show(page))
}

/// `GET /dashboard/users/new`
async fn new(request: HttpRequest, DashboardContext(context): DashboardContext) -> HttpResponse {
    super::show(new_page(&context, &request, &FormState::default()))
}

fn new_page(context: &Context, request: &HttpRequest, form_state: &FormState) -> Page {
    let mut fields = user_fields(form_state, None);
    let organizations = form_state.long(USER, "organizations", "Organizations", "");
    fields.push(organizations.hint("IDs or external IDs, one per line. No email is sent."));
    let body = json!({ "email": "jane@example.com", "name": "Jane Doe" });
    let form = Form::post("New user", context.path(HERE), fields, "Create");
    let form = form.curl_json(context, "POST", "/users", &body);
    let mut page = form_page(context, request, HERE, ("Users", HERE), form);
    page.problem = form_state.rest(NAMES);
    page
}

fn user_fields(form_state: &FormState, user: Option<&User>) -> Vec<Field> {
    let of = |text: fn(&User) -> Option<&String>| user.and_then(text).cloned().unwrap_or_default();
    let email = user.map(|user| user.email.as_str()).unwrap_or_default();
    vec![
        form_state.text(USER, "email", "Email address", email),
        form_state.text(USER, "name", "Full name", of(|u| u.profile.name.as_ref())),
        form_state.text(USER, "given_name", "Given name", of(|u| u.profile.given_name.as_ref())),
        form_state.text(USER, "family_name", "Family name", of(|u| u.profile.family_name.as_ref())),
        form_state
            .text(USER, "external_id", "External ID", of(|u| u.external_id.as_ref()))
            .hint("Your own ID, in tokens as xuid."),
        form_state.text(USER, "picture", "Picture URL", of(|u| u.profile.picture.as_ref())),
        form_state.text(USER, "locale", "Language", of(|u| u.profile.locale.as_ref())).hint("Such as en."),
    ]
}

/// What is filled in, in the words of Scalekit's API, which cannot change the address.
fn shown(user: &User) -> Value {
    let profile = [
        ("name", &user.profile.name),
        ("given_name", &user.profile.given_name),
        ("family_name", &user.profile.family_name),
        ("picture", &user.profile.picture),
        ("locale", &user.profile.locale),
    ];
    let profile = profile.into_iter().filter_map(|(name, text)| Some((name, text.as_deref()?)));
    json!({ "external_id": user.external_id, "user_profile": profile.collect::<BTreeMap<_, _>>() })
}

/// The form in the words of the configuration, without memberships.
fn patch(params: &Parameters) -> Value {
    let text = |name| match one(params, name) {
        "" => Value::Null,
        text => text.into(),
    };
    json!({
        "email": one(params, "email"),
        "name": text("name"),
        "given_name": text("given_name"),
        "family_name": text("family_name"),
        "external_id": text("external_id"),
        "picture": text("picture"),
        "locale": text("locale"),
    })
}

/// What Scalekit's API takes at most, and the configuration does not ask.
fn check_lengths(params: &Parameters) -> Result<(), ControlError> {
    let mut reader = FormReader::new(params);
    for (name, most) in [("given_name", 255), ("family_name", 255), ("picture", 2048)] {
        reader.text(name, most);
    }
    reader.finish()
}

/// `POST /dashboard/users`
async fn create(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    let created = async {
        check_lengths(&params)?;
        let mut fields = patch(&params);
        fields["organizations"] = lines(one(&params, "organizations")).into();
        seed::create_user(&context, fields).await
    };
    match created.await {
        Ok(made) => Ok(redirect_with_flash(&context, &path(&made.id), "created")),
        Err(refused) => show_again(&request, (USER, &params), refused, |form_state| {
            new_page(&context, &request, form_state)
        }),
    }
}

/// `GET /dashboard/users/{id}`
async fn show(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
) -> PageResult {
    Ok(super::show(user_page(&context, &request, &id, &FormState::default()).await?))
}

async fn user_page(
    context: &Context,
    request: &HttpRequest,
    id: &str,
    form_state: &FormState,
) -> Result<Page, actix_web::Error> {
    let user = find(context, id).await.map_err(|r| error_page(request, r))?;
    let mut page = page(context, request, HERE, user.email.as_str());
    page.back = Some(("Users".to_owned(), context.path(HERE)));
    let path = context.path(&path(id));
    page.problem = form_state.rest(NAMES);
    let form = Form::post("User", path.clone(), user_fields(form_state, Some(&user)), "Save");
    let api = format!("/api/users/{id}");
    let form = form.curl_json(context, "PATCH", &api, &shown(&user)).curl_json(
        context,
        "PATCH",
        &format!("/users/{id}"),
        &json!({ "email": user.email.as_str() }),
    );
    let metadata = form_state.long(METADATA, "metadata", "Metadata", shown_texts(&user.metadata.0));
    let metadata = metadata.hint("JSON: texts by name. Your application keeps them with the user.");
    let metadata = Form::post("Metadata", format!("{path}/metadata"), vec![metadata], "Save metadata");
    let metadata = metadata.curl_json(context, "PATCH", &api, &json!({ "metadata": user.metadata.0 }));
    let end_sessions = Form::dangerous(
        "Revoke all sessions",
        format!("{path}/end-sessions"),
        "Every browser of the user asks for a code again, and applications hear of it.",
    );
    let end_sessions = end_sessions.curl(context, "POST", &format!("{api}/sessions/revoke"));
    let delete = Form::dangerous(
        "Delete this user",
        format!("{path}/delete"),
        "This ends the user's sessions and tokens.",
    );
    let delete = delete.curl(context, "DELETE", &api);
    page.sections = vec![
        Section::new("", vec![Block::Facts(facts(&user)), Block::Form(form)]),
        Section::new("Memberships", membership_blocks(context, form_state, &user)),
        Section::new("Metadata", vec![Block::Form(metadata)]),
        Section::new("More", vec![more(context, &user)]),
        Section::new("Sessions", vec![Block::Form(end_sessions)]),
        Section::new("Delete", vec![Block::Form(delete)]),
    ];
    Ok(page)
}

async fn find(context: &Context, id: &str) -> Result<User, ControlError> {
    Ok(users::find(context, &RecordKey::Id(id.to_owned())).await?)
}

fn facts(user: &User) -> Vec<Fact> {
    let time_or_never =
        |name: &str, ms: Option<i64>| ms.map_or_else(|| Fact::text(name, "Never"), |ms| Fact::time(name, ms));
    let mut facts = vec![
        Fact::code("ID", &user.id),
        Fact::time("Created", user.created_at_ms),
        time_or_never("Email verified", user.email_verified_at_ms),
        time_or_never("Last sign-in", user.last_sign_in_at_ms),
    ];
    let details = &user.profile.details;
    let texts = [
        ("Phone number", &details.phone_number),
        ("Preferred username", &details.preferred_username),
        ("Gender", &details.gender),
    ];
    facts.extend(texts.into_iter().filter_map(|(name, text)| Some(Fact::text(name, text.clone()?))));
    if !details.groups.is_empty() {
        facts.push(Fact::text("Groups", details.groups.join(", ")));
    }
    for (name, texts) in
        [("Profile metadata", &details.metadata), ("Custom attributes", &details.custom_attributes)]
    {
        if !texts.is_empty() {
            facts.push(Fact::text(name, serde_json::to_string(texts).unwrap_or_default()));
        }
    }
    facts
}

/// The organizations of a user, and a way to one more.
fn membership_blocks(context: &Context, form_state: &FormState, user: &User) -> Vec<Block> {
    let rows = user.memberships.iter().map(|membership| {
        let path = memberships::path(&membership.organization_id, &user.id);
        Row::new(vec![
            Cell::link(&membership.organization_name, context.path(&path)),
            memberships::status_cell(membership, context.now_ms()),
            Cell::text(memberships::role_names(membership)),
            Cell::time(membership.created_at_ms),
        ])
    });
    let rows: Vec<Row> = rows.collect();
    let table = if rows.is_empty() {
        let text = "Add the user to an organization below, or let the user sign up for one.";
        Block::Empty { title: "No memberships".to_owned(), text: text.to_owned() }
    } else {
        Block::Table(Table { columns: &["Organization", "Status", "Roles", "Since"], rows })
    };
    let mut fields =
        vec![form_state.text(MEMBERSHIP, "organization_id", "Organization", "").hint("ID or external ID.")];
    fields.extend(memberships::new_fields(form_state, MEMBERSHIP));
    let action = context.path(&format!("{}/memberships", path(&user.id)));
    let form = Form::post("Add to an organization", action, fields, "Add");
    let api = format!("/api/memberships/organizations/ORGANIZATION_ID/users/{}", user.id);
    let form = form.curl_json(context, "POST", &format!("{api}?send_invitation_email=true"), &json!({}));
    vec![table, Block::Form(form)]
}

fn more(context: &Context, user: &User) -> Block {
    let encoded: String = url::form_urlencoded::byte_serialize(user.email.as_str().as_bytes()).collect();
    let link = |name: &str, path: &str| (name.to_owned(), context.path(&format!("{path}{encoded}")));
    Block::Links(vec![
        link("Sessions", "/dashboard/sessions?q="),
        link("Sign-ins", "/dashboard/flows?email="),
        link("Emails", "/_emulator/inbox?to="),
    ])
}

/// The page of a user, with what is wrong in one of its forms.
async fn refused_page(
    context: &Context,
    request: &HttpRequest,
    id: &str,
    (form, params): (&'static str, &Parameters),
    refused: ControlError,
) -> PageResult {
    let form_state = redisplay(request, form, params, refused)?;
    Ok(show_refused(user_page(context, request, id, &form_state).await?))
}

/// `POST /dashboard/users/{id}`
async fn save(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    let changed = async {
        check_lengths(&params)?;
        seed::change_user(&context, &id, &patch(&params)).await
    };
    match changed.await {
        Ok(_) => Ok(redirect_with_flash(&context, &path(&id), "saved")),
        Err(refused) => refused_page(&context, &request, &id, (USER, &params), refused).await,
    }
}

/// `POST /dashboard/users/{id}/memberships`
async fn join(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    match add_membership(&context, &id, &params).await {
        Ok((organization_id, done)) => {
            Ok(redirect_with_flash(&context, &memberships::path(&organization_id, &id), done))
        }
        Err(refused) => refused_page(&context, &request, &id, (MEMBERSHIP, &params), refused).await,
    }
}

/// The organization that the user belongs to then, and the word for what was done.
async fn add_membership(
    context: &Context,
    user_id: &str,
    params: &Parameters,
) -> Result<(String, &'static str), ControlError> {
    let mut reader = FormReader::new(params);
    let named = reader.required("organization_id", 510);
    let new = memberships::read_new(&mut reader);
    reader.finish()?;
    let organization = organizations::named(context, named).await?;
    let done = memberships::done(&new);
    let key = RecordKey::Id(user_id.to_owned());
    add_member(context, &organization.id, &key, new).await?;
    Ok((organization.id, done))
}

/// `POST /dashboard/users/{id}/metadata`
async fn save_metadata(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    match change_metadata(&context, &id, &params).await {
        Ok(()) => Ok(redirect_with_flash(&context, &path(&id), "saved")),
        Err(refused) => refused_page(&context, &request, &id, (METADATA, &params), refused).await,
    }
}

async fn change_metadata(context: &Context, id: &str, params: &Parameters) -> Result<(), ControlError> {
    let user = find(context, id).await?;
    let mut reader = FormReader::new(params);
    let metadata = reader.texts_by_name("metadata", &memberships::METADATA_LIMITS);
    reader.keep_filled("metadata", !user.metadata.is_empty(), !metadata.is_empty());
    reader.finish()?;
    let change = UserChange { metadata, ..UserChange::default() };
    users::update(context, &RecordKey::Id(user.id), change).await?;
    Ok(())
}

/// `POST /dashboard/users/{id}/end-sessions`
async fn end_sessions(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
) -> PageResult {
    user_sessions::revoke_all(&context, &id).await.map_err(|r| error_page(&request, r.into()))?;
    Ok(redirect_with_flash(&context, &path(&id), "all_ended"))
}

/// `POST /dashboard/users/{id}/delete`
async fn delete(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
) -> PageResult {
    let deleted = users::delete(&context, &RecordKey::Id(id.into_inner())).await;
    deleted.map_err(|refused| error_page(&request, refused.into()))?;
    Ok(redirect_with_flash(&context, HERE, "deleted"))
}
