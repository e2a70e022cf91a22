//! Back-channel logout: applications are told of the end of a session, whoever ended it, until they have heard.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::person::{claims, header};
use crate::support::{CALLBACK, CLIENT_ID, CLIENT_SECRET, Engine, TestServer};

/// An application's logout address, which answers with the given statuses in turn, and then with 200.
struct Application {
    uri: String,
    statuses: Arc<Mutex<VecDeque<u16>>>,
    /// Bodies as they came.
    received: Arc<Mutex<Vec<String>>>,
}

impl Application {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/backchannel-logout", listener.local_addr().unwrap());
        let application = Self { uri, statuses: Arc::default(), received: Arc::default() };
        let (statuses, received) = (application.statuses.clone(), application.received.clone());
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let (statuses, received) = (statuses.clone(), received.clone());
                tokio::spawn(async move {
                    let mut text = String::new();
                    let mut buffer = [0; 4096];
                    while !is_whole(&text) {
                        let read = connection.read(&mut buffer).await.unwrap_or(0);
                        if read == 0 {
                            return;
                        }
                        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
                    }
                    assert!(text.starts_with("POST /backchannel-logout HTTP/1.1\r\n"), "{text}");
                    assert!(text.to_lowercase().contains("content-type: application/x-www-form-urlencoded"));
                    received.lock().unwrap().push(text.split("\r\n\r\n").nth(1).unwrap().to_owned());
                    let status = statuses.lock().unwrap().pop_front().unwrap_or(200);
                    let answer = format!(
                        "HTTP/1.1 {status} Said\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                    );
                    let _ = connection.write_all(answer.as_bytes()).await;
                });
            }
        });
        application
    }

    fn answers(&self, statuses: &[u16]) {
        *self.statuses.lock().unwrap() = statuses.iter().copied().collect();
    }

    fn tokens(&self) -> Vec<Value> {
        let received = self.received.lock().unwrap();
        let token = |body: &String| body.strip_prefix("logout_token=").unwrap().to_owned();
        received.iter().map(token).map(Value::from).collect()
    }
}

fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|l| {
        l.to_lowercase().strip_prefix("content-length:").map(|n| n.trim().parse::<usize>().unwrap())
    });
    body.len() >= length.unwrap_or(0)
}

impl TestServer {
    /// The notices, once they are as wanted.
    async fn logout_notices(&self, fits: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let list = self.do_control("GET", "/logout-notices", Value::Null).await;
            let notices = list["notices"].as_array().unwrap().clone();
            if fits(&notices) {
                return notices;
            }
            assert!(Instant::now() < until, "{notices:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn all_are(status: &'static str, count: usize) -> impl Fn(&[Value]) -> bool {
    move |notices| notices.len() == count && notices.iter().all(|n| n["status"] == status)
}

/// Two clients that want to be told, and one that does not.
fn configuration(application: &Application) -> String {
    let uri = &application.uri;
    format!(
        r#"
[[clients]]
client_id = "{CLIENT_ID}"
client_secret = "{CLIENT_SECRET}"
backchannel_logout_uri = "{uri}"
[[clients]]
client_id = "other"
client_secret = "test_other"
backchannel_logout_uri = "{uri}"
[[clients]]
client_id = "quiet"
client_secret = "test_quiet"
"#
    )
}

#[tokio::test]
async fn a_logout_token_names_the_issuer_that_the_sign_in_began_under() {
    let Some((server, application)) = with_application(Engine::Sqlite).await else { return };
    let person = server.person();
    // Another of public_urls than the one that the application exchanges its code at.
    let begun_at = server.url.replace("localhost", "127.0.0.1");
    let asked = format!(
        "{begun_at}/oauth/authorize?response_type=code&client_id={CLIENT_ID}&redirect_uri={CALLBACK}\
         &scope=openid&login_hint=jane@example.com"
    );
    let sign_in = person.get(&asked).await.location.unwrap();
    let back = person.enter_code(&sign_in, &server.code_for("jane@example.com").await).await;
    let tokens = server.exchange(&back.answer("code").unwrap()).await.json();
    assert_eq!(back.answer("iss").as_deref(), Some(begun_at.as_str()));
    assert_eq!(claims(&tokens["id_token"])["iss"], begun_at.as_str());
    person.get(&format!("{begun_at}/oidc/logout")).await;
    server.logout_notices(all_are("delivered", 1)).await;
    assert_eq!(claims(&application.tokens()[0])["iss"], begun_at.as_str());
}

#[tokio::test]
async fn an_application_of_several_addresses_is_told_at_each_until_all_have_heard() {
    let (first, second) = (Application::start().await, Application::start().await);
    let toml = format!(
        "[[clients]]\nclient_id = \"{CLIENT_ID}\"\nclient_secret = \"{CLIENT_SECRET}\"\n\
         backchannel_logout_uri = \"{}\"\nmore_backchannel_logout_uris = [\"{}\"]\n",
        first.uri, second.uri
    );
    let server = TestServer::with(&toml).await;
    second.answers(&[503]);
    let person = server.person();
    person.tokens("jane@example.com").await;
    person.get("/oidc/logout").await;
    let waiting = server.logout_notices(|notices| notices.iter().any(|n| n["last_answer"].is_string())).await;
    assert_eq!((&waiting[0]["status"], &waiting[0]["last_answer"]), (&"waiting".into(), &"HTTP 503".into()));
    server.advance_s(600);
    server.logout_notices(all_are("delivered", 1)).await;
    assert_eq!((first.tokens().len(), second.tokens().len()), (2, 2));
    assert_eq!(first.tokens(), second.tokens());
}

async fn with_application(engine: Engine) -> Option<(TestServer, Application)> {
    let application = Application::start().await;
    Some((TestServer::on(engine, &configuration(&application)).await?, application))
}

#[rstest]
#[tokio::test]
async fn every_application_of_a_session_is_told_of_its_end_and_no_other(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some((server, application)) = with_application(engine).await else { return };
    let person = server.person();
    let tokens = person.tokens("jane@example.com").await;
    let silent = person.authorize(&[("client_id", "other")]).await;
    assert!(silent.answer("code").is_some(), "{silent:?}");
    assert!(person.authorize(&[("client_id", "quiet")]).await.answer("code").is_some());
    // Somebody else's session goes on.
    server.person().tokens("ada@example.com").await;
    assert!(application.tokens().is_empty());

    person.get("/oidc/logout").await;
    let notices = server.logout_notices(all_are("delivered", 2)).await;
    assert_eq!(
        (&notices[0]["attempts"], &notices[0]["last_answer"]),
        (&json!(1), &json!("HTTP 200")),
        "{notices:?}"
    );
    let mut told = application.tokens();
    told.sort_by_key(|t| claims(t)["aud"][0].as_str().unwrap().to_owned());
    assert_eq!(told.len(), 2);
    let id_token = claims(&tokens["id_token"]);
    for (token, client_id) in told.iter().zip(["other", CLIENT_ID]) {
        assert_eq!(header(token)["typ"], "logout+jwt");
        assert!(
            server.app.keys.current().verify_typed::<Value>("logout+jwt", token.as_str().unwrap()).is_ok()
        );
        let claims = claims(token);
        assert_eq!(claims["aud"], json!([client_id]));
        for name in ["iss", "sub", "sid"] {
            assert_eq!(claims[name], id_token[name], "{name}");
        }
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 120);
        assert_eq!(
            claims["events"],
            json!({ "http://schemas.openid.net/event/backchannel-logout": {} }),
            "{claims}"
        );
        assert!(claims.get("nonce").is_none() && claims["jti"].as_str().unwrap().starts_with("tkn_"));
    }
    assert_ne!(claims(&told[0])["jti"], claims(&told[1])["jti"]);
    let desk = server.get("/dashboard/sessions").await.body;
    assert!(desk.contains("Back-channel logout") && desk.contains("HTTP 200"), "{desk}");
    // Ended once, told once.
    person.get("/oidc/logout").await;
    assert_eq!(application.tokens().len(), 2);
}

#[tokio::test]
async fn whoever_ends_the_session_the_application_is_told() {
    let Some((server, application)) = with_application(Engine::Sqlite).await else { return };
    // An operator,
    let jane = server.person();
    jane.sign_in("jane@example.com").await;
    let sessions = server.sessions_of("jane@example.com").await;
    let id = sessions[0]["session_id"].as_str().unwrap();
    server.do_control("POST", &format!("/api/sessions/{id}/revoke"), Value::Null).await;
    server.logout_notices(all_are("delivered", 1)).await;
    // the end of the account,
    jane.sign_in("jane@example.com").await;
    let users = server.do_control("GET", "/api/users", Value::Null).await;
    let id = users["users"][0]["id"].as_str().unwrap();
    server.do_control("DELETE", &format!("/api/users/{id}"), Value::Null).await;
    server.logout_notices(all_are("delivered", 2)).await;
    // somebody else who signs in with the same browser.
    server.advance_s(61);
    jane.sign_in("jane@example.com").await;
    jane.sign_in_with("ada@example.com", &[("prompt", "login")]).await;
    server.logout_notices(all_are("delivered", 3)).await;
    let subjects: Vec<Value> = application.tokens().iter().map(|t| claims(t)["sub"].clone()).collect();
    assert!(subjects.iter().all(|s| s.as_str().unwrap().ends_with(";jane@example.com")), "{subjects:?}");
}

#[rstest]
#[tokio::test]
async fn a_failing_application_is_told_again_until_it_has_heard(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some((server, application)) = with_application(engine).await else { return };
    // Not even a redirect is followed: the token is for the registered address.
    application.answers(&[503, 302]);
    let person = server.person();
    person.sign_in("jane@example.com").await;
    person.get("/oidc/logout").await;
    let waiting = |attempts: i64| {
        move |n: &[Value]| {
            n.len() == 1
                && n[0]["attempts"] == attempts
                && n[0]["next_attempt_at"].is_string()
                && n[0]["last_answer"].is_string()
        }
    };
    let first = server.logout_notices(waiting(1)).await;
    assert_eq!((&first[0]["status"], &first[0]["last_answer"]), (&json!("waiting"), &json!("HTTP 503")));
    assert_eq!(application.tokens().len(), 1, "not before its time");
    server.advance_s(1);
    server.logout_notices(|n| waiting(2)(n) && n[0]["last_answer"] == "HTTP 302").await;
    server.advance_s(2);
    let told = server.logout_notices(all_are("delivered", 1)).await;
    assert_eq!(told[0]["attempts"], 3);
    let ids: Vec<Value> = application.tokens().iter().map(|t| claims(t)["jti"].clone()).collect();
    assert!(ids[0] != ids[1] && ids[1] != ids[2], "{ids:?}");
}

#[tokio::test]
async fn a_refusal_ends_it_and_a_dead_application_is_given_up_after_nine_attempts() {
    let Some((server, application)) = with_application(Engine::Sqlite).await else { return };
    application.answers(&[400]);
    let person = server.person();
    person.sign_in("jane@example.com").await;
    person.get("/oidc/logout").await;
    let refused = server.logout_notices(all_are("refused", 1)).await;
    assert_eq!(refused[0]["attempts"], 1);

    // Each answer is another one, so that it shows which of them was noted.
    application.answers(&[500, 501, 502, 503, 504, 505, 506, 507, 508]);
    person.sign_in("jane@example.com").await;
    person.get("/oidc/logout").await;
    for attempt in 1..9 {
        server
            .logout_notices(|n| {
                n.iter().any(|n| {
                    n["attempts"] == attempt && n["last_answer"] == format!("HTTP {}", 499 + attempt)
                })
            })
            .await;
        server.advance_s(300);
        server.app.server.sessions_ended.notify_one();
    }
    let all = server.logout_notices(|n| n.iter().any(|n| n["status"] == "given_up")).await;
    assert_eq!(all.iter().filter(|n| n["status"] == "given_up" && n["attempts"] == 9).count(), 1, "{all:?}");
    assert_eq!(application.tokens().len(), 10);
}

#[tokio::test]
async fn what_keeps_an_application_from_hearing_is_said_in_words() {
    let application = TestServer::start().await;
    let by_tls = format!("{}/backchannel-logout", application.https_url);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let trusted = format!("[backchannel_logout]\nca_file = {:?}\n", application.ca_file.to_str().unwrap());
    for (uri, settings, said) in [
        (
            by_tls.clone(),
            "",
            "the certificate is not trusted: name a file with its issuer in backchannel_logout.ca_file",
        ),
        (by_tls, trusted.as_str(), "HTTP 40"),
        (format!("http://{free}/"), "", "connection refused: nothing listens at 127.0.0.1:"),
    ] {
        let client = format!(
            "[[clients]]\nclient_id = \"{CLIENT_ID}\"\nclient_secret = \"{CLIENT_SECRET}\"\n\
             backchannel_logout_uri = \"{uri}\"\n{settings}"
        );
        let server = TestServer::with(&client).await;
        let person = server.person();
        person.sign_in("jane@example.com").await;
        person.get("/oidc/logout").await;
        let notices =
            server.logout_notices(|n| n.first().is_some_and(|n| n["last_answer"].is_string())).await;
        assert!(notices[0]["last_answer"].as_str().unwrap().starts_with(said), "{notices:?}");
    }
}

#[rstest]
#[tokio::test]
async fn two_replicas_tell_an_application_once(#[values(Engine::Postgres)] engine: Engine) {
    let Some((server, application)) = with_application(engine).await else { return };
    let other = server.beside(&configuration(&application)).await;
    let people: Vec<_> = (0..10).map(|_| server.person()).collect();
    for (n, person) in people.iter().enumerate() {
        person.sign_in(&format!("jane{n}@example.com")).await;
    }
    for person in &people {
        person.get("/oidc/logout").await;
        other.app.server.sessions_ended.notify_one();
    }
    server.logout_notices(all_are("delivered", 10)).await;
    assert_eq!(application.tokens().len(), 10);
}

#[tokio::test]
async fn discovery_says_so_and_a_wrong_address_is_refused_by_name() {
    let server = TestServer::start().await;
    let metadata = server.get("/.well-known/openid-configuration").await.json();
    assert_eq!(metadata["backchannel_logout_supported"], true);
    assert_eq!(metadata["backchannel_logout_session_supported"], true);
    let client = json!({ "name": "Shop", "backchannel_logout_uri": "https://app.example.com/#out" });
    let refused = server.refused("POST", "/clients", client).await;
    assert_eq!((refused.0, refused.1.as_str()), (400, "backchannel_logout_uri"));
}
