//! OAuth 2.0 and OpenID Connect endpoints.

pub mod authorize;
pub mod introspection;
pub mod logout;
pub mod metadata;
pub mod par;
mod registration;
pub mod token;
pub mod userinfo;
mod views;

use actix_web::{HttpRequest, HttpResponse};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::domain::authorization::{Parameters, RepeatedParameter};
use crate::http::errors::Problem;
use crate::http::params::ParamsError;
use crate::http::see_other;
use crate::http::selector::authorization;
use crate::runtime::Context;
use crate::service::client_auth::ClientCredentials;

/// Has the browser repeat a form as GET: cookies are `SameSite=Lax` and do not come with a form that another site sent.
fn repeat_as_get(
    request: &HttpRequest,
    context: &Context,
    path: &str,
    form: Result<Parameters, ParamsError>,
) -> HttpResponse {
    match form {
        Ok(params) => see_other(&url_with(context, path, &params)),
        Err(error) => unreadable(error).page(request),
    }
}

/// The URL of a path of ours with these parameters.
fn url_with(context: &Context, path: &str, params: &Parameters) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(params.pairs()).finish();
    context.public_url.join(&format!("{path}?{query}"))
}

fn unreadable(error: ParamsError) -> Problem {
    Problem::new(error.status(), "invalid_request", "Invalid request", format!("{error}."))
}

/// Why client credentials could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    #[error(transparent)]
    Repeated(#[from] RepeatedParameter),
    #[error("the Basic authorization header is malformed")]
    MalformedBasic,
    /// RFC 6749 §2.3: one method per request.
    #[error("client credentials were sent both in the header and in the body")]
    TwoMethods,
    #[error("client_id in the body differs from the one in the header")]
    TwoClients,
}

/// Reads client credentials from a Basic header or the form body (RFC 6749 §2.3.1). A Bearer header is ignored:
/// two of the SDKs send one along.
pub fn client_credentials(
    request: &HttpRequest,
    params: &Parameters,
) -> Result<ClientCredentials, CredentialsError> {
    let in_body = ClientCredentials {
        client_id: params.one("client_id")?.map(str::to_owned),
        client_secret: params.one("client_secret")?.map(str::to_owned),
    };
    let Some(encoded) = authorization(request, "Basic") else { return Ok(in_body) };
    let in_header = decode_basic(encoded).ok_or(CredentialsError::MalformedBasic)?;
    if in_body.client_secret.is_some() {
        return Err(CredentialsError::TwoMethods);
    }
    if in_body.client_id.is_some() && in_body.client_id != in_header.client_id {
        return Err(CredentialsError::TwoClients);
    }
    Ok(in_header)
}

/// Id and secret are form-encoded before they are joined (RFC 6749 §2.3.1); an empty secret is none.
fn decode_basic(encoded: &str) -> Option<ClientCredentials> {
    let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    let part = |text: &str| {
        let text = text.replace('&', "%26").replace('=', "%3D");
        url::form_urlencoded::parse(text.as_bytes()).next().map(|(name, _)| name.into_owned())
    };
    Some(ClientCredentials { client_id: part(id), client_secret: part(secret) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn read(header: Option<&str>, body: &str) -> Result<ClientCredentials, CredentialsError> {
        let mut request = TestRequest::post();
        if let Some(header) = header {
            request = request.insert_header(("authorization", header));
        }
        client_credentials(&request.to_http_request(), &crate::http::params::parse(body.as_bytes()).unwrap())
    }

    fn basic(id: &str, secret: &str) -> String {
        format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
    }

    #[test]
    fn credentials_come_from_body_or_header_form_encoded() {
        let body = read(None, "client_id=a&client_secret=b%26c").unwrap();
        assert_eq!((body.client_id.as_deref(), body.client_secret.as_deref()), (Some("a"), Some("b&c")));
        let header = read(Some(&basic("a%3Ab", "s+e%2Bc=r&t")), "").unwrap();
        assert_eq!(
            (header.client_id.as_deref(), header.client_secret.as_deref()),
            (Some("a:b"), Some("s e+c=r&t"))
        );
        assert_eq!(read(Some("Bearer whatever"), "client_id=a").unwrap().client_id.as_deref(), Some("a"));
    }

    #[test]
    fn two_methods_or_two_clients_are_refused() {
        assert_eq!(
            read(Some(&basic("a", "b")), "client_secret=b").unwrap_err(),
            CredentialsError::TwoMethods
        );
        assert_eq!(read(Some(&basic("a", "b")), "client_id=c").unwrap_err(), CredentialsError::TwoClients);
        assert!(read(Some(&basic("a", "b")), "client_id=a").is_ok());
        assert_eq!(read(Some("Basic ???"), "").unwrap_err(), CredentialsError::MalformedBasic);
        assert!(matches!(read(None, "client_id=a&client_id=a"), Err(CredentialsError::Repeated(_))));
    }
}
