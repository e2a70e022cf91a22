//! Logout tokens: which applications were told of ended sessions.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Answer, Control, json, refuse};
use crate::service::backchannel_logout::{self, LogoutNoticeView};

/// Notices listed at most.
const LOGOUT_NOTICES: i64 = 500;

#[derive(Debug, Serialize, ToSchema)]
pub struct LogoutNoticeList {
    pub notices: Vec<LogoutNoticeView>,
}

/// Which applications were told of the end of a session by back-channel logout, or still have to be: the last 500.
#[utoipa::path(get, path = "/_emulator/v1/logout-notices", tag = "logout-notices",
    responses((status = 200, body = LogoutNoticeList)))]
pub async fn list(Control(context): Control) -> Answer {
    let notices = backchannel_logout::notices(&context, LOGOUT_NOTICES).await;
    Ok(json(&LogoutNoticeList { notices: notices.map_err(|failure| refuse(failure.into()))? }))
}
