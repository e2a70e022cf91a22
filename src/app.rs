//! The parts of a running provider, put together: database, clock, randomness, keys, mail.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use secrecy::SecretString;
use tokio::sync::{Notify, watch};

use crate::crypto::at_rest::{AtRest, AtRestError};
use crate::crypto::client_secrets::ClientSecrets;
use crate::crypto::server_secret::ServerSecret;
use crate::crypto::signing::{self, KeySet, SigningError, SigningKey};
use crate::domain::clock::{Clock, MovableClock, UnixMs};
use crate::domain::entropy::Entropy;
use crate::domain::environment::{Environment, PublicUrl};
use crate::domain::ids::{IdKind, new_id};
use crate::mail::SmtpMailer;
use crate::storage::{ChangedSettings, SeedOrganization, SeedUser, Store, StoreError, StoredKey};

/// Name of the one server secret, in the database and as what it is sealed with.
const SERVER_SECRET: &str = "server secret";
const SIGNING_KEY: &str = "signing key";

/// What a provider is made of, before anything was read from the database.
pub struct Parts {
    pub store: Store,
    pub environment: Environment,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub master_key: Option<SecretString>,
    /// `None`: the inbox alone receives.
    pub smtp: Option<SmtpMailer>,
    pub control: ControlAccess,
    /// The clock, where the control API may move it.
    pub movable_clock: Option<Arc<MovableClock>>,
    pub seed: Seed,
}

/// People and organizations that configuration asks for.
#[derive(Debug, Clone, Default)]
pub struct Seed {
    pub organizations: Vec<SeedOrganization>,
    pub users: Vec<SeedUser>,
}

/// Who may read the inbox and use the control API.
#[derive(Debug, Clone)]
pub enum ControlAccess {
    Off,
    /// Anybody who can connect: the listener is on loopback.
    Open,
    Token(SecretString),
}

/// A running provider.
pub struct App {
    pub store: Store,
    /// As configured; requests see [`App::live_environment`].
    pub environment: Arc<Environment>,
    live: RwLock<Live>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub secret: ServerSecret,
    pub client_secrets: Arc<ClientSecrets>,
    pub keys: KeyRing,
    pub mail: MailRoom,
    pub control: ControlAccess,
    pub movable_clock: Option<Arc<MovableClock>>,
    /// How often methods were asked for that are not emulated, by name.
    pub not_emulated: Mutex<BTreeMap<String, u64>>,
}

/// The environment with what was changed since, and which change that was.
struct Live {
    environment: Arc<Environment>,
    settings_version: i64,
}

impl App {
    /// The environment as requests see it now.
    pub fn live_environment(&self) -> Arc<Environment> {
        self.live.read().unwrap_or_else(PoisonError::into_inner).environment.clone()
    }

    /// Reads what was changed, here or on another server.
    pub async fn reload_settings(&self) -> Result<Arc<Environment>, StoreError> {
        let changed = self.store.changed_settings(&self.environment.id).await?;
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        // A slow reader must not bring an older change back.
        if changed.version > live.settings_version {
            live.settings_version = changed.version;
            live.environment = Arc::new(changed_environment(&self.environment, &changed));
        }
        Ok(live.environment.clone())
    }
}

fn changed_environment(configured: &Environment, changed: &ChangedSettings) -> Environment {
    let passwordless = changed.passwordless.applied_to(&configured.passwordless);
    Environment { passwordless, ..configured.clone() }
}

/// Where mails wait and who is told about them.
pub struct MailRoom {
    pub smtp: Option<SmtpMailer>,
    /// Wakes the delivery of the outbox.
    pub outbox_filled: Notify,
    /// Number of the last mail's id: ids grow even within a millisecond, so that "newest first" holds.
    last_message: AtomicI64,
    /// Changes with every mail stored by this process; those who wait for one watch it.
    pub inbox_changed: watch::Sender<u64>,
    /// The server stops: nobody shall wait for a mail any longer.
    stopping: AtomicBool,
}

impl MailRoom {
    /// Sends those home who wait for a mail.
    pub fn stop_waiting(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.inbox_changed.send_modify(|n| *n = n.wrapping_add(1));
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// An id for a mail, greater than every earlier one of this process.
    pub fn new_message_id(&self, now_ms: UnixMs, entropy: &dyn Entropy) -> String {
        let fresh = new_id(IdKind::Message, now_ms, entropy);
        let wanted: i64 = fresh.rsplit('_').next().and_then(|digits| digits.parse().ok()).unwrap_or_default();
        let last = self.last_message.fetch_max(wanted, Ordering::SeqCst);
        if wanted > last {
            fresh
        } else {
            format!("msg_{:019}", self.last_message.fetch_add(1, Ordering::SeqCst) + 1)
        }
    }
}

/// Why a provider cannot start.
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
        let now_ms = self.clock.now_ms();
        let at_rest = AtRest::new(self.master_key.as_ref())?;
        self.store.migrate().await?;
        let secret =
            server_secret(&self.store, &self.environment.id, &at_rest, &*self.entropy, now_ms).await?;
        let keys = KeyRing { keys: RwLock::default(), at_rest };
        if keys.reload(&self.store, &self.environment.id).await?.keys().is_empty() {
            keys.add(&self.store, &self.environment.id, self.entropy.clone(), now_ms, 0).await?;
        }
        self.store.seed(&self.environment.id, &self.seed.organizations, &self.seed.users, now_ms).await?;
        let changed = self.store.changed_settings(&self.environment.id).await?;
        if changed.version > 0 {
            tracing::info!(
                "passwordless settings were changed by API; those changes outrank the configuration"
            );
        }
        Ok(Started { secret, keys, changed })
    }

    /// The provider, with what [`Parts::start`] found.
    pub fn into_app(self, started: Started) -> App {
        let live = Live {
            environment: Arc::new(changed_environment(&self.environment, &started.changed)),
            settings_version: started.changed.version,
        };
        App {
            store: self.store,
            environment: Arc::new(self.environment),
            live: RwLock::new(live),
            clock: self.clock,
            entropy: self.entropy,
            client_secrets: ClientSecrets::new(started.secret.clone()),
            secret: started.secret,
            keys: started.keys,
            mail: MailRoom {
                smtp: self.smtp,
                outbox_filled: Notify::new(),
                last_message: AtomicI64::new(0),
                inbox_changed: watch::Sender::new(0),
                stopping: AtomicBool::new(false),
            },
            control: self.control,
            movable_clock: self.movable_clock,
            not_emulated: Mutex::default(),
        }
    }
}

/// What the database holds for a starting provider.
pub struct Started {
    secret: ServerSecret,
    keys: KeyRing,
    changed: ChangedSettings,
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

/// The signing keys of an environment, as this process last read them.
pub struct KeyRing {
    keys: RwLock<Arc<KeySet>>,
    at_rest: AtRest,
}

impl KeyRing {
    /// The keys last read.
    pub fn current(&self) -> Arc<KeySet> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the keys again; those known already are not parsed anew.
    pub async fn reload(&self, store: &Store, environment_id: &str) -> Result<Arc<KeySet>, StartError> {
        let known = self.current();
        let mut keys = Vec::new();
        for stored in store.signing_keys(environment_id).await? {
            match known.keys().iter().find(|k| k.kid() == stored.kid) {
                Some(key) => keys.push(key.clone()),
                None => {
                    let der = self.at_rest.open(SIGNING_KEY, &stored.private_key)?;
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
    pub async fn add(
        &self,
        store: &Store,
        environment_id: &str,
        entropy: Arc<dyn Entropy>,
        now_ms: UnixMs,
        delay_ms: i64,
    ) -> Result<String, StartError> {
        let sequence = self.reload(store, environment_id).await?.keys().last().map_or(1, |k| k.sequence + 1);
        let rng = entropy.clone();
        let der = tokio::task::spawn_blocking(move || signing::generate_pkcs8(&*rng))
            .await
            .map_err(|_| SigningError::Generation)??;
        let key = StoredKey {
            sequence,
            kid: new_id(IdKind::SigningKey, now_ms, &*entropy),
            private_key: self.at_rest.seal(SIGNING_KEY, &der, &*entropy)?,
            created_at_ms: now_ms,
            signs_from_ms: now_ms + delay_ms,
        };
        store.offer_signing_key(environment_id, &key).await?;
        let keys = self.reload(store, environment_id).await?;
        let standing = keys.keys().iter().find(|k| k.sequence == sequence);
        Ok(standing.ok_or(SigningError::NoKey)?.kid().to_owned())
    }
}

/// The provider as the listener knows it: there from the first connection on, filled once the database answered.
#[derive(Clone, Default)]
pub struct Provider(Arc<OnceLock<Arc<App>>>);

impl Provider {
    pub fn get(&self) -> Option<&Arc<App>> {
        self.0.get()
    }

    /// Opens the provider for requests.
    pub fn fill(&self, app: Arc<App>) {
        let _ = self.0.set(app);
    }

    /// The context of a request that came over TLS or not and asked for this host and port. `None`: the database has
    /// not answered yet since the start.
    pub fn context(&self, over_tls: bool, authority: Option<&str>) -> Option<Context> {
        let app = self.get()?.clone();
        let environment = app.live_environment();
        let public_url = environment.public_url_for(over_tls, authority).clone();
        if authority.is_some_and(|a| !a.eq_ignore_ascii_case(public_url.authority())) {
            tracing::debug!(
                host = authority,
                used = public_url.issuer(),
                "unknown Host: the first of public_urls is used; add the URL to public_urls to serve it"
            );
        }
        Some(Context { app, environment, public_url })
    }
}

/// A request's view of the provider: which environment it is in and under which URL it came.
#[derive(Clone)]
pub struct Context {
    pub app: Arc<App>,
    pub environment: Arc<Environment>,
    pub public_url: PublicUrl,
}

impl Context {
    pub fn now_ms(&self) -> UnixMs {
        self.app.clock.now_ms()
    }

    pub fn entropy(&self) -> &dyn Entropy {
        &*self.app.entropy
    }

    pub fn store(&self) -> &Store {
        &self.app.store
    }

    pub fn environment_id(&self) -> &str {
        &self.environment.id
    }

    pub fn issuer(&self) -> &str {
        self.public_url.issuer()
    }

    pub fn new_id(&self, kind: IdKind) -> String {
        new_id(kind, self.now_ms(), self.entropy())
    }
}
