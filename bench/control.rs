//! `cargo bench --bench control`: how long tests wait for the control API. Starts the release binary on an ephemeral
//! database and prints a table in Markdown.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a program for users at a terminal"
)]

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const ROUNDS: usize = 51;
const CALLBACK: &str = "http://localhost:3000/cb";

struct Server {
    child: Child,
    url: String,
    client_id: String,
}

impl Server {
    fn start(folder: &std::path::Path) -> Self {
        let file = folder.join("ready.json");
        let child = Command::new(env!("CARGO_BIN_EXE_vestibule"))
            .args(["--ephemeral", "--listen", "127.0.0.1:0", "--ready-file", "ready.json"])
            .current_dir(folder)
            .env("VESTIBULE_LIMITS__MAILS_PER_ADDRESS", "0")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        while !file.exists() {
            std::thread::sleep(Duration::from_micros(200));
        }
        let ready: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let text = |name: &str| ready[name].as_str().unwrap().to_owned();
        Self {
            child,
            url: text("environment_url").replace("localhost", "127.0.0.1"),
            client_id: text("client_id"),
        }
    }

    fn resident_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }

    fn control(&self, path: &str) -> String {
        format!("{}/_emulator/v1{path}", self.url)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Median and slowest, in milliseconds.
fn show(name: &str, goal: &str, mut times: Vec<Duration>) {
    times.sort();
    let ms = |d: Duration| d.as_secs_f64() * 1000.0;
    println!(
        "| {name} | {:.1} ms, {:.1} ms | {goal} |",
        ms(times[times.len() / 2]),
        ms(times[times.len() - 1])
    );
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    println!("| measure | median, slowest of {ROUNDS} | goal |\n|---|---|---|");

    let mut times = vec![];
    for round in 0..ROUNDS {
        let address = format!("p{round}@example.com");
        let latest = http.get(server.control("/messages/latest")).query(&[("to", address.as_str())]).send();
        let waiting = tokio::spawn(async move {
            let mail: Value = latest.await.unwrap().json().await.unwrap();
            assert!(mail["code"].is_string());
            Instant::now()
        });
        let sending = http.get(format!("{}/oauth/authorize", server.url)).query(&[
            ("response_type", "code"),
            ("client_id", &server.client_id),
            ("redirect_uri", CALLBACK),
            ("login_hint", &address),
        ]);
        assert_eq!(sending.send().await.unwrap().status(), 303);
        let sent = Instant::now();
        times.push(waiting.await.unwrap().saturating_duration_since(sent));
    }
    show("`messages/latest` after the answer to the send", "10 ms", times);

    let users: Vec<Value> = (0..1000).map(|n| json!({ "email": format!("u{n}@example.com") })).collect();
    let seeded = http.post(server.control("/seed")).json(&json!({ "users": users })).send().await.unwrap();
    assert_eq!(seeded.status(), 200);
    let mut times = vec![];
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        assert_eq!(http.post(server.control("/reset")).send().await.unwrap().status(), 204);
        times.push(begun.elapsed());
    }
    show("`reset` to a seed of 1,000 users", "10 ms", times);

    let mut times = vec![];
    for _ in 0..200 {
        let begun = Instant::now();
        let made = http.post(server.control("/environments")).json(&json!({})).send().await.unwrap();
        assert_eq!(made.status(), 201);
        times.push(begun.elapsed());
    }
    show("a new environment", "50 ms", times);
    println!("| resident memory with 200 environments | {:.1} MiB | 60 MB |", server.resident_mib());
}
