//! The machine's clock jumps: what was used stays used, and nobody is held up for as long as the jump was.

use rstest::rstest;
use vestibule::domain::clock::Clock as _;

use crate::links::follow;
use crate::support::{Engine, TestServer};

const DAY_S: i64 = 86_400;

#[rstest]
#[tokio::test]
async fn nothing_used_works_again_after_the_clock_jumps(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(-DAY_S, -5, 5, DAY_S)] jump_s: i64,
) {
    let Some(server) = TestServer::on(engine, "[tokens]\nrefresh_grace_s = 2").await else { return };
    let (person, other) = (server.person(), server.person());
    let sign_in = person.start("jane@example.com").await;
    let code = server.code_for("jane@example.com").await;
    let authorization = person.enter_code(&sign_in, &code).await.answer("code").unwrap();
    let tokens = server.exchange(&authorization).await.json();
    let old = tokens["refresh_token"].as_str().unwrap();
    let form = [("grant_type", "refresh_token"), ("refresh_token", old)];
    assert_eq!(server.token(&form).await.status, 200);
    other.start("bob@example.com").await;
    let link = server.link_for("bob@example.com").await;
    assert!(follow(&other, &link).await.answer("code").is_some());

    server.advance_s(jump_s);
    assert_eq!(person.enter_code(&sign_in, &code).await.answer("code"), None);
    assert_eq!(follow(&other, &link).await.answer("code"), None);
    assert_eq!(server.token(&form).await.json()["error"], "invalid_grant");
    assert_eq!(server.exchange(&authorization).await.json()["error"], "invalid_grant");
    // And users sign in as ever.
    assert!(server.person().tokens("new@example.com").await["access_token"].is_string());
}

#[rstest]
#[tokio::test]
async fn emails_are_sent_again_after_the_clock_was_set_back(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    for _ in 0..2 {
        server.person().start("jane@example.com").await;
    }
    server.person().start("jane@example.com").await;
    assert_eq!(server.mails_to("jane@example.com").await.len(), 2, "two a minute");
    server.advance_s(-5);
    server.person().start("jane@example.com").await;
    assert_eq!(server.mails_to("jane@example.com").await.len(), 2, "a small step gives no more");
    server.advance_s(-DAY_S);
    server.person().start("jane@example.com").await;
    assert_eq!(server.mails_to("jane@example.com").await.len(), 3, "the minute is not a day");
}

#[rstest]
#[tokio::test]
async fn an_email_that_waits_for_its_next_attempt_does_not_wait_for_the_clock(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    // Nothing listens on port 1.
    let toml = "[smtp]\nhost = \"127.0.0.1\"\nport = 1\nencryption = \"none\"";
    let Some(server) = TestServer::on(engine, toml).await else { return };
    server.person().start("jane@example.com").await;
    let attempts = async || {
        let store = server.app.store();
        store.due_mails(server.clock.now_ms() + 2_000, 1).await.unwrap().first().map_or(0, |m| m.attempts)
    };
    let until = async |count: i64| {
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
        while attempts().await < count {
            assert!(tokio::time::Instant::now() < deadline, "attempt {count}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    until(1).await;
    server.advance_s(-DAY_S);
    until(2).await;
}
