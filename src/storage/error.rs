//! What can go wrong with the database, in words for operators, and which of it passes.

use std::path::PathBuf;

use sqlx::error::DatabaseError;

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
        "the schema {schema} is not in the database and cannot be created: {source}. Create it (CREATE SCHEMA {schema} AUTHORIZATION our user), or name another one in database.schema"
    )]
    NoSchema { schema: String, source: sqlx::Error },
    /// A pooler took `search_path` and did nothing with it.
    #[error(
        "the tables would not go to the schema {0}: something between us and the database ignores search_path. Set database.transaction_pooler where a pooler is used"
    )]
    IgnoredSchema(String),
    #[error("a pooler before the database refuses our settings: {0}. Set database.transaction_pooler")]
    Pooler(#[source] sqlx::Error),
    #[error(
        "the database holds tables of another program: {0}. Give Vestibule a schema or a database of its own in database.schema, database.url (DATABASE_URL) or data_dir"
    )]
    ForeignTables(#[source] sqlx::Error),
    #[error(
        "the database was made by a newer version of Vestibule: it has migration {database}, and this is Vestibule {}, which knows migrations up to {known}. Run the newer version, or use another database",
        env!("CARGO_PKG_VERSION")
    )]
    Newer {
        /// The migration that is not known here.
        database: i64,
        /// The newest one that is.
        known: i64,
    },
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
    /// Is it this column's value that another record of the table has already? Unique indexes are named
    /// `TABLE_by_COLUMN`, as PostgreSQL says; SQLite names the columns.
    pub fn is_duplicate(&self, column: &str) -> bool {
        let Self::Exists(sqlx::Error::Database(error)) = self else { return false };
        match error.constraint() {
            Some(index) => index.ends_with(&format!("_by_{column}")),
            None => error.message().ends_with(&format!(".{column}")),
        }
    }

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
            sqlx::Error::Database(db) if is_pooler(&**db) => Self::Pooler(error),
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
            MigrateError::VersionMissing(database) => {
                Self::Newer { database, known: super::migrations::newest() }
            }
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
pub(super) fn is_damaged(code: Option<&str>) -> bool {
    let code = code.filter(|code| code.len() != 5).and_then(|code| code.parse::<u32>().ok());
    code.is_some_and(|code| matches!(code & 0xff, 11 | 26))
}

/// PgBouncer knows only some of what can be set at connecting.
fn is_pooler(error: &dyn DatabaseError) -> bool {
    error.code().as_deref() == Some("08P01") && error.message().contains("startup parameter")
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
