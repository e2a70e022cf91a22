//! The signing keys of an environment, and where they are kept.

use std::sync::{Arc, PoisonError, RwLock};

use super::StartError;
use super::site::SIGNING_KEY;
use crate::crypto::at_rest::AtRest;
use crate::crypto::signing::{self, KeySet, SigningError, SigningKey};
use crate::domain::clock::UnixMs;
use crate::domain::entropy::Entropy;
use crate::domain::ids::{IdKind, new_id};
use crate::domain::token::SigningAlgorithm;
use crate::storage::{Store, StoredKey};

/// The signing keys of an environment, as this process last read them.
#[derive(Default)]
pub struct KeyRing {
    keys: RwLock<Arc<KeySet>>,
}

/// Where the signing keys of an environment are kept.
#[derive(Clone, Copy)]
pub(super) struct KeyChest<'a> {
    pub(super) store: &'a Store,
    pub(super) environment_id: &'a str,
    pub(super) at_rest: &'a AtRest,
}

impl KeyRing {
    /// A ring that parses none of these keys again.
    pub(super) fn knowing(keys: Arc<KeySet>) -> Self {
        Self { keys: RwLock::new(keys) }
    }

    /// The keys last read.
    pub fn current(&self) -> Arc<KeySet> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the keys again; those known already are not parsed anew.
    pub(super) async fn reload(&self, chest: KeyChest<'_>) -> Result<Arc<KeySet>, StartError> {
        let known = self.current();
        let mut keys = Vec::new();
        for stored in chest.store.signing_keys(chest.environment_id).await? {
            match known.keys().iter().find(|k| k.kid() == stored.kid) {
                Some(key) => keys.push(key.clone()),
                None => {
                    let der = chest.at_rest.open(SIGNING_KEY, &stored.private_key)?;
                    let key =
                        SigningKey::from_pkcs8(stored.sequence, &stored.kid, stored.signs_from_ms, &der)?;
                    keys.push(Arc::new(key));
                }
            }
        }
        let keys = Arc::new(KeySet::new(keys));
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys.clone();
        Ok(keys)
    }

    /// Makes the next key, published now and signing after `delay_ms`. When another process adds one at the same
    /// time, that one stands and ours is dropped. Returns the `kid` that stands.
    pub(super) async fn add(
        &self,
        chest: KeyChest<'_>,
        entropy: Arc<dyn Entropy>,
        algorithm: SigningAlgorithm,
        now_ms: UnixMs,
        delay_ms: i64,
    ) -> Result<String, StartError> {
        let sequence = self.reload(chest).await?.next_sequence();
        self.offer(chest, entropy, algorithm, now_ms, (sequence, delay_ms)).await
    }

    /// Makes the first key of an algorithm, where there is none. Servers that find none at the same time agree on one.
    pub(super) async fn ensure(
        &self,
        chest: KeyChest<'_>,
        entropy: Arc<dyn Entropy>,
        algorithm: SigningAlgorithm,
        now_ms: UnixMs,
    ) -> Result<(), StartError> {
        let known = self.reload(chest).await?;
        if known.signing_key(algorithm, now_ms).is_ok() {
            return Ok(());
        }
        // The place after those that were just read: who comes second finds it taken.
        self.offer(chest, entropy, algorithm, now_ms, (known.next_sequence(), 0)).await?;
        Ok(())
    }

    /// Makes the key of this place in the sequence, which signs after `delay_ms`. One that is there already stands.
    async fn offer(
        &self,
        chest: KeyChest<'_>,
        entropy: Arc<dyn Entropy>,
        algorithm: SigningAlgorithm,
        now_ms: UnixMs,
        (sequence, delay_ms): (i64, i64),
    ) -> Result<String, StartError> {
        let rng = entropy.clone();
        let der = tokio::task::spawn_blocking(move || signing::generate_pkcs8(algorithm, &*rng))
            .await
            .map_err(|_| SigningError::Generation)??;
        let key = StoredKey {
            sequence,
            kid: new_id(IdKind::SigningKey, now_ms, &*entropy),
            private_key: chest.at_rest.seal(SIGNING_KEY, &der, &*entropy)?,
            created_at_ms: now_ms,
            signs_from_ms: now_ms + delay_ms,
        };
        chest.store.offer_signing_key(chest.environment_id, &key).await?;
        let keys = self.reload(chest).await?;
        let standing = keys.keys().iter().find(|k| k.sequence == sequence);
        Ok(standing.ok_or(SigningError::NoKey)?.kid().to_owned())
    }
}
