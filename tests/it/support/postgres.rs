//! A throw-away PostgreSQL for the whole test process, and a fresh database for each test.

use std::hash::{BuildHasher as _, RandomState};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use url::Url;

/// URL of a fresh, empty database; `None` where there is no PostgreSQL, which in CI is a failure.
///
/// It goes with the throw-away server; on a server named by `VESTIBULE_TEST_POSTGRES_URL` it stays.
pub async fn fresh_database() -> Option<String> {
    let mut url = Url::parse(server()?).unwrap();
    // Seeded by the system: no two of these agree, whichever process draws them.
    let name = format!("vestibule_test_{:016x}", RandomState::new().hash_one(std::process::id()));
    let mut connection = PgConnection::connect(url.as_str()).await.unwrap();
    connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    url.set_path(&name);
    Some(url.into())
}

/// URL of a database on the server from which others can be created: `VESTIBULE_TEST_POSTGRES_URL`, or our own.
fn server() -> Option<&'static String> {
    static SERVER: OnceLock<Option<String>> = OnceLock::new();
    SERVER
        .get_or_init(|| {
            if let Ok(url) = std::env::var("VESTIBULE_TEST_POSTGRES_URL") {
                return Some(url);
            }
            let started = binaries().map(|b| start(&b));
            if started.is_none() {
                assert!(
                    std::env::var("CI").as_deref() != Ok("true"),
                    "PostgreSQL's server programs are not installed"
                );
                eprintln!("skipped: tests on PostgreSQL, whose server programs are not installed");
            }
            started
        })
        .as_ref()
}

fn binaries() -> Option<PathBuf> {
    let debian = std::fs::read_dir("/usr/lib/postgresql").ok().into_iter().flatten().flatten();
    let mut candidates: Vec<PathBuf> = debian.map(|e| e.path().join("bin")).collect();
    candidates.sort();
    candidates.reverse();
    let path = std::env::var_os("PATH").unwrap_or_default();
    candidates.extend(std::env::split_paths(&path));
    candidates.into_iter().find(|b| b.join("initdb").is_file() && b.join("postgres").is_file())
}

/// The user that PostgreSQL, which refuses root, runs as.
fn unprivileged() -> Option<(u32, u32)> {
    let id = |flag: &str, user: &str| -> Option<u32> {
        let out = Command::new("id").arg(flag).arg(user).stderr(Stdio::null()).output().ok()?;
        String::from_utf8(out.stdout).ok()?.trim().parse().ok()
    };
    let own = Command::new("id").arg("-u").output().ok()?;
    if String::from_utf8_lossy(&own.stdout).trim() != "0" {
        return None;
    }
    ["postgres", "nobody"].iter().find_map(|user| Some((id("-u", user)?, id("-g", user)?)))
}

fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    if let Some((uid, gid)) = unprivileged() {
        command.uid(uid).gid(gid);
    }
    command.env("LC_ALL", "C").current_dir("/");
    command
}

/// Starts a server on a Unix socket. It ends with this process: a shell waits for the end of our pipe.
fn start(binaries: &Path) -> String {
    let folder = tempfile::Builder::new().prefix("vestibule-pg-").tempdir().unwrap().keep();
    if let Some((uid, gid)) = unprivileged() {
        std::os::unix::fs::chown(&folder, Some(uid), Some(gid)).unwrap();
    }
    let data = folder.join("data");
    let made = command(&binaries.join("initdb"))
        .args(["--no-sync", "-A", "trust", "-U", "postgres", "-E", "UTF8", "-D"])
        .arg(&data)
        .stdout(Stdio::null())
        .output()
        .unwrap();
    assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
    let script = "\"$1\" -D \"$2/data\" -k \"$2\" -c listen_addresses= -c fsync=off -c full_page_writes=off \
                  -c max_connections=400 -c shared_buffers=64MB >\"$2/log\" 2>&1 </dev/null & server=$!; \
                  cat >/dev/null; kill -INT $server; wait $server; rm -rf \"$2\"";
    let keeper = command(Path::new("sh"))
        .args(["-c", script, "sh"])
        .arg(binaries.join("postgres"))
        .arg(&folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    // Its end of the pipe closes when this process ends.
    std::mem::forget(keeper);
    let socket = folder.join(".s.PGSQL.5432");
    let deadline = Instant::now() + Duration::from_secs(30);
    while std::os::unix::net::UnixStream::connect(&socket).is_err() {
        assert!(
            Instant::now() < deadline,
            "PostgreSQL: {}",
            std::fs::read_to_string(folder.join("log")).unwrap_or_default()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    wait_until_it_answers(binaries, &folder, deadline);
    format!("postgres://postgres@localhost/postgres?host={}", folder.display())
}

fn wait_until_it_answers(binaries: &Path, folder: &Path, deadline: Instant) {
    let ready = || {
        let mut ask = command(&binaries.join("pg_isready"));
        ask.arg("-h").arg(folder).stdout(Stdio::null()).status().is_ok_and(|s| s.success())
    };
    while !ready() {
        assert!(Instant::now() < deadline, "PostgreSQL does not get ready");
        std::thread::sleep(Duration::from_millis(20));
    }
}
