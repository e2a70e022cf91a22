//! An error of Scalekit's REST API as a response.

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use serde::Serialize;

use crate::domain::api_error::{ApiError, ApiErrorCode};
use crate::runtime::current_request;

/// What the ErrorInfo in the details is called.
pub const TYPE_URL: &str = "type.googleapis.com/scalekit.v1.errdetails.ErrorInfo";

/// What the link of an error leads to.
pub const HELP_TEXT: &str = "What Vestibule emulates";

/// An error, as Scalekit's gateway writes it.
#[derive(Debug, Serialize)]
pub struct ApiErrorBody {
    /// Number of the gRPC status.
    pub code: i32,
    pub message: String,
    pub details: Vec<ErrorInfo>,
}

/// What programs act upon.
#[derive(Debug, Serialize)]
pub struct ErrorInfo {
    #[serde(rename = "@type")]
    pub type_url: &'static str,
    /// One of docs/COMPATIBILITY.md.
    pub error_code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_error_info: Option<ValidationErrorInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help_info: Option<HelpInfo>,
}

/// What is wrong with which field.
#[derive(Debug, Serialize)]
pub struct ValidationErrorInfo {
    pub field_violations: Vec<FieldViolationBody>,
}

#[derive(Debug, Serialize)]
pub struct FieldViolationBody {
    pub field: String,
    pub description: String,
    pub constraint: String,
}

/// Where users read more.
#[derive(Debug, Serialize)]
pub struct HelpInfo {
    pub links: [HelpLink; 1],
}

#[derive(Debug, Serialize)]
pub struct HelpLink {
    pub description: &'static str,
    pub url: String,
}

/// An error as Scalekit's gateway writes it.
pub fn response(error: &ApiError) -> HttpResponse {
    current_request::note_error(error.code.as_str());
    let violations = error.violations.iter().map(|v| FieldViolationBody {
        field: v.field.clone(),
        description: v.description.clone(),
        constraint: v.constraint.clone().into_owned(),
    });
    let info = ErrorInfo {
        type_url: TYPE_URL,
        error_code: error.code.as_str(),
        validation_error_info: (!error.violations.is_empty())
            .then(|| ValidationErrorInfo { field_violations: violations.collect() }),
        help_info: error
            .help_url
            .clone()
            .map(|url| HelpInfo { links: [HelpLink { description: HELP_TEXT, url }] }),
    };
    let status = StatusCode::from_u16(error.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    if let Some(seconds) = error.retry_after_s {
        response.insert_header((header::RETRY_AFTER, seconds.to_string()));
    }
    if error.code == ApiErrorCode::Unauthenticated {
        response.insert_header((header::WWW_AUTHENTICATE, r#"Bearer realm="vestibule""#));
    }
    response.json(ApiErrorBody {
        code: error.code.grpc_code().number(),
        message: error.message.clone(),
        details: vec![info],
    })
}
