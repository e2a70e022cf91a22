//! The parts of a running provider, put together: database, clock, randomness, keys, email. A [`ServerState`] is what all
//! environments of a process share, an [`EnvironmentRuntime`] is one environment at work, a [`EnvironmentRegistry`] finds the one a request
//! is for.

mod clients;
mod configuration;
mod context;
pub mod current_request;
mod growing_ids;
mod inbox_notifier;
mod interceptors;
mod keys;
mod randomness;
mod registry;
mod request_journal;
mod server_state;
mod start;
mod webhooks;

use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

pub use clients::ClientSeal;
pub use context::Context;
pub use inbox_notifier::InboxNotifier;
pub use keys::KeyRing;
pub use randomness::Randomness;
pub use registry::{EnvironmentError, EnvironmentRegistry, EnvironmentSelector};
pub use request_journal::RequestJournal;
pub use server_state::{Access, SERVER_SECRET, SavedConfiguration, ServerState};
pub use start::{Parts, StartError, Started};
pub use webhooks::WebhookSeal;

use crate::config;
use crate::crypto::at_rest::AtRest;
use crate::crypto::client_secrets::ClientSecrets;
use crate::crypto::server_secret::ServerSecret;
use crate::crypto::signing::{SigningError, SigningKey};
use crate::domain::clock::EnvironmentClock;
use crate::domain::environment::Environment;
use crate::domain::environment_name::EnvironmentName;
use crate::domain::field_error::FieldError;
use crate::domain::signing_algorithm::SigningAlgorithm;
pub use crate::storage::Seed;
use crate::storage::{ClientRecord, EnvironmentRecord, InterceptorRecord, Store, StoreError, StoredFault};
use keys::KeyStore;
use start::server_secret;

/// One environment at work.
pub struct EnvironmentRuntime {
    pub server: Arc<ServerState>,
    pub id: String,
    /// `None`: the default one.
    pub name: Option<EnvironmentName>,
    live: RwLock<Arc<EnvironmentSnapshot>>,
    pub clock: Arc<EnvironmentClock>,
    pub keys: KeyRing,
    pub mail: InboxNotifier,
    pub requests: RequestJournal,
    /// When this process last made sure that it knows the newest version.
    checked_at: RwLock<Instant>,
    /// Held while it is made sure; when that failed last.
    checking: tokio::sync::Mutex<Option<Instant>>,
}

/// Rows of an environment that requests see beside its settings.
#[derive(Debug, Default)]
struct EnvironmentRows {
    clients: Vec<ClientRecord>,
    faults: Vec<StoredFault>,
    interceptors: Vec<InterceptorRecord>,
}

impl EnvironmentRows {
    async fn read(store: &Store, environment_id: &str) -> Result<Self, StoreError> {
        Ok(Self {
            clients: store.clients(environment_id).await?,
            faults: store.faults(environment_id).await?,
            interceptors: store.interceptors(environment_id).await?,
        })
    }
}

/// What requests see of an environment, as of one version.
pub struct EnvironmentSnapshot {
    pub environment: Arc<Environment>,
    pub version: i64,
    /// How often it was reset.
    resets: i64,
    pub secret: ServerSecret,
    pub client_secrets: ClientSecrets,
    /// Seals emails that wait for the SMTP server.
    pub mails: AtRest,
    pub randomness: Arc<Randomness>,
    /// Rules for faults; their counts are in the database.
    pub faults: Vec<StoredFault>,
    /// In the order in which they are asked.
    pub interceptors: Vec<InterceptorRecord>,
    uses_well_known_secret: OnceLock<bool>,
}

impl EnvironmentRuntime {
    fn new(
        server: Arc<ServerState>,
        name: Option<EnvironmentName>,
        record: &EnvironmentRecord,
        secret: ServerSecret,
        keys: KeyRing,
        rows: EnvironmentRows,
    ) -> Result<Self, StartError> {
        let environment = changed_environment(&server, name.as_ref(), record, &rows.clients)?;
        let live = EnvironmentSnapshot::new(&server, environment, record, secret, rows, None)?;
        Ok(Self {
            id: record.id.clone(),
            name,
            live: RwLock::new(Arc::new(live)),
            clock: Arc::new(EnvironmentClock::new(server.machine_clock.clone(), record.clock)),
            keys,
            mail: InboxNotifier::default(),
            requests: RequestJournal::begun_at(server.machine_clock.now_ms()),
            checked_at: RwLock::new(Instant::now()),
            checking: tokio::sync::Mutex::default(),
            server,
        })
    }

    /// What requests see now.
    pub fn live(&self) -> Arc<EnvironmentSnapshot> {
        self.live.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn store(&self) -> &Store {
        &self.server.store
    }

    /// Is the database there? Answers within the given time.
    pub async fn ping(&self, within: Duration) -> Result<(), StoreError> {
        self.store().ping(within).await
    }

    /// Is what users change kept? Answers within the given time.
    pub async fn check_writes(&self, within: Duration) -> Result<(), StoreError> {
        self.store().check_writes(within).await
    }

    /// The record as stored, to be changed.
    pub async fn record(&self) -> Result<EnvironmentRecord, StartError> {
        let record = self.store().environment_record(&self.id).await?;
        Ok(record.ok_or(StoreError::Unreadable("environment"))?)
    }

    /// Is what this process knows young enough to be used?
    fn is_fresh(&self) -> bool {
        let checked_at = *self.checked_at.read().unwrap_or_else(PoisonError::into_inner);
        self.server.freshness().is_none_or(|age| checked_at.elapsed() < age)
    }

    /// Makes sure of the newest version. `false`: the environment was deleted.
    async fn freshen(&self) -> Result<bool, StartError> {
        let asked_at = Instant::now();
        let mut failed_at = self.checking.lock().await;
        if self.is_fresh() {
            return Ok(true);
        }
        share_failure(*failed_at, asked_at)?;
        let outcome = self.reload().await;
        *failed_at = outcome.is_err().then(Instant::now);
        outcome
    }

    /// Reads what was changed, here or on another server. `false`: the environment was deleted.
    pub async fn reload(&self) -> Result<bool, StartError> {
        self.read_again(false).await
    }

    /// The same where the configuration changed, which the stored version says nothing of.
    async fn rebuild(&self) -> Result<bool, StartError> {
        self.read_again(true).await
    }

    async fn read_again(&self, is_configuration_new: bool) -> Result<bool, StartError> {
        let asked_at = Instant::now();
        let record = self.store().environment_record(&self.id).await?;
        let Some(record) = record else { return Ok(false) };
        let known = self.live();
        // `keys rotate` changes no version.
        self.keys.reload(self.key_chest()).await?;
        if is_configuration_new || record.version != known.version {
            let secret = server_secret(
                self.store(),
                &self.id,
                &self.server.at_rest,
                &*self.server.entropy,
                self.clock.machine_ms(),
            )
            .await?;
            let rows = EnvironmentRows::read(self.store(), &self.id).await?;
            let environment = changed_environment(&self.server, self.name.as_ref(), &record, &rows.clients)?;
            let next =
                EnvironmentSnapshot::new(&self.server, environment, &record, secret, rows, Some(&known))?;
            let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
            // A slow reader must not bring an older version back.
            if record.version > live.version || is_configuration_new && record.version == live.version {
                if next.resets != live.resets || next.environment.requests_keep == 0 {
                    self.requests.clear();
                }
                *live = Arc::new(next);
                self.clock.set(record.clock);
            }
        }
        *self.checked_at.write().unwrap_or_else(PoisonError::into_inner) = asked_at;
        Ok(true)
    }

    /// Reads the signing keys again.
    pub async fn reload_keys(&self) -> Result<(), StartError> {
        self.keys.reload(self.key_chest()).await.map(|_| ())
    }

    /// Makes the next signing key: see [`KeyRing::add`].
    pub async fn add_key(
        &self,
        algorithm: SigningAlgorithm,
        delay_ms: i64,
    ) -> Result<Arc<SigningKey>, StartError> {
        let (entropy, now_ms) = (self.server.entropy.clone(), self.clock.machine_ms());
        self.keys.add(self.key_chest(), entropy, algorithm, now_ms, delay_ms).await
    }

    /// The key that signs by this algorithm, made when there is none: clients may ask for another algorithm while the
    /// server runs. It signs once all servers that share the database publish it.
    pub async fn signing_key(&self, algorithm: SigningAlgorithm) -> Result<Arc<SigningKey>, StartError> {
        let (now_ms, settle) = (self.clock.machine_ms(), self.server.freshness().unwrap_or_default());
        if let Some(key) = self.keys.signing_key(algorithm, now_ms, settle) {
            return Ok(key);
        }
        self.keys.ensure(self.key_chest(), self.server.entropy.clone(), algorithm, now_ms).await?;
        tokio::time::sleep(settle).await;
        let key = self.keys.signing_key(algorithm, now_ms, settle);
        key.ok_or_else(|| SigningError::NoKey.into())
    }

    fn key_chest(&self) -> KeyStore<'_> {
        KeyStore { store: &self.server.store, environment_id: &self.id, at_rest: &self.server.at_rest }
    }
}

/// Whoever waited while somebody else asked the database in vain fails too: each would wait for it anew, one after
/// the other.
fn share_failure(failed_at: Option<Instant>, asked_at: Instant) -> Result<(), StartError> {
    match failed_at {
        Some(failed_at) if failed_at > asked_at => Err(StoreError::no_answer().into()),
        _ => Ok(()),
    }
}

/// The environment of a record, without opening it. Changes that the configuration no longer fits are left out, with a word in the log.
pub fn changed_environment(
    server: &ServerState,
    name: Option<&EnvironmentName>,
    record: &EnvironmentRecord,
    clients: &[ClientRecord],
) -> Result<Environment, StartError> {
    let changes = server.open_known_settings(&record.settings)?;
    let bare = Value::Object(serde_json::Map::new());
    let environment = |changes: &Value| server.layers().environment(&record.id, name.cloned(), changes);
    let changed = environment(&changes)
        .or_else(|errors: Vec<FieldError>| {
            tracing::error!(
                ?errors,
                environment = record.name,
                "changed settings no longer fit and are left out"
            );
            environment(&bare)
        })
        .map_err(|_| StoreError::Unreadable("setting"))?;
    Ok(Environment { clients: server.clients().open_all(clients)?, ..changed })
}

impl EnvironmentSnapshot {
    /// Has a client the well-known development secret, which everybody knows? Found out on first use, since hashes take
    /// their time.
    pub fn uses_well_known_secret(&self) -> bool {
        let clients = &self.environment.clients;
        *self.uses_well_known_secret.get_or_init(|| clients.iter().any(config::has_well_known_secret))
    }

    fn new(
        server: &ServerState,
        environment: Environment,
        record: &EnvironmentRecord,
        stored_secret: ServerSecret,
        rows: EnvironmentRows,
        known: Option<&EnvironmentSnapshot>,
    ) -> Result<Self, StartError> {
        let seed = environment.deterministic_seed.as_ref();
        let randomness = match known {
            Some(live) if live.randomness.is_for(seed, record.resets) => live.randomness.clone(),
            _ => Arc::new(Randomness::new(server, seed, record.resets)),
        };
        // Codes and links come from the secret.
        let secret = seed.map_or(stored_secret, |seed| ServerSecret::new(seed.as_bytes()));
        Ok(Self {
            client_secrets: ClientSecrets::new(secret.clone(), server.secret_checks.clone()),
            uses_well_known_secret: OnceLock::new(),
            mails: secret.mails_at_rest()?,
            secret,
            environment: Arc::new(environment),
            version: record.version,
            resets: record.resets,
            randomness,
            faults: rows.faults,
            interceptors: rows.interceptors,
        })
    }
}
