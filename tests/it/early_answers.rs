//! Answers that are given before the request's body was read, over HTTP/1.1: whoever sends the body after all, as gRPC
//! clients do, loses nothing of what comes behind it on the same connection.

use std::time::Duration;

use rstest::rstest;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::TestServer;

/// Long enough for any machine; nothing that works takes it.
const PATIENCE: Duration = Duration::from_secs(20);

const GRPC: &str = "content-type: application/grpc\r\nte: trailers\r\n";
const JSON: &str = "content-type: application/json\r\n";
const FORM: &str = "content-type: application/x-www-form-urlencoded\r\n";
const SEND: &str = "/scalekit.v1.auth.passwordless.PasswordlessService/SendPasswordlessEmail";

/// One connection, on which one thing is said after the other.
struct Conversation(BufReader<TcpStream>);

impl Conversation {
    async fn with(server: &TestServer) -> Self {
        Self(BufReader::new(server.tcp().await))
    }

    async fn say(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        timeout(PATIENCE, self.0.read_line(&mut line)).await.expect("an answer").unwrap();
        line.trim_end().to_owned()
    }

    /// The head of an answer whose body is read away; empty where the connection ended.
    async fn answer(&mut self) -> String {
        let mut head = String::new();
        loop {
            match self.line().await {
                line if line.is_empty() => break,
                line => head.push_str(&format!("{}\n", line.to_lowercase())),
            }
        }
        let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")?.parse().ok());
        if let Some(bytes) = length {
            self.0.read_exact(&mut vec![0; bytes]).await.unwrap();
        } else if head.contains("transfer-encoding: chunked") {
            loop {
                let bytes = usize::from_str_radix(&self.line().await, 16).unwrap();
                if bytes == 0 {
                    break;
                }
                self.0.read_exact(&mut vec![0; bytes + 2]).await.unwrap();
            }
            while !self.line().await.is_empty() {}
        }
        head
    }
}

fn post(path: &str, headers: &str, bytes: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: localhost\r\n{headers}content-length: {bytes}\r\n\r\n")
}

/// The head of a request is answered, with what may already have come of its body, then comes the rest, then the next
/// request.
async fn keeps_the_next_request(
    server: &TestServer,
    path: &str,
    headers: &str,
    (first, rest): (usize, usize),
) -> String {
    let mut talk = Conversation::with(server).await;
    talk.say(&post(path, headers, first + rest)).await;
    talk.say(&"x".repeat(first)).await;
    let head = talk.answer().await;
    assert!(!head.contains("connection: close"), "{head}");
    talk.say(&"x".repeat(rest)).await;
    talk.say("GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let next = talk.answer().await;
    assert!(next.starts_with("http/1.1 200"), "after {head}came {next:?}");
    head
}

#[rstest]
#[case::a_method_that_is_not_emulated("/scalekit.v1.directories.DirectoryService/CreateDirectory", GRPC.to_owned(), (0, 5), 200)]
#[case::an_unknown_method("/scalekit.v1.dance.DanceService/Dance", GRPC.to_owned(), (0, 5), 200)]
#[case::a_call_to_an_unknown_environment("/e/nobody/scalekit.v1.dance.DanceService/Dance", GRPC.to_owned(), (0, 5), 200)]
#[case::a_deadline_that_is_over(SEND, format!("{GRPC}grpc-timeout: 0S\r\n"), (0, 5), 200)]
#[case::an_encoding_that_is_refused(SEND, format!("{GRPC}grpc-encoding: gzip\r\n"), (0, 5), 200)]
#[case::rest_without_a_token("/api/v1/passwordless/email/send", JSON.to_owned(), (100_000, 1 << 20), 401)]
#[case::rest_that_is_not_emulated("/api/v1/organizations/org_1/connections", JSON.to_owned(), (0, 5), 501)]
#[case::rest_of_an_unknown_environment("/e/nobody/oauth/token", FORM.to_owned(), (0, 5), 404)]
#[case::a_form_that_is_too_large("/oauth/token", FORM.to_owned(), (100_000, 1 << 20), 413)]
#[case::a_method_that_is_not_allowed("/keys", FORM.to_owned(), (0, 5), 405)]
#[case::a_page_that_is_not_there("/nothing", FORM.to_owned(), (0, 5), 404)]
#[tokio::test]
async fn the_next_request_is_not_lost_behind(
    #[case] path: &str,
    #[case] headers: String,
    #[case] body: (usize, usize),
    #[case] status: u16,
) {
    let server = TestServer::start().await;
    let head = keeps_the_next_request(&server, path, &headers, body).await;
    assert!(head.starts_with(&format!("http/1.1 {status}")), "{head}");
}

#[rstest]
#[case::a_status(json!({ "effect": { "kind": "status", "status": 503 } }), &[SEND, "/oauth/token"])]
#[case::an_oauth_error(json!({ "effect": { "kind": "oauth_error", "error": "server_error", "status": 500 } }), &["/oauth/token"])]
#[case::a_grpc_status(json!({ "effect": { "kind": "grpc_status", "code": "UNAVAILABLE" } }), &[SEND])]
#[tokio::test]
async fn the_next_request_is_not_lost_behind_a_fault(
    #[case] rule: serde_json::Value,
    #[case] paths: &[&str],
) {
    let server = TestServer::start().await;
    server.do_control("POST", "/faults", rule).await;
    for path in paths {
        let headers = if *path == SEND { GRPC } else { FORM };
        let head = keeps_the_next_request(&server, path, headers, (0, 5)).await;
        assert!(head.contains("x-vestibule-fault"), "{path}: {head}");
    }
}

#[rstest]
#[case::a_body_that_may_never_come("expect: 100-continue\r\n", 5)]
#[case::a_body_that_is_too_long_to_be_read_away("", 100 << 20)]
#[tokio::test]
async fn where_the_body_is_not_read_away_the_answer_announces_the_end(
    #[case] headers: &str,
    #[case] bytes: usize,
) {
    let server = TestServer::start().await;
    for (path, kind) in
        [("/scalekit.v1.directories.DirectoryService/CreateDirectory", GRPC), ("/nothing", JSON)]
    {
        let mut talk = Conversation::with(&server).await;
        talk.say(&post(path, &format!("{kind}{headers}"), bytes)).await;
        let head = talk.answer().await;
        assert!(head.contains("\nconnection: close\n"), "{path}: {head}");
    }
}
