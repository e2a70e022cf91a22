//! A throw-away PostgreSQL for the whole test process, and a fresh database for each test.

use std::hash::{BuildHasher as _, RandomState};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use url::Url;

use super::skips::{is_quick, skip};

/// URL of a fresh, empty database; `None`: there is no PostgreSQL, and the test is noted as skipped.
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

/// The same database, of which a connection sees this schema.
pub fn in_schema(url: &str, schema: &str) -> String {
    let mut url = Url::parse(url).unwrap();
    url.query_pairs_mut().append_pair("options[search_path]", schema);
    url.into()
}

/// URL of a database on the server from which others can be created: `VESTIBULE_TEST_POSTGRES_URL`, or our own.
fn server() -> Option<&'static String> {
    static SERVER: OnceLock<Option<String>> = OnceLock::new();
    if is_quick() {
        skip("PostgreSQL is left out");
        return None;
    }
    let server = SERVER
        .get_or_init(|| {
            if let Ok(url) = std::env::var("VESTIBULE_TEST_POSTGRES_URL") {
                return Some(url);
            }
            binaries().map(|b| start(&b))
        })
        .as_ref();
    if server.is_none() {
        skip("PostgreSQL's server programs are not installed");
    }
    server
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

/// The user that PostgreSQL and PgBouncer, which refuse root, run as.
pub fn unprivileged() -> Option<(u32, u32)> {
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

/// Makes the folder of a new server.
fn make_cluster(binaries: &Path) -> PathBuf {
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
    folder
}

/// Starts a server on a Unix socket. It ends with this process: a shell waits for the end of our pipe.
fn start(binaries: &Path) -> String {
    let folder = make_cluster(binaries);
    // Its end of the pipe closes when this process ends.
    std::mem::forget(keep_running(binaries, &folder, "400", "rm -rf \"$2\""));
    url_of(&folder)
}

fn url_of(folder: &Path) -> String {
    format!("postgres://postgres@localhost/postgres?host={}", folder.display())
}

fn keep_running(binaries: &Path, folder: &Path, max_connections: &str, afterwards: &str) -> Child {
    let script = format!(
        "\"$1\" -D \"$2/data\" -k \"$2\" -c listen_addresses= -c fsync=off -c full_page_writes=off \
         -c max_connections=\"$3\" -c superuser_reserved_connections=0 -c shared_buffers=64MB \
         >\"$2/log\" 2>&1 </dev/null & server=$!; \
         cat >/dev/null; kill -INT $server; wait $server; {afterwards}"
    );
    let keeper = command(Path::new("sh"))
        .args(["-c", &script, "sh"])
        .arg(binaries.join("postgres"))
        .arg(folder)
        .arg(max_connections)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    let socket = folder.join(SOCKET);
    let deadline = Instant::now() + Duration::from_secs(30);
    while std::os::unix::net::UnixStream::connect(&socket).is_err() {
        assert!(
            Instant::now() < deadline,
            "PostgreSQL: {}",
            std::fs::read_to_string(folder.join("log")).unwrap_or_default()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    wait_until_it_answers(binaries, folder, deadline);
    keeper
}

const SOCKET: &str = ".s.PGSQL.5432";

/// A server of one test, which may stop it.
pub struct Own {
    binaries: PathBuf,
    pub folder: PathBuf,
    max_connections: &'static str,
    keeper: Option<Child>,
}

impl Own {
    /// `None`: there is no PostgreSQL, and the test is noted as skipped.
    pub fn start(max_connections: &'static str) -> Option<Self> {
        server()?;
        let binaries = binaries()?;
        let folder = make_cluster(&binaries);
        let mut own = Self { binaries, folder, max_connections, keeper: None };
        own.start_again();
        Some(own)
    }

    /// The socket it listens on.
    pub fn socket(&self) -> PathBuf {
        self.folder.join(SOCKET)
    }

    /// URL of its database.
    pub fn url(&self) -> String {
        url_of(&self.folder)
    }

    /// Ends it, with all connections.
    pub fn stop(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            keeper.wait().unwrap();
        }
    }

    pub fn start_again(&mut self) {
        self.keeper = Some(keep_running(&self.binaries, &self.folder, self.max_connections, ":"));
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.stop();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
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
