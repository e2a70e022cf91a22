//! Magic links: where they work, and what opening them changes.

use rstest::rstest;
use serde_json::{Value, json};

use crate::support::person::{Page, Person};
use crate::support::{Engine, TestServer};

/// Presses the landing page's button.
pub async fn follow(person: &Person<'_>, link: &str) -> Page {
    let url = url::Url::parse(link).unwrap();
    let token = url.query_pairs().find(|(n, _)| n == "link_token").unwrap().1.into_owned();
    person.post("/login/link", &[("link_token", &token)]).await
}

const LENIENT: &str = "[passwordless]\nenforce_same_browser_origin = false";

#[rstest]
#[tokio::test]
async fn a_link_signs_in_where_the_sign_in_was_started(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let person = server.person();
    let sign_in = person.start("jane@example.com").await;
    let link = server.link_for("jane@example.com").await;
    let landing = person.get(&link).await;
    assert_eq!(landing.status, 200);
    assert!(landing.body.contains("data-submit-now"), "the page sends its form by itself");
    assert_eq!(person.get(&format!("{sign_in}/status")).await.json()["state"], "waiting");
    let done = follow(&person, &link).await;
    assert!(done.answer("code").is_some(), "{}", done.body);
    // The tab that waits notices and moves on.
    assert_eq!(person.get(&format!("{sign_in}/status")).await.json()["state"], "moved");
    assert_eq!(person.get(&sign_in).await.heading(), "You're signed in");
}

#[tokio::test]
async fn a_link_opened_elsewhere_is_refused_and_stays_usable_where_it_belongs() {
    let server = TestServer::start().await;
    let (person, elsewhere) = (server.person(), server.person());
    person.start("jane@example.com").await;
    let link = server.link_for("jane@example.com").await;
    let page = elsewhere.get(&link).await;
    assert_eq!((page.status, page.heading().as_str()), (403, "Open this link where you started"));
    let page = follow(&elsewhere, &link).await;
    assert_eq!((page.status, page.location), (403, None));
    assert!(follow(&person, &link).await.answer("code").is_some());
}

#[tokio::test]
async fn without_enforcement_another_browser_finishes_after_a_click() {
    let server = TestServer::with(LENIENT).await;
    let (person, elsewhere) = (server.person(), server.person());
    let sign_in = person.start("jane@example.com").await;
    let link = server.link_for("jane@example.com").await;
    let landing = elsewhere.get(&link).await;
    assert_eq!(landing.status, 200);
    assert!(!landing.body.contains("data-submit-now"), "nothing happens without a click");
    assert!(follow(&elsewhere, &link).await.answer("code").is_some());
    assert_eq!(person.get(&sign_in).await.heading(), "You're signed in");
}

#[tokio::test]
async fn a_used_expired_or_invented_link_says_so() {
    let server = TestServer::start().await;
    let person = server.person();
    person.start("jane@example.com").await;
    let link = server.link_for("jane@example.com").await;
    assert_eq!(follow(&person, &link).await.status, 303);
    assert_eq!(person.get(&link).await.heading(), "You're signed in");
    assert_eq!(follow(&person, &link).await.location, None);
    let late = server.person();
    late.start("late@example.com").await;
    let link = server.link_for("late@example.com").await;
    server.advance_s(300);
    assert_eq!(late.get(&link).await.status, 410);
    assert_eq!(follow(&late, &link).await.status, 410);
    assert_eq!(person.get("/login/link?link_token=invented").await.status, 410);
    assert_eq!(person.get("/login/link").await.status, 410);
}

#[rstest]
#[tokio::test]
async fn a_used_link_that_is_clicked_again_changes_nothing_about_the_outcome(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let person = server.person();
    let sign_in = person.start("jane@example.com").await;
    let link = server.link_for("jane@example.com").await;
    assert!(follow(&person, &link).await.answer("code").is_some());
    let path = format!("/flows/{}", sign_in.rsplit('/').next().unwrap());
    let before = server.do_control("GET", &path, Value::Null).await;
    assert_eq!((&before["status"], &before["why_type"]), (&json!("SUCCESS"), &json!("signed_in")));
    person.get(&link).await;
    follow(&server.person(), &link).await;
    person.get(&sign_in).await;
    let after = server.do_control("GET", &path, Value::Null).await;
    for field in ["status", "why", "why_type"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    let count = |flow: &Value| flow["steps"].as_array().unwrap().len();
    assert!(count(&after) > count(&before), "the clicks are in its timeline: {after}");
}

#[tokio::test]
async fn an_email_without_a_link_gives_no_link_away() {
    let server = TestServer::with("[passwordless]\ntype = \"OTP\"").await;
    let person = server.person();
    let sign_in = person.start("jane@example.com").await;
    let id = sign_in.rsplit('/').next().unwrap();
    let token = server.app.live().secret.link_token(id, 1);
    assert_eq!(person.post("/login/link", &[("link_token", &token)]).await.status, 410);
}
