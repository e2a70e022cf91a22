//! Every text of the sign-in pages, in one place.

use crate::domain::email::EmailError;
use crate::domain::limits::MailLimit;
use crate::domain::settings::PasswordlessType;

pub const TITLE_SIGN_IN: &str = "Sign in";
pub const TITLE_SIGN_UP: &str = "Create your account";
pub const TITLE_CODE: &str = "Enter your code";
pub const TITLE_CHECK_EMAIL: &str = "Check your email";
pub const TITLE_LINK: &str = "Finish signing in";
pub const TITLE_WRONG_BROWSER: &str = "Open this link where you started";
pub const TITLE_TOO_MANY: &str = "Too many incorrect codes";
pub const TITLE_SIGN_IN_EXPIRED: &str = "This sign-in has expired";
pub const TITLE_CODE_EXPIRED: &str = "This code has expired";
pub const TITLE_LINK_EXPIRED: &str = "This link has expired";
pub const TITLE_DONE: &str = "You're signed in";
pub const TITLE_CHOOSE_ACCOUNT: &str = "Choose an account";
pub const TITLE_CHOOSE_ORGANIZATION: &str = "Choose an organization";
pub const TITLE_SIGN_OUT: &str = "Sign out?";
pub const TITLE_SIGNED_OUT: &str = "You're signed out";
pub const TITLE_NOT_EMULATED: &str = "Not emulated";
pub const TITLE_PORTAL: &str = "Admin portal";
pub const TITLE_INVITATION: &str = "Join";
pub const TITLE_INVITATION_EXPIRED: &str = "This invitation no longer works";
pub const TITLE_JOINED: &str = "You have joined";
pub const TITLE_INBOX: &str = "Inbox";
pub const TITLE_DASHBOARD: &str = "Dashboard";
pub const TITLE_DENIED: &str = "You can't sign in";

pub const BACK_TO_APPLICATION: &str = "Back to the application";

/// The accessible name of the main button: published end-to-end tests press exactly this.
pub const CONTINUE: &str = "Continue";

pub const EMAIL_LABEL: &str = "Email address";
pub const CODE_LABEL: &str = "Code";
pub const CODE_SENT_TO: &str = "We sent a code to";
pub const CODE_OR_LINK: &str = "Enter the code, or open the link from the email in this browser.";
pub const LINK_SENT_TO: &str = "We sent a sign-in link to";
pub const LINK_OPEN_HERE: &str = "Open it in this browser. This page will continue automatically.";
pub const NOT_YOU: &str = "Not you?";
pub const NO_EMAIL: &str = "Didn't get it?";
pub const RESEND: &str = "Resend";
pub const RESEND_IN: &str = "Resend in";
pub const CODE_MISSING: &str = "Enter the code from the email.";
pub const CODE_EXPIRED: &str = "This code has expired. Resend it to get a new one.";
pub const START_AGAIN: &str = "Start again";
pub const TOO_MANY_TEXT: &str = "Too many incorrect codes were entered. Start again to get a new one.";
pub const EXPIRED_TEXT: &str = "It was valid for a short time only, or a newer email replaced it.";
pub const EXPIRED_HINT: &str = "Use the latest email, or go back to the application and sign in again.";
pub const LINK_AUTO: &str = "One moment, we're signing you in.";
pub const LINK_CLICK: &str = "Press Continue to finish signing in.";
pub const WRONG_BROWSER_TEXT: &str =
    "For your security, a sign-in link works only in the browser where you started signing in.";
pub const WRONG_BROWSER_HINT: &str = "The link still works. Copy it from the email and open it in that browser, or start again from the application.";
pub const DONE_TEXT: &str = "You can close this tab.";
pub const DONE_ELSEWHERE_TEXT: &str = "Continue in your other tab. You can close this one.";
pub const CONTINUE_AS: &str = "Continue as";
pub const JOIN: &str = "Join";
pub const CREATE_ORGANIZATION: &str = "Create an organization";
pub const USE_ANOTHER: &str = "Use another account";
pub const SIGN_OUT_AS: &str = "You're signed in as";
pub const SIGN_OUT_ASKED_BY: &str = "Sign-out was requested by";
pub const SIGN_OUT_EVERYWHERE: &str = "This ends your session for all applications in this browser.";
pub const SIGN_OUT: &str = "Sign out";
pub const STAY_SIGNED_IN: &str = "To stay signed in, close this page.";
pub const SIGNED_OUT_TEXT: &str = "You can close this page.";
pub const RETURN_TO: &str = "Return to";
pub const NOT_EMULATED_TEXT: &str = "Vestibule doesn't emulate this address.";
pub const LOST_HEADING: &str = "We couldn't find this sign-in";
pub const LOST_TEXT: &str = "It was started in another browser, or its cookie was deleted. Go back to the application and sign in again.";
pub const NEED_HELP: &str = "Need help? Contact";
pub const CONTINUE_TO: &str = "Continue to";
pub const PORTAL_OF: &str = "This is where an administrator sets up";
pub const PORTAL_NOT_EMULATED: &str =
    "Vestibule emulates the link, not the portal. In Scalekit's cloud the link opens these settings:";
pub const PORTAL_WITHOUT_FEATURES: &str = "Vestibule emulates the link, not the portal. No feature of the portal is \
    enabled for this organization.";
pub const PORTAL_LINK_EXPIRED: &str = "This link no longer works";
pub const PORTAL_LINK_EXPIRED_TEXT: &str = "A link to the admin portal works once, within a minute. Go back to the application and open the portal again.";
pub const INVITED_YOU: &str = "has invited you to join";
pub const YOU_WERE_INVITED: &str = "You have been invited to join";
pub const INVITED_AS: &str = "as";
pub const ACCEPT_INVITATION: &str = "Accept invitation";
pub const INVITATION_EXPIRED_TEXT: &str = "It was used already, or its time is over. If you have joined, sign in as usual. If not, ask for a new invitation.";
pub const JOINED_TEXT: &str = "You are now a member of";
pub const JOINED_NEXT: &str = "Open the application and sign in.";
pub const INBOX_INVITATION: &str = "invitation";
pub const FEATURE_SSO: &str = "Single sign-on";
pub const FEATURE_DIRECTORY_SYNC: &str = "Directory sync";
pub const FEATURE_DOMAIN_VERIFICATION: &str = "Domain verification";
pub const FEATURE_SESSION_POLICY: &str = "Session policy";
pub const APPLICATION: &str = "Application:";
pub const HOW_TO: &str = "How to fix this";
pub const LISTS_EMULATED: &str = "lists what it emulates.";
pub const DEVELOPMENT_NOTICE: &str = "Development server";

pub const MAIL_OTHER_BROWSER: &str = "What would another browser see of this link?";

pub const DEMO_BANNER: &str = "Demo: codes are shown on the page. No email needed.";
pub const DEMO_CODE: &str = "Your code is";
pub const DEMO_LINK: &str = "This is a demo, so you don't need the email:";
pub const DEMO_OPEN_LINK: &str = "open the link";

pub const INBOX_RECIPIENT: &str = "Recipient";
pub const INBOX_FILTER: &str = "Filter";
pub const INBOX_EMPTY: &str = "No emails yet.";
pub const INBOX_EMPTY_TO: &str = "No emails to";
pub const INBOX_LEAD: &str = "Every email this server sends appears here automatically. Start a sign-in from your application, or wait for the code in a test:";
pub const INBOX_REQUEST: &str = "Example request";
pub const INBOX_TEST_USER: &str = "Test user";
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
pub const MAIL_HTML: &str = "HTML";
pub const MAIL_HTML_FRAME: &str = "HTML part of the email";
pub const MAIL_TEXT: &str = "Text part";
pub const MAIL_TEXT_FRAME: &str = "Text part of the email";

/// What the address form promises.
pub fn sign_in_intro(passwordless_type: PasswordlessType) -> &'static str {
    match passwordless_type {
        PasswordlessType::Otp => "We'll email you a sign-in code.",
        PasswordlessType::Link => "We'll email you a sign-in link.",
        PasswordlessType::LinkOtp => "We'll email you a sign-in code and link.",
    }
}

/// The same of a sign-up.
pub fn sign_up_intro(passwordless_type: PasswordlessType) -> &'static str {
    match passwordless_type {
        PasswordlessType::Otp => "Enter your email and we'll send you a code to verify it.",
        PasswordlessType::Link => "Enter your email and we'll send you a link to verify it.",
        PasswordlessType::LinkOtp => "Enter your email and we'll send you a code and a link to verify it.",
    }
}

/// What an email brought has expired.
pub fn expired(sent: Option<PasswordlessType>) -> &'static str {
    match sent {
        None => TITLE_SIGN_IN_EXPIRED,
        Some(PasswordlessType::Link) => TITLE_LINK_EXPIRED,
        Some(PasswordlessType::Otp | PasswordlessType::LinkOtp) => TITLE_CODE_EXPIRED,
    }
}

/// A newer email was sent.
pub fn resent(passwordless_type: PasswordlessType) -> &'static str {
    match passwordless_type {
        PasswordlessType::Link => "New link sent. Use the latest email.",
        PasswordlessType::Otp | PasswordlessType::LinkOtp => "New code sent. Use the latest email.",
    }
}

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
pub fn address_rate_limited(has_link: bool) -> &'static str {
    if has_link {
        "Too many incorrect codes were entered for this address. Open the link from the email instead, or try a code again tomorrow."
    } else {
        "Too many incorrect codes were entered for this address. Try again tomorrow."
    }
}

/// A limit of emails, with how long to wait, and in development how to lift it.
pub fn too_many_emails(limit: MailLimit, retry_after_s: i64, is_development: bool) -> String {
    let what = match limit {
        MailLimit::Address => "We've just sent several emails to this address.",
        MailLimit::Source | MailLimit::Total => "Too many emails were requested.",
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
