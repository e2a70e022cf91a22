//! Headless passwordless: a server asks by API, and draws its own pages. What it may ask for, checked beyond the field
//! rules of its messages.

use serde::{Deserialize, Serialize};
use url::Url;

use super::api_error::FieldViolation;
use super::auth_request::Origin;
use super::email::EmailAddress;
use super::settings::PasswordlessType;
use super::uri_scheme;

/// Longest life that may be asked for, in seconds.
pub const MAX_EXPIRES_IN_S: u32 = 86_400;

/// Names that emails fill in themselves.
const RESERVED_VARIABLES: [&str; 5] = ["otp", "expiry_time_relative", "link", "expire_time", "expiry_time"];

/// Which email is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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

/// What a user received.
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
    /// Where the email's link leads: the application's page with the token.
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
    /// Names every violation at once.
    pub fn check(
        self,
        client_id: &str,
        passwordless_type: PasswordlessType,
    ) -> Result<(EmailAddress, Headless), Vec<FieldViolation>> {
        let mut found = vec![];
        let email = EmailAddress::parse(&self.email)
            .map_err(|error| found.push(FieldViolation::new("email", "email", error.to_string())));
        match self.magiclink_auth_uri.as_deref() {
            None if passwordless_type.has_link() => found.push(FieldViolation::new(
                "magiclink_auth_uri",
                "required",
                "magiclink_auth_uri is required, because emails carry a link",
            )),
            Some(uri) if !is_page(uri) => found.push(FieldViolation::new(
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
        let reason = match &self.credential {
            None => {
                found.push(FieldViolation::new("code", "required", "either code or link_token is required"));
                None
            }
            Some(Credential::Code(_)) => Some("auth_request_id is required with a code"),
            Some(Credential::LinkToken(_)) => is_same_browser_enforced
                .then_some("auth_request_id is required, because same browser enforcement is on"),
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

/// May an email link there?
fn is_page(uri: &str) -> bool {
    let is_one_word = !uri.chars().any(|c| c.is_control() || c.is_whitespace());
    is_one_word && Url::parse(uri).is_ok_and(|url| !uri_scheme::is_dangerous(url.scheme()))
}

fn check_variables(found: &mut Vec<FieldViolation>, variables: &[(String, String)]) {
    for (name, _) in variables.iter().filter(|(name, _)| RESERVED_VARIABLES.contains(&name.as_str())) {
        let text = format!("the template variable {name} is invalid: the name is reserved");
        found.push(FieldViolation::new(format!("template_variables.{name}"), "reserved", text));
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

    fn fields(input: SendInput) -> Vec<(String, String)> {
        let found = input.check("skc_1", PasswordlessType::LinkOtp).unwrap_err();
        found.into_iter().map(|v| (v.field, v.constraint.into_owned())).collect()
    }

    fn one(field: &str, constraint: &str) -> Vec<(String, String)> {
        vec![(field.to_owned(), constraint.to_owned())]
    }

    #[test]
    fn what_field_rules_cannot_say_is_checked_here() {
        assert!(input().check("skc_1", PasswordlessType::LinkOtp).is_ok());
        let variables = |v: Vec<(String, String)>| SendInput { template_variables: v, ..input() };
        assert_eq!(
            fields(variables(vec![("otp".into(), "1".into())])),
            one("template_variables.otp", "reserved")
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
    }
}
