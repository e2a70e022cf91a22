//! An application's endpoint, which responds as it is told and keeps what it was sent.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How an endpoint responds.
#[derive(Debug, Clone)]
pub enum Respond {
    With(u16),
    /// With this body.
    WithBody(u16, String),
    /// With this status and a body that never ends, a byte at a time.
    Trickle(u16),
    /// Never.
    Hang,
    /// Closes the connection without a word.
    Close,
    /// Resets the connection.
    Reset,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Received {
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Received {
    /// The value of a header; its name in small letters.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    }
}

/// An endpoint. Unless it was told otherwise it responds 200.
pub struct Receiver {
    pub url: String,
    state: Arc<State>,
}

type Rule = Box<dyn FnMut(&Received) -> Respond + Send>;

struct State {
    orders: Mutex<VecDeque<Respond>>,
    /// For requests without an order.
    rule: Mutex<Rule>,
    received: Mutex<Vec<Received>>,
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let state = Arc::new(State {
            orders: Mutex::default(),
            rule: Mutex::new(Box::new(|_| Respond::With(200))),
            received: Mutex::default(),
        });
        let receiver = Self { url, state: state.clone() };
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(serve(connection, state.clone()));
            }
        });
        receiver
    }

    /// How the next requests are responded to, one after the other.
    pub fn responds(&self, orders: impl IntoIterator<Item = Respond>) {
        *self.state.orders.lock().unwrap() = orders.into_iter().collect();
    }

    /// How requests without an order are responded to.
    pub fn responds_by(&self, rule: impl FnMut(&Received) -> Respond + Send + 'static) {
        *self.state.rule.lock().unwrap() = Box::new(rule);
    }

    /// What came so far, in its order.
    pub fn received(&self) -> Vec<Received> {
        self.state.received.lock().unwrap().clone()
    }
}

impl State {
    fn next(&self, request: Received) -> Respond {
        let order = self.orders.lock().unwrap().pop_front();
        let order = order.unwrap_or_else(|| (self.rule.lock().unwrap())(&request));
        self.received.lock().unwrap().push(request);
        order
    }
}

async fn serve(mut connection: TcpStream, state: Arc<State>) {
    let Some(request) = read(&mut connection).await else { return };
    let (status, body) = match state.next(request) {
        Respond::With(status) => (status, String::new()),
        Respond::WithBody(status, body) => (status, body),
        Respond::Trickle(status) => return trickle(connection, status).await,
        Respond::Hang => return std::future::pending().await,
        Respond::Close => return,
        Respond::Reset => return connection.set_zero_linger().unwrap(),
    };
    let length = body.len();
    let response = format!(
        "HTTP/1.1 {status} Said\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    let _ = connection.write_all(response.as_bytes()).await;
}

async fn trickle(mut connection: TcpStream, status: u16) {
    let head = format!("HTTP/1.1 {status} Said\r\nContent-Length: 1000000\r\n\r\n");
    let mut sent = connection.write_all(head.as_bytes()).await;
    while sent.is_ok() {
        tokio::time::sleep(Duration::from_millis(100)).await;
        sent = connection.write_all(b"x").await;
    }
}

/// A whole request; `None` when the connection ends before.
async fn read(connection: &mut TcpStream) -> Option<Received> {
    let mut bytes = vec![];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let lines = head.lines().skip(1).filter_map(|line| line.split_once(": "));
            let headers: Vec<_> =
                lines.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
            let request = Received { headers, body: body.to_owned() };
            if body.len() >= request.header("content-length").parse().unwrap_or(0) {
                return Some(request);
            }
        }
        let mut buffer = [0; 4096];
        match connection.read(&mut buffer).await {
            Ok(read) if read > 0 => bytes.extend_from_slice(&buffer[..read]),
            _ => return None,
        }
    }
}
