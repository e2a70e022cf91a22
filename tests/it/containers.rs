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
    assert!(dockerfile.contains("\nUSER vestibule\n") && dockerfile.contains("\nHEALTHCHECK "));
}

#[test]
fn the_settings_of_the_compose_file_have_no_mistake() {
    let compose = read("docker-compose.yml");
    let settings: Vec<(String, String)> = compose
        .lines()
        .map(str::trim)
        .filter(|l| l.starts_with("VESTIBULE_") || l.starts_with("DATABASE_URL"))
        .filter_map(|l| l.split_once(": "))
        .map(|(n, v)| (n.to_owned(), v.trim_matches('"').to_owned()))
        .collect();
    assert!(settings.len() > 6, "{settings:?}");
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
