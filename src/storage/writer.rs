//! Writes that belong together, as values: nothing of them has to be read before the next can be said. They are one
//! transaction on both engines.
//!
//! The embedded engine has one writer, and it lives on a thread of its own: the way there and back takes longer than most
//! statements do. So a [`Batch`] is sent there as one text, by one task, and batches that come while others are written
//! share their commit. Each of them still stands or falls alone.

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use sqlx::any::{AnyArguments, AnyQueryResult, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe, Either, Error, Execute as _, Executor as _, SqlStr};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tracing::{Instrument as _, Span};

use super::StoreError;
use super::pool::{Connection, Pool};

/// A statement with what stands in its places.
pub(super) type Write<'q> = Query<'q, Any, AnyArguments>;

/// Most batches that share a commit.
const MAX_SHARING: usize = 64;

/// How many batches wait for the writer before those who bring more have to wait too.
const MAX_WAITING: usize = 1024;

const BEGIN: &str = "BEGIN";

/// Opens and closes what one batch does within a shared transaction.
const SAVE: &str = "SAVEPOINT batch";
const KEEP: &str = "RELEASE batch";
const TAKE_BACK: &str = "ROLLBACK TO batch; RELEASE batch";

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
    /// It has to touch one row, or nothing of the batch may stay.
    is_claim: bool,
}

/// Writes that belong together.
#[derive(Default)]
pub(super) struct Batch(Vec<Part>);

impl Batch {
    pub(super) fn write(&mut self, query: Write<'_>) -> Result<(), StoreError> {
        self.add(query, false)
    }

    /// A write that has to touch one row, or nothing of the batch stays.
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
    Stop,
}

/// The way to the one task that writes to an embedded database.
#[derive(Debug, Clone)]
pub(super) struct Writer(mpsc::Sender<Message>);

impl Writer {
    /// Begins the task, which ends when the last way to it is gone. `gate` keeps it apart from transactions that decide
    /// as they go.
    pub(super) fn begin(pool: Pool, gate: Arc<Semaphore>) -> Self {
        let (tell, told) = mpsc::channel(MAX_WAITING);
        tokio::spawn(Writing { pool, gate, connection: None }.run(told));
        Self(tell)
    }

    pub(super) async fn write(&self, batch: Batch) -> Outcome {
        let (tell, told) = oneshot::channel();
        let job = Job { batch, tell, span: Span::current() };
        if self.0.send(Message::Write(job)).await.is_err() {
            return Err(Error::PoolClosed);
        }
        told.await.unwrap_or(Err(Error::PoolClosed))
    }

    /// Ends the task behind what waits, and gives its connection back.
    pub(super) async fn stop(&self) {
        let _ = self.0.send(Message::Stop).await;
    }
}

/// The task.
struct Writing {
    pool: Pool,
    gate: Arc<Semaphore>,
    /// Kept, with its prepared statements.
    connection: Option<Connection>,
}

impl Writing {
    async fn run(mut self, mut messages: mpsc::Receiver<Message>) {
        let mut round = Vec::new();
        while messages.recv_many(&mut round, MAX_SHARING).await > 0 {
            let (mut jobs, mut stops) = (vec![], false);
            for message in round.drain(..) {
                match message {
                    Message::Write(job) => jobs.push(job),
                    Message::Stop => stops = true,
                }
            }
            if !jobs.is_empty() {
                self.write(jobs).await;
            }
            if stops {
                return;
            }
        }
    }

    /// Writes batches in one transaction, and tells those who wait when it is kept.
    async fn write(&mut self, jobs: Vec<Job>) {
        let mut told = Vec::with_capacity(jobs.len());
        let kept = self.keep(jobs, &mut told).await;
        if let Err(error) = &kept {
            tracing::warn!(%error, batches = told.len(), "a shared commit failed");
        }
        for (tell, outcome) in told {
            // Whose fault it was is told that; the others may try again.
            let shared = || Error::Io(std::io::Error::other("a commit that it shared failed"));
            let _ = tell.send(outcome.and_then(|done| if kept.is_ok() { Ok(done) } else { Err(shared()) }));
        }
    }

    /// `Err`: nothing of all of them stays.
    async fn keep(
        &mut self,
        jobs: Vec<Job>,
        told: &mut Vec<(oneshot::Sender<Outcome>, Outcome)>,
    ) -> Result<(), Error> {
        // The semaphore is never closed.
        let _turn = self.gate.acquire().await;
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.pool.acquire().await?,
        };
        let is_alone = jobs.len() == 1 && jobs.iter().all(|job| job.batch.len() == 1);
        let mut lead = BEGIN;
        for Job { batch, tell, span } in jobs {
            if is_alone {
                // It is a transaction by itself, and where it touches nothing, nothing stays.
                let outcome = write(&mut connection, String::new(), batch).instrument(span).await;
                told.push((tell, outcome));
                continue;
            }
            let outcome = write(&mut connection, format!("{lead}; {SAVE};"), batch).instrument(span).await;
            // Nothing stays for those who went away meanwhile: their callers were told that it was not done.
            let stays = matches!(outcome, Ok(Some(_))) && !tell.is_closed();
            lead = if stays { KEEP } else { TAKE_BACK };
            told.push((tell, outcome));
        }
        if !is_alone {
            let kept = connection.execute(sqlx::query(AssertSqlSafe(format!("{lead}; COMMIT")))).await;
            if let Err(error) = kept {
                // Whatever state it is in: its transaction ends with it.
                connection.close().await;
                return Err(error);
            }
        }
        self.connection = Some(connection);
        Ok(())
    }
}

/// Writes one batch into an open transaction, behind what becomes of the one before it.
async fn write(connection: &mut Connection, lead: String, batch: Batch) -> Outcome {
    let claims: Vec<bool> = batch.0.iter().map(|part| part.is_claim).collect();
    let (sql, arguments) = joined(lead, batch.0);
    let steps = connection.fetch_many(sqlx::query_with(AssertSqlSafe(sql), arguments)).try_collect().await?;
    let mut done = done(steps);
    // What was said before it.
    done.drain(..done.len().saturating_sub(claims.len()));
    let is_lost =
        done.len() < claims.len() || done.iter().zip(claims).any(|(d, claims)| claims && d.touched != 1);
    Ok((!is_lost).then_some(done))
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

/// Several statements as one text, in which places count on.
fn joined(lead: String, parts: Vec<Part>) -> (String, AnyArguments) {
    let mut all = AnyArguments::default();
    let mut text = lead;
    text.reserve(parts.iter().map(|p| p.sql.as_str().len() + 16).sum());
    for Part { sql, arguments, .. } in parts {
        count_on(sql.as_str(), all.values.0.len(), &mut text);
        text.push(';');
        all.values.0.extend(arguments.values.0);
    }
    (text, all)
}

/// Appends a statement whose places begin behind so many others: `$1` becomes `$3` behind two.
fn count_on(sql: &str, others: usize, text: &mut String) {
    let mut rest = sql;
    while let Some((before, after)) = rest.split_once('$') {
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        text.push_str(before);
        text.push('$');
        if let Ok(place) = after[..digits].parse::<usize>() {
            text.push_str(&(place + others).to_string());
        }
        rest = &after[digits..];
    }
    text.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_on_behind_those_of_the_statements_before() {
        let mut text = String::new();
        count_on("update a set b = $2, c = '$' where d = $1 and e = $10", 3, &mut text);
        assert_eq!(text, "update a set b = $5, c = '$' where d = $4 and e = $13");
    }
}
