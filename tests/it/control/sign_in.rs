//! Instant sign-in.

use serde_json::json;

use crate::support::{CALLBACK, CLIENT_ID, TestServer};

#[tokio::test]
async fn one_call_signs_in_and_the_code_is_as_good_as_any() {
    let server = TestServer::with("instant_sign_in = true").await;
    let url = format!(
        "{}/oauth/authorize?response_type=code&client_id={CLIENT_ID}&redirect_uri={CALLBACK}&scope=openid%20email&state=xyz&login_hint=jane@example.com",
        server.url
    );
    let done = server
        .do_control("POST", "/sign-in", json!({ "email": "jane@example.com", "authorization_url": url }))
        .await;
    assert_eq!((&done["state"], &done["error"]), (&"xyz".into(), &serde_json::Value::Null));
    assert!(done["callback_url"].as_str().unwrap().starts_with(CALLBACK));
    assert!(server.mails_to("jane@example.com").await.is_empty(), "no email was sent");
    assert_eq!(server.exchange(done["code"].as_str().unwrap()).await.status, 200);
    let flows = server.do_control("GET", "/flows?email=jane", serde_json::Value::Null).await;
    assert_eq!(flows["flows"][0]["status"], "SUCCESS");
}

#[tokio::test]
async fn links_only_environments_sign_in_instantly_too() {
    let server = TestServer::with("instant_sign_in = true\n[passwordless]\ntype = \"LINK\"").await;
    let parameters = json!({ "response_type": "code", "client_id": CLIENT_ID, "redirect_uri": CALLBACK });
    let done =
        server.do_control("POST", "/sign-in", json!({ "email": "a@b.io", "parameters": parameters })).await;
    assert_eq!(server.exchange(done["code"].as_str().unwrap()).await.status, 200);
}

#[tokio::test]
async fn a_client_has_to_allow_it_and_mistakes_are_told() {
    let server = TestServer::start().await;
    let ask = |parameters: serde_json::Value| json!({ "email": "a@b.io", "parameters": parameters });
    let good = json!({ "response_type": "code", "client_id": CLIENT_ID, "redirect_uri": CALLBACK });
    assert_eq!(server.refused("POST", "/sign-in", ask(good.clone())).await.0, 403);
    server.do_control("PATCH", &format!("/clients/{CLIENT_ID}"), json!({ "instant_sign_in": true })).await;
    server.do_control("POST", "/sign-in", ask(good)).await;
    let unregistered = json!({ "response_type": "code", "client_id": CLIENT_ID, "redirect_uri": "https://evil.example.com" });
    assert_eq!(server.refused("POST", "/sign-in", ask(unregistered)).await, (400, "redirect_uri".into()));
    assert_eq!(
        server.refused("POST", "/sign-in", ask(json!({ "client_id": "x" }))).await,
        (400, "client_id".into())
    );
    assert_eq!(
        server.refused("POST", "/sign-in", json!({ "email": "no", "parameters": {} })).await,
        (400, "email".into())
    );
    let bad_scope = json!({ "response_type": "token", "client_id": CLIENT_ID, "redirect_uri": CALLBACK });
    let refused = server.do_control("POST", "/sign-in", ask(bad_scope)).await;
    assert_eq!(refused["error"], "unsupported_response_type", "as the application would be told");
}
