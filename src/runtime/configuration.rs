//! A changed configuration takes the place of the one before, while the server runs.

use std::sync::{Arc, PoisonError};

use super::keys::KeyStore;
use super::{EnvironmentRegistry, EnvironmentRuntime, StartError};
use crate::config::ConfigurationUpdate;
use crate::domain::signing_algorithm::SigningAlgorithm;
use crate::storage::Seed;

impl EnvironmentRegistry {
    /// Applies a configuration to the default environment, as a start does, and to those that are made from it. Sessions,
    /// emails and what the control API changed stay. Applying it again after a failure is safe. `seed` is that of the
    /// update, with ids.
    pub async fn apply(&self, update: &ConfigurationUpdate, seed: &Seed) -> Result<(), StartError> {
        let Some(default) = self.get() else { return Ok(()) };
        // First, so that whoever reads the environment anew from here on reads it by these.
        *default.server.layers.write().unwrap_or_else(PoisonError::into_inner) =
            Arc::new(update.layers.clone());
        default.apply(update, seed).await?;
        for runtime in self.runtimes() {
            runtime.rebuild().await?;
        }
        Ok(())
    }
}

impl EnvironmentRuntime {
    /// Writes the configured clients, users, organizations, webhooks and interceptors, and makes the keys that the clients need.
    async fn apply(&self, update: &ConfigurationUpdate, seed: &Seed) -> Result<(), StartError> {
        let (server, store, now_ms) = (&self.server, self.store(), self.clock.machine_ms());
        let clients = &update.environment.clients;
        let changes = server.clients().changes(&store.template_clients(&self.id).await?, clients, now_ms)?;
        if !changes.put.is_empty() || !changes.delete.is_empty() {
            store.seed_clients(&self.id, &changes, now_ms).await?;
        }
        let key_store = KeyStore { store, environment_id: &self.id, at_rest: &server.at_rest };
        for algorithm in SigningAlgorithm::ALL {
            if clients.iter().any(|client| client.id_token_signed_response_alg == algorithm) {
                self.keys.ensure(key_store, server.entropy.clone(), algorithm, now_ms).await?;
            }
        }
        store.seed(&self.id, seed, server.control.is_off(), now_ms).await?;
        let seal = server.webhooks();
        store.seed_webhooks(&self.id, &seal.seeds(&update.webhooks, now_ms)?).await?;
        seal.seed_interceptors(store, &self.id, &update.interceptors, now_ms).await
    }
}
