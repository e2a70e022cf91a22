//! Connections to the database, on which every wait has an end: a database that stalls fails a request, and never holds
//! it. A connection whose answer did not come is closed, because nobody knows what it would say next.

use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use sqlx::any::{AnyArguments, AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo};
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool, Describe, Either, Error, Execute, Executor, SqlStr};
use tokio::runtime::Handle;
use tracing::{Instrument as _, Span};

use super::sqlite::Readers;

/// What a statement gives: rows, and how many were touched.
type Steps = Vec<Either<AnyQueryResult, AnyRow>>;

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) answer: Duration,
    /// An answer from a connection that has nothing to do.
    pub(super) ping: Duration,
}

/// The connections of one server process.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    pub(super) inner: AnyPool,
    /// For short reads of the embedded engine.
    pub(super) readers: Option<Arc<Readers>>,
    /// `None` for the embedded engine, which answers by itself.
    pub(super) patience: Option<Patience>,
    /// A pooler in between gives every transaction another connection of its own.
    pub(super) through_pooler: bool,
}

impl Pool {
    pub(super) async fn acquire(&self) -> Result<Connection, Error> {
        let lease = self.inner.acquire().await?;
        Ok(Connection {
            lease: Some(lease),
            patience: self.patience,
            through_pooler: self.through_pooler,
            is_waiting: false,
        })
    }

    pub(super) async fn begin(&self) -> Result<Transaction, Error> {
        let mut connection = self.acquire().await?;
        connection.say("BEGIN").await?;
        Ok(Transaction { connection, is_open: true })
    }

    /// A connection for one statement. Preparing and running it are two steps: through a pooler a transaction holds
    /// them together.
    async fn turn(&self) -> Result<Transaction, Error> {
        if self.through_pooler {
            self.begin().await
        } else {
            Ok(Transaction { connection: self.acquire().await?, is_open: false })
        }
    }
}

/// A connection taken from the pool, until it is dropped.
#[derive(Debug)]
pub(super) struct Connection {
    /// `None` once an answer did not come.
    lease: Option<PoolConnection<Any>>,
    patience: Option<Patience>,
    through_pooler: bool,
    /// Something was asked and not answered yet.
    is_waiting: bool,
}

impl Connection {
    pub(super) async fn ping(&mut self) -> Result<(), Error> {
        let patience = self.patience;
        let outcome = within(patience, sqlx::Connection::ping(self.ask()?)).await;
        self.answered(outcome)
    }

    /// Runs a word that begins or ends a transaction.
    async fn say(&mut self, word: &'static str) -> Result<(), Error> {
        let patience = self.patience;
        let asked = within(patience, self.ask()?.execute(sqlx::raw_sql(word)));
        let outcome = asked.instrument(statement_span(word)).await;
        self.answered(outcome).map(|_| ())
    }

    /// Something is about to be asked, which [`Connection::answered`] ends.
    fn ask(&mut self) -> Result<&mut AnyConnection, Error> {
        let lease = self.lease.as_mut().ok_or_else(|| Error::Io(io::ErrorKind::NotConnected.into()))?;
        // Stays so when whoever asks is dropped half way.
        self.is_waiting = true;
        Ok(&mut *lease)
    }

    fn answered<T>(&mut self, outcome: Option<Result<T, Error>>) -> Result<T, Error> {
        match outcome {
            Some(answer) => {
                self.is_waiting = false;
                answer
            }
            None => {
                self.give_up();
                Err(Error::Io(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")))
            }
        }
    }

    /// Closes the connection without a word, and leaves its place in the pool to another.
    fn give_up(&mut self) {
        if let Some(lease) = self.lease.take() {
            drop(lease.detach());
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Some(patience) = self.patience else { return };
        if self.is_waiting {
            self.give_up();
            return;
        }
        // The pool asks whether the connection is well before it takes it back, and would wait forever.
        if let (Some(mut lease), Ok(runtime)) = (self.lease.take(), Handle::try_current()) {
            runtime.spawn(tokio::time::timeout(patience.ping, lease.return_to_pool()));
        }
    }
}

/// A transaction, rolled back unless it is committed.
#[derive(Debug)]
pub(super) struct Transaction {
    connection: Connection,
    is_open: bool,
}

impl Transaction {
    /// Commits what [`Pool::turn`] began, if anything.
    async fn end(self) -> Result<(), Error> {
        if self.is_open { self.commit().await } else { Ok(()) }
    }

    pub(super) async fn commit(mut self) -> Result<(), Error> {
        self.connection.say("COMMIT").await?;
        self.is_open = false;
        Ok(())
    }

    pub(super) async fn rollback(mut self) -> Result<(), Error> {
        self.connection.say("ROLLBACK").await?;
        self.is_open = false;
        Ok(())
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let connection = &mut self.connection;
        // Where an answer is missing, the connection is closed, and its transaction ends with it.
        if !self.is_open || (connection.is_waiting && connection.patience.is_some()) {
            return;
        }
        if let (Some(lease), Ok(runtime)) = (connection.lease.take(), Handle::try_current()) {
            let mut left = Connection { lease: Some(lease), ..*connection };
            runtime.spawn(async move {
                if left.say("ROLLBACK").await.is_err() {
                    left.give_up();
                }
            });
        }
    }
}

impl Deref for Transaction {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

/// A statement that leaves nothing behind on its connection where `is_unnamed`.
struct Statement<E> {
    query: E,
    is_unnamed: bool,
}

impl<'q, E: Execute<'q, Any>> Execute<'q, Any> for Statement<E> {
    fn sql(self) -> SqlStr {
        let sql = self.query.sql();
        Span::current().record("db.query.text", sql.as_str());
        sql
    }

    fn statement(&self) -> Option<&AnyStatement> {
        self.query.statement()
    }

    fn take_arguments(&mut self) -> Result<Option<AnyArguments>, sqlx::error::BoxDynError> {
        self.query.take_arguments()
    }

    fn persistent(&self) -> bool {
        !self.is_unnamed && self.query.persistent()
    }
}

impl<'c> Executor<'c> for &'c mut Connection {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<AnyQueryResult, AnyRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let query = Statement { query, is_unnamed: self.through_pooler };
        let patience = self.patience;
        // Whole results, so that one limit of time holds for them; none of ours is large.
        let steps = async move {
            let outcome = within(patience, self.ask()?.fetch_many(query).try_collect()).await;
            self.answered(outcome)
        };
        one_by_one(steps.instrument(statement_span("")))
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<AnyRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let query = Statement { query, is_unnamed: self.through_pooler };
        let patience = self.patience;
        let answer = async move {
            let outcome = within(patience, self.ask()?.fetch_optional(query)).await;
            self.answered(outcome)
        };
        Box::pin(answer.instrument(statement_span("")))
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, Result<AnyStatement, Error>>
    where
        'c: 'e,
    {
        let patience = self.patience;
        Box::pin(async move {
            let outcome = within(patience, self.ask()?.prepare_with(sql, parameters)).await;
            self.answered(outcome)
        })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Any>, Error>>
    where
        'c: 'e,
    {
        let patience = self.patience;
        Box::pin(async move {
            let outcome = within(patience, self.ask()?.describe(sql)).await;
            self.answered(outcome)
        })
    }
}

/// What is asked of a pool, so that it can be asked twice.
struct Asked {
    sql: SqlStr,
    /// `None`: several statements without places.
    arguments: Option<AnyArguments>,
    persistent: bool,
}

impl Asked {
    fn of<'q>(mut query: impl Execute<'q, Any>) -> Result<Self, Error> {
        let persistent = query.persistent();
        let arguments = query.take_arguments().map_err(Error::Encode)?;
        Ok(Self { sql: query.sql(), arguments, persistent })
    }
}

impl<'q> Execute<'q, Any> for Asked {
    fn sql(self) -> SqlStr {
        self.sql
    }

    fn statement(&self) -> Option<&AnyStatement> {
        None
    }

    fn take_arguments(&mut self) -> Result<Option<AnyArguments>, sqlx::error::BoxDynError> {
        Ok(self.arguments.take())
    }

    fn persistent(&self) -> bool {
        self.persistent
    }
}

impl Pool {
    /// The rows of a short read of the embedded engine, on this thread; `None` of everything else.
    fn read_here(&self, asked: &Asked) -> Result<Option<Vec<AnyRow>>, Error> {
        let (Some(readers), Some(arguments)) = (&self.readers, &asked.arguments) else { return Ok(None) };
        if self.inner.is_closed() {
            return Err(Error::PoolClosed);
        }
        let _span = statement_span(asked.sql.as_str()).entered();
        readers.read(asked.sql.as_str(), &arguments.values.0)
    }
}

impl<'c> Executor<'c> for &'c Pool {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<AnyQueryResult, AnyRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        one_by_one(async move {
            let asked = Asked::of(query)?;
            if let Some(rows) = self.read_here(&asked)? {
                return Ok(rows.into_iter().map(Either::Right).collect());
            }
            let mut turn = self.turn().await?;
            let steps = turn.fetch_many(asked).try_collect().await?;
            turn.end().await?;
            Ok(steps)
        })
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<AnyRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        Box::pin(async move {
            let asked = Asked::of(query)?;
            if let Some(rows) = self.read_here(&asked)? {
                return Ok(rows.into_iter().next());
            }
            let mut turn = self.turn().await?;
            let outcome = turn.fetch_optional(asked).await?;
            turn.end().await?;
            Ok(outcome)
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, Result<AnyStatement, Error>>
    where
        'c: 'e,
    {
        Box::pin(async move {
            let mut turn = self.turn().await?;
            let outcome = turn.prepare_with(sql, parameters).await?;
            turn.end().await?;
            Ok(outcome)
        })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Any>, Error>>
    where
        'c: 'e,
    {
        Box::pin(async move {
            let mut turn = self.turn().await?;
            let outcome = turn.describe(sql).await?;
            turn.end().await?;
            Ok(outcome)
        })
    }
}

/// One statement in a trace: its text, in which values are places, and never what stands in them.
pub(super) fn statement_span(text: &str) -> Span {
    let span = tracing::debug_span!("statement", otel.kind = "client", db.query.text = tracing::field::Empty);
    if !text.is_empty() {
        span.record("db.query.text", text);
    }
    span
}

/// `None`: the time is over.
async fn within<T>(patience: Option<Patience>, answer: impl Future<Output = T>) -> Option<T> {
    match patience {
        Some(patience) => tokio::time::timeout(patience.answer, answer).await.ok(),
        None => Some(answer.await),
    }
}

fn one_by_one<'e>(
    steps: impl Future<Output = Result<Steps, Error>> + Send + 'e,
) -> BoxStream<'e, Result<Either<AnyQueryResult, AnyRow>, Error>> {
    stream::once(steps).map_ok(|steps| stream::iter(steps.into_iter().map(Ok))).try_flatten().boxed()
}
