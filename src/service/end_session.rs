//! `/oidc/logout` (OpenID Connect RP-Initiated Logout 1.0).

use super::sessions::{Browser, live_session};
use super::token::hinted;
use super::{Failure, events};
use crate::domain::authorization::{Parameters, RepeatedParameter, with_query};
use crate::domain::client::Client;
use crate::domain::client::check_post_logout_uri;
use crate::domain::session::{Session, SessionEnd};
use crate::domain::settings::LogoutConfirm;
use crate::domain::token::IdTokenClaims;
use crate::runtime::Context;

/// What a logout request comes to.
#[derive(Debug)]
pub enum Logout {
    /// Nothing has changed: the user is asked first.
    Confirm {
        /// Who is signed in.
        email: String,
        /// The application that asked, where the request tells it.
        app_name: Option<String>,
        /// Where the browser will go afterwards, when that is registered.
        location: Option<String>,
    },
    /// The browser's session, if there was one, has ended.
    SignedOut(AfterLogout),
    /// Nothing has changed: a parameter came more than once.
    Repeated(&'static str),
}

/// Where a browser goes that is signed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AfterLogout {
    /// The application asked for this address, and it is registered for it.
    Redirect { location: String },
    /// No address was asked for: a page with the way back to the application, where one is known.
    Page { application: Option<(String, String)> },
    /// The address asked for is not registered for the application that asked.
    UriNotRegistered { uri: String, client_id: Option<String> },
    /// The hint is not an ID token of ours, or another client's than `client_id`.
    BadHint,
}

/// What a request says of who is to be signed out.
enum Hint {
    Absent,
    /// No ID token of this environment, or not one of the client that the request names.
    Invalid,
    Valid(Box<IdTokenClaims>),
}

/// Answers a logout request: ends the session that the browser's cookie names, or asks first. Without the cookie
/// nothing ends: a hint alone is no proof of being in that browser.
pub async fn end_session(
    context: &Context,
    params: &Parameters,
    browser: &Browser,
) -> Result<Logout, Failure> {
    let (hint, after) = match read(context, params) {
        Ok(read) => read,
        Err(RepeatedParameter(name)) => return Ok(Logout::Repeated(name)),
    };
    if let Some((session, user)) = live_session(context, browser).await? {
        if must_ask(context.environment.logout_confirm, &hint, &session) {
            return Ok(Logout::Confirm {
                email: user.email,
                app_name: asking_client(context, params, &hint).map(|c| c.name.clone()),
                location: match after {
                    AfterLogout::Redirect { location } => Some(location),
                    _ => None,
                },
            });
        }
        end(context, &session.id, SessionEnd::Logout).await?;
    }
    Ok(Logout::SignedOut(after))
}

/// The user's own word: ends the session that the browser's cookie names.
pub async fn end_confirmed(context: &Context, browser: &Browser) -> Result<(), Failure> {
    if let Some((session, _)) = live_session(context, browser).await? {
        end(context, &session.id, SessionEnd::Logout).await?;
    }
    Ok(())
}

/// Ends a session and tells its applications; `false` when it had ended before.
pub async fn end(context: &Context, session_id: &str, ended_by: SessionEnd) -> Result<bool, Failure> {
    let (store, now_ms) = (context.store(), context.now_ms());
    let logouts = events::of_session_end(context, session_id, ended_by).await?;
    let environment_id = context.environment_id();
    let has_ended = store.end_session(environment_id, session_id, ended_by, &logouts, now_ms).await?;
    if has_ended {
        context.runtime.server.sessions_ended.notify_one();
    }
    Ok(has_ended)
}

/// Must the user be asked (RP-Initiated Logout 1.0 §2)? Always, where the hint is another session's, and thereby
/// perhaps another person's.
fn must_ask(confirm: LogoutConfirm, hint: &Hint, session: &Session) -> bool {
    match hint {
        Hint::Valid(claims) => claims.sid != session.id,
        Hint::Absent | Hint::Invalid => confirm == LogoutConfirm::WithoutHint,
    }
}

fn read(context: &Context, params: &Parameters) -> Result<(Hint, AfterLogout), RepeatedParameter> {
    let client_id = params.one("client_id")?;
    let hint = match params.one("id_token_hint")? {
        None => Hint::Absent,
        // ID tokens are short-lived and logout comes late: only the signature counts. A client_id has to be that of
        // the hint (§2).
        Some(token) => match hinted(context, token) {
            Some(claims) if client_id.is_none_or(|id| id == claims.client_id) => {
                Hint::Valid(Box::new(claims))
            }
            _ => Hint::Invalid,
        },
    };
    for name in ["logout_hint", "ui_locales"] {
        params.one(name)?;
    }
    let (uri, state) = (params.one("post_logout_redirect_uri")?, params.one("state")?);
    let after = match (&hint, uri) {
        (Hint::Invalid, _) => AfterLogout::BadHint,
        (_, None) => AfterLogout::Page { application: way_back(context, params, &hint) },
        (_, Some(uri)) if is_registered(context, params, &hint, uri) => {
            AfterLogout::Redirect { location: with_state(uri, state) }
        }
        (_, Some(uri)) => AfterLogout::UriNotRegistered {
            uri: uri.to_owned(),
            client_id: asking_client_id(params, &hint).map(str::to_owned),
        },
    };
    Ok((hint, after))
}

fn asking_client_id<'p>(params: &'p Parameters, hint: &'p Hint) -> Option<&'p str> {
    match hint {
        Hint::Valid(claims) => Some(&claims.client_id),
        Hint::Absent | Hint::Invalid => params.one("client_id").ok().flatten(),
    }
}

/// The application that asks, by its hint or by its own word.
fn asking_client<'c>(context: &'c Context, params: &Parameters, hint: &Hint) -> Option<&'c Client> {
    asking_client_id(params, hint).and_then(|id| context.environment.client(id))
}

/// May the browser go there (§3)? An application that says who it is has its own addresses only. One that does not has
/// those that somebody registered.
fn is_registered(context: &Context, params: &Parameters, hint: &Hint, uri: &str) -> bool {
    let environment = &context.environment;
    let asking = asking_client_id(params, hint);
    environment
        .clients
        .iter()
        .filter(|client| asking.is_none_or(|id| client.client_id == id))
        .any(|c| check_post_logout_uri(c, uri, environment.mode, environment.strict_redirects).is_allowed())
}

/// Name and page of the application that asked, or of the only one that has a page.
fn way_back(context: &Context, params: &Parameters, hint: &Hint) -> Option<(String, String)> {
    let link = |client: &Client| client.home_url().map(|url| (client.name.clone(), url));
    if asking_client_id(params, hint).is_some() {
        return asking_client(context, params, hint).and_then(link);
    }
    let mut links = context.environment.clients.iter().filter_map(link);
    links.next().filter(|first| links.all(|other| other == *first))
}

fn with_state(uri: &str, state: Option<&str>) -> String {
    let Some(state) = state else { return uri.to_owned() };
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("state", state).finish();
    with_query(uri, &query)
}
