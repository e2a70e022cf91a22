//! Interceptors between configuration and storage. Their secrets are of the same kind as those of webhooks.

use super::{StartError, WebhookSeal};
use crate::config::ConfiguredInterceptor;
use crate::domain::clock::UnixMs;
use crate::domain::ids::{IdKind, stable_id};
use crate::domain::interceptor::Interceptor;
use crate::domain::webhook::{WebhookSecret, WebhookSecrets};
use crate::storage::{InterceptorRecord, Store};

/// What makes of the configured interceptors of the last start those of this one.
#[derive(Debug, Default, PartialEq)]
struct InterceptorSeeds {
    pub put: Vec<InterceptorRecord>,
    pub gone: Vec<String>,
}

impl WebhookSeal<'_> {
    /// Makes the configured interceptors of an environment those that are stored.
    pub(super) async fn seed_interceptors(
        &self,
        store: &Store,
        environment_id: &str,
        configured: &[ConfiguredInterceptor],
        now_ms: UnixMs,
    ) -> Result<(), StartError> {
        let stored = store.template_interceptors(environment_id).await?;
        let seeds = self.interceptor_seeds(&stored, configured, now_ms)?;
        if seeds != InterceptorSeeds::default() {
            store.seed_interceptors(environment_id, &seeds.put, &seeds.gone, now_ms).await?;
        }
        Ok(())
    }

    /// Compares what is configured with what was. The id comes from trigger and URL, so that it is the same at every
    /// start; a secret that was made is kept.
    fn interceptor_seeds(
        &self,
        stored: &[InterceptorRecord],
        configured: &[ConfiguredInterceptor],
        now_ms: UnixMs,
    ) -> Result<InterceptorSeeds, StartError> {
        let mut seeds = InterceptorSeeds::default();
        let ids: Vec<String> =
            configured.iter().map(|wanted| stable_id(IdKind::Interceptor, &wanted.key())).collect();
        let of_stored = stored.iter().map(|record| &record.interceptor.id);
        seeds.gone.extend(of_stored.filter(|id| !ids.contains(id)).cloned());
        for ((at_ms, id), wanted) in (now_ms..).zip(ids).zip(configured) {
            let earlier = stored.iter().find(|record| record.interceptor.id == id);
            let secrets = self.secrets(earlier, wanted.secret.as_ref())?;
            let interceptor = Interceptor {
                id,
                version: earlier.map_or(1, |record| record.interceptor.version),
                display_name: wanted.display_name.clone(),
                description: wanted.description.clone(),
                trigger_point: wanted.trigger_point,
                url: wanted.url.clone(),
                timeout_ms: wanted.timeout_ms,
                failure_policy: wanted.failure_policy,
                is_enabled: wanted.is_enabled,
                // They are asked in the order of the configuration.
                created_at_ms: earlier.map_or(at_ms, |record| record.interceptor.created_at_ms),
                updated_at_ms: earlier.map_or(at_ms, |record| record.interceptor.updated_at_ms),
            };
            let sealed_secrets = match (&secrets, earlier) {
                (None, Some(record)) if record.interceptor == interceptor => continue,
                (None, Some(record)) => record.sealed_secrets.clone(),
                (secrets, _) => {
                    let made = || WebhookSecrets::new(WebhookSecret::new(self.entropy));
                    self.seal(&secrets.clone().unwrap_or_else(made))?
                }
            };
            let interceptor = Interceptor { updated_at_ms: at_ms, ..interceptor };
            seeds.put.push(InterceptorRecord { interceptor, sealed_secrets });
        }
        Ok(seeds)
    }

    /// `None`: the stored secrets are right, or one has to be made.
    fn secrets(
        &self,
        earlier: Option<&InterceptorRecord>,
        wanted: Option<&WebhookSecret>,
    ) -> Result<Option<WebhookSecrets>, StartError> {
        let Some(wanted) = wanted else { return Ok(None) };
        let stored = earlier.map(|record| self.open(&record.sealed_secrets)).transpose()?;
        let is_same = stored.is_some_and(|secrets| secrets.current() == Some(wanted));
        Ok((!is_same).then(|| WebhookSecrets::new(wanted.clone())))
    }
}
