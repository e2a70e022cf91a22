//! Reading the request journal, and waiting for a request.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

pub use crate::domain::request_journal::{
    NotEmulatedCalls, RecordedParameter, RecordedRequest, RequestFilter, id_of, number_of,
};
use crate::runtime::Context;

/// Requests, newest first; with `wait`, not before there is one or the time is over. Each server has those that it
/// answered itself.
pub async fn list(context: &Context, filter: &RequestFilter, wait: Duration) -> Vec<Arc<RecordedRequest>> {
    let deadline = Instant::now() + wait;
    let requests = &context.runtime.requests;
    let mut changed = requests.subscribe();
    loop {
        changed.mark_unchanged();
        let found = requests.find(filter);
        if !found.is_empty() || Instant::now() >= deadline || context.runtime.server.is_stopping() {
            return found;
        }
        let _ = timeout_at(deadline, changed.changed()).await;
    }
}

/// One request; `None`: it is not kept any more.
pub fn show(context: &Context, id: &str) -> Option<Arc<RecordedRequest>> {
    let number = number_of(id)?;
    let filter = RequestFilter { after: Some(number - 1), limit: usize::MAX, ..RequestFilter::default() };
    context.runtime.requests.find(&filter).into_iter().find(|request| request.number == number)
}

/// The id of the last request, whatever it was.
pub fn cursor(context: &Context) -> String {
    id_of(context.runtime.requests.last_number())
}

/// What applications asked for since the last reset that is not emulated, most often first.
pub fn not_emulated(context: &Context) -> Vec<NotEmulatedCalls> {
    context.runtime.requests.not_emulated()
}
