//! Organizations, with their settings. What belongs to one has pages of its own: members, roles, domains, clients, tokens.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::blocks::{Block, Cell, Fact, Field, Form, FormState, Page, Row, Section, Table};
use super::form_reader::{FormReader, shown_texts};
use super::listing::Listing;
use super::{
    DashboardContext, PageResult, Posted, endpoint, error_page, form_page, form_params, page,
    redirect_with_flash, redisplay, show_again, show_refused,
};
use crate::domain::authorization::Parameters;
use crate::domain::metadata::MetadataLimits;
use crate::domain::organization::{
    Feature, Organization, OrganizationChange, Region, SessionPolicyChange, TimeUnit, Timeout, bad_slug,
};
use crate::domain::record_key::RecordKey;
use crate::runtime::Context;
use crate::service::api::ApiRefusal;
use crate::service::changes::ControlError;
use crate::service::organizations::{self, NewOrganization};

pub const HERE: &str = "/dashboard/organizations";

const ORGANIZATION: &str = "organization";
const SESSION_POLICY: &str = "session_policy";
const SETTINGS: &str = "settings";

/// Fields of the forms.
const NAMES: &[&str] = &[
    "display_name",
    "external_id",
    "slug",
    "logo_url",
    "metadata",
    "region_code",
    "policy_source",
    "absolute_session_timeout",
    "idle_session_timeout",
    "max_allowed_users",
];

/// Whose policy the sessions of an organization follow.
const POLICY_SOURCES: [(&str, &str); 2] =
    [("APPLICATION", "As the application"), ("CUSTOM", "Its own, below")];

pub fn routes(config: &mut web::ServiceConfig) {
    const ORGANIZATION_PAGE: &str = "/dashboard/organizations/{id}";
    config
        .service(endpoint("/organizations").get(list).post(create).end())
        .service(endpoint("/organizations/new").get(new).end())
        .service(endpoint("/organizations/{id}").get(show).post(save).end())
        .service(
            endpoint("/organizations/{id}/session-policy")
                .post(save_session_policy)
                .shown_at(ORGANIZATION_PAGE)
                .end(),
        )
        .service(
            endpoint("/organizations/{id}/settings").post(save_settings).shown_at(ORGANIZATION_PAGE).end(),
        )
        .service(endpoint("/organizations/{id}/delete").post(delete).shown_at(HERE).end());
}

/// Where the page of an organization is.
pub fn path(id: &str) -> String {
    format!("{HERE}/{id}")
}

/// An organization by its ID.
pub async fn find(context: &Context, id: &str) -> Result<Organization, ControlError> {
    Ok(organizations::find(context, &RecordKey::Id(id.to_owned())).await?)
}

/// The organization of this ID or external ID, which a form asked for as `organization_id`.
pub async fn named(context: &Context, text: &str) -> Result<Organization, ControlError> {
    for key in [RecordKey::Id(text.to_owned()), RecordKey::ExternalId(text.to_owned())] {
        match organizations::find(context, &key).await {
            Ok(found) => return Ok(found),
            Err(ApiRefusal::Refused(_)) => {}
            Err(failure) => return Err(failure.into()),
        }
    }
    Err(ControlError::field("organization_id", "is neither ID nor external ID of an organization"))
}

/// The list behind a tab of an organization, with a button that leads to the form for something new.
pub fn list_page_of(
    context: &Context,
    request: &HttpRequest,
    organization: &Organization,
    (title, tab): (&str, &str),
    new: &'static str,
    list: [Block; 2],
) -> Page {
    let mut page = page(context, request, HERE, title);
    page.new = Some((new, context.path(&format!("{}/{tab}/new", path(&organization.id)))));
    let blocks = std::iter::once(tabs(context, organization, tab)).chain(list);
    page.sections = vec![Section::new("", blocks.collect())];
    page
}

/// The page of a form for something that belongs to an organization: the list, by name and path, shows it then. `problem` is
/// what was wrong and is no field's fault.
pub async fn form_page_of(
    context: &Context,
    request: &HttpRequest,
    id: &str,
    list: (&str, &str),
    form: Form,
    problem: Option<String>,
) -> Result<Page, actix_web::Error> {
    let organization = find(context, id).await.map_err(|r| error_page(request, r))?;
    let mut page = form_page(context, request, HERE, list, form);
    page.lead = Some(format!("For {}.", organization.display_name));
    page.problem = problem;
    Ok(page)
}

/// The pages of an organization, of which `current` is open.
pub fn tabs(context: &Context, organization: &Organization, current: &str) -> Block {
    let path = context.path(&path(&organization.id));
    let pages = [
        ("Members", "members"),
        ("Roles", "roles"),
        ("Domains", "domains"),
        ("M2M clients", "clients"),
        ("API tokens", "tokens"),
    ];
    let mut tabs = vec![(organization.display_name.clone(), path.clone(), current.is_empty())];
    tabs.extend(pages.map(|(name, last)| (name.to_owned(), format!("{path}/{last}"), last == current)));
    Block::Tabs { name: organization.display_name.clone(), tabs }
}

/// `GET /dashboard/organizations`
async fn list(request: HttpRequest, DashboardContext(context): DashboardContext) -> PageResult {
    let (context, request) = (&context, &request);
    let listing = Listing::of(request);
    let found = organizations::listed(context, &listing.filter()).await;
    let mut found = found.map_err(|failure| error_page(request, failure.into()))?;
    let pager = listing.pager(context, HERE, &mut found);
    let mut page = page(context, request, HERE, "Organizations");
    let table = if found.is_empty() {
        listing.empty("No organizations yet", "An organization is a customer of your application. With full-stack tokens, every sign-up creates one.")
    } else {
        let rows = found.into_iter().map(|listed| {
            let organization = listed.organization;
            Row::new(vec![
                Cell::link(organization.display_name, context.path(&path(&organization.id))),
                Cell::code(organization.id),
                Cell::text(organization.external_id.unwrap_or_default()),
                Cell::text(listed.members.to_string()),
            ])
        });
        Block::Table(Table { columns: &["Name", "ID", "External ID", "Members"], rows: rows.collect() })
    };
    page.search = Some(listing.search(context, HERE, "Name or external ID"));
    page.new = Some(("New organization", context.path("/dashboard/organizations/new")));
    page.sections = vec![Section::new("", vec![table, pager])];
    Ok(super::show(page))
}

/// `GET /dashboard/organizations/new`
async fn new(request: HttpRequest, DashboardContext(context): DashboardContext) -> HttpResponse {
    super::show(new_page(&context, &request, &FormState::default()))
}

fn new_page(context: &Context, request: &HttpRequest, form_state: &FormState) -> Page {
    let mut fields = organization_fields(form_state, None);
    let regions = [Region::Us, Region::Eu].map(|region| (region.as_str(), region.as_str()));
    fields.push(form_state.choice(
        ORGANIZATION,
        "region_code",
        "Region",
        Region::default().as_str(),
        &regions,
    ));
    let form = Form::post("New organization", context.path(HERE), fields, "Create");
    let body = json!({ "display_name": "Acme", "external_id": "acme-1" });
    let form = form.curl_json(context, "POST", "/api/organizations", &body);
    let mut page = form_page(context, request, HERE, ("Organizations", HERE), form);
    page.problem = form_state.rest(NAMES);
    page
}

fn organization_fields(form_state: &FormState, organization: Option<&Organization>) -> Vec<Field> {
    let of =
        |text: fn(&Organization) -> Option<&String>| organization.and_then(text).cloned().unwrap_or_default();
    let metadata = organization.map(|o| shown_texts(&o.metadata.0)).unwrap_or_default();
    vec![
        form_state.text(ORGANIZATION, "display_name", "Name", of(|o| Some(&o.display_name))),
        form_state
            .text(ORGANIZATION, "external_id", "External ID", of(|o| o.external_id.as_ref()))
            .hint("Your own ID, in tokens as xoid."),
        form_state
            .text(ORGANIZATION, "slug", "Slug", of(|o| o.slug.as_ref()))
            .hint("A name in URLs and hosts, such as acme."),
        form_state
            .text(ORGANIZATION, "logo_url", "Logo URL", of(|o| o.logo_url.as_ref()))
            .hint("https alone."),
        form_state
            .long(ORGANIZATION, "metadata", "Metadata", metadata)
            .hint("JSON: up to 10 texts by name. Your application keeps them with the organization."),
    ]
}

/// The form of an organization. Empty fields are emptied.
fn read_change(reader: &mut FormReader<'_>) -> OrganizationChange {
    OrganizationChange {
        display_name: Some(reader.required("display_name", 200).to_owned()),
        external_id: Some(reader.text("external_id", usize::MAX).to_owned()),
        slug: Some(reader.optional("slug", bad_slug).to_owned()),
        logo_url: Some(reader.text("logo_url", 1024).to_owned()),
        metadata: Some(reader.texts_by_name("metadata", &MetadataLimits::ORGANIZATION)),
    }
}

/// `POST /dashboard/organizations`
async fn create(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    match create_organization(&context, &params).await {
        Ok(made) => Ok(redirect_with_flash(&context, &path(&made.id), "created")),
        Err(refused) => show_again(&request, (ORGANIZATION, &params), refused, |form_state| {
            new_page(&context, &request, form_state)
        }),
    }
}

async fn create_organization(context: &Context, params: &Parameters) -> Result<Organization, ControlError> {
    let mut reader = FormReader::new(params);
    let fields = read_change(&mut reader);
    let region = reader.text("region_code", 2);
    let region = if region.is_empty() { Some(Region::default()) } else { Region::parse(region) };
    if region.is_none() {
        reader.refuse("region_code", "is no region");
    }
    reader.finish()?;
    let new = NewOrganization { region: region.unwrap_or_default(), fields };
    Ok(organizations::create(context, new).await?)
}

/// `GET /dashboard/organizations/{id}`
async fn show(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
) -> PageResult {
    Ok(super::show(organization_page(&context, &request, &id, &FormState::default()).await?))
}

async fn organization_page(
    context: &Context,
    request: &HttpRequest,
    id: &str,
    form_state: &FormState,
) -> Result<Page, actix_web::Error> {
    let organization = find(context, id).await.map_err(|r| error_page(request, r))?;
    let mut page = page(context, request, HERE, &organization.display_name);
    page.back = Some(("Organizations".to_owned(), context.path(HERE)));
    page.problem = form_state.rest(NAMES);
    let path = context.path(&path(id));
    let facts = vec![
        Fact::code("ID", &organization.id),
        Fact::text("Region", organization.region.as_str()),
        Fact::time("Created", organization.created_at_ms),
        Fact::time("Changed", organization.updated_at_ms),
    ];
    let fields = organization_fields(form_state, Some(&organization));
    let api = format!("/api/organizations/{id}");
    let form = Form::post("Organization", path.clone(), fields, "Save");
    let form = form.curl_json(context, "PATCH", &api, &shown(&organization));
    let delete = Form::dangerous(
        "Delete this organization",
        format!("{path}/delete"),
        "Its members are kept. Sessions in it end.",
    );
    let delete = delete.curl(context, "DELETE", &api);
    page.sections = vec![
        Section::new("", vec![tabs(context, &organization, ""), Block::Facts(facts)]),
        Section::new("Organization", vec![Block::Form(form)]),
        Section::new(
            "Session policy",
            vec![Block::Form(session_policy_form(context, form_state, &organization))],
        ),
        Section::new("Settings", vec![Block::Form(settings_form(context, form_state, &organization))]),
        Section::new("Delete", vec![Block::Form(delete)]),
    ];
    Ok(page)
}

/// An organization in the words of the API that changes it.
fn shown(organization: &Organization) -> Value {
    json!({
        "display_name": organization.display_name,
        "external_id": organization.external_id,
        "slug": organization.slug,
        "logo_url": organization.logo_url,
        "metadata": organization.metadata.0,
    })
}

fn session_policy_form(context: &Context, form_state: &FormState, organization: &Organization) -> Form {
    let path = context.path(&path(&organization.id));
    let policy = organization.session_policy;
    let minutes = |minutes: Option<i64>| minutes.map(|minutes| minutes.to_string()).unwrap_or_default();
    let source = if policy.is_some() { "CUSTOM" } else { "APPLICATION" };
    let fields = vec![
        form_state.choice(SESSION_POLICY, "policy_source", "Sessions last", source, &POLICY_SOURCES),
        form_state
            .number(
                SESSION_POLICY,
                "absolute_session_timeout",
                "Absolute timeout (minutes)",
                minutes(policy.map(|policy| policy.absolute_timeout_min)),
            )
            .hint("A session ends then, however much it is used."),
        form_state
            .number(
                SESSION_POLICY,
                "idle_session_timeout",
                "Idle timeout (minutes)",
                minutes(policy.and_then(|policy| policy.idle_timeout_min)),
            )
            .hint("A session that is not used ends after it. Leave empty for none."),
    ];
    let mut body = json!({ "policy_source": source });
    if let Some(policy) = policy {
        body["absolute_session_timeout"] = policy.absolute_timeout_min.into();
        body["absolute_session_timeout_unit"] = "MINUTES".into();
        body["idle_session_timeout_enabled"] = policy.idle_timeout_min.is_some().into();
        body["idle_session_timeout"] = policy.idle_timeout_min.into();
        body["idle_session_timeout_unit"] = "MINUTES".into();
    }
    let api = format!("/api/organizations/{}/session-policy", organization.id);
    Form::post("Session policy", format!("{path}/session-policy"), fields, "Save session policy")
        .curl_json(context, "PATCH", &api, &body)
}

fn settings_form(context: &Context, form_state: &FormState, organization: &Organization) -> Form {
    let path = context.path(&path(&organization.id));
    let most = organization.max_allowed_users.map(|most| most.to_string()).unwrap_or_default();
    let mut fields =
        vec![form_state.number(SETTINGS, "max_allowed_users", "Most users", most).hint("0 is no limit.")];
    fields.extend(Feature::ALL.map(|feature| {
        let is_enabled = organization.features.is_enabled(feature);
        form_state.check(SETTINGS, feature.as_str(), feature_label(feature), is_enabled)
    }));
    let api = format!("/api/organizations/{}/settings", organization.id);
    let features = Feature::ALL.map(
        |feature| json!({ "name": feature.as_str(), "enabled": organization.features.is_enabled(feature) }),
    );
    let most =
        json!({ "settings": { "max_allowed_users": organization.max_allowed_users.unwrap_or_default() } });
    Form::post("Settings", format!("{path}/settings"), fields, "Save settings")
        .curl_json(context, "PATCH", &api, &json!({ "features": features }))
        .curl_json(context, "PATCH", &format!("{api}/usermanagement"), &most)
}

fn feature_label(feature: Feature) -> &'static str {
    match feature {
        Feature::Sso => "Feature: single sign-on",
        Feature::DirSync => "Feature: directory sync",
        Feature::DomainVerification => "Feature: domain verification",
        Feature::SessionPolicy => "Feature: session policy",
    }
}

/// Leads back to the organization's page, which says what is wrong in one of its forms.
async fn saved_or_refused(
    context: &Context,
    request: &HttpRequest,
    id: &str,
    (form, params): (&'static str, &Parameters),
    outcome: Result<(), ControlError>,
) -> PageResult {
    match outcome {
        Ok(()) => Ok(redirect_with_flash(context, &path(id), "saved")),
        Err(refused) => {
            let form_state = redisplay(request, form, params, refused)?;
            Ok(show_refused(organization_page(context, request, id, &form_state).await?))
        }
    }
}

/// `POST /dashboard/organizations/{id}`
async fn save(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    let saved = async {
        let mut reader = FormReader::new(&params);
        let change = read_change(&mut reader);
        reader.finish()?;
        organizations::update(&context, &RecordKey::Id(id.to_string()), change).await?;
        Ok(())
    };
    saved_or_refused(&context, &request, &id, (ORGANIZATION, &params), saved.await).await
}

/// `POST /dashboard/organizations/{id}/session-policy`
async fn save_session_policy(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    let saved = async {
        let change = read_session_policy(&params)?;
        organizations::set_session_policy(&context, &RecordKey::Id(id.to_string()), change).await?;
        Ok(())
    };
    saved_or_refused(&context, &request, &id, (SESSION_POLICY, &params), saved.await).await
}

/// `None`: as the application.
fn read_session_policy(params: &Parameters) -> Result<Option<SessionPolicyChange>, ControlError> {
    let mut reader = FormReader::new(params);
    if reader.text("policy_source", 20) == "APPLICATION" {
        return Ok(None);
    }
    let minutes = |amount| Timeout { amount, unit: Some(TimeUnit::Minutes) };
    let absolute = reader.number("absolute_session_timeout");
    let idle = reader.number("idle_session_timeout");
    reader.finish()?;
    if absolute.is_none() {
        // An API call would leave the one that was there.
        return Err(ControlError::field("absolute_session_timeout", "is required"));
    }
    Ok(Some(SessionPolicyChange {
        absolute_timeout: absolute.map(minutes),
        is_idle_timeout_enabled: Some(idle.is_some()),
        idle_timeout: idle.map(minutes),
    }))
}

/// `POST /dashboard/organizations/{id}/settings`
async fn save_settings(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    let saved = async {
        let mut reader = FormReader::new(&params);
        let most = reader.number("max_allowed_users");
        let features = Feature::ALL.map(|f| (f.as_str().to_owned(), reader.is_checked(f.as_str())));
        let key = RecordKey::Id(id.to_string());
        let had_limit = find(&context, &id).await?.max_allowed_users.is_some();
        reader.keep_filled("max_allowed_users", had_limit, most.is_some());
        reader.finish()?;
        organizations::set_features(&context, &key, &features).await?;
        organizations::set_max_allowed_users(&context, &key, most).await?;
        Ok(())
    };
    saved_or_refused(&context, &request, &id, (SETTINGS, &params), saved.await).await
}

/// `POST /dashboard/organizations/{id}/delete`
async fn delete(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
) -> PageResult {
    let deleted = organizations::delete_and_keep_members(&context, &RecordKey::Id(id.into_inner())).await;
    deleted.map_err(|refused| error_page(&request, refused.into()))?;
    Ok(redirect_with_flash(&context, HERE, "deleted"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(source: &str, absolute: &str, idle: &str) -> Result<Option<SessionPolicyChange>, String> {
        let fields = [
            ("policy_source", source),
            ("absolute_session_timeout", absolute),
            ("idle_session_timeout", idle),
        ];
        let params = Parameters::new(fields.map(|(name, text)| (name.to_owned(), text.to_owned())).to_vec());
        read_session_policy(&params).map_err(|error| error.to_string())
    }

    #[test]
    fn a_session_policy_is_read_in_minutes_and_an_empty_idle_timeout_switches_it_off() {
        let minutes = |amount| Some(Timeout { amount, unit: Some(TimeUnit::Minutes) });
        assert_eq!(policy("APPLICATION", "nonsense", ""), Ok(None), "what is not used is not read");
        let both = SessionPolicyChange {
            absolute_timeout: minutes(60),
            is_idle_timeout_enabled: Some(true),
            idle_timeout: minutes(10),
        };
        assert_eq!(policy("CUSTOM", "60", "10"), Ok(Some(both)));
        let absolute =
            SessionPolicyChange { is_idle_timeout_enabled: Some(false), idle_timeout: None, ..both };
        assert_eq!(policy("CUSTOM", "60", ""), Ok(Some(absolute)));
        for (absolute, idle, field) in
            [("", "10", "absolute_"), ("1h", "", "absolute_"), ("60", "-1", "idle_")]
        {
            let refused = policy("CUSTOM", absolute, idle).unwrap_err();
            assert!(refused.starts_with(field), "{refused}");
        }
    }
}
