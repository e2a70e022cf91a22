//! The engine behind back-channel logout and webhooks: takes what is due, delivers many at a time, and lets no slow receiver
//! delay another.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Failure;

/// How often is looked without being woken: retries fall due, other servers stop.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long what a server took is left to it, in milliseconds by the machine's clock; longer than any attempt.
pub(super) const LEASE_MS: i64 = 30_000;

/// Attempts at one receiver at a time.
const PER_RECEIVER: usize = 8;

/// Attempts in all at a time.
const AT_ONCE: usize = 512;

/// What has to be delivered.
pub(super) trait Queue: Send + Sync + 'static {
    /// A receiver with something to deliver.
    type Receiver: Send + Sync;
    /// Something that was taken.
    type Item: Send + 'static;

    /// What it is called in the log.
    const NAME: &'static str;

    /// Receivers with something that may be due.
    fn receivers(&self) -> impl Future<Output = Result<Vec<Self::Receiver>, Failure>> + Send;

    /// Environment and name of a receiver.
    fn key(receiver: &Self::Receiver) -> (String, String);

    /// Takes up to `limit` due items of a receiver, so that no other server has them for [`LEASE_MS`].
    fn take(
        &self,
        receiver: &Self::Receiver,
        limit: i64,
    ) -> impl Future<Output = Result<Vec<Self::Item>, Failure>> + Send;

    /// Delivers an item, and notes what came of it.
    fn deliver(&self, item: Self::Item) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Waits until there may be something new.
    fn wait(&self) -> impl Future<Output = ()> + Send;
}

/// Delivers until the task is dropped.
pub(super) async fn run<Q: Queue>(queue: Q) {
    let mut engine = Engine { queue: Arc::new(queue), running: JoinSet::new(), slots: HashMap::new() };
    loop {
        if let Err(failure) = engine.fill().await {
            tracing::error!(error = %failure, "{}: the database does not answer; deliveries wait", Q::NAME);
            tokio::time::sleep(LOOK_EVERY).await;
            continue;
        }
        let queue = engine.queue.clone();
        tokio::select! {
            Some(done) = engine.running.join_next() => log(Q::NAME, done),
            () = queue.wait() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        while let Some(done) = engine.running.try_join_next() {
            log(Q::NAME, done);
        }
    }
}

fn log(name: &str, done: Result<Result<(), Failure>, tokio::task::JoinError>) {
    match done {
        Ok(Ok(())) => {}
        // Its lease runs out, and it is tried again.
        Ok(Err(failure)) => tracing::error!(error = %failure, "{name}: a delivery could not be noted"),
        Err(error) => tracing::error!(%error, "{name}: a delivery broke off"),
    }
}

struct Engine<Q: Queue> {
    queue: Arc<Q>,
    running: JoinSet<Result<(), Failure>>,
    /// Attempts that each receiver has left.
    slots: HashMap<(String, String), Arc<Semaphore>>,
}

impl<Q: Queue> Engine<Q> {
    /// Begins as many attempts as there is room for.
    async fn fill(&mut self) -> Result<(), Failure> {
        self.slots.retain(|_, slots| slots.available_permits() < PER_RECEIVER);
        if self.running.len() >= AT_ONCE {
            return Ok(());
        }
        for receiver in self.queue.receivers().await? {
            let slots = self.slots.entry(Q::key(&receiver));
            let slots = slots.or_insert_with(|| Arc::new(Semaphore::new(PER_RECEIVER))).clone();
            let free = slots.available_permits().min(AT_ONCE.saturating_sub(self.running.len()));
            // Several at once cost one look.
            if free < PER_RECEIVER / 2 {
                continue;
            }
            for item in self.queue.take(&receiver, i64::try_from(free).unwrap_or_default()).await? {
                let (queue, slot) = (self.queue.clone(), slots.clone().try_acquire_owned());
                self.running.spawn(async move {
                    let outcome = queue.deliver(item).await;
                    drop(slot);
                    outcome
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::sync::Notify;

    use super::*;

    /// Items of receivers; those for `slow` never end.
    #[derive(Default)]
    struct Items {
        waiting: Mutex<Vec<(&'static str, usize)>>,
        delivered: Mutex<Vec<(&'static str, usize)>>,
        slow_begun: Mutex<usize>,
        changed: Notify,
    }

    struct TestQueue(Arc<Items>);

    impl Queue for TestQueue {
        type Receiver = &'static str;
        type Item = (&'static str, usize);

        const NAME: &'static str = "test";

        async fn receivers(&self) -> Result<Vec<&'static str>, Failure> {
            let mut names: Vec<_> = self.0.waiting.lock().unwrap().iter().map(|(name, _)| *name).collect();
            names.sort_unstable();
            names.dedup();
            Ok(names)
        }

        fn key(receiver: &&'static str) -> (String, String) {
            ("env_1".to_owned(), (*receiver).to_owned())
        }

        async fn take(&self, receiver: &&'static str, limit: i64) -> Result<Vec<Self::Item>, Failure> {
            let mut waiting = self.0.waiting.lock().unwrap();
            let (mut taken, mut left) = (vec![], vec![]);
            for item in waiting.drain(..) {
                let is_taken = item.0 == *receiver && taken.len() < usize::try_from(limit).unwrap();
                if is_taken { taken.push(item) } else { left.push(item) }
            }
            *waiting = left;
            Ok(taken)
        }

        async fn deliver(&self, item: Self::Item) -> Result<(), Failure> {
            if item.0 == "slow" {
                *self.0.slow_begun.lock().unwrap() += 1;
                std::future::pending::<()>().await;
            }
            assert!(item.1 != 3, "a delivery that panics ends alone");
            self.0.delivered.lock().unwrap().push(item);
            self.0.changed.notify_one();
            Ok(())
        }

        async fn wait(&self) {
            std::future::pending::<()>().await;
        }
    }

    #[tokio::test]
    async fn a_slow_receiver_and_a_panic_delay_nobody_else() {
        let items = Arc::new(Items::default());
        let waiting = (0..100).map(|number| ("slow", number)).chain((0..100).map(|number| ("quick", number)));
        items.waiting.lock().unwrap().extend(waiting);
        let engine = tokio::spawn(run(TestQueue(items.clone())));
        while items.delivered.lock().unwrap().len() < 99 {
            items.changed.notified().await;
        }
        assert_eq!(*items.slow_begun.lock().unwrap(), PER_RECEIVER, "and it gets no more than its share");
        engine.abort();
    }
}
