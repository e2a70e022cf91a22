//! What happens without being asked: expired rows go, keys made elsewhere are read, new tables get statistics. The first
//! two reach every environment, those too that nobody has opened on this server, and do a bounded amount of work at a time.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::runtime::{EnvironmentRegistry, ServerState, StartError};
use crate::storage::EnvironmentRecord;

/// Every server publishes a new key within this, in seconds. `keys rotate` lets none sign earlier.
pub const KEYS_PUBLISHED_WITHIN_S: u32 = 10;

/// How often keys are read again, where no request does it. Half of the promise is left for the reading itself.
const RELOAD_KEYS_EVERY: Duration = Duration::from_secs(KEYS_PUBLISHED_WITHIN_S as u64 / 2);

/// How often expired rows are looked for.
const CLEAN_EVERY: Duration = Duration::from_mins(1);

/// How often tables without statistics are looked for.
const ANALYZE_EVERY: Duration = Duration::from_secs(2);

/// Rows deleted per statement.
const BATCH: i64 = 500;

/// Statements of each kind, for one environment, per pass.
const BATCHES_PER_PASS: usize = 200;

/// Isolated environments per pass; the next pass goes on behind the last of them.
const ENVIRONMENTS_PER_PASS: u16 = 500;

/// Expired rows are kept this long, in milliseconds, so that users read "expired" rather than "unknown".
const KEEP_MS: i64 = 3_600_000;

/// Reads the signing keys again and again, until the task is dropped.
pub async fn reload_keys(registry: EnvironmentRegistry) {
    loop {
        tokio::time::sleep(RELOAD_KEYS_EVERY).await;
        if let Err(error) = reload_changed_keys(&registry).await {
            tracing::warn!(%error, "signing keys could not be read again");
        }
    }
}

/// Reads the signing keys of the open environments that have other ones now. Which do, one statement tells. All other
/// environments read theirs when they are opened.
pub async fn reload_changed_keys(registry: &EnvironmentRegistry) -> Result<(), StartError> {
    let Some(default) = registry.get() else { return Ok(()) };
    let mut stored: HashMap<String, HashSet<String>> = HashMap::new();
    for (environment_id, kid) in default.store().signing_key_ids().await? {
        stored.entry(environment_id).or_default().insert(kid);
    }
    for runtime in registry.runtimes() {
        let known = runtime.keys.current();
        let known: HashSet<&str> = known.keys().iter().map(|key| key.kid()).collect();
        let stored = stored.get(&runtime.id).into_iter().flatten().map(String::as_str).collect();
        if known != stored {
            runtime.reload_keys().await?;
        }
    }
    Ok(())
}

/// Cleans up again and again, until the task is dropped.
pub async fn clean_up(registry: EnvironmentRegistry) {
    let mut cleaner = Cleaner::default();
    loop {
        tokio::time::sleep(CLEAN_EVERY).await;
        match cleaner.pass(&registry).await {
            Ok(rows) => registry.metrics().rows_deleted(rows),
            Err(error) => tracing::warn!(%error, "expired rows could not be deleted"),
        }
    }
}

/// Deletes what environments do not need any more, some environments at a time.
#[derive(Default)]
pub struct Cleaner {
    /// The isolated environment that was cleaned last.
    after: String,
}

impl Cleaner {
    /// Cleans the default environment, and the isolated ones whose turn it is; returns how many rows went.
    pub async fn pass(&mut self, registry: &EnvironmentRegistry) -> Result<u64, StartError> {
        let Some(default) = registry.get() else { return Ok(0) };
        let mut rows = clean(&default.server, &default.record().await?).await?;
        let store = default.store();
        let records = store.isolated_environments(&self.after, ENVIRONMENTS_PER_PASS.into()).await?;
        for record in &records {
            rows += clean(&default.server, record).await?;
        }
        store.close_idle_connections().await;
        self.after = match records.last() {
            Some(last) if records.len() == usize::from(ENVIRONMENTS_PER_PASS) => last.id.clone(),
            _ => String::new(),
        };
        Ok(rows)
    }
}

/// Deletes what an environment does not need any more, batch by batch; returns how many rows went.
async fn clean(server: &ServerState, record: &EnvironmentRecord) -> Result<u64, StartError> {
    let (store, id, machine_ms) = (&server.store, &record.id, server.machine_clock.now_ms());
    // A clock that was set ahead for a test will be set back: what is expired by it alone is left.
    let expired_before_ms = record.clock.now_ms(machine_ms).min(machine_ms) - KEEP_MS;
    let keep_s = server.layers().flows_keep_s(&server.open_settings(&record.settings)?);
    let logged_before_ms = machine_ms - keep_s * 1000;
    let mut rows = 0;
    for _ in 0..BATCHES_PER_PASS {
        let expired = store.delete_expired(id, expired_before_ms, BATCH).await?;
        let logged = store.delete_flows(id, logged_before_ms, BATCH).await?;
        let events = store.delete_events(id, logged_before_ms, BATCH).await?;
        let deliveries = store.delete_deliveries(id, logged_before_ms, BATCH).await?;
        let calls = store.delete_interceptor_calls(id, logged_before_ms, BATCH).await?;
        rows += expired + logged + events + deliveries + calls;
        if expired.max(logged).max(events).max(deliveries).max(calls) < BATCH as u64 {
            break;
        }
    }
    Ok(rows)
}

/// Has the database gather statistics of new tables, until the task is dropped.
pub async fn analyze_new_tables(registry: EnvironmentRegistry) {
    loop {
        tokio::time::sleep(ANALYZE_EVERY).await;
        let Some(runtime) = registry.get() else { continue };
        if let Err(error) = runtime.store().analyze_new_tables().await {
            tracing::warn!(%error, "statistics of new tables could not be gathered");
        }
    }
}
