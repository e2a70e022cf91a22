//! Field rules of requests, checked between decoding and the handler, for gRPC and REST alike. The rules themselves stand
//! in the .proto files; `build/rules.rs` makes an `impl Check` of them for each message of a request.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{LazyLock, Mutex, PoisonError};

use prost::Message;
use regex_lite::Regex;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};
use url::Url;

use super::{pb, status};
use crate::domain::api_error::{ApiError, FieldViolation};
use crate::domain::email::{EmailAddress, EmailError};

include!(concat!(env!("OUT_DIR"), "/rules.rs"));

/// A message whose fields have rules.
pub trait Check {
    fn check(&self, checks: &mut Checks);
}

/// Every rule that a message breaks.
pub fn violations(message: &impl Check) -> Vec<FieldViolation> {
    let mut checks = Checks::default();
    message.check(&mut checks);
    checks.found
}

/// Rules of a text. Lengths are in characters.
#[derive(Debug, Clone, Copy)]
pub struct Text {
    pub is_required: bool,
    pub min_len: usize,
    pub max_len: usize,
    pub prefix: Option<&'static str>,
    pub pattern: Option<&'static str>,
    pub one_of: &'static [&'static str],
    pub is_email: bool,
    pub is_uri: bool,
}

impl Text {
    /// No rule at all.
    pub const ANY: Self = Self {
        is_required: false,
        min_len: 0,
        max_len: usize::MAX,
        prefix: None,
        pattern: None,
        one_of: &[],
        is_email: false,
        is_uri: false,
    };

    /// The first rule that is broken, in the words of `buf.validate`, and what is wrong.
    fn broken_by(&self, text: &str) -> Option<(&'static str, String)> {
        if self.is_email
            && let Err(error) = EmailAddress::parse(text)
        {
            return Some(match error {
                EmailError::Empty => ("required", "is required".to_owned()),
                EmailError::TooLong => ("max_len", format!("is invalid: {error}")),
                EmailError::Invalid => ("email", format!("is invalid: {error}")),
            });
        }
        let length = text.chars().count();
        if length == 0 && self.is_required {
            return Some(("required", "is required".to_owned()));
        }
        if length < self.min_len {
            let text = if length == 0 {
                "it is empty".to_owned()
            } else {
                format!("it has fewer than {} characters", self.min_len)
            };
            return Some(("min_len", format!("is invalid: {text}")));
        }
        if length > self.max_len {
            return Some(("max_len", format!("is invalid: it has more than {} characters", self.max_len)));
        }
        if let Some(prefix) = self.prefix.filter(|prefix| !text.starts_with(prefix)) {
            return Some(("prefix", format!("is invalid: it does not begin with {prefix}")));
        }
        if let Some(pattern) = self.pattern.filter(|pattern| !matches(pattern, text)) {
            return Some(("pattern", format!("is invalid: it does not match {pattern}")));
        }
        if !self.one_of.is_empty() && !self.one_of.contains(&text) {
            return Some(("in", format!("is invalid: it is none of {}", self.one_of.join(", "))));
        }
        if self.is_uri && Url::parse(text).is_err() {
            return Some(("uri", "is invalid: it is no absolute URL".to_owned()));
        }
        None
    }
}

/// Patterns are compiled when they are first needed. One that is none lets nothing through.
fn matches(pattern: &'static str, text: &str) -> bool {
    static COMPILED: LazyLock<Mutex<BTreeMap<&'static str, Option<Regex>>>> = LazyLock::new(Mutex::default);
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    let regex = compiled.entry(pattern).or_insert_with(|| Regex::new(pattern).ok());
    regex.as_ref().is_some_and(|regex| regex.is_match(text))
}

/// What was found so far, and inside of which field.
#[derive(Debug, Default)]
pub struct Checks {
    /// `connection.`
    prefix: String,
    found: Vec<FieldViolation>,
}

#[allow(dead_code, reason = "not every kind of rule occurs in the methods that are emulated today")]
impl Checks {
    fn add(&mut self, field: &str, rule: impl Into<Cow<'static, str>>, what: &str) {
        let field = format!("{}{field}", self.prefix);
        let text = format!("{field} {what}");
        self.found.push(FieldViolation::new(field, rule, text));
    }

    fn text(&mut self, field: &str, text: &str, rules: &Text) {
        if let Some((rule, what)) = rules.broken_by(text) {
            self.add(field, rule, &what);
        }
    }

    fn number(&mut self, field: &str, number: i128, least: Option<i128>, most: Option<i128>) {
        if let Some(least) = least.filter(|least| number < *least) {
            self.add(field, "gte", &format!("is invalid: it is less than {least}"));
        }
        if let Some(most) = most.filter(|most| number > *most) {
            self.add(field, "lte", &format!("is invalid: it is more than {most}"));
        }
    }

    /// `known` is empty where any number will do.
    fn choice(&mut self, field: &str, number: i32, known: &[i32], refused: &[i32]) {
        if !known.is_empty() && !known.contains(&number) {
            self.add(field, "defined_only", "is invalid: there is no such value");
        } else if refused.contains(&number) {
            self.add(field, "not_in", "is invalid: this value is not allowed");
        }
    }

    fn presence(&mut self, field: &str, is_there: bool) {
        if !is_there {
            self.add(field, "required", "is required");
        }
    }

    fn items(&mut self, field: &str, count: usize, min: usize, max: usize) {
        if count < min {
            self.add(field, "min_items", &format!("is invalid: fewer than {min} items"));
        } else if count > max {
            self.add(field, "max_items", &format!("is invalid: more than {max} items"));
        }
    }

    fn unique(&mut self, field: &str, items: &[String]) {
        if items.iter().collect::<HashSet<_>>().len() < items.len() {
            self.add(field, "unique", "is invalid: an item occurs twice");
        }
    }

    fn texts(&mut self, field: &str, items: &[String], rules: &Text) {
        for (at, item) in items.iter().enumerate() {
            self.text(&format!("{field}[{at}]"), item, rules);
        }
    }

    fn map(
        &mut self,
        field: &str,
        pairs: &HashMap<String, String>,
        min: usize,
        max: usize,
        keys: &Text,
        values: &Text,
    ) {
        if pairs.len() < min {
            self.add(field, "min_pairs", &format!("is invalid: fewer than {min} pairs"));
        } else if pairs.len() > max {
            self.add(field, "max_pairs", &format!("is invalid: more than {max} pairs"));
        }
        // In the same order each time.
        for (key, value) in pairs.iter().collect::<BTreeMap<_, _>>() {
            let field = format!("{field}.{key}");
            if let Some((rule, what)) = keys.broken_by(key) {
                self.add(&field, format!("keys.{rule}"), &format!("(its name) {what}"));
            }
            if let Some((rule, what)) = values.broken_by(value) {
                self.add(&field, format!("values.{rule}"), &what);
            }
        }
    }

    fn message(&mut self, field: &str, message: &impl Check) {
        let outer = self.prefix.len();
        self.prefix.push_str(field);
        self.prefix.push('.');
        message.check(self);
        self.prefix.truncate(outer);
    }

    fn messages(&mut self, field: &str, messages: &[impl Check]) {
        for (at, message) in messages.iter().enumerate() {
            self.message(&format!("{field}[{at}]"), message);
        }
    }
}

/// tonic's codec for messages of prost, with the check of field rules behind the decoder.
pub struct CheckedCodec<T, U>(ProstCodec<T, U>);

impl<T, U> Default for CheckedCodec<T, U> {
    fn default() -> Self {
        Self(ProstCodec::default())
    }
}

impl<T, U> Codec for CheckedCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Check + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = CheckedDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        self.0.encoder()
    }

    fn decoder(&mut self) -> Self::Decoder {
        CheckedDecoder(self.0.decoder())
    }
}

/// The decoder of [`CheckedCodec`].
pub struct CheckedDecoder<U>(ProstDecoder<U>);

impl<U: Message + Default + Check> Decoder for CheckedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let Some(message) = self.0.decode(buffer)? else { return Ok(None) };
        let found = violations(&message);
        if found.is_empty() { Ok(Some(message)) } else { Err(status::of(&ApiError::invalid(found))) }
    }

    fn buffer_settings(&self) -> BufferSettings {
        self.0.buffer_settings()
    }
}

#[cfg(test)]
mod tests {
    use super::pb::scalekit::v1::auth::passwordless::verify_password_less_request::AuthCredential;
    use super::pb::scalekit::v1::auth::passwordless::{SendPasswordlessRequest, VerifyPasswordLessRequest};
    use super::pb::scalekit::v1::connections::update_connection::Settings;
    use super::pb::scalekit::v1::connections::{
        PasswordLessConfig, UpdateConnection, UpdateEnvironmentConnectionRequest,
    };
    use super::*;

    fn send() -> SendPasswordlessRequest {
        SendPasswordlessRequest {
            email: "jane@example.com".into(),
            magiclink_auth_uri: Some("https://app.example.com/verify".into()),
            ..SendPasswordlessRequest::default()
        }
    }

    fn broken(message: &impl Check) -> Vec<(String, String)> {
        violations(message).into_iter().map(|v| (v.field, v.constraint.into_owned())).collect()
    }

    fn one(field: &str, rule: &str) -> Vec<(String, String)> {
        vec![(field.to_owned(), rule.to_owned())]
    }

    #[test]
    fn the_bounds_of_scalekits_messages_hold_to_the_character() {
        assert_eq!(broken(&send()), []);
        let long = |n: usize| "é".repeat(n);
        assert_eq!(
            broken(&SendPasswordlessRequest { email: String::new(), ..send() }),
            one("email", "required")
        );
        assert_eq!(
            broken(&SendPasswordlessRequest { email: "jane".into(), ..send() }),
            one("email", "email")
        );
        let state = |n| SendPasswordlessRequest { state: Some(long(n)), ..send() };
        assert_eq!(broken(&state(1000)), []);
        assert_eq!(broken(&state(1001)), one("state", "max_len"));
        assert_eq!(broken(&state(0)), one("state", "min_len"));
        let uri = |n| SendPasswordlessRequest { magiclink_auth_uri: Some(long(n)), ..send() };
        assert_eq!(broken(&uri(1001)), one("magiclink_auth_uri", "max_len"));
        assert_eq!(broken(&uri(0)), one("magiclink_auth_uri", "min_len"));
        assert_eq!(
            broken(&SendPasswordlessRequest { template: Some(3), ..send() }),
            one("template", "defined_only")
        );
        let verify = |code: &str| VerifyPasswordLessRequest {
            auth_credential: Some(AuthCredential::Code(code.into())),
            auth_request_id: Some("req".into()),
        };
        assert_eq!(broken(&verify(&"1".repeat(20))), []);
        assert_eq!(broken(&verify(&"1".repeat(21))), one("code", "max_len"));
        assert_eq!(broken(&verify("")), one("code", "min_len"));
    }

    #[test]
    fn maps_have_bounds_for_their_size_their_keys_and_their_values() {
        let variables = |pairs: Vec<(String, String)>| SendPasswordlessRequest {
            template_variables: pairs.into_iter().collect(),
            ..send()
        };
        let pairs = |n: usize| (0..n).map(|i| (format!("name_{i}"), String::new())).collect::<Vec<_>>();
        assert_eq!(broken(&variables(pairs(30))), []);
        assert_eq!(broken(&variables(pairs(31))), one("template_variables", "max_pairs"));
        let pair = |key: &str, n: usize| variables(vec![(key.to_owned(), "x".repeat(n))]);
        assert_eq!(broken(&pair("a", 1)), one("template_variables.a", "keys.min_len"));
        assert_eq!(broken(&pair("name", 256)), []);
        assert_eq!(broken(&pair("name", 257)), one("template_variables.name", "values.max_len"));
    }

    #[test]
    fn messages_inside_are_checked_under_their_name_and_required_ones_missed() {
        let update =
            |connection| UpdateEnvironmentConnectionRequest { connection_id: "conn_1".into(), connection };
        assert_eq!(broken(&update(None)), one("connection", "required"));
        let inner = UpdateConnection {
            provider: 99,
            settings: Some(Settings::PasswordlessConfig(PasswordLessConfig::default())),
            ..UpdateConnection::default()
        };
        assert_eq!(broken(&update(Some(inner))), one("connection.provider", "defined_only"));
        let nameless = UpdateEnvironmentConnectionRequest {
            connection_id: String::new(),
            ..update(Some(UpdateConnection::default()))
        };
        assert_eq!(broken(&nameless), one("connection_id", "min_len"));
    }

    #[test]
    fn texts_are_held_against_prefix_pattern_choices_and_forms() {
        let rule = |text: &str, rules: Text| rules.broken_by(text).map(|(rule, _)| rule);
        assert_eq!(rule("usr_1", Text { prefix: Some("usr_"), ..Text::ANY }), None);
        assert_eq!(rule("org_1", Text { prefix: Some("usr_"), ..Text::ANY }), Some("prefix"));
        let name = Text { pattern: Some("^[a-zA-Z0-9_:]{1,64}$"), ..Text::ANY };
        assert_eq!(rule("read:documents", name), None);
        assert_eq!(rule("read.documents", name), Some("pattern"));
        assert_eq!(rule("b", Text { one_of: &["a", "b"], ..Text::ANY }), None);
        assert_eq!(rule("c", Text { one_of: &["a", "b"], ..Text::ANY }), Some("in"));
        assert_eq!(rule("https://example.com", Text { is_uri: true, ..Text::ANY }), None);
        assert_eq!(rule("example.com", Text { is_uri: true, ..Text::ANY }), Some("uri"));
        assert_eq!(rule("", Text { is_email: true, ..Text::ANY }), Some("required"));
    }

    #[test]
    fn numbers_lists_and_choices_have_bounds() {
        let rules = |check: &dyn Fn(&mut Checks)| {
            let mut checks = Checks::default();
            check(&mut checks);
            checks.found.into_iter().map(|v| v.constraint.into_owned()).collect::<Vec<_>>()
        };
        assert!(rules(&|c| c.number("n", 30, Some(0), Some(30))).is_empty());
        assert_eq!(rules(&|c| c.number("n", 31, Some(0), Some(30))), ["lte"]);
        assert_eq!(rules(&|c| c.number("n", -1, Some(0), None)), ["gte"]);
        assert_eq!(rules(&|c| c.items("i", 0, 1, 2)), ["min_items"]);
        assert_eq!(rules(&|c| c.items("i", 3, 1, 2)), ["max_items"]);
        assert_eq!(rules(&|c| c.unique("i", &["a".into(), "a".into()])), ["unique"]);
        assert_eq!(
            rules(&|c| c.texts("i", &[String::new()], &Text { min_len: 1, ..Text::ANY })),
            ["min_len"]
        );
        assert_eq!(rules(&|c| c.choice("e", 0, &[0, 1], &[0])), ["not_in"]);
        assert_eq!(rules(&|c| c.choice("e", 7, &[0, 1], &[])), ["defined_only"]);
    }
}
