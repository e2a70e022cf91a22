//! Users.

use super::clock::UnixMs;

/// A person known to the environment. One record per address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// `usr_…`
    pub id: String,
    /// The address as last proven.
    pub email: String,
    pub name: Option<String>,
    pub given_name: Option<String>,
    pub family_name: Option<String>,
    pub picture: Option<String>,
    pub locale: Option<String>,
    /// The application's own id of the person: `xuid` in tokens.
    pub external_id: Option<String>,
    pub created_at_ms: UnixMs,
    pub updated_at_ms: UnixMs,
}
