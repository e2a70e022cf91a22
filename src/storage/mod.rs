//! The only place with SQL. One text serves SQLite and PostgreSQL through sqlx's `Any` driver: `$1` binds, TEXT,
//! BIGINT and BYTEA columns, no flags, statements as literals.
//!
//! Every change that rests on what was read before is conditional (`… AND version = $n`, `… IS NULL`) and tells
//! by its row count whether it happened: nothing is lost between replicas, on either engine.

mod auth_requests;
mod environments;
mod failed_attempts;
mod faults;
mod flows;
mod grants;
mod housekeeping;
mod keys;
mod mail;
mod people;
mod sessions;
mod sign_in;
mod state;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyConnection, AnyPool, Connection as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use auth_requests::StoredOrigin;
pub use environments::EnvironmentRecord;
pub use failed_attempts::Counted;
pub use faults::StoredFault;
pub use flows::{FlowFilter, FlowRow, LoggedStep};
pub use keys::StoredKey;
pub use mail::{InboxFilter, InboxMessage, NewMail, OutboxMail};
pub use people::{
    ListedOrganization, ListedUser, OrganizationFields, PeopleFilter, SeedOrganization, SeedUser,
};
pub use sessions::SessionRow;
pub use sign_in::{Budget, Completion, SessionChange};
pub use state::{BadRow, Tables, check_tables, table_statements};

/// How long a request waits for a free connection before it is told to come back.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a migration of a shared SQLite file is looked at again.
const MIGRATION_RETRIES: usize = 5;

/// What went wrong between us and the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Connection refused, pool exhausted, file locked: worth trying again.
    #[error("the database does not answer: {0}")]
    Unavailable(#[source] sqlx::Error),
    #[error("a record with this key exists already: {0}")]
    Exists(#[source] sqlx::Error),
    #[error("the database refused a statement: {0}")]
    Failed(#[source] sqlx::Error),
    #[error("migrations failed: {0}")]
    Migration(#[source] sqlx::migrate::MigrateError),
    /// A row that this version of the program cannot read.
    #[error("a stored {0} cannot be read")]
    Unreadable(&'static str),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error),
            sqlx::Error::Database(db) if db.is_unique_violation() => Self::Exists(error),
            sqlx::Error::Database(db) if is_passing(db.code().as_deref()) => Self::Unavailable(error),
            _ => Self::Failed(error),
        }
    }
}

impl From<sqlx::migrate::MigrateError> for StoreError {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        use sqlx::migrate::MigrateError;
        match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
            other => Self::Migration(other),
        }
    }
}

/// SQLite BUSY and LOCKED (with their extended codes), disk full; PostgreSQL classes 08 connection, 53 resources,
/// 57P shutdown.
fn is_passing(code: Option<&str>) -> bool {
    let Some(code) = code else { return false };
    matches!(code, "5" | "6" | "13" | "261" | "262" | "517" | "773")
        || code.starts_with("08")
        || code.starts_with("53")
        || code.starts_with("57P")
}

/// The database of one server process.
#[derive(Clone)]
pub struct Store {
    pool: AnyPool,
    /// SQLite has one writer. Queueing here is fair and quick; its own busy handler sleeps and guesses.
    write_gate: Option<Arc<Semaphore>>,
    commits: Arc<AtomicU64>,
}

/// The right to write, held until the write is done.
struct WriteTurn(#[expect(dead_code, reason = "held for its drop")] Option<OwnedSemaphorePermit>);

impl Store {
    /// Opens (and makes, when missing) an SQLite database file.
    pub async fn open_sqlite(path: &Path) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let url = format!("sqlite://{}?mode=rwc", path.display());
        let pool = AnyPoolOptions::new()
            .max_connections(4)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .after_connect(|connection, _| Box::pin(prepare_sqlite(connection)))
            .connect(&url)
            .await?;
        Ok(Self { pool, write_gate: Some(Arc::new(Semaphore::new(1))), commits: Arc::default() })
    }

    /// Uses a PostgreSQL database. Connections are made when first needed, so that a server can start before
    /// its database; [`Store::ping`] tells whether it is there.
    pub fn open_postgres(url: &str, max_connections: u32) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let options: AnyConnectOptions = url.parse()?;
        let pool = AnyPoolOptions::new()
            .max_connections(max_connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_lazy_with(options);
        Ok(Self { pool, write_gate: None, commits: Arc::default() })
    }

    /// Brings the schema up to date. Replicas that start together take turns: sqlx holds an advisory lock on
    /// PostgreSQL. On SQLite it holds none, so whoever loses to another process looks again at what is done.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let _turn = self.write_turn().await;
        let mut outcome = sqlx::migrate!().run(&self.pool).await;
        for _ in 0..MIGRATION_RETRIES {
            if outcome.is_ok() || !self.is_embedded() {
                break;
            }
            outcome = sqlx::migrate!().run(&self.pool).await;
        }
        Ok(outcome?)
    }

    /// Is the database there? Answers within the given time.
    pub async fn ping(&self, within: Duration) -> Result<(), StoreError> {
        let asked = async {
            let mut connection = self.pool.acquire().await?;
            connection.ping().await
        };
        match tokio::time::timeout(within, asked).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(StoreError::Unavailable(sqlx::Error::PoolTimedOut)),
        }
    }

    /// True for the embedded engine, which one process has to itself.
    pub fn is_embedded(&self) -> bool {
        self.write_gate.is_some()
    }

    /// Closes every connection after the statements under way.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// How many writing transactions this process began: what a sign-in costs is counted with it.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    async fn write_turn(&self) -> WriteTurn {
        self.commits.fetch_add(1, Ordering::Relaxed);
        match &self.write_gate {
            // The semaphore is never closed.
            Some(gate) => WriteTurn(gate.clone().acquire_owned().await.ok()),
            None => WriteTurn(None),
        }
    }

    /// Runs one writing statement and tells how many rows it touched.
    async fn execute<'q>(
        &self,
        query: sqlx::query::Query<'q, sqlx::Any, sqlx::any::AnyArguments>,
    ) -> Result<u64, StoreError> {
        let _turn = self.write_turn().await;
        Ok(query.execute(&self.pool).await?.rows_affected())
    }
}

/// Durability as the WAL gives it: a crash of the process loses nothing, a power cut at most the last commits.
async fn prepare_sqlite(connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON; \
         PRAGMA busy_timeout = 5000; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -2000;",
    )
    .execute(connection)
    .await?;
    Ok(())
}

fn to_json(authorization: &crate::domain::authorization::AuthorizationRequest) -> Result<String, StoreError> {
    serde_json::to_string(authorization).map_err(|_| StoreError::Unreadable("authorization request"))
}

/// A LIKE pattern, with `~` as its escape, for texts that contain this one in lower case.
fn like_pattern(part: &str) -> String {
    let escaped = part.to_lowercase().replace('~', "~~").replace('%', "~%").replace('_', "~_");
    format!("%{escaped}%")
}
