//! `/oauth/par`.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::token::{TokenError, application_of};
use crate::http::context::Ctx;
use crate::http::errors::Problem;
use crate::http::params::Form;
use crate::runtime::current_request;
use crate::service::pushed_requests::{NotPushed, push};

/// `POST /oauth/par` (RFC 9126 §2.1).
pub async fn post(request: HttpRequest, Ctx(context): Ctx, Form(form): Form) -> HttpResponse {
    let params = match form {
        Ok(params) => params,
        Err(error) => return TokenError::Unreadable(error).response(),
    };
    let client = match application_of(&request, &context, &params).await {
        Ok(client) => client,
        Err(error) => return error.response(),
    };
    match push(&context, client, &params).await {
        Ok(pushed) => HttpResponse::Created().insert_header((header::CACHE_CONTROL, "no-store")).json(pushed),
        Err(NotPushed::Refused { code, description }) => {
            current_request::note_error(code);
            HttpResponse::BadRequest()
                .insert_header((header::CACHE_CONTROL, "no-store"))
                .json(json!({ "error": code, "error_description": description }))
        }
        Err(NotPushed::Failure(failure)) => Problem::failure(&failure).json(),
    }
}
