//! Documents are true: what they show exists.

use std::path::Path;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap()
}

#[test]
fn every_file_that_a_document_names_exists() {
    for document in ["README.md", "docs/ARCHITECTURE.md", "docs/COMPATIBILITY.md", "docs/SECURITY.md"] {
        for word in read(document).split(['`', '(', ')', ' ', ',', '\n']) {
            let names_a_file =
                ["docs/", "tests/", "scripts/", "./scripts/", "src/"].iter().any(|p| word.starts_with(p));
            if names_a_file && !word.ends_with('/') {
                assert!(root().join(word.trim_end_matches('.')).exists(), "{document} names {word}");
            }
        }
    }
}

#[test]
fn every_setting_that_compatibility_names_is_a_setting() {
    let settings = vestibule::config::reference_markdown();
    for line in read("docs/COMPATIBILITY.md")
        .lines()
        .filter(|l| l.starts_with("| ") && l.ends_with("` |") && !l.contains("tests/"))
    {
        let setting = line.trim_end_matches("` |").rsplit('`').next().unwrap();
        let name = setting.rsplit('.').next().unwrap();
        assert!(settings.contains(name), "{setting}");
    }
}

#[test]
fn the_commands_of_the_readme_are_those_that_ci_runs() {
    let test = read("scripts/test");
    assert!(read("README.md").contains("\n./scripts/test\n") && read(".ci/run").contains("./scripts/test"));
    assert!(read("README.md").contains("\ncargo run --release\n") && test.contains("cargo build --release"));
}
