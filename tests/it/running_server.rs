//! Commands that speak of the server that runs: they find it, and make nothing.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::command_line::{Running, text, vestibule};

const TLS_VARIABLES: [&str; 4] =
    ["NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "SSL_CERT_FILE"];

fn run(folder: &Path, arguments: &[&str]) -> std::process::Output {
    vestibule(folder).args(arguments).output().unwrap()
}

/// What a command printed to standard output.
fn printed(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn json(folder: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&printed(folder, arguments)).unwrap()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn env_prints_what_an_application_needs() {
    let folder = tempfile::tempdir().unwrap();
    let dotenv = run(folder.path(), &["env"]);
    assert!(
        dotenv.stdout.starts_with(b"SCALEKIT_ENVIRONMENT_URL=http://localhost:6870\n"),
        "{}",
        text(&dotenv)
    );
    assert!(text(&dotenv).contains("no server runs here"), "{}", text(&dotenv));
    assert!(
        printed(folder.path(), &["env", "--format", "shell"]).contains("export SCALEKIT_CLIENT_ID='skc_")
    );
    for arguments in [&["env", "--format", "json"][..], &["env", "--json"]] {
        let variables = json(folder.path(), arguments);
        assert_eq!(variables["SCALEKIT_ENV_URL"], "http://localhost:6870");
        assert_eq!(variables["SCALEKIT_SPA_CLIENT_ID"], "spac_687000000000000001");
        assert!(TLS_VARIABLES.iter().all(|name| variables[name].is_null()), "{variables}");
    }
}

#[test]
fn commands_that_ask_make_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &["env"][..],
        &["env", "--tls"],
        &["env", "--json"],
        &["ca"],
        &["ca", "--ephemeral"],
        &["open"],
        &["healthcheck"],
        &["config", "check"],
    ] {
        run(folder.path(), arguments);
        assert_eq!(entries(folder.path()), Vec::<PathBuf>::new(), "{arguments:?}");
    }
    let refused = run(folder.path(), &["ca", "--ephemeral"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused).contains("ready file"), "{}", text(&refused));
}

#[test]
fn env_speaks_of_the_server_that_runs_and_of_tls_where_it_is_asked_for() {
    for arguments in [&["--ephemeral"][..], &[]] {
        let folder = tempfile::tempdir().unwrap();
        let server = Running::start(folder.path(), arguments);
        let variables = json(folder.path(), &["env", "--json"]);
        assert_eq!(variables["SCALEKIT_ENVIRONMENT_URL"], server.url());
        assert_eq!(variables["SCALEKIT_CLIENT_SECRET"], server.ready["client_secret"]);
        assert!(TLS_VARIABLES.iter().all(|name| variables[name].is_null()), "{variables}");

        let over_tls = json(folder.path(), &["env", "--json", "--tls"]);
        assert_eq!(over_tls["SCALEKIT_ENVIRONMENT_URL"], server.ready["https_url"]);
        assert_eq!(over_tls["NODE_EXTRA_CA_CERTS"], server.ready["ca_file"]);
        for variable in TLS_VARIABLES {
            let file = over_tls[variable].as_str().unwrap();
            assert!(
                std::fs::read_to_string(file).unwrap().contains("BEGIN CERTIFICATE"),
                "{variable}={file}"
            );
        }
        server.stop();
        let stopped = run(folder.path(), &["env"]);
        assert!(text(&stopped).contains("no server runs here") && text(&stopped).contains(":6870"));
    }
}

#[test]
fn env_finds_a_server_by_its_url_and_by_its_ready_file() {
    let [folder, elsewhere] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let settings = "client_id = \"skc_own\"\nclient_secret = \"a secret of our own\"\n";
    std::fs::write(folder.path().join("vestibule.toml"), settings).unwrap();
    let server = Running::start(folder.path(), &["--ephemeral"]);
    let ready = folder.path().join("ready.json");
    for arguments in
        [["env", "--json", "--url", server.url()], ["env", "--json", "--ready-file", ready.to_str().unwrap()]]
    {
        let variables = json(elsewhere.path(), &arguments);
        assert_eq!(variables["SCALEKIT_ENVIRONMENT_URL"], server.url());
        assert_eq!(variables["SCALEKIT_CLIENT_ID"], "skc_own");
        assert_eq!(variables["SCALEKIT_CLIENT_SECRET"], "a secret of our own");
    }
    let ip = server.url().replace("localhost", "127.0.0.1");
    let by_ip = json(elsewhere.path(), &["env", "--json", "--url", &ip]);
    assert_eq!(by_ip["SCALEKIT_ENVIRONMENT_URL"], ip, "as it is reached");
    let refused = run(elsewhere.path(), &["env", "--url", server.url(), "--tls"]);
    assert!(text(&refused).contains("vestibule ca --url"), "{}", text(&refused));
    server.stop();
    let nobody = run(elsewhere.path(), &["env", "--url", &ip]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(text(&nobody).contains("does not respond"), "{}", text(&nobody));
}

#[test]
fn a_token_of_the_control_api_opens_it_to_commands() {
    let [folder, elsewhere] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let token = "a control token of our own";
    std::fs::write(folder.path().join("vestibule.toml"), format!("[control]\ntoken = \"{token}\"\n"))
        .unwrap();
    let server = Running::start(folder.path(), &["--ephemeral"]);
    let mut command = vestibule(elsewhere.path());
    command.args(["env", "--url", server.url()]);
    let refused = command.output().unwrap();
    assert!(
        text(&refused).contains("VESTIBULE_CONTROL__TOKEN") && text(&refused).contains("401"),
        "{}",
        text(&refused)
    );
    let opened = command.env("VESTIBULE_CONTROL__TOKEN", token).output().unwrap();
    assert!(opened.status.success() && !text(&opened).contains(token), "{}", text(&opened));
}

#[test]
fn the_state_file_is_for_its_owner_and_goes_with_the_server() {
    for arguments in [&["--ephemeral"][..], &[]] {
        let folder = tempfile::tempdir().unwrap();
        let server = Running::start(folder.path(), arguments);
        let path = folder.path().join(".vestibule/server.json");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{mode:o}");
        let state: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for name in ["environment_url", "pid", "ca_file", "mode"] {
            assert!(!state[name].is_null() && state[name] == server.ready[name], "{name}: {state}");
        }
        assert_eq!(state["mode"], "development");
        server.stop();
        assert!(!path.exists(), "{arguments:?}");
    }
}

#[test]
fn no_secret_of_real_users_is_in_a_state_file() {
    let folder = tempfile::tempdir().unwrap();
    let settings = "mode = \"production\"\npublic_urls = [\"https://id.example.com\"]\nclient_id = \"skc_own\"\n\
                    client_secret = \"a secret of our own\"\n[smtp]\nhost = \"127.0.0.1\"\nport = 1\n";
    std::fs::write(folder.path().join("vestibule.toml"), settings).unwrap();
    let _server = Running::start(folder.path(), &[]);
    let state = std::fs::read_to_string(folder.path().join(".vestibule/server.json")).unwrap();
    assert!(!state.contains("a secret of our own"), "{state}");
    let variables = json(folder.path(), &["env", "--json"]);
    assert_eq!(variables["SCALEKIT_ENVIRONMENT_URL"], "https://id.example.com");
    assert_eq!(variables["SCALEKIT_CLIENT_SECRET"], "a secret of our own", "from the configuration");
}

#[test]
fn a_server_that_was_killed_is_not_taken_for_one_that_runs() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path(), &[]);
    let state = folder.path().join(".vestibule/server.json");
    drop(server);
    assert!(state.exists(), "it could not remove it");
    let env = run(folder.path(), &["env"]);
    assert!(text(&env).contains("no server runs here") && text(&env).contains(":6870"), "{}", text(&env));
    let open = run(folder.path(), &["open", "--json"]);
    assert!(text(&open).contains("Start one with `vestibule`"), "{}", text(&open));
    // Another program has the port now.
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    let text_of_it = std::fs::read_to_string(&state).unwrap();
    let mut stale: Value = serde_json::from_str(&text_of_it).unwrap();
    stale["listen"] = address.to_string().into();
    std::fs::write(&state, stale.to_string()).unwrap();
    let env = run(folder.path(), &["env"]);
    assert!(text(&env).contains("no server runs here"), "{}", text(&env));
    let next = Running::start(folder.path(), &[]);
    assert_eq!(json(folder.path(), &["env", "--json"])["SCALEKIT_ENVIRONMENT_URL"], next.url());
}

#[test]
fn a_server_that_keeps_nothing_leaves_the_folder_to_the_one_that_is_there() {
    let [folder, elsewhere] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let first = Running::start(folder.path(), &[]);
    let data = folder.path().join(".vestibule");
    let second = Running::start(elsewhere.path(), &["--ephemeral", "--data-dir", data.to_str().unwrap()]);
    let found = || json(folder.path(), &["env", "--json"])["SCALEKIT_ENVIRONMENT_URL"].clone();
    assert_eq!(found(), first.url());
    second.stop();
    assert_eq!(found(), first.url());
    first.stop();
    assert!(data.join("vestibule.db").exists());
}

#[test]
fn ca_says_which_file_to_trust_and_how_and_the_server_uses_that_authority() {
    let folder = tempfile::tempdir().unwrap();
    Running::start(folder.path(), &[]).stop();
    let said = printed(folder.path(), &["ca"]);
    let file = said.lines().next().unwrap();
    assert!(file.ends_with(".vestibule/tls/ca.pem"), "{said}");
    for words in TLS_VARIABLES.iter().copied().chain(["keytool"]) {
        assert!(said.contains(words), "{words} is missing in {said}");
    }
    let before = std::fs::read_to_string(file).unwrap();
    assert_eq!(printed(folder.path(), &["ca", "--pem"]), before);
    // Also when nothing else is kept: who has been told to trust it goes on trusting it.
    for arguments in [&["--ephemeral"][..], &[]] {
        let server = Running::start(folder.path(), arguments);
        assert_eq!(server.ready["ca_file"].as_str().unwrap(), file);
        assert_eq!(printed(folder.path(), &["ca"]), said);
        server.stop();
    }
    assert_eq!(std::fs::read_to_string(file).unwrap(), before);
}

#[test]
fn ca_names_the_authority_of_a_server_that_keeps_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path(), &["--ephemeral"]);
    let files = json(folder.path(), &["ca", "--json"]);
    assert_eq!(files["ca_file"], server.ready["ca_file"]);
    assert_eq!(files["variables"]["SSL_CERT_FILE"], server.ready["ca_bundle_file"]);
}

#[test]
fn the_authority_is_served_to_whoever_is_to_trust_it() {
    let [folder, elsewhere] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    std::fs::write(
        folder.path().join("vestibule.toml"),
        "[control]\ntoken = \"a control token of our own\"\n",
    )
    .unwrap();
    let server = Running::start(folder.path(), &["--ephemeral"]);
    let pem = std::fs::read_to_string(server.ready["ca_file"].as_str().unwrap()).unwrap();
    assert_eq!(server.get("/_emulator/ca.pem"), (200, pem), "without a token");
    server.stop();

    std::fs::write(folder.path().join("vestibule.toml"), "control = false\n").unwrap();
    let server = Running::start(folder.path(), &["--ephemeral"]);
    assert_eq!(server.get("/_emulator/ca.pem").0, 404);
    server.stop();

    std::fs::remove_file(folder.path().join("vestibule.toml")).unwrap();
    let server = Running::start(folder.path(), &["--ephemeral"]);
    let pem = server.get("/_emulator/ca.pem").1;
    assert_eq!(printed(elsewhere.path(), &["ca", "--url", server.url(), "--pem"]), pem);
    let said = printed(elsewhere.path(), &["ca", "--url", server.url()]);
    assert!(
        said.contains("--pem >vestibule-ca.pem") && said.contains("NODE_EXTRA_CA_CERTS=vestibule-ca.pem"),
        "{said}"
    );
}

#[test]
fn open_shows_the_dashboard_in_a_browser() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path(), &["--ephemeral"]);
    let url = format!("{}/dashboard", server.url());
    assert_eq!(json(folder.path(), &["open", "--json"])["url"], url);
    // The browser of this desktop writes down what it is to show.
    let bin = folder.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let shown = folder.path().join("shown.txt");
    let script = format!("#!/bin/sh\necho \"$1\" >{0}.new && mv {0}.new {0}\n", shown.display());
    std::fs::write(bin.join("xdg-open"), script).unwrap();
    std::fs::set_permissions(bin.join("xdg-open"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let opened = vestibule(folder.path()).arg("open").env("PATH", path).output().unwrap();
    assert!(opened.status.success() && text(&opened).contains(&url), "{}", text(&opened));
    let deadline = Instant::now() + Duration::from_secs(30);
    while !shown.exists() {
        assert!(Instant::now() < deadline, "no browser was started");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(std::fs::read_to_string(&shown).unwrap().trim(), url);
}

#[test]
fn facts_are_printed_for_programs() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path(), &[]);
    assert_eq!(json(folder.path(), &["healthcheck", "--json"])["status"], "ready");
    let listed = json(folder.path(), &["keys", "list", "--json"]);
    assert_eq!(listed["keys"].as_array().unwrap().len(), 1);
    let rotated = json(folder.path(), &["keys", "rotate", "--json"]);
    assert_eq!(rotated["keys"][0]["alg"], "RS256");
    server.stop();
    assert_eq!(json(folder.path(), &["migrate", "--json"])["status"], "up_to_date");
    assert_eq!(json(folder.path(), &["config", "check", "--json"])["problems"], serde_json::json!([]));
    std::fs::write(folder.path().join("vestibule.toml"), "\nmodus = 1\n").unwrap();
    let checked = run(folder.path(), &["config", "check", "--json"]);
    assert_eq!(checked.status.code(), Some(1));
    let problems: Value = serde_json::from_slice(&checked.stdout).unwrap();
    let problem = &problems["problems"][0];
    assert_eq!((&problem["setting"], &problem["line"]), (&"modus".into(), &2.into()), "{problems}");
}

#[test]
fn a_server_without_a_folder_to_write_to_runs_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    // Nobody can make a folder in a file.
    std::fs::write(folder.path().join("file"), "").unwrap();
    let server = Running::start(folder.path(), &["--ephemeral", "--data-dir", "file/data"]);
    assert_eq!(server.get("/ready").0, 200);
    let (code, said) = server.stop();
    assert!(code == Some(0) && said.contains("the state file cannot be written"), "{said}");
}

#[test]
fn healthcheck_finds_the_server_of_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path(), &["--ephemeral"]);
    assert_eq!(printed(folder.path(), &["healthcheck"]), "ready\n");
    server.stop();
    assert!(!run(folder.path(), &["healthcheck", "--listen", "127.0.0.1:1"]).status.success());
}
