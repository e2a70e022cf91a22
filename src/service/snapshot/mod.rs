//! The whole state of an environment as one document, in the words of the API and the configuration, so that another
//! version of this program can read it, on either database.

mod sections;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::changed_settings::take_clients;
use super::changes::{ControlError, publish_change};
use super::clients;
use crate::crypto::signing::SigningKey;
use crate::domain::clock::{ClockSetting, parse_rfc3339, rfc3339};
use crate::domain::field_error::FieldError;
use crate::runtime::{Context, SERVER_SECRET};
use crate::service::retry_on_conflict;
use crate::storage::{StoreError, StoredKey, Tables};

/// What a snapshot says it is.
const FORMAT: &str = "vestibule-snapshot";

/// Grows when an earlier program would misread the document. A field or a section more is no reason: they are ignored
/// where they are not known.
const VERSION: u32 = 2;

/// The whole state as one document. It holds private keys and secrets: treat it as one. A section that is missing is an
/// empty one.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Snapshot {
    /// `vestibule-snapshot`
    pub format: String,
    /// 2
    pub version: u32,
    /// RFC 3339, as all times are.
    pub created_at: String,
    /// Changed settings, in the words of the configuration.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub settings: Value,
    /// In the words of the configuration's `[[clients]]`.
    #[schema(value_type = Vec<Object>)]
    pub clients: Vec<Value>,
    #[serde(default)]
    #[schema(value_type = Object)]
    pub clock: ClockSetting,
    /// Base64.
    pub server_secret: String,
    pub signing_keys: Vec<SnapshotKey>,
    /// `users`, `organizations`, `roles`, `memberships`, `sessions`, `grants`, `webhooks`, `interceptors` and more: lists of objects.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub sections: Map<String, Value>,
}

/// A signing key.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SnapshotKey {
    pub sequence: i64,
    pub kid: String,
    /// PKCS#8 DER in base64.
    pub private_key: String,
    pub created_at: String,
    pub signs_from: String,
}

/// The environment's state now.
pub async fn snapshot(context: &Context) -> Result<Snapshot, ControlError> {
    let (server, store, id) = (&context.runtime.server, context.store(), context.environment_id());
    let record = context.runtime.record().await?;
    let secret =
        store.server_secret(id, SERVER_SECRET).await?.ok_or(StoreError::Unreadable("server secret"))?;
    let mut signing_keys = vec![];
    for key in store.signing_keys(id).await? {
        signing_keys.push(SnapshotKey {
            private_key: STANDARD.encode(server.open_key(&key.private_key)?),
            sequence: key.sequence,
            kid: key.kid,
            created_at: rfc3339(key.created_at_ms),
            signs_from: rfc3339(key.signs_from_ms),
        });
    }
    let clients = server.clients().open_all(&store.clients(id).await?)?;
    let mut tables = store.dump(id).await?;
    for_webhook_secrets(&mut tables, |sealed| {
        let secrets = server.webhooks().open(sealed)?;
        Ok(serde_json::to_string(&secrets).map_err(|_| StoreError::Unreadable("webhook secret"))?)
    })?;
    Ok(Snapshot {
        format: FORMAT.to_owned(),
        version: VERSION,
        created_at: rfc3339(context.now_ms()),
        settings: server.open_known_settings(&record.settings)?,
        clients: clients::described(&clients)?,
        clock: record.clock,
        server_secret: STANDARD.encode(server.open_secret(&secret)?),
        signing_keys,
        sections: sections::write(&tables),
    })
}

/// Replaces how the secrets of webhooks and interceptors stand in their rows: sealed in the database, in the clear in a snapshot.
fn for_webhook_secrets(
    tables: &mut Tables,
    replaced: impl Fn(&str) -> Result<String, ControlError>,
) -> Result<(), ControlError> {
    for table in ["webhook_endpoints", "interceptors"] {
        for row in tables.get_mut(table).into_iter().flatten() {
            if let Some(Value::String(secrets)) = row.get_mut("sealed_secrets") {
                *secrets = replaced(secrets)?;
            }
        }
    }
    Ok(())
}

/// A snapshot that was read and checked, ready to be written.
struct Checked {
    settings: Value,
    clients: Vec<crate::domain::client::Client>,
    clock: ClockSetting,
    secret: Vec<u8>,
    keys: Vec<StoredKey>,
    tables: Tables,
}

/// Replaces the whole state by a snapshot's, of this server or of another, on either database. Returns the fields that are
/// not known here and were ignored.
pub async fn restore(context: &Context, document: Value) -> Result<Vec<String>, ControlError> {
    let (mut checked, ignored) = check(context, document)?;
    if !ignored.is_empty() {
        tracing::warn!(
            ?ignored,
            "the snapshot holds fields that this version does not know; they are ignored"
        );
    }
    let server = &context.runtime.server;
    let secret = server.seal_secret(&checked.secret)?;
    for_webhook_secrets(&mut checked.tables, |text| {
        let secrets = serde_json::from_str(text).map_err(|_| StoreError::Unreadable("webhook secret"))?;
        Ok(server.webhooks().seal(&secrets)?)
    })?;
    retry_on_conflict(|| async {
        let mut record = context.runtime.record().await?;
        record.settings = server.seal_settings(&checked.settings)?;
        record.clock = checked.clock;
        record.resets += 1;
        let now_ms = context.runtime.clock.machine_ms();
        let stored = context.store().clients(&record.id).await?;
        let clients = server.clients().changes(&stored, &checked.clients, now_ms)?;
        let (secret, keys) = ((SERVER_SECRET, secret.as_slice()), &checked.keys);
        let done = context.store().restore(&record, &checked.tables, &clients, secret, keys, now_ms).await;
        let done = done.map_err(|error| match error {
            StoreError::MissingParent(_) => ControlError::field("", "something refers to what is not in it"),
            error => super::changes::exists(error, "", "two records in it have the same id, address or name"),
        })?;
        Ok::<_, ControlError>(done.then_some(()))
    })
    .await?;
    publish_change(context).await?;
    context.runtime.mail.notify_waiters();
    Ok(ignored)
}

/// Is it a snapshot that this program reads?
fn check_version(document: &Value) -> Result<(), ControlError> {
    if document.get("format").and_then(Value::as_str) != Some(FORMAT) {
        return Err(ControlError::field("format", format!("must be {FORMAT}")));
    }
    match document.get("version").and_then(Value::as_u64) {
        Some(version) if version == u64::from(VERSION) => Ok(()),
        Some(version) if version > u64::from(VERSION) => {
            let text =
                format!("is {version}: a newer Vestibule wrote this snapshot, and this one reads {VERSION}");
            Err(ControlError::field("version", text))
        }
        _ => Err(ControlError::field("version", format!("must be {VERSION}"))),
    }
}

/// Reads a snapshot; every mistake in it is named.
fn check(context: &Context, document: Value) -> Result<(Checked, Vec<String>), ControlError> {
    check_version(&document)?;
    let snapshot: Snapshot =
        crate::domain::json::from_value(document).map_err(|error| ControlError::Invalid(vec![error]))?;
    let (mut errors, mut ignored) = (vec![], vec![]);
    let tables = sections::read(&snapshot.sections, &mut errors, &mut ignored);
    let secret = STANDARD.decode(&snapshot.server_secret).ok().filter(|s| s.len() == 32);
    if secret.is_none() {
        errors.push(FieldError::new("server_secret", "must be 32 bytes in base64"));
    }
    if !snapshot.clock.is_possible(context.runtime.clock.machine_ms()) {
        errors.push(FieldError::new("clock", "must show a time from 1970 to 9999"));
    }
    let keys = read_keys(context, &snapshot.signing_keys, &mut errors);
    let mut settings = if snapshot.settings.is_null() { json!({}) } else { snapshot.settings };
    if let Some(settings) = settings.as_object_mut() {
        if settings.contains_key("clients") {
            errors.push(FieldError::new(
                "settings.clients",
                "must be left out: clients have their own section",
            ));
        }
        settings.insert("clients".to_owned(), snapshot.clients.into());
    }
    let layers = context.runtime.server.layers();
    for unknown in layers.drop_unknown(&mut settings) {
        let is_client = unknown.starts_with("clients[");
        ignored.push(if is_client { unknown } else { format!("settings.{unknown}") });
    }
    let clients = match layers.environment(&context.runtime.id, context.runtime.name.clone(), &settings) {
        Ok(environment) => environment.clients,
        Err(found) => {
            errors.extend(found.into_iter().map(|error| {
                let is_client = error.field == "clients" || error.field.starts_with("clients[");
                let field = if is_client { error.field } else { format!("settings.{}", error.field) };
                FieldError::new(field, error.reason)
            }));
            vec![]
        }
    };
    if !errors.is_empty() {
        return Err(ControlError::Invalid(errors));
    }
    take_clients(&mut settings);
    let secret = secret.unwrap_or_default();
    Ok((Checked { settings, clients, clock: snapshot.clock, secret, keys, tables }, ignored))
}

fn read_keys(context: &Context, keys: &[SnapshotKey], errors: &mut Vec<FieldError>) -> Vec<StoredKey> {
    let mut read: Vec<StoredKey> = vec![];
    for (index, key) in keys.iter().enumerate() {
        let mut wrong = |name: &str, reason: &str| {
            errors.push(FieldError::new(format!("signing_keys[{index}].{name}"), reason));
        };
        if !(0..=i64::from(i32::MAX)).contains(&key.sequence) {
            wrong("sequence", "must be a whole number from 0 to 2147483647");
        }
        let mut time = |name: &str, text: &str| {
            let read = parse_rfc3339(text).filter(|ms| crate::domain::clock::TIMES_MS.contains(ms));
            if read.is_none() {
                wrong(name, sections::MUST_BE_A_TIME);
            }
            read.unwrap_or_default()
        };
        let (created_at_ms, signs_from_ms) =
            (time("created_at", &key.created_at), time("signs_from", &key.signs_from));
        let der = STANDARD.decode(&key.private_key).unwrap_or_default();
        let is_good = SigningKey::from_pkcs8(key.sequence, &key.kid, signs_from_ms, &der).is_ok();
        match context.runtime.server.seal_key(&der).ok().filter(|_| is_good) {
            Some(private_key) => {
                let (sequence, kid) = (key.sequence, key.kid.clone());
                read.push(StoredKey { sequence, kid, private_key, created_at_ms, signs_from_ms });
            }
            None => wrong("private_key", "must be a private key, PKCS#8 DER in base64"),
        }
    }
    let mut sequences: Vec<i64> = keys.iter().map(|k| k.sequence).collect();
    sequences.sort_unstable();
    sequences.dedup();
    if keys.is_empty() || sequences.len() != keys.len() {
        let text = "must hold at least one key, each with a sequence of its own";
        errors.push(FieldError::new("signing_keys", text));
    }
    read
}
