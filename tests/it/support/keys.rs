//! Signing keys for the servers of tests. Making one takes a tenth of a second or more, so a process makes a few and
//! gives them to its servers in turn: servers beside each other still have different ones.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use vestibule::config::Config;
use vestibule::crypto::at_rest::AtRest;
use vestibule::crypto::entropy::SystemEntropy;
use vestibule::crypto::signing::generate_pkcs8;
use vestibule::domain::clock::UnixMs;
use vestibule::domain::ids::{IdKind, new_id};
use vestibule::domain::signing_algorithm::SigningAlgorithm;
use vestibule::storage::{Store, StoredKey};

/// Puts a key into the database of a server that was not started yet, unless it has one or encrypts them.
pub async fn give_key(store: &Store, config: &Config, now_ms: UnixMs) {
    const COUNT: usize = 4;
    static KEYS: [LazyLock<Vec<u8>>; COUNT] = [const { LazyLock::new(new_key) }; COUNT];
    static NEXT: AtomicUsize = AtomicUsize::new(0);

    if config.master_key.is_some() {
        return;
    }
    let at_rest = AtRest::new(None).unwrap();
    let seal = |name: &str, value: &[u8]| at_rest.seal(name, value, &SystemEntropy).unwrap();
    let key = StoredKey {
        sequence: 1,
        kid: new_id(IdKind::SigningKey, now_ms, &SystemEntropy),
        private_key: seal("signing key", &KEYS[NEXT.fetch_add(1, Ordering::Relaxed) % COUNT]),
        created_at_ms: now_ms,
        signs_from_ms: now_ms,
    };
    let id = &config.environment.id;
    store.migrate().await.unwrap();
    store.ensure_environment(id, &seal("environment settings", b"{}"), now_ms).await.unwrap();
    store.offer_signing_key(id, &key).await.unwrap();
}

fn new_key() -> Vec<u8> {
    generate_pkcs8(SigningAlgorithm::Rs256, &SystemEntropy).unwrap()
}
