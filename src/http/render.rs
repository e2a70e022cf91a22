//! From a view to a response, with the headers every page carries.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, web};
use askama::Template;

use super::selector::{InEnvironment, selector};
use super::views::Layout;
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

/// The frame around a page.
pub fn layout(context: &Context, title: &str) -> Layout {
    let Branding { name, logo_path, support_email, .. } = &context.environment.branding;
    let has_inbox = !context.runtime.server.control.is_off();
    Layout {
        title: title.to_owned(),
        base: context.public_url.path().to_owned(),
        brand_name: name.clone(),
        has_logo: logo_path.is_some(),
        support_email: support_email.clone(),
        notice: has_inbox.then(|| super::texts::DEVELOPMENT_NOTICE.to_owned()),
        demo: context.environment.demo,
        navigation: None,
    }
}

/// The frame around a page that may be shown before the provider has started, or outside of any environment.
pub fn layout_of_request(request: &HttpRequest, title: &str) -> Layout {
    let registry = request.app_data::<web::Data<EnvironmentRegistry>>();
    let name = request.extensions().get::<InEnvironment>().cloned();
    match registry.and_then(|p| p.context_now(selector(request, name.as_ref()))) {
        Some(context) => layout(&context, title),
        None => Layout {
            title: title.to_owned(),
            base: String::new(),
            brand_name: "Vestibule".to_owned(),
            has_logo: false,
            support_email: None,
            notice: None,
            demo: false,
            navigation: None,
        },
    }
}
