//! Settings that were changed while the server runs, in the words of the configuration file, together with the clients.

use std::sync::Arc;

use serde_json::Value;

use super::changes::{ControlError, publish_change};
use super::retry_on_conflict;
use crate::domain::client::Client;
use crate::domain::environment::Environment;
use crate::runtime::Context;

/// Changes the changes. `edit` is also given the clients as they are; where it lists clients among the changes, those
/// take their place.
pub(super) async fn change_with(
    context: &Context,
    edit: impl Fn(&mut Value, &[Client]) -> Result<(), ControlError>,
) -> Result<Arc<Environment>, ControlError> {
    let (server, store, edit) = (&context.runtime.server, context.store(), &edit);
    retry_on_conflict(|| async move {
        let mut record = context.runtime.record().await?;
        let stored = store.clients(&record.id).await?;
        let mut changes = server.open_known_settings(&record.settings)?;
        edit(&mut changes, &server.clients().open_all(&stored)?)?;
        let environment = server
            .layers()
            .environment(&record.id, context.runtime.name.clone(), &changes)
            .map_err(ControlError::Invalid)?;
        let now_ms = context.runtime.clock.machine_ms();
        let is_done = if take_clients(&mut changes) {
            let clients = server.clients().changes(&stored, &environment.clients, now_ms)?;
            record.settings = server.seal_settings(&changes)?;
            store.change_clients(&record, &clients, now_ms).await?
        } else {
            record.settings = server.seal_settings(&changes)?;
            store.change_environment(&record, now_ms).await?
        };
        Ok::<_, ControlError>(is_done.then_some(()))
    })
    .await?;
    publish_change(context).await?;
    Ok(context.runtime.live().environment.clone())
}

/// Takes the clients out of changed settings: they are rows. Were there any?
pub(super) fn take_clients(changes: &mut Value) -> bool {
    changes.as_object_mut().is_some_and(|changes| changes.remove("clients").is_some())
}
