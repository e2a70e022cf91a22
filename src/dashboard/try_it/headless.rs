//! Headless passwordless, as a server of its own pages asks for it: send, resend, verify.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use serde_json::{Value, json};

use super::steps::{folded, quoted, secret_of};
use super::{EMAIL, PATH};
use crate::dashboard::blocks::{Block, Form, FormState, Page, Section, hidden};
use crate::dashboard::{
    DashboardContext, PageResult, Posted, form_params, one, page, show_refused, show_with,
};
use crate::domain::authorization::Parameters;
use crate::domain::client::Client;
use crate::domain::headless::{Credential, SendInput, Template, VerifyInput};
use crate::domain::shell::quoted as shell;
use crate::http::endpoint::endpoint;
use crate::http::params;
use crate::runtime::Context;
use crate::service::api::ApiRefusal;
use crate::service::passwordless::headless::{self, Proven, Sent};

const HEADLESS: &str = "/dashboard/try/headless";

const SEND: &str = "send";
const RESEND: &str = "resend";
const VERIFY: &str = "verify";

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(endpoint("/try/headless").get(show).post(act).end());
}

/// The way here.
pub fn link(context: &Context) -> (String, String) {
    ("Headless: send, resend and verify by API".to_owned(), context.path(HEADLESS))
}

/// `GET /dashboard/try/headless`; the link of an email leads here too.
async fn show(request: HttpRequest, DashboardContext(context): DashboardContext) -> PageResult {
    let query = params::query(&request).unwrap_or_default();
    let link_token = one(&query, "link_token");
    Ok(show_with(StatusCode::OK, build_page(&context, &request, &FormState::default(), "", link_token)))
}

fn build_page(
    context: &Context,
    request: &HttpRequest,
    form_state: &FormState,
    auth_request_id: &str,
    link_token: &str,
) -> Page {
    let mut page = page(context, request, PATH, "Headless");
    page.back = Some(("Try it".to_owned(), context.path(PATH)));
    page.lead = Some(
        "Your server sends the email and checks the code by API, on pages of its own. Each button makes one call."
            .to_owned(),
    );
    if context.environment.first_application().is_none() {
        let text = "Your server calls the API with the credentials of an application.".to_owned();
        let empty = Block::Empty { title: "Create an application first".to_owned(), text };
        page.sections = vec![Section::new("", vec![empty])];
        return page;
    }
    let path = context.path(HEADLESS);
    let send = Form::post(
        "Send",
        path.clone(),
        vec![hidden("act", SEND), form_state.text(SEND, "email", "Email address", EMAIL)],
        "Send email",
    );
    page.sections = vec![Section::new("Send", vec![Block::Form(send)])];
    if !auth_request_id.is_empty() {
        let fields = vec![hidden("act", RESEND), hidden("auth_request_id", auth_request_id)];
        let resend = Form::post("Resend", path.clone(), fields, "Resend email");
        page.sections.push(Section::new("Resend", vec![Block::Form(resend)]));
    }
    if !auth_request_id.is_empty() || !link_token.is_empty() {
        let fields = vec![
            hidden("act", VERIFY),
            form_state
                .text(VERIFY, "auth_request_id", "Auth request ID", auth_request_id)
                .hint("From the response to send."),
            form_state.text(VERIFY, "code", "Code", "").hint("From the email in the inbox."),
            form_state.text(VERIFY, "link_token", "Link token", link_token).hint("Instead of a code."),
        ];
        let verify = Form::post("Verify", path, fields, "Verify");
        let inbox = Block::Links(vec![("Inbox".to_owned(), context.path("/_emulator/inbox"))]);
        page.sections.push(Section::new("Verify", vec![Block::Form(verify), inbox]));
    }
    page.sections
        .extend(code(context, auth_request_id).map(|code| Section::new("In your application", vec![code])));
    page
}

/// `POST /dashboard/try/headless`
async fn act(request: HttpRequest, DashboardContext(context): DashboardContext, form: Posted) -> PageResult {
    let params = form_params(&request, form)?;
    let (form, answer) = match one(&params, "act") {
        RESEND => {
            let id = one(&params, "auth_request_id").to_owned();
            (RESEND, headless::resend(&context, id).await.map(|sent| response_of_sent(&sent)))
        }
        VERIFY => {
            (VERIFY, headless::verify(&context, credential(&params)).await.map(|p| response_of_proven(&p)))
        }
        _ => (SEND, send(&context, one(&params, "email")).await),
    };
    let form_state = FormState::new(form, &params, vec![]);
    match answer {
        Ok(response) => {
            let sent_id = response["auth_request_id"].as_str().unwrap_or(one(&params, "auth_request_id"));
            let mut page = build_page(&context, &request, &form_state, sent_id, "");
            let response = Block::Code { name: "Response".to_owned(), text: format!("{response:#}") };
            page.sections.insert(0, Section::new("Response", vec![response]));
            Ok(show_with(StatusCode::OK, page))
        }
        Err(refusal) => {
            let id = one(&params, "auth_request_id");
            let mut page = build_page(&context, &request, &form_state, id, one(&params, "link_token"));
            let error = refusal.into_error();
            page.problem = Some(format!("{}: {}", error.code.as_str(), error.message));
            Ok(show_refused(page))
        }
    }
}

async fn send(context: &Context, email: &str) -> Result<Value, ApiRefusal> {
    let Some(client) = context.environment.first_application() else {
        return Ok(json!({ "error": "there is no application" }));
    };
    Ok(response_of_sent(&headless::send(context, client, input(context, email)).await?))
}

fn input(context: &Context, email: &str) -> SendInput {
    SendInput {
        email: email.to_owned(),
        magiclink_auth_uri: Some(context.public_url.join(HEADLESS)),
        ..SendInput::default()
    }
}

fn credential(params: &Parameters) -> VerifyInput {
    let text = |name| Some(one(params, name)).filter(|text| !text.is_empty()).map(str::to_owned);
    let code = text("code").map(Credential::Code);
    VerifyInput {
        credential: code.or_else(|| text("link_token").map(Credential::LinkToken)),
        auth_request_id: text("auth_request_id"),
    }
}

fn response_of_sent(sent: &Sent) -> Value {
    json!({
        "auth_request_id": sent.auth_request_id, "expires_at": sent.expires_at_s.to_string(),
        "expires_in": sent.expires_in_s, "passwordless_type": sent.passwordless_type.as_str(),
    })
}

fn response_of_proven(proven: &Proven) -> Value {
    let template = proven.template.map(Template::as_str);
    json!({
        "email": proven.email.as_str(), "state": proven.state, "template": template,
        "passwordless_type": proven.passwordless_type.as_str(),
    })
}

/// The three calls as commands, and as the code of Scalekit's SDKs.
fn code(context: &Context, auth_request_id: &str) -> Option<Block> {
    let client = context.environment.first_application()?;
    let id = quoted(if auth_request_id.is_empty() { "AUTH_REQUEST_ID" } else { auth_request_id });
    let (email, page) = (quoted(EMAIL), quoted(&context.public_url.join(HEADLESS)));
    Some(folded(
        "Send, resend and verify",
        vec![
            ("curl", commands(context, client, auth_request_id)),
            (
                "Node",
                format!(
                    "const sent = await scalekit.passwordless.sendPasswordlessEmail({email}, {{ magiclinkAuthUri: {page} }});\nawait scalekit.passwordless.resendPasswordlessEmail({id});\nconst proof = await scalekit.passwordless.verifyPasswordlessEmail({{ code }}, {id});"
                ),
            ),
            (
                "Python",
                format!(
                    "# gRPC in Python always uses TLS: set GRPC_DEFAULT_SSL_ROOTS_FILE_PATH as `vestibule ca` says.\nsent, _ = scalekit.passwordless.send_passwordless_email({email}, magiclink_auth_uri={page})\nscalekit.passwordless.resend_passwordless_email({id})\nproof, _ = scalekit.passwordless.verify_passwordless_email(code=code, auth_request_id={id})"
                ),
            ),
            (
                "Go",
                format!(
                    "sent, err := client.Passwordless().SendPasswordlessEmail(ctx, {email}, &scalekit.SendPasswordlessOptions{{MagiclinkAuthUri: {page}}})\n_, err = client.Passwordless().ResendPasswordlessEmail(ctx, {id})\nproof, err := client.Passwordless().VerifyPasswordlessEmail(ctx, &scalekit.VerifyPasswordlessOptions{{Code: code, AuthRequestId: {id}}})"
                ),
            ),
            (
                "Java",
                format!(
                    "// gRPC in Java always uses TLS: start the server and trust it as `vestibule ca` says.\nSendPasswordlessOptions options = new SendPasswordlessOptions();\noptions.setMagiclinkAuthUri({page});\nSendPasswordlessResponse sent = scalekit.passwordless().sendPasswordlessEmail({email}, options);\nscalekit.passwordless().resendPasswordlessEmail({id});\nVerifyPasswordlessOptions credential = new VerifyPasswordlessOptions();\ncredential.setCode(code);\nVerifyPasswordLessResponse proof = scalekit.passwordless().verifyPasswordlessEmail(credential, {id});"
                ),
            ),
        ],
    ))
}

fn commands(context: &Context, client: &Client, auth_request_id: &str) -> String {
    let issuer = context.issuer();
    let id = if auth_request_id.is_empty() { "AUTH_REQUEST_ID" } else { auth_request_id };
    let credentials = [
        "grant_type=client_credentials".to_owned(),
        format!("client_id={}", client.client_id),
        format!("client_secret={}", secret_of(client).unwrap_or_default()),
    ];
    let credentials: String = credentials.iter().map(|text| format!(" -d {}", shell(text))).collect();
    let call = |name: &str, body: &Value| {
        let url = shell(&format!("{issuer}/api/v1/passwordless/email/{name}"));
        format!("\ncurl -H \"Authorization: Bearer $TOKEN\" {url} \\\n  -d {}", shell(&body.to_string()))
    };
    let page = context.public_url.join(HEADLESS);
    let token_url = shell(&format!("{issuer}/oauth/token"));
    format!(
        "TOKEN=$(curl -s {token_url}{credentials} | jq -r .access_token){}{}{}",
        call("send", &json!({ "email": EMAIL, "magiclink_auth_uri": page })),
        call("resend", &json!({ "auth_request_id": id })),
        call("verify", &json!({ "auth_request_id": id, "code": "CODE" })),
    )
}
