//! The signing keys of an environment, and where they are kept.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::time::Instant;

use super::StartError;
use super::server_state::SIGNING_KEY;
use crate::crypto::at_rest::AtRest;
use crate::crypto::signing::{self, KeySet, SigningError, SigningKey};
use crate::domain::clock::UnixMs;
use crate::domain::entropy::Entropy;
use crate::domain::ids::{IdKind, new_id};
use crate::domain::signing_algorithm::SigningAlgorithm;
use crate::storage::{Store, StoredKey};

/// The signing keys of an environment, as this process last read them.
#[derive(Default)]
pub struct KeyRing {
    keys: RwLock<Arc<KeySet>>,
    /// Since when this process knows those that came after its first look.
    met: RwLock<HashMap<String, Instant>>,
}

/// Where the signing keys of an environment are kept.
#[derive(Clone, Copy)]
pub(super) struct KeyStore<'a> {
    pub(super) store: &'a Store,
    pub(super) environment_id: &'a str,
    pub(super) at_rest: &'a AtRest,
}

impl KeyRing {
    /// A ring that parses none of these keys again.
    pub(super) fn from_keys(keys: Arc<KeySet>) -> Self {
        Self { keys: RwLock::new(keys), met: RwLock::default() }
    }

    /// The keys last read.
    pub fn current(&self) -> Arc<KeySet> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The key that signs. A newer one has to be known here for `settle` first: by then every server that answers
    /// publishes it, whatever the clocks of servers say. The oldest of all needs no wait, since no server has others.
    pub(super) fn signing_key(
        &self,
        algorithm: SigningAlgorithm,
        now_ms: UnixMs,
        settle: Duration,
    ) -> Option<Arc<SigningKey>> {
        let keys = self.current();
        let met = self.met.read().unwrap_or_else(PoisonError::into_inner);
        let oldest = keys.keys().first().map(|key| key.kid());
        let is_published = |key: &&Arc<SigningKey>| {
            oldest == Some(key.kid()) || met.get(key.kid()).is_none_or(|since| since.elapsed() >= settle)
        };
        keys.signing_keys(algorithm, now_ms).find(is_published).cloned()
    }

    /// Reads the keys again; those known already are not parsed anew.
    pub(super) async fn reload(&self, key_store: KeyStore<'_>) -> Result<Arc<KeySet>, StartError> {
        let known = self.current();
        let mut keys = Vec::new();
        for stored in key_store.store.signing_keys(key_store.environment_id).await? {
            match known.keys().iter().find(|k| k.kid() == stored.kid) {
                Some(key) => keys.push(key.clone()),
                None => {
                    let der = key_store.at_rest.open(SIGNING_KEY, &stored.private_key)?;
                    let key =
                        SigningKey::from_pkcs8(stored.sequence, &stored.kid, stored.signs_from_ms, &der)?;
                    keys.push(Arc::new(key));
                }
            }
        }
        let keys = Arc::new(KeySet::new(keys));
        let mut met = self.met.write().unwrap_or_else(PoisonError::into_inner);
        met.retain(|kid, _| keys.keys().iter().any(|key| key.kid() == kid));
        for key in keys.keys() {
            met.entry(key.kid().to_owned()).or_insert_with(Instant::now);
        }
        drop(met);
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys.clone();
        Ok(keys)
    }

    /// Makes the next key, published now and signing after `delay_ms`. When another process adds one at the same
    /// time, that one stands and ours is dropped. Returns the one that stands.
    pub(super) async fn add(
        &self,
        key_store: KeyStore<'_>,
        entropy: Arc<dyn Entropy>,
        algorithm: SigningAlgorithm,
        now_ms: UnixMs,
        delay_ms: i64,
    ) -> Result<Arc<SigningKey>, StartError> {
        let sequence = self.reload(key_store).await?.next_sequence();
        self.insert_if_absent(key_store, entropy, algorithm, now_ms, (sequence, delay_ms)).await
    }

    /// Makes the first key of an algorithm, where there is none. Servers that find none at the same time agree on one.
    pub(super) async fn ensure(
        &self,
        key_store: KeyStore<'_>,
        entropy: Arc<dyn Entropy>,
        algorithm: SigningAlgorithm,
        now_ms: UnixMs,
    ) -> Result<(), StartError> {
        let known = self.reload(key_store).await?;
        if known.signing_key(algorithm, now_ms).is_ok() {
            return Ok(());
        }
        // The place after those that were just read: who comes second finds it taken.
        self.insert_if_absent(key_store, entropy, algorithm, now_ms, (known.next_sequence(), 0)).await?;
        Ok(())
    }

    /// Makes the key of this place in the sequence, which signs after `delay_ms`. One that is there already stands.
    async fn insert_if_absent(
        &self,
        key_store: KeyStore<'_>,
        entropy: Arc<dyn Entropy>,
        algorithm: SigningAlgorithm,
        now_ms: UnixMs,
        (sequence, delay_ms): (i64, i64),
    ) -> Result<Arc<SigningKey>, StartError> {
        let rng = entropy.clone();
        let der = tokio::task::spawn_blocking(move || signing::generate_pkcs8(algorithm, &*rng))
            .await
            .map_err(|_| SigningError::Generation)??;
        let key = StoredKey {
            sequence,
            kid: new_id(IdKind::SigningKey, now_ms, &*entropy),
            private_key: key_store.at_rest.seal(SIGNING_KEY, &der, &*entropy)?,
            created_at_ms: now_ms,
            signs_from_ms: now_ms + delay_ms,
        };
        key_store.store.offer_signing_key(key_store.environment_id, &key).await?;
        let keys = self.reload(key_store).await?;
        let standing = keys.keys().iter().find(|k| k.sequence == sequence);
        Ok(standing.ok_or(SigningError::NoKey)?.clone())
    }
}
