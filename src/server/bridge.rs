//! One request, as hyper received it, answered by the actix-web application of this worker thread.
//!
//! actix-http stands on `http` 0.2 and hyper on `http` 1, so names and values are copied across.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_http::body::{BodySize, BoxBody, MessageBody};
use actix_http::error::PayloadError;
use actix_http::{HttpMessage as _, Payload, Request, Response};
use actix_web::dev::Service;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyDataStream;
use hyper::body::Incoming;
use tokio::time::Sleep;

use super::one_port::InFlight;
use crate::domain::environment::EnvironmentName;
use crate::http::context::{InEnvironment, OverTls};
use crate::telemetry::request::RequestId;

/// What is read away of an upload that its handler left, so that the client gets to the answer.
const DRAIN_MAX_BYTES: usize = 32 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// What the bridge needs to know about the connection.
pub struct Peer {
    pub address: Option<SocketAddr>,
    pub over_tls: bool,
    /// How long a request's body may take.
    pub body_time: Duration,
}

/// The answer's body. It keeps the connection busy until the last byte is out.
pub struct AnswerBody {
    body: BoxBody,
    _in_flight: InFlight,
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        // Only the text of the error crosses over: actix's are bound to their thread.
        let next = self.body.as_pin_mut().poll_next(cx);
        next.map_ok(Frame::data).map_err(|e| io::Error::other(e.to_string()))
    }

    fn is_end_stream(&self) -> bool {
        self.body.size().is_eof()
    }

    fn size_hint(&self) -> SizeHint {
        match self.body.size() {
            BodySize::None => SizeHint::with_exact(0),
            BodySize::Sized(bytes) => SizeHint::with_exact(bytes),
            BodySize::Stream => SizeHint::default(),
        }
    }
}

/// A request's body, shared by the handler, which may drop it, and the bridge, which looks after the rest.
type Upload = Rc<RefCell<Option<BodyDataStream<Incoming>>>>;

struct UploadStream {
    upload: Upload,
    time_is_up: Pin<Box<Sleep>>,
}

impl Stream for UploadStream {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.time_is_up.as_mut().poll(cx).is_ready() {
            self.upload.borrow_mut().take();
            return Poll::Ready(Some(Err(PayloadError::Incomplete(Some(io::ErrorKind::TimedOut.into())))));
        }
        let mut slot = self.upload.borrow_mut();
        let Some(body) = slot.as_mut() else { return Poll::Ready(None) };
        let chunk = ready!(Pin::new(body).poll_next(cx));
        if chunk.is_none() {
            *slot = None;
        }
        Poll::Ready(chunk.map(|read| read.map_err(|e| PayloadError::Incomplete(Some(io::Error::other(e))))))
    }
}

/// A handler that answers without reading the whole body (413, 401) drops it. The stream or connection would be
/// reset right behind the answer, which clients report instead of the answer; so a bounded rest is read away.
fn drain(upload: Upload) {
    let Some(mut rest) = Rc::try_unwrap(upload).ok().and_then(RefCell::into_inner) else { return };
    actix_web::rt::spawn(tokio::time::timeout(DRAIN_TIME, async move {
        let mut left = DRAIN_MAX_BYTES;
        while let Some(Ok(chunk)) = rest.next().await {
            left = left.saturating_sub(chunk.len());
            if left == 0 {
                return;
            }
        }
    }));
}

/// `None`: the request has no form that actix understands.
fn to_actix(
    request: http::Request<Incoming>,
    name: Option<EnvironmentName>,
    peer: &Peer,
) -> Option<(Request, Option<Upload>)> {
    use actix_http::header::{HOST, HeaderName, HeaderValue};

    let (mut parts, body) = request.into_parts();
    let upload = (!body.is_end_stream()).then(|| Rc::new(RefCell::new(Some(BodyDataStream::new(body)))));
    let payload = match &upload {
        None => Payload::None,
        Some(upload) => Payload::Stream {
            payload: Box::pin(UploadStream {
                upload: upload.clone(),
                time_is_up: Box::pin(tokio::time::sleep(peer.body_time)),
            }) as actix_http::BoxedPayloadStream,
        },
    };
    let mut request = Request::with_payload(payload);
    if peer.over_tls {
        request.extensions_mut().insert(OverTls(true));
    }
    if let Some(name) = name {
        request.extensions_mut().insert(InEnvironment(name));
    }
    if let Some(id) = parts.extensions.remove::<RequestId>() {
        request.extensions_mut().insert(id);
    }
    let head = request.head_mut();
    head.method = actix_http::Method::from_bytes(parts.method.as_str().as_bytes()).ok()?;
    head.version = match parts.version {
        http::Version::HTTP_2 => actix_http::Version::HTTP_2,
        http::Version::HTTP_10 => actix_http::Version::HTTP_10,
        _ => actix_http::Version::HTTP_11,
    };
    head.peer_addr = peer.address;
    head.uri = match parts.uri.path_and_query() {
        Some(path) => path.as_str().parse().ok()?,
        None => "/".parse().ok()?,
    };
    for (name, value) in &parts.headers {
        head.headers.append(
            HeaderName::from_bytes(name.as_str().as_bytes()).ok()?,
            HeaderValue::from_bytes(value.as_bytes()).ok()?,
        );
    }
    // `:authority`, or the host of an absolute request target, which outranks Host (RFC 9112 §3.2.2).
    if let Some(authority) = parts.uri.authority() {
        head.headers.insert(HOST, HeaderValue::from_str(authority.as_str()).ok()?);
    }
    Some((request, upload))
}

fn from_actix(response: Response<BoxBody>, is_head: bool, in_flight: InFlight) -> http::Response<AnswerBody> {
    let (response, mut body) = response.into_parts();
    let mut out = http::Response::new(());
    *out.status_mut() = http::StatusCode::from_u16(response.status().as_u16())
        .unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in response.headers() {
        if let (Ok(name), Ok(value)) = (
            http::HeaderName::from_bytes(name.as_str().as_bytes()),
            http::HeaderValue::from_bytes(value.as_bytes()),
        ) {
            out.headers_mut().append(name, value);
        }
    }
    // hyper's HTTP/2 does not know that HEAD has no body (its HTTP/1.1 does).
    if is_head {
        if let BodySize::Sized(bytes) = body.size() {
            out.headers_mut().entry(http::header::CONTENT_LENGTH).or_insert(bytes.into());
        }
        body = BoxBody::new(());
    }
    out.map(|()| AnswerBody { body, _in_flight: in_flight })
}

/// Asks the application.
pub async fn answer<S>(
    app: &S,
    request: http::Request<Incoming>,
    name: Option<EnvironmentName>,
    peer: &Peer,
    in_flight: InFlight,
) -> http::Response<AnswerBody>
where
    S: Service<Request, Response = Response<BoxBody>, Error = Response<BoxBody>>,
{
    let is_head = request.method() == http::Method::HEAD;
    let response = match to_actix(request, name, peer) {
        Some((request, upload)) => {
            let response = app.call(request).await.unwrap_or_else(|error| error);
            if let Some(upload) = upload {
                drain(upload);
            }
            response
        }
        None => Response::bad_request().map_into_boxed_body(),
    };
    from_actix(response, is_head, in_flight)
}
