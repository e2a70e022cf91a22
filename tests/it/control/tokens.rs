//! Minting tokens and looking into them.

use serde_json::{Value, json};

use crate::support::TestServer;
use crate::support::person::claims;

#[tokio::test]
async fn minted_tokens_are_as_good_as_any() {
    let server = TestServer::start().await;
    server.do_control("POST", "/users", json!({ "email": "jane@example.com" })).await;
    let minted = server
        .do_control(
            "POST",
            "/tokens",
            json!({ "user": "jane@example.com", "nonce": "n", "claims": { "role": "admin" },
            "access_token_lifetime_s": 60 }),
        )
        .await;
    let access = claims(&minted["access_token"]);
    assert_eq!(
        (&access["role"], access["exp"].as_i64().unwrap() - access["iat"].as_i64().unwrap()),
        (&"admin".into(), 60)
    );
    assert_eq!(claims(&minted["id_token"])["nonce"], "n");
    let bearer = minted["access_token"].as_str().unwrap();
    let info =
        server.http().get(format!("{}/userinfo", server.url)).bearer_auth(bearer).send().await.unwrap();
    assert_eq!(info.status(), 200);
    let form =
        [("grant_type", "refresh_token"), ("refresh_token", minted["refresh_token"].as_str().unwrap())];
    assert_eq!(server.token(&form).await.status, 200);
    let decoded = server
        .do_control(
            "POST",
            "/tokens/decode",
            json!({ "token": minted["id_token"], "client_id": access["client_id"] }),
        )
        .await;
    assert_eq!(decoded["valid"], true, "{decoded}");
}

#[tokio::test]
async fn a_token_can_be_minted_expired() {
    let server = TestServer::start().await;
    server.do_control("POST", "/users", json!({ "email": "jane@example.com" })).await;
    let minted = server
        .do_control("POST", "/tokens", json!({ "user": "jane@example.com", "access_token_lifetime_s": -5 }))
        .await;
    let decoded =
        server.do_control("POST", "/tokens/decode", json!({ "token": minted["access_token"] })).await;
    let failing: Vec<&str> = decoded["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|c| c["ok"] == false)
        .map(|c| c["name"].as_str().unwrap())
        .collect();
    assert_eq!(failing, ["expiry"], "{decoded}");
}

#[tokio::test]
async fn decoding_tells_why_a_token_is_refused() {
    let server = TestServer::start().await;
    let tokens = server.person().tokens("jane@example.com").await;
    let failing = |body: Value| {
        let server = &server;
        async move {
            let decoded = server.do_control("POST", "/tokens/decode", body).await;
            let checks = decoded["checks"].as_array().unwrap().clone();
            checks
                .into_iter()
                .filter(|c| c["ok"] == false)
                .map(|c| c["name"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        }
    };
    assert!(failing(json!({ "token": tokens["access_token"] })).await.is_empty());
    assert!(failing(json!({ "token": tokens["refresh_token"] })).await.is_empty());
    assert_eq!(failing(json!({ "token": tokens["id_token"], "client_id": "skc_other" })).await, ["audience"]);
    assert_eq!(failing(json!({ "token": "nonsense" })).await, ["form"]);
    let mut forged = tokens["access_token"].as_str().unwrap().to_owned();
    forged.replace_range(
        forged.len() - 6..forged.len() - 5,
        if forged.as_bytes()[forged.len() - 6] == b'A' { "B" } else { "A" },
    );
    assert_eq!(failing(json!({ "token": forged })).await, ["signature"]);
    server
        .token(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", tokens["refresh_token"].as_str().unwrap()),
        ])
        .await;
    server.advance_s(31);
    assert_eq!(failing(json!({ "token": tokens["refresh_token"] })).await, ["family"]);
    assert_eq!(
        server.refused("POST", "/tokens/decode", json!({ "token": " " })).await,
        (400, "token".into())
    );
    assert_eq!(
        server.refused("POST", "/tokens", json!({ "user": "nobody@example.com" })).await,
        (400, "user".into())
    );
    assert_eq!(server.refused("POST", "/tokens", json!({})).await.0, 400);
}
