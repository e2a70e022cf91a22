//! Browser sessions: what makes the next sign-in silent.

use super::clock::UnixMs;
use super::settings::SessionSettings;

/// A session of one browser, shared by all applications of the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// `ses_…`
    pub id: String,
    pub user_id: String,
    /// When the person last proved the address: `auth_time`.
    pub authenticated_at_ms: UnixMs,
    pub last_active_at_ms: UnixMs,
    pub absolute_expires_at_ms: UnixMs,
    pub ended_at_ms: Option<UnixMs>,
}

impl Session {
    /// Neither ended nor over its idle or absolute timeout.
    pub fn is_live(&self, now_ms: UnixMs, settings: &SessionSettings) -> bool {
        self.ended_at_ms.is_none()
            && now_ms < self.absolute_expires_at_ms
            && now_ms < self.last_active_at_ms + settings.idle_timeout_s * 1000
    }

    /// Is the proof recent enough for `max_age` (OpenID Connect Core 1.0 §3.1.2.1)?
    pub fn satisfies_max_age(&self, now_ms: UnixMs, max_age_s: Option<i64>) -> bool {
        max_age_s.is_none_or(|s| now_ms - self.authenticated_at_ms <= s.saturating_mul(1000) && s > 0)
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
            authenticated_at_ms: 0,
            last_active_at_ms: 0,
            absolute_expires_at_ms: 100_000,
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
    fn max_age_compares_with_the_time_of_proof_and_zero_always_asks() {
        assert!(session().satisfies_max_age(5_000, None));
        assert!(session().satisfies_max_age(5_000, Some(5)));
        assert!(!session().satisfies_max_age(5_001, Some(5)));
        assert!(!session().satisfies_max_age(0, Some(0)));
    }
}
