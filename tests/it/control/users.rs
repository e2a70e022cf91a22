//! Users, organizations and sessions by API: Scalekit's, and what that cannot say.

use serde_json::{Value, json};

use crate::support::TestServer;
use crate::support::person::claims;

/// Adds an organization by Scalekit's API; gives its id.
async fn organization(server: &TestServer, fields: Value) -> String {
    let made = server.do_control("POST", "/api/organizations", fields).await;
    made["organization"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn users_come_change_and_go_by_the_rules_of_the_configuration() {
    let server = TestServer::start().await;
    let acme = organization(&server, json!({ "display_name": "Acme", "external_id": "acme" })).await;
    let made = server
        .do_control(
            "POST",
            "/users",
            json!({ "email": "Jane@Acme.test", "name": "Jane", "organizations": ["acme"] }),
        )
        .await;
    let id = made["id"].as_str().unwrap();
    let path = format!("/users/{id}");
    assert_eq!(made["organizations"].as_array().unwrap().len(), 1);
    for (method, path, body, status, field) in [
        ("POST", "/users", json!({ "email": "jane@acme.test" }), 409, "email"),
        ("POST", "/users", json!({ "email": "no" }), 400, "email"),
        ("POST", "/users", json!({}), 400, "email"),
        ("POST", "/users", json!({ "email": "x@y.io", "nmae": "X" }), 400, "nmae"),
        ("POST", "/users", json!({ "email": "x@y.io", "organizations": ["nope"] }), 400, "organizations"),
        ("POST", "/users", json!([]), 400, ""),
        ("PATCH", path.as_str(), json!({ "email": "" }), 400, "email"),
        ("PATCH", path.as_str(), json!({}), 400, "email"),
        ("PATCH", path.as_str(), json!({ "email": "a@b.io", "id": "usr_100000000000009" }), 400, "id"),
        ("PATCH", "/users/usr_1", json!({ "email": "x@y.io" }), 404, ""),
    ] {
        assert_eq!(
            server.refused(method, path, body.clone()).await,
            (status, field.into()),
            "{method} {path} {body}"
        );
    }
    // The address is changed here, everything else by Scalekit's API.
    assert_eq!(
        server.do_control("PATCH", &path, json!({ "email": "jane@new.test" })).await["email"],
        "jane@new.test"
    );
    let profile = json!({ "user_profile": { "name": "", "given_name": "J" } });
    server.do_control("PATCH", &format!("/api{path}"), profile).await;
    server.do_control("DELETE", &format!("/api/memberships/organizations/{acme}{path}"), Value::Null).await;
    let changed = server.do_control("GET", &format!("/api{path}"), Value::Null).await["user"].clone();
    assert_eq!(
        (&changed["user_profile"]["name"], &changed["user_profile"]["given_name"], &changed["memberships"]),
        (&"J".into(), &"J".into(), &json!([])),
        "the name was emptied: it is made of the others"
    );
    let tokens = server.person().tokens("jane@new.test").await;
    assert_eq!(claims(&tokens["id_token"])["given_name"], "J", "the next request sees it");
    server.do_control("DELETE", &format!("/api{path}"), Value::Null).await;
    let form =
        [("grant_type", "refresh_token"), ("refresh_token", tokens["refresh_token"].as_str().unwrap())];
    assert_eq!(server.token(&form).await.json()["error"], "invalid_grant");
}

#[tokio::test]
async fn an_inactive_member_belongs_to_the_organization_and_cannot_enter_it() {
    let server = TestServer::with("[tokens]\nuser_management = true\n").await;
    let acme = organization(&server, json!({ "display_name": "Acme", "external_id": "acme" })).await;
    let beta = organization(&server, json!({ "display_name": "Beta" })).await;
    let fields =
        json!({ "email": "jane@acme.test", "organizations": [beta], "inactive_organizations": ["acme"] });
    let jane = server.do_control("POST", "/users", fields).await;
    assert_eq!(jane["organizations"].as_array().unwrap().len(), 2);
    let path = format!("/api/users/{}", jane["id"].as_str().unwrap());
    let user = server.do_control("GET", &path, Value::Null).await["user"].clone();
    let status_in = |id: &str| {
        let memberships = user["memberships"].as_array().unwrap();
        memberships.iter().find(|m| m["organization_id"] == id).unwrap()["membership_status"].clone()
    };
    assert_eq!((status_in(&acme), status_in(&beta)), ("INACTIVE".into(), "ACTIVE".into()));
    let refused = server.person().sign_in_with("jane@acme.test", &[("organization_id", acme.as_str())]).await;
    assert_eq!(refused.answer("error").as_deref(), Some("invalid_organization_id"));
    let entered = server.person().sign_in_with("jane@acme.test", &[("organization_id", beta.as_str())]).await;
    assert!(entered.answer("code").is_some(), "{}", entered.body);
    let unknown = json!({ "email": "bob@acme.test", "inactive_organizations": ["nope"] });
    assert_eq!(server.refused("POST", "/users", unknown).await, (400, "inactive_organizations".to_owned()));
}

#[tokio::test]
async fn lists_page_and_search() {
    let server = TestServer::start().await;
    for number in 0..5 {
        server.do_control("POST", "/users", json!({ "email": format!("u{number}@a_b.test") })).await;
        server.advance_s(1);
    }
    let found = server.do_control("GET", "/api/users:search?query=U3@A_B", Value::Null).await;
    assert_eq!(found["users"].as_array().unwrap().len(), 1);
    let none = server.do_control("GET", "/api/users:search?query=axb", Value::Null).await;
    assert!(none["users"].as_array().unwrap().is_empty(), "an underscore is no wildcard");
    let mut page = server.do_control("GET", "/api/users?page_size=2", Value::Null).await;
    for _ in 0..2 {
        let token = page["next_page_token"].as_str().unwrap();
        let token: String = url::form_urlencoded::byte_serialize(token.as_bytes()).collect();
        let next = format!("/api/users?page_size=2&page_token={token}");
        page = server.do_control("GET", &next, Value::Null).await;
    }
    assert_eq!((&page["users"][0]["email"], &page["next_page_token"]), (&"u0@a_b.test".into(), &"".into()));
}

#[tokio::test]
async fn organizations_count_their_members_and_leave_behind_those_who_left_them() {
    let server = TestServer::start().await;
    let acme = organization(&server, json!({ "display_name": "Acme" })).await;
    let path = format!("/organizations/{acme}");
    let user = json!({ "email": "a@b.io", "organizations": [acme] });
    let user = server.do_control("POST", "/users", user).await["id"].clone();
    let renamed =
        server.do_control("PATCH", &format!("/api{path}"), json!({ "display_name": "Acme Ltd" })).await;
    let members = server.do_control("GET", &format!("/api{path}/users"), Value::Null).await;
    assert_eq!(
        (&renamed["organization"]["display_name"], &members["total_size"]),
        (&"Acme Ltd".into(), &1.into())
    );
    let refused = server.refused_api("PATCH", &path, json!({ "display_name": "" })).await;
    assert_eq!((refused.0, refused.2.as_str()), (400, "organization.display_name"));
    // Who leaves first stays; who belongs to no other organization goes with it.
    let membership = format!("/api/memberships{path}/users/{}", user.as_str().unwrap());
    server.do_control("DELETE", &membership, Value::Null).await;
    server.do_control("DELETE", &format!("/api{path}"), Value::Null).await;
    let users = server.do_control("GET", "/api/users", Value::Null).await;
    assert_eq!((&users["users"][0]["id"], &users["users"][0]["memberships"]), (&user, &json!([])));
    assert_eq!(server.refused_api("GET", &path, Value::Null).await.0, 404);
}

#[tokio::test]
async fn an_ended_session_signs_nobody_in() {
    let server = TestServer::start().await;
    let person = server.person();
    person.tokens("jane@example.com").await;
    let session = server.sessions_of("jane@example.com").await[0].clone();
    assert_eq!(session["status"], "active");
    let path = format!("/api/sessions/{}", session["session_id"].as_str().unwrap());
    server.do_control("POST", &format!("{path}/revoke"), Value::Null).await;
    assert_eq!(
        person.authorize(&[("prompt", "none")]).await.answer("error").as_deref(),
        Some("login_required")
    );
    let again = server.do_control("POST", &format!("{path}/revoke"), Value::Null).await;
    assert_eq!(again["revoked_session"]["status"], "revoked", "it has ended already");
    assert_eq!(server.control("GET", "/api/sessions/ses_1", Value::Null).await.status, 404);
}

#[tokio::test]
async fn what_scalekits_api_lists_reads_changes_and_deletes_has_no_route_of_its_own() {
    let server = TestServer::start().await;
    for (method, path) in [
        ("GET", "/users"),
        ("GET", "/users/usr_1"),
        ("DELETE", "/users/usr_1"),
        ("GET", "/organizations"),
        ("POST", "/organizations"),
        ("PATCH", "/organizations/org_1"),
        ("GET", "/clients"),
        ("GET", "/clients/skc_1"),
        ("DELETE", "/clients/skc_1"),
        ("GET", "/sessions"),
        ("DELETE", "/sessions/ses_1"),
    ] {
        let status = server.control(method, path, json!({})).await.status;
        assert!([404, 405].contains(&status), "{method} {path}: {status}");
    }
}
