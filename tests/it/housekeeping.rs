//! Expired rows go and new keys are seen, in every environment and on every server.

use rstest::rstest;
use serde_json::{Value, json};
use vestibule::domain::clock::Clock as _;
use vestibule::domain::environment_name::EnvironmentName;
use vestibule::domain::signing_algorithm::SigningAlgorithm;
use vestibule::service::housekeeping::{Cleaner, reload_changed_keys};

use crate::support::{Engine, TestServer};

const HOUR_S: i64 = 3600;

/// Makes an environment and tells its id.
async fn made(server: &TestServer, wanted: Value) -> String {
    server.do_control("POST", "/environments", wanted).await["id"].as_str().unwrap().to_owned()
}

/// How many sign-ins the log of an environment has.
async fn logged(server: &TestServer, name: &str) -> Value {
    server.do_control("GET", &format!("/environments/{name}"), Value::Null).await;
    let page = server.get(&format!("/e/{name}/_emulator/v1/flows")).await;
    page.json()["total"].clone()
}

#[rstest]
#[tokio::test]
async fn what_expired_goes_from_environments_too_that_this_server_never_opened(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let toml = "[flows]\nkeep_s = 60\n";
    let Some(server) = TestServer::on(engine, toml).await else { return };
    let now_ms = server.clock.now_ms();
    let idle = made(&server, json!({ "name": "idle" })).await;
    let keeper = json!({ "name": "keeper", "settings": { "flows": { "keep_s": 1_000_000 } } });
    let keeper = made(&server, keeper).await;
    let standing = made(&server, json!({ "name": "standing", "clock": { "frozen": true } })).await;
    let default = server.app.id.clone();
    let store = server.app.store();
    for id in [&default, &idle, &keeper, &standing] {
        store.revoke_token(id, "tkn_old", now_ms).await.unwrap();
        store.revoke_token(id, "tkn_good", now_ms + 3 * HOUR_S * 1000).await.unwrap();
    }
    for name in ["idle", "keeper"] {
        server.get(&format!("/e/{name}/oauth/authorize?client_id=skc_of_nobody")).await;
        assert_eq!(logged(&server, name).await, 1, "{name}");
    }

    server.advance_s(2 * HOUR_S);
    let second = server.beside(toml).await;
    let rows = Cleaner::default().pass(&second.provider).await.unwrap();
    assert_eq!(rows, 5, "three tokens, and a sign-in with its step");
    assert_eq!(second.provider.runtimes().len(), 1, "nothing was opened for it");
    let is_left = async |id: &str, token: &str| store.is_token_revoked(id, token).await.unwrap();
    for id in [&default, &idle, &keeper] {
        assert_eq!((is_left(id, "tkn_old").await, is_left(id, "tkn_good").await), (false, true), "{id}");
    }
    assert!(is_left(&standing, "tkn_old").await, "by its own clock it has not expired");
    assert_eq!((logged(&server, "idle").await, logged(&server, "keeper").await), (json!(0), json!(1)));
}

#[rstest]
#[tokio::test]
async fn a_new_key_is_published_by_environments_that_were_open_and_by_those_that_were_not(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(first) = TestServer::on(engine, "").await else { return };
    for name in ["open", "idle"] {
        made(&first, json!({ "name": name })).await;
    }
    let second = first.beside("").await;
    assert_eq!(second.get("/e/open/keys").await.status, 200);
    for name in ["open", "idle"] {
        let app = first.provider.open(&EnvironmentName::parse(name).unwrap()).await.unwrap();
        let key = app.add_key(SigningAlgorithm::Rs256, 60_000).await.unwrap();
        reload_changed_keys(&second.provider).await.unwrap();
        if name == "idle" {
            assert_eq!(second.provider.runtimes().len(), 2, "the default one and the open one");
        }
        let published = second.get(&format!("/e/{name}/keys")).await;
        assert!(published.body.contains(key.kid()), "{name}: {}", published.body);
    }
}
