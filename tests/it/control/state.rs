//! Reset, snapshot, seed, scenarios.

use rstest::rstest;
use serde_json::{Value, json};
use vestibule::domain::auth_request::Hosted;

use crate::support::{CALLBACK, CLIENT_ID, CLIENT_SECRET, Engine, TestServer};

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
    let changed = json!({ "user_profile": { "name": "Changed" } });
    server.do_control("PATCH", "/api/users/usr_100000000000001", changed).await;
    server.do_control("PATCH", "/settings", json!({ "passwordless": { "type": "OTP" } })).await;
    server.do_control("PUT", "/clock", json!({ "advance_s": 5 })).await;
    server.do_control("POST", "/faults", json!({ "latency_ms": 1 })).await;
    let keys = server.get("/keys").await.body;
    server.do_control("POST", "/reset", Value::Null).await;
    let users = server.do_control("GET", "/api/users", Value::Null).await;
    assert_eq!(users["users"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&users["users"][0]["user_profile"]["name"], &users["users"][0]["memberships"][0]["organization_id"]),
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
    assert_eq!(server.do_control("GET", "/api/users", Value::Null).await["total_size"], 2);
    server.do_control("POST", "/reset", Value::Null).await;
    let users = server.do_control("GET", "/api/users", Value::Null).await;
    assert_eq!(users["users"].as_array().unwrap().len(), 1);
    assert_eq!(users["users"][0]["id"], "usr_100000000000002");
    let bad = json!({ "users": [{ "email": "a@b.io", "id": "usr_1" }] });
    assert_eq!(server.refused("POST", "/seed", bad).await, (400, "users[0].id".into()));
    let taken = json!({ "users": [{ "email": "other@acme.test", "id": "usr_100000000000002" }] });
    assert_eq!(server.refused("POST", "/seed", taken).await.0, 409);
}

#[rstest]
#[case::sqlite(Engine::Sqlite, Engine::Sqlite)]
#[case::postgres(Engine::Postgres, Engine::Postgres)]
#[case::from_sqlite_to_postgres(Engine::Sqlite, Engine::Postgres)]
#[case::from_postgres_to_sqlite(Engine::Postgres, Engine::Sqlite)]
#[tokio::test]
async fn a_snapshot_brings_back_what_was(#[case] source: Engine, #[case] target: Engine) {
    let Some(from) = TestServer::on(source, SEED).await else { return };
    let Some(to) = TestServer::on(target, "").await else { return };
    let bob = from.person();
    let tokens = bob.tokens("bob@example.com").await;
    let page = from.person().start("eve@example.com").await;
    let begun = page.rsplit('/').next().unwrap();
    from.do_control("PATCH", "/settings", json!({ "branding": { "name": "Snapped" } })).await;
    from.do_control("POST", "/faults", json!({ "match": { "path": "/nowhere" }, "latency_ms": 1 })).await;
    from.do_control("POST", "/clients", json!({ "client_id": "skc_made", "name": "Made" })).await;
    let snapshot = from.do_control("GET", "/snapshot", Value::Null).await;
    to.person().tokens("other@example.com").await;
    // It replaces whatever is there, whether that was reset before or not.
    to.do_control("POST", "/reset", Value::Null).await;
    to.person().tokens("other@example.com").await;
    assert_eq!(to.do_control("PUT", "/snapshot", snapshot.clone()).await, json!({ "ignored": [] }));

    assert_eq!(to.get("/keys").await.body, from.get("/keys").await.body);
    for path in ["/api/users", "/api/organizations", "/messages", "/faults"] {
        let there = from.do_control("GET", path, Value::Null).await;
        assert_eq!(to.do_control("GET", path, Value::Null).await, there, "{path}");
    }
    let sessions = from.sessions_of("bob@example.com").await;
    assert_eq!((to.sessions_of("bob@example.com").await, sessions.len()), (sessions.clone(), 1));
    for client in ["skc_made", CLIENT_ID] {
        let path = format!("/clients/{client}");
        let there = from.do_control("PATCH", &path, json!({})).await;
        assert_eq!(to.do_control("PATCH", &path, json!({})).await, there, "with its secrets");
    }
    assert_eq!(to.do_control("GET", "/settings", Value::Null).await["branding"]["name"], "Snapped");
    // Who was signed in there is signed in here: the refresh token, its session and its keys came along.
    let form =
        [("grant_type", "refresh_token"), ("refresh_token", tokens["refresh_token"].as_str().unwrap())];
    let refreshed = to.token(&form).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.body);
    let bearer = refreshed.json()["access_token"].as_str().unwrap().to_owned();
    let info = to.http().get(format!("{}/userinfo", to.url)).bearer_auth(bearer).send().await.unwrap();
    assert_eq!(info.status(), 200);
    // A sign-in that was begun there is still open here.
    let store = to.app.store();
    let request = store.auth_request::<Hosted>(&to.app.id, begun).await.unwrap().unwrap();
    assert_eq!(request.email().unwrap().as_str(), "eve@example.com");

    let again = to.do_control("GET", "/snapshot", Value::Null).await;
    for section in ["users", "organizations", "memberships", "sessions", "clients", "auth_requests", "faults"]
    {
        assert_eq!(again[section], snapshot[section], "{section}");
    }
}

/// The same browser goes on: on the same server, so that its cookies are sent.
#[rstest]
#[tokio::test]
async fn after_reset_and_restore_the_same_sign_ins_sessions_and_tokens_work(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, SEED).await else { return };
    let (jane, bob) = (server.person(), server.person());
    let tokens = jane.tokens("jane@acme.test").await;
    let page = bob.start("bob@example.com").await;
    let code = server.code_for("bob@example.com").await;
    let snapshot = server.do_control("GET", "/snapshot", Value::Null).await;
    server.do_control("POST", "/reset", Value::Null).await;
    let gone = jane.authorize(&[("prompt", "none")]).await;
    assert_eq!(gone.answer("error").as_deref(), Some("login_required"));
    server.do_control("PUT", "/snapshot", snapshot).await;
    let silent = jane.authorize(&[("prompt", "none")]).await;
    assert!(silent.answer("code").is_some(), "{}", silent.body);
    let done = bob.enter_code(&page, &code).await;
    assert!(done.answer("code").is_some(), "{}", done.body);
    let form =
        [("grant_type", "refresh_token"), ("refresh_token", tokens["refresh_token"].as_str().unwrap())];
    assert_eq!(server.token(&form).await.status, 200);
    let bearer = tokens["access_token"].as_str().unwrap();
    let info =
        server.http().get(format!("{}/userinfo", server.url)).bearer_auth(bearer).send().await.unwrap();
    assert_eq!(info.status(), 200);
}

/// Made by an earlier version: it has to be read by every later one. Its clock stands still, so nothing in it expires.
const GOLDEN: &str = include_str!("snapshot-2.json");
/// What a sign-in of that snapshot gave.
const GOLDEN_TOKENS: &str = include_str!("snapshot-2-tokens.json");

#[rstest]
#[tokio::test]
async fn a_snapshot_of_an_earlier_version_goes_on_working(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let golden: Value = serde_json::from_str(GOLDEN).unwrap();
    let restored = server.do_control("PUT", "/snapshot", golden.clone()).await;
    assert_eq!(restored, json!({ "ignored": [] }));
    let tokens: Value = serde_json::from_str(GOLDEN_TOKENS).unwrap();
    let form =
        [("grant_type", "refresh_token"), ("refresh_token", tokens["refresh_token"].as_str().unwrap())];
    let refreshed = server.token(&form).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.body);
    let again = server.do_control("GET", "/snapshot", Value::Null).await;
    for (section, value) in golden.as_object().unwrap() {
        // The refreshed grant and its session have moved on.
        if !["created_at", "grants", "sessions"].contains(&section.as_str()) {
            assert_eq!(&again[section], value, "{section}");
        }
    }
}

/// How the golden file was made: `cargo test --test it makes_a_golden -- --ignored`, for a new version of the format.
#[ignore = "writes into the sources"]
#[tokio::test]
async fn makes_a_golden_snapshot() {
    let server = TestServer::with(SEED).await;
    server.do_control("PUT", "/clock", json!({ "frozen": true })).await;
    server.do_control("PATCH", "/settings", json!({ "branding": { "name": "Golden" } })).await;
    server.do_control("POST", "/faults", json!({ "match": { "path": "/nowhere" }, "latency_ms": 1 })).await;
    let logout = json!({ "back_channel_logout_uris": ["http://localhost:3000/logout"] });
    server.do_api("PATCH", &format!("/clients/{CLIENT_ID}"), logout).await;
    let acme = "/organizations/org_100000000000001";
    server.do_api("POST", &format!("{acme}/domains"), json!({ "domain": "acme.com" })).await;
    server.do_api("POST", &format!("{acme}/clients"), json!({ "name": "Robot" })).await;
    let token = json!({ "organization_id": "org_100000000000001", "description": "Deploys" });
    server.do_api("POST", "/tokens", token).await;
    let permission = json!({ "name": "read:documents", "description": "Read documents" });
    server.do_api("POST", "/permissions", permission).await;
    let reader = json!({ "name": "reader", "display_name": "Reader", "permissions": ["read:documents"] });
    server.do_api("POST", "/roles", reader).await;
    let buyer = json!({ "name": "buyer", "display_name": "Buyer", "extends": "reader" });
    server.do_api("POST", &format!("{acme}/roles"), buyer).await;
    let default = json!({ "default_member_role": "buyer" });
    server.do_api("PATCH", &format!("{acme}/roles:set_defaults"), default).await;
    let tokens = server.person().tokens("jane@acme.test").await;
    let bob = server.person();
    let page = bob.start("bob@example.com").await;
    bob.enter_code(&page, "000000").await;
    let bearer = server.person().tokens("eve@example.com").await["access_token"].clone();
    let client = [("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET)];
    let revoked = [client[0], client[1], ("token", bearer.as_str().unwrap())];
    server.post("/revoke", &revoked).await;
    let pushed = [client[0], client[1], ("redirect_uri", CALLBACK), ("response_type", "code")];
    server.post("/oauth/par", &pushed).await;
    let snapshot = server.do_control("GET", "/snapshot", Value::Null).await;
    for (section, value) in snapshot.as_object().unwrap() {
        assert!(value.as_array().is_none_or(|items| !items.is_empty()), "{section} is empty");
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/control");
    for (name, document) in [("snapshot-2.json", snapshot), ("snapshot-2-tokens.json", tokens)] {
        let text = serde_json::to_string_pretty(&document).unwrap();
        std::fs::write(format!("{folder}/{name}"), text + "\n").unwrap();
    }
}

#[tokio::test]
async fn a_snapshot_of_a_later_version_is_read_as_far_as_it_is_known_and_refused_where_it_would_be_misread() {
    let server = TestServer::with(SEED).await;
    let good = server.do_control("GET", "/snapshot", Value::Null).await;
    let mut later = good.clone();
    later["passkeys"] = json!([{ "id": "pk_1" }]);
    later["users"][0]["phone_number"] = json!("+1");
    later["clients"][0]["color"] = json!("red");
    later["settings"]["branding"] = json!({ "name": "Later", "shape": "round" });
    later["settings"]["passkeys"] = json!({ "enabled": true });
    for section in ["memberships", "membership_roles"] {
        later.as_object_mut().unwrap().remove(section);
    }
    let restored = server.do_control("PUT", "/snapshot", later).await;
    let ignored = [
        "passkeys",
        "users[0].phone_number",
        "clients[0].color",
        "settings.branding.shape",
        "settings.passkeys.enabled",
    ];
    let named: Vec<&str> =
        restored["ignored"].as_array().unwrap().iter().map(|field| field.as_str().unwrap()).collect();
    for field in ignored {
        assert!(named.contains(&field), "{field} is not among {named:?}");
    }
    assert_eq!(named.len(), ignored.len(), "{named:?}");
    assert_eq!(server.do_control("GET", "/settings", Value::Null).await["branding"]["name"], "Later");
    let mut newer = good;
    newer["version"] = json!(3);
    newer["users"] = json!("of another shape");
    let page = server.control("PUT", "/snapshot", newer).await;
    assert_eq!(page.status, 400);
    assert!(
        page.body.contains("a newer Vestibule wrote this snapshot, and this one reads 2"),
        "{}",
        page.body
    );
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
    let user = |field: &str, value: Value| {
        let mut bad = good.clone();
        bad["users"][0][field] = value;
        bad
    };
    let twice = json!([good["users"][0], good["users"][0]]);
    for (body, status, field) in [
        (with("/format", json!("other/1")), 400, "format"),
        (with("/version", json!("2")), 400, "version"),
        (with("/version", json!(1)), 400, "version"),
        (user("email", json!("nobody")), 400, "users[0].email"),
        (user("email", Value::Null), 400, "users[0].email"),
        (user("created_at", json!("x")), 400, "users[0].created_at"),
        (user("created_at", json!("+12026-01-01T00:00:00Z")), 400, "users[0].created_at"),
        (user("created_at", json!(i64::MAX)), 400, "users[0].created_at"),
        (user("updated_at", json!("1969-12-31T23:59:59Z")), 400, "users[0].updated_at"),
        (user("last_sign_in_at", json!(i64::MIN)), 400, "users[0].last_sign_in_at"),
        (user("created_at", json!(1e300)), 400, "users[0].created_at"),
        (with("/signing_keys/0/sequence", json!(i64::MAX)), 400, "signing_keys[0].sequence"),
        (with("/signing_keys/0/signs_from", json!(i64::MIN)), 400, "signing_keys[0].signs_from"),
        (
            with("/signing_keys/0/signs_from", json!("1969-01-01T00:00:00Z")),
            400,
            "signing_keys[0].signs_from",
        ),
        (with("/signing_keys/0/created_at", json!("soon")), 400, "signing_keys[0].created_at"),
        (with("/clock/state", json!({ "state": "running", "ahead_ms": i64::MAX })), 400, "clock"),
        (with("/clock/state", json!({ "state": "frozen", "at_ms": i64::MIN })), 400, "clock"),
        (with("/users", twice), 409, ""),
        (with("/users", json!([])), 400, ""),
        (with("/users", json!({})), 400, "users"),
        (with("/server_secret", json!("short")), 400, "server_secret"),
        (with("/signing_keys", json!([])), 400, "signing_keys"),
        (with("/signing_keys/0/private_key", json!("AAAA")), 400, "signing_keys[0].private_key"),
        (with("/settings", json!({ "listen": "x" })), 400, "settings.listen"),
        (with("/clients", json!([])), 400, "clients"),
        (with("/settings", json!({ "clients": [] })), 400, "settings.clients"),
        (with("/clock", json!({ "state": "odd" })), 400, "clock"),
        (json!({ "format": "vestibule-snapshot", "version": 2 }), 400, ""),
    ] {
        let (got, named) = server.refused("PUT", "/snapshot", body).await;
        assert_eq!(got, status, "{field}");
        assert!(named.starts_with(field), "{named} instead of {field}");
    }
    let after = server.do_control("GET", "/snapshot", Value::Null).await;
    for section in ["users", "memberships", "signing_keys", "clients", "settings"] {
        assert_eq!(after[section], good[section], "{section}");
    }
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
    let users = server.do_control("GET", "/api/users", Value::Null).await;
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
        server.do_control("GET", "/api/users", Value::Null).await,
        users,
        "a bad scenario changes nothing"
    );
    server.do_control("POST", "/scenarios/snapped/load", Value::Null).await;
    let users = server.do_control("GET", "/api/users", Value::Null).await;
    assert_eq!(users["users"][0]["email"], "bob@example.com");
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
