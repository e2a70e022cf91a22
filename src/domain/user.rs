//! Users: what is known of them and by which rules it changes.

use serde::{Deserialize, Serialize};

use super::clock::UnixMs;
use super::email::EmailAddress;
use super::membership::Membership;
use super::metadata::Metadata;

/// A user known to the environment. One record per address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// `usr_…`
    pub id: String,
    /// Grows with every change, of memberships too.
    pub version: i64,
    pub email: EmailAddress,
    /// When the address was proven first; `None`: never.
    pub email_verified_at_ms: Option<UnixMs>,
    /// The application's own id of the user: `xuid` in tokens.
    pub external_id: Option<String>,
    pub profile: Profile,
    /// What the application keeps with the user.
    pub metadata: Metadata,
    /// Oldest first.
    pub memberships: Vec<Membership>,
    pub created_at_ms: UnixMs,
    pub updated_at_ms: UnixMs,
    pub last_sign_in_at_ms: Option<UnixMs>,
}

/// What sign-in and tokens know of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSummary {
    /// `usr_…`
    pub id: String,
    /// The address as last proven.
    pub email: String,
    pub name: Option<String>,
    pub given_name: Option<String>,
    pub family_name: Option<String>,
    pub picture: Option<String>,
    pub locale: Option<String>,
    /// The application's own id of the user: `xuid` in tokens.
    pub external_id: Option<String>,
    pub created_at_ms: UnixMs,
    pub updated_at_ms: UnixMs,
}

impl User {
    /// A user of whom only the address is known.
    pub fn new(id: String, email: EmailAddress, now_ms: UnixMs) -> Self {
        Self {
            id,
            version: 1,
            email,
            email_verified_at_ms: None,
            external_id: None,
            profile: Profile::default(),
            metadata: Metadata::default(),
            memberships: vec![],
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
            last_sign_in_at_ms: None,
        }
    }

    /// `usp_…`: the id of its profile.
    pub fn profile_id(&self) -> String {
        format!("usp_{}", self.id.strip_prefix("usr_").unwrap_or(&self.id))
    }

    /// The membership in an organization.
    pub fn membership(&self, organization_id: &str) -> Option<&Membership> {
        self.memberships.iter().find(|membership| membership.organization_id == organization_id)
    }

    /// The same, to be changed.
    pub fn membership_mut(&mut self, organization_id: &str) -> Option<&mut Membership> {
        self.memberships.iter_mut().find(|membership| membership.organization_id == organization_id)
    }

    /// Adds a membership.
    pub fn join(&mut self, membership: Membership) {
        self.memberships.push(membership);
        self.memberships.sort_by(|one, other| {
            (one.created_at_ms, &one.organization_id).cmp(&(other.created_at_ms, &other.organization_id))
        });
    }

    /// Removes the membership in an organization; `false`: there is none.
    pub fn leave(&mut self, organization_id: &str) -> bool {
        let before = self.memberships.len();
        self.memberships.retain(|membership| membership.organization_id != organization_id);
        self.memberships.len() < before
    }

    /// Changes what is named. An empty text empties its field, an empty map or list leaves what was there.
    pub fn change(&mut self, change: UserChange) {
        set_text(&mut self.external_id, change.external_id);
        set_map(&mut self.metadata, change.metadata);
        self.profile.change(change.profile);
    }
}

/// What changes about a user; `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserChange {
    pub external_id: Option<String>,
    pub metadata: Metadata,
    pub profile: ProfileChange,
}

/// What a user is called and looks like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    pub name: Option<String>,
    pub given_name: Option<String>,
    pub family_name: Option<String>,
    pub picture: Option<String>,
    pub locale: Option<String>,
    pub details: ProfileDetails,
}

/// What nobody searches for, and tokens do not carry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProfileDetails {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gender: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    pub custom_attributes: Metadata,
}

/// What changes about a profile; `None` and what is empty stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProfileChange {
    pub name: Option<String>,
    pub given_name: Option<String>,
    pub family_name: Option<String>,
    pub picture: Option<String>,
    pub locale: Option<String>,
    pub phone_number: Option<String>,
    pub preferred_username: Option<String>,
    pub gender: Option<String>,
    pub groups: Vec<String>,
    pub metadata: Metadata,
    pub custom_attributes: Metadata,
}

impl Profile {
    /// The name, or what given and family name make of one.
    pub fn full_name(&self) -> Option<String> {
        let parts: Vec<&str> =
            [&self.given_name, &self.family_name].into_iter().flatten().map(String::as_str).collect();
        self.name.clone().or_else(|| Some(parts.join(" ")).filter(|name| !name.is_empty()))
    }

    fn change(&mut self, change: ProfileChange) {
        set_text(&mut self.name, change.name);
        set_text(&mut self.given_name, change.given_name);
        set_text(&mut self.family_name, change.family_name);
        set_text(&mut self.picture, change.picture);
        set_text(&mut self.locale, change.locale);
        let details = &mut self.details;
        set_text(&mut details.phone_number, change.phone_number);
        set_text(&mut details.preferred_username, change.preferred_username);
        set_text(&mut details.gender, change.gender);
        if !change.groups.is_empty() {
            details.groups = change.groups;
        }
        set_map(&mut details.metadata, change.metadata);
        set_map(&mut details.custom_attributes, change.custom_attributes);
    }
}

fn set_text(field: &mut Option<String>, change: Option<String>) {
    if let Some(text) = change {
        *field = Some(text).filter(|text| !text.is_empty());
    }
}

fn set_map(field: &mut Metadata, change: Metadata) {
    if !change.is_empty() {
        *field = change;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jane() -> User {
        let mut jane = User::new("usr_1".into(), EmailAddress::parse("jane@example.com").unwrap(), 1);
        jane.external_id = Some("jane".into());
        jane.metadata = [("plan".to_owned(), "pro".to_owned())].into();
        jane.profile.given_name = Some("Jane".into());
        jane.profile.details.groups = vec!["red".into()];
        jane
    }

    #[test]
    fn what_is_absent_stays_and_an_empty_text_is_emptied() {
        let mut changed = jane();
        changed.change(UserChange::default());
        assert_eq!(changed, jane());
        changed.change(UserChange {
            external_id: Some(String::new()),
            metadata: [("tier".to_owned(), "gold".to_owned())].into(),
            profile: ProfileChange { family_name: Some("Doe".into()), ..ProfileChange::default() },
        });
        assert_eq!(changed.external_id, None);
        assert_eq!(changed.metadata, [("tier".to_owned(), "gold".to_owned())].into(), "a map is replaced");
        assert_eq!(changed.profile.details, jane().profile.details);
        assert_eq!(changed.profile.full_name().as_deref(), Some("Jane Doe"));
    }

    #[test]
    fn a_name_that_was_given_stays_whatever_its_parts_are() {
        let mut profile = Profile::default();
        assert_eq!(profile.full_name(), None);
        profile.family_name = Some("Doe".into());
        assert_eq!(profile.full_name().as_deref(), Some("Doe"));
        profile.name = Some("Dr. Doe".into());
        assert_eq!(profile.full_name().as_deref(), Some("Dr. Doe"));
    }

    #[test]
    fn details_are_read_as_they_were_written_and_without_what_is_not_known() {
        let details = jane().profile.details;
        let text = serde_json::to_string(&details).unwrap();
        assert_eq!(text, r#"{"groups":["red"]}"#);
        assert_eq!(serde_json::from_str::<ProfileDetails>(&text).unwrap(), details);
        let other = serde_json::from_str::<ProfileDetails>(r#"{"of_tomorrow":1}"#).unwrap();
        assert_eq!(other, ProfileDetails::default());
    }
}
