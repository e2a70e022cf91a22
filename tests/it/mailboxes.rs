//! One mailbox, in the spellings that browsers, SDKs and users give it.

use rstest::rstest;
use serde_json::{Value, json};

use crate::support::person::claims;
use crate::support::{Engine, TestServer};

/// As Firefox submits it, and as Chromium does.
const SPELLINGS: [&str; 2] = ["Jane@b\u{fc}cher.example", "jane@xn--bcher-kva.example"];

/// Types an address into the form of a fresh browser and goes the whole way; returns the claims of the ID token.
async fn sign_in(server: &TestServer, typed: &str, read_as: &str) -> Value {
    let person = server.person();
    let sign_in = person.start_with(&[]).await;
    person.post(&format!("{sign_in}/email"), &[("email", typed)]).await;
    let shown = person.get(&sign_in).await.body;
    assert!(shown.to_lowercase().contains("jane@b\u{fc}cher.example"), "{shown}");
    let code = server.code_for(read_as).await;
    let page = person.enter_code(&sign_in, &code).await;
    let tokens =
        server.exchange(&page.answer("code").unwrap_or_else(|| panic!("{}", page.body))).await.json();
    claims(&tokens["id_token"])
}

#[rstest]
#[tokio::test]
async fn browsers_that_spell_a_domain_differently_lead_to_one_person(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values("[tokens]\nuser_management = true\n", "[tokens]\nuser_management = false\n")] profile: &str,
) {
    let Some(server) = TestServer::on(engine, profile).await else { return };
    let [firefox, chromium] = SPELLINGS;
    let first = sign_in(&server, firefox, chromium).await;
    let second = sign_in(&server, chromium, firefox).await;
    assert_eq!(first["sub"], second["sub"]);
    assert_eq!(second["email"], "Jane@xn--bcher-kva.example", "RFC 5322 knows no other letters");
    assert_eq!(
        first["email"].as_str().map(str::to_lowercase),
        second["email"].as_str().map(str::to_lowercase)
    );
    let users = server.do_control("GET", "/api/users", Value::Null).await;
    assert_eq!(users["users"].as_array().map(Vec::len), Some(1), "{users}");
}

#[rstest]
#[tokio::test]
async fn no_spelling_gets_around_the_limit_of_emails(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let spellings = [
        "victim@\u{ff45}xample.com",
        "VICTIM@example.com",
        "victim@exam\u{ad}ple.com",
        "victim@example\u{3002}com",
    ];
    for spelling in spellings {
        server.person().start(spelling).await;
    }
    assert_eq!(server.mails_to("victim@example.com").await.len(), 2);
}

#[tokio::test]
async fn lists_and_lookups_find_an_address_in_any_spelling() {
    let server = TestServer::start().await;
    let [typed, ascii] = SPELLINGS;
    server.do_control("POST", "/users", json!({ "email": typed })).await;
    assert_eq!(server.refused("POST", "/users", json!({ "email": ascii })).await, (409, "email".to_owned()));
    server.person().sign_in(ascii).await;
    for part in ["b\u{fc}cher", "B\u{dc}CHER.example", "xn--bcher", typed, ascii] {
        assert_eq!(server.sessions_of(part).await.len(), 1, "{part}");
        let part: String = url::form_urlencoded::byte_serialize(part.as_bytes()).collect();
        for (path, list) in [("api/users:search?query=", "users"), ("flows?email=", "flows")] {
            let found = server.do_control("GET", &format!("/{path}{part}"), Value::Null).await;
            assert_eq!(found[list].as_array().map(Vec::len), Some(1), "{path}{part}: {found}");
        }
        let page = server.get(&format!("/dashboard/sessions?q={part}")).await.body;
        assert!(page.contains(">Jane@") && !page.contains("No results"), "{part}: {page}");
        let found = server.get(&format!("/_emulator/v1/messages?q={part}")).await.json();
        assert!(found.to_string().contains("xn--bcher-kva"), "{part}: {found}");
    }
}
