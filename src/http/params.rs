//! Parameters from query strings and form bodies.

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpRequest, web};
use std::future::Future;
use std::pin::Pin;

use crate::domain::authorization::Parameters;
use crate::runtime::current_request;

/// Largest form body, in bytes.
pub const MAX_FORM_BYTES: usize = 64 * 1024;

/// Why parameters could not be read. The sentence is for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParamsError {
    #[error("the parameters are not valid UTF-8")]
    NotUtf8,
    #[error("the body must be of type application/x-www-form-urlencoded")]
    WrongType,
    #[error("the body is larger than 64 KiB")]
    TooLarge,
    #[error("the body did not arrive whole")]
    Broken,
}

impl ParamsError {
    pub fn status(self) -> StatusCode {
        match self {
            Self::NotUtf8 | Self::Broken => StatusCode::BAD_REQUEST,
            Self::WrongType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        }
    }
}

/// Decodes `application/x-www-form-urlencoded` text. Bytes that are no UTF-8 are refused, not replaced.
pub fn parse(encoded: &[u8]) -> Result<Parameters, ParamsError> {
    let decode = |part: &[u8]| -> Result<String, ParamsError> {
        let spaced: Vec<u8> = part.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect();
        let text =
            percent_encoding::percent_decode(&spaced).decode_utf8().map_err(|_| ParamsError::NotUtf8)?;
        Ok(text.into_owned())
    };
    let mut pairs = Vec::new();
    for pair in encoded.split(|b| *b == b'&').filter(|p| !p.is_empty()) {
        let (name, value) = match pair.iter().position(|b| *b == b'=') {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &[][..]),
        };
        pairs.push((decode(name)?, decode(value)?));
    }
    Ok(Parameters::new(pairs))
}

/// An address from a query, with the plus signs that were not encoded and so became spaces: no address has a space
/// within. Those around it were typed.
pub fn with_lost_plus(address: &str) -> String {
    address.trim().replace(' ', "+")
}

/// Parameters of the query string.
pub fn query(request: &HttpRequest) -> Result<Parameters, ParamsError> {
    parse(request.query_string().as_bytes())
}

/// Parameters of a form body; an extractor.
pub struct Form(pub Result<Parameters, ParamsError>);

impl FromRequest for Form {
    type Error = actix_web::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, actix_web::Error>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let mut payload = payload.take();
        Box::pin(async move { Ok(Self(read(&request, &mut payload).await)) })
    }
}

async fn read(request: &HttpRequest, payload: &mut Payload) -> Result<Parameters, ParamsError> {
    use futures_util::StreamExt as _;
    let mut body = web::BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| ParamsError::Broken)?;
        if body.len() + chunk.len() > MAX_FORM_BYTES {
            return Err(ParamsError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    let content_type =
        request.headers().get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    // A POST without a body needs no type.
    if !media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") && !body.is_empty() {
        return Err(ParamsError::WrongType);
    }
    let form = parse(&body)?;
    current_request::note_parameters(
        form.pairs().iter().map(|(name, value)| (name.as_str(), value.as_str())),
    );
    Ok(form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_decoded_and_broken_encodings_refused() {
        let params = parse(b"state=a.b-c_d%2Be&redirect_uri=https://x/y?z&empty=").unwrap();
        assert_eq!(params.one("state").unwrap(), Some("a.b-c_d+e"));
        assert_eq!(params.one("redirect_uri").unwrap(), Some("https://x/y?z"));
        assert_eq!(params.one("empty").unwrap(), None);
        assert_eq!(parse(b"state=%FF").err(), Some(ParamsError::NotUtf8));
        assert_eq!(
            parse("state=\u{FFFD}%EF%BF%BD".as_bytes()).unwrap().one("state").unwrap(),
            Some("\u{FFFD}\u{FFFD}")
        );
        assert_eq!(parse(b"%C3=1").err(), Some(ParamsError::NotUtf8));
    }
}
