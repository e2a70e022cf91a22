//! The load: few connections that are kept, requests made by hand, one thread. What it costs itself is measured too.

use std::future::Future;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::TcpStream;

use super::frame::frame;

/// A connection to a server, with the cookies of one browser.
pub struct Client {
    sender: SendRequest<Full<Bytes>>,
    /// The connection for gRPC, from its first call on.
    http2: Option<http2::SendRequest<Full<Bytes>>>,
    authority: String,
    cookies: Vec<(String, String)>,
    /// What a step leaves for the next one on this connection, such as a refresh token.
    pub memory: String,
}

/// An answer, read to its end.
pub struct Answer {
    pub status: StatusCode,
    pub location: Option<String>,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}", self.text()))
    }

    pub fn text(&self) -> String {
        format!("{} {}", self.status, String::from_utf8_lossy(&self.body))
    }

    /// Ends the run unless it went well: a fast error is no result.
    pub fn ok(self) -> Self {
        assert!(self.status.is_success() || self.status.is_redirection(), "{}", self.text());
        self
    }

    /// Where it leads, without scheme and host.
    pub fn next(&self) -> String {
        let location = self.location.as_deref().unwrap_or_else(|| panic!("no redirect: {}", self.text()));
        match location.split_once("://").map(|(_, rest)| rest) {
            Some(rest) => rest.find('/').map_or_else(|| "/".to_owned(), |at| rest[at..].to_owned()),
            None => location.to_owned(),
        }
    }

    /// A parameter of where it leads.
    pub fn parameter(&self, name: &str) -> String {
        let location = self.location.as_deref().unwrap_or_else(|| panic!("no redirect: {}", self.text()));
        let query = location.split_once('?').map(|(_, query)| query).unwrap_or_default();
        let found = url::form_urlencoded::parse(query.as_bytes()).find(|(n, _)| n == name);
        found.unwrap_or_else(|| panic!("no {name} in {location}")).1.into_owned()
    }
}

impl Client {
    /// `authority` is host and port.
    pub async fn open(authority: &str) -> Self {
        let (sender, connection) = handshake(connected(authority).await).await.unwrap();
        tokio::task::spawn_local(connection);
        Self { sender, http2: None, authority: authority.to_owned(), cookies: vec![], memory: String::new() }
    }

    /// Another person sits down: no cookies.
    pub fn forget(&mut self) {
        self.cookies.clear();
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path).body(Full::default()).unwrap()).await
    }

    pub async fn get_with(&mut self, path: &str, authorization: &str) -> Answer {
        let request = self.request(Method::GET, path).header(header::AUTHORIZATION, authorization);
        self.send(request.body(Full::default()).unwrap()).await
    }

    pub async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.send_form(self.request(Method::POST, path), form).await
    }

    /// `authorization` may be empty.
    pub async fn post_json(&mut self, path: &str, authorization: &str, value: &serde_json::Value) -> Answer {
        let mut request = self.request(Method::POST, path);
        if !authorization.is_empty() {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let request = request.header(header::CONTENT_TYPE, "application/json");
        self.send(request.body(Full::from(value.to_string())).unwrap()).await
    }

    /// A gRPC call with one message each way; anything but `OK` ends the run.
    pub async fn call<M: Message + Default>(
        &mut self,
        path: &str,
        authorization: &str,
        message: &impl Message,
    ) -> M {
        if self.http2.is_none() {
            let io = connected(&self.authority).await;
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::task::spawn_local(connection);
            self.http2 = Some(sender);
        }
        let request = Request::post(format!("http://{}{path}", self.authority))
            .header(header::AUTHORIZATION, authorization)
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers")
            .body(Full::from(frame(message)))
            .unwrap();
        let response = self.http2.as_mut().unwrap().send_request(request).await.unwrap();
        let body = response.into_body().collect().await.unwrap();
        let status = body.trailers().and_then(|trailers| trailers.get("grpc-status")).cloned();
        assert_eq!(status.unwrap(), "0", "{path}");
        M::decode(body.to_bytes().slice(FRAME_HEAD_BYTES..)).unwrap()
    }

    async fn send_form(&mut self, request: http::request::Builder, form: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request.body(Full::from(body)).unwrap()).await
    }

    fn request(&self, method: Method, path: &str) -> http::request::Builder {
        let mut request =
            Request::builder().method(method).uri(path).header(header::HOST, self.authority.as_str());
        if !self.cookies.is_empty() {
            let cookies = self.cookies.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>();
            request = request.header(header::COOKIE, cookies.join("; "));
        }
        request
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> Answer {
        if self.sender.ready().await.is_err() {
            // Some servers close a connection after so many requests.
            let (cookies, memory) = (std::mem::take(&mut self.cookies), std::mem::take(&mut self.memory));
            *self = Self { cookies, memory, ..Self::open(&self.authority).await };
            self.sender.ready().await.unwrap();
        }
        let response = self.sender.send_request(request).await.unwrap();
        let (head, body) = response.into_parts();
        for cookie in head.headers.get_all(header::SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                self.cookies.retain(|(n, _)| n != name);
                if !value.is_empty() {
                    self.cookies.push((name.to_owned(), value.to_owned()));
                }
            }
        }
        let location = head.headers.get(header::LOCATION).map(|v| v.to_str().unwrap().to_owned());
        Answer { status: head.status, location, body: body.collect().await.unwrap().to_bytes() }
    }
}

/// Before each message of gRPC: whether it is compressed, and its length.
const FRAME_HEAD_BYTES: usize = 5;

async fn connected(authority: &str) -> TokioIo<TcpStream> {
    let tcp = TcpStream::connect(authority).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    TokioIo::new(tcp)
}

/// What came of a load.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    pub per_s: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// How many processors the server kept busy, where that was measured.
    pub busy: f64,
    /// The rate as a share of what one thread signed before and after, where that was measured.
    pub of_signing: f64,
}

/// Which of the tasks, and its how manyeth turn: together they make every person another one.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    pub task: usize,
    pub turn: usize,
}

impl std::fmt::Display for Turn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.task, self.turn)
    }
}

/// Repeats a step on so many connections at once for so long.
pub fn run<F: Future<Output = Client>>(
    authority: &str,
    tasks: usize,
    measure: Duration,
    step: impl Fn(Client, Turn) -> F,
) -> Outcome {
    run_over(&[authority.to_owned()], tasks, measure, step)
}

/// The same over several servers, a connection each in turn.
pub fn run_over<F: Future<Output = Client>>(
    authorities: &[String],
    tasks: usize,
    measure: Duration,
    step: impl Fn(Client, Turn) -> F,
) -> Outcome {
    on_this_thread(async {
        let started = Instant::now();
        let runs = (0..tasks).map(|task| {
            let (step, authority) = (&step, &authorities[task % authorities.len()]);
            async move {
                let mut client = Client::open(authority).await;
                let mut times_s = Vec::new();
                while started.elapsed() < measure {
                    let before = Instant::now();
                    client = step(client, Turn { task, turn: times_s.len() }).await;
                    times_s.push(before.elapsed().as_secs_f64());
                }
                times_s
            }
        });
        let mut times_s: Vec<f64> = join_all(runs).await.into_iter().flatten().collect();
        let per_s = times_s.len() as f64 / started.elapsed().as_secs_f64();
        times_s.sort_by(f64::total_cmp);
        let at = |share: f64| times_s[((times_s.len() - 1) as f64 * share) as usize] * 1000.0;
        Outcome { per_s, p50_ms: at(0.5), p99_ms: at(0.99), busy: 0.0, of_signing: 0.0 }
    })
}

/// Runs what talks to servers.
pub fn on_this_thread<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, work)
}
