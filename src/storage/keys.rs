//! Server secrets and signing keys. The first process to need one makes it; all others read what it made.

use super::{Store, StoreError, row::row, sql};
use crate::domain::clock::UnixMs;

row! {
    /// A signing key as stored; the private part may be encrypted by the caller.
    #[derive(Debug, Clone)]
    pub struct StoredKey {
        pub sequence: i64,
        pub kid: String,
        pub private_key: Vec<u8>,
        pub created_at_ms: UnixMs,
        /// From when on the key signs; before, it is only published.
        pub signs_from_ms: UnixMs,
    }
}

impl Store {
    pub async fn server_secret(
        &self,
        environment_id: &str,
        name: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let row: Option<(Vec<u8>,)> =
            sql("SELECT value FROM server_secrets WHERE environment_id = $1 AND name = $2")
                .bind(environment_id)
                .bind(name)
                .fetch_optional(&self.pool)
                .await?;
        Ok(row.map(|(value,)| value))
    }

    /// Offers a secret; an earlier one stays. Read it back to learn which holds.
    pub async fn offer_server_secret(
        &self,
        environment_id: &str,
        name: &str,
        value: &[u8],
        now_ms: UnixMs,
    ) -> Result<(), StoreError> {
        let query = sql(
            "INSERT INTO server_secrets (environment_id, name, value, created_at_ms) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (environment_id, name) DO NOTHING",
        );
        self.execute(
            query.bind(environment_id.to_owned()).bind(name.to_owned()).bind(value.to_vec()).bind(now_ms),
        )
        .await?;
        Ok(())
    }

    /// All signing keys, oldest first.
    pub async fn signing_keys(&self, environment_id: &str) -> Result<Vec<StoredKey>, StoreError> {
        Ok(sql("SELECT sequence, kid, private_key, created_at_ms, signs_from_ms FROM signing_keys \
             WHERE environment_id = $1 ORDER BY sequence")
        .bind(environment_id)
        .fetch_all(&self.pool)
        .await?)
    }

    /// Environment and id of every signing key.
    pub async fn signing_key_ids(&self) -> Result<Vec<(String, String)>, StoreError> {
        Ok(sql("SELECT environment_id, kid FROM signing_keys").fetch_all(&self.pool).await?)
    }

    /// Offers a key for a place in the sequence; `false` when another process was first.
    pub async fn offer_signing_key(&self, environment_id: &str, key: &StoredKey) -> Result<bool, StoreError> {
        let query = sql(
            "INSERT INTO signing_keys (environment_id, sequence, kid, private_key, created_at_ms, signs_from_ms) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (environment_id, sequence) DO NOTHING",
        );
        let query = query
            .bind(environment_id.to_owned())
            .bind(key.sequence)
            .bind(key.kid.clone())
            .bind(key.private_key.clone())
            .bind(key.created_at_ms)
            .bind(key.signs_from_ms);
        Ok(self.execute(query).await? == 1)
    }
}
