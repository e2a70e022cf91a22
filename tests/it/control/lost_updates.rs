//! Parallel changes of different fields of one record: both hold.

use futures_util::future::join_all;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{CLIENT_ID, Engine, TestServer};

/// How many pairs of changes of each record are made.
const PAIRS: usize = 20;

/// Changes two fields of what is at `path` at the same time, again and again; both have to hold every time.
async fn change_in_parallel(
    server: &TestServer,
    path: &str,
    fields: [&str; 2],
    value: impl Fn(usize) -> Value,
) {
    for n in 0..PAIRS {
        let changes = fields.map(|pointer| patch(pointer, value(n)));
        let (first, second) = tokio::join!(
            server.do_control("PATCH", path, changes[0].clone()),
            server.do_control("PATCH", path, changes[1].clone()),
        );
        let after = server.do_control("GET", path, Value::Null).await;
        for pointer in fields {
            assert_eq!(after.pointer(pointer), Some(&value(n)), "pair {n}: {first} {second} {after}");
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
    let path = format!("/users/{}", user["id"].as_str().unwrap());
    change_in_parallel(&server, &path, ["/given_name", "/family_name"], text).await;
    // Ten at once, each of a field or membership of its own.
    let mut organizations = vec![];
    for name in ["a", "b"] {
        let made = server.do_control("POST", "/organizations", json!({ "display_name": name })).await;
        organizations.push(made["id"].clone());
    }
    // Those of one moment are listed by their ids.
    organizations.sort_by_key(Value::to_string);
    let changes = [
        json!({ "name": "Jane" }),
        json!({ "locale": "de" }),
        json!({ "external_id": "ext" }),
        json!({ "picture": "https://example.com/jane.png" }),
        json!({ "organizations": organizations }),
    ];
    join_all(changes.iter().map(|change| server.do_control("PATCH", &path, change.clone()))).await;
    let after = server.do_control("GET", &path, Value::Null).await;
    for change in changes {
        let (field, value) = change.as_object().unwrap().iter().next().unwrap();
        assert_eq!(&after[field], value, "{after}");
    }
}

#[rstest]
#[tokio::test]
async fn of_an_organization(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let made = server.do_control("POST", "/organizations", json!({ "display_name": "Acme" })).await;
    let path = format!("/organizations/{}", made["id"].as_str().unwrap());
    change_in_parallel(&server, &path, ["/display_name", "/external_id"], text).await;
}

#[rstest]
#[tokio::test]
async fn of_a_client(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let path = format!("/clients/{CLIENT_ID}");
    let value = |n: usize| format!("https://app.example.com/{n}").into();
    change_in_parallel(&server, &path, ["/initiate_login_uri", "/backchannel_logout_uri"], value).await;
}

#[rstest]
#[tokio::test]
async fn of_the_settings(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let value = |n: usize| (100 + n).into();
    let fields = ["/passwordless/validity_s", "/limits/mails_per_address"];
    change_in_parallel(&server, "/settings", fields, value).await;
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
