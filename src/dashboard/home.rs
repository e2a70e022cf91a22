//! The first page: what to put where, and whether the server is well.

use actix_web::{HttpRequest, HttpResponse};

use super::blocks::{Block, Fact, Form, Section};
use super::{DashboardContext, page};
use crate::runtime::{Access, Context};
use crate::service::environments::{EnvironmentView, view};

/// `GET /dashboard`
pub async fn show(request: HttpRequest, DashboardContext(context): DashboardContext) -> HttpResponse {
    let shown = view(&context.environment, &context.public_url, None);
    let url = context.issuer().to_owned();
    let id = shown.client_id.clone().unwrap_or_default();
    let secret = shown.client_secret.clone();
    let mut page = page(&context, &request, "/dashboard", "Dashboard");
    page.lead = Some("Use these in place of your Scalekit credentials. Nothing else changes.".to_owned());
    let mut facts = vec![Fact::code("Environment URL", &url), Fact::code("Client ID", &id)];
    facts.push(match &secret {
        Some(secret) => Fact::code("Client secret", secret),
        None => Fact::text("Client secret", "As configured. Only its hash is stored."),
    });
    let public = context.environment.first_public_client().map(|client| client.client_id.as_str());
    if let Some(public) = public {
        facts.push(Fact::code("Public client ID", public));
    }
    let secret = secret.unwrap_or_else(|| "…".to_owned());
    let mut variables = format!(
        "SCALEKIT_ENVIRONMENT_URL={url}\nSCALEKIT_ENV_URL={url}\nSCALEKIT_CLIENT_ID={id}\nSCALEKIT_CLIENT_SECRET={secret}"
    );
    if let Some(public) = public {
        variables.push_str(&format!("\nSCALEKIT_SPA_CLIENT_ID={public}"));
    }
    let snippets = snippets(&url, &id, &secret)
        .into_iter()
        .map(|(name, text)| Block::Folded { name: name.to_owned(), text })
        .collect();
    let mut credentials = vec![Block::Facts(facts)];
    if public.is_some() {
        let text =
            "The public client has no secret and uses PKCE. Use it for applications that run in a browser.";
        credentials.push(Block::Text(text.to_owned()));
    }
    credentials.push(Block::Code { name: ".env".to_owned(), text: variables });
    page.sections = vec![
        Section::new("Credentials", credentials),
        Section::new("In your application", snippets),
        Section::new("URLs", vec![Block::Facts(addresses(&shown))]),
        Section::new("Health", vec![Block::Facts(health(&context).await)]),
        Section::new(
            "For tests",
            vec![
                Block::Text("Everything here is also available as an API.".to_owned()),
                Block::Links(vec![
                    ("OpenAPI 3.1".to_owned(), context.path("/_emulator/v1/openapi.json")),
                    ("Discovery document".to_owned(), context.path("/.well-known/openid-configuration")),
                    ("Compatibility".to_owned(), context.path("/compatibility")),
                ]),
            ],
        ),
    ];
    if matches!(context.runtime.server.control, Access::Token(_)) {
        let form = Form::post("Sign out", context.path("/dashboard/sign-out"), vec![], "Sign out");
        page.sections.push(Section::new("This browser", vec![Block::Form(form)]));
    }
    super::show(&page)
}

fn addresses(shown: &EnvironmentView) -> Vec<Fact> {
    shown
        .urls
        .iter()
        .enumerate()
        .map(|(n, url)| Fact::code(if n == 0 { "Issuer" } else { "Also at" }, url))
        .collect()
}

async fn health(context: &Context) -> Vec<Fact> {
    let patience = std::time::Duration::from_secs(2);
    let database = match context.runtime.ping(patience).await {
        Ok(()) => "Connected",
        Err(_) => "Not connected",
    };
    let smtp = match &context.runtime.server.smtp {
        None => "Not configured: emails stay in the inbox",
        Some(smtp) => match tokio::time::timeout(patience, smtp.check()).await {
            Ok(Ok(())) => "Connected",
            _ => "Unreachable: emails wait in the outbox",
        },
    };
    vec![
        Fact::text("Database", database),
        Fact::text("SMTP", smtp),
        Fact::text("Version", env!("CARGO_PKG_VERSION")),
        Fact::text("Signing keys", context.runtime.keys.current().keys().len().to_string()),
    ]
}

/// The same few lines in every language, with the values of this server.
fn snippets(url: &str, id: &str, secret: &str) -> Vec<(&'static str, String)> {
    vec![
        (
            "Node",
            format!(
                "import {{ ScalekitClient }} from '@scalekit-sdk/node';\n\nconst scalekit = new ScalekitClient(\n  '{url}',\n  '{id}',\n  '{secret}',\n);"
            ),
        ),
        (
            "Python",
            format!(
                "from scalekit import ScalekitClient\n\nscalekit = ScalekitClient(\n    \"{url}\",\n    \"{id}\",\n    \"{secret}\",\n)"
            ),
        ),
        (
            "Go",
            format!("client := scalekit.NewScalekitClient(\n\t\"{url}\",\n\t\"{id}\",\n\t\"{secret}\",\n)"),
        ),
        (
            "Java",
            format!(
                "ScalekitClient client = new ScalekitClient(\n    \"{url}\",\n    \"{id}\",\n    \"{secret}\");"
            ),
        ),
        (
            "OpenID Connect",
            format!(
                "issuer        {url}\nclient_id     {id}\nclient_secret {secret}\ndiscovery     {url}/.well-known/openid-configuration"
            ),
        ),
    ]
}
