//! The harness: a server on a free port with a clock that stands still, and users who use it.

pub mod frame;
pub mod frames;
pub mod grpc;
mod keys;
pub mod person;
pub mod postgres;
pub mod receiver;
pub mod skips;
pub mod statements;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;

use vestibule::config::{Config, Source};
use vestibule::crypto::entropy::SystemEntropy;
use vestibule::domain::clock::{Clock, FrozenClock, SystemClock};
use vestibule::runtime::{EnvironmentRegistry, EnvironmentRuntime};
use vestibule::server::{Deadlines, Listeners, Listening, LocalCa, Stop, Tls, listening};
use vestibule::storage::{PostgresOptions, Store};

pub const CLIENT_ID: &str = vestibule::config::DEFAULT_CLIENT_ID;
pub const CLIENT_SECRET: &str = vestibule::config::DEFAULT_CLIENT_SECRET;
pub const CALLBACK: &str = "http://localhost:3000/auth/callback";

/// Where our tables are in a PostgreSQL database, when nothing else is said.
pub const SCHEMA: &str = "vestibule";

/// The databases every rule is tested on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// A database of one test.
pub struct Database {
    pub engine: Engine,
    url: String,
    _folder: Option<tempfile::TempDir>,
}

impl Database {
    /// `None`: there is no PostgreSQL, and the test is noted as skipped.
    pub async fn fresh(engine: Engine) -> Option<Self> {
        match engine {
            Engine::Postgres => {
                let url = postgres::fresh_database().await?;
                Some(Self { engine, url, _folder: None })
            }
            Engine::Sqlite => {
                let folder = tempfile::tempdir().unwrap();
                let url = folder.path().join("vestibule.db").to_string_lossy().into_owned();
                Some(Self { engine, url, _folder: Some(folder) })
            }
        }
    }

    /// What sqlx connects to, and finds our tables at.
    pub fn connect_url(&self) -> String {
        match self.engine {
            Engine::Postgres => postgres::in_schema(&self.url, SCHEMA),
            Engine::Sqlite => format!("sqlite://{}", self.url),
        }
    }

    /// What an application that uses the same database connects to.
    pub fn application_url(&self) -> &str {
        &self.url
    }

    pub async fn open(&self) -> Store {
        self.open_schema(SCHEMA).await
    }

    pub async fn open_schema(&self, schema: &str) -> Store {
        match self.engine {
            Engine::Postgres => {
                let timeout = std::time::Duration::from_secs(5);
                let options = PostgresOptions {
                    max_connections: 8,
                    timeout,
                    schema: schema.to_owned(),
                    is_transaction_pooler: false,
                };
                Store::open_postgres(&self.url, options).unwrap()
            }
            Engine::Sqlite => Store::open_sqlite(Path::new(&self.url)).await.unwrap(),
        }
    }
}

/// A running server.
pub struct TestServer {
    pub url: String,
    pub clock: Arc<FrozenClock>,
    pub app: Arc<EnvironmentRuntime>,
    pub provider: EnvironmentRegistry,
    pub database: Arc<Database>,
    /// The same server by TLS.
    pub https_url: String,
    /// Certificate of the authority to trust there.
    pub ca_file: PathBuf,
    _data: tempfile::TempDir,
    pub stop: Stop,
}

impl Drop for TestServer {
    fn drop(&mut self) {
        // Asking is enough; nobody waits.
        let _ = futures_util::FutureExt::now_or_never(self.stop.at_once());
    }
}

/// The configuration that a `vestibule.toml` of this text gives.
pub fn configuration(toml: &str) -> Config {
    let mut source = Source::default();
    source.add_file(Path::new("vestibule.toml"), toml);
    Config::read(source, Path::new(".")).unwrap_or_else(|problems| panic!("{problems}"))
}

impl TestServer {
    /// A server on SQLite with nothing configured.
    pub async fn start() -> Self {
        Self::with("").await
    }

    /// A server on SQLite with this `vestibule.toml`.
    pub async fn with(toml: &str) -> Self {
        Self::on(Engine::Sqlite, toml).await.unwrap()
    }

    /// A server on the given engine.
    pub async fn on(engine: Engine, toml: &str) -> Option<Self> {
        let database = Arc::new(Database::fresh(engine).await?);
        let clock = Arc::new(FrozenClock::at(SystemClock.now_ms()));
        Some(Self::replica(database, clock, toml, Deadlines::default()).await)
    }

    /// A server on SQLite that waits no longer than this for anybody.
    pub async fn with_deadlines(deadlines: Deadlines) -> Self {
        let database = Arc::new(Database::fresh(Engine::Sqlite).await.unwrap());
        let clock = Arc::new(FrozenClock::at(SystemClock.now_ms()));
        Self::replica(database, clock, "", deadlines).await
    }

    /// Another server on the same database and clock.
    pub async fn beside(&self, toml: &str) -> Self {
        Self::replica(self.database.clone(), self.clock.clone(), toml, Deadlines::default()).await
    }

    async fn replica(
        database: Arc<Database>,
        clock: Arc<FrozenClock>,
        toml: &str,
        deadlines: Deadlines,
    ) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut config = configuration(toml);
        config.data_dir = data.path().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        config.settle_public_urls(port, None);
        let tls = Tls::open(&config, SystemClock.now_ms()).unwrap();
        let ca_file = tls.local_ca().map(LocalCa::file).unwrap_or_default();
        let (tell, told) = mpsc::channel();
        let (db, its_clock) = (database.clone(), clock.clone());
        // The server lives on a thread of its own, as it would in a process of its own.
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let store = db.open().await;
                keys::give_key(&store, &config, its_clock.now_ms()).await;
                let parts =
                    vestibule::server::parts(&config, store, its_clock, Arc::new(SystemEntropy)).unwrap();
                let started = parts.start().await.unwrap();
                let app = Arc::new(parts.into_runtime(started).unwrap());
                let provider = EnvironmentRegistry::default();
                provider.fill(app.clone());
                let listeners = Listeners {
                    one_port: vec![listener],
                    tls_only: vec![],
                    tls: Some(tls.acceptor.clone()),
                    ca_file: tls.local_ca().map(LocalCa::file),
                    workers: Some(2),
                    deadlines,
                    shutdown_timeout_s: 1,
                };
                let Listening { server, stop } = listening(provider.clone(), listeners).unwrap();
                tokio::spawn(vestibule::service::outbox::run(provider.clone()));
                tokio::spawn(vestibule::service::backchannel_logout::run(provider.clone()));
                tokio::spawn(vestibule::service::webhook_delivery::run(provider.clone()));
                tell.send((app, provider, stop)).unwrap();
                server.await.unwrap();
            });
        });
        let (app, provider, stop) = tokio::task::spawn_blocking(move || told.recv().unwrap()).await.unwrap();
        let (url, https_url) = (format!("http://localhost:{port}"), format!("https://localhost:{port}"));
        Self { url, https_url, ca_file, _data: data, clock, app, provider, database, stop }
    }

    /// Moves the clock on.
    pub fn advance_s(&self, seconds: i64) {
        self.clock.advance_ms(seconds * 1000);
    }
}
