//! The listener: start, banner, background work and graceful stop.

mod authority;
mod banner;
mod bridge;
mod connections;
mod data_folder;
mod fault_injection;
mod files;
mod folder_lock;
mod health;
mod local_ca;
mod metrics;
mod one_port;
mod open_files;
mod permissions;
mod ready_file;
mod request_recording;
mod response_body;
pub mod routes;
mod server_facts;
mod signals;
mod smtp_listener;
mod sockets;
mod state_file;
mod tls;
mod upload;
mod watched_configuration;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix_web::middleware::{NormalizePath, TrailingSlash, from_fn};
use actix_web::{App as ActixApp, web};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

pub use data_folder::DataFolderError;
pub use local_ca::{LocalCa, LocalCaError};
pub use one_port::Deadlines;
pub use ready_file::remove_ready_file;
pub use server_facts::ServerFacts;
pub use signals::StopRequests;
pub use sockets::listen;
pub use state_file::state_file;
pub use tls::{Tls, TlsError, local_names};
pub use watched_configuration::WatchedConfiguration;

use crate::api::Grpc;
use crate::config::{Config, Database};
use crate::crypto::entropy::SystemEntropy;
use crate::domain::clock::{Clock, SystemClock, rfc3339};
use crate::domain::entropy::Entropy;
use crate::domain::ids::{IdKind, many_ids};
use crate::domain::settings::Mode;
use crate::mail::{SmtpMailer, SmtpSetupError};
use crate::runtime::{Access, EnvironmentRegistry, EnvironmentRuntime, Parts, StartError};
use crate::service::{
    backchannel_logout, delivery_http, flows, housekeeping, outbox, seed, webhook_delivery,
};
use crate::storage::{PostgresOptions, Store, StoreError};
use connections::{Connections, Limits, Uptime};
use folder_lock::FolderLock;
use one_port::OnePort;
use ready_file::ReadyFile;
use smtp_listener::SmtpListener;
use state_file::StateFile;

/// First and longest pause between attempts to start on a database that does not answer.
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LONGEST_RETRY: Duration = Duration::from_secs(5);

/// How long a start that was called off waits for what it is doing right now, such as making a certificate.
const CALL_OFF_WITHIN: Duration = Duration::from_secs(1);

/// Why the server stops before it served anything.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(
        "cannot listen on {address}: {source}. Is another server running there? --listen localhost:0 takes a free port"
    )]
    Listen { address: String, source: std::io::Error },
    #[error(transparent)]
    DataFolder(#[from] DataFolderError),
    #[error("cannot write the ready file {path}: {source}")]
    ReadyFile { path: PathBuf, source: std::io::Error },
    #[error("cannot remove the ready file {path} of an earlier start: {source}")]
    OldReadyFile { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("backchannel_logout.ca_file {path} cannot be used: {source}")]
    LogoutRoots { path: PathBuf, source: std::io::Error },
    #[error("the SMTP settings cannot work: {0}")]
    Smtp(#[from] SmtpSetupError),
    #[error("the server stopped: {0}")]
    Io(#[from] std::io::Error),
}

/// The opened database; an ephemeral one is deleted when this is dropped.
pub struct OpenStore {
    pub store: Store,
    _lock: Option<FolderLock>,
    _folder: Option<tempfile::TempDir>,
}

/// Opens the configured database without asking it anything yet (PostgreSQL may come up later). A server may be running
/// on it: commands read and change what it serves.
pub async fn open_store(config: &Config) -> Result<OpenStore, ServeError> {
    open_store_for(config, None).await
}

/// The same. With a `server`, which that text describes, no other server may be running on the embedded database.
async fn open_store_for(config: &Config, server: Option<&str>) -> Result<OpenStore, ServeError> {
    match &config.database {
        Database::Postgres { url, max_connections, timeout_s, schema, is_transaction_pooler } => {
            let options = PostgresOptions {
                max_connections: *max_connections,
                timeout: Duration::from_secs(*timeout_s),
                schema: schema.clone(),
                is_transaction_pooler: *is_transaction_pooler,
            };
            let store = Store::open_postgres(url.expose_secret(), options)?;
            Ok(OpenStore { store, _lock: None, _folder: None })
        }
        Database::Sqlite => {
            data_folder::prepare(config)?;
            open_embedded(&config.data_dir, None, server).await
        }
        Database::Ephemeral => {
            let unusable = |source| DataFolderError::Unusable { path: std::env::temp_dir(), source };
            let folder = permissions::temporary_folder().map_err(unusable)?;
            let path = folder.path().to_owned();
            open_embedded(&path, Some(folder), server).await
        }
    }
}

async fn open_embedded(
    path: &Path,
    temporary: Option<tempfile::TempDir>,
    server: Option<&str>,
) -> Result<OpenStore, ServeError> {
    let lock = server.map(|server| FolderLock::take(path, server)).transpose()?;
    let store = Store::open_sqlite(&path.join("vestibule.db")).await?;
    Ok(OpenStore { store, _lock: lock, _folder: temporary })
}

/// How a server that is refused the data folder names this one.
fn description(listen: &[SocketAddr]) -> String {
    let addresses: Vec<String> = listen.iter().map(ToString::to_string).collect();
    let since = rfc3339(SystemClock.now_ms());
    format!("the server of process {} on {}, since {since}", std::process::id(), addresses.join(" and "))
}

/// The parts of a provider as configured, on the machine's clock and randomness.
pub fn parts(
    config: &Config,
    store: Store,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Result<Parts, ServeError> {
    let access = |enabled: bool, token: Option<&SecretString>| match token {
        _ if !enabled => Access::Off,
        Some(token) => Access::Token(token.clone()),
        None => Access::Open,
    };
    Ok(Parts {
        store,
        environment: config.environment.clone(),
        seed: seed::with_ids(&config.seed, clock.now_ms(), many_ids(IdKind::User, clock.now_ms(), &*entropy)),
        clock,
        entropy,
        master_key: config.master_key.clone(),
        smtp: config.smtp.as_ref().map(SmtpMailer::new).transpose()?,
        logout_roots: match &config.backchannel_logout_ca {
            Some(path) => delivery_http::read_roots(path)
                .map_err(|source| ServeError::LogoutRoots { path: path.clone(), source })?,
            None => vec![],
        },
        webhook_allowed_hosts: config.webhook_allowed_hosts.clone(),
        webhooks: config.webhooks.clone(),
        interceptors: config.interceptors.clone(),
        control: access(config.control.enabled, config.control.token.as_ref()),
        metrics: access(config.metrics.enabled, config.metrics.token.as_ref()),
        layers: config.layers.clone(),
        scenarios: config.control.scenarios.clone(),
        trusted_proxies: config.trusted_proxies.clone(),
    })
}

/// What the server is told about its listeners.
pub struct Listeners {
    /// Speak everything: HTTP/1.1, HTTP/2 and gRPC, each with and without TLS.
    pub one_port: Vec<TcpListener>,
    /// The same over TLS alone.
    pub tls_only: Vec<TcpListener>,
    /// `None`: no TLS on either.
    pub tls: Option<TlsAcceptor>,
    /// The certificate of the local authority, to be given to whoever is to trust it.
    pub ca_file: Option<PathBuf>,
    pub workers: Option<usize>,
    pub deadlines: Deadlines,
    pub shutdown_timeout_s: u64,
}

/// The listeners at work: await `server` to run it.
pub struct Listening {
    pub server: actix_server::Server,
    pub stop: Stop,
}

/// Ends what [`listening`] began.
#[derive(Clone)]
pub struct Stop {
    handle: actix_server::ServerHandle,
    stopping: Arc<watch::Sender<bool>>,
    connections: watch::Receiver<usize>,
    timeout: Duration,
}

impl Stop {
    /// Tells connections to finish what is under way and take nothing new: GOAWAY on HTTP/2.
    pub fn say_goodbye(&self) {
        self.stopping.send_replace(true);
    }

    /// Takes no new connections, and ends when the requests under way are answered or their time is over.
    pub async fn gracefully(mut self) {
        self.handle.pause().await;
        self.say_goodbye();
        let _ = tokio::time::timeout(self.timeout, self.connections.wait_for(|open| *open == 0)).await;
        self.at_once().await;
    }

    pub async fn at_once(&self) {
        self.handle.stop(false).await;
    }
}

/// Puts the listeners to work over all routes and gRPC services.
pub fn listening(registry: EnvironmentRegistry, listeners: Listeners) -> std::io::Result<Listening> {
    let (stopping, told) = watch::channel(false);
    let (counter, connections) = watch::channel(0);
    let grpc = Grpc::new(registry.clone());
    let served = registry.clone();
    let kept_pages = web::Data::new(crate::dashboard::KeptPages::default());
    let api_reference = web::Data::new(routes::api_reference());
    let attempts = web::Data::new(crate::dashboard::Attempts::default());
    let ca_file = web::Data::new(authority::CaFile(listeners.ca_file));
    let port = OnePort {
        app: move || {
            ActixApp::new()
                .app_data(web::Data::new(served.clone()))
                .app_data(kept_pages.clone())
                .app_data(attempts.clone())
                .app_data(ca_file.clone())
                .app_data(api_reference.clone())
                .wrap(from_fn(crate::http::guard::known_host))
                .wrap(from_fn(crate::http::guard::no_prefetch))
                .wrap(from_fn(routes::refuse_large_heads))
                .wrap(from_fn(routes::observed))
                .wrap(NormalizePath::new(TrailingSlash::MergeOnly))
                .configure(routes::routes)
        },
        grpc,
        registry,
        tls: listeners.tls,
        tls_only: false,
        deadlines: listeners.deadlines,
        stopping: told,
        open: Arc::new(counter),
        connections: Connections::new(Limits::default(), Arc::new(Uptime::default())),
    };
    // Signals are ours: those who wait for email are told first.
    let mut server =
        actix_server::Server::build().disable_signals().shutdown_timeout(listeners.shutdown_timeout_s);
    if let Some(workers) = listeners.workers {
        server = server.workers(workers);
    }
    for listener in listeners.tls_only {
        let port = OnePort { tls_only: true, ..port.clone() };
        server = server.listen("tls", listener, move || one_port::worker(port.clone()))?;
    }
    for listener in listeners.one_port {
        let port = port.clone();
        server = server.listen("one port", listener, move || one_port::worker(port.clone()))?;
    }
    let server = server.run();
    let timeout = Duration::from_secs(listeners.shutdown_timeout_s);
    let stop = Stop { handle: server.handle(), stopping: Arc::new(stopping), connections, timeout };
    Ok(Listening { server, stop })
}

/// How a server is run.
pub struct RunOptions {
    /// What ends it.
    pub stop: StopRequests,
    /// Is told when the server is ready, instead of a banner for users.
    pub ready: Option<oneshot::Sender<ServerFacts>>,
    /// Can other commands find it by its data folder?
    pub has_state_file: bool,
    /// The configuration that is applied again when its file is saved.
    pub watched: Option<WatchedConfiguration>,
}

/// Runs the server until it is told to stop, then lets requests under way finish. The ready file is there while the server
/// can be used.
pub async fn serve(config: Config, options: RunOptions) -> Result<(), ServeError> {
    let RunOptions { stop: mut signals, ready, has_state_file, watched } = options;
    open_files::raise_limit(&Limits::default());
    let opening = tokio::task::spawn_blocking(move || open_listeners(config));
    let Some(opened) = unless_stopped(&mut signals, opening).await else { return Ok(()) };
    let Opened { config, one_port, tls_only, smtp, tls } = opened.map_err(std::io::Error::other)??;
    let (listen, listen_tls) = (sockets::addresses(&one_port)?, sockets::addresses(&tls_only)?);
    let smtp_listen = sockets::addresses(&smtp)?;
    let this_server = description(&listen);
    let store = tokio::select! {
        opened = open_store_for(&config, Some(&this_server)) => opened?,
        () = signals.next() => return Ok(()),
    };
    if matches!(config.database, Database::Sqlite) {
        state_file::remove_stale(&config.data_dir);
    }
    let registry = EnvironmentRegistry::default();
    let parts = parts(&config, store.store.clone(), Arc::new(SystemClock), Arc::new(SystemEntropy))?;

    let Listening { server, stop } = listening(
        registry.clone(),
        Listeners {
            one_port,
            tls_only,
            tls: Some(tls.acceptor.clone()),
            ca_file: tls.local_ca().map(LocalCa::file),
            workers: config.workers,
            deadlines: Deadlines::default(),
            shutdown_timeout_s: config.shutdown_timeout_s,
        },
    )?;

    let mut smtp_listener = SmtpListener::start(smtp, &registry)?;
    let mut background = JoinSet::new();
    let addresses = Addresses {
        listen,
        listen_tls,
        smtp_listen,
        ca_file: tls.local_ca().map(LocalCa::file),
        ca_bundle_file: tls.local_ca().map(LocalCa::bundle_file),
    };
    let ready_file = config.ready_file.clone().map(ReadyFile::at).map(Arc::new);
    let announcement = Announcement { addresses, ready_file: ready_file.clone(), ready, has_state_file };
    background.spawn(run_provider(parts, registry.clone(), config.clone(), announcement));
    if let Some(watched) = watched {
        let registry = registry.clone();
        background.spawn(async move {
            watched.watch(registry).await;
            Ok(())
        });
    }
    background.spawn(async move {
        // Certificates follow the machine's time, whatever the control API makes of the server's.
        tls.keep_current(Arc::new(SystemClock)).await;
        Ok(())
    });
    // The server ends, and hears that it shall, only while it is polled.
    let mut running = std::pin::pin!(server);
    let outcome = tokio::select! {
        ended = &mut running => ended.map_err(ServeError::Io),
        () = signals.next() => {
            registry.stop_waiting();
            // A connection that arrives while the listener is closed is reset: whoever sends them has to know first.
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(config.shutdown_delay_s)) => {}
                () = signals.next() => {}
            }
            let ending = async {
                tokio::select! {
                    _ = async { tokio::join!(stop.clone().gracefully(), smtp_listener.stop(stop.timeout)) } => {}
                    // Whoever asks again does not want to wait.
                    () = signals.next() => stop.at_once().await,
                }
            };
            let (stopped, ()) = tokio::join!(running, ending);
            stopped.map_err(ServeError::Io)
        }
        failed = first_failure(&mut background) => {
            // Why it failed is worth more than how it ended.
            let _ = tokio::join!(running, stop.at_once());
            Err(failed)
        }
    };
    background.abort_all();
    while background.join_next().await.is_some() {}
    drop(ready_file);
    if let Some(runtime) = registry.get() {
        flows::write(&runtime.server).await;
    }
    store.store.close().await;
    outcome
}

/// What a server has before it serves.
struct Opened {
    /// With the public URLs of the ports that are really bound.
    config: Config,
    one_port: Vec<TcpListener>,
    tls_only: Vec<TcpListener>,
    smtp: Vec<TcpListener>,
    tls: Arc<Tls>,
}

/// Binds the listeners and finds, or makes, their certificate.
fn open_listeners(mut config: Config) -> Result<Opened, ServeError> {
    let one_port = listen(&config.listen)?;
    let tls_only = config.listen_tls.as_ref().map(listen).transpose()?.unwrap_or_default();
    let smtp = config.smtp_listen.as_ref().map(listen).transpose()?.unwrap_or_default();
    let port_of = |listeners: &[TcpListener]| {
        listeners.first().map(TcpListener::local_addr).transpose().map(|address| address.map(|a| a.port()))
    };
    config.settle_public_urls(port_of(&one_port)?.unwrap_or(config.listen.port), port_of(&tls_only)?);
    let tls = Arc::new(Tls::open(&config, SystemClock.now_ms())?);
    Ok(Opened { config, one_port, tls_only, smtp, tls })
}

/// What a task on another thread gives; `None`: the server is told to stop. The task gets a moment to clean up.
async fn unless_stopped<T>(
    signals: &mut StopRequests,
    mut task: JoinHandle<T>,
) -> Option<Result<T, JoinError>> {
    tokio::select! {
        outcome = &mut task => Some(outcome),
        () = signals.next() => {
            let _ = tokio::time::timeout(CALL_OFF_WITHIN, task).await;
            None
        }
    }
}

/// Where the server really is, and what to trust.
struct Addresses {
    listen: Vec<SocketAddr>,
    listen_tls: Vec<SocketAddr>,
    smtp_listen: Vec<SocketAddr>,
    ca_file: Option<PathBuf>,
    ca_bundle_file: Option<PathBuf>,
}

/// Who is told that the server is ready.
struct Announcement {
    addresses: Addresses,
    ready_file: Option<Arc<ReadyFile>>,
    ready: Option<oneshot::Sender<ServerFacts>>,
    has_state_file: bool,
}

impl Announcement {
    async fn make(self, config: &Config) -> Result<Option<StateFile>, ServeError> {
        let facts = banner::facts(config, &self.addresses);
        let state_file = if self.has_state_file { StateFile::write(config, &facts).await } else { None };
        if let Some(file) = &self.ready_file {
            file.write(&facts)?;
        }
        match self.ready {
            // Whoever no longer waits for it stops the server.
            Some(ready) => drop(ready.send(facts)),
            None => banner::print(config, &self.addresses),
        }
        Ok(state_file)
    }
}

/// Waits until a background task fails; those that end well are not missed.
async fn first_failure(background: &mut JoinSet<Result<(), ServeError>>) -> ServeError {
    loop {
        match background.join_next().await {
            Some(Ok(Ok(()))) => {}
            Some(Ok(Err(error))) => return error,
            Some(Err(error)) => return ServeError::Io(std::io::Error::other(error.to_string())),
            None => std::future::pending().await,
        }
    }
}

/// Starts the provider, opens it for requests, tells so, and does what happens without being asked.
async fn run_provider(
    parts: Parts,
    registry: EnvironmentRegistry,
    config: Config,
    announcement: Announcement,
) -> Result<(), ServeError> {
    let started = start_patiently(&parts).await?;
    let runtime = Arc::new(parts.into_runtime(started)?);
    registry.fill(runtime.clone());
    // It goes with this task.
    let _state_file = announcement.make(&config).await?;
    warn_about_master_key(&config);
    warn_about_smtp(&runtime).await;
    let mut tasks = JoinSet::new();
    tasks.spawn(outbox::run(registry.clone()));
    tasks.spawn(backchannel_logout::run(registry.clone()));
    tasks.spawn(webhook_delivery::run(registry.clone()));
    tasks.spawn(housekeeping::reload_keys(registry.clone()));
    tasks.spawn(housekeeping::analyze_new_tables(registry.clone()));
    tasks.spawn(housekeeping::clean_up(registry));
    tasks.spawn(flows::write_always(runtime));
    while tasks.join_next().await.is_some() {}
    std::future::pending().await
}

/// Tries until the database answers; what no waiting can mend fails at once.
async fn start_patiently(parts: &Parts) -> Result<crate::runtime::Started, StartError> {
    let mut pause = FIRST_RETRY;
    loop {
        match parts.start().await {
            Ok(started) => return Ok(started),
            Err(error) if error.is_passing() => {
                tracing::error!(%error, retry_in_ms = pause.as_millis(), "cannot start yet");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_RETRY);
            }
            Err(error) => return Err(error),
        }
    }
}

fn warn_about_master_key(config: &Config) {
    if config.environment.mode == Mode::Production && config.master_key.is_none() {
        tracing::warn!(
            "master_key is not set: whoever gets a copy of the database has the signing keys. Set VESTIBULE_MASTER_KEY; \
             `openssl rand -base64 32` makes one, and keys from before it stay readable"
        );
    }
}

async fn warn_about_smtp(runtime: &EnvironmentRuntime) {
    if let Some(smtp) = &runtime.server.smtp
        && let Err(error) = smtp.check().await
    {
        tracing::error!(%error, "the SMTP server does not accept us; emails wait in the outbox and are tried again");
    }
}
