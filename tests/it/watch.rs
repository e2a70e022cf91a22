//! `--watch`: a saved vestibule.toml holds at once.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::command_line::{Running, vestibule};

fn save(folder: &Path, toml: &str) {
    std::fs::write(folder.join("vestibule.toml"), toml).unwrap();
}

fn control(server: &Running, path: &str) -> Value {
    let (status, body) = server.get(&format!("/_emulator/v1{path}"));
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// Waits until something holds.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A browser that signed in, or that signs in now.
struct Browser {
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

impl Browser {
    fn new() -> Self {
        let http = reqwest::Client::builder()
            .cookie_store(true)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Self { http, runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap() }
    }

    /// Where an authorization request leads.
    fn authorize(&self, server: &Running, more: &str) -> String {
        let url = format!(
            "{}/oauth/authorize?response_type=code&client_id={}&redirect_uri=http://localhost:3000/cb{more}",
            server.url(),
            server.ready["client_id"].as_str().unwrap()
        );
        self.runtime.block_on(async {
            let answer = self.http.get(url).send().await.unwrap();
            answer.headers()["location"].to_str().unwrap().to_owned()
        })
    }

    fn sign_in(&self, server: &Running, email: &str) {
        let page = self.authorize(server, &format!("&login_hint={email}"));
        let mail = control(server, &format!("/messages/latest?to={email}"));
        let code = mail["code"].as_str().unwrap();
        self.runtime.block_on(async {
            let done = self.http.post(format!("{page}/code")).form(&[("code", code)]).send().await.unwrap();
            assert!(done.headers()["location"].to_str().unwrap().contains("/cb?code="), "{done:?}");
        });
    }
}

#[test]
fn a_saved_configuration_holds_and_nobody_is_signed_out() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path(), &["--ephemeral", "--watch"]);
    let browser = Browser::new();
    browser.sign_in(&server, "jane@example.com");
    save(
        folder.path(),
        "redirect_uris = [\"https://app.example.com/cb\"]\n[passwordless]\nvalidity_s = 120\n\
         [[organizations]]\nid = \"org_100000000000000001\"\ndisplay_name = \"Acme\"\n\
         [[users]]\nemail = \"ann@example.com\"\n[[interceptors]]\nurl = \"http://localhost:3000/ask\"\nenabled = false\n",
    );
    until("the validity changes", || control(&server, "/settings")["passwordless"]["validity_s"] == 120);
    let check = control(&server, "/redirects/check?url=https://app.example.com/cb");
    assert_eq!(check["checks"][0]["here"]["allowed"], json!(true), "{check}");
    assert_eq!(control(&server, "/api/users:search?query=ann")["users"][0]["email"], "ann@example.com");
    assert_eq!(control(&server, "/api/organizations")["organizations"][0]["display_name"], "Acme");
    assert_eq!(control(&server, "/interceptors")["interceptors"][0]["url"], "http://localhost:3000/ask");
    assert!(browser.authorize(&server, "").contains("/cb?code="), "the session goes on");

    std::fs::remove_file(folder.path().join("vestibule.toml")).unwrap();
    save(folder.path(), "[passwordless]\nvalidity_s = 180\n");
    until("the next one, too", || control(&server, "/settings")["passwordless"]["validity_s"] == 180);
    let (_, said) = server.stop();
    assert_eq!(said.matches("was saved and is applied").count(), 2, "{said}");
}

#[test]
fn mistakes_are_told_on_the_console_and_on_the_dashboard_and_what_held_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    save(folder.path(), "[passwordless]\nvalidity_s = 120\n");
    let server = Running::start(folder.path(), &["--ephemeral", "--watch"]);
    let dashboard = |page: &str| server.get(page).1;
    assert!(!dashboard("/dashboard").contains("saved with errors"));
    save(folder.path(), "[passwordless]\nvalidity_s = 5\nmodus = 1\n");
    until("the dashboard says it", || dashboard("/dashboard").contains("saved with errors"));
    for page in ["/dashboard", "/dashboard/users", "/_emulator/inbox"] {
        let shown = dashboard(page);
        for words in [
            "vestibule.toml:2: passwordless.validity_s",
            "vestibule.toml:3: passwordless.modus is not a setting",
        ] {
            assert!(shown.contains(words), "{words} is missing on {page}");
        }
    }
    assert_eq!(control(&server, "/settings")["passwordless"]["validity_s"], 120);
    save(folder.path(), "[passwordless]\nvalidity_s = 240\n");
    until("it is right again", || !dashboard("/dashboard").contains("saved with errors"));
    assert_eq!(control(&server, "/settings")["passwordless"]["validity_s"], 240);
    let (_, said) = server.stop();
    assert!(
        said.contains("is not applied") && said.contains("passwordless.modus is not a setting"),
        "{said}"
    );
}

#[test]
fn what_needs_a_restart_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path(), &["--ephemeral", "--watch"]);
    save(folder.path(), "login_hint = \"prefill\"\n[log]\nfilter = \"warn\"\n");
    until("the rest is applied", || control(&server, "/settings")["login_hint"] == "prefill");
    until("the dashboard names it", || {
        server.get("/dashboard").1.contains("Restart the server to apply: log.filter")
    });
    let (_, said) = server.stop();
    assert!(said.contains("restart the server to apply: log.filter"), "{said}");
}

#[test]
fn isolated_environments_follow_and_changes_of_the_control_api_stay() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path(), &["--ephemeral", "--watch"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let send = |method: reqwest::Method, path: &str, body: Value| -> Value {
        let request = reqwest::Client::new()
            .request(method, format!("{}/_emulator/v1{path}", server.url()))
            .json(&body);
        runtime.block_on(async { request.send().await.unwrap().json().await.unwrap() })
    };
    let made = send(
        reqwest::Method::POST,
        "/environments",
        json!({ "name": "shop", "settings": { "passwordless": { "code_length": 8 } } }),
    );
    assert_eq!(made["name"], "shop", "{made}");
    send(reqwest::Method::PATCH, "/settings", json!({ "passwordless": { "code_length": 10 } }));
    save(folder.path(), "[passwordless]\nvalidity_s = 120\ncode_length = 7\n");
    until("the default one", || control(&server, "/settings")["passwordless"]["validity_s"] == 120);
    assert_eq!(control(&server, "/settings")["passwordless"]["code_length"], 10, "changed by API");
    let (_, shop) = server.get("/e/shop/_emulator/v1/settings");
    let shop: Value = serde_json::from_str(&shop).unwrap();
    assert_eq!(
        (&shop["passwordless"]["validity_s"], &shop["passwordless"]["code_length"]),
        (&json!(120), &json!(8))
    );
}

#[test]
fn without_watch_nothing_changes_until_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let watched = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path(), &["--ephemeral"]);
    let other = Running::start(watched.path(), &["--ephemeral", "--watch"]);
    for folder in [folder.path(), watched.path()] {
        save(folder, "[passwordless]\nvalidity_s = 120\n");
    }
    until("where it is watched", || control(&other, "/settings")["passwordless"]["validity_s"] == 120);
    assert_eq!(control(&server, "/settings")["passwordless"]["validity_s"], 300);
}

#[test]
fn dev_watches_where_it_is_asked_to() {
    let folder = tempfile::tempdir().unwrap();
    let script =
        "echo '[passwordless]\nvalidity_s = 120' >vestibule.toml; while [ ! -e done ]; do sleep 0.02; done";
    let mut command: Command = vestibule(folder.path());
    command.args(["dev", "--watch", "--port", "0", "--ready-file", "ready.json", "--", "sh", "-c", script]);
    let server = Running::of(folder.path(), command);
    until("the validity changes", || control(&server, "/settings")["passwordless"]["validity_s"] == 120);
    std::fs::write(folder.path().join("done"), "").unwrap();
    server.ended();
}
