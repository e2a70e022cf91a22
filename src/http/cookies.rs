//! The cookies of browsers (their name, their session, and what was typed), and what else they say of themselves.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::cookie::{Cookie, SameSite, time::Duration};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::crypto::server_secret::{Purpose, constant_time_eq};
use crate::domain::ids::{IdKind, handle_id};
use crate::domain::interceptor_request::Caller;
use crate::domain::language::Language;
use crate::domain::settings::Mode;
use crate::domain::source_address::SourceAddress;
use crate::runtime::Context;
use crate::service::interception::caller_of;
use crate::service::sessions::Browser;

/// How long a browser keeps its name: long enough for any sign-in, renewed with the next one.
const BROWSER_COOKIE_DAYS: i64 = 30;

/// Cookies do not tell ports apart, so the name does: two servers on one machine must not sign each other's
/// users out. Over TLS a prefix binds the cookie to this host (RFC 6265bis §4.1.3), where the path allows it.
/// Environments below a path keep theirs apart by that path and their name.
fn name(context: &Context, what: &str) -> String {
    let port = context.public_url.authority().rsplit_once(':').map_or("", |(_, port)| port);
    let prefix = match (context.public_url.is_secure(), context.public_url.path()) {
        (false, _) => "",
        (true, "") => "__Host-",
        (true, _) => "__Secure-",
    };
    let environment = context.runtime.name.as_ref().map(|n| format!("_{}", n.as_str())).unwrap_or_default();
    format!("{prefix}vestibule_{what}{port}{environment}")
}

/// What the browser sent.
pub fn browser(request: &HttpRequest, context: &Context) -> Browser {
    let ip_address = ip_address(request, context);
    let value = |what| request.cookie(&name(context, what)).map(|c| c.value().to_owned());
    Browser {
        browser_cookie: value("browser").filter(|v| is_secret(v)),
        session_cookie: value("session").filter(|v| names_session(v)),
        source: ip_address.map(SourceAddress::from),
        ip_address,
        user_agent: user_agent(request),
        language: language(request),
        is_embedded: is_embedded(request, context),
    }
}

/// What a program says of itself.
pub fn caller(request: &HttpRequest, context: &Context) -> Caller {
    caller_of(user_agent(request).as_deref(), ip_address(request, context))
}

fn user_agent(request: &HttpRequest) -> Option<String> {
    request.headers().get("user-agent").and_then(|v| v.to_str().ok()).map(str::to_owned)
}

/// What the browser asks for of the languages that are there.
pub fn language(request: &HttpRequest) -> Option<Language> {
    let accepted = request.headers().get("accept-language").and_then(|v| v.to_str().ok())?;
    Language::of_accept_language(accepted)
}

/// Where the request comes from.
fn ip_address(request: &HttpRequest, context: &Context) -> Option<IpAddr> {
    let forwarded: Vec<&str> =
        request.headers().get_all("x-forwarded-for").filter_map(|v| v.to_str().ok()).collect();
    let peer = request.peer_addr()?.ip();
    warn_about_unknown_proxy(request, context, peer);
    Some(context.runtime.server.trusted_proxies.client(peer, forwarded.into_iter()))
}

/// Says once that a proxy is not among those that are believed: limits count everybody behind it as one source. Strangers
/// can write these headers too, so it is left to the operator whether it is a proxy at all.
fn warn_about_unknown_proxy(request: &HttpRequest, context: &Context, peer: IpAddr) {
    let server = &context.runtime.server;
    let header = ["x-forwarded-for", "forwarded"].into_iter().find(|h| request.headers().contains_key(*h));
    let Some(header) =
        header.filter(|_| server.mode == Mode::Production && !server.trusted_proxies.trusts(peer))
    else {
        return;
    };
    server.unknown_proxy_warned.call_once(|| {
        let peer = peer.to_canonical();
        tracing::warn!(
            "{peer} sends the header {header} and is not in trusted_proxies, so that limits count everybody behind it as one \
             source. If it is your proxy, set VESTIBULE_TRUSTED_PROXIES={peer} and let it send X-Forwarded-For"
        );
    });
}

/// Does the browser say that it fetches a part of a page, and nobody went here? In development a frame is as good as a
/// page: tools for tests run applications in one.
fn is_embedded(request: &HttpRequest, context: &Context) -> bool {
    match request.headers().get("sec-fetch-dest").and_then(|v| v.to_str().ok()) {
        None | Some("document") => false,
        Some("iframe") => context.environment.mode == Mode::Production,
        Some(_) => true,
    }
}

/// The shape of the secrets we set; anything else is ignored.
fn is_secret(value: &str) -> bool {
    value.len() == 43 && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// That of a session's, which leads to the session.
fn names_session(value: &str) -> bool {
    handle_id(IdKind::Session, value).is_some()
        && value.split_once('_').is_some_and(|(_, secret)| is_secret(secret))
}

/// Names the browser.
pub fn browser_cookie(context: &Context, value: String) -> Cookie<'static> {
    build(context, "browser", value, Duration::days(BROWSER_COOKIE_DAYS))
}

/// Names the session; lives as long as the session can.
pub fn session_cookie(context: &Context, value: String) -> Cookie<'static> {
    build(context, "session", value, Duration::seconds(context.environment.sessions.absolute_timeout_s))
}

/// Takes the session's name away.
pub fn no_session_cookie(context: &Context) -> Cookie<'static> {
    build(context, "session", String::new(), Duration::ZERO)
}

/// Longest text of a refused address that is shown again, in characters; addresses are shorter.
const MAX_TYPED_CHARS: usize = 320;

/// Keeps an address that a form was refused for, so that its page can show it again: an address of a page goes into logs
/// and histories. It is sent to that sign-in's pages alone, and lives as long as the sign-in can.
pub fn typed_email_cookie(context: &Context, auth_request_id: &str, typed: &str) -> Cookie<'static> {
    let typed: String = typed.chars().take(MAX_TYPED_CHARS).collect();
    let mut cookie = build(
        context,
        "typed",
        URL_SAFE_NO_PAD.encode(typed),
        Duration::seconds(context.environment.limits.auth_request_lifetime_s),
    );
    cookie.set_name(typed_name(context));
    cookie.set_path(context.path(&format!("/login/{auth_request_id}")));
    cookie
}

/// The address that a form of this sign-in was refused for.
pub fn typed_email(request: &HttpRequest, context: &Context) -> Option<String> {
    let cookie = request.cookie(&typed_name(context))?;
    String::from_utf8(URL_SAFE_NO_PAD.decode(cookie.value()).ok()?).ok()
}

/// `__Host-` would demand the path `/`.
fn typed_name(context: &Context) -> String {
    name(context, "typed").replacen("__Host-", "__Secure-", 1)
}

/// How long a browser keeps the sign-in that it tries from the dashboard.
const ATTEMPT_COOKIE_HOURS: i64 = 12;

/// Names the sign-in that this browser tries from the dashboard.
pub fn attempt_cookie(context: &Context, key: String) -> Cookie<'static> {
    build(context, "try", key, Duration::hours(ATTEMPT_COOKIE_HOURS))
}

/// The sign-in that this browser tries from the dashboard.
pub fn attempt(request: &HttpRequest, context: &Context) -> Option<String> {
    let cookie = request.cookie(&name(context, "try"))?;
    Some(cookie.value().to_owned()).filter(|value| is_secret(value))
}

fn build(context: &Context, what: &str, value: String, max_age: Duration) -> Cookie<'static> {
    Cookie::build(name(context, what), value)
        .path(context.path("/"))
        .http_only(true)
        // Lax, because the application's redirect to us has to carry it.
        .same_site(SameSite::Lax)
        .secure(context.public_url.is_secure())
        .max_age(max_age)
        .finish()
}

/// How long the dashboard stays signed in.
const CONTROL_COOKIE_HOURS: i64 = 12;

/// What the dashboard's cookie holds for a control token: a digest by the default environment's secret.
fn control_digest(context: &Context, token: &str) -> Option<String> {
    let default = context.registry.get()?;
    Some(default.live().secret.digest(Purpose::ControlToken, token))
}

/// Does the browser show that it signed in to the dashboard with this token?
pub fn shows_control(request: &HttpRequest, context: &Context, token: &str) -> bool {
    let shown = request.cookie(&control_name(context)).map(|c| c.value().to_owned());
    shown.zip(control_digest(context, token)).is_some_and(|(shown, held)| constant_time_eq(&shown, &held))
}

/// Signs the browser in to the dashboard; `None` signs it out.
pub fn control_cookie(context: &Context, token: Option<&str>) -> Cookie<'static> {
    let value = token.and_then(|t| control_digest(context, t)).unwrap_or_default();
    let max_age = if token.is_some() { Duration::hours(CONTROL_COOKIE_HOURS) } else { Duration::ZERO };
    Cookie::build(control_name(context), value)
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(context.public_url.is_secure())
        .max_age(max_age)
        .finish()
}

fn control_name(context: &Context) -> String {
    let port = context.public_url.authority().rsplit_once(':').map_or("", |(_, port)| port);
    format!("vestibule_control{port}")
}
