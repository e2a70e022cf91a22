//! Every setting that can change while the server runs, a form for each section of the configuration.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};

use super::blocks::{Block, Form, Page, Section, Typed, hidden};
use super::setting_fields::{field, patch};
use super::{Answer, Desk, Posted, again, back, one, page, posted, show_with};
use crate::runtime::Context;
use crate::service::settings::{self, Facts};

/// The parameter that says which form it is.
const SECTION: &str = "section";

/// The form of the settings without a table.
const TOP_LEVEL: &str = "general";

/// The sections with something to change: name, what it is about, and its changeable settings.
fn sections() -> impl Iterator<Item = (&'static str, &'static str, Vec<&'static Facts>)> {
    settings::sections().iter().filter_map(|section| {
        let changeable: Vec<_> = section.settings.iter().filter(|s| s.is_changeable()).collect();
        let name = if section.table.is_empty() { TOP_LEVEL } else { section.table };
        (!changeable.is_empty() && !section.is_list).then_some((name, section.about, changeable))
    })
}

/// `GET /dashboard/settings`
pub async fn show(request: HttpRequest, Desk(context): Desk) -> HttpResponse {
    super::show(&built(&context, &request, &Typed::default()))
}

fn built(context: &Context, request: &HttpRequest, typed: &Typed) -> Page {
    let mut page = page(context, request, "/dashboard/settings", "Settings");
    let text = "What can change while the server runs, by the names of the configuration file. Changes are for this \
                environment alone.";
    page.lead = Some(text.to_owned());
    for (name, about, settings) in sections() {
        let mut fields = vec![hidden(SECTION, name)];
        fields.extend(settings.iter().map(|setting| {
            let (_, label) = setting.table_and_name();
            field(typed, name, &context.environment, setting, label, &[])
        }));
        let form = Form::post(name, context.path("/dashboard/settings"), fields, "Save");
        page.sections.push(Section::new(name, vec![Block::Text(about.to_owned()), Block::Form(form)]));
    }
    page
}

/// `POST /dashboard/settings`
pub async fn save(request: HttpRequest, Desk(context): Desk, form: Posted) -> Answer {
    let params = posted(&request, form)?;
    let named = one(&params, SECTION);
    let Some((form, _, settings)) = sections().find(|(name, ..)| *name == named) else {
        return Ok(show_with(StatusCode::BAD_REQUEST, &built(&context, &request, &Typed::default())));
    };
    let names: Vec<&str> = settings.iter().map(|setting| setting.table_and_name().1).collect();
    match settings::change(&context, &patch(&params, settings.into_iter())).await {
        Ok(_) => Ok(back(&context, "/dashboard/settings", "saved")),
        Err(refused) => {
            let typed = again(&request, form, &params, refused)?;
            let mut page = built(&context, &request, &typed);
            page.problem = typed.rest(&names);
            Ok(show_with(StatusCode::BAD_REQUEST, &page))
        }
    }
}
