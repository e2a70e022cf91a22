//! The environment's settings, in the words of the configuration file.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::changed_settings::change_with;
use super::changes::ControlError;
use super::clients;
use crate::config::{self, merge};
pub use crate::config::{Facts, Values, sections};
use crate::domain::environment::Environment;
use crate::runtime::Context;

/// Settings as they hold now, in the words of the configuration file: those that the control API shows. A change names
/// those it means, and `null` goes back to the configured one.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Settings(Map<String, Value>);

impl From<&Environment> for Settings {
    fn from(environment: &Environment) -> Self {
        let mut settings = Map::new();
        for setting in config::all() {
            let Some(view) = setting.view() else { continue };
            match setting.table_and_name() {
                ("", name) => {
                    settings.insert(name.to_owned(), view(environment));
                }
                (table, name) => {
                    let table = settings.entry(table).or_insert_with(|| Value::Object(Map::new()));
                    table[name] = view(environment);
                }
            }
        }
        Self(settings)
    }
}

/// What is known about the setting of this key.
pub fn find(key: &str) -> Option<&'static Facts> {
    config::all().find(|setting| setting.key == key)
}

impl ToSchema for Settings {}

impl PartialSchema for Settings {
    fn schema() -> RefOr<Schema> {
        let about = "Settings as they hold now. A change names those it means, and `null` goes back to the \
                     configured one.";
        let mut settings = ObjectBuilder::new().description(Some(about));
        for section in sections() {
            let shown: Vec<&Facts> = section.settings.iter().filter(|s| s.view().is_some()).collect();
            if section.table.is_empty() {
                settings = with_properties(settings, &shown);
            } else if !shown.is_empty() {
                let table = with_properties(ObjectBuilder::new().description(Some(section.about)), &shown);
                settings = settings.property(section.table, table).required(section.table);
            }
        }
        settings.into()
    }
}

fn with_properties(object: ObjectBuilder, settings: &[&Facts]) -> ObjectBuilder {
    settings.iter().fold(object, |object, setting| {
        let (_, name) = setting.table_and_name();
        object.property(name, schema_of(setting)).required(name)
    })
}

/// What a setting may be, as JSON schema.
fn schema_of(setting: &Facts) -> Schema {
    let schema = ObjectBuilder::new()
        .description(Some(setting.about))
        .default(setting.default.clone())
        .read_only((!setting.is_changeable()).then_some(true));
    let text = if setting.default.is_some() {
        SchemaType::new(Type::String)
    } else {
        SchemaType::from_iter([Type::String, Type::Null])
    };
    match setting.values {
        Values::Boolean => schema.schema_type(Type::Boolean).into(),
        Values::Integer(first, last) => {
            schema.schema_type(Type::Integer).minimum(Some(first)).maximum(Some(last)).into()
        }
        Values::Text => schema.schema_type(text).into(),
        Values::Choice => schema.schema_type(text).enum_values(Some(setting.words.iter().copied())).into(),
        Values::Table => {
            let texts = ObjectBuilder::new().schema_type(Type::String);
            schema.schema_type(Type::Object).additional_properties(Some(texts)).into()
        }
        Values::List => {
            let items = ObjectBuilder::new().schema_type(Type::String);
            ArrayBuilder::new().items(items).description(Some(setting.about)).into()
        }
    }
}

/// The environment as it is configured, without what was changed while the server runs.
pub fn configured(context: &Context) -> Option<Environment> {
    let runtime = &context.runtime;
    let layers = runtime.server.layers();
    layers.environment(&runtime.id, runtime.name.clone(), &Value::Object(Map::new())).ok()
}

/// Lays a change over the settings and the earlier changes.
pub async fn change(context: &Context, patch: &Value) -> Result<Arc<Environment>, ControlError> {
    if !patch.is_object() {
        return Err(ControlError::field("", "must be a JSON object of settings"));
    }
    let mut patch = patch.clone();
    if patch.get("clients").is_some_and(Value::is_null) {
        patch["clients"] = clients::first(context).await?;
    }
    change_with(context, |changes, _| {
        merge(changes, &patch);
        Ok(())
    })
    .await
}
