//! What is known about a setting, written once: the reader, the documents and the control API go by it.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use serde_json::Value;

use crate::domain::environment::Environment;

/// A setting whose value is a `T`: an `Option` where it has no default of its own.
#[derive(Debug, Clone)]
pub struct Setting<T: 'static> {
    key: Cow<'static, str>,
    default: T,
    /// A case in which the default is another one.
    exception: Option<(&'static str, T)>,
    example: Option<T>,
    values: Values,
    /// The words of a choice, with what they stand for.
    pub(super) words: &'static [(&'static str, T)],
    to_json: fn(&Self, T) -> Value,
    about: &'static str,
    variable: Option<&'static str>,
    access: Access,
}

/// What a setting may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    Boolean,
    /// A whole number from the first to the last of these.
    Integer(i64, i64),
    Text,
    /// A list of texts.
    List,
    /// A table of texts, with names that anybody may choose.
    Table,
    /// One of a few words.
    Choice,
}

/// How a setting stands in an environment, as JSON.
pub type View = fn(&Environment) -> Value;

/// What the control API and the dashboard may do with a setting.
#[derive(Debug, Clone, Copy)]
pub enum Access {
    Hidden,
    ReadOnly(View),
    /// It can change while the server runs.
    Changeable(View),
}

impl Setting<bool> {
    /// `true` or `false`.
    pub(super) const fn boolean(key: &'static str, default: bool, about: &'static str) -> Self {
        Self::new(key, Values::Boolean, default, |_, value| value.into(), about)
    }
}

impl Setting<i64> {
    /// A whole number within a range.
    pub(super) const fn integer(
        key: &'static str,
        range: RangeInclusive<i64>,
        default: i64,
        about: &'static str,
    ) -> Self {
        let values = Values::Integer(*range.start(), *range.end());
        Self::new(key, values, default, |_, value| value.into(), about)
    }
}

impl Setting<Option<i64>> {
    /// A whole number within a range, or none.
    pub(super) const fn optional_integer(
        key: &'static str,
        range: RangeInclusive<i64>,
        example: i64,
        about: &'static str,
    ) -> Self {
        let values = Values::Integer(*range.start(), *range.end());
        let setting = Self::new(key, values, None, |_, value| value.into(), about);
        setting.such_as(Some(example))
    }
}

impl Setting<&'static str> {
    /// Text.
    pub(super) const fn text(key: &'static str, default: &'static str, about: &'static str) -> Self {
        Self::new(key, Values::Text, default, |_, value| value.into(), about)
    }
}

impl Setting<Option<&'static str>> {
    /// Text, or none.
    pub(super) const fn optional_text(key: &'static str, example: &'static str, about: &'static str) -> Self {
        let setting = Self::new(key, Values::Text, None, |_, value| value.into(), about);
        setting.such_as(Some(example))
    }
}

/// Texts of a list.
type Texts = &'static [&'static str];

impl Setting<Texts> {
    /// A list of texts.
    pub(super) const fn list(key: &'static str, default: Texts, about: &'static str) -> Self {
        Self::new(key, Values::List, default, |_, value| value.into(), about)
    }
}

impl Setting<Option<Texts>> {
    /// A list of texts, or none.
    pub(super) const fn optional_list(key: &'static str, example: Texts, about: &'static str) -> Self {
        let setting = Self::new(key, Values::List, None, |_, value| value.into(), about);
        setting.such_as(Some(example))
    }
}

/// Names and texts of a table.
pub(super) type Pairs = &'static [(&'static str, &'static str)];

impl Setting<Option<Pairs>> {
    /// A table of texts, or none.
    pub(super) const fn optional_table(key: &'static str, example: Pairs, about: &'static str) -> Self {
        let to_json = |_: &Self, value: Option<Pairs>| {
            let pairs =
                value.map(|pairs| pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).into())));
            pairs.map(|pairs| Value::Object(pairs.collect())).unwrap_or_default()
        };
        Self::new(key, Values::Table, None, to_json, about).such_as(Some(example))
    }
}

impl<T: Copy + PartialEq> Setting<T> {
    /// One of a few words.
    pub(super) const fn choice(
        key: &'static str,
        words: &'static [(&'static str, T)],
        default: T,
        about: &'static str,
    ) -> Self {
        let to_json = |setting: &Self, value| {
            let written = setting.words.iter().find(|(_, meant)| *meant == value);
            Value::from(written.map(|(word, _)| *word))
        };
        let mut setting = Self::new(key, Values::Choice, default, to_json, about);
        setting.words = words;
        setting
    }
}

impl<T: Copy> Setting<T> {
    const fn new(
        key: &'static str,
        values: Values,
        default: T,
        to_json: fn(&Self, T) -> Value,
        about: &'static str,
    ) -> Self {
        Self {
            key: Cow::Borrowed(key),
            default,
            exception: None,
            example: None,
            values,
            words: &[],
            to_json,
            about,
            variable: None,
            access: Access::Hidden,
        }
    }

    /// What the example file shows instead of the default.
    pub(super) const fn such_as(mut self, example: T) -> Self {
        self.example = Some(example);
        self
    }

    /// Another default in this case.
    pub(super) const fn except_in(mut self, case: &'static str, default: T) -> Self {
        self.exception = Some((case, default));
        self
    }

    /// Reads it from this environment variable too.
    pub(super) const fn also_from(mut self, variable: &'static str) -> Self {
        self.variable = Some(variable);
        self
    }

    /// Shows it in the control API.
    pub(super) const fn shown(mut self, view: View) -> Self {
        self.access = Access::ReadOnly(view);
        self
    }

    /// Lets the control API and the dashboard show and change it.
    pub(super) const fn changeable(mut self, view: View) -> Self {
        self.access = Access::Changeable(view);
        self
    }

    /// Its dotted name.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn default(&self) -> T {
        self.default
    }

    /// The first and the last number that it may be.
    pub(super) fn range(&self) -> RangeInclusive<i64> {
        match self.values {
            Values::Integer(first, last) => first..=last,
            _ => i64::MIN..=i64::MAX,
        }
    }

    /// The same setting with the default of its exception, where that is the case.
    pub(super) fn in_case(&self, is_exception: bool) -> Self {
        let exception = self.exception.filter(|_| is_exception);
        self.or(exception.map_or(self.default, |(_, default)| default))
    }

    /// The same setting with a default that depends on other settings.
    pub(super) fn or(&self, default: T) -> Self {
        Self { default, ..self.clone() }
    }

    /// The same setting in one table of a list: `clients.name` is `clients[2].name` there.
    pub(super) fn at(&self, index: usize) -> Self {
        let (table, name) = self.key.split_once('.').unwrap_or(("", &self.key));
        Self { key: Cow::Owned(format!("{table}[{index}].{name}")), ..self.clone() }
    }

    /// All that is known about it, for the documents and the control API.
    pub(super) fn facts(&self) -> Facts {
        let to_json = |value| (self.to_json)(self, value);
        let default = Some(to_json(self.default)).filter(|default| !default.is_null());
        Facts {
            key: self.key.clone().into_owned(),
            values: self.values,
            words: self.words.iter().map(|(word, _)| *word).collect(),
            example: self.example.map(to_json).or_else(|| default.clone()).unwrap_or_default(),
            default,
            exception: self.exception.map(|(case, default)| (case, to_json(default))),
            about: self.about,
            variable: self.variable,
            access: self.access,
        }
    }
}

/// All that is known about a setting, whatever its type.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Its dotted name; without an index where it stands in a list of tables.
    pub key: String,
    pub values: Values,
    /// The words of a choice.
    pub words: Vec<&'static str>,
    /// `None`: nothing, or it depends on other settings, as `about` says.
    pub default: Option<Value>,
    /// A case in which the default is another one.
    pub exception: Option<(&'static str, Value)>,
    pub example: Value,
    pub about: &'static str,
    /// The variable that sets it beside `VESTIBULE_…`.
    pub variable: Option<&'static str>,
    pub access: Access,
}

impl Facts {
    /// Its table, empty at the top level, and its name there.
    pub fn table_and_name(&self) -> (&str, &str) {
        self.key.split_once('.').unwrap_or(("", &self.key))
    }

    /// Can it change while the server runs?
    pub fn is_changeable(&self) -> bool {
        matches!(self.access, Access::Changeable(_))
    }

    /// How to see it in an environment.
    pub fn view(&self) -> Option<View> {
        match self.access {
            Access::Hidden => None,
            Access::ReadOnly(view) | Access::Changeable(view) => Some(view),
        }
    }
}

/// A table of the configuration file, with its settings.
#[derive(Debug, Clone)]
pub struct Section {
    /// Empty: the top level.
    pub table: &'static str,
    /// Is it a list of tables, `[[clients]]`?
    pub is_list: bool,
    pub about: &'static str,
    pub settings: Vec<Facts>,
}
