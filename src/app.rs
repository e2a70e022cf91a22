//! The parts of a running provider, put together: database, clock, randomness, keys, mail. A [`Site`] is what all
//! environments of a process share, an [`App`] is one environment at work, a [`Provider`] finds the one a request
//! is for.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::config::Layers;
use crate::crypto::at_rest::{AtRest, AtRestError};
use crate::crypto::client_secrets::ClientSecrets;
use crate::crypto::entropy::SeededEntropy;
use crate::crypto::server_secret::ServerSecret;
use crate::crypto::signing::{self, KeySet, SigningError, SigningKey};
use crate::domain::clock::{Clock, ClockSetting, EnvironmentClock, UnixMs};
use crate::domain::entropy::Entropy;
use crate::domain::environment::{Environment, EnvironmentName, Mode, PublicUrl};
use crate::domain::field_error::FieldError;
use crate::domain::flow::FlowLog;
use crate::domain::ids::{IdKind, new_id};
use crate::domain::token::SigningAlgorithm;
use crate::mail::SmtpMailer;
use crate::storage::{
    EnvironmentRecord, SeedOrganization, SeedUser, Store, StoreError, StoredFault, StoredKey,
};
use crate::telemetry::metrics::Metrics;

/// Name of the one server secret, in the database and as what it is sealed with.
pub const SERVER_SECRET: &str = "server secret";
const SIGNING_KEY: &str = "signing key";
const SETTINGS: &str = "environment settings";

/// What a provider is made of, before anything was read from the database.
pub struct Parts {
    pub store: Store,
    /// As configured.
    pub environment: Environment,
    pub layers: Layers,
    /// The machine's clock.
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub master_key: Option<SecretString>,
    /// `None`: the inbox alone receives.
    pub smtp: Option<SmtpMailer>,
    pub control: Access,
    pub metrics: Access,
    pub scenarios: PathBuf,
    pub seed: Seed,
}

/// People and organizations that configuration asks for.
#[derive(Debug, Clone, Default)]
pub struct Seed {
    pub organizations: Vec<SeedOrganization>,
    pub users: Vec<SeedUser>,
}

/// Who may use what is not for everybody: the inbox and the control API, or the figures.
#[derive(Debug, Clone)]
pub enum Access {
    /// Nobody.
    Off,
    /// Anybody who can connect: the listener is on loopback.
    Open,
    Token(SecretString),
}

impl Access {
    pub fn is_off(&self) -> bool {
        matches!(self, Self::Off)
    }
}

/// What all environments of a process share.
pub struct Site {
    pub store: Store,
    pub layers: Layers,
    pub mode: Mode,
    pub machine_clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    /// Who may read the inbox and use the control API.
    pub control: Access,
    /// Who may read the figures.
    pub metrics: Access,
    /// Folder of the named scenarios.
    pub scenarios: PathBuf,
    pub smtp: Option<SmtpMailer>,
    /// Wakes the delivery of the outbox.
    pub outbox_filled: Notify,
    /// Wakes those who tell applications of ended sessions.
    pub sessions_ended: Notify,
    at_rest: AtRest,
    default_id: String,
    /// The server stops: nobody shall wait for a mail any longer.
    stopping: AtomicBool,
    /// How often methods were asked for that are not emulated, by name.
    pub not_emulated: Mutex<BTreeMap<String, u64>>,
    /// What happened in sign-ins and is not written yet.
    pub flows: FlowLog,
    /// Held while steps are written, so that who reads the log waits for what is on its way.
    pub writing_flows: tokio::sync::Mutex<()>,
}

impl Site {
    pub fn default_id(&self) -> &str {
        &self.default_id
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// How old what this process knows of an environment may be. Servers that share a database notice changes within
    /// it, and whoever makes a change waits as long before saying that it is made. `None`: no other server writes.
    pub fn freshness(&self) -> Option<Duration> {
        match self.mode {
            _ if self.store.is_embedded() => None,
            Mode::Development => Some(Duration::from_millis(50)),
            Mode::Production => Some(Duration::from_secs(1)),
        }
    }

    /// Changed settings as stored.
    pub fn seal_settings(&self, settings: &Value) -> Result<Vec<u8>, StartError> {
        Ok(self.at_rest.seal(SETTINGS, settings.to_string().as_bytes(), &*self.entropy)?)
    }

    /// Changed settings as read.
    pub fn open_settings(&self, sealed: &[u8]) -> Result<Value, StartError> {
        let bytes = self.at_rest.open(SETTINGS, sealed)?;
        Ok(serde_json::from_slice(&bytes).map_err(|_| StoreError::Unreadable("setting"))?)
    }

    pub fn seal_secret(&self, secret: &[u8]) -> Result<Vec<u8>, StartError> {
        Ok(self.at_rest.seal(SERVER_SECRET, secret, &*self.entropy)?)
    }

    pub fn open_secret(&self, sealed: &[u8]) -> Result<Vec<u8>, StartError> {
        Ok(self.at_rest.open(SERVER_SECRET, sealed)?)
    }

    pub fn seal_key(&self, der: &[u8]) -> Result<Vec<u8>, StartError> {
        Ok(self.at_rest.seal(SIGNING_KEY, der, &*self.entropy)?)
    }

    pub fn open_key(&self, sealed: &[u8]) -> Result<Vec<u8>, StartError> {
        Ok(self.at_rest.open(SIGNING_KEY, sealed)?)
    }

    /// The record of an environment of which nothing was changed yet.
    fn unchanged(&self, now_ms: UnixMs) -> Result<EnvironmentRecord, StartError> {
        let nothing = self.seal_settings(&Value::Object(serde_json::Map::new()))?;
        Ok(EnvironmentRecord {
            id: self.default_id.clone(),
            name: self.default_id.clone(),
            revision: 0,
            resets: 0,
            settings: nothing.clone(),
            first_settings: nothing,
            clock: ClockSetting::default(),
            created_at_ms: now_ms,
        })
    }
}

/// One environment at work.
pub struct App {
    pub site: Arc<Site>,
    pub id: String,
    /// `None`: the default one.
    pub name: Option<EnvironmentName>,
    live: RwLock<Arc<Live>>,
    pub clock: Arc<EnvironmentClock>,
    pub keys: KeyRing,
    pub mail: MailRoom,
    /// When this process last made sure that it knows the newest revision.
    checked_at: RwLock<Instant>,
    /// Held while it is made sure; when that failed last.
    checking: tokio::sync::Mutex<Option<Instant>>,
}

/// What requests see of an environment, as of one revision.
pub struct Live {
    pub environment: Arc<Environment>,
    pub revision: i64,
    pub secret: ServerSecret,
    pub client_secrets: Arc<ClientSecrets>,
    pub randomness: Arc<Randomness>,
    /// Rules for faults; their counts are in the database.
    pub faults: Vec<StoredFault>,
}

/// Where an environment's random bytes come from.
pub struct Randomness {
    entropy: Arc<dyn Entropy>,
    /// Seed and number of resets, where a seed makes it repeatable.
    repeats: Option<(String, i64)>,
    /// Takes the place of time in repeatable ids.
    ids: AtomicI64,
}

impl Randomness {
    fn new(site: &Site, seed: Option<&String>, resets: i64) -> Self {
        let entropy: Arc<dyn Entropy> = match seed {
            Some(seed) => Arc::new(SeededEntropy::new(seed)),
            None => site.entropy.clone(),
        };
        Self { entropy, repeats: seed.map(|s| (s.clone(), resets)), ids: AtomicI64::new(0) }
    }

    fn is_for(&self, seed: Option<&String>, resets: i64) -> bool {
        match (&self.repeats, seed) {
            (None, None) => true,
            (Some((ours, ours_resets)), Some(seed)) => ours == seed && *ours_resets == resets,
            _ => false,
        }
    }

    /// The time that a new id carries: a counter, where ids have to repeat.
    fn id_time_ms(&self, now_ms: UnixMs) -> UnixMs {
        /// 2026-01-01T00:00:00Z
        const FIRST_MS: UnixMs = 1_767_225_600_000;
        match self.repeats {
            None => now_ms,
            Some(_) => FIRST_MS + self.ids.fetch_add(1, Ordering::SeqCst),
        }
    }
}

/// Where mails wait and who is told about them.
#[derive(Default)]
pub struct MailRoom {
    /// Number of the last mail's id: ids grow even within a millisecond, so that "newest first" holds.
    last_message: AtomicI64,
    /// Changes with every mail stored by this process; those who wait for one watch it.
    pub inbox_changed: watch::Sender<u64>,
}

impl MailRoom {
    /// Tells those who wait.
    pub fn announce(&self) {
        self.inbox_changed.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// An id for a mail, greater than every earlier one of this process.
    fn new_message_id(&self, time_ms: UnixMs, entropy: &dyn Entropy) -> String {
        let fresh = new_id(IdKind::Message, time_ms, entropy);
        let wanted: i64 = fresh.rsplit('_').next().and_then(|digits| digits.parse().ok()).unwrap_or_default();
        let last = self.last_message.fetch_max(wanted, Ordering::SeqCst);
        if wanted > last {
            fresh
        } else {
            format!("msg_{:019}", self.last_message.fetch_add(1, Ordering::SeqCst) + 1)
        }
    }
}

/// Why a provider cannot start, or an environment cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    AtRest(#[from] AtRestError),
    #[error(transparent)]
    Signing(#[from] SigningError),
}

impl StartError {
    /// Is waiting a remedy?
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Store(StoreError::Unavailable(_)))
    }
}

impl Parts {
    /// Migrates the database and reads from it, or makes, what a provider needs. Running it again after a
    /// failure is safe; several processes may run it at once.
    pub async fn start(&self) -> Result<Started, StartError> {
        let id = &self.environment.id;
        let now_ms = self.clock.now_ms();
        let at_rest = AtRest::new(self.master_key.as_ref())?;
        self.store.migrate().await?;
        let secret = server_secret(&self.store, id, &at_rest, &*self.entropy, now_ms).await?;
        let keys = KeyRing::default();
        let chest = KeyChest { store: &self.store, environment_id: id, at_rest: &at_rest };
        let asks =
            |algorithm| self.environment.clients.iter().any(|c| c.id_token_signed_response_alg == algorithm);
        for algorithm in SigningAlgorithm::ALL {
            if algorithm == SigningAlgorithm::default() || asks(algorithm) {
                keys.ensure(chest, self.entropy.clone(), algorithm, now_ms).await?;
            }
        }
        self.store
            .seed(id, &self.seed.organizations, &self.seed.users, self.control.is_off(), now_ms)
            .await?;
        let record = self.store.environment_record(id).await?;
        if record.is_some() {
            tracing::info!("settings were changed by API; those changes outrank the configuration");
        }
        let faults = self.store.faults(id).await?;
        Ok(Started { secret, keys, record, faults })
    }

    /// The provider, with what [`Parts::start`] found.
    pub fn into_app(self, started: Started) -> Result<App, StartError> {
        let site = Arc::new(Site {
            at_rest: AtRest::new(self.master_key.as_ref())?,
            default_id: self.environment.id.clone(),
            mode: self.environment.mode,
            store: self.store,
            layers: self.layers,
            machine_clock: self.clock,
            entropy: self.entropy,
            control: self.control,
            metrics: self.metrics,
            scenarios: self.scenarios,
            smtp: self.smtp,
            outbox_filled: Notify::new(),
            sessions_ended: Notify::new(),
            stopping: AtomicBool::new(false),
            not_emulated: Mutex::default(),
            flows: FlowLog::default(),
            writing_flows: tokio::sync::Mutex::default(),
        });
        let record = match started.record {
            Some(record) => record,
            None => site.unchanged(site.machine_clock.now_ms())?,
        };
        App::new(site, None, &record, started.secret, started.keys, started.faults)
    }
}

/// What the database holds for a starting provider.
pub struct Started {
    secret: ServerSecret,
    keys: KeyRing,
    record: Option<EnvironmentRecord>,
    faults: Vec<StoredFault>,
}

async fn server_secret(
    store: &Store,
    environment_id: &str,
    at_rest: &AtRest,
    entropy: &dyn Entropy,
    now_ms: UnixMs,
) -> Result<ServerSecret, StartError> {
    let stored = match store.server_secret(environment_id, SERVER_SECRET).await? {
        Some(stored) => stored,
        None => {
            let mut bytes = [0; 32];
            entropy.fill(&mut bytes);
            let sealed = at_rest.seal(SERVER_SECRET, &bytes, entropy)?;
            store.offer_server_secret(environment_id, SERVER_SECRET, &sealed, now_ms).await?;
            store
                .server_secret(environment_id, SERVER_SECRET)
                .await?
                .ok_or(StoreError::Unreadable("server secret"))?
        }
    };
    Ok(ServerSecret::new(&at_rest.open(SERVER_SECRET, &stored)?))
}

impl App {
    fn new(
        site: Arc<Site>,
        name: Option<EnvironmentName>,
        record: &EnvironmentRecord,
        secret: ServerSecret,
        keys: KeyRing,
        faults: Vec<StoredFault>,
    ) -> Result<Self, StartError> {
        let environment = changed_environment(&site, name.as_ref(), record)?;
        let live = Live::new(&site, environment, record, secret, faults, None);
        Ok(Self {
            id: record.id.clone(),
            name,
            live: RwLock::new(Arc::new(live)),
            clock: Arc::new(EnvironmentClock::new(site.machine_clock.clone(), record.clock)),
            keys,
            mail: MailRoom::default(),
            checked_at: RwLock::new(Instant::now()),
            checking: tokio::sync::Mutex::default(),
            site,
        })
    }

    /// What requests see now.
    pub fn live(&self) -> Arc<Live> {
        self.live.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn store(&self) -> &Store {
        &self.site.store
    }

    /// Is the database there? Answers within the given time.
    pub async fn ping(&self, within: Duration) -> Result<(), StoreError> {
        self.store().ping(within).await
    }

    /// The record as stored, to be changed.
    pub async fn record(&self) -> Result<EnvironmentRecord, StartError> {
        match self.store().environment_record(&self.id).await? {
            Some(record) => Ok(record),
            None => self.site.unchanged(self.clock.machine_ms()),
        }
    }

    /// Is what this process knows young enough to be used?
    fn is_fresh(&self) -> bool {
        let checked_at = *self.checked_at.read().unwrap_or_else(PoisonError::into_inner);
        self.site.freshness().is_none_or(|age| checked_at.elapsed() < age)
    }

    /// Makes sure of the newest revision. `false`: the environment was deleted.
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
        let asked_at = Instant::now();
        let record = self.store().environment_record(&self.id).await?;
        let record = match record {
            Some(record) => record,
            None if self.name.is_some() => return Ok(false),
            None => self.site.unchanged(self.clock.machine_ms())?,
        };
        let known = self.live();
        if record.revision != known.revision {
            let secret = server_secret(
                self.store(),
                &self.id,
                &self.site.at_rest,
                &*self.site.entropy,
                self.clock.machine_ms(),
            )
            .await?;
            self.keys.reload(self.key_chest()).await?;
            let faults = self.store().faults(&self.id).await?;
            let environment = changed_environment(&self.site, self.name.as_ref(), &record)?;
            let next = Live::new(&self.site, environment, &record, secret, faults, Some(&known));
            let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
            // A slow reader must not bring an older revision back.
            if record.revision > live.revision {
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
    pub async fn add_key(&self, algorithm: SigningAlgorithm, delay_ms: i64) -> Result<String, StartError> {
        let (entropy, now_ms) = (self.site.entropy.clone(), self.clock.machine_ms());
        self.keys.add(self.key_chest(), entropy, algorithm, now_ms, delay_ms).await
    }

    /// Keys with one that signs by this algorithm: clients may ask for another one while the server runs.
    pub async fn keys_for(&self, algorithm: SigningAlgorithm) -> Result<Arc<KeySet>, StartError> {
        let (keys, now_ms) = (self.keys.current(), self.clock.machine_ms());
        if keys.signing_key(algorithm, now_ms).is_ok() {
            return Ok(keys);
        }
        self.keys.ensure(self.key_chest(), self.site.entropy.clone(), algorithm, now_ms).await?;
        Ok(self.keys.current())
    }

    fn key_chest(&self) -> KeyChest<'_> {
        KeyChest { store: &self.site.store, environment_id: &self.id, at_rest: &self.site.at_rest }
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

/// The environment of a record. Changes that the configuration no longer fits are left out, with a word in the log.
fn changed_environment(
    site: &Site,
    name: Option<&EnvironmentName>,
    record: &EnvironmentRecord,
) -> Result<Environment, StartError> {
    let changes = site.open_settings(&record.settings)?;
    let bare = Value::Object(serde_json::Map::new());
    let environment = |changes: &Value| site.layers.environment(&record.id, name.cloned(), changes);
    environment(&changes)
        .or_else(|errors: Vec<FieldError>| {
            tracing::error!(
                ?errors,
                environment = record.name,
                "changed settings no longer fit and are left out"
            );
            environment(&bare)
        })
        .map_err(|_| StoreError::Unreadable("setting").into())
}

impl Live {
    fn new(
        site: &Site,
        environment: Environment,
        record: &EnvironmentRecord,
        stored_secret: ServerSecret,
        faults: Vec<StoredFault>,
        known: Option<&Live>,
    ) -> Self {
        let seed = environment.deterministic_seed.as_ref();
        let randomness = match known {
            Some(live) if live.randomness.is_for(seed, record.resets) => live.randomness.clone(),
            _ => Arc::new(Randomness::new(site, seed, record.resets)),
        };
        // Codes and links come from the secret.
        let secret = seed.map_or(stored_secret, |seed| ServerSecret::new(seed.as_bytes()));
        Self {
            client_secrets: ClientSecrets::new(secret.clone()),
            secret,
            environment: Arc::new(environment),
            revision: record.revision,
            randomness,
            faults,
        }
    }
}

/// The signing keys of an environment, as this process last read them.
#[derive(Default)]
pub struct KeyRing {
    keys: RwLock<Arc<KeySet>>,
}

/// Where the signing keys of an environment are kept.
#[derive(Clone, Copy)]
struct KeyChest<'a> {
    store: &'a Store,
    environment_id: &'a str,
    at_rest: &'a AtRest,
}

impl KeyRing {
    /// A ring that parses none of these keys again.
    fn knowing(keys: Arc<KeySet>) -> Self {
        Self { keys: RwLock::new(keys) }
    }

    /// The keys last read.
    pub fn current(&self) -> Arc<KeySet> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the keys again; those known already are not parsed anew.
    async fn reload(&self, chest: KeyChest<'_>) -> Result<Arc<KeySet>, StartError> {
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
    async fn add(
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
    async fn ensure(
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

/// The provider as the listener knows it: there from the first connection on, filled once the database answered.
#[derive(Clone, Default)]
pub struct Provider(Arc<Environments>);

#[derive(Default)]
struct Environments {
    default: OnceLock<Arc<App>>,
    named: RwLock<HashMap<EnvironmentName, Arc<App>>>,
    metrics: Metrics,
    /// Held while an environment is opened; when that failed last.
    opening: tokio::sync::Mutex<Option<Instant>>,
}

/// What a request says about the environment it is for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked<'a> {
    pub over_tls: bool,
    /// Host and port.
    pub authority: Option<&'a str>,
    /// From the path.
    pub name: Option<&'a EnvironmentName>,
}

/// Why there is no environment for a request.
#[derive(Debug, thiserror::Error)]
pub enum NoContext {
    /// The database has not answered yet since the start.
    #[error("the server is starting")]
    Starting,
    #[error("there is no environment {}", .0.as_str())]
    Unknown(EnvironmentName),
    #[error(transparent)]
    Failure(#[from] StartError),
}

impl Provider {
    /// The default environment.
    pub fn get(&self) -> Option<&Arc<App>> {
        self.0.default.get()
    }

    /// The figures of this process.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Opens the provider for requests.
    pub fn fill(&self, app: Arc<App>) {
        let _ = self.0.default.set(app);
    }

    /// The environments at work in this process.
    pub fn apps(&self) -> Vec<Arc<App>> {
        let named = self.0.named.read().unwrap_or_else(PoisonError::into_inner);
        self.get().cloned().into_iter().chain(named.values().cloned()).collect()
    }

    /// Sends those home who wait for a mail.
    pub fn stop_waiting(&self) {
        for app in self.apps() {
            app.site.stopping.store(true, Ordering::SeqCst);
            app.mail.announce();
        }
    }

    /// Is there a rule for faults in any environment, as far as this process knows?
    pub fn may_have_faults(&self) -> bool {
        let Some(default) = self.get() else { return false };
        match default.site.freshness() {
            None => self.apps().iter().any(|app| !app.live().faults.is_empty()),
            // Another server may just have made one.
            Some(_) => !default.site.control.is_off(),
        }
    }

    /// The context of a request, when nothing has to be read for it.
    pub fn context_now(&self, asked: Asked<'_>) -> Option<Context> {
        let default = self.get()?;
        let app = match wanted(default, asked) {
            None => default.clone(),
            Some(name) => self.named(&name)?,
        };
        app.is_fresh().then(|| self.context_of(app, asked))
    }

    /// The context of a request.
    pub async fn context(&self, asked: Asked<'_>) -> Result<Context, NoContext> {
        let default = self.get().ok_or(NoContext::Starting)?;
        let Some(name) = wanted(default, asked) else {
            if !default.is_fresh() {
                default.freshen().await?;
            }
            return Ok(self.context_of(default.clone(), asked));
        };
        let app = self.open(&name).await?;
        if app.is_fresh() || app.freshen().await? {
            return Ok(self.context_of(app, asked));
        }
        // It is gone, or another took its name.
        self.forget(&name);
        let app = self.open(&name).await?;
        Ok(self.context_of(app, asked))
    }

    fn context_of(&self, app: Arc<App>, asked: Asked<'_>) -> Context {
        let live = app.live();
        let public_url = live.environment.public_url_for(asked.over_tls, asked.authority).clone();
        if asked.authority.is_some_and(|a| !a.eq_ignore_ascii_case(public_url.authority())) {
            tracing::debug!(
                host = asked.authority,
                used = public_url.issuer(),
                "unknown Host: the first of public_urls is used; add the URL to public_urls to serve it"
            );
        }
        Context { environment: live.environment.clone(), live, app, provider: self.clone(), public_url }
    }

    fn named(&self, name: &EnvironmentName) -> Option<Arc<App>> {
        self.0.named.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// An isolated environment, read from the database where this process does not know it.
    pub async fn open(&self, name: &EnvironmentName) -> Result<Arc<App>, NoContext> {
        if let Some(app) = self.named(name) {
            return Ok(app);
        }
        let default = self.get().ok_or(NoContext::Starting)?;
        let asked_at = Instant::now();
        let mut failed_at = self.0.opening.lock().await;
        if let Some(app) = self.named(name) {
            return Ok(app);
        }
        share_failure(*failed_at, asked_at)?;
        let outcome = self.read_named(default, name).await;
        *failed_at = matches!(outcome, Err(NoContext::Failure(_))).then(Instant::now);
        outcome
    }

    async fn read_named(&self, default: &App, name: &EnvironmentName) -> Result<Arc<App>, NoContext> {
        let site = &default.site;
        let found = site.store.environment_named(name.as_str()).await.map_err(StartError::from)?;
        let record = found.ok_or_else(|| NoContext::Unknown(name.clone()))?;
        let now_ms = site.machine_clock.now_ms();
        let secret = server_secret(&site.store, &record.id, &site.at_rest, &*site.entropy, now_ms).await?;
        let keys = KeyRing::knowing(default.keys.current());
        let chest = KeyChest { store: &site.store, environment_id: &record.id, at_rest: &site.at_rest };
        keys.reload(chest).await?;
        let faults = site.store.faults(&record.id).await.map_err(StartError::from)?;
        let app = Arc::new(App::new(site.clone(), Some(name.clone()), &record, secret, keys, faults)?);
        self.0.named.write().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), app.clone());
        Ok(app)
    }

    /// The environment with this id, when it is the default one or stored.
    pub async fn by_id(&self, id: &str) -> Result<Option<Arc<App>>, NoContext> {
        let default = self.get().ok_or(NoContext::Starting)?;
        if default.id == id {
            return Ok(Some(default.clone()));
        }
        if let Some(app) = self.apps().into_iter().find(|app| app.id == id) {
            return Ok(Some(app));
        }
        let record = default.store().environment_record(id).await.map_err(StartError::from)?;
        match record.and_then(|r| EnvironmentName::parse(&r.name)) {
            Some(name) => self.open(&name).await.map(Some),
            None => Ok(None),
        }
    }

    /// Drops what this process knows of a deleted environment.
    pub fn forget(&self, name: &EnvironmentName) {
        let gone = self.0.named.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        if let Some(app) = gone {
            app.mail.announce();
        }
    }
}

/// The isolated environment that a request names, by path or by host. A host name of `public_urls` is never one.
fn wanted(default: &App, asked: Asked<'_>) -> Option<EnvironmentName> {
    if default.site.mode == Mode::Production {
        return None;
    }
    if let Some(name) = asked.name {
        return Some(name.clone());
    }
    let authority = asked.authority?;
    let name = EnvironmentName::of_authority(authority)?;
    let urls = &default.site.layers.public_urls;
    (!urls.iter().any(|u| u.authority().eq_ignore_ascii_case(authority))).then_some(name)
}

/// A request's view of the provider: which environment it is in and under which URL it came.
#[derive(Clone)]
pub struct Context {
    pub provider: Provider,
    pub app: Arc<App>,
    pub live: Arc<Live>,
    pub environment: Arc<Environment>,
    pub public_url: PublicUrl,
}

impl Context {
    pub fn now_ms(&self) -> UnixMs {
        self.app.clock.now_ms()
    }

    /// The time at which tokens are dated.
    pub fn token_date_ms(&self) -> UnixMs {
        self.app.clock.token_date_ms()
    }

    pub fn entropy(&self) -> &dyn Entropy {
        &*self.live.randomness.entropy
    }

    pub fn secret(&self) -> &ServerSecret {
        &self.live.secret
    }

    pub fn store(&self) -> &Store {
        &self.app.site.store
    }

    pub fn environment_id(&self) -> &str {
        &self.app.id
    }

    pub fn issuer(&self) -> &str {
        self.public_url.issuer()
    }

    /// A path of ours as browsers have to ask for it: with the environment's prefix.
    pub fn path(&self, path: &str) -> String {
        format!("{}{path}", self.public_url.path())
    }

    pub fn new_id(&self, kind: IdKind) -> String {
        new_id(kind, self.live.randomness.id_time_ms(self.now_ms()), self.entropy())
    }

    /// Ids for many things made at once.
    pub fn many_ids(&self, kind: IdKind) -> impl FnMut() -> String {
        let now_ms = self.now_ms();
        let mut count = 0;
        move || {
            count += 1;
            new_id(kind, self.live.randomness.id_time_ms(now_ms + count), self.entropy())
        }
    }

    /// An id for a mail, greater than every earlier one of this process, whatever became of the clock.
    pub fn new_message_id(&self) -> String {
        let time_ms = self.live.randomness.id_time_ms(self.app.clock.machine_ms());
        self.app.mail.new_message_id(time_ms, self.entropy())
    }

    /// This request in another environment: with its default URL.
    pub fn elsewhere(&self, app: Arc<App>) -> Self {
        self.provider.context_of(app, Asked { over_tls: self.public_url.is_secure(), ..Asked::default() })
    }
}
