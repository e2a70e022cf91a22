//! "Copy as curl": every form of the dashboard that changes something shows the call of the API that does the same.

use std::collections::{BTreeMap, BTreeSet};

use scraper::{ElementRef, Html, Selector};
use serde_json::{Value, json};

use crate::support::TestServer;

/// Forms with a name that no call of an API stands for: they are about the browser, or a call that the page shows in full.
const OF_BROWSERS: [&str; 4] =
    ["/dashboard/try", "/dashboard/settings/reset", "/dashboard/sign-out", "/_emulator/inbox"];

fn select(selector: &str) -> Selector {
    Selector::parse(selector).unwrap()
}

/// Everything that a page of the dashboard can be about.
async fn filled() -> TestServer {
    let server = TestServer::start().await;
    server.person().tokens("ada@example.com").await;
    let acme = server.do_api("POST", "/organizations", json!({ "display_name": "Acme" })).await;
    let acme = acme["organization"]["id"].as_str().unwrap().to_owned();
    let below = format!("/organizations/{acme}");
    let member = json!({ "email": "bob@acme.test", "membership": {} });
    server.do_api("POST", &format!("{below}/users?send_invitation_email=true"), member).await;
    server.do_api("POST", &format!("{below}/domains"), json!({ "domain": "acme.test" })).await;
    server.do_api("POST", &format!("{below}/clients"), json!({ "name": "Nightly" })).await;
    server
        .do_api("POST", &format!("{below}/roles"), json!({ "name": "clerk", "display_name": "Clerk" }))
        .await;
    server.do_api("POST", "/tokens", json!({ "organization_id": acme })).await;
    server.do_api("POST", "/roles", json!({ "name": "reader", "display_name": "Reader" })).await;
    server.do_api("POST", "/permissions", json!({ "name": "read:all", "description": "Read" })).await;
    let policy = json!({
        "policy_source": "CUSTOM", "absolute_session_timeout": 480, "absolute_session_timeout_unit": "MINUTES",
    });
    server.do_api("PATCH", &format!("{below}/session-policy"), policy).await;
    let webhook = json!({ "url": "http://localhost:9/hook", "events": ["organization.created"] });
    server.do_control("POST", "/webhooks", webhook).await;
    server.do_api("POST", "/organizations", json!({ "display_name": "Told of" })).await;
    let interceptor = json!({ "trigger_point": "PRE_SIGNUP", "url": "http://localhost:9/ask" });
    server.do_control("POST", "/interceptors", interceptor).await;
    let rule = json!({ "match": { "path": "/nowhere" }, "effect": { "kind": "status", "status": 503 } });
    server.do_control("POST", "/faults", rule).await;
    server.do_control("POST", "/environments", json!({ "name": "other" })).await;
    server
}

/// The command below a form.
fn command_of(form: ElementRef<'_>) -> Option<String> {
    let next = form.next_siblings().find_map(ElementRef::wrap)?;
    let command = next.select(&select("pre[aria-label$=' with curl']")).next()?;
    Some(command.text().collect())
}

/// The commands of all pages that the dashboard leads to, by the form's action and name.
async fn commands(server: &TestServer) -> BTreeMap<(String, String), String> {
    let (mut waiting, mut seen) = (vec!["/dashboard".to_owned()], BTreeSet::new());
    let mut commands = BTreeMap::new();
    let mut bare: Vec<String> = vec![];
    while let Some(path) = waiting.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let page = server.get(&path).await;
        assert_eq!(page.status, 200, "{path}");
        let html = Html::parse_document(&page.body);
        let link = select("a[href^='/dashboard']");
        let links = html.select(&link).map(|link| link.attr("href").unwrap());
        let pages =
            links.filter(|link| !link.starts_with("/dashboard/api/") && !link.contains("other-browser"));
        waiting.extend(pages.map(|link| link.split('#').next().unwrap().to_owned()));
        for form in html.select(&select("form[method='post'][aria-label]")) {
            let action = form.attr("action").unwrap().to_owned();
            if OF_BROWSERS.iter().any(|prefix| action.starts_with(prefix)) {
                continue;
            }
            let name = form.attr("aria-label").unwrap_or_default().to_owned();
            match command_of(form) {
                Some(command) => drop(commands.insert((action, name), command)),
                None => bare.push(format!("{path}: {name} ({action})")),
            }
        }
    }
    assert_eq!(bare, [""; 0], "without a command");
    commands
}

/// Method, path below the server and body of a command that curl would send.
fn parsed(server: &TestServer, command: &str) -> (String, String, Value) {
    let command = command.replace(" \\\n ", "");
    let words = command.strip_prefix("curl -X ").unwrap_or_else(|| panic!("{command}"));
    let (method, rest) = words.split_once(" '").unwrap();
    let (url, rest) = rest.split_once('\'').unwrap();
    let body =
        rest.split_once(" -d '").map(|(_, body)| body.strip_suffix('\'').unwrap().replace(r"'\''", "'"));
    let body = body.map_or(Value::Null, |body| serde_json::from_str(&body).unwrap());
    (method.to_owned(), url.strip_prefix(&server.url).unwrap().to_owned(), body)
}

/// A default role cannot go, and an example can be made once.
fn is_refused_for_what_is_there(answer: &Value) -> bool {
    let refusals = answer["details"][0]["validation_error_info"]["field_violations"].as_array();
    let is_unique = |refusals: &Vec<Value>| refusals.iter().all(|one| one["constraint"] == "unique");
    answer["code"] == 9 || answer["error"] == "conflict" || refusals.is_some_and(is_unique)
}

#[tokio::test]
async fn every_form_that_changes_something_shows_a_call_that_is_taken() {
    let server = filled().await;
    let commands = commands(&server).await;
    assert!(commands.len() > 60, "{:#?}", commands.keys());
    let mut calls = vec![];
    for ((action, name), command) in &commands {
        // Each command of a form with two begins on a line of its own.
        for command in command.replace("\ncurl ", "\n\0curl ").split("\n\0") {
            calls.push((format!("{name} ({action})"), parsed(&server, command)));
        }
    }
    // Deeper things first, and what takes everything away last.
    calls.sort_by_key(|(_, (method, path, _))| {
        (path.ends_with("/reset"), method == "DELETE", std::cmp::Reverse(path.matches('/').count()))
    });
    let free = server.do_api("POST", "/organizations", json!({ "display_name": "Joined" })).await;
    let free = free["organization"]["id"].as_str().unwrap().to_owned();
    let mut refused = vec![];
    for (form, (method, path, body)) in calls {
        let path = path.replace("ORGANIZATION_ID", &free);
        let path = path.strip_prefix("/_emulator/v1").unwrap_or_else(|| panic!("{form}: {path}"));
        let answer = server.control(&method, path, body.clone()).await;
        if answer.status >= 300 && !is_refused_for_what_is_there(&answer.json()) {
            refused.push(format!("{form}: {method} {path} {body}: {} {}", answer.status, answer.body));
        }
    }
    assert_eq!(refused, [""; 0]);
}
