//! What an operator's figures say that has to be looked up when somebody asks.

use std::time::Duration;

use crate::runtime::{Context, Site};
use crate::telemetry::metrics::{OutboxReading, Readings};

/// How long the database may take. Whoever reads figures in an outage shall read that there is one.
const WITHIN: Duration = Duration::from_secs(2);

/// Looks up what [`crate::telemetry::metrics::Metrics::text`] asks for.
pub async fn read(context: &Context) -> Readings {
    let site = &context.app.site;
    // Before the question below takes a connection itself.
    let (connections, idle) = site.store.connections();
    Readings {
        outbox: outbox(site).await,
        connections_in_use: connections.saturating_sub(idle),
        connections_idle: idle,
        steps_lost: site.flows.lost(),
    }
}

async fn outbox(site: &Site) -> Option<OutboxReading> {
    let (waiting, oldest_ms) = tokio::time::timeout(WITHIN, site.store.outbox_backlog()).await.ok()?.ok()?;
    let age_ms = oldest_ms.map_or(0, |ms| (site.machine_clock.now_ms() - ms).max(0));
    Some(OutboxReading { waiting, oldest_age_s: age_ms / 1000 })
}
