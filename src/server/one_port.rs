//! One port for everything. Per connection: TLS or not, HTTP/1.1 or HTTP/2. Per request: gRPC or the application.
//!
//! An SDK is given one URL and uses it for all of it; Go's even sends token calls and gRPC over one connection. Hence
//! hyper in front of both, on actix's worker threads.

use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::body::{BoxBody, MessageBody};
use actix_http::{Request, Response};
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt as _, fn_factory, fn_service,
};
use actix_web::dev::AppConfig;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::{Instrument as _, Span};

use super::bridge::{self, Peer};
use super::connections::{Connection, Connections, Ending, Held, InFlight};
use super::fault_injection::{self, FaultOutcome};
use super::request_recording::Recording;
use super::response_body::{Answer, AnswerBody};
use super::upload::Upload;
use crate::api::{self, Grpc};
use crate::domain::environment_name::EnvironmentName;
use crate::domain::fault::FaultTarget;
use crate::runtime::{EnvironmentRegistry, EnvironmentSelector, current_request};
use crate::service::faults::{self, TriggeredFault};
use crate::telemetry::metrics::{Metrics, OpenConnection};
use crate::telemetry::request::{self, RequestId};

/// Streams of one HTTP/2 connection at a time.
const MAX_STREAMS: u32 = 128;

/// Bytes of a request's head that are read at all. From [`crate::domain::limits::MAX_HEADER_BYTES`] on it is refused, in
/// words: see `http::refuse_large_heads` and `grpc::Grpc`.
const MAX_HEAD_BYTES: u32 = 64 * 1024;

/// Bytes of a stream's answer that hyper takes ahead of the connection.
const MAX_SEND_BYTES: usize = 64 * 1024;

/// Streams that a client resets before they were looked at, and that we reset for its mistakes, until its connection ends.
const MAX_RESET_STREAMS: usize = 20;
const MAX_ERROR_STREAMS: usize = 256;

/// First byte of a TLS handshake record (RFC 8446 §5.1); no HTTP request starts with it.
const TLS_HANDSHAKE: u8 = 0x16;

/// Paths that are answered at once while the server starts, since they say that it does.
const TELLS_OF_THE_START: [&str; 3] = ["/health", "/live", "/ready"];

/// How long a connection may take for what.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// From the connection to the end of the TLS handshake, or the first byte without TLS.
    pub handshake: Duration,
    /// Until a request's headers are there; on HTTP/1.1 also between requests.
    pub request_head: Duration,
    pub request_body: Duration,
    /// Without any part of the answers being taken that wait to be written.
    pub answer: Duration,
    /// HTTP/2 without any request. Keep-alive pings do not count, and are never held against a client.
    pub idle: Duration,
    /// How often HTTP/2 peers are asked whether they are still there, and how long they may take to say so.
    pub ping: Duration,
    /// How long a request that comes during the start waits for its end.
    pub start: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            request_head: Duration::from_secs(30),
            request_body: Duration::from_secs(30),
            answer: Duration::from_secs(30),
            idle: Duration::from_mins(10),
            ping: Duration::from_secs(20),
            start: Duration::from_secs(5),
        }
    }
}

/// What a listener answers with.
#[derive(Clone)]
pub struct OnePort<F> {
    /// Makes the actix application of a worker.
    pub app: F,
    pub grpc: Grpc,
    /// Knows the environments and their faults.
    pub registry: EnvironmentRegistry,
    /// `None`: TLS is not spoken here.
    pub tls: Option<TlsAcceptor>,
    /// Plaintext is hung up on.
    pub tls_only: bool,
    pub deadlines: Deadlines,
    /// Becomes true when the server stops: connections finish what is under way.
    pub stopping: watch::Receiver<bool>,
    /// How many connections are open, over all workers.
    pub open: Arc<watch::Sender<usize>>,
    /// What each of them holds.
    pub connections: Arc<Connections>,
}

/// Counts a connection for as long as it is open, for whoever stops the server and for whoever watches it.
struct Counted(
    Arc<watch::Sender<usize>>,
    #[expect(dead_code, reason = "counts until it is dropped")] OpenConnection,
);

impl Counted {
    fn begin(connections: &Arc<watch::Sender<usize>>, metrics: &Metrics) -> Self {
        connections.send_modify(|open| *open += 1);
        Self(connections.clone(), metrics.connection())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

/// hyper's executor on a worker thread: tasks stay here, so nothing needs to be `Send`.
#[derive(Clone)]
struct LocalExec;

impl<F: Future + 'static> hyper::rt::Executor<F> for LocalExec {
    fn execute(&self, future: F) {
        actix_web::rt::spawn(async move {
            future.await;
        });
    }
}

/// What connections of one worker share.
struct Worker<S> {
    app: S,
    grpc: Grpc,
    registry: EnvironmentRegistry,
    tls: Option<TlsAcceptor>,
    tls_only: bool,
    deadlines: Deadlines,
    stopping: watch::Receiver<bool>,
    open: Arc<watch::Sender<usize>>,
    connections: Arc<Connections>,
    http: auto::Builder<LocalExec>,
}

/// The service of one worker thread for one listener.
pub fn worker<F, I, S, B>(
    port: OnePort<F>,
) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = (), InitError = ()>
where
    F: Fn() -> I + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig, Error = actix_web::Error> + 'static,
    S::Response: Into<Response<B>> + 'static,
    S::InitError: Debug,
    <S::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    fn_factory(move || {
        let port = port.clone();
        async move {
            let app = (port.app)().into_factory().map_err(Response::<BoxBody>::from);
            let app = app.map(|response: S::Response| response.into().map_into_boxed_body());
            let app = app
                .new_service(AppConfig::default())
                .await
                .map_err(|error| tracing::error!(?error, "the application of a worker did not start"))?;
            let worker = Rc::new(Worker {
                app,
                grpc: port.grpc,
                registry: port.registry,
                tls: port.tls,
                tls_only: port.tls_only,
                deadlines: port.deadlines,
                stopping: port.stopping,
                open: port.open,
                connections: port.connections,
                http: http_builder(&port.deadlines),
            });
            Ok::<_, ()>(fn_service(move |tcp: TcpStream| {
                let worker = worker.clone();
                async move {
                    worker.connection(tcp).await;
                    Ok(())
                }
            }))
        }
    })
}

fn http_builder(deadlines: &Deadlines) -> auto::Builder<LocalExec> {
    let mut builder = auto::Builder::new(LocalExec);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(deadlines.request_head)
        .max_buf_size(MAX_HEAD_BYTES as usize)
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(deadlines.ping)
        .keep_alive_timeout(deadlines.ping)
        .max_header_list_size(MAX_HEAD_BYTES)
        .max_send_buf_size(MAX_SEND_BYTES)
        .max_pending_accept_reset_streams(MAX_RESET_STREAMS)
        .max_local_error_reset_streams(MAX_ERROR_STREAMS)
        .max_concurrent_streams(MAX_STREAMS);
    builder
}

impl<S> Worker<S>
where
    S: Service<Request, Response = Response<BoxBody>, Error = Response<BoxBody>> + 'static,
    S::Future: 'static,
{
    /// Serves a connection until either side ends it. What fails below HTTP is the client's affair.
    async fn connection(self: Rc<Self>, tcp: TcpStream) {
        let _counted = Counted::begin(&self.open, self.registry.metrics());
        let address = tcp.peer_addr().ok();
        let open = self.connections.enter(address.map(|a| a.ip()));
        let connection = &open.connection;
        tokio::select! {
            () = self.converse(tcp, address, connection) => {}
            // Whatever waits to be written is given up with the connection.
            ending = connection.ended() => {
                tracing::info!(address = address.map(tracing::field::display), reason = %ending, "ended a connection");
            }
        }
    }

    async fn converse(
        self: Rc<Self>,
        tcp: TcpStream,
        peer: Option<SocketAddr>,
        connection: &Arc<Connection>,
    ) {
        prepare(&tcp, &self.deadlines);
        let handshake = async {
            let is_tls = starts_tls(&tcp).await?;
            match (&self.tls, is_tls) {
                (Some(tls), true) => Ok(Opened::Tls(tls.accept(tcp).await?)),
                (_, false) if !self.tls_only => Ok(Opened::Plain(tcp)),
                _ => Err(io::Error::from(io::ErrorKind::Unsupported)),
            }
        };
        let opened = match timeout(self.deadlines.handshake, handshake).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => return tracing::debug!(%error, "a connection ended before its first request"),
            Err(_) => return tracing::debug!("a connection was silent for too long"),
        };
        let peer = |over_tls| Peer { address: peer, over_tls, body_time: self.deadlines.request_body };
        match opened {
            Opened::Plain(tcp) => self.clone().serve(tcp, self.http.clone(), peer(false), connection).await,
            Opened::Tls(tls) => {
                // Without ALPN it is HTTP/1.1.
                let is_h2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
                let http = self.http.clone();
                let http = if is_h2 { http.http2_only() } else { http.http1_only() };
                self.clone().serve(tls, http, peer(true), connection).await;
            }
        }
    }

    async fn serve(
        self: Rc<Self>,
        io: impl AsyncRead + AsyncWrite + Unpin + 'static,
        http: auto::Builder<LocalExec>,
        peer: Peer,
        account: &Arc<Connection>,
    ) {
        let mut stopping = self.stopping.clone();
        let deadlines = self.deadlines;
        let peer = Rc::new(peer);
        let service = hyper::service::service_fn({
            let account = account.clone();
            move |request: http::Request<Incoming>| {
                let (worker, peer) = (self.clone(), peer.clone());
                let in_flight = account.request();
                let held = Held::request(&account, head_bytes(&request));
                async move {
                    in_flight.connection().room().await;
                    // In a box, which is gone before the answer is: clients may take their time with that.
                    Box::pin(worker.answer(request, &peer, in_flight, held)).await
                }
            }
        });
        let mut connection = pin!(http.serve_connection(TokioIo::new(io), service));
        let mut is_closing = false;
        let mut look_at = Instant::now() + deadlines.request_head;
        let mut look_for_stall_at = Instant::now() + deadlines.answer;
        loop {
            tokio::select! {
                _ = connection.as_mut() => return,
                _ = stopping.wait_for(|stop| *stop), if !is_closing => {
                    is_closing = true;
                    connection.as_mut().graceful_shutdown();
                }
                // A stream that is not taken is not polled either, so this is nothing that streams could do.
                () = sleep_until(look_for_stall_at) => {
                    let now = Instant::now();
                    let left = deadlines.answer.saturating_sub(account.stalled_for().unwrap_or_default());
                    if left.is_zero() {
                        account.end(Ending::Stalled);
                    }
                    look_for_stall_at = now + left.max(Duration::from_millis(10));
                }
                () = sleep_until(look_at) => {
                    let now = Instant::now();
                    let allowed = if account.is_unused() { deadlines.request_head } else { deadlines.idle };
                    let left = allowed.saturating_sub(account.idle_for());
                    if account.is_busy() {
                        look_at = now + allowed;
                    } else if !left.is_zero() {
                        look_at = now + left;
                    } else if is_closing || account.is_unused() {
                        return;
                    } else {
                        is_closing = true;
                        connection.as_mut().graceful_shutdown();
                        look_at = now + deadlines.request_head;
                    }
                }
            }
        }
    }

    /// `Err`: the connection is to end.
    async fn answer(
        &self,
        request: http::Request<Incoming>,
        peer: &Peer,
        in_flight: InFlight,
        held: Held,
    ) -> io::Result<http::Response<Answer>> {
        let is_http1 = request.version() < http::Version::HTTP_2;
        let (mut request, upload) = Upload::of(request, peer.body_time, held);
        let name = take_environment(&mut request);
        let id = RequestId::of(request.headers());
        let span = request::span(&id, &request);
        request.extensions_mut().insert(id.clone());
        let answer = async {
            let is_grpc = api::is_grpc(request.headers());
            let mut response = self.answer_recorded(request, name, peer, &id).await?;
            id.mark(&mut response);
            if !is_grpc {
                // Browsers take every response for what it says it is, and for nothing else.
                response
                    .headers_mut()
                    .insert(http::header::X_CONTENT_TYPE_OPTIONS, http::HeaderValue::from_static("nosniff"));
            }
            if is_http1 && upload.ends_connection() {
                let close = http::HeaderValue::from_static("close");
                response.headers_mut().insert(http::header::CONNECTION, close);
            }
            let status = response.status().as_u16();
            Span::current().record("http.response.status_code", status);
            tracing::debug!(status, "answered");
            Ok(response.map(|body| Answer::new(body, in_flight)))
        };
        answer.instrument(span).await
    }

    /// In development, with a line in the journal of the environment: before the caller has the response, so that the
    /// caller finds it there.
    async fn answer_recorded(
        &self,
        request: http::Request<Upload>,
        name: Option<EnvironmentName>,
        peer: &Peer,
        id: &RequestId,
    ) -> io::Result<http::Response<AnswerBody>> {
        let asked = selector(&request, name.as_ref(), peer);
        let Some(recording) = Recording::begin(&self.registry, &request, asked, id) else {
            return self.answer_or_fail(request, name, peer).await;
        };
        let (outcome, notes) = current_request::with_notes(self.answer_or_fail(request, name, peer)).await;
        recording.finish(notes, outcome.as_ref().ok());
        outcome
    }

    /// As testers want it: see [`fault_injection`].
    async fn answer_or_fail(
        &self,
        request: http::Request<Upload>,
        name: Option<EnvironmentName>,
        peer: &Peer,
    ) -> io::Result<http::Response<AnswerBody>> {
        if self.registry.get().is_none() && !TELLS_OF_THE_START.contains(&request.uri().path()) {
            self.registry.wait_for_start(self.deadlines.start).await;
        }
        let Some(fired) = self.fault(&request, name.as_ref(), peer).await else {
            return Ok(self.answer_well(request, name, peer).await);
        };
        faults::wait(&fired).await;
        let mut response = match fault_injection::apply(&fired, api::is_grpc(request.headers())) {
            FaultOutcome::Answered(response) => response,
            FaultOutcome::Disconnect => {
                return Err(io::Error::new(io::ErrorKind::ConnectionReset, "a fault hung up"));
            }
            FaultOutcome::Real { at_most: None } => self.answer_well(request, name, peer).await,
            FaultOutcome::Real { at_most: Some(bytes) } => {
                let response = self.answer_well(request, name, peer).await;
                response.map(|answer| answer.truncated(bytes))
            }
        };
        fault_injection::mark(&mut response, &fired);
        Ok(response)
    }

    /// The rule that fires on a request. The control API and the dashboard, by which rules are taken back, are spared.
    async fn fault(
        &self,
        request: &http::Request<Upload>,
        name: Option<&EnvironmentName>,
        peer: &Peer,
    ) -> Option<TriggeredFault> {
        let path = request.uri().path();
        if ["/_emulator", "/dashboard", "/health", "/live", "/ready", "/metrics"]
            .iter()
            .any(|spared| path.starts_with(spared))
        {
            return None;
        }
        let asked = selector(request, name, peer);
        if !self.registry.may_have_faults(asked) {
            return None;
        }
        let context = self.registry.context(asked).await.ok()?;
        let happening = if api::is_grpc(request.headers()) {
            FaultTarget::Grpc { path }
        } else {
            FaultTarget::Http { method: request.method().as_str(), path }
        };
        faults::fire(&context.runtime, happening).await
    }

    async fn answer_well(
        &self,
        request: http::Request<Upload>,
        name: Option<EnvironmentName>,
        peer: &Peer,
    ) -> http::Response<AnswerBody> {
        if !api::is_grpc(request.headers()) {
            return bridge::answer(&self.app, request, name, peer).await.map(AnswerBody::app);
        }
        let is_http1 = request.version() == http::Version::HTTP_11;
        let mut response = self.grpc.answer(request, name, peer.over_tls).await;
        if is_http1 {
            // hyper's HTTP/1.1 sends only those trailers that are named ahead.
            let names = http::HeaderValue::from_static("grpc-status, grpc-message, grpc-status-details-bin");
            response.headers_mut().insert(http::header::TRAILER, names);
        }
        response.map(AnswerBody::grpc)
    }
}

/// What a request says about the environment that it is for.
fn selector<'r, B>(
    request: &'r http::Request<B>,
    name: Option<&'r EnvironmentName>,
    peer: &Peer,
) -> EnvironmentSelector<'r> {
    let host = request.headers().get(http::header::HOST).and_then(|host| host.to_str().ok());
    let authority = request.uri().authority().map(|authority| authority.as_str()).or(host);
    EnvironmentSelector { over_tls: peer.over_tls, authority, name }
}

/// Bytes of a request's head, about as much as is kept of it.
fn head_bytes<B>(request: &http::Request<B>) -> usize {
    let target = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    let headers = request.headers().iter();
    target + headers.map(|(name, value)| name.as_str().len() + value.len() + 32).sum::<usize>()
}

/// Takes the name of an isolated environment out of the path: `/e/NAME/oauth/token` becomes `/oauth/token`.
fn take_environment<B>(request: &mut http::Request<B>) -> Option<EnvironmentName> {
    let path = request.uri().path_and_query()?.as_str();
    let (name, rest) = EnvironmentName::split_path(path)?;
    let rest = if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") };
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = Some(rest.parse().ok()?);
    *request.uri_mut() = http::Uri::from_parts(parts).ok()?;
    Some(name)
}

#[expect(clippy::large_enum_variant, reason = "lives for a moment")]
enum Opened {
    Plain(TcpStream),
    Tls(tokio_rustls::server::TlsStream<TcpStream>),
}

/// Looks at the first byte without taking it.
async fn starts_tls(tcp: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    match tcp.peek(&mut first).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(first[0] == TLS_HANDSHAKE),
    }
}

/// Peers that vanish are noticed by TCP itself: when nothing comes, and when nothing is taken.
fn prepare(tcp: &TcpStream, deadlines: &Deadlines) {
    let socket = socket2::SockRef::from(tcp);
    let keepalive = socket2::TcpKeepalive::new().with_time(Duration::from_mins(1));
    let _ = tcp.set_nodelay(true);
    let _ = socket.set_tcp_keepalive(&keepalive);
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(deadlines.request_body));
    #[cfg(not(target_os = "linux"))]
    let _ = deadlines;
}
