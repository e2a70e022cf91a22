//! What happens without being asked: expired rows go, keys made elsewhere are read.

use std::time::Duration;

use crate::domain::clock::Clock as _;
use crate::runtime::{App, Provider};
use crate::storage::StoreError;

/// Every server publishes a new key within this, in seconds. `keys rotate` lets none sign earlier.
pub const KEYS_PUBLISHED_WITHIN_S: u32 = 10;

/// How often keys are read again, where no request does it. Half of the promise is left for the reading itself.
const RELOAD_KEYS_EVERY: Duration = Duration::from_secs(KEYS_PUBLISHED_WITHIN_S as u64 / 2);

/// How often expired rows are looked for.
const CLEAN_EVERY: Duration = Duration::from_mins(1);

/// Rows deleted per statement.
const BATCH: i64 = 500;

/// Expired rows are kept this long, in milliseconds, so that people read "expired" rather than "unknown".
const KEEP_MS: i64 = 3_600_000;

/// Reads the signing keys again and again, until the task is dropped.
pub async fn reload_keys(provider: Provider) {
    loop {
        tokio::time::sleep(RELOAD_KEYS_EVERY).await;
        for app in provider.apps() {
            if let Err(error) = app.reload_keys().await {
                tracing::warn!(%error, "signing keys could not be read again");
            }
        }
    }
}

/// Cleans up again and again, until the task is dropped.
pub async fn clean_up(provider: Provider) {
    loop {
        tokio::time::sleep(CLEAN_EVERY).await;
        for app in provider.apps() {
            match clean(&app).await {
                Ok(rows) => provider.metrics().rows_deleted(rows),
                Err(error) => tracing::warn!(%error, "expired rows could not be deleted"),
            }
        }
    }
}

/// Deletes what an environment does not need any more, batch by batch; returns how many rows went.
async fn clean(app: &App) -> Result<u64, StoreError> {
    let (store, id) = (app.store(), &app.id);
    // A clock that was set ahead for a test will be set back: what is expired by it alone is left.
    let expired_before_ms = app.clock.now_ms().min(app.clock.machine_ms()) - KEEP_MS;
    let logged_before_ms = app.clock.machine_ms() - app.live().environment.flows_keep_s * 1000;
    let mut rows = 0;
    loop {
        let expired = store.delete_expired(id, expired_before_ms, BATCH).await?;
        let logged = store.delete_flows(id, logged_before_ms, BATCH).await?;
        rows += expired + logged;
        if expired.max(logged) < BATCH as u64 {
            return Ok(rows);
        }
    }
}

/// How often tables without statistics are looked for.
const ANALYZE_EVERY: Duration = Duration::from_secs(2);

/// Has the database gather statistics of new tables, until the task is dropped.
pub async fn analyze_new_tables(provider: Provider) {
    loop {
        tokio::time::sleep(ANALYZE_EVERY).await;
        let Some(app) = provider.get() else { continue };
        if let Err(error) = app.store().analyze_new_tables().await {
            tracing::warn!(%error, "statistics of new tables could not be gathered");
        }
    }
}
