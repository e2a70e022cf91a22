//! Applications (OAuth clients) and their secrets.

use std::collections::HashMap;

use super::environment_record::{template_id, write_record};
use super::{EnvironmentRecord, Statement, Store, StoreError, Transaction, like_pattern, row::row, sql};
use crate::domain::clock::UnixMs;

/// A client as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientRecord {
    /// Its `client_id`.
    pub id: String,
    /// The version that was read, over which a change is written; `None`: it is a new one.
    pub version: Option<i64>,
    /// Lists show clients in this order.
    pub position: i64,
    /// `web`, `spa` or `native`.
    pub kind: String,
    /// What users read on pages and in emails.
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
    /// May the control API sign users in for it without an email?
    pub instant_sign_in: bool,
    /// What Scalekit's API keeps with it, as an object.
    pub api_json: String,
    /// What its pages and emails have of their own, as an object.
    pub branding_json: String,
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

/// When a client and its secrets were made, as Scalekit's API shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientTimes {
    /// Its `client_id`.
    pub id: String,
    /// When it was made.
    pub created_at_ms: UnixMs,
    /// When it last changed.
    pub updated_at_ms: UnixMs,
    /// Oldest first.
    pub secrets: Vec<SecretTimes>,
}

/// When a secret was made, and what is shown of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretTimes {
    /// `sks_…`
    pub id: String,
    /// Its last characters, where they are known.
    pub suffix: String,
    /// When it was made.
    pub created_at_ms: UnixMs,
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
        version: i64,
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
        api_json: String,
        branding_json: String,
        secret_id: Option<String>,
        hash: Option<String>,
        sealed: Option<Vec<u8>>,
        suffix: Option<String>,
    }
}

row! {
    /// A client's times, once for each secret.
    struct TimesRow {
        id: String,
        created_at_ms: i64,
        updated_at_ms: i64,
        secret_id: Option<String>,
        suffix: Option<String>,
        secret_created_at_ms: Option<i64>,
    }
}

row! {
    struct RowOfEnvironment {
        environment_id: String,
        client: Row,
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
            version: Some(row.version),
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
            api_json: row.api_json,
            branding_json: row.branding_json,
        })
    }
}

impl Store {
    /// The clients of an environment, in their order.
    pub async fn clients(&self, environment_id: &str) -> Result<Vec<ClientRecord>, StoreError> {
        let rows: Vec<Row> = sql(
            "SELECT c.id, c.version, c.position, c.kind, c.name, c.redirect_uris_json, c.post_logout_redirect_uris_json, \
             c.initiate_login_uri, c.backchannel_logout_uri, c.enforce_pkce, \
             c.require_pushed_authorization_requests, c.id_token_signed_response_alg, c.access_token_lifetime_s, \
             c.instant_sign_in, c.api_json, c.branding_json, s.id AS secret_id, s.hash, s.sealed, s.suffix FROM clients c \
             LEFT JOIN client_secrets s ON s.environment_id = c.environment_id AND s.client_id = c.id \
             AND s.status = 'ACTIVE' WHERE c.environment_id = $1 ORDER BY c.position, c.id, s.id",
        )
        .bind(environment_id)
        .fetch_all(&self.pool)
        .await?;
        let mut clients: Vec<ClientRecord> = vec![];
        for row in rows {
            add(&mut clients, row)?;
        }
        Ok(clients)
    }

    /// When the clients of an environment were made, oldest first.
    pub async fn client_times(&self, environment_id: &str) -> Result<Vec<ClientTimes>, StoreError> {
        let rows: Vec<TimesRow> =
            sql("SELECT c.id, c.created_at_ms, c.updated_at_ms, s.id AS secret_id, s.suffix, \
             s.created_at_ms AS secret_created_at_ms FROM clients c LEFT JOIN client_secrets s \
             ON s.environment_id = c.environment_id AND s.client_id = c.id AND s.status = 'ACTIVE' \
             WHERE c.environment_id = $1 ORDER BY c.created_at_ms, c.id, s.id")
            .bind(environment_id)
            .fetch_all(&self.pool)
            .await?;
        let mut clients: Vec<ClientTimes> = vec![];
        for row in rows {
            let secret = row.secret_id.zip(row.suffix).zip(row.secret_created_at_ms);
            let secret =
                secret.map(|((id, suffix), created_at_ms)| SecretTimes { id, suffix, created_at_ms });
            match clients.last_mut() {
                Some(last) if last.id == row.id => last.secrets.extend(secret),
                _ => clients.push(ClientTimes {
                    id: row.id,
                    created_at_ms: row.created_at_ms,
                    updated_at_ms: row.updated_at_ms,
                    secrets: secret.into_iter().collect(),
                }),
            }
        }
        Ok(clients)
    }

    /// The clients of each isolated environment whose name is between these two, both included, and contains `part`.
    pub async fn clients_of_environments(
        &self,
        first: &str,
        last: &str,
        part: &str,
    ) -> Result<HashMap<String, Vec<ClientRecord>>, StoreError> {
        let rows: Vec<RowOfEnvironment> = sql(
            "SELECT c.environment_id, c.id, c.version, c.position, c.kind, c.name, c.redirect_uris_json, \
             c.post_logout_redirect_uris_json, c.initiate_login_uri, c.backchannel_logout_uri, c.enforce_pkce, \
             c.require_pushed_authorization_requests, c.id_token_signed_response_alg, c.access_token_lifetime_s, \
             c.instant_sign_in, c.api_json, c.branding_json, s.id AS secret_id, s.hash, s.sealed, s.suffix FROM environments e \
             JOIN clients c ON c.environment_id = e.id \
             LEFT JOIN client_secrets s ON s.environment_id = c.environment_id AND s.client_id = c.id \
             AND s.status = 'ACTIVE' WHERE e.name >= $1 AND e.name <= $2 AND ($3 = '' OR e.name LIKE $3 ESCAPE '~') \
             ORDER BY c.environment_id, c.position, c.id, s.id",
        )
        .bind(first)
        .bind(last)
        .bind(like_pattern(part))
        .fetch_all(&self.pool)
        .await?;
        let mut environments: HashMap<String, Vec<ClientRecord>> = HashMap::new();
        for row in rows {
            add(environments.entry(row.environment_id).or_default(), row.client)?;
        }
        Ok(environments)
    }

    /// The clients that a reset of this environment goes back to.
    pub async fn template_clients(&self, environment_id: &str) -> Result<Vec<ClientRecord>, StoreError> {
        self.clients(&template_id(environment_id)).await
    }

    /// Commits a change of settings and clients over the versions in `record` and in the clients; `false`, and nothing
    /// written, when somebody else changed one of them meanwhile.
    pub async fn change_clients(
        &self,
        record: &EnvironmentRecord,
        changes: &ClientChanges,
        now_ms: UnixMs,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin_write().await?;
        let is_done = write_record(&mut tx, record, now_ms).await?
            && apply(&mut tx, &record.id, changes, now_ms).await?;
        if is_done {
            tx.commit().await?;
        } else {
            tx.rollback().await?;
        }
        Ok(is_done)
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
            delete(&mut tx, &id, &changes.delete).await?;
            for client in &changes.put {
                put(&mut tx, &id, client, now_ms).await?;
            }
        }
        Ok(tx.commit().await?)
    }
}

/// Adds a row's client, or its secret to the client that came before.
fn add(clients: &mut Vec<ClientRecord>, mut row: Row) -> Result<(), StoreError> {
    match clients.last_mut() {
        Some(last) if last.id == row.id => last.secrets.extend(row.secret()),
        _ => clients.push(row.try_into()?),
    }
    Ok(())
}

/// Writes changes of clients into an open transaction; `false` when somebody else changed one of them since it was read.
pub(super) async fn apply(
    tx: &mut Transaction,
    environment_id: &str,
    changes: &ClientChanges,
    now_ms: UnixMs,
) -> Result<bool, StoreError> {
    delete(tx, environment_id, &changes.delete).await?;
    for client in &changes.put {
        let written = match client.version {
            Some(version) => updating(environment_id, client, version, now_ms)?.execute(&mut *tx).await?,
            None => inserting(environment_id, client, now_ms)?.execute(&mut *tx).await?,
        };
        if written == 0 {
            return Ok(false);
        }
        put_secrets(tx, environment_id, client, now_ms).await?;
    }
    Ok(true)
}

async fn delete(tx: &mut Transaction, environment_id: &str, ids: &[String]) -> Result<(), StoreError> {
    for id in ids {
        sql("DELETE FROM clients WHERE environment_id = $1 AND id = $2")
            .bind(environment_id)
            .bind(id)
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

/// Writes a client whatever is there: what the configuration says outranks it.
async fn put(
    tx: &mut Transaction,
    environment_id: &str,
    client: &ClientRecord,
    now_ms: UnixMs,
) -> Result<(), StoreError> {
    let stored: Option<(i64,)> = sql("SELECT version FROM clients WHERE environment_id = $1 AND id = $2")
        .bind(environment_id)
        .bind(&client.id)
        .fetch_optional(&mut *tx)
        .await?;
    let statement = match stored {
        Some((version,)) => updating(environment_id, client, version, now_ms)?,
        None => inserting(environment_id, client, now_ms)?,
    };
    statement.execute(&mut *tx).await?;
    put_secrets(tx, environment_id, client, now_ms).await
}

/// Touches no row where there is one of this id already.
fn inserting(environment_id: &str, client: &ClientRecord, now_ms: UnixMs) -> Result<Statement, StoreError> {
    let query = sql("INSERT INTO clients (environment_id, id, position, kind, name, redirect_uris_json, \
         post_logout_redirect_uris_json, initiate_login_uri, backchannel_logout_uri, enforce_pkce, \
         require_pushed_authorization_requests, id_token_signed_response_alg, access_token_lifetime_s, \
         instant_sign_in, api_json, branding_json, created_at_ms, updated_at_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $17) \
         ON CONFLICT DO NOTHING");
    bind_fields(query, environment_id, client, now_ms)
}

/// Touches no row when somebody else changed it since `version` was read.
fn updating(
    environment_id: &str,
    client: &ClientRecord,
    version: i64,
    now_ms: UnixMs,
) -> Result<Statement, StoreError> {
    let query = sql("UPDATE clients SET version = version + 1, position = $3, kind = $4, name = $5, \
         redirect_uris_json = $6, post_logout_redirect_uris_json = $7, initiate_login_uri = $8, \
         backchannel_logout_uri = $9, enforce_pkce = $10, require_pushed_authorization_requests = $11, \
         id_token_signed_response_alg = $12, access_token_lifetime_s = $13, instant_sign_in = $14, \
         api_json = $15, branding_json = $16, updated_at_ms = $17 WHERE environment_id = $1 AND id = $2 \
         AND version = $18");
    Ok(bind_fields(query, environment_id, client, now_ms)?.bind(version))
}

/// Binds a client to $1 to $17, with the names that the statements above give them.
fn bind_fields(
    query: Statement,
    environment_id: &str,
    client: &ClientRecord,
    now_ms: UnixMs,
) -> Result<Statement, StoreError> {
    let list = |texts: &[String]| serde_json::to_string(texts).map_err(|_| StoreError::Unreadable("client"));
    Ok(query
        .bind(environment_id)
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
        .bind(&client.api_json)
        .bind(&client.branding_json)
        .bind(now_ms))
}

/// Makes the secrets of a client these ones.
async fn put_secrets(
    tx: &mut Transaction,
    environment_id: &str,
    client: &ClientRecord,
    now_ms: UnixMs,
) -> Result<(), StoreError> {
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
         instant_sign_in, api_json, branding_json, created_at_ms, updated_at_ms) \
         SELECT $1, id, position, kind, name, redirect_uris_json, \
         post_logout_redirect_uris_json, initiate_login_uri, backchannel_logout_uri, enforce_pkce, \
         require_pushed_authorization_requests, id_token_signed_response_alg, access_token_lifetime_s, \
         instant_sign_in, api_json, branding_json, created_at_ms, updated_at_ms FROM clients WHERE environment_id = $2",
        "INSERT INTO client_secrets (environment_id, client_id, id, hash, sealed, suffix, status, created_at_ms) \
         SELECT $1, client_id, id, hash, sealed, suffix, status, created_at_ms FROM client_secrets \
         WHERE environment_id = $2",
    ] {
        let query = sql(statement).bind(environment_id.to_owned()).bind(template_id(environment_id));
        query.execute(&mut *tx).await?;
    }
    Ok(())
}
