//! What can happen in a sign-in. Events are stored as they are here, their kind and their data; the sentences that users
//! read are made where they are shown. No code, link or token is in an event.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::auth_request::{Closed, LinkOutcome};
use super::interceptor::{CallResult, FailurePolicy, TriggerPoint};

/// Something that happened in a sign-in. A field that comes later has a default: earlier rows lack it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data", rename_all = "snake_case")]
pub enum SignInEvent {
    /// The authorization request is good.
    AuthorizeAccepted {
        client_id: String,
        redirect_uri: String,
        /// With spaces between, as it was asked for.
        scope: String,
        /// As it was asked for (OpenID Connect Core 1.0 §3.1.2.1).
        prompt: Option<String>,
        pkce: bool,
        login_hint: bool,
    },
    /// It is not.
    AuthorizeRefused {
        /// What the application is told (RFC 6749 §4.1.2.1); `None`: the browser stays here.
        error: Option<String>,
        error_description: String,
        redirect_uri: String,
    },
    /// A callback that had been refused was registered from the page that said so.
    RedirectUriAllowed {
        client_id: String,
        redirect_uri: String,
    },
    /// The application's server asked for a sign-in by API.
    PasswordlessRequested {
        client_id: String,
    },
    /// What the browser showed.
    PageShown {
        page: SignInPage,
    },
    /// A browser asked for a sign-in that it did not begin.
    PageRefused {},
    /// An email was written.
    EmailSent {
        message_id: String,
        route: EmailRoute,
        /// `OTP`, `LINK` or `LINK_OTP`.
        passwordless_type: String,
        /// From the second on, what was sent before is worth nothing any more.
        generation: i64,
        /// RFC 3339.
        expires_at: String,
        /// Template variables that there is no place for.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        ignored_variables: Vec<String>,
    },
    /// There were too many emails lately.
    EmailLimited {
        /// The setting that says how many.
        limit: String,
        allowed: u32,
        window_s: i64,
        retry_after_s: i64,
    },
    /// A fault rule was applied before an email was to be written.
    FaultTriggered {
        fault: String,
        /// `expired` or `limited`; `None`: it only waited.
        outcome: Option<String>,
    },
    /// No code would be judged, so none was sent.
    EmailNotWorthSending {
        wrong_codes: u32,
    },
    /// The SMTP server did not take an email; it is tried again.
    EmailDelayed {
        message_id: String,
        attempt: u32,
        reason: String,
        retry_in_s: i64,
    },
    /// An email will never be delivered.
    EmailGivenUp {
        message_id: String,
        reason: String,
    },
    CodeAccepted {},
    CodeRejected {
        attempt: u32,
        of: u32,
        /// That was the sign-in's end.
        closed: bool,
    },
    CodeExpired {
        closed: bool,
    },
    /// No attempt was left.
    CodeAttemptsExhausted {
        of: u32,
        closed: bool,
    },
    /// There were too many wrong codes for the address.
    CodeAddressRateLimited {
        wrong_codes: u32,
        closed: bool,
    },
    /// Only a link was sent.
    CodeNotOffered {
        closed: bool,
    },
    /// The sign-in was over before the code came.
    CodeTooLate {
        closed: Closed,
    },
    /// A page asked whether the link is to be used.
    LinkOpened {
        same_browser: bool,
        refused: Option<LinkRefusal>,
    },
    LinkUsed {
        same_browser: bool,
        refused: Option<LinkRefusal>,
    },
    /// The control API vouches for the address.
    InstantSignIn {},
    /// An application was asked.
    InterceptorAnswered {
        interceptor_id: String,
        /// In the log of its calls.
        call_id: String,
        display_name: String,
        trigger_point: TriggerPoint,
        result: CallResult,
        latency_ms: i64,
        /// What holds where there is no decision.
        failure_policy: FailurePolicy,
        /// What it says where it denies, or why there is no decision.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// The application gets a code.
    SignedIn {
        grant_id: String,
        session_id: String,
        user_id: String,
        /// The browser's session answered, without a page.
        silently: bool,
    },
    /// The address is proven to the application that asked by API; it makes its own session.
    AddressProven {},
    /// The address is proven, and the application gets an error all the same.
    SignInRefused {
        error: String,
        error_description: String,
    },
    /// A client was not authenticated.
    ClientRefused {
        client_id: String,
        error: String,
        error_description: String,
    },
    TokensIssued {
        client_id: String,
        /// RFC 6749: `authorization_code` or `refresh_token`.
        grant_type: String,
    },
    TokensRefused {
        client_id: String,
        grant_type: String,
        error: String,
        error_description: String,
    },
    /// Written by another version of this program.
    #[serde(skip)]
    Unknown {
        kind: String,
        data: Map<String, Value>,
    },
}

/// A page of the sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignInPage {
    AddressForm,
    CodeForm,
    /// Asks to open the link that was sent.
    CheckEmail,
    /// Asks which organization to enter.
    OrganizationChooser,
    /// Says that the sign-in has expired.
    Expired,
    /// Says that it was used.
    Completed,
    /// Says that there were too many wrong codes.
    TooManyAttempts,
}

impl From<Closed> for SignInPage {
    fn from(closed: Closed) -> Self {
        match closed {
            Closed::Expired => Self::Expired,
            Closed::Completed => Self::Completed,
            Closed::TooManyAttempts => Self::TooManyAttempts,
        }
    }
}

/// Where an email goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmailRoute {
    Smtp,
    /// The inbox alone.
    Inbox,
    /// The inbox alone, because the address is a test user's, whose code is fixed.
    TestUser,
}

/// Why a link does not sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkRefusal {
    /// Only the browser that began may use it.
    OtherBrowser,
    LinkExpired,
    SignInExpired,
    SignInCompleted,
    TooManyAttempts,
}

impl LinkRefusal {
    /// `None`: the link is good.
    pub fn of(outcome: LinkOutcome) -> Option<Self> {
        match outcome {
            LinkOutcome::Accepted => None,
            LinkOutcome::WrongBrowser => Some(Self::OtherBrowser),
            LinkOutcome::Expired => Some(Self::LinkExpired),
            LinkOutcome::Closed(Closed::Expired) => Some(Self::SignInExpired),
            LinkOutcome::Closed(Closed::Completed) => Some(Self::SignInCompleted),
            LinkOutcome::Closed(Closed::TooManyAttempts) => Some(Self::TooManyAttempts),
        }
    }
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It went on.
    Ok,
    /// It was refused, and the user or application may try again.
    Refused,
    /// That was its end.
    Failed,
    /// Something to know.
    Note,
}

impl Verdict {
    /// The value that APIs and metrics show.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Note => "note",
        }
    }
}

impl SignInEvent {
    /// An event as stored. What cannot be read is [`SignInEvent::Unknown`], and hides no other event.
    pub fn from_parts(kind: String, data: Map<String, Value>) -> Self {
        let whole = serde_json::json!({ "kind": kind, "data": data });
        serde_json::from_value(whole).unwrap_or(Self::Unknown { kind, data })
    }

    /// Its kind and its data.
    pub fn into_parts(self) -> (String, Map<String, Value>) {
        if let Self::Unknown { kind, data } = self {
            return (kind, data);
        }
        let whole = serde_json::to_value(&self).unwrap_or_default();
        let kind = whole.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
        (kind, whole.get("data").and_then(Value::as_object).cloned().unwrap_or_default())
    }

    /// What it was about: `authorize`, `page`, `mail`, `code`, `link`, `interceptor`, `session` or `token`.
    pub fn subject(&self) -> &'static str {
        match self {
            Self::AuthorizeAccepted { .. }
            | Self::AuthorizeRefused { .. }
            | Self::RedirectUriAllowed { .. }
            | Self::PasswordlessRequested { .. } => "authorize",
            Self::PageShown { .. } | Self::PageRefused {} => "page",
            Self::EmailSent { .. }
            | Self::EmailLimited { .. }
            | Self::EmailNotWorthSending { .. }
            | Self::EmailDelayed { .. }
            | Self::EmailGivenUp { .. }
            | Self::FaultTriggered { .. } => "mail",
            Self::CodeAccepted {}
            | Self::CodeRejected { .. }
            | Self::CodeExpired { .. }
            | Self::CodeAttemptsExhausted { .. }
            | Self::CodeAddressRateLimited { .. }
            | Self::CodeNotOffered { .. }
            | Self::CodeTooLate { .. }
            | Self::InstantSignIn {} => "code",
            Self::LinkOpened { .. } | Self::LinkUsed { .. } => "link",
            Self::InterceptorAnswered { .. } => "interceptor",
            Self::SignedIn { .. } | Self::AddressProven {} | Self::SignInRefused { .. } => "session",
            Self::ClientRefused { .. } | Self::TokensIssued { .. } | Self::TokensRefused { .. } => "token",
            Self::Unknown { .. } => "unknown",
        }
    }

    /// How it came out.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::AuthorizeAccepted { .. }
            | Self::RedirectUriAllowed { .. }
            | Self::PasswordlessRequested { .. }
            | Self::EmailSent { .. }
            | Self::CodeAccepted {}
            | Self::LinkOpened { refused: None, .. }
            | Self::LinkUsed { refused: None, .. }
            | Self::InstantSignIn {}
            | Self::InterceptorAnswered { result: CallResult::Allow, .. }
            | Self::SignedIn { .. }
            | Self::AddressProven {}
            | Self::TokensIssued { .. } => Verdict::Ok,
            Self::AuthorizeRefused { .. }
            | Self::SignInRefused { .. }
            | Self::CodeRejected { closed: true, .. }
            | Self::CodeExpired { closed: true }
            | Self::CodeAttemptsExhausted { closed: true, .. }
            | Self::CodeAddressRateLimited { closed: true, .. }
            | Self::CodeNotOffered { closed: true } => Verdict::Failed,
            Self::PageShown { .. }
            | Self::EmailDelayed { .. }
            | Self::InterceptorAnswered { result: CallResult::Failed, .. }
            | Self::FaultTriggered { .. }
            | Self::Unknown { .. } => Verdict::Note,
            Self::PageRefused {}
            | Self::EmailLimited { .. }
            | Self::EmailNotWorthSending { .. }
            | Self::EmailGivenUp { .. }
            | Self::CodeRejected { .. }
            | Self::CodeExpired { .. }
            | Self::CodeAttemptsExhausted { .. }
            | Self::CodeAddressRateLimited { .. }
            | Self::CodeNotOffered { .. }
            | Self::CodeTooLate { .. }
            | Self::LinkOpened { .. }
            | Self::LinkUsed { .. }
            | Self::InterceptorAnswered { result: CallResult::Deny, .. }
            | Self::ClientRefused { .. }
            | Self::TokensRefused { .. } => Verdict::Refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(kind: &str, data: &Value) -> SignInEvent {
        SignInEvent::from_parts(kind.to_owned(), data.as_object().cloned().unwrap_or_default())
    }

    #[test]
    fn an_event_is_stored_as_its_kind_and_its_data() {
        let event = SignInEvent::CodeRejected { attempt: 2, of: 5, closed: false };
        let (kind, data) = event.clone().into_parts();
        assert_eq!(
            (kind.as_str(), json!(data)),
            ("code_rejected", json!({ "attempt": 2, "of": 5, "closed": false }))
        );
        assert_eq!(SignInEvent::from_parts(kind, data), event);
        let (kind, data) = SignInEvent::CodeAccepted {}.into_parts();
        assert_eq!((kind.as_str(), data.len()), ("code_accepted", 0));
        assert_eq!(SignInEvent::from_parts(kind, data), SignInEvent::CodeAccepted {});
    }

    #[test]
    fn fields_that_are_not_known_are_ignored_and_lists_may_be_missing() {
        let sent = json!({ "message_id": "msg_1", "route": "inbox", "passwordless_type": "OTP", "generation": 1,
            "expires_at": "2030-01-01T00:00:00Z", "of_tomorrow": [1] });
        let SignInEvent::EmailSent { ignored_variables, route, .. } = read("email_sent", &sent) else {
            panic!("not read");
        };
        assert_eq!((ignored_variables.len(), route), (0, EmailRoute::Inbox));
    }

    #[test]
    fn what_another_version_wrote_is_kept_as_it_is() {
        for (kind, data) in
            [("passkey_used", json!({ "key": "k" })), ("code_rejected", json!({ "attempt": 1 }))]
        {
            let event = read(kind, &data);
            assert_eq!(event.verdict(), Verdict::Note);
            let (again, its_data) = event.into_parts();
            assert_eq!((again.as_str(), json!(its_data)), (kind, data));
        }
    }
}
