//! `vestibule::testing`, as the tests of somebody's application use it.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use vestibule::testing::{Environment, Server, TestError};

fn authorization_url(environment: &Environment) -> String {
    format!(
        "{}/oauth/authorize?response_type=code&client_id={}&redirect_uri=http://localhost:3000/cb&login_hint=jane@example.com",
        environment.url, environment.client_id
    )
}

/// The browser's part, up to the application's callback.
async fn sign_in(environment: &Environment) -> reqwest::Response {
    let browser = reqwest::Client::builder()
        .cookie_store(true)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let page = browser.get(authorization_url(environment)).send().await.unwrap();
    let page = page.headers()["location"].to_str().unwrap().to_owned();
    let code = environment.wait_for_code("jane@example.com").await.unwrap();
    browser.post(format!("{page}/code")).form(&[("code", code)]).send().await.unwrap()
}

#[tokio::test]
async fn a_code_is_never_of_a_sign_in_that_is_over_and_the_error_tells_what_happened() {
    let server = Server::start().await.unwrap();
    sign_in(&server).await;
    let url =
        format!("{}/_emulator/v1/messages/latest?to=jane@example.com&unused=true&wait_ms=0", server.url);
    assert_eq!(reqwest::get(url).await.unwrap().status(), 404);
    let done = sign_in(&server).await;
    assert!(done.headers()["location"].to_str().unwrap().contains("/cb?code="));
    let latest = "/messages/latest?to=jane@example.com&since=msg_9&wait_ms=0";
    let Err(TestError::Refused { status: 404, detail, .. }) =
        server.call(Method::GET, latest, json!(null)).await
    else {
        panic!("there is no newer one");
    };
    assert!(detail.contains("\nSign-in ") && detail.contains("\n+0.0 s authorize ok: "), "{detail}");
    assert_eq!(server.env()[2], ("SCALEKIT_CLIENT_ID", server.client_id.as_str()));
}

#[tokio::test]
async fn three_lines_lead_to_a_first_sign_in() {
    let server = Server::start().await.unwrap();
    let environment = server.new_environment().await.unwrap();
    let done = sign_in(&environment).await;
    assert!(done.headers()["location"].to_str().unwrap().starts_with("http://localhost:3000/cb?code="));
    assert!(
        server.call(Method::GET, "/messages", json!(null)).await.unwrap()["messages"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    environment.delete().await.unwrap();
}

#[tokio::test]
async fn an_inbox_gives_the_sign_in_that_follows_though_nobody_waits_for_the_submit() {
    let server = Server::with("[limits]\nmails_per_address = 0").await.unwrap();
    let mut inbox = server.inbox("jane@example.com").await.unwrap();
    for _ in 0..4 {
        let browser = reqwest::Client::builder()
            .cookie_store(true)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let submitted = tokio::spawn(browser.get(authorization_url(&server)).send());
        let code = inbox.next_code().await.unwrap();
        let page = submitted.await.unwrap().unwrap().headers()["location"].to_str().unwrap().to_owned();
        let done = browser.post(format!("{page}/code")).form(&[("code", code)]).send().await.unwrap();
        assert!(done.headers()["location"].to_str().unwrap().starts_with("http://localhost:3000/cb?code="));
    }
}

#[tokio::test]
async fn an_event_is_waited_for_from_before_it_happens() {
    let server = Server::start().await.unwrap();
    let make = |name: &str| {
        let body = json!({ "display_name": name });
        server.call(Method::POST, "/api/organizations", body)
    };
    make("Before").await.unwrap();
    let since = server.event_cursor().await.unwrap();
    let (event, made) =
        tokio::join!(server.wait_for_event("organization.created", Some(&since)), make("After"));
    let event = event.unwrap();
    assert_eq!(event.data["id"], made.unwrap()["organization"]["id"]);
    assert_eq!(server.wait_for_event("organization.created", None).await.unwrap().id, event.id);
}

#[tokio::test]
async fn a_test_expects_the_requests_that_an_application_makes() {
    let server = Server::start().await.unwrap();
    let since = server.requests("*").await.unwrap().cursor;
    let (expected, _) =
        tokio::join!(server.expect_request("/oauth/authorize", Some(&since)), sign_in(&server));
    let expected = expected.unwrap();
    assert_eq!(
        (expected.status, expected.client_id.as_deref()),
        (Some(303), Some(server.client_id.as_str()))
    );
    assert_eq!(expected.parameters["response_type"], "code");
    match server.expect_request_within("/oauth/token", None, Duration::from_millis(10)).await {
        Err(TestError::Refused { status: 404, detail, .. }) => {
            assert!(detail.contains("GET /oauth/authorize 303"), "{detail}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn time_moves_state_resets_and_refusals_name_the_field() {
    let server = Server::with("instant_sign_in = true\n[passwordless]\ntype = \"LINK_OTP\"").await.unwrap();
    let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    browser.get(authorization_url(&server)).send().await.unwrap();
    let mail = server.wait_for_message("jane@example.com", None).await.unwrap();
    assert_eq!(server.wait_for_link("jane@example.com").await.unwrap(), mail.link.unwrap());
    server.advance(Duration::from_secs(301)).await.unwrap();
    let clock = server.call(Method::GET, "/clock", json!(null)).await.unwrap();
    assert_eq!(clock["ahead_s"], 301);
    let done = server.sign_in("ann@example.com", &authorization_url(&server)).await.unwrap();
    assert!(done.code.is_some() && done.error.is_none());
    server.reset().await.unwrap();
    assert_eq!(server.call(Method::GET, "/clock", json!(null)).await.unwrap()["ahead_s"], 0);
    match server.call(Method::PUT, "/clock", json!({ "now": "soon" })).await {
        Err(TestError::Refused { status: 400, errors, .. }) => assert_eq!(errors[0].0, "now"),
        other => panic!("{other:?}"),
    }
    match server.call(Method::POST, "/api/organizations", json!({})).await {
        Err(TestError::Refused { status: 400, errors, detail }) => {
            assert_eq!(errors[0].0, "organization.display_name");
            assert!(!detail.is_empty() && !errors[0].1.is_empty(), "{detail}");
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(Server::with("typo = 1").await, Err(TestError::Configuration(_))));
}
