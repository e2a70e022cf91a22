//! Interceptors: an application is asked before a user signs up, gets a session or is invited, and before a machine gets a
//! token, and allows or denies it.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::clock::UnixMs;
use super::record_key::RecordKey;
use super::webhook::DeliveryAttempt;

/// How long an interceptor may take, in milliseconds.
pub const TIMEOUT_MS: RangeInclusive<i64> = 100..=30_000;

/// How long it may take where nobody says otherwise, in milliseconds.
pub const DEFAULT_TIMEOUT_MS: i64 = 10_000;

/// Interceptors of an environment.
pub const MAX_INTERCEPTORS: usize = 20;

/// Longest response that is read, in bytes.
pub const MAX_RESPONSE_BYTES: usize = 65_536;

const MAX_DISPLAY_NAME_LENGTH: usize = 255;
const MAX_DESCRIPTION_LENGTH: usize = 1_024;

/// Longest message that is shown, in characters.
const MAX_MESSAGE_LENGTH: usize = 500;

/// When an application is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum TriggerPoint {
    /// Before a user makes an organization by signing up.
    #[serde(rename = "PRE_SIGNUP")]
    PreSignup,
    /// Before a session is made, and before it goes to another organization.
    #[serde(rename = "PRE_SESSION_CREATION")]
    PreSessionCreation,
    /// Before an invitation is made or sent.
    #[serde(rename = "PRE_USER_INVITATION")]
    PreUserInvitation,
    /// Before a machine client of an organization gets a token.
    #[serde(rename = "PRE_M2M_TOKEN_CREATION")]
    PreM2mTokenCreation,
}

impl TriggerPoint {
    /// In the order in which they are listed.
    pub const ALL: [Self; 4] =
        [Self::PreSignup, Self::PreSessionCreation, Self::PreUserInvitation, Self::PreM2mTokenCreation];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PreSignup => "PRE_SIGNUP",
            Self::PreSessionCreation => "PRE_SESSION_CREATION",
            Self::PreUserInvitation => "PRE_USER_INVITATION",
            Self::PreM2mTokenCreation => "PRE_M2M_TOKEN_CREATION",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|trigger| trigger.as_str() == text)
    }
}

/// What holds where an interceptor gives no decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum FailurePolicy {
    /// As if it had allowed.
    #[serde(rename = "FAIL_OPEN")]
    FailOpen,
    /// As if it had denied.
    #[serde(rename = "FAIL_CLOSED")]
    FailClosed,
}

impl FailurePolicy {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FailOpen => "FAIL_OPEN",
            Self::FailClosed => "FAIL_CLOSED",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::FailOpen, Self::FailClosed].into_iter().find(|policy| policy.as_str() == text)
    }
}

/// Who is asked, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interceptor {
    /// `icp_…`
    pub id: String,
    /// Grows with every change.
    pub version: i64,
    pub display_name: String,
    pub description: String,
    pub trigger_point: TriggerPoint,
    pub url: String,
    pub timeout_ms: i64,
    pub failure_policy: FailurePolicy,
    pub is_enabled: bool,
    pub created_at_ms: UnixMs,
    pub updated_at_ms: UnixMs,
}

/// Why this cannot be a name.
pub fn bad_display_name(text: &str) -> Option<&'static str> {
    let length = text.chars().count();
    (!(1..=MAX_DISPLAY_NAME_LENGTH).contains(&length)).then_some("must have 1 to 255 characters")
}

/// Why this cannot be a description.
pub fn bad_description(text: &str) -> Option<&'static str> {
    (text.chars().count() > MAX_DESCRIPTION_LENGTH).then_some("must have at most 1024 characters")
}

/// What an application decides.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    Allow(Additions),
    /// With a message for whoever is denied.
    Deny(Option<String>),
}

/// What an application adds where it allows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Additions {
    pub claims: Map<String, Value>,
    /// The organization that a user joins instead of making one.
    pub membership: Option<RequestedMembership>,
}

/// A membership that an application asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestedMembership {
    pub organization: RecordKey,
    /// Names; none: the role that members have where nobody says otherwise.
    pub roles: Vec<String>,
}

impl Additions {
    /// Adds what the next interceptor says. Of two claims of one name, and of two memberships, its own counts.
    pub fn extend(&mut self, later: Self) {
        self.claims.extend(later.claims);
        self.membership = later.membership.or(self.membership.take());
    }
}

#[derive(Deserialize)]
#[expect(clippy::struct_field_names, reason = "Scalekit's name")]
struct Response {
    decision: Option<String>,
    #[serde(default)]
    error: Option<ResponseError>,
    #[serde(default)]
    response: Option<ResponseAdditions>,
}

#[derive(Deserialize)]
struct ResponseError {
    message: Option<String>,
}

#[derive(Deserialize)]
struct ResponseAdditions {
    claims: Option<Map<String, Value>>,
    create_organization_membership: Option<ResponseMembership>,
}

#[derive(Deserialize)]
struct ResponseMembership {
    organization_id: Option<String>,
    external_organization_id: Option<String>,
    #[serde(default)]
    roles: Vec<String>,
}

impl Decision {
    /// Reads a response. Fields that are not known are ignored.
    ///
    /// # Errors
    /// Why it is no decision, in words.
    pub fn parse(status: u16, body: &[u8]) -> Result<Self, String> {
        if status != 200 {
            return Err(format!("HTTP {status}: a decision comes with 200"));
        }
        if body.len() > MAX_RESPONSE_BYTES {
            return Err(format!("the response has more than {MAX_RESPONSE_BYTES} bytes"));
        }
        let response: Response =
            serde_json::from_slice(body).map_err(|error| format!("the response cannot be read: {error}"))?;
        match response.decision.as_deref() {
            Some("ALLOW") => response.response.map_or_else(
                || Ok(Self::Allow(Additions::default())),
                |additions| additions.read().map(Self::Allow),
            ),
            Some("DENY") => {
                let message = response.error.and_then(|error| error.message);
                let message = message.map(|text| text.trim().chars().take(MAX_MESSAGE_LENGTH).collect());
                Ok(Self::Deny(message.filter(|text: &String| !text.is_empty())))
            }
            _ => Err("the response has no decision of ALLOW or DENY".to_owned()),
        }
    }
}

impl ResponseAdditions {
    fn read(self) -> Result<Additions, String> {
        let filled = |id: Option<String>| id.filter(|id| !id.is_empty());
        let membership = self.create_organization_membership.map(|asked| {
            let by_id = filled(asked.organization_id).map(RecordKey::Id);
            let organization = by_id.or(filled(asked.external_organization_id).map(RecordKey::ExternalId));
            let organization =
                organization.ok_or("create_organization_membership names no organization".to_owned())?;
            Ok::<_, String>(RequestedMembership { organization, roles: asked.roles })
        });
        Ok(Additions { claims: self.claims.unwrap_or_default(), membership: membership.transpose()? })
    }
}

/// What whoever is denied is told where the application gives no message, in Scalekit's words.
pub fn policy_text(support_email: Option<&str>) -> String {
    let contact = support_email.unwrap_or("support");
    format!(
        "The request could not be completed due to a policy restriction. Please contact {contact} for assistance."
    )
}

/// What came of asking an interceptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum CallResult {
    Allow,
    Deny,
    /// There was no decision, so the failure policy held.
    Failed,
}

impl CallResult {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "ALLOW",
            Self::Deny => "DENY",
            Self::Failed => "FAILED",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Allow, Self::Deny, Self::Failed].into_iter().find(|result| result.as_str() == text)
    }
}

/// A call of an interceptor, as the log keeps it. It outlives the interceptor.
#[derive(Debug, Clone, PartialEq)]
pub struct InterceptorCall {
    /// `icpc_…`, `interceptor-id` of the request.
    pub id: String,
    pub interceptor_id: String,
    pub display_name: String,
    pub trigger_point: TriggerPoint,
    /// The sign-in that it was made for.
    pub flow_id: Option<String>,
    /// The body of the request.
    pub body: String,
    pub result: CallResult,
    /// Request and response. Its reason says why there was no decision.
    pub attempt: DeliveryAttempt,
    /// By the environment's clock.
    pub created_at_ms: UnixMs,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn parse(body: &Value) -> Result<Decision, String> {
        Decision::parse(200, body.to_string().as_bytes())
    }

    #[test]
    fn a_decision_is_allow_or_deny_in_a_response_of_200() {
        assert_eq!(parse(&json!({ "decision": "ALLOW" })), Ok(Decision::Allow(Additions::default())));
        let null = json!({ "decision": "ALLOW", "error": null, "response": null, "more": 1 });
        assert_eq!(parse(&null), Ok(Decision::Allow(Additions::default())));
        let denied = json!({ "decision": "DENY", "error": { "message": " Not from here. " } });
        assert_eq!(parse(&denied), Ok(Decision::Deny(Some("Not from here.".into()))));
        for message in [json!(null), json!(""), json!("  ")] {
            let denied = json!({ "decision": "DENY", "error": { "message": message } });
            assert_eq!(parse(&denied), Ok(Decision::Deny(None)));
        }
        let Ok(Decision::Deny(Some(long))) =
            parse(&json!({ "decision": "DENY", "error": { "message": "é".repeat(600) } }))
        else {
            panic!("denied");
        };
        assert_eq!(long.chars().count(), 500);
    }

    #[test]
    fn everything_else_is_no_decision() {
        for body in
            [json!({}), json!([]), json!(null), json!({ "decision": "allow" }), json!({ "decision": 1 })]
        {
            assert!(parse(&body).is_err(), "{body}");
        }
        assert!(Decision::parse(200, b"<html>").unwrap_err().contains("cannot be read"));
        for status in [201, 204, 301, 400, 500] {
            assert!(Decision::parse(status, br#"{"decision":"ALLOW"}"#).is_err(), "{status}");
        }
        let long = json!({ "decision": "ALLOW", "padding": "x".repeat(MAX_RESPONSE_BYTES) });
        assert!(parse(&long).unwrap_err().contains("more than"));
    }

    #[test]
    fn additions_are_claims_and_a_membership() {
        let body = json!({ "decision": "ALLOW", "response": {
            "claims": { "plan": "pro", "features": ["a"] },
            "create_organization_membership": { "external_organization_id": "acme", "organization_id": "",
                "roles": ["viewer"] },
        } });
        let Ok(Decision::Allow(additions)) = parse(&body) else { panic!("allowed") };
        assert_eq!(additions.claims["features"], json!(["a"]));
        let wanted = RequestedMembership {
            organization: RecordKey::ExternalId("acme".into()),
            roles: vec!["viewer".into()],
        };
        assert_eq!(additions.membership, Some(wanted));
        for bad in [json!({ "claims": [] }), json!({ "create_organization_membership": {} })] {
            assert!(parse(&json!({ "decision": "ALLOW", "response": bad })).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_later_interceptor_counts_where_two_say_different_things() {
        let claims = |plan: &str| json!({ "plan": plan, plan: true }).as_object().cloned().unwrap();
        let mut additions = Additions { claims: claims("free"), membership: None };
        additions.extend(Additions { claims: claims("pro"), membership: None });
        assert_eq!(Value::Object(additions.claims), json!({ "plan": "pro", "free": true, "pro": true }));
    }

    #[test]
    fn the_general_text_names_whom_to_ask() {
        assert!(policy_text(None).ends_with("Please contact support for assistance."));
        assert!(policy_text(Some("help@acme.test")).contains("contact help@acme.test for"));
    }

    proptest! {
        #[test]
        fn no_response_makes_it_panic(status in 0..600_u16, body in prop::collection::vec(any::<u8>(), 0..200)) {
            let decision = Decision::parse(status, &body);
            prop_assert!(status == 200 || decision.is_err());
        }

        #[test]
        fn names_are_read_back(at in 0..4_usize) {
            let trigger = TriggerPoint::ALL[at];
            prop_assert_eq!(TriggerPoint::parse(trigger.as_str()), Some(trigger));
            prop_assert_eq!(serde_json::to_value(trigger).unwrap(), json!(trigger.as_str()));
        }
    }
}
