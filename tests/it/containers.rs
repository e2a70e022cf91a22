//! What can be checked of the container files without a container engine.

use std::path::Path;
use std::process::Command;

fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

#[test]
fn the_dockerfile_copies_only_what_exists_and_runs_without_root() {
    let dockerfile = read("Dockerfile");
    for line in dockerfile.lines().filter(|l| l.starts_with("COPY ") && !l.contains("--from=")) {
        let mut words: Vec<&str> = line.split_whitespace().skip(1).collect();
        words.pop();
        for word in words {
            assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(word).exists(), "{word}");
        }
    }
    assert!(dockerfile.contains("\nUSER 10001\n") && dockerfile.contains("\nHEALTHCHECK "));
}

#[test]
fn the_dockerfile_copies_all_that_the_program_is_made_of() {
    let dockerfile = read("Dockerfile");
    let copied: Vec<&str> = dockerfile
        .lines()
        .filter(|l| l.starts_with("COPY ") && !l.contains("--from="))
        .flat_map(|l| l.split_whitespace().skip(1))
        .collect();
    let is_copied = |path: &str| copied.iter().any(|c| path == *c || path.starts_with(&format!("{c}/")));
    let mut sources = vec![];
    crate::architecture::sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut sources);
    for source in sources {
        let text = std::fs::read_to_string(&source).unwrap();
        for included in text.split("include_str!(\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            // What stands beside a source is copied with it.
            let path = if included.starts_with("../") { included.trim_start_matches("../") } else { "src/" };
            assert!(is_copied(path), "{path}, which {source:?} includes, is not copied");
        }
    }
    for path in ["build.rs", "build", "proto", "migrations", "templates", "static"] {
        assert!(is_copied(path), "{path} is not copied");
    }
    let manifest = read("Cargo.toml");
    for target in manifest.split("\npath = \"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(dockerfile.contains(target), "{target}, which Cargo.toml names, is missing");
    }
}

#[test]
fn the_settings_of_the_compose_recipe_have_no_mistake() {
    check_settings(&read("docs/ci/compose.yml"), 6);
}

#[test]
fn the_settings_of_the_compose_file_have_no_mistake() {
    check_settings(&read("docker-compose.yml"), 7);
    check_settings(&read("packaging/compose/tests.yml"), 6);
    check_settings(&read("packaging/compose/app.yml"), 4);
}

/// A value as compose sees it once `.env` has what the file asks for.
fn given(value: &str) -> String {
    let Some((before, rest)) = value.split_once("${") else { return value.to_owned() };
    let (variable, after) = rest.split_once('}').unwrap();
    assert!(variable.contains(":?"), "{value}: a secret without which nothing starts");
    format!("{before}0123456789abcdef0123456789abcdef{after}")
}

#[test]
fn compose_files_are_for_this_machine_alone_and_bring_no_secret() {
    check_compose_file("docker-compose.yml", 2);
    check_compose_file("packaging/compose/tests.yml", 1);
    check_compose_file("packaging/compose/app.yml", 2);
}

fn check_compose_file(name: &str, open_ports: usize) {
    let compose = read(name);
    let ports: Vec<&str> = compose
        .split("ports: [\"")
        .skip(1)
        .flat_map(|p| p.split(']').next().unwrap().split("\", \""))
        .collect();
    assert_eq!(ports.len(), open_ports, "{ports:?}");
    assert!(ports.iter().all(|port| port.starts_with("127.0.0.1:")), "{ports:?}");
    for line in compose
        .lines()
        .map(str::trim)
        .filter(|l| l.contains("SECRET:") || l.contains("TOKEN:") || l.contains("PASSWORD:"))
    {
        assert!(line.contains("${"), "{line}");
    }
    let images: Vec<&str> = compose.lines().filter_map(|l| l.trim().strip_prefix("image: ")).collect();
    for image in images {
        let (_, tag) = image.split_once(':').unwrap();
        let numbers = tag.trim_start_matches('v').split('-').next().unwrap();
        assert!(numbers.contains('.'), "{image} is not one release");
    }
}

/// Runs the configuration check with the settings that a compose file gives.
pub fn check_settings(compose: &str, at_least: usize) {
    let settings: Vec<(String, String)> = compose
        .lines()
        .map(str::trim)
        .filter(|l| l.starts_with("VESTIBULE_") || l.starts_with("DATABASE_URL"))
        .filter_map(|l| l.split_once(": "))
        .map(|(n, v)| (n.to_owned(), given(v.trim_matches('"'))))
        .collect();
    assert!(settings.len() >= at_least, "{settings:?}");
    let folder = tempfile::tempdir().unwrap();
    let checked = Command::new(env!("CARGO_BIN_EXE_vestibule"))
        .args(["config", "check", "--listen", "0.0.0.0:6870"])
        .current_dir(folder.path())
        .env_clear()
        .envs(settings)
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}
