//! Documents are true: what they show exists.

use std::path::Path;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap()
}

/// Every chapter of the book, and the documents beside it.
fn documents() -> Vec<String> {
    let elsewhere = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "packaging/README.md"];
    let mut chapters: Vec<String> = std::fs::read_dir(root().join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "md"))
        .map(|path| format!("docs/{}", path.file_name().unwrap().to_str().unwrap()))
        .collect();
    chapters.sort();
    elsewhere.map(str::to_owned).into_iter().chain(chapters).collect()
}

/// Where the links of a text lead: `[text](target)`.
fn links(text: &str) -> Vec<&str> {
    text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect()
}

/// The anchors of a document, as forges and mdBook make them of its headings.
fn anchors(text: &str) -> Vec<String> {
    let mut is_code = false;
    let mut anchors = vec![];
    for line in text.lines() {
        is_code ^= line.trim_start().starts_with("```");
        if is_code || !line.starts_with('#') {
            continue;
        }
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        let is_kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        anchors.push(heading.chars().filter(is_kept).map(|c| if c == ' ' { '-' } else { c }).collect());
    }
    anchors
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut followed = 0;
    for document in documents() {
        let text = read(&document);
        let folder = root().join(&document).parent().unwrap().to_owned();
        for link in links(&text).into_iter().filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { root().join(&document) } else { folder.join(file) };
            assert!(target.exists(), "{document} links to {link}");
            if !anchor.is_empty() {
                let there = anchors(&std::fs::read_to_string(&target).unwrap());
                assert!(there.iter().any(|a| a == anchor), "{document} links to {link}: {there:?}");
            }
            followed += 1;
        }
    }
    assert!(followed > 80, "{followed}");
}

#[test]
fn every_chapter_is_in_the_book_once() {
    let summary = read("docs/SUMMARY.md");
    let mut listed: Vec<String> = links(&summary).into_iter().map(|name| format!("docs/{name}")).collect();
    listed.sort();
    let chapters: Vec<String> = documents()
        .into_iter()
        .filter(|name| name.starts_with("docs/") && name != "docs/SUMMARY.md")
        .collect();
    assert_eq!(listed, chapters);
}

#[test]
fn every_test_that_a_document_names_exists() {
    let mut named = 0;
    for document in documents() {
        let text = read(&document);
        let words: Vec<&str> = text.split('`').collect();
        // `file` `test`, with nothing between them but a space.
        for at in (1..words.len().saturating_sub(2)).step_by(2) {
            let (file, between, test) = (words[at], words[at + 1], words[at + 2]);
            if between != " " || !file.starts_with("tests/") && !file.starts_with("src/") {
                continue;
            }
            let source = read(file);
            let is_there =
                source.contains(&format!("fn {test}(")) || source.contains(&format!("test('{test}'"));
            assert!(is_there, "{document} names {test} of {file}");
            named += 1;
        }
    }
    assert!(named > 40, "{named}");
}

#[test]
fn every_file_that_a_document_names_exists() {
    for document in documents() {
        for word in read(&document).split(['`', '(', ')', ' ', ',', '\n']) {
            let folders = ["docs/", "tests/", "scripts/", "./scripts/", "src/", "helpers/"];
            let names_a_file = folders.iter().any(|folder| word.starts_with(folder));
            if names_a_file && !word.ends_with('/') {
                assert!(root().join(word.trim_end_matches(['.', ':'])).exists(), "{document} names {word}");
            }
        }
    }
}

/// `module::name_of_a_test`, with the module being a file of the tests or of the sources.
#[test]
fn every_promise_names_a_test_that_exists() {
    let mut files = vec![];
    for folder in ["tests/it", "src"] {
        crate::architecture::sources(&root().join(folder), &mut files);
    }
    for (file, at_least) in [("docs/SECURITY.md", 30), ("docs/RELIABILITY.md", 15)] {
        let document = read(file);
        let named: Vec<&str> =
            document.split('`').skip(1).step_by(2).filter(|word| word.contains("::")).collect();
        assert!(named.len() > at_least, "{named:?}");
        for name in named {
            let (module, test) = name.split_once("::").unwrap();
            let exists = files.iter().filter(|f| f.file_stem().is_some_and(|stem| stem == module)).any(|f| {
                let text = std::fs::read_to_string(f).unwrap();
                text.contains(&format!("fn {test}("))
            });
            assert!(exists, "{file} names {name}");
        }
    }
}

#[test]
fn every_setting_that_compatibility_names_is_a_setting() {
    let settings = vestibule::config::reference_markdown();
    let text = read("docs/COMPATIBILITY.md");
    let assumed = text.split("## Assumed").nth(1).unwrap();
    for line in assumed.lines().filter(|l| l.starts_with("| ") && l.ends_with("` |") && !l.contains("tests/"))
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

#[test]
fn the_commands_for_contributors_exist() {
    let contributing = read("CONTRIBUTING.md");
    for command in ["scripts/check", "scripts/test"] {
        assert!(
            contributing.contains(&format!("\n./{command} ")) && root().join(command).exists(),
            "{command}"
        );
    }
    let manifest = read("Cargo.toml");
    let rust_version = manifest.split("\nrust-version = \"").nth(1).unwrap().split('"').next().unwrap();
    assert!(contributing.contains(&format!("Rust {rust_version} or newer")));
    let dist = "cargo build --profile dist --features otel";
    assert!(contributing.contains(dist) && read("Dockerfile").contains(dist));
    assert!(manifest.contains("\n[profile.dist]\n") && manifest.contains("\notel = ["));
}

#[test]
fn every_part_of_the_tests_that_a_document_names_is_one_that_ci_runs() {
    let test = read("scripts/test");
    let all = test.split("parts=(").find(|t| t.starts_with("lint")).unwrap().split(')').next().unwrap();
    let mut named = 0;
    for file in documents() {
        for rest in read(&file).split("./scripts/test ").skip(1) {
            let part: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
            if part.is_empty() {
                continue;
            }
            assert!(all.split(' ').any(|p| p == part), "{file}: {part}");
            named += 1;
        }
    }
    assert!(named >= 2);
}

/// The part of a document between `<!-- generated: NAME -->` and `<!-- end -->` is what the program says;
/// `UPDATE_REFERENCE=1` writes it.
pub fn check_generated(file: &str, name: &str, wanted: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let begin = format!("<!-- generated: {name} -->\n");
    let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("{begin} is missing in {file}"));
    let (found, after) = rest.split_once("<!-- end -->").unwrap();
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(&path, format!("{before}{begin}{wanted}<!-- end -->{after}")).unwrap();
    } else {
        assert_eq!(found, wanted, "{file} is stale: UPDATE_REFERENCE=1 cargo test writes it");
    }
}
