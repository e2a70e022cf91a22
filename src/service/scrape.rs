//! What an operator's metrics say that has to be looked up when somebody asks.

use std::time::Duration;

use crate::runtime::{Context, ServerState};
use crate::telemetry::metrics::{Gauges, OutboxGauges};

/// How long the database may take. Whoever reads metrics in an outage shall read that there is one.
const WITHIN: Duration = Duration::from_secs(2);

/// Looks up what [`crate::telemetry::metrics::Metrics::text`] asks for.
pub async fn read(context: &Context) -> Gauges {
    let server = &context.runtime.server;
    // Before the question below takes a connection itself.
    let (connections, idle) = server.store.connections();
    Gauges {
        outbox: outbox(server).await,
        connections_in_use: connections.saturating_sub(idle),
        connections_idle: idle,
        steps_lost: server.flows.lost(),
    }
}

async fn outbox(server: &ServerState) -> Option<OutboxGauges> {
    let (waiting, oldest_ms) =
        tokio::time::timeout(WITHIN, server.store.outbox_backlog()).await.ok()?.ok()?;
    let age_ms = oldest_ms.map_or(0, |ms| (server.machine_clock.now_ms() - ms).max(0));
    Some(OutboxGauges { waiting, oldest_age_s: age_ms / 1000 })
}
