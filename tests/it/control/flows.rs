//! The answer to "why did it fail".

use rstest::rstest;
use serde_json::Value;

use crate::support::{Engine, TestServer};

async fn flow(server: &TestServer, email: &str) -> Value {
    let list = server.do_control("GET", &format!("/flows?email={email}"), Value::Null).await;
    let id = list["flows"][0]["id"].as_str().unwrap_or_else(|| panic!("{list}")).to_owned();
    server.do_control("GET", &format!("/flows/{id}"), Value::Null).await
}

fn texts(flow: &Value) -> String {
    let steps = flow["steps"].as_array().unwrap();
    steps
        .iter()
        .map(|s| format!("{} {}\n", s["name"].as_str().unwrap(), s["text"].as_str().unwrap()))
        .collect()
}

#[rstest]
#[tokio::test]
async fn a_sign_in_is_told_step_by_step(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let person = server.person();
    let page = person.start("jane@example.com").await;
    person.get(&page).await;
    person.enter_code(&page, "000000").await;
    let link = server.link_for("jane@example.com").await;
    server.person().get(&link).await;
    let code = server.code_for("jane@example.com").await;
    let done = person.enter_code(&page, &code).await;
    server.exchange(&done.answer("code").unwrap()).await;
    server.exchange(&done.answer("code").unwrap()).await;
    let flow = flow(&server, "jane@example.com").await;
    assert_eq!((&flow["status"], &flow["email"]), (&"SUCCESS".into(), &"jane@example.com".into()));
    let told = texts(&flow);
    let expected = [
        "authorize The authorization request was accepted.",
        "mail A mail is in the inbox, with a code and a link.",
        "page The person saw the code form.",
        "code Wrong code: attempt 1 of 5.",
        "link The link was opened in another browser: refused, because enforce_same_browser_origin is on.",
        "code The code is right.",
        "session Signed in: the application gets a code.",
        "token The authorization code was exchanged for tokens.",
        "token The authorization code was refused with invalid_grant:",
    ];
    let mut rest = told.as_str();
    for step in expected {
        let at = rest.find(step).unwrap_or_else(|| panic!("{step:?} is missing, or out of order:\n{told}"));
        rest = &rest[at + step.len()..];
    }
    assert!(!told.contains(&code), "no code is in the log");
}

#[rstest]
#[tokio::test]
async fn what_comes_too_late_does_not_contradict_the_outcome(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let person = server.person();
    // At once, so that both steps are written together, and after the outcome was written.
    for is_written in [false, true] {
        server.advance_s(61);
        let page = person.start_with(&[("prompt", "login"), ("login_hint", "jane@example.com")]).await;
        let (code, link) =
            (server.code_for("jane@example.com").await, server.link_for("jane@example.com").await);
        person.enter_code(&page, &code).await;
        if is_written {
            flow(&server, "jane@example.com").await;
        }
        person.enter_code(&page, &code).await;
        crate::links::follow(&person, &link).await;
        let flow = flow(&server, "jane@example.com").await;
        assert_eq!(flow["status"], "SUCCESS");
        assert_eq!(flow["why"], "Signed in: the application gets a code.", "{flow}");
        assert!(texts(&flow).contains("refused: the sign-in was used already"), "{flow}");
    }
}

#[tokio::test]
async fn what_was_refused_and_suppressed_is_told_too() {
    let server = TestServer::start().await;
    let person = server.person();
    for _ in 0..3 {
        person.start("jane@example.com").await;
        server.advance_s(1);
    }
    let told = texts(&flow(&server, "jane@example.com").await);
    assert!(told.contains("No mail: the address had its 2 mails within 60 s."), "{told}");
    person.authorize(&[("redirect_uri", "https://evil.example.com/")]).await;
    let failed = server.do_control("GET", "/flows?status=failed", Value::Null).await;
    assert!(failed["flows"][0]["why"].as_str().unwrap().contains("https://evil.example.com/"), "{failed}");
}

#[tokio::test]
async fn too_many_guesses_end_as_failed_with_the_reason() {
    let server = TestServer::start().await;
    let person = server.person();
    let page = person.start("jane@example.com").await;
    for guess in 0..6 {
        person.enter_code(&page, &format!("00000{guess}")).await;
    }
    let flow = flow(&server, "jane@example.com").await;
    assert_eq!(flow["status"], "FAILED");
    assert!(texts(&flow).contains("One attempt more than the 5 allowed"), "{}", texts(&flow));
}

#[tokio::test]
async fn flows_are_paged_and_bad_filters_named() {
    let server = TestServer::start().await;
    for number in 0..5 {
        server.person().start(&format!("p{number}@example.com")).await;
        server.advance_s(1);
    }
    let first = server.do_control("GET", "/flows?page_size=2", Value::Null).await;
    assert_eq!((&first["total"], &first["flows"][0]["email"]), (&5.into(), &"p4@example.com".into()));
    let token = first["next_page_token"].as_str().unwrap();
    let second =
        server.do_control("GET", &format!("/flows?page_size=2&page_token={token}"), Value::Null).await;
    assert_eq!(second["flows"][0]["email"], "p2@example.com");
    for (query, field) in
        [("status=odd", "status"), ("page_size=0", "page_size"), ("page_token=x", "page_token")]
    {
        assert_eq!(server.refused("GET", &format!("/flows?{query}"), Value::Null).await, (400, field.into()));
    }
    assert_eq!(server.refused("GET", "/flows/none", Value::Null).await.0, 404);
}
