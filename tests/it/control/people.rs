//! Users, organizations, sessions and emails by API.

use serde_json::{Value, json};

use crate::support::TestServer;
use crate::support::person::claims;

#[tokio::test]
async fn users_come_change_and_go_by_the_rules_of_the_configuration() {
    let server = TestServer::start().await;
    server
        .do_control("POST", "/organizations", json!({ "display_name": "Acme", "external_id": "acme" }))
        .await;
    let made = server
        .do_control(
            "POST",
            "/users",
            json!({ "email": "Jane@Acme.test", "name": "Jane", "organizations": ["acme"] }),
        )
        .await;
    let path = format!("/users/{}", made["id"].as_str().unwrap());
    assert_eq!(made["organizations"].as_array().unwrap().len(), 1);
    for (method, path, body, status, field) in [
        ("POST", "/users", json!({ "email": "jane@acme.test" }), 409, "email"),
        ("POST", "/users", json!({ "email": "no" }), 400, "email"),
        ("POST", "/users", json!({}), 400, "email"),
        ("POST", "/users", json!({ "email": "x@y.io", "nmae": "X" }), 400, "nmae"),
        ("POST", "/users", json!({ "email": "x@y.io", "organizations": ["nope"] }), 400, "organizations"),
        ("POST", "/users", json!([]), 400, ""),
        ("PATCH", path.as_str(), json!({ "email": "" }), 400, "email"),
        ("PATCH", path.as_str(), json!({ "id": "usr_100000000000009" }), 400, "id"),
        ("PATCH", "/users/usr_1", json!({ "name": "X" }), 404, ""),
    ] {
        assert_eq!(
            server.refused(method, path, body.clone()).await,
            (status, field.into()),
            "{method} {path} {body}"
        );
    }
    let changed = server
        .do_control(
            "PATCH",
            &path,
            json!({ "name": null, "given_name": "J", "email": "jane@new.test", "organizations": [] }),
        )
        .await;
    assert_eq!(
        (&changed["name"], &changed["given_name"], &changed["organizations"]),
        (&Value::Null, &"J".into(), &json!([]))
    );
    let tokens = server.person().tokens("jane@new.test").await;
    assert_eq!(claims(&tokens["id_token"])["given_name"], "J", "the next request sees it");
    server.do_control("DELETE", &path, Value::Null).await;
    let form =
        [("grant_type", "refresh_token"), ("refresh_token", tokens["refresh_token"].as_str().unwrap())];
    assert_eq!(server.token(&form).await.json()["error"], "invalid_grant");
}

#[tokio::test]
async fn lists_page_and_search() {
    let server = TestServer::start().await;
    for number in 0..5 {
        server.do_control("POST", "/users", json!({ "email": format!("u{number}@a_b.test") })).await;
        server.advance_s(1);
    }
    let found = server.do_control("GET", "/users?q=U3@A_B", Value::Null).await;
    assert_eq!(found["users"].as_array().unwrap().len(), 1);
    let none = server.do_control("GET", "/users?q=axb", Value::Null).await;
    assert!(none["users"].as_array().unwrap().is_empty(), "an underscore is no wildcard");
    let page = server.do_control("GET", "/users?page_size=2&page_token=4", Value::Null).await;
    assert_eq!((&page["users"][0]["email"], &page["next_page_token"]), (&"u0@a_b.test".into(), &Value::Null));
}

#[tokio::test]
async fn organizations_count_their_members_and_leave_them_behind() {
    let server = TestServer::start().await;
    let acme = server.do_control("POST", "/organizations", json!({ "display_name": "Acme" })).await;
    let path = format!("/organizations/{}", acme["id"].as_str().unwrap());
    server.do_control("POST", "/users", json!({ "email": "a@b.io", "organizations": [acme["id"]] })).await;
    let renamed = server.do_control("PATCH", &path, json!({ "display_name": "Acme Ltd" })).await;
    assert_eq!((&renamed["display_name"], &renamed["members"]), (&"Acme Ltd".into(), &1.into()));
    assert_eq!(
        server.refused("PATCH", &path, json!({ "display_name": "" })).await,
        (400, "display_name".into())
    );
    server.do_control("DELETE", &path, Value::Null).await;
    let users = server.do_control("GET", "/users", Value::Null).await;
    assert_eq!(users["users"][0]["organizations"], json!([]));
    assert_eq!(server.refused("GET", &path, Value::Null).await.0, 404);
}

#[tokio::test]
async fn an_ended_session_signs_nobody_in() {
    let server = TestServer::start().await;
    let person = server.person();
    person.tokens("jane@example.com").await;
    let sessions = server.do_control("GET", "/sessions?q=jane", Value::Null).await;
    assert_eq!(
        (&sessions["sessions"][0]["live"], &sessions["sessions"][0]["email"]),
        (&true.into(), &"jane@example.com".into())
    );
    let path = format!("/sessions/{}", sessions["sessions"][0]["id"].as_str().unwrap());
    server.do_control("DELETE", &path, Value::Null).await;
    assert_eq!(
        person.authorize(&[("prompt", "none")]).await.answer("error").as_deref(),
        Some("login_required")
    );
    assert_eq!(server.refused("DELETE", &path, Value::Null).await.0, 404);
}

#[tokio::test]
async fn mails_are_searched_shown_in_source_and_deleted_one_by_one() {
    let server = TestServer::start().await;
    for address in ["jane@example.com", "bob@example.com", "ann@example.com"] {
        server.person().start(address).await;
    }
    let code = server.code_for("bob@example.com").await;
    let found = server.do_control("GET", &format!("/messages?q={code}"), Value::Null).await;
    assert_eq!(found["messages"][0]["to"], "bob@example.com");
    let id = found["messages"][0]["id"].as_str().unwrap();
    let raw = server.get(&format!("/_emulator/v1/messages/{id}/raw")).await;
    assert_eq!(raw.header("content-type"), "message/rfc822");
    assert!(
        raw.body.contains("To: bob@example.com") && raw.body.contains("multipart/alternative"),
        "{}",
        raw.body
    );
    assert!(
        server
            .get(&format!("/_emulator/v1/messages/{id}/html"))
            .await
            .header("content-security-policy")
            .contains("sandbox")
    );
    server.do_control("DELETE", &format!("/messages/{id}"), Value::Null).await;
    assert_eq!(server.refused("GET", &format!("/messages/{id}"), Value::Null).await.0, 404);
    assert_eq!(server.do_control("DELETE", "/messages?to=JANE@example.com", Value::Null).await["deleted"], 1);
    assert_eq!(
        server.do_control("GET", "/messages", Value::Null).await["messages"].as_array().unwrap().len(),
        1
    );
}

#[tokio::test]
async fn mails_arrive_as_server_sent_events() {
    let server = TestServer::start().await;
    server.person().start("early@example.com").await;
    let url = format!("{}/_emulator/v1/messages/events?to=jane@example.com", server.url);
    let mut stream = server.http().get(url).send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    server.person().start("bob@example.com").await;
    server.person().start("jane@example.com").await;
    let chunk = stream.chunk().await.unwrap().unwrap();
    let text = String::from_utf8(chunk.to_vec()).unwrap();
    assert!(text.starts_with("id: msg_") && text.contains("\nevent: message\ndata: {"), "{text}");
    assert!(text.contains("jane@example.com") && !text.contains("bob@example.com"), "{text}");
}
