//! What is written in every layer, and where. `reader.rs` reads settings out of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::problem::{Location, Problem};
use super::spelling::nearest;

/// A value as written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Boolean(bool),
    List(Vec<Value>),
    Other(&'static str),
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) value: Value,
    pub(super) location: Location,
}

/// All layers laid over one another: the last one written wins, setting by setting.
#[derive(Debug, Clone, Default)]
pub struct Source {
    entries: BTreeMap<String, Entry>,
    read: BTreeSet<String>,
    /// Where tables begin whose names anybody may choose: `organizations[0].metadata.`
    read_tables: BTreeSet<String>,
    problems: Vec<Problem>,
}

impl Source {
    /// Lays a TOML file over what is there.
    pub fn add_file(&mut self, path: &Path, text: &str) {
        let (table, errors) = DeTable::parse_recoverable(text);
        let line_ends: Vec<usize> = text.match_indices('\n').map(|(offset, _)| offset).collect();
        let line_at = |offset: usize| 1 + line_ends.partition_point(|end| *end < offset);
        for error in errors {
            let line = error.span().map_or(1, |s| line_at(s.start));
            self.problem_at(Location::File { path: path.to_owned(), line }, "", error.message().to_owned());
        }
        self.add_table("", table.get_ref(), &|offset| Location::File {
            path: path.to_owned(),
            line: line_at(offset),
        });
    }

    fn add_table(&mut self, prefix: &str, table: &DeTable<'_>, at: &dyn Fn(usize) -> Location) {
        for (name, value) in table {
            let key = if prefix.is_empty() {
                name.get_ref().to_string()
            } else {
                format!("{prefix}.{}", name.get_ref())
            };
            match value.get_ref() {
                DeValue::Table(inner) => self.add_table(&key, inner, at),
                DeValue::Array(items) if items.iter().any(|i| i.get_ref().is_table()) => {
                    for (index, item) in items.iter().enumerate() {
                        if let DeValue::Table(inner) = item.get_ref() {
                            let key = format!("{key}[{index}]");
                            // The table itself, so that an empty one counts too.
                            let location = at(item.span().start);
                            self.set(&key, Value::Other("table"), location);
                            self.read.insert(key.clone());
                            self.add_table(&key, inner, at);
                        }
                    }
                }
                other => self.set(&key, value_of(other), at(name.span().start)),
            }
        }
    }

    /// Lays what the control API was sent over what is there, in the words of the file. A list of tables replaces
    /// the list that was there; `null` leaves a setting as it is.
    pub fn add_json(&mut self, value: &serde_json::Value) {
        self.add_json_at("", value);
    }

    fn add_json_at(&mut self, key: &str, value: &serde_json::Value) {
        use serde_json::Value as Json;
        match value {
            Json::Null => {}
            Json::Object(fields) => {
                for (name, value) in fields {
                    let inner = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                    self.add_json_at(&inner, value);
                }
            }
            // An empty list may be one of tables: those are known by name.
            Json::Array(items) if items.is_empty() && super::is_list_of_tables(key) => {
                self.remove_tables(key);
                self.read.insert(key.to_owned());
            }
            Json::Array(items) if items.iter().any(Json::is_object) || self.tables(key) > 0 => {
                self.remove_tables(key);
                for (index, item) in items.iter().enumerate() {
                    let key = format!("{key}[{index}]");
                    self.set(&key, Value::Other("table"), Location::Api);
                    self.read.insert(key.clone());
                    if item.is_object() {
                        self.add_json_at(&key, item);
                    } else {
                        self.problem(&key, "must be an object");
                    }
                }
            }
            Json::Array(items) => {
                let items = items.iter().map(|item| match item {
                    Json::String(text) => Value::Text(text.clone()),
                    _ => Value::Other("value"),
                });
                self.set(key, Value::List(items.collect()), Location::Api);
            }
            Json::String(text) => self.set(key, Value::Text(text.clone()), Location::Api),
            Json::Bool(value) => self.set(key, Value::Boolean(*value), Location::Api),
            Json::Number(number) => {
                let value = number.as_i64().map_or(Value::Other("number"), Value::Integer);
                self.set(key, value, Location::Api);
            }
        }
    }

    /// Settings that are written otherwise in another source, or in one of the two alone.
    pub(super) fn differences(&self, other: &Self) -> BTreeSet<String> {
        let differs = |key: &&String| {
            self.entries.get(*key).map(|e| &e.value) != other.entries.get(*key).map(|e| &e.value)
        };
        self.entries.keys().chain(other.entries.keys()).filter(differs).cloned().collect()
    }

    /// Takes a setting as it is written in another source, or forgets it.
    pub(super) fn take_from(&mut self, other: &Self, key: &str) {
        match other.entries.get(key) {
            Some(entry) => drop(self.entries.insert(key.to_owned(), entry.clone())),
            None => self.remove(key),
        }
    }

    /// Forgets a list of tables.
    pub fn remove_tables(&mut self, name: &str) {
        let table = format!("{name}[");
        self.entries.retain(|key, _| !key.starts_with(&table));
    }

    /// Forgets a setting.
    pub fn remove(&mut self, key: &str) {
        self.entries.remove(key);
    }

    /// Names of the settings that the control API was sent.
    pub fn sent_by_api(&self) -> Vec<String> {
        let sent = self.entries.iter().filter(|(_, e)| e.location == Location::Api);
        sent.map(|(key, _)| key.clone()).collect()
    }

    /// Lays variables over what is there: `VESTIBULE_PASSWORDLESS__TYPE` is `passwordless.type`.
    pub fn add_variables(&mut self, variables: impl Iterator<Item = (String, String)>) {
        for (name, text) in variables {
            if let Some(key) = key_of_variable(&name) {
                self.set(&key, Value::Text(text), Location::Variable(name));
            }
        }
    }

    /// Sets what a variable without our prefix says.
    pub(super) fn add_variable(&mut self, key: &str, name: &str, value: String) {
        self.set(key, Value::Text(value), Location::Variable(name.to_owned()));
    }

    pub fn add_flag(&mut self, key: &str, flag: &'static str, value: impl Into<String>) {
        self.set(key, Value::Text(value.into()), Location::Flag(flag));
    }

    /// Sets what was made at the start.
    pub(super) fn generate(&mut self, key: &str, value: String) {
        self.set(key, Value::Text(value), Location::Generated);
    }

    /// Was this made at the start?
    pub(super) fn is_generated(&self, key: &str) -> bool {
        self.entries.get(key).is_some_and(|e| e.location == Location::Generated)
    }

    fn set(&mut self, key: &str, value: Value, location: Location) {
        self.entries.insert(key.to_owned(), Entry { value, location });
    }

    pub fn is_set(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Where a setting was written, unless the control API was sent it.
    pub fn location(&self, key: &str) -> Option<&Location> {
        self.entries
            .get(key)
            .map(|e| &e.location)
            .filter(|l| !matches!(l, Location::Api | Location::Generated | Location::Unwritten))
    }

    /// How many tables `[[name]]` there are.
    pub fn tables(&self, name: &str) -> usize {
        (0..).take_while(|i| self.is_set(&format!("{name}[{i}]"))).count()
    }

    pub fn problem(&mut self, key: &str, message: impl Into<String>) {
        let location = self.entries.get(key).map_or(Location::Unwritten, |e| e.location.clone());
        self.problem_at(location, key, message);
    }

    pub fn problem_at(&mut self, location: Location, key: &str, message: impl Into<String>) {
        self.problems.push(Problem { location, key: key.to_owned(), value: None, message: message.into() });
    }

    /// A mistake in what was written, which the configuration's message shows; who sent it by API knows it.
    pub fn problem_with(&mut self, key: &str, value: impl Into<String>, message: impl Into<String>) {
        self.problem(key, message);
        if let Some(problem) = self.problems.last_mut() {
            problem.value = Some(value.into());
        }
    }

    pub(super) fn take(&mut self, key: &str) -> Option<Entry> {
        self.read.insert(key.to_owned());
        self.entries.get(key).cloned()
    }

    /// Everything in a table, by its name there.
    pub(super) fn take_table(&mut self, key: &str) -> Vec<(String, Entry)> {
        let table = format!("{key}.");
        let found = self.entries.range(table.clone()..).map_while(|(key, entry)| {
            let name = key.strip_prefix(&table)?;
            Some((name.to_owned(), entry.clone()))
        });
        let found = found.collect();
        self.read_tables.insert(table);
        found
    }

    /// All mistakes, in the order of the files' lines; settings nobody asked for are among them.
    pub fn finish(self) -> Vec<Problem> {
        self.finish_for(|_| true)
    }

    /// The mistakes in what the control API was sent.
    pub fn finish_api(self) -> Vec<Problem> {
        self.finish_for(|location| *location == Location::Api)
    }

    /// Names that the control API was sent and nobody asked for.
    pub fn unread_of_api(&self) -> Vec<String> {
        self.unread(|location| *location == Location::Api)
    }

    fn unread(&self, concerns: impl Fn(&Location) -> bool) -> Vec<String> {
        let is_read = |key: &String| {
            let mut tables = key.match_indices('.').map(|(end, _)| &key[..=end]);
            self.read.contains(key) || tables.any(|table| self.read_tables.contains(table))
        };
        let unread = self.entries.iter().filter(|(k, e)| concerns(&e.location) && !is_read(k));
        unread.map(|(k, _)| k.clone()).collect()
    }

    fn finish_for(mut self, concerns: impl Fn(&Location) -> bool) -> Vec<Problem> {
        for key in self.unread(concerns) {
            let near = nearest(&key, self.read.iter()).map(|near| format!("; did you mean {near}?"));
            let hint = near.or_else(|| self.table_of(&key)).unwrap_or_default();
            self.problem(&key, format!("is not a setting{hint}"));
        }
        self.problems.sort();
        self.problems.dedup();
        self.problems
    }

    /// What the innermost known table around a key has.
    fn table_of(&self, key: &str) -> Option<String> {
        let mut tables = key.rmatch_indices('.').map(|(end, _)| &key[..end]);
        tables.find_map(|table| {
            let start = format!("{table}.");
            let known = self.read.iter().chain(&self.read_tables);
            let names = known.filter_map(|name| Some(name.strip_prefix(&start)?.trim_end_matches('.')));
            let names: BTreeSet<&str> = names.filter(|name| !name.contains(['.', '['])).collect();
            let names: Vec<&str> = names.into_iter().collect();
            (!names.is_empty()).then(|| format!("; the settings of {table} are {}", names.join(", ")))
        })
    }

    /// Names of all settings that were asked for, indexes of tables left out.
    #[cfg(test)]
    pub fn known(&self) -> BTreeSet<String> {
        self.read.iter().map(|k| k.replace("[0]", "")).collect()
    }
}

/// The setting that a variable sets.
fn key_of_variable(name: &str) -> Option<String> {
    // Which file to read, and what only the tests read.
    let is_none = ["VESTIBULE_CONFIG", "VESTIBULE_BIN", "VESTIBULE_FUZZ_S"].contains(&name)
        || name.starts_with("VESTIBULE_TEST_");
    let own = name.strip_prefix("VESTIBULE_").map(|rest| rest.to_lowercase().replace("__", "."));
    own.filter(|_| !is_none)
        .or_else(|| super::all().find(|s| s.variable == Some(name)).map(|s| s.key.clone()))
}

fn value_of(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Other("number"),
        },
        DeValue::Boolean(value) => Value::Boolean(*value),
        DeValue::Array(items) => Value::List(items.iter().map(|i| value_of(i.get_ref())).collect()),
        DeValue::Float(_) => Value::Other("number"),
        DeValue::Datetime(_) => Value::Other("date"),
        DeValue::Table(_) => Value::Other("table"),
    }
}
