//! `cargo bench --bench speed`: what the server gets out of the machine, as ratios of what the machine can sign.
//!
//! Starts the release binary with one worker thread on an ephemeral database and prints a table in Markdown.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a program for people at a terminal"
)]

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use vestibule::crypto::entropy::SystemEntropy;
use vestibule::crypto::signing::{SigningKey, generate_pkcs8};
use vestibule::domain::token::SigningAlgorithm;

const MEASURE: Duration = Duration::from_secs(5);
const CALLBACK: &str = "http://localhost:3000/cb";

struct Server {
    child: Child,
    url: String,
    ready_ms: u128,
}

impl Server {
    fn start(folder: &std::path::Path) -> Self {
        let file = folder.join("ready.json");
        let _ = std::fs::remove_file(&file);
        let started = Instant::now();
        let child = Command::new(env!("CARGO_BIN_EXE_vestibule"))
            .args(["--listen", "127.0.0.1:0", "--ready-file", "ready.json"])
            .current_dir(folder)
            .env("VESTIBULE_WORKERS", "1")
            .env("VESTIBULE_LIMITS__MAILS_PER_ADDRESS", "0")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        while !file.exists() {
            std::thread::sleep(Duration::from_micros(200));
        }
        let ready_ms = started.elapsed().as_millis();
        let ready: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        Self {
            child,
            url: ready["environment_url"].as_str().unwrap().replace("localhost", "127.0.0.1"),
            ready_ms,
        }
    }

    fn resident_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Signatures per second on one thread with the parsed key kept: the limit of everything that mints tokens.
fn signing_rate() -> f64 {
    let key = SigningKey::from_pkcs8(
        1,
        "snk_1",
        0,
        &generate_pkcs8(SigningAlgorithm::Rs256, &SystemEntropy).unwrap(),
    )
    .unwrap();
    let claims = serde_json::json!({ "sub": "skc_1", "aud": ["skc_1"], "exp": 1 });
    let (mut count, started) = (0u32, Instant::now());
    while started.elapsed() < MEASURE {
        key.sign(&claims).unwrap();
        count += 1;
    }
    f64::from(count) / started.elapsed().as_secs_f64()
}

/// Runs a step again and again in several tasks; returns how many were done per second, and the slowest percent.
async fn rate<F: Future<Output = ()>>(tasks: usize, step: impl Fn(usize, usize) -> F) -> (f64, Duration) {
    let started = Instant::now();
    let runs = join_all((0..tasks).map(|task| {
        let step = &step;
        async move {
            let mut times = Vec::new();
            while started.elapsed() < MEASURE {
                let before = Instant::now();
                step(task, times.len()).await;
                times.push(before.elapsed());
            }
            times
        }
    }))
    .await;
    let mut times: Vec<Duration> = runs.into_iter().flatten().collect();
    times.sort();
    let slowest = times[times.len() * 99 / 100];
    (f64::from(u32::try_from(times.len()).unwrap()) / started.elapsed().as_secs_f64(), slowest)
}

async fn sign_in(url: &str, person: String) {
    let browser = reqwest::Client::builder()
        .cookie_store(true)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let address = format!("{person}@example.com");
    let query = [
        ("response_type", "code"),
        ("client_id", vestibule::config::DEFAULT_CLIENT_ID),
        ("redirect_uri", CALLBACK),
        ("login_hint", &address),
    ];
    let page = browser.get(format!("{url}/oauth/authorize")).query(&query).send().await.unwrap();
    let page = page.headers()["location"].to_str().unwrap().to_owned();
    let mail = browser
        .get(format!("{url}/_emulator/v1/messages/latest"))
        .query(&[("to", &address)])
        .send()
        .await
        .unwrap();
    let mail: serde_json::Value = mail.json().await.unwrap();
    let code = mail["code"].as_str().unwrap();
    let back = browser.post(format!("{page}/code")).form(&[("code", code)]).send().await.unwrap();
    let back = url::Url::parse(back.headers()["location"].to_str().unwrap()).unwrap();
    let code = back.query_pairs().find(|(n, _)| n == "code").unwrap().1.into_owned();
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", CALLBACK),
        ("client_id", vestibule::config::DEFAULT_CLIENT_ID),
        ("client_secret", vestibule::config::DEFAULT_CLIENT_SECRET),
    ];
    let tokens = browser.post(format!("{url}/oauth/token")).form(&form).send().await.unwrap();
    assert_eq!(tokens.status().as_u16(), 200);
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let first = Server::start(folder.path());
    let first_ms = first.ready_ms;
    drop(first);
    let server = Server::start(folder.path());
    let idle_mib = server.resident_mib();
    let limit = signing_rate();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let http = reqwest::Client::new();
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", vestibule::config::DEFAULT_CLIENT_ID),
        ("client_secret", vestibule::config::DEFAULT_CLIENT_SECRET),
    ];
    let (own, own_p99) = runtime.block_on(rate(16, |_, _| async {
        let answer = http.post(format!("{}/oauth/token", server.url)).form(&form).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        answer.bytes().await.unwrap();
    }));
    let (whole, whole_p99) =
        runtime.block_on(rate(8, |task, turn| sign_in(&server.url, format!("person-{task}-{turn}"))));
    println!("| measure | value | of the signing rate |\n|---|---|---|");
    println!("| RS256 signatures, cached key, one thread | {limit:.0}/s | 1 |");
    println!("| client_credentials, one worker | {own:.0}/s, p99 {own_p99:.1?} | {:.2} |", own / limit);
    println!(
        "| whole sign-in, one worker, SQLite | {whole:.0}/s, p99 {whole_p99:.1?} | {:.2} |",
        whole / limit
    );
    println!("| ready: first start, with a stored key | {first_ms} ms, {} ms | |", server.ready_ms);
    println!(
        "| resident memory: idle, after this run | {idle_mib:.1} MiB, {:.1} MiB | |",
        server.resident_mib()
    );
}
