//! From the first moment of a start to its end: what waits, what is heard, and what is said when it fails.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, SqliteConnection};
use tokio::sync::oneshot;
use url::Url;
use vestibule::crypto::entropy::SystemEntropy;
use vestibule::domain::clock::SystemClock;
use vestibule::runtime::EnvironmentRegistry;
use vestibule::server::{Deadlines, Listeners, Listening, Stop, listening};

use crate::command_line::{Running, text, vestibule};
use crate::support::postgres::{Own, in_schema};
use crate::support::{Database, Engine, SCHEMA, configuration};

/// Longer than any of this takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a program said, and its code, once it has ended by itself.
fn ended(mut command: Command) -> (Option<i32>, String) {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let id = child.id();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || tell.send(child.wait_with_output().unwrap()));
    match told.recv_timeout(PATIENCE) {
        Ok(output) => (output.status.code(), text(&output)),
        Err(_) => {
            signal(id, "-KILL");
            panic!("it hangs: {}", text(&told.recv().unwrap()));
        }
    }
}

fn signal(id: u32, name: &str) {
    assert!(Command::new("kill").args([name, &id.to_string()]).status().unwrap().success());
}

/// The embedded database of a folder in which a server was at work.
async fn used_database(folder: &Path) -> SqliteConnection {
    let migrated = vestibule(folder).arg("migrate").output().unwrap();
    assert!(migrated.status.success(), "{}", text(&migrated));
    let url = format!("sqlite://{}", folder.join(".vestibule/vestibule.db").display());
    SqliteConnection::connect(&url).await.unwrap()
}

const NEWER: &str = "INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, \
     execution_time) VALUES (99990101, 'of tomorrow', CURRENT_TIMESTAMP, TRUE, x'00', 1)";

#[rstest]
#[case::unwritable_ready_file(
    &["--ready-file", "none/ready.json"],
    "cannot write the ready file none/ready.json: No such file or directory (os error 2)"
)]
#[case::ready_file_that_is_a_folder(&["--ready-file", "."], "cannot remove the ready file . of an earlier start")]
#[case::other_master_key(&["--data-dir", "sealed"], "VESTIBULE_MASTER_KEY")]
#[case::newer_schema(
    &["--data-dir", "newer"],
    concat!(
        "made by a newer version of Vestibule: it has migration 99990101, and this is Vestibule ",
        env!("CARGO_PKG_VERSION"),
        ", which knows migrations up to 9."
    )
)]
#[case::tables_of_somebody_else(&["--data-dir", "foreign"], "tables of another program")]
#[case::damaged_database(&["--data-dir", "damaged"], "damaged/vestibule.db is damaged")]
#[case::database_that_is_a_folder(&["--data-dir", "folder"], "folder/vestibule.db")]
#[tokio::test]
async fn a_start_that_fails_says_why_and_ends_with_1(#[case] arguments: &[&str], #[case] reason: &str) {
    const MASTER_KEY: &str = "a master key that is long enough for anybody 0123456789";
    let folder = tempfile::tempdir().unwrap();
    let data = |name: &str| {
        let data = folder.path().join(name);
        std::fs::create_dir(&data).unwrap();
        data.join("vestibule.db")
    };
    let sealed = ["keys", "rotate", "--data-dir", "sealed"];
    let made = vestibule(folder.path()).args(sealed).env("VESTIBULE_MASTER_KEY", MASTER_KEY).output();
    assert!(made.as_ref().unwrap().status.success(), "{}", text(&made.unwrap()));
    used_database(folder.path()).await.execute(NEWER).await.unwrap();
    std::fs::rename(folder.path().join(".vestibule"), folder.path().join("newer")).unwrap();
    let foreign = format!("sqlite://{}?mode=rwc", data("foreign").display());
    let mut foreign = SqliteConnection::connect(&foreign).await.unwrap();
    foreign.execute("CREATE TABLE users (name TEXT)").await.unwrap();
    foreign.close().await.unwrap();
    std::fs::write(data("damaged"), "this was a database once ".repeat(1000)).unwrap();
    std::fs::create_dir(data("folder")).unwrap();

    let mut command = vestibule(folder.path());
    command.args(["--listen", "localhost:0"]).args(arguments);
    command.env("VESTIBULE_MASTER_KEY", MASTER_KEY.replace("0123456789", "9876543210"));
    let (code, said) = ended(command);
    assert!(said.contains(reason), "{said}");
    assert_eq!(code, Some(1), "{said}");
    let last = said.trim_end().lines().last().unwrap();
    assert!(last.starts_with("vestibule: ") && last.matches("os error").count() < 2, "{said}");
}

#[tokio::test]
async fn a_start_on_a_postgresql_that_refuses_us_says_why_and_ends_with_1() {
    let Some(mut own) = Own::start("20") else { return };
    let mut connection = PgConnection::connect(&own.url()).await.unwrap();
    for statement in [
        "CREATE ROLE locked LOGIN PASSWORD 'right'",
        "CREATE ROLE guest LOGIN",
        "CREATE DATABASE newer",
        "CREATE DATABASE foreigners",
    ] {
        connection.execute(statement).await.unwrap();
    }
    drop(connection);
    // Without this line everybody is trusted.
    let rules = own.folder.join("data/pg_hba.conf");
    let trusting = std::fs::read_to_string(&rules).unwrap();
    std::fs::write(&rules, format!("local all locked scram-sha-256\n{trusting}")).unwrap();
    own.stop();
    own.start_again();
    let to = |user: &str, password: &str, database: &str| {
        let mut url = Url::parse(&own.url()).unwrap();
        url.set_username(user).unwrap();
        url.set_password(Some(password)).unwrap();
        url.set_path(database);
        url.to_string()
    };
    let folder = tempfile::tempdir().unwrap();
    let newer = to("postgres", "", "newer");
    let migrated = vestibule(folder.path()).args(["migrate", "--database-url", &newer]).output().unwrap();
    assert!(migrated.status.success(), "{}", text(&migrated));
    let of_tomorrow = NEWER.replace("x'00'", "'\\x00'::bytea");
    let ours = in_schema(&newer, SCHEMA);
    PgConnection::connect(&ours).await.unwrap().execute(AssertSqlSafe(of_tomorrow)).await.unwrap();
    let foreign = to("postgres", "", "foreigners");
    let theirs = "CREATE SCHEMA vestibule; CREATE TABLE vestibule.users (name TEXT)";
    PgConnection::connect(&foreign).await.unwrap().execute(theirs).await.unwrap();

    for (url, reason) in [
        (to("locked", "wrong", "postgres"), "password authentication failed for user \"locked\""),
        (to("nobody_here", "", "postgres"), "role \"nobody_here\" does not exist"),
        (to("postgres", "", "nothing_here"), "database \"nothing_here\" does not exist"),
        (to("guest", "", "postgres"), "the schema vestibule is not in the database and cannot be created"),
        (newer, "made by a newer version of Vestibule"),
        (foreign, "tables of another program"),
    ] {
        let mut command = vestibule(folder.path());
        command.args(["--listen", "localhost:0", "--ready-file", "ready.json", "--database-url", &url]);
        let (code, said) = ended(command);
        assert!(said.contains(reason), "{reason} is missing in {said}");
        assert_eq!(code, Some(1), "{said}");
        assert_eq!(said.matches(reason).count(), 1, "{said}");
        assert!(!folder.path().join("ready.json").exists());
    }
}

/// A start that waits for its database, from the moment when it says so.
fn waiting(folder: &Path, arguments: &[&str]) -> Child {
    let mut child = vestibule(folder)
        .args(["--listen", "localhost:0", "--database-url", "postgres://nobody@127.0.0.1:1/none"])
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().unwrap()));
    assert!(lines.any(|l| l.is_ok_and(|l| l.contains("cannot start yet"))));
    // It goes on saying so.
    std::thread::spawn(move || lines.count());
    child
}

/// The code of a process that ends by itself.
fn code_of(mut child: Child) -> Option<i32> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("it hears nothing");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_start_that_waits_for_its_database_hears_signals() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["-TERM", "-INT"] {
        let child = waiting(folder.path(), &[]);
        let began = Instant::now();
        signal(child.id(), name);
        assert_eq!(code_of(child), Some(0), "{name}");
        assert!(began.elapsed() < Duration::from_secs(15), "{name}: {:?}", began.elapsed());
    }
}

#[test]
fn a_signal_at_any_moment_of_a_start_ends_it_and_nothing_stays() {
    let folder = tempfile::tempdir().unwrap();
    for moment_ms in [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512] {
        let child = vestibule(folder.path())
            .args(["--ephemeral", "--listen", "localhost:0", "--ready-file", "ready.json"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The moment is what is tested.
        std::thread::sleep(Duration::from_millis(moment_ms));
        signal(child.id(), "-TERM");
        // Before the program's first line the system ends it.
        assert!(matches!(code_of(child), Some(0) | None), "{moment_ms}");
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path()).collect();
        assert!(left.is_empty(), "after {moment_ms} ms: {left:?}");
    }
}

#[test]
fn the_ready_file_is_there_only_while_a_server_is_ready() {
    let folder = tempfile::tempdir().unwrap();
    let ready = folder.path().join("ready.json");
    std::fs::write(&ready, "{\"environment_url\": \"http://localhost:1\"}").unwrap();
    let child = waiting(folder.path(), &["--ready-file", "ready.json"]);
    assert!(!ready.exists(), "it is of an earlier server");
    signal(child.id(), "-TERM");
    code_of(child);

    let server = Running::start(folder.path(), &["--ephemeral"]);
    assert!(ready.exists());
    server.stop();
    assert!(!ready.exists(), "it ended");

    std::fs::write(&ready, "{}").unwrap();
    std::fs::write(folder.path().join("vestibule.toml"), "ready_file = \"ready.json\"\nmodus = 1\n").unwrap();
    let (code, said) = ended(vestibule(folder.path()));
    assert_eq!(code, Some(1), "{said}");
    assert!(!ready.exists(), "also when the configuration is wrong");
}

#[test]
fn the_ready_file_of_another_server_stays() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path(), &["--ephemeral"]);
    std::fs::write(folder.path().join("ready.json"), "of another").unwrap();
    server.stop();
    assert_eq!(std::fs::read_to_string(folder.path().join("ready.json")).unwrap(), "of another");
}

/// A server that listens and starts when it is told to.
struct Starting {
    url: String,
    go: oneshot::Sender<()>,
    stop: Stop,
}

impl Starting {
    async fn with(toml: &str, patience: Duration) -> Self {
        let config = configuration(toml);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (go, told) = oneshot::channel();
        let (tell, stop) = oneshot::channel();
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let database = Database::fresh(Engine::Sqlite).await.unwrap();
                let provider = EnvironmentRegistry::default();
                let listeners = Listeners {
                    one_port: vec![listener],
                    tls_only: vec![],
                    tls: None,
                    ca_file: None,
                    workers: Some(1),
                    deadlines: Deadlines { start: patience, ..Deadlines::default() },
                    shutdown_timeout_s: 1,
                };
                let Listening { server, stop } = listening(provider.clone(), listeners).unwrap();
                let start = async {
                    let _ = tell.send(stop);
                    if told.await.is_err() {
                        return;
                    }
                    let store = database.open().await;
                    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
                    let parts = vestibule::server::parts(&config, store, clock, entropy).unwrap();
                    let started = parts.start().await.unwrap();
                    provider.fill(Arc::new(parts.into_runtime(started).unwrap()));
                };
                let _ = tokio::join!(server, start);
            });
        });
        Self { url, go, stop: stop.await.unwrap() }
    }

    async fn status(&self, path: &str) -> u16 {
        reqwest::get(format!("{}{path}", self.url)).await.unwrap().status().as_u16()
    }
}

const PRODUCTION: &str = "mode = \"production\"\npublic_urls = [\"https://auth.example.com\"]\n\
    client_id = \"skc_1\"\nclient_secret = \"a-client-secret-that-nobody-guesses-0123456789\"\n\
    [smtp]\nhost = \"smtp.example.com\"\n";

#[rstest]
#[case::development("")]
#[case::production(PRODUCTION)]
#[tokio::test]
async fn requests_during_a_start_wait_for_its_end(#[case] toml: &str) {
    let server = Starting::with(toml, PATIENCE).await;
    let told = [server.status("/health").await, server.status("/ready").await, server.status("/live").await];
    assert_eq!(told, [503, 503, 200], "these say that it starts");
    let keys = reqwest::get(format!("{}/keys", server.url));
    let call = reqwest::Client::builder()
        .no_proxy()
        .http2_prior_knowledge()
        .build()
        .unwrap()
        .post(format!("{}/scalekit.v1.connections.ConnectionService/ListConnections", server.url))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(vec![0; 5])
        .send();
    let (url, go) = (server.url.clone(), server.go);
    let begin = async {
        // Whoever asks after them is answered, so they have arrived.
        for _ in 0..3 {
            assert_eq!(reqwest::get(format!("{url}/live")).await.unwrap().status(), 200);
        }
        go.send(()).unwrap();
    };
    let (keys, call, ()) = tokio::join!(keys, call, begin);
    assert_eq!(keys.unwrap().status(), 200);
    let status = call.unwrap().headers()["grpc-status"].to_str().unwrap().to_owned();
    assert_eq!(status, "16", "without a token: UNAUTHENTICATED, and not UNAVAILABLE");
    for path in ["/ready", "/live", "/health"] {
        assert_eq!(reqwest::get(format!("{url}{path}")).await.unwrap().status(), 200, "{path}");
    }
    server.stop.at_once().await;
}

#[tokio::test]
async fn requests_do_not_wait_for_ever_for_a_start() {
    let server = Starting::with("", Duration::from_millis(50)).await;
    assert_eq!(server.status("/keys").await, 503);
    server.stop.at_once().await;
}

#[tokio::test]
async fn localhost_is_served_on_every_loopback_address_by_http_and_https() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let server =
        tokio::task::spawn_blocking(move || Running::start_at(&path, "localhost:0", &["--ephemeral"]))
            .await
            .unwrap();
    let addresses = server.ready["addresses"].as_array().unwrap().clone();
    let has_both = std::net::UdpSocket::bind("[::1]:0").is_ok();
    assert_eq!(addresses.len(), if has_both { 2 } else { 1 }, "{addresses:?}");
    let ca = std::fs::read(server.ready["ca_file"].as_str().unwrap()).unwrap();
    let client = reqwest::Client::builder()
        .no_proxy()
        .add_root_certificate(reqwest::Certificate::from_pem(&ca).unwrap())
        .build()
        .unwrap();
    for address in &addresses {
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://{}", address.as_str().unwrap());
            let asked = client.get(format!("{url}/.well-known/openid-configuration")).send().await.unwrap();
            assert_eq!(asked.json::<Value>().await.unwrap()["issuer"], url.as_str());
        }
    }
    assert!(server.url().starts_with("http://localhost:"), "{}", server.url());
    let said = tokio::task::spawn_blocking(|| server.stop().1).await.unwrap();
    for address in &addresses {
        assert!(said.contains(address.as_str().unwrap()), "{address} is missing in {said}");
    }
}

#[test]
fn the_only_address_listened_on_is_the_one_that_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start_at(folder.path(), "127.0.0.1:0", &["--ephemeral"]);
    assert_eq!(server.url(), format!("http://{}", server.ready["listen"].as_str().unwrap()));
}

/// A server begun by a shell that limits its open files before, and its limit then.
#[cfg(target_os = "linux")]
fn with_open_files(limit: &str) -> (u64, String) {
    let folder = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_vestibule");
    let line =
        format!("ulimit {limit} && exec {program} --listen localhost:0 --ready-file ready.json --ephemeral");
    let mut command = Command::new("sh");
    command
        .args(["-c", &line])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("TMPDIR", folder.path())
        .current_dir(folder.path());
    let server = Running::of(folder.path(), command);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.ready["pid"])).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let soft = line.split_whitespace().nth(3).unwrap().parse().unwrap();
    (soft, server.stop().1)
}

#[test]
#[cfg(target_os = "linux")]
fn the_limit_of_open_files_is_raised_and_one_that_cannot_be_is_told() {
    const FOR_ALL_CONNECTIONS: u64 = 5120;
    let told = "4096 connections need 5120";
    let (soft, said) = with_open_files("-Sn 256");
    assert!(
        soft >= FOR_ALL_CONNECTIONS,
        "{soft}, where the machine of the tests allows that many at all: {said}"
    );
    assert!(!said.contains(told), "{said}");
    let (soft, said) = with_open_files("-n 300");
    assert_eq!(soft, 300);
    assert!(said.contains("lets this process open 300 files") && said.contains(told), "{said}");
}

/// What a second server says on the data folder of one that runs, once it has ended.
fn refused_beside(folder: &Path) -> String {
    let mut second = vestibule(folder);
    second.args(["--listen", "localhost:0"]);
    let (code, said) = ended(second);
    assert_eq!(code, Some(1), "{said}");
    said.trim_end().lines().last().unwrap().to_owned()
}

#[test]
fn a_second_server_on_a_data_folder_is_refused_and_told_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let first = Running::start(folder.path(), &[]);
    let (pid, address) = (&first.ready["pid"], first.ready["listen"].as_str().unwrap());
    let said = refused_beside(folder.path());
    let names_it = said
        .starts_with("vestibule: the data folder .vestibule is in use by the server of process")
        && said.contains(&format!("process {pid} on {address}"))
        && said.contains("since 2");
    assert!(names_it, "{pid} on {address}: {said}");
    // The first one noticed nothing, and commands work on what it serves.
    assert_eq!(first.get("/ready").0, 200);
    for command in [&["migrate"][..], &["keys", "rotate"], &["keys", "list"]] {
        let ran = vestibule(folder.path()).args(command).output().unwrap();
        assert!(ran.status.success(), "{command:?}: {}", text(&ran));
    }
    // Servers that keep nothing have folders of their own.
    let beside = Running::start(folder.path(), &["--ephemeral"]);
    assert_eq!((beside.stop().0, first.stop().0), (Some(0), Some(0)));
    assert_eq!(Running::start(folder.path(), &[]).stop().0, Some(0));
}

#[test]
fn a_server_that_was_killed_gives_its_data_folder_free() {
    let folder = tempfile::tempdir().unwrap();
    let first = Running::start(folder.path(), &[]);
    let killed = first.ready["pid"].clone();
    // Dropping it is kill -9: it tidies nothing up.
    drop(first);
    let lock = std::fs::read_to_string(folder.path().join(".vestibule/server.lock")).unwrap();
    assert!(lock.contains(&format!("process {killed} on ")), "{lock}");
    let second = Running::start(folder.path(), &[]);
    let said = refused_beside(folder.path());
    assert!(said.contains(&format!("process {} on ", second.ready["pid"])), "{said}");
    assert!(!said.contains(&format!("process {killed} on ")), "{said}");
}
