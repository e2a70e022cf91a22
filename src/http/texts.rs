//! Texts that are English alone, since those read them who build or run things: admin portal, what is not emulated.
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
pub const FEATURE_SSO: &str = "Single sign-on";
pub const FEATURE_DIRECTORY_SYNC: &str = "Directory sync";
pub const FEATURE_DOMAIN_VERIFICATION: &str = "Domain verification";
pub const FEATURE_SESSION_POLICY: &str = "Session policy";
pub const ALLOW_REDIRECT_URI: &str = "Allow this URL for this application";
pub const HOW_TO: &str = "How to fix this";
pub const LISTS_EMULATED: &str = "lists what it emulates.";
pub const DEVELOPMENT_NOTICE: &str = "Development server";
