//! The database stops, stalls, crawls, is full or far away: requests say so in time, nothing is lost or doubled, and
//! the server goes on by itself.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::Value;
use sqlx::{Connection as _, Executor as _, PgConnection};

use super::proxy::{Proxy, Way};
use super::*;
use crate::support::postgres::{self, Own};
use crate::support::skips::skip;

/// How soon the server works again once its database does. Two seconds are promised; the rest is for slow machines.
const RECOVERY: Duration = Duration::from_secs(6);

/// Somebody who is signed in, somebody who waits for a code, and a way to see what became of them.
struct Before {
    signed_in: Value,
    waiting: Visitor,
    path: String,
    code: String,
}

impl Before {
    async fn at(server: &Process) -> Self {
        let waiting = Visitor::new();
        let path = waiting.started(&server.url).await;
        let code = text(&waiting.mail(&server.url).await.unwrap(), "code");
        Self { signed_in: Visitor::new().tokens(&server.url).await, waiting, path, code }
    }

    /// Is everything as it was? Whoever waited signs in once.
    async fn goes_on_unharmed(self, server: &Process) {
        let client = client();
        assert!(is_active(&client, &server.url, self.signed_in["access_token"].as_str().unwrap()).await);
        let token = self.signed_in["refresh_token"].as_str().unwrap();
        assert_eq!(refresh(&client, &server.url, token).await.unwrap().status, 200);
        let entered = self.waiting.enter_code(&server.url, &self.path, &self.code).await.unwrap();
        let code = entered.answer("code").unwrap_or_else(|| panic!("{}", entered.body));
        assert_eq!(exchange(&client, &server.url, &code).await.unwrap().status, 200);
        let again = self.waiting.enter_code(&server.url, &self.path, &self.code).await.unwrap();
        assert_eq!(again.answer("code"), None, "a code works once");
        assert_eq!(exchange(&client, &server.url, &code).await.unwrap().status, 400);
    }
}

/// Asks every kind of question many times at once; each has to be answered in time, and in its own way, with 503.
async fn everything_is_refused_in_time(server: &Process, access_token: &str) {
    let began = Instant::now();
    let browsers = (0..30).map(|_| async {
        let visitor = Visitor::new();
        let query = [("client_id", CLIENT_ID), ("response_type", "code"), ("redirect_uri", CALLBACK)];
        let asked = visitor.browser.get(format!("{}/oauth/authorize", server.url)).query(&query);
        let page = ask(asked.header("accept", "text/html")).await.expect("a page in time");
        assert_eq!((page.status, page.heading().as_str()), (503, "One moment"), "{}", page.body);
    });
    let applications = (0..30).map(|_| async {
        let page = exchange(&client(), &server.url, "unknown").await.expect("an answer in time");
        assert_eq!((page.status, page.header("retry-after")), (503, "1"), "{}", page.body);
        assert_eq!(page.json()["error"], "temporarily_unavailable");
    });
    let callers = (0..10).map(|_| async {
        assert_eq!(grpc_status(server, access_token).await.as_deref(), Some("14"), "UNAVAILABLE");
    });
    let readiness = (0..5).map(|_| async {
        let began = Instant::now();
        let page = ask(client().get(format!("{}/ready", server.url))).await.expect("an answer in time");
        assert_eq!(page.status, 503);
        assert!(began.elapsed() < Duration::from_secs(4), "/ready took {:?}", began.elapsed());
    });
    tokio::join!(join_all(browsers), join_all(applications), join_all(callers), join_all(readiness));
    eprintln!("everything was refused within {:?}", began.elapsed());
    let alive = ask(client().get(format!("{}/live", server.url))).await.unwrap();
    assert_eq!(alive.status, 200, "the process itself is well");
}

/// The status of a call.
async fn grpc_status(server: &Process, token: &str) -> Option<String> {
    let caller = Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let path = "scalekit.v1.connections.ConnectionService/ListConnections";
    let asked = caller
        .post(format!("{}/{path}", server.url))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .bearer_auth(token)
        .body(vec![0; 5])
        .timeout(PATIENCE);
    let answer = asked.send().await.ok()?;
    Some(answer.headers().get("grpc-status")?.to_str().unwrap().to_owned())
}

/// Waits until users can sign in again.
async fn recovers(server: &mut Process, what: &str) {
    let began = Instant::now();
    server.wait_until_ready(RECOVERY).await;
    Visitor::new().tokens(&server.url).await;
    eprintln!("{what}: signed in {:?} after the database was back", began.elapsed());
    assert!(began.elapsed() < RECOVERY, "{:?}", began.elapsed());
    assert!(server.child.as_mut().unwrap().try_wait().unwrap().is_none(), "it is the same process");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_database_is_told_and_used_again_when_it_is_back() {
    let Some(mut database) = Own::start("100") else { return };
    let mut server = Process::running(Some(database.url()), "").await;
    let before = Before::at(&server).await;
    let token = text(&before.signed_in, "access_token");
    tokio::task::block_in_place(|| database.stop());
    everything_is_refused_in_time(&server, &token).await;
    tokio::task::block_in_place(|| database.start_again());
    recovers(&mut server, "restart").await;
    before.goes_on_unharmed(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_stalls_breaks_or_vanishes_holds_no_request() {
    let Some(database) = Own::start("100") else { return };
    let proxy = Proxy::before(&database.socket()).await;
    let mut server = Process::running(Some(proxy.url()), "").await;
    let before = Before::at(&server).await;
    let token = text(&before.signed_in, "access_token");

    proxy.set(Way::Still);
    everything_is_refused_in_time(&server, &token).await;
    proxy.set(Way::Open);
    recovers(&mut server, "stall").await;

    proxy.set(Way::Broken);
    everything_is_refused_in_time(&server, &token).await;
    proxy.set(Way::Open);
    recovers(&mut server, "break").await;

    // All connections of the pool go silent for good: they must not keep their places in it.
    let asked = (0..40).map(|_| async { Visitor::new().start(&server.url).await });
    join_all(asked).await;
    proxy.strand();
    let asked = (0..40).map(|_| async { Visitor::new().start(&server.url).await.map(|page| page.status) });
    let statuses = join_all(asked).await;
    assert!(statuses.iter().all(|s| matches!(s, Some(303 | 503))), "{statuses:?}");
    recovers(&mut server, "silent connections").await;
    before.goes_on_unharmed(&server).await;

    // Nor does it hold the end.
    proxy.set(Way::Still);
    tokio::time::timeout(Duration::from_secs(25), server.stop()).await.expect("the server ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_database_slows_users_and_fails_nobody() {
    let Some(database) = Own::start("100") else { return };
    let proxy = Proxy::before(&database.socket()).await;
    let server = Process::running(Some(proxy.url()), "").await;
    proxy.set(Way::Slow(Duration::from_millis(30)));
    let before = Before::at(&server).await;
    join_all((0..5).map(|_| async { Visitor::new().tokens(&server.url).await })).await;
    before.goes_on_unharmed(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_started_before_its_database_waits_for_it() {
    let Some(mut database) = Own::start("100") else { return };
    tokio::task::block_in_place(|| database.stop());
    let mut server = Process::new(Some(database.url()), "");
    server.launch();
    let deadline = Instant::now() + Duration::from_secs(10);
    let starting = loop {
        match ask(client().get(format!("{}/ready", server.url))).await {
            Some(page) => break page,
            None => assert!(Instant::now() < deadline, "{}", server.said()),
        }
    };
    assert_eq!((starting.status, starting.json()["status"].clone()), (503, "starting".into()));
    assert_eq!(exchange(&client(), &server.url, "unknown").await.unwrap().status, 503);
    tokio::task::block_in_place(|| database.start_again());
    recovers(&mut server, "start").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_out_of_connections_is_told_and_used_again() {
    let Some(database) = Own::start("12") else { return };
    let mut server = Process::running(Some(database.url()), "[database]\nmax_connections = 4").await;
    let before = Before::at(&server).await;
    let token = text(&before.signed_in, "access_token");
    // Those of the server are ended, and others take every place there is.
    let url = format!("{}&application_name=other", database.url());
    let mut others = vec![PgConnection::connect(&url).await.unwrap()];
    let end = "SELECT CAST(pg_terminate_backend(pid) AS TEXT) FROM pg_stat_activity \
               WHERE backend_type = 'client backend' AND application_name <> 'other'";
    while others.len() < 12 {
        sqlx::query(end).execute(&mut others[0]).await.unwrap();
        match PgConnection::connect(&url).await {
            Ok(connection) => others.push(connection),
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
    everything_is_refused_in_time(&server, &token).await;
    drop(others);
    recovers(&mut server, "out of connections").await;
    before.goes_on_unharmed(&server).await;
}

/// A PgBouncer in transaction mode before a PostgreSQL; it ends with this.
struct PgBouncer {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl PgBouncer {
    /// `None`: it is not installed, and the test is noted as skipped.
    fn before(database: &Own) -> Option<Self> {
        use std::os::unix::process::CommandExt as _;
        let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer", "/usr/local/bin/pgbouncer"];
        let Some(program) = program.iter().find(|p| Path::new(p).is_file()) else {
            skip("PgBouncer is not installed");
            return None;
        };
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let settings = format!(
            "[databases]\n* = host={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 3\n\
             ignore_startup_parameters = extra_float_digits\n",
            database.folder.display()
        );
        // `any` takes every user for one.
        let settings = settings.replace("* = host=", "postgres = user=postgres dbname=postgres host=");
        let file = folder.path().join("pgbouncer.ini");
        std::fs::write(&file, settings).unwrap();
        let mut command = Command::new(program);
        if let Some((uid, gid)) = postgres::unprivileged() {
            std::os::unix::fs::chown(folder.path(), Some(uid), Some(gid)).unwrap();
            command.uid(uid).gid(gid);
        }
        let child = command.arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "PgBouncer does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(Self { child, port, _folder: folder })
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_servers_share_few_connections_through_pgbouncer_in_transaction_mode() {
    let Some(database) = Own::start("100") else { return };
    let Some(pooler) = PgBouncer::before(&database) else { return };
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", pooler.port);
    let mut application = PgConnection::connect(&database.url()).await.unwrap();
    application.execute("CREATE TABLE users (name TEXT)").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut unset = crate::command_line::vestibule(folder.path());
    let unset = unset.args(["migrate", "--database-url", &url]).output().unwrap();
    let said = String::from_utf8_lossy(&unset.stderr);
    assert!(!unset.status.success() && said.contains("Set database.transaction_pooler"), "{said}");
    let toml = "[database]\ntransaction_pooler = true";
    // All at once: they take turns with the migrations, and none leaves a lock behind.
    let mut servers = [
        Process::new(Some(url.clone()), toml),
        Process::new(Some(url.clone()), toml),
        Process::new(Some(url.clone()), toml),
    ];
    servers.iter_mut().for_each(Process::launch);
    for server in &servers {
        server.wait_until_ready(Duration::from_secs(30)).await;
    }
    for _ in 0..3 {
        let signed_in = (0..30).map(|i| {
            let server = &servers[i % 3];
            async move { Visitor::new().tokens(&server.url).await }
        });
        join_all(signed_in).await;
    }
    for server in &servers {
        Before::at(server).await.goes_on_unharmed(server).await;
        assert!(!server.said().contains("ERROR"), "{}", server.said());
    }
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    // Beside that of the application.
    let used: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    let used = used - 1;
    assert!((1..=3).contains(&used), "{used} connections");
    let locks: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(locks, 0);
    let theirs: Vec<String> =
        sqlx::query_scalar("SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = 'public'")
            .fetch_all(&mut application)
            .await
            .unwrap();
    assert_eq!(theirs, ["users"], "an application's own tables are let be");
}

/// Largest size of files that a process may write; the soft limit, which can be lifted again.
fn limit_files(server: &Process, limit: &str) {
    let limited = Command::new("prlimit")
        .args([&format!("--pid={}", server.id()), &format!("--fsize={limit}:")])
        .status();
    assert!(limited.unwrap().success(), "prlimit, of util-linux");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_and_the_embedded_database_goes_on_when_there_is_room() {
    let mut server = Process::new(None, "");
    // As on a full disk, writes fail; the signal that would end the process is for programs that do not look.
    server.wrapper = vec!["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"];
    server.start().await;
    let before = Before::at(&server).await;
    let wal = server.folder.path().join(".vestibule/vestibule.db-wal");
    limit_files(&server, &(std::fs::metadata(wal).unwrap().len() + 40_000).to_string());
    let mut acknowledged = vec![];
    let refused = loop {
        assert!(acknowledged.len() < 1000, "the disk never gets full");
        let visitor = Visitor::new();
        let page = visitor.start(&server.url).await.expect("an answer in time");
        match path_of(&page) {
            Some(path) => acknowledged.push((visitor, path)),
            None => break page,
        }
    };
    assert_eq!((refused.status, refused.heading().as_str()), (503, "One moment"), "{}", refused.body);
    let token = text(&before.signed_in, "access_token");
    assert!(is_active(&client(), &server.url, &token).await, "what only reads goes on");
    for path in ["/ready", "/health"] {
        let page = ask(client().get(format!("{}{path}", server.url))).await.unwrap();
        assert_eq!((page.status, &page.json()["database"]), (503, &"not writable".into()), "{path}");
    }
    assert!(
        server.said().lines().any(|l| l.contains("not ready") && l.contains("(code: ")),
        "{}",
        server.said()
    );
    limit_files(&server, "unlimited");
    recovers(&mut server, "disk full").await;
    for (visitor, path) in acknowledged {
        let code = text(&visitor.mail(&server.url).await.unwrap(), "code");
        assert!(visitor.enter_code(&server.url, &path, &code).await.unwrap().answer("code").is_some());
    }
    before.goes_on_unharmed(&server).await;
}
