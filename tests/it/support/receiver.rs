//! An application's endpoint, which responds as it is told and keeps what it was sent.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How an endpoint responds.
#[derive(Debug, Clone)]
pub enum Respond {
    With(u16),
    /// With this body.
    WithBody(u16, String),
    /// Never.
    Hang,
    /// Closes the connection without a word.
    Close,
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

/// An endpoint. Without an order it responds 200.
pub struct Receiver {
    pub url: String,
    orders: Arc<Mutex<VecDeque<Respond>>>,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let receiver = Self { url, orders: Arc::default(), received: Arc::default() };
        let (orders, received) = (receiver.orders.clone(), receiver.received.clone());
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(serve(connection, orders.clone(), received.clone()));
            }
        });
        receiver
    }

    /// How the next requests are responded to, one after the other.
    pub fn responds(&self, orders: impl IntoIterator<Item = Respond>) {
        *self.orders.lock().unwrap() = orders.into_iter().collect();
    }

    /// What came so far, in its order.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

async fn serve(
    mut connection: TcpStream,
    orders: Arc<Mutex<VecDeque<Respond>>>,
    received: Arc<Mutex<Vec<Received>>>,
) {
    let Some(request) = read(&mut connection).await else { return };
    received.lock().unwrap().push(request);
    let order = orders.lock().unwrap().pop_front().unwrap_or(Respond::With(200));
    let (status, body) = match order {
        Respond::With(status) => (status, String::new()),
        Respond::WithBody(status, body) => (status, body),
        Respond::Hang => return std::future::pending().await,
        Respond::Close => return,
    };
    let length = body.len();
    let response = format!(
        "HTTP/1.1 {status} Said\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    let _ = connection.write_all(response.as_bytes()).await;
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
