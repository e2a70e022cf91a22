//! Settings as fields of a form, made of what is known about them.

use serde_json::{Value, json};

use super::blocks::{Field, FormState};
use super::{lines, one};
use crate::domain::authorization::Parameters;
use crate::domain::environment::Environment;
use crate::service::settings::{Facts, Values};

/// A setting as a field of its type. `words` are the names of a choice; without any it shows its own words.
pub fn field(
    form_state: &FormState,
    form: &str,
    (environment, configured): (&Environment, Option<&Environment>),
    setting: &'static Facts,
    label: &str,
    words: &[(&'static str, &'static str)],
) -> Field {
    let (_, name) = setting.table_and_name();
    let value = setting.view().map(|view| view(environment)).unwrap_or_default();
    let text = value.as_str().unwrap_or_default();
    let field = match setting.values {
        Values::Boolean => form_state.check(form, name, label, value == true),
        Values::Integer(..) => form_state.number(form, name, label, value),
        Values::Text => form_state.text(form, name, label, text),
        Values::Table => form_state.long(form, name, label, value.to_string()),
        Values::List => {
            let texts: Vec<&str> = value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            form_state.long(form, name, label, texts.join("\n"))
        }
        Values::Choice if words.is_empty() => {
            let own: Vec<_> = setting.words.iter().map(|word| (*word, *word)).collect();
            form_state.choice(form, name, label, text, &own)
        }
        Values::Choice => form_state.choice(form, name, label, text, words),
    };
    let of = |environment| setting.view().map(|view| view(environment));
    let is_changed = configured.is_some_and(|configured| of(configured) != of(environment));
    // It is written in Markdown.
    let about = setting.about.replace('`', "");
    let field = Field { changed: is_changed.then(|| setting.key.clone()), ..field };
    field.hint(match setting.values {
        Values::Integer(first, last) => format!("{about} {first} to {last}."),
        Values::List => format!("{about} One per line."),
        Values::Table => format!("{about} JSON."),
        Values::Boolean | Values::Text | Values::Choice => about,
    })
}

/// What was typed into fields of these settings, in the words of the configuration. What is no number is left for the
/// reader to refuse.
pub fn patch(
    params: &Parameters,
    environment: &Environment,
    settings: impl Iterator<Item = &'static Facts>,
) -> Value {
    let mut patch = json!({});
    for setting in settings {
        let (table, name) = setting.table_and_name();
        let text = one(params, name);
        let value = match setting.values {
            Values::Boolean => json!(text == "on"),
            Values::Integer(..) => text.parse::<i64>().map_or_else(|_| json!(text), Value::from),
            Values::Table => {
                let before = setting.view().map(|view| view(environment)).unwrap_or_default();
                serde_json::from_str(text).map_or_else(|_| json!(text), |typed| table_patch(typed, &before))
            }
            Values::Text | Values::Choice => json!(text),
            Values::List => json!(lines(text)),
        };
        if table.is_empty() {
            patch[name] = value;
        } else {
            patch[table][name] = value;
        }
    }
    patch
}

/// A table as it was typed. What it had before and has no more is emptied: it may stand in the configuration file too.
pub fn table_patch(mut typed: Value, before: &Value) -> Value {
    if let (Value::Object(typed), Value::Object(before)) = (&mut typed, before) {
        for name in before.keys().filter(|name| !typed.contains_key(*name)).cloned().collect::<Vec<_>>() {
            typed.insert(name, json!(""));
        }
    }
    typed
}
