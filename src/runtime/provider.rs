//! The environments at work in a process, and the one a request is for.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::keys::{KeyChest, KeyRing};
use super::start::server_secret;
use super::{App, Context, StartError, share_failure};
use crate::domain::environment_name::EnvironmentName;
use crate::domain::settings::Mode;
use crate::telemetry::metrics::Metrics;

/// The provider as the listener knows it: there from the first connection on, filled once the database answered.
#[derive(Clone, Default)]
pub struct Provider(Arc<Environments>);

#[derive(Default)]
struct Environments {
    default: OnceLock<Arc<App>>,
    /// Becomes true when nobody has to wait for the start any more.
    started: watch::Sender<bool>,
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
        self.0.started.send_replace(true);
    }

    /// Waits until the provider is open for requests, or the server stops, or this time is over.
    pub async fn wait_for_start(&self, at_most: Duration) {
        let mut started = self.0.started.subscribe();
        let _ = tokio::time::timeout(at_most, started.wait_for(|started| *started)).await;
    }

    /// The environments at work in this process.
    pub fn apps(&self) -> Vec<Arc<App>> {
        let named = self.0.named.read().unwrap_or_else(PoisonError::into_inner);
        self.get().cloned().into_iter().chain(named.values().cloned()).collect()
    }

    /// Sends those home who wait for the start, or for a mail.
    pub fn stop_waiting(&self) {
        self.0.started.send_replace(true);
        for app in self.apps() {
            app.site.stopping.store(true, Ordering::SeqCst);
            app.mail.announce();
        }
    }

    /// May a rule for faults break a request, as far as this process knows?
    pub fn may_have_faults(&self, asked: Asked<'_>) -> bool {
        let Some(default) = self.get() else { return false };
        if default.site.freshness().is_some() {
            // Another server may just have made one.
            return !default.site.control.is_off();
        }
        let known = match wanted(default, asked) {
            None => Some(default.clone()),
            Some(name) => self.named(&name),
        };
        known.is_none_or(|app| !app.live().faults.is_empty())
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

    pub fn context_of(&self, app: Arc<App>, asked: Asked<'_>) -> Context {
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
        let clients = site.store.clients(&record.id).await.map_err(StartError::from)?;
        let app = App::new(site.clone(), Some(name.clone()), &record, secret, keys, &clients, faults)?;
        let app = Arc::new(app);
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
        match record.and_then(|r| EnvironmentName::parse(&r.name?)) {
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
