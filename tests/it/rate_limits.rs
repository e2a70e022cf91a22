//! Bad input on purpose, at every endpoint: a clear refusal, never a 5xx, never a panic.

use futures_util::future::join_all;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::person::Page;
use crate::support::{CALLBACK, CLIENT_ID, CLIENT_SECRET, Engine, TestServer};

const PATHS: &[&str] = &[
    "/",
    "/oauth/authorize",
    "/oauth/token",
    "/oauth/introspect",
    "/revoke",
    "/userinfo",
    "/keys",
    "/oidc/logout",
    "/.well-known/openid-configuration",
    "/.well-known/oauth-authorization-server",
    "/login/link",
    "/login/nobody",
    "/login/nobody/status",
    "/login/nobody/email",
    "/login/nobody/code",
    "/login/nobody/resend",
    "/login/nobody/restart",
    "/login/nobody/account",
    "/login/nobody/organization",
    "/assets/vestibule.css",
    "/assets/nothing",
    "/assets/logo",
    "/assets/brand.css",
    "/_emulator/inbox",
    "/_emulator/inbox/x",
    "/_emulator/inbox/x/html",
    "/_emulator/inbox/x/eml",
    "/_emulator/inbox/x/delete",
    "/_emulator/inbox/delete",
    "/_emulator/v1/messages",
    "/_emulator/v1/messages/latest?wait_ms=0",
    "/health",
    "/live",
    "/ready",
    "/no/such/thing",
    "/%ff",
    "/login/%00",
    "/assets/..%2f..%2fCargo.toml",
];

#[tokio::test]
async fn no_body_or_method_at_any_path_breaks_the_server() {
    let server = TestServer::start().await;
    let megabyte = "a".repeat(1 << 20);
    let bodies: Vec<(&str, Vec<u8>)> = vec![
        ("application/x-www-form-urlencoded", vec![]),
        (
            "application/x-www-form-urlencoded",
            format!("email={megabyte}&code={megabyte}&token={megabyte}").into_bytes(),
        ),
        ("application/x-www-form-urlencoded", b"%ff=%fe&code=%c3%28".to_vec()),
        ("application/x-www-form-urlencoded", vec![0xff, 0x00, b'=', 0xfe]),
        (
            "application/x-www-form-urlencoded",
            b"email=a&email=b&code=1&code=2&token=a&token=b&grant_type=x&grant_type=y".to_vec(),
        ),
        ("application/json", b"{\"email\":".to_vec()),
        ("multipart/form-data; boundary=x", b"--x\r\n".to_vec()),
        ("", b"email=a".to_vec()),
    ];
    for path in PATHS {
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"] {
            let requests = bodies.iter().map(|(kind, body)| {
                let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
                let request =
                    server.http().request(method, format!("{}{path}", server.url)).body(body.clone());
                if kind.is_empty() { request } else { request.header("content-type", *kind) }.send()
            });
            // A refused megabyte may break the connection while it is still being sent.
            for answer in join_all(requests).await.into_iter().flatten() {
                assert!(answer.status().as_u16() < 500, "{method} {path}: {}", answer.status());
            }
        }
    }
    assert_eq!(server.get("/health").await.status, 200);
}

#[tokio::test]
async fn no_parameter_of_a_running_sign_in_breaks_it() {
    let server = TestServer::start().await;
    let person = server.person();
    let sign_in = person.start("jane@example.com").await;
    let long = "9".repeat(60_000);
    for (path, name) in [
        ("/email", "email"),
        ("/code", "code"),
        ("/account", "choice"),
        ("/organization", "organization_id"),
        ("/resend", "x"),
        ("/status", "x"),
    ] {
        for value in [
            "",
            " ",
            "\0",
            "\u{202e}evil",
            "'; DROP TABLE users; --",
            "<script>alert(1)</script>",
            "💥",
            &long,
        ] {
            let page = person.post(&format!("{sign_in}{path}"), &[(name, value)]).await;
            assert!(page.status < 500, "{path} {name}: {}", page.status);
            assert!(!page.body.contains("<script>alert"), "{path}");
        }
    }
}

#[tokio::test]
async fn headers_nobody_should_send_are_survived() {
    let server = TestServer::start().await;
    let long = "x".repeat(16_000);
    for (name, value) in [
        ("authorization", "Basic"),
        ("authorization", "Basic !!!"),
        ("authorization", "Bearer "),
        ("authorization", "Bearer a.b.c"),
        ("authorization", "Basic /////w=="),
        ("cookie", "vestibule_session=x; vestibule_browser=\""),
        ("cookie", ";;;="),
        ("accept", "text/html;q=x"),
        ("content-type", "application/x-www-form-urlencoded; charset=\"utf-7"),
        ("x-long", &long),
        ("if-none-match", "\"x"),
        ("origin", "::"),
    ] {
        for path in [
            "/oauth/token",
            "/userinfo",
            "/oidc/logout",
            "/login/link",
            "/_emulator/inbox",
            "/assets/vestibule.css",
        ] {
            for method in [reqwest::Method::GET, reqwest::Method::POST] {
                let request =
                    server.http().request(method, format!("{}{path}", server.url)).header(name, value);
                let page = Page::of(request.send().await.unwrap()).await;
                assert!(page.status < 500, "{name}: {value} at {path}: {}", page.status);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 50, ..ProptestConfig::default() })]

    #[test]
    fn random_queries_and_forms_get_an_answer_below_500(
        names in proptest::collection::vec(
            prop_oneof![
                Just("client_id"), Just("redirect_uri"), Just("response_type"), Just("scope"), Just("state"), Just("nonce"), Just("prompt"),
                Just("max_age"), Just("claims"), Just("code_challenge"), Just("code_challenge_method"), Just("login_hint"), Just("id_token_hint"),
                Just("organization_id"), Just("grant_type"), Just("code"), Just("refresh_token"), Just("token"), Just("link_token"),
            ],
            0..8,
        ),
        values in proptest::collection::vec("\\PC{0,40}", 8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = TestServer::start().await;
            let mut pairs: Vec<(&str, &str)> = names.iter().copied().zip(values.iter().map(String::as_str)).collect();
            for path in ["/oauth/authorize", "/oauth/token", "/oidc/logout", "/login/link", "/revoke", "/oauth/introspect", "/userinfo"] {
                let get = server.http().get(format!("{}{path}", server.url)).query(&pairs).send().await.unwrap();
                assert!(get.status().as_u16() < 500, "GET {path} {pairs:?}");
                assert!(server.post(path, &pairs).await.status < 500, "POST {path} {pairs:?}");
            }
            pairs.retain(|(n, _)| !["client_id", "redirect_uri", "client_secret"].contains(n));
            pairs.extend([("client_id", CLIENT_ID), ("redirect_uri", CALLBACK)]);
            let get = server.http().get(format!("{}/oauth/authorize", server.url)).query(&pairs).send().await.unwrap();
            assert!(get.status().as_u16() == 303, "authorize {pairs:?}: {}", get.status());
            pairs.push(("client_secret", CLIENT_SECRET));
            assert!(server.post("/oauth/token", &pairs).await.status < 500, "token {pairs:?}");
        });
    }
}

#[rstest]
#[tokio::test]
async fn a_nul_anywhere_is_the_callers_mistake_and_takes_nobodys_log_away(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    for path in [
        "/_emulator/v1/flows/%00",
        "/_emulator/v1/api/users/%00",
        "/login/%00",
        "/_emulator/v1/messages?q=%00",
    ] {
        let status = server.get(path).await.status;
        assert!(status < 500, "{path} answers {status}");
    }
    let token = server.client_token().await;
    for path in
        ["/_emulator/v1/api/organizations", "/_emulator/v1/users", "/api/v1/passwordless/email/resend"]
    {
        let body = json!({ "display_name": "\0", "email": "a@x.io", "name": "\0", "auth_request_id": "\0" });
        let request = server.http().post(format!("{}{path}", server.url)).bearer_auth(&token).json(&body);
        let page = Page::of(request.send().await.unwrap()).await;
        assert!(page.status < 500, "{path}: {}", page.body);
    }
    server.person().authorize(&[("client_id", "\0")]).await;
    server.person().authorize(&[("login_hint", "\0"), ("redirect_uri", "https://nobody.example/\0")]).await;
    server.person().sign_in("jane@example.com").await;
    vestibule::service::flows::write(&server.app.server).await;
    let flows = server.do_control("GET", "/flows", Value::Null).await;
    let shown = flows.to_string();
    assert!(shown.contains("jane@example.com") && shown.contains('\u{fffd}'), "{shown}");
}
