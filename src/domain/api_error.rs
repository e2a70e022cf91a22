//! Errors of Scalekit's API: one table for gRPC, REST and the documentation.

use std::borrow::Cow;

/// Status codes of gRPC that occur here, with their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum GrpcCode {
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

impl GrpcCode {
    pub fn number(self) -> i32 {
        self as i32
    }

    /// The name, as gRPC's documentation spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::NotFound => "NOT_FOUND",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::Internal => "INTERNAL",
            Self::Unavailable => "UNAVAILABLE",
            Self::Unauthenticated => "UNAUTHENTICATED",
        }
    }

    /// The status of the REST twin, as Scalekit's gateway maps it.
    pub fn http_status(self) -> u16 {
        match self {
            Self::InvalidArgument | Self::FailedPrecondition => 400,
            Self::Unauthenticated => 401,
            Self::PermissionDenied => 403,
            Self::NotFound => 404,
            Self::AlreadyExists => 409,
            Self::ResourceExhausted => 429,
            Self::Internal => 500,
            Self::Unimplemented => 501,
            Self::Unavailable => 503,
            Self::DeadlineExceeded => 504,
        }
    }
}

/// `error_code` of Scalekit's `ErrorInfo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ApiErrorCode {
    Unauthenticated,
    PermissionDenied,
    InvalidArgument,
    DisposableOrPublicEmail,
    InvalidCode,
    InvalidLinkToken,
    AuthRequestMismatch,
    AuthRequestExpired,
    AuthRequestAlreadyUsed,
    AuthRequestNotFound,
    NotFound,
    AlreadyExists,
    RoleKeynameConflict,
    UserLimitReached,
    TooManyAttempts,
    RateLimited,
    RequestTooLarge,
    FailedPrecondition,
    PasswordlessDisabled,
    MisdirectedRequest,
    NotEmulated,
    UnknownMethod,
    MethodNotAllowed,
    DeadlineExceeded,
    Unavailable,
    Internal,
}

impl ApiErrorCode {
    pub const ALL: [Self; 26] = [
        Self::Unauthenticated,
        Self::PermissionDenied,
        Self::InvalidArgument,
        Self::DisposableOrPublicEmail,
        Self::InvalidCode,
        Self::InvalidLinkToken,
        Self::AuthRequestMismatch,
        Self::AuthRequestExpired,
        Self::AuthRequestAlreadyUsed,
        Self::AuthRequestNotFound,
        Self::NotFound,
        Self::AlreadyExists,
        Self::RoleKeynameConflict,
        Self::UserLimitReached,
        Self::TooManyAttempts,
        Self::RateLimited,
        Self::RequestTooLarge,
        Self::FailedPrecondition,
        Self::PasswordlessDisabled,
        Self::MisdirectedRequest,
        Self::NotEmulated,
        Self::UnknownMethod,
        Self::MethodNotAllowed,
        Self::DeadlineExceeded,
        Self::Unavailable,
        Self::Internal,
    ];

    pub fn as_str(self) -> &'static str {
        self.row().0
    }

    /// The code of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == name)
    }

    /// SDKs act on it: 16 makes them fetch a new token and try again, 14 makes them try again at once, so both are
    /// kept for exactly that.
    pub fn grpc_code(self) -> GrpcCode {
        self.row().1
    }

    pub fn http_status(self) -> u16 {
        match self {
            Self::RequestTooLarge => 413,
            // RFC 9110 §15.5.20.
            Self::MisdirectedRequest => 421,
            // A path that Scalekit has not is no missing feature.
            Self::UnknownMethod => 404,
            Self::MethodNotAllowed => 405,
            other => other.grpc_code().http_status(),
        }
    }

    /// When it is answered, for the documentation.
    pub fn meaning(self) -> &'static str {
        self.row().2
    }

    #[allow(clippy::too_many_lines, reason = "a table")]
    fn row(self) -> (&'static str, GrpcCode, &'static str) {
        use GrpcCode as G;
        match self {
            Self::Unauthenticated => {
                ("UNAUTHENTICATED", G::Unauthenticated, "no client token, or one that is not valid any more")
            }
            Self::PermissionDenied => (
                "PERMISSION_DENIED",
                G::PermissionDenied,
                "the token belongs to a user or to a client of an organization, not to a client of the environment",
            ),
            Self::InvalidArgument => (
                "INVALID_ARGUMENT",
                G::InvalidArgument,
                "a field is missing or wrong; `validation_error_info` names it",
            ),
            Self::DisposableOrPublicEmail => (
                "DISPOSABLE_OR_PUBLIC_EMAIL",
                G::InvalidArgument,
                "everybody can have an address of this domain, so it is no organization's",
            ),
            Self::InvalidCode => ("INVALID_CODE", G::InvalidArgument, "the code is wrong"),
            Self::InvalidLinkToken => (
                "INVALID_LINK_TOKEN",
                G::InvalidArgument,
                "the link is unknown, or a newer email replaced it",
            ),
            Self::AuthRequestMismatch => {
                ("AUTH_REQUEST_MISMATCH", G::InvalidArgument, "the link belongs to another auth request")
            }
            Self::AuthRequestExpired => (
                "AUTH_REQUEST_EXPIRED",
                G::InvalidArgument,
                "code and link, or the whole auth request, ran out of time",
            ),
            Self::AuthRequestAlreadyUsed => (
                "AUTH_REQUEST_ALREADY_USED",
                G::InvalidArgument,
                "the address was proven with this auth request before",
            ),
            Self::AuthRequestNotFound => {
                ("AUTH_REQUEST_NOT_FOUND", G::NotFound, "there is no auth request with this id")
            }
            Self::NotFound => ("NOT_FOUND", G::NotFound, "there is nothing else with this id"),
            Self::AlreadyExists => (
                "ALREADY_EXISTS",
                G::AlreadyExists,
                "another record has this value, which has to be unique; `validation_error_info` names the field",
            ),
            Self::RoleKeynameConflict => {
                ("ROLE_KEYNAME_CONFLICT", G::AlreadyExists, "another role has this name")
            }
            Self::UserLimitReached => (
                "USER_LIMIT_REACHED",
                G::FailedPrecondition,
                "the organization has as many users as `max_allowed_users` allows",
            ),
            Self::TooManyAttempts => (
                "TOO_MANY_ATTEMPTS",
                G::ResourceExhausted,
                "more than five codes in ten minutes: send again from the start; or too many wrong codes for the address in a day: use the link, or try again when `Retry-After`, or `google.rpc.RetryInfo`, says",
            ),
            Self::RateLimited => (
                "RATE_LIMITED",
                G::ResourceExhausted,
                "more than two emails a minute to one address; `Retry-After`, or `google.rpc.RetryInfo`, says when to try again",
            ),
            Self::RequestTooLarge => (
                "REQUEST_TOO_LARGE",
                G::ResourceExhausted,
                "the message is larger than 64 KiB, or a gRPC call's headers than 32 KiB",
            ),
            Self::FailedPrecondition => (
                "FAILED_PRECONDITION",
                G::FailedPrecondition,
                "the record is in a state that does not allow it, or there are as many as there may be; the message says why",
            ),
            Self::PasswordlessDisabled => {
                ("PASSWORDLESS_DISABLED", G::FailedPrecondition, "sign-in by email is switched off")
            }
            Self::MisdirectedRequest => (
                "MISDIRECTED_REQUEST",
                G::FailedPrecondition,
                "the well-known credentials are in use, and `Host` is a name that anybody could point at this server; see `public_urls`",
            ),
            Self::NotEmulated => (
                "NOT_EMULATED",
                G::Unimplemented,
                "Scalekit has this method and Vestibule does not; the message names it",
            ),
            Self::UnknownMethod => {
                ("UNKNOWN_METHOD", G::Unimplemented, "Scalekit has no such method or path")
            }
            Self::MethodNotAllowed => (
                "METHOD_NOT_ALLOWED",
                G::Unimplemented,
                "the REST path has other HTTP methods; `Allow` names them",
            ),
            Self::DeadlineExceeded => {
                ("DEADLINE_EXCEEDED", G::DeadlineExceeded, "the call took longer than its `grpc-timeout`")
            }
            Self::Unavailable => ("UNAVAILABLE", G::Unavailable, "the database does not answer just now"),
            Self::Internal => ("INTERNAL", G::Internal, "a failure of the server; its log says more"),
        }
    }
}

/// One field that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldViolation {
    pub field: String,
    /// A sentence for users.
    pub description: String,
    /// The rule, in the words of the message's validation: `max_len`, `required`.
    pub constraint: Cow<'static, str>,
}

impl FieldViolation {
    pub fn new(
        field: impl Into<String>,
        constraint: impl Into<Cow<'static, str>>,
        description: impl Into<String>,
    ) -> Self {
        Self { field: field.into(), description: description.into(), constraint: constraint.into() }
    }
}

/// An error as callers get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    pub code: ApiErrorCode,
    /// Applications search these for words such as `expired`, `invalid` and `too many`.
    pub message: String,
    pub violations: Vec<FieldViolation>,
    /// Where users read more.
    pub help_url: Option<String>,
    /// After how many seconds the same call may go well.
    pub retry_after_s: Option<i64>,
}

impl ApiError {
    pub fn new(code: ApiErrorCode, message: impl Into<String>) -> Self {
        let retry_after_s = (code == ApiErrorCode::Unavailable).then_some(1);
        Self { code, message: message.into(), violations: vec![], help_url: None, retry_after_s }
    }

    #[must_use]
    pub fn retry_after(self, seconds: i64) -> Self {
        Self { retry_after_s: Some(seconds), ..self }
    }

    /// A refusal that names its fields; the message says the first of them.
    pub fn invalid(violations: Vec<FieldViolation>) -> Self {
        let message = match violations.first() {
            Some(first) => format!("invalid request: {}", first.description),
            None => "invalid request".to_owned(),
        };
        Self { violations, ..Self::new(ApiErrorCode::InvalidArgument, message) }
    }
}

/// The table of docs/COMPATIBILITY.md.
pub fn error_code_markdown() -> String {
    let mut out = String::from("| `error_code` | gRPC | HTTP | when |\n|---|---|---|---|\n");
    for code in ApiErrorCode::ALL {
        let grpc = code.grpc_code();
        out.push_str(&format!(
            "| `{}` | {} {} | {} | {} |\n",
            code.as_str(),
            grpc.number(),
            grpc.as_str(),
            code.http_status(),
            code.meaning()
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_stands_once_in_the_list_and_has_a_name_of_its_own() {
        let mut seen = std::collections::BTreeSet::new();
        let mut names = std::collections::BTreeSet::new();
        for code in ApiErrorCode::ALL {
            assert!(seen.insert(code) && names.insert(code.as_str()), "{code:?} stands twice");
        }
    }

    #[test]
    fn what_makes_sdks_try_again_is_kept_for_that() {
        let with =
            |grpc| ApiErrorCode::ALL.into_iter().filter(move |c| c.grpc_code() == grpc).collect::<Vec<_>>();
        assert_eq!(with(GrpcCode::Unauthenticated), [ApiErrorCode::Unauthenticated]);
        assert_eq!(with(GrpcCode::Unavailable), [ApiErrorCode::Unavailable]);
    }
}
