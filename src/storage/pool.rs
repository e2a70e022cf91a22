//! Connections to the database, on which every wait has an end: a database that stalls fails a request, and never holds
//! it. A connection whose answer did not come is closed, because nobody knows what it would say next.

use std::io;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool, Connection as _, Error, SqlSafeStr, SqlStr};
use tokio::sync::OwnedMutexGuard;

use super::statement::{Batch, BatchResult, Run, Statement, StatementResult};

/// A connection that was in use so short a time ago is taken without asking whether it lives.
const TRUSTED: Duration = Duration::from_millis(100);

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts {
    /// An answer to a statement.
    pub(super) answer: Duration,
    /// An answer from a connection that has nothing to do.
    pub(super) ping: Duration,
}

/// Connections to a server, made when first needed.
pub(super) fn with_timeouts(options: AnyConnectOptions, max_connections: u32, timeouts: Timeouts) -> AnyPool {
    AnyPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(timeouts.answer)
        // sqlx's own test waits as long as there is time to acquire a connection, which leaves none for a new one.
        .test_before_acquire(false)
        .before_acquire(move |connection, about| {
            Box::pin(async move {
                Ok(about.idle_for < TRUSTED || matches!(ping(connection, timeouts.ping).await, Some(Ok(()))))
            })
        })
        // Before it takes a connection back, the pool asks whether it is well, and would wait forever.
        .after_release(move |connection, _| {
            Box::pin(async move {
                ping(connection, timeouts.ping).await.unwrap_or(Err(no_answer())).map(|()| true)
            })
        })
        .connect_lazy_with(options)
}

async fn ping(connection: &mut AnyConnection, within: Duration) -> Option<Result<(), Error>> {
    tokio::time::timeout(within, connection.ping()).await.ok()
}

fn no_answer() -> Error {
    Error::Io(io::Error::new(io::ErrorKind::TimedOut, "no answer in time"))
}

/// The connections of one server process.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    pub(super) inner: AnyPool,
    /// `None` for the embedded engine, which answers by itself.
    pub(super) timeouts: Option<Timeouts>,
    /// Begins a transaction.
    pub(super) begin: SqlStr,
    /// A pooler in between gives every transaction another connection of its own: nothing may stay prepared on it, and
    /// what a statement needs to be set is set in its transaction.
    pub(super) through_pooler: bool,
}

impl Pool {
    async fn acquire(&self) -> Result<Connection, Error> {
        Ok(Connection {
            inner: Some(self.inner.acquire().await?),
            timeouts: self.timeouts,
            is_persistent: !self.through_pooler,
            is_waiting: false,
        })
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
        if batch.len() == 1 && !self.through_pooler {
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
    inner: Option<PoolConnection<Any>>,
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
            drop(connection.detach());
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
        if self.is_open
            && let Some(connection) = &mut self.connection.inner
        {
            // The transaction ends with its connection.
            connection.close_on_drop();
        }
    }
}

/// `None`: the time is over.
async fn within<T>(timeouts: Option<Timeouts>, answer: impl Future<Output = T>) -> Option<T> {
    match timeouts {
        Some(timeouts) => tokio::time::timeout(timeouts.answer, answer).await.ok(),
        None => Some(answer.await),
    }
}
