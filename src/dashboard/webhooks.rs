//! Webhook endpoints, what was sent to them, and how to verify it.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::blocks::{Block, Cell, Fact, Field, Form, FormState, Moment, Page, Row, Section, Table, hidden};
use super::listing::{Listing, PAGE_SIZE, status_filter};
use super::{
    DashboardContext, PageResult, Posted, error_page, form_page, form_params, lines, one, page,
    redirect_with_flash, redisplay, show_again, show_refused,
};
use crate::domain::authorization::Parameters;
use crate::domain::webhook::DeliveryStatus;
use crate::http::endpoint::endpoint;
use crate::runtime::Context;
use crate::service::signing_secrets::RotateSecret;
use crate::service::webhooks::{
    self, AttemptView, ChangeWebhook, CreateWebhook, DeliveryFilter, DeliveryView, Replay, SendTestEvent,
    WebhookView,
};

/// The pages of webhook endpoints.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(endpoint("/webhooks").get(list).post(create).end())
        .service(endpoint("/webhooks/new").get(new).end())
        .service(endpoint("/webhooks/{id}").get(show).post(save).end())
        .service(endpoint("/webhooks/{id}/delete").post(delete).shown_at("/dashboard/webhooks/{id}").end())
        .service(
            endpoint("/webhooks/{id}/rotate-secret")
                .post(rotate_secret)
                .shown_at("/dashboard/webhooks/{id}")
                .end(),
        )
        .service(
            endpoint("/webhooks/{id}/test").post(send_test_event).shown_at("/dashboard/webhooks/{id}").end(),
        )
        .service(endpoint("/webhooks/{id}/replay").post(replay).shown_at("/dashboard/webhooks/{id}").end())
        .service(endpoint("/webhooks/{id}/deliveries/{event_id}").get(delivery).end());
}

const HERE: &str = "/dashboard/webhooks";
const FORM: &str = "webhook";
const NAMES: &[&str] = &["url", "events", "description", "enabled"];

/// `GET /dashboard/webhooks`
pub async fn list(request: HttpRequest, DashboardContext(context): DashboardContext) -> PageResult {
    let (context, request) = (&context, &request);
    let all = webhooks::list(context).await.map_err(|refused| error_page(request, refused))?;
    let listing = Listing::of(request);
    let mut found = listing.of_all(all, |webhook| format!("{} {}", webhook.url, webhook.description));
    let pager = listing.pager(context, HERE, &mut found);
    let rows = found.into_iter().map(|webhook| {
        Row::new(vec![
            Cell::link(&webhook.url, context.path(&format!("{HERE}/{}", webhook.id))),
            Cell::text(types(&webhook.events)),
            Cell::verdict(if webhook.enabled { "Enabled" } else { "Disabled" }, webhook.enabled),
            Cell::text(webhook.description),
        ])
    });
    let rows: Vec<_> = rows.collect();
    let table = if rows.is_empty() {
        listing.empty("No webhooks yet", "A webhook is a URL of your application that events are posted to.")
    } else {
        Block::Table(Table { columns: &["URL", "Events", "Status", "Description"], rows })
    };
    let mut page = page(context, request, HERE, "Webhooks");
    page.lead = Some("Tell your application what happens here, in Scalekit's form.".to_owned());
    page.search = Some(listing.search(context, HERE, "URL or description"));
    page.new = Some(("New webhook", context.path("/dashboard/webhooks/new")));
    page.sections = vec![Section::new("", vec![table, pager])];
    Ok(super::show(page))
}

/// `GET /dashboard/webhooks/new`
pub async fn new(request: HttpRequest, DashboardContext(context): DashboardContext) -> HttpResponse {
    super::show(new_page(&context, &request, &FormState::default()))
}

fn new_page(context: &Context, request: &HttpRequest, form_state: &FormState) -> Page {
    let form = Form::post("New webhook", context.path(HERE), fields(form_state, None), "Create");
    let body = json!({ "url": "http://localhost:3000/webhooks", "events": [] });
    let form = form.curl_json(context, "POST", "/webhooks", &body);
    let mut page = form_page(context, request, HERE, ("Webhooks", HERE), form);
    page.problem = form_state.rest(NAMES);
    page
}

fn types(events: &[String]) -> String {
    if events.is_empty() { "all".to_owned() } else { events.join(", ") }
}

/// The fields of a webhook, or of a new one.
fn fields(form_state: &FormState, webhook: Option<&WebhookView>) -> Vec<Field> {
    let events = webhook.map(|webhook| webhook.events.join("\n")).unwrap_or_default();
    let text = |value: fn(&WebhookView) -> &String| webhook.map(value).cloned().unwrap_or_default();
    vec![
        form_state.text(FORM, "url", "URL", text(|webhook| &webhook.url)),
        form_state
            .long(FORM, "events", "Events", events)
            .hint("Types, one per line. Leave it empty for all."),
        form_state.text(FORM, "description", "Description", text(|webhook| &webhook.description)),
        form_state.check(FORM, "enabled", "Enabled", webhook.is_none_or(|webhook| webhook.enabled)),
    ]
}

fn events_of(params: &Parameters) -> Vec<String> {
    lines(one(params, "events")).into_iter().map(str::to_owned).collect()
}

/// `POST /dashboard/webhooks`
pub async fn create(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    let wanted = CreateWebhook {
        url: one(&params, "url").to_owned(),
        events: events_of(&params),
        description: one(&params, "description").to_owned(),
        enabled: Some(one(&params, "enabled") == "on"),
        secret: None,
    };
    match webhooks::create(&context, wanted).await {
        Ok(made) => Ok(redirect_with_flash(&context, &format!("{HERE}/{}", made.id), "created")),
        Err(refused) => show_again(&request, (FORM, &params), refused, |form_state| {
            new_page(&context, &request, form_state)
        }),
    }
}

/// `GET /dashboard/webhooks/{id}`
pub async fn show(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
) -> PageResult {
    Ok(super::show(detail(&context, &request, &id, &FormState::default()).await?))
}

async fn detail(
    context: &Context,
    request: &HttpRequest,
    id: &str,
    form_state: &FormState,
) -> Result<Page, actix_web::Error> {
    let refuse = |refused| error_page(request, refused);
    let webhook = webhooks::get(context, id).await.map_err(refuse)?;
    let (path, below) = (context.path(&format!("{HERE}/{id}")), format!("{HERE}/{id}"));
    let listing = Listing::of(request);
    let filter = DeliveryFilter {
        endpoint_id: Some(id.to_owned()),
        status: status_filter(request, &listing.q, DeliveryStatus::parse)?,
        offset: i64::try_from(listing.offset).unwrap_or_default(),
        limit: i64::try_from(PAGE_SIZE + 1).unwrap_or_default(),
        ..DeliveryFilter::default()
    };
    let mut found = webhooks::deliveries(context, &filter).await.map_err(refuse)?;
    let pager = listing.pager(context, &below, &mut found);
    let mut page = page(context, request, HERE, "Webhook");
    page.back = Some(("Webhooks".to_owned(), context.path(HERE)));
    page.problem = form_state.rest(NAMES);
    let api = format!("/webhooks/{id}");
    let form = |name: &str, action: &str| {
        let form = Form::post(name, format!("{path}/{action}"), vec![], name);
        Block::Form(form.curl(context, "POST", &format!("{api}/{action}")))
    };
    let settings = Form::post("Settings", path.clone(), fields(form_state, Some(&webhook)), "Save");
    let saved = json!({
        "url": webhook.url,
        "events": webhook.events,
        "description": webhook.description,
        "enabled": webhook.enabled,
    });
    let settings = settings.curl_json(context, "PATCH", &api, &saved);
    let delete = Form::dangerous(
        "Delete this webhook",
        format!("{path}/delete"),
        "What waits for it is not sent any more.",
    );
    let delete = delete.curl(context, "DELETE", &api);
    page.sections = vec![
        Section::new("", vec![Block::Facts(facts(&webhook))]),
        Section::new("Settings", vec![Block::Form(settings)]),
        Section::new(
            "Deliveries",
            vec![
                status_choice(context, &below, &listing.q),
                deliveries(context, &listing, id, found),
                pager,
                form("Send a test event", "test"),
                form("Send again what failed", "replay"),
            ],
        ),
        Section::new("Verify in your application", snippets(&webhook.secret)),
        Section::new(
            "Secret",
            vec![
                Block::Text(
                    "Deliveries carry a signature by the old secret too for a day after a rotation."
                        .to_owned(),
                ),
                form("Rotate the secret", "rotate-secret"),
            ],
        ),
        Section::new("Delete", vec![Block::Form(delete)]),
    ];
    Ok(page)
}

fn status_choice(context: &Context, path: &str, status: &str) -> Block {
    const STATUSES: [(&str, &str); 5] = [
        ("", "Any"),
        ("QUEUED", "Queued"),
        ("RETRYING", "Retrying"),
        ("SUCCESS", "Delivered"),
        ("FAILED", "Failed"),
    ];
    let field = FormState::default().choice("filter", "q", "Status", status, &STATUSES);
    Block::Form(Form::get("Filter", context.path(path), vec![field], "Show"))
}

fn facts(webhook: &WebhookView) -> Vec<Fact> {
    let mut facts = vec![
        Fact::code("URL", &webhook.url),
        Fact::code("Secret", &webhook.secret),
        Fact::text("Events", types(&webhook.events)),
        Fact::code("ID", &webhook.id),
    ];
    if webhook.old_secrets > 0 {
        facts.push(Fact::text("Older secrets that are valid", webhook.old_secrets.to_string()));
    }
    facts
}

fn deliveries(context: &Context, listing: &Listing, id: &str, found: Vec<DeliveryView>) -> Block {
    if found.is_empty() {
        return listing.empty("Nothing was sent yet", "Send a test event, or do something that is an event.");
    }
    let rows = found.into_iter().map(|delivery| {
        let href = context.path(&format!("{HERE}/{id}/deliveries/{}", delivery.event_id));
        let last = delivery.log.last();
        Row::new(vec![
            Cell::link(&delivery.event_type, href),
            Cell { tone: tone_of(delivery.status), ..Cell::text(delivery.status.as_str()) },
            Cell::text(delivery.attempts.to_string()),
            Cell::text(last.map(outcome).unwrap_or_default()),
            Cell::time_or_never(Some(delivery.created_at)),
        ])
    });
    Block::Table(Table {
        columns: &["Event", "Status", "Attempts", "Last attempt", "Occurred"],
        rows: rows.collect(),
    })
}

fn tone_of(status: DeliveryStatus) -> &'static str {
    match status {
        DeliveryStatus::Success => "fine",
        DeliveryStatus::Failed => "wrong",
        DeliveryStatus::Queued | DeliveryStatus::Retrying => "",
    }
}

/// How an attempt ended, in a few words.
fn outcome(attempt: &AttemptView) -> String {
    match (&attempt.reason, attempt.status) {
        (Some(reason), _) => reason.clone(),
        (None, Some(status)) => format!("HTTP {status} after {} ms", attempt.latency_ms),
        (None, None) => String::new(),
    }
}

/// `POST /dashboard/webhooks/{id}`
pub async fn save(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    let change = ChangeWebhook {
        url: Some(one(&params, "url").to_owned()),
        events: Some(events_of(&params)),
        description: Some(one(&params, "description").to_owned()),
        enabled: Some(one(&params, "enabled") == "on"),
    };
    match webhooks::change(&context, &id, &change).await {
        Ok(_) => Ok(redirect_with_flash(&context, &format!("{HERE}/{id}"), "saved")),
        Err(refused) => {
            let form_state = redisplay(&request, FORM, &params, refused)?;
            Ok(show_refused(detail(&context, &request, &id, &form_state).await?))
        }
    }
}

/// `POST /dashboard/webhooks/{id}/delete`
pub async fn delete(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
) -> PageResult {
    webhooks::delete(&context, &id).await.map_err(|refused| error_page(&request, refused))?;
    Ok(redirect_with_flash(&context, HERE, "deleted"))
}

/// `POST /dashboard/webhooks/{id}/rotate-secret`
pub async fn rotate_secret(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
) -> PageResult {
    let rotated = webhooks::rotate_secret(&context, &id, &RotateSecret::default()).await;
    rotated.map_err(|refused| error_page(&request, refused))?;
    Ok(redirect_with_flash(&context, &format!("{HERE}/{id}"), "rotated"))
}

/// `POST /dashboard/webhooks/{id}/test`
pub async fn send_test_event(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
) -> PageResult {
    let sent = webhooks::send_test_event(&context, &id, &SendTestEvent::default()).await;
    let sent = sent.map_err(|refused| error_page(&request, refused))?;
    let path = format!("{HERE}/{id}/deliveries/{}", sent.event_id);
    Ok(redirect_with_flash(&context, &path, "queued"))
}

/// `POST /dashboard/webhooks/{id}/replay`: what failed, or one delivery.
pub async fn replay(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    let event_id = Some(one(&params, "event_id").to_owned()).filter(|id| !id.is_empty());
    let path = match &event_id {
        Some(event_id) => format!("{HERE}/{id}/deliveries/{event_id}"),
        None => format!("{HERE}/{id}"),
    };
    let replayed = webhooks::replay(&context, &id, &Replay { event_id, status: None }).await;
    replayed.map_err(|refused| error_page(&request, refused))?;
    Ok(redirect_with_flash(&context, &path, "queued"))
}

/// `GET /dashboard/webhooks/{id}/deliveries/{event_id}`
pub async fn delivery(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    ids: web::Path<(String, String)>,
) -> PageResult {
    let (id, event_id) = ids.into_inner();
    let found = webhooks::delivery(&context, &id, &event_id).await;
    let (delivery, curl) = found.map_err(|refused| error_page(&request, refused))?;
    let mut page = page(&context, &request, HERE, &delivery.event_type);
    let facts = vec![
        Fact::text("Status", delivery.status.as_str()),
        Fact::text("Next attempt", delivery.next_attempt_at.clone().unwrap_or_default()),
        Fact::text("Occurred", &delivery.created_at),
        Fact::code("webhook-id", &delivery.event_id),
    ];
    let replay = Form::post(
        "Send again",
        context.path(&format!("{HERE}/{id}/replay")),
        vec![hidden("event_id", &event_id)],
        "Send again",
    );
    let replay = replay.curl_json(
        &context,
        "POST",
        &format!("/webhooks/{id}/replay"),
        &json!({ "event_id": event_id }),
    );
    let links = vec![("All deliveries".to_owned(), context.path(&format!("{HERE}/{id}")))];
    page.sections = vec![
        Section::new("", vec![Block::Facts(facts), Block::Form(replay), Block::Links(links)]),
        Section::new("Attempts", vec![Block::Timeline(delivery.log.iter().map(moment).collect())]),
        Section::new("Body", vec![Block::Code { name: "Body".to_owned(), text: delivery.body }]),
        Section::new(
            "As curl",
            vec![
                Block::Text("Signed now: SDKs accept it for five minutes.".to_owned()),
                Block::Code { name: "curl".to_owned(), text: curl },
            ],
        ),
    ];
    Ok(super::show(page))
}

fn moment(attempt: &AttemptView) -> Moment {
    let headers = |list: &[(String, String)]| {
        list.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join("\n")
    };
    let mut facts = vec![
        ("url".to_owned(), attempt.url.clone()),
        ("request headers".to_owned(), headers(&attempt.request_headers)),
        ("latency".to_owned(), format!("{} ms", attempt.latency_ms)),
    ];
    if attempt.status.is_some() {
        facts.push(("response headers".to_owned(), headers(&attempt.response_headers)));
        facts.push(("response body".to_owned(), attempt.response_body.clone()));
    }
    Moment {
        at: attempt.at.clone(),
        offset: None,
        is_decisive: false,
        name: format!("Attempt {}", attempt.number),
        text: outcome(attempt),
        tone: if attempt.reason.is_none() { "fine" } else { "wrong" },
        facts,
    }
}

/// How each SDK verifies what is sent to this endpoint.
fn snippets(secret: &str) -> Vec<Block> {
    let folded = |(name, text): (&str, String)| Block::Folded { name: name.to_owned(), text };
    let snippets = [
        (
            "Node",
            format!(
                "// `body` is the raw text of the request; a wrong signature throws.\n\
                 scalekit.verifyWebhookPayload('{secret}', request.headers, body);"
            ),
        ),
        (
            "Python",
            format!(
                "# `body` is the raw text of the request; a wrong signature raises.\n\
                 scalekit.verify_webhook_payload(\"{secret}\", headers, body)"
            ),
        ),
        (
            "Go",
            format!(
                "// headers is a map of names in small letters; body is the raw request.\n\
                 ok, err := client.VerifyWebhookPayload(\"{secret}\", headers, body)"
            ),
        ),
        (
            "Java, without an SDK",
            format!(
                "byte[] key = Base64.getDecoder().decode(\"{secret}\".split(\"_\")[1]);\n\
                 Mac mac = Mac.getInstance(\"HmacSHA256\");\n\
                 mac.init(new SecretKeySpec(key, \"HmacSHA256\"));\n\
                 String signed = id + \".\" + timestamp + \".\" + body; // webhook-id, webhook-timestamp, the raw body\n\
                 String expected = \"v1,\" + Base64.getEncoder().encodeToString(mac.doFinal(signed.getBytes(UTF_8)));\n\
                 boolean ok = Arrays.asList(signature.split(\" \")).contains(expected); // webhook-signature"
            ),
        ),
    ];
    snippets.into_iter().map(folded).collect()
}
