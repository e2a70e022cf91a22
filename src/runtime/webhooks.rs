//! Webhook endpoints between configuration, storage and use: their secrets are sealed where they are stored.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::StartError;
use crate::config::ConfiguredWebhook;
use crate::crypto::at_rest::AtRest;
use crate::domain::clock::UnixMs;
use crate::domain::entropy::Entropy;
use crate::domain::ids::{IdKind, stable_id};
use crate::domain::webhook::{WebhookEndpoint, WebhookSecret, WebhookSecrets};
use crate::storage::{SeedWebhook, StoreError, WebhookRecord};

/// What secrets are sealed as.
const WEBHOOK_SECRETS: &str = "webhook secrets";

/// Seals and opens the secrets of webhook endpoints.
#[derive(Clone, Copy)]
pub struct WebhookSeal<'a> {
    pub(super) at_rest: &'a AtRest,
    pub(super) entropy: &'a dyn Entropy,
}

impl WebhookSeal<'_> {
    /// Secrets as they are stored.
    pub fn seal(&self, secrets: &WebhookSecrets) -> Result<String, StartError> {
        let text = serde_json::to_vec(secrets).map_err(|_| StoreError::Unreadable("webhook secret"))?;
        Ok(STANDARD.encode(self.at_rest.seal(WEBHOOK_SECRETS, &text, self.entropy)?))
    }

    /// Secrets as they are used.
    pub fn open(&self, sealed: &str) -> Result<WebhookSecrets, StartError> {
        let unreadable = || StoreError::Unreadable("webhook secret");
        let sealed = STANDARD.decode(sealed).map_err(|_| unreadable())?;
        let text = self.at_rest.open(WEBHOOK_SECRETS, &sealed)?;
        Ok(serde_json::from_slice(&text).map_err(|_| unreadable())?)
    }

    /// Configured endpoints as they are stored. The id comes from the URL, so that it is the same at every start.
    pub(super) fn seeds(
        &self,
        configured: &[ConfiguredWebhook],
        now_ms: UnixMs,
    ) -> Result<Vec<SeedWebhook>, StartError> {
        let seeds = configured.iter().map(|webhook| {
            let secret = webhook.secret.clone().unwrap_or_else(|| WebhookSecret::new(self.entropy));
            Ok(SeedWebhook {
                record: WebhookRecord {
                    endpoint: WebhookEndpoint {
                        id: stable_id(IdKind::WebhookEndpoint, &webhook.url),
                        version: 1,
                        url: webhook.url.clone(),
                        events: webhook.events.clone(),
                        description: webhook.description.clone(),
                        is_enabled: webhook.enabled,
                        created_at_ms: now_ms,
                        updated_at_ms: now_ms,
                    },
                    sealed_secrets: self.seal(&WebhookSecrets::new(secret))?,
                },
                has_own_secret: webhook.secret.is_some(),
            })
        });
        seeds.collect()
    }
}
