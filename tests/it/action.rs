//! The GitHub Action: its step is run as a runner runs it.

use std::path::Path;
use std::process::Command;

use crate::support::skips::skip;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Lines of `name=value` as the step left them.
fn value(file: &Path, name: &str) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    let found = text.lines().find_map(|l| l.strip_prefix(&format!("{name}=")));
    found.unwrap_or_else(|| panic!("{name} is missing: {text}")).to_owned()
}

/// The step with these inputs; in its folder are `output` and `env`. `None`: `jq`, which runners have, is missing, and the
/// test is noted as skipped.
fn step(folder: &Path, inputs: &[(&str, &str)]) -> Option<std::process::Output> {
    if Command::new("jq").arg("--version").output().is_err() {
        skip("jq is not installed");
        return None;
    }
    let ran = Command::new(root().join("scripts/action-start"))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("GITHUB_ACTION_PATH", root())
        .env("GITHUB_OUTPUT", folder.join("output"))
        .env("GITHUB_ENV", folder.join("env"))
        .env("RUNNER_TEMP", folder)
        .env("BINARY", env!("CARGO_BIN_EXE_vestibule"))
        .envs(inputs.iter().copied())
        .output()
        .unwrap();
    Some(ran)
}

#[tokio::test]
async fn later_steps_find_a_server_and_its_credentials() {
    let folder = tempfile::tempdir().unwrap();
    let Some(ran) = step(folder.path(), &[("LISTEN", "localhost:0")]) else { return };
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    let (output, env) = (folder.path().join("output"), folder.path().join("env"));
    let url = value(&output, "environment_url");
    let answer = reqwest::get(format!("{url}/ready")).await.unwrap().status();
    assert_eq!(value(&env, "SCALEKIT_ENVIRONMENT_URL"), url);
    let form = [
        ("grant_type", "client_credentials".to_owned()),
        ("client_id", value(&env, "SCALEKIT_CLIENT_ID")),
        ("client_secret", value(&output, "client_secret")),
    ];
    let token = reqwest::Client::new().post(format!("{url}/oauth/token")).form(&form).send().await.unwrap();
    let secret = value(&output, "client_secret");
    let masked = format!("::add-mask::{secret}");
    assert_eq!(said.lines().next(), Some(masked.as_str()), "before anything else is said");
    assert_eq!(said.matches(&secret).count(), 1, "{said}");
    let pid = said.lines().find_map(|l| l.strip_prefix("vestibule ")).unwrap().split(' ').next().unwrap();
    assert!(Command::new("kill").arg(pid).status().unwrap().success());
    assert_eq!((answer.as_u16(), token.status().as_u16()), (200, 200));
}

#[test]
fn a_server_that_cannot_start_fails_the_step_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let Some(ran) = step(folder.path(), &[("LISTEN", "nowhere")]) else { return };
    assert!(!ran.status.success());
    assert!(String::from_utf8_lossy(&ran.stderr).contains("must be HOST:PORT"), "{ran:?}");
}

#[test]
fn a_server_that_ends_after_it_listened_fails_the_step_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    // It finds no room for its database.
    let Some(ran) = step(folder.path(), &[("LISTEN", "localhost:0"), ("TMPDIR", "/nowhere")]) else { return };
    assert!(!ran.status.success());
    assert!(String::from_utf8_lossy(&ran.stderr).contains("/nowhere"), "{ran:?}");
}

#[test]
fn the_documentation_names_every_input_and_output() {
    let action = std::fs::read_to_string(root().join("action.yml")).unwrap();
    let document = std::fs::read_to_string(root().join("docs/CI.md")).unwrap();
    let (inputs, rest) = action.split_once("\noutputs:\n").unwrap();
    let (outputs, _) = rest.split_once("\nruns:\n").unwrap();
    let names = |part: &str| -> Vec<String> {
        let lines = part.lines().filter(|l| l.starts_with("  ") && !l.starts_with("    "));
        lines.filter_map(|l| Some(l.trim().strip_suffix(':')?.to_owned())).collect()
    };
    for name in names(inputs.split_once("\ninputs:\n").unwrap().1).into_iter().chain(names(outputs)) {
        assert!(document.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn the_action_hands_every_input_to_the_step() {
    let action = std::fs::read_to_string(root().join("action.yml")).unwrap();
    let script = std::fs::read_to_string(root().join("scripts/action-start")).unwrap();
    for input in ["binary", "config", "listen"] {
        let variable = input.to_uppercase();
        assert!(action.contains(&format!("{variable}: ${{{{ inputs.{input} }}}}")), "{input}");
        assert!(script.contains(&format!("${{{variable}:-")), "{input}");
    }
    for output in ["environment_url", "client_id", "client_secret"] {
        assert!(action.contains(&format!("steps.start.outputs.{output} ")), "{output}");
        assert!(script.contains(&format!("echo \"{output}=")), "{output}");
    }
}
