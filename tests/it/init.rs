//! `vestibule init`: files to begin with.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::command_line::{Running, text, vestibule};
use crate::support::skips::skip;

fn init(folder: &Path, arguments: &[&str]) -> String {
    let ran = vestibule(folder).arg("init").args(arguments).output().unwrap();
    assert!(ran.status.success(), "{}", text(&ran));
    String::from_utf8(ran.stdout).unwrap()
}

fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap()
}

fn check(folder: &Path) {
    let checked = vestibule(folder).args(["config", "check"]).output().unwrap();
    assert!(checked.status.success(), "{}", text(&checked));
}

#[test]
fn the_file_to_begin_with_is_right_as_it_is_and_with_all_that_it_shows() {
    let folder = tempfile::tempdir().unwrap();
    assert!(init(folder.path(), &[]).starts_with("vestibule.toml: "));
    check(folder.path());
    let shown = read(folder.path(), "vestibule.toml");
    // Examples stand directly behind the "#", prose behind a space.
    let used: Vec<&str> = shown
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(example) if !example.is_empty() && !example.starts_with(' ') => example,
            _ => line,
        })
        .collect();
    assert!(used.len() > 30 && used.contains(&"[[users]]"));
    std::fs::write(folder.path().join("vestibule.toml"), used.join("\n")).unwrap();
    check(folder.path());
    let server = Running::start(folder.path(), &["--ephemeral"]);
    let (_, users) = server.get("/_emulator/v1/api/users");
    assert_eq!(serde_json::from_str::<Value>(&users).unwrap()["users"][0]["email"], "jane@example.com");
}

#[test]
fn nothing_that_is_there_is_written_over() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("vestibule.toml"), "demo = true\n").unwrap();
    let said = init(folder.path(), &["--compose"]);
    assert!(said.contains("vestibule.toml: is there already"), "{said}");
    assert_eq!(read(folder.path(), "vestibule.toml"), "demo = true\n");
    let names: Value = serde_json::from_str(&init(folder.path(), &["--compose", "--json"])).unwrap();
    assert_eq!(names["kept"], serde_json::json!(["vestibule.toml", "compose.vestibule.yml"]));
    assert_eq!(names["written"], serde_json::json!([]));
}

#[test]
fn a_project_elsewhere_gets_its_files_there() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path(), &["shop", "--ci", "gitlab"]);
    assert!(folder.path().join("shop/vestibule.toml").exists());
    assert!(folder.path().join("shop/.gitlab/vestibule.yml").exists());
    assert!(!folder.path().join("vestibule.toml").exists());
}

#[test]
fn the_settings_of_the_compose_file_have_no_mistake_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path(), &["--compose"]);
    let compose = read(folder.path(), "compose.vestibule.yml");
    crate::containers::check_settings(&compose, 5);
    for line in compose.lines().filter(|l| l.contains("SECRET: ") || l.contains("TOKEN: ")) {
        assert!(line.contains("${"), "{line}");
    }
    let release = env!("CARGO_PKG_VERSION").rsplit_once('.').unwrap().0;
    assert!(compose.contains(&format!("image: ghcr.io/vestibule-idp/vestibule:{release}\n")), "{compose}");
    assert!(compose.contains("ports: [\"127.0.0.1:"), "for this machine alone");
}

/// The commands of a workflow, with this program in the place of its package.
fn commands(workflow: &str, marks: &[&str]) -> String {
    let release = env!("CARGO_PKG_VERSION").rsplit_once('.').unwrap().0;
    let package = format!("npx --yes @vestibule-idp/server@{release} ");
    assert!(workflow.contains(&package), "{workflow}");
    let commands = workflow.lines().filter_map(|line| {
        marks.iter().find_map(|mark| line.trim().strip_prefix(mark)).filter(|c| c.starts_with("npx"))
    });
    commands.map(|command| command.replace(&package, "\"$PROGRAM\" ")).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_workflows_run_tests_with_a_server() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path(), &["--ci", "github"]);
    init(folder.path(), &["--ci", "gitlab"]);
    // `npm test` of this project.
    std::fs::create_dir(folder.path().join("bin")).unwrap();
    let npm = folder.path().join("bin/npm");
    std::fs::write(
        &npm,
        "#!/bin/sh\n\"$PROGRAM\" healthcheck --url \"$SCALEKIT_ENVIRONMENT_URL\" && exit 3\n",
    )
    .unwrap();
    assert!(Command::new("chmod").arg("+x").arg(&npm).status().unwrap().success());
    for (path, marks) in
        [(".github/workflows/vestibule.yml", &["- run: "][..]), (".gitlab/vestibule.yml", &["- "])]
    {
        let commands = commands(&read(folder.path(), path), marks);
        let search = format!("{}:{}", folder.path().join("bin").display(), std::env::var("PATH").unwrap());
        let ran = Command::new("sh")
            .args(["-ec", &commands])
            .env_clear()
            .env("PATH", search)
            .env("PROGRAM", env!("CARGO_BIN_EXE_vestibule"))
            .env("VESTIBULE_LIMITS__MAILS_PER_ADDRESS", "0")
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert_eq!((ran.status.code(), text(&ran).as_str()), (Some(3), "ready\n"), "{path}");
    }
}

#[test]
fn the_files_are_whole_yaml() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path(), &["--compose", "--ci", "github"]);
    init(folder.path(), &["--ci", "gitlab"]);
    let python = std::env::var("VESTIBULE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has_yaml = Command::new(&python).args(["-c", "import yaml"]).output();
    if !has_yaml.is_ok_and(|ran| ran.status.success()) {
        skip("PyYAML is not installed");
        return;
    }
    for name in ["compose.vestibule.yml", ".github/workflows/vestibule.yml", ".gitlab/vestibule.yml"] {
        let script = "import sys, yaml; assert isinstance(yaml.safe_load(open(sys.argv[1])), dict)";
        let ran = Command::new(&python).args(["-c", script]).arg(folder.path().join(name)).output().unwrap();
        assert!(ran.status.success(), "{name}: {}", text(&ran));
    }
}
