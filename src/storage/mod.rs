//! The only place with SQL. One text serves SQLite and PostgreSQL through sqlx's `Any` driver: `$1` binds, TEXT,
//! BIGINT and BYTEA columns, no flags, statements as literals.
//!
//! Every change that rests on what was read before is conditional (`… AND version = $n`, `… IS NULL`) and tells
//! by its row count whether it happened: nothing is lost between replicas, on either engine.

mod api_tokens;
mod auth_requests;
mod batch;
mod clients;
mod domains;
mod due_receivers;
mod environment_record;
mod environments;
mod error;
mod events;
mod failed_attempts;
mod faults;
mod flows;
mod grants;
mod housekeeping;
mod interceptors;
mod keys;
mod mail;
mod memberships;
mod migrations;
mod organization_clients;
mod organizations;
mod permissions;
mod pool;
mod portal_links;
mod postgres;
mod pushed_requests;
mod roles;
mod row;
mod session_clients;
mod session_records;
mod sessions;
mod sign_in;
mod sqlite;
mod state;
mod statement;
mod users;
mod webhooks;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{Mutex, watch};

pub use auth_requests::StoredOrigin;
pub use clients::{ClientChanges, ClientRecord, ClientSecretRecord, ClientTimes, SecretTimes};
pub use domains::SeedDomain;
pub use due_receivers::DueReceiver;
pub use environment_record::EnvironmentRecord;
pub use error::StoreError;
pub use events::EventFilter;
pub use failed_attempts::AttemptUpdate;
pub use faults::StoredFault;
pub use flows::{FlowFilter, FlowRow, LoggedStep};
pub use grants::GrantWithSubject;
pub use interceptors::{CallFilter, InterceptorChange, InterceptorRecord};
pub use keys::StoredKey;
pub use mail::{InboxCount, InboxFilter, InboxMessage, NewMail, OutboxMail, Received};
pub use organizations::{ListedOrganization, Members, OrganizationFilter, SeedOrganization};
pub use portal_links::{OpenedPortal, PortalLink};
pub use session_clients::{LogoutNotice, SessionClient};
pub use session_records::SessionFilter;
pub use sessions::{SessionChange, SessionRow};
pub use sign_in::{Completion, Joining, MailQuota, SilentSignIn};
pub use state::{Tables, check_row, has_version, snapshot_tables, table_statements};
pub use users::{ListFilter, Seed, SeedUser, UserFilter, WithUser};
pub use webhooks::{DeliveryFilter, SeedWebhook, WebhookRecord};

use batch::Batch;
use error::is_damaged;
use pool::{Pool, Timeouts, Transaction};
use statement::{Statement, StatementResult, sql};
use writer::Writer;

/// Connections to the embedded database that read, or write what is decided as it goes.
const MAX_EMBEDDED_CONNECTIONS: usize = 4;

/// How long a request waits for a free connection of the embedded database before it is told to come back.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// What has to fit before a disk counts as one with room again: more than a sign-in writes.
const WRITE_CHECK_BYTES: usize = 64 * 1024;

/// How to use a PostgreSQL database.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    pub max_connections: u32,
    /// How long a request waits for a connection, and for each answer.
    pub timeout: Duration,
    /// Where our tables are: a plain name, made where it is missing.
    pub schema: String,
    /// In between is a pooler in transaction mode, which gives every transaction another connection.
    pub is_transaction_pooler: bool,
}

/// The database of one server process.
#[derive(Clone)]
pub struct Store {
    pool: Pool,
    /// `None`: the database takes many writers.
    embedded: Option<Embedded>,
    /// Of PostgreSQL.
    schema: Option<Arc<str>>,
    commits: Arc<AtomicU64>,
    /// A write failed for a reason that others would share, such as a full disk, and none as large as
    /// [`WRITE_CHECK_BYTES`] was made since: a small one may still find room.
    writes_fail: Arc<AtomicBool>,
    /// Changes with every event that this process commits.
    events_written: watch::Sender<u64>,
}

/// What writes to an embedded database, which takes one writer at a time.
#[derive(Clone)]
struct Embedded {
    writer: Writer,
    /// Queueing here is fair and quick; SQLite's busy handler sleeps and guesses.
    write_lock: Arc<Mutex<()>>,
}

impl Store {
    /// Opens (and makes, when missing) an SQLite database file.
    pub async fn open_sqlite(path: &Path) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let (options, connection) = sqlite::open(path).await?;
        let write_lock = Arc::new(Mutex::new(()));
        let writer = Writer::start(connection, options.clone(), write_lock.clone());
        let pool = Pool::embedded(options, MAX_EMBEDDED_CONNECTIONS, ACQUIRE_TIMEOUT)?;
        let embedded = Some(Embedded { writer, write_lock });
        Ok(Self::new(pool, embedded, None))
    }

    /// Uses a PostgreSQL database. Connections are made when first needed, so that a server can start before
    /// its database; [`Store::ping`] tells whether it is there.
    pub fn open_postgres(url: &str, options: PostgresOptions) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let timeouts = Timeouts { answer: options.timeout, ping: options.timeout / 4 };
        let postgres::Opened { options: connect, begin } = postgres::open(url, &options)?;
        let max_connections = options.max_connections as usize;
        let pool = Pool::of_server(connect, max_connections, timeouts, begin, options.is_transaction_pooler)?;
        let schema = Some(options.schema.into());
        Ok(Self::new(pool, None, schema))
    }

    fn new(pool: Pool, embedded: Option<Embedded>, schema: Option<Arc<str>>) -> Self {
        Self {
            pool,
            embedded,
            schema,
            commits: Arc::default(),
            writes_fail: Arc::default(),
            events_written: watch::Sender::default(),
        }
    }

    /// Changes with every event that this process commits; those who wait for one watch it.
    pub fn events_written(&self) -> watch::Receiver<u64> {
        self.events_written.subscribe()
    }

    /// Wakes those who wait for events: there is one, or they shall wait no longer.
    pub fn wake_event_waiters(&self) {
        self.events_written.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Brings the schema up to date. Replicas that start together take turns.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        if let Some(embedded) = &self.embedded {
            let _held = embedded.write_lock.lock().await;
            return migrations::run_on_sqlite(self.pool.options()).await;
        }
        let schema = self.schema.clone().unwrap_or_default();
        migrations::run_on_postgres(&self.pool, schema).await
    }

    /// Is the database there? Answers within the given time.
    pub async fn ping(&self, within: Duration) -> Result<(), StoreError> {
        match tokio::time::timeout(within, self.pool.ping()).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(StoreError::no_answer()),
        }
    }

    /// Can changes be written? Tried only where one could not be, so that asking costs nothing else.
    pub async fn check_writes(&self, within: Duration) -> Result<(), StoreError> {
        if !self.writes_fail.load(Ordering::Relaxed) {
            return Ok(());
        }
        let tried = async {
            for filling in [vec![0; WRITE_CHECK_BYTES], vec![]] {
                let check = sql("INSERT INTO write_checks (id, filling) VALUES (1, $1) \
                     ON CONFLICT (id) DO UPDATE SET filling = excluded.filling");
                self.execute(check.bind(filling)).await?;
            }
            self.writes_fail.store(false, Ordering::Relaxed);
            Ok(())
        };
        tokio::time::timeout(within, tried).await.unwrap_or_else(|_| Err(StoreError::no_answer()))
    }

    /// True for the embedded engine, which one process has to itself.
    pub fn is_embedded(&self) -> bool {
        self.embedded.is_some()
    }

    /// How many connections to the database there are, and how many of them have nothing to do.
    pub fn connections(&self) -> (usize, usize) {
        self.pool.sizes()
    }

    /// Closes connections that nobody used for minutes.
    pub async fn close_idle_connections(&self) {
        self.pool.close_idle().await;
    }

    /// Closes every connection after the statements under way.
    pub async fn close(&self) {
        if let Some(embedded) = &self.embedded {
            embedded.writer.stop().await;
        }
        self.pool.close().await;
    }

    /// How many writing transactions this process began: what a sign-in costs is counted with it.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Begins a transaction that writes what is decided as it goes.
    async fn begin_write(&self) -> Result<Transaction, StoreError> {
        self.commits.fetch_add(1, Ordering::Relaxed);
        Ok(match &self.embedded {
            Some(embedded) => {
                let lock = embedded.write_lock.clone().lock_owned().await;
                self.pool.begin_with("BEGIN IMMEDIATE", Some(lock)).await?
            }
            None => self.pool.begin().await?,
        })
    }

    /// Runs one writing statement and tells how many rows it touched.
    async fn execute(&self, statement: Statement) -> Result<u64, StoreError> {
        Ok(self.write(statement).await?.rows_affected)
    }

    /// Runs one writing statement.
    async fn write(&self, statement: Statement) -> Result<StatementResult, StoreError> {
        let mut batch = Batch::default();
        batch.write(statement);
        Ok(self.commit(batch).await?.and_then(|mut results| results.pop()).unwrap_or_default())
    }

    /// Writes what belongs together. `None`, and nothing written, when a statement that had to touch a row did not.
    async fn commit(&self, batch: Batch) -> Result<Option<Vec<StatementResult>>, StoreError> {
        self.commits.fetch_add(1, Ordering::Relaxed);
        let has_events = batch.has_events;
        let outcome = match &self.embedded {
            Some(embedded) => embedded.writer.write(batch).await,
            None => self.pool.write(batch).await,
        };
        let outcome = outcome.map_err(StoreError::from);
        if matches!(outcome, Err(StoreError::Unavailable(_) | StoreError::Damaged(_))) {
            self.writes_fail.store(true, Ordering::Relaxed);
        }
        if has_events && matches!(outcome, Ok(Some(_))) {
            self.wake_event_waiters();
        }
        outcome
    }

    /// Writes that need not stand or fall together, and of which no two touch the same row.
    async fn write_all(&self, statements: Vec<Statement>) -> Result<(), StoreError> {
        let batches = batch::batches_of_alike(statements);
        if self.is_embedded() {
            // They share a commit, but for what others have to write meanwhile.
            let outcomes = join_all(batches.into_iter().map(|batch| self.commit(batch))).await;
            return outcomes.into_iter().try_for_each(|outcome| outcome.map(|_| ()));
        }
        for batch in batches {
            self.commit(batch).await?;
        }
        Ok(())
    }
}

fn to_json(authorization: &crate::domain::authorization::AuthorizationRequest) -> Result<String, StoreError> {
    serde_json::to_string(authorization).map_err(|_| StoreError::Unreadable("authorization request"))
}

/// A LIKE pattern, with `~` as its escape, for texts that contain this one in lower case.
fn like_pattern(part: &str) -> String {
    let escaped = part.to_lowercase().replace('~', "~~").replace('%', "~%").replace('_', "~_");
    format!("%{escaped}%")
}

/// The same for keys of addresses, which contain an international domain in ASCII.
fn like_key_pattern(part: &str) -> String {
    like_pattern(&crate::domain::email::key_pattern(part))
}
