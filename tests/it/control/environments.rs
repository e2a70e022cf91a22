//! Isolated environments: many in one process, none sees another.

use rstest::rstest;
use serde_json::{Value, json};
use vestibule::api::pb::scalekit::v1::auth::passwordless::{
    SendPasswordlessRequest, SendPasswordlessResponse,
};

use crate::support::grpc::{Wire, frame};
use crate::support::person::{Page, claims};
use crate::support::{Engine, TestServer};

/// Signs a person in at an environment by its path URL, as any application would; returns the token response.
async fn tokens_at(server: &TestServer, environment: &Value, address: &str) -> Value {
    let base = environment["path_url"].as_str().unwrap();
    let (id, secret) =
        (environment["client_id"].as_str().unwrap(), environment["client_secret"].as_str().unwrap());
    let callback = "http://localhost:3000/cb";
    let person = server.person();
    let authorize = url::Url::parse_with_params(
        &format!("{base}/oauth/authorize"),
        [
            ("client_id", id),
            ("redirect_uri", callback),
            ("response_type", "code"),
            ("scope", "openid email"),
            ("login_hint", address),
        ],
    );
    let page = person.get(authorize.unwrap().as_str()).await;
    let sign_in = page.location.unwrap();
    assert!(sign_in.starts_with(&format!("{base}/login/")), "{sign_in}");
    let form = person.get(&sign_in).await;
    assert!(form.body.contains("/e/"), "forms stay in the environment: {}", form.body);
    let mail = person.get(&format!("{base}/_emulator/v1/messages/latest?to={address}")).await.json();
    let done = person.post(&format!("{sign_in}/code"), &[("code", mail["code"].as_str().unwrap())]).await;
    let code = done.answer("code").unwrap_or_else(|| panic!("{}", done.body));
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", callback),
        ("client_id", id),
        ("client_secret", secret),
    ];
    let answer = server.http().post(format!("{base}/oauth/token")).form(&form).send().await.unwrap();
    Page::of(answer).await.json()
}

#[rstest]
#[tokio::test]
async fn an_environment_has_its_own_url_credentials_users_emails_and_tokens(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let one = server.do_control("POST", "/environments", json!({ "name": "one" })).await;
    let two = server
        .do_control("POST", "/environments", json!({ "name": "Two", "seed": { "users": [{ "email": "jane@example.com", "id": "usr_123456789012345" }] },
            "settings": { "tokens": { "user_management": true } } }))
        .await;
    assert_eq!(two["name"], "two");
    assert_ne!(one["client_id"], two["client_id"]);
    let at_one = tokens_at(&server, &one, "jane@example.com").await;
    let at_two = tokens_at(&server, &two, "jane@example.com").await;
    assert_eq!(claims(&at_one["id_token"])["iss"], one["path_url"]);
    assert_eq!(claims(&at_two["id_token"])["sub"], "usr_123456789012345", "the seeded user, in this profile");
    assert!(
        server.mails_to("jane@example.com").await.is_empty(),
        "the default environment knows nothing of it"
    );
    // A token of one opens nothing in the other.
    let bearer = at_one["access_token"].as_str().unwrap();
    for (environment, status) in [(&one, 200), (&two, 401)] {
        let url = format!("{}/userinfo", environment["path_url"].as_str().unwrap());
        assert_eq!(server.http().get(url).bearer_auth(bearer).send().await.unwrap().status(), status);
    }
}

#[tokio::test]
async fn an_environment_is_reached_by_host_name_too() {
    let server = TestServer::start().await;
    let made = server.do_control("POST", "/environments", json!({ "name": "host-1" })).await;
    let port = server.url.rsplit(':').next().unwrap();
    assert_eq!(made["environment_url"], format!("http://host-1.localhost:{port}"));
    let by_host = server
        .http()
        .get(format!("{}/.well-known/openid-configuration", server.url))
        .header("host", format!("HOST-1.localhost:{port}"));
    let document = Page::of(by_host.send().await.unwrap()).await.json();
    assert_eq!(document["issuer"], made["environment_url"]);
    let by_path = server.get("/e/host-1/.well-known/openid-configuration").await.json();
    assert_eq!(by_path["token_endpoint"], format!("{}/oauth/token", made["path_url"].as_str().unwrap()));
}

#[tokio::test]
async fn clock_faults_and_settings_of_an_environment_are_its_own() {
    let server = TestServer::start().await;
    server.do_control("POST", "/environments", json!({ "name": "a" })).await;
    let there = |method: &'static str, path: &'static str, body: Value| {
        let request = server.http().request(
            reqwest::Method::from_bytes(method.as_bytes()).unwrap(),
            format!("{}/e/a/_emulator/v1{path}", server.url),
        );
        async move { Page::of(request.json(&body).send().await.unwrap()).await.json() }
    };
    there("PUT", "/clock", json!({ "advance_s": 100 })).await;
    there("PATCH", "/settings", json!({ "passwordless": { "type": "OTP" } })).await;
    there("POST", "/faults", json!({ "effect": { "kind": "status", "status": 503 } })).await;
    assert_eq!(server.do_control("GET", "/clock", Value::Null).await["ahead_s"], 0);
    assert_eq!(server.do_control("GET", "/settings", Value::Null).await["passwordless"]["type"], "LINK_OTP");
    assert_eq!(server.get("/keys").await.status, 200);
    assert_eq!(server.get("/e/a/keys").await.status, 503);
}

#[tokio::test]
async fn a_deleted_environment_is_gone_and_its_name_free() {
    let Some(server) = TestServer::on(Engine::Postgres, "").await else { return };
    let other = server.beside("").await;
    let made = server.do_control("POST", "/environments", json!({ "name": "gone" })).await;
    assert_eq!(other.get("/e/gone/keys").await.status, 200, "another server finds it at once");
    server.do_control("DELETE", "/environments/gone", Value::Null).await;
    for at in [&server, &other] {
        let page = at.get("/e/gone/keys").await;
        assert_eq!((page.status, &page.json()["error"]), (404, &"unknown_environment".into()));
        let control = at.get("/e/gone/_emulator/v1/clock").await;
        assert_eq!((control.status, control.header("content-type")), (404, "application/problem+json"));
    }
    let again = server.do_control("POST", "/environments", json!({ "name": "gone" })).await;
    assert_ne!(again["client_secret"], made["client_secret"]);
    let shown = other.do_control("GET", "/environments/gone", Value::Null).await;
    assert_eq!(shown["client_secret"], again["client_secret"], "no server remembers the old one");
}

#[tokio::test]
async fn environments_are_listed_with_the_default_one_first() {
    let server = TestServer::start().await;
    for name in ["b", "a"] {
        server.do_control("POST", "/environments", json!({ "name": name })).await;
    }
    let empty = json!({ "seed": { "users": [], "organizations": [] } });
    let made_up = server.do_control("POST", "/environments", empty).await;
    assert!(made_up["name"].as_str().unwrap().starts_with("env-"));
    let list = server.do_control("GET", "/environments", Value::Null).await;
    let names: Vec<&str> =
        list["environments"].as_array().unwrap().iter().map(|e| e["name"].as_str().unwrap_or("-")).collect();
    assert_eq!(names[..3], ["-", "a", "b"]);
    assert_eq!(server.do_control("DELETE", "/environments", Value::Null).await["deleted"], 3);
}

#[tokio::test]
async fn bad_input_makes_no_environment() {
    let server = TestServer::start().await;
    server.do_control("POST", "/environments", json!({ "name": "taken" })).await;
    for (body, status, field) in [
        (json!({ "name": "a_b" }), 400, "name"),
        (json!({ "name": "taken" }), 409, "name"),
        (
            json!({ "name": "x", "settings": { "passwordless": { "validity_s": 1 } } }),
            400,
            "settings.passwordless.validity_s",
        ),
        (json!({ "name": "x", "settings": { "listen": "0.0.0.0:1" } }), 400, "settings.listen"),
        (json!({ "name": "x", "seed": { "users": [{ "email": "no" }] } }), 400, "seed.users[0].email"),
        (
            json!({ "name": "x", "seed": { "users": [
            { "email": "a@b.io", "id": "usr_123456789012345" }, { "email": "c@b.io", "id": "usr_123456789012345" }] } }),
            400,
            "seed.users[1].id",
        ),
        (json!({ "name": "x", "clock": { "now": "soon" } }), 400, "now"),
        (json!({ "nmae": "x" }), 400, "nmae"),
    ] {
        let (got, named) = server.refused("POST", "/environments", body.clone()).await;
        assert_eq!((got, named.as_str()), (status, field), "{body}");
    }
    assert_eq!(server.refused("GET", "/environments/x", Value::Null).await.0, 404);
}

#[tokio::test]
async fn changed_settings_hold_for_the_next_request_and_null_takes_them_back() {
    let server = TestServer::with("[passwordless]\nvalidity_s = 120\n").await;
    let changed = server
        .do_control("PATCH", "/settings", json!({ "passwordless": { "type": "OTP", "validity_s": 600 } }))
        .await;
    assert_eq!(changed["passwordless"]["validity_s"], 600);
    server.person().start("jane@example.com").await;
    assert!(server.mail_to("jane@example.com").await["link"].is_null());
    let back = server.do_control("PATCH", "/settings", json!({ "passwordless": null })).await;
    assert_eq!(
        (&back["passwordless"]["validity_s"], &back["passwordless"]["type"]),
        (&120.into(), &"LINK_OTP".into())
    );
}

#[tokio::test]
async fn applications_come_change_and_go() {
    let server = TestServer::start().await;
    let made = server
        .do_control(
            "POST",
            "/clients",
            json!({ "name": "Shop", "redirect_uris": ["https://shop.example.com/cb"] }),
        )
        .await;
    let id = made["client_id"].as_str().unwrap().to_owned();
    let token = |secret: String| {
        let form = [
            ("grant_type", "client_credentials".to_owned()),
            ("client_id", id.clone()),
            ("client_secret", secret),
        ];
        let request = server.http().post(format!("{}/oauth/token", server.url)).form(&form);
        async move { request.send().await.unwrap().status().as_u16() }
    };
    assert_eq!(token(made["client_secrets"][0].as_str().unwrap().to_owned()).await, 200);
    let path = format!("/clients/{id}");
    server.do_control("PATCH", &path, json!({ "client_secret": "test_other" })).await;
    assert_eq!(
        token(made["client_secrets"][0].as_str().unwrap().to_owned()).await,
        401,
        "the old secret is gone"
    );
    assert_eq!(token("test_other".to_owned()).await, 200);
    let nonsense = server.refused_api("PATCH", &path, json!({ "post_login_uris": ["nonsense"] })).await;
    assert_eq!((nonsense.0, nonsense.2.as_str()), (400, "client.post_login_uris"));
    for field in ["redirect_uris", "name", "secret"] {
        assert_eq!(server.refused("PATCH", &path, json!({ field: "x" })).await, (400, field.into()));
    }
    assert_eq!(
        server.refused("POST", "/clients", json!({ "client_id": id, "client_secret": "x" })).await.0,
        409
    );
    server.do_api("DELETE", &path, Value::Null).await;
    assert_eq!(server.refused_api("GET", &path, Value::Null).await.0, 404);
    assert_eq!(server.refused("PATCH", &path, json!({ "instant_sign_in": true })).await.0, 404);
    let public = format!("/clients/{}", vestibule::config::DEFAULT_SPA_CLIENT_ID);
    server.do_api("DELETE", &public, Value::Null).await;
    let default = format!("/clients/{}", crate::support::CLIENT_ID);
    let (status, code, _) = server.refused_api("DELETE", &default, Value::Null).await;
    assert_eq!((status, code.as_str()), (400, "FAILED_PRECONDITION"), "one has to stay");
    server.person().tokens("jane@example.com").await;
}

#[tokio::test]
async fn the_redirect_checker_tells_what_would_happen_and_why() {
    let server = TestServer::with(
        "client_id = \"skc_a\"\nclient_secret = \"s\"\nredirect_uris = [\"https://app.example.com/cb\", \"https://*.preview.example.com/cb\"]\n",
    )
    .await;
    for (url, here, development, production) in [
        ("https://app.example.com/cb", true, true, true),
        ("https://pr-7.preview.example.com/cb", true, true, false),
        ("http://localhost:3000/cb", true, true, false),
        ("https://app.example.com/cb/", false, false, false),
        ("https://app.example.com/cb%23part", false, false, false),
    ] {
        let path = format!("/redirects/check?url={url}");
        let checks = server.do_control("GET", &path, Value::Null).await;
        let found = &checks["checks"][0];
        for (where_, allowed) in [("here", here), ("development", development), ("production", production)] {
            assert_eq!(found[where_]["allowed"], allowed, "{url} {where_}: {found}");
            assert!(!found[where_]["why"].as_str().unwrap().is_empty());
        }
    }
    let why = async |server: &TestServer, url: &str| {
        let checks = server.do_control("GET", &format!("/redirects/check?url={url}"), Value::Null).await;
        let of = |where_: &str| checks["checks"][0][where_]["why"].as_str().unwrap().to_owned();
        (of("here"), of("development"), of("production"))
    };
    // In development mode "here" and "in development" are one question, and have one answer.
    let strict = TestServer::with("strict_redirects = true").await;
    for server in [&server, &strict] {
        for url in ["http://localhost:3000/cb", "https://app.example.com/cb", "https://evil.example/"] {
            let (here, development, _) = why(server, url).await;
            assert_eq!(here, development, "{url}");
        }
    }
    // Nobody is told to register what cannot be.
    let (here, _, production) = why(&server, "https://app.example.com/cb%23part").await;
    assert!(here.contains("fragment") && production.contains("fragment"), "{here} {production}");
    let (_, _, production) = why(&server, "http://localhost:3000/cb").await;
    assert!(production.contains("https"), "{production}");
    assert_eq!(server.refused("GET", "/redirects/check", Value::Null).await, (400, "url".into()));
}

#[tokio::test]
async fn a_seed_makes_ids_codes_links_and_token_ids_repeatable() {
    let server = TestServer::start().await;
    let run = |name: &'static str| {
        let server = &server;
        async move {
            let wanted = json!({ "name": name, "settings": { "deterministic_seed": "42" },
                "clock": { "now": "2031-01-01T00:00:00Z", "frozen": true } });
            let made = server.do_control("POST", "/environments", wanted).await;
            let tokens = tokens_at(server, &made, "jane@example.com").await;
            let base = made["path_url"].as_str().unwrap().to_owned();
            let mail =
                server.http().get(format!("{base}/_emulator/v1/messages/latest")).send().await.unwrap();
            let mail = Page::of(mail).await.json();
            let link = mail["link"].as_str().unwrap().rsplit('=').next().unwrap().to_owned();
            let access = claims(&tokens["access_token"]);
            (mail["code"].clone(), link, mail["id"].clone(), access["jti"].clone())
        }
    };
    assert_eq!(run("first").await, run("second").await);
}

#[tokio::test]
async fn two_hundred_environments_fit_in_one_process() {
    let server = TestServer::start().await;
    for number in 0..200 {
        server.do_control("POST", "/environments", json!({ "name": format!("n{number}") })).await;
    }
    let first = server.get("/e/n0/keys").await.json();
    let last = server.get("/e/n199/keys").await.json();
    assert_eq!(first, last, "they sign with the same keys, each under its own issuer");
}

#[tokio::test]
async fn a_grpc_call_finds_its_environment_by_the_issuer_of_its_token() {
    let server = TestServer::start().await;
    let wanted =
        json!({ "name": "calls", "settings": { "passwordless": { "validity_s": 77, "type": "OTP" } } });
    let made = server.do_control("POST", "/environments", wanted).await;
    let base = made["path_url"].as_str().unwrap();
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", made["client_id"].as_str().unwrap()),
        ("client_secret", made["client_secret"].as_str().unwrap()),
    ];
    let answer = server.http().post(format!("{base}/oauth/token")).form(&form).send().await.unwrap();
    let token = Page::of(answer).await.json()["access_token"].as_str().unwrap().to_owned();
    let message =
        SendPasswordlessRequest { email: "jane@example.com".into(), ..SendPasswordlessRequest::default() };
    let authorization = format!("Bearer {token}");
    let headers = [("authorization", authorization.as_str())];
    let path = "/scalekit.v1.auth.passwordless.PasswordlessService/SendPasswordlessEmail";
    // As libraries send it that keep the path of their URL, and as those do that drop it.
    for path in [format!("/e/calls{path}"), path.to_owned()] {
        let sent: SendPasswordlessResponse =
            server.call_with(Wire::H2c, &path, frame(&message), &headers).await.message();
        assert_eq!(sent.expires_in, 77, "{path}");
    }
    assert!(server.mails_to("jane@example.com").await.is_empty(), "the default environment was not asked");
    let forged = format!("Bearer {}", token.replace('.', ".A"));
    let refused =
        server.call_with(Wire::H2c, path, frame(&message), &[("authorization", forged.as_str())]).await;
    assert_eq!(refused.status(), 16);
}

#[rstest]
#[tokio::test]
async fn a_start_brings_what_changed_in_the_configuration_of_clients_and_leaves_the_rest(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let toml = |first: &str, others: &[&str]| {
        let client = |id: &str, name: &str| {
            format!(
                "[[clients]]\nclient_id = \"{id}\"\nname = \"{name}\"\nclient_secret = \"a secret of {id}\"\n"
            )
        };
        let others = others.iter().map(|id| client(id, "As configured"));
        std::iter::once(client("skc_a", first)).chain(others).collect::<String>()
    };
    let Some(server) = TestServer::on(engine, &toml("First", &["skc_b", "skc_c"])).await else { return };
    server.do_control("PATCH", "/api/clients/skc_b", json!({ "name": "Changed by API" })).await;
    server.do_control("POST", "/clients", json!({ "client_id": "skc_made", "name": "Made by API" })).await;
    let secret = async |server: &TestServer| {
        server.do_control("PATCH", "/clients/skc_made", json!({})).await["client_secrets"].clone()
    };
    let before = secret(&server).await;
    let names = async |server: &TestServer| {
        let snapshot = server.do_control("GET", "/snapshot", Value::Null).await;
        let clients = snapshot["clients"].as_array().unwrap().clone();
        let name = |client: &Value| format!("{} {}", client["client_id"], client["name"]).replace('"', "");
        clients.iter().map(name).collect::<Vec<_>>()
    };
    let same = server.beside(&toml("First", &["skc_b", "skc_c"])).await;
    let all = ["skc_a First", "skc_b Changed by API", "skc_c As configured", "skc_made Made by API"];
    assert_eq!(names(&same).await, all);
    let next = server.beside(&toml("Second", &["skc_b"])).await;
    assert_eq!(names(&next).await, ["skc_a Second", "skc_b Changed by API", "skc_made Made by API"]);
    assert_eq!(secret(&next).await, before);
    next.do_control("POST", "/reset", Value::Null).await;
    assert_eq!(names(&next).await, ["skc_a Second", "skc_b As configured"]);
}

#[rstest]
#[tokio::test]
async fn changed_settings_that_another_version_wrote_are_left_out_and_the_others_hold(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let written = json!({ "demo": true, "passwordless": { "type": "OTP", "colour": "red" } });
    let (app, store) = (&server.app, server.app.store());
    let mut record = app.record().await.unwrap();
    record.settings = app.server.seal_settings(&written).unwrap();
    assert!(store.change_environment(&record, 1).await.unwrap());
    app.reload().await.unwrap();
    let settings = server.do_control("GET", "/settings", Value::Null).await;
    assert_eq!((&settings["demo"], &settings["passwordless"]["type"]), (&true.into(), &"OTP".into()));
    server.do_control("PATCH", "/settings", json!({ "demo": false })).await;
    let settings = server.do_control("GET", "/settings", Value::Null).await;
    assert_eq!((&settings["demo"], &settings["passwordless"]["type"]), (&false.into(), &"OTP".into()));
}
