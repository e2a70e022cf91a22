//! The request journal of an environment at work.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::domain::clock::UnixMs;
use crate::domain::request_journal::{NotEmulatedCalls, RecordedRequest, RequestFilter, RequestLog};

/// The last requests to an environment that this process answered, in memory alone.
pub struct RequestJournal {
    /// Held for as long as it takes to add a request or to look through them, and never across a wait.
    log: Mutex<RequestLog>,
    /// Changes with every request; those who wait for one watch it.
    changed: watch::Sender<u64>,
}

impl RequestJournal {
    pub(super) fn begun_at(now_ms: UnixMs) -> Self {
        Self { log: Mutex::new(RequestLog::begun_at(now_ms)), changed: watch::Sender::new(0) }
    }

    fn log(&self) -> MutexGuard<'_, RequestLog> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a request, of which as many are kept.
    pub fn record(&self, request: RecordedRequest, keep: usize) {
        self.log().push(request, keep);
        self.notify_waiters();
    }

    /// Those that the filter means, newest first.
    pub fn find(&self, filter: &RequestFilter) -> Vec<Arc<RecordedRequest>> {
        self.log().find(filter)
    }

    /// The number of the last request.
    pub fn last_number(&self) -> i64 {
        self.log().last_number()
    }

    /// What applications asked for that is not emulated.
    pub fn not_emulated(&self) -> Vec<NotEmulatedCalls> {
        self.log().not_emulated()
    }

    /// Forgets all requests.
    pub fn clear(&self) {
        self.log().clear();
    }

    /// Tells of every further request.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Tells those who wait to look again.
    pub fn notify_waiters(&self) {
        self.changed.send_modify(|n| *n = n.wrapping_add(1));
    }
}
