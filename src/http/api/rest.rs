//! What the REST twins of gRPC methods have in common: the caller, the JSON body, the shape of errors.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::{StatusCode, header};
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use futures_util::StreamExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use crate::app::Context;
use crate::domain::api_error::{ApiError, ApiErrorCode};
use crate::domain::client::Client;
use crate::http::params::MAX_FORM_BYTES;
use crate::service::api::{ApiRefusal, caller};

const TYPE_URL: &str = "type.googleapis.com/scalekit.v1.errdetails.ErrorInfo";

/// An error, as Scalekit's gateway writes it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ApiErrorBody {
    /// Number of the gRPC status.
    pub code: i32,
    pub message: String,
    pub details: Vec<ErrorInfo>,
}

/// What programs act upon.
#[derive(Debug, Serialize, ToSchema)]
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
#[derive(Debug, Serialize, ToSchema)]
pub struct ValidationErrorInfo {
    pub field_violations: Vec<FieldViolationBody>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FieldViolation)]
pub struct FieldViolationBody {
    pub field: String,
    pub description: String,
    pub constraint: &'static str,
}

/// Where people read more.
#[derive(Debug, Serialize, ToSchema)]
pub struct HelpInfo {
    pub links: [HelpLink; 1],
}

#[derive(Debug, Serialize, ToSchema)]
pub struct HelpLink {
    pub description: &'static str,
    pub url: String,
}

/// A body as it arrived; an extractor that never fails, so that the token is looked at first.
pub struct Body(Result<Vec<u8>, ApiErrorCode>);

impl FromRequest for Body {
    type Error = actix_web::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, actix_web::Error>>>>;

    fn from_request(_: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let mut payload = payload.take();
        Box::pin(async move {
            let mut body = web::BytesMut::new();
            while let Some(chunk) = payload.next().await {
                match chunk {
                    Ok(chunk) if body.len() + chunk.len() <= MAX_FORM_BYTES => body.extend_from_slice(&chunk),
                    Ok(_) => return Ok(Self(Err(ApiErrorCode::RequestTooLarge))),
                    Err(_) => return Ok(Self(Err(ApiErrorCode::InvalidArgument))),
                }
            }
            Ok(Self(Ok(body.to_vec())))
        })
    }
}

impl Body {
    /// The body as JSON; nothing at all is an empty object.
    pub fn read<T: DeserializeOwned>(self) -> Result<T, ApiRefusal> {
        let bytes = self.0.map_err(|code| match code {
            ApiErrorCode::RequestTooLarge => {
                ApiRefusal::new(code, "invalid request: the body is larger than 64 KiB")
            }
            _ => ApiRefusal::new(code, "invalid request: the body did not arrive whole"),
        })?;
        let bytes = if bytes.is_empty() { b"{}".as_slice() } else { &bytes };
        serde_json::from_slice(bytes).map_err(|error| {
            ApiRefusal::new(
                ApiErrorCode::InvalidArgument,
                format!("invalid request: the body is no such JSON: {error}"),
            )
        })
    }
}

/// The client that calls.
pub async fn caller_of<'c>(context: &'c Context, request: &HttpRequest) -> Result<&'c Client, ApiRefusal> {
    let values = request.headers().get_all(header::AUTHORIZATION).filter_map(|v| v.to_str().ok());
    let tokens: Vec<&str> = values
        .filter_map(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        })
        .collect();
    caller(context, &tokens).await
}

/// The answer, or the refusal in its shape.
pub fn answer(outcome: Result<impl Serialize, ApiRefusal>) -> HttpResponse {
    match outcome {
        Ok(shown) => HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(shown),
        Err(refusal) => error(&refusal.into_error()),
    }
}

/// An error as Scalekit's gateway writes it.
pub fn error(error: &ApiError) -> HttpResponse {
    let violations = error.violations.iter().map(|v| FieldViolationBody {
        field: v.field.clone(),
        description: v.description.clone(),
        constraint: v.constraint,
    });
    let info = ErrorInfo {
        type_url: TYPE_URL,
        error_code: error.code.as_str(),
        validation_error_info: (!error.violations.is_empty())
            .then(|| ValidationErrorInfo { field_violations: violations.collect() }),
        help_info: error
            .help_url
            .clone()
            .map(|url| HelpInfo { links: [HelpLink { description: "What Vestibule emulates", url }] }),
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
