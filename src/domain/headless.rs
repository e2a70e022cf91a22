//! Headless passwordless: a server asks by API, and draws its own pages. What it may ask for, checked.

use serde::{Deserialize, Serialize};
use url::Url;

use super::api_error::FieldViolation;
use super::auth_request::Origin;
use super::email::{EmailAddress, EmailError};
use super::environment::PasswordlessType;
use super::uri_scheme;

/// Bounds of Scalekit's messages, in characters.
const MAX_STATE: usize = 1000;
const MAX_URI: usize = 1000;
const MAX_CODE: usize = 20;
const MAX_LINK_TOKEN: usize = 100;
const MAX_AUTH_REQUEST_ID: usize = 200;
const MAX_VARIABLES: usize = 30;
const VARIABLE_NAME: std::ops::RangeInclusive<usize> = 2..=25;
const MAX_VARIABLE_VALUE: usize = 256;

/// Longest life that may be asked for, in seconds.
pub const MAX_EXPIRES_IN_S: u32 = 86_400;

/// Names that mails fill in themselves.
const RESERVED_VARIABLES: [&str; 5] = ["otp", "expiry_time_relative", "link", "expire_time", "expiry_time"];

/// Which mail is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub enum Template {
    #[serde(rename = "SIGNIN")]
    SignIn,
    #[serde(rename = "SIGNUP")]
    SignUp,
}

impl Template {
    /// The name in Scalekit's API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "SIGNIN",
            Self::SignUp => "SIGNUP",
        }
    }
}

/// A request to send, as it arrived.
#[derive(Debug, Clone, Default)]
pub struct SendInput {
    pub email: String,
    pub template: Option<Template>,
    pub magiclink_auth_uri: Option<String>,
    pub state: Option<String>,
    /// Seconds; 0 is how some SDKs leave it out.
    pub expires_in: Option<u32>,
    pub template_variables: Vec<(String, String)>,
}

/// A request to verify, as it arrived.
#[derive(Clone, Default)]
pub struct VerifyInput {
    pub credential: Option<Credential>,
    pub auth_request_id: Option<String>,
}

/// What a person received.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    Code(String),
    LinkToken(String),
}

/// A server asked by API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Headless {
    pub client_id: String,
    pub template: Option<Template>,
    /// Given back with the proof.
    pub state: Option<String>,
    pub magiclink_auth_uri: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub template_variables: Vec<(String, String)>,
    /// Seconds that credentials live, where the application chose.
    pub expires_in_s: Option<i64>,
}

impl Origin for Headless {
    const REPEATED_GUESSES_COUNT_ONCE: bool = true;

    fn expires_in_s(&self) -> Option<i64> {
        self.expires_in_s
    }
}

impl Headless {
    /// Where the mail's link leads: the application's page with the token.
    pub fn link(&self, link_token: &str) -> Option<String> {
        let uri = self.magiclink_auth_uri.as_deref()?;
        let (page, fragment) = match uri.split_once('#') {
            Some((page, fragment)) => (page, Some(fragment)),
            None => (uri, None),
        };
        let separator = if page.contains('?') { '&' } else { '?' };
        let fragment = fragment.map(|f| format!("#{f}")).unwrap_or_default();
        Some(format!("{page}{separator}link_token={link_token}{fragment}"))
    }
}

impl SendInput {
    /// Checks everything and names every violation at once.
    pub fn check(
        self,
        client_id: &str,
        passwordless_type: PasswordlessType,
    ) -> Result<(EmailAddress, Headless), Vec<FieldViolation>> {
        let mut found = vec![];
        let email = EmailAddress::parse(&self.email).map_err(|error| {
            let rule = match error {
                EmailError::Empty => "required",
                EmailError::TooLong => "max_len",
                EmailError::Invalid => "email",
            };
            found.push(FieldViolation::new("email", rule, error.to_string()));
        });
        check_text(&mut found, "state", self.state.as_deref(), MAX_STATE);
        check_text(&mut found, "magiclink_auth_uri", self.magiclink_auth_uri.as_deref(), MAX_URI);
        match self.magiclink_auth_uri.as_deref() {
            None if passwordless_type.has_link() => found.push(FieldViolation::new(
                "magiclink_auth_uri",
                "required",
                "magiclink_auth_uri is required, because mails carry a link",
            )),
            Some(uri) if !uri.is_empty() && !is_page(uri) => found.push(FieldViolation::new(
                "magiclink_auth_uri",
                "uri",
                "magiclink_auth_uri is not a valid absolute URL",
            )),
            _ => {}
        }
        let expires_in = self.expires_in.filter(|s| *s > 0);
        if expires_in.is_some_and(|s| s > MAX_EXPIRES_IN_S) {
            let text = format!("expires_in is invalid: at most {MAX_EXPIRES_IN_S} seconds");
            found.push(FieldViolation::new("expires_in", "lte", text));
        }
        check_variables(&mut found, &self.template_variables);
        match email {
            Ok(email) if found.is_empty() => Ok((
                email,
                Headless {
                    client_id: client_id.to_owned(),
                    template: self.template,
                    state: self.state,
                    magiclink_auth_uri: self.magiclink_auth_uri,
                    template_variables: self.template_variables,
                    expires_in_s: expires_in.map(i64::from),
                },
            )),
            _ => Err(found),
        }
    }
}

impl VerifyInput {
    /// The credential and the auth request it is said to belong to, which a code always needs.
    pub fn check(
        self,
        is_same_browser_enforced: bool,
    ) -> Result<(Credential, Option<String>), Vec<FieldViolation>> {
        let mut found = vec![];
        let id = self.auth_request_id.filter(|id| !id.is_empty());
        check_text(&mut found, "auth_request_id", id.as_deref(), MAX_AUTH_REQUEST_ID);
        let reason = match &self.credential {
            None => {
                found.push(FieldViolation::new("code", "required", "either code or link_token is required"));
                None
            }
            Some(Credential::Code(code)) => {
                check_text(&mut found, "code", Some(code), MAX_CODE);
                Some("auth_request_id is required with a code")
            }
            Some(Credential::LinkToken(token)) => {
                check_text(&mut found, "link_token", Some(token), MAX_LINK_TOKEN);
                is_same_browser_enforced
                    .then_some("auth_request_id is required, because same browser enforcement is on")
            }
        };
        if let (None, Some(reason)) = (&id, reason) {
            found.push(FieldViolation::new("auth_request_id", "required", reason));
        }
        match self.credential {
            Some(credential) if found.is_empty() => Ok((credential, id)),
            _ => Err(found),
        }
    }
}

/// The id of a resend.
pub fn check_auth_request_id(id: String) -> Result<String, Vec<FieldViolation>> {
    let mut found = vec![];
    if id.is_empty() {
        found.push(FieldViolation::new("auth_request_id", "required", "auth_request_id is required"));
    }
    check_text(
        &mut found,
        "auth_request_id",
        Some(&id).filter(|i| !i.is_empty()).map(String::as_str),
        MAX_AUTH_REQUEST_ID,
    );
    if found.is_empty() { Ok(id) } else { Err(found) }
}

fn check_text(found: &mut Vec<FieldViolation>, field: &str, text: Option<&str>, max: usize) {
    let Some(length) = text.map(|t| t.chars().count()) else { return };
    if length == 0 {
        found.push(FieldViolation::new(field, "min_len", format!("{field} is invalid: it is empty")));
    } else if length > max {
        let text = format!("{field} is invalid: it has more than {max} characters");
        found.push(FieldViolation::new(field, "max_len", text));
    }
}

/// May a mail link there?
fn is_page(uri: &str) -> bool {
    let is_one_word = !uri.chars().any(|c| c.is_control() || c.is_whitespace());
    is_one_word && Url::parse(uri).is_ok_and(|url| !uri_scheme::is_dangerous(url.scheme()))
}

fn check_variables(found: &mut Vec<FieldViolation>, variables: &[(String, String)]) {
    if variables.len() > MAX_VARIABLES {
        let text = format!("template_variables is invalid: more than {MAX_VARIABLES} pairs");
        found.push(FieldViolation::new("template_variables", "max_pairs", text));
    }
    for (name, value) in variables {
        let field = format!("template_variables.{name}");
        if !VARIABLE_NAME.contains(&name.chars().count()) {
            let text = format!("the template variable {name:?} is invalid: names have 2 to 25 characters");
            found.push(FieldViolation::new(field.clone(), "keys", text));
        }
        if RESERVED_VARIABLES.contains(&name.as_str()) {
            let text = format!("the template variable {name} is invalid: the name is reserved");
            found.push(FieldViolation::new(field.clone(), "reserved", text));
        }
        if value.chars().count() > MAX_VARIABLE_VALUE {
            let text =
                format!("the template variable {name} is invalid: more than {MAX_VARIABLE_VALUE} characters");
            found.push(FieldViolation::new(field, "values.max_len", text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input() -> SendInput {
        SendInput {
            email: "jane@example.com".into(),
            magiclink_auth_uri: Some("https://app.example.com/verify".into()),
            ..SendInput::default()
        }
    }

    fn fields(input: SendInput) -> Vec<(String, &'static str)> {
        let found = input.check("skc_1", PasswordlessType::LinkOtp).unwrap_err();
        found.into_iter().map(|v| (v.field, v.constraint)).collect()
    }

    fn one(field: &str, constraint: &'static str) -> Vec<(String, &'static str)> {
        vec![(field.to_owned(), constraint)]
    }

    #[test]
    fn the_bounds_of_scalekits_messages_hold_to_the_character() {
        assert!(input().check("skc_1", PasswordlessType::LinkOtp).is_ok());
        let long = |n: usize| "x".repeat(n);
        assert_eq!(fields(SendInput { email: String::new(), ..input() }), one("email", "required"));
        assert_eq!(fields(SendInput { email: "jane".into(), ..input() }), one("email", "email"));
        let state = |n| SendInput { state: Some(long(n)), ..input() };
        assert!(state(1000).check("skc_1", PasswordlessType::Otp).is_ok());
        assert_eq!(fields(state(1001)), one("state", "max_len"));
        assert_eq!(fields(state(0)), one("state", "min_len"));
        let variables = |v: Vec<(String, String)>| SendInput { template_variables: v, ..input() };
        let pairs = |n: usize| (0..n).map(|i| (format!("name_{i}"), String::new())).collect::<Vec<_>>();
        assert!(variables(pairs(30)).check("skc_1", PasswordlessType::Otp).is_ok());
        assert_eq!(fields(variables(pairs(31))), one("template_variables", "max_pairs"));
        assert_eq!(fields(variables(vec![("a".into(), "b".into())])), one("template_variables.a", "keys"));
        assert_eq!(
            fields(variables(vec![("otp".into(), "1".into())])),
            one("template_variables.otp", "reserved")
        );
        assert_eq!(
            fields(variables(vec![("name".into(), long(257))])),
            one("template_variables.name", "values.max_len")
        );
        assert_eq!(fields(SendInput { expires_in: Some(86_401), ..input() }), one("expires_in", "lte"));
        let unset =
            SendInput { expires_in: Some(0), ..input() }.check("skc_1", PasswordlessType::Otp).unwrap();
        assert_eq!(unset.1.expires_in_s, None);
    }

    #[test]
    fn links_need_a_page_of_the_applications() {
        let without = |kind| SendInput { magiclink_auth_uri: None, ..input() }.check("skc_1", kind);
        let said = without(PasswordlessType::Link).unwrap_err();
        assert!(said[0].description.contains("magiclink_auth_uri is required"));
        assert!(without(PasswordlessType::Otp).is_ok());
        for bad in [
            "/relative",
            "javascript:alert(1)",
            "view-source:https://a/",
            "ms-msdt:x",
            "https://a b/",
            "not a url",
        ] {
            let uri = SendInput { magiclink_auth_uri: Some(bad.into()), ..input() };
            assert_eq!(fields(uri), one("magiclink_auth_uri", "uri"), "{bad}");
        }
    }

    #[test]
    fn the_token_is_appended_with_whatever_fits() {
        let link = |uri: &str| {
            let input = SendInput { magiclink_auth_uri: Some(uri.into()), ..input() };
            input.check("skc_1", PasswordlessType::Link).unwrap().1.link("T_l").unwrap()
        };
        assert_eq!(link("https://app/verify"), "https://app/verify?link_token=T_l");
        assert_eq!(link("https://app/verify?state=a"), "https://app/verify?state=a&link_token=T_l");
        assert_eq!(link("https://app/#/verify"), "https://app/?link_token=T_l#/verify");
        assert_eq!(link("myapp://verify"), "myapp://verify?link_token=T_l");
    }

    #[test]
    fn a_code_needs_its_auth_request_and_a_link_only_under_same_browser_enforcement() {
        let verify = |credential: Option<Credential>, id: Option<&str>, enforced| {
            VerifyInput { credential, auth_request_id: id.map(str::to_owned) }.check(enforced)
        };
        let code = Some(Credential::Code("123456".into()));
        let link = Some(Credential::LinkToken("token_l".into()));
        for (credential, id, enforced, allowed) in [
            (&code, Some("req"), true, true),
            (&code, None, false, false),
            (&link, None, false, true),
            (&link, None, true, false),
            (&link, Some("req"), true, true),
            (&None, Some("req"), false, false),
        ] {
            assert_eq!(verify(credential.clone(), id, enforced).is_ok(), allowed, "{id:?} {enforced}");
        }
        let said = verify(code, None, true).err().unwrap();
        assert!(said[0].description.contains("auth_request_id is required"));
        assert!(verify(Some(Credential::Code("1".repeat(21))), Some("req"), true).is_err());
    }
}
