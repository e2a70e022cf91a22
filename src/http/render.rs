//! From a view to a response, with the headers every page carries.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, web};
use askama::Template;

use super::selector::{InEnvironment, selector};
use super::views::Layout;
use crate::domain::client::Client;
use crate::domain::language::Language;
use crate::domain::settings::Branding;
use crate::runtime::{Context, EnvironmentRegistry};

/// What the HTML part of an email may do in a browser: nothing but open its links.
pub const EMAIL_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src 'none'; frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox";

/// Where a page's forms may lead, for `form-action`.
#[derive(Debug, Clone, Copy)]
pub enum FormsLead<'a> {
    /// Back to ourselves.
    Home,
    /// To an application: browsers check every redirect that follows a form, so its scheme must be allowed, and
    /// whatever web address the application redirects on to.
    ToApplication { redirect_uri: &'a str },
}

/// A page whose forms lead back here.
pub fn page(status: StatusCode, view: &impl Template) -> HttpResponse {
    page_with_forms(status, view, FormsLead::Home)
}

/// A page.
pub fn page_with_forms(status: StatusCode, view: &impl Template, forms: FormsLead<'_>) -> HttpResponse {
    let html = match view.render() {
        Ok(html) => html,
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            return HttpResponse::InternalServerError().body("Something went wrong.");
        }
    };
    let mut response = HttpResponse::build(status);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.insert_header((header::RETRY_AFTER, "1"));
    }
    response
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, policy(forms)))
        .insert_header((header::X_FRAME_OPTIONS, "DENY"))
        // Same-origin forms keep their Origin, and no address with a token leaves the house.
        .insert_header((header::REFERRER_POLICY, "same-origin"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(html)
}

fn policy(forms: FormsLead<'_>) -> String {
    let form_action = match forms {
        FormsLead::Home => "'self'".to_owned(),
        FormsLead::ToApplication { redirect_uri } => match redirect_uri.split_once(':') {
            Some((scheme, _)) if scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) => {
                format!("'self' https: http: {scheme}:")
            }
            _ => "'self' https: http:".to_owned(),
        },
    };
    format!(
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
         frame-src 'self'; form-action {form_action}; frame-ancestors 'none'; base-uri 'none'"
    )
}

/// The frame around a page of ours, in English: dashboard, inbox, and what goes wrong before anybody is known.
pub fn layout(context: &Context, title: &str) -> Layout {
    with_environment(context, &context.environment.branding, Language::En, title)
}

/// The frame around a page that users see, in their language and the branding of the application they use, where it is known.
pub fn user_layout(
    context: &Context,
    language: Language,
    client_id: Option<&str>,
    title: impl Into<String>,
) -> Layout {
    let environment = &context.environment;
    let own = client_id.filter(|id| environment.client(id).is_some_and(Client::has_branding));
    match own {
        None => with_environment(context, &environment.branding, language, title),
        Some(client_id) => Layout {
            brand_query: format!("?client_id={}", super::path_segment(client_id)),
            ..with_environment(context, &environment.branding_of(client_id), language, title)
        },
    }
}

fn with_environment(
    context: &Context,
    branding: &Branding,
    language: Language,
    title: impl Into<String>,
) -> Layout {
    let has_inbox = !context.runtime.server.control.is_off();
    Layout {
        notice: has_inbox.then(|| super::texts::DEVELOPMENT_NOTICE.to_owned()),
        demo: context.environment.demo,
        ..Layout::new(branding, language, context.public_url.path(), title)
    }
}

/// The language of a page that belongs to no sign-in: what the application or else the browser asks for.
pub fn language(context: &Context, request: &HttpRequest, ui_locales: Option<&str>) -> Language {
    ui_locales
        .and_then(Language::of_ui_locales)
        .or_else(|| super::cookies::language(request))
        .unwrap_or(context.environment.pages.language)
}

/// The frame around a page that may be shown before the provider has started, or outside of any environment.
pub fn layout_of_request(request: &HttpRequest, language: Language, title: &str) -> Layout {
    let registry = request.app_data::<web::Data<EnvironmentRegistry>>();
    let name = request.extensions().get::<InEnvironment>().cloned();
    match registry.and_then(|p| p.context_now(selector(request, name.as_ref()))) {
        Some(context) => user_layout(&context, language, None, title),
        None => Layout::new(&Branding::default(), language, "", title),
    }
}
