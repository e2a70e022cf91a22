//! Every text of the sign-in pages, in one place.

use crate::domain::email::EmailError;
use crate::domain::limits::MailLimit;

pub const TITLE_SIGN_IN: &str = "Sign in";
pub const TITLE_SIGN_UP: &str = "Create your account";
pub const TITLE_CODE: &str = "Enter your code";
pub const TITLE_CHECK_MAIL: &str = "Check your mail";
pub const TITLE_LINK: &str = "Finish signing in";
pub const TITLE_WRONG_BROWSER: &str = "Open this link where you started";
pub const TITLE_TOO_MANY: &str = "Too many incorrect codes";
pub const TITLE_EXPIRED: &str = "This has expired";
pub const TITLE_DONE: &str = "You are signed in";
pub const TITLE_CHOOSE_ACCOUNT: &str = "Choose an account";
pub const TITLE_SIGN_OUT: &str = "Sign out?";
pub const TITLE_SIGNED_OUT: &str = "You're signed out";
pub const TITLE_NOT_EMULATED: &str = "Not emulated";
pub const TITLE_INBOX: &str = "Inbox";
pub const TITLE_DASHBOARD: &str = "Dashboard";

/// The accessible name of the main button: published end-to-end tests press exactly this.
pub const CONTINUE: &str = "Continue";

pub const EMAIL_LABEL: &str = "Email address";
pub const SIGN_IN_INTRO: &str = "We will mail you a way in. No password needed.";
pub const SIGN_UP_INTRO: &str =
    "Tell us your email address. We will check that it is yours; no password needed.";
pub const CODE_LABEL: &str = "Code";
pub const CODE_SENT_TO: &str = "We sent a code to";
pub const CODE_OR_LINK: &str = "Enter the code, or open the link in the mail in this browser.";
pub const LINK_SENT_TO: &str = "We sent a sign-in link to";
pub const LINK_OPEN_HERE: &str = "Open it in this browser. This page notices and moves on.";
pub const NOT_YOU: &str = "Not you?";
pub const NO_MAIL: &str = "No mail?";
pub const RESEND: &str = "Send it again";
pub const RESEND_IN: &str = "You can send it again in";
pub const SENT_AGAIN: &str = "Sent. Look for the newest mail.";
pub const CODE_MISSING: &str = "Enter the code from the mail.";
pub const CODE_EXPIRED: &str = "This code has expired. Send a new one and enter that.";
pub const START_AGAIN: &str = "Start again";
pub const TOO_MANY_TEXT: &str = "Too many incorrect codes were entered. Start again to get a new one.";
pub const EXPIRED_TEXT: &str = "This code or link no longer works: it expired, or a newer mail replaced it.";
pub const EXPIRED_HINT: &str = "Use the newest mail, or go back to the application and sign in again.";
pub const LINK_AUTO: &str = "One moment, we're signing you in.";
pub const LINK_CLICK: &str = "Press Continue to finish signing in.";
pub const WRONG_BROWSER_TEXT: &str =
    "For your safety a sign-in link works only in the browser in which the sign-in was started.";
pub const WRONG_BROWSER_HINT: &str = "The link is still good. Copy it from the mail and open it in that browser, or start again here from the application.";
pub const DONE_TEXT: &str = "Go on in the other tab. You can close this one.";
pub const CONTINUE_AS: &str = "Continue as";
pub const USE_ANOTHER: &str = "Use another account";
pub const SIGN_OUT_AS: &str = "You're signed in as";
pub const SIGN_OUT_ASKED_BY: &str = "Sign-out was requested by";
pub const SIGN_OUT_EVERYWHERE: &str = "Signing out ends your session for all applications in this browser.";
pub const SIGN_OUT: &str = "Sign out";
pub const STAY_SIGNED_IN: &str = "To stay signed in, close this page.";
pub const SIGNED_OUT_TEXT: &str = "You can close this page.";
pub const RETURN_TO: &str = "Return to";
pub const NOT_EMULATED_TEXT: &str = "Vestibule does not emulate this address.";
pub const LOST_HEADING: &str = "This sign-in is not open here";
pub const LOST_TEXT: &str =
    "It was started in another browser, or its cookie is gone. Go back to the application and sign in again.";
pub const STUCK: &str = "Stuck? Write to";
pub const GOES_ON_TO: &str = "You go on to";
pub const APPLICATION: &str = "Application:";
pub const HOW_TO: &str = "How to fix this";
pub const LISTS_EMULATED: &str = "lists what it does emulate.";
pub const DEVELOPMENT_NOTICE: &str = "Development server";

pub const MAIL_OTHER_BROWSER: &str = "What would another browser see of this link?";

pub const DEMO_BANNER: &str = "Demonstration: no mail is needed, codes are shown on the page.";
pub const DEMO_CODE: &str = "Your code is";
pub const DEMO_LINK: &str = "This is a demonstration, so you need no mail:";
pub const DEMO_OPEN_LINK: &str = "open the link";

pub const INBOX_RECIPIENT: &str = "Recipient";
pub const INBOX_FILTER: &str = "Filter";
pub const INBOX_EMPTY: &str = "No mail yet.";
pub const INBOX_EMPTY_TO: &str = "No mail to";
pub const INBOX_LEAD: &str = "Every mail this server sends appears here, by itself. Start a sign-in from your application, or wait for the code in a test:";
pub const INBOX_REQUEST: &str = "Example request";
pub const INBOX_TEST_USER: &str = "test user, not sent";
pub const INBOX_NOT_DELIVERED: &str = "Not delivered";
pub const INBOX_SIGN_UP: &str = "sign-up";
pub const INBOX_TO: &str = "to";
pub const INBOX_COPY: &str = "Copy";
pub const INBOX_COPY_CODE: &str = "Copy code";
pub const INBOX_COPIED: &str = "Copied";
pub const INBOX_OPEN_LINK: &str = "Open link";
pub const MAIL_TO: &str = "To";
pub const MAIL_SENT: &str = "Sent";
pub const MAIL_CODE: &str = "Code";
pub const MAIL_LINK: &str = "Link";
pub const MAIL_HTML: &str = "As people see it";
pub const MAIL_HTML_FRAME: &str = "HTML part of the mail";
pub const MAIL_TEXT: &str = "Text part";
pub const MAIL_TEXT_FRAME: &str = "Text part of the mail";

/// Why an address was refused, and what to do.
pub fn email_error(error: EmailError) -> String {
    match error {
        EmailError::Empty => "Enter your email address.",
        EmailError::TooLong => "This address is too long. Check it for mistakes.",
        EmailError::Invalid => "This is not a valid email address. It should look like jane@example.com.",
    }
    .to_owned()
}

/// A wrong code, with what is left.
pub fn wrong_code(attempts_left: usize) -> String {
    match attempts_left {
        0 => TOO_MANY_TEXT.to_owned(),
        1 => "That code is incorrect. 1 attempt left.".to_owned(),
        n => format!("That code is incorrect. {n} attempts left."),
    }
}

/// The limit of wrong codes per address and day.
pub fn address_spent(has_link: bool) -> &'static str {
    if has_link {
        "Too many wrong codes were entered for this address. Open the link in the mail instead, or try a code again tomorrow."
    } else {
        "Too many wrong codes were entered for this address. Try again tomorrow."
    }
}

/// A limit of emails, with how long to wait, and in development how to lift it.
pub fn too_many_emails(limit: MailLimit, retry_after_s: i64, is_development: bool) -> String {
    let what = match limit {
        MailLimit::Address => "This address has just been sent several emails.",
        MailLimit::Source | MailLimit::Total => "Too many emails were asked for just now.",
    };
    let unit = if retry_after_s == 1 { "second" } else { "seconds" };
    let setting = limit.setting();
    let lift = if is_development {
        format!(" In development, {setting} = 0 lifts this limit.")
    } else {
        String::new()
    };
    format!("{what} Try again in {retry_after_s} {unit}.{lift}")
}
