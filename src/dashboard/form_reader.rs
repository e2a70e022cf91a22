//! Reads the fields of a form and gathers what is wrong with them. The services check what records have to keep to; the
//! lengths that Scalekit's API says of its messages are checked before, so here too.

use std::collections::BTreeMap;

use super::{lines, one};
use crate::domain::authorization::Parameters;
use crate::domain::field_error::FieldError;
use crate::domain::metadata::{Metadata, MetadataLimits};
use crate::service::changes::ControlError;

pub struct FormReader<'p> {
    params: &'p Parameters,
    errors: Vec<FieldError>,
}

impl<'p> FormReader<'p> {
    pub fn new(params: &'p Parameters) -> Self {
        Self { params, errors: vec![] }
    }

    /// Notes what is wrong with a field.
    pub fn refuse(&mut self, name: &str, reason: impl Into<String>) {
        self.errors.push(FieldError::new(name, reason));
    }

    /// A text of at most so many characters.
    pub fn text(&mut self, name: &'static str, most: usize) -> &'p str {
        let text = one(self.params, name);
        if text.chars().count() > most {
            self.refuse(name, format!("must have at most {most} characters"));
        }
        text
    }

    /// The same, where there has to be one.
    pub fn required(&mut self, name: &'static str, most: usize) -> &'p str {
        let text = self.text(name, most);
        if text.is_empty() {
            self.refuse(name, "is required");
        }
        text
    }

    /// A text with a rule of its own, which says what is wrong with it.
    pub fn checked(&mut self, name: &'static str, rule: impl Fn(&str) -> Option<&'static str>) -> &'p str {
        let text = one(self.params, name);
        if let Some(reason) = rule(text) {
            self.refuse(name, reason);
        }
        text
    }

    /// A text that may be left out, and has a rule where it is not.
    pub fn optional(&mut self, name: &'static str, rule: impl Fn(&str) -> Option<&'static str>) -> &'p str {
        self.checked(name, |text| if text.is_empty() { None } else { rule(text) })
    }

    /// The lines that have something in them.
    pub fn lines(&self, name: &'static str) -> Vec<String> {
        lines(one(self.params, name)).into_iter().map(str::to_owned).collect()
    }

    pub fn is_checked(&self, name: &'static str) -> bool {
        one(self.params, name) == "on"
    }

    /// A whole number that is not negative; `None`: the field is empty, or what is in it is none.
    pub fn number(&mut self, name: &'static str) -> Option<i32> {
        let text = one(self.params, name);
        let number = text.parse::<i32>().ok().filter(|number| *number >= 0);
        if number.is_none() && !text.is_empty() {
            self.refuse(name, "must be a whole number, 0 or more");
        }
        number
    }

    /// A JSON object of texts.
    pub fn texts_by_name(&mut self, name: &'static str, limits: &MetadataLimits) -> Metadata {
        let text = one(self.params, name);
        if text.is_empty() {
            return Metadata::default();
        }
        let Ok(texts) = serde_json::from_str::<BTreeMap<String, String>>(text) else {
            self.refuse(name, "must be a JSON object of texts, such as {\"plan\": \"pro\"}");
            return Metadata::default();
        };
        let texts = Metadata(texts);
        if let Err(reason) = texts.check(limits) {
            self.refuse(name, reason);
        }
        texts
    }

    /// What Scalekit's API takes an empty value of for "leave it as it is" must not be emptied: nothing would happen.
    pub fn keep_filled(&mut self, name: &str, was_filled: bool, is_filled: bool) {
        // Another mistake is told first.
        if was_filled && !is_filled && !self.errors.iter().any(|error| error.field == name) {
            self.refuse(name, "can be replaced, but not emptied");
        }
    }

    /// Ends reading.
    ///
    /// # Errors
    /// Something was wrong.
    pub fn finish(self) -> Result<(), ControlError> {
        if self.errors.is_empty() { Ok(()) } else { Err(ControlError::Invalid(self.errors)) }
    }
}

/// Texts by name as a form shows them, to be read by [`FormReader::texts_by_name`].
pub fn shown_texts(texts: &BTreeMap<String, String>) -> String {
    serde_json::to_string_pretty(texts).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> Parameters {
        Parameters::new(pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect())
    }

    fn told(reader: FormReader<'_>) -> Vec<(String, String)> {
        match reader.finish() {
            Ok(()) => vec![],
            Err(ControlError::Invalid(errors)) => errors.into_iter().map(|e| (e.field, e.reason)).collect(),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn every_mistake_is_told_beside_its_field() {
        let params = params(&[("name", "  éé  "), ("slug", "A"), ("most", "-1"), ("few", "many")]);
        let mut reader = FormReader::new(&params);
        assert_eq!(reader.text("name", 2), "éé", "characters count, and spaces around it do not");
        reader.text("name", 1);
        assert_eq!(reader.required("missing", 9), "");
        reader.optional("slug", |_| Some("is wrong"));
        reader.optional("missing", |_| Some("is never asked"));
        assert_eq!(
            (reader.number("most"), reader.number("few"), reader.number("missing")),
            (None, None, None)
        );
        let fields: Vec<String> = told(reader).into_iter().map(|(field, _)| field).collect();
        assert_eq!(fields, ["name", "missing", "slug", "most", "few"]);
    }

    #[test]
    fn texts_by_name_are_read_as_they_are_shown_and_nothing_else_is() {
        let limits = MetadataLimits::ORGANIZATION;
        let texts = Metadata::from([("plan".to_owned(), "a=b\nc".to_owned())]);
        let form =
            params(&[("good", &shown_texts(&texts.0)), ("bad", "plan=pro"), ("short", "{\"a\":\"b\"}")]);
        let mut reader = FormReader::new(&form);
        assert_eq!(reader.texts_by_name("good", &limits), texts);
        assert_eq!(reader.texts_by_name("none", &limits), Metadata::default());
        reader.texts_by_name("bad", &limits);
        reader.texts_by_name("short", &limits);
        let told = told(reader);
        assert_eq!((told[0].0.as_str(), told[1].0.as_str(), told.len()), ("bad", "short", 2));
    }

    #[test]
    fn what_would_stay_as_it_is_is_not_said_to_be_emptied() {
        let form = params(&[("metadata", "nonsense")]);
        let mut reader = FormReader::new(&form);
        reader.keep_filled("scopes", true, true);
        reader.keep_filled("audience", false, false);
        reader.keep_filled("name", true, false);
        let metadata = reader.texts_by_name("metadata", &MetadataLimits::ORGANIZATION);
        reader.keep_filled("metadata", true, !metadata.is_empty());
        let told = told(reader);
        assert_eq!(told[0], ("name".to_owned(), "can be replaced, but not emptied".to_owned()));
        assert_eq!((told[1].0.as_str(), told.len()), ("metadata", 2));
    }
}
