//! The outbox: a dead SMTP server loses nothing and slows no request.

use std::time::Duration;

use base64::Engine as _;
use rstest::rstest;

use crate::smtp::Server;
use crate::support::{CLIENT_ID, Engine, TestServer};

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !is_so().await {
        assert!(tokio::time::Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The server, still running, and the email it took.
async fn received_by(smtp: Server) -> (Server, serde_json::Value) {
    let taken = tokio::task::spawn_blocking(move || {
        let message = smtp.message();
        (smtp, message)
    });
    taken.await.unwrap()
}

fn with_smtp(port: u16) -> String {
    format!("[smtp]\nhost = \"127.0.0.1\"\nport = {port}\nencryption = \"none\"")
}

/// Did the first attempt fail, and was the email put back for one in a second?
async fn is_put_back(server: &TestServer) -> bool {
    let soon_ms = vestibule::domain::clock::Clock::now_ms(&*server.clock) + 2_000;
    server.app.store().due_mails(soon_ms, 1).await.unwrap().first().is_some_and(|m| m.attempts == 1)
}

async fn waiting_mails(server: &TestServer) -> usize {
    server.app.store().due_mails(i64::MAX, 100).await.unwrap().len()
}

#[rstest]
#[tokio::test]
async fn emails_go_to_the_smtp_server_but_not_those_of_test_users(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(smtp) = Server::start("plain", &[]) else { return };
    let Some(server) = TestServer::on(engine, &with_smtp(smtp.port)).await else { return };
    let person = server.person();
    person.start("john+sktest@example.com").await;
    person.start("jane@example.com").await;
    let (_smtp, received) = received_by(smtp).await;
    let code = server.code_for("jane@example.com").await;
    assert_eq!(received["rcpt_tos"], serde_json::json!(["jane@example.com"]));
    let content =
        base64::engine::general_purpose::STANDARD.decode(received["content"].as_str().unwrap()).unwrap();
    assert!(String::from_utf8_lossy(&content).contains(&format!("Subject: {code} is your")));
    until("the outbox is empty", async || waiting_mails(&server).await == 0).await;
    assert_eq!(server.mail_to("john+sktest@example.com").await["test_user"], true);
}

/// A server for real users, with no inbox.
fn production_with_smtp(port: u16) -> String {
    format!(
        "mode = \"production\"\npublic_urls = [\"https://id.example.com\"]\n[[clients]]\nclient_id = \"{CLIENT_ID}\"\n\
         client_secret = \"a secret of our own\"\n{}\n",
        with_smtp(port)
    )
}

/// Everything that the embedded database keeps in files.
fn bytes_of_database(server: &TestServer) -> Vec<u8> {
    let url = server.database.connect_url();
    let path = url.trim_start_matches("sqlite://");
    ["", "-wal", "-shm"]
        .iter()
        .flat_map(|end| std::fs::read(format!("{path}{end}")).unwrap_or_default())
        .collect()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|w| w.eq_ignore_ascii_case(text.as_bytes()))
}

#[rstest]
#[tokio::test]
async fn nobody_reads_an_email_in_the_database_while_it_waits_or_afterwards(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(smtp) = Server::start("plain", &[]) else { return };
    let port = smtp.port;
    drop(smtp);
    let Some(server) = TestServer::on(engine, &production_with_smtp(port)).await else { return };
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", CLIENT_ID),
        ("client_secret", "a secret of our own"),
    ];
    let token = server.post("/oauth/token", &form).await.json();
    let mail = serde_json::json!({ "email": "jane@example.com", "magiclink_auth_uri": "https://app.example.com/verify" });
    let asked = server.http().post(format!("{}/api/v1/passwordless/email/send", server.url)).json(&mail);
    let asked = asked.bearer_auth(token["access_token"].as_str().unwrap()).send().await.unwrap();
    let sent: serde_json::Value = asked.json().await.unwrap();
    let id = sent["auth_request_id"].as_str().unwrap();
    let secret = &server.app.live().secret;
    let code_line = format!("{} is your", secret.code(id, 1, 6));
    let link_token = secret.link_token(id, 1);
    until("a first attempt failed", async || is_put_back(&server).await).await;
    let waiting = server.app.store().due_mails(i64::MAX, 1).await.unwrap().remove(0);
    let look = |bytes: &[u8], when: &str| {
        for text in [code_line.as_str(), &link_token, "app.example.com/verify?", "<html"] {
            assert!(!holds(bytes, text), "{text} can be read {when}");
        }
    };
    look(&waiting.sealed, "in the outbox");
    if engine == Engine::Sqlite {
        let bytes = bytes_of_database(&server);
        assert!(holds(&bytes, id), "this is the database");
        look(&bytes, "while the email waits");
    }
    let Some(smtp) = Server::start("plain", &["--port", &port.to_string()]) else { return };
    server.advance_s(600);
    let (_smtp, received) = received_by(smtp).await;
    let content =
        base64::engine::general_purpose::STANDARD.decode(received["content"].as_str().unwrap()).unwrap();
    assert!(holds(&content, &code_line), "it is the email: {}", String::from_utf8_lossy(&content));
    until("the outbox is empty", async || waiting_mails(&server).await == 0).await;
    if engine == Engine::Sqlite {
        look(&bytes_of_database(&server), "after the delivery");
    }
}

#[tokio::test]
async fn an_email_to_a_dead_server_waits_and_is_delivered_when_it_comes_back() {
    let Some(smtp) = Server::start("plain", &[]) else { return };
    let port = smtp.port;
    drop(smtp);
    let server = TestServer::with(&with_smtp(port)).await;
    let person = server.person();
    let started = std::time::Instant::now();
    person.start("jane@example.com").await;
    assert!(started.elapsed() < Duration::from_secs(2), "the request waited for SMTP");
    until("a first attempt failed", async || is_put_back(&server).await).await;
    assert_eq!(server.get("/ready").await.json()["smtp"], "unreachable");
    let Some(smtp) = Server::start("plain", &["--port", &port.to_string()]) else { return };
    server.advance_s(600);
    let (_smtp, received) = received_by(smtp).await;
    assert_eq!(received["rcpt_tos"], serde_json::json!(["jane@example.com"]));
    until("the outbox is empty", async || waiting_mails(&server).await == 0).await;
}

#[tokio::test]
async fn faults_make_the_smtp_server_refuse_for_now_or_for_good() {
    let Some(smtp) = Server::start("plain", &[]) else { return };
    let server = TestServer::with(&with_smtp(smtp.port)).await;
    let refuse = |to: &str, permanent: bool| serde_json::json!({ "match": { "to": to }, "count": 1, "effect": { "kind": "smtp", "permanent": permanent } });
    server.do_control("POST", "/faults", refuse("jane@*", false)).await;
    server.do_control("POST", "/faults", refuse("bob@*", true)).await;
    server.person().start("bob@example.com").await;
    until("the email is given up", async || waiting_mails(&server).await == 0).await;
    server.person().start("jane@example.com").await;
    until("a first attempt failed", async || is_put_back(&server).await).await;
    server.advance_s(600);
    let (_smtp, received) = received_by(smtp).await;
    assert_eq!(received["rcpt_tos"], serde_json::json!(["jane@example.com"]), "bob's never left");
    assert!(!server.code_for("bob@example.com").await.is_empty(), "the inbox has it all the same");
    // And says that nobody else has, and why.
    let mail = server.mail_to("bob@example.com").await;
    let why = mail["delivery_error"].as_str().unwrap();
    assert!(why.contains("fault"), "{why}");
    let list = server.get("/_emulator/inbox?to=bob@example.com").await.body;
    assert!(list.contains("Not delivered"), "{list}");
    let page = server.get(&format!("/_emulator/inbox/{}", mail["id"].as_str().unwrap())).await.body;
    assert!(page.contains("Not delivered") && page.contains(why), "{page}");
    let flow = format!("/flows/{}", mail["auth_request_id"].as_str().unwrap());
    let steps = server.do_control("GET", &flow, serde_json::Value::Null).await["steps"].clone();
    let told = |step: &serde_json::Value| {
        step["verdict"] == "refused"
            && step["text"].as_str().unwrap().contains("is given up: attempt 1 failed: ")
    };
    assert!(steps.as_array().unwrap().iter().any(told), "{steps}");
    let jane = server.mail_to("jane@example.com").await;
    assert!(
        jane["delivery_error"].is_null()
            && !server.get("/_emulator/inbox?to=jane@example.com").await.body.contains("Not delivered")
    );
}

#[tokio::test]
async fn a_clock_set_ahead_holds_no_email_back() {
    let Some(smtp) = Server::start("plain", &[]) else { return };
    let server = TestServer::with(&with_smtp(smtp.port)).await;
    server.do_control("PUT", "/clock", serde_json::json!({ "advance_s": 86_400 })).await;
    server.person().start("jane@example.com").await;
    let (_smtp, received) = received_by(smtp).await;
    assert_eq!(received["rcpt_tos"], serde_json::json!(["jane@example.com"]));
}
