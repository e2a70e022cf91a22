//! Time moves for everything at once.

use rstest::rstest;
use serde_json::{Value, json};

use crate::support::person::claims;
use crate::support::{CALLBACK, Engine, TestServer};

#[rstest]
#[tokio::test]
async fn advancing_the_clock_expires_codes_tokens_and_sessions(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let person = server.person();
    let tokens = person.tokens("jane@example.com").await;
    let sign_in = server.person();
    let page = sign_in.start("bob@example.com").await;
    let code = server.code_for("bob@example.com").await;
    let shown = server.do_control("PUT", "/clock", json!({ "advance_s": 3600 })).await;
    assert_eq!(shown["ahead_s"], 3600);
    assert!(sign_in.enter_code(&page, &code).await.status != 303, "the code is an hour old");
    let bearer = tokens["access_token"].as_str().unwrap();
    let info =
        server.http().get(format!("{}/userinfo", server.url)).bearer_auth(bearer).send().await.unwrap();
    assert_eq!(info.status(), 401);
    server.do_control("PUT", "/clock", json!({ "advance_s": 8 * 86_400 })).await;
    let silent = person.authorize(&[("prompt", "none")]).await;
    assert_eq!(silent.answer("error").as_deref(), Some("login_required"), "the session idled too long");
}

#[tokio::test]
async fn tokens_made_ahead_of_time_are_dated_now_and_live_their_whole_life() {
    let server = TestServer::start().await;
    server.do_control("PUT", "/clock", json!({ "advance_s": 7200 })).await;
    let real_s = vestibule::domain::clock::Clock::now_ms(&*server.clock) / 1000;
    let tokens = server.person().tokens("jane@example.com").await;
    for name in ["access_token", "id_token"] {
        let claims = claims(&tokens[name]);
        assert!(claims["iat"].as_i64().unwrap() <= real_s, "{name}: {claims}");
        assert!(claims["exp"].as_i64().unwrap() > real_s + 7200, "{name}: {claims}");
    }
    assert!(claims(&tokens["id_token"])["auth_time"].as_i64().unwrap() <= real_s);
    let bearer = tokens["access_token"].as_str().unwrap();
    let info =
        server.http().get(format!("{}/userinfo", server.url)).bearer_auth(bearer).send().await.unwrap();
    assert_eq!(info.status(), 200, "the server's own clock takes it");
    server.do_control("PUT", "/clock", json!({ "date_tokens_ahead": true })).await;
    let ahead = server.person().tokens("bob@example.com").await;
    assert_eq!(claims(&ahead["access_token"])["iat"], real_s + 7200);
}

#[tokio::test]
async fn a_frozen_clock_stands_until_it_is_resumed_and_can_be_set() {
    let server = TestServer::start().await;
    let frozen =
        server.do_control("PUT", "/clock", json!({ "now": "2031-05-01T12:00:00Z", "frozen": true })).await;
    assert_eq!((&frozen["now"], &frozen["frozen"]), (&"2031-05-01T12:00:00.000Z".into(), &true.into()));
    server.advance_s(60);
    assert_eq!(server.do_control("GET", "/clock", Value::Null).await["now"], "2031-05-01T12:00:00.000Z");
    server.do_control("PUT", "/clock", json!({ "frozen": false })).await;
    server.advance_s(5);
    assert_eq!(server.do_control("GET", "/clock", Value::Null).await["now"], "2031-05-01T12:00:05.000Z");
    assert_eq!(server.do_control("DELETE", "/clock", Value::Null).await["ahead_s"], 0);
}

#[tokio::test]
async fn the_clock_moves_on_every_server_of_a_database() {
    let Some(server) = TestServer::on(Engine::Postgres, "").await else { return };
    let other = server.beside("").await;
    // The other server has just looked, and must not rely on it.
    assert_eq!(other.do_control("GET", "/clock", Value::Null).await["ahead_s"], 0);
    server.do_control("PUT", "/clock", json!({ "advance_s": 600 })).await;
    assert_eq!(other.do_control("GET", "/clock", Value::Null).await["ahead_s"], 600);
    let sign_in = other.person();
    let page = sign_in.start("jane@example.com").await;
    let code = other.code_for("jane@example.com").await;
    server.do_control("PUT", "/clock", json!({ "advance_s": 301 })).await;
    assert!(sign_in.enter_code(&page, &code).await.status != 303);
}

#[tokio::test]
async fn attempt_windows_and_email_limits_obey_the_clock() {
    let server = TestServer::start().await;
    let person = server.person();
    for _ in 0..2 {
        person.start("jane@example.com").await;
    }
    let third = person.start("jane@example.com").await;
    assert_eq!(server.mails_to("jane@example.com").await.len(), 2, "{third}");
    server.do_control("PUT", "/clock", json!({ "advance_s": 61 })).await;
    person.start("jane@example.com").await;
    assert_eq!(server.mails_to("jane@example.com").await.len(), 3);
    assert!(CALLBACK.starts_with("http"));
}

#[tokio::test]
async fn bad_input_is_named_and_the_clock_stays() {
    let server = TestServer::start().await;
    for (body, field) in [
        (json!({}), ""),
        (json!({ "now": "yesterday" }), "now"),
        (json!({ "advance_s": 400_000_000 }), "advance_s"),
        (json!({ "advance_s": "1" }), "advance_s"),
        (json!({ "advance": 1 }), "advance"),
        (json!({ "now": "9999-12-31T23:59:59Z", "advance_s": 1 }), "now"),
    ] {
        let (status, named) = server.refused("PUT", "/clock", body.clone()).await;
        assert_eq!((status, named.as_str()), (400, field), "{body}");
    }
    assert_eq!(server.do_control("GET", "/clock", Value::Null).await["ahead_s"], 0);
}
