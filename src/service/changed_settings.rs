//! Settings that were changed while the server runs, in the words of the configuration file, together with the clients.

use std::sync::Arc;

use serde_json::Value;

use super::changes::{Refused, settle};
use super::retry_on_conflict;
use crate::domain::client::Client;
use crate::domain::environment::Environment;
use crate::runtime::Context;

/// Changes the changes. `edit` is also given the clients as they are; where it lists clients among the changes, those
/// take their place.
pub(super) async fn change_with(
    context: &Context,
    edit: impl Fn(&mut Value, &[Client]) -> Result<(), Refused>,
) -> Result<Arc<Environment>, Refused> {
    let (site, store, edit) = (&context.app.site, context.store(), &edit);
    retry_on_conflict(|| async move {
        let mut record = context.app.record().await?;
        let stored = store.clients(&record.id).await?;
        let mut changes = site.open_known_settings(&record.settings)?;
        edit(&mut changes, &site.clients().open_all(&stored)?)?;
        let environment = site
            .layers
            .environment(&record.id, context.app.name.clone(), &changes)
            .map_err(Refused::Invalid)?;
        let now_ms = context.app.clock.machine_ms();
        let is_done = if take_clients(&mut changes) {
            let clients = site.clients().changes(&stored, &environment.clients, now_ms)?;
            record.settings = site.seal_settings(&changes)?;
            store.change_clients(&record, &clients, now_ms).await?
        } else {
            record.settings = site.seal_settings(&changes)?;
            store.change_environment(&record, now_ms).await?
        };
        Ok::<_, Refused>(is_done.then_some(()))
    })
    .await?;
    settle(context).await?;
    Ok(context.app.live().environment.clone())
}

/// Takes the clients out of changed settings: they are rows. Were there any?
pub(super) fn take_clients(changes: &mut Value) -> bool {
    changes.as_object_mut().is_some_and(|changes| changes.remove("clients").is_some())
}
