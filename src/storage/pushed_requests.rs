//! Authorization requests that clients pushed (RFC 9126).

use super::{Store, StoreError, sql};
use crate::domain::authorization::Parameters;
use crate::domain::clock::UnixMs;

impl Store {
    /// Keeps a pushed request until somebody brings its `request_uri`.
    pub async fn insert_pushed_request(
        &self,
        environment_id: &str,
        request_digest: &str,
        client_id: &str,
        parameters: &Parameters,
        expires_at_ms: UnixMs,
    ) -> Result<(), StoreError> {
        let json = serde_json::to_string(parameters.pairs())
            .map_err(|_| StoreError::Unreadable("pushed authorization request"))?;
        let query = sql(
            "INSERT INTO pushed_requests (environment_id, request_digest, client_id, parameters_json, expires_at_ms) \
             VALUES ($1, $2, $3, $4, $5)",
        );
        let query = query
            .bind(environment_id.to_owned())
            .bind(request_digest.to_owned())
            .bind(client_id.to_owned())
            .bind(json)
            .bind(expires_at_ms);
        self.execute(query).await?;
        Ok(())
    }

    /// Uses up a pushed request and gives its parameters. `None`: there is none of this client, or it was used, or its
    /// time is over.
    pub async fn use_pushed_request(
        &self,
        environment_id: &str,
        request_digest: &str,
        client_id: &str,
        now_ms: UnixMs,
    ) -> Result<Option<Parameters>, StoreError> {
        let query = sql(
            "UPDATE pushed_requests SET used_at_ms = $4 WHERE environment_id = $1 AND request_digest = $2 \
             AND client_id = $3 AND used_at_ms IS NULL AND expires_at_ms > $4 RETURNING parameters_json",
        );
        let query = query.bind(environment_id).bind(request_digest).bind(client_id).bind(now_ms);
        let row: Option<(String,)> = self.write(query).await?.first()?;
        row.map(|(json,)| {
            let pairs = serde_json::from_str(&json)
                .map_err(|_| StoreError::Unreadable("pushed authorization request"))?;
            Ok(Parameters::new(pairs))
        })
        .transpose()
    }
}
