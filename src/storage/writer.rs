//! The one writer of the embedded engine: a task with a connection of its own. Batches that come while others are written
//! share their commit; each of them still stands or falls alone.

use std::io;
use std::sync::Arc;

use sqlx::any::AnyConnectOptions;
use sqlx::{AnyConnection, Connection as _, Error};
use tokio::sync::{Mutex, mpsc, oneshot};
use tracing::{Instrument as _, Span};

use super::batch::{Batch, BatchResult};
use super::sqlite;

/// Most batches that share a commit.
const MAX_SHARED_COMMIT: usize = 64;

/// How many batches wait for the writer before those who bring more have to wait too.
const MAX_WAITING: usize = 1024;

/// A batch on its way to the writer.
struct Job {
    batch: Batch,
    /// Closed when nobody waits any more.
    reply: oneshot::Sender<BatchResult>,
    /// Of the request that it is for.
    span: Span,
}

enum Message {
    Write(Job),
    /// Answered when the connection is closed.
    Stop(oneshot::Sender<()>),
}

/// The way to the one task that writes to an embedded database.
#[derive(Debug, Clone)]
pub(super) struct Writer(mpsc::Sender<Message>);

impl Writer {
    /// Begins the task, which ends when the last way to it is gone. `lock` keeps it apart from transactions that decide as
    /// they go.
    pub(super) fn start(connection: AnyConnection, options: AnyConnectOptions, lock: Arc<Mutex<()>>) -> Self {
        let (messages, inbox) = mpsc::channel(MAX_WAITING);
        let task = WriterTask { options, lock, connection: Some(connection) };
        tokio::spawn(task.run(inbox));
        Self(messages)
    }

    pub(super) async fn write(&self, batch: Batch) -> BatchResult {
        let (reply, outcome) = oneshot::channel();
        let job = Job { batch, reply, span: Span::current() };
        if self.0.send(Message::Write(job)).await.is_err() {
            return Err(Error::PoolClosed);
        }
        outcome.await.unwrap_or(Err(Error::PoolClosed))
    }

    /// Ends the task behind what waits.
    pub(super) async fn stop(&self) {
        let (reply, stopped) = oneshot::channel();
        if self.0.send(Message::Stop(reply)).await.is_ok() {
            let _ = stopped.await;
        }
    }
}

struct WriterTask {
    options: AnyConnectOptions,
    lock: Arc<Mutex<()>>,
    /// Kept, with its prepared statements; `None` after a failure.
    connection: Option<AnyConnection>,
}

impl WriterTask {
    async fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        let mut messages = Vec::new();
        while inbox.recv_many(&mut messages, MAX_SHARED_COMMIT).await > 0 {
            let (mut jobs, mut stop) = (vec![], None);
            for message in messages.drain(..) {
                match message {
                    Message::Write(job) => jobs.push(job),
                    Message::Stop(reply) => stop = Some(reply),
                }
            }
            self.write(jobs).await;
            if let Some(reply) = stop {
                if let Some(connection) = self.connection.take() {
                    let _ = connection.close().await;
                }
                let _ = reply.send(());
                return;
            }
        }
    }

    /// Writes batches in one transaction, and replies once it is committed.
    async fn write(&mut self, jobs: Vec<Job>) {
        let lock = self.lock.clone();
        let _held = lock.lock().await;
        let (mut jobs, mut written) = (jobs.into_iter(), vec![]);
        match self.commit(&mut jobs, &mut written).await {
            Ok(()) => {
                for (reply, result) in written {
                    let _ = reply.send(result);
                }
            }
            // Nothing stays of any of them.
            Err(error) => {
                let mut replies =
                    written.into_iter().map(|(reply, _)| reply).chain(jobs.map(|job| job.reply));
                let last = replies.next_back();
                for reply in replies {
                    let _ = reply.send(Err(Error::Io(io::Error::other(error.to_string()))));
                }
                if let Some(reply) = last {
                    let _ = reply.send(Err(error));
                }
            }
        }
    }

    /// Takes jobs one after the other and notes what each did. One that is refused, or that nobody waits for any more,
    /// leaves nothing behind.
    async fn commit(
        &mut self,
        jobs: &mut std::vec::IntoIter<Job>,
        written: &mut Vec<(oneshot::Sender<BatchResult>, BatchResult)>,
    ) -> Result<(), Error> {
        // Back in its place only after its transaction has ended; otherwise both end here.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => sqlite::connect(&self.options).await?,
        };
        execute_raw(&mut connection, "BEGIN IMMEDIATE; SAVEPOINT batch").await?;
        for Job { batch, reply, span } in jobs {
            let result = batch.run_in_savepoint(&mut connection).instrument(span).await;
            if matches!(result, Ok(Some(_))) && !reply.is_closed() {
                written.push((reply, result));
                continue;
            }
            match execute_raw(&mut connection, "ROLLBACK TO batch").await {
                Ok(()) => written.push((reply, result)),
                // A failure such as a full disk ends the whole transaction, and so do others.
                Err(error) => {
                    written.push((reply, Ok(None)));
                    return Err(result.err().unwrap_or(error));
                }
            }
        }
        execute_raw(&mut connection, "COMMIT").await?;
        self.connection = Some(connection);
        Ok(())
    }
}

async fn execute_raw(connection: &mut AnyConnection, sql: &'static str) -> Result<(), Error> {
    sqlx::raw_sql(sql).execute(connection).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use futures_util::future::join_all;
    use sqlx::any::AnyRow;

    use super::super::statement::{Statement, sql};
    use super::*;

    struct Database {
        writer: Writer,
        options: AnyConnectOptions,
        lock: Arc<Mutex<()>>,
        _folder: tempfile::TempDir,
    }

    /// A database with one table, whose ids may stand there once.
    async fn database() -> Database {
        sqlx::any::install_default_drivers();
        let folder = tempfile::tempdir().unwrap();
        let (options, mut connection) = sqlite::open(&folder.path().join("a b#?%41.db")).await.unwrap();
        let table = "CREATE TABLE t (id TEXT PRIMARY KEY, n BIGINT, b BLOB)";
        sqlx::raw_sql(table).execute(&mut connection).await.unwrap();
        let lock = Arc::new(Mutex::new(()));
        let writer = Writer::start(connection, options.clone(), lock.clone());
        Database { writer, options, lock, _folder: folder }
    }

    impl Database {
        async fn ids(&self) -> Vec<String> {
            let mut connection = sqlite::connect(&self.options).await.unwrap();
            let rows: Vec<AnyRow> =
                sqlx::query("select id FROM t ORDER BY id").fetch_all(&mut connection).await.unwrap();
            rows.iter().map(|row| sqlx::Row::get(row, 0)).collect()
        }
    }

    fn inserting(id: &str) -> Statement {
        sql("insert into t (id) VALUES ($1)").bind(id)
    }

    fn batch(ids: &[&str]) -> Batch {
        let mut batch = Batch::default();
        for id in ids {
            batch.write(inserting(id));
        }
        batch
    }

    #[tokio::test]
    async fn batches_that_share_a_commit_stand_or_fall_alone() {
        let database = database().await;
        // All of them wait while somebody else writes, and are written together.
        let held = database.lock.lock().await;
        let first = database.writer.write(batch(&["a"]));
        let taken = database.writer.write(batch(&["b", "a"]));
        let mut claim = batch(&["c"]);
        claim.require_one_row(sql("update t SET n = 1 WHERE id = 'nobody'"));
        claim.write(inserting("a"));
        let lost = database.writer.write(claim);
        let mut look = batch(&["d"]);
        look.require_one_row(sql(concat!("SELECT", " 1 FROM t WHERE id = 'nobody'")));
        let not_found = database.writer.write(look);
        let abandoned = database.writer.write(batch(&["e"]));
        let last = database.writer.write(batch(&["f", "g"]));
        let mut abandoned = Box::pin(abandoned);
        assert!(abandoned.as_mut().now_or_never().is_none());
        drop(abandoned);
        let all = async { tokio::join!(first, taken, lost, not_found, last) };
        let ((), (first, taken, lost, not_found, last)) = tokio::join!(async { drop(held) }, all);
        assert_eq!(first.unwrap().unwrap()[0].rows_affected, 1);
        assert!(taken.err().unwrap().as_database_error().unwrap().is_unique_violation());
        assert!(lost.unwrap().is_none());
        assert!(not_found.unwrap().is_none());
        assert_eq!(last.unwrap().unwrap().len(), 2);
        assert_eq!(database.ids().await, ["a", "f", "g"]);
    }

    #[tokio::test]
    async fn every_writer_at_once_is_answered() {
        let database = database().await;
        let ids: Vec<String> = (0..300).map(|i| format!("{i:03}")).collect();
        let (together, alone) = ids.split_at(40);
        let together = batch(&together.iter().map(String::as_str).collect::<Vec<_>>());
        let results = database.writer.write(together).await.unwrap().unwrap();
        assert_eq!(results.iter().map(|result| result.rows_affected).sum::<u64>(), 40);
        let outcomes = join_all(alone.iter().map(|id| database.writer.write(batch(&[id])))).await;
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(Some(_)))));
        assert_eq!(database.ids().await, ids);
        database.writer.stop().await;
        assert!(matches!(database.writer.write(batch(&["late"])).await, Err(Error::PoolClosed)));
    }

    #[tokio::test]
    async fn a_failure_of_the_connection_is_not_the_end() {
        let database = database().await;
        let mut ending = batch(&["a"]);
        // Ends the transaction under the writer's feet.
        ending.write(sql("ROLLBACK"));
        assert!(database.writer.write(ending).await.is_err());
        assert!(matches!(database.writer.write(batch(&["b"])).await, Ok(Some(_))));
        assert_eq!(database.ids().await, ["b"]);
    }

    #[tokio::test]
    async fn places_mean_their_numbers_in_any_order_and_values_come_back() {
        let database = database().await;
        let mut batch = Batch::default();
        let inserting = "insert into t (id, n, b) VALUES ($2, $3, $1) RETURNING b, n, id, $2 AS again";
        batch.write(sql(inserting).bind(vec![0_u8, 255]).bind("a").bind(None::<i64>));
        let results = database.writer.write(batch).await.unwrap().unwrap();
        let row: (Vec<u8>, Option<i64>, String, String) = results[0].first().unwrap().unwrap();
        assert_eq!(row, (vec![0, 255], None, "a".to_owned(), "a".to_owned()));
        assert_eq!(results[0].rows_affected, 1);
    }
}
