//! Secrets that requests to applications are signed with, of webhooks and of interceptors: made, shown, rotated.

use serde::Deserialize;
use utoipa::ToSchema;

use super::changes::ControlError;
use crate::domain::clock::UnixMs;
use crate::domain::webhook::{MAX_OVERLAP_MS, WebhookSecret, WebhookSecrets};
use crate::runtime::Context;

/// How long an old secret stays valid where nobody says otherwise, in seconds: a day.
const OVERLAP_S: i64 = 86_400;

/// How to rotate a secret.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateSecret {
    /// Made when left out.
    pub secret: Option<String>,
    /// Seconds, by real time, that the secret before stays valid; 86400 when left out, at most 2592000.
    pub overlap_s: Option<i64>,
}

/// The given secret, or a new one.
fn secret(context: &Context, given: Option<&str>) -> Result<WebhookSecret, ControlError> {
    match given {
        Some(text) => {
            WebhookSecret::parse(text).map_err(|error| ControlError::field("secret", error.to_string()))
        }
        None => Ok(WebhookSecret::new(&*context.runtime.server.entropy)),
    }
}

/// The given secret, or a new one, as it is stored.
pub(super) fn seal_first(context: &Context, given: Option<&str>) -> Result<String, ControlError> {
    let secrets = WebhookSecrets::new(secret(context, given)?);
    Ok(context.runtime.server.webhooks().seal(&secrets)?)
}

/// The secret that is stored, and how many older ones are still valid.
pub(super) fn open(context: &Context, sealed: &str) -> Result<(String, usize), ControlError> {
    let secrets = context.runtime.server.webhooks().open(sealed)?;
    let current = secrets.current().map(|secret| secret.expose().to_owned()).unwrap_or_default();
    let old = secrets.valid_at(context.runtime.clock.machine_ms()).count().saturating_sub(1);
    Ok((current, old))
}

/// A new secret that takes the place of the one before, which stays valid for a while.
pub(super) struct Rotation {
    fresh: WebhookSecret,
    real_ms: UnixMs,
    overlap_ms: i64,
}

impl Rotation {
    pub(super) fn new(context: &Context, wanted: &RotateSecret) -> Result<Self, ControlError> {
        let overlap_s = wanted.overlap_s.unwrap_or(OVERLAP_S);
        if !(0..=MAX_OVERLAP_MS / 1000).contains(&overlap_s) {
            let text = format!("must be a whole number from 0 to {}", MAX_OVERLAP_MS / 1000);
            return Err(ControlError::field("overlap_s", text));
        }
        Ok(Self {
            fresh: secret(context, wanted.secret.as_deref())?,
            real_ms: context.runtime.clock.machine_ms(),
            overlap_ms: overlap_s * 1000,
        })
    }

    /// What was stored, rotated.
    pub(super) fn apply(&self, context: &Context, sealed: &str) -> Result<String, ControlError> {
        let seal = context.runtime.server.webhooks();
        let mut secrets = seal.open(sealed)?;
        secrets.rotate(self.fresh.clone(), self.real_ms, self.overlap_ms);
        Ok(seal.seal(&secrets)?)
    }
}
