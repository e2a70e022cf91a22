//! Users, organizations and sessions.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use serde_json::{Value, json};

use super::blocks::{Block, Cell, Fact, Form, FormState, Page, Row, Section, Table};
use super::listing::{Listing, PAGE_SIZE};
use super::{
    DashboardContext, PageResult, Posted, error_page, form_params, lines, one, page, redirect_with_flash,
    redisplay, show_with,
};
use crate::domain::authorization::Parameters;
use crate::runtime::Context;
use crate::service::people::PeopleFilter;
use crate::service::people::{self, UserView};
use crate::service::{Failure, backchannel_logout};

const USER: &str = "user";
const USER_NAMES: &[&str] =
    &["email", "name", "given_name", "family_name", "external_id", "organizations", "locale", "picture"];
const ORGANIZATION: &str = "organization";
/// Notices of ended sessions shown at most.
const LOGOUT_NOTICES: i64 = 50;

/// What a page of people asks the store for: one more than it shows, to know whether there is another.
fn filter(listing: &Listing) -> PeopleFilter {
    PeopleFilter {
        query: Some(listing.q.clone()),
        offset: i64::try_from(listing.offset).unwrap_or(i64::MAX),
        limit: i64::try_from(PAGE_SIZE + 1).unwrap_or(i64::MAX),
        ..PeopleFilter::default()
    }
}

/// `GET /dashboard/users`
pub async fn users(request: HttpRequest, DashboardContext(context): DashboardContext) -> PageResult {
    Ok(super::show(&listed_users(&context, &request, &FormState::default()).await?))
}

async fn listed_users(
    context: &Context,
    request: &HttpRequest,
    form_state: &FormState,
) -> Result<Page, actix_web::Error> {
    let path = "/dashboard/users";
    let listing = Listing::of(request);
    let mut found = people::users(context, &filter(&listing)).await.map_err(|r| error_page(request, r))?;
    let pager = listing.pager(context, path, &mut found);
    let mut page = page(context, request, path, "Users");
    let table = if found.is_empty() {
        listing.empty("No users yet", "Users appear here after their first sign-in, from [[users]] in the configuration, or from the form below.")
    } else {
        let rows = found.into_iter().map(|user| {
            Row::new(vec![
                Cell::link(&user.email, context.path(&format!("{path}/{}", user.id))),
                Cell::text(user.name.unwrap_or_default()),
                Cell::text(user.id),
                Cell::text(user.last_sign_in_at.unwrap_or_else(|| "Never".to_owned())),
            ])
        });
        Block::Table(Table { columns: &["Email", "Name", "ID", "Last sign-in"], rows: rows.collect() })
    };
    page.problem = form_state.rest(USER_NAMES);
    let form = Form::post("New user", context.path(path), user_fields(form_state, None), "Create");
    page.sections = vec![
        Section::new(
            "Users",
            vec![listing.search(context, path, "Email, name or external ID"), table, pager],
        ),
        Section::new("New user", vec![Block::Form(form)]),
    ];
    Ok(page)
}

fn user_fields(form_state: &FormState, user: Option<&UserView>) -> Vec<super::blocks::Field> {
    let text = |value: Option<&Option<String>>| value.and_then(Clone::clone).unwrap_or_default();
    vec![
        form_state.text(USER, "email", "Email address", user.map(|u| u.email.clone()).unwrap_or_default()),
        form_state.text(USER, "name", "Full name", text(user.map(|u| &u.name))),
        form_state.text(USER, "given_name", "Given name", text(user.map(|u| &u.given_name))),
        form_state.text(USER, "family_name", "Family name", text(user.map(|u| &u.family_name))),
        form_state
            .text(USER, "external_id", "External ID", text(user.map(|u| &u.external_id)))
            .hint("Your own ID, in tokens as xuid."),
        form_state
            .long(
                USER,
                "organizations",
                "Organizations",
                user.map(|u| u.organizations.join("\n")).unwrap_or_default(),
            )
            .hint("IDs or external IDs, one per line."),
    ]
}

fn user_patch(params: &Parameters) -> Value {
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
        "organizations": lines(one(params, "organizations")),
    })
}

/// `POST /dashboard/users`
pub async fn create_user(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    match people::create_user(&context, user_patch(&params)).await {
        Ok(made) => Ok(redirect_with_flash(&context, &format!("/dashboard/users/{}", made.id), "created")),
        Err(refused) => {
            let form_state = redisplay(&request, USER, &params, refused)?;
            Ok(show_with(StatusCode::BAD_REQUEST, &listed_users(&context, &request, &form_state).await?))
        }
    }
}

/// `GET /dashboard/users/{id}`
pub async fn user(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
) -> PageResult {
    Ok(super::show(&user_page(&context, &request, &id, &FormState::default()).await?))
}

async fn user_page(
    context: &Context,
    request: &HttpRequest,
    id: &str,
    form_state: &FormState,
) -> Result<Page, actix_web::Error> {
    let user = people::user(context, id).await.map_err(|r| error_page(request, r))?;
    let mut page = page(context, request, "/dashboard/users", &user.email);
    let path = context.path(&format!("/dashboard/users/{id}"));
    page.problem = form_state.rest(USER_NAMES);
    let facts = vec![
        Fact::code("ID", &user.id),
        Fact::text("Created", &user.created_at),
        Fact::text("Last sign-in", user.last_sign_in_at.clone().unwrap_or_else(|| "Never".to_owned())),
    ];
    let form = Form::post("User", path.clone(), user_fields(form_state, Some(&user)), "Save");
    let delete = Form::dangerous(
        "Delete this user",
        format!("{path}/delete"),
        "This ends the user's sessions and tokens.",
    );
    let encoded: String = url::form_urlencoded::byte_serialize(user.email.as_bytes()).collect();
    page.sections = vec![
        Section::new("", vec![Block::Facts(facts), Block::Form(form)]),
        Section::new(
            "More",
            vec![Block::Links(vec![
                ("Sessions".to_owned(), context.path(&format!("/dashboard/sessions?q={encoded}"))),
                ("Flows".to_owned(), context.path(&format!("/dashboard/flows?email={encoded}"))),
                ("Emails".to_owned(), context.path(&format!("/_emulator/inbox?to={encoded}"))),
            ])],
        ),
        Section::new("Delete", vec![Block::Form(delete)]),
    ];
    Ok(page)
}

/// `POST /dashboard/users/{id}`
pub async fn save_user(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    match people::change_user(&context, &id, &user_patch(&params)).await {
        Ok(_) => Ok(redirect_with_flash(&context, &format!("/dashboard/users/{id}"), "saved")),
        Err(refused) => {
            let form_state = redisplay(&request, USER, &params, refused)?;
            Ok(show_with(StatusCode::BAD_REQUEST, &user_page(&context, &request, &id, &form_state).await?))
        }
    }
}

/// `POST /dashboard/users/{id}/delete`
pub async fn delete_user(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
) -> PageResult {
    people::delete_user(&context, &id).await.map_err(|r| error_page(&request, r))?;
    Ok(redirect_with_flash(&context, "/dashboard/users", "deleted"))
}

/// `GET /dashboard/organizations`
pub async fn organizations(request: HttpRequest, DashboardContext(context): DashboardContext) -> PageResult {
    Ok(super::show(&listed_organizations(&context, &request, &FormState::default()).await?))
}

async fn listed_organizations(
    context: &Context,
    request: &HttpRequest,
    form_state: &FormState,
) -> Result<Page, actix_web::Error> {
    let path = "/dashboard/organizations";
    let listing = Listing::of(request);
    let mut found =
        people::organizations(context, &filter(&listing)).await.map_err(|r| error_page(request, r))?;
    let pager = listing.pager(context, path, &mut found);
    let mut page = page(context, request, path, "Organizations");
    let table = if found.is_empty() {
        listing.empty("No organizations yet", "An organization is a customer of your application. With full-stack tokens, every sign-up creates one.")
    } else {
        let rows = found.into_iter().map(|o| Row {
            action: Some(Form::dangerous(
                "Delete",
                context.path(&format!("{path}/{}/delete", o.id)),
                "Its members are kept.",
            )),
            cells: vec![
                Cell::text(o.display_name),
                Cell::text(o.id),
                Cell::text(o.external_id.unwrap_or_default()),
                Cell::text(o.members.to_string()),
            ],
        });
        Block::Table(Table {
            columns: &["Name", "ID", "External ID", "Members", "Action"],
            rows: rows.collect(),
        })
    };
    let fields = vec![
        form_state.text(ORGANIZATION, "display_name", "Name", ""),
        form_state
            .text(ORGANIZATION, "external_id", "External ID", "")
            .hint("Your own ID, in tokens as xoid."),
    ];
    page.problem = form_state.rest(&["display_name", "external_id"]);
    let form = Form::post("New organization", context.path(path), fields, "Create");
    page.sections = vec![
        Section::new("All", vec![listing.search(context, path, "Name or external ID"), table, pager]),
        Section::new("New organization", vec![Block::Form(form)]),
    ];
    Ok(page)
}

/// `POST /dashboard/organizations`
pub async fn create_organization(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    let external_id = one(&params, "external_id");
    let mut fields = json!({ "display_name": one(&params, "display_name") });
    if !external_id.is_empty() {
        fields["external_id"] = external_id.into();
    }
    match people::create_organization(&context, fields).await {
        Ok(_) => Ok(redirect_with_flash(&context, "/dashboard/organizations", "created")),
        Err(refused) => {
            let form_state = redisplay(&request, ORGANIZATION, &params, refused)?;
            Ok(show_with(
                StatusCode::BAD_REQUEST,
                &listed_organizations(&context, &request, &form_state).await?,
            ))
        }
    }
}

/// `POST /dashboard/organizations/{id}/delete`
pub async fn delete_organization(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
) -> PageResult {
    people::delete_organization(&context, &id).await.map_err(|r| error_page(&request, r))?;
    Ok(redirect_with_flash(&context, "/dashboard/organizations", "deleted"))
}

/// `GET /dashboard/sessions`
pub async fn sessions(request: HttpRequest, DashboardContext(context): DashboardContext) -> PageResult {
    let path = "/dashboard/sessions";
    let listing = Listing::of(&request);
    let mut found =
        people::sessions(&context, &filter(&listing)).await.map_err(|r| error_page(&request, r))?;
    let pager = listing.pager(&context, path, &mut found);
    let mut page = page(&context, &request, path, "Sessions");
    let table = if found.is_empty() {
        listing.empty(
            "No sessions yet",
            "A session starts with a sign-in. While it is active, that browser signs in without a code.",
        )
    } else {
        let rows = found.into_iter().map(|s| Row {
            action: s.live.then(|| {
                let action = context.path(&format!("{path}/{}/end", s.id));
                Form::dangerous("Revoke", action, "The next sign-in in that browser asks for a code again.")
            }),
            cells: vec![
                Cell::text(s.email.unwrap_or_default()),
                Cell::verdict(if s.live { "active" } else { "ended" }, s.live),
                Cell::text(s.authenticated_at),
                Cell::text(s.expires_at),
                Cell::text(s.id),
            ],
        });
        Block::Table(Table {
            columns: &["User", "Status", "Signed in", "Expires", "ID", "Action"],
            rows: rows.collect(),
        })
    };
    page.sections = vec![Section::new("All", vec![listing.search(&context, path, "Email"), table, pager])];
    page.sections.extend(logout_notices(&context).await.map_err(|f| error_page(&request, f.into()))?);
    Ok(super::show(&page))
}

/// Which applications were told of ended sessions; nothing where none wants to be told.
async fn logout_notices(context: &Context) -> Result<Option<Section>, Failure> {
    let notices = backchannel_logout::notices(context, LOGOUT_NOTICES).await?;
    if notices.is_empty() {
        return Ok(None);
    }
    let rows = notices.into_iter().map(|n| {
        Row::new(vec![
            Cell::text(n.client_id),
            Cell::verdict(n.status.as_str(), n.status == "delivered"),
            Cell::text(n.attempts.to_string()),
            Cell::text(n.last_answer.unwrap_or_default()),
            Cell::text(n.session_id),
        ])
    });
    let columns = &["Application", "Status", "Attempts", "Last response", "Session"];
    let table = Block::Table(Table { columns, rows: rows.collect() });
    Ok(Some(Section::new("Back-channel logout", vec![table])))
}

/// `POST /dashboard/sessions/{id}/end`
pub async fn end_session(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
) -> PageResult {
    people::end_session(&context, &id).await.map_err(|r| error_page(&request, r))?;
    Ok(redirect_with_flash(&context, "/dashboard/sessions", "ended"))
}
