//! What each connection holds of the server's memory, and which connection goes when there is too little of it.
//!
//! A client may ask and not read (HTTP/2 with a window of zero, HTTP/1.1 without taking anything from the socket). What
//! it asked for then waits here. So every byte of an answer is on its connection's account until it was written, and so
//! are heads and bodies of requests until they were dealt with.

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::domain::clock::{Clock, UnixMs};
use crate::domain::source_address::SourceAddress;

/// A connection that has more than this waiting to be written gets no further request answered, in bytes.
const MAX_UNDELIVERED_BYTES: usize = 1 << 20;

/// What is reckoned for a connection, and for a request beside its head, in bytes.
const CONNECTION_BYTES: usize = 16 << 10;
const REQUEST_BYTES: usize = 4 << 10;

/// How long nothing was taken until a connection is the first to go when memory is short, in milliseconds.
const STALLED_AFTER_MS: i64 = 1000;

/// What all connections of a server may take together.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of requests and answers.
    pub held_bytes: usize,
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { held_bytes: 128 << 20, connections: 4096 }
    }
}

/// Why a connection is ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ending {
    #[error("its client takes nothing of what it asked for")]
    Stalled,
    #[error("it held most of what all connections may hold")]
    HeldMost,
    #[error("there were too many connections, most of them from its address")]
    TooMany,
}

/// Time that nobody sets: only differences count.
pub struct Uptime(Instant);

impl Default for Uptime {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for Uptime {
    fn now_ms(&self) -> UnixMs {
        UnixMs::try_from(self.0.elapsed().as_millis()).unwrap_or(UnixMs::MAX)
    }
}

/// All connections of a server.
pub struct Connections {
    limits: Limits,
    clock: Arc<dyn Clock>,
    held_bytes: AtomicUsize,
    next_id: AtomicU64,
    open: Mutex<HashMap<u64, Arc<Connection>>>,
}

/// One connection.
pub struct Connection {
    all: Arc<Connections>,
    source: Option<SourceAddress>,
    held_bytes: AtomicUsize,
    /// Of those: bytes of answers.
    undelivered_bytes: AtomicUsize,
    /// When a part of an answer was last written, or the first began to wait.
    delivered_at_ms: AtomicI64,
    requests: AtomicU64,
    in_flight: AtomicUsize,
    /// When it was opened, or its last answer ended.
    active_at_ms: AtomicI64,
    ending: OnceLock<Ending>,
    ended: Notify,
    room: Notify,
}

/// A connection for as long as it is open.
pub struct Open {
    id: u64,
    pub connection: Arc<Connection>,
    _held: Held,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.connection.all.open().remove(&self.id);
    }
}

impl Connections {
    pub fn new(limits: Limits, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            limits,
            clock,
            held_bytes: AtomicUsize::new(0),
            next_id: AtomicU64::new(0),
            open: Mutex::default(),
        })
    }

    /// Where there are too many, one of the source that has most goes for it: the one that was idle for longest.
    pub fn enter(self: &Arc<Self>, address: Option<IpAddr>) -> Open {
        let connection = Arc::new(Connection {
            all: self.clone(),
            source: address.map(SourceAddress::from),
            held_bytes: AtomicUsize::new(0),
            undelivered_bytes: AtomicUsize::new(0),
            delivered_at_ms: AtomicI64::new(0),
            requests: AtomicU64::new(0),
            in_flight: AtomicUsize::new(0),
            active_at_ms: AtomicI64::new(self.now_ms()),
            ending: OnceLock::new(),
            ended: Notify::new(),
            room: Notify::new(),
        });
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let mut open = self.open();
        if open.len() >= self.limits.connections {
            Self::make_room(&open);
        }
        open.insert(id, connection.clone());
        drop(open);
        Open { id, _held: Held::new(&connection, CONNECTION_BYTES, false), connection }
    }

    fn make_room(open: &HashMap<u64, Arc<Connection>>) {
        let mut of_source: HashMap<Option<SourceAddress>, usize> = HashMap::new();
        for connection in open.values() {
            *of_source.entry(connection.source).or_default() += 1;
        }
        let last_to_go = |c: &&Arc<Connection>| {
            let of_source = of_source.get(&c.source).copied().unwrap_or_default();
            let is_busy = c.in_flight.load(Ordering::Relaxed) > 0;
            (std::cmp::Reverse(of_source), is_busy, c.active_at_ms.load(Ordering::Relaxed))
        };
        let leaving = open.values().filter(|c| c.ending.get().is_none()).min_by_key(last_to_go);
        leaving.inspect(|c| c.end(Ending::TooMany));
    }

    /// Ends connections until the others hold no more than they may: first those that take nothing, first those that
    /// hold most.
    fn relieve(&self) {
        let now_ms = self.now_ms();
        let open = self.open();
        let mut staying: Vec<_> = open
            .values()
            .filter(|c| c.ending.get().is_none())
            .map(|c| (c.is_stalled(now_ms), c.held_bytes.load(Ordering::Relaxed), c))
            .collect();
        let mut held: usize = staying.iter().map(|(_, bytes, _)| bytes).sum();
        if held <= self.limits.held_bytes {
            return;
        }
        staying.sort_unstable_by_key(|(is_stalled, bytes, _)| (*is_stalled, *bytes));
        while held > self.limits.held_bytes
            && let Some((_, bytes, connection)) = staying.pop()
        {
            connection.end(Ending::HeldMost);
            held -= bytes;
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, Arc<Connection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> UnixMs {
        self.clock.now_ms()
    }

    fn since(&self, ms: UnixMs) -> Duration {
        Duration::from_millis(u64::try_from(self.now_ms() - ms).unwrap_or_default())
    }
}

impl Connection {
    /// A request that came.
    pub fn request(self: &Arc<Self>) -> InFlight {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self.clone())
    }

    /// Waits until enough of the answers before was taken.
    pub async fn room(&self) {
        loop {
            let mut freed = pin!(self.room.notified());
            freed.as_mut().enable();
            if self.undelivered_bytes.load(Ordering::Relaxed) <= MAX_UNDELIVERED_BYTES {
                return;
            }
            freed.await;
        }
    }

    pub fn is_unused(&self) -> bool {
        self.requests.load(Ordering::Relaxed) == 0
    }

    pub fn is_busy(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) > 0
    }

    /// How long ago it was opened, or its last answer ended.
    pub fn idle_for(&self) -> Duration {
        self.all.since(self.active_at_ms.load(Ordering::Relaxed))
    }

    /// How long the client has taken nothing of the answers that wait for it; `None`: nothing waits.
    pub fn stalled_for(&self) -> Option<Duration> {
        let is_waiting = self.undelivered_bytes.load(Ordering::Relaxed) > 0;
        is_waiting.then(|| self.all.since(self.delivered_at_ms.load(Ordering::Relaxed)))
    }

    fn is_stalled(&self, now_ms: UnixMs) -> bool {
        self.undelivered_bytes.load(Ordering::Relaxed) > 0
            && now_ms - self.delivered_at_ms.load(Ordering::Relaxed) >= STALLED_AFTER_MS
    }

    /// The connection is to end, and with it all that it holds.
    pub fn end(&self, ending: Ending) {
        if self.ending.set(ending).is_ok() {
            self.ended.notify_one();
        }
    }

    /// Ready when the connection is to end.
    pub async fn ended(&self) -> Ending {
        loop {
            if let Some(ending) = self.ending.get() {
                return *ending;
            }
            self.ended.notified().await;
        }
    }
}

/// One request under way, until the last byte of its answer was taken over by hyper.
pub struct InFlight(Arc<Connection>);

impl InFlight {
    pub fn connection(&self) -> &Arc<Connection> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.active_at_ms.store(self.0.all.now_ms(), Ordering::Relaxed);
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Bytes on a connection's account, until this is dropped.
pub struct Held {
    connection: Arc<Connection>,
    bytes: usize,
    is_answer: bool,
}

impl Held {
    fn new(connection: &Arc<Connection>, bytes: usize, is_answer: bool) -> Self {
        let mut held = Self { connection: connection.clone(), bytes: 0, is_answer };
        held.grow(bytes);
        held
    }

    /// A request with so many bytes of head.
    pub fn request(connection: &Arc<Connection>, head_bytes: usize) -> Self {
        Self::new(connection, REQUEST_BYTES + head_bytes, false)
    }

    /// An answer of which so many bytes are there.
    pub fn answer(connection: &Arc<Connection>, bytes: usize) -> Self {
        Self::new(connection, bytes, true)
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn grow(&mut self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let (connection, all) = (&self.connection, &self.connection.all);
        self.bytes += bytes;
        if self.is_answer && connection.undelivered_bytes.fetch_add(bytes, Ordering::Relaxed) == 0 {
            connection.delivered_at_ms.store(all.now_ms(), Ordering::Relaxed);
        }
        connection.held_bytes.fetch_add(bytes, Ordering::Relaxed);
        if all.held_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > all.limits.held_bytes {
            all.relieve();
        }
    }

    /// The first bytes of an answer, on an account that ends when they were written.
    pub fn part(&mut self, bytes: Bytes) -> Bytes {
        let taken = self.bytes.min(bytes.len());
        self.bytes -= taken;
        let held = Self { connection: self.connection.clone(), bytes: taken, is_answer: self.is_answer };
        Bytes::from_owner(Part { bytes, _held: held })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let (connection, all) = (&self.connection, &self.connection.all);
        all.held_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        connection.held_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        if self.is_answer {
            connection.delivered_at_ms.store(all.now_ms(), Ordering::Relaxed);
            let before = connection.undelivered_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
            if before > MAX_UNDELIVERED_BYTES && before - self.bytes <= MAX_UNDELIVERED_BYTES {
                connection.room.notify_waiters();
            }
        }
    }
}

/// Bytes of an answer that hyper has, and drops when they were written.
struct Part {
    bytes: Bytes,
    _held: Held,
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::FrozenClock;

    fn connections(held_bytes: usize, connections: usize) -> (Arc<Connections>, Arc<FrozenClock>) {
        let clock = Arc::new(FrozenClock::at(1_000_000));
        (Connections::new(Limits { held_bytes, connections }, clock.clone()), clock)
    }

    fn ending(open: &Open) -> Option<Ending> {
        open.connection.ending.get().copied()
    }

    #[test]
    fn who_takes_nothing_goes_before_who_holds_more_and_takes_it() {
        let (all, clock) = connections(3 * CONNECTION_BYTES + 100_000, 10);
        let (reader, sleeper, other) = (all.enter(None), all.enter(None), all.enter(None));
        let mut large = Held::answer(&reader.connection, 60_000);
        let small = Held::answer(&sleeper.connection, 30_000);
        clock.advance_ms(2000);
        drop(large.part(Bytes::from_static(b"taken")));
        let mut last = Held::request(&other.connection, 20_000);
        assert_eq!((ending(&reader), ending(&sleeper), ending(&other)), (None, Some(Ending::HeldMost), None));
        // The one that goes does not count any more, though it still holds what it held.
        last.grow(1);
        assert_eq!((ending(&reader), ending(&other)), (None, None));
        // Without anybody who takes nothing, whoever holds most goes.
        last.grow(35_000);
        assert_eq!((ending(&reader), ending(&other)), (Some(Ending::HeldMost), None));
        drop((small, large, last, reader, sleeper, other));
        assert_eq!(all.held_bytes.load(Ordering::Relaxed), 0, "all accounts are settled");
    }

    #[test]
    fn an_answer_is_stalled_only_while_something_of_it_waits() {
        let (all, clock) = connections(usize::MAX, 10);
        let open = all.enter(None);
        let stalled_s = || open.connection.stalled_for().map(|time| time.as_secs());
        assert_eq!(stalled_s(), None, "nothing was asked for");
        let mut answer = Held::answer(&open.connection, 10);
        clock.advance_ms(5000);
        let first = answer.part(Bytes::from_static(b"first"));
        assert_eq!(stalled_s(), Some(5), "hyper has it, the client has not");
        drop(first);
        assert_eq!(stalled_s(), Some(0));
        clock.advance_ms(3000);
        assert_eq!(stalled_s(), Some(3));
        drop(answer.part(Bytes::from_static(b"other")));
        assert_eq!(stalled_s(), None);
    }

    #[tokio::test]
    async fn with_too_much_undelivered_a_connection_waits_for_room() {
        let (all, _) = connections(usize::MAX, 10);
        let open = all.enter(None);
        let some = Held::answer(&open.connection, MAX_UNDELIVERED_BYTES);
        open.connection.room().await;
        let more = Held::answer(&open.connection, 1);
        let mut waiting = pin!(open.connection.room());
        assert!(futures_util::FutureExt::now_or_never(waiting.as_mut()).is_none());
        drop(more);
        waiting.await;
        drop(some);
    }

    #[tokio::test]
    async fn too_many_connections_cost_the_source_that_has_most_its_idlest() {
        let (all, clock) = connections(usize::MAX, 4);
        let many = Some("192.0.2.1".parse().unwrap());
        let honest = all.enter(Some("192.0.2.2".parse().unwrap()));
        let mut opened = vec![];
        for _ in 0..3 {
            clock.advance_ms(1000);
            opened.push(all.enter(many));
        }
        let _busy = opened[0].connection.request();
        let late = all.enter(Some("192.0.2.3".parse().unwrap()));
        assert_eq!(ending(&opened[1]), Some(Ending::TooMany), "the busy one is spared");
        for open in [&honest, &late, &opened[0], &opened[2]] {
            assert_eq!(ending(open), None);
        }
        assert_eq!(opened[1].connection.ended().await, Ending::TooMany);
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_source() {
        let of = |text: &str| SourceAddress::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }
}
