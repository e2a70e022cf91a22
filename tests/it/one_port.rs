//! One port for everything: protocols, TLS, limits, and the end of connections.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rstest::rstest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};
use vestibule::server::Deadlines;

use crate::support::TestServer;
use crate::support::grpc::tls_over;

/// Long enough for any machine; nothing that works takes it.
const PATIENCE: Duration = Duration::from_secs(20);

type Sender = hyper::client::conn::http2::SendRequest<Full<Bytes>>;
type Connection = tokio::task::JoinHandle<Result<(), hyper::Error>>;

async fn http2(server: &TestServer) -> (Sender, Connection) {
    let io = TokioIo::new(server.tcp().await);
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    (sender, tokio::spawn(connection))
}

fn get(server: &TestServer, path: &str) -> http::Request<Full<Bytes>> {
    http::Request::get(format!("{}{path}", server.url)).body(Full::default()).unwrap()
}

/// Everything a server says until it hangs up.
async fn to_the_end(mut io: impl tokio::io::AsyncRead + Unpin) -> String {
    let mut said = vec![];
    let _ = timeout(PATIENCE, io.read_to_end(&mut said)).await.expect("the server hangs up");
    String::from_utf8_lossy(&said).into_owned()
}

/// A short-tempered server.
async fn impatient() -> TestServer {
    let short = Duration::from_millis(300);
    let deadlines = Deadlines {
        handshake: short,
        request_head: short,
        request_body: short,
        answer: short,
        idle: short,
        ping: PATIENCE,
        start: short,
    };
    TestServer::with_deadlines(deadlines).await
}

const KEYS: &str = "GET /keys HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

#[rstest]
#[case::alpn_http1(&["http/1.1"])]
#[case::both(&["http/1.1", "h2"])]
#[case::none(&[])]
#[tokio::test]
async fn tls_and_plaintext_share_the_port(#[case] alpn: &[&str]) {
    let server = TestServer::start().await;
    let mut plain = server.tcp().await;
    plain.write_all(KEYS.as_bytes()).await.unwrap();
    assert!(to_the_end(plain).await.starts_with("HTTP/1.1 200"));
    let mut tls = server.tls(alpn).await;
    if tls.get_ref().1.alpn_protocol() != Some(b"h2") {
        tls.write_all(KEYS.as_bytes()).await.unwrap();
        assert!(to_the_end(tls).await.starts_with("HTTP/1.1 200"));
        return;
    }
    // Whoever can do both gets HTTP/2.
    let io = TokioIo::new(tls);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let response = sender.send_request(get(&server, "/keys")).await.unwrap();
    assert_eq!((response.status(), response.version()), (http::StatusCode::OK, http::Version::HTTP_2));
}

#[tokio::test]
async fn the_scheme_of_the_connection_chooses_the_issuer() {
    let server = TestServer::start().await;
    let said = get_by_tls(&server, "/.well-known/openid-configuration").await;
    assert!(said.contains(&format!(r#""issuer":"{}""#, server.https_url)), "{said}");
    let plain = server.get("/.well-known/openid-configuration").await;
    assert_eq!(plain.json()["issuer"], server.url);
}

/// A GET by TLS.
async fn get_by_tls(server: &TestServer, path: &str) -> String {
    let mut tls = server.tls(&["http/1.1"]).await;
    let host = server.url.trim_start_matches("http://");
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    tls.write_all(request.as_bytes()).await.unwrap();
    to_the_end(tls).await
}

#[tokio::test]
async fn http_2_carries_pages_and_bodies_and_strips_those_of_head() {
    let server = TestServer::start().await;
    let (mut sender, _connection) = http2(&server).await;
    let page = sender.send_request(get(&server, "/_emulator/inbox")).await.unwrap();
    assert_eq!(page.status(), 200);
    assert!(!page.into_body().collect().await.unwrap().to_bytes().is_empty());
    let head = http::Request::head(format!("{}/keys", server.url)).body(Full::default()).unwrap();
    let response = sender.send_request(head).await.unwrap();
    let length: u64 = response.headers()["content-length"].to_str().unwrap().parse().unwrap();
    assert!(length > 100, "HEAD tells how long the body would be");
    assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
}

#[tokio::test]
async fn an_upload_that_is_refused_early_still_gets_its_answer() {
    let server = TestServer::start().await;
    let body = Bytes::from(vec![b'x'; 5 << 20]);
    let (mut sender, _connection) = http2(&server).await;
    for path in ["/oauth/token", "/api/v1/passwordless/email/send"] {
        let request =
            http::Request::post(format!("{}{path}", server.url)).body(Full::new(body.clone())).unwrap();
        let response = timeout(PATIENCE, sender.send_request(request)).await.unwrap().unwrap();
        let status = response.status().as_u16();
        assert!(matches!(status, 401 | 413), "{path}: {status}");
        response.into_body().collect().await.expect("the whole answer");
        // The connection is good for the next request.
        assert_eq!(sender.send_request(get(&server, "/keys")).await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn silence_is_hung_up_on() {
    let server = impatient().await;
    assert_eq!(to_the_end(server.tcp().await).await, "", "nothing said");
    let mut half_tls = server.tcp().await;
    half_tls.write_all(&[0x16, 3, 1]).await.unwrap();
    to_the_end(half_tls).await;
    let mut half_preface = server.tcp().await;
    half_preface.write_all(b"PRI * HT").await.unwrap();
    to_the_end(half_preface).await;
    let mut half_head = server.tcp().await;
    half_head.write_all(b"GET /keys HTTP/1.1\r\nhost: loc").await.unwrap();
    to_the_end(half_head).await;
    // HTTP/2 said hello, and nothing more.
    let (_sender, connection) = http2(&server).await;
    let _ = timeout(PATIENCE, connection).await.expect("the server hangs up");
}

#[tokio::test]
async fn headers_in_drops_do_not_hold_a_connection() {
    let server = impatient().await;
    let mut slow = server.tcp().await;
    let begun = Instant::now();
    slow.write_all(b"GET /keys HTTP/1.1\r\n").await.unwrap();
    while slow.write_all(b"x: y\r\n").await.is_ok() {
        assert!(begun.elapsed() < PATIENCE, "the server goes on listening");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_body_in_drops_is_given_up() {
    let server = impatient().await;
    let mut slow = server.tcp().await;
    let head = "POST /oauth/token HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\
                content-type: application/x-www-form-urlencoded\r\n\r\ngrant_type=";
    slow.write_all(head.as_bytes()).await.unwrap();
    let said = to_the_end(slow).await;
    assert!(said.starts_with("HTTP/1.1 400"), "{said}");
    assert!(said.contains("\r\nconnection: close\r\n"), "{said}");
}

#[tokio::test]
async fn idle_connections_are_closed_in_good_order() {
    let server = impatient().await;
    let mut http1 = server.tcp().await;
    http1.write_all(b"GET /keys HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    assert!(to_the_end(http1).await.starts_with("HTTP/1.1 200"), "answered, then closed");
    let (mut sender, connection) = http2(&server).await;
    assert_eq!(sender.send_request(get(&server, "/keys")).await.unwrap().status(), 200);
    let ended = timeout(PATIENCE, connection).await.expect("the server closes").unwrap();
    assert!(ended.is_ok(), "GOAWAY, not a reset: {ended:?}");
}

#[tokio::test]
async fn a_request_under_way_is_not_idle() {
    let server = impatient().await;
    let (mut sender, _connection) = http2(&server).await;
    // Waits for an email three times as long as an idle connection may live.
    let path = "/_emulator/v1/messages/latest?to=nobody@example.com&wait_ms=900";
    let response = sender.send_request(get(&server, path)).await.unwrap();
    assert_eq!(response.status(), 404);
}

/// A server that is patient with everything but answers that nobody takes.
async fn impatient_with_answers() -> TestServer {
    let deadlines = Deadlines {
        handshake: PATIENCE,
        request_head: PATIENCE,
        request_body: PATIENCE,
        answer: Duration::from_millis(300),
        idle: PATIENCE,
        ping: PATIENCE,
        start: PATIENCE,
    };
    TestServer::with_deadlines(deadlines).await
}

const DOCUMENT: &str = "/api/v1/openapi.json";

/// As many requests at once on a connection of HTTP/1.1, the last of which ends it.
fn pipelined(requests: usize) -> String {
    let ask = |more: &str| format!("GET {DOCUMENT} HTTP/1.1\r\nhost: localhost\r\n{more}\r\n");
    ask("").repeat(requests - 1) + &ask("connection: close\r\n")
}

/// Connects with a receive buffer that is soon full.
async fn with_small_buffer(server: &TestServer) -> tokio::net::TcpStream {
    let port: u16 = server.url.rsplit(':').next().unwrap().parse().unwrap();
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16_384).unwrap();
    socket.connect(([127, 0, 0, 1], port).into()).await.unwrap()
}

#[rstest]
#[case::a_document(DOCUMENT)]
#[case::a_long_poll("/_emulator/v1/messages/latest?to=nobody@example.com&wait_ms=1")]
#[case::events_of_the_server("/_emulator/v1/messages/events")]
#[tokio::test]
async fn what_an_http_2_client_does_not_take_ends_its_connection(#[case] path: &str) {
    let server = impatient_with_answers().await;
    let port = server.url.rsplit(':').next().unwrap().parse().unwrap();
    // It answers pings, and never opens a window.
    let mut client = crate::support::frames::Client::connect(port, 0).await;
    client.request(&crate::support::frames::get(path)).await;
    let begun = Instant::now();
    while client.answers.load(std::sync::atomic::Ordering::Relaxed) == 0 {
        assert!(begun.elapsed() < PATIENCE, "no answer begins");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Something to tell those who wait for events.
    server.person().start("jane@example.com").await;
    timeout(PATIENCE, &mut client.reader).await.expect("the server hangs up").unwrap();
}

#[tokio::test]
async fn what_an_http_1_client_does_not_take_ends_its_connection() {
    let server = impatient_with_answers().await;
    let mut lazy = with_small_buffer(&server).await;
    // More than the kernel keeps for both sides.
    let _ = timeout(Duration::from_secs(2), lazy.write_all(pipelined(400).as_bytes())).await;
    let begun = Instant::now();
    while lazy.try_write(b"x").map_or_else(|e| e.kind() == std::io::ErrorKind::WouldBlock, |_| true) {
        assert!(begun.elapsed() < PATIENCE, "the connection stands");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn whoever_takes_a_little_at_a_time_gets_all_of_it() {
    let server = impatient_with_answers().await;
    let mut slow = with_small_buffer(&server).await;
    // As much as the server's kernel keeps and a little more: what it keeps, it reports as taken.
    let requests = 3_000_000 / server.get(DOCUMENT).await.body.len();
    slow.write_all(pipelined(requests).as_bytes()).await.unwrap();
    let (mut said, mut buffer, begun) = (vec![], vec![0; 65_536], Instant::now());
    loop {
        let read = timeout(PATIENCE, slow.read(&mut buffer)).await.unwrap().expect("no reset");
        if read == 0 {
            break;
        }
        said.extend_from_slice(&buffer[..read]);
        // Slowly, as far as it takes longer than an answer that nobody takes may wait.
        if begun.elapsed() < Duration::from_millis(900) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let answers = String::from_utf8_lossy(&said).matches("HTTP/1.1 200").count();
    assert_eq!(answers, requests);
}

#[tokio::test]
async fn whoever_waits_for_something_that_does_not_come_yet_is_left_alone() {
    let server = impatient_with_answers().await;
    let (mut sender, _connection) = http2(&server).await;
    let events = sender.send_request(get(&server, "/_emulator/v1/messages/events")).await.unwrap();
    // Three times as long as an answer may wait that is not taken.
    let path = "/_emulator/v1/messages/latest?to=nobody@example.com&wait_ms=900";
    assert_eq!(sender.send_request(get(&server, path)).await.unwrap().status(), 404);
    server.person().start("jane@example.com").await;
    let first = timeout(PATIENCE, events.into_body().frame()).await.unwrap().unwrap().unwrap();
    assert!(String::from_utf8_lossy(first.data_ref().unwrap()).contains("jane@example.com"));
}

#[tokio::test]
async fn a_stopping_server_answers_what_is_under_way_and_says_goaway() {
    let server = TestServer::start().await;
    let (mut sender, connection) = http2(&server).await;
    let path = "/_emulator/v1/messages/latest?to=jane@example.com&wait_ms=10000";
    let waiting = tokio::spawn(sender.send_request(get(&server, path)));
    // The next answer on the same connection proves that the first request is being served.
    assert_eq!(sender.send_request(get(&server, "/keys")).await.unwrap().status(), 200);
    server.stop.say_goodbye();
    let mut refused = false;
    let begun = Instant::now();
    while !refused {
        // Until the GOAWAY has arrived, requests may still be taken.
        refused = sender.ready().await.is_err() || sender.send_request(get(&server, "/keys")).await.is_err();
        assert!(begun.elapsed() < PATIENCE, "a stopping server goes on taking requests");
    }
    server.provider.stop_waiting();
    let answer = timeout(PATIENCE, waiting).await.unwrap().unwrap().unwrap();
    assert_eq!(answer.status(), 404, "no email came, and the answer says so");
    drop(answer);
    assert!(timeout(PATIENCE, connection).await.expect("then it closes").unwrap().is_ok());
}

#[tokio::test]
async fn keep_alive_pings_are_tolerated() {
    let server = TestServer::start().await;
    let io = TokioIo::new(server.tcp().await);
    let (mut sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .timer(hyper_util::rt::TokioTimer::new())
        .keep_alive_interval(Duration::from_millis(10))
        .keep_alive_timeout(PATIENCE)
        .keep_alive_while_idle(true)
        .handshake(io)
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    assert_eq!(sender.send_request(get(&server, "/keys")).await.unwrap().status(), 200);
    // A hundred pings, at least.
    let mut interval = tokio::time::interval(Duration::from_millis(10));
    for _ in 0..100 {
        interval.tick().await;
    }
    assert!(!connection.is_finished(), "the connection stands");
    assert_eq!(sender.send_request(get(&server, "/keys")).await.unwrap().status(), 200);
}

#[tokio::test]
async fn headers_beyond_measure_are_refused_by_both_versions() {
    let server = TestServer::start().await;
    // A page says what to do; far beyond, nothing is read any more.
    for (bytes, is_page) in [(40_000, true), (200_000, false)] {
        let large = "x".repeat(bytes);
        let mut http1 = server.tcp().await;
        let request = format!(
            "GET /keys HTTP/1.1\r\nhost: localhost\r\naccept: text/html\r\nconnection: close\r\nx-large: {large}\r\n\r\n"
        );
        // The server may hang up before it was sent all of it.
        let _ = http1.write_all(request.as_bytes()).await;
        let said = to_the_end(http1).await;
        assert_eq!(said.contains("Delete the cookies of this address"), is_page, "{said}");
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 431"), "{said}");
        let (mut sender, _connection) = http2(&server).await;
        let mut request = get(&server, "/keys");
        request.headers_mut().insert("x-large", large.parse().unwrap());
        request.headers_mut().insert("accept", "text/html".parse().unwrap());
        match sender.send_request(request).await {
            Ok(response) => {
                assert_eq!(response.status(), 431);
                let page = response.into_body().collect().await.unwrap().to_bytes();
                assert_eq!(String::from_utf8_lossy(&page).contains("Delete the cookies"), is_page);
            }
            Err(_) => assert!(!is_page),
        }
    }
    // Programs are told in their own way.
    let large = "x".repeat(40_000);
    let said =
        server.http().get(format!("{}/keys", server.url)).header("cookie", large).send().await.unwrap();
    assert_eq!(said.status(), 431);
    assert_eq!(said.json::<serde_json::Value>().await.unwrap()["error"], "invalid_request");
}

#[tokio::test]
async fn a_certificate_of_ones_own_is_served_and_read_again_when_it_changes() {
    use crate::command_line::Running;
    use vestibule::server::LocalCa;
    let folder = tempfile::tempdir().unwrap();
    let now_ms = vestibule::domain::clock::Clock::now_ms(&vestibule::domain::clock::SystemClock);
    // Two authorities, as if the certificate were renewed elsewhere.
    let issue = |name: &str| {
        let names = ["localhost".to_owned()];
        let ca = LocalCa::open_or_create(&folder.path().join(name), &names, now_ms).unwrap();
        let leaf = ca.leaf(&names, now_ms).unwrap();
        (std::fs::read(ca.file()).unwrap(), std::fs::read_to_string(leaf).unwrap())
    };
    let (first_ca, first) = issue("first");
    let (second_ca, second) = issue("second");
    let file = folder.path().join("own.pem");
    std::fs::write(&file, first).unwrap();
    std::fs::write(
        folder.path().join("vestibule.toml"),
        "[tls]\ncertificate = \"own.pem\"\nkey = \"own.pem\"\n",
    )
    .unwrap();
    let server = Running::start(folder.path(), &[]);
    assert!(server.ready["ca_file"].is_null(), "nothing of ours to trust");
    let shakes_hands = async |ca: &[u8]| {
        let port: u16 = server.ready["listen"].as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap();
        let tcp = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        tls_over(tcp, ca, &[]).await.is_ok()
    };
    assert!(shakes_hands(&first_ca).await);
    assert!(!shakes_hands(&second_ca).await);
    // A broken file changes nothing; the next good one does.
    std::fs::write(&file, "half written").unwrap();
    std::fs::write(folder.path().join("next.pem"), second).unwrap();
    assert!(shakes_hands(&first_ca).await);
    std::fs::rename(folder.path().join("next.pem"), &file).unwrap();
    let begun = Instant::now();
    while !shakes_hands(&second_ca).await {
        assert!(begun.elapsed() < PATIENCE, "the new certificate is never served");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(!shakes_hands(&first_ca).await);
}
