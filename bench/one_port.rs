//! `cargo bench --bench one_port`: what one port for everything costs, as ratios inside one run.
//!
//! `GET /keys` of the whole server against a plain actix server with the same routes (load by `wrk`, which has to be
//! installed), and reading a connection and headless send and verify by gRPC against REST, which is made
//! of it. One worker each. Prints Markdown.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a program for users at a terminal"
)]

#[path = "../tests/it/support/frame.rs"]
mod frame;

use std::net::TcpListener;
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use actix_web::middleware::{NormalizePath, TrailingSlash, from_fn};
use actix_web::{App as ActixApp, HttpServer, web};
use frame::frame;
use futures_util::future::join_all;
use prost::Message;
use serde_json::{Value, json};
use vestibule::api::pb::scalekit::v1::auth::passwordless::verify_password_less_request::AuthCredential;
use vestibule::api::pb::scalekit::v1::auth::passwordless::{
    SendPasswordlessRequest, SendPasswordlessResponse, VerifyPasswordLessRequest, VerifyPasswordLessResponse,
};
use vestibule::api::pb::scalekit::v1::connections::{GetConnectionResponse, GetEnvironmentConnectionRequest};
use vestibule::config::{Config, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, Source};
use vestibule::crypto::entropy::SystemEntropy;
use vestibule::domain::clock::SystemClock;
use vestibule::runtime::{EnvironmentRegistry, EnvironmentRuntime};
use vestibule::server::routes::{observed, routes};
use vestibule::server::{Deadlines, Listeners, listening, open_store, parts};

const ROUNDS: usize = 5;
const MEASURE: Duration = Duration::from_secs(4);
const TASKS: usize = 8;

const SEND: &str = "auth.passwordless.PasswordlessService/SendPasswordlessEmail";
const VERIFY: &str = "auth.passwordless.PasswordlessService/VerifyPasswordlessEmail";
const CONNECTION: &str = "connections.ConnectionService/GetEnvironmentConnection";
const CONNECTION_ID: &str = "conn_687000000000000001";

/// The same provider behind our listener and behind actix's own; returns their addresses.
fn servers(folder: &std::path::Path) -> (String, String) {
    let mut source = Source::default();
    source.add_file(
        std::path::Path::new("bench.toml"),
        "[limits]\nmails_per_address = 0\n[passwordless]\ntype = \"OTP\"\n",
    );
    let mut config = Config::read(source, folder).unwrap();
    config.data_dir = folder.to_owned();
    let bind = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (ours, plain) = (bind(), bind());
    let addresses = (ours.local_addr().unwrap().to_string(), plain.local_addr().unwrap().to_string());
    config.settle_public_urls(ours.local_addr().unwrap().port(), None);
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let opened = open_store(&config).await.unwrap();
            let parts =
                parts(&config, opened.store.clone(), Arc::new(SystemClock), Arc::new(SystemEntropy)).unwrap();
            let started = parts.start().await.unwrap();
            let provider = EnvironmentRegistry::default();
            let app: Arc<EnvironmentRuntime> = Arc::new(parts.into_runtime(started).unwrap());
            provider.fill(app);
            let other = provider.clone();
            let plain = HttpServer::new(move || {
                ActixApp::new()
                    .app_data(web::Data::new(other.clone()))
                    .wrap(from_fn(observed))
                    .wrap(NormalizePath::new(TrailingSlash::MergeOnly))
                    .configure(routes)
            })
            .workers(1)
            .disable_signals()
            .listen(plain)
            .unwrap()
            .run();
            let listeners = Listeners {
                one_port: vec![ours],
                tls_only: vec![],
                tls: None,
                ca_file: None,
                workers: Some(1),
                deadlines: Deadlines::default(),
                shutdown_timeout_s: 1,
            };
            let ours = listening(provider, listeners).unwrap();
            tell.send(()).unwrap();
            let _ = tokio::join!(ours.server, plain);
        });
    });
    told.recv().unwrap();
    addresses
}

/// Requests per second on `GET /keys`, as wrk counts them; `None` where it is not installed.
fn keys_per_second(address: &str) -> Option<f64> {
    let seconds = format!("-d{}s", MEASURE.as_secs());
    let url = format!("http://{address}/keys");
    let output = Command::new("wrk").args(["-t1", "-c32", &seconds, &url]).output().ok()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.lines().find_map(|l| l.trim().strip_prefix("Requests/sec:"))?.trim().parse().ok()
}

/// Steps per second in several tasks at once.
async fn rate<F: Future<Output = ()>>(step: impl Fn(String) -> F) -> f64 {
    let started = Instant::now();
    let runs = join_all((0..TASKS).map(|task| {
        let step = &step;
        async move {
            let mut done = 0_u32;
            while started.elapsed() < MEASURE {
                step(format!("person-{task}-{done}@example.com")).await;
                done += 1;
            }
            done
        }
    }));
    f64::from(runs.await.into_iter().sum::<u32>()) / started.elapsed().as_secs_f64()
}

/// An application's server, over one HTTP/2 connection.
struct Caller {
    http: reqwest::Client,
    address: String,
    token: String,
}

impl Caller {
    async fn new(address: &str) -> Self {
        let http = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", DEFAULT_CLIENT_ID),
            ("client_secret", DEFAULT_CLIENT_SECRET),
        ];
        let answer = http.post(format!("http://{address}/oauth/token")).form(&form).send().await.unwrap();
        let tokens: Value = answer.json().await.unwrap();
        Self { http, address: address.to_owned(), token: tokens["access_token"].as_str().unwrap().to_owned() }
    }

    async fn grpc<M: Message + Default>(&self, method: &str, message: &impl Message) -> M {
        let url = format!("http://{}/scalekit.v1.{method}", self.address);
        let request = self.http.post(url).bearer_auth(&self.token).header("content-type", "application/grpc");
        let body = request
            .header("te", "trailers")
            .body(frame(message))
            .send()
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap();
        M::decode(body.slice(5..)).unwrap()
    }

    async fn rest(&self, method: &str, body: &Value) -> Value {
        let url = format!("http://{}/api/v1/passwordless/email/{method}", self.address);
        let answer = self.http.post(url).bearer_auth(&self.token).json(body).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        answer.json().await.unwrap()
    }

    async fn code_of(&self, email: &str) -> String {
        let url = format!("http://{}/_emulator/v1/messages/latest?to={email}", self.address);
        let mail: Value = self.http.get(url).send().await.unwrap().json().await.unwrap();
        mail["code"].as_str().unwrap().to_owned()
    }

    async fn prove_by_grpc(&self, email: String) {
        let asked = SendPasswordlessRequest { email: email.clone(), ..SendPasswordlessRequest::default() };
        let sent: SendPasswordlessResponse = self.grpc(SEND, &asked).await;
        let verify = VerifyPasswordLessRequest {
            auth_credential: Some(AuthCredential::Code(self.code_of(&email).await)),
            auth_request_id: Some(sent.auth_request_id),
        };
        let proven: VerifyPasswordLessResponse = self.grpc(VERIFY, &verify).await;
        assert_eq!(proven.email, email);
    }

    async fn read_by_grpc(&self) {
        let asked = GetEnvironmentConnectionRequest { connection_id: CONNECTION_ID.to_owned() };
        let read: GetConnectionResponse = self.grpc(CONNECTION, &asked).await;
        assert!(read.connection.is_some());
    }

    async fn read_by_rest(&self) {
        let url = format!("http://{}/api/v1/connections/{CONNECTION_ID}", self.address);
        let answer = self.http.get(url).bearer_auth(&self.token).send().await.unwrap();
        let read: Value = answer.json().await.unwrap();
        assert!(read["connection"].is_object());
    }

    async fn prove_by_rest(&self, email: String) {
        let sent = self.rest("send", &json!({ "email": email })).await;
        let code = self.code_of(&email).await;
        let verify = json!({ "code": code, "auth_request_id": sent["auth_request_id"] });
        assert_eq!(self.rest("verify", &verify).await["email"], email);
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, plain) = servers(folder.path());
    println!("| measure | one | the other | ratio (median of {ROUNDS}) |\n|---|---|---|---|");
    let rounds: Option<Vec<(f64, f64)>> =
        (0..ROUNDS).map(|_| Some((keys_per_second(&ours)?, keys_per_second(&plain)?))).collect();
    match rounds {
        None => println!("| `GET /keys` | | | install wrk to measure it |"),
        Some(rounds) => println!(
            "| `GET /keys`: one port, plain actix | {:.0}/s | {:.0}/s | {:.2} |",
            median(rounds.iter().map(|r| r.0).collect()),
            median(rounds.iter().map(|r| r.1).collect()),
            median(rounds.iter().map(|r| r.0 / r.1).collect()),
        ),
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let caller = Caller::new(&ours).await;
        let mut rounds = vec![];
        for _ in 0..ROUNDS {
            let grpc = rate(|_| caller.read_by_grpc()).await;
            let rest = rate(|_| caller.read_by_rest()).await;
            rounds.push((grpc, rest));
        }
        print_rounds("read a connection: gRPC, REST", &rounds);
        let mut rounds = vec![];
        for round in 0..ROUNDS {
            let grpc = rate(|email| caller.prove_by_grpc(format!("grpc-{round}-{email}"))).await;
            let rest = rate(|email| caller.prove_by_rest(format!("rest-{round}-{email}"))).await;
            rounds.push((grpc, rest));
        }
        print_rounds("headless send and verify: gRPC, REST", &rounds);
    });
}

fn print_rounds(measure: &str, rounds: &[(f64, f64)]) {
    println!(
        "| {measure} | {:.0}/s | {:.0}/s | {:.2} |",
        median(rounds.iter().map(|r| r.0).collect()),
        median(rounds.iter().map(|r| r.1).collect()),
        median(rounds.iter().map(|r| r.0 / r.1).collect()),
    );
}
