//! What every response to an authorization request keeps to, whoever gives it.

use super::token::hinted;
use crate::domain::authorization::{AuthorizationRequest, ErrorCode, response_url};
use crate::runtime::Context;

/// The address of the application with an error (RFC 6749 §4.1.2.1, RFC 9207).
pub(super) fn error_url(
    issuer: &str,
    request: &AuthorizationRequest,
    code: ErrorCode,
    description: &str,
) -> String {
    let parameters = [("error", code.as_str()), ("error_description", description)];
    response_url(&request.redirect_uri, &parameters, request.state.as_deref(), issuer)
}

/// May the answer to a request be about this person? `claims` and `id_token_hint` may name the one that it has to be
/// about: then nobody else's code or token may be given, however they signed in (OpenID Connect Core 1.0 §3.1.2.2).
/// `subject` is their `sub`; `None`: somebody who is new here.
pub(super) fn may_answer(context: &Context, request: &AuthorizationRequest, subject: Option<&str>) -> bool {
    // A hint that is none of ours names nobody.
    let hinted = request.id_token_hint.as_deref().and_then(|token| hinted(context, token));
    match subject {
        Some(subject) => {
            request.claims.allows_subject(subject) && hinted.is_none_or(|claims| claims.sub == subject)
        }
        None => request.claims.subjects.is_none() && hinted.is_none(),
    }
}
