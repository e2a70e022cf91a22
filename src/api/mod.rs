//! Scalekit's API: the services that are emulated, over gRPC and REST, and an answer for all others.

mod audit_logs;
mod auth;
mod call;
mod clients;
mod connections;
mod convert;
mod domains;
mod examples;
pub mod not_emulated;
pub mod openapi;
mod organizations;
mod passwordless;
pub mod rest;
mod rest_fields;
mod roles;
mod services;
mod sessions;
mod status;
mod tokens;
mod users;
pub mod validation;

use std::time::{Duration, Instant};

use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use tonic::body::Body;
use tracing::Span;

use crate::domain::api_error::{ApiError, ApiErrorCode};
use crate::domain::environment_name::{ENVIRONMENT_PATH, EnvironmentName};
use crate::domain::limits::MAX_HEADER_BYTES;
use crate::domain::public_url::PublicUrl;
use crate::domain::scalekit_api::{self, Method};
use crate::runtime::{Context, EnvironmentError, EnvironmentRegistry, EnvironmentSelector, current_request};
use crate::service::api::misdirected;
use crate::telemetry::request;

/// The messages of `proto/`.
#[allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated")]
pub mod pb {
    pub mod google {
        pub mod rpc {
            tonic::include_proto!("google.rpc");
        }
    }
    pub mod scalekit {
        pub mod v1 {
            pub mod auditlogs {
                tonic::include_proto!("scalekit.v1.auditlogs");
            }
            pub mod auth {
                tonic::include_proto!("scalekit.v1.auth");
                pub mod passwordless {
                    tonic::include_proto!("scalekit.v1.auth.passwordless");
                }
            }
            pub mod clients {
                tonic::include_proto!("scalekit.v1.clients");
            }
            pub mod commons {
                tonic::include_proto!("scalekit.v1.commons");
            }
            pub mod connections {
                tonic::include_proto!("scalekit.v1.connections");
            }
            pub mod domains {
                tonic::include_proto!("scalekit.v1.domains");
            }
            pub mod errdetails {
                tonic::include_proto!("scalekit.v1.errdetails");
            }
            pub mod organizations {
                tonic::include_proto!("scalekit.v1.organizations");
            }
            pub mod roles {
                tonic::include_proto!("scalekit.v1.roles");
            }
            pub mod sessions {
                tonic::include_proto!("scalekit.v1.sessions");
            }
            pub mod tokens {
                tonic::include_proto!("scalekit.v1.tokens");
            }
            pub mod users {
                tonic::include_proto!("scalekit.v1.users");
            }
        }
    }
}

/// Is it gRPC? `application/grpc`, with or without a format behind it, and never `application/grpc-web`.
pub fn is_grpc(headers: &http::HeaderMap) -> bool {
    let rest = headers.get(CONTENT_TYPE).and_then(|v| v.as_bytes().strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// Answers gRPC calls.
#[derive(Clone)]
pub struct Grpc {
    registry: EnvironmentRegistry,
}

impl Grpc {
    pub fn new(registry: EnvironmentRegistry) -> Self {
        Self { registry }
    }

    /// Answers one call. Whatever goes wrong, the answer carries an ErrorInfo: one SDK crashes without.
    pub async fn answer<B>(
        &self,
        request: http::Request<B>,
        name: Option<EnvironmentName>,
        over_tls: bool,
    ) -> http::Response<Body>
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
    {
        let begun = Instant::now();
        let method = scalekit_api::by_grpc_path(request.uri().path()).map(Method::path);
        let response = self.answer_call(request, name, over_tls).await;
        // A call that went well says so behind its message.
        let code = response.headers().get("grpc-status").and_then(|v| v.to_str().ok()?.parse().ok());
        let code = code.unwrap_or_default();
        Span::current().record("rpc.grpc.status_code", code);
        if let Some(method) = &method {
            request::name_span(method, None);
            current_request::note(|notes| notes.route = Some(format!("/{method}")));
        }
        if code != 0 {
            current_request::note(|notes| notes.error = Some(error_code(response.headers())));
        }
        self.registry.metrics().grpc_call(method, code, begun.elapsed());
        response
    }

    async fn answer_call<B>(
        &self,
        request: http::Request<B>,
        name: Option<EnvironmentName>,
        over_tls: bool,
    ) -> http::Response<Body>
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
    {
        if has_large_headers(request.headers()) {
            let text = format!("invalid request: the headers are larger than {MAX_HEADER_BYTES} bytes");
            return status::of(&ApiError::new(ApiErrorCode::RequestTooLarge, text)).into_http();
        }
        let path = request.uri().path().to_owned();
        let authority = request.uri().authority().map(|a| a.as_str().to_owned());
        let authority = authority.or_else(|| Some(request.headers().get(HOST)?.to_str().ok()?.to_owned()));
        let name = name.or_else(|| environment_of_tokens(request.headers()));
        let asked = EnvironmentSelector { over_tls, authority: authority.as_deref(), name: name.as_ref() };
        let context = match self.registry.context(asked).await {
            Ok(context) => context,
            Err(refusal) => return status::of(&no_context(&refusal)).into_http(),
        };
        if context.is_misdirected(authority.as_deref()) {
            let host = authority.as_deref().unwrap_or_default();
            return status::of(&misdirected(host)).into_http();
        }
        let deadline = request.headers().get("grpc-timeout").and_then(|v| parse_timeout(v.to_str().ok()?));
        let call = dispatch(&context, &path, request);
        let response = match deadline {
            None => call.await,
            Some(time) => match tokio::time::timeout(time, call).await {
                Ok(response) => response,
                Err(_) => {
                    let error = ApiError::new(ApiErrorCode::DeadlineExceeded, "the deadline was exceeded");
                    status::of(&error).into_http()
                }
            },
        };
        status::with_details(response)
    }
}

/// The code of the error that a refused call is answered with.
fn error_code(headers: &http::HeaderMap) -> &'static str {
    let said = tonic::Status::from_header_map(headers);
    said.map_or(ApiErrorCode::Internal, |said| status::to_error(&said).code).as_str()
}

async fn dispatch<B>(context: &Context, path: &str, request: http::Request<B>) -> http::Response<Body>
where
    B: http_body::Body + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    let Some(method) = scalekit_api::by_grpc_path(path) else {
        return status::of(&unknown(path)).into_http();
    };
    let lines = request.headers().get_all(AUTHORIZATION).iter().filter_map(|line| line.to_str().ok());
    match services::admit(context, method, lines).await {
        Ok(admitted) => admitted.call(context, request).await,
        Err(refusal) => status::refused(refusal).into_http(),
    }
}

fn has_large_headers(headers: &http::HeaderMap) -> bool {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    bytes > MAX_HEADER_BYTES
}

/// A status that a tester asked for.
pub fn refuse_on_purpose(code: i32, message: String) -> http::Response<Body> {
    status::on_purpose(code, message).into_http()
}

/// The isolated environment whose path is in the issuer of a Bearer token. Some gRPC libraries drop the path of the URL
/// they are given; the token, which is verified there, still tells where the call belongs.
fn environment_of_tokens(headers: &http::HeaderMap) -> Option<EnvironmentName> {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    headers.get_all(AUTHORIZATION).iter().filter_map(|value| value.to_str().ok()).find_map(|line| {
        let payload = line.split('.').nth(1)?;
        let claims: serde_json::Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
        let issuer = PublicUrl::parse(claims.get("iss")?.as_str()?).ok()?;
        let at = issuer.path().rfind(ENVIRONMENT_PATH)?;
        Some(EnvironmentName::split_path(&issuer.path()[at..])?.0)
    })
}

fn no_context(refusal: &EnvironmentError) -> ApiError {
    match refusal {
        EnvironmentError::Unknown(_) => ApiError::new(ApiErrorCode::NotFound, refusal.to_string()),
        EnvironmentError::Starting => {
            let text = "the server is starting and waits for its database; try again in a moment";
            ApiError::new(ApiErrorCode::Unavailable, text)
        }
        EnvironmentError::Failure(error) => {
            tracing::error!(%error, "an environment could not be read");
            ApiError::new(ApiErrorCode::Unavailable, "the database does not answer; try again in a moment")
        }
    }
}

fn unknown(path: &str) -> ApiError {
    let text = format!("Scalekit's API has no method {}", path.trim_start_matches('/'));
    ApiError::new(ApiErrorCode::UnknownMethod, text)
}

/// `grpc-timeout`: at most eight digits and a unit.
fn parse_timeout(text: &str) -> Option<Duration> {
    let at = text.len().checked_sub(1).filter(|at| (1..=8).contains(at) && text.is_char_boundary(*at))?;
    let (digits, unit) = text.split_at(at);
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_are_read_in_every_unit() {
        assert_eq!(parse_timeout("20S"), Some(Duration::from_secs(20)));
        assert_eq!(parse_timeout("20000m"), Some(Duration::from_secs(20)));
        assert_eq!(parse_timeout("10000000u"), Some(Duration::from_secs(10)));
        assert_eq!(parse_timeout("99999999H"), Some(Duration::from_hours(99_999_999)));
        for wrong in ["", "S", "20", "20s", "-1S", "+1S", "123456789S", "1 S", "é", "1é"] {
            assert_eq!(parse_timeout(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn grpc_is_told_from_what_looks_like_it() {
        let is = |value: &str| {
            let mut headers = http::HeaderMap::new();
            headers.insert(CONTENT_TYPE, value.parse().unwrap());
            is_grpc(&headers)
        };
        assert!(is("application/grpc") && is("application/grpc+proto") && is("application/grpc;v=1"));
        assert!(!is("application/grpc-web") && !is("application/json") && !is("application/grpcx"));
        assert!(!is_grpc(&http::HeaderMap::new()));
    }
}
