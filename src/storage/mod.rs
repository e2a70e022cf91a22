//! The only place with SQL. One text serves SQLite and PostgreSQL through sqlx's `Any` driver: `$1` binds, TEXT,
//! BIGINT and BYTEA columns, no flags, statements as literals.
//!
//! Every change that rests on what was read before is conditional (`… AND version = $n`, `… IS NULL`) and tells
//! by its row count whether it happened: nothing is lost between replicas, on either engine.

mod auth_requests;
mod checkpoints;
mod environments;
mod failed_attempts;
mod faults;
mod flows;
mod grants;
mod housekeeping;
mod keys;
mod mail;
mod organizations;
mod pool;
mod pushed_requests;
mod session_clients;
mod sessions;
mod sign_in;
mod sqlite;
mod state;
mod users;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::error::DatabaseError;
use sqlx::{AnyConnection, Connection as _};

pub use auth_requests::StoredOrigin;
pub use environments::EnvironmentRecord;
pub use failed_attempts::Counted;
pub use faults::StoredFault;
pub use flows::{FlowFilter, FlowRow, LoggedStep};
pub use grants::GrantStanding;
pub use keys::StoredKey;
pub use mail::{InboxFilter, InboxMessage, NewMail, OutboxMail};
pub use organizations::{ListedOrganization, SeedOrganization};
pub use session_clients::{LogoutNotice, SessionClient};
pub use sessions::SessionRow;
pub use sign_in::{Budget, Completion, SessionChange};
pub use state::{BadRow, Tables, check_tables, table_statements};
pub use users::{ListedUser, PeopleFilter, SeedUser};

use checkpoints::{Gate, Turn};
use pool::{Connection, Patience, Pool};
use sqlite::Readers;
use writer::{Batch, Done, Write, Writer};

/// How long a request waits for a free connection of the embedded database before it is told to come back.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// To the embedded database, for whoever decides as they go and whatever takes long to read.
const SQLITE_CONNECTIONS: u32 = 3;

/// How long all migrations together may take.
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(600);

/// Who migrates a PostgreSQL database holds this lock until the end of the transaction.
const MIGRATION_LOCK: &str = "DO $$ BEGIN PERFORM pg_advisory_xact_lock(8530219943614870892); END $$";

/// What has to fit before a disk counts as one with room again: more than a sign-in writes.
const WRITE_CHECK_BYTES: usize = 64 * 1024;

/// How often a migration of a shared SQLite file is looked at again, beside once for each that somebody else did.
const MIGRATION_RETRIES: usize = 5;

/// What went wrong between us and the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Connection refused, pool exhausted, file locked, disk full: worth trying again.
    #[error("the database cannot be used right now: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// Wrong password, unknown role or database, missing rights.
    #[error(
        "the database refuses us: {0}. Check the user, the password and the name of the database in database.url (DATABASE_URL)"
    )]
    NoAccess(#[source] sqlx::Error),
    #[error("database.url (DATABASE_URL) cannot be used: {0}")]
    BadUrl(#[source] sqlx::Error),
    #[error("cannot open the database file {}: {source}", path.display())]
    CannotOpen { path: PathBuf, source: sqlx::Error },
    #[error(
        "the database file {} is damaged: {source}. Stop every server that uses it and put a backup in its place, or move it away, with the -wal and -shm files beside it, and a new one is made",
        path.display()
    )]
    DamagedFile { path: PathBuf, source: sqlx::Error },
    /// Noticed while it was used.
    #[error("the database file is damaged: {0}. Stop the server and put a backup in its place")]
    Damaged(#[source] sqlx::Error),
    #[error(
        "the database holds tables of another program: {0}. Give Vestibule a database of its own in database.url (DATABASE_URL) or data_dir"
    )]
    ForeignTables(#[source] sqlx::Error),
    #[error(
        "the database was made by a newer version of Vestibule: its migration {0} is not known here. Run that version, or use another database"
    )]
    Newer(i64),
    #[error(
        "the database was made by another version of Vestibule: its migration {0} is not the one of this version. Run that version, or use another database"
    )]
    OtherVersion(i64),
    #[error("a record with this key exists already: {0}")]
    Exists(#[source] sqlx::Error),
    /// What a new record belongs to was deleted meanwhile: its environment, user or session.
    #[error("a record that another one belongs to does not exist: {0}")]
    MissingParent(#[source] sqlx::Error),
    /// A text with a NUL: PostgreSQL keeps none.
    #[error("a text cannot be stored: {0}")]
    NotText(#[source] sqlx::Error),
    #[error("the database refused a statement: {0}")]
    Failed(#[source] sqlx::Error),
    #[error("migrations failed: {0}")]
    Migration(#[source] sqlx::migrate::MigrateError),
    /// A row that this version of the program cannot read.
    #[error("a stored {0} cannot be read")]
    Unreadable(&'static str),
}

impl StoreError {
    /// The database did not answer in time.
    pub fn no_answer() -> Self {
        Self::Unavailable(sqlx::Error::PoolTimedOut)
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::Protocol(_)
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error),
            sqlx::Error::Configuration(_) => Self::BadUrl(error),
            sqlx::Error::Database(db) if db.is_unique_violation() => Self::Exists(error),
            sqlx::Error::Database(db) if db.is_foreign_key_violation() => Self::MissingParent(error),
            sqlx::Error::Database(db) if is_refused(db.code().as_deref()) => Self::NoAccess(error),
            sqlx::Error::Database(db) if is_damaged(db.code().as_deref()) => Self::Damaged(error),
            sqlx::Error::Database(db) if is_passing(db.code().as_deref()) => Self::Unavailable(error),
            // character_not_in_repertoire
            sqlx::Error::Database(db) if db.code().as_deref() == Some("22021") => Self::NotText(error),
            _ => Self::Failed(error),
        }
    }
}

impl From<sqlx::migrate::MigrateError> for StoreError {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        use sqlx::migrate::MigrateError;
        match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => match &error {
                sqlx::Error::Database(db) if is_taken(&**db) => Self::ForeignTables(error),
                _ => error.into(),
            },
            MigrateError::VersionMissing(version) => Self::Newer(version),
            MigrateError::VersionMismatch(version) => Self::OtherVersion(version),
            other => Self::Migration(other),
        }
    }
}

/// PostgreSQL: invalid_authorization_specification, invalid_password, invalid_catalog_name, insufficient_privilege.
fn is_refused(code: Option<&str>) -> bool {
    matches!(code, Some("28000" | "28P01" | "3D000" | "42501"))
}

/// SQLite CORRUPT and NOTADB, with their extended codes. PostgreSQL's codes have five characters.
fn is_damaged(code: Option<&str>) -> bool {
    let code = code.filter(|code| code.len() != 5).and_then(|code| code.parse::<u32>().ok());
    code.is_some_and(|code| matches!(code & 0xff, 11 | 26))
}

/// Is there a table or an index of this name? PostgreSQL has a code for it, duplicate_table; SQLite has words.
fn is_taken(error: &dyn DatabaseError) -> bool {
    error.code().as_deref() == Some("42P07") || error.message().ends_with("already exists")
}

/// SQLite BUSY, LOCKED, READONLY, IOERR, FULL and CANTOPEN with their extended codes, whose low byte they are. PostgreSQL classes
/// 08 connection, 40 rollback, 53 resources, 57 intervention, lock not available, and read-only as after a failover.
fn is_passing(code: Option<&str>) -> bool {
    let Some(code) = code else { return false };
    match code.len() {
        5 => {
            ["08", "40", "53", "57"].iter().any(|c| code.starts_with(c)) || matches!(code, "55P03" | "25006")
        }
        _ => code.parse().is_ok_and(|code: u32| matches!(code & 0xff, 5 | 6 | 8 | 10 | 13 | 14)),
    }
}

/// How to use a PostgreSQL database.
#[derive(Debug, Clone, Copy)]
pub struct PostgresOptions {
    pub max_connections: u32,
    /// How long a request waits for a connection, and for each answer.
    pub timeout: Duration,
    /// In between is a pooler in transaction mode, which gives every transaction another connection.
    pub is_transaction_pooler: bool,
}

impl PostgresOptions {
    /// How long an idle connection may take to prove that it lives, before another is made.
    fn ping_timeout(self) -> Duration {
        self.timeout / 4
    }
}

/// The database of one server process.
#[derive(Clone)]
pub struct Store {
    pool: Pool,
    /// `None`: the database takes many writers.
    gate: Option<Gate>,
    /// `None`, likewise.
    writer: Option<Writer>,
    commits: Arc<AtomicU64>,
    /// A write failed for a reason that others would share, such as a full disk, and none as large as
    /// [`WRITE_CHECK_BYTES`] was made since: a small one may still find room.
    writes_fail: Arc<AtomicBool>,
}

/// The right to write, held until the write is done.
struct WriteTurn(#[expect(dead_code, reason = "held for its drop")] Option<Turn>);

impl Store {
    /// Opens (and makes, when missing) an SQLite database file.
    pub async fn open_sqlite(path: &Path) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let file = path.to_owned();
        // sqlx tries again until its time is over, and then says that and not what is wrong.
        tokio::task::spawn_blocking(move || check_file(&file))
            .await
            .map_err(std::io::Error::other)
            .map_err(sqlx::Error::Io)??;
        let url = format!("sqlite://{}?mode=rwc", path.display());
        let pool = AnyPoolOptions::new()
            .max_connections(SQLITE_CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            // It is in this process: asking whether it is there takes as long as asking for what is wanted.
            .test_before_acquire(false)
            .after_connect(|connection, _| Box::pin(prepare_sqlite(connection)))
            .connect(&url)
            .await?;
        let readers = Some(Arc::new(Readers::new(path)));
        let pool = Pool { inner: pool, readers, patience: None, through_pooler: false };
        let gate = Gate::open(path).map_err(sqlx::Error::Io)?;
        let writer = Writer::begin(path, gate.clone()).map_err(sqlx::Error::Io)?;
        Ok(Self {
            pool,
            gate: Some(gate),
            writer: Some(writer),
            commits: Arc::default(),
            writes_fail: Arc::default(),
        })
    }

    /// Uses a PostgreSQL database. Connections are made when first needed, so that a server can start before
    /// its database; [`Store::ping`] tells whether it is there.
    pub fn open_postgres(url: &str, options: PostgresOptions) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let connect: AnyConnectOptions = url.parse()?;
        let pool = AnyPoolOptions::new()
            .max_connections(options.max_connections)
            .acquire_timeout(options.timeout)
            // sqlx's own test waits as long as there is time to acquire a connection, which leaves none for a new one.
            .test_before_acquire(false)
            .before_acquire(move |connection, _| {
                Box::pin(async move {
                    let answered = tokio::time::timeout(options.ping_timeout(), connection.ping()).await;
                    Ok(matches!(answered, Ok(Ok(()))))
                })
            })
            .connect_lazy_with(connect);
        let pool = Pool {
            inner: pool,
            readers: None,
            patience: Some(Patience { answer: options.timeout, ping: options.ping_timeout() }),
            through_pooler: options.is_transaction_pooler,
        };
        Ok(Self { pool, gate: None, writer: None, commits: Arc::default(), writes_fail: Arc::default() })
    }

    /// Brings the schema up to date. Replicas that start together take turns.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let _turn = self.write_turn().await;
        match tokio::time::timeout(MIGRATION_TIMEOUT, self.migrate_patiently()).await {
            Ok(outcome) => outcome,
            Err(_) => Err(StoreError::no_answer()),
        }
    }

    async fn migrate_patiently(&self) -> Result<(), StoreError> {
        if !self.is_embedded() {
            return self.migrate_postgres().await;
        }
        let migrator = sqlx::migrate!();
        let mut outcome = migrator.run(&self.pool.inner).await;
        // There is no lock: whoever loses to another process, at any of them, looks again at what is done.
        for _ in 0..migrator.iter().count() + MIGRATION_RETRIES {
            if outcome.is_ok() {
                break;
            }
            outcome = migrator.run(&self.pool.inner).await;
        }
        Ok(outcome?)
    }

    /// All in one transaction that holds the lock: a lock of the session, which sqlx would take, stays behind on a
    /// connection of a pooler, and so do statements by name.
    async fn migrate_postgres(&self) -> Result<(), StoreError> {
        let mut connection = self.pool.inner.acquire().await?.detach();
        let mut tx = connection.begin().await?;
        if self.pool.through_pooler {
            sqlx::raw_sql("DEALLOCATE ALL").execute(&mut *tx).await?;
        }
        sqlx::raw_sql(MIGRATION_LOCK).execute(&mut *tx).await?;
        sqlx::migrate!().set_locking(false).run_direct(None, &mut *tx, false).await?;
        if self.pool.through_pooler {
            sqlx::raw_sql("DEALLOCATE ALL").execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(connection.close().await?)
    }

    /// Is the database there? Answers within the given time.
    pub async fn ping(&self, within: Duration) -> Result<(), StoreError> {
        let asked = async {
            let mut connection = self.pool.acquire().await?;
            connection.ping().await
        };
        match tokio::time::timeout(within, asked).await {
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
                let query = sqlx::query(
                    "INSERT INTO write_checks (id, filling) VALUES (1, $1) \
                     ON CONFLICT (id) DO UPDATE SET filling = excluded.filling",
                );
                self.execute(query.bind(filling)).await?;
            }
            self.writes_fail.store(false, Ordering::Relaxed);
            Ok(())
        };
        tokio::time::timeout(within, tried).await.unwrap_or_else(|_| Err(StoreError::no_answer()))
    }

    /// True for the embedded engine, which one process has to itself.
    pub fn is_embedded(&self) -> bool {
        self.gate.is_some()
    }

    /// How many connections to the database there are, and how many of them have nothing to do.
    pub fn connections(&self) -> (usize, usize) {
        (usize::try_from(self.pool.inner.size()).unwrap_or(usize::MAX), self.pool.inner.num_idle())
    }

    /// Closes every connection after the statements under way.
    pub async fn close(&self) {
        if let Some(writer) = &self.writer {
            writer.stop().await;
        }
        if let Some(readers) = &self.pool.readers {
            readers.close();
        }
        self.pool.inner.close().await;
    }

    /// How many writing transactions this process began: what a sign-in costs is counted with it.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    async fn write_turn(&self) -> WriteTurn {
        self.commits.fetch_add(1, Ordering::Relaxed);
        match &self.gate {
            Some(gate) => WriteTurn(Some(gate.turn().await)),
            None => WriteTurn(None),
        }
    }

    /// Runs one writing statement and tells how many rows it touched.
    async fn execute(&self, query: Write<'_>) -> Result<u64, StoreError> {
        let mut batch = Batch::default();
        batch.write(query)?;
        let done = self.commit(batch).await?;
        Ok(done.and_then(|done| Some(done.first()?.touched)).unwrap_or_default())
    }

    /// Writes what belongs together. `None`, and nothing written, when a claim was lost.
    async fn commit(&self, batch: Batch) -> Result<Option<Vec<Done>>, StoreError> {
        self.commits.fetch_add(1, Ordering::Relaxed);
        let outcome = match &self.writer {
            Some(writer) => writer.write(batch).await,
            None => writer::in_transaction(&self.pool, batch).await,
        };
        let outcome = outcome.map_err(StoreError::from);
        if matches!(outcome, Err(StoreError::Unavailable(_) | StoreError::Damaged(_))) {
            self.writes_fail.store(true, Ordering::Relaxed);
        }
        outcome
    }

    /// Writes that need not stand or fall together, as many at once as is good.
    async fn write_all(&self, queries: Vec<Write<'static>>) -> Result<(), StoreError> {
        // Of the embedded database, which has one writer, others want their turn too.
        let most = if self.is_embedded() { 16 } else { usize::MAX };
        let mut queries = queries.into_iter().peekable();
        let mut batches = vec![];
        while queries.peek().is_some() {
            let mut batch = Batch::default();
            queries.by_ref().take(most).try_for_each(|query| batch.write(query))?;
            batches.push(batch);
        }
        join_all(batches.into_iter().map(|batch| self.commit(batch)))
            .await
            .into_iter()
            .try_for_each(|o| o.map(|_| ()))
    }
}

/// Can the file be opened by us alone, and is it a database?
fn check_file(path: &Path) -> Result<(), StoreError> {
    let opened = sqlite::keep_private(path)
        .map_err(sqlx::Error::Io)
        .and_then(|()| sqlite::Connection::open(path))
        .and_then(|mut connection| connection.run("PRAGMA table_list", &[]));
    let path = path.to_owned();
    match opened {
        Ok(_) => Ok(()),
        Err(sqlx::Error::Database(db)) if is_damaged(db.code().as_deref()) => {
            Err(StoreError::DamagedFile { path, source: sqlx::Error::Database(db) })
        }
        Err(source) => Err(StoreError::CannotOpen { path, source }),
    }
}

async fn prepare_sqlite(connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(sqlite::SETTINGS).execute(connection).await?;
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

/// The same for keys of addresses, which contain an international domain in ASCII.
fn like_key_pattern(part: &str) -> String {
    like_pattern(&crate::domain::email::key_pattern(part))
}
