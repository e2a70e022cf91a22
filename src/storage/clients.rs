//! Applications (OAuth clients) and their secrets.

use super::environment_record::{template_id, write_record};
use super::{EnvironmentRecord, Store, StoreError, Transaction, row::row, sql};
use crate::domain::clock::UnixMs;

/// A client as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientRecord {
    /// Its `client_id`.
    pub id: String,
    /// Lists show clients in this order.
    pub position: i64,
    /// `web`, `spa` or `native`.
    pub kind: String,
    /// What people read on pages and in emails.
    pub name: String,
    /// As registered.
    pub redirect_uris: Vec<String>,
    /// As registered.
    pub post_logout_redirect_uris: Vec<String>,
    /// Where its sign-ins begin.
    pub initiate_login_uri: Option<String>,
    /// Where logout tokens go.
    pub backchannel_logout_uri: Option<String>,
    /// Does a confidential client need PKCE too?
    pub enforce_pkce: bool,
    /// RFC 9126 §6.
    pub require_pushed_authorization_requests: bool,
    /// `RS256` or `ES256`.
    pub id_token_signed_response_alg: String,
    /// Of this client alone.
    pub access_token_lifetime_s: Option<i64>,
    /// May the control API sign people in for it without an email?
    pub instant_sign_in: bool,
    /// Oldest first.
    pub secrets: Vec<ClientSecretRecord>,
}

/// A secret of a client as stored.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientSecretRecord {
    /// Unique among those of its client.
    pub id: String,
    /// An argon2id hash in PHC text form; `None`: the secret is sealed.
    pub hash: Option<String>,
    /// The secret, sealed.
    pub sealed: Option<Vec<u8>>,
    /// Its last characters, where they are known.
    pub suffix: String,
}

impl std::fmt::Debug for ClientSecretRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ClientSecretRecord({}, [redacted])", self.id)
    }
}

/// What changes about the clients of an environment.
#[derive(Debug, Clone, Default)]
pub struct ClientChanges {
    /// New ones, and changed ones with all their secrets.
    pub put: Vec<ClientRecord>,
    /// Ids of those that go, with what was granted to them.
    pub delete: Vec<String>,
}

row! {
    /// A client, once for each secret.
    struct Row {
        id: String,
        position: i64,
        kind: String,
        name: String,
        redirect_uris_json: String,
        post_logout_redirect_uris_json: String,
        initiate_login_uri: Option<String>,
        backchannel_logout_uri: Option<String>,
        enforce_pkce: i64,
        require_pushed_authorization_requests: i64,
        id_token_signed_response_alg: String,
        access_token_lifetime_s: Option<i64>,
        instant_sign_in: i64,
        secret_id: Option<String>,
        hash: Option<String>,
        sealed: Option<Vec<u8>>,
        suffix: Option<String>,
    }
}

impl Row {
    fn secret(&mut self) -> Option<ClientSecretRecord> {
        Some(ClientSecretRecord {
            id: self.secret_id.take()?,
            hash: self.hash.take(),
            sealed: self.sealed.take(),
            suffix: self.suffix.take()?,
        })
    }
}

impl TryFrom<Row> for ClientRecord {
    type Error = StoreError;

    fn try_from(mut row: Row) -> Result<Self, StoreError> {
        let secrets = row.secret().into_iter().collect();
        let list = |json: &str| serde_json::from_str(json).map_err(|_| StoreError::Unreadable("client"));
        Ok(Self {
            secrets,
            redirect_uris: list(&row.redirect_uris_json)?,
            post_logout_redirect_uris: list(&row.post_logout_redirect_uris_json)?,
            id: row.id,
            position: row.position,
            kind: row.kind,
            name: row.name,
            initiate_login_uri: row.initiate_login_uri,
            backchannel_logout_uri: row.backchannel_logout_uri,
            enforce_pkce: row.enforce_pkce != 0,
            require_pushed_authorization_requests: row.require_pushed_authorization_requests != 0,
            id_token_signed_response_alg: row.id_token_signed_response_alg,
            access_token_lifetime_s: row.access_token_lifetime_s,
            instant_sign_in: row.instant_sign_in != 0,
        })
    }
}

impl Store {
    /// The clients of an environment, in their order.
    pub async fn clients(&self, environment_id: &str) -> Result<Vec<ClientRecord>, StoreError> {
        let rows: Vec<Row> = sql(
            "SELECT c.id, c.position, c.kind, c.name, c.redirect_uris_json, c.post_logout_redirect_uris_json, \
             c.initiate_login_uri, c.backchannel_logout_uri, c.enforce_pkce, \
             c.require_pushed_authorization_requests, c.id_token_signed_response_alg, c.access_token_lifetime_s, \
             c.instant_sign_in, s.id AS secret_id, s.hash, s.sealed, s.suffix FROM clients c \
             LEFT JOIN client_secrets s ON s.environment_id = c.environment_id AND s.client_id = c.id \
             AND s.status = 'ACTIVE' WHERE c.environment_id = $1 ORDER BY c.position, c.id, s.id",
        )
        .bind(environment_id)
        .fetch_all(&self.pool)
        .await?;
        let mut clients: Vec<ClientRecord> = vec![];
        for mut row in rows {
            match clients.last_mut() {
                Some(last) if last.id == row.id => last.secrets.extend(row.secret()),
                _ => clients.push(row.try_into()?),
            }
        }
        Ok(clients)
    }

    /// The clients that a reset of this environment goes back to.
    pub async fn template_clients(&self, environment_id: &str) -> Result<Vec<ClientRecord>, StoreError> {
        self.clients(&template_id(environment_id)).await
    }

    /// Commits a change of settings and clients over the version in `record`; `false`, and nothing written, when
    /// somebody else changed it meanwhile.
    pub async fn change_clients(
        &self,
        record: &EnvironmentRecord,
        changes: &ClientChanges,
        now_ms: UnixMs,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin_write().await?;
        if !write_record(&mut tx, record, now_ms).await? {
            tx.rollback().await?;
            return Ok(false);
        }
        apply(&mut tx, &record.id, changes, now_ms).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Writes what the configuration says of clients now, for the environment and for its resets.
    pub async fn seed_clients(
        &self,
        environment_id: &str,
        changes: &ClientChanges,
        now_ms: UnixMs,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin_write().await?;
        // First, so that servers that start together take turns.
        sql("UPDATE environments SET version = version + 1, updated_at_ms = $2 WHERE id = $1")
            .bind(environment_id)
            .bind(now_ms)
            .execute(&mut tx)
            .await?;
        for id in [template_id(environment_id), environment_id.to_owned()] {
            apply(&mut tx, &id, changes, now_ms).await?;
        }
        Ok(tx.commit().await?)
    }
}

/// Writes changes of clients into an open transaction.
pub(super) async fn apply(
    tx: &mut Transaction,
    environment_id: &str,
    changes: &ClientChanges,
    now_ms: UnixMs,
) -> Result<(), StoreError> {
    for id in &changes.delete {
        sql("DELETE FROM clients WHERE environment_id = $1 AND id = $2")
            .bind(environment_id.to_owned())
            .bind(id)
            .execute(&mut *tx)
            .await?;
    }
    for client in &changes.put {
        put(tx, environment_id, client, now_ms).await?;
    }
    Ok(())
}

async fn put(
    tx: &mut Transaction,
    environment_id: &str,
    client: &ClientRecord,
    now_ms: UnixMs,
) -> Result<(), StoreError> {
    let list = |texts: &[String]| serde_json::to_string(texts).map_err(|_| StoreError::Unreadable("client"));
    sql("INSERT INTO clients (environment_id, id, position, kind, name, redirect_uris_json, \
         post_logout_redirect_uris_json, initiate_login_uri, backchannel_logout_uri, enforce_pkce, \
         require_pushed_authorization_requests, id_token_signed_response_alg, access_token_lifetime_s, \
         instant_sign_in, created_at_ms, updated_at_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $15) \
         ON CONFLICT (environment_id, id) DO UPDATE SET version = clients.version + 1, \
         position = excluded.position, kind = excluded.kind, name = excluded.name, \
         redirect_uris_json = excluded.redirect_uris_json, \
         post_logout_redirect_uris_json = excluded.post_logout_redirect_uris_json, \
         initiate_login_uri = excluded.initiate_login_uri, \
         backchannel_logout_uri = excluded.backchannel_logout_uri, enforce_pkce = excluded.enforce_pkce, \
         require_pushed_authorization_requests = excluded.require_pushed_authorization_requests, \
         id_token_signed_response_alg = excluded.id_token_signed_response_alg, \
         access_token_lifetime_s = excluded.access_token_lifetime_s, \
         instant_sign_in = excluded.instant_sign_in, updated_at_ms = excluded.updated_at_ms")
    .bind(environment_id.to_owned())
    .bind(&client.id)
    .bind(client.position)
    .bind(&client.kind)
    .bind(&client.name)
    .bind(list(&client.redirect_uris)?)
    .bind(list(&client.post_logout_redirect_uris)?)
    .bind(client.initiate_login_uri.clone())
    .bind(client.backchannel_logout_uri.clone())
    .bind(i64::from(client.enforce_pkce))
    .bind(i64::from(client.require_pushed_authorization_requests))
    .bind(&client.id_token_signed_response_alg)
    .bind(client.access_token_lifetime_s)
    .bind(i64::from(client.instant_sign_in))
    .bind(now_ms)
    .execute(&mut *tx)
    .await?;
    let kept: Vec<&str> = client.secrets.iter().map(|secret| secret.id.as_str()).collect();
    sql("DELETE FROM client_secrets WHERE environment_id = $1 AND client_id = $2 \
         AND $3 NOT LIKE '%,' || id || ',%'")
    .bind(environment_id.to_owned())
    .bind(&client.id)
    .bind(format!(",{},", kept.join(",")))
    .execute(&mut *tx)
    .await?;
    for secret in &client.secrets {
        sql(
            "INSERT INTO client_secrets (environment_id, client_id, id, hash, sealed, suffix, status, created_at_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, 'ACTIVE', $7) ON CONFLICT DO NOTHING",
        )
        .bind(environment_id.to_owned())
        .bind(&client.id)
        .bind(&secret.id)
        .bind(secret.hash.clone())
        .bind(secret.sealed.clone())
        .bind(&secret.suffix)
        .bind(now_ms)
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

/// Brings the clients of an environment back to those of its template.
pub(super) async fn reset(tx: &mut Transaction, environment_id: &str) -> Result<(), StoreError> {
    sql("DELETE FROM clients WHERE environment_id = $1")
        .bind(environment_id.to_owned())
        .execute(&mut *tx)
        .await?;
    for statement in [
        "INSERT INTO clients (environment_id, id, position, kind, name, redirect_uris_json, \
         post_logout_redirect_uris_json, initiate_login_uri, backchannel_logout_uri, enforce_pkce, \
         require_pushed_authorization_requests, id_token_signed_response_alg, access_token_lifetime_s, \
         instant_sign_in, created_at_ms, updated_at_ms) SELECT $1, id, position, kind, name, redirect_uris_json, \
         post_logout_redirect_uris_json, initiate_login_uri, backchannel_logout_uri, enforce_pkce, \
         require_pushed_authorization_requests, id_token_signed_response_alg, access_token_lifetime_s, \
         instant_sign_in, created_at_ms, updated_at_ms FROM clients WHERE environment_id = $2",
        "INSERT INTO client_secrets (environment_id, client_id, id, hash, sealed, suffix, status, created_at_ms) \
         SELECT $1, client_id, id, hash, sealed, suffix, status, created_at_ms FROM client_secrets \
         WHERE environment_id = $2",
    ] {
        let query = sql(statement).bind(environment_id.to_owned()).bind(template_id(environment_id));
        query.execute(&mut *tx).await?;
    }
    Ok(())
}
