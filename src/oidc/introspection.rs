//! `/oauth/introspect` and `/revoke`.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};

use super::token::{TokenError, client_of};
use crate::domain::authorization::Parameters;
use crate::http::context::Ctx;
use crate::http::errors::Problem;
use crate::http::params::{Form, ParamsError};
use crate::service::client_auth::AuthenticatedClient;
use crate::service::introspection;

/// `POST /oauth/introspect` (RFC 7662 §2.1): confidential clients only.
pub async fn introspect(request: HttpRequest, Ctx(context): Ctx, Form(form): Form) -> HttpResponse {
    let (client, token) = match read(&request, &context, &form).await {
        Ok((client, _)) if client.is_public() => {
            let text = "public clients may not introspect tokens".to_owned();
            return TokenError::InvalidClient { text, by_basic: false }.response();
        }
        Ok(read) => read,
        Err(error) => return error.response(),
    };
    match introspection::introspect(&context, client.id(), token).await {
        Ok(answer) => HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(answer),
        Err(failure) => Problem::failure(&failure).json(),
    }
}

/// `POST /revoke` (RFC 7009 §2.1): 200 whether or not there was anything to revoke.
pub async fn revoke(request: HttpRequest, Ctx(context): Ctx, Form(form): Form) -> HttpResponse {
    let (client, token) = match read(&request, &context, &form).await {
        Ok(read) => read,
        Err(error) => return error.response(),
    };
    match introspection::revoke(&context, client.id(), token).await {
        Ok(()) => HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).finish(),
        Err(failure) => Problem::failure(&failure).json(),
    }
}

async fn read<'c, 'p>(
    request: &HttpRequest,
    context: &'c crate::runtime::Context,
    form: &'p Result<Parameters, ParamsError>,
) -> Result<(AuthenticatedClient<'c>, &'p str), TokenError> {
    let params = form.as_ref().map_err(|e| TokenError::Unreadable(*e))?;
    let client = client_of(request, context, params).await?;
    let invalid = |text: String| TokenError::InvalidRequest(text);
    let token = params.one("token").map_err(|e| invalid(e.to_string()))?;
    params.one("token_type_hint").map_err(|e| invalid(e.to_string()))?;
    Ok((client, token.ok_or_else(|| invalid("the parameter token is missing".to_owned()))?))
}
