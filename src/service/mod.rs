//! Use cases: one public function for each thing a caller can ask. Pages, REST and gRPC enter here; only the
//! shape of the answer differs between them.

pub mod api;
pub mod api_tokens;
pub mod applications;
pub mod audit_logs;
mod authorization_response;
pub mod authorize;
pub mod backchannel_logout;
mod changed_settings;
pub mod changes;
pub mod choose_organization;
pub mod client_auth;
pub mod clients;
pub mod clock;
pub mod connections;
mod delivery;
pub mod delivery_http;
pub mod domains;
pub mod end_session;
pub mod environments;
pub mod events;
pub mod faults;
pub mod files;
pub mod flows;
pub mod housekeeping;
pub mod inbox;
pub mod instant_sign_in;
pub mod interception;
mod interceptor_http;
pub mod interceptors;
pub mod introspection;
pub mod invitations;
pub mod memberships;
pub mod organization_clients;
mod organization_entry;
pub mod organizations;
pub mod outbox;
pub mod passwordless;
pub mod permissions;
pub mod portal_links;
pub mod pushed_requests;
pub mod redirect_check;
pub mod request_journal;
pub mod roles;
pub mod scrape;
pub mod seed;
pub mod sessions;
pub mod settings;
pub mod sign_in;
mod sign_in_interception;
pub mod signing_secrets;
pub mod snapshot;
pub mod state;
pub mod test_tokens;
pub mod token;
pub mod token_template;
pub mod user_agent;
pub mod user_sessions;
pub mod userinfo;
pub mod users;
pub mod webhook_delivery;
pub mod webhooks;

use crate::crypto::signing::SigningError;
use crate::domain::page::PageRequest;
use crate::mail::RenderError;
use crate::runtime::StartError;
use crate::storage::StoreError;

/// How often a transition is tried again when others keep moving the same row.
const MAX_CONFLICTS: usize = 100;

/// What the caller is told about a text that cannot be stored.
pub const NOT_TEXT: &str = "a text holds a NUL character";

/// A failure of ours, not of the caller, but for [`Failure::is_of_caller`]. The text is for the log; callers get a safe sentence.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Signing(#[from] SigningError),
    #[error(transparent)]
    Mail(#[from] RenderError),
    #[error(transparent)]
    Environment(#[from] StartError),
    /// The row changed under every one of many tries.
    #[error("gave up after {MAX_CONFLICTS} conflicting writes")]
    Contention,
}

/// Reads, decides and writes over what was read, again while somebody else changed it meanwhile: `attempt` says `None`
/// then. So no change is lost, here or on other servers.
async fn retry_on_conflict<T, E: From<Failure>, A>(attempt: impl Fn() -> A) -> Result<T, E>
where
    A: Future<Output = Result<Option<T>, E>>,
{
    for _ in 0..MAX_CONFLICTS {
        if let Some(done) = attempt().await? {
            return Ok(done);
        }
    }
    Err(Failure::Contention.into())
}

/// How many records a list has. They are counted only where its first page does not show it: counting those that contain some
/// text looks at every record.
async fn total_of<T>(
    page: &PageRequest,
    found: &[T],
    count: impl Future<Output = Result<i64, StoreError>>,
) -> Result<i64, StoreError> {
    match page.known_total(found) {
        Some(total) => Ok(total),
        None => count.await,
    }
}

impl Failure {
    /// Should the caller try again soon?
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Environment(error) => error.is_passing(),
            // What was deleted meanwhile is told apart by whoever comes again.
            other => matches!(
                other,
                Self::Store(StoreError::Unavailable(_) | StoreError::MissingParent(_)) | Self::Contention
            ),
        }
    }

    /// Did the caller send a text that cannot be stored, [`NOT_TEXT`]?
    pub fn is_of_caller(&self) -> bool {
        matches!(self, Self::Store(StoreError::NotText(_)))
    }
}
