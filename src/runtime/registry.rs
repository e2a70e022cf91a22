//! The environments at work in a process, and the one a request is for.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::current_request;
use super::keys::{KeyRing, KeyStore};
use super::start::server_secret;
use super::{Context, EnvironmentRows, EnvironmentRuntime, StartError, share_failure};
use crate::domain::environment_name::EnvironmentName;
use crate::domain::settings::Mode;
use crate::telemetry::metrics::Metrics;

/// The provider as the listener knows it: there from the first connection on, filled once the database answered.
#[derive(Clone, Default)]
pub struct EnvironmentRegistry(Arc<Environments>);

#[derive(Default)]
struct Environments {
    default: OnceLock<Arc<EnvironmentRuntime>>,
    /// Becomes true when nobody has to wait for the start any more.
    started: watch::Sender<bool>,
    named: RwLock<HashMap<EnvironmentName, Arc<EnvironmentRuntime>>>,
    metrics: Metrics,
    /// Held while an environment is opened; when that failed last.
    opening: tokio::sync::Mutex<Option<Instant>>,
}

/// What a request says about the environment it is for.
#[derive(Debug, Clone, Copy, Default)]
pub struct EnvironmentSelector<'a> {
    pub over_tls: bool,
    /// Host and port.
    pub authority: Option<&'a str>,
    /// From the path.
    pub name: Option<&'a EnvironmentName>,
}

/// Why there is no environment for a request.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// The database has not answered yet since the start.
    #[error("the server is starting")]
    Starting,
    #[error("there is no environment {}", .0.as_str())]
    Unknown(EnvironmentName),
    #[error(transparent)]
    Failure(#[from] StartError),
}

impl EnvironmentRegistry {
    /// The default environment.
    pub fn get(&self) -> Option<&Arc<EnvironmentRuntime>> {
        self.0.default.get()
    }

    /// The metrics of this process.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Opens the provider for requests.
    pub fn fill(&self, runtime: Arc<EnvironmentRuntime>) {
        let _ = self.0.default.set(runtime);
        self.0.started.send_replace(true);
    }

    /// Waits until the provider is open for requests, or the server stops, or this time is over.
    pub async fn wait_for_start(&self, at_most: Duration) {
        let mut started = self.0.started.subscribe();
        let _ = tokio::time::timeout(at_most, started.wait_for(|started| *started)).await;
    }

    /// The environments at work in this process.
    pub fn runtimes(&self) -> Vec<Arc<EnvironmentRuntime>> {
        let named = self.0.named.read().unwrap_or_else(PoisonError::into_inner);
        self.get().cloned().into_iter().chain(named.values().cloned()).collect()
    }

    /// Sends those home who wait for the start, for an email, for an event or for a request.
    pub fn stop_waiting(&self) {
        self.0.started.send_replace(true);
        for runtime in self.runtimes() {
            runtime.server.stopping.store(true, Ordering::SeqCst);
            runtime.mail.notify_waiters();
            runtime.store().wake_event_waiters();
            runtime.requests.notify_waiters();
        }
    }

    /// The environment that a request names, where this process has it at work.
    pub fn known(&self, asked: EnvironmentSelector<'_>) -> Option<Arc<EnvironmentRuntime>> {
        let default = self.get()?;
        match wanted(default, asked) {
            None => Some(default.clone()),
            Some(name) => self.named(&name),
        }
    }

    /// Is a journal kept of the requests to environments?
    pub fn keeps_requests(&self) -> bool {
        self.get().is_some_and(|default| {
            default.server.mode == Mode::Development && !default.server.control.is_off()
        })
    }

    /// May a rule for faults break a request, as far as this process knows?
    pub fn may_have_faults(&self, asked: EnvironmentSelector<'_>) -> bool {
        let Some(default) = self.get() else { return false };
        if default.server.freshness().is_some() {
            // Another server may just have made one.
            return !default.server.control.is_off();
        }
        self.known(asked).is_none_or(|runtime| !runtime.live().faults.is_empty())
    }

    /// The context of a request, when nothing has to be read for it.
    pub fn context_now(&self, asked: EnvironmentSelector<'_>) -> Option<Context> {
        let runtime = self.known(asked)?;
        runtime.is_fresh().then(|| self.context_of(runtime, asked))
    }

    /// The context of a request.
    pub async fn context(&self, asked: EnvironmentSelector<'_>) -> Result<Context, EnvironmentError> {
        let default = self.get().ok_or(EnvironmentError::Starting)?;
        let Some(name) = wanted(default, asked) else {
            if !default.is_fresh() {
                default.freshen().await?;
            }
            return Ok(self.context_of(default.clone(), asked));
        };
        let runtime = self.open(&name).await?;
        if runtime.is_fresh() || runtime.freshen().await? {
            return Ok(self.context_of(runtime, asked));
        }
        // It is gone, or another took its name.
        self.forget(&name);
        let runtime = self.open(&name).await?;
        Ok(self.context_of(runtime, asked))
    }

    pub fn context_of(&self, runtime: Arc<EnvironmentRuntime>, asked: EnvironmentSelector<'_>) -> Context {
        current_request::note(|notes| notes.environment = Some(runtime.clone()));
        let live = runtime.live();
        let public_url = live.environment.public_url_for(asked.over_tls, asked.authority);
        if asked.authority.is_some_and(|a| !a.eq_ignore_ascii_case(public_url.authority())) {
            tracing::debug!(
                host = asked.authority,
                used = public_url.issuer(),
                "unknown Host: the first of public_urls is used; add the URL to public_urls to serve it"
            );
        }
        Context { environment: live.environment.clone(), live, runtime, registry: self.clone(), public_url }
    }

    fn named(&self, name: &EnvironmentName) -> Option<Arc<EnvironmentRuntime>> {
        self.0.named.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// An isolated environment, read from the database where this process does not know it.
    pub async fn open(&self, name: &EnvironmentName) -> Result<Arc<EnvironmentRuntime>, EnvironmentError> {
        if let Some(runtime) = self.named(name) {
            return Ok(runtime);
        }
        let default = self.get().ok_or(EnvironmentError::Starting)?;
        let asked_at = Instant::now();
        let mut failed_at = self.0.opening.lock().await;
        if let Some(runtime) = self.named(name) {
            return Ok(runtime);
        }
        share_failure(*failed_at, asked_at)?;
        let outcome = self.read_named(default, name).await;
        *failed_at = matches!(outcome, Err(EnvironmentError::Failure(_))).then(Instant::now);
        outcome
    }

    async fn read_named(
        &self,
        default: &EnvironmentRuntime,
        name: &EnvironmentName,
    ) -> Result<Arc<EnvironmentRuntime>, EnvironmentError> {
        let server = &default.server;
        let found = server.store.environment_named(name.as_str()).await.map_err(StartError::from)?;
        let record = found.ok_or_else(|| EnvironmentError::Unknown(name.clone()))?;
        let now_ms = server.machine_clock.now_ms();
        let secret =
            server_secret(&server.store, &record.id, &server.at_rest, &*server.entropy, now_ms).await?;
        let keys = KeyRing::from_keys(default.keys.current());
        let key_store =
            KeyStore { store: &server.store, environment_id: &record.id, at_rest: &server.at_rest };
        keys.reload(key_store).await?;
        let rows = EnvironmentRows::read(&server.store, &record.id).await.map_err(StartError::from)?;
        let runtime =
            EnvironmentRuntime::new(server.clone(), Some(name.clone()), &record, secret, keys, rows)?;
        let runtime = Arc::new(runtime);
        self.0.named.write().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), runtime.clone());
        Ok(runtime)
    }

    /// The environment with this id, when it is the default one or stored.
    pub async fn by_id(&self, id: &str) -> Result<Option<Arc<EnvironmentRuntime>>, EnvironmentError> {
        let default = self.get().ok_or(EnvironmentError::Starting)?;
        if default.id == id {
            return Ok(Some(default.clone()));
        }
        if let Some(runtime) = self.runtimes().into_iter().find(|runtime| runtime.id == id) {
            return Ok(Some(runtime));
        }
        let record = default.store().environment_record(id).await.map_err(StartError::from)?;
        match record.and_then(|r| EnvironmentName::parse(&r.name?)) {
            Some(name) => self.open(&name).await.map(Some),
            None => Ok(None),
        }
    }

    /// Drops what this process knows of a deleted environment.
    pub fn forget(&self, name: &EnvironmentName) {
        let gone = self.0.named.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        if let Some(runtime) = gone {
            runtime.mail.notify_waiters();
            runtime.requests.notify_waiters();
        }
    }
}

/// The isolated environment that a request names, by path or by host. A host name of `public_urls` is never one.
fn wanted(default: &EnvironmentRuntime, asked: EnvironmentSelector<'_>) -> Option<EnvironmentName> {
    if default.server.mode == Mode::Production {
        return None;
    }
    if let Some(name) = asked.name {
        return Some(name.clone());
    }
    let authority = asked.authority?;
    let name = EnvironmentName::of_authority(authority)?;
    let layers = default.server.layers();
    (!layers.public_urls.iter().any(|u| u.authority().eq_ignore_ascii_case(authority))).then_some(name)
}
