//! Reads settings by what is known about them, and notes every mistake.

use std::fmt::Display;

use super::problem::Location;
use super::setting::{Pairs, Setting};
use super::source::{Source, Value};

/// Neither databases nor systems take one.
const NUL: &str = "must not contain a NUL character (\\u0000)";

impl Source {
    pub(super) fn boolean(&mut self, setting: &Setting<bool>) -> bool {
        self.written_boolean(setting.key()).unwrap_or(setting.default())
    }

    fn written_boolean(&mut self, key: &str) -> Option<bool> {
        let entry = self.take(key)?;
        let value = match &entry.value {
            Value::Boolean(value) => Some(*value),
            Value::Text(text) if is_loose(&entry.location) => match text.as_str() {
                "true" | "1" | "yes" | "on" => Some(true),
                "false" | "0" | "no" | "off" => Some(false),
                _ => None,
            },
            _ => None,
        };
        if value.is_none() {
            self.problem(key, "must be true or false");
        }
        value
    }

    pub(super) fn integer(&mut self, setting: &Setting<i64>) -> i64 {
        self.written_integer(setting).unwrap_or(setting.default())
    }

    /// The same where the range has no negative numbers.
    pub(super) fn unsigned(&mut self, setting: &Setting<i64>) -> u32 {
        u32::try_from(self.integer(setting)).unwrap_or_default()
    }

    pub(super) fn optional_integer(&mut self, setting: &Setting<Option<i64>>) -> Option<i64> {
        self.written_integer(setting)
    }

    fn written_integer<T: Copy>(&mut self, setting: &Setting<T>) -> Option<i64> {
        let entry = self.take(setting.key())?;
        let range = setting.range();
        let number = match &entry.value {
            Value::Integer(number) => Some(*number),
            Value::Text(text) if is_loose(&entry.location) => text.parse().ok(),
            _ => None,
        };
        let number = number.filter(|n| range.contains(n));
        if number.is_none() {
            let text = format!("must be a whole number from {} to {}", range.start(), range.end());
            self.problem(setting.key(), text);
        }
        number
    }

    pub(super) fn text(&mut self, setting: &Setting<&'static str>) -> String {
        self.filled(setting.key()).unwrap_or_else(|| setting.default().to_owned())
    }

    pub(super) fn optional_text(&mut self, setting: &Setting<Option<&'static str>>) -> Option<String> {
        self.filled(setting.key())
    }

    /// Text that is not empty; an empty variable counts as unset.
    fn filled(&mut self, key: &str) -> Option<String> {
        self.written_text(key).filter(|t| !t.is_empty())
    }

    pub(super) fn written_text(&mut self, key: &str) -> Option<String> {
        let value = self.take(key)?.value;
        self.text_of(key, value)
    }

    fn text_of(&mut self, key: &str, value: Value) -> Option<String> {
        match value {
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

    pub(super) fn list(&mut self, setting: &Setting<&'static [&'static str]>) -> Vec<String> {
        let default = || setting.default().iter().map(|text| (*text).to_owned()).collect();
        self.written_list(setting.key()).unwrap_or_else(default)
    }

    /// Empty where nothing is set.
    pub(super) fn optional_list(
        &mut self,
        setting: &Setting<Option<&'static [&'static str]>>,
    ) -> Vec<String> {
        self.written_list(setting.key()).unwrap_or_default()
    }

    /// A list of texts; in a variable or flag, separated by commas.
    fn written_list(&mut self, key: &str) -> Option<Vec<String>> {
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

    /// Empty where nothing is set.
    pub(super) fn optional_table(&mut self, setting: &Setting<Option<Pairs>>) -> Vec<(String, String)> {
        if self.take(setting.key()).is_some() {
            self.problem(setting.key(), "must be a table of texts, such as { plan = \"pro\" }");
        }
        let entries = self.take_table(setting.key());
        let texts = entries.into_iter().filter_map(|(name, entry)| {
            let text = self.text_of(&format!("{}.{name}", setting.key()), entry.value)?;
            Some((name, text))
        });
        texts.collect()
    }

    pub(super) fn choice<T: Copy>(&mut self, setting: &Setting<T>) -> T {
        let Some(text) = self.written_text(setting.key()) else { return setting.default() };
        match setting.words.iter().find(|(word, _)| *word == text) {
            Some((_, value)) => *value,
            None => {
                let words: Vec<&str> = setting.words.iter().map(|(word, _)| *word).collect();
                self.problem(setting.key(), format!("must be one of: {}", words.join(", ")));
                setting.default()
            }
        }
    }

    /// What a text says, by a parser of its own; `None` where nothing is set, or nothing that the parser takes.
    pub(super) fn parsed<S: Copy, T, E: Display>(
        &mut self,
        setting: &Setting<S>,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.filled(setting.key())?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem_with(setting.key(), text, error.to_string());
                None
            }
        }
    }

    /// The same for each text of a list.
    pub(super) fn parsed_list<T, E: Display>(
        &mut self,
        setting: &Setting<Option<&'static [&'static str]>>,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        let mut values = Vec::new();
        for text in self.optional_list(setting) {
            match parse(&text) {
                Ok(value) => values.push(value),
                Err(error) => self.problem(setting.key(), format!("{text:?} {error}")),
            }
        }
        values
    }
}

/// Variables and flags are text; numbers, booleans and lists are read out of it.
fn is_loose(location: &Location) -> bool {
    matches!(location, Location::Variable(_) | Location::Flag(_))
}
