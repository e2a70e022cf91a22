//! The layers: imports point one way.

use std::path::{Path, PathBuf};

/// For each module, what it must not name.
const FORBIDDEN: &[(&str, &[&str])] = &[
    (
        "domain",
        &[
            "crate::app",
            "crate::service",
            "crate::storage",
            "crate::http",
            "crate::crypto",
            "crate::mail",
            "crate::server",
            "crate::config",
            "crate::cli",
            "actix_web",
            "sqlx",
            "lettre",
            "tokio",
            "async fn",
        ],
    ),
    (
        "crypto",
        &[
            "crate::app",
            "crate::service",
            "crate::storage",
            "crate::http",
            "crate::mail",
            "crate::server",
            "crate::config",
            "actix_web",
            "sqlx",
        ],
    ),
    (
        "mail",
        &[
            "crate::app",
            "crate::service",
            "crate::storage",
            "crate::http",
            "crate::crypto",
            "crate::server",
            "crate::config",
            "actix_web",
            "sqlx",
        ],
    ),
    (
        "storage",
        &[
            "crate::app",
            "crate::service",
            "crate::http",
            "crate::mail",
            "crate::crypto",
            "crate::server",
            "crate::config",
            "actix_web",
            "lettre",
        ],
    ),
    (
        "config",
        &[
            "crate::app",
            "crate::service",
            "crate::storage",
            "crate::http",
            "crate::server",
            "crate::cli",
            "sqlx::",
        ],
    ),
    ("app", &["crate::service", "crate::http", "crate::server", "crate::cli", "actix_web"]),
    (
        "service",
        &["crate::http", "crate::grpc", "tonic", "crate::server", "crate::cli", "actix_web", "sqlx::"],
    ),
    ("http", &["crate::server", "crate::config", "crate::cli", "crate::grpc", "sqlx", "lettre", "store()."]),
    (
        "grpc",
        &[
            "crate::server",
            "crate::config",
            "crate::cli",
            "crate::http",
            "actix_web",
            "sqlx",
            "lettre",
            "store().",
        ],
    ),
];

pub fn sources(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            sources(&entry.unwrap().path(), found);
        }
    } else if path.extension().is_some_and(|e| e == "rs") {
        found.push(path.to_owned());
    }
}

#[test]
fn imports_point_one_way() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for (module, forbidden) in FORBIDDEN {
        let mut files = Vec::new();
        sources(&src.join(module), &mut files);
        assert!(!files.is_empty(), "{module} is gone");
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            let code = text.lines().filter(|l| !l.trim_start().starts_with("//"));
            for (number, line) in code.enumerate() {
                for word in forbidden.iter().filter(|w| line.contains(**w)) {
                    wrong.push(format!("{}:{}: {word}", file.display(), number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn sql_stands_in_storage_alone() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let elsewhere = files.iter().filter(|f| !f.starts_with(src.join("storage"))).filter(|f| {
        let text = std::fs::read_to_string(f).unwrap();
        ["sqlx::query", "INSERT INTO", "DELETE FROM"].iter().any(|w| text.contains(w))
    });
    assert_eq!(elsewhere.collect::<Vec<_>>(), Vec::<&PathBuf>::new());
}
