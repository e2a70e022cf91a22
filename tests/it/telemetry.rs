//! What an operator sees: metrics, request ids and traces, and that none of them tells who signs in.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::json;
use vestibule::api::pb::scalekit::v1::auth::passwordless::SendPasswordlessRequest;
use vestibule::config::{Config, Source};

use crate::command_line::Running;
use crate::support::grpc::{Wire, frame};
use crate::support::person::other_than;
use crate::support::{Engine, TestServer};

const SEND: &str = "/scalekit.v1.auth.passwordless.PasswordlessService/SendPasswordlessEmail";

/// Metrics as text.
async fn metrics(server: &TestServer) -> String {
    let page = server.get("/metrics").await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(page.header("content-type").starts_with("application/openmetrics-text"));
    page.body
}

/// The value of one series.
fn value(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{series} is missing in {metrics}")).parse().unwrap()
}

#[tokio::test]
async fn figures_tell_of_sign_ins_tokens_and_answers_by_route() {
    let server = TestServer::start().await;
    let person = server.person();
    let sign_in = person.start("jane@example.com").await;
    let code = server.code_for("jane@example.com").await;
    person.enter_code(&sign_in, &other_than(&code)).await;
    let back = person.enter_code(&sign_in, &code).await;
    let issued = server.exchange(&back.answer("code").unwrap()).await;
    assert_eq!(issued.status, 200);
    server.token(&[("grant_type", "password")]).await;

    let seen = metrics(&server).await;
    for (series, expected) in [
        (r#"vestibule_sign_in_steps_total{step="mail",verdict="ok"}"#, 1.0),
        (r#"vestibule_sign_in_steps_total{step="code",verdict="refused"}"#, 1.0),
        (r#"vestibule_sign_in_steps_total{step="code",verdict="ok"}"#, 1.0),
        (r#"vestibule_token_requests_total{grant_type="authorization_code",outcome="issued"}"#, 1.0),
        (r#"vestibule_token_requests_total{grant_type="other",outcome="unsupported_grant_type"}"#, 1.0),
        (r#"vestibule_http_requests_total{method="POST",route="/login/{id}/code",status="303"}"#, 2.0),
        (r#"vestibule_http_requests_total{method="POST",route="/oauth/token",status="200"}"#, 1.0),
        (r#"vestibule_http_request_duration_seconds_count{route="/oauth/token"}"#, 2.0),
        ("vestibule_database_up", 1.0),
        (r#"vestibule_emails_total{outcome="given_up"}"#, 0.0),
    ] {
        assert_eq!(value(&seen, series), expected, "{series}");
    }
    assert!(value(&seen, "vestibule_connections") >= 1.0);
    for told in ["jane", "example.com", &code, "skc_", "arq_"] {
        assert!(!seen.contains(told), "{told} is in {seen}");
    }
}

/// Names as Prometheus stores them, from what the server says of its metrics.
fn names(metrics: &str) -> BTreeSet<String> {
    let families = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let name = |(name, kind): (&str, &str)| match kind {
        "counter" => format!("{name}_total"),
        "info" => format!("{name}_info"),
        _ => name.to_owned(),
    };
    families.map(name).collect()
}

#[tokio::test]
async fn every_figure_is_documented_and_the_rules_use_no_other() {
    let server = TestServer::start().await;
    server.person().tokens("jane@example.com").await;
    server.call(SEND, &SendPasswordlessRequest::default()).await;
    let known = names(&metrics(&server).await);
    let document =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/OPERATIONS.md")).unwrap();
    let (text, rules) = document.split_once("## What to alert on").unwrap();
    let is_figure = |word: &&str| word.starts_with("vestibule_") || word.starts_with("process_");
    let documented: BTreeSet<String> =
        text.split('`').skip(1).step_by(2).filter(is_figure).map(str::to_owned).collect();
    assert_eq!(documented, known);
    let words = rules.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(is_figure);
    let used: BTreeSet<String> = words.map(|word| word.trim_end_matches("_bucket").to_owned()).collect();
    assert!(used.len() >= 8 && used.is_subset(&known), "{used:?}");
}

#[tokio::test]
async fn strangers_cannot_make_new_series() {
    let server = TestServer::start().await;
    let token = server.client_token().await;
    let authorization = format!("Bearer {token}");
    let series = |metrics: &str| metrics.lines().filter(|l| !l.starts_with('#')).count();
    let ask = async |word: String| {
        server.get(&format!("/{word}/of/nobody")).await;
        server.get(&format!("/login/{word}")).await;
        server.get(&format!("/e/{word}/keys")).await;
        server.token(&[("grant_type", &word)]).await;
        let path = format!("/scalekit.v1.{word}/Method");
        let headers = [("authorization", authorization.as_str())];
        server.call_with(Wire::H2c, &path, frame(&SendPasswordlessRequest::default()), &headers).await;
        let method = reqwest::Method::from_bytes(word.to_uppercase().as_bytes()).unwrap();
        server.http().request(method, format!("{}/keys", server.url)).send().await.unwrap();
    };
    ask("first".to_owned()).await;
    let before = metrics(&server).await;
    for n in 0..20 {
        ask(format!("word{n}")).await;
    }
    let after = metrics(&server).await;
    // The first reading had not counted itself.
    let own = after.lines().filter(|l| l.contains(r#"route="/metrics""#)).count();
    assert_eq!(series(&after) - own, series(&before), "{after}");
    assert!(value(&after, r#"vestibule_grpc_calls_total{method="other",code="12"}"#) >= 21.0);
}

#[tokio::test]
async fn figures_need_their_token_where_they_have_one() {
    let server = TestServer::with(
        "[metrics]\ntoken = \"a token for metrics\"\n[control]\ntoken = \"a token for control\"\n",
    )
    .await;
    let ask = async |token: Option<&str>| {
        let request = server.http().get(format!("{}/metrics", server.url));
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(ask(None).await, 401);
    assert_eq!(ask(Some("a token for control")).await, 401);
    assert_eq!(ask(Some("a token for metrics")).await, 200);
    let server = TestServer::with("[control]\ntoken = \"a token for control\"\n").await;
    let answer =
        server.http().get(format!("{}/metrics", server.url)).bearer_auth("a token for control").send().await;
    assert_eq!(answer.unwrap().status().as_u16(), 200, "the control API's token opens metrics too");
    let server = TestServer::with("[metrics]\nenabled = false\n").await;
    assert_eq!(server.get("/metrics").await.status, 404);
    let server = TestServer::start().await;
    let rebound = server.http().get(format!("{}/metrics", server.url)).header("host", "evil.example");
    assert_eq!(rebound.send().await.unwrap().status().as_u16(), 421);
}

#[test]
fn nobody_reads_figures_in_production_without_a_token() {
    let production = "mode = \"production\"\npublic_urls = [\"https://id.example.com\"]\nmaster_key = \"a master key of the operator\"\n\
         [smtp]\nhost = \"localhost\"\n[[clients]]\nclient_id = \"skc_1\"\nclient_secret = \"a secret that is long enough\"\nredirect_uris = [\"https://app.example.com/cb\"]\n";
    let read = |more: &str| {
        let mut source = Source::default();
        source.add_file(std::path::Path::new("vestibule.toml"), &format!("{production}{more}"));
        Config::read(source, std::path::Path::new("."))
    };
    assert!(!read("").unwrap().metrics.enabled);
    assert!(read("[metrics]\ntoken = \"a token for metrics\"\n").unwrap().metrics.enabled);
    let refused = read("[metrics]\nenabled = true\n").unwrap_err().to_string();
    assert!(refused.contains("metrics.token is missing"), "{refused}");
}

#[tokio::test]
async fn every_answer_names_its_request_and_takes_over_a_callers_name() {
    let server = TestServer::start().await;
    let ask = async |path: &str| {
        server
            .http()
            .get(format!("{}{path}", server.url))
            .header("x-request-id", "ci-42")
            .send()
            .await
            .unwrap()
    };
    for path in ["/keys", "/nothing", "/login/unknown", "/_emulator/v1/flows"] {
        assert_eq!(ask(path).await.headers()["x-request-id"], "ci-42", "{path}");
    }
    let own = server.get("/keys").await.header("x-request-id").to_owned();
    assert_eq!(own.len(), 36);
    assert_ne!(own, server.get("/keys").await.header("x-request-id"));
    let body = frame(&SendPasswordlessRequest::default());
    let answer = server.call_with(Wire::H2c, SEND, body, &[("x-request-id", "ci-43")]).await;
    assert_eq!(answer.text("x-request-id"), "ci-43");
}

#[tokio::test]
async fn an_outage_is_told_by_figures_and_its_pages_name_the_request() {
    let server = TestServer::start().await;
    let page = server.person().start("jane@example.com").await;
    server.app.store().close().await;
    let request = server.http().get(&page).header("accept", "text/html").header("x-request-id", "ci-44");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 503);
    assert!(answer.text().await.unwrap().contains("<code>ci-44</code>"));
    let seen = metrics(&server).await;
    assert_eq!(value(&seen, "vestibule_database_up"), 0.0);
    assert_eq!(
        value(&seen, r#"vestibule_http_requests_total{method="GET",route="/login/{id}",status="503"}"#),
        1.0
    );
}

#[tokio::test]
async fn the_outbox_tells_how_long_emails_wait() {
    // Nobody listens there.
    let smtp = "[smtp]\nhost = \"127.0.0.1\"\nport = 1\nencryption = \"none\"\n";
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let Some(server) = TestServer::on(engine, smtp).await else { continue };
        server.person().start("jane@example.com").await;
        server.advance_s(90);
        let seen = metrics(&server).await;
        assert_eq!(value(&seen, "vestibule_outbox_emails"), 1.0, "{engine:?}");
        assert_eq!(value(&seen, "vestibule_outbox_oldest_age_seconds"), 90.0, "{engine:?}");
    }
}

/// A collector that keeps what it is sent.
fn collector() -> (String, mpsc::Receiver<ExportTraceServiceRequest>) {
    let (tell, told) = mpsc::channel();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let serve = async move {
            let take = move |body: web::Bytes, tell: web::Data<mpsc::Sender<ExportTraceServiceRequest>>| async move {
                tell.send(ExportTraceServiceRequest::decode(body).unwrap()).unwrap();
                HttpResponse::Ok().finish()
            };
            let make = move || {
                let route = web::post().to(take);
                App::new().app_data(web::Data::new(tell.clone())).route("/v1/traces", route)
            };
            HttpServer::new(make).workers(1).disable_signals().listen(listener).unwrap().run().await.unwrap();
        };
        actix_web::rt::System::new().block_on(serve);
    });
    (url, told)
}

fn attribute(span: &Span, name: &str) -> String {
    let found = span.attributes.iter().find(|a| a.key == name);
    found.map(|a| format!("{:?}", a.value)).unwrap_or_default()
}

#[test]
fn a_callers_trace_goes_on_through_request_and_statements_and_names_nobody() {
    let (endpoint, told) = collector();
    let folder = tempfile::tempdir().unwrap();
    let settings = format!(
        "[traces]\nendpoint = \"{endpoint}\"\nservice_name = \"front door\"\n[passwordless]\ntype = \"OTP\"\n"
    );
    std::fs::write(folder.path().join("vestibule.toml"), settings).unwrap();
    let server = Running::start(folder.path(), &["--ephemeral"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (trace, parent) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    runtime.block_on(async {
        let http = reqwest::Client::new();
        let client = [
            ("grant_type", "client_credentials"),
            ("client_id", server.ready["client_id"].as_str().unwrap()),
            ("client_secret", server.ready["client_secret"].as_str().unwrap()),
        ];
        let tokens = http.post(format!("{}/oauth/token", server.url())).form(&client).send().await.unwrap();
        let tokens: serde_json::Value = tokens.json().await.unwrap();
        let send = http
            .post(format!("{}/api/v1/passwordless/email/send", server.url()))
            .bearer_auth(tokens["access_token"].as_str().unwrap())
            .header("traceparent", format!("00-{trace}-{parent}-01"))
            .json(&json!({ "email": "jane@example.com" }));
        assert_eq!(send.send().await.unwrap().status().as_u16(), 200);
    });
    // Stopping sends what is left.
    let (code, said) = server.stop();
    assert_eq!(code, Some(0), "{said}");
    let sent: Vec<ExportTraceServiceRequest> =
        std::iter::from_fn(|| told.recv_timeout(Duration::from_millis(500)).ok()).collect();
    let raw: Vec<u8> = sent.iter().flat_map(|s| s.encode_to_vec()).collect();
    let raw = String::from_utf8_lossy(&raw);
    assert!(raw.contains("front door"));
    assert!(!raw.contains("jane"), "an address is in a trace");
    let spans: Vec<Span> = sent
        .into_iter()
        .flat_map(|s| s.resource_spans)
        .flat_map(|r| r.scope_spans)
        .flat_map(|s| s.spans)
        .collect();
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let name = "POST /api/v1/passwordless/email/send";
    let request = spans.iter().find(|s| s.name == name).unwrap_or_else(|| panic!("{spans:#?}"));
    assert_eq!((hex(&request.trace_id).as_str(), hex(&request.parent_span_id).as_str()), (trace, parent));
    assert!(attribute(request, "http.response.status_code").contains("200"), "{request:#?}");
    let statements: Vec<&Span> =
        spans.iter().filter(|s| s.name == "statement" && s.trace_id == request.trace_id).collect();
    let writes =
        statements.iter().any(|s| attribute(s, "db.query.text").contains("INSERT INTO auth_requests"));
    assert!(writes, "{statements:#?}");
    let token = spans.iter().find(|s| s.name == "POST /oauth/token").unwrap();
    assert_ne!(token.trace_id, request.trace_id, "a request without a caller's trace begins its own");
}
