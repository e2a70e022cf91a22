//! The embedded database on the thread of whoever asks. A short statement takes microseconds here; sqlx gives each
//! connection a thread of its own, and the way there and back takes longer than the statement.

use std::borrow::Cow;
use std::collections::HashMap;
use std::error::Error as StdError;
use std::fs::{OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Statement;
use rusqlite::types::{ToSqlOutput, ValueRef};
use sqlx::any::{AnyRow, AnyTypeInfo, AnyTypeInfoKind, AnyValue};
use sqlx::error::{DatabaseError, Error, ErrorKind};
use sqlx_core::any::{AnyColumn, AnyValueKind};

/// Durability as the WAL gives it: a crash of the process loses nothing, a power cut at most the last commits. The WAL is
/// emptied by [`super::checkpoints`].
pub(super) const SETTINGS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON; \
    PRAGMA temp_store = MEMORY; PRAGMA cache_size = -2000; PRAGMA wal_autocheckpoint = 0;";

/// Makes the database file, where it is missing, and whatever is left beside it, readable by its owner alone. SQLite gives
/// the files that it makes beside a database the mode of the database.
pub(super) fn keep_private(path: &Path) -> io::Result<()> {
    OpenOptions::new().create(true).append(true).mode(PRIVATE).open(path)?;
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let Ok(about) = std::fs::metadata(&name) else { continue };
        if about.permissions().mode() & 0o777 != PRIVATE {
            // Some file systems have no modes, and a file of another owner keeps its own: the folder is what counts there.
            if let Err(error) = std::fs::set_permissions(&name, Permissions::from_mode(PRIVATE)) {
                tracing::warn!(file = %Path::new(&name).display(), %error, "others may be able to read the database");
            }
        }
    }
    Ok(())
}

/// Mode of a file that its owner alone may read.
const PRIVATE: u32 = 0o600;

/// How many statements a connection keeps prepared: more than there are.
const PREPARED_STATEMENTS: usize = 256;

/// How often SQLite lets a reader look whether it should go on, in steps of its virtual machine.
const STEPS_PER_LOOK: i32 = 1000;

/// After how many looks a statement is too long to be read here: a millisecond at most.
const MOST_LOOKS: u32 = 20;

/// What the columns of a statement are called; rows of one statement share it.
#[derive(Clone)]
struct Shape {
    names: Arc<sqlx_core::HashMap<sqlx_core::ext::ustr::UStr, usize>>,
    columns: Vec<AnyColumn>,
}

/// What becomes of the WAL.
#[derive(Debug, Clone, Copy)]
pub(super) enum Checkpoint {
    /// Nothing.
    Look,
    /// As much as possible is written back, and nobody waits.
    WhileOthersWrite,
    /// All of it is written back, and the next write begins it anew.
    AndStartOver,
}

/// A connection without a thread.
pub(super) struct Connection {
    inner: rusqlite::Connection,
    /// By the text of the statement.
    shapes: HashMap<String, Shape>,
}

impl Connection {
    /// Opens a database, and waits for others up to five seconds.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        Self::open_with(path, Duration::from_secs(5))
    }

    /// Opens a database, and waits for others as long as is said.
    pub(super) fn open_with(path: &Path, patience: Duration) -> Result<Self, Error> {
        let inner = rusqlite::Connection::open(path).map_err(translated)?;
        inner.busy_timeout(patience).map_err(translated)?;
        inner.execute_batch(SETTINGS).map_err(translated)?;
        inner.set_prepared_statement_cache_capacity(PREPARED_STATEMENTS);
        Ok(Self { inner, shapes: HashMap::new() })
    }

    /// Lets the connection keep more of the database in memory, which pays for one that looks at all of it again and again.
    pub(super) fn remember_more(&self) -> Result<(), Error> {
        self.inner.execute_batch("PRAGMA cache_size = -4000").map_err(translated)
    }

    /// Runs a word that begins or ends a transaction.
    pub(super) fn say(&self, word: &str) -> Result<(), Error> {
        let mut statement = self.inner.prepare_cached(word).map_err(translated)?;
        statement.raw_execute().map(|_| ()).map_err(translated)
    }

    /// Writes the WAL back; returns how many pages are in it, written back or not.
    pub(super) fn checkpoint(&self, how: Checkpoint) -> Result<i64, Error> {
        let words = match how {
            Checkpoint::Look => "PRAGMA wal_checkpoint(NOOP)",
            Checkpoint::WhileOthersWrite => "PRAGMA wal_checkpoint(PASSIVE)",
            Checkpoint::AndStartOver => "PRAGMA wal_checkpoint(RESTART)",
        };
        self.inner.query_row(words, [], |row| row.get("log")).map_err(translated)
    }

    /// Runs one statement to its end: its rows, and how many it found or touched.
    pub(super) fn run(&mut self, sql: &str, arguments: &[AnyValueKind]) -> Result<(Vec<AnyRow>, u64), Error> {
        let mut statement = self.inner.prepare_cached(sql).map_err(translated)?;
        let rows = rows_of(&mut self.shapes, &mut statement, sql, arguments)?;
        let touched = if statement.readonly() { rows.len() as u64 } else { self.inner.changes() };
        Ok((rows, touched))
    }
}

/// Connections that only read; as many as are used at the same time.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Reader>>,
}

/// A connection that gives up what takes long, or would have to wait.
struct Reader {
    connection: Connection,
    /// Since the statement under way began.
    looks: Arc<AtomicU32>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reader")
    }
}

impl Readers {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), idle: Mutex::default() }
    }

    /// The rows of a statement that reads and is short; `None` of any other, which has done nothing then.
    pub(super) fn read(&self, sql: &str, arguments: &[AnyValueKind]) -> Result<Option<Vec<AnyRow>>, Error> {
        let idle = self.idle().pop();
        let outcome = idle.map_or_else(|| Reader::open(&self.path), Ok).and_then(|mut reader| {
            let rows = reader.read(sql, arguments)?;
            self.idle().push(reader);
            Ok(rows)
        });
        match outcome {
            Err(error) if is_busy(&error) => Ok(None),
            outcome => outcome,
        }
    }

    pub(super) fn close(&self) {
        self.idle().clear();
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Reader>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    fn open(path: &Path) -> Result<Self, Error> {
        let connection = Connection::open_with(path, Duration::ZERO)?;
        let looks = Arc::new(AtomicU32::new(0));
        let seen = looks.clone();
        let is_too_long = move || seen.fetch_add(1, Ordering::Relaxed) >= MOST_LOOKS;
        connection.inner.progress_handler(STEPS_PER_LOOK, Some(is_too_long)).map_err(translated)?;
        Ok(Self { connection, looks })
    }

    fn read(&mut self, sql: &str, arguments: &[AnyValueKind]) -> Result<Option<Vec<AnyRow>>, Error> {
        self.looks.store(0, Ordering::Relaxed);
        let Connection { inner, shapes } = &mut self.connection;
        let mut statement = inner.prepare_cached(sql).map_err(translated)?;
        if !statement.readonly() {
            return Ok(None);
        }
        match rows_of(shapes, &mut statement, sql, arguments) {
            Ok(rows) => Ok(Some(rows)),
            Err(_) if self.looks.load(Ordering::Relaxed) > MOST_LOOKS => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn rows_of(
    shapes: &mut HashMap<String, Shape>,
    statement: &mut Statement<'_>,
    sql: &str,
    arguments: &[AnyValueKind],
) -> Result<Vec<AnyRow>, Error> {
    bind(statement, arguments)?;
    if statement.column_count() == 0 {
        statement.raw_execute().map_err(translated)?;
        return Ok(vec![]);
    }
    if !shapes.contains_key(sql) {
        shapes.insert(sql.to_owned(), shape_of(statement));
    }
    let Some(shape) = shapes.get(sql) else { return Ok(vec![]) };
    let mut all = vec![];
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next().map_err(translated)? {
        let values = (0..shape.columns.len()).map(|i| value_of(row.get_ref(i).map_err(translated)?));
        let values = values.collect::<Result<_, Error>>()?;
        all.push(AnyRow { column_names: shape.names.clone(), columns: shape.columns.clone(), values });
    }
    Ok(all)
}

/// SQLite takes `$2` for a name, and numbers names in the order in which they come.
fn bind(statement: &mut Statement<'_>, arguments: &[AnyValueKind]) -> Result<(), Error> {
    for index in 1..=statement.parameter_count() {
        let name = statement.parameter_name(index).unwrap_or_default();
        let place = name.strip_prefix('$').and_then(|digits| digits.parse::<usize>().ok());
        let argument = place.and_then(|place| arguments.get(place.checked_sub(1)?));
        let Some(argument) = argument else {
            return Err(Error::Protocol(format!("nothing stands in the place {name} of a statement")));
        };
        statement
            .raw_bind_parameter(index, ToSqlOutput::Borrowed(sql_value(argument)?))
            .map_err(translated)?;
    }
    Ok(())
}

fn sql_value(argument: &AnyValueKind) -> Result<ValueRef<'_>, Error> {
    Ok(match argument {
        AnyValueKind::Null(_) => ValueRef::Null,
        AnyValueKind::Bool(b) => ValueRef::Integer((*b).into()),
        AnyValueKind::SmallInt(i) => ValueRef::Integer((*i).into()),
        AnyValueKind::Integer(i) => ValueRef::Integer((*i).into()),
        AnyValueKind::BigInt(i) => ValueRef::Integer(*i),
        AnyValueKind::Real(r) => ValueRef::Real((*r).into()),
        AnyValueKind::Double(d) => ValueRef::Real(*d),
        AnyValueKind::Text(text) => ValueRef::Text(text.as_bytes()),
        AnyValueKind::TextSlice(text) => ValueRef::Text(text.as_bytes()),
        AnyValueKind::Blob(bytes) => ValueRef::Blob(bytes),
        other => return Err(Error::Encode(format!("SQLite has no place for {other:?}").into())),
    })
}

fn value_of(value: ValueRef<'_>) -> Result<AnyValue, Error> {
    let kind = match value {
        ValueRef::Null => AnyValueKind::Null(AnyTypeInfoKind::Null),
        ValueRef::Integer(i) => AnyValueKind::BigInt(i),
        ValueRef::Real(d) => AnyValueKind::Double(d),
        ValueRef::Text(bytes) => {
            let text = std::str::from_utf8(bytes).map_err(|e| Error::Decode(e.into()))?;
            AnyValueKind::Text(Arc::new(text.to_owned()))
        }
        ValueRef::Blob(bytes) => AnyValueKind::Blob(Arc::new(bytes.to_owned())),
    };
    Ok(AnyValue { kind })
}

fn shape_of(statement: &Statement<'_>) -> Shape {
    let names = statement.column_names();
    let column = |(ordinal, name): (usize, &&str)| AnyColumn {
        ordinal,
        name: (*name).to_owned().into(),
        // Values of SQLite have types, columns have not.
        type_info: AnyTypeInfo { kind: AnyTypeInfoKind::Null },
    };
    let columns: Vec<AnyColumn> = names.iter().enumerate().map(column).collect();
    let names = columns.iter().map(|column| (column.name.clone(), column.ordinal)).collect();
    Shape { names: Arc::new(names), columns }
}

/// What SQLite says went wrong, in the form in which sqlx says it.
#[derive(Debug, thiserror::Error)]
#[error("(code: {code}) {message}")]
struct Refused {
    /// The extended result code.
    code: i32,
    message: String,
}

impl DatabaseError for Refused {
    fn message(&self) -> &str {
        &self.message
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        Some(self.code.to_string().into())
    }

    fn as_error(&self) -> &(dyn StdError + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn StdError + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn StdError + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> ErrorKind {
        use rusqlite::ffi;
        match self.code {
            ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY => ErrorKind::UniqueViolation,
            ffi::SQLITE_CONSTRAINT_FOREIGNKEY => ErrorKind::ForeignKeyViolation,
            ffi::SQLITE_CONSTRAINT_NOTNULL => ErrorKind::NotNullViolation,
            ffi::SQLITE_CONSTRAINT_CHECK => ErrorKind::CheckViolation,
            _ => ErrorKind::Other,
        }
    }
}

/// Somebody else has to finish first.
fn is_busy(error: &Error) -> bool {
    let refused = error.as_database_error().and_then(|e| e.try_downcast_ref::<Refused>());
    // The primary code is in the lowest byte.
    refused
        .is_some_and(|r| matches!(r.code & 0xff, rusqlite::ffi::SQLITE_BUSY | rusqlite::ffi::SQLITE_LOCKED))
}

fn translated(error: rusqlite::Error) -> Error {
    match error {
        rusqlite::Error::SqliteFailure(failure, message) => Error::Database(Box::new(Refused {
            code: failure.extended_code,
            message: message.unwrap_or_else(|| failure.to_string()),
        })),
        other => Error::Protocol(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use sqlx::Row as _;

    use super::*;

    const COUNTING: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) SELECT max(i) AS most FROM n";

    fn readers() -> (tempfile::TempDir, Readers) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.db");
        let connection = Connection::open(&path).unwrap();
        connection.say("CREATE TABLE t (id TEXT PRIMARY KEY, n BIGINT, b BLOB)").unwrap();
        (folder, Readers::new(&path))
    }

    #[test]
    fn a_short_read_is_answered_and_a_long_one_left_to_others() {
        let (_folder, readers) = readers();
        for _ in 0..3 {
            let rows = readers.read(COUNTING, &[AnyValueKind::BigInt(50)]).unwrap().unwrap();
            assert_eq!(rows[0].get::<i64, _>("most"), 50);
            assert!(readers.read(COUNTING, &[AnyValueKind::BigInt(1_000_000)]).unwrap().is_none());
        }
    }

    #[test]
    fn a_read_that_would_have_to_wait_is_left_to_others() {
        let (folder, readers) = readers();
        let other = Connection::open(&folder.path().join("test.db")).unwrap();
        other.inner.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; DELETE FROM t").unwrap();
        assert!(readers.read("SELECT id FROM t", &[]).unwrap().is_none());
        drop(other);
        assert!(readers.read("SELECT id FROM t", &[]).unwrap().is_some());
    }

    #[test]
    fn a_reader_never_writes() {
        let (_folder, readers) = readers();
        assert!(readers.read("insert into t (id) VALUES ('a') RETURNING id", &[]).unwrap().is_none());
        assert_eq!(readers.read("SELECT id FROM t", &[]).unwrap().unwrap().len(), 0);
    }

    #[test]
    fn places_mean_their_numbers_in_any_order_and_values_come_back() {
        let (folder, _readers) = readers();
        let mut connection = Connection::open(&folder.path().join("test.db")).unwrap();
        let arguments = [
            AnyValueKind::Blob(Arc::new(vec![0, 255])),
            AnyValueKind::Text(Arc::new("a".into())),
            AnyValueKind::Null(AnyTypeInfoKind::BigInt),
        ];
        let (rows, touched) = connection
            .run("insert into t (id, n, b) VALUES ($2, $3, $1) RETURNING b, n, id, $2 AS again", &arguments)
            .unwrap();
        assert_eq!(touched, 1);
        assert_eq!(rows[0].get::<Vec<u8>, _>("b"), [0, 255]);
        assert_eq!(rows[0].get::<Option<i64>, _>("n"), None);
        assert_eq!(rows[0].get::<String, _>("id"), "a");
        assert_eq!(rows[0].get::<String, _>("again"), "a");
        assert!(connection.run("SELECT $4", &arguments).is_err());
    }

    #[test]
    fn a_row_that_exists_is_told_as_such() {
        let (folder, _readers) = readers();
        let mut connection = Connection::open(&folder.path().join("test.db")).unwrap();
        connection.run("insert into t (id) VALUES ('a')", &[]).unwrap();
        let error = connection.run("insert into t (id) VALUES ('a')", &[]).err().unwrap();
        assert!(error.as_database_error().unwrap().is_unique_violation(), "{error}");
    }
}
