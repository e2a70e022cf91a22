//! Parallel changes of different fields of one record: both hold.

use futures_util::future::join_all;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{CLIENT_ID, Engine, TestServer};

/// A field, as a JSON pointer, and what each writer writes into it.
type Field = (&'static str, fn(usize) -> Value);

/// How many pairs of changes of each record are made.
const PAIRS: usize = 20;

/// Changes two fields of the record at `path` at the same time, again and again; both have to hold every time. What is
/// read there has the record at the pointer `record`.
async fn change_in_parallel(server: &TestServer, path: &str, record: &str, fields: [Field; 2]) {
    for n in 0..PAIRS {
        let changes = fields.map(|(pointer, value)| patch(pointer, value(n)));
        let (first, second) = tokio::join!(
            server.do_control("PATCH", path, changes[0].clone()),
            server.do_control("PATCH", path, changes[1].clone()),
        );
        let after = server.do_control("GET", path, Value::Null).await;
        for (pointer, value) in fields {
            let held = after.pointer(&format!("{record}{pointer}"));
            assert_eq!(held, Some(&value(n)), "pair {n}: {first} {second} {after}");
        }
    }
}

/// A change of the field at a JSON pointer.
fn patch(pointer: &str, value: Value) -> Value {
    pointer.rsplit('/').filter(|name| !name.is_empty()).fold(value, |inner, name| json!({ name: inner }))
}

fn text(n: usize) -> Value {
    format!("Name {n}").into()
}

#[rstest]
#[tokio::test]
async fn of_a_user(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let user = server.do_control("POST", "/users", json!({ "email": "jane@example.com" })).await;
    let own_path = format!("/users/{}", user["id"].as_str().unwrap());
    let path = format!("/api{own_path}");
    let names: [Field; 2] = [("/user_profile/given_name", text), ("/user_profile/family_name", text)];
    change_in_parallel(&server, &path, "/user", names).await;
    // All at once, each of a field or membership of its own.
    let mut organizations = vec![];
    for name in ["a", "b"] {
        let made = server.do_control("POST", "/api/organizations", json!({ "display_name": name })).await;
        organizations.push(made["organization"]["id"].as_str().unwrap().to_owned());
    }
    let fields = [
        ("/user_profile/name", json!("Jane")),
        ("/user_profile/locale", json!("de")),
        ("/external_id", json!("ext")),
        ("/user_profile/picture", json!("https://example.com/jane.png")),
    ];
    let changes = fields.iter().map(|(pointer, value)| {
        let change = patch(pointer, value.clone());
        let path = &path;
        let server = &server;
        async move { server.do_control("PATCH", path, change).await }
    });
    let memberships = organizations.iter().map(|organization| {
        let path =
            format!("/api/memberships/organizations/{organization}{own_path}?send_invitation_email=false");
        let server = &server;
        async move { server.do_control("POST", &path, json!({})).await }
    });
    let email = server.do_control("PATCH", &own_path, json!({ "email": "jane@new.test" }));
    tokio::join!(join_all(changes), join_all(memberships), email);
    let after = server.do_control("GET", &path, Value::Null).await["user"].clone();
    for (pointer, value) in &fields {
        assert_eq!(after.pointer(pointer), Some(value), "{after}");
    }
    assert_eq!(after["email"], "jane@new.test", "{after}");
    let memberships = after["memberships"].as_array().unwrap().iter();
    let mut joined: Vec<&str> = memberships.map(|m| m["organization_id"].as_str().unwrap()).collect();
    joined.sort_unstable();
    organizations.sort();
    assert_eq!(joined, organizations, "{after}");
}

#[rstest]
#[tokio::test]
async fn of_an_organization(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let made = server.do_control("POST", "/api/organizations", json!({ "display_name": "Acme" })).await;
    let path = format!("/api/organizations/{}", made["organization"]["id"].as_str().unwrap());
    let fields: [Field; 2] = [("/display_name", text), ("/external_id", text)];
    change_in_parallel(&server, &path, "/organization", fields).await;
}

#[rstest]
#[tokio::test]
async fn of_a_client(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let path = format!("/api/clients/{CLIENT_ID}");
    let fields: [Field; 2] = [
        ("/initiate_login_uri", |n| format!("https://app.example.com/{n}").into()),
        ("/back_channel_logout_uris", |n| json!([format!("https://app.example.com/{n}")])),
    ];
    change_in_parallel(&server, &path, "/client", fields).await;
}

#[rstest]
#[tokio::test]
async fn of_the_settings(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let fields: [Field; 2] = [
        ("/passwordless/validity_s", |n| (100 + n).into()),
        ("/limits/mails_per_address", |n| (100 + n).into()),
    ];
    change_in_parallel(&server, "/settings", "", fields).await;
}

#[rstest]
#[tokio::test]
async fn of_the_faults(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let rule = |n: usize| json!({ "match": { "path": format!("/{n}") }, "effect": { "kind": "status", "status": 500 } });
    let made = join_all((0..PAIRS).map(|n| server.do_control("POST", "/faults", rule(n)))).await;
    let faults = async || {
        let list = server.do_control("GET", "/faults", Value::Null).await;
        list["faults"].as_array().unwrap().len()
    };
    assert_eq!(faults().await, PAIRS);
    let deletions: Vec<String> =
        made.iter().skip(1).map(|fault| format!("/faults/{}", fault["id"].as_str().unwrap())).collect();
    join_all(deletions.iter().map(|path| server.do_control("DELETE", path, Value::Null))).await;
    assert_eq!(faults().await, 1);
}
