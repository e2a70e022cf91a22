//! Errors on the wire: `google.rpc.Status` with Scalekit's ErrorInfo in `grpc-status-details-bin`.

use prost::Message as _;
use tonic::body::Body;
use tonic::{Code, Status};

use super::call::MAX_MESSAGE_BYTES;
use super::pb::google::rpc;
use super::pb::scalekit::v1::errdetails::help_info::Link;
use super::pb::scalekit::v1::errdetails::validation_error_info::FieldViolation;
use super::pb::scalekit::v1::errdetails::{ErrorInfo, HelpInfo, ValidationErrorInfo};
use crate::domain::api_error::{self as domain, ApiError, ApiErrorCode};
use crate::http::api_error::{HELP_TEXT, TYPE_URL};
use crate::service::api::ApiRefusal;

const RETRY_INFO_URL: &str = "type.googleapis.com/google.rpc.RetryInfo";
const DETAILS: &str = "grpc-status-details-bin";

/// An error as tonic sends it.
pub fn of(error: &ApiError) -> Status {
    Status::with_details(code(error), error.message.clone(), details(error).into())
}

/// A status that a tester asked for, with the details that every refusal of ours carries.
pub fn on_purpose(code: i32, message: String) -> Status {
    let info = ErrorInfo { error_code: "FAULT".to_owned(), ..ErrorInfo::default() };
    let detail = prost_types::Any { type_url: TYPE_URL.to_owned(), value: info.encode_to_vec() };
    let details = rpc::Status { code, message: message.clone(), details: vec![detail] }.encode_to_vec();
    Status::with_details(Code::from_i32(code), message, details.into())
}

/// A refusal as tonic sends it, and a failure of ours after it was logged.
pub fn refused(refusal: ApiRefusal) -> Status {
    of(&refusal.into_error())
}

/// The error that was made into this status.
pub fn to_error(status: &Status) -> ApiError {
    let details = rpc::Status::decode(status.details()).unwrap_or_default().details;
    let find =
        |url: &str| details.iter().find(|detail| detail.type_url == url).map(|any| any.value.as_slice());
    let info = find(TYPE_URL).and_then(|bytes| ErrorInfo::decode(bytes).ok()).unwrap_or_default();
    let retry = find(RETRY_INFO_URL).and_then(|bytes| rpc::RetryInfo::decode(bytes).ok()?.retry_delay);
    let code = ApiErrorCode::parse(&info.error_code).unwrap_or(ApiErrorCode::Internal);
    let violations = info.validation_error_info.unwrap_or_default().field_violations;
    ApiError {
        violations: violations
            .into_iter()
            .map(|violation| domain::FieldViolation {
                field: violation.field,
                description: violation.description,
                constraint: violation.constraint.into(),
            })
            .collect(),
        help_url: info.help_info.and_then(|help| Some(help.links.into_iter().next()?.url)),
        retry_after_s: retry.map(|delay| delay.seconds),
        ..ApiError::new(code, status.message())
    }
}

/// What is said about a message beyond the limit.
pub fn too_large() -> ApiError {
    let text = format!("invalid request: the message is larger than {MAX_MESSAGE_BYTES} bytes");
    ApiError::new(ApiErrorCode::RequestTooLarge, text)
}

fn code(error: &ApiError) -> Code {
    Code::from_i32(error.code.grpc_code().number())
}

fn details(error: &ApiError) -> Vec<u8> {
    let links =
        error.help_url.as_ref().map(|url| vec![Link { description: HELP_TEXT.to_owned(), url: url.clone() }]);
    let violations: Vec<FieldViolation> = error
        .violations
        .iter()
        .map(|v| FieldViolation {
            field: v.field.clone(),
            description: v.description.clone(),
            constraint: v.constraint.clone().into_owned(),
        })
        .collect();
    let info = ErrorInfo {
        error_code: error.code.as_str().to_owned(),
        help_info: links.map(|links| HelpInfo { links }),
        validation_error_info: (!violations.is_empty())
            .then_some(ValidationErrorInfo { field_violations: violations }),
    };
    let info = prost_types::Any { type_url: TYPE_URL.to_owned(), value: info.encode_to_vec() };
    // Behind the ErrorInfo, which SDKs look for first.
    let retry = error.retry_after_s.map(|seconds| {
        let retry_delay = Some(prost_types::Duration { seconds, nanos: 0 });
        let value = rpc::RetryInfo { retry_delay }.encode_to_vec();
        prost_types::Any { type_url: RETRY_INFO_URL.to_owned(), value }
    });
    let details = [info].into_iter().chain(retry).collect();
    rpc::Status { code: code(error) as i32, message: error.message.clone(), details }.encode_to_vec()
}

/// Gives the errors that the framework made (a broken or too large message) the details that all others have.
pub fn with_details(response: http::Response<Body>) -> http::Response<Body> {
    if response.headers().contains_key(DETAILS) {
        return response;
    }
    let Some(said) = Status::from_header_map(response.headers()) else { return response };
    let error = match said.code() {
        Code::Ok => return response,
        // tonic's word for a message beyond the limit.
        Code::OutOfRange | Code::ResourceExhausted => too_large(),
        // What is left are messages that are no protobuf, or compressed: the caller's to mend.
        _ => ApiError::new(ApiErrorCode::InvalidArgument, format!("invalid request: {}", said.message())),
    };
    of(&error).into_http()
}
