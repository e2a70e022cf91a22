//! Pages of other sites, names that point here, and proxies in between: what a browser may be made to do.

use reqwest::Method;
use serde_json::Value;

use crate::support::grpc::{Wire, frame};
use crate::support::person::Page;
use crate::support::{CLIENT_ID, CLIENT_SECRET, TestServer};
use vestibule::api::pb::scalekit::v1::auth::passwordless::ResendPasswordlessRequest;

const RESEND: &str = "/scalekit.v1.auth.passwordless.PasswordlessService/ResendPasswordlessEmail";

const OWN_CREDENTIALS: &str =
    "[[clients]]\nclient_id = \"skc_own\"\nclient_secret = \"a secret of ones own, long enough\"\n";

/// One HTTP client for the many requests of a test.
struct Caller<'s> {
    server: &'s TestServer,
    http: reqwest::Client,
}

impl<'s> Caller<'s> {
    fn of(server: &'s TestServer) -> Self {
        Self { server, http: server.http() }
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Page {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.http.request(method, format!("{}{path}", self.server.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Page::of(request.send().await.unwrap()).await
    }
}

#[tokio::test]
async fn a_form_is_believed_when_it_comes_from_a_public_url_whatever_host_a_proxy_names() {
    let urls = "[\"http://auth.dev.test:24051\", \"https://id.example.com/auth\", \"http://plain.test\"]";
    let server = TestServer::with(&format!("public_urls = {urls}")).await;
    let port = server.url.rsplit(':').next().unwrap().to_owned();
    let upstream = format!("127.0.0.1:{port}");
    let caller = Caller::of(&server);
    for (host, origin, is_ours) in [
        // The proxy sends the name of its upstream, as nginx does unless it is told otherwise.
        (upstream.as_str(), "http://auth.dev.test:24051", true),
        (&upstream, "https://id.example.com", true),
        (&upstream, "http://plain.test", true),
        // The proxy sends the browser's own.
        ("auth.dev.test:24051", "http://auth.dev.test:24051", true),
        // TLS ends at the proxy.
        ("other.test", "https://other.test", true),
        ("other.test:443", "https://other.test", true),
        (&upstream, "http://auth.dev.test", false),
        (&upstream, "https://auth.dev.test:24051", false),
        (&upstream, "http://id.example.com", false),
        (&upstream, "https://evil.example", false),
        (&upstream, "https://id.example.com.evil.example", false),
        (&upstream, "null", false),
        (&upstream, "", false),
        (&upstream, "not an origin", false),
    ] {
        let page = caller.ask("POST", "/login/nobody/resend", &[("host", host), ("origin", origin)]).await;
        // Believed, it is about a sign-in that nobody began.
        assert_eq!(page.status != 403, is_ours, "{host} {origin}: {}", page.body);
    }
}

#[tokio::test]
async fn a_foreign_name_gets_nothing_on_any_path_while_the_well_known_credentials_are_in_use() {
    let server =
        TestServer::with("public_urls = [\"http://localhost:6870\", \"https://id.example.com\"]").await;
    let resend = ResendPasswordlessRequest { auth_request_id: "nobody".into() };
    let own = TestServer::with(OWN_CREDENTIALS).await;
    let (caller, owner) = (Caller::of(&server), Caller::of(&own));
    for (method, path) in [
        ("POST", "/oauth/token"),
        ("GET", "/oauth/authorize"),
        ("GET", "/.well-known/openid-configuration"),
        ("GET", "/keys"),
        ("POST", "/api/v1/passwordless/email/send"),
        ("GET", "/api/v1/connections"),
        ("GET", "/api/v1/nothing"),
        ("GET", "/_emulator/v1/messages"),
        ("GET", "/_emulator/inbox"),
        ("GET", "/dashboard"),
        ("GET", "/login/link"),
        ("GET", "/health"),
        ("GET", "/assets/vestibule.css"),
        ("GET", "/llms.txt"),
        ("GET", "/nothing/at/all"),
        ("GET", "/"),
    ] {
        for host in ["evil.example", "127.0.0.1.evil.example.:6870"] {
            let page = caller.ask(method, path, &[("host", host)]).await;
            assert_eq!(page.status, 421, "{method} {path} as {host}: {}", page.body);
            assert!(page.body.contains("public_urls"), "{}", page.body);
        }
        // With a secret that nobody else knows, the name says nothing.
        assert_ne!(owner.ask(method, path, &[("host", "evil.example")]).await.status, 421, "{path}");
    }
    for host in [
        "localhost:1",
        "a.localhost",
        "127.0.0.1",
        "[::1]:6870",
        "192.168.0.9:6870",
        "vestibule:6870",
        "auth.dev.test",
        "vestibule.internal",
        "mac.local",
        "id.example.com",
        "ID.example.com:8443",
    ] {
        assert_ne!(caller.ask("GET", "/keys", &[("host", host)]).await.status, 421, "{host}");
    }
    for wire in [Wire::Http1, Wire::TlsWithoutAlpn] {
        let call = server.call_with(wire, RESEND, frame(&resend), &[("host", "evil.example")]).await;
        assert_eq!((call.http_status, call.refusal()), (200, (9, "MISDIRECTED_REQUEST".to_owned())));
        assert!(call.error().1.contains("public_urls"));
    }
    let page = caller.ask("GET", "/", &[("host", "evil.example"), ("accept", "text/html")]).await;
    assert_eq!((page.status, page.heading().as_str()), (421, "Unknown host name"));
}

#[tokio::test]
async fn a_second_client_or_an_isolated_environment_with_the_well_known_secret_is_guarded_as_well() {
    let second =
        format!("{OWN_CREDENTIALS}[[clients]]\nclient_id = \"skc_2\"\nclient_secret = \"{CLIENT_SECRET}\"\n");
    let server = TestServer::with(&second).await;
    assert_eq!(Caller::of(&server).ask("GET", "/keys", &[("host", "evil.example")]).await.status, 421);
    let entropy = vestibule::crypto::entropy::SystemEntropy;
    let hash = vestibule::crypto::client_secrets::hash_secret(CLIENT_SECRET, &entropy).unwrap();
    let hashed = format!("[[clients]]\nclient_id = \"skc_2\"\nclient_secret_argon2 = '{hash}'\n");
    let server = TestServer::with(&hashed).await;
    assert_eq!(Caller::of(&server).ask("GET", "/keys", &[("host", "evil.example")]).await.status, 421);
    // The default environment of this one has the well-known secret, and the isolated one does not.
    let server = TestServer::start().await;
    let made = server.do_control("POST", "/environments", serde_json::json!({ "name": "a1" })).await;
    assert_ne!(made["client_id"], CLIENT_ID);
    assert_eq!(Caller::of(&server).ask("GET", "/e/a1/keys", &[("host", "evil.example")]).await.status, 421);
    assert_eq!(Caller::of(&server).ask("GET", "/e/a1/keys", &[]).await.status, 200);
}

#[tokio::test]
async fn pages_of_other_sites_can_neither_call_nor_read_the_control_api() {
    let server = TestServer::start().await;
    let document = server.do_control("GET", "/openapi.json", Value::Null).await;
    let caller = Caller::of(&server);
    for (path, methods) in document["paths"].as_object().unwrap() {
        let path = path.replace(['{', '}'], "");
        for method in methods.as_object().unwrap().keys() {
            let method = method.to_uppercase();
            for headers in [
                &[
                    ("sec-fetch-site", "cross-site"),
                    ("sec-fetch-mode", "no-cors"),
                    ("sec-fetch-dest", "script"),
                ][..],
                &[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "cors")],
                &[
                    ("sec-fetch-site", "cross-site"),
                    ("sec-fetch-mode", "navigate"),
                    ("sec-fetch-dest", "iframe"),
                ],
                &[("origin", "https://evil.example")],
                &[("origin", "null")],
            ] {
                let page = caller.ask(&method, &path, headers).await;
                assert_eq!(page.status, 403, "{method} {path} {headers:?}: {}", page.body);
            }
        }
    }
    let messages = "/_emulator/v1/messages";
    for headers in [
        &[("sec-fetch-site", "same-origin")][..],
        &[("sec-fetch-site", "none")],
        &[("origin", server.url.as_str())],
        // A link that a person follows, from a CI log for example; its page cannot read the answer.
        &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")],
    ] {
        assert_eq!(caller.ask("GET", messages, headers).await.status, 200, "{headers:?}");
    }
    let headers =
        [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
    assert_eq!(caller.ask("DELETE", messages, &headers).await.status, 403);
}

#[tokio::test]
async fn every_response_is_taken_for_what_it_says_it_is() {
    let server = TestServer::start().await;
    let caller = Caller::of(&server);
    let sniffed = "/_emulator/v1/messages/latest?to=nobody@example.com&wait_ms=0";
    for (method, path) in [
        ("GET", "/keys"),
        ("POST", "/oauth/token"),
        ("GET", "/oauth/authorize"),
        ("GET", "/oauth/token"),
        ("GET", "/api/v1/connections"),
        ("GET", "/api/v1/openapi.json"),
        ("GET", "/_emulator/v1/openapi.json"),
        ("GET", sniffed),
        ("GET", "/_emulator/inbox"),
        ("GET", "/dashboard"),
        ("GET", "/assets/vestibule.css"),
        ("GET", "/assets/nothing.js"),
        ("GET", "/login/nobody"),
        ("GET", "/health"),
        ("GET", "/metrics"),
        ("GET", "/llms.txt"),
        ("GET", "/compatibility"),
        ("GET", "/nothing"),
        ("OPTIONS", "/keys"),
    ] {
        let page = caller.ask(method, path, &[]).await;
        assert_eq!(page.headers.get_all("x-content-type-options").iter().count(), 1, "{method} {path}");
        assert_eq!(page.header("x-content-type-options"), "nosniff", "{method} {path}");
    }
}
