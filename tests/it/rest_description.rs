//! The description of Scalekit's REST API.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use vestibule::domain::scalekit_api;

use crate::support::TestServer;
use crate::support::person::Page;

/// `METHOD path` of every operation.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(path, methods)| {
        methods
            .as_object()
            .unwrap()
            .iter()
            .map(move |(method, operation)| (format!("{} {path}", method.to_uppercase()), operation))
    });
    all.collect()
}

#[tokio::test]
async fn it_names_every_operation_that_is_served_and_no_other() {
    let server = TestServer::start().await;
    let document = server.get("/api/v1/openapi.json").await.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let token = server.client_token().await;
    let mut served = BTreeSet::new();
    for method in scalekit_api::methods() {
        for binding in method.bindings.iter().filter(|binding| binding.path.starts_with("/api/v1/")) {
            let url = format!("{}{}", server.url, binding.path.replace(['{', '}'], ""));
            let request = server.http().request(binding.verb.parse().unwrap(), url).bearer_auth(&token);
            let page = Page::of(request.send().await.unwrap()).await;
            if page.status != 501 {
                served.insert(format!("{} {}", binding.verb, binding.path));
                continue;
            }
            let message = page.json()["message"].to_string();
            assert!(message.contains(&method.path()), "{} {}: {message}", binding.verb, binding.path);
        }
    }
    assert_eq!(served.len(), 100);
    let described: BTreeSet<String> = operations(&document).into_iter().map(|(name, _)| name).collect();
    assert_eq!(described, served);
}

#[tokio::test]
async fn operations_have_names_of_their_own_in_both_descriptions() {
    let server = TestServer::start().await;
    for path in ["/api/v1/openapi.json", "/_emulator/v1/openapi.json"] {
        let document = server.get(path).await.json();
        let mut ids = BTreeSet::new();
        for (name, operation) in operations(&document) {
            assert!(operation["summary"].is_string(), "{name}");
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{name}");
        }
    }
}

#[tokio::test]
async fn what_it_guards_needs_a_token_and_nothing_else_does() {
    let server = TestServer::start().await;
    let document = server.get("/api/v1/openapi.json").await.json();
    for (name, operation) in operations(&document) {
        let (method, path) = name.split_once(' ').unwrap();
        let url = format!("{}{}", server.url, path.replace(['{', '}'], ""));
        let request = server.http().request(method.parse().unwrap(), url).json(&json!({}));
        let page = Page::of(request.send().await.unwrap()).await;
        let is_guarded = operation["security"] != json!([]);
        assert_eq!(page.status == 401, is_guarded, "{name}");
        assert!(
            operation["responses"][page.status.to_string()].is_object(),
            "{name} answers {}",
            page.status
        );
    }
}

#[test]
fn the_documentation_lists_the_methods_that_are_emulated() {
    let table = vestibule::api::openapi::emulated_methods_markdown();
    crate::documents::check_generated("docs/COMPATIBILITY.md", "emulated methods", &table);
}
