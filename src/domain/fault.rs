//! Faults that testers ask for: what to break, when, and how.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::email::{key_of, key_pattern};
use super::glob::glob;

/// A rule: requests that match it are counted, and some of them go wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// Which requests. Without it, all of them.
    #[serde(default, rename = "match")]
    pub matches: FaultMatch,
    /// The first matching request that fails, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nth: Option<u64>,
    /// How many requests fail. Without it, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The probability that a matching request fails, from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// Delay in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// What happens to them. Without it, they are only delayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<FaultEffect>,
}

/// Which requests a rule is about; `*` stands for any characters. The control API and the dashboard are spared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FaultMatch {
    /// HTTP method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Path without query, such as `/oauth/*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// gRPC method, such as `*PasswordlessService/SendPasswordlessEmail`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc: Option<String>,
    /// Address of an email or of a sign-in, for `smtp` and `sign_in`, and for a delay alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultEffect {
    /// An HTTP status, with a body if wanted.
    Status {
        status: u16,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<Object>)]
        body: Option<serde_json::Value>,
    },
    /// An error as OAuth endpoints give it (RFC 6749 §5.2). 400 unless told.
    OauthError {
        error: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error_description: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
    },
    /// A gRPC status, by its name such as `UNAVAILABLE`.
    GrpcStatus {
        code: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// The connection ends without an answer.
    ConnectionReset,
    /// The answer breaks off after so many bytes of its body.
    TruncatedBody { bytes: u64 },
    /// The SMTP server refuses an email, for now or for good. It stays in the inbox.
    Smtp {
        #[serde(default)]
        permanent: bool,
    },
    /// The next tokens are not what they should be.
    Token { fault: TokenFault },
    /// A sign-in of the address, on the pages or by API, does not go well.
    SignIn { outcome: SignInFault },
}

/// How a token is spoilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenFault {
    WrongIssuer,
    BadSignature,
    Expired,
    UnknownKid,
}

/// What becomes of a sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignInFault {
    /// Code and link of the email have expired.
    Expired,
    /// No email is sent: the address had too many.
    Limited,
    /// The address is proven, and the application gets `access_denied` all the same.
    Denied,
}

impl SignInFault {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Limited => "limited",
            Self::Denied => "denied",
        }
    }
}

/// Where a rule is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultStage {
    Request,
    Mail,
    Token,
    /// Before the email of a sign-in is written.
    Send,
    /// Once the address is proven.
    Proof,
}

/// What is about to happen.
#[derive(Debug, Clone, Copy)]
pub enum FaultTarget<'a> {
    Http {
        method: &'a str,
        path: &'a str,
    },
    Grpc {
        path: &'a str,
    },
    Mail {
        to: &'a str,
    },
    Tokens {
        path: &'a str,
    },
    /// An email that proves an address is asked for.
    Send {
        to: &'a str,
    },
    /// An address was proven.
    Proof {
        to: &'a str,
    },
}

impl FaultTarget<'_> {
    /// The address that it is about.
    fn address(&self) -> Option<&str> {
        match self {
            Self::Mail { to } | Self::Send { to } | Self::Proof { to } => Some(to),
            Self::Http { .. } | Self::Grpc { .. } | Self::Tokens { .. } => None,
        }
    }
}

/// A rule that is there without being made: an address that causes an outcome.
#[derive(Debug)]
pub struct BuiltInFault {
    pub id: &'static str,
    /// What it does, for users.
    pub about: &'static str,
    pub rule: FaultRule,
}

/// What every address of a built-in rule contains.
const BUILT_IN_MARK: &str = "+vb-";

/// How long `+vb-slow` keeps waiting, in milliseconds.
const BUILT_IN_LATENCY_MS: u64 = 3_000;

/// The built-in rules.
pub fn built_in() -> &'static [BuiltInFault] {
    static BUILT_IN: LazyLock<[BuiltInFault; 5]> = LazyLock::new(|| {
        let fault = |id: &'static str, about, effect, latency_ms| BuiltInFault {
            id,
            about,
            rule: FaultRule {
                matches: FaultMatch { to: Some(format!("*+{id}*@*")), ..FaultMatch::default() },
                nth: None,
                count: None,
                probability: None,
                latency_ms,
                effect,
            },
        };
        let sign_in = |outcome| Some(FaultEffect::SignIn { outcome });
        [
            fault(
                "vb-expired",
                "Code and link have expired when the email arrives.",
                sign_in(SignInFault::Expired),
                None,
            ),
            fault("vb-limited", "No email: the address had too many.", sign_in(SignInFault::Limited), None),
            fault(
                "vb-mailfail",
                "The email cannot be delivered.",
                Some(FaultEffect::Smtp { permanent: true }),
                None,
            ),
            fault("vb-slow", "Sending takes three seconds.", None, Some(BUILT_IN_LATENCY_MS)),
            fault(
                "vb-denied",
                "The right code or link ends in access_denied.",
                sign_in(SignInFault::Denied),
                None,
            ),
        ]
    });
    &*BUILT_IN
}

/// The built-in rule for what is about to happen.
pub fn built_in_for(happening: FaultTarget<'_>) -> Option<&'static BuiltInFault> {
    let has_mark = happening.address().is_some_and(|to| to.to_ascii_lowercase().contains(BUILT_IN_MARK));
    built_in().iter().filter(|_| has_mark).find(|fault| fault.rule.matches(happening))
}

/// Names of the gRPC codes that a rule may give.
pub const GRPC_CODES: [(&str, i32); 16] = [
    ("CANCELLED", 1),
    ("UNKNOWN", 2),
    ("INVALID_ARGUMENT", 3),
    ("DEADLINE_EXCEEDED", 4),
    ("NOT_FOUND", 5),
    ("ALREADY_EXISTS", 6),
    ("PERMISSION_DENIED", 7),
    ("RESOURCE_EXHAUSTED", 8),
    ("FAILED_PRECONDITION", 9),
    ("ABORTED", 10),
    ("OUT_OF_RANGE", 11),
    ("UNIMPLEMENTED", 12),
    ("INTERNAL", 13),
    ("UNAVAILABLE", 14),
    ("DATA_LOSS", 15),
    ("UNAUTHENTICATED", 16),
];

/// Longest wait, in milliseconds.
const MAX_LATENCY_MS: u64 = 600_000;

impl FaultRule {
    /// What is wrong with the rule, as field and reason.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        if self.effect.is_none() && self.latency_ms.is_none() {
            return Err(("effect", "is missing: name an effect, or latency_ms".to_owned()));
        }
        if self.latency_ms.is_some_and(|ms| ms > MAX_LATENCY_MS) {
            return Err(("latency_ms", format!("must be at most {MAX_LATENCY_MS}")));
        }
        if self.nth == Some(0) {
            return Err(("nth", "must be at least 1".to_owned()));
        }
        if self.count == Some(0) {
            return Err(("count", "must be at least 1".to_owned()));
        }
        if self.probability.is_some_and(|p| !(0.0..=1.0).contains(&p)) {
            return Err(("probability", "must be between 0 and 1".to_owned()));
        }
        match &self.effect {
            Some(FaultEffect::Status { status, .. }) if !(200..=599).contains(status) => {
                Err(("effect.status", "must be between 200 and 599".to_owned()))
            }
            Some(FaultEffect::OauthError { status: Some(status), .. }) if !(400..=599).contains(status) => {
                Err(("effect.status", "must be between 400 and 599".to_owned()))
            }
            Some(FaultEffect::GrpcStatus { code, .. }) if grpc_code(code).is_none() => {
                let names = GRPC_CODES.map(|(name, _)| name).join(", ");
                Err(("effect.code", format!("must be one of: {names}")))
            }
            _ => Ok(()),
        }
    }

    pub fn stage(&self) -> FaultStage {
        match &self.effect {
            Some(FaultEffect::Smtp { .. }) => FaultStage::Mail,
            Some(FaultEffect::Token { .. }) => FaultStage::Token,
            Some(FaultEffect::SignIn { outcome: SignInFault::Denied }) => FaultStage::Proof,
            Some(FaultEffect::SignIn { .. }) => FaultStage::Send,
            // A delay for an address.
            None if self.matches.to.is_some() => FaultStage::Send,
            _ => FaultStage::Request,
        }
    }

    /// Is the rule about this?
    pub fn matches(&self, happening: FaultTarget<'_>) -> bool {
        let fits = |pattern: &Option<String>, text: &str| pattern.as_deref().is_none_or(|p| glob(p, text));
        let asked = &self.matches;
        match (self.stage(), happening) {
            (FaultStage::Request, FaultTarget::Http { method, path }) => {
                let is_grpc_only = matches!(self.effect, Some(FaultEffect::GrpcStatus { .. }));
                asked.grpc.is_none()
                    && !is_grpc_only
                    && asked.method.as_deref().is_none_or(|m| m.eq_ignore_ascii_case(method))
                    && fits(&asked.path, path)
            }
            (FaultStage::Request, FaultTarget::Grpc { path }) => {
                let is_http_only = matches!(self.effect, Some(FaultEffect::OauthError { .. }));
                asked.path.is_none()
                    && asked.method.is_none()
                    && !is_http_only
                    && fits(&asked.grpc, path.trim_start_matches('/'))
            }
            (FaultStage::Mail, FaultTarget::Mail { to })
            | (FaultStage::Send, FaultTarget::Send { to })
            | (FaultStage::Proof, FaultTarget::Proof { to }) => {
                asked.to.as_deref().is_none_or(|p| glob(&key_pattern(p), &key_of(to)))
            }
            (FaultStage::Token, FaultTarget::Tokens { path }) => fits(&asked.path, path),
            _ => false,
        }
    }

    /// Does the `matched`-th matching request go wrong? How many did so far is counted where it is committed.
    /// `draw` is random, from 0 to below 1.
    pub fn is_due(&self, matched: u64, draw: f64) -> bool {
        matched >= self.nth.unwrap_or(1) && self.probability.is_none_or(|p| draw < p)
    }
}

/// Name of a gRPC code by its number.
pub fn grpc_name(number: i32) -> &'static str {
    if number == 0 {
        return "OK";
    }
    GRPC_CODES.iter().find(|(_, code)| *code == number).map_or("UNKNOWN", |(name, _)| name)
}

/// Number of a gRPC code by its name.
pub fn grpc_code(name: &str) -> Option<i32> {
    GRPC_CODES.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, code)| *code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rule(json: serde_json::Value) -> FaultRule {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_rule_matches_by_method_path_and_grpc_method() {
        let token = rule(json!({ "match": { "method": "post", "path": "/oauth/*" }, "latency_ms": 5 }));
        assert!(token.matches(FaultTarget::Http { method: "POST", path: "/oauth/token" }));
        assert!(!token.matches(FaultTarget::Http { method: "GET", path: "/oauth/token" }));
        assert!(!token.matches(FaultTarget::Http { method: "POST", path: "/keys" }));
        assert!(!token.matches(FaultTarget::Grpc { path: "/a.B/C" }));
        let send = rule(json!({ "match": { "grpc": "*PasswordlessService/Send*" },
            "effect": { "kind": "grpc_status", "code": "unavailable" } }));
        let path = "/scalekit.v1.auth.passwordless.PasswordlessService/SendPasswordlessEmail";
        assert!(send.matches(FaultTarget::Grpc { path }));
        assert!(!send.matches(FaultTarget::Http { method: "POST", path }));
        assert!(send.check().is_ok());
    }

    #[test]
    fn a_rule_is_due_from_the_nth_match_on_and_by_chance() {
        let third = rule(json!({ "nth": 3, "latency_ms": 1 }));
        assert_eq!([1, 2, 3, 4].map(|n| third.is_due(n, 0.99)), [false, false, true, true]);
        let half = rule(json!({ "probability": 0.5, "latency_ms": 1 }));
        assert!(half.is_due(1, 0.49) && !half.is_due(1, 0.5));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (json, field) in [
            (json!({}), "effect"),
            (json!({ "nth": 0, "latency_ms": 1 }), "nth"),
            (json!({ "count": 0, "latency_ms": 1 }), "count"),
            (json!({ "probability": 1.5, "latency_ms": 1 }), "probability"),
            (json!({ "latency_ms": 600_001 }), "latency_ms"),
            (json!({ "effect": { "kind": "status", "status": 99 } }), "effect.status"),
            (json!({ "effect": { "kind": "grpc_status", "code": "NOPE" } }), "effect.code"),
        ] {
            assert_eq!(rule(json.clone()).check().unwrap_err().0, field, "{json}");
        }
    }

    #[test]
    fn built_in_rules_are_rules_and_each_is_found_by_its_address() {
        for fault in built_in() {
            assert_eq!(fault.rule.check(), Ok(()), "{}", fault.id);
            let to = &format!("Jane+{}7@Example.com", fault.id.to_uppercase());
            let found = [FaultTarget::Mail { to }, FaultTarget::Send { to }, FaultTarget::Proof { to }]
                .map(|target| built_in_for(target).map(|fault| fault.id));
            assert_eq!(found.into_iter().flatten().collect::<Vec<_>>(), [fault.id]);
        }
        for to in ["jane@example.com", "jane+vb-@example.com", "jane@vb-slow.example", "vb-slow@example.com"]
        {
            assert!(built_in_for(FaultTarget::Send { to }).is_none(), "{to}");
        }
    }

    #[test]
    fn a_delay_for_an_address_is_about_its_sign_ins() {
        let slow = rule(json!({ "match": { "to": "*@acme.test" }, "latency_ms": 5 }));
        assert!(slow.matches(FaultTarget::Send { to: "jane@acme.test" }));
        assert!(!slow.matches(FaultTarget::Send { to: "jane@example.com" }));
        assert!(!slow.matches(FaultTarget::Http { method: "POST", path: "/oauth/token" }));
    }

    #[test]
    fn mails_and_tokens_have_rules_of_their_own() {
        let mail = rule(json!({ "match": { "to": "*@Acme.test" }, "effect": { "kind": "smtp" } }));
        assert!(mail.matches(FaultTarget::Mail { to: "jane@acme.test" }));
        assert!(!mail.matches(FaultTarget::Http { method: "GET", path: "/keys" }));
        let token = rule(json!({ "effect": { "kind": "token", "fault": "unknown_kid" } }));
        assert!(token.matches(FaultTarget::Tokens { path: "/oauth/token" }));
        assert!(!token.matches(FaultTarget::Mail { to: "x@y.z" }));
    }
}
