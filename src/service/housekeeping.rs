//! What happens without being asked: expired rows go, keys made elsewhere are read.

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;

/// How often keys are read again. `keys rotate` lets a new key sign much later than this.
pub const RELOAD_KEYS_EVERY: Duration = Duration::from_secs(10);

/// How long a changed setting may take to reach other servers.
pub const RELOAD_SETTINGS_EVERY: Duration = Duration::from_secs(1);

/// How often expired rows are looked for.
const CLEAN_EVERY: Duration = Duration::from_secs(60);

/// Rows deleted per statement.
const BATCH: i64 = 500;

/// Expired rows are kept this long, in milliseconds, so that people read "expired" rather than "unknown".
const KEEP_MS: i64 = 3_600_000;

/// Reads the signing keys again and again, until the task is dropped.
pub async fn reload_keys(app: Arc<App>) {
    loop {
        tokio::time::sleep(RELOAD_KEYS_EVERY).await;
        if let Err(error) = app.keys.reload(&app.store, &app.environment.id).await {
            tracing::warn!(%error, "signing keys could not be read again");
        }
    }
}

/// Reads settings that other servers of the same database changed, until the task is dropped.
pub async fn reload_settings(app: Arc<App>) {
    while !app.store.is_embedded() {
        tokio::time::sleep(RELOAD_SETTINGS_EVERY).await;
        if let Err(error) = app.reload_settings().await {
            tracing::warn!(%error, "changed settings could not be read");
        }
    }
}

/// Cleans up again and again, until the task is dropped.
pub async fn clean_up(app: Arc<App>) {
    loop {
        tokio::time::sleep(CLEAN_EVERY).await;
        while let Ok(deleted) = app.store.delete_expired(app.clock.now_ms() - KEEP_MS, BATCH).await
            && deleted >= BATCH as u64
        {}
    }
}
