//! The dashboard's reference of both APIs: every operation once, with an example that its own description allows.

use std::collections::{BTreeMap, BTreeSet};

use regex_lite::Regex;
use scraper::{Html, Selector};
use serde_json::Value;

use crate::support::TestServer;

/// Largest page, in bytes as sent.
const MAX_PAGE: usize = 100_000;

const DOCUMENTS: [(&str, &str); 2] =
    [("control", "/_emulator/v1/openapi.json"), ("rest", "/api/v1/openapi.json")];

fn select(selector: &str) -> Selector {
    Selector::parse(selector).unwrap()
}

fn links(html: &Html, selector: &str) -> Vec<String> {
    html.select(&select(selector)).map(|link| link.attr("href").unwrap().to_owned()).collect()
}

fn text(html: &Html, selector: &str) -> Option<String> {
    html.select(&select(selector)).next().map(|found| found.text().collect())
}

/// `operationId` and description of every operation.
fn operations(document: &Value) -> BTreeMap<String, &Value> {
    let paths = document["paths"].as_object().unwrap().values();
    let all = paths.flat_map(|methods| methods.as_object().unwrap().values());
    all.map(|operation| (operation["operationId"].as_str().unwrap().to_owned(), operation)).collect()
}

#[tokio::test]
async fn every_operation_is_on_one_page_with_examples_that_its_schemas_allow() {
    let server = TestServer::start().await;
    let index = Html::parse_document(&server.get("/dashboard/api").await.body);
    let pages = links(&index, ".groups a");
    assert!(pages.len() > 20, "{pages:?}");
    for (api, path) in DOCUMENTS {
        let document = server.get(path).await.json();
        let mut missing = operations(&document);
        for page in pages.iter().filter(|page| page.contains(&format!("/dashboard/api/{api}/"))) {
            let shown = server.get(page).await;
            assert_eq!(shown.status, 200, "{page}");
            assert!(shown.body.len() < MAX_PAGE, "{page} has {} bytes", shown.body.len());
            let html = Html::parse_document(&shown.body);
            let ids: Vec<_> =
                html.select(&select(".operation")).map(|one| one.attr("id").unwrap().to_owned()).collect();
            assert!(!ids.is_empty(), "{page}");
            for id in ids {
                let operation = missing.remove(&id).unwrap_or_else(|| panic!("{id} is on two pages"));
                check_examples(&server, &document, operation, &html, &id);
            }
            check_links(&html, page);
        }
        assert!(missing.is_empty(), "on no page: {:?}", missing.keys());
    }
}

fn check_examples(server: &TestServer, document: &Value, operation: &Value, html: &Html, id: &str) {
    let curl = text(html, &format!("pre[id='curl-{id}']")).unwrap();
    assert!(curl.starts_with("curl ") && curl.contains(&server.url), "{id}: {curl}");
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    match curl.split_once(" -d '") {
        Some((_, sent)) => {
            let sent = sent.strip_suffix('\'').unwrap().replace(r"'\''", "'");
            let sent = serde_json::from_str(&sent).unwrap_or_else(|error| panic!("{id}: {error} in {sent}"));
            assert_eq!(problems(document, body, &sent, "body"), [""; 0], "{id}: {sent}");
        }
        None => assert!(body.is_null(), "{id} has a body"),
    }
    for (status, response) in operation["responses"].as_object().unwrap() {
        let schema = &response["content"]["application/json"]["schema"];
        if status.starts_with('2') && !schema.is_null() {
            let shown = text(html, &format!("pre[aria-label='Response of {id}']")).unwrap();
            let shown: Value = serde_json::from_str(&shown).unwrap();
            assert_eq!(problems(document, schema, &shown, "response"), [""; 0], "{id}: {shown}");
        }
    }
}

/// What a link to a part of the page names is there.
fn check_links(html: &Html, page: &str) {
    let ids: BTreeSet<_> = html.select(&select("[id]")).map(|one| one.attr("id").unwrap()).collect();
    for link in links(html, "main a[href^='#']") {
        assert!(ids.contains(&link[1..]), "{page} has no {link}");
    }
}

/// What a schema has against a value.
fn problems(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        return problems(document, document.pointer(&reference[1..]).unwrap(), value, at);
    }
    let mut found = vec![];
    let list = |name: &str| schema[name].as_array().map(Vec::as_slice).unwrap_or_default();
    for part in list("allOf") {
        found.extend(problems(document, part, value, at));
    }
    let one_of = list("oneOf");
    if !one_of.is_empty() && one_of.iter().all(|one| !problems(document, one, value, at).is_empty()) {
        found.push(format!("{at} is none of its shapes: {value}"));
    }
    let types: Vec<_> = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    };
    let is = |name: &&str| match *name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    };
    if !types.is_empty() && !types.iter().any(is) {
        found.push(format!("{at} is no {types:?}: {value}"));
    }
    if !list("enum").is_empty() && !list("enum").contains(value) {
        found.push(format!("{at} is not among its values: {value}"));
    }
    if schema.get("const").is_some_and(|only| only != value) {
        found.push(format!("{at} is another value: {value}"));
    }
    let (length, least, most) = match value {
        Value::String(text) => (Some(text.chars().count() as f64), "minLength", "maxLength"),
        Value::Array(entries) => (Some(entries.len() as f64), "minItems", "maxItems"),
        Value::Object(fields) => (Some(fields.len() as f64), "minProperties", "maxProperties"),
        other => (other.as_f64(), "minimum", "maximum"),
    };
    if let Some(length) = length
        && (schema[least].as_f64().is_some_and(|least| length < least)
            || schema[most].as_f64().is_some_and(|most| length > most))
    {
        found.push(format!("{at} is too short or too long: {value}"));
    }
    if let (Some(pattern), Some(text)) = (schema["pattern"].as_str(), value.as_str())
        && !Regex::new(pattern).unwrap().is_match(text)
    {
        found.push(format!("{at} does not match {pattern}: {value}"));
    }
    for entry in value.as_array().into_iter().flatten() {
        found.extend(problems(document, &schema["items"], entry, &format!("{at}[]")));
    }
    let Some(fields) = value.as_object() else { return found };
    for required in list("required") {
        if !fields.contains_key(required.as_str().unwrap()) {
            found.push(format!("{at} has no {required}"));
        }
    }
    for (name, value) in fields {
        let at = format!("{at}.{name}");
        match (&schema["properties"][name], &schema["additionalProperties"]) {
            (Value::Null, Value::Bool(false)) => found.push(format!("{at} is not described")),
            (Value::Null, others) => found.extend(problems(document, others, value, &at)),
            (own, _) => found.extend(problems(document, own, value, &at)),
        }
    }
    found
}

#[tokio::test]
async fn a_search_finds_operations_of_both_apis_by_any_of_their_words() {
    let server = TestServer::start().await;
    let find = async |query: &str| {
        let page = server.get(&format!("/dashboard/api?q={query}")).await;
        let html = Html::parse_document(&page.body);
        (text(&html, "main section h2").unwrap(), links(&html, "main section .operations a"))
    };
    let (heading, found) = find("POST+freeze").await;
    assert!(heading == "No operation found" && found.is_empty(), "{heading}");
    let (heading, found) = find("put+CLOCK").await;
    assert_eq!(
        (heading.as_str(), found.as_slice()),
        ("1 operation found", &["/dashboard/api/control/clock#clock_change".to_owned()][..])
    );
    let (_, found) = find("scalekit.v1.users.UserService%2FCreateUser").await;
    assert_eq!(
        found,
        ["/dashboard/api/rest/UserService#UserService_CreateUserAndMembership"].map(str::to_owned)
    );
    let (_, found) = find("webhooks").await;
    assert!(found.len() > 5, "{found:?}");
    let odd = server.get("/dashboard/api?q=%3Cscript%3E%22&q=twice").await;
    assert!(odd.status == 200 && !odd.body.contains("<script>\""));
}

#[tokio::test]
async fn groups_that_are_not_there_are_not_found() {
    let server = TestServer::start().await;
    for path in ["control/nothing", "rest/nothing", "nothing/faults", "rest/faults", "control/%00"] {
        assert_eq!(server.get(&format!("/dashboard/api/{path}")).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn examples_say_how_to_get_the_token_that_they_send() {
    let server = TestServer::start().await;
    let rest = server.get("/dashboard/api/rest/UserService").await.body;
    assert!(rest.contains("grant_type=client_credentials") && rest.contains("Bearer $TOKEN"));
    assert!(!server.get("/dashboard/api/control/faults").await.body.contains("$TOKEN"));
    let guarded = TestServer::with("[control]\ntoken = \"open, sesame, open\"").await;
    let page = guarded.get("/dashboard/api/control/faults").await;
    assert_ne!(page.status, 200);
    let request = guarded.http().get(format!("{}/dashboard/api/control/faults", guarded.url));
    let shown = request.bearer_auth("open, sesame, open").send().await.unwrap();
    let shown = shown.text().await.unwrap();
    assert!(shown.contains("Bearer $TOKEN") && !shown.contains("open, sesame"));
}
