//! Checking client secrets: argon2id for hashed ones, off the hot path.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash};
use secrecy::ExposeSecret as _;
use tokio::sync::Semaphore;

use super::server_secret::{Purpose, ServerSecret, constant_time_eq};
use crate::domain::client::{Client, ClientKind, ClientSecret};
use crate::domain::entropy::Entropy;

/// Hashes computed at once. Each takes 19 MiB and some 15 ms of a core.
const MAX_PARALLEL_HASHES: usize = 2;

/// Verified secrets remembered; beyond this many the memory starts afresh.
const MAX_REMEMBERED: usize = 1_000;

/// Checks secrets, and remembers verified ones as keyed digests, so that argon2 runs once per client and secret.
pub struct ClientSecrets {
    secret: ServerSecret,
    verified: Mutex<HashSet<String>>,
    permits: Semaphore,
}

impl ClientSecrets {
    pub fn new(secret: ServerSecret) -> Arc<Self> {
        Arc::new(Self { secret, verified: Mutex::default(), permits: Semaphore::new(MAX_PARALLEL_HASHES) })
    }

    /// Is `shown` one of the client's secrets? Public clients have none.
    pub async fn verify(&self, client: &Client, shown: &str) -> bool {
        let ClientKind::Web { secrets } = &client.kind else { return false };
        let mut found = false;
        for secret in secrets {
            found |= match secret {
                ClientSecret::Plain(expected) => {
                    // Digests have one length, so the comparison tells nothing of the secret's.
                    let digest = |text: &str| self.secret.digest(Purpose::ClientSecret, text);
                    constant_time_eq(&digest(expected.expose_secret()), &digest(shown))
                }
                ClientSecret::Argon2(hash) => self.verify_argon2(client, hash, shown).await,
            };
        }
        found
    }

    async fn verify_argon2(&self, client: &Client, hash: &str, shown: &str) -> bool {
        let memory =
            self.secret.digest(Purpose::ClientSecret, &format!("{}\n{hash}\n{shown}", client.client_id));
        if self.verified.lock().unwrap_or_else(PoisonError::into_inner).contains(&memory) {
            return true;
        }
        let Ok(_permit) = self.permits.acquire().await else { return false };
        let (hash, shown) = (hash.to_owned(), shown.to_owned());
        let verified = tokio::task::spawn_blocking(move || {
            PasswordHash::new(&hash)
                .is_ok_and(|h| Argon2::default().verify_password(shown.as_bytes(), &h).is_ok())
        })
        .await
        .unwrap_or(false);
        if verified {
            let mut remembered = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
            if remembered.len() >= MAX_REMEMBERED {
                remembered.clear();
            }
            remembered.insert(memory);
        }
        verified
    }
}

/// The argon2id hash of a secret in PHC text form, for `client_secret_argon2` in the configuration.
pub fn hash_secret(secret: &str, entropy: &dyn Entropy) -> Option<String> {
    let mut salt = [0; 16];
    entropy.fill(&mut salt);
    Argon2::default().hash_password_with_salt(secret.as_bytes(), &salt).ok().map(|h| h.to_string())
}

#[cfg(test)]
mod tests {
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
        }
    }

    #[tokio::test]
    async fn plain_and_hashed_secrets_verify_and_two_may_be_active() {
        let hashed = hash_secret("second", &SystemEntropy).unwrap();
        assert!(hashed.starts_with("$argon2id$"));
        let client = client(vec![ClientSecret::Plain("first".into()), ClientSecret::Argon2(hashed)]);
        let secrets = ClientSecrets::new(ServerSecret::new(&[1; 32]));
        for good in ["first", "second", "second"] {
            assert!(secrets.verify(&client, good).await, "{good}");
        }
        for bad in ["", "third", "firs", "first "] {
            assert!(!secrets.verify(&client, bad).await, "{bad}");
        }
    }

    #[tokio::test]
    async fn a_public_client_has_no_secret_to_verify() {
        let secrets = ClientSecrets::new(ServerSecret::new(&[1; 32]));
        let public = Client { kind: ClientKind::Spa, ..client(vec![]) };
        assert!(!secrets.verify(&public, "").await);
    }
}
