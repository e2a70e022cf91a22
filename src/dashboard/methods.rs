//! Settings of the sign-in method, worded as Scalekit's panel.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::blocks::{Block, Fact, Form, Page, Section, Typed};
use super::{Answer, Desk, Posted, again, back, one, page, posted, show_with};
use crate::domain::authorization::Parameters;
use crate::runtime::Context;
use crate::service::settings;

const FORM: &str = "methods";
const NAMES: &[&str] = &[
    "enabled",
    "type",
    "validity_s",
    "enforce_same_browser_origin",
    "regenerate_passwordless_credentials_on_resend",
    "code_length",
    "sign_up_allowed",
    "code_attempts",
    "code_attempts_window_s",
    "mails_per_address",
    "mails_window_s",
    "demo",
    "user_management",
];

/// `GET /dashboard/methods`
pub async fn show(request: HttpRequest, Desk(context): Desk) -> HttpResponse {
    super::show(&built(&context, &request, &Typed::default()))
}

fn built(context: &Context, request: &HttpRequest, typed: &Typed) -> Page {
    let mut page = page(context, request, "/dashboard/methods", "Sign-in method");
    let environment = &context.environment;
    let (settings, limits) = (&environment.passwordless, &environment.limits);
    let types = [
        ("OTP", "Verification code"),
        ("LINK", "Magic link"),
        ("LINK_OTP", "Magic link + verification code"),
    ];
    let fields = vec![
        typed.check(FORM, "enabled", "Magic link & OTP", settings.enabled).hint("Allow sign-in by email."),
        typed.choice(FORM, "type", "Passwordless method", settings.passwordless_type.as_str(), &types),
        typed
            .number(FORM, "validity_s", "Expiry period, in seconds", settings.validity_s)
            .hint("60 to 3600."),
        typed
            .check(
                FORM,
                "enforce_same_browser_origin",
                "Enforce same browser origin",
                settings.enforce_same_browser_origin,
            )
            .hint("A link works only in the browser that requested it."),
        typed
            .check(
                FORM,
                "regenerate_passwordless_credentials_on_resend",
                "Issue new credentials on resend",
                settings.regenerate_passwordless_credentials_on_resend,
            )
            .hint("A resend creates a new code and link and invalidates the earlier ones."),
        typed.number(FORM, "code_length", "Code length", settings.code_length).hint("Scalekit uses 6."),
        typed.check(FORM, "sign_up_allowed", "Allow sign-up", settings.sign_up_allowed),
        typed.number(FORM, "code_attempts", "Code attempts per sign-in", limits.code_attempts),
        typed.number(FORM, "code_attempts_window_s", "per (seconds)", limits.code_attempts_window_s),
        typed
            .number(
                FORM,
                "mails_per_address",
                "Emails per address",
                limits.mails_per_address.unwrap_or_default(),
            )
            .hint("0: no limit."),
        typed.number(FORM, "mails_window_s", "per (seconds)", limits.mails_window_s),
        typed
            .check(FORM, "user_management", "Full-stack tokens", environment.tokens.user_management)
            .hint("`sub` is usr_…, with oid and sid. Otherwise it is conn_…;email."),
        typed
            .check(FORM, "demo", "Demo", environment.demo)
            .hint("Show the code on the page. No email needed."),
    ];
    page.problem = typed.rest(NAMES);
    let form = Form::post("Settings", context.path("/dashboard/methods"), fields, "Save");
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
    let method = match settings.passwordless_type.as_str() {
        "OTP" => "Verification code",
        "LINK" => "Magic link",
        _ => "Magic link + verification code",
    };
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
pub async fn save(request: HttpRequest, Desk(context): Desk, form: Posted) -> Answer {
    let params = posted(&request, form)?;
    match settings::change(&context, &patch(&params)).await {
        Ok(_) => Ok(back(&context, "/dashboard/methods", "saved")),
        Err(refused) => {
            let typed = again(&request, FORM, &params, refused)?;
            Ok(show_with(StatusCode::BAD_REQUEST, &built(&context, &request, &typed)))
        }
    }
}

/// The form in the words of the configuration. What is no number is left for the reader to refuse.
fn patch(params: &Parameters) -> Value {
    let on = |name| one(params, name) == "on";
    let number = |name| {
        let text = one(params, name);
        text.parse::<i64>().map_or_else(|_| Value::from(text), Value::from)
    };
    json!({
        "demo": on("demo"),
        "passwordless": {
            "enabled": on("enabled"),
            "type": one(params, "type"),
            "validity_s": number("validity_s"),
            "enforce_same_browser_origin": on("enforce_same_browser_origin"),
            "regenerate_passwordless_credentials_on_resend": on("regenerate_passwordless_credentials_on_resend"),
            "code_length": number("code_length"),
            "sign_up_allowed": on("sign_up_allowed"),
        },
        "tokens": { "user_management": on("user_management") },
        "limits": {
            "code_attempts": number("code_attempts"),
            "code_attempts_window_s": number("code_attempts_window_s"),
            "mails_per_address": number("mails_per_address"),
            "mails_window_s": number("mails_window_s"),
        },
    })
}
