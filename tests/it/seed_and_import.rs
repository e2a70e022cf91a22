//! Seeds that a server starts from: made-up people, and what another environment has.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::command_line::{Running, text, vestibule};

fn seed(folder: &Path, arguments: &[&str]) -> Output {
    vestibule(folder).arg("seed").args(arguments).output().unwrap()
}

/// Reads an environment, as its default client with this secret.
fn import(folder: &Path, server: &Running, secret: &str, arguments: &[&str]) -> Output {
    let mut command = vestibule(folder);
    let id = server.ready["client_id"].as_str().unwrap();
    command.args(["import", "--url", server.url(), "--client-id", id]).args(arguments);
    command.env("SCALEKIT_CLIENT_SECRET", secret).output().unwrap()
}

/// What a command printed to standard output.
fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn api(server: &Running, path: &str) -> Value {
    let (status, body) = server.get(&format!("/_emulator/v1/api{path}"));
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

#[test]
fn a_server_starts_from_made_up_users_who_are_the_same_every_time() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--users", "50", "--organizations", "5"];
    let toml = printed(&seed(folder.path(), &arguments));
    assert_eq!(printed(&seed(folder.path(), &arguments)), toml);
    let to_file = ["--users", "50", "--organizations", "5", "--output", "vestibule.toml"];
    assert!(seed(folder.path(), &to_file).status.success());
    assert_eq!(std::fs::read_to_string(folder.path().join("vestibule.toml")).unwrap(), toml);
    let again = seed(folder.path(), &to_file);
    assert!(!again.status.success() && text(&again).contains("cannot be created"), "{}", text(&again));

    let server = Running::start(folder.path(), &["--ephemeral"]);
    let users = api(&server, "/users?page_size=100");
    assert_eq!(users["total_size"], 50);
    let first = users["users"].as_array().unwrap().iter().find(|user| user["id"] == "usr_100000000000000001");
    let membership = &first.unwrap()["memberships"][0];
    assert_eq!(membership["organization_id"], "org_100000000000000001");
    assert_eq!(membership["roles"][0]["name"], "admin");
    assert_eq!(api(&server, "/organizations")["total_size"], 5);
}

#[test]
fn a_made_up_scenario_is_loaded_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("scenarios")).unwrap();
    std::fs::write(folder.path().join("vestibule.toml"), "[control]\nscenarios = \"scenarios\"\n").unwrap();
    let to_file = ["--users", "5", "--format", "scenario", "--output", "scenarios/made-up.json"];
    assert!(seed(folder.path(), &to_file).status.success());
    let server = Running::start(folder.path(), &["--ephemeral"]);
    assert_eq!(server.post("/_emulator/v1/scenarios/made-up/load", &Value::Null), 204);
    assert_eq!(api(&server, "/users")["total_size"], 5);
}

#[test]
fn what_one_server_has_another_one_starts_from() {
    let [original, copy] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let many = ["--users", "10000", "--organizations", "120", "--output", "vestibule.toml"];
    assert!(seed(original.path(), &many).status.success());
    let server = Running::start(original.path(), &["--ephemeral"]);
    let secret = server.ready["client_secret"].as_str().unwrap();
    let read = import(original.path(), &server, secret, &[]);
    let toml = printed(&read);
    let said = String::from_utf8_lossy(&read.stderr);
    assert!(said.contains("10000 users") && said.contains("120 organizations"), "{said}");
    assert!(!said.contains('\x1b') && !said.contains('\r'), "plain lines: {said:?}");
    assert!(!said.contains("will refuse"), "{said}");
    assert!(!toml.contains(secret) && toml.contains("client_secrets = []"), "no secret is read");

    let own = toml.replacen("client_secrets = []", "client_secrets = [\"one of its own\"]", 1);
    std::fs::write(copy.path().join("vestibule.toml"), own).unwrap();
    let server = Running::start(copy.path(), &["--ephemeral"]);
    assert_eq!(printed(&import(copy.path(), &server, "one of its own", &[])), toml);
}

#[test]
fn an_anonymous_import_names_nobody_and_is_the_same_every_time() {
    let folder = tempfile::tempdir().unwrap();
    let toml = "[[organizations]]\nid = \"org_100000000000000001\"\ndisplay_name = \"Realcorp\"\ndomains = [\"realcorp.test\"]\n\
                [[users]]\nemail = \"jane@realcorp.test\"\nname = \"Jane Personal\"\nexternal_id = \"jane-1\"\n\
                organizations = [\"org_100000000000000001\"]\nroles = { org_100000000000000001 = \"admin\" }\n";
    std::fs::write(folder.path().join("vestibule.toml"), toml).unwrap();
    let server = Running::start(folder.path(), &["--ephemeral"]);
    let secret = server.ready["client_secret"].as_str().unwrap();
    let anonymous = printed(&import(folder.path(), &server, secret, &["--anonymize"]));
    for personal in ["realcorp", "Realcorp", "jane", "Jane", "Personal"] {
        assert!(!anonymous.contains(personal), "{personal} in {anonymous}");
    }
    assert!(anonymous.contains("@alder-logistics.example"), "{anonymous}");
    assert!(anonymous.contains("org_100000000000000001 = \"admin\""), "{anonymous}");
    assert_eq!(printed(&import(folder.path(), &server, secret, &["--anonymize"])), anonymous);
}

#[test]
fn an_import_that_cannot_sign_in_says_why_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path(), &["--ephemeral"]);
    let refused = import(folder.path(), &server, "not the secret", &["--output", "seed.toml"]);
    let said = text(&refused);
    assert!(!refused.status.success() && said.contains("issues no token (401"), "{said}");
    assert!(!said.contains("not the secret"), "{said}");
    assert!(!folder.path().join("seed.toml").exists());
}
