//! Webhooks: applications hear of every event, signed, until they have heard, and nobody waits for them.

use std::time::{Duration, Instant};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rstest::rstest;
use serde_json::{Value, json};
use vestibule::crypto::webhook_signature::signature;

use crate::support::receiver::{Received, Receiver, Respond};
use crate::support::{Engine, TestServer};

impl TestServer {
    /// Makes an endpoint and gives it as the control API shows it.
    async fn webhook(&self, wanted: Value) -> Value {
        self.do_control("POST", "/webhooks", wanted).await
    }

    /// The deliveries to an endpoint, once they are as wanted.
    async fn deliveries(&self, webhook: &Value, fits: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let path = format!("/webhooks/{}/deliveries", id(webhook));
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let list = self.do_control("GET", &path, Value::Null).await;
            let deliveries = list["deliveries"].as_array().unwrap().clone();
            if fits(&deliveries) {
                return deliveries;
            }
            assert!(Instant::now() < until, "{deliveries:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn make_organization(&self, name: &str) -> Value {
        self.do_api("POST", "/organizations", json!({ "display_name": name })).await["organization"].clone()
    }
}

fn id(webhook: &Value) -> &str {
    webhook["id"].as_str().unwrap()
}

fn all_are(status: &'static str, count: usize) -> impl Fn(&[Value]) -> bool {
    move |deliveries| deliveries.len() == count && deliveries.iter().all(|d| d["status"] == status)
}

/// The one delivery has had so many attempts, and all of them are noted.
fn tried(attempts: usize) -> impl Fn(&[Value]) -> bool {
    move |deliveries| deliveries.len() == 1 && deliveries[0]["log"].as_array().unwrap().len() == attempts
}

fn last_attempt(delivery: &Value) -> &Value {
    delivery["log"].as_array().unwrap().last().unwrap()
}

/// Is it signed by this secret, as SDKs verify it?
fn is_signed(request: &Received, secret: &Value) -> bool {
    let key = STANDARD.decode(secret.as_str().unwrap().strip_prefix("whsec_").unwrap()).unwrap();
    let timestamp_s = request.header("webhook-timestamp").parse().unwrap();
    let expected = signature(&key, request.header("webhook-id"), timestamp_s, &request.body);
    request.header("webhook-signature").split(' ').any(|signed| signed == expected)
}

#[rstest]
#[tokio::test]
async fn an_application_hears_of_what_happens_and_can_verify_it(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let receiver = Receiver::start().await;
    let webhook = server.webhook(json!({ "url": receiver.url })).await;
    // By a clock that is set ahead too: receivers check by real time.
    server.do_control("PUT", "/clock", json!({ "advance_s": 86_400 })).await;
    let acme = server.make_organization("Acme").await;
    let deliveries = server.deliveries(&webhook, all_are("SUCCESS", 1)).await;
    let request = receiver.received().remove(0);
    let body: Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!((&body["type"], &body["spec_version"]), (&json!("organization.created"), &json!("1")));
    assert_eq!(
        (&body["object"], &body["display_name"]),
        (&json!("Organization"), &json!("Organization Created"))
    );
    assert_eq!((&body["data"]["id"], &body["organization_id"]), (&acme["id"], &acme["id"]));
    assert_eq!(
        (body["id"].as_str(), &body["environment_id"]),
        (Some(request.header("webhook-id")), &json!(server.app.id))
    );
    assert_eq!(request.header("content-type"), "application/json");
    assert!(is_signed(&request, &webhook["secret"]));
    let real_s = vestibule::domain::clock::Clock::now_ms(&*server.clock) / 1000;
    assert_eq!(request.header("webhook-timestamp"), real_s.to_string());
    assert_ne!(body["occurred_at"], json!(vestibule::domain::clock::rfc3339(real_s * 1000)));

    let attempt = last_attempt(&deliveries[0]);
    assert_eq!((&attempt["status"], &attempt["number"]), (&json!(200), &json!(1)));
    assert_eq!(deliveries[0]["body"], json!(request.body));
    assert!(attempt.get("reason").is_none() && deliveries[0].get("next_attempt_at").is_none(), "{attempt}");
}

#[tokio::test]
async fn only_the_events_that_an_endpoint_wants_are_sent_to_it_and_none_while_it_is_disabled() {
    let server = TestServer::start().await;
    let receiver = Receiver::start().await;
    let picky = server.webhook(json!({ "url": receiver.url, "events": ["organization.updated"] })).await;
    let path = format!("/webhooks/{}", id(&picky));
    let acme = server.make_organization("Acme").await;
    let at = format!("/organizations/{}", acme["id"].as_str().unwrap());
    server.do_control("PATCH", &path, json!({ "enabled": false })).await;
    server.do_api("PATCH", &at, json!({ "display_name": "Missed" })).await;
    server.do_control("PATCH", &path, json!({ "enabled": true })).await;
    server.do_api("PATCH", &at, json!({ "display_name": "Heard" })).await;
    let deliveries = server.deliveries(&picky, all_are("SUCCESS", 1)).await;
    let body: Value = serde_json::from_str(deliveries[0]["body"].as_str().unwrap()).unwrap();
    assert_eq!(body["data"]["display_name"], "Heard");
    assert_eq!(receiver.received().len(), 1);
}

#[rstest]
#[tokio::test]
async fn a_failing_endpoint_is_tried_six_times_by_the_environments_clock_and_then_given_up(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let receiver = Receiver::start().await;
    // Not even a redirect is followed.
    receiver.responds([500, 302, 404, 500, 500, 500].map(Respond::With));
    let webhook = server.webhook(json!({ "url": receiver.url })).await;
    // A clock that stands delays no first attempt.
    server.do_control("PUT", "/clock", json!({ "frozen": true })).await;
    server.make_organization("Acme").await;
    for (number, (wait_s, reason)) in [
        (5, "HTTP 500"),
        (30, "HTTP 302: redirects are not followed"),
        (120, "HTTP 404"),
        (300, "HTTP 500"),
        (900, "HTTP 500"),
    ]
    .into_iter()
    .enumerate()
    {
        let deliveries = server.deliveries(&webhook, tried(number + 1)).await;
        assert_eq!(deliveries[0]["status"], "RETRYING");
        assert_eq!(last_attempt(&deliveries[0])["reason"], reason);
        assert!(deliveries[0]["next_attempt_at"].is_string());
        server.do_control("PUT", "/clock", json!({ "advance_s": wait_s })).await;
    }
    let given_up = server.deliveries(&webhook, all_are("FAILED", 1)).await;
    assert_eq!((given_up[0]["attempts"].as_i64(), receiver.received().len()), (Some(6), 6));

    let is_said = async || server.get("/dashboard").await.body.contains("1 webhook delivery failed");
    assert!(is_said().await);
    let replay = format!("/webhooks/{}/replay", id(&webhook));
    assert_eq!(server.do_control("POST", &replay, Value::Null).await, json!({ "replayed": 1 }));
    let delivered = server.deliveries(&webhook, all_are("SUCCESS", 1)).await;
    assert_eq!(delivered[0]["attempts"], 7);
    assert!(!is_said().await);
    let ids: Vec<String> = receiver.received().iter().map(|r| r.header("webhook-id").to_owned()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "repeats are recognised by their id: {ids:?}");
    let one = json!({ "event_id": ids[0] });
    assert_eq!(server.do_control("POST", &replay, one).await, json!({ "replayed": 1 }));
    server.deliveries(&webhook, |d| d[0]["attempts"] == 8 && d[0]["status"] == "SUCCESS").await;
    assert_eq!(server.refused("POST", &replay, json!({ "event_id": "evt_9" })).await.0, 404);
}

#[tokio::test]
async fn waits_are_scaled_by_a_setting() {
    let server = TestServer::start().await;
    server.do_control("PATCH", "/settings", json!({ "delivery": { "retry_percent": 0 } })).await;
    let receiver = Receiver::start().await;
    receiver.responds([500, 500, 500].map(Respond::With));
    let webhook = server.webhook(json!({ "url": receiver.url })).await;
    server.do_control("PUT", "/clock", json!({ "frozen": true })).await;
    server.make_organization("Acme").await;
    let delivered = server.deliveries(&webhook, all_are("SUCCESS", 1)).await;
    assert_eq!(delivered[0]["attempts"], 4);
}

#[tokio::test]
async fn what_failed_is_sent_again_from_the_strip_of_the_dashboard() {
    let server = TestServer::start().await;
    server.do_control("PATCH", "/settings", json!({ "delivery": { "retry_percent": 0 } })).await;
    let receiver = Receiver::start().await;
    receiver.responds([500; 6].map(Respond::With));
    let webhook = server.webhook(json!({ "url": receiver.url })).await;
    server.make_organization("Acme").await;
    server.deliveries(&webhook, all_are("FAILED", 1)).await;
    let back = server.post("/dashboard/usual", &[("what", "webhooks"), ("at", "/dashboard/webhooks")]).await;
    assert_eq!(back.location, Some(format!("{}/dashboard/webhooks?done=queued", server.url)));
    server.deliveries(&webhook, all_are("SUCCESS", 1)).await;
}

#[tokio::test]
async fn an_endpoint_that_hangs_delays_no_other_and_no_caller() {
    let server = TestServer::start().await;
    let (dead, healthy) = (Receiver::start().await, Receiver::start().await);
    dead.responds((0..40).map(|_| Respond::Hang));
    server.webhook(json!({ "url": dead.url })).await;
    let webhook = server.webhook(json!({ "url": healthy.url })).await;
    for number in 0..20 {
        server.make_organization(&format!("Acme {number}")).await;
    }
    server.deliveries(&webhook, all_are("SUCCESS", 20)).await;
    assert!(dead.received().len() <= 8, "it gets no more than its share");
}

#[tokio::test]
async fn what_keeps_an_endpoint_from_hearing_is_said_in_words() {
    let server = TestServer::start().await;
    let other = TestServer::start().await;
    let closing = Receiver::start().await;
    closing.responds([Respond::Close]);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (url, said) in [
        (format!("http://{free}/"), "connection refused: nothing listens at 127.0.0.1:"),
        (format!("{}/hook", other.https_url), "the certificate is not trusted"),
        (closing.url.clone(), "the answer broke off"),
    ] {
        let webhook = server.webhook(json!({ "url": url })).await;
        server.do_control("POST", &format!("/webhooks/{}/test", id(&webhook)), Value::Null).await;
        let deliveries = server.deliveries(&webhook, tried(1)).await;
        let reason = last_attempt(&deliveries[0])["reason"].as_str().unwrap();
        assert!(reason.starts_with(said), "{url}: {reason}");
    }
}

#[tokio::test]
async fn the_log_keeps_the_first_four_kibibytes_of_a_response() {
    let server = TestServer::start().await;
    let receiver = Receiver::start().await;
    receiver.responds([Respond::WithBody(200, "é".repeat(1 << 20))]);
    let webhook = server.webhook(json!({ "url": receiver.url })).await;
    server.make_organization("Acme").await;
    let deliveries = server.deliveries(&webhook, all_are("SUCCESS", 1)).await;
    let body = last_attempt(&deliveries[0])["response_body"].as_str().unwrap();
    assert_eq!(body, "é".repeat(2048));
}

#[tokio::test]
async fn a_rotated_secret_signs_beside_the_old_one_until_the_overlap_is_over() {
    let server = TestServer::start().await;
    let receiver = Receiver::start().await;
    let made = server.webhook(json!({ "url": receiver.url })).await;
    let path = format!("/webhooks/{}/rotate-secret", id(&made));
    let rotated = server.do_control("POST", &path, json!({ "overlap_s": 60 })).await;
    assert_ne!(rotated["secret"], made["secret"]);
    assert_eq!(rotated["old_secrets"], 1);
    server.make_organization("Acme").await;
    server.deliveries(&made, all_are("SUCCESS", 1)).await;
    let both = receiver.received().remove(0);
    assert!(is_signed(&both, &made["secret"]) && is_signed(&both, &rotated["secret"]));
    server.advance_s(60);
    server.make_organization("Other").await;
    server.deliveries(&made, all_are("SUCCESS", 2)).await;
    let one = receiver.received().remove(1);
    assert!(!is_signed(&one, &made["secret"]) && is_signed(&one, &rotated["secret"]));
    for (body, field) in
        [(json!({ "overlap_s": -1 }), "overlap_s"), (json!({ "secret": "whsec_x" }), "secret")]
    {
        assert_eq!(server.refused("POST", &path, body).await, (400, field.to_owned()));
    }
}

#[tokio::test]
async fn a_test_event_has_the_payload_of_its_type_and_goes_to_one_endpoint() {
    let server = TestServer::start().await;
    let (receiver, other) = (Receiver::start().await, Receiver::start().await);
    let webhook = server.webhook(json!({ "url": receiver.url, "events": ["role.created"] })).await;
    server.webhook(json!({ "url": other.url })).await;
    let path = format!("/webhooks/{}/test", id(&webhook));
    server.do_control("POST", &path, Value::Null).await;
    server.do_control("POST", &path, json!({ "type": "user.signup" })).await;
    server.deliveries(&webhook, all_are("SUCCESS", 2)).await;
    let received = receiver.received();
    let bodies = received.iter().map(|r| serde_json::from_str::<Value>(&r.body).unwrap());
    let mut types: Vec<String> = bodies.map(|body| body["type"].as_str().unwrap().to_owned()).collect();
    types.sort_unstable();
    assert_eq!(types, ["role.created", "user.signup"]);
    assert!(received.iter().all(|request| is_signed(request, &webhook["secret"])));
    assert!(other.received().is_empty());
    let events = server.do_control("GET", "/events", Value::Null).await;
    assert_eq!(events["events"], json!([]), "it never happened");
    assert_eq!(server.refused("POST", &path, json!({ "type": "user.created" })).await, (400, "type".into()));
}

#[tokio::test]
async fn endpoints_are_made_changed_and_deleted_and_mistakes_are_named() {
    let server = TestServer::start().await;
    let made = server
        .webhook(
            json!({ "url": "http://localhost:3000/hook", "description": "CRM", "events": ["user.signup"] }),
        )
        .await;
    assert!(made["secret"].as_str().unwrap().starts_with("whsec_") && made["enabled"] == true, "{made}");
    let path = format!("/webhooks/{}", id(&made));
    let changed = server.do_control("PATCH", &path, json!({ "events": [] })).await;
    assert_eq!((&changed["events"], &changed["description"]), (&json!([]), &json!("CRM")));
    assert_eq!(server.do_control("GET", &path, Value::Null).await, changed);
    assert_eq!(server.do_control("GET", "/webhooks", Value::Null).await, json!({ "webhooks": [changed] }));
    for (body, field) in [
        (json!({}), "url"),
        (json!({ "url": "/hook" }), "url"),
        (json!({ "url": "http://a.io/", "events": ["user.created"] }), "events"),
        (json!({ "url": "http://a.io/", "secret": "secret" }), "secret"),
        (json!({ "url": "http://a.io/", "description": "x".repeat(501) }), "description"),
        (json!({ "url": "http://a.io/", "colour": "red" }), "colour"),
    ] {
        assert_eq!(server.refused("POST", "/webhooks", body).await, (400, field.to_owned()));
    }
    server.do_control("DELETE", &path, Value::Null).await;
    for method in ["GET", "PATCH", "DELETE"] {
        assert_eq!(server.refused(method, &path, json!({})).await.0, 404, "{method}");
    }
}

#[tokio::test]
async fn production_sends_nothing_to_this_machine_or_its_networks() {
    let receiver = Receiver::start().await;
    let port = receiver.url.rsplit(':').next().unwrap().split('/').next().unwrap();
    let urls = ["127.0.0.1", "localhost", "[::1]", "10.0.0.1", "169.254.169.254"]
        .map(|host| format!("[[webhooks]]\nurl = \"https://{host}:{port}/\"\n"));
    let toml = format!(
        "mode = \"production\"\npublic_urls = [\"https://id.example.com\"]\nclient_id = \"skc_1\"\n\
         client_secret = \"a secret of our own\"\n[smtp]\nhost = \"127.0.0.1\"\nencryption = \"none\"\n{}",
        urls.concat()
    );
    let server = TestServer::with(&toml).await;
    let store = server.app.store();
    let data = vestibule::domain::organization::Organization::new("org_1".into(), "Acme".into(), 5);
    let event = vestibule::domain::event::Event {
        id: "evt_1".into(),
        event_type: vestibule::domain::event::EventType::OrganizationCreated,
        organization_id: None,
        occurred_at_ms: 5,
        logged_at_ms: 5,
        data: json!({}),
    };
    store.insert_organization(&server.app.id, &data, &event).await.unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    let filter = vestibule::storage::DeliveryFilter { limit: 10, ..Default::default() };
    loop {
        let deliveries = store.deliveries(&server.app.id, &filter).await.unwrap();
        if deliveries.len() == 5 && deliveries.iter().all(|delivery| !delivery.log.is_empty()) {
            for delivery in deliveries {
                let reason = delivery.log[0].reason.as_deref().unwrap_or_default();
                assert!(
                    reason.contains("which production mode refuses"),
                    "{}: {reason}",
                    delivery.log[0].url
                );
            }
            break;
        }
        assert!(Instant::now() < until, "{deliveries:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(receiver.received().is_empty());
}

#[rstest]
#[tokio::test]
async fn two_servers_tell_an_application_once(#[values(Engine::Postgres)] engine: Engine) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let _other = server.beside("").await;
    let receiver = Receiver::start().await;
    let webhook = server.webhook(json!({ "url": receiver.url })).await;
    for number in 0..20 {
        server.make_organization(&format!("Acme {number}")).await;
    }
    server.deliveries(&webhook, all_are("SUCCESS", 20)).await;
    assert_eq!(receiver.received().len(), 20);
}

#[tokio::test]
async fn environments_have_events_and_webhooks_of_their_own() {
    let server = TestServer::start().await;
    server.do_control("POST", "/environments", json!({ "name": "a" })).await;
    let receiver = Receiver::start().await;
    let url = format!("{}/e/a/_emulator/v1/webhooks", server.url);
    let body = json!({ "url": receiver.url });
    assert_eq!(server.http().post(url).json(&body).send().await.unwrap().status(), 201);
    server.make_organization("Acme").await;
    assert_eq!(server.get("/e/a/_emulator/v1/events").await.json()["events"], json!([]));
    assert_eq!(server.do_control("GET", "/webhooks", Value::Null).await["webhooks"], json!([]));
    assert!(receiver.received().is_empty());
}

#[tokio::test]
async fn a_snapshot_brings_endpoints_with_their_secrets_to_a_server_with_another_key() {
    let from = TestServer::with("master_key = \"a master key that is long enough for anybody\"\n").await;
    let to = TestServer::start().await;
    let made = from.webhook(json!({ "url": "http://localhost:3000/hook", "events": ["user.signup"] })).await;
    let snapshot = from.do_control("GET", "/snapshot", Value::Null).await;
    assert_eq!(to.do_control("PUT", "/snapshot", snapshot).await, json!({ "ignored": [] }));
    assert_eq!(to.do_control("GET", "/webhooks", Value::Null).await, json!({ "webhooks": [made] }));
}

#[rstest]
#[tokio::test]
async fn a_test_waits_for_an_event_whether_or_not_there_is_an_endpoint(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    server.make_organization("Before").await;
    let before = server.do_control("GET", "/events?type=organization.created", Value::Null).await;
    let cursor = before["cursor"].as_str().unwrap();
    assert_eq!(before["events"].as_array().unwrap().len(), 1);
    let path = format!("/events?type=organization.created&wait_ms=20000&since={cursor}");
    let (found, made) =
        tokio::join!(server.do_control("GET", &path, Value::Null), server.make_organization("After"));
    assert_eq!(found["events"].as_array().unwrap().len(), 1);
    assert_eq!(found["events"][0]["data"]["id"], made["id"]);
    let none = server.do_control("GET", "/events?type=role.created&wait_ms=1", Value::Null).await;
    assert_eq!(none["events"], json!([]));
    for (query, field) in
        [("type=user.created", "type"), ("since=msg_1", "since"), ("wait_ms=60001", "wait_ms")]
    {
        let refused = server.refused("GET", &format!("/events?{query}"), Value::Null).await;
        assert_eq!(refused, (400, field.to_owned()));
    }
}

#[tokio::test]
async fn events_are_followed_as_they_happen() {
    let server = TestServer::start().await;
    let url = format!("{}/_emulator/v1/events/stream?type=organization.created", server.url);
    let mut stream = server.http().get(url).send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let acme = server.make_organization("Acme").await;
    let mut text = String::new();
    while !text.contains("\n\n") {
        text.push_str(&String::from_utf8_lossy(&stream.chunk().await.unwrap().unwrap()));
    }
    let data = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    let event: Value = serde_json::from_str(data).unwrap();
    assert_eq!((&event["type"], &event["data"]["id"]), (&json!("organization.created"), &acme["id"]));
    assert!(text.starts_with(&format!("id: {}\nevent: event\n", event["id"].as_str().unwrap())), "{text}");
}

#[tokio::test]
async fn the_dashboard_makes_an_endpoint_and_shows_what_was_sent_to_it_as_a_command_that_works() {
    let server = TestServer::start().await;
    let receiver = Receiver::start().await;
    let form = [
        ("url", receiver.url.as_str()),
        ("events", "organization.created\r\nrole.created"),
        ("enabled", "on"),
    ];
    let made = server.post("/dashboard/webhooks", &form).await;
    assert_eq!(made.status, 303, "{}", made.body);
    let list = server.do_control("GET", "/webhooks", Value::Null).await;
    let webhook = list["webhooks"][0].clone();
    assert_eq!(webhook["events"], json!(["organization.created", "role.created"]));
    let path = format!("/dashboard/webhooks/{}", id(&webhook));
    let secret = webhook["secret"].as_str().unwrap();
    let page = server.get(&path).await.body;
    assert!(page.matches(secret).count() >= 5, "the secret and a snippet for each SDK");

    // The name has what a shell would take for its own.
    server.make_organization("Jane's \"$HOME\"").await;
    let deliveries = server.deliveries(&webhook, all_are("SUCCESS", 1)).await;
    let event_id = deliveries[0]["event_id"].as_str().unwrap();
    for (status, is_shown) in [("", true), ("SUCCESS", true), ("FAILED", false)] {
        let page = server.get(&format!("{path}?q={status}")).await.body;
        assert_eq!(page.contains(&format!("/deliveries/{event_id}")), is_shown, "{status}: {page}");
    }
    assert_eq!(server.get(&format!("{path}?q=DELIVERED")).await.status, 400, "there is no such status");
    let page = server.get(&format!("{path}/deliveries/{event_id}")).await;
    assert!(page.body.contains("HTTP 200 after"), "{}", page.body);
    let document = scraper::Html::parse_document(&page.body);
    let code = scraper::Selector::parse("pre[aria-label='curl']").unwrap();
    let command: String = document.select(&code).next().unwrap().text().collect();
    let run = move || std::process::Command::new("sh").args(["-c", &command]).output().unwrap();
    let ran = tokio::task::spawn_blocking(run).await.unwrap();
    if ran.status.code() == Some(127) {
        crate::support::skips::skip("curl is not installed");
    } else {
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        let received = receiver.received();
        assert_eq!((received[1].body.as_str(), received.len()), (received[0].body.as_str(), 2));
        assert!(is_signed(&received[1], &webhook["secret"]));
    }

    receiver.responds([Respond::With(500)]);
    assert_eq!(server.post(&format!("{path}/replay"), &[("event_id", event_id)]).await.status, 303);
    server.deliveries(&webhook, |deliveries| deliveries[0]["status"] == "RETRYING").await;
    assert_eq!(server.post(&format!("{path}/rotate-secret"), &[]).await.status, 303);
    assert_eq!(server.post(&format!("{path}/test"), &[]).await.status, 303);
    server.deliveries(&webhook, |deliveries| deliveries.len() == 2).await;
    let bad = [("url", "/hook"), ("events", "")];
    assert_eq!(server.post(&path, &bad).await.status, 400);
    assert_eq!(server.post(&format!("{path}/delete"), &[]).await.status, 303);
    assert_eq!(server.get(&path).await.status, 404);
}

#[tokio::test]
async fn a_stream_of_events_leaves_none_out_however_many_there_are() {
    const COUNT: usize = 205;
    let server = TestServer::start().await;
    let first = server.do_control("GET", "/events", Value::Null).await;
    let cursor = first["cursor"].as_str().unwrap();
    for number in 0..COUNT {
        server.make_organization(&format!("Acme {number}")).await;
    }
    let url = format!("{}/_emulator/v1/events/stream?since={cursor}", server.url);
    let mut stream = server.http().get(url).send().await.unwrap();
    let mut text = String::new();
    while text.matches("\n\n").count() < COUNT {
        text.push_str(&String::from_utf8_lossy(&stream.chunk().await.unwrap().unwrap()));
    }
    let told = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let names: Vec<Value> = told
        .map(|data| serde_json::from_str::<Value>(data).unwrap()["data"]["display_name"].clone())
        .collect();
    let made: Vec<Value> = (0..COUNT).map(|number| json!(format!("Acme {number}"))).collect();
    assert_eq!(names, made, "in their order");
}
