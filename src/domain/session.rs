//! Browser sessions: what makes the next sign-in silent.

use super::clock::UnixMs;
use super::organization::SessionPolicy;
use super::settings::SessionSettings;

/// A session of one browser, shared by all applications of the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// `ses_…`
    pub id: String,
    pub user_id: String,
    /// The organization that the user is in.
    pub organization_id: Option<String>,
    /// When the user last proved the address: `auth_time`.
    pub authenticated_at_ms: UnixMs,
    pub last_active_at_ms: UnixMs,
    pub absolute_expires_at_ms: UnixMs,
    /// How long it may idle by the policy of its organization; `None`: as long as the application says.
    pub idle_timeout_s: Option<i64>,
    pub ended_at_ms: Option<UnixMs>,
}

impl Session {
    /// Neither ended nor over its idle or absolute timeout.
    pub fn is_live(&self, now_ms: UnixMs, settings: &SessionSettings) -> bool {
        self.ended_at_ms.is_none()
            && now_ms < self.absolute_expires_at_ms
            && now_ms < self.idles_until_ms(settings)
    }

    /// When it has idled too long, unless it is used before.
    fn idles_until_ms(&self, settings: &SessionSettings) -> UnixMs {
        let of_application_s = settings.idle_timeout_s;
        let idle_timeout_s = self.idle_timeout_s.map_or(of_application_s, |s| s.min(of_application_s));
        self.last_active_at_ms + idle_timeout_s * 1000
    }

    /// Goes to an organization, or to none. Its policy can shorten the session and never lengthens it.
    pub fn enter(&mut self, organization_id: Option<String>, policy: Option<SessionPolicy>, now_ms: UnixMs) {
        self.organization_id = organization_id;
        self.idle_timeout_s = policy.and_then(|policy| policy.idle_timeout_min).map(|minutes| minutes * 60);
        if let Some(policy) = policy {
            let expires_at_ms = now_ms + policy.absolute_timeout_min * 60_000;
            self.absolute_expires_at_ms = self.absolute_expires_at_ms.min(expires_at_ms);
        }
    }

    /// Is the proof recent enough for `max_age` (OpenID Connect Core 1.0 §3.1.2.1)?
    pub fn satisfies_max_age(&self, now_ms: UnixMs, max_age_s: Option<i64>) -> bool {
        max_age_s.is_none_or(|s| now_ms - self.authenticated_at_ms <= s.saturating_mul(1000) && s > 0)
    }
}

/// A session with all that is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    pub session: Session,
    pub created_at_ms: UnixMs,
    /// Why it ended, where it did not simply expire.
    pub ended_by: Option<SessionEnd>,
    pub device: Device,
    /// Which applications got tokens in it, the last one first.
    pub entries: Vec<SessionEntry>,
}

/// An application that got tokens in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionEntry {
    pub client_id: String,
    /// The organization that the user was in, in the full-stack profile.
    pub organization_id: Option<String>,
}

/// What a sign-in told of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Device {
    /// `User-Agent`, at most [`MAX_USER_AGENT`] bytes of it.
    pub user_agent: Option<String>,
    pub ip_address: Option<String>,
}

/// As much of a `User-Agent` is kept, in bytes.
pub const MAX_USER_AGENT: usize = 512;

/// Why a session ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionEnd {
    /// The user signed out.
    Logout,
    /// Somebody else ended it: an API call, or another user who signed in with the same browser.
    Revocation,
}

impl SessionEnd {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Revocation => "revocation",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Logout, Self::Revocation].into_iter().find(|end| end.as_str() == text)
    }
}

/// How a session stands, by Scalekit's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionStatus {
    Active,
    Expired,
    Revoked,
    Logout,
}

impl SessionStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Logout => "logout",
        }
    }

    /// The status of this name, in small or capital letters.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Expired, Self::Revoked, Self::Logout]
            .into_iter()
            .find(|status| status.as_str().eq_ignore_ascii_case(text))
    }
}

impl SessionRecord {
    pub fn status(&self, now_ms: UnixMs, settings: &SessionSettings) -> SessionStatus {
        match self.ended_by {
            Some(SessionEnd::Logout) => SessionStatus::Logout,
            Some(SessionEnd::Revocation) => SessionStatus::Revoked,
            None if self.session.is_live(now_ms, settings) => SessionStatus::Active,
            None => SessionStatus::Expired,
        }
    }

    /// When it ends for want of use.
    pub fn idle_expires_at_ms(&self, settings: &SessionSettings) -> UnixMs {
        self.session.idles_until_ms(settings).min(self.session.absolute_expires_at_ms)
    }

    /// When it expired or was revoked; `None`: it did not.
    pub fn expired_at_ms(&self, now_ms: UnixMs, settings: &SessionSettings) -> Option<UnixMs> {
        match self.status(now_ms, settings) {
            SessionStatus::Active | SessionStatus::Logout => None,
            SessionStatus::Revoked => self.session.ended_at_ms,
            SessionStatus::Expired => Some(self.idle_expires_at_ms(settings)),
        }
    }

    /// All organizations that were entered, the one that the user is in first.
    pub fn organization_ids(&self) -> Vec<&str> {
        let mut ids = vec![];
        let entered = self.entries.iter().filter_map(|entry| entry.organization_id.as_deref());
        for id in self.session.organization_id.as_deref().into_iter().chain(entered) {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: SessionSettings = SessionSettings { absolute_timeout_s: 100, idle_timeout_s: 10 };

    fn session() -> Session {
        Session {
            id: "ses_1".into(),
            user_id: "usr_1".into(),
            organization_id: None,
            authenticated_at_ms: 0,
            last_active_at_ms: 0,
            absolute_expires_at_ms: 100_000,
            idle_timeout_s: None,
            ended_at_ms: None,
        }
    }

    #[test]
    fn a_session_ends_by_idling_by_age_and_by_logout() {
        assert!(session().is_live(9_999, &SETTINGS));
        assert!(!session().is_live(10_000, &SETTINGS));
        let busy = Session { last_active_at_ms: 95_000, ..session() };
        assert!(busy.is_live(99_999, &SETTINGS));
        assert!(!busy.is_live(100_000, &SETTINGS));
        assert!(!Session { ended_at_ms: Some(1), ..session() }.is_live(2, &SETTINGS));
    }

    #[test]
    fn the_policy_of_an_organization_shortens_its_sessions_and_never_lengthens_them() {
        let policy = |absolute_timeout_min, idle_timeout_min| {
            Some(SessionPolicy { absolute_timeout_min, idle_timeout_min })
        };
        let settings = SessionSettings { absolute_timeout_s: 100, idle_timeout_s: 90 };
        let entered = |policy| {
            let mut session = session();
            session.enter(Some("org_1".into()), policy, 0);
            session
        };
        let short = entered(policy(1, None));
        assert_eq!((short.organization_id.as_deref(), short.absolute_expires_at_ms), (Some("org_1"), 60_000));
        assert!(short.is_live(59_999, &settings) && !short.is_live(60_000, &settings));
        let idle = entered(policy(60, Some(1)));
        assert_eq!(idle.absolute_expires_at_ms, 100_000, "the application's is shorter");
        assert!(idle.is_live(59_999, &settings) && !idle.is_live(60_000, &settings));
        let long = entered(policy(60, Some(30)));
        assert!(long.is_live(89_999, &settings) && !long.is_live(90_000, &settings));
        let mut elsewhere = idle;
        elsewhere.enter(Some("org_2".into()), None, 10_000);
        assert!(elsewhere.is_live(89_999, &settings), "another organization says nothing of idling");
    }

    #[test]
    fn max_age_compares_with_the_time_of_proof_and_zero_always_asks() {
        assert!(session().satisfies_max_age(5_000, None));
        assert!(session().satisfies_max_age(5_000, Some(5)));
        assert!(!session().satisfies_max_age(5_001, Some(5)));
        assert!(!session().satisfies_max_age(0, Some(0)));
    }

    fn record() -> SessionRecord {
        let entry = |client: &str, organization: Option<&str>| SessionEntry {
            client_id: client.to_owned(),
            organization_id: organization.map(str::to_owned),
        };
        SessionRecord {
            session: Session { organization_id: Some("org_1".into()), ..session() },
            created_at_ms: 0,
            ended_by: None,
            device: Device::default(),
            entries: vec![
                entry("b", None),
                entry("b", Some("org_2")),
                entry("a", Some("org_1")),
                entry("c", Some("org_2")),
            ],
        }
    }

    #[test]
    fn a_session_is_active_until_it_expires_or_somebody_ends_it() {
        let at = |record: &SessionRecord, now| {
            (record.status(now, &SETTINGS), record.expired_at_ms(now, &SETTINGS))
        };
        assert_eq!(at(&record(), 9_999), (SessionStatus::Active, None));
        assert_eq!(at(&record(), 10_000), (SessionStatus::Expired, Some(10_000)));
        let ended = |end| {
            let session = Session { ended_at_ms: Some(5), ..session() };
            SessionRecord { session, ended_by: Some(end), ..record() }
        };
        assert_eq!(at(&ended(SessionEnd::Revocation), 20_000), (SessionStatus::Revoked, Some(5)));
        assert_eq!(at(&ended(SessionEnd::Logout), 20_000), (SessionStatus::Logout, None));
    }

    #[test]
    fn the_current_organization_comes_first_of_those_that_were_entered() {
        assert_eq!(record().organization_ids(), ["org_1", "org_2"]);
    }

    #[test]
    fn words_of_statuses_are_read_in_any_case() {
        for status in
            [SessionStatus::Active, SessionStatus::Expired, SessionStatus::Revoked, SessionStatus::Logout]
        {
            assert_eq!(SessionStatus::parse(&status.as_str().to_uppercase()), Some(status));
        }
        assert_eq!(SessionStatus::parse("gone"), None);
        for end in [SessionEnd::Logout, SessionEnd::Revocation] {
            assert_eq!(SessionEnd::parse(end.as_str()), Some(end));
        }
    }
}
