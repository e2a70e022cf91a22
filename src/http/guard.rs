//! Who may use the inbox and the control API, and which forms are believed.

use std::net::IpAddr;

use actix_web::http::{Method, StatusCode, header};
use actix_web::{HttpRequest, HttpResponse};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::ExposeSecret as _;

use super::context::request_authority;
use super::cookies;
use super::errors::{Problem, wants_page};
use super::oidc::authorization;
use super::see_other;
use crate::app::{Access, Context};
use crate::crypto::server_secret::constant_time_eq;

/// Lets a request to the control API through, or answers it.
///
/// Open access trusts the loopback listener, and therefore only names that cannot be pointed at it from outside:
/// a foreign name in `Host` would be DNS rebinding.
pub fn control(request: &HttpRequest, context: &Context) -> Result<(), HttpResponse> {
    match &context.app.site.control {
        Access::Off => {
            let text = "The inbox and the control API are switched off here (control.enabled, mode).";
            Err(Problem::new(StatusCode::NOT_FOUND, "not_found", "Switched off", text).response_for(request))
        }
        Access::Open if is_local_name(request, context) => Ok(()),
        Access::Open => {
            let text = "This host name is neither loopback nor one of public_urls, so it may not use the control API.";
            Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", "Not from here", text).response_for(request))
        }
        Access::Token(token) => {
            if shown_token(request).is_some_and(|shown| constant_time_eq(&shown, token.expose_secret()))
                || cookies::shows_control(request, context, token.expose_secret())
            {
                return Ok(());
            }
            if wants_page(request) {
                return Err(see_other(&context.public_url.join("/dashboard/sign-in")));
            }
            let text = "The control API needs its token: Authorization: Bearer …, or the password a browser asks for.";
            let problem = Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "Token needed", text);
            let mut response = problem.response_for(request);
            let challenge =
                header::HeaderValue::from_static(r#"Basic realm="vestibule control", charset="UTF-8""#);
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
            Err(response)
        }
    }
}

/// Lets a request for the figures through, or answers it. They name nobody, but tell how much goes on.
pub fn metrics(request: &HttpRequest, context: &Context) -> Result<(), HttpResponse> {
    let shows = |token: &str| authorization(request, "Bearer").is_some_and(|t| constant_time_eq(t, token));
    let problem = match &context.app.site.metrics {
        Access::Open if is_local_name(request, context) => return Ok(()),
        Access::Token(token) if shows(token.expose_secret()) => return Ok(()),
        Access::Off => {
            let text = "The figures are switched off here (metrics.enabled, metrics.token).";
            Problem::new(StatusCode::NOT_FOUND, "not_found", "Switched off", text)
        }
        Access::Open => {
            let text =
                "This host name is neither loopback nor one of public_urls, so it may not read the figures.";
            Problem::new(StatusCode::FORBIDDEN, "forbidden", "Not from here", text)
        }
        Access::Token(_) => {
            let text = "The figures need their token: Authorization: Bearer … (metrics.token).";
            Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "Token needed", text)
        }
    };
    let mut response = problem.response_for(request);
    if problem.status == StatusCode::UNAUTHORIZED {
        let challenge = header::HeaderValue::from_static(r#"Bearer realm="vestibule metrics""#);
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    Err(response)
}

/// The token as a Bearer credential, or as the password of Basic, which browsers can ask people for.
fn shown_token(request: &HttpRequest) -> Option<String> {
    if let Some(token) = authorization(request, "Bearer") {
        return Some(token.to_owned());
    }
    let decoded = String::from_utf8(STANDARD.decode(authorization(request, "Basic")?).ok()?).ok()?;
    decoded.split_once(':').map(|(_, password)| password.to_owned())
}

fn is_local_name(request: &HttpRequest, context: &Context) -> bool {
    let Some(authority) = request_authority(request) else { return false };
    if context.environment.public_urls.iter().any(|u| u.authority().eq_ignore_ascii_case(authority)) {
        return true;
    }
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Is this a request that nobody made on purpose yet: a HEAD, or a page that a browser loads ahead (Fetch §2.2.5
/// `Sec-Purpose`, and its forerunners)? It must change nothing.
pub fn is_speculative(request: &HttpRequest) -> bool {
    let is_prefetch = |name: &str| {
        let value = request.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
        value.to_ascii_lowercase().contains("prefetch")
    };
    request.method() == Method::HEAD || ["sec-purpose", "purpose", "x-moz"].into_iter().any(is_prefetch)
}

/// Refuses forms that another site made a browser send (login CSRF): cookies alone do not cover the forms that
/// work without one.
pub fn same_origin(request: &HttpRequest) -> Result<(), HttpResponse> {
    let text_of = |name: &str| request.headers().get(name).and_then(|v| v.to_str().ok());
    let is_same = match (text_of("sec-fetch-site"), text_of("origin")) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => {
            origin.split_once("://").is_some_and(|(_, a)| Some(a) == request_authority(request))
        }
        (None, None) => true,
    };
    if is_same {
        return Ok(());
    }
    let text =
        "This form was sent from another site. Go back to the application and sign in again from there.";
    Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", "Not sent from here", text).page(request))
}
