//! The log of sign-ins. Steps are noted in memory and written many at a time, so that no sign-in waits for its log;
//! a server that is killed loses the last moment of it.

use std::sync::Arc;
use std::time::Duration;

use super::Failure;
use crate::domain::flow::{About, FlowEvent};
use crate::domain::ids::{IdKind, new_id};
use crate::domain::sign_in_event::SignInEvent;
use crate::runtime::{Context, EnvironmentRuntime, ServerState};
pub use crate::storage::{FlowFilter, FlowRow, LoggedStep};

/// How often noted steps are written.
const WRITE_EVERY: Duration = Duration::from_millis(50);

/// How long it is until the next attempt after one that failed, so that an outage does not fill the server's log.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Notes what happened in a sign-in.
pub fn note(context: &Context, flow_id: &str, about: About, event: SignInEvent) {
    context.registry.metrics().sign_in_step(&event);
    if context.environment.flows_keep_s == 0 {
        return;
    }
    let server = &context.runtime.server;
    // What strangers sent stands in it, and steps are written together: one text that PostgreSQL does not keep would take
    // the steps of others with it. An event is stored as JSON, which escapes it.
    let storable = |text: String| text.replace('\0', "\u{FFFD}");
    let about = About {
        email: about.email.map(storable),
        client_id: about.client_id.map(storable),
        user_id: about.user_id.map(storable),
        ..about
    };
    let logged_at_ms = context.runtime.clock.machine_ms();
    server.flows.push(FlowEvent {
        environment_id: context.environment_id().to_owned(),
        id: format!(
            "{logged_at_ms:014}{:010}{:05}",
            server.flows.next_number(),
            std::process::id() % 100_000
        ),
        flow_id: storable(flow_id.to_owned()),
        about,
        event,
        at_ms: context.now_ms(),
        logged_at_ms,
    });
}

/// An id for what never became an authentication request.
pub fn new_flow_id(context: &Context) -> String {
    new_id(IdKind::Flow, context.runtime.clock.machine_ms(), &*context.runtime.server.entropy)
}

/// Writes what was noted; `false`: it could not be written.
pub async fn write(server: &ServerState) -> bool {
    let _one_at_a_time = server.writing_flows.lock().await;
    let events = server.flows.take();
    let outcome = server.store.log_flows(&events).await;
    if let Err(error) = &outcome {
        tracing::warn!(%error, steps = events.len(), "the log of sign-ins could not be written");
        if matches!(error, crate::storage::StoreError::Unavailable(_)) {
            for event in events {
                server.flows.push(event);
            }
        }
    }
    outcome.is_ok()
}

/// Writes again and again, until the task is dropped.
pub async fn write_always(runtime: Arc<EnvironmentRuntime>) {
    let mut pause = WRITE_EVERY;
    loop {
        tokio::time::sleep(pause).await;
        pause = if write(&runtime.server).await { WRITE_EVERY } else { TRY_AGAIN_AFTER };
    }
}

/// Sign-ins, newest first, and how many there are in all.
pub async fn list(context: &Context, filter: &FlowFilter) -> Result<(Vec<FlowRow>, i64), Failure> {
    write(&context.runtime.server).await;
    Ok(context.store().flows(context.environment_id(), filter).await?)
}

/// A sign-in with its steps, oldest first, and those of the tokens that came of it.
pub async fn show(context: &Context, id: &str) -> Result<Option<(FlowRow, Vec<LoggedStep>)>, Failure> {
    write(&context.runtime.server).await;
    let (store, environment_id) = (context.store(), context.environment_id());
    let Some(row) = store.flow(environment_id, id).await? else { return Ok(None) };
    let mut steps = store.flow_steps(environment_id, id).await?;
    let grant_of = |step: &LoggedStep| match &step.event {
        SignInEvent::SignedIn { grant_id, .. } => Some(grant_id.clone()),
        _ => None,
    };
    let grants: Vec<String> = steps.iter().filter_map(grant_of).collect();
    for grant_id in grants {
        steps.extend(store.flow_steps(environment_id, &grant_id).await?);
    }
    steps.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(Some((row, steps)))
}
