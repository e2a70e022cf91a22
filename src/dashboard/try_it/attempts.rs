//! The sign-ins that were tried from this server's own pages, as an application would keep them: by a cookie. They are kept
//! in memory, so that neither secrets nor tokens get into an address.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::sync::Mutex as AsyncMutex;

use crate::crypto::server_secret::constant_time_eq;
use crate::domain::clock::UnixMs;

/// Attempts kept of one environment; the oldest goes first.
const MAX_PER_ENVIRONMENT: usize = 32;

/// Attempts kept in this process.
const MAX_IN_ALL: usize = 512;

/// What was asked of the authorization endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TryRequest {
    pub client_id: String,
    pub redirect_uri: String,
    pub scope: String,
    pub prompt: String,
    pub login_hint: String,
    pub organization_id: String,
}

/// A sign-in that was tried.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The secret of the cookie that it belongs to.
    pub key: String,
    pub environment_id: String,
    pub request: TryRequest,
    pub state: String,
    pub nonce: String,
    /// `None`: without PKCE.
    pub code_verifier: Option<String>,
    pub started_at_ms: UnixMs,
    pub outcome: Option<Outcome>,
    /// Held while a code or refresh token is used: a second use of either revokes the tokens of the first.
    pub token_lock: Arc<AsyncMutex<()>>,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The parameters of the callback.
    pub callback: Vec<(String, String)>,
    pub tokens: Tokens,
    /// The sign-in in the log.
    pub flow_id: Option<String>,
}

/// What the token endpoint gave last.
#[derive(Debug, Clone)]
pub enum Tokens {
    /// The callback brought an error, so there was nothing to exchange.
    NotRequested,
    Issued {
        response: Value,
        /// They came of the refresh token.
        is_refreshed: bool,
    },
    Refused {
        error: String,
        description: String,
        is_refreshed: bool,
    },
}

/// The attempts that this process keeps.
#[derive(Default)]
pub struct Attempts(Mutex<VecDeque<Attempt>>);

impl Attempts {
    /// Keeps an attempt in place of the browser's last one.
    pub fn add(&self, attempt: Attempt, last_key: Option<&str>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|a| a.environment_id != attempt.environment_id || Some(a.key.as_str()) != last_key);
        let of_environment = kept.iter().filter(|a| a.environment_id == attempt.environment_id).count();
        if of_environment >= MAX_PER_ENVIRONMENT
            && let Some(oldest) = kept.iter().rposition(|a| a.environment_id == attempt.environment_id)
        {
            kept.remove(oldest);
        }
        kept.truncate(MAX_IN_ALL - 1);
        kept.push_front(attempt);
    }

    /// The attempt that a cookie names.
    pub fn get(&self, environment_id: &str, key: &str) -> Option<Attempt> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|a| is(a, environment_id, key)).cloned()
    }

    /// Notes what came of it.
    pub fn finish(&self, attempt: &Attempt, outcome: Outcome) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = kept.iter_mut().find(|a| is(a, &attempt.environment_id, &attempt.key)) {
            found.outcome = Some(outcome);
        }
    }
}

fn is(attempt: &Attempt, environment_id: &str, key: &str) -> bool {
    attempt.environment_id == environment_id && constant_time_eq(&attempt.key, key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(key: &str, environment_id: &str) -> Attempt {
        Attempt {
            key: key.to_owned(),
            environment_id: environment_id.to_owned(),
            request: TryRequest::default(),
            state: String::new(),
            nonce: String::new(),
            code_verifier: None,
            started_at_ms: 0,
            outcome: None,
            token_lock: Arc::default(),
        }
    }

    #[test]
    fn an_attempt_belongs_to_its_cookie_and_its_environment() {
        let attempts = Attempts::default();
        attempts.add(attempt("a", "env_1"), None);
        assert!(attempts.get("env_1", "a").is_some());
        assert!(attempts.get("env_2", "a").is_none() && attempts.get("env_1", "b").is_none());
        attempts.add(attempt("b", "env_1"), Some("a"));
        assert!(attempts.get("env_1", "a").is_none(), "a browser has one");
    }

    #[test]
    fn the_oldest_of_the_same_environment_goes_first() {
        let attempts = Attempts::default();
        attempts.add(attempt("other", "env_2"), None);
        for n in 0..=MAX_PER_ENVIRONMENT {
            attempts.add(attempt(&n.to_string(), "env_1"), None);
        }
        assert!(attempts.get("env_1", "0").is_none());
        assert!(attempts.get("env_1", "1").is_some() && attempts.get("env_2", "other").is_some());
    }
}
