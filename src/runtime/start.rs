//! From the parts of a provider to one that works.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, Once, OnceLock, RwLock};

use secrecy::SecretString;
use tokio::sync::Notify;

use super::keys::{KeyRing, KeyStore};
use super::server_state::{Access, SERVER_SECRET, SETTINGS, ServerState};
use super::{ClientSeal, EnvironmentRows, EnvironmentRuntime, WebhookSeal};
use crate::config::{ConfiguredInterceptor, ConfiguredWebhook, Layers};
use crate::crypto::at_rest::{AtRest, AtRestError};
use crate::crypto::server_secret::ServerSecret;
use crate::crypto::signing::SigningError;
use crate::domain::clock::{Clock, UnixMs};
use crate::domain::entropy::Entropy;
use crate::domain::environment::Environment;
use crate::domain::flow::FlowLog;
use crate::domain::signing_algorithm::SigningAlgorithm;
use crate::domain::source_address::TrustedProxies;
use crate::mail::SmtpMailer;
use crate::storage::{EnvironmentRecord, Seed, Store, StoreError};

/// No changed settings, as stored before they are sealed.
const NO_SETTINGS: &[u8] = b"{}";

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
    /// Trusted beside the system's certificates when applications are told of logouts and of events.
    pub logout_roots: Vec<reqwest::Certificate>,
    /// Hosts that webhooks may be sent to in production mode, whatever their addresses are.
    pub webhook_allowed_hosts: Vec<String>,
    /// Endpoints as configured.
    pub webhooks: Vec<ConfiguredWebhook>,
    /// Interceptors as configured.
    pub interceptors: Vec<ConfiguredInterceptor>,
    pub control: Access,
    pub metrics: Access,
    pub scenarios: PathBuf,
    pub trusted_proxies: TrustedProxies,
    pub seed: Seed,
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
        self.ensure_environment(&at_rest, now_ms).await?;
        self.seed_clients(&at_rest, now_ms).await?;
        let secret = server_secret(&self.store, id, &at_rest, &*self.entropy, now_ms).await?;
        let keys = KeyRing::default();
        let key_store = KeyStore { store: &self.store, environment_id: id, at_rest: &at_rest };
        let asks =
            |algorithm| self.environment.clients.iter().any(|c| c.id_token_signed_response_alg == algorithm);
        for algorithm in SigningAlgorithm::ALL {
            if algorithm == SigningAlgorithm::default() || asks(algorithm) {
                keys.ensure(key_store, self.entropy.clone(), algorithm, now_ms).await?;
            }
        }
        self.store.seed(id, &self.seed, self.control.is_off(), now_ms).await?;
        let webhooks = WebhookSeal { at_rest: &at_rest, entropy: &*self.entropy };
        self.store.seed_webhooks(id, &webhooks.seeds(&self.webhooks, now_ms)?).await?;
        webhooks.seed_interceptors(&self.store, id, &self.interceptors, now_ms).await?;
        let record = self.store.environment_record(id).await?.ok_or(StoreError::Unreadable("environment"))?;
        if at_rest.open(SETTINGS, &record.settings)? != NO_SETTINGS {
            tracing::info!("settings were changed by API; those changes outrank the configuration");
        }
        let rows = EnvironmentRows::read(&self.store, id).await?;
        Ok(Started { secret, keys, record, rows })
    }

    /// Makes the row of the default environment at the first start.
    async fn ensure_environment(&self, at_rest: &AtRest, now_ms: UnixMs) -> Result<(), StartError> {
        let id = &self.environment.id;
        if self.store.environment_record(id).await?.is_none() {
            let settings = at_rest.seal(SETTINGS, NO_SETTINGS, &*self.entropy)?;
            self.store.ensure_environment(id, &settings, now_ms).await?;
        }
        Ok(())
    }

    /// Writes the configured clients where the configuration changed since the last start. What the control API did to
    /// the others stays.
    async fn seed_clients(&self, at_rest: &AtRest, now_ms: UnixMs) -> Result<(), StartError> {
        let id = &self.environment.id;
        let seal = ClientSeal { at_rest, entropy: &*self.entropy, mode: self.environment.mode };
        let changes =
            seal.changes(&self.store.template_clients(id).await?, &self.environment.clients, now_ms)?;
        if !changes.put.is_empty() || !changes.delete.is_empty() {
            self.store.seed_clients(id, &changes, now_ms).await?;
        }
        Ok(())
    }

    /// The provider, with what [`Parts::start`] found.
    pub fn into_runtime(self, started: Started) -> Result<EnvironmentRuntime, StartError> {
        let server = Arc::new(ServerState {
            at_rest: AtRest::new(self.master_key.as_ref())?,
            default_id: self.environment.id.clone(),
            mode: self.environment.mode,
            store: self.store,
            layers: RwLock::new(Arc::new(self.layers)),
            saved_configuration: RwLock::default(),
            machine_clock: self.clock,
            entropy: self.entropy,
            control: self.control,
            metrics: self.metrics,
            scenarios: self.scenarios,
            trusted_proxies: self.trusted_proxies,
            unknown_proxy_warned: Once::new(),
            smtp: self.smtp,
            logout_roots: self.logout_roots,
            webhook_allowed_hosts: self.webhook_allowed_hosts,
            interceptor_client: OnceLock::new(),
            secret_checks: Arc::default(),
            outbox_filled: Notify::new(),
            sessions_ended: Notify::new(),
            deliveries_due: Notify::new(),
            stopping: AtomicBool::new(false),
            not_emulated: Mutex::default(),
            flows: FlowLog::default(),
            writing_flows: tokio::sync::Mutex::default(),
        });
        EnvironmentRuntime::new(server, None, &started.record, started.secret, started.keys, started.rows)
    }
}

/// What the database holds for a starting provider.
pub struct Started {
    secret: ServerSecret,
    keys: KeyRing,
    record: EnvironmentRecord,
    rows: EnvironmentRows,
}

pub(super) async fn server_secret(
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
