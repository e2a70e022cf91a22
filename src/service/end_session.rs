//! `/oidc/logout` (OpenID Connect RP-Initiated Logout 1.0).

use super::Failure;
use super::sessions::{Browser, live_session};
use super::token::hinted;
use crate::app::Context;
use crate::domain::authorization::{Parameters, RepeatedParameter};
use crate::domain::client::Client;
use crate::domain::redirect_uri::check_post_logout_uri;

/// Where the browser goes. Whatever it is, the session of its cookie has ended.
#[derive(Debug, PartialEq, Eq)]
pub enum LoggedOut {
    Redirect {
        location: String,
    },
    /// The plain "signed out" page.
    Page,
    /// Signed out, but the address asked for is not registered.
    UriNotRegistered {
        uri: String,
    },
    /// Signed out, but the hint is not an ID token of ours.
    BadHint,
    Repeated(&'static str),
}

impl From<RepeatedParameter> for LoggedOut {
    fn from(RepeatedParameter(name): RepeatedParameter) -> Self {
        Self::Repeated(name)
    }
}

/// Ends the session that the browser's cookie names, and decides where the browser goes. Without the cookie
/// nothing ends: a hint alone is no proof of being in that browser.
pub async fn end_session(
    context: &Context,
    params: &Parameters,
    browser: &Browser,
) -> Result<LoggedOut, Failure> {
    if let Some((session, _)) = live_session(context, browser).await? {
        end(context, &session.id).await?;
    }
    Ok(destination(context, params).unwrap_or_else(|refused| refused))
}

/// Ends a session and tells its applications; `false` when it had ended before.
pub async fn end(context: &Context, session_id: &str) -> Result<bool, Failure> {
    let has_ended =
        context.store().end_session(context.environment_id(), session_id, context.now_ms()).await?;
    if has_ended {
        context.app.site.sessions_ended.notify_one();
    }
    Ok(has_ended)
}

fn destination(context: &Context, params: &Parameters) -> Result<LoggedOut, LoggedOut> {
    let environment = &context.environment;
    let client_id = match params.one("id_token_hint")? {
        None => None,
        // ID tokens are short-lived and logout comes late: only the signature counts.
        Some(token) => match hinted(context, token) {
            Some(claims) => Some(claims.client_id),
            None => return Err(LoggedOut::BadHint),
        },
    };
    let named = params.one("client_id")?.map(str::to_owned);
    // RP-Initiated Logout 1.0 §2: a client_id has to be that of the hint.
    if named.is_some() && client_id.is_some() && named != client_id {
        return Err(LoggedOut::BadHint);
    }
    let client = client_id.or(named).and_then(|id| environment.client(&id));
    let state = params.one("state")?;
    match params.one("post_logout_redirect_uri")? {
        Some(uri) => {
            let candidates: Vec<&Client> = match client {
                Some(client) => vec![client],
                None => environment.clients.iter().collect(),
            };
            let allows = |c: &Client| {
                check_post_logout_uri(c, uri, environment.mode, environment.strict_redirects).is_allowed()
            };
            if candidates.iter().any(|c| allows(c)) {
                Ok(LoggedOut::Redirect { location: with_state(uri, state) })
            } else {
                Err(LoggedOut::UriNotRegistered { uri: uri.to_owned() })
            }
        }
        None => {
            let client = client.or(environment.clients.first());
            let first =
                client.and_then(|c| c.post_logout_redirect_uris.iter().find(|u| !u.as_str().contains('*')));
            Ok(first.map_or(LoggedOut::Page, |uri| LoggedOut::Redirect {
                location: with_state(uri.as_str(), state),
            }))
        }
    }
}

fn with_state(uri: &str, state: Option<&str>) -> String {
    let Some(state) = state else { return uri.to_owned() };
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("state", state).finish();
    format!("{uri}{}{query}", if uri.contains('?') { "&" } else { "?" })
}
