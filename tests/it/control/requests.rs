//! The request journal: what did the application ask for?

use std::time::Duration;

use serde_json::{Value, json};
use vestibule::api::pb::scalekit::v1::connections::ListConnectionsRequest;
use vestibule::domain::request_journal::RequestFilter;

use crate::support::grpc::{Wire, frame};
use crate::support::person::Page;
use crate::support::{CALLBACK, CLIENT_ID, CLIENT_SECRET, Engine, TestServer};

async fn requests(server: &TestServer, query: &str) -> Vec<Value> {
    let list = server.do_control("GET", &format!("/requests{query}"), Value::Null).await;
    list["requests"].as_array().unwrap().clone()
}

async fn cursor(server: &TestServer) -> String {
    let list = server.do_control("GET", "/requests?page_size=1", Value::Null).await;
    list["cursor"].as_str().unwrap().to_owned()
}

/// The newest request to a path.
async fn newest(server: &TestServer, path: &str) -> Value {
    let found = requests(server, &format!("?path={path}")).await;
    found.first().cloned().unwrap_or_else(|| panic!("no request to {path}"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

#[tokio::test]
async fn a_request_is_told_with_route_client_parameters_and_outcome() {
    let server = TestServer::start().await;
    server.person().tokens("jane@example.com").await;
    let token = newest(&server, "/oauth/token").await;
    let known = json!({
        "kind": "oauth", "method": "POST", "path": "/oauth/token", "route": "/oauth/token", "client_id": CLIENT_ID,
        "parameters": { "client_id": CLIENT_ID, "client_secret": "[redacted]", "grant_type": "authorization_code",
            "code": "[redacted]", "redirect_uri": CALLBACK },
        "other_parameters": 0, "status": 200, "grpc_status": null, "error": null, "fault": null, "not_emulated": null,
    });
    for (name, value) in known.as_object().unwrap() {
        assert_eq!(&token[name], value, "{name}");
    }
    assert!(text(&token["id"]).starts_with("req_") && token["duration_ms"].as_f64().unwrap() >= 0.0);
    let at = vestibule::domain::clock::Clock::now_ms(&*server.clock);
    assert_eq!(text(&token["at"]), vestibule::domain::clock::rfc3339(at));

    let begun = newest(&server, "/oauth/authorize").await;
    assert_eq!((&begun["status"], &begun["client_id"]), (&303.into(), &CLIENT_ID.into()));
    assert_eq!(begun["parameters"]["login_hint"], "jane@example.com");
    assert_eq!(begun["parameters"]["state"], "[redacted]");
    let page = newest(&server, "/login/{id}/code").await;
    assert_eq!((&page["kind"], &page["path"]), (&"page".into(), &"/login/{id}/code".into()));
    assert_eq!(
        (&page["client_id"], &page["parameters"]),
        (&CLIENT_ID.into(), &json!({ "code": "[redacted]" }))
    );
}

#[tokio::test]
async fn calls_of_the_api_are_told_by_rest_and_grpc_with_who_called() {
    let server = TestServer::start().await;
    let token = server.client_token().await;
    let rest = async |path: &str| {
        let request = server.http().get(format!("{}{path}", server.url)).bearer_auth(&token);
        Page::of(request.send().await.unwrap()).await
    };
    rest("/api/v1/organizations/org_1?page_size=5&include_payment_details=true").await;
    let read = newest(&server, "/api/v1/organizations/{id}").await;
    assert_eq!((&read["kind"], &read["path"]), (&"rest".into(), &"/api/v1/organizations/org_1".into()));
    assert_eq!((&read["status"], &read["client_id"]), (&404.into(), &CLIENT_ID.into()));
    assert_eq!((&read["parameters"], &read["other_parameters"]), (&json!({ "page_size": "5" }), &1.into()));
    assert!(read["error"].is_string(), "{read}");

    let path = "/scalekit.v1.connections.ConnectionService/ListConnections";
    server.call(path, &ListConnectionsRequest::default()).await;
    let call = newest(&server, "*ConnectionService/*").await;
    assert_eq!((&call["kind"], &call["path"], &call["route"]), (&"grpc".into(), &path.into(), &path.into()));
    assert_eq!((&call["grpc_status"], &call["client_id"]), (&"OK".into(), &CLIENT_ID.into()));
    let refused = server.call_with(Wire::H2c, path, frame(&ListConnectionsRequest::default()), &[]).await;
    assert_eq!(refused.status(), 16);
    let call = newest(&server, "*ConnectionService/*").await;
    assert_eq!((&call["grpc_status"], &call["client_id"]), (&"UNAUTHENTICATED".into(), &Value::Null));
    assert_eq!(text(&call["error"]), refused.refusal().1);
}

#[tokio::test]
async fn errors_are_told_by_their_codes_wherever_they_are_shown() {
    let server = TestServer::start().await;
    let person = server.person();
    person.authorize(&[("prompt", "none")]).await;
    assert_eq!(newest(&server, "/oauth/authorize").await["error"], "login_required");
    person.authorize(&[("redirect_uri", "https://evil.example.com/cb")]).await;
    assert_eq!(newest(&server, "/oauth/authorize").await["error"], "invalid_redirect_uri");
    server.exchange("nonsense").await;
    assert_eq!(newest(&server, "/oauth/token").await["error"], "invalid_grant");
    server.post("/oauth/token", &[("grant_type", "client_credentials"), ("client_id", "skc_0")]).await;
    let unknown = newest(&server, "/oauth/token").await;
    assert_eq!((&unknown["error"], &unknown["client_id"]), (&"invalid_client".into(), &"skc_0".into()));
    let request = server.http().get(format!("{}/userinfo", server.url)).bearer_auth("nonsense");
    request.send().await.unwrap();
    assert_eq!(newest(&server, "/userinfo").await["error"], "invalid_token");
    let page = person.start("jane@example.com").await;
    let code = server.code_for("jane@example.com").await;
    person.enter_code(&page, &crate::support::person::other_than(&code)).await;
    assert_eq!(newest(&server, "/login/{id}/code").await["error"], "wrong_code");
    server.http().delete(format!("{}/oauth/token", server.url)).send().await.unwrap();
    assert_eq!(newest(&server, "/oauth/token").await["status"], 405);
}

/// docs/SECURITY.md names it: whatever an application sends, and wherever.
#[tokio::test]
async fn no_secret_gets_into_the_journal() {
    let server = TestServer::start().await;
    let mut secrets: Vec<String> = vec![CLIENT_SECRET.to_owned(), "af0ifjsldkj".to_owned()];
    let person = server.person();
    let page = person.start("jane@example.com").await;
    let code = server.code_for("jane@example.com").await;
    let link = server.link_for("jane@example.com").await;
    person.get(&link).await;
    let link_token = link.rsplit('=').next().unwrap().to_owned();
    let done = person.enter_code(&page, &code).await;
    let authorization_code = done.answer("code").unwrap();
    let tokens = server.exchange(&authorization_code).await.json();
    let refresh_token = text(&tokens["refresh_token"]);
    let refreshed =
        server.token(&[("grant_type", "refresh_token"), ("refresh_token", refresh_token)]).await.json();
    let access_token = text(&refreshed["access_token"]);
    secrets.extend([link_token, authorization_code]);
    for (of, name) in [(&tokens, "refresh_token"), (&tokens, "access_token"), (&tokens, "id_token")] {
        secrets.push(text(&of[name]).to_owned());
    }
    secrets.extend([access_token.to_owned(), text(&refreshed["refresh_token"]).to_owned()]);
    let credentials = [("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET)];
    for path in ["/oauth/introspect", "/revoke"] {
        server.post(path, &[&credentials[..], &[("token", access_token)]].concat()).await;
    }
    // In places where no server expects it.
    for path in [
        format!("/userinfo?access_token={access_token}"),
        format!("/oauth/authorize?{access_token}"),
        format!(
            "/oauth/authorize?redirect_uri=https://a.example/cb%3Ftoken={access_token}&login_hint={access_token}"
        ),
        format!("/{access_token}/nowhere"),
        format!("/invite/{access_token}"),
        format!("/magicLink/{refresh_token}"),
        format!("/login/{access_token}"),
        format!("/api/v1/users/{access_token}"),
        format!("/api/v1/{refresh_token}"),
    ] {
        let request = server.http().get(format!("{}{path}", server.url)).bearer_auth(access_token);
        request.send().await.unwrap();
    }
    server
        .http()
        .get(format!("{}/keys", server.url))
        .basic_auth(CLIENT_ID, Some(CLIENT_SECRET))
        .send()
        .await
        .unwrap();
    server.post("/oauth/token", &[("grant_type", "client_credentials"), ("client_id", CLIENT_SECRET)]).await;
    let list = server.do_control("GET", "/requests?page_size=200", Value::Null).await;
    assert!(list["requests"].as_array().unwrap().len() > 15, "{list}");
    let mut shown = vec![list.to_string(), server.get("/dashboard/requests").await.body];
    for request in list["requests"].as_array().unwrap() {
        shown.push(server.get(&format!("/dashboard/requests/{}", text(&request["id"]))).await.body);
    }
    for secret in &secrets {
        assert!(shown.iter().all(|text| !text.contains(secret.as_str())), "{secret} is shown");
    }
    // Six digits can be a part of any number.
    let words = shown.iter().flat_map(|text| text.split(|c: char| !c.is_ascii_alphanumeric()));
    assert!(!words.into_iter().any(|word| word == code), "{code} is shown");
}

#[tokio::test]
async fn a_test_waits_for_a_request_as_for_an_email() {
    let server = TestServer::start().await;
    server.get("/keys").await;
    let since = cursor(&server).await;
    assert!(requests(&server, &format!("?path=/keys&since={since}")).await.is_empty());
    let query = format!("?path=/keys&since={since}&wait_ms=20000");
    let (found, _) = tokio::join!(requests(&server, &query), async {
        // Other requests do not end the wait.
        server.get("/.well-known/openid-configuration").await;
        server.get("/keys").await
    });
    assert_eq!((found.len(), &found[0]["path"]), (1, &"/keys".into()));
    let id = text(&found[0]["id"]).to_owned();
    assert!(requests(&server, &format!("?path=/keys&since={id}")).await.is_empty());
    let begun = std::time::Instant::now();
    assert!(requests(&server, &format!("?path=/keys&since={id}&wait_ms=50")).await.is_empty());
    assert!(begun.elapsed() >= Duration::from_millis(50));
    for (query, field) in [
        ("?since=msg_1", "since"),
        ("?wait_ms=60001", "wait_ms"),
        ("?wait_ms=soon", "wait_ms"),
        ("?page_size=0", "page_size"),
    ] {
        assert_eq!(
            server.refused("GET", &format!("/requests{query}"), Value::Null).await,
            (400, field.to_owned())
        );
    }
}

#[tokio::test]
async fn requests_are_filtered_by_client_and_come_in_pages() {
    let server = TestServer::start().await;
    server
        .do_control(
            "POST",
            "/clients",
            json!({ "client_id": "skc_2", "client_secret": "a secret of its own" }),
        )
        .await;
    for secret in ["a secret of its own", "another"] {
        let request =
            server.http().post(format!("{}/oauth/token", server.url)).basic_auth("skc_2", Some(secret));
        request.form(&[("grant_type", "client_credentials")]).send().await.unwrap();
    }
    server.client_token().await;
    let of_client = requests(&server, "?client_id=skc_2").await;
    let errors: Vec<_> = of_client.iter().map(|request| request["error"].as_str()).collect();
    assert_eq!(errors, [Some("invalid_client"), None]);
    assert_eq!(requests(&server, &format!("?client_id={CLIENT_ID}&path=/oauth/*")).await.len(), 1);
    let page = server.do_control("GET", "/requests?page_size=2", Value::Null).await;
    assert_eq!(page["requests"].as_array().unwrap().len(), 2);
    let next = text(&page["next_page_token"]);
    let rest =
        server.do_control("GET", &format!("/requests?page_size=2&page_token={next}"), Value::Null).await;
    assert_eq!((rest["requests"].as_array().unwrap().len(), &rest["next_page_token"]), (1, &Value::Null));
}

#[tokio::test]
async fn faults_are_told_with_the_requests_that_they_touched() {
    let server = TestServer::start().await;
    let fault = |effect: Value| json!({ "match": { "path": "/keys" }, "count": 1, "effect": effect });
    let reset = server.do_control("POST", "/faults", fault(json!({ "kind": "connection_reset" }))).await;
    assert!(server.http().get(format!("{}/keys", server.url)).send().await.is_err());
    let told = newest(&server, "/keys").await;
    assert_eq!((&told["fault"], &told["status"]), (&reset["id"], &Value::Null));
    let status =
        server.do_control("POST", "/faults", fault(json!({ "kind": "status", "status": 503 }))).await;
    server.get("/keys").await;
    let told = newest(&server, "/keys").await;
    assert_eq!((&told["fault"], &told["status"]), (&status["id"], &503.into()));
}

#[tokio::test]
async fn environments_have_journals_of_their_own_and_a_reset_empties_one() {
    let server = TestServer::start().await;
    server.do_control("POST", "/environments", json!({ "name": "one" })).await;
    server.get("/e/one/keys").await;
    assert!(requests(&server, "").await.is_empty());
    let of_one = server.get("/e/one/_emulator/v1/requests").await.json();
    assert_eq!(
        (of_one["requests"].as_array().unwrap().len(), &of_one["requests"][0]["path"]),
        (1, &"/keys".into())
    );
    server.get("/keys").await;
    let since = cursor(&server).await;
    server.do_control("POST", "/reset", Value::Null).await;
    assert!(requests(&server, "").await.is_empty());
    assert_eq!(
        server.get("/e/one/_emulator/v1/requests").await.json()["requests"].as_array().unwrap().len(),
        1
    );
    server.get("/keys").await;
    assert_eq!(requests(&server, &format!("?since={since}")).await.len(), 1, "a cursor outlives the reset");
}

#[tokio::test]
async fn a_reset_empties_the_journal_of_every_server() {
    let Some(server) = TestServer::on(Engine::Postgres, "").await else { return };
    let other = server.beside("").await;
    other.get("/keys").await;
    assert_eq!(requests(&other, "").await.len(), 1);
    assert!(requests(&server, "").await.is_empty(), "each server has its own");
    server.do_control("POST", "/reset", Value::Null).await;
    assert!(requests(&other, "").await.is_empty());
}

#[tokio::test]
async fn as_many_are_kept_as_the_setting_says_and_none_in_production() {
    let server = TestServer::start().await;
    server.do_control("PATCH", "/settings", json!({ "requests": { "keep": 2 } })).await;
    for path in ["/keys", "/llms.txt", "/compatibility"] {
        server.get(path).await;
    }
    let paths: Vec<Value> =
        requests(&server, "").await.iter().map(|request| request["path"].clone()).collect();
    assert_eq!(paths, ["/compatibility", "/llms.txt"]);
    server.do_control("PATCH", "/settings", json!({ "requests": { "keep": 0 } })).await;
    server.get("/keys").await;
    assert!(requests(&server, "").await.is_empty());
    assert_eq!(
        server.refused("PATCH", "/settings", json!({ "requests": { "keep": 2001 } })).await,
        (400, "requests.keep".to_owned())
    );
    let production = TestServer::with(
        "mode = \"production\"\npublic_urls = [\"https://id.example.com\"]\nclient_id = \"skc_1\"\n\
         client_secret = \"a secret of our own\"\n[smtp]\nhost = \"127.0.0.1\"\nport = 9\n",
    )
    .await;
    assert_eq!(production.get("/keys").await.status, 200);
    let all = RequestFilter { limit: 9, ..RequestFilter::default() };
    assert!(production.app.requests.find(&all).is_empty());
}

#[tokio::test]
async fn requests_about_the_server_itself_push_none_of_an_application_out() {
    let server = TestServer::start().await;
    let page = server.person().start("jane@example.com").await;
    let before = requests(&server, "").await.len();
    for path in
        ["/dashboard", "/_emulator/v1/clock", "/assets/vestibule.css", "/favicon.ico", "/health", "/metrics"]
    {
        server.get(path).await;
    }
    server.person().get(&format!("{page}/status")).await;
    assert_eq!(requests(&server, "").await.len(), before);
}

#[tokio::test]
async fn what_is_not_emulated_stands_on_top_with_the_application_that_called_it() {
    let server = TestServer::start().await;
    let client = json!({ "client_id": "skc_2", "client_secret": "a secret of its own", "name": "Shop" });
    server.do_control("POST", "/clients", client).await;
    let form = [
        ("client_id", "skc_2"),
        ("client_secret", "a secret of its own"),
        ("grant_type", "client_credentials"),
    ];
    let token = text(&server.post("/oauth/token", &form).await.json()["access_token"]).to_owned();
    let path = "/scalekit.v1.directories.DirectoryService/ListDirectories";
    let bearer = format!("Bearer {token}");
    for _ in 0..3 {
        let call = server.call_with(Wire::H2c, path, frame(&()), &[("authorization", &bearer)]).await;
        assert_eq!(call.status(), 12);
    }
    let rest = format!("{}/api/v1/organizations/org_1/directories", server.url);
    let answer = server.http().get(rest).bearer_auth(&token).send().await.unwrap();
    assert_eq!(answer.status(), 501);
    server.get("/sso/v1/connections").await;
    let list = server.do_control("GET", "/requests?path=/nothing", Value::Null).await;
    let calls: Vec<_> = list["not_emulated"].as_array().unwrap().iter().collect();
    assert_eq!(calls[0]["client_id"], "skc_2", "{list}");
    assert_eq!(calls[0]["name"], "scalekit.v1.directories.DirectoryService/ListDirectories");
    assert_eq!(calls[0]["times"], 4);
    assert!(
        calls.iter().any(|call| call["name"] == "GET /sso/v1/connections" && call["client_id"].is_null())
    );
    let page = server.get("/dashboard/requests").await.body;
    let told = "Shop called scalekit.v1.directories.DirectoryService/ListDirectories 4 times, which is not emulated.";
    assert!(
        page.find(told).unwrap_or_else(|| panic!("{page}")) < page.find("<table").unwrap(),
        "it stands on top"
    );
    assert!(
        page.contains("An application called GET /sso/v1/connections once, which is not emulated."),
        "{page}"
    );
    server.do_control("POST", "/reset", Value::Null).await;
    let list = server.do_control("GET", "/requests", Value::Null).await;
    assert_eq!(list["not_emulated"], json!([]));
}

#[tokio::test]
async fn the_dashboard_shows_requests_and_gives_each_for_a_shell() {
    let server = TestServer::start().await;
    server.client_token().await;
    let request = newest(&server, "/oauth/token").await;
    let page = server.get("/dashboard/requests?path=/oauth/*").await.body;
    let detail = format!("/dashboard/requests/{}", text(&request["id"]));
    assert!(page.contains("POST /oauth/token") && page.contains(&detail), "{page}");
    assert!(server.get("/dashboard/requests?path=/nowhere").await.body.contains("No results"));
    let shown = server.get(&detail).await.body;
    for words in [
        "data-copy=\"curl -X POST",
        "grant_type=client_credentials",
        "client_secret=CLIENT_SECRET",
        "[redacted]",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    server.do_control("POST", "/reset", Value::Null).await;
    assert_eq!(server.get(&detail).await.status, 404);
    assert!(server.get("/dashboard/requests").await.body.contains("No requests yet"));
}
