//! Answers that go wrong on purpose, and answers that a fault only delayed.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use serde_json::json;

use super::response_body::AnswerBody;
use crate::domain::fault::{FaultEffect, grpc_code};
use crate::service::faults::TriggeredFault;

/// Names the rule that fired.
pub const FAULT_HEADER: &str = "x-vestibule-fault";

/// What a fault makes of a request.
pub enum FaultOutcome {
    /// The answer, in place of the real one.
    Answered(http::Response<AnswerBody>),
    /// The connection ends.
    Disconnect,
    /// The real answer, of which so many bytes arrive; `None`: all.
    Real { at_most: Option<u64> },
}

/// What the rule's effect comes to.
pub fn apply(fired: &TriggeredFault, is_grpc: bool) -> FaultOutcome {
    match &fired.rule.effect {
        Some(FaultEffect::Status { status, body }) => FaultOutcome::Answered(plain(*status, body.as_ref())),
        Some(FaultEffect::OauthError { error, error_description, status }) => {
            let mut body = json!({ "error": error });
            if let Some(text) = error_description {
                body["error_description"] = json!(text);
            }
            FaultOutcome::Answered(plain(status.unwrap_or(400), Some(&body)))
        }
        Some(FaultEffect::GrpcStatus { code, message }) if is_grpc => {
            let message = message.clone().unwrap_or_else(|| format!("fault {}", fired.id));
            let code = grpc_code(code).unwrap_or_default();
            FaultOutcome::Answered(crate::api::refuse_on_purpose(code, message).map(AnswerBody::grpc))
        }
        Some(FaultEffect::ConnectionReset) => FaultOutcome::Disconnect,
        Some(FaultEffect::TruncatedBody { bytes }) => FaultOutcome::Real { at_most: Some(*bytes) },
        Some(
            FaultEffect::GrpcStatus { .. }
            | FaultEffect::Smtp { .. }
            | FaultEffect::Token { .. }
            | FaultEffect::SignIn { .. },
        )
        | None => FaultOutcome::Real { at_most: None },
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
pub fn mark<B>(response: &mut http::Response<B>, fired: &TriggeredFault) {
    if let Ok(id) = http::HeaderValue::from_str(&fired.id) {
        response.headers_mut().insert(FAULT_HEADER, id);
    }
}
