//! `vestibule probe`, which asks an environment what is assumed of Scalekit: here, of Vestibule itself.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::command_line::{Running, text, vestibule};

fn probe(folder: &Path, server: &Running, arguments: &[&str]) -> Output {
    command(folder, server, arguments).output().unwrap()
}

fn command(folder: &Path, server: &Running, arguments: &[&str]) -> Command {
    let word = |name: &str| server.ready[name].as_str().unwrap().to_owned();
    let mut command = vestibule(folder);
    command.args(["probe", "--url", server.url(), "--client-id", word("client_id").as_str()]).args(arguments);
    command.env("SCALEKIT_CLIENT_SECRET", word("client_secret")).stdin(Stdio::null());
    command
}

/// The questions to which the answer of the environment is of this kind.
fn questions(folder: &Path, server: &Running, result: &str) -> Vec<String> {
    let output = probe(folder, server, &["--yes", "--json"]);
    assert!(output.status.success(), "{}", text(&output));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let of_kind = found.as_array().unwrap().iter().filter(|finding| finding["result"] == result);
    of_kind.map(|finding| finding["question"].as_str().unwrap().to_owned()).collect()
}

/// What organizations, users and roles there are.
fn records(server: &Running) -> Vec<String> {
    ["organizations", "users", "roles"]
        .map(|kind| server.get(&format!("/_emulator/v1/api/{kind}")).1)
        .to_vec()
}

#[test]
fn vestibule_does_what_it_says_and_a_probe_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    // More than one page of them.
    let organizations: String =
        (0..12).map(|n| format!("[[organizations]]\ndisplay_name = \"O{n}\"\n")).collect();
    std::fs::write(folder.path().join("vestibule.toml"), organizations).unwrap();
    let server = Running::start(folder.path(), &["--ephemeral"]);
    let before = records(&server);
    for result in ["different", "not_asked"] {
        assert_eq!(questions(folder.path(), &server, result), Vec::<String>::new());
        assert_eq!(records(&server), before);
    }
    let (_, inbox) = server.get("/_emulator/v1/messages");
    assert!(!inbox.contains("vestibule.probe"), "{inbox}");
}

#[test]
fn a_probe_finds_exactly_the_settings_that_were_changed() {
    let folder = tempfile::tempdir().unwrap();
    let toml = "[management]\nexisting_email = \"join\"\n[passwordless]\nenforce_same_browser_origin = false\n\
                [[roles]]\nname = \"guest\"\ndefault_member = true\n";
    std::fs::write(folder.path().join("vestibule.toml"), toml).unwrap();
    let server = Running::start(folder.path(), &["--ephemeral"]);
    let wanted = [
        "an address that a user has already, in `CreateUserAndMembership`",
        "roles of a new environment",
        "defaults of same-browser enforcement and regeneration",
    ];
    assert_eq!(questions(folder.path(), &server, "different"), wanted);
}

#[test]
fn nothing_is_asked_before_somebody_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path(), &["--ephemeral"]);
    let before = records(&server);
    let plan = probe(folder.path(), &server, &["--dry-run"]);
    assert!(plan.status.success() && text(&plan).contains("delete all of it again"), "{}", text(&plan));
    let refused = probe(folder.path(), &server, &[]);
    assert!(!refused.status.success() && text(&refused).contains("nothing was done"), "{}", text(&refused));
    assert_eq!(records(&server), before);
}

#[test]
fn an_interrupted_probe_deletes_what_it_made() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path(), &["--ephemeral"]);
    let before = records(&server);
    let slow = json!({ "match": { "path": "/api/v1/*" }, "latency_ms": 200 });
    assert_eq!(server.post("/_emulator/v1/faults", &slow), 201);
    let mut running = command(folder.path(), &server, &["--yes"]);
    let running = running.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    while records(&server) == before {
        assert!(Instant::now() < deadline, "nothing was made");
    }
    assert!(Command::new("kill").args(["-INT", &running.id().to_string()]).status().unwrap().success());
    let stopped = running.wait_with_output().unwrap();
    assert!(
        !stopped.status.success() && text(&stopped).contains("what was made is deleted"),
        "{}",
        text(&stopped)
    );
    assert!(!text(&stopped).contains("same"), "half a report is none: {}", text(&stopped));
    assert_eq!(records(&server), before);
}
