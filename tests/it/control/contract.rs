//! The API as a whole: its description, and who may call it.

use serde_json::{Value, json};

use crate::support::TestServer;
use crate::support::person::Page;

#[tokio::test]
async fn the_description_names_every_call_that_is_served_and_no_other() {
    let server = TestServer::start().await;
    let document = server.do_control("GET", "/openapi.json", Value::Null).await;
    assert_eq!(document["openapi"].as_str().unwrap().split('.').take(2).collect::<Vec<_>>(), ["3", "1"]);
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() > 30, "{}", paths.len());
    for (path, methods) in paths {
        let methods = methods.as_object().unwrap();
        let url = format!("{}{}", server.url, path.replace(['{', '}'], ""));
        // A method that no path has is answered with those that this one has.
        let page = Page::of(server.http().request("TRACE".parse().unwrap(), url).send().await.unwrap()).await;
        assert_eq!(page.status, 405, "{path}");
        let mut served: Vec<&str> = page.header("allow").split(", ").filter(|name| *name != "HEAD").collect();
        let mut described: Vec<String> = methods.keys().map(|name| name.to_uppercase()).collect();
        served.sort_unstable();
        described.sort_unstable();
        assert_eq!(described, served, "{path}");
        for (method, operation) in methods {
            assert!(
                operation["summary"].as_str().or(operation["description"].as_str()).is_some(),
                "{method} {path}"
            );
            let responses = operation["responses"].as_object().unwrap();
            for (status, response) in
                responses.iter().filter(|(status, _)| ["200", "201"].contains(&status.as_str()))
            {
                assert!(response["content"].is_object(), "what {method} {path} answers with {status}");
            }
        }
    }
}

#[tokio::test]
async fn agents_are_told_what_is_true_and_secrets_only_where_they_may_have_them() {
    let server = TestServer::start().await;
    let text = server.get("/llms.txt").await.body;
    assert!(text.contains(crate::support::CLIENT_SECRET));
    for word in text.split_whitespace().filter(|w| w.starts_with(&format!("{}/", server.url))) {
        let path = word.trim_start_matches(&server.url).trim_end_matches([',', ';', ')']);
        let page =
            if path.starts_with("/api/") { server.post(path, &[]).await } else { server.get(path).await };
        assert!(page.status != 404 || path.contains("/latest?"), "{word}");
    }
    let guarded = TestServer::with("[control]\ntoken = \"open, sesame, open\"").await;
    assert!(!guarded.get("/llms.txt").await.body.contains(crate::support::CLIENT_SECRET));
}

#[test]
fn the_table_of_the_documentation_is_what_the_description_says() {
    let document: Value = serde_json::from_slice(&vestibule::emulator::openapi::document()).unwrap();
    let mut table = "| call | what it does |\n|---|---|\n".to_owned();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let about = operation["summary"].as_str().unwrap();
            let about = about.split_whitespace().collect::<Vec<_>>().join(" ");
            let path = path.trim_start_matches("/_emulator/v1");
            table.push_str(&format!("| `{} {path}` | {about} |\n", method.to_uppercase()));
        }
    }
    crate::documents::check_generated("docs/CONTROL.md", "control", &table);
}

#[test]
fn an_operation_without_parameters_has_no_list_of_them() {
    let document: Value = serde_json::from_slice(&vestibule::emulator::openapi::document()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    for (path, operation) in paths.iter().flat_map(|(path, item)| {
        item.as_object()
            .unwrap()
            .iter()
            .map(move |(method, operation)| (format!("{method} {path}"), operation))
    }) {
        assert!(operation.get("parameters").is_none_or(Value::is_array), "{path}: {operation}");
    }
}

#[test]
fn what_flattens_an_object_without_other_properties_is_described_as_one_object() {
    let document: Value = serde_json::from_slice(&vestibule::emulator::openapi::document()).unwrap();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for (name, schema) in schemas {
        for part in schema["allOf"].as_array().into_iter().flatten() {
            let flattened = part["$ref"].as_str().and_then(|path| document.pointer(&path[1..]));
            let is_closed = flattened.is_some_and(|flattened| flattened["additionalProperties"] == false);
            assert!(!is_closed, "{name} has fields that {part} forbids");
        }
    }
    for (name, own) in [("FaultView", "fired"), ("BuiltInFaultView", "about")] {
        let properties = schemas[name]["properties"].as_object().unwrap();
        assert!(properties.contains_key("match") && properties.contains_key(own), "{name}: {properties:?}");
        assert_eq!(schemas[name]["additionalProperties"], false);
    }
    // What flattens a map keeps room for its entries.
    assert!(schemas["Snapshot"]["allOf"].is_array(), "{}", schemas["Snapshot"]);
}

#[tokio::test]
async fn a_page_of_another_site_cannot_change_anything() {
    let server = TestServer::start().await;
    let url = format!("{}/_emulator/v1/reset", server.url);
    for (header, value) in [("origin", "https://evil.example.com"), ("sec-fetch-site", "cross-site")] {
        let page = Page::of(server.http().post(&url).header(header, value).send().await.unwrap()).await;
        assert_eq!(page.status, 403, "{header}");
    }
    let form = server.http().post(format!("{}/_emulator/v1/seed", server.url)).form(&[("users", "x")]);
    assert_eq!(Page::of(form.send().await.unwrap()).await.status, 415);
}

#[tokio::test]
async fn a_token_guards_every_path_and_control_false_takes_them_all_away() {
    let guarded = TestServer::with("[control]\ntoken = \"open, sesame, open\"").await;
    let off = TestServer::with("control = false").await;
    let document: Value = {
        let open = TestServer::start().await;
        open.do_control("GET", "/openapi.json", Value::Null).await
    };
    for (path, methods) in document["paths"].as_object().unwrap() {
        let path = path.replace(['{', '}'], "");
        for method in methods.as_object().unwrap().keys() {
            let method = reqwest::Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            for (server, status) in [(&guarded, 401), (&off, 404)] {
                let request = server.http().request(method.clone(), format!("{}{path}", server.url));
                let got = request.json(&json!({})).send().await.unwrap().status();
                assert_eq!(got, status, "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn where_others_can_connect_no_client_gets_the_well_known_or_a_weak_secret_by_api() {
    let exposed = TestServer::with(
        "listen = \"0.0.0.0:6870\"\npublic_urls = [\"http://localhost:6870\"]\nclient_id = \"skc_own\"\n\
         client_secret = \"a secret of our own\"\n[control]\ntoken = \"a token of our own\"\n",
    )
    .await;
    let ask = async |method: &str, path: &str, body: Value| {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = exposed.http().request(method, format!("{}/_emulator/v1{path}", exposed.url));
        Page::of(request.bearer_auth("a token of our own").json(&body).send().await.unwrap()).await
    };
    assert_eq!(ask("POST", "/clients", json!({ "client_id": "skc_made" })).await.status, 201);
    let mut snapshot = ask("GET", "/snapshot", Value::Null).await.json();
    for secret in [crate::support::CLIENT_SECRET, "short"] {
        let client = json!({ "client_id": "skc_new", "client_secret": secret });
        snapshot["clients"] = json!([client]);
        for (method, path, body, field) in [
            ("POST", "/clients", client.clone(), "client_secret"),
            ("PATCH", "/clients/skc_made", json!({ "client_secret": secret }), "client_secret"),
            (
                "PATCH",
                "/clients/skc_made",
                json!({ "client_secrets": ["a secret of our own", secret] }),
                "client_secrets",
            ),
            ("PATCH", "/settings", json!({ "clients": [client] }), "clients[0].client_secret"),
            (
                "POST",
                "/environments",
                json!({ "settings": { "clients": [client] } }),
                "settings.clients[0].client_secret",
            ),
            ("PUT", "/snapshot", snapshot.clone(), "clients[0].client_secret"),
        ] {
            let refused = ask(method, path, body).await;
            assert_eq!(refused.status, 400, "{method} {path}: {}", refused.body);
            assert_eq!(refused.json()["errors"][0]["field"], field, "{method} {path}: {}", refused.body);
        }
    }
}

#[tokio::test]
async fn bodies_that_are_no_json_are_named() {
    let server = TestServer::start().await;
    let url = format!("{}/_emulator/v1/faults", server.url);
    for (body, field, detail) in [
        ("{", "", "not valid JSON at line 1, column 1"),
        ("{} x", "", "not valid JSON at line 1, column 4"),
        ("{\"latency_ms\": -1}", "latency_ms", "latency_ms: must be a whole number, 0 or more"),
        ("{\"latency_ms\": \"long\"}", "latency_ms", "latency_ms: must be a whole number, 0 or more"),
        ("{\"effect\": {}}", "effect.kind", "effect.kind: is missing"),
    ] {
        let request = server.http().post(&url).header("content-type", "application/json").body(body);
        let page = Page::of(request.send().await.unwrap()).await;
        assert_eq!(page.status, 400, "{body}");
        let problem = page.json();
        assert_eq!(
            (&problem["errors"][0]["field"], &problem["detail"]),
            (&json!(field), &json!(detail)),
            "{body}"
        );
    }
}

#[tokio::test]
async fn every_error_is_a_problem_document() {
    let server = TestServer::start().await;
    let guarded = TestServer::with("[control]\ntoken = \"open, sesame, open\"").await;
    let off = TestServer::with("control = false").await;
    let json_type = ("content-type", "application/json");
    for (server, method, path, header, status) in [
        (&server, "GET", "/_emulator/v1/nothing", json_type, 404),
        (&server, "POST", "/_emulator/nothing", json_type, 404),
        (&server, "GET", "/_emulator/v1/messages/msg_1", json_type, 404),
        (&server, "GET", "/_emulator/v1/messages/msg_1/raw", json_type, 404),
        (&server, "GET", "/_emulator/inbox/msg_1", json_type, 404),
        (&server, "GET", "/e/nobody/_emulator/v1/clock", json_type, 404),
        (&server, "GET", "/e/nobody/_emulator/inbox", json_type, 404),
        (&server, "PATCH", "/_emulator/v1/clock", json_type, 405),
        (&server, "POST", "/_emulator/inbox", json_type, 405),
        (&server, "POST", "/_emulator/v1/faults", ("content-type", "text/plain"), 415),
        (&server, "POST", "/_emulator/v1/faults", json_type, 400),
        (&server, "GET", "/_emulator/v1/flows?status=odd", json_type, 400),
        (&server, "GET", "/_emulator/v1/clock", ("host", "evil.example.com"), 421),
        (&server, "POST", "/_emulator/v1/reset", ("origin", "https://evil.example.com"), 403),
        (&guarded, "GET", "/_emulator/v1/clock", json_type, 401),
        (&guarded, "GET", "/_emulator/inbox", json_type, 401),
        (&off, "GET", "/_emulator/v1/clock", json_type, 404),
    ] {
        let named = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = server.http().request(named, format!("{}{path}", server.url));
        let request = request.header(header.0, header.1).body(if method == "POST" { "{" } else { "" });
        let page = Page::of(request.send().await.unwrap()).await;
        assert_eq!(page.status, status, "{method} {path}: {}", page.body);
        assert_eq!(page.header("content-type"), "application/problem+json", "{method} {path}");
        let problem = page.json();
        assert_eq!(problem["status"], status, "{method} {path}");
        for member in ["error", "title", "detail"] {
            assert!(
                problem[member].as_str().is_some_and(|text| !text.trim().is_empty()),
                "{method} {path}: {problem}"
            );
        }
    }
    let page = server.control("PATCH", "/clock", json!({})).await;
    assert_eq!(page.header("allow"), "GET, HEAD, PUT, DELETE");
}

#[tokio::test]
async fn the_first_page_is_an_index_for_programs_and_for_browsers() {
    let server = TestServer::start().await;
    for path in ["/_emulator", "/_emulator/", "/_emulator/v1", "/_emulator/v1/"] {
        let index = server.get(path).await;
        assert_eq!((index.status, index.header("content-type")), (200, "application/json"), "{path}");
        let index = index.json();
        assert_eq!(
            server.get(index["openapi"].as_str().unwrap().trim_start_matches(&server.url)).await.status,
            200
        );
        let calls = index["calls"].as_array().unwrap();
        assert!(calls.iter().any(|c| c["method"] == "POST" && c["path"] == "/_emulator/v1/reset"));
        let page = server.http().get(format!("{}{path}", server.url)).header("accept", "text/html");
        let page = Page::of(page.send().await.unwrap()).await;
        assert!(
            page.status == 200 && page.body.contains("href=\"/_emulator/inbox\""),
            "{path}: {}",
            page.body
        );
    }
}

#[tokio::test]
async fn settings_are_described_with_their_types_and_ranges() {
    let server = TestServer::start().await;
    let document = server.do_control("GET", "/openapi.json", Value::Null).await;
    let settings = server.do_control("GET", "/settings", Value::Null).await;
    let described = &document["components"]["schemas"]["Settings"]["properties"];
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(described), keys(&settings));
    for (name, value) in settings.as_object().unwrap().iter().filter(|(_, value)| value.is_object()) {
        assert_eq!(keys(&described[name]["properties"]), keys(value), "{name}");
    }
    let attempts = &described["limits"]["properties"]["code_attempts"];
    assert_eq!((&attempts["minimum"], &attempts["maximum"]), (&json!(1), &json!(100)));
    assert_eq!(described["mode"]["readOnly"], true);
    assert_eq!(described["login_hint"]["enum"], json!(["send", "prefill"]));
}
