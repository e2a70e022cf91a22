//! Settings from every layer, each remembering where it was written, and a reader that collects all mistakes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

/// Names of the lists of tables.
const TABLES: [&str; 3] = ["clients", "users", "organizations"];

/// Where a setting was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Location {
    File {
        path: PathBuf,
        line: usize,
    },
    Variable(String),
    Flag(&'static str),
    /// The control API.
    Api,
    /// Nobody wrote it: a default, or something missing.
    Unwritten,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
            Self::Api | Self::Unwritten => Ok(()),
        }
    }
}

/// One mistake in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    pub location: Location,
    /// Dotted name of the setting.
    pub key: String,
    /// What was written, where the message is about that.
    pub value: Option<String>,
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.location {
            Location::Api | Location::Unwritten => {}
            written => write!(f, "{written}: ")?,
        }
        match &self.value {
            Some(value) => write!(f, "{} = {value:?}: {}", self.key, self.message),
            None if self.key.is_empty() => f.write_str(&self.message),
            None => write!(f, "{} {}", self.key, self.message),
        }
    }
}

/// A value as written.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Text(String),
    Integer(i64),
    Boolean(bool),
    List(Vec<Value>),
    Other(&'static str),
}

#[derive(Debug, Clone)]
struct Entry {
    value: Value,
    location: Location,
}

/// Neither databases nor systems take one.
const NUL: &str = "must not contain a NUL character (\\u0000)";

/// All layers laid over one another: the last one written wins, setting by setting.
#[derive(Debug, Clone, Default)]
pub struct Source {
    entries: BTreeMap<String, Entry>,
    read: BTreeSet<String>,
    problems: Vec<Problem>,
}

impl Source {
    /// Lays a TOML file over what is there.
    pub fn add_file(&mut self, path: &Path, text: &str) {
        let (table, errors) = DeTable::parse_recoverable(text);
        let line_at = |offset: usize| 1 + text.bytes().take(offset).filter(|b| *b == b'\n').count();
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
            Json::Array(items) if items.is_empty() && TABLES.contains(&key) => {
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
            let key = match name.as_str() {
                "DATABASE_URL" => "database.url".to_owned(),
                "OTEL_EXPORTER_OTLP_ENDPOINT" => "traces.endpoint".to_owned(),
                "OTEL_SERVICE_NAME" => "traces.service_name".to_owned(),
                // Which file to read, and what only the tests read.
                "VESTIBULE_CONFIG" | "VESTIBULE_BIN" | "VESTIBULE_FUZZ_S" => continue,
                name if name.starts_with("VESTIBULE_TEST_") => continue,
                _ => match name.strip_prefix("VESTIBULE_") {
                    Some(rest) => rest.to_lowercase().replace("__", "."),
                    None => continue,
                },
            };
            self.set(&key, Value::Text(text), Location::Variable(name));
        }
    }

    pub fn add_flag(&mut self, key: &str, flag: &'static str, value: impl Into<String>) {
        self.set(key, Value::Text(value.into()), Location::Flag(flag));
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
            .filter(|l| !matches!(l, Location::Api | Location::Unwritten))
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

    fn take(&mut self, key: &str) -> Option<Entry> {
        self.read.insert(key.to_owned());
        self.entries.get(key).cloned()
    }

    pub fn text(&mut self, key: &str) -> Option<String> {
        match self.take(key)?.value {
            Value::Text(text) if !text.contains('\0') => Some(text),
            Value::Text(_) => {
                self.problem(key, NUL);
                None
            }
            _ => {
                self.problem(key, "must be text, in quotes");
                None
            }
        }
    }

    /// Text that is not empty; an empty variable counts as unset.
    pub fn filled(&mut self, key: &str) -> Option<String> {
        self.text(key).filter(|t| !t.is_empty())
    }

    pub fn boolean(&mut self, key: &str, default: bool) -> bool {
        let Some(entry) = self.take(key) else { return default };
        match &entry.value {
            Value::Boolean(value) => *value,
            Value::Text(text) if is_loose(&entry.location) => match text.as_str() {
                "true" | "1" | "yes" | "on" => true,
                "false" | "0" | "no" | "off" => false,
                _ => self.wrong(key, "must be true or false", default),
            },
            _ => self.wrong(key, "must be true or false", default),
        }
    }

    /// A whole number within a range.
    pub fn integer(&mut self, key: &str, range: RangeInclusive<i64>, default: i64) -> i64 {
        let Some(entry) = self.take(key) else { return default };
        let number = match &entry.value {
            Value::Integer(number) => Some(*number),
            Value::Text(text) if is_loose(&entry.location) => text.parse().ok(),
            _ => None,
        };
        match number.filter(|n| range.contains(n)) {
            Some(number) => number,
            None => {
                let text = format!("must be a whole number from {} to {}", range.start(), range.end());
                self.wrong(key, &text, default)
            }
        }
    }

    pub fn optional_integer(&mut self, key: &str, range: RangeInclusive<i64>) -> Option<i64> {
        self.is_set(key).then(|| self.integer(key, range.clone(), *range.start()))
    }

    /// A list of texts; in a variable or flag, separated by commas.
    pub fn list(&mut self, key: &str) -> Option<Vec<String>> {
        let entry = self.take(key)?;
        match &entry.value {
            Value::List(items) => {
                let texts: Vec<String> = items
                    .iter()
                    .filter_map(|i| if let Value::Text(text) = i { Some(text.clone()) } else { None })
                    .collect();
                if texts.len() != items.len() {
                    self.problem(key, "must be a list of texts");
                }
                if texts.iter().any(|text| text.contains('\0')) {
                    self.problem(key, NUL);
                }
                Some(texts)
            }
            Value::Text(text) if is_loose(&entry.location) => {
                Some(text.split(',').map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned).collect())
            }
            _ => {
                self.problem(key, "must be a list of texts, such as [\"a\", \"b\"]");
                None
            }
        }
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&mut self, key: &str, choices: &[(&str, T)], default: T) -> T {
        let Some(text) = self.text(key) else { return default };
        match choices.iter().find(|(word, _)| *word == text) {
            Some((_, value)) => *value,
            None => {
                let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
                self.wrong(key, &format!("must be one of: {}", words.join(", ")), default)
            }
        }
    }

    /// A value with a parser of its own.
    pub fn parsed<T, E: fmt::Display>(
        &mut self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.filled(key)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem_with(key, text, error.to_string());
                None
            }
        }
    }

    /// A list of values with a parser of their own.
    pub fn parsed_list<T, E: fmt::Display>(
        &mut self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let texts = self.list(key)?;
        let mut values = Vec::new();
        for text in texts {
            match parse(&text) {
                Ok(value) => values.push(value),
                Err(error) => self.problem(key, format!("{text:?} {error}")),
            }
        }
        Some(values)
    }

    fn wrong<T>(&mut self, key: &str, message: &str, default: T) -> T {
        self.problem(key, message);
        default
    }

    /// All mistakes, in the order of the files' lines; settings nobody asked for are among them.
    pub fn finish(self) -> Vec<Problem> {
        self.finish_for(|_| true)
    }

    /// The mistakes in what the control API was sent.
    pub fn finish_api(self) -> Vec<Problem> {
        self.finish_for(|location| *location == Location::Api)
    }

    fn finish_for(mut self, concerns: impl Fn(&Location) -> bool) -> Vec<Problem> {
        let unread = self.entries.iter().filter(|(k, e)| concerns(&e.location) && !self.read.contains(*k));
        let unknown: Vec<String> = unread.map(|(k, _)| k.clone()).collect();
        for key in unknown {
            let near = nearest(&key, self.read.iter());
            let hint = near.map(|n| format!("; did you mean {n}?")).unwrap_or_default();
            self.problem(&key, format!("is not a setting{hint}"));
        }
        self.problems.sort();
        self.problems.dedup();
        self.problems
    }

    /// Names of all settings that were asked for, indexes of tables left out.
    #[cfg(test)]
    pub fn known(&self) -> BTreeSet<String> {
        self.read.iter().map(|k| k.replace("[0]", "")).collect()
    }
}

/// Variables and flags are text; numbers, booleans and lists are read out of it.
fn is_loose(location: &Location) -> bool {
    matches!(location, Location::Variable(_) | Location::Flag(_))
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

/// The known name that differs least, if it differs little.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a String>) -> Option<&'a String> {
    known.map(|k| (distance(name, k), k)).filter(|(d, _)| *d <= 3).min().map(|(_, k)| k)
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}
