//! Reset, snapshot, seed, scenarios.

use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{Engine, TestServer};

const SEED: &str = "[[organizations]]\nid = \"org_100000000000001\"\ndisplay_name = \"Acme\"\nexternal_id = \"acme\"\n\
    [[users]]\nid = \"usr_100000000000001\"\nemail = \"jane@acme.test\"\nname = \"Jane\"\norganizations = [\"acme\"]\n";

#[rstest]
#[tokio::test]
async fn a_reset_goes_back_to_the_seed_and_to_nothing_else(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, SEED).await else { return };
    let person = server.person();
    let tokens = person.tokens("bob@example.com").await;
    server.do_control("PATCH", "/users/usr_100000000000001", json!({ "name": "Changed" })).await;
    server.do_control("PATCH", "/settings", json!({ "passwordless": { "type": "OTP" } })).await;
    server.do_control("PUT", "/clock", json!({ "advance_s": 5 })).await;
    server.do_control("POST", "/faults", json!({ "latency_ms": 1 })).await;
    let keys = server.get("/keys").await.body;
    server.do_control("POST", "/reset", Value::Null).await;
    let users = server.do_control("GET", "/users", Value::Null).await;
    assert_eq!(users["users"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&users["users"][0]["name"], &users["users"][0]["organizations"][0]),
        (&"Jane".into(), &"org_100000000000001".into())
    );
    assert!(
        server.do_control("GET", "/messages", Value::Null).await["messages"].as_array().unwrap().is_empty()
    );
    assert_eq!(server.do_control("GET", "/settings", Value::Null).await["passwordless"]["type"], "LINK_OTP");
    assert_eq!(server.do_control("GET", "/clock", Value::Null).await["ahead_s"], 0);
    assert!(server.do_control("GET", "/faults", Value::Null).await["faults"].as_array().unwrap().is_empty());
    assert_eq!(server.do_control("GET", "/flows", Value::Null).await["total"], 0);
    assert_eq!(server.get("/keys").await.body, keys, "applications need not fetch the keys again");
    let bearer = tokens["access_token"].as_str().unwrap();
    let info =
        server.http().get(format!("{}/userinfo", server.url)).bearer_auth(bearer).send().await.unwrap();
    assert_eq!(info.status(), 401);
    assert_eq!(
        person.authorize(&[("prompt", "none")]).await.answer("error").as_deref(),
        Some("login_required")
    );
    person.tokens("bob@example.com").await;
}

#[tokio::test]
async fn a_reset_keeps_what_it_is_told_to_keep() {
    let server = TestServer::start().await;
    server.do_control("PATCH", "/settings", json!({ "demo": true })).await;
    server.do_control("PUT", "/clock", json!({ "advance_s": 60 })).await;
    server.do_control("POST", "/faults", json!({ "latency_ms": 1 })).await;
    server.do_control("POST", "/reset", json!({ "keep": ["settings", "clock", "faults"] })).await;
    assert_eq!(server.do_control("GET", "/settings", Value::Null).await["demo"], true);
    assert_eq!(server.do_control("GET", "/clock", Value::Null).await["ahead_s"], 60);
    assert_eq!(server.do_control("GET", "/faults", Value::Null).await["faults"].as_array().unwrap().len(), 1);
    assert_eq!(server.refused("POST", "/reset", json!({ "keep": ["users"] })).await, (400, "keep[0]".into()));
}

#[tokio::test]
async fn a_seed_pins_ids_and_resets_go_back_to_it_unless_told_otherwise() {
    let server = TestServer::start().await;
    let stays = json!({ "users": [{ "id": "usr_100000000000002", "email": "stays@acme.test" }] });
    let goes = json!({ "organizations": [{ "display_name": "Goes", "external_id": "goes" }],
        "users": [{ "email": "goes@acme.test", "organizations": ["goes"] }] });
    assert_eq!(server.do_control("POST", "/seed", stays).await, json!({ "users": 1, "organizations": 0 }));
    server.do_control("POST", "/seed?until_reset=true", goes).await;
    assert_eq!(server.do_control("GET", "/users", Value::Null).await["users"].as_array().unwrap().len(), 2);
    server.do_control("POST", "/reset", Value::Null).await;
    let users = server.do_control("GET", "/users", Value::Null).await;
    assert_eq!(users["users"].as_array().unwrap().len(), 1);
    assert_eq!(users["users"][0]["id"], "usr_100000000000002");
    let bad = json!({ "users": [{ "email": "a@b.io", "id": "usr_1" }] });
    assert_eq!(server.refused("POST", "/seed", bad).await, (400, "users[0].id".into()));
    let taken = json!({ "users": [{ "email": "other@acme.test", "id": "usr_100000000000002" }] });
    assert_eq!(server.refused("POST", "/seed", taken).await.0, 409);
}

#[rstest]
#[tokio::test]
async fn a_snapshot_restores_on_either_database(
    #[values((Engine::Sqlite, Engine::Postgres), (Engine::Postgres, Engine::Sqlite))] engines: (
        Engine,
        Engine,
    ),
) {
    let Some(from) = TestServer::on(engines.0, SEED).await else { return };
    let Some(to) = TestServer::on(engines.1, "").await else { return };
    let tokens = from.person().tokens("bob@example.com").await;
    from.do_control("PATCH", "/settings", json!({ "branding": { "name": "Snapped" } })).await;
    from.do_control("POST", "/faults", json!({ "match": { "path": "/nowhere" }, "latency_ms": 1 })).await;
    let snapshot = from.do_control("GET", "/snapshot", Value::Null).await;
    to.person().tokens("other@example.com").await;
    to.do_control("PUT", "/snapshot", snapshot.clone()).await;
    assert_eq!(to.get("/keys").await.body, from.get("/keys").await.body);
    assert_eq!(
        to.do_control("GET", "/users", Value::Null).await,
        from.do_control("GET", "/users", Value::Null).await
    );
    assert_eq!(to.do_control("GET", "/settings", Value::Null).await["branding"]["name"], "Snapped");
    assert_eq!(to.do_control("GET", "/messages", Value::Null).await["messages"].as_array().unwrap().len(), 1);
    // What was signed in there goes on here: the refresh token, its session and its keys came along.
    let form =
        [("grant_type", "refresh_token"), ("refresh_token", tokens["refresh_token"].as_str().unwrap())];
    assert_eq!(to.token(&form).await.status, 200);
    let again = to.do_control("GET", "/snapshot", Value::Null).await;
    assert_eq!(again["tables"]["users"], snapshot["tables"]["users"]);
}

#[tokio::test]
async fn a_bad_snapshot_changes_nothing() {
    let server = TestServer::with(SEED).await;
    let good = server.do_control("GET", "/snapshot", Value::Null).await;
    let with = |pointer: &str, value: Value| {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = value;
        bad
    };
    for (body, status, field) in [
        (with("/format", json!("other/1")), 400, "format"),
        (with("/tables/users/0/email", json!("nobody")), 400, "tables.users[0].email"),
        (with("/tables/users/0/created_at_ms", json!("x")), 400, "tables.users[0].created_at_ms"),
        (with("/tables/users/0/created_at_ms", json!(i64::MAX)), 400, "tables.users[0].created_at_ms"),
        (with("/tables/users/0/updated_at_ms", json!(-1)), 400, "tables.users[0].updated_at_ms"),
        (
            with("/tables/users/0/last_sign_in_at_ms", json!(i64::MIN)),
            400,
            "tables.users[0].last_sign_in_at_ms",
        ),
        (with("/tables/users/0/created_at_ms", json!(1e300)), 400, "tables.users[0].created_at_ms"),
        (with("/signing_keys/0/sequence", json!(i64::MAX)), 400, "signing_keys[0].sequence"),
        (with("/signing_keys/0/signs_from_ms", json!(i64::MIN)), 400, "signing_keys[0].signs_from_ms"),
        (with("/signing_keys/0/created_at_ms", json!(u64::MAX)), 400, "signing_keys[0].created_at_ms"),
        (with("/clock/state", json!({ "state": "running", "ahead_ms": i64::MAX })), 400, "clock"),
        (with("/clock/state", json!({ "state": "frozen", "at_ms": i64::MIN })), 400, "clock"),
        (
            with("/tables/users", json!([good["tables"]["users"][0], good["tables"]["users"][0]])),
            409,
            "tables",
        ),
        (with("/tables", json!({ "sqlite_master": [] })), 400, "tables.sqlite_master"),
        (with("/server_secret", json!("short")), 400, "server_secret"),
        (with("/signing_keys", json!([])), 400, "signing_keys"),
        (with("/signing_keys/0/private_key", json!("AAAA")), 400, "signing_keys[0].private_key"),
        (with("/settings", json!({ "listen": "x" })), 400, "settings.listen"),
        (with("/clock", json!({ "state": "odd" })), 400, "clock"),
        (json!({ "format": "vestibule-snapshot/1" }), 400, ""),
    ] {
        let (got, named) = server.refused("PUT", "/snapshot", body).await;
        assert_eq!(got, status, "{field}");
        assert!(named.starts_with(field), "{named} instead of {field}");
    }
    let after = server.do_control("GET", "/snapshot", Value::Null).await;
    assert_eq!(after["tables"], good["tables"]);
    assert_eq!(after["signing_keys"], good["signing_keys"]);
}

#[tokio::test]
async fn scenarios_are_read_from_files_and_start_from_a_clean_state() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("strict.toml"),
        "frozen_at = \"2030-01-01T00:00:00Z\"\n[settings.passwordless]\ntype = \"OTP\"\n[[seed.users]]\nemail = \"vip@acme.test\"\n[[faults]]\nlatency_ms = 1\n",
    )
    .unwrap();
    std::fs::write(
        folder.path().join("broken.json"),
        "{\"settings\": {\"passwordless\": {\"validity_s\": 1}}}",
    )
    .unwrap();
    let server =
        TestServer::with(&format!("[control]\nscenarios = {:?}", folder.path().display().to_string())).await;
    server.person().tokens("bob@example.com").await;
    let snapshot = server.do_control("GET", "/snapshot", Value::Null).await;
    std::fs::write(folder.path().join("snapped.json"), snapshot.to_string()).unwrap();
    let names = server.do_control("GET", "/scenarios", Value::Null).await;
    assert_eq!(names["scenarios"], json!(["broken", "snapped", "strict"]));
    server.do_control("POST", "/scenarios/strict/load", Value::Null).await;
    let users = server.do_control("GET", "/users", Value::Null).await;
    assert_eq!(users["users"][0]["email"], "vip@acme.test");
    assert_eq!(users["users"].as_array().unwrap().len(), 1);
    assert_eq!(server.do_control("GET", "/clock", Value::Null).await["now"], "2030-01-01T00:00:00.000Z");
    assert_eq!(server.do_control("GET", "/settings", Value::Null).await["passwordless"]["type"], "OTP");
    assert_eq!(
        server.refused("POST", "/scenarios/broken/load", Value::Null).await,
        (400, "passwordless.validity_s".into())
    );
    for name in ["nothing", "..%2Fetc", "a.b"] {
        assert_eq!(
            server.refused("POST", &format!("/scenarios/{name}/load"), Value::Null).await.0,
            404,
            "{name}"
        );
    }
    assert_eq!(
        server.do_control("GET", "/users", Value::Null).await,
        users,
        "a bad scenario changes nothing"
    );
    server.do_control("POST", "/scenarios/snapped/load", Value::Null).await;
    assert_eq!(server.do_control("GET", "/users", Value::Null).await["users"][0]["email"], "bob@example.com");
}

#[cfg(unix)]
#[tokio::test]
async fn a_scenario_that_is_no_file_of_its_folder_is_refused_and_nothing_of_it_is_shown() {
    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (at, secret) = (|name: &str| folder.path().join(name), outside.path().join("secret.json"));
    let fifo = std::process::Command::new("mkfifo").arg(at("pipe.json")).status().unwrap();
    assert!(fifo.success());
    std::fs::create_dir(at("folder.json")).unwrap();
    std::fs::write(&secret, "{\"seed\": {}}").unwrap();
    std::os::unix::fs::symlink(&secret, at("link.json")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", at("endless.json")).unwrap();
    std::fs::File::create(at("large.json")).unwrap().set_len(65 << 20).unwrap();
    std::fs::write(at("text.toml"), "hunter2 is no TOML").unwrap();
    std::fs::write(at("words.json"), "hunter2").unwrap();
    std::fs::write(at("type.json"), "{\"faults\": \"hunter2\"}").unwrap();
    let settings = format!("[control]\nscenarios = {:?}", folder.path().display().to_string());
    let server = TestServer::with(&settings).await;
    for name in ["pipe", "folder", "link", "endless", "large", "text", "words", "type"] {
        let path = format!("/scenarios/{name}/load");
        let loading = server.control("POST", &path, Value::Null);
        let page = tokio::time::timeout(std::time::Duration::from_secs(20), loading).await.unwrap();
        assert_eq!(page.status, 400, "{name}: {}", page.body);
        assert!(!page.body.contains("hunter2"), "{name}: {}", page.body);
    }
}

#[tokio::test]
async fn thousands_of_users_are_seeded_at_once() {
    let server = TestServer::start().await;
    for round in 0..4 {
        let users: Vec<Value> =
            (0..2500).map(|n| json!({ "email": format!("u{round}-{n}@example.com") })).collect();
        let seeded = server.do_control("POST", "/seed", json!({ "users": users })).await;
        assert_eq!(seeded["users"], 2500);
        server.advance_s(10);
    }
}
