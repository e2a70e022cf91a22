//! One request, as hyper received it, answered by the actix-web application of this worker thread.
//!
//! actix-http stands on `http` 0.2 and hyper on `http` 1, so names and values are copied across.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_http::body::{BodySize, BoxBody, MessageBody};
use actix_http::{HttpMessage as _, Payload, Request, Response};
use actix_web::dev::Service;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::upload::Upload;
use crate::domain::environment_name::EnvironmentName;
use crate::http::selector::{InEnvironment, OverTls};
use crate::telemetry::request::RequestId;

/// What the bridge needs to know about the connection.
pub struct Peer {
    pub address: Option<SocketAddr>,
    pub over_tls: bool,
    /// How long a request's body may take.
    pub body_time: Duration,
}

/// The answer's body.
pub struct AnswerBody(BoxBody);

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        // Only the text of the error crosses over: actix's are bound to their thread.
        let next = self.0.as_pin_mut().poll_next(cx);
        next.map_ok(Frame::data).map_err(|e| io::Error::other(e.to_string()))
    }

    fn is_end_stream(&self) -> bool {
        self.0.size().is_eof()
    }

    fn size_hint(&self) -> SizeHint {
        match self.0.size() {
            BodySize::None => SizeHint::with_exact(0),
            BodySize::Sized(bytes) => SizeHint::with_exact(bytes),
            BodySize::Stream => SizeHint::default(),
        }
    }
}

/// `None`: the request has no form that actix understands.
fn to_actix(request: http::Request<Upload>, name: Option<EnvironmentName>, peer: &Peer) -> Option<Request> {
    use actix_http::header::{HOST, HeaderName, HeaderValue};

    let (mut parts, body) = request.into_parts();
    let payload = if body.is_end_stream() {
        Payload::None
    } else {
        Payload::Stream { payload: Box::pin(body) as actix_http::BoxedPayloadStream }
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
    Some(request)
}

fn from_actix(response: Response<BoxBody>, is_head: bool) -> http::Response<AnswerBody> {
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
    out.map(|()| AnswerBody(body))
}

/// Asks the application.
pub async fn answer<S>(
    app: &S,
    request: http::Request<Upload>,
    name: Option<EnvironmentName>,
    peer: &Peer,
) -> http::Response<AnswerBody>
where
    S: Service<Request, Response = Response<BoxBody>, Error = Response<BoxBody>>,
{
    let is_head = request.method() == http::Method::HEAD;
    let response = match to_actix(request, name, peer) {
        Some(request) => app.call(request).await.unwrap_or_else(|error| error),
        None => Response::bad_request().map_into_boxed_body(),
    };
    from_actix(response, is_head)
}
