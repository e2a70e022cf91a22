//! Sessions of users by Scalekit's API: listed, filtered, and ended from afar.

use rstest::rstest;
use serde_json::{Value, json};

use crate::support::person::claims;
use crate::support::{Engine, TestServer};

const FULL_STACK: &str = "[tokens]\nuser_management = true\n";

const JANE: &str = "jane@acme.test";

const CHROME: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) \
                      Chrome/126.0.0.0 Safari/537.36";

async fn refresh(server: &TestServer, tokens: &Value) -> u16 {
    let token = tokens["refresh_token"].as_str().unwrap();
    server.token(&[("grant_type", "refresh_token"), ("refresh_token", token)]).await.status
}

fn statuses(list: &Value) -> Vec<&str> {
    list["sessions"].as_array().unwrap().iter().map(|s| s["status"].as_str().unwrap()).collect()
}

#[rstest]
#[tokio::test]
async fn a_session_tells_of_its_device_organization_and_applications_until_it_is_revoked(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, FULL_STACK).await else { return };
    let mut jane = server.person();
    jane.browser = reqwest::Client::builder()
        .cookie_store(true)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(CHROME)
        .build()
        .unwrap();
    let tokens = jane.tokens(JANE).await;
    let access_token = claims(&tokens["access_token"]);
    let id = access_token["sid"].as_str().unwrap();
    let session = server.do_api("GET", &format!("/sessions/{id}"), Value::Null).await;
    assert_eq!((&session["session_id"], &session["user_id"]), (&access_token["sid"], &access_token["sub"]));
    assert_eq!((&session["status"], &session["organization_id"]), (&"active".into(), &access_token["oid"]));
    assert_eq!(session["authenticated_organizations"], json!([access_token["oid"]]));
    assert_eq!(
        session["authenticated_clients"],
        json!([{ "client_id": access_token["client_id"], "organization_id": access_token["oid"] }])
    );
    let device = &session["device"];
    assert_eq!((&device["browser"], &device["device_type"]), (&"Chrome".into(), &"desktop".into()));
    assert_eq!((&device["user_agent"], &device["ip"]), (&CHROME.into(), &"127.0.0.1".into()));
    assert!(session.get("expired_at").is_none() && session.get("logout_at").is_none(), "{session}");

    server.advance_s(60);
    let path = format!("/sessions/{id}/revoke");
    let revoked = server.do_api("POST", &path, Value::Null).await["revoked_session"].clone();
    assert_eq!((&revoked["session_id"], &revoked["status"]), (&access_token["sid"], &"revoked".into()));
    assert!(revoked["expired_at"].is_string(), "{revoked}");
    assert_eq!(refresh(&server, &tokens).await, 400);
    let token = tokens["access_token"].as_str().unwrap();
    let introspected = server
        .http()
        .post(format!("{}/oauth/introspect", server.url))
        .basic_auth(crate::support::CLIENT_ID, Some(crate::support::CLIENT_SECRET))
        .form(&[("token", token)])
        .send()
        .await
        .unwrap();
    assert_eq!(introspected.json::<Value>().await.unwrap()["active"], false);
    assert!(jane.authorize(&[]).await.location.unwrap().contains("/login/"), "the cookie is worth nothing");
    server.advance_s(60);
    assert_eq!(server.do_api("POST", &path, Value::Null).await["revoked_session"], revoked, "once more");
}

#[rstest]
#[tokio::test]
async fn sessions_of_a_user_are_listed_newest_first_by_status_and_time_and_ended_together(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "[limits]\nmails_per_address = 0\n").await else { return };
    let started = server.do_control("GET", "/clock", Value::Null).await["now"].clone();
    let mut signed_in = vec![];
    let mut people = vec![];
    for _ in 0..4 {
        server.advance_s(10);
        let person = server.person();
        signed_in.push(person.tokens(JANE).await);
        people.push(person);
    }
    server.person().tokens("bob@acme.test").await;
    let users = server.do_api("GET", "/users:search?query=jane", Value::Null).await;
    let user_id = users["users"][0]["id"].as_str().unwrap();
    let path = format!("/users/{user_id}/sessions");
    let all = server.do_api("GET", &path, Value::Null).await;
    assert_eq!((statuses(&all), &all["total_size"]), (vec!["active"; 4], &4.into()));
    let sessions = all["sessions"].as_array().unwrap();
    let created: Vec<&str> = sessions.iter().map(|s| s["created_at"].as_str().unwrap()).collect();
    assert!(created.is_sorted_by(|one, other| one > other), "{created:?}");

    let (mut seen, mut token) = (vec![], String::new());
    loop {
        let page = server.do_api("GET", &format!("{path}?page_size=3&page_token={token}"), Value::Null).await;
        seen.extend(page["sessions"].as_array().unwrap().clone());
        let next = page["next_page_token"].as_str().unwrap();
        token = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(&seen, sessions);

    // One signs out, one is revoked.
    let out = people[0].get("/oidc/logout").await;
    let out = people[0].post("/oidc/logout/confirm", &[("confirm", "yes")]).await.status.min(out.status);
    assert!(out < 400);
    let id = sessions[1]["session_id"].as_str().unwrap();
    server.do_api("POST", &format!("/sessions/{id}/revoke"), Value::Null).await;
    let mixed = server.do_api("GET", &path, Value::Null).await;
    assert_eq!(statuses(&mixed), ["active", "revoked", "active", "logout"]);
    assert!(
        mixed["sessions"][3]["logout_at"].is_string() && mixed["sessions"][3].get("expired_at").is_none()
    );
    for (query, found) in [
        ("filter.status=ACTIVE", vec!["active", "active"]),
        ("filter.status=revoked&filter.status=Logout", vec!["revoked", "logout"]),
        ("filter.status=expired", vec![]),
        (&format!("filter.end_time={}", created[2]), vec!["active", "logout"]),
        (&format!("filter.start_time={}", created[1]), vec!["active", "revoked"]),
        (&format!("filter.end_time={}", started.as_str().unwrap()), vec![]),
    ] {
        let list = server.do_api("GET", &format!("{path}?{query}"), Value::Null).await;
        assert_eq!((statuses(&list), &list["total_size"]), (found.clone(), &found.len().into()), "{query}");
    }
    assert_eq!(refresh(&server, &signed_in[3]).await, 200);

    let ended = server.do_api("POST", &format!("{path}/revoke"), Value::Null).await;
    assert_eq!(ended["total_revoked"], 2);
    assert_eq!(ended["revoked_sessions"].as_array().unwrap().len(), 2);
    assert_eq!(refresh(&server, &signed_in[3]).await, 400);
    let none = server.do_api("POST", &format!("{path}/revoke"), Value::Null).await;
    assert_eq!((&none["total_revoked"], &none["revoked_sessions"]), (&0.into(), &json!([])));
    let bob = server.do_api("GET", "/users:search?query=bob", Value::Null).await["users"][0]["id"].clone();
    let of_bob =
        server.do_api("GET", &format!("/users/{}/sessions", bob.as_str().unwrap()), Value::Null).await;
    assert_eq!(statuses(&of_bob), ["active"], "others stay signed in");
}

#[tokio::test]
async fn a_session_expires_by_the_clock_of_the_environment() {
    let server = TestServer::with(FULL_STACK).await;
    let tokens = server.person().tokens(JANE).await;
    let id = claims(&tokens["access_token"])["sid"].as_str().unwrap().to_owned();
    let before = server.do_api("GET", &format!("/sessions/{id}"), Value::Null).await;
    server.advance_s(604_800);
    let after = server.do_api("GET", &format!("/sessions/{id}"), Value::Null).await;
    assert_eq!((&after["status"], &after["expired_at"]), (&"expired".into(), &before["idle_expires_at"]));
    let path = format!("/users/{}/sessions?filter.status=expired", after["user_id"].as_str().unwrap());
    assert_eq!(server.do_api("GET", &path, Value::Null).await["total_size"], 1);
    let revoked = server.do_api("POST", &format!("/sessions/{id}/revoke"), Value::Null).await;
    assert_eq!(revoked["revoked_session"]["status"], "expired", "what has ended stays as it is");
}

#[tokio::test]
async fn what_is_not_there_or_wrong_is_named() {
    let server = TestServer::start().await;
    for (verb, path, status, field) in [
        ("GET", "/sessions/ses_1", 404, ""),
        ("POST", "/sessions/ses_1/revoke", 404, ""),
        ("GET", "/sessions/ses_abc", 400, "session_id"),
        ("GET", "/users/usr_1/sessions", 404, ""),
        ("POST", "/users/usr_1/sessions/revoke", 404, ""),
        ("GET", "/users/nobody/sessions", 400, "user_id"),
    ] {
        let refused = server.refused_api(verb, path, Value::Null).await;
        assert_eq!((refused.0, refused.2.as_str()), (status, field), "{verb} {path}");
    }
    server.person().tokens(JANE).await;
    let users = server.do_api("GET", "/users", Value::Null).await;
    let path = format!("/users/{}/sessions", users["users"][0]["id"].as_str().unwrap());
    for (query, field) in [("filter.status=gone", "filter.status[0]"), ("page_token=x", "page_token")] {
        let refused = server.refused_api("GET", &format!("{path}?{query}"), Value::Null).await;
        assert_eq!((refused.0, refused.2.as_str()), (400, field), "{query}");
    }
}
