//! What is asked of the database does not grow with what is in it.

use std::time::Duration;

use rstest::rstest;
use serde_json::{Value, json};
use vestibule::runtime::{Context, EnvironmentSelector};
use vestibule::service::environments::{self, CreateEnvironment};
use vestibule::service::flows::FlowFilter;
use vestibule::service::inbox::InboxFilter;
use vestibule::service::users::ListFilter;
use vestibule::service::{backchannel_logout, faults, flows, inbox, organizations, user_sessions, users};

use crate::support::statements::statements_of;
use crate::support::{Engine, TestServer};

async fn context(server: &TestServer) -> Context {
    server.provider.context(EnvironmentSelector::default()).await.unwrap()
}

#[tokio::test]
async fn a_new_environment_reads_no_other() {
    let Some(server) = TestServer::on(Engine::Postgres, "").await else { return };
    let context = context(&server).await;
    let statements = async || {
        let (made, statements) =
            statements_of(environments::create(&context, CreateEnvironment::default())).await;
        made.unwrap();
        statements
    };
    let first = statements().await;
    assert!(first.len() > 5, "{first:?}");
    for _ in 0..12 {
        statements().await;
    }
    assert_eq!(statements().await, first);
    let reads = first.iter().filter(|s| s.starts_with("SELECT") && s.contains("FROM environments"));
    for read in reads {
        let reads_one = ["WHERE id = $1", "WHERE name = $1"].iter().any(|one| read.contains(one));
        assert!(reads_one || read.starts_with("SELECT COUNT(*)"), "{read}");
    }
}

/// The statements of each list.
async fn lists(context: &Context) -> Vec<(&'static str, Vec<String>)> {
    let list_filter = ListFilter { limit: 100, ..ListFilter::default() };
    let flow_filter = FlowFilter { limit: 100, ..FlowFilter::default() };
    let inbox_filter = InboxFilter { limit: 100, ..InboxFilter::default() };
    macro_rules! list {
        ($name:literal, $listing:expr) => {{
            let (found, statements) = statements_of($listing).await;
            assert!(found.is_ok(), $name);
            ($name, statements)
        }};
    }
    // What is on its way to the log of sign-ins is none of the list's.
    flows::write(&context.runtime.server).await;
    vec![
        list!("environments", environments::list(context, "", "")),
        list!("users", users::listed(context, &list_filter)),
        list!("organizations", organizations::listed(context, &list_filter)),
        list!("sessions", user_sessions::recent(context, &list_filter)),
        list!("flows", flows::list(context, &flow_filter)),
        list!("messages", inbox::messages(context, &inbox_filter, Duration::ZERO)),
        list!("faults", faults::list(context)),
        list!("logout notices", backchannel_logout::notices(context, 100)),
    ]
}

/// Something of everything that is listed.
async fn fill(server: &TestServer, round: usize) {
    let name = |n: usize| format!("{round}-{n}");
    for n in 0..3 {
        let organization = json!({ "display_name": name(n), "external_id": name(n) });
        server.do_control("POST", "/api/organizations", organization).await;
        server.person().tokens(&format!("jane-{}@example.com", name(n))).await;
        let user = json!({ "email": format!("u{}@example.com", name(n)), "organizations": [name(n)] });
        server.do_control("POST", "/users", user).await;
        server.do_control("POST", "/clients", json!({ "name": name(n) })).await;
        server
            .do_control("POST", "/faults", json!({ "match": { "path": "/nowhere" }, "latency_ms": 1 }))
            .await;
        server.do_control("POST", "/environments", json!({ "name": format!("env-{}", name(n)) })).await;
    }
}

#[rstest]
#[tokio::test]
async fn a_list_takes_as_many_statements_however_long_it_is(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    fill(&server, 1).await;
    // On a server that has opened none of the environments.
    let before = lists(&context(&server.beside("").await).await).await;
    fill(&server, 2).await;
    let after = lists(&context(&server.beside("").await).await).await;
    assert_eq!(before, after);
    for (list, statements) in after {
        assert!((1..=3).contains(&statements.len()), "{list}: {statements:#?}");
    }
    let listed = server.do_control("GET", "/environments", Value::Null).await;
    assert_eq!(listed["environments"].as_array().unwrap().len(), 7);
    assert_eq!(listed["environments"][6]["name"], "env-2-2");
    assert!(listed["environments"][6]["client_secret"].is_string());
}
