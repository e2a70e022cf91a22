//! Settings that were changed while the server runs.

use super::{Store, StoreError};
use crate::domain::clock::UnixMs;
use crate::domain::settings_change::PasswordlessChange;

/// What was changed, and how often: a later change is committed only over the version that was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangedSettings {
    /// 0: nothing was ever changed.
    pub version: i64,
    pub passwordless: PasswordlessChange,
}

impl Store {
    pub async fn changed_settings(&self, environment_id: &str) -> Result<ChangedSettings, StoreError> {
        let row: Option<(i64, String)> = sqlx::query_as(
            "SELECT version, passwordless_json FROM changed_settings WHERE environment_id = $1",
        )
        .bind(environment_id)
        .fetch_optional(&self.pool)
        .await?;
        let Some((version, json)) = row else { return Ok(ChangedSettings::default()) };
        let passwordless = serde_json::from_str(&json).map_err(|_| StoreError::Unreadable("setting"))?;
        Ok(ChangedSettings { version, passwordless })
    }

    /// `false`: somebody else changed them since they were read.
    pub async fn change_settings(
        &self,
        environment_id: &str,
        changed: &ChangedSettings,
        now_ms: UnixMs,
    ) -> Result<bool, StoreError> {
        let json =
            serde_json::to_string(&changed.passwordless).map_err(|_| StoreError::Unreadable("setting"))?;
        let query = if changed.version == 0 {
            sqlx::query(
                "INSERT INTO changed_settings (environment_id, version, passwordless_json, updated_at_ms) \
                 VALUES ($1, $2 + 1, $3, $4) ON CONFLICT (environment_id) DO NOTHING",
            )
        } else {
            sqlx::query(
                "UPDATE changed_settings SET version = version + 1, passwordless_json = $3, updated_at_ms = $4 \
                 WHERE environment_id = $1 AND version = $2",
            )
        };
        let query = query.bind(environment_id.to_owned()).bind(changed.version).bind(json).bind(now_ms);
        Ok(self.execute(query).await? == 1)
    }
}
