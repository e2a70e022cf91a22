//! Answers that go wrong on purpose, and answers that a fault only delayed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Full};
use serde_json::json;
use tokio::time::Sleep;

use super::one_port::AnswerBody;
use crate::domain::fault::{FaultEffect, grpc_code};
use crate::service::faults::Fired;

/// How long the part that arrives gets before the rest does not.
const BREAK_AFTER: Duration = Duration::from_millis(20);

/// Names the rule that fired.
pub const FAULT_HEADER: &str = "x-vestibule-fault";

/// What a fault makes of a request.
pub enum Spoilt {
    /// The answer, in place of the real one.
    Answered(http::Response<AnswerBody>),
    /// The connection ends.
    HungUp,
    /// The real answer, of which so many bytes arrive; `None`: all.
    Real { at_most: Option<u64> },
}

/// What the rule's effect comes to.
pub fn spoil(fired: &Fired, is_grpc: bool) -> Spoilt {
    match &fired.rule.effect {
        Some(FaultEffect::Status { status, body }) => Spoilt::Answered(plain(*status, body.as_ref())),
        Some(FaultEffect::OauthError { error, error_description, status }) => {
            let mut body = json!({ "error": error });
            if let Some(text) = error_description {
                body["error_description"] = json!(text);
            }
            Spoilt::Answered(plain(status.unwrap_or(400), Some(&body)))
        }
        Some(FaultEffect::GrpcStatus { code, message }) if is_grpc => {
            let message = message.clone().unwrap_or_else(|| format!("fault {}", fired.id));
            let code = grpc_code(code).unwrap_or_default();
            Spoilt::Answered(crate::api::refuse_on_purpose(code, message).map(AnswerBody::grpc))
        }
        Some(FaultEffect::ConnectionReset) => Spoilt::HungUp,
        Some(FaultEffect::TruncatedBody { bytes }) => Spoilt::Real { at_most: Some(*bytes) },
        Some(FaultEffect::GrpcStatus { .. } | FaultEffect::Smtp { .. } | FaultEffect::Token { .. })
        | None => Spoilt::Real { at_most: None },
    }
}

fn plain(status: u16, body: Option<&serde_json::Value>) -> http::Response<AnswerBody> {
    let (media_type, text) = match body {
        None => ("text/plain", String::new()),
        Some(serde_json::Value::String(text)) => ("text/plain", text.clone()),
        Some(value) => ("application/json", value.to_string()),
    };
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {});
    let mut response = http::Response::new(AnswerBody::grpc(tonic::body::Body::new(body)));
    *response.status_mut() =
        http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(media_type));
    response
}

/// Says which rule fired.
pub fn mark<B>(response: &mut http::Response<B>, fired: &Fired) {
    if let Ok(id) = http::HeaderValue::from_str(&fired.id) {
        response.headers_mut().insert(FAULT_HEADER, id);
    }
}

/// A body that breaks off.
pub struct Truncated<B> {
    body: B,
    left: u64,
    /// Lets what was given leave before the break: hyper would keep it back together with the error.
    pause: Option<Pin<Box<Sleep>>>,
}

impl<B> Truncated<B> {
    pub fn new(body: B, at_most: u64) -> Self {
        Self { body, left: at_most, pause: None }
    }
}

impl<B> Body for Truncated<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let broken = || io::Error::new(io::ErrorKind::UnexpectedEof, "a fault broke the answer off");
        if self.left == 0 {
            let pause = self.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(BREAK_AFTER)));
            ready!(pause.as_mut().poll(cx));
            return Poll::Ready(Some(Err(broken())));
        }
        match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(mut data) => {
                    let kept = usize::try_from(self.left).unwrap_or(usize::MAX).min(data.len());
                    self.left -= kept as u64;
                    data.truncate(kept);
                    Poll::Ready(Some(Ok(Frame::data(data))))
                }
                Err(_) => Poll::Ready(Some(Err(broken()))),
            },
            // A shorter answer breaks off at its end.
            Some(Err(_)) | None => {
                self.left = 0;
                self.poll_frame(cx)
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        // What was promised: that is what is missing then.
        self.body.size_hint()
    }
}
