//! The first page: what to put where, and whether the server is well.

use actix_web::HttpRequest;

use super::blocks::{Block, Cell, Fact, Row, Section, Step, Table};
use super::flows::tone_of;
use super::{DashboardContext, PageResult, error_page, page, try_it};
use crate::http::event_text::text_of;
use crate::runtime::Context;
use crate::service::api::ApiRefusal;
use crate::service::environments::{EnvironmentView, view};
use crate::service::flows::{self, FlowFilter, FlowRow};
use crate::service::{organizations, users};

/// Sign-ins that the page shows.
const RECENT: i64 = 5;

/// `GET /dashboard`
pub async fn show(request: HttpRequest, DashboardContext(context): DashboardContext) -> PageResult {
    let shown = view(&context.environment, &context.public_url, None);
    let url = context.issuer().to_owned();
    let id = shown.client_id.clone().unwrap_or_default();
    let secret = shown.client_secret.clone();
    let mut page = page(&context, &request, "/dashboard", "Home");
    page.lead = Some(
        "This server stands in for Scalekit: your application signs users in here, and every email stays in the inbox."
            .to_owned(),
    );
    let filter = FlowFilter { limit: RECENT, ..FlowFilter::default() };
    let (recent, sign_ins) =
        flows::list(&context, &filter).await.map_err(|f| error_page(&request, f.into()))?;
    let counts = counts(&context, sign_ins).await.map_err(|r| error_page(&request, r.into()))?;
    let public = context.environment.first_public_client().map(|client| client.client_id.as_str());
    let mut facts = vec![Fact::code("Environment URL", &url), Fact::code("Client ID", &id)];
    facts.push(match &secret {
        Some(secret) => Fact::code("Client secret", secret),
        None => Fact::text("Client secret", "As configured. Only its hash is stored."),
    });
    facts.extend(public.map(|public| Fact::code("Public client ID", public)));
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
    let mut credentials = vec![
        Block::Text("Use these in place of your Scalekit credentials. Nothing else changes.".to_owned()),
        Block::Code { name: ".env".to_owned(), text: variables },
        Block::Facts(facts),
    ];
    if public.is_some() {
        let text =
            "The public client has no secret and uses PKCE. Use it for applications that run in a browser.";
        credentials.push(Block::Text(text.to_owned()));
    }
    page.sections = vec![
        Section::new("", vec![Block::Steps(steps(&context)), counts]),
        Section::new("Credentials", credentials),
        Section::new("In your application", snippets),
        Section::new("Recent sign-ins", vec![sign_ins_block(&context, recent)]),
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
    Ok(super::show(page))
}

/// What to do first.
fn steps(context: &Context) -> Vec<Step> {
    let step =
        |title, text: &str, path: &str| Step { title, text: text.to_owned(), href: context.path(path) };
    vec![
        Step {
            title: "Point your application here",
            text: "Copy the environment block below into its .env file.".to_owned(),
            href: "#credentials".to_owned(),
        },
        step("Try a sign-in", "Sign in here, and see every request and token on the way.", try_it::PATH),
        step(
            "See what happened",
            "Every sign-in is there step by step, and why it failed.",
            "/dashboard/flows",
        ),
    ]
}

async fn counts(context: &Context, sign_ins: i64) -> Result<Block, ApiRefusal> {
    let users = users::list(context, 1, "").await?.total;
    let organizations = organizations::list(context, "", 1, "").await?.total;
    let applications = context.environment.clients.len();
    let count = |number: String, name, path: &str| (number, name, context.path(path));
    Ok(Block::Counts(vec![
        count(users.to_string(), "Users", "/dashboard/users"),
        count(organizations.to_string(), "Organizations", "/dashboard/organizations"),
        count(applications.to_string(), "Applications", "/dashboard/applications"),
        count(sign_ins.to_string(), "Sign-ins", "/dashboard/flows"),
    ]))
}

fn sign_ins_block(context: &Context, recent: Vec<FlowRow>) -> Block {
    if recent.is_empty() {
        return Block::Empty {
            title: "No sign-ins yet".to_owned(),
            text: "Sign in from your application to see each step here.".to_owned(),
        };
    }
    let rows = recent.into_iter().map(|row| {
        let who = row.email.unwrap_or_else(|| "(no email yet)".to_owned());
        Row::new(vec![
            Cell::link(who, context.path(&format!("/dashboard/flows/{}", row.id))),
            Cell { tone: tone_of(row.status), ..Cell::text(row.status.as_str()) },
            Cell::text(text_of(&row.last_event)),
            Cell::time(row.started_at_ms),
        ])
    });
    Block::Table(Table { columns: &["User", "Status", "Last event", "Started"], rows: rows.collect() })
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
