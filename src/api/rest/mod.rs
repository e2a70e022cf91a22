//! What the REST twins of gRPC methods have in common: the caller, the JSON body, the shape of errors.

pub mod audit_logs;
pub mod connections;
pub mod openapi;
pub mod passwordless;

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use futures_util::StreamExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::api_error::ApiErrorCode;
use crate::domain::client::Client;
use crate::http::api_error;
use crate::http::params::MAX_FORM_BYTES;
use crate::runtime::Context;
use crate::service::api::{ApiRefusal, caller};

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
        Err(refusal) => api_error::response(&refusal.into_error()),
    }
}
