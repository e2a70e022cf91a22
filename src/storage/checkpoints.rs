//! Who may write to an embedded database, and what follows from it. Whatever is written goes to the end of a log first,
//! and from there into the database file at a checkpoint, which waits for the disk. SQLite would let the writer do that
//! now and then, and everybody behind it wait; here a thread of its own does it, while others write on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use sqlx::Error;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::sqlite::{Checkpoint, Connection};

/// How long the thread lets writes gather before it looks at the log.
const PAUSE: Duration = Duration::from_millis(100);

/// Pages in the log that are worth a checkpoint: four mebibytes.
const ENOUGH_PAGES: i64 = 1000;

/// Pages in the log after which writers wait until it is empty, because it would grow for as long as they go on.
const TOO_MANY_PAGES: i64 = 16 * ENOUGH_PAGES;

/// How long writers wait at most for those who read what is in the log. Where it takes them longer, the log grows on until
/// the next look.
const PATIENCE: Duration = Duration::from_millis(100);

/// The right to write, which one has at a time. Queueing here is fair and quick; SQLite's busy handler sleeps and guesses.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    turns: Arc<Mutex<()>>,
    written: SyncSender<()>,
}

/// Held until the write is done.
pub(super) struct Turn {
    _held: OwnedMutexGuard<()>,
    written: SyncSender<()>,
}

impl Gate {
    /// Opens the gate to a database that exists, and begins the thread, which ends with the last of those who may write.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let (written, told) = sync_channel(1);
        let turns = Arc::new(Mutex::new(()));
        let checkpoints = Checkpoints { path: path.to_owned(), turns: turns.clone() };
        thread::Builder::new().name("sqlite-checkpoints".into()).spawn(move || checkpoints.run(&told))?;
        Ok(Self { turns, written })
    }

    pub(super) async fn turn(&self) -> Turn {
        Turn { _held: self.turns.clone().lock_owned().await, written: self.written.clone() }
    }

    /// The same on a thread that may wait.
    pub(super) fn wait(&self) -> Turn {
        Turn { _held: self.turns.clone().blocking_lock_owned(), written: self.written.clone() }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Where there is no room, the thread knows already.
        let _ = self.written.try_send(());
    }
}

struct Checkpoints {
    path: PathBuf,
    turns: Arc<Mutex<()>>,
}

impl Checkpoints {
    fn run(self, written: &Receiver<()>) {
        while written.recv().is_ok() {
            thread::sleep(PAUSE);
            // That of an ephemeral server is gone with it.
            if self.path.exists()
                && let Err(error) = self.empty_the_log()
            {
                tracing::warn!(%error, "the log of the embedded database was not written back");
            }
        }
    }

    fn empty_the_log(&self) -> Result<(), Error> {
        let connection = Connection::open_with(&self.path, PATIENCE)?;
        if connection.checkpoint(Checkpoint::Look)? < ENOUGH_PAGES {
            return Ok(());
        }
        if connection.checkpoint(Checkpoint::WhileOthersWrite)? > TOO_MANY_PAGES {
            // What came meanwhile too, so that the wait is short.
            connection.checkpoint(Checkpoint::WhileOthersWrite)?;
            let _turn = self.turns.blocking_lock();
            connection.checkpoint(Checkpoint::AndStartOver)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const WAIT: Duration = Duration::from_secs(30);

    /// Writes a page's worth, and lets the thread know.
    fn write(gate: &Gate, connection: &mut Connection) {
        let _turn = gate.wait();
        connection.run("insert into t VALUES (randomblob(3000))", &[]).unwrap();
    }

    /// Goes on until the log has at most, or at least, so many pages.
    fn until(
        connection: &mut Connection,
        mut step: impl FnMut(&mut Connection),
        is_done: impl Fn(i64) -> bool,
    ) {
        let begun = Instant::now();
        while !is_done(connection.checkpoint(Checkpoint::Look).unwrap()) {
            assert!(
                begun.elapsed() < WAIT,
                "the log has {:?} pages",
                connection.checkpoint(Checkpoint::Look)
            );
            step(connection);
        }
    }

    #[test]
    fn a_long_log_is_written_back_and_begins_anew_while_others_write() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.db");
        let mut connection = Connection::open(&path).unwrap();
        connection.run("CREATE TABLE t (b BLOB)", &[]).unwrap();
        let gate = Gate::open(&path).unwrap();
        let writing = |connection: &mut Connection| write(&gate, connection);
        until(&mut connection, writing, |pages| pages > ENOUGH_PAGES);
        // Whoever writes next begins at its start again, once all of it is in the file.
        until(&mut connection, writing, |pages| pages < ENOUGH_PAGES);
        let (rows, _) = connection.run("PRAGMA integrity_check", &[]).unwrap();
        assert_eq!(sqlx::Row::get::<String, _>(&rows[0], 0), "ok");
    }
}
