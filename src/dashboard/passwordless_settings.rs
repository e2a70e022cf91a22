//! Settings of the sign-in method, worded as Scalekit's panel.

use actix_web::{HttpRequest, HttpResponse};

use super::blocks::{Block, Fact, Form, FormState, Page, Section};
use super::setting_fields::{field, patch};
use super::{
    DashboardContext, PageResult, Posted, form_params, page, redirect_with_flash, redisplay, show_refused,
};
use crate::runtime::Context;
use crate::service::settings::{self, Facts};

const FORM: &str = "methods";

/// Settings on the form, with their labels: Scalekit's where its panel has them.
const FIELDS: &[(&str, &str)] = &[
    ("passwordless.enabled", "Magic link & OTP"),
    ("passwordless.type", "Passwordless method"),
    ("passwordless.validity_s", "Expiry period, in seconds"),
    ("passwordless.enforce_same_browser_origin", "Enforce same browser origin"),
    ("passwordless.regenerate_passwordless_credentials_on_resend", "Issue new credentials on resend"),
    ("passwordless.code_length", "Code length"),
    ("passwordless.sign_up_allowed", "Allow sign-up"),
    ("limits.code_attempts", "Code attempts per sign-in"),
    ("limits.code_attempts_window_s", "per (seconds)"),
    ("limits.mails_per_address", "Emails per address"),
    ("limits.mails_window_s", "per (seconds)"),
    ("tokens.user_management", "Full-stack tokens"),
    ("demo", "Demo"),
];

/// Scalekit's names of what `passwordless.type` may be.
const METHODS: &[(&str, &str)] =
    &[("OTP", "Verification code"), ("LINK", "Magic link"), ("LINK_OTP", "Magic link + verification code")];

fn fields() -> impl Iterator<Item = (&'static Facts, &'static str)> {
    FIELDS.iter().filter_map(|(key, label)| Some((settings::find(key)?, *label)))
}

/// `GET /dashboard/methods`
pub async fn show(request: HttpRequest, DashboardContext(context): DashboardContext) -> HttpResponse {
    super::show(build_page(&context, &request, &FormState::default()))
}

fn build_page(context: &Context, request: &HttpRequest, form_state: &FormState) -> Page {
    let mut page = page(context, request, "/dashboard/methods", "Sign-in method");
    let names: Vec<&str> = fields().map(|(setting, _)| setting.table_and_name().1).collect();
    page.problem = form_state.rest(&names);
    page.reset = Some(context.path("/dashboard/settings/reset"));
    let configured = settings::configured(context);
    let fields = fields()
        .map(|(setting, label)| {
            field(form_state, FORM, (&context.environment, configured.as_ref()), setting, label, METHODS)
        })
        .collect();
    let form = Form::post("Settings", context.path("/dashboard/methods"), fields, "Save");
    let saved = patch(&form.submitted(), &context.environment, self::fields().map(|(setting, _)| setting));
    let form = form.curl_json(context, "PATCH", "/settings", &saved);
    page.sections = vec![
        Section::new("Settings", vec![Block::Form(form)]),
        Section::new("Same settings in Scalekit's dashboard", vec![Block::Facts(clicks(context))]),
    ];
    page
}

/// What to click for an environment of Scalekit's that behaves like this one.
fn clicks(context: &Context) -> Vec<Fact> {
    let settings = &context.environment.passwordless;
    let switch = |on: bool| if on { "on" } else { "off" };
    let is_set = |(word, _): &&(&str, &str)| *word == settings.passwordless_type.as_str();
    let method = METHODS.iter().find(is_set).map_or("", |(_, name)| *name);
    vec![
        Fact::text("Authentication, Auth methods", format!("Magic link & OTP {}", switch(settings.enabled))),
        Fact::text("Passwordless method", method),
        Fact::text("Expiry period", format!("{} seconds", settings.validity_s)),
        Fact::text("Enforce same browser origin", switch(settings.enforce_same_browser_origin)),
        Fact::text(
            "Issue new credentials on resend",
            switch(settings.regenerate_passwordless_credentials_on_resend),
        ),
    ]
}

/// `POST /dashboard/methods`
pub async fn save(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    let patch = patch(&params, &context.environment, fields().map(|(setting, _)| setting));
    match settings::change(&context, &patch).await {
        Ok(_) => Ok(redirect_with_flash(&context, "/dashboard/methods", "saved")),
        Err(refused) => {
            let form_state = redisplay(&request, FORM, &params, refused)?;
            Ok(show_refused(build_page(&context, &request, &form_state)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_a_setting_that_can_change() {
        assert_eq!(fields().count(), FIELDS.len());
        assert!(fields().all(|(setting, _)| setting.is_changeable()));
        let types = settings::find("passwordless.type").unwrap();
        assert_eq!(types.words, METHODS.iter().map(|(word, _)| *word).collect::<Vec<_>>());
    }
}
