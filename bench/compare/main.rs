//! `cargo bench --bench compare`, or better `bench/run`, which installs what it compares with: what the server gets out of
//! the machine, beside other providers and emulators, and beside what the machine could do at most.
//!
//! Names of parts choose among them: `cargo bench --bench compare -- sign-in`. `BENCH_S` is how long each load lasts, in
//! seconds, and `BENCH_ROUNDS` how often each part is repeated; `BENCH_PAUSE_MS` is how long users of the part `soak` rest
//! before each sign-in. `BENCH_BEFORE` is another build of the program, which the part `before` compares with this one.
//! A whole run writes docs/BENCHMARKS.md.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a program for users at a terminal"
)]

#[path = "../../tests/it/support/frame.rs"]
mod frame;
#[path = "../../tests/it/support/frames.rs"]
#[allow(dead_code, reason = "made for tests, which send more kinds of frames")]
mod frames;
mod load;
mod management;
mod ours;
mod peers;
#[path = "../../tests/it/support/postgres.rs"]
#[allow(dead_code, reason = "made for tests, which stop and start servers")]
mod postgres;
mod report;
mod servers;
#[path = "../../tests/it/support/skips.rs"]
mod skips;
mod webhooks;

use std::path::Path;
use std::pin::Pin;
use std::time::{Duration, Instant};

use actix_web::{App, HttpServer, web};
use sqlx::{AssertSqlSafe, Executor as _};
use vestibule::crypto::entropy::SystemEntropy;
use vestibule::crypto::signing::{SigningKey, generate_pkcs8};
use vestibule::domain::signing_algorithm::SigningAlgorithm;

use load::{Client, Outcome, Turn, run, run_over};
use report::Report;
use servers::Process;

/// A round is quiet when less than this much of a processor was taken by others on the same hardware.
const QUIET: f64 = 0.02;

/// How many do something at once where nothing else is said.
const TASKS: usize = 8;

struct Bench {
    report: Report,
    measure: Duration,
    rounds: usize,
    /// Names of the parts that are wanted; none: all.
    only: Vec<String>,
    /// What all that mints tokens is compared with.
    signer: Signer,
}

fn main() {
    let only: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let mut bench = Bench {
        report: Report::default(),
        measure: Duration::from_secs(number("BENCH_S").unwrap_or(4)),
        rounds: number("BENCH_ROUNDS").unwrap_or(3) as usize,
        only,
        signer: Signer::new(),
    };
    for (name, part) in [
        ("limits", limits as fn(&mut Bench)),
        ("start", start),
        ("calls", calls),
        ("sign-in", sign_in),
        ("users", users),
        ("management", management::management),
        ("webhooks", webhooks::webhooks),
        ("replicas", replicas),
        ("unread", unread),
    ] {
        if bench.only.is_empty() || bench.only.iter().any(|wanted| wanted == name) {
            part(&mut bench);
        }
    }
    // Needs another build of the program.
    if bench.only.iter().any(|wanted| wanted == "before") {
        before(&mut bench);
    }
    // Takes too long for every run.
    if bench.only.iter().any(|wanted| wanted == "soak") {
        soak(&bench);
    }
    if bench.only.is_empty() {
        bench.report.write(Path::new(env!("CARGO_MANIFEST_DIR")));
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

impl Bench {
    /// The median round of a load, by its rate.
    fn load<F: Future<Output = Client>>(
        &self,
        server: &Process,
        tasks: usize,
        step: impl Fn(Client, Turn) -> F,
    ) -> Outcome {
        self.load_at(&server.authority, || server.busy_s(), tasks, step)
    }

    /// The same on a server that is no process of its own.
    fn load_at<F: Future<Output = Client>>(
        &self,
        authority: &str,
        busy_s: impl Fn() -> f64,
        tasks: usize,
        step: impl Fn(Client, Turn) -> F,
    ) -> Outcome {
        // The first moment fills caches and prepares statements.
        run(authority, tasks, self.measure / 8, |client, turn| {
            step(client, Turn { task: turn.task + 1000, ..turn })
        });
        let mut rounds = quietest(self.rounds, |round| {
            let measure = self.measure;
            let apart = |turn: Turn| Turn { task: turn.task + 2000 * (round + 1), ..turn };
            // Beside each round, because machines drift.
            let signing_before = self.signer.per_s();
            let (began, before_s) = (Instant::now(), busy_s());
            let outcome = run(authority, tasks, measure, |client, turn| step(client, apart(turn)));
            let busy = (busy_s() - before_s) / began.elapsed().as_secs_f64();
            let signing_per_s = f64::midpoint(signing_before, self.signer.per_s());
            Outcome { busy, of_signing: outcome.per_s / signing_per_s, ..outcome }
        });
        rounds.sort_by(|a, b| a.per_s.total_cmp(&b.per_s));
        rounds[rounds.len() / 2]
    }
}

/// Of rounds as many as wanted: those in which a virtual machine had its processors for itself, or nearly so. Others are
/// repeated, until there were twice as many.
fn quietest<T>(wanted: usize, round: impl Fn(usize) -> T) -> Vec<T> {
    let mut rounds: Vec<(f64, T)> = vec![];
    while rounds.len() < 2 * wanted && rounds.iter().filter(|(stolen, _)| *stolen < QUIET).count() < wanted {
        let (began, before_s) = (Instant::now(), servers::stolen_s());
        let outcome = round(rounds.len());
        rounds.push(((servers::stolen_s() - before_s) / began.elapsed().as_secs_f64(), outcome));
    }
    rounds.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    rounds.into_iter().take(wanted).map(|(_, outcome)| outcome).collect()
}

/// One thread with the parsed key kept: the limit of everything that mints tokens.
struct Signer(SigningKey);

impl Signer {
    fn new() -> Self {
        let key = generate_pkcs8(SigningAlgorithm::Rs256, &SystemEntropy).unwrap();
        Self(SigningKey::from_pkcs8(1, "snk_1", 0, &key).unwrap())
    }

    /// Signatures per second at this moment.
    fn per_s(&self) -> f64 {
        const MEASURE: Duration = Duration::from_millis(250);
        let claims = serde_json::json!({ "sub": "skc_1", "aud": ["skc_1"], "exp": 1 });
        let (mut count, started) = (0_u32, Instant::now());
        while started.elapsed() < MEASURE {
            self.0.sign(&claims).unwrap();
            count += 1;
        }
        f64::from(count) / started.elapsed().as_secs_f64()
    }
}

/// What the machine, and the load itself, can do at most.
fn limits(bench: &mut Bench) {
    let port = servers::free_port();
    std::thread::spawn(move || {
        let app = || App::new().route("/", web::get().to(|| async { "ok" }));
        let server = HttpServer::new(app).workers(1).disable_signals().bind(("127.0.0.1", port)).unwrap();
        actix_web::rt::System::new().block_on(server.run()).unwrap();
    });
    let authority = format!("127.0.0.1:{port}");
    while std::net::TcpStream::connect(&authority).is_err() {
        std::thread::yield_now();
    }
    let trivial = bench.load_at(
        &authority,
        || 0.0,
        TASKS,
        |mut client: Client, _| async {
            client.get("/").await.ok();
            client
        },
    );
    bench.report.title("Limits", "| what | per second |");
    bench.report.line(&format!(
        "| RS256 signatures by aws-lc-rs, key kept, one thread | {:.0} |",
        median((0..bench.rounds).map(|_| bench.signer.per_s()).collect())
    ));
    bench.report.line(&format!("| this load on a plain actix server, one worker | {:.0} |", trivial.per_s));
}

/// Start, memory, size.
fn start(bench: &mut Bench) {
    let ms = |d: Duration| d.as_secs_f64() * 1000.0;
    bench.report.title("Start and memory", "| | first answer | idle | after 10 s of load |");
    let mut cold = vec![];
    let mut warm = vec![];
    let kept = tempfile::tempdir().unwrap();
    drop(ours::start(kept.path(), &[]));
    for _ in 0..11 {
        let folder = tempfile::tempdir().unwrap();
        cold.push(ms(ours::start(folder.path(), &[]).first_answer));
        warm.push(ms(ours::start(kept.path(), &[]).first_answer));
    }
    let server = ours::start(kept.path(), &[]);
    let idle = server.resident_mib();
    run(&server.authority, TASKS, Duration::from_secs(10), ours::sign_in);
    let row = format!(
        "| Vestibule, cold, and with a stored key | {:.0} ms, {:.0} ms | {idle:.1} MiB | {:.1} MiB |",
        median(cold),
        median(warm),
        server.resident_mib()
    );
    drop(server);
    bench.report.line(&row);
    weigh(bench, "oidc-provider", peers::oidc_provider, peers::sign_in_at_oidc_provider);
    weigh(bench, "oauth2-mock-server", peers::mock_server, peers::sign_in_at_mock_server);
    weigh(bench, "Firebase Auth emulator", firebase, peers::sign_in_at_firebase);
    weigh(
        bench,
        "Ory Hydra, client_credentials",
        || peers::hydra(database()),
        peers::client_credentials_at_hydra,
    );
    let size = std::fs::metadata(ours::PROGRAM).unwrap().len() as f64 / f64::from(1 << 20);
    bench.report.line(&format!("\nOne program of {size:.0} MiB, without anything beside it."));
}

fn firebase() -> Result<Process, String> {
    peers::firebase(&tempfile::tempdir().unwrap().keep())
}

fn weigh<F: Future<Output = Client>>(
    bench: &mut Bench,
    name: &str,
    start: fn() -> Result<Process, String>,
    step: impl Fn(Client, Turn) -> F,
) {
    let line = match start() {
        Err(error) => format!("| {name} | not installed here: {error} | | |"),
        Ok(server) => {
            let idle = server.resident_mib();
            run(&server.authority, TASKS, Duration::from_secs(10), step);
            let (first, loaded) = (server.first_answer.as_secs_f64() * 1000.0, server.resident_mib());
            format!("| {name} | {first:.0} ms | {idle:.1} MiB | {loaded:.1} MiB |")
        }
    };
    bench.report.line(&line);
}

/// Single calls, eight at a time.
fn calls(bench: &mut Bench) {
    let folder = tempfile::tempdir().unwrap();
    let server = ours::start(folder.path(), &[]);
    let ours = [
        ("client_credentials", bench.load(&server, TASKS, ours::client_credentials)),
        ("refresh", bench.load(&server, TASKS, ours::refresh)),
        ("introspection", bench.load(&server, TASKS, ours::introspection)),
        ("userinfo", bench.load(&server, TASKS, ours::userinfo)),
        ("keys", bench.load(&server, TASKS, ours::keys)),
        ("headless send and verify, REST", bench.load(&server, TASKS, ours::headless)),
        ("headless send and verify, gRPC", bench.load(&server, TASKS, ours::headless_by_grpc)),
    ];
    drop(server);
    let mut provider = vec![None; ours.len()];
    if let Ok(server) = peers::oidc_provider() {
        provider[0] = Some(bench.load(&server, TASKS, peers::client_credentials).per_s);
        provider[1] = Some(bench.load(&server, TASKS, peers::refresh).per_s);
        provider[2] = Some(bench.load(&server, TASKS, peers::introspection).per_s);
        provider[3] = Some(bench.load(&server, TASKS, peers::userinfo).per_s);
        provider[4] = Some(bench.load(&server, TASKS, peers::keys).per_s);
    }
    let mut mock = vec![None; ours.len()];
    if let Ok(server) = peers::mock_server() {
        mock[0] = Some(bench.load(&server, TASKS, peers::client_credentials).per_s);
        mock[4] = Some(bench.load(&server, TASKS, peers::keys).per_s);
    }
    let mut hydra = vec![None; ours.len()];
    match peers::hydra(database()) {
        Ok(server) => {
            hydra[0] = Some(bench.load(&server, TASKS, peers::client_credentials_at_hydra).per_s);
            hydra[4] = Some(bench.load(&server, TASKS, peers::keys_at_hydra).per_s);
        }
        Err(error) => println!("Ory Hydra is left out: {error}"),
    }
    bench.report.title(
        "Calls, per second, eight at a time",
        "| call | Vestibule | p99 | of the signing rate | processors | oidc-provider | oauth2-mock-server | Ory Hydra |",
    );
    let shown = |rate: Option<f64>| rate.map_or_else(|| "–".to_owned(), |rate| format!("{rate:.0}"));
    for (index, (name, outcome)) in ours.iter().enumerate() {
        let share = outcome.of_signing;
        bench.report.line(&format!(
            "| {name} | {:.0} | {:.1} ms | {share:.2} | {:.2} | {} | {} | {} |",
            outcome.per_s,
            outcome.p99_ms,
            outcome.busy,
            shown(provider[index]),
            shown(mock[index]),
            shown(hydra[index])
        ));
    }
}

/// Whole sign-ins, at several numbers at once.
fn sign_in(bench: &mut Bench) {
    bench
        .report
        .title("Whole sign-in", "| | at once | per second | p50 | p99 | of the signing rate | processors |");
    let folder = tempfile::tempdir().unwrap();
    let server = ours::start(folder.path(), &[]);
    for tasks in [1, 2, 4, 8, 16, 32, 64] {
        show(bench, "Vestibule, SQLite", &server, tasks, ours::sign_in);
    }
    drop(server);
    match database() {
        None => bench.report.line("| Vestibule, PostgreSQL | | not installed here | | | | |"),
        Some(url) => {
            let server = ours::start(folder.path(), &[("DATABASE_URL", &url)]);
            for tasks in [1, 8, 64] {
                show(bench, "Vestibule, PostgreSQL", &server, tasks, ours::sign_in);
            }
        }
    }
    sign_in_beside_others(bench);
}

type Step = fn(Client, Turn) -> Pin<Box<dyn Future<Output = Client>>>;

/// The same at the programs of others, in rounds that take turns.
fn sign_in_beside_others(bench: &mut Bench) {
    let head = "| | per second | p50 | p99 | processors | Vestibule to it, SQLite | PostgreSQL |";
    bench.report.title(&format!("Whole sign-in beside others, {TASKS} at a time"), head);
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let on_postgres = || {
        let url = database().ok_or("PostgreSQL is not installed")?;
        Ok(ours::start(folders[1].path(), &[("DATABASE_URL", &url)]))
    };
    let programs: [(&str, Result<Process, String>, Step); 5] = [
        ("Vestibule, SQLite", Ok(ours::start(folders[0].path(), &[])), |c, t| Box::pin(ours::sign_in(c, t))),
        ("Vestibule, PostgreSQL", on_postgres(), |c, t| Box::pin(ours::sign_in(c, t))),
        ("oidc-provider, no email", peers::oidc_provider(), |c, t| {
            Box::pin(peers::sign_in_at_oidc_provider(c, t))
        }),
        ("Firebase Auth emulator", firebase(), |c, t| Box::pin(peers::sign_in_at_firebase(c, t))),
        ("oauth2-mock-server, asks nobody", peers::mock_server(), |c, t| {
            Box::pin(peers::sign_in_at_mock_server(c, t))
        }),
    ];
    let mut servers = vec![];
    for (name, server, step) in programs {
        match server {
            Ok(server) => servers.push((name, server, step)),
            Err(error) => bench.report.line(&format!("| {name} | not installed here: {error} | | | | | |")),
        }
    }
    let rounds = take_turns(3 * bench.rounds, servers.len(), |at, round| {
        let (_, server, step) = &servers[at];
        let apart = |turn: Turn| Turn { task: turn.task + 2000 * round, ..turn };
        let (began, before_s) = (Instant::now(), server.busy_s());
        let outcome = run(&server.authority, TASKS, bench.measure, |client, turn| step(client, apart(turn)));
        Outcome { busy: (server.busy_s() - before_s) / began.elapsed().as_secs_f64(), ..outcome }
    });
    let position = |name: &str| servers.iter().position(|(known, ..)| *known == name);
    let ours = ["Vestibule, SQLite", "Vestibule, PostgreSQL"].map(position);
    for (at, (name, ..)) in servers.iter().enumerate() {
        let of = |figure: fn(&Outcome) -> f64| rounds.median(at, figure);
        let ratio = |own: Option<usize>| match own {
            Some(own) if !ours.contains(&Some(at)) => format!("{:.2}", rounds.ratio(own, at)),
            _ => String::new(),
        };
        let (per_s, p50, p99, busy) = (of(|o| o.per_s), of(|o| o.p50_ms), of(|o| o.p99_ms), of(|o| o.busy));
        let ratios = ours.map(ratio).join(" | ");
        bench
            .report
            .line(&format!("| {name} | {per_s:.0} | {p50:.1} ms | {p99:.1} ms | {busy:.2} | {ratios} |"));
        bench.report.bars.push(((*name).to_owned(), per_s));
    }
}

fn show<F: Future<Output = Client>>(
    bench: &mut Bench,
    name: &str,
    server: &Process,
    tasks: usize,
    step: impl Fn(Client, Turn) -> F,
) {
    let outcome = bench.load(server, tasks, step);
    let Outcome { per_s, p50_ms, p99_ms, busy, of_signing: share } = outcome;
    bench.report.line(&format!(
        "| {name} | {tasks} | {per_s:.0} | {p50_ms:.1} ms | {p99_ms:.1} ms | {share:.2} | {busy:.2} |"
    ));
}

fn database() -> Option<String> {
    load::on_this_thread(postgres::fresh_database())
}

/// What it costs to have had many users. Each number has a server of its own, and their rounds take turns, so that a disk
/// that is slow for a while is slow for all.
fn users(bench: &mut Bench) {
    bench.report.title(
        "Scaling with users",
        "| users, and as many expired requests | per second | p50 | p99 | p99 to that of none |",
    );
    let counts = [0_u64, 100_000, 1_000_000];
    let folders = counts.map(|_| tempfile::tempdir().unwrap());
    let servers: Vec<Process> = counts
        .iter()
        .zip(&folders)
        .map(|(count, folder)| {
            drop(ours::start(folder.path(), &[]));
            fill(folder.path(), *count);
            ours::start(folder.path(), &[])
        })
        .collect();
    let rounds = rounds_in_turns(3 * bench.rounds, bench.measure, TASKS, &servers, ours::sign_in);
    let of = |server: usize, figure: fn(&Outcome) -> f64| rounds.median(server, figure);
    let first_p99_ms = of(0, |o| o.p99_ms);
    for (server, count) in counts.iter().enumerate() {
        let (per_s, p50_ms) = (of(server, |o| o.per_s), of(server, |o| o.p50_ms));
        let p99_ms = of(server, |o| o.p99_ms);
        let ratio = p99_ms / first_p99_ms;
        bench
            .report
            .line(&format!("| {count} | {per_s:.0} | {p50_ms:.1} ms | {p99_ms:.1} ms | {ratio:.2} |"));
    }
}

/// Writes users and expired requests into the database of a server that does not run.
fn fill(folder: &Path, count: u64) {
    if count == 0 {
        return;
    }
    let url = format!("sqlite://{}", folder.join(".vestibule/vestibule.db").display());
    sqlx::any::install_default_drivers();
    let numbers =
        format!("WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {count}) ");
    let environment = "(SELECT id FROM environments WHERE kind = 'default')";
    let users = format!(
        "INSERT INTO users (environment_id, id, email, email_key, created_at_ms, updated_at_ms, last_sign_in_at_ms) \
         SELECT {environment}, printf('usr_%018d', i), printf('u%d@example.org', i), printf('u%d@example.org', i), \
         1, 1, 1 FROM n"
    );
    // Not long expired: the server's clean-up leaves them for an hour.
    let requests = format!(
        "INSERT INTO auth_requests (environment_id, id, client_id, version, stage, authorization_json, browser_digest, \
         issuer, attempts_at_ms, created_at_ms, expires_at_ms) \
         SELECT {environment}, printf('%012x%038d', 1700000000000 + i, i), \
         (SELECT id FROM clients WHERE environment_id = {environment} LIMIT 1), 1, 'awaiting_email', '{{}}', \
         printf('digest%d', i), 'http://localhost', '', 1, \
         CAST(strftime('%s', 'now') AS INTEGER) * 1000 - 60000 FROM n"
    );
    load::on_this_thread(async {
        let pool = sqlx::AnyPool::connect(&url).await.unwrap();
        for insert in [users, requests] {
            pool.execute(AssertSqlSafe(numbers.clone() + &insert)).await.unwrap();
        }
        pool.close().await;
    });
}

/// What honest requests wait for while others ask and do not read.
fn unread(bench: &mut Bench) {
    const CONNECTIONS: usize = 60;
    const REQUESTS: usize = 250;
    bench.report.title(
        "Beside 60 connections that ask 250 times for a document and read nothing",
        "| | per second | p50 | p99 | resident |",
    );
    let folder = tempfile::tempdir().unwrap();
    let server = ours::start(folder.path(), &[]);
    let port = server.authority.rsplit(':').next().unwrap().parse().unwrap();
    for (name, is_attacked) in [("nobody else", false), ("with them", true)] {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        if is_attacked {
            runtime.spawn(async move {
                // Whoever is hung up on comes again.
                loop {
                    let mut clients = vec![];
                    for _ in 0..CONNECTIONS {
                        clients.push(frames::Client::connect(port, 0).await);
                    }
                    let document = frames::get("/api/v1/openapi.json");
                    for _ in 0..REQUESTS {
                        for client in &mut clients {
                            client.request(&document).await;
                        }
                    }
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            });
        }
        let Outcome { per_s, p50_ms, p99_ms, .. } = bench.load(&server, TASKS, ours::client_credentials);
        let resident = server.resident_mib();
        bench.report.line(&format!(
            "| client_credentials, {name} | {per_s:.0} | {p50_ms:.1} ms | {p99_ms:.1} ms | {resident:.1} MiB |"
        ));
        runtime.shutdown_background();
    }
}

/// What each of several servers did, round by round.
struct Rounds(Vec<Vec<Outcome>>);

impl Rounds {
    fn median(&self, server: usize, figure: fn(&Outcome) -> f64) -> f64 {
        median(self.0.iter().map(|outcomes| figure(&outcomes[server])).collect())
    }

    /// The rate of a server to that of another one, of the median round.
    fn ratio(&self, server: usize, other: usize) -> f64 {
        median(self.0.iter().map(|outcomes| outcomes[server].per_s / outcomes[other].per_s).collect())
    }
}

/// Rounds in which the servers take turns, so that a machine that is slow for a while is slow for all.
fn rounds_in_turns<F: Future<Output = Client>>(
    wanted: usize,
    measure: Duration,
    tasks: usize,
    servers: &[Process],
    step: impl Fn(Client, Turn) -> F,
) -> Rounds {
    take_turns(wanted, servers.len(), |at, round| {
        let apart = |turn: Turn| Turn { task: turn.task + 1000 * (round + tasks), ..turn };
        run(&servers[at].authority, tasks, measure, |client, turn| step(client, apart(turn)))
    })
}

/// The same where each server has to do something else: `one` makes a round at one of them.
fn take_turns(wanted: usize, servers: usize, one: impl Fn(usize, usize) -> Outcome) -> Rounds {
    let one_each = |round| (0..servers).map(|at| one(at, round)).collect();
    // The first moment fills caches and prepares statements.
    let _: Vec<Outcome> = one_each(1000);
    Rounds(quietest(wanted, one_each))
}

/// Another build of the program beside this one, in rounds that take turns.
fn before(bench: &mut Bench) {
    let Some(program) = std::env::var_os("BENCH_BEFORE") else {
        return println!("BENCH_BEFORE names no program to compare with");
    };
    let programs = [Path::new(&program), Path::new(ours::PROGRAM)];
    bench
        .report
        .title("Before and now", "| | at once | before, per second | now | ratio | p99 before | p99 now |");
    {
        let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let servers: [Process; 2] =
            std::array::from_fn(|at| ours::start_program(programs[at], folders[at].path(), &[]));
        in_turns(bench, "sign-in, SQLite", 1, &servers, ours::sign_in);
        in_turns(bench, "sign-in, SQLite", TASKS, &servers, ours::sign_in);
        in_turns(bench, "client_credentials", TASKS, &servers, ours::client_credentials);
        in_turns(bench, "refresh", TASKS, &servers, ours::refresh);
        in_turns(bench, "introspection", TASKS, &servers, ours::introspection);
        in_turns(bench, "userinfo", TASKS, &servers, ours::userinfo);
        in_turns(bench, "keys", TASKS, &servers, ours::keys);
        in_turns(bench, "headless send and verify, REST", TASKS, &servers, ours::headless);
        in_turns(bench, "headless send and verify, gRPC", TASKS, &servers, ours::headless_by_grpc);
    }
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let Some(urls) = database().zip(database()) else {
        return bench.report.line("| sign-in, PostgreSQL: not installed here | | | | | | |");
    };
    let urls = [urls.0, urls.1];
    let servers: [Process; 2] = std::array::from_fn(|at| {
        ours::start_program(programs[at], folders[at].path(), &[("DATABASE_URL", &urls[at])])
    });
    in_turns(bench, "sign-in, PostgreSQL", 1, &servers, ours::sign_in);
    in_turns(bench, "sign-in, PostgreSQL", TASKS, &servers, ours::sign_in);
}

fn in_turns<F: Future<Output = Client>>(
    bench: &mut Bench,
    name: &str,
    tasks: usize,
    servers: &[Process; 2],
    step: impl Fn(Client, Turn) -> F,
) {
    let rounds = rounds_in_turns(bench.rounds, bench.measure, tasks, servers, step);
    let of = |server: usize, figure: fn(&Outcome) -> f64| rounds.median(server, figure);
    let ratio = rounds.ratio(1, 0);
    bench.report.line(&format!(
        "| {name} | {tasks} | {:.0} | {:.0} | {ratio:.2} | {:.1} ms | {:.1} ms |",
        of(0, |o| o.per_s),
        of(1, |o| o.per_s),
        of(0, |o| o.p99_ms),
        of(1, |o| o.p99_ms),
    ));
}

/// One person after the other, for as long as is asked, with a short log of sign-ins that is cleaned up all the time.
fn soak(bench: &Bench) {
    let pause = Duration::from_millis(number("BENCH_PAUSE_MS").unwrap_or(10));
    let folder = tempfile::tempdir().unwrap();
    let server = ours::start(folder.path(), &[("VESTIBULE_FLOWS__KEEP_S", "60")]);
    let steps = std::cell::Cell::new(0_u64);
    let (begun, minute) = (Instant::now(), Duration::from_mins(1));
    println!("| minute | sign-ins | resident | rows deleted | database |\n|---|---|---|---|---|");
    while begun.elapsed() < bench.measure {
        run(&server.authority, 2, minute.min(bench.measure), |client, turn| {
            let number = steps.replace(steps.get() + 1);
            async move {
                tokio::time::sleep(pause).await;
                ours::sign_in(client, Turn { task: turn.task, turn: number as usize }).await
            }
        });
        let figures = load::on_this_thread(async {
            String::from_utf8_lossy(&Client::open(&server.authority).await.get("/metrics").await.ok().body)
                .into_owned()
        });
        let deleted = figures.lines().find_map(|l| l.strip_prefix("vestibule_expired_rows_deleted_total "));
        let database = std::fs::metadata(folder.path().join(".vestibule/vestibule.db")).unwrap().len() >> 20;
        println!(
            "| {} | {} | {:.1} MiB | {} | {database} MiB |",
            begun.elapsed().as_secs() / 60,
            steps.get(),
            server.resident_mib(),
            deleted.unwrap_or("?"),
        );
    }
}

/// Several servers on one PostgreSQL.
fn replicas(bench: &mut Bench) {
    bench.report.title("Replicas on one PostgreSQL, 16 at once", "| servers | per second | p50 | p99 |");
    let Some(url) = database() else {
        return bench.report.line("| PostgreSQL is not installed here | | | |");
    };
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let mut servers: Vec<Process> = vec![];
    for folder in &folders {
        servers.push(ours::start(folder.path(), &[("DATABASE_URL", &url)]));
        let authorities: Vec<String> = servers.iter().map(|s| s.authority.clone()).collect();
        let of_round = |round: usize| {
            let count = authorities.len();
            let apart = move |turn: Turn| Turn { task: turn.task + 100 * (round + 10 * count), ..turn };
            run_over(&authorities, 16, bench.measure, move |client, turn| ours::sign_in(client, apart(turn)))
        };
        let mut rounds = quietest(bench.rounds, of_round);
        rounds.sort_by(|a, b| a.per_s.total_cmp(&b.per_s));
        let Outcome { per_s, p50_ms, p99_ms, .. } = rounds[rounds.len() / 2];
        let count = authorities.len();
        bench.report.line(&format!("| {count} | {per_s:.0} | {p50_ms:.1} ms | {p99_ms:.1} ms |"));
    }
}
