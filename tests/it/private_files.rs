//! Files that hold keys, and the folder they are in, are for their owner alone.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command_line::{Running, text, vestibule};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A server whose process would let everybody read and write what it makes.
fn start(folder: &Path, arguments: &[&str]) -> Running {
    let mut command = Command::new("sh");
    command
        .args(["-c", "umask 0; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_vestibule")])
        .args(["--listen", "127.0.0.1:0", "--ready-file", "ready.json"])
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("TMPDIR", folder)
        .current_dir(folder);
    Running::of(folder, command)
}

/// Everything below a folder.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(below(&path));
        }
        found.push(path);
    }
    found
}

fn names(paths: &[PathBuf]) -> Vec<&str> {
    paths.iter().map(|p| p.file_name().unwrap().to_str().unwrap()).collect()
}

fn assert_private(paths: &[PathBuf]) {
    for path in paths {
        let wanted = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(path), wanted, "{} has mode {:o}", path.display(), mode(path));
    }
}

#[test]
fn what_a_server_makes_is_for_its_owner_alone_whatever_the_umask() {
    for arguments in [&["--ephemeral"][..], &[]] {
        let folder = tempfile::tempdir().unwrap();
        let server = start(folder.path(), arguments);
        let found = below(folder.path());
        for name in [
            "vestibule.db",
            "vestibule.db-wal",
            "vestibule.db-shm",
            "server.lock",
            "ca.key",
            "leaf.pem",
            "ready.json",
        ] {
            assert!(names(&found).contains(&name), "{name}: {found:?}");
        }
        assert_private(&found);
        assert_eq!(server.stop().0, Some(0));
    }
}

#[test]
fn a_folder_that_others_could_read_is_theirs_no_more() {
    let folder = tempfile::tempdir().unwrap();
    start(folder.path(), &[]).stop();
    let data = folder.path().join(".vestibule");
    for path in below(&data).into_iter().chain([data.clone()]) {
        set_mode(&path, if path.is_dir() { 0o755 } else { 0o644 });
    }
    let server = start(folder.path(), &[]);
    assert_private(&below(folder.path()));
    server.stop();
}

#[test]
fn git_sees_nothing_of_a_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    start(folder.path(), &[]).stop();
    let ignored = folder.path().join(".vestibule/.gitignore");
    assert_eq!(std::fs::read_to_string(&ignored).unwrap(), "*\n");
    // Whoever wants something of it in a repository says so there.
    std::fs::write(&ignored, "*\n!tls/\n").unwrap();
    start(folder.path(), &[]).stop();
    assert_eq!(std::fs::read_to_string(&ignored).unwrap(), "*\n!tls/\n");
}

#[test]
fn a_folder_that_holds_other_things_stays_as_it_is_but_not_our_files() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("project");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("package.json"), "{}").unwrap();
    set_mode(&data, 0o755);
    set_mode(&data.join("package.json"), 0o644);
    let server = start(folder.path(), &["--data-dir", "project"]);
    assert_eq!((mode(&data), mode(&data.join("package.json"))), (0o755, 0o644));
    for name in ["vestibule.db", "vestibule.db-wal", "vestibule.db-shm", "server.lock", "tls/ca.key"] {
        assert_eq!(mode(&data.join(name)), 0o600, "{name}");
    }
    assert!(!data.join(".gitignore").exists(), "the project's own files are its own");
    let (_, said) = server.stop();
    assert!(said.contains("others can read the data folder"), "{said}");
}

#[test]
fn production_mode_refuses_a_folder_that_others_can_read_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let settings = "mode = \"production\"\npublic_urls = [\"https://id.example.com\"]\nclient_id = \"skc_own\"\n\
                    client_secret = \"a secret of our own\"\ndata_dir = \"data\"\n";
    let smtp = "[smtp]\nhost = \"smtp.example.com\"\n";
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let migrate = |more: &str, of_folder: u32| {
        std::fs::write(folder.path().join("vestibule.toml"), format!("{settings}{more}{smtp}")).unwrap();
        set_mode(&data, of_folder);
        let ran = vestibule(folder.path()).arg("migrate").output().unwrap();
        assert_eq!(mode(&data), of_folder, "it is for the operator to change it");
        (ran.status.success(), text(&ran))
    };
    let group = "data_dir_group_access = true\n";
    for (more, of_folder, advice) in [
        ("", 0o755, "chmod 700"),
        ("", 0o750, "chmod 700"),
        (group, 0o2775, "chmod 770"),
        (group, 0o701, "chmod 700"),
    ] {
        let (started, said) = migrate(more, of_folder);
        assert!(
            !started && said.contains(advice) && said.contains("data_dir_group_access"),
            "{of_folder:o}: {said}"
        );
    }
    assert!(!data.join("vestibule.db").exists());
    for (more, of_folder) in [("", 0o700), (group, 0o2770)] {
        let (started, said) = migrate(more, of_folder);
        assert!(started, "{of_folder:o}: {said}");
    }
}
