//! Checking client secrets: argon2id for hashed ones, off the hot path.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash};
use secrecy::ExposeSecret as _;
use tokio::sync::{OnceCell, Semaphore};

use super::server_secret::{Purpose, ServerSecret, constant_time_eq};
use crate::domain::client::{Client, ClientKind, ClientSecret};
use crate::domain::entropy::Entropy;

/// Hashes computed at once, by different clients. Each takes 19 MiB and some 15 ms of a core.
const MAX_PARALLEL_HASHES: usize = 2;

/// Different secrets of one client that are checked or wait for it.
const MAX_CHECKS_PER_CLIENT: usize = 8;

/// The same of all clients together.
const MAX_CHECKS: usize = 64;

/// Verified secrets remembered; beyond this many the memory starts afresh.
const MAX_REMEMBERED: usize = 1_000;

/// So many secrets wait to be checked that this one is not: it may be shown again in a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many client secrets are being checked")]
pub struct TooManyChecks;

/// Checks the secrets of an environment's clients.
pub struct ClientSecrets {
    secret: ServerSecret,
    checks: Arc<SecretChecks>,
}

impl ClientSecrets {
    pub fn new(secret: ServerSecret, checks: Arc<SecretChecks>) -> Self {
        Self { secret, checks }
    }

    /// Is `shown` one of the client's secrets? Public clients have none.
    ///
    /// # Errors
    /// When too many others of this client, or of all clients, wait for the same answer.
    pub async fn verify(&self, client: &Client, shown: &str) -> Result<bool, TooManyChecks> {
        let ClientKind::Web { secrets } = &client.kind else { return Ok(false) };
        let mut found = false;
        for secret in secrets {
            found |= match secret {
                ClientSecret::Plain(expected) => {
                    // Digests have one length, so the comparison tells nothing of the secret's.
                    let digest = |text: &str| self.secret.digest(Purpose::ClientSecret, text);
                    constant_time_eq(&digest(expected.expose_secret()), &digest(shown))
                }
                ClientSecret::Argon2(hash) => {
                    let digest = format!("{}\n{hash}\n{shown}", client.client_id);
                    let digest = self.secret.digest(Purpose::ClientSecret, &digest);
                    self.checks.verify(hash, digest, shown).await?
                }
            };
        }
        Ok(found)
    }
}

/// The work of checking hashed secrets. Verified ones are remembered by a keyed digest, so that argon2 runs once per
/// client and secret; the same secret shown many times at once is checked once; and a client that shows many different
/// ones has one of them checked at a time, so that it delays no other.
pub struct SecretChecks {
    verified: Mutex<HashSet<String>>,
    /// By hash, whose salt is the client's own.
    under_way: Mutex<HashMap<String, UnderWay>>,
    permits: Semaphore,
}

/// The checks of one client.
struct UnderWay {
    turn: Arc<Semaphore>,
    /// By digest of the secret that was shown.
    answers: HashMap<String, Arc<OnceCell<bool>>>,
}

impl Default for SecretChecks {
    fn default() -> Self {
        Self {
            verified: Mutex::default(),
            under_way: Mutex::default(),
            permits: Semaphore::new(MAX_PARALLEL_HASHES),
        }
    }
}

impl SecretChecks {
    async fn verify(&self, hash: &str, digest: String, shown: &str) -> Result<bool, TooManyChecks> {
        if lock(&self.verified).contains(&digest) {
            return Ok(true);
        }
        let place = self.take_place(hash, digest)?;
        let verified = *place.answer.get_or_init(|| self.compute(&place, hash, shown)).await;
        if verified {
            let mut remembered = lock(&self.verified);
            if remembered.len() >= MAX_REMEMBERED {
                remembered.clear();
            }
            remembered.insert(place.digest.clone());
        }
        Ok(verified)
    }

    async fn compute(&self, place: &Place<'_>, hash: &str, shown: &str) -> bool {
        let (Ok(_turn), Ok(_permit)) = (place.turn.acquire().await, self.permits.acquire().await) else {
            return false;
        };
        let (hash, shown) = (hash.to_owned(), shown.to_owned());
        tokio::task::spawn_blocking(move || is_hash_of(&hash, &shown)).await.unwrap_or(false)
    }

    fn take_place(&self, hash: &str, digest: String) -> Result<Place<'_>, TooManyChecks> {
        let mut under_way = lock(&self.under_way);
        let all: usize = under_way.values().map(|client| client.answers.len()).sum();
        let is_new = |client: &UnderWay| !client.answers.contains_key(&digest);
        let own = under_way.get(hash);
        if own.is_none_or(is_new)
            && (all >= MAX_CHECKS || own.is_some_and(|c| c.answers.len() >= MAX_CHECKS_PER_CLIENT))
        {
            return Err(TooManyChecks);
        }
        let client = under_way
            .entry(hash.to_owned())
            .or_insert_with(|| UnderWay { turn: Arc::new(Semaphore::new(1)), answers: HashMap::new() });
        let answer = client.answers.entry(digest.clone()).or_default().clone();
        Ok(Place { checks: self, hash: hash.to_owned(), digest, turn: client.turn.clone(), answer })
    }
}

/// One who waits for an answer.
struct Place<'a> {
    checks: &'a SecretChecks,
    hash: String,
    digest: String,
    turn: Arc<Semaphore>,
    answer: Arc<OnceCell<bool>>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut under_way = lock(&self.checks.under_way);
        let Some(client) = under_way.get_mut(&self.hash) else { return };
        // The map's and ours: nobody else waits.
        if Arc::strong_count(&self.answer) <= 2 {
            client.answers.remove(&self.digest);
        }
        if client.answers.is_empty() {
            under_way.remove(&self.hash);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Is this the argon2 hash of a secret? Takes as long as computing one.
pub fn is_hash_of(hash: &str, secret: &str) -> bool {
    PasswordHash::new(hash)
        .is_ok_and(|hash| Argon2::default().verify_password(secret.as_bytes(), &hash).is_ok())
}

/// The argon2id hash of a secret in PHC text form, for `client_secret_argon2` in the configuration.
pub fn hash_secret(secret: &str, entropy: &dyn Entropy) -> Option<String> {
    let mut salt = [0; 16];
    entropy.fill(&mut salt);
    Argon2::default().hash_password_with_salt(secret.as_bytes(), &salt).ok().map(|h| h.to_string())
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use futures_util::future::join_all;

    use super::*;
    use crate::crypto::entropy::SystemEntropy;

    fn client(secrets: Vec<ClientSecret>) -> Client {
        Client {
            client_id: "skc_1".into(),
            name: "App".into(),
            kind: ClientKind::Web { secrets },
            redirect_uris: vec![],
            post_logout_redirect_uris: vec![],
            initiate_login_uri: None,
            backchannel_logout_uri: None,
            enforce_pkce: false,
            require_pushed_authorization_requests: false,
            id_token_signed_response_alg: Default::default(),
            access_token_lifetime_s: None,
            instant_sign_in: false,
            api: Default::default(),
            branding: Default::default(),
        }
    }

    fn secrets() -> ClientSecrets {
        ClientSecrets::new(ServerSecret::new(&[1; 32]), Arc::default())
    }

    #[tokio::test]
    async fn plain_and_hashed_secrets_verify_and_two_may_be_active() {
        let hashed = hash_secret("second", &SystemEntropy).unwrap();
        assert!(hashed.starts_with("$argon2id$"));
        let client = client(vec![ClientSecret::Plain("first".into()), ClientSecret::Argon2(hashed)]);
        let secrets = secrets();
        for good in ["first", "second", "second"] {
            assert_eq!(secrets.verify(&client, good).await, Ok(true), "{good}");
        }
        for bad in ["", "third", "firs", "first "] {
            assert_eq!(secrets.verify(&client, bad).await, Ok(false), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_public_client_has_no_secret_to_verify() {
        let public = Client { kind: ClientKind::Spa, ..client(vec![]) };
        assert_eq!(secrets().verify(&public, "").await, Ok(false));
    }

    fn hashed_client(secret: &str) -> Client {
        client(vec![ClientSecret::Argon2(hash_secret(secret, &SystemEntropy).unwrap())])
    }

    #[tokio::test]
    async fn a_flood_of_wrong_secrets_is_refused_beyond_a_bound_and_delays_no_other_client() {
        let secrets = secrets();
        let (flooded, other) = (hashed_client("right"), hashed_client("other"));
        let wrong: Vec<String> = (0..1_000).map(|n| format!("wrong {n}")).collect();
        let flood = join_all(wrong.iter().map(|shown| secrets.verify(&flooded, shown)));
        // The flood was there first, and still waits when the other client has its answer.
        let (mut flood, other_first) = (std::pin::pin!(flood), async {
            assert_eq!(secrets.verify(&other, "other").await, Ok(true));
            lock(&secrets.checks.under_way).values().map(|c| c.answers.len()).sum::<usize>()
        });
        assert!(flood.as_mut().now_or_never().is_none());
        let (answers, still_waiting) = tokio::join!(flood, other_first);
        assert_eq!(answers.iter().filter(|a| **a == Ok(false)).count(), MAX_CHECKS_PER_CLIENT);
        assert_eq!(
            answers.iter().filter(|a| **a == Err(TooManyChecks)).count(),
            1_000 - MAX_CHECKS_PER_CLIENT
        );
        assert!(
            still_waiting >= MAX_CHECKS_PER_CLIENT / 2,
            "the other waited for {still_waiting} of the flood"
        );
        assert_eq!(secrets.verify(&flooded, "right").await, Ok(true), "the flood is over");
        assert!(lock(&secrets.checks.under_way).is_empty());
    }

    #[tokio::test]
    async fn one_secret_shown_many_times_at_once_is_checked_once_and_refused_to_nobody() {
        let (secrets, client) = (secrets(), hashed_client("right"));
        for (shown, is_right) in [("right", true), ("wrong", false)] {
            let answers = join_all((0..1_000).map(|_| secrets.verify(&client, shown))).await;
            assert!(answers.iter().all(|a| *a == Ok(is_right)), "{shown}");
        }
    }

    #[tokio::test]
    async fn all_clients_together_have_a_bound_and_a_verified_secret_passes_it() {
        let secrets = secrets();
        let known = hashed_client("known");
        assert_eq!(secrets.verify(&known, "known").await, Ok(true));
        let clients: Vec<Client> = (0..12).map(|_| hashed_client("right")).collect();
        let wrong: Vec<String> = (0..MAX_CHECKS_PER_CLIENT).map(|n| format!("wrong {n}")).collect();
        let mut flood =
            std::pin::pin!(join_all(clients.iter().flat_map(|c| wrong.iter().map(|w| secrets.verify(c, w)))));
        assert!(flood.as_mut().now_or_never().is_none());
        assert_eq!(secrets.verify(&known, "known").await, Ok(true));
        assert_eq!(secrets.verify(&hashed_client("new"), "new").await, Err(TooManyChecks));
        let answers = flood.await;
        assert_eq!(answers.iter().filter(|a| a.is_ok()).count(), MAX_CHECKS);
    }
}
