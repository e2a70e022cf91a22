//! The list of settings against what is read, documented and shown.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::*;
use crate::domain::field_error::FieldError;

fn read(toml: &str) -> Result<Config, Problems> {
    let mut source = Source::default();
    source.add_file(Path::new("vestibule.toml"), toml);
    Config::read(source, Path::new("."))
}

/// The example with its settings uncommented: what a reader would do.
fn uncommented(example: &str) -> String {
    let is_setting = |line: &str| {
        line.strip_prefix('#')
            .is_some_and(|l| l.starts_with('[') || l.split_once(" = ").is_some_and(|(k, _)| !k.contains(' ')))
    };
    example.lines().map(|l| if is_setting(l) { &l[1..] } else { l }).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_list_has_exactly_the_settings_that_are_read() {
    let mut source = Source::default();
    source.add_file(Path::new("x"), &uncommented(&example_toml()));
    let _ = super::read(&mut source, Path::new("."));
    let is_table = |key: &String| sections().iter().any(|section| section.is_list && section.table == key);
    let read: BTreeSet<String> = source.known().into_iter().filter(|key| !is_table(key)).collect();
    let listed: BTreeSet<String> = all().map(|setting| setting.key.clone()).collect();
    assert_eq!(read, listed);
    assert_eq!(listed.len(), all().count(), "no setting is listed twice");
}

#[test]
fn every_setting_stands_under_its_own_table_in_reference_and_example() {
    let (reference, example) = (reference_markdown(), example_toml());
    for section in sections() {
        let (brackets, title) = match (section.table, section.is_list) {
            ("", _) => (String::new(), "Top level".to_owned()),
            (table, true) => (format!("#[[{table}]]\n"), format!("`[[{table}]]`")),
            (table, false) => (format!("#[{table}]\n"), format!("`[{table}]`")),
        };
        let described = reference.split("## ").find(|part| part.starts_with(&title)).unwrap();
        let heading = format!("# {}\n{brackets}", section.about);
        let shown = example.split("\n\n").find(|part| format!("{part}\n").starts_with(&heading)).unwrap();
        for setting in &section.settings {
            let (table, name) = setting.table_and_name();
            assert_eq!(table, section.table, "{}", setting.key);
            assert!(described.contains(&format!("\n| `{name}`")), "{} in the reference", setting.key);
            assert!(shown.contains(&format!("\n#{name} = ")), "{} in the example", setting.key);
        }
    }
}

/// Another value than the default.
fn another_value(setting: &Facts) -> Value {
    let text = match setting.key.as_str() {
        "passwordless.connection_id" => "conn_1",
        "test_users.static_code" => "999999",
        "branding.accent_color" => "#000000",
        "branding.terms_url" | "branding.privacy_url" => "https://example.com/other",
        "branding.support_email" | "mail.from_address" => "jane@example.com",
        "token_template.claims" => "user.email",
        _ => "another",
    };
    match setting.values {
        Values::Boolean => json!(setting.default != Some(json!(true))),
        Values::Integer(_, last) if setting.default == Some(json!(last)) => json!(last - 1),
        // Not the last one: a session may not be idle for longer than it may last.
        Values::Integer(_, _) if setting.key == "sessions.idle_timeout_s" => json!(60),
        Values::Integer(_, last) => json!(last),
        Values::Text => json!(text),
        Values::List => json!([text]),
        Values::Table => json!({ "name": text }),
        Values::Choice => json!(setting.words.iter().find(|word| setting.default != Some(json!(word)))),
    }
}

#[test]
fn every_changeable_setting_is_shown_as_it_was_changed_and_no_other_can_change() {
    let mut config = read("").unwrap();
    config.settle_public_urls(6870, None);
    let is_in_list = |s: &&Facts| sections().iter().any(|p| p.is_list && p.table == s.table_and_name().0);
    let (mut changeable, mut fixed) = (0, 0);
    for setting in all().filter(|s| !is_in_list(s)) {
        let value = another_value(setting);
        let change = match setting.table_and_name() {
            ("", name) => json!({ name: value }),
            (table, name) => json!({ table: { name: value } }),
        };
        let changed = config.layers.environment("env_1", None, &change);
        if setting.is_changeable() {
            let view = setting.view().unwrap();
            assert_ne!(view(&config.environment), value, "{}", setting.key);
            assert_eq!(view(&changed.unwrap()), value, "{}", setting.key);
            changeable += 1;
        } else {
            let refused = changed.unwrap_err();
            let is_named = |e: &FieldError| {
                e.field == setting.key && e.reason == "cannot be changed while the server runs"
            };
            assert!(refused.iter().any(is_named), "{}: {refused:?}", setting.key);
            fixed += 1;
        }
    }
    assert!(changeable > 35 && fixed > 35, "{changeable} {fixed}");
}

#[test]
fn the_example_has_no_mistake_but_the_files_it_invents() {
    let text = uncommented(&example_toml()).replace("\"$argon2id$…\"", "\"\"");
    let found = read(&text).map_or_else(|problems| problems.0, |_| vec![]);
    let left: Vec<&Problem> = found.iter().filter(|p| p.message != "there is no such file").collect();
    assert!(left.is_empty(), "{left:#?}");
}

/// The written files are made from the reference; `UPDATE_REFERENCE=1 cargo test` writes them anew.
#[test]
fn example_and_documentation_are_what_the_reference_says() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let marker = "<!-- generated from src/config: do not edit below -->\n\n";
    let docs = std::fs::read_to_string(root.join("docs/CONFIGURATION.md")).unwrap_or_default();
    let intro = docs.split(marker).next().unwrap_or_default();
    let wanted_docs = format!("{intro}{marker}{}", reference_markdown());
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(root.join("vestibule.example.toml"), example_toml()).unwrap();
        std::fs::write(root.join("docs/CONFIGURATION.md"), &wanted_docs).unwrap();
    }
    let example = std::fs::read_to_string(root.join("vestibule.example.toml")).unwrap_or_default();
    assert!(example == example_toml(), "vestibule.example.toml is stale");
    assert!(
        docs == wanted_docs || std::env::var_os("UPDATE_REFERENCE").is_some(),
        "docs/CONFIGURATION.md is stale"
    );
}
