//! Every setting that can change while the server runs, a form for each section of the configuration.

use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::blocks::{Block, Form, FormState, Page, Section, hidden};
use super::setting_fields::{field, patch};
use super::{
    DashboardContext, PageResult, Posted, error_page, form_params, one, page, redirect_with_flash, redisplay,
    show_refused,
};
use crate::runtime::Context;
use crate::service::changes::ControlError;
use crate::service::settings::{self, Facts};

/// The parameter that says which form it is.
const SECTION: &str = "section";

/// The form of the settings without a table.
const TOP_LEVEL: &str = "general";

/// The changeable settings of a section: a form of their own.
struct Group {
    name: &'static str,
    about: Option<&'static str>,
    settings: Vec<&'static Facts>,
}

fn groups() -> impl Iterator<Item = Group> {
    let groups = settings::sections().iter().map(|section| {
        let settings = section.settings.iter().filter(|s| s.is_changeable()).collect();
        match section.table {
            "" => Group { name: TOP_LEVEL, about: None, settings },
            table => Group { name: table, about: Some(section.about), settings },
        }
    });
    groups.filter(|group| !group.settings.is_empty())
}

/// `GET /dashboard/settings`
pub async fn show(request: HttpRequest, DashboardContext(context): DashboardContext) -> HttpResponse {
    super::show(build_page(&context, &request, &FormState::default()))
}

fn build_page(context: &Context, request: &HttpRequest, form_state: &FormState) -> Page {
    let mut page = page(context, request, "/dashboard/settings", "Settings");
    let text = "Settings that can change while the server runs, under their names in the configuration file. A change \
                holds for this environment alone.";
    page.lead = Some(text.to_owned());
    page.reset = Some(context.path("/dashboard/settings/reset"));
    let configured = settings::configured(context);
    for group in groups() {
        let mut fields = vec![hidden(SECTION, group.name)];
        fields.extend(group.settings.iter().map(|setting| {
            let (_, label) = setting.table_and_name();
            field(form_state, group.name, (&context.environment, configured.as_ref()), setting, label, &[])
        }));
        let form = Form::post(group.name, context.path("/dashboard/settings"), fields, "Save");
        let saved = patch(&form.submitted(), &context.environment, group.settings.iter().copied());
        let form = form.curl_json(context, "PATCH", "/settings", &saved);
        let about = group.about.map(|about| Block::Text(about.to_owned()));
        page.sections.push(Section::new(group.name, about.into_iter().chain([Block::Form(form)]).collect()));
    }
    page
}

/// `POST /dashboard/settings`
pub async fn save(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    let Some(group) = groups().find(|group| group.name == one(&params, SECTION)) else {
        let mut page = build_page(&context, &request, &FormState::default());
        page.problem = Some("There is no such section.".to_owned());
        return Ok(show_refused(page));
    };
    let names: Vec<&str> = group.settings.iter().map(|setting| setting.table_and_name().1).collect();
    match settings::change(&context, &patch(&params, &context.environment, group.settings.into_iter())).await
    {
        Ok(_) => Ok(redirect_with_flash(&context, "/dashboard/settings", "saved")),
        Err(refused) => {
            let form_state = redisplay(&request, group.name, &params, refused)?;
            let mut page = build_page(&context, &request, &form_state);
            page.problem = form_state.rest(&names);
            Ok(show_refused(page))
        }
    }
}

/// `POST /dashboard/settings/reset`: one setting is again as it is configured.
pub async fn reset(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    let Some(setting) = settings::find(one(&params, "key")).filter(|setting| setting.is_changeable()) else {
        return Err(error_page(&request, ControlError::field("key", "is no setting that can be reset")));
    };
    let patch = match setting.table_and_name() {
        ("", name) => json!({ name: Value::Null }),
        (table, name) => json!({ table: { name: Value::Null } }),
    };
    settings::change(&context, &patch).await.map_err(|refused| error_page(&request, refused))?;
    let path =
        if one(&params, "at") == "/dashboard/methods" { "/dashboard/methods" } else { "/dashboard/settings" };
    Ok(redirect_with_flash(&context, path, "configured"))
}
