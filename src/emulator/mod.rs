//! The control API below `/_emulator/v1/`, for tests and for the dashboard's users: JSON in, JSON out, mistakes as
//! problem documents (RFC 9457) that name field and reason.

pub mod clients;
pub mod clock;
pub mod environments;
pub mod events;
pub mod faults;
pub mod flows;
pub mod inbox;
pub mod interceptors;
pub mod llms;
pub mod logout_notices;
pub mod openapi;
pub mod request_journal;
mod server_sent_events;
pub mod sign_in;
pub mod state;
pub mod token_template;
pub mod tokens;
pub mod users;
pub mod webhooks;

use std::ops::RangeInclusive;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::error::InternalError;
use actix_web::http::{StatusCode, header};
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use futures_util::StreamExt as _;
use futures_util::future::LocalBoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use crate::domain::authorization::Parameters;
use crate::domain::email::EmailAddress;
use crate::http::context::Ctx;
use crate::http::errors::{Problem, ProblemDocument};
use crate::http::guard;
use crate::http::params;
use crate::runtime::Context;
use crate::service::NOT_TEXT;
use crate::service::changes::ControlError;

/// Largest body: a snapshot can be long.
const MAX_BODY_BYTES: usize = 64 << 20;

/// Longest wait for an email or an event, in milliseconds.
const MAX_WAIT_MS: i64 = 60_000;

/// What handlers give.
pub type Answer = Result<HttpResponse, actix_web::Error>;

/// A refusal as a problem document; a failure of ours is logged.
pub fn refusal(refused: ControlError) -> HttpResponse {
    let detail = refused.to_string();
    let (problem, errors) = match refused {
        ControlError::Invalid(errors) => (Problem::bad_request("invalid_request", detail), errors),
        ControlError::NotFound(text) => {
            (Problem::new(StatusCode::NOT_FOUND, "not_found", "Not found", text), vec![])
        }
        ControlError::Conflict(error) => {
            (Problem::new(StatusCode::CONFLICT, "conflict", "Already exists", detail), vec![error])
        }
        ControlError::NotAllowed(text) => {
            (Problem::new(StatusCode::FORBIDDEN, "forbidden", "Not allowed", text), vec![])
        }
        ControlError::Failure(failure) if failure.is_of_caller() => {
            return refusal(ControlError::field("", NOT_TEXT));
        }
        ControlError::Failure(failure) => (Problem::failure(&failure), vec![]),
    };
    problem.document(errors)
}

/// A refusal as what ends a handler.
pub fn refuse(refused: ControlError) -> actix_web::Error {
    end_with(refusal(refused))
}

fn end_with(response: HttpResponse) -> actix_web::Error {
    InternalError::from_response("refused", response).into()
}

/// The context of a request that may use the control API.
pub struct Control(pub Context);

impl FromRequest for Control {
    type Error = actix_web::Error;
    type Future = LocalBoxFuture<'static, Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let context = Ctx::from_request(request, payload);
        let request = request.clone();
        Box::pin(async move {
            let Ctx(context) =
                context.await.map_err(|problem: Problem| end_with(problem.response_for(&request)))?;
            guard::control(&request, &context).map_err(end_with)?;
            // A page of another site can make a browser send requests here, and loopback asks for no token.
            guard::same_origin_or_navigation(&request, &context).map_err(|_| {
                let text = "A page of another site sent this request.";
                let problem = Problem::new(StatusCode::FORBIDDEN, "forbidden", "Not sent from here", text);
                end_with(problem.document(vec![]))
            })?;
            Ok(Self(context))
        })
    }
}

/// A JSON body. Without one, what the type has as its default.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = actix_web::Error;
    type Future = LocalBoxFuture<'static, Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
        let is_json = content_type.is_none_or(|t| {
            let media_type = t.split(';').next().unwrap_or_default().trim();
            media_type == "application/json" || media_type.ends_with("+json")
        });
        let mut payload = payload.take();
        Box::pin(async move {
            let mut bytes = web::BytesMut::new();
            while let Some(chunk) = payload.next().await {
                let chunk = chunk.map_err(|_| refuse(ControlError::field("", "the body broke off")))?;
                if bytes.len() + chunk.len() > MAX_BODY_BYTES {
                    let text = format!("The body is longer than {MAX_BODY_BYTES} bytes.");
                    let problem = Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "Too large", text);
                    return Err(end_with(problem.document(vec![])));
                }
                bytes.extend_from_slice(&chunk);
            }
            if !is_json && !bytes.is_empty() {
                let text = "The body must be JSON. Send it with Content-Type: application/json.";
                let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
                let problem = Problem::new(status, "unsupported_media_type", "Not JSON", text);
                return Err(end_with(problem.document(vec![])));
            }
            let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
            crate::domain::json::read(text)
                .map(Self)
                .map_err(|error| refuse(ControlError::Invalid(vec![error])))
        })
    }
}

/// The query of a request, read by name.
pub struct Query(Parameters);

impl Query {
    pub fn of(request: &HttpRequest) -> Result<Self, ControlError> {
        params::query(request).map(Self).map_err(|error| ControlError::field("", error.to_string()))
    }

    pub fn text(&self, name: &'static str) -> Result<Option<&str>, ControlError> {
        self.0.one(name).map_err(|_| ControlError::field(name, "is there more than once"))
    }

    /// An email address. A space is the plus sign that a URL was written with and that nobody encoded.
    pub fn address(&self, name: &'static str) -> Result<Option<EmailAddress>, ControlError> {
        let parsed =
            self.text(name)?.map(|text| EmailAddress::parse(&params::with_lost_plus(text))).transpose();
        parsed.map_err(|error| ControlError::field(name, error.to_string()))
    }

    pub fn owned(&self, name: &'static str) -> Result<Option<String>, ControlError> {
        Ok(self.text(name)?.map(str::to_owned))
    }

    /// Every value of a name that may be repeated, or hold commas.
    pub fn list(&self, name: &str) -> Vec<&str> {
        let named = self.0.pairs().iter().filter(|(n, _)| n == name);
        named.flat_map(|(_, value)| value.split(',')).map(str::trim).filter(|v| !v.is_empty()).collect()
    }

    pub fn number(
        &self,
        name: &'static str,
        range: RangeInclusive<i64>,
    ) -> Result<Option<i64>, ControlError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let number = text.parse().ok().filter(|n| range.contains(n));
        number.map(Some).ok_or_else(|| {
            let text = format!("must be a whole number from {} to {}", range.start(), range.end());
            ControlError::field(name, text)
        })
    }

    /// How long to wait for what is asked for.
    pub fn wait(&self) -> Result<Option<Duration>, ControlError> {
        let ms = self.number("wait_ms", 0..=MAX_WAIT_MS)?;
        Ok(ms.map(|ms| Duration::from_millis(ms.unsigned_abs())))
    }

    pub fn boolean(&self, name: &'static str) -> Result<bool, ControlError> {
        match self.text(name)? {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(_) => Err(ControlError::field(name, "must be true or false")),
        }
    }

    /// Where the page begins and how long it is.
    pub fn page(&self) -> Result<Page, ControlError> {
        Ok(Page {
            offset: self.number("page_token", 0..=i64::from(u32::MAX))?.unwrap_or(0),
            size: self.number("page_size", 1..=200)?.unwrap_or(50),
        })
    }
}

/// A part of a list.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    pub offset: i64,
    pub size: i64,
}

impl Page {
    /// How many to read: one more than shown, to know whether there are more.
    pub fn limit(self) -> i64 {
        self.size + 1
    }

    /// Cuts what was read to the page, and tells the token of the next.
    pub fn cut<T>(self, found: &mut Vec<T>) -> Option<String> {
        let size = usize::try_from(self.size).unwrap_or_default();
        let has_more = found.len() > size;
        found.truncate(size);
        has_more.then(|| (self.offset + self.size).to_string())
    }
}

/// JSON that nobody keeps.
pub fn json(value: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(value)
}

fn created(value: &impl Serialize) -> HttpResponse {
    HttpResponse::Created().insert_header((header::CACHE_CONTROL, "no-store")).json(value)
}

fn no_content() -> HttpResponse {
    HttpResponse::NoContent().finish()
}

/// How many of something were deleted.
#[derive(Debug, Serialize, ToSchema)]
pub struct Deleted {
    pub deleted: u64,
}
