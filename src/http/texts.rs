//! Texts that are English alone, since those read them who build or run things: inbox, admin portal, what is not emulated.
//! Those of the sign-in pages are in `locales/`.

pub const TITLE_NOT_EMULATED: &str = "Not emulated";
pub const TITLE_PORTAL: &str = "Admin portal";
pub const TITLE_INBOX: &str = "Inbox";
pub const TITLE_DASHBOARD: &str = "Dashboard";

pub const NOT_EMULATED_TEXT: &str = "Vestibule doesn't emulate this address.";
pub const PORTAL_OF: &str = "This is where an administrator sets up";
pub const PORTAL_NOT_EMULATED: &str =
    "Vestibule emulates the link, not the portal. In Scalekit's cloud the link opens these settings:";
pub const PORTAL_WITHOUT_FEATURES: &str = "Vestibule emulates the link, not the portal. No feature of the portal is \
    enabled for this organization.";
pub const PORTAL_LINK_EXPIRED: &str = "This link no longer works";
pub const PORTAL_LINK_EXPIRED_TEXT: &str = "A link to the admin portal works once, within a minute. Go back to the application and open the portal again.";
pub const INBOX_INVITATION: &str = "invitation";
pub const FEATURE_SSO: &str = "Single sign-on";
pub const FEATURE_DIRECTORY_SYNC: &str = "Directory sync";
pub const FEATURE_DOMAIN_VERIFICATION: &str = "Domain verification";
pub const FEATURE_SESSION_POLICY: &str = "Session policy";
pub const ALLOW_REDIRECT_URI: &str = "Allow this URL for this application";
pub const HOW_TO: &str = "How to fix this";
pub const LISTS_EMULATED: &str = "lists what it emulates.";
pub const DEVELOPMENT_NOTICE: &str = "Development server";

pub const MAIL_OTHER_BROWSER: &str = "What would another browser see of this link?";

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
