//! JSON from outside: read into a type, and mistakes named by field, in plain words instead of the parser's.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::field_error::FieldError;

/// Reads a document.
///
/// # Errors
/// The first mistake. Nothing of the document is quoted in it but names of fields.
pub fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, FieldError> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        // The parser calls a number in place of a name bad syntax.
        match serde_json::from_slice(text) {
            Ok(value) if !error.inner().is_data() => from_value::<T>(value).err(),
            _ => None,
        }
        .unwrap_or_else(|| mistake(&error.path().to_string(), error.inner()))
    })?;
    reader.end().map_err(|error| mistake("", &error))?;
    Ok(value)
}

/// Reads a value that was parsed before.
///
/// # Errors
/// As [`read`].
pub fn from_value<T: DeserializeOwned>(value: serde_json::Value) -> Result<T, FieldError> {
    serde_path_to_error::deserialize(value).map_err(|error| mistake(&error.path().to_string(), error.inner()))
}

/// Reads what was stored, possibly by another version of this program: fields that are not known are left out.
///
/// # Errors
/// The first mistake.
pub fn from_stored<T: DeserializeOwned>(text: &str) -> Result<T, FieldError> {
    match serde_json::from_str(text) {
        Ok(stored) => return Ok(stored),
        Err(error) if !error.is_data() => return Err(mistake("", &error)),
        Err(_) => {}
    }
    let mut value: Value = serde_json::from_str(text).map_err(|error| mistake("", &error))?;
    loop {
        match from_value(value.clone()) {
            Err(error) if error.reason.starts_with(UNKNOWN) && remove(&mut value, &error.field) => {}
            outcome => return outcome,
        }
    }
}

/// Removes the field at a path such as `clients[0].name`; `false` when there is none.
pub fn remove(value: &mut Value, path: &str) -> bool {
    let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
    let mut at = value;
    for part in parent.split(['.', '[']).filter(|part| !part.is_empty()) {
        let inner = match part.strip_suffix(']') {
            Some(index) => index.parse::<usize>().ok().and_then(|index| at.get_mut(index)),
            None => at.get_mut(part),
        };
        match inner {
            Some(inner) => at = inner,
            None => return false,
        }
    }
    at.as_object_mut().is_some_and(|fields| fields.remove(name).is_some())
}

/// How the reason of a field that is not known begins.
const UNKNOWN: &str = "is not a known field";

fn mistake(path: &str, error: &serde_json::Error) -> FieldError {
    if !error.is_data() {
        let text = format!("not valid JSON at line {}, column {}", error.line(), error.column());
        return FieldError::new("", text);
    }
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(before, _)| before);
    let (named, reason) = in_plain_words(text);
    FieldError::new(field(path, named), reason)
}

/// The path with the field that the message names, where the path stops above it.
fn field(path: &str, named: Option<&str>) -> String {
    let path = if path == "." { "" } else { path };
    match named {
        None => path.to_owned(),
        Some(name) if path == name || path.ends_with(&format!(".{name}")) => path.to_owned(),
        Some(name) if path.is_empty() => name.to_owned(),
        Some(name) => format!("{path}.{name}"),
    }
}

/// What serde says of data that does not fit, as a sentence goes on after the field; and the field it names.
fn in_plain_words(text: &str) -> (Option<&str>, String) {
    let quoted =
        |text: &str| -> Vec<String> { text.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let name_after = |prefix: &str| text.strip_prefix(prefix)?.split('`').next();
    let (_, expected) = text.split_once(", expected ").unwrap_or_default();
    if let Some(name) = name_after("missing field `") {
        return (Some(name), "is missing".to_owned());
    }
    if let Some(name) = name_after("duplicate field `") {
        return (Some(name), "must be there once only".to_owned());
    }
    if let Some(name) = name_after("unknown field `") {
        let known = quoted(expected);
        let hint = if known.is_empty() { String::new() } else { format!("; known are {}", known.join(", ")) };
        return (Some(name), format!("{UNKNOWN}{hint}"));
    }
    if text.starts_with("unknown variant `") {
        return (None, format!("must be one of: {}", quoted(expected).join(", ")));
    }
    if text.starts_with("invalid type: ") || text.starts_with("invalid value: ") {
        return (None, format!("must be {}", kind(expected)));
    }
    if text.starts_with("data did not match any variant") {
        return (None, "has a form that is not known".to_owned());
    }
    (None, text.to_owned())
}

/// What a value has to be, from what serde expects.
fn kind(expected: &str) -> &str {
    match expected {
        "i64" | "isize" | "i128" => "a whole number",
        "i32" => "a whole number from -2147483648 to 2147483647",
        "u64" | "usize" | "u128" => "a whole number, 0 or more",
        "u32" => "a whole number from 0 to 4294967295",
        "u16" => "a whole number from 0 to 65535",
        "u8" => "a whole number from 0 to 255",
        "f64" | "f32" => "a number",
        "a boolean" => "true or false",
        "a string" | "str" | "string" | "string or map" => "a string",
        "a sequence" => "a list",
        "a map" => "an object",
        "unit" => "null",
        other if other.starts_with("struct ") || other.contains("enum ") => "an object",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read into")]
    struct Input {
        name: String,
        #[serde(default)]
        number: Option<u64>,
        #[serde(default)]
        share: f64,
        #[serde(default)]
        is_on: bool,
        #[serde(default)]
        list: Vec<Inner>,
        #[serde(default)]
        word: Word,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read into")]
    struct Inner {
        port: u16,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Word {
        #[default]
        Settings,
        Clock,
    }

    #[rstest]
    #[case(r#"{"name":"x","number":"many"}"#, "number", "must be a whole number, 0 or more")]
    #[case(r#"{"name":"x","number":-1}"#, "number", "must be a whole number, 0 or more")]
    #[case(r#"{"name":"x","number":1.5}"#, "number", "must be a whole number, 0 or more")]
    #[case(r#"{"name":"x","share":"half"}"#, "share", "must be a number")]
    #[case(r#"{"name":"x","is_on":"yes"}"#, "is_on", "must be true or false")]
    #[case(r#"{"name":1}"#, "name", "must be a string")]
    #[case(r#"{"name":null}"#, "name", "must be a string")]
    #[case(r"{}", "name", "is missing")]
    #[case(r#"{"name":"x","name":"y"}"#, "name", "must be there once only")]
    #[case(r#"{"name":"x","list":{}}"#, "list", "must be a list")]
    #[case(r#"{"name":"x","list":[3]}"#, "list[0]", "must be an object")]
    #[case(r#"{"name":"x","list":[{}]}"#, "list[0].port", "is missing")]
    #[case(
        r#"{"name":"x","list":[{"port":65536}]}"#,
        "list[0].port",
        "must be a whole number from 0 to 65535"
    )]
    #[case(r#"{"name":"x","list":[{"port":1,"a":2}]}"#, "list[0].a", "is not a known field; known are port")]
    #[case(r#"{"name":"x","word":"time"}"#, "word", "must be one of: settings, clock")]
    #[case(r#"{"name":"x","word":7}"#, "word", "must be a string")]
    #[case("3", "", "must be an object")]
    #[case("{", "", "not valid JSON at line 1, column 1")]
    #[case("{\"name\":\"x\"}\n}", "", "not valid JSON at line 2, column 1")]
    #[case("secret words", "", "not valid JSON at line 1, column 1")]
    fn mistakes_are_told_in_plain_words(#[case] text: &str, #[case] field: &str, #[case] reason: &str) {
        assert_eq!(read::<Input>(text.as_bytes()).unwrap_err(), FieldError::new(field, reason), "{text}");
    }

    #[test]
    fn a_value_is_read_by_the_same_words() {
        let error = from_value::<Input>(serde_json::json!({ "name": "x", "list": [{}] })).unwrap_err();
        assert_eq!(error.to_string(), "list[0].port: is missing");
    }

    #[test]
    fn what_was_stored_is_read_without_the_fields_that_are_not_known() {
        let stored = json!({ "name": "n", "colour": 1, "list": [{ "port": 1 }, { "port": 2, "host": "h" }] });
        let read: Input = from_stored(&stored.to_string()).unwrap();
        assert_eq!((read.name.as_str(), read.list.len()), ("n", 2));
        assert_eq!(from_stored::<Input>("{}").unwrap_err().field, "name");
        assert!(from_stored::<Input>("{").is_err());
    }

    #[test]
    fn a_field_is_removed_by_its_path() {
        let mut value = json!({ "clients": [{ "id": 1, "name": "a" }], "demo": true });
        assert!(remove(&mut value, "clients[0].name") && remove(&mut value, "demo"));
        assert!(!remove(&mut value, "clients[1].id") && !remove(&mut value, "other.name"));
        assert_eq!(value, json!({ "clients": [{ "id": 1 }] }));
    }
}
