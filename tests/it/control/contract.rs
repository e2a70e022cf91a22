//! The API as a whole: its description, and who may call it.

use serde_json::{Value, json};

use crate::support::TestServer;
use crate::support::person::Page;

#[tokio::test]
async fn the_description_names_every_path_that_is_served_and_no_other() {
    let server = TestServer::start().await;
    let document = server.do_control("GET", "/openapi.json", Value::Null).await;
    assert_eq!(document["openapi"].as_str().unwrap().split('.').take(2).collect::<Vec<_>>(), ["3", "1"]);
    let source = include_str!("../../../src/http/mod.rs");
    let routes = source.split("fn control_routes").nth(1).unwrap().split("\n}").next().unwrap();
    let mut served: Vec<String> = routes
        .split("endpoint(\"")
        .skip(1)
        .map(|rest| format!("/_emulator/v1{}", rest.split('"').next().unwrap()))
        .filter(|path| !path.ends_with("openapi.json"))
        .map(|path| path.replace("/clients/{id}", "/clients/{client_id}"))
        .collect();
    served.sort();
    let mut described: Vec<String> = document["paths"].as_object().unwrap().keys().cloned().collect();
    described.sort();
    assert_eq!(described, served);
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            assert!(
                operation["summary"].as_str().or(operation["description"].as_str()).is_some(),
                "{method} {path}"
            );
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
    let guarded = TestServer::with("[control]\ntoken = \"sesame\"").await;
    assert!(!guarded.get("/llms.txt").await.body.contains(crate::support::CLIENT_SECRET));
}

#[test]
fn the_table_of_the_documentation_is_what_the_description_says() {
    let document: Value = serde_json::from_str(&vestibule::http::control::openapi::document()).unwrap();
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
    let guarded = TestServer::with("[control]\ntoken = \"sesame\"").await;
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
async fn bodies_that_are_no_json_are_named() {
    let server = TestServer::start().await;
    let url = format!("{}/_emulator/v1/faults", server.url);
    for (body, field) in [("{", "."), ("[1]", "[0]"), ("{} x", ""), ("{\"latency_ms\": -1}", "latency_ms")] {
        let request = server.http().post(&url).header("content-type", "application/json").body(body);
        let page = Page::of(request.send().await.unwrap()).await;
        assert_eq!(page.status, 400, "{body}");
        let named = page.json()["errors"][0]["field"].as_str().unwrap().to_owned();
        assert!(named == field || field == ".", "{body}: {named}");
    }
}
