//! Connections to the database, on which every wait has an end: a database that stalls fails a request, and never holds
//! it. A connection whose answer did not come is closed, because nobody knows what it would say next.

use std::io;
use std::time::Duration;

use deadpool::managed::{Manager, Metrics, Object, PoolError, QueueMode, RecycleError, RecycleResult};
use sqlx::any::AnyConnectOptions;
use sqlx::{AnyConnection, ConnectOptions as _, Connection as _, Error, SqlSafeStr, SqlStr};
use tokio::sync::OwnedMutexGuard;

use super::batch::{Batch, BatchResult};
use super::sqlite;
use super::statement::{Run, Statement, StatementResult};

/// A connection that was in use so short a time ago is taken without asking whether it lives.
const TRUSTED: Duration = Duration::from_millis(100);

/// A connection to a server is replaced after so long, because what it holds there grows, and the name of the server may
/// lead elsewhere by then.
const MAX_AGE: Duration = Duration::from_mins(30);

/// A connection that nobody used for so long is closed.
const MAX_IDLE: Duration = Duration::from_mins(10);

/// How long to wait before the next try to connect to a server that starts or has no room.
const RETRY: Duration = Duration::from_millis(100);

/// SQLSTATEs of a server that takes nobody now and soon will: too many connections, and starting or stopping.
const BUSY: [&str; 2] = ["53300", "57P03"];

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts {
    /// An answer to a statement.
    pub(super) answer: Duration,
    /// An answer from a connection that has nothing to do.
    pub(super) ping: Duration,
}

/// Makes connections, and says which may be used again.
#[derive(Debug)]
struct Connector {
    options: AnyConnectOptions,
    timeouts: Option<Timeouts>,
}

impl Manager for Connector {
    type Type = AnyConnection;
    type Error = Error;

    async fn create(&self) -> Result<AnyConnection, Error> {
        if self.timeouts.is_none() {
            return sqlite::connect(&self.options).await;
        }
        // As long as whoever asks waits, see `Pool::acquire`.
        loop {
            match self.options.connect().await {
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(Error::Database(db)) if db.code().is_some_and(|code| BUSY.contains(&&*code)) => {}
                outcome => return outcome,
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn recycle(&self, connection: &mut AnyConnection, metrics: &Metrics) -> RecycleResult<Error> {
        // The embedded engine is in this process: it is there.
        let Some(timeouts) = self.timeouts else { return Ok(()) };
        if metrics.age() > MAX_AGE {
            return Err(RecycleError::message("old"));
        }
        if metrics.last_used() > TRUSTED {
            tokio::time::timeout(timeouts.ping, connection.ping()).await.map_err(|_| no_answer())??;
        }
        Ok(())
    }
}

fn no_answer() -> Error {
    Error::Io(io::Error::new(io::ErrorKind::TimedOut, "no answer in time"))
}

/// The connections of one server process, made when first needed.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    inner: deadpool::managed::Pool<Connector>,
    /// How long a request waits for a connection.
    acquire_timeout: Duration,
    /// `None` for the embedded engine, which answers by itself.
    timeouts: Option<Timeouts>,
    /// Begins a transaction.
    pub(super) begin: SqlStr,
    /// A pooler in between gives every transaction another connection of its own: nothing may stay prepared on it, and
    /// what a statement needs to be set is set in its transaction.
    pub(super) through_pooler: bool,
}

impl Pool {
    /// Connections to the embedded engine, for everybody but the writer.
    pub(super) fn embedded(
        options: AnyConnectOptions,
        max_connections: usize,
        acquire_timeout: Duration,
    ) -> Result<Self, Error> {
        Ok(Self {
            inner: pool_of(Connector { options, timeouts: None }, max_connections)?,
            acquire_timeout,
            timeouts: None,
            begin: SqlStr::from_static("BEGIN"),
            through_pooler: false,
        })
    }

    /// Connections to a server.
    pub(super) fn of_server(
        options: AnyConnectOptions,
        max_connections: usize,
        timeouts: Timeouts,
        begin: SqlStr,
        through_pooler: bool,
    ) -> Result<Self, Error> {
        Ok(Self {
            inner: pool_of(Connector { options, timeouts: Some(timeouts) }, max_connections)?,
            acquire_timeout: timeouts.answer,
            timeouts: Some(timeouts),
            begin,
            through_pooler,
        })
    }

    /// A free connection, or a new one.
    async fn take(&self) -> Result<Object<Connector>, Error> {
        match tokio::time::timeout(self.acquire_timeout, self.inner.get()).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(PoolError::Backend(error))) => Err(error),
            Ok(Err(PoolError::Closed)) => Err(Error::PoolClosed),
            Ok(Err(_)) | Err(_) => Err(Error::PoolTimedOut),
        }
    }

    async fn acquire(&self) -> Result<Connection, Error> {
        Ok(Connection {
            inner: Some(self.take().await?),
            timeouts: self.timeouts,
            is_persistent: !self.through_pooler,
            is_waiting: false,
        })
    }

    /// How its connections are made.
    pub(super) fn options(&self) -> AnyConnectOptions {
        self.inner.manager().options.clone()
    }

    /// A connection that the pool knows nothing of any more.
    pub(super) async fn detached(&self) -> Result<AnyConnection, Error> {
        Ok(Object::take(self.take().await?))
    }

    /// How many connections there are, and how many of them have nothing to do.
    pub(super) fn sizes(&self) -> (usize, usize) {
        let status = self.inner.status();
        (status.size, status.available)
    }

    /// Closes what nobody used for a while.
    pub(super) async fn close_idle(&self) {
        let idle = self.inner.retain(|_, metrics| metrics.last_used() < MAX_IDLE);
        close_all(idle.removed).await;
    }

    /// Closes every connection, and each that is in use when it is given back.
    pub(super) async fn close(&self) {
        let idle = self.inner.retain(|_, _| false);
        self.inner.close();
        close_all(idle.removed).await;
    }

    pub(super) async fn begin(&self) -> Result<Transaction, Error> {
        self.begin_with(self.begin.clone(), None).await
    }

    /// Begins a transaction that holds a lock to its end.
    pub(super) async fn begin_with(
        &self,
        begin: impl SqlSafeStr,
        lock: Option<OwnedMutexGuard<()>>,
    ) -> Result<Transaction, Error> {
        let mut connection = self.acquire().await?;
        connection.execute_raw(begin).await?;
        Ok(Transaction { connection, is_open: true, _lock: lock })
    }

    /// Writes a batch in one transaction.
    pub(super) async fn write(&self, batch: Batch) -> BatchResult {
        if (batch.len() == 1 || batch.is_unordered()) && !self.through_pooler {
            return batch.run_on(&mut self.acquire().await?).await;
        }
        let mut tx = self.begin().await?;
        match batch.run_on(&mut tx).await {
            Ok(Some(results)) => tx.commit().await.map(|()| Some(results)),
            refused => {
                tx.rollback().await?;
                refused
            }
        }
    }

    pub(super) async fn ping(&self) -> Result<(), Error> {
        self.acquire().await?.ping().await
    }
}

fn pool_of(
    connector: Connector,
    max_connections: usize,
) -> Result<deadpool::managed::Pool<Connector>, Error> {
    deadpool::managed::Pool::builder(connector)
        .max_size(max_connections)
        // The one used last has in its memory what is needed next.
        .queue_mode(QueueMode::Lifo)
        .build()
        .map_err(|error| Error::Configuration(error.into()))
}

async fn close_all(connections: Vec<AnyConnection>) {
    for connection in connections {
        if let Err(error) = connection.close().await {
            tracing::debug!(%error, "a connection to the database did not close well");
        }
    }
}

impl Run for &Pool {
    async fn run(self, statement: Statement) -> Result<StatementResult, Error> {
        if !self.through_pooler {
            return (&mut self.acquire().await?).run(statement).await;
        }
        let mut tx = self.begin().await?;
        let result = (&mut tx).run(statement).await?;
        tx.commit().await?;
        Ok(result)
    }
}

/// A connection taken from the pool, until it is dropped.
#[derive(Debug)]
pub(super) struct Connection {
    /// `None` once an answer did not come.
    inner: Option<Object<Connector>>,
    timeouts: Option<Timeouts>,
    /// Statements stay prepared on it.
    is_persistent: bool,
    /// Something was asked and not answered yet.
    is_waiting: bool,
}

impl Connection {
    async fn ping(&mut self) -> Result<(), Error> {
        let timeouts = self.timeouts;
        let outcome = within(timeouts, self.begin_io()?.ping()).await;
        self.finish_io(outcome)
    }

    /// Runs what begins or ends a transaction.
    async fn execute_raw(&mut self, sql: impl SqlSafeStr) -> Result<(), Error> {
        let timeouts = self.timeouts;
        let outcome = within(timeouts, sqlx::raw_sql(sql).execute(self.begin_io()?)).await;
        self.finish_io(outcome).map(|_| ())
    }

    /// Something is about to be asked, which [`Connection::finish_io`] ends.
    fn begin_io(&mut self) -> Result<&mut AnyConnection, Error> {
        let connection = self.inner.as_mut().ok_or_else(|| Error::Io(io::ErrorKind::NotConnected.into()))?;
        // Stays so when the future that asks is dropped half way.
        self.is_waiting = true;
        Ok(&mut *connection)
    }

    fn finish_io<T>(&mut self, outcome: Option<Result<T, Error>>) -> Result<T, Error> {
        match outcome {
            Some(answer) => {
                self.is_waiting = false;
                if answer.as_ref().is_err_and(leaves_unusable) {
                    self.discard();
                }
                answer
            }
            None => {
                self.discard();
                Err(no_answer())
            }
        }
    }

    /// Closes the connection without a word, and leaves its place in the pool to another.
    fn discard(&mut self) {
        if let Some(connection) = self.inner.take() {
            drop(Object::take(connection));
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.is_waiting && self.timeouts.is_some() {
            self.discard();
        }
    }
}

impl Run for &mut Connection {
    async fn run(self, statement: Statement) -> Result<StatementResult, Error> {
        let (timeouts, is_persistent) = (self.timeouts, self.is_persistent);
        let outcome = within(timeouts, statement.run_to_end(self.begin_io()?, is_persistent)).await;
        self.finish_io(outcome)
    }
}

/// A transaction, rolled back unless it is committed.
#[derive(Debug)]
pub(super) struct Transaction {
    connection: Connection,
    is_open: bool,
    /// Released behind the connection.
    _lock: Option<OwnedMutexGuard<()>>,
}

impl Transaction {
    pub(super) async fn commit(mut self) -> Result<(), Error> {
        self.connection.execute_raw("COMMIT").await?;
        self.is_open = false;
        Ok(())
    }

    pub(super) async fn rollback(mut self) -> Result<(), Error> {
        self.connection.execute_raw("ROLLBACK").await?;
        self.is_open = false;
        Ok(())
    }
}

impl Run for &mut Transaction {
    async fn run(self, statement: Statement) -> Result<StatementResult, Error> {
        (&mut self.connection).run(statement).await
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if self.is_open {
            // The transaction ends with its connection.
            self.connection.discard();
        }
    }
}

/// After an answer of the database a connection goes on; not after one that did not come, and not where a server closes it
/// (SQLSTATE class 57P).
fn leaves_unusable(error: &Error) -> bool {
    match error {
        Error::Database(db) => db.code().is_some_and(|code| code.starts_with("57P")),
        Error::RowNotFound | Error::ColumnDecode { .. } | Error::Decode(_) | Error::Encode(_) => false,
        _ => true,
    }
}

/// `None`: the time is over.
async fn within<T>(timeouts: Option<Timeouts>, answer: impl Future<Output = T>) -> Option<T> {
    match timeouts {
        Some(timeouts) => tokio::time::timeout(timeouts.answer, answer).await.ok(),
        None => Some(answer.await),
    }
}
