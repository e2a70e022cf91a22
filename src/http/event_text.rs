//! Events of sign-ins as sentences.

use crate::domain::interceptor::CallResult;
use crate::domain::sign_in_event::{EmailRoute, LinkRefusal, SignInEvent, SignInPage};
use crate::service::passwordless::closed_text;

/// A duration in seconds, to a tenth.
pub fn seconds(ms: i64) -> String {
    let tenths = ms.max(0) / 100;
    format!("{}.{} s", tenths / 10, tenths % 10)
}

/// What happened, and why, for users.
pub fn text_of(event: &SignInEvent) -> String {
    use SignInEvent as E;
    match event {
        E::AuthorizeAccepted { .. } => "The authorization request was accepted.".to_owned(),
        E::AuthorizeRefused { error: Some(error), error_description, .. }
        | E::SignInRefused { error, error_description } => {
            format!("Refused with {error}: {error_description}.")
        }
        E::AuthorizeRefused { error: None, error_description, .. } => {
            format!("Refused with a page: {error_description}.")
        }
        E::RedirectUriAllowed { client_id, redirect_uri } => {
            format!("{redirect_uri} was registered for {client_id} from the page that had refused it.")
        }
        E::PasswordlessRequested { .. } => "The application's server asked for a sign-in.".to_owned(),
        E::PageShown { page } => format!("The user saw {}.", page_text(*page)),
        E::PageRefused {} => {
            "A browser that did not begin this sign-in asked for it, and was refused.".to_owned()
        }
        E::EmailSent { .. }
        | E::EmailLimited { .. }
        | E::EmailNotWorthSending { .. }
        | E::EmailDelayed { .. }
        | E::EmailGivenUp { .. } => email_text(event),
        E::FaultTriggered { fault, outcome } => fault_text(fault, outcome.as_deref()),
        E::CodeAccepted {} => "The code is right.".to_owned(),
        E::CodeRejected { closed, .. }
        | E::CodeExpired { closed }
        | E::CodeAttemptsExhausted { closed, .. }
        | E::CodeAddressRateLimited { closed, .. }
        | E::CodeNotOffered { closed } => {
            let end = if *closed { " The sign-in is closed, even for the right code." } else { "" };
            format!("{}{end}", code_text(event))
        }
        E::CodeTooLate { closed } => format!("A code came too late: {}.", closed_text(*closed)),
        E::LinkOpened { same_browser, refused } => link_text("opened", *same_browser, *refused),
        E::LinkUsed { same_browser, refused } => link_text("used", *same_browser, *refused),
        E::InstantSignIn {} => "Instant sign-in: the control API vouches for the address.".to_owned(),
        E::InterceptorAnswered { .. } => interceptor_text(event),
        E::SignedIn { silently: false, .. } => "Signed in: the application gets a code.".to_owned(),
        E::SignedIn { silently: true, .. } => {
            "The browser's session answers: the application gets a code without a page.".to_owned()
        }
        E::AddressProven {} => "The address is proven; the application makes its own session.".to_owned(),
        E::ClientRefused { error, error_description, .. } => {
            format!("The client was refused with {error}: {error_description}.")
        }
        E::TokensIssued { grant_type, .. } => format!("{} was exchanged for tokens.", grant_text(grant_type)),
        E::TokensRefused { grant_type, error, error_description, .. } => {
            format!("{} was refused with {error}: {error_description}.", grant_text(grant_type))
        }
        E::Unknown { kind, .. } => format!("Another version of this server noted {kind}."),
    }
}

fn page_text(page: SignInPage) -> &'static str {
    match page {
        SignInPage::AddressForm => "the address form",
        SignInPage::CodeForm => "the code form",
        SignInPage::CheckEmail => "the request to open the link in the email",
        SignInPage::OrganizationChooser => "the choice of an organization",
        SignInPage::Expired => "that the sign-in has expired",
        SignInPage::Completed => "that the sign-in was already used",
        SignInPage::TooManyAttempts => "that there were too many wrong codes",
    }
}

fn email_text(event: &SignInEvent) -> String {
    match event {
        SignInEvent::EmailSent { route, passwordless_type, generation, ignored_variables, .. } => {
            let how = match route {
                EmailRoute::Smtp => "An email is on its way by SMTP",
                EmailRoute::Inbox => "An email is in the inbox",
                EmailRoute::TestUser => "An email to a test user is in the inbox, and goes nowhere else",
            };
            let what = match (route, passwordless_type.as_str()) {
                (EmailRoute::TestUser, "OTP") => "the fixed code",
                (EmailRoute::TestUser, "LINK_OTP") => "the fixed code and a link",
                (_, "OTP") => "a code",
                (_, "LINK") => "a link",
                _ => "a code and a link",
            };
            let earlier = if *generation > 1 { " What was sent before is no longer valid." } else { "" };
            let without = if ignored_variables.is_empty() {
                String::new()
            } else {
                let names = ignored_variables.join(", ");
                format!(" Custom templates are not emulated, so it has no place for {names}.")
            };
            format!("{how}, with {what}.{earlier}{without}")
        }
        SignInEvent::EmailLimited { limit, allowed, window_s, retry_after_s } => {
            let who = match limit.as_str() {
                "limits.mails_per_source" => "the source of the request",
                "limits.mails_in_all" => "all sources together",
                _ => "the address",
            };
            format!(
                "No email was sent: {who} had {allowed} within {window_s} s ({limit}). The next one in {retry_after_s} s."
            )
        }
        SignInEvent::EmailNotWorthSending { wrong_codes } => format!(
            "No email: the address had its {wrong_codes} wrong codes within 24 hours, so no code would be judged."
        ),
        SignInEvent::EmailDelayed { attempt, reason, retry_in_s, .. } => {
            format!("Attempt {attempt} to deliver the email failed: {reason}. Next in {retry_in_s} s.")
        }
        SignInEvent::EmailGivenUp { reason, .. } => {
            format!("The email was not delivered and is given up: {reason}.")
        }
        _ => String::new(),
    }
}

fn fault_text(fault: &str, outcome: Option<&str>) -> String {
    let what = match outcome {
        Some("expired") => "code and link of the next email have expired",
        Some("limited") => "no email is sent, as if the address had had too many",
        _ => "the email is sent late",
    };
    format!("The fault {fault} was applied: {what}.")
}

fn code_text(event: &SignInEvent) -> String {
    match event {
        SignInEvent::CodeRejected { attempt, of, .. } => format!("Wrong code: attempt {attempt} of {of}."),
        SignInEvent::CodeExpired { .. } => "The code is too old.".to_owned(),
        SignInEvent::CodeAttemptsExhausted { of, .. } => format!("No attempt of the {of} allowed was left."),
        SignInEvent::CodeAddressRateLimited { wrong_codes, .. } => format!(
            "The address had its {wrong_codes} wrong codes within 24 hours: no code is judged, not even the right one. A link still works."
        ),
        _ => "No code was sent for this sign-in.".to_owned(),
    }
}

fn link_text(verb: &str, same_browser: bool, refused: Option<LinkRefusal>) -> String {
    let place = if same_browser { "in the browser that began" } else { "in another browser" };
    let end = match refused {
        None if verb == "opened" => ": it is good",
        None if same_browser => "",
        None => ", which is allowed here",
        Some(LinkRefusal::OtherBrowser) => ": refused, because enforce_same_browser_origin is on",
        Some(LinkRefusal::LinkExpired) => ": it is too old",
        Some(LinkRefusal::SignInExpired) => ": refused: the sign-in has expired",
        Some(LinkRefusal::SignInCompleted) => ": refused: the sign-in was used already",
        Some(LinkRefusal::TooManyAttempts) => ": refused: the sign-in was closed after too many wrong codes",
    };
    format!("The link was {verb} {place}{end}.")
}

fn interceptor_text(event: &SignInEvent) -> String {
    let SignInEvent::InterceptorAnswered {
        display_name,
        trigger_point,
        result,
        latency_ms,
        failure_policy,
        message,
        ..
    } = event
    else {
        return String::new();
    };
    let who = format!("The interceptor {display_name:?} ({})", trigger_point.as_str());
    let message = message.as_deref().unwrap_or_default();
    match (result, message) {
        (CallResult::Failed, reason) => {
            let policy = failure_policy.as_str();
            format!("{who} gave no decision after {latency_ms} ms: {reason}. {policy} holds.")
        }
        (_, "") => format!("{who} answered {} in {latency_ms} ms.", result.as_str()),
        (_, message) => format!("{who} answered {} in {latency_ms} ms: {message}", result.as_str()),
    }
}

fn grant_text(grant_type: &str) -> &'static str {
    if grant_type == "refresh_token" { "A refresh token" } else { "The authorization code" }
}
