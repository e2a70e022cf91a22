//! Samples of the documentation: each is run by a test, or is part of a file that a test runs or checks.
//!
//! A comment before the sample says which: `<!-- run: TEST -->`, `<!-- from: FILE -->` for a part of a file, and
//! `<!-- file: FILE -->` for a whole one.

use std::path::Path;
use std::process::Command;

const DOCUMENTS: [&str; 10] = [
    "README.md",
    "docs/INSTALL.md",
    "docs/QUICKSTART.md",
    "docs/FRAMEWORKS.md",
    "docs/SCALEKIT.md",
    "docs/TESTING.md",
    "docs/CI.md",
    "docs/COMMANDS.md",
    "docs/TROUBLESHOOTING.md",
    "docs/FAQ.md",
];

/// What CI does itself: it clones the repository, builds it and runs all tests.
const RUN_BY_CI: [&str; 5] = [
    "git clone https://github.com/vestibule-idp/vestibule",
    "cd vestibule",
    "cargo build --release",
    "cargo run --release",
    "./scripts/test",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

struct Sample {
    /// Such as `run` and `tests/e2e/docs.test.mjs`.
    marker: Option<(String, String)>,
    language: String,
    text: String,
}

fn samples(document: &str) -> Vec<Sample> {
    let text = read(document);
    let mut samples = vec![];
    let mut before = "";
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            let indent = line.len() - line.trim_start().len();
            let body: String = lines
                .by_ref()
                .take_while(|l| l.trim() != "```")
                .map(|l| format!("{}\n", l.get(indent..).unwrap_or_default()))
                .collect();
            samples.push(Sample { marker: marker(before), language: language.to_owned(), text: body });
        }
        if !line.trim().is_empty() {
            before = line.trim();
        }
    }
    samples
}

fn marker(line: &str) -> Option<(String, String)> {
    let (kind, file) = line.strip_prefix("<!-- ")?.strip_suffix(" -->")?.split_once(": ")?;
    Some((kind.to_owned(), file.to_owned()))
}

/// Without the indentation, which is another where a sample is taken from.
fn unindented(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", line.trim())).collect()
}

fn check(document: &str, sample: &Sample) {
    let Some((kind, file)) = &sample.marker else {
        assert_eq!(sample.language, "sh", "{document}: no test runs this sample:\n{}", sample.text);
        for line in sample.text.lines() {
            assert!(RUN_BY_CI.contains(&line), "{document}: no test runs {line}");
        }
        return;
    };
    let source = read(file);
    match kind.as_str() {
        "run" => assert!(source.contains(&format!("'{document}'")), "{file} runs no sample of {document}"),
        "from" => assert!(
            unindented(&source).contains(&unindented(&sample.text)),
            "{document}: this is not in {file}:\n{}",
            sample.text
        ),
        "file" => assert_eq!(sample.text, source, "{document}: {file} says something else"),
        other => panic!("{document}: {other}"),
    }
}

#[test]
fn every_sample_is_run_or_is_of_a_file_that_is_checked() {
    let mut seen = 0;
    for document in DOCUMENTS {
        for sample in samples(document) {
            // Drawings have no language, and TOML is checked below.
            if !["", "toml"].contains(&sample.language.as_str()) {
                check(document, &sample);
                seen += 1;
            }
        }
    }
    assert!(seen > 30, "{seen}");
}

#[test]
fn every_sample_of_a_configuration_has_no_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("vestibule.toml");
    let mut seen = 0;
    for document in DOCUMENTS.into_iter().chain(["docs/OPERATIONS.md"]) {
        for sample in samples(document).into_iter().filter(|sample| sample.language == "toml") {
            std::fs::write(&file, &sample.text).unwrap();
            let checked = Command::new(env!("CARGO_BIN_EXE_vestibule"))
                .args(["config", "check"])
                .current_dir(folder.path())
                .env_clear()
                .output()
                .unwrap();
            assert!(checked.status.success(), "{document}: {}", String::from_utf8_lossy(&checked.stderr));
            seen += 1;
        }
    }
    assert!(seen >= 4, "{seen}");
}

#[test]
fn the_first_application_is_the_same_in_readme_and_quickstart() {
    let app = |document| samples(document).into_iter().find(|s| s.language == "js").unwrap().text;
    assert_eq!(app("README.md"), app("docs/QUICKSTART.md"));
}

#[test]
fn the_credentials_of_the_documentation_are_those_of_a_new_server() {
    for document in ["README.md", "docs/QUICKSTART.md", "docs/FRAMEWORKS.md"] {
        let text = read(document);
        for word in [vestibule::config::DEFAULT_CLIENT_ID, vestibule::config::DEFAULT_CLIENT_SECRET] {
            assert!(text.contains(word), "{document} does not name {word}");
        }
    }
}
