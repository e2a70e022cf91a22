//! Writes that belong together, as values: nothing of them has to be read before the next can be said. They are one
//! transaction on both engines.
//!
//! The embedded engine has one writer, on a thread of its own. Batches that come while others are written share their
//! commit; each of them still stands or falls alone.

use std::io;
use std::path::{Path, PathBuf};
use std::{slice, thread};

use futures_util::TryStreamExt as _;
use sqlx::any::{AnyArguments, AnyQueryResult, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, Either, Error, Execute as _, Executor as _, SqlStr};
use tokio::sync::{mpsc, oneshot};
use tracing::Span;

use super::StoreError;
use super::checkpoints::Gate;
use super::pool::{Pool, statement_span};
use super::sqlite;

/// A statement with what stands in its places.
pub(super) type Write<'q> = Query<'q, Any, AnyArguments>;

/// Most batches that share a commit.
const MAX_SHARING: usize = 64;

/// How many batches wait for the writer before those who bring more have to wait too.
const MAX_WAITING: usize = 1024;

/// What a statement did.
#[derive(Default)]
pub(super) struct Done {
    pub(super) touched: u64,
    pub(super) row: Option<AnyRow>,
}

/// A statement of a batch.
struct Part {
    sql: SqlStr,
    arguments: AnyArguments,
    /// It has to touch or find one row, or nothing of the batch may stay.
    is_claim: bool,
}

/// Writes that belong together.
#[derive(Default)]
pub(super) struct Batch(Vec<Part>);

impl Batch {
    pub(super) fn write(&mut self, query: Write<'_>) -> Result<(), StoreError> {
        self.add(query, false)
    }

    /// A statement that has to touch or find one row, or nothing of the batch stays.
    pub(super) fn claim(&mut self, query: Write<'_>) -> Result<(), StoreError> {
        self.add(query, true)
    }

    /// How many statements it has.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    fn add(&mut self, mut query: Write<'_>, is_claim: bool) -> Result<(), StoreError> {
        let arguments = query.take_arguments().map_err(Error::Encode)?.unwrap_or_default();
        self.0.push(Part { sql: query.sql(), arguments, is_claim });
        Ok(())
    }
}

/// What every statement of a batch did; `None`: a claim was lost, and nothing stays.
type Outcome = Result<Option<Vec<Done>>, Error>;

/// A batch on its way to the writer.
struct Job {
    batch: Batch,
    /// Closed when nobody waits any more.
    tell: oneshot::Sender<Outcome>,
    /// Of the request that it is for.
    span: Span,
}

enum Message {
    Write(Job),
    /// Answered when the connection is closed.
    Stop(oneshot::Sender<()>),
}

/// The way to the one thread that writes to an embedded database.
#[derive(Debug, Clone)]
pub(super) struct Writer(mpsc::Sender<Message>);

impl Writer {
    /// Begins the thread, which ends when the last way to it is gone. `gate` keeps it apart from transactions that
    /// decide as they go.
    pub(super) fn begin(path: &Path, gate: Gate) -> io::Result<Self> {
        let (tell, told) = mpsc::channel(MAX_WAITING);
        let writing = Writing { path: path.to_owned(), gate, connection: None };
        thread::Builder::new().name("sqlite-writer".into()).spawn(move || writing.run(told))?;
        Ok(Self(tell))
    }

    pub(super) async fn write(&self, batch: Batch) -> Outcome {
        let (tell, told) = oneshot::channel();
        let job = Job { batch, tell, span: Span::current() };
        if self.0.send(Message::Write(job)).await.is_err() {
            return Err(Error::PoolClosed);
        }
        told.await.unwrap_or(Err(Error::PoolClosed))
    }

    /// Ends the thread behind what waits.
    pub(super) async fn stop(&self) {
        let (tell, told) = oneshot::channel();
        if self.0.send(Message::Stop(tell)).await.is_ok() {
            let _ = told.await;
        }
    }
}

/// The thread.
struct Writing {
    path: PathBuf,
    gate: Gate,
    /// Kept, with its prepared statements.
    connection: Option<sqlite::Connection>,
}

impl Writing {
    fn run(mut self, mut messages: mpsc::Receiver<Message>) {
        let mut round = Vec::new();
        while messages.blocking_recv_many(&mut round, MAX_SHARING) > 0 {
            let (mut jobs, mut stop) = (vec![], None);
            for message in round.drain(..) {
                match message {
                    Message::Write(job) => jobs.push(job),
                    Message::Stop(tell) => stop = Some(tell),
                }
            }
            if !jobs.is_empty() {
                self.write(jobs);
            }
            if let Some(tell) = stop {
                self.connection = None;
                let _ = tell.send(());
                return;
            }
        }
    }

    /// Writes batches in one transaction or, where one of them cannot stay, each in its own.
    fn write(&mut self, jobs: Vec<Job>) {
        let _turn = self.gate.wait();
        if jobs.len() > 1
            && let Ok(Some(all)) = self.keep(&jobs)
        {
            for (job, done) in jobs.into_iter().zip(all) {
                let _ = job.tell.send(Ok(Some(done)));
            }
            return;
        }
        for job in jobs {
            let outcome = self.keep(slice::from_ref(&job));
            let _ = job.tell.send(outcome.map(|all| all.and_then(|mut all| all.pop())));
        }
    }

    /// Writes batches in one transaction. Nothing stays of all of them with `None`, where a claim was lost or somebody
    /// went away meanwhile, who was told that it was not done, and with an error.
    fn keep(&mut self, jobs: &[Job]) -> Result<Option<Vec<Vec<Done>>>, Error> {
        // Back in its place only after its transaction has ended; otherwise both end here.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let connection = sqlite::Connection::open(&self.path)?;
                connection.remember_more()?;
                connection
            }
        };
        connection.say("BEGIN IMMEDIATE")?;
        let written = write(&mut connection, jobs);
        let ended = connection.say(if matches!(written, Ok(Some(_))) { "COMMIT" } else { "ROLLBACK" });
        if ended.is_ok() {
            self.connection = Some(connection);
        }
        written.and_then(|all| ended.map(|()| all))
    }
}

/// Writes batches into an open transaction; `None`: not all of them may stay.
fn write(connection: &mut sqlite::Connection, jobs: &[Job]) -> Result<Option<Vec<Vec<Done>>>, Error> {
    let mut all = Vec::with_capacity(jobs.len());
    for job in jobs {
        match job.span.in_scope(|| write_one(connection, &job.batch))? {
            Some(done) if !job.tell.is_closed() => all.push(done),
            _ => return Ok(None),
        }
    }
    Ok(Some(all))
}

fn write_one(connection: &mut sqlite::Connection, batch: &Batch) -> Outcome {
    let mut all = Vec::with_capacity(batch.len());
    for Part { sql, arguments, is_claim } in &batch.0 {
        let _span = statement_span(sql.as_str()).entered();
        let (mut rows, touched) = connection.run(sql.as_str(), &arguments.values.0)?;
        if *is_claim && touched != 1 {
            return Ok(None);
        }
        all.push(Done { touched, row: (!rows.is_empty()).then(|| rows.swap_remove(0)) });
    }
    Ok(Some(all))
}

/// Writes a batch, one statement after the other.
pub(super) async fn in_transaction(pool: &Pool, batch: Batch) -> Outcome {
    let mut tx = pool.begin().await?;
    let mut all = Vec::with_capacity(batch.0.len());
    for part in batch.0 {
        let query = sqlx::query_with(part.sql, part.arguments);
        let done = done(tx.fetch_many(query).try_collect().await?).pop().unwrap_or_default();
        if part.is_claim && done.touched != 1 {
            tx.rollback().await?;
            return Ok(None);
        }
        all.push(done);
    }
    tx.commit().await?;
    Ok(Some(all))
}

/// What each statement did, from what all of them gave.
fn done(steps: Vec<Either<AnyQueryResult, AnyRow>>) -> Vec<Done> {
    let mut all = vec![];
    let mut row = None;
    for step in steps {
        match step {
            Either::Right(next) => row = row.or(Some(next)),
            Either::Left(end) => all.push(Done { touched: end.rows_affected(), row: row.take() }),
        }
    }
    all
}
