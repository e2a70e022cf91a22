//! What all environments of a process share.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Once, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;
use tokio::sync::Notify;

use super::{ClientSeal, StartError, WebhookSeal};
use crate::config::Layers;
use crate::crypto::at_rest::AtRest;
use crate::crypto::client_secrets::SecretChecks;
use crate::domain::clock::Clock;
use crate::domain::entropy::Entropy;
use crate::domain::flow::FlowLog;
use crate::domain::settings::Mode;
use crate::domain::source_address::TrustedProxies;
use crate::mail::SmtpMailer;
use crate::storage::{Store, StoreError};

/// Name of the one server secret, in the database and as what it is sealed with.
pub const SERVER_SECRET: &str = "server secret";
pub(super) const SIGNING_KEY: &str = "signing key";
pub(super) const SETTINGS: &str = "environment settings";

/// Who may use what is not for everybody: the inbox and the control API, or metrics.
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

    /// May anybody who can connect?
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }
}

/// What all environments of a process share.
pub struct ServerState {
    pub store: Store,
    pub(super) layers: RwLock<Arc<Layers>>,
    /// What came of the configuration file since the start.
    pub(super) saved_configuration: RwLock<SavedConfiguration>,
    pub mode: Mode,
    pub machine_clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    /// Who may read the inbox and use the control API.
    pub control: Access,
    /// Who may read metrics.
    pub metrics: Access,
    /// Folder of the named scenarios.
    pub scenarios: PathBuf,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: TrustedProxies,
    /// Done once a proxy that is not among them was warned about.
    pub unknown_proxy_warned: Once,
    pub smtp: Option<SmtpMailer>,
    /// What is trusted beside the system's certificates when applications are told of logouts and of events.
    pub logout_roots: Vec<reqwest::Certificate>,
    /// Hosts that webhooks may be sent to in production mode, whatever their addresses are.
    pub webhook_allowed_hosts: Vec<String>,
    /// Calls interceptors. It is made when it is needed.
    pub interceptor_client: OnceLock<reqwest::Client>,
    /// The work of checking hashed client secrets, of all environments.
    pub(super) secret_checks: Arc<SecretChecks>,
    /// Wakes the delivery of the outbox.
    pub outbox_filled: Notify,
    /// Wakes those who tell applications of ended sessions.
    pub sessions_ended: Notify,
    /// Wakes the delivery of webhooks where no event was written: a replay, a test.
    pub deliveries_due: Notify,
    pub(super) at_rest: AtRest,
    pub(super) default_id: String,
    /// The server stops: nobody shall wait for an email any longer.
    pub(super) stopping: AtomicBool,
    /// How often methods were asked for that are not emulated, by name.
    pub not_emulated: Mutex<BTreeMap<String, u64>>,
    /// What happened in sign-ins and is not written yet.
    pub flows: FlowLog,
    /// Held while steps are written, so that who reads the log waits for what is on its way.
    pub writing_flows: tokio::sync::Mutex<()>,
}

/// What is known of a configuration file that was saved while the server runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SavedConfiguration {
    /// Why it was not applied.
    pub problems: Vec<String>,
    /// Settings of it that hold after a restart.
    pub needs_restart: Vec<String>,
}

impl ServerState {
    /// The configuration, as it holds now.
    pub fn layers(&self) -> Arc<Layers> {
        self.layers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What came of the configuration file since the start.
    pub fn saved_configuration(&self) -> SavedConfiguration {
        self.saved_configuration.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says what came of it.
    pub fn note_saved_configuration(&self, saved: SavedConfiguration) {
        *self.saved_configuration.write().unwrap_or_else(PoisonError::into_inner) = saved;
    }

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

    /// Changed settings as read, without those that this version does not know.
    pub fn open_known_settings(&self, sealed: &[u8]) -> Result<Value, StartError> {
        let mut settings = self.open_settings(sealed)?;
        let unknown = self.layers().drop_unknown(&mut settings);
        if !unknown.is_empty() {
            tracing::warn!(?unknown, "changed settings that this version does not know are ignored");
        }
        Ok(settings)
    }

    /// Seals and opens the secrets of clients.
    pub fn clients(&self) -> ClientSeal<'_> {
        ClientSeal { at_rest: &self.at_rest, entropy: &*self.entropy, mode: self.mode }
    }

    /// Seals and opens the secrets of webhook endpoints.
    pub fn webhooks(&self) -> WebhookSeal<'_> {
        WebhookSeal { at_rest: &self.at_rest, entropy: &*self.entropy }
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
}
