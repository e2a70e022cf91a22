//! Who may use the inbox and the control API, which forms are believed, and by which names the server is asked.

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode, header};
use actix_web::middleware::Next;
use actix_web::{FromRequest as _, HttpRequest, HttpResponse};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::ExposeSecret as _;

use super::api_error;
use super::context::Ctx;
use super::cookies;
use super::errors::{Problem, wants_page};
use super::see_other;
use super::selector::{authorization, request_authority};
use crate::crypto::server_secret::constant_time_eq;
use crate::domain::host::{can_be_rebound, host_of, is_loopback, origin_of};
use crate::runtime::{Access, Context};
use crate::service::api::REST_PREFIX;
use crate::service::api::{misdirected, misdirected_text};

/// Lets a request to the control API through, or answers it.
///
/// Open access trusts the loopback listener, and therefore only names that cannot be pointed at it from outside:
/// a foreign name in `Host` would be DNS rebinding.
pub fn control(request: &HttpRequest, context: &Context) -> Result<(), HttpResponse> {
    match &context.runtime.server.control {
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

/// Lets a request for metrics through, or answers it. They name nobody, but tell how much goes on.
pub fn metrics(request: &HttpRequest, context: &Context) -> Result<(), HttpResponse> {
    let shows = |token: &str| authorization(request, "Bearer").is_some_and(|t| constant_time_eq(t, token));
    let problem = match &context.runtime.server.metrics {
        Access::Open if is_local_name(request, context) => return Ok(()),
        Access::Token(token) if shows(token.expose_secret()) => return Ok(()),
        Access::Off => {
            let text = "Metrics are switched off here (metrics.enabled, metrics.token).";
            Problem::new(StatusCode::NOT_FOUND, "not_found", "Switched off", text)
        }
        Access::Open => {
            let text =
                "This host name is neither loopback nor one of public_urls, so it may not read metrics.";
            Problem::new(StatusCode::FORBIDDEN, "forbidden", "Not from here", text)
        }
        Access::Token(_) => {
            let text = "Metrics need their token: Authorization: Bearer … (metrics.token).";
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

/// The token as a Bearer credential, or as the password of Basic, which browsers can ask users for.
fn shown_token(request: &HttpRequest) -> Option<String> {
    if let Some(token) = authorization(request, "Bearer") {
        return Some(token.to_owned());
    }
    let decoded = String::from_utf8(STANDARD.decode(authorization(request, "Basic")?).ok()?).ok()?;
    decoded.split_once(':').map(|(_, password)| password.to_owned())
}

fn is_local_name(request: &HttpRequest, context: &Context) -> bool {
    let Some(authority) = request_authority(request) else { return false };
    context.environment.public_urls.iter().any(|u| u.authority().eq_ignore_ascii_case(authority))
        || is_loopback(&host_of(authority))
}

/// Does a browser load this ahead, for somebody who may never go there? By Fetch §2.2.5 `Sec-Purpose`, or one of its
/// forerunners.
fn is_prefetch(request: &HttpRequest) -> bool {
    ["sec-purpose", "purpose", "x-purpose", "x-moz"].into_iter().any(|name| {
        let value = header_of(request, name).unwrap_or_default().to_ascii_lowercase();
        value.contains("prefetch") || value.contains("preview")
    })
}

/// Answers what browsers load ahead, on every path, before a handler could change or send anything. The status keeps
/// browsers from showing this instead of asking again when the user goes there.
pub async fn no_prefetch<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    if is_prefetch(request.request()) {
        let response =
            HttpResponse::ServiceUnavailable().insert_header((header::CACHE_CONTROL, "no-store")).finish();
        return Ok(request.into_response(response).map_into_right_body());
    }
    Ok(next.call(request).await?.map_into_left_body())
}

/// Refuses forms that another site made a browser send (login CSRF): cookies alone do not cover the forms that
/// work without one.
pub fn same_origin(request: &HttpRequest, context: &Context) -> Result<(), Problem> {
    let is_same = match (header_of(request, "sec-fetch-site"), header_of(request, "origin")) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => is_own_origin(request, context, origin),
        (None, None) => true,
    };
    if is_same {
        return Ok(());
    }
    let text = "This form was sent from another site. Go back to the application and sign in again from there. If this \
         address is right, add its URL to public_urls.";
    Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", "Not sent from here", text))
}

/// Refuses what a page of another site made a browser ask for, links that a user follows aside: the resource
/// isolation policy of Fetch Metadata.
pub fn same_origin_or_navigation(request: &HttpRequest, context: &Context) -> Result<(), Problem> {
    let is_navigation = matches!(*request.method(), Method::GET | Method::HEAD)
        && header_of(request, "sec-fetch-mode") == Some("navigate")
        && header_of(request, "sec-fetch-dest") == Some("document");
    if is_navigation { Ok(()) } else { same_origin(request, context) }
}

fn header_of<'r>(request: &'r HttpRequest, name: &str) -> Option<&'r str> {
    request.headers().get(name)?.to_str().ok()
}

/// Is this `Origin` one of ours? Browsers name the origin that they see: that of a public URL where a proxy rewrites
/// `Host`, or else the one of `Host`. Which scheme the latter has, only the proxy knows.
fn is_own_origin(request: &HttpRequest, context: &Context, origin: &str) -> bool {
    let Some(sent) = origin_of(origin) else { return false };
    let scheme = origin.split("://").next().unwrap_or_default();
    let of_host = request_authority(request).and_then(|a| origin_of(&format!("{scheme}://{a}")));
    Some(&sent) == of_host.as_ref()
        || context.environment.public_urls.iter().any(|url| origin_of(url.issuer()).as_ref() == Some(&sent))
}

/// Refuses, on every path, what came by a name that DNS rebinding may have pointed here, while a client's secret is known
/// to everybody.
pub async fn known_host<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let host = request_authority(request.request()).map(host_of).filter(|host| can_be_rebound(host));
    if let Some(host) = host {
        // Without a context there is nothing to protect, and the handler says why there is none.
        let context = Ctx::from_request(request.request(), &mut Payload::None).await;
        if context.is_ok_and(|Ctx(context)| context.is_misdirected(Some(&host))) {
            tracing::info!(
                host,
                "refused: the well-known credentials are in use, and this is none of public_urls"
            );
            let response = if request.path().starts_with(REST_PREFIX) {
                api_error::response(&misdirected(&host))
            } else {
                let (status, text) = (StatusCode::MISDIRECTED_REQUEST, misdirected_text(&host));
                Problem::new(status, "misdirected_request", "Unknown host name", text)
                    .response_for(request.request())
            };
            return Ok(request.into_response(response).map_into_right_body());
        }
    }
    Ok(next.call(request).await?.map_into_left_body())
}
