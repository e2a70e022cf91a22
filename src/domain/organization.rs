//! Organizations, the customers of an application: what they are and by which rules they change.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use url::Url;

use super::api_error::FieldViolation;
use super::clock::UnixMs;
use super::metadata::Metadata;

/// A customer of the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// `org_…`
    pub id: String,
    /// Grows with every change.
    pub version: i64,
    pub display_name: String,
    pub region: Region,
    /// The application's own id of the organization: `xoid` in tokens.
    pub external_id: Option<String>,
    /// A name in URLs and hosts.
    pub slug: Option<String>,
    pub logo_url: Option<String>,
    pub metadata: Metadata,
    pub features: Features,
    /// How long its sessions last; `None`: as those of the application.
    pub session_policy: Option<SessionPolicy>,
    /// How many users it may have; `None`: nobody said.
    pub max_allowed_users: Option<i32>,
    pub created_at_ms: UnixMs,
    pub updated_at_ms: UnixMs,
}

/// What sign-in and tokens know of an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrganizationSummary {
    /// `org_…`
    pub id: String,
    pub display_name: String,
    /// The application's own id of the organization: `xoid` in tokens.
    pub external_id: Option<String>,
}

impl Organization {
    /// An organization of which only the name is known.
    pub fn new(id: String, display_name: String, now_ms: UnixMs) -> Self {
        Self {
            id,
            version: 1,
            display_name,
            region: Region::default(),
            external_id: None,
            slug: None,
            logo_url: None,
            metadata: Metadata::default(),
            features: Features::default(),
            session_policy: None,
            max_allowed_users: None,
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
        }
    }

    /// Changes what is named. An empty text empties a field that may be empty.
    ///
    /// # Errors
    /// What cannot be; the organization is as before then.
    pub fn change(&mut self, change: OrganizationChange) -> Result<(), FieldViolation> {
        let filled = |text: String| Some(text).filter(|text| !text.is_empty());
        if change.display_name.as_deref() == Some("") {
            let text = "organization.display_name is invalid: it is empty";
            return Err(FieldViolation::new("organization.display_name", "min_len", text));
        }
        if let Some(reason) = change.logo_url.as_deref().filter(|url| !url.is_empty()).and_then(bad_logo_url)
        {
            let text = format!("organization.logo_url is invalid: {reason}");
            return Err(FieldViolation::new("organization.logo_url", "uri", text));
        }
        if let Some(display_name) = change.display_name {
            self.display_name = display_name;
        }
        if let Some(external_id) = change.external_id {
            self.external_id = filled(external_id);
        }
        if let Some(slug) = change.slug {
            self.slug = filled(slug);
        }
        if let Some(logo_url) = change.logo_url {
            self.logo_url = filled(logo_url);
        }
        if let Some(metadata) = change.metadata {
            self.metadata = metadata;
        }
        Ok(())
    }

    /// How many users it may have; `None`: any number, which 0 says too.
    pub fn user_limit(&self) -> Option<i64> {
        self.max_allowed_users.filter(|most| *most > 0).map(i64::from)
    }

    /// Where a session lasts as the application says, and no longer as the organization does.
    pub fn use_session_policy_of_application(&mut self) {
        self.session_policy = None;
    }

    /// Changes how long sessions of this organization last. What is left out stays as it was.
    ///
    /// # Errors
    /// What cannot be; the organization is as before then.
    pub fn change_session_policy(
        &mut self,
        change: &SessionPolicyChange,
        access_token_lifetime_s: i64,
    ) -> Result<(), FieldViolation> {
        self.session_policy =
            Some(SessionPolicy::changed(self.session_policy, change, access_token_lifetime_s)?);
        Ok(())
    }
}

/// What changes about an organization; `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrganizationChange {
    pub display_name: Option<String>,
    pub external_id: Option<String>,
    pub slug: Option<String>,
    pub logo_url: Option<String>,
    pub metadata: Option<Metadata>,
}

impl OrganizationChange {
    /// Fields that an update mask can name.
    pub const FIELDS: [&str; 5] = ["display_name", "external_id", "metadata", "slug", "logo_url"];

    /// The change of the named fields alone; of those, what the change leaves out is emptied.
    pub fn masked(self, fields: &[String]) -> Self {
        let is_named = |field: &str| fields.iter().any(|named| named == field);
        let text = |value: Option<String>, field| is_named(field).then(|| value.unwrap_or_default());
        Self {
            display_name: text(self.display_name, "display_name"),
            external_id: text(self.external_id, "external_id"),
            slug: text(self.slug, "slug"),
            logo_url: text(self.logo_url, "logo_url"),
            metadata: is_named("metadata").then(|| self.metadata.unwrap_or_default()),
        }
    }
}

/// Where the data of an organization is kept, by Scalekit's word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Region {
    #[default]
    Us,
    Eu,
}

impl Region {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Us => "US",
            Self::Eu => "EU",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Us, Self::Eu].into_iter().find(|region| region.as_str() == text)
    }
}

/// Something that an organization may have or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Feature {
    Sso,
    DirSync,
    DomainVerification,
    SessionPolicy,
}

impl Feature {
    /// In the order in which they are listed.
    pub const ALL: [Self; 4] = [Self::Sso, Self::DirSync, Self::DomainVerification, Self::SessionPolicy];

    /// Those that every organization lists.
    const ALWAYS_LISTED: [Self; 2] = [Self::Sso, Self::DirSync];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sso => "sso",
            Self::DirSync => "dir_sync",
            Self::DomainVerification => "domain_verification",
            Self::SessionPolicy => "session_policy",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|feature| feature.as_str() == text)
    }
}

/// The features that were ever switched on or off.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<String, bool>")]
pub struct Features(BTreeMap<Feature, bool>);

impl From<BTreeMap<String, bool>> for Features {
    /// Those that this version knows.
    fn from(named: BTreeMap<String, bool>) -> Self {
        Self(named.into_iter().filter_map(|(name, is_on)| Some((Feature::parse(&name)?, is_on))).collect())
    }
}

impl Features {
    pub fn set(&mut self, feature: Feature, is_enabled: bool) {
        self.0.insert(feature, is_enabled);
    }

    pub fn is_enabled(&self, feature: Feature) -> bool {
        self.0.get(&feature).copied().unwrap_or_default()
    }

    /// What is shown of them: some always, others once they were switched.
    pub fn listed(&self) -> impl Iterator<Item = (Feature, bool)> {
        let is_listed =
            |feature: &Feature| Feature::ALWAYS_LISTED.contains(feature) || self.0.contains_key(feature);
        Feature::ALL.into_iter().filter(is_listed).map(|feature| (feature, self.is_enabled(feature)))
    }
}

/// How long sessions of an organization last, in minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionPolicy {
    pub absolute_timeout_min: i64,
    /// `None`: they may idle.
    pub idle_timeout_min: Option<i64>,
}

/// What changes about how long sessions last; `None` stays as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionPolicyChange {
    pub absolute_timeout: Option<Timeout>,
    pub is_idle_timeout_enabled: Option<bool>,
    pub idle_timeout: Option<Timeout>,
}

/// A time as callers say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeout {
    pub amount: i32,
    /// `None`: nobody said.
    pub unit: Option<TimeUnit>,
}

/// What a time is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeUnit {
    Minutes,
    Hours,
    Days,
}

/// Longest absolute and idle timeouts in minutes: a year and a week, as those of Scalekit's environments.
const MAX_ABSOLUTE_TIMEOUT_MIN: i64 = 525_600;
const MAX_IDLE_TIMEOUT_MIN: i64 = 10_080;

impl SessionPolicy {
    fn changed(
        before: Option<Self>,
        change: &SessionPolicyChange,
        access_token_lifetime_s: i64,
    ) -> Result<Self, FieldViolation> {
        const ABSOLUTE: &str = "absolute_session_timeout";
        const IDLE: &str = "idle_session_timeout";
        let absolute = change.absolute_timeout.map(|t| t.minutes(ABSOLUTE, MAX_ABSOLUTE_TIMEOUT_MIN));
        let idle = change.idle_timeout.map(|t| t.minutes(IDLE, MAX_IDLE_TIMEOUT_MIN));
        let (absolute, idle) = (absolute.transpose()?, idle.transpose()?);
        let absolute_timeout_min = absolute
            .or(before.map(|before| before.absolute_timeout_min))
            .ok_or_else(|| FieldViolation::new(ABSOLUTE, "required", format!("{ABSOLUTE} is required")))?;
        let idle = idle.or(before.and_then(|before| before.idle_timeout_min));
        let idle_timeout_min = match change.is_idle_timeout_enabled {
            Some(false) => None,
            Some(true) if idle.is_none() => {
                return Err(FieldViolation::new(IDLE, "required", format!("{IDLE} is required")));
            }
            _ => idle,
        };
        if let Some(idle) = idle_timeout_min {
            let invalid =
                |text: &str| Err(FieldViolation::new(IDLE, "range", format!("{IDLE} is invalid: {text}")));
            if idle >= absolute_timeout_min {
                return invalid("it is not shorter than absolute_session_timeout");
            }
            if idle * 60 <= access_token_lifetime_s {
                return invalid("it is not longer than access tokens are valid");
            }
        } else if absolute_timeout_min * 60 <= access_token_lifetime_s {
            let text = format!("{ABSOLUTE} is invalid: it is not longer than access tokens are valid");
            return Err(FieldViolation::new(ABSOLUTE, "range", text));
        }
        Ok(Self { absolute_timeout_min, idle_timeout_min })
    }
}

impl Timeout {
    fn minutes(self, field: &str, most: i64) -> Result<i64, FieldViolation> {
        let Some(unit) = self.unit else {
            let field = format!("{field}_unit");
            let text = format!("{field} is required");
            return Err(FieldViolation::new(field, "required", text));
        };
        let minutes = i64::from(self.amount)
            * match unit {
                TimeUnit::Minutes => 1,
                TimeUnit::Hours => 60,
                TimeUnit::Days => 24 * 60,
            };
        if (1..=most).contains(&minutes) {
            return Ok(minutes);
        }
        let text = format!("{field} is invalid: it must be from 1 to {most} minutes");
        Err(FieldViolation::new(field, "range", text))
    }
}

/// What is wrong with a slug: small DNS labels, one or several with dots between them.
pub fn bad_slug(slug: &str) -> Option<&'static str> {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_good = slug.len() <= 253 && slug.split('.').all(is_label);
    (!is_good).then_some(
        "must be a host name of lower-case letters, digits and hyphens, such as acme or auth.acme.com",
    )
}

/// What is wrong with the address of a logo.
pub fn bad_logo_url(url: &str) -> Option<&'static str> {
    let is_good = Url::parse(url).is_ok_and(|url| url.scheme() == "https" && url.has_host());
    (!is_good).then_some("it is no https URL")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acme() -> Organization {
        Organization {
            external_id: Some("acme".into()),
            slug: Some("acme".into()),
            metadata: Metadata::from([("plan".to_owned(), "pro".to_owned())]),
            ..Organization::new("org_1".into(), "Acme".into(), 1)
        }
    }

    fn changed(change: OrganizationChange) -> Result<Organization, String> {
        let mut acme = acme();
        acme.change(change).map_err(|violation| violation.field)?;
        Ok(acme)
    }

    #[test]
    fn what_is_absent_stays_and_what_is_empty_is_emptied() {
        assert_eq!(changed(OrganizationChange::default()), Ok(acme()));
        let change = OrganizationChange {
            external_id: Some(String::new()),
            slug: Some(String::new()),
            logo_url: Some("https://acme.example.com/logo.png".into()),
            ..OrganizationChange::default()
        };
        let after = changed(change).unwrap();
        assert_eq!((&after.external_id, &after.slug), (&None, &None));
        assert_eq!(after.logo_url.as_deref(), Some("https://acme.example.com/logo.png"));
        assert_eq!(after.metadata, acme().metadata);
    }

    #[test]
    fn a_change_that_cannot_be_changes_nothing() {
        for (change, field) in [
            (
                OrganizationChange { display_name: Some(String::new()), ..Default::default() },
                "organization.display_name",
            ),
            (
                OrganizationChange { logo_url: Some("http://a.example/x".into()), ..Default::default() },
                "organization.logo_url",
            ),
            (
                OrganizationChange { logo_url: Some("logo.png".into()), ..Default::default() },
                "organization.logo_url",
            ),
        ] {
            let change = OrganizationChange { slug: Some("other".into()), ..change };
            let mut acme_now = acme();
            assert_eq!(acme_now.change(change).unwrap_err().field, field);
            assert_eq!(acme_now, acme());
        }
    }

    #[test]
    fn a_mask_takes_its_fields_alone_and_empties_those_without_a_value() {
        let change = OrganizationChange {
            display_name: Some("New".into()),
            slug: Some("new".into()),
            ..OrganizationChange::default()
        };
        let after = changed(change.masked(&["slug".into(), "metadata".into()])).unwrap();
        let wanted = Organization { slug: Some("new".into()), metadata: Metadata::default(), ..acme() };
        assert_eq!(after, wanted);
    }

    #[test]
    fn slugs_are_host_names() {
        for good in ["acme", "a", "acmecorp-1234", "auth.megasoft.com", "1.2", &"a".repeat(63)] {
            assert_eq!(bad_slug(good), None, "{good}");
        }
        let (long_label, long) = ("a".repeat(64), "a.".repeat(127));
        for bad in ["", "Acme", "-a", "a-", "a..b", ".a", "a.", "ä", "a_b", "a b", &long_label, &long] {
            assert!(bad_slug(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn sso_and_directory_sync_are_always_listed_and_others_once_they_were_switched() {
        let mut features = Features::default();
        let listed =
            |features: &Features| features.listed().map(|(f, is_on)| (f.as_str(), is_on)).collect::<Vec<_>>();
        assert_eq!(listed(&features), [("sso", false), ("dir_sync", false)]);
        features.set(Feature::SessionPolicy, false);
        features.set(Feature::DirSync, true);
        assert_eq!(listed(&features), [("sso", false), ("dir_sync", true), ("session_policy", false)]);
        let text = serde_json::to_string(&features).unwrap();
        assert_eq!(serde_json::from_str::<Features>(&text).unwrap(), features);
        let of_tomorrow = text.replace('{', "{\"passkeys\":true,");
        assert_eq!(serde_json::from_str::<Features>(&of_tomorrow).unwrap(), features);
    }

    #[test]
    fn session_policies_are_kept_in_minutes_and_what_is_left_out_stays() {
        let in_unit = |amount, unit| Some(Timeout { amount, unit: Some(unit) });
        let mut acme = acme();
        let change =
            SessionPolicyChange { absolute_timeout: in_unit(8, TimeUnit::Hours), ..Default::default() };
        acme.change_session_policy(&change, 300).unwrap();
        let policy =
            |absolute, idle| Some(SessionPolicy { absolute_timeout_min: absolute, idle_timeout_min: idle });
        assert_eq!(acme.session_policy, policy(480, None));
        let change = SessionPolicyChange {
            is_idle_timeout_enabled: Some(true),
            idle_timeout: in_unit(60, TimeUnit::Minutes),
            ..Default::default()
        };
        acme.change_session_policy(&change, 300).unwrap();
        assert_eq!(acme.session_policy, policy(480, Some(60)));
        let change =
            SessionPolicyChange { absolute_timeout: in_unit(1, TimeUnit::Days), ..Default::default() };
        acme.change_session_policy(&change, 300).unwrap();
        assert_eq!(acme.session_policy, policy(1440, Some(60)));
        let change = SessionPolicyChange { is_idle_timeout_enabled: Some(false), ..Default::default() };
        acme.change_session_policy(&change, 300).unwrap();
        assert_eq!(acme.session_policy, policy(1440, None));
        acme.use_session_policy_of_application();
        assert_eq!(acme.session_policy, None);
    }

    #[test]
    fn absolute_is_longer_than_idle_and_idle_longer_than_access_tokens() {
        let minutes = |amount| Some(Timeout { amount, unit: Some(TimeUnit::Minutes) });
        let refused = |absolute_timeout, is_idle_timeout_enabled, idle_timeout| {
            let change = SessionPolicyChange { absolute_timeout, is_idle_timeout_enabled, idle_timeout };
            let mut acme = acme();
            let refused = acme.change_session_policy(&change, 300).map_err(|violation| violation.field);
            assert!(refused.is_ok() || acme.session_policy.is_none());
            refused.err()
        };
        let absolute = || Some("absolute_session_timeout".to_owned());
        let idle = || Some("idle_session_timeout".to_owned());
        assert_eq!(refused(minutes(60), Some(true), minutes(6)), None);
        assert_eq!(refused(None, None, None), absolute());
        assert_eq!(refused(minutes(0), None, None), absolute());
        assert_eq!(refused(minutes(-1), None, None), absolute());
        assert_eq!(refused(minutes(525_601), None, None), absolute());
        assert_eq!(refused(minutes(5), None, None), absolute());
        assert_eq!(refused(minutes(60), Some(true), None), idle());
        assert_eq!(refused(minutes(60), Some(true), minutes(60)), idle());
        assert_eq!(refused(minutes(60), None, minutes(5)), idle());
        let without_unit = Some(Timeout { amount: 60, unit: None });
        assert_eq!(refused(without_unit, None, None), Some("absolute_session_timeout_unit".to_owned()));
    }
}
