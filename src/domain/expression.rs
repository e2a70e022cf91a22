//! Expressions of token templates: paths through named values, with fallbacks.
//!
//! `organization.metadata.billing?.tier ?? "free"`. A path goes on with `.name`, `["any name"]` or `[0]`. With `?.` or
//! `?.[…]` it comes to nothing where the value before is missing; without, it fails there, and no `??` helps. That is
//! what Scalekit's expressions do. They are parsed without recursion, and cost no more than they are long.

use serde_json::{Number, Value};

/// Longest expression, in bytes.
const MAX_LENGTH: usize = 500;

/// What can be read of whom.
const ROOTS: [&str; 2] = ["user", "organization"];

/// Why a text is no expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    #[error("must have at most {MAX_LENGTH} bytes")]
    TooLong,
    #[error("is no expression: {expected} is missing before {}", shown(.rest))]
    Expected { expected: &'static str, rest: String },
    #[error("reads {0:?}; expressions read user and organization, and texts stand in quotes")]
    UnknownRoot(String),
}

fn shown(rest: &str) -> String {
    if rest.is_empty() { "its end".to_owned() } else { format!("`{rest}`") }
}

/// A path that went on from a value that has no fields.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("{0} is missing; go on from it with ?. instead of .")]
    Missing(String),
    #[error("{0} has no fields or items of that kind")]
    NoFields(String),
}

/// A parsed expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    text: String,
    /// The first that is not missing counts.
    terms: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq)]
enum Term {
    Literal(Value),
    Path { root: &'static str, steps: Vec<Step> },
}

#[derive(Debug, Clone, PartialEq)]
struct Step {
    key: Key,
    /// May the value before it be missing?
    is_optional: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Key {
    Field(String),
    Item(usize),
}

impl Expression {
    /// Reads an expression. It may stand in `{{ }}`, as in the templates of Scalekit's API.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        if text.len() > MAX_LENGTH {
            return Err(ExpressionError::TooLong);
        }
        let trimmed = text.trim();
        let bare = trimmed.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")).unwrap_or(trimmed);
        let mut parser = Parser { rest: bare };
        let mut terms = vec![parser.term()?];
        while parser.take("??") {
            terms.push(parser.term()?);
        }
        if parser.rest.trim().is_empty() {
            Ok(Self { text: text.to_owned(), terms })
        } else {
            Err(parser.expected("?? or the end"))
        }
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it comes to with these values by name; `None`: nothing. `null` counts as missing, an empty text does not.
    pub fn value(&self, variables: &Value) -> Result<Option<Value>, PathError> {
        for term in &self.terms {
            if let Some(value) = term.value(variables)? {
                return Ok(Some(value.clone()));
            }
        }
        Ok(None)
    }
}

impl Term {
    fn value<'v>(&'v self, variables: &'v Value) -> Result<Option<&'v Value>, PathError> {
        match self {
            Self::Literal(value) => Ok(Some(value).filter(|value| !value.is_null())),
            Self::Path { root, steps } => follow(root, steps, variables),
        }
    }
}

fn follow<'v>(
    root: &'static str,
    steps: &[Step],
    variables: &'v Value,
) -> Result<Option<&'v Value>, PathError> {
    let mut found = variables.get(root).filter(|value| !value.is_null());
    for (at, step) in steps.iter().enumerate() {
        // The path so far, for whoever has to mend it.
        let path = || steps[..at].iter().fold(root.to_owned(), |path, step| path + &step.key.to_string());
        let value = match found {
            Some(value) => value,
            None if step.is_optional => return Ok(None),
            None => return Err(PathError::Missing(path())),
        };
        let inner = match (&step.key, value) {
            (Key::Field(name), Value::Object(fields)) => fields.get(name),
            (Key::Item(index), Value::Array(items)) => items.get(*index),
            _ => return Err(PathError::NoFields(path())),
        };
        found = inner.filter(|value| !value.is_null());
    }
    Ok(found)
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Field(name) if is_name(name) => write!(f, ".{name}"),
            Self::Field(name) => write!(f, "[{name:?}]"),
            Self::Item(index) => write!(f, "[{index}]"),
        }
    }
}

fn is_name_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn is_name(text: &str) -> bool {
    text.chars().all(is_name_part) && text.starts_with(|c: char| !c.is_ascii_digit())
}

/// What is left to be read.
struct Parser<'t> {
    rest: &'t str,
}

impl<'t> Parser<'t> {
    fn expected(&self, expected: &'static str) -> ExpressionError {
        ExpressionError::Expected { expected, rest: self.rest.trim().to_owned() }
    }

    /// Reads this, where it is next.
    fn take(&mut self, token: &str) -> bool {
        match self.rest.trim_start().strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Reads as long as characters are of a kind.
    fn take_while(&mut self, is_part: impl Fn(char) -> bool) -> &'t str {
        let text = self.rest.trim_start();
        let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
        let (taken, rest) = text.split_at(end);
        self.rest = rest;
        taken
    }

    fn term(&mut self) -> Result<Term, ExpressionError> {
        let before = self.rest;
        for quote in ['"', '\''] {
            if self.rest.trim_start().starts_with(quote) {
                return Ok(Term::Literal(Value::String(self.text()?)));
            }
        }
        if self.rest.trim_start().starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
            let digits = self.take_while(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
            let number: Option<Number> = serde_json::from_str(digits).ok();
            self.rest = if number.is_some() { self.rest } else { before };
            return number
                .map(|number| Term::Literal(Value::Number(number)))
                .ok_or_else(|| self.expected("a number"));
        }
        match self.take_while(is_name_part) {
            "" => Err(self.expected("a value")),
            "true" => Ok(Term::Literal(Value::Bool(true))),
            "false" => Ok(Term::Literal(Value::Bool(false))),
            "nil" | "null" => Ok(Term::Literal(Value::Null)),
            name => match ROOTS.into_iter().find(|root| *root == name) {
                Some(root) => Ok(Term::Path { root, steps: self.steps()? }),
                None => Err(ExpressionError::UnknownRoot(name.to_owned())),
            },
        }
    }

    fn steps(&mut self) -> Result<Vec<Step>, ExpressionError> {
        let mut steps = vec![];
        loop {
            let is_optional = self.take("?.");
            let key = if self.take("[") {
                self.item()?
            } else if is_optional || self.take(".") {
                Key::Field(self.name()?)
            } else {
                return Ok(steps);
            };
            steps.push(Step { key, is_optional });
        }
    }

    fn name(&mut self) -> Result<String, ExpressionError> {
        let before = self.rest;
        let name = self.take_while(is_name_part);
        if is_name(name) {
            return Ok(name.to_owned());
        }
        self.rest = before;
        Err(self.expected("a field name"))
    }

    /// What stands in brackets, with the closing one.
    fn item(&mut self) -> Result<Key, ExpressionError> {
        let key = if self.rest.trim_start().starts_with(['"', '\'']) {
            Key::Field(self.text()?)
        } else {
            let before = self.rest;
            let index = self.take_while(|c| c.is_ascii_digit()).parse();
            self.rest = if index.is_ok() { self.rest } else { before };
            Key::Item(index.map_err(|_| self.expected("a number or a name in quotes"))?)
        };
        if self.take("]") { Ok(key) } else { Err(self.expected("]")) }
    }

    /// A text in quotes of either kind. A backslash keeps what follows it, and makes `n` and `t` of what they stand for.
    fn text(&mut self) -> Result<String, ExpressionError> {
        let quoted = self.rest.trim_start();
        let mut characters = quoted.chars();
        let quote = characters.next();
        let mut text = String::new();
        while let Some(c) = characters.next() {
            match c {
                c if Some(c) == quote => {
                    self.rest = characters.as_str();
                    return Ok(text);
                }
                '\\' => match characters.next() {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some(kept @ ('\\' | '"' | '\'')) => text.push(kept),
                    _ => {
                        return Err(self
                            .expected("a text without other backslashes than \\\\, \\\", \\', \\n and \\t"));
                    }
                },
                c => text.push(c),
            }
        }
        Err(self.expected("a text with a quote at its end"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn variables() -> Value {
        json!({
            "user": { "id": "usr_1", "name": "", "groups": ["red", "blue"], "phone_number": null,
                "metadata": { "role": "admin", "cost-center": "R&D", "say \"hi\"": "hi" } },
            "organization": { "name": "Acme", "metadata": { "plan": "pro" } },
        })
    }

    fn value(text: &str) -> Result<Option<Value>, PathError> {
        Expression::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).value(&variables())
    }

    fn is(text: &str, wanted: Value) {
        assert_eq!(value(text), Ok(Some(wanted)), "{text}");
    }

    #[test]
    fn paths_lead_to_values_of_any_type() {
        is("user.metadata.role", json!("admin"));
        is("{{ user . metadata . role }}", json!("admin"));
        is("{{user.metadata.role ?? \"viewer\"}}", json!("admin"));
        is("user.groups", json!(["red", "blue"]));
        is("user.groups[1]", json!("blue"));
        is("user?.groups?.[0]", json!("red"));
        is("user.metadata[\"cost-center\"]", json!("R&D"));
        is(r#"user.metadata["say \"hi\""]"#, json!("hi"));
        is("organization.metadata", json!({ "plan": "pro" }));
    }

    #[test]
    fn a_fallback_counts_where_a_value_is_missing_and_not_where_it_is_empty() {
        is("user.metadata.tier ?? 'free'", json!("free"));
        is("user.phone_number ?? user.metadata.tier ?? -1.5e2", json!(-150.0));
        is("user.name ?? \"nobody\"", json!(""));
        is("user.metadata.tier ?? nil ?? false", json!(false));
        is("user.metadata.tier ?? \"}} ?? \\\\ \\n\"", json!("}} ?? \\ \n"));
        assert_eq!(value("user.metadata.tier"), Ok(None));
        assert_eq!(value("user.groups[2] ?? null"), Ok(None));
    }

    #[test]
    fn an_optional_step_ends_the_path_and_any_other_fails_below_what_is_missing() {
        is("user.metadata.billing?.tier.name ?? \"free\"", json!("free"));
        let missing = PathError::Missing("user.metadata[\"a-b\"]".into());
        assert_eq!(value("user.metadata['a-b'].tier ?? \"free\""), Err(missing));
        assert_eq!(value("user.id.x ?? 1"), Err(PathError::NoFields("user.id".into())));
        assert_eq!(value("user.groups.red"), Err(PathError::NoFields("user.groups".into())));
        let nobody = |text: &str| Expression::parse(text).unwrap().value(&json!({ "user": {} }));
        assert_eq!(nobody("organization.name ?? 1"), Err(PathError::Missing("organization".into())));
        assert_eq!(nobody("organization?.name ?? 1"), Ok(Some(json!(1))));
        assert_eq!(nobody("organization"), Ok(None));
    }

    #[test]
    fn what_is_no_expression_is_refused_with_the_place() {
        for (text, said) in [
            ("", "a value is missing before its end"),
            ("{{}}", "a value is missing before its end"),
            ("user.", "a field name is missing before its end"),
            ("user..id", "a field name is missing before `.id`"),
            ("user?id", "?? or the end is missing before `?id`"),
            ("user.id ?? ", "a value is missing before its end"),
            ("user.id ??? 1", "a value is missing before `? 1`"),
            ("user.id user.id", "?? or the end is missing before `user.id`"),
            ("user.1st", "a field name is missing before `1st`"),
            ("user[role]", "a number or a name in quotes is missing before `role]`"),
            ("user[1", "] is missing before its end"),
            ("\"open", "a text with a quote at its end is missing before `\"open`"),
            ("1.2.3", "a number is missing before `1.2.3`"),
            ("len(user.groups)", "reads \"len\"; expressions read user and organization"),
            ("viewer", "reads \"viewer\"; expressions read user and organization"),
            ("{{user.id}}-{{user.id}}", "?? or the end is missing before `}}-{{user.id`"),
        ] {
            let error = Expression::parse(text).unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
        assert_eq!(Expression::parse(&" ".repeat(501)), Err(ExpressionError::TooLong));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            if let Ok(expression) = Expression::parse(&text) {
                let _ = expression.value(&variables());
            }
        }

        #[test]
        fn any_field_is_found_by_its_name_in_quotes(name in any::<String>(), text in any::<String>()) {
            let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
            let written = format!("user[\"{}\"] ?? \"{}\"", quoted(&name), quoted(&text));
            prop_assume!(written.len() <= MAX_LENGTH);
            let expression = Expression::parse(&written).unwrap();
            let (with, without) = (json!({ "user": { name: 7 } }), json!({ "user": {} }));
            prop_assert_eq!(expression.value(&with), Ok(Some(json!(7))));
            prop_assert_eq!(expression.value(&without), Ok(Some(json!(text))));
        }

        #[test]
        fn a_chain_comes_to_its_first_value(values in prop::collection::vec(prop::option::of(0..9_u8), 1..9)) {
            let terms: Vec<String> = (0..values.len()).map(|at| format!("user.f{at}")).collect();
            let fields: serde_json::Map<String, Value> =
                (0..).zip(&values).map(|(at, value): (usize, _)| (format!("f{at}"), json!(value))).collect();
            let found = Expression::parse(&terms.join(" ?? ")).unwrap().value(&json!({ "user": fields }));
            prop_assert_eq!(found, Ok(values.iter().flatten().next().map(|value| json!(value))));
        }
    }
}
