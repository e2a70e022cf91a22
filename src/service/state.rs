//! The whole state of an environment: reset, snapshot and restore, scenarios from files.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::changed_settings::take_clients;
use super::changes::{Refused, settle};
use super::{clients, people, settings};
use crate::config::merge;
use crate::crypto::signing::SigningKey;
use crate::domain::authorization::AuthorizationRequest;
use crate::domain::clock::{ClockSetting, TIMES_MS, rfc3339};
use crate::domain::email::EmailAddress;
use crate::domain::fault::FaultRule;
use crate::domain::field_error::FieldError;
use crate::domain::headless::{Headless, MAX_EXPIRES_IN_S};
use crate::domain::settings::PasswordlessType;
use crate::runtime::{Context, SERVER_SECRET};
use crate::service::{faults, files, flows, retry_on_conflict};
use crate::storage::{StoreError, StoredKey, Tables, check_tables};

/// Largest scenario. A snapshot is one too.
const MAX_SCENARIO_BYTES: u64 = 64 << 20;

/// What a reset leaves as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keep {
    pub settings: bool,
    pub clock: bool,
    pub faults: bool,
}

/// Brings the environment back to its seed: people as seeded; nobody signed in, no mail, no request, no log; settings,
/// clock and faults as at the start. Signing keys stay, so that applications need not fetch them again.
pub async fn reset(context: &Context, keep: Keep) -> Result<(), Refused> {
    flows::write(&context.app.site).await;
    retry_on_conflict(|| async {
        let mut record = context.app.record().await?;
        if !keep.settings {
            record.settings = context.store().template_settings(&record.id).await?;
        }
        if !keep.clock {
            record.clock = ClockSetting::default();
        }
        record.resets += 1;
        let now_ms = context.app.clock.machine_ms();
        let is_done = context.store().reset(&record, keep.settings, keep.faults, now_ms).await?;
        Ok::<_, Refused>(is_done.then_some(()))
    })
    .await?;
    settle(context).await?;
    context.app.mail.announce();
    Ok(())
}

/// What a snapshot says it is.
const FORMAT: &str = "vestibule-snapshot/1";

/// The whole state as one document. It holds private keys and secrets: treat it as one.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// `vestibule-snapshot/1`
    pub format: String,
    /// RFC 3339.
    pub created_at: String,
    /// Changed settings, in the words of the configuration.
    #[schema(value_type = Object)]
    pub settings: Value,
    #[schema(value_type = Object)]
    pub clock: ClockSetting,
    /// Base64.
    pub server_secret: String,
    pub signing_keys: Vec<SnapshotKey>,
    /// Rows by table.
    #[schema(value_type = Object)]
    pub tables: Tables,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SnapshotKey {
    pub sequence: i64,
    pub kid: String,
    /// PKCS#8 DER in base64.
    pub private_key: String,
    pub created_at_ms: i64,
    pub signs_from_ms: i64,
}

pub async fn snapshot(context: &Context) -> Result<Snapshot, Refused> {
    let (site, store, id) = (&context.app.site, context.store(), context.environment_id());
    let record = context.app.record().await?;
    let secret =
        store.server_secret(id, SERVER_SECRET).await?.ok_or(StoreError::Unreadable("server secret"))?;
    let mut signing_keys = vec![];
    for key in store.signing_keys(id).await? {
        signing_keys.push(SnapshotKey {
            private_key: STANDARD.encode(site.open_key(&key.private_key)?),
            sequence: key.sequence,
            kid: key.kid,
            created_at_ms: key.created_at_ms,
            signs_from_ms: key.signs_from_ms,
        });
    }
    let mut settings = site.open_settings(&record.settings)?;
    let clients = site.clients().open_all(&store.clients(id).await?)?;
    merge(&mut settings, &json!({ "clients": clients::described(&clients)? }));
    Ok(Snapshot {
        format: FORMAT.to_owned(),
        created_at: rfc3339(context.now_ms()),
        settings,
        clock: record.clock,
        server_secret: STANDARD.encode(site.open_secret(&secret)?),
        signing_keys,
        tables: store.dump(id).await?,
    })
}

/// Replaces the whole state by a snapshot's, of this server or of another, on either database.
pub async fn restore(context: &Context, snapshot: &Snapshot) -> Result<(), Refused> {
    let site = &context.app.site;
    let mut errors = vec![];
    if snapshot.format != FORMAT {
        errors.push(FieldError::new("format", format!("must be {FORMAT}")));
    }
    if let Err(bad) = check_tables(&snapshot.tables) {
        errors.push(FieldError::new(bad.field, bad.reason));
    } else {
        errors.extend(check_texts(&snapshot.tables));
    }
    let secret = STANDARD.decode(&snapshot.server_secret).ok().filter(|s| s.len() == 32);
    if secret.is_none() {
        errors.push(FieldError::new("server_secret", "must be 32 bytes in base64"));
    }
    if !snapshot.clock.is_possible(context.app.clock.machine_ms()) {
        errors.push(FieldError::new("clock", "must show a time from 1970 to 9999"));
    }
    let keys = read_keys(context, &snapshot.signing_keys, &mut errors);
    let environment = site.layers.environment(&context.app.id, context.app.name.clone(), &snapshot.settings);
    let wanted = match environment {
        Ok(environment) => environment.clients,
        Err(found) => {
            errors.extend(
                found.into_iter().map(|e| FieldError::new(format!("settings.{}", e.field), e.reason)),
            );
            vec![]
        }
    };
    if !errors.is_empty() {
        return Err(Refused::Invalid(errors));
    }
    let secret = site.seal_secret(&secret.unwrap_or_default())?;
    let mut settings = snapshot.settings.clone();
    take_clients(&mut settings);
    retry_on_conflict(|| async {
        let mut record = context.app.record().await?;
        record.settings = site.seal_settings(&settings)?;
        record.clock = snapshot.clock;
        record.resets += 1;
        let now_ms = context.app.clock.machine_ms();
        let stored = context.store().clients(&record.id).await?;
        let clients = site.clients().changes(&stored, &wanted, now_ms)?;
        let done = context
            .store()
            .restore(&record, &snapshot.tables, &clients, (SERVER_SECRET, &secret), &keys, now_ms)
            .await
            .map_err(|error| match error {
                StoreError::MissingParent(_) => {
                    Refused::field("tables", "holds a row that refers to a missing one")
                }
                error => super::changes::exists(error, "tables", "holds two rows with the same key"),
            })?;
        Ok::<_, Refused>(done.then_some(()))
    })
    .await?;
    settle(context).await?;
    context.app.mail.announce();
    Ok(())
}

fn read_keys(context: &Context, keys: &[SnapshotKey], errors: &mut Vec<FieldError>) -> Vec<StoredKey> {
    let mut read = vec![];
    for (index, key) in keys.iter().enumerate() {
        let der = STANDARD.decode(&key.private_key).unwrap_or_default();
        let is_good = SigningKey::from_pkcs8(key.sequence, &key.kid, key.signs_from_ms, &der).is_ok();
        match context.app.site.seal_key(&der).ok().filter(|_| is_good) {
            Some(private_key) => read.push(StoredKey {
                sequence: key.sequence,
                kid: key.kid.clone(),
                private_key,
                created_at_ms: key.created_at_ms,
                signs_from_ms: key.signs_from_ms,
            }),
            None => {
                let field = format!("signing_keys[{index}].private_key");
                errors.push(FieldError::new(field, "must be an RSA key, PKCS#8 DER in base64"));
            }
        }
    }
    for (index, key) in keys.iter().enumerate() {
        let numbers = [
            ("sequence", key.sequence, 0..=i64::from(i32::MAX)),
            ("created_at_ms", key.created_at_ms, TIMES_MS),
            ("signs_from_ms", key.signs_from_ms, TIMES_MS),
        ];
        for (name, number, range) in numbers {
            if !range.contains(&number) {
                let text = format!("must be a whole number from {} to {}", range.start(), range.end());
                errors.push(FieldError::new(format!("signing_keys[{index}].{name}"), text));
            }
        }
    }
    let mut sequences: Vec<i64> = keys.iter().map(|k| k.sequence).collect();
    sequences.sort_unstable();
    sequences.dedup();
    if keys.is_empty() || sequences.len() != keys.len() {
        errors.push(FieldError::new(
            "signing_keys",
            "must hold at least one key, each with a sequence of its own",
        ));
    }
    read
}

/// Texts that this program would not be able to read back.
fn check_texts(tables: &Tables) -> Vec<FieldError> {
    fn reads<T: serde::de::DeserializeOwned>(text: &str) -> bool {
        serde_json::from_str::<T>(text).is_ok()
    }
    type Row = Map<String, Value>;
    let text =
        |row: &Row, column: &str| row.get(column).and_then(Value::as_str).unwrap_or_default().to_owned();
    type Check<'a> = (&'a str, &'a str, &'a dyn Fn(&Row) -> bool);
    let checks: [Check<'_>; 9] = [
        ("users", "email", &|r| {
            EmailAddress::parse(&text(r, "email")).is_ok_and(|e| e.key() == text(r, "email_key"))
        }),
        ("auth_requests", "stage", &|r| {
            let sent = ["email", "passwordless_type", "generation", "sent_at_ms", "credentials_expire_at_ms"];
            let is_null = |column: &&str| r.get(*column).is_none_or(Value::is_null);
            match text(r, "stage").as_str() {
                "awaiting_email" => sent.iter().all(is_null),
                "awaiting_proof" | "completed" | "dead" => {
                    !sent.iter().any(is_null)
                        && (is_null(&"code_length") != is_null(&"static_code"))
                        && PasswordlessType::parse(&text(r, "passwordless_type")).is_some()
                }
                _ => false,
            }
        }),
        ("auth_requests", "email", &|r| {
            r.get("email").is_none_or(Value::is_null) || EmailAddress::parse(&text(r, "email")).is_ok()
        }),
        ("auth_requests", "headless_json", &|r| {
            r.get("headless_json").is_none_or(Value::is_null)
                || serde_json::from_str::<Headless>(&text(r, "headless_json"))
                    .is_ok_and(|h| h.expires_in_s.is_none_or(|s| (0..=MAX_EXPIRES_IN_S.into()).contains(&s)))
        }),
        ("auth_requests", "authorization_json", &|r| {
            !r.get("headless_json").is_none_or(Value::is_null)
                || reads::<AuthorizationRequest>(&text(r, "authorization_json"))
        }),
        ("grants", "authorization_json", &|r| reads::<AuthorizationRequest>(&text(r, "authorization_json"))),
        ("pushed_requests", "parameters_json", &|r| {
            reads::<Vec<(String, String)>>(&text(r, "parameters_json"))
        }),
        ("fault_rules", "rule_json", &|r| {
            serde_json::from_str::<FaultRule>(&text(r, "rule_json")).is_ok_and(|rule| rule.check().is_ok())
        }),
        ("messages", "to_address", &|r| {
            EmailAddress::parse(&text(r, "to_address")).is_ok_and(|e| e.key() == text(r, "to_key"))
        }),
    ];
    let mut errors = vec![];
    for (table, column, is_good) in checks {
        for (index, row) in tables.get(table).into_iter().flatten().enumerate() {
            if !is_good(row) {
                errors.push(FieldError::new(format!("tables.{table}[{index}].{column}"), "cannot be read"));
            }
        }
    }
    errors
}

/// A state to start a test from, as a file describes it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Scenario {
    settings: Value,
    seed: Value,
    faults: Vec<FaultRule>,
    frozen_at: Option<String>,
}

/// Names of the scenarios in the configured folder.
pub async fn scenarios(context: &Context) -> Vec<String> {
    let folder = context.app.site.scenarios.clone();
    tokio::task::spawn_blocking(move || scenarios_in(&folder)).await.unwrap_or_default()
}

fn scenarios_in(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = files
        .filter_map(|file| {
            let path = file.path();
            let is_scenario = path.extension().is_some_and(|e| e == "json" || e == "toml");
            let stem = path.file_stem().and_then(|s| s.to_str()).map(str::to_owned);
            stem.filter(|name| is_scenario && is_scenario_name(name))
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

fn is_scenario_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// Resets the environment and makes it what a scenario says; a file that is a snapshot is restored.
pub async fn load_scenario(context: &Context, name: &str) -> Result<(), Refused> {
    let unknown = || Refused::NotFound(format!("there is no scenario {name:?}"));
    if !is_scenario_name(name) {
        return Err(unknown());
    }
    let document = read_scenario(context, name).await?.ok_or_else(unknown)?;
    // Values of the file are not shown: it may not have been meant for us.
    let mistake = |error: FieldError| Refused::Invalid(vec![error]);
    if document.get("format").is_some() {
        let snapshot: Snapshot = crate::domain::json::from_value(document).map_err(mistake)?;
        return restore(context, &snapshot).await;
    }
    let scenario: Scenario = crate::domain::json::from_value(document).map_err(mistake)?;
    let clock = scenario.frozen_at.as_deref().map(|text| {
        crate::domain::clock::parse_rfc3339(text)
            .ok_or_else(|| Refused::field("frozen_at", "must be an RFC 3339 time"))
    });
    let clock = clock.transpose()?;
    // Everything is checked before anything is changed.
    for rule in &scenario.faults {
        rule.check().map_err(|(field, reason)| Refused::field(&format!("faults.{field}"), reason))?;
    }
    let wanted = if scenario.settings.is_null() { json!({}) } else { scenario.settings };
    let seed = if scenario.seed.is_null() { json!({}) } else { scenario.seed };
    crate::config::seed_from_json(&seed).map_err(Refused::Invalid)?;
    context
        .app
        .site
        .layers
        .environment(&context.app.id, context.app.name.clone(), &wanted)
        .map_err(Refused::Invalid)?;
    reset(context, Keep::default()).await?;
    settings::change(context, &wanted).await?;
    people::seed_from(context, &seed, true).await?;
    faults::create_checked(context, scenario.faults).await?;
    if let Some(at_ms) = clock {
        let change = crate::domain::clock::ClockChange {
            set_ms: Some(at_ms),
            frozen: Some(true),
            ..Default::default()
        };
        super::clock::change(context, change).await?;
    }
    Ok(())
}

/// `None`: no such file. Errors say where it is wrong, and none of its text: it may not have been meant for us.
async fn read_scenario(context: &Context, name: &str) -> Result<Option<Value>, Refused> {
    let folder = &context.app.site.scenarios;
    let wrong = |reason: String| Refused::field(name, reason);
    if let Some(text) = read_text(&folder.join(format!("{name}.json")), name).await? {
        let document = serde_json::from_str(&text);
        return document.map(Some).map_err(|e| wrong(format!("is not JSON at line {}", e.line())));
    }
    let Some(text) = read_text(&folder.join(format!("{name}.toml")), name).await? else { return Ok(None) };
    toml::from_str(&text).map(Some).map_err(|error: toml::de::Error| {
        let at = error.span().map_or(0, |span| span.start);
        let line = 1 + text.bytes().take(at).filter(|b| *b == b'\n').count();
        wrong(format!("is not TOML at line {line}"))
    })
}

/// `None`: no such file.
async fn read_text(path: &Path, name: &str) -> Result<Option<String>, Refused> {
    let wrong = |reason: String| Refused::field(name, reason);
    let read = async {
        let (file, folder) = (
            tokio::fs::canonicalize(path).await?,
            tokio::fs::canonicalize(path.parent().unwrap_or(Path::new("."))).await?,
        );
        if !file.starts_with(folder) {
            let text = "it is a link that leads out of the folder of scenarios";
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, text));
        }
        files::read(&file, MAX_SCENARIO_BYTES).await
    };
    match read.await {
        Ok(bytes) => String::from_utf8(bytes).map(Some).map_err(|_| wrong("is not UTF-8".to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(wrong(format!("cannot be read: {error}"))),
    }
}
