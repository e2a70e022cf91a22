//! Isolated environments: made in one call, each with its own URL, credentials, users, clock, inbox and faults.

use std::sync::Arc;

use secrecy::ExposeSecret as _;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::changed_settings::take_clients;
use super::changes::ControlError;
use super::{clients, settings::Settings};
use crate::config::{merge, seed_from_json};
use crate::domain::clock::{ClockChange, ClockSetting, rfc3339};
use crate::domain::environment::Environment;
use crate::domain::environment_name::EnvironmentName;
use crate::domain::ids::{IdKind, new_id};
use crate::domain::public_url::PublicUrl;
use crate::domain::settings::Mode;
use crate::runtime::{Context, EnvironmentError, EnvironmentRuntime, SERVER_SECRET, changed_environment};
use crate::service::{Failure, seed};
use crate::storage::EnvironmentRecord;

/// What a new environment is to be.
#[derive(Debug, Clone, Default)]
pub struct CreateEnvironment {
    /// Made up when left out.
    pub name: Option<String>,
    /// Over the configured settings. Without `clients`, one is made with credentials of its own.
    pub settings: Value,
    /// In the words of the configuration: `users` and `organizations`.
    pub seed: Value,
    pub clock: ClockChange,
    /// Of the client that is made.
    pub redirect_uris: Vec<String>,
    /// Of the client that is made, too. `None`: yes, since nobody but tests signs in here.
    pub instant_sign_in: Option<bool>,
}

/// An environment as the control API shows it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EnvironmentView {
    /// `null`: the default one.
    pub name: Option<String>,
    pub id: String,
    /// Put it where Scalekit's was: by host name.
    pub environment_url: String,
    /// The same environment by path, for machines whose resolver does not know `NAME.localhost`.
    pub path_url: String,
    /// All URLs it is reached under.
    pub urls: Vec<String>,
    pub client_id: Option<String>,
    /// In the clear, where the server has it so.
    pub client_secret: Option<String>,
    /// RFC 3339.
    pub created_at: Option<String>,
    pub settings: Settings,
}

/// Most environments at once.
const MAX_ENVIRONMENTS: i64 = 10_000;

/// Names in a page.
pub const PAGE: usize = 200;
const PAGE_ROWS: i64 = 200;

/// An environment as it is shown to whoever asked under this URL.
pub fn view(environment: &Environment, asked: &PublicUrl, created_at_ms: Option<i64>) -> EnvironmentView {
    let urls = environment.urls_seen_from(asked);
    let first = urls.first().map(|u| u.issuer().to_owned()).unwrap_or_default();
    let by_path = urls.iter().find(|u| !u.path().is_empty()).map(|u| u.issuer().to_owned());
    let client = environment.first_application().map(clients::ClientView::from);
    EnvironmentView {
        name: environment.name.as_ref().map(|n| n.as_str().to_owned()),
        id: environment.id.clone(),
        path_url: by_path.filter(|_| environment.name.is_some()).unwrap_or_else(|| first.clone()),
        environment_url: first,
        urls: urls.iter().map(|u: &PublicUrl| u.issuer().to_owned()).collect(),
        client_secret: client.as_ref().and_then(|c| c.client_secrets.iter().flatten().next().cloned()),
        client_id: client.map(|c| c.client_id),
        created_at: created_at_ms.map(rfc3339),
        settings: Settings::from(environment),
    }
}

/// The default environment and the first isolated ones after `after`, by name; of the isolated ones those only whose
/// name contains `part`.
pub async fn list(context: &Context, after: &str, part: &str) -> Result<Vec<EnvironmentView>, ControlError> {
    let mut found = vec![];
    if after.is_empty()
        && let Some(default) = context.registry.get()
    {
        found.push(view(&default.live().environment, &context.public_url, None));
    }
    let (server, store) = (&context.runtime.server, context.store());
    let records = store.environment_records(after, part, PAGE_ROWS).await?;
    let name_of =
        |record: Option<&EnvironmentRecord>| record.and_then(|r| r.name.clone()).unwrap_or_default();
    let (first, last) = (name_of(records.first()), name_of(records.last()));
    let clients = store.clients_of_environments(&first, &last, part).await?;
    for record in &records {
        let name = record.name.as_deref().and_then(EnvironmentName::parse);
        let clients = clients.get(&record.id).map(Vec::as_slice).unwrap_or_default();
        let environment = changed_environment(server, name.as_ref(), record, clients)?;
        found.push(view(&environment, &context.public_url, Some(record.created_at_ms)));
    }
    Ok(found)
}

async fn open(context: &Context, name: &EnvironmentName) -> Result<Arc<EnvironmentRuntime>, ControlError> {
    context.registry.open(name).await.map_err(|error| match error {
        EnvironmentError::Unknown(_) => unknown(name.as_str()),
        EnvironmentError::Failure(error) => error.into(),
        EnvironmentError::Starting => ControlError::NotAllowed("the server is starting".to_owned()),
    })
}

fn unknown(name: &str) -> ControlError {
    ControlError::NotFound(format!("there is no environment {name:?}"))
}

fn parse_name(name: &str) -> Result<EnvironmentName, ControlError> {
    EnvironmentName::parse(name).ok_or_else(|| {
        ControlError::field("name", "must be 1 to 63 letters, digits and inner hyphens, as in host names")
    })
}

pub async fn show(context: &Context, name: &str) -> Result<EnvironmentView, ControlError> {
    let name = EnvironmentName::parse(name).ok_or_else(|| unknown(name))?;
    let record =
        context.store().environment_named(name.as_str()).await?.ok_or_else(|| unknown(name.as_str()))?;
    let runtime = open(context, &name).await?;
    Ok(view(&runtime.live().environment, &context.public_url, Some(record.created_at_ms)))
}

/// Makes an environment. It signs with the keys of the default one, under an issuer of its own.
pub async fn create(context: &Context, wanted: CreateEnvironment) -> Result<EnvironmentView, ControlError> {
    let server = context.runtime.server.clone();
    if server.mode == Mode::Production {
        return Err(ControlError::NotAllowed("production mode has the one environment only".to_owned()));
    }
    let entropy = &*server.entropy;
    let name = match &wanted.name {
        Some(name) => parse_name(name)?,
        None => parse_name(&format!("env-{}", &new_id(IdKind::Environment, 0, entropy)[16..]))?,
    };
    let machine_ms = server.machine_clock.now_ms();
    let clock = ClockSetting::default()
        .changed(wanted.clock, machine_ms)
        .ok_or_else(|| ControlError::field("clock.now", "would be before 1970 or after 9999"))?;
    let mut settings = json!({});
    if wanted.settings.get("clients").is_none_or(Value::is_null) {
        merge(
            &mut settings,
            &json!({ "clients": [{
            "client_id": clients::new_client_id(entropy),
            "client_secret": clients::new_secret(entropy).expose_secret(),
            "redirect_uris": wanted.redirect_uris,
            "instant_sign_in": wanted.instant_sign_in.unwrap_or(true),
        }] }),
        );
    }
    if !wanted.settings.is_null() {
        if !wanted.settings.is_object() {
            return Err(ControlError::field("settings", "must be an object"));
        }
        merge(&mut settings, &wanted.settings);
    }
    let id = new_id(IdKind::Environment, machine_ms, entropy);
    let environment =
        server.layers().environment(&id, Some(name.clone()), &settings).map_err(|e| within("settings", e))?;
    let clients = server.clients().changes(&[], &environment.clients, machine_ms)?;
    take_clients(&mut settings);
    let wanted_seed = seed_from_json(&object_or_nothing(&wanted.seed)).map_err(|e| within("seed", e))?;
    let mut secret = [0; 32];
    entropy.fill(&mut secret);
    let record = EnvironmentRecord {
        name: Some(name.as_str().to_owned()),
        version: 1,
        resets: 0,
        settings: server.seal_settings(&settings)?,
        clock,
        created_at_ms: machine_ms,
        id,
    };
    if context.store().count_environments().await? >= MAX_ENVIRONMENTS {
        return Err(ControlError::NotAllowed(format!(
            "there are {MAX_ENVIRONMENTS} environments; delete some"
        )));
    }
    let sealed_secret = server.seal_secret(&secret)?;
    let made = context
        .store()
        .insert_environment(&record, server.default_id(), (SERVER_SECRET, &sealed_secret), &clients)
        .await?;
    if !made {
        let error = crate::domain::field_error::FieldError::new("name", "is used by another environment");
        return Err(ControlError::Conflict(error));
    }
    let runtime = open(context, &name).await?;
    let there = context.in_environment(runtime.clone());
    let ready = seed::with_ids(&wanted_seed, there.now_ms(), there.many_ids(IdKind::User));
    if let Err(refused) = seed::write(&there, &ready, false).await {
        // A seed that contradicts itself leaves nothing behind.
        context.store().delete_environment(&record.id).await?;
        context.registry.forget(&name);
        return Err(refused);
    }
    Ok(view(&runtime.live().environment, &context.public_url, Some(record.created_at_ms)))
}

fn object_or_nothing(value: &Value) -> Value {
    if value.is_null() { json!({}) } else { value.clone() }
}

fn within(name: &str, errors: Vec<crate::domain::field_error::FieldError>) -> ControlError {
    let named = errors.into_iter().map(|e| {
        let field = if e.field.is_empty() { name.to_owned() } else { format!("{name}.{}", e.field) };
        crate::domain::field_error::FieldError::new(field, e.reason)
    });
    ControlError::Invalid(named.collect())
}

/// Deletes an isolated environment with everything in it.
pub async fn delete(context: &Context, name: &str) -> Result<(), ControlError> {
    let name = EnvironmentName::parse(name).ok_or_else(|| unknown(name))?;
    let record =
        context.store().environment_named(name.as_str()).await?.ok_or_else(|| unknown(name.as_str()))?;
    if !context.store().delete_environment(&record.id).await? {
        return Err(unknown(name.as_str()));
    }
    context.registry.forget(&name);
    if let Some(age) = context.runtime.server.freshness() {
        tokio::time::sleep(age).await;
    }
    Ok(())
}

/// Deletes all isolated environments; tells how many.
pub async fn delete_all(context: &Context) -> Result<u64, ControlError> {
    let mut deleted = 0;
    loop {
        let records = context.store().environment_records("", "", PAGE_ROWS).await?;
        if records.is_empty() {
            return Ok(deleted);
        }
        for record in records {
            deleted += u64::from(context.store().delete_environment(&record.id).await?);
            if let Some(name) = record.name.as_deref().and_then(EnvironmentName::parse) {
                context.registry.forget(&name);
            }
        }
    }
}

impl From<EnvironmentError> for Failure {
    fn from(error: EnvironmentError) -> Self {
        match error {
            EnvironmentError::Failure(error) => error.into(),
            EnvironmentError::Starting | EnvironmentError::Unknown(_) => {
                Self::Store(crate::storage::StoreError::Unreadable("environment"))
            }
        }
    }
}
