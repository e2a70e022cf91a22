//! The state of an environment: reset, and scenarios from files.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::changes::{ControlError, publish_change};
use super::{seed, settings, snapshot};
use crate::domain::clock::ClockSetting;
use crate::domain::fault::FaultRule;
use crate::domain::field_error::FieldError;
use crate::runtime::Context;
use crate::service::{faults, files, flows, retry_on_conflict};

/// Largest scenario. A snapshot is one too.
const MAX_SCENARIO_BYTES: u64 = 64 << 20;

/// What a reset leaves as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keep {
    pub settings: bool,
    pub clock: bool,
    pub faults: bool,
}

/// Brings the environment back to its seed: users as seeded; nobody signed in, no email, no request, no log; settings,
/// clock and faults as at the start. Signing keys stay, so that applications need not fetch them again.
pub async fn reset(context: &Context, keep: Keep) -> Result<(), ControlError> {
    flows::write(&context.runtime.server).await;
    retry_on_conflict(|| async {
        let mut record = context.runtime.record().await?;
        if !keep.settings {
            record.settings = context.store().template_settings(&record.id).await?;
        }
        if !keep.clock {
            record.clock = ClockSetting::default();
        }
        record.resets += 1;
        let now_ms = context.runtime.clock.machine_ms();
        let is_done = context.store().reset(&record, keep.settings, keep.faults, now_ms).await?;
        Ok::<_, ControlError>(is_done.then_some(()))
    })
    .await?;
    publish_change(context).await?;
    context.runtime.mail.notify_waiters();
    Ok(())
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
    let folder = context.runtime.server.scenarios.clone();
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
pub async fn load_scenario(context: &Context, name: &str) -> Result<(), ControlError> {
    let unknown = || ControlError::NotFound(format!("there is no scenario {name:?}"));
    if !is_scenario_name(name) {
        return Err(unknown());
    }
    let document = read_scenario(context, name).await?.ok_or_else(unknown)?;
    // Values of the file are not shown: it may not have been meant for us.
    let mistake = |error: FieldError| ControlError::Invalid(vec![error]);
    if document.get("format").is_some() {
        return snapshot::restore(context, document).await.map(|_ignored| ());
    }
    let scenario: Scenario = crate::domain::json::from_value(document).map_err(mistake)?;
    let clock = scenario.frozen_at.as_deref().map(|text| {
        crate::domain::clock::parse_rfc3339(text)
            .ok_or_else(|| ControlError::field("frozen_at", "must be an RFC 3339 time"))
    });
    let clock = clock.transpose()?;
    // Everything is checked before anything is changed.
    for rule in &scenario.faults {
        rule.check().map_err(|(field, reason)| ControlError::field(&format!("faults.{field}"), reason))?;
    }
    let wanted = if scenario.settings.is_null() { json!({}) } else { scenario.settings };
    let seed = if scenario.seed.is_null() { json!({}) } else { scenario.seed };
    crate::config::seed_from_json(&seed).map_err(ControlError::Invalid)?;
    context
        .runtime
        .server
        .layers()
        .environment(&context.runtime.id, context.runtime.name.clone(), &wanted)
        .map_err(ControlError::Invalid)?;
    reset(context, Keep::default()).await?;
    settings::change(context, &wanted).await?;
    seed::write_json(context, &seed, true).await?;
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
async fn read_scenario(context: &Context, name: &str) -> Result<Option<Value>, ControlError> {
    let folder = &context.runtime.server.scenarios;
    let wrong = |reason: String| ControlError::field(name, reason);
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
async fn read_text(path: &Path, name: &str) -> Result<Option<String>, ControlError> {
    let wrong = |reason: String| ControlError::field(name, reason);
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
