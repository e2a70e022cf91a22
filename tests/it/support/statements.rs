//! How many statements something takes.

use std::sync::{Arc, LazyLock, Mutex};

use tracing::Dispatch;
use tracing::field::{Field, Visit};
use tracing::instrument::WithSubscriber as _;
use tracing::span::{Attributes, Id};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

/// What `task` gives, and the statements that it ran. Writes to the embedded database are a task of its own: they are
/// not among them.
pub async fn statements_of<T>(task: impl Future<Output = T>) -> (T, Vec<String>) {
    LazyLock::force(&LISTENER);
    let found = Found::default();
    let outcome = task.with_subscriber(tracing_subscriber::registry().with(found.clone())).await;
    let statements = std::mem::take(&mut *found.0.lock().unwrap());
    (outcome, statements)
}

/// Somebody who always listens. Without, a span that another test meets first at the moment in which we begin to listen
/// is taken for one that nobody wants.
static LISTENER: LazyLock<Dispatch> =
    LazyLock::new(|| Dispatch::new(tracing_subscriber::registry().with(Found::default())));

#[derive(Clone, Default)]
struct Found(Arc<Mutex<Vec<String>>>);

impl<S: tracing::Subscriber> Layer<S> for Found {
    fn on_new_span(&self, attributes: &Attributes<'_>, _id: &Id, _context: Context<'_, S>) {
        attributes.record(&mut Reader(self));
    }
}

struct Reader<'f>(&'f Found);

impl Visit for Reader<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "db.query.text" {
            self.0.0.lock().unwrap().push(value.to_owned());
        }
    }

    fn record_debug(&mut self, _field: &Field, _value: &dyn std::fmt::Debug) {}
}
