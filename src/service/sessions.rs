//! The browser's session: who is signed in here?

use std::net::IpAddr;

use super::Failure;
use crate::crypto::server_secret::Purpose;
use crate::domain::ids::{IdKind, handle_id};
use crate::domain::language::Language;
use crate::domain::session::{Device, MAX_USER_AGENT, Session};
use crate::domain::source_address::SourceAddress;
use crate::domain::user::UserSummary;
use crate::runtime::Context;

/// Activity is written at most this often per session, in milliseconds.
const TOUCH_EVERY_MS: i64 = 60_000;

/// What a browser brings: its two cookies, and where its request comes from.
#[derive(Debug, Clone, Default)]
pub struct Browser {
    /// Names the browser; sign-ins started here can be finished only here.
    pub browser_cookie: Option<String>,
    /// Names the session.
    pub session_cookie: Option<String>,
    /// `None`: a request of our own.
    pub source: Option<SourceAddress>,
    /// The same, whole.
    pub ip_address: Option<IpAddr>,
    /// `User-Agent`.
    pub user_agent: Option<String>,
    /// What `Accept-Language` asks for of what is there.
    pub language: Option<Language>,
    /// The request is for a part of some page, as an image, and nobody went here (Fetch Metadata).
    pub is_embedded: bool,
}

impl Browser {
    /// What is kept of it with a session.
    pub fn device(&self) -> Device {
        let user_agent = self
            .user_agent
            .as_deref()
            .map(|text| text[..text.floor_char_boundary(MAX_USER_AGENT)].to_owned());
        Device { user_agent, ip_address: self.ip_address.map(|address| address.to_string()) }
    }

    /// Digest of the browser cookie, as authentication requests keep it.
    pub fn digest(&self, context: &Context) -> Option<String> {
        let cookie = self.browser_cookie.as_deref()?;
        Some(context.secret().digest(Purpose::BrowserCookie, cookie))
    }
}

/// The live session behind the cookie, with its user.
pub async fn live_session(
    context: &Context,
    browser: &Browser,
) -> Result<Option<(Session, UserSummary)>, Failure> {
    let Some(cookie) = browser.session_cookie.as_deref() else { return Ok(None) };
    let Some(id) = handle_id(IdKind::Session, cookie) else { return Ok(None) };
    let digest = context.secret().digest(Purpose::SessionCookie, cookie);
    let found = context.store().session_by_cookie(context.environment_id(), &id, &digest).await?;
    let Some(session) = found.filter(|s| s.is_live(context.now_ms(), &context.environment.sessions)) else {
        return Ok(None);
    };
    let user = context.store().user_summary(context.environment_id(), &session.user_id).await?;
    Ok(user.map(|user| (session, user)))
}

/// Notes that a session was used, for its idle timeout.
pub async fn touch(context: &Context, session: &Session) -> Result<(), Failure> {
    let now_ms = context.now_ms();
    if now_ms - session.last_active_at_ms >= TOUCH_EVERY_MS {
        context.store().touch_session(context.environment_id(), &session.id, now_ms).await?;
    }
    Ok(())
}
