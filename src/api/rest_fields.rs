//! Fields of a message by their names: from paths and queries, where values are texts, and in JSON, where names may be
//! unknown.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage as _, Value};

use crate::domain::api_error::FieldViolation;

/// Sets the field with this dotted name, or adds to it where it is a list. A name that is not known changes nothing.
pub fn set(message: &mut DynamicMessage, name: &str, text: &str) -> Result<(), FieldViolation> {
    let Some(path) = resolve(&message.descriptor(), name) else { return Ok(()) };
    let Some((field, outer)) = path.split_last() else { return Ok(()) };
    // Maps have no form in a query, and an empty value is one for texts alone.
    if field.is_map() || (text.is_empty() && !matches!(field.kind(), Kind::String)) {
        return Ok(());
    }
    let value = value(&field.kind(), text).ok_or_else(|| not_a_value(name, &field.kind()))?;
    let mut inside = message;
    for field in outer {
        match inside.get_field_mut(field) {
            Value::Message(inner) => inside = inner,
            _ => return Ok(()),
        }
    }
    match inside.get_field_mut(field) {
        Value::List(items) if field.is_list() => items.push(value),
        _ => inside.set_field(field, value),
    }
    Ok(())
}

/// Sets a field to this value alone.
pub fn set_one(message: &mut DynamicMessage, name: &str, text: &str) -> Result<(), FieldViolation> {
    message.clear_field_by_name(name);
    set(message, name, text)
}

/// The fields that a dotted name goes through.
fn resolve(message: &MessageDescriptor, name: &str) -> Option<Vec<FieldDescriptor>> {
    let (mut at, mut path) = (Some(message.clone()), vec![]);
    for part in name.split('.') {
        let field = by_either_name(at.as_ref()?, part)?;
        at = match field.kind() {
            Kind::Message(inner) if !field.is_list() && !field.is_map() => Some(inner),
            _ => None,
        };
        path.push(field);
    }
    Some(path)
}

fn by_either_name(message: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    message.get_field_by_name(name).or_else(|| message.get_field_by_json_name(name))
}

/// The value of a text, as JSON would have it.
fn value(kind: &Kind, text: &str) -> Option<Value> {
    Some(match kind {
        Kind::String => Value::String(text.to_owned()),
        Kind::Bool => Value::Bool(text.parse().ok()?),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(text.parse().ok()?),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(text.parse().ok()?),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(text.parse().ok()?),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(text.parse().ok()?),
        Kind::Float => Value::F32(text.parse().ok()?),
        Kind::Double => Value::F64(text.parse().ok()?),
        Kind::Bytes => Value::Bytes(STANDARD.decode(text).ok()?.into()),
        Kind::Enum(known) => {
            let named = known.get_value_by_name(text).map(|value| value.number());
            Value::EnumNumber(named.or_else(|| text.parse().ok())?)
        }
        Kind::Message(message) => Value::Message(well_known(message, text)?),
    })
}

/// A mask, a time, a duration or a wrapped value.
fn well_known(message: &MessageDescriptor, text: &str) -> Option<DynamicMessage> {
    let name = message.full_name().strip_prefix("google.protobuf.")?;
    if name.ends_with("Value") && name != "Value" && name != "ListValue" {
        let mut wrapper = DynamicMessage::new(message.clone());
        let inner = value(&message.get_field_by_name("value")?.kind(), text)?;
        wrapper.set_field_by_name("value", inner);
        return Some(wrapper);
    }
    if name == "FieldMask" {
        let mut mask = DynamicMessage::new(message.clone());
        let paths = text.split(',').map(|path| Value::String(in_snake_case(path)));
        mask.set_field_by_name("paths", Value::List(paths.collect()));
        return Some(mask);
    }
    DynamicMessage::deserialize(message.clone(), serde_json::Value::String(text.to_owned())).ok()
}

/// The name of a field as its message has it; masks come in both forms.
fn in_snake_case(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

fn not_a_value(name: &str, kind: &Kind) -> FieldViolation {
    let (rule, what) = match kind {
        Kind::Bool => ("bool", "it is neither true nor false"),
        Kind::Enum(_) => ("defined_only", "there is no such value"),
        Kind::Message(message) if message.name() == "Timestamp" => ("timestamp", "it is no RFC 3339 time"),
        Kind::Message(message) if message.name() == "Duration" => {
            ("duration", "it is no duration such as 3.5s")
        }
        Kind::Bytes => ("bytes", "it is no base64"),
        Kind::Message(message) if !message.name().ends_with("Value") => ("type", "it is no single value"),
        _ => ("number", "it is no such number"),
    };
    FieldViolation::new(name, rule, format!("{name} is invalid: {what}"))
}

/// Takes out what JSON names and messages of this kind do not have. (prost-reflect can ignore it, but then it ignores
/// unknown names of enums, too.)
pub fn drop_unknown(json: &mut serde_json::Value, kind: &Kind) {
    let Kind::Message(message) = kind else { return };
    if message.full_name().starts_with("google.protobuf.") {
        return;
    }
    let serde_json::Value::Object(members) = json else { return };
    members.retain(|name, value| {
        let Some(field) = by_either_name(message, name) else { return false };
        match value {
            serde_json::Value::Array(items) if field.is_list() => {
                for item in items {
                    drop_unknown(item, &field.kind());
                }
            }
            serde_json::Value::Object(pairs) if field.is_map() => {
                if let Kind::Message(entry) = field.kind() {
                    let kind = entry.map_entry_value_field().kind();
                    pairs.values_mut().for_each(|value| drop_unknown(value, &kind));
                }
            }
            value => drop_unknown(value, &field.kind()),
        }
        true
    });
}
