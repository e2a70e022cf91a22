//! A gRPC client of the plainest kind, over HTTP/2 or HTTP/1.1, so that tests see what is on the wire.

use std::io::BufReader;
use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use vestibule::api::pb::google::rpc;
use vestibule::api::pb::scalekit::v1::errdetails::ErrorInfo;

use super::TestServer;
pub use super::frame::frame;

/// How the connection is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// HTTP/2 by prior knowledge, as Scalekit's Node SDK on http://.
    H2c,
    /// HTTP/1.1 with trailers, as the Go SDK on http://.
    Http1,
    /// TLS with ALPN h2, as all SDKs on https://.
    Tls,
    /// TLS without ALPN: HTTP/1.1.
    TlsWithoutAlpn,
}

impl Wire {
    pub const ALL: [Self; 4] = [Self::H2c, Self::Http1, Self::Tls, Self::TlsWithoutAlpn];
}

/// What a call came to.
#[derive(Debug)]
pub struct Answer {
    pub http_status: u16,
    /// Headers and trailers together.
    pub headers: http::HeaderMap,
    message: Option<Bytes>,
}

impl Answer {
    pub fn status(&self) -> i32 {
        self.text("grpc-status").parse().unwrap()
    }

    pub fn text(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    pub fn message<M: Message + Default>(&self) -> M {
        assert_eq!(self.status(), 0, "{:?}", self.headers);
        M::decode(self.message.clone().unwrap()).unwrap()
    }

    /// The message as it was sent.
    pub fn bytes(&self) -> Bytes {
        assert_eq!(self.status(), 0, "{:?}", self.headers);
        self.message.clone().unwrap()
    }

    /// Status, message and ErrorInfo, which must agree with the headers.
    pub fn error(&self) -> (i32, String, ErrorInfo) {
        let details =
            STANDARD_NO_PAD.decode(self.text("grpc-status-details-bin").trim_end_matches('=')).unwrap();
        let status = rpc::Status::decode(details.as_slice()).unwrap();
        assert_eq!(status.code, self.status(), "details and status agree");
        assert_eq!(status.details[0].type_url, "type.googleapis.com/scalekit.v1.errdetails.ErrorInfo");
        let info = ErrorInfo::decode(status.details[0].value.as_slice()).unwrap();
        (status.code, status.message, info)
    }

    /// Status and error code.
    pub fn refusal(&self) -> (i32, String) {
        let (status, _, info) = self.error();
        (status, info.error_code)
    }
}

impl Answer {
    /// Seconds of the RetryInfo, where there is one.
    pub fn retry_delay_s(&self) -> Option<i64> {
        let details =
            STANDARD_NO_PAD.decode(self.text("grpc-status-details-bin").trim_end_matches('=')).unwrap();
        let status = rpc::Status::decode(details.as_slice()).unwrap();
        let any = status.details.iter().find(|d| d.type_url == "type.googleapis.com/google.rpc.RetryInfo")?;
        Some(rpc::RetryInfo::decode(any.value.as_slice()).unwrap().retry_delay?.seconds)
    }
}

impl TestServer {
    pub async fn tcp(&self) -> TcpStream {
        let authority = self.url.trim_start_matches("http://localhost:");
        TcpStream::connect(("127.0.0.1", authority.parse::<u16>().unwrap())).await.unwrap()
    }

    /// A TLS connection that trusts the server's authority.
    pub async fn tls(&self, alpn: &[&str]) -> TlsStream<TcpStream> {
        let pem = std::fs::read(&self.ca_file).unwrap();
        tls_over(self.tcp().await, &pem, alpn).await.unwrap()
    }

    /// A client's token.
    pub async fn client_token(&self) -> String {
        let tokens = self.token(&[("grant_type", "client_credentials")]).await.json();
        tokens["access_token"].as_str().unwrap().to_owned()
    }

    /// Calls with a good token, by HTTP/2.
    pub async fn call(&self, path: &str, message: &impl Message) -> Answer {
        let token = format!("Bearer {}", self.client_token().await);
        self.call_with(Wire::H2c, path, frame(message), &[("authorization", &token)]).await
    }

    /// Calls with these headers and this body.
    pub async fn call_with(&self, wire: Wire, path: &str, body: Bytes, headers: &[(&str, &str)]) -> Answer {
        let mut request = http::Request::post(format!("{}{path}", self.url))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        if matches!(wire, Wire::Http1 | Wire::TlsWithoutAlpn) {
            request = request.uri(path);
            if headers.iter().all(|(name, _)| *name != "host") {
                request = request.header("host", self.url.trim_start_matches("http://"));
            }
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).unwrap();
        let response = match wire {
            Wire::H2c => h2(self.tcp().await, request).await,
            Wire::Tls => h2(self.tls(&["h2"]).await, request).await,
            Wire::Http1 => http1(self.tcp().await, request).await,
            Wire::TlsWithoutAlpn => http1(self.tls(&[]).await, request).await,
        };
        let (parts, body) = response.into_parts();
        let collected = body.collect().await.unwrap();
        let mut headers = parts.headers;
        headers.extend(collected.trailers().cloned().unwrap_or_default());
        let bytes = collected.to_bytes();
        let message = (bytes.len() >= 5).then(|| bytes.slice(5..));
        Answer { http_status: parts.status.as_u16(), headers, message }
    }
}

pub async fn tls_over(tcp: TcpStream, ca_pem: &[u8], alpn: &[&str]) -> std::io::Result<TlsStream<TcpStream>> {
    use rustls::pki_types::pem::PemObject as _;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in rustls::pki_types::CertificateDer::pem_reader_iter(BufReader::new(ca_pem)) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect("localhost".try_into().unwrap(), tcp).await
}

async fn h2(
    io: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    request: http::Request<Full<Bytes>>,
) -> http::Response<hyper::body::Incoming> {
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(io)).await.unwrap();
    tokio::spawn(connection);
    sender.send_request(request).await.unwrap()
}

async fn http1(
    io: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    request: http::Request<Full<Bytes>>,
) -> http::Response<hyper::body::Incoming> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(io)).await.unwrap();
    tokio::spawn(connection);
    sender.send_request(request).await.unwrap()
}
