//! What configuration decides about an environment, by subject.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::email::EmailAddress;
use super::language::Language;

/// How strict the environment is: Scalekit's two kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Local development, tests and demos: inbox, test users, loopback redirects.
    Development,
    /// Real users: no inbox, no test users, only `https` and custom-scheme redirect URIs.
    Production,
}

impl Mode {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Production => "production",
        }
    }
}

/// What the email carries: Scalekit's dashboard switch "Magic link & OTP".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum PasswordlessType {
    #[serde(rename = "OTP")]
    Otp,
    #[serde(rename = "LINK")]
    Link,
    #[serde(rename = "LINK_OTP")]
    LinkOtp,
}

impl PasswordlessType {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Otp => "OTP",
            Self::Link => "LINK",
            Self::LinkOtp => "LINK_OTP",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Otp, Self::Link, Self::LinkOtp].into_iter().find(|t| t.as_str() == text)
    }

    pub fn has_code(self) -> bool {
        self != Self::Link
    }

    pub fn has_link(self) -> bool {
        self != Self::Otp
    }
}

/// The passwordless panel of Scalekit's dashboard.
#[derive(Debug, Clone)]
pub struct PasswordlessSettings {
    /// Switched off, no e-email method is offered.
    pub enabled: bool,
    pub passwordless_type: PasswordlessType,
    /// How long a code or link lives, 60..=3600 s.
    pub validity_s: i64,
    pub enforce_same_browser_origin: bool,
    pub regenerate_passwordless_credentials_on_resend: bool,
    /// Digits of a code. Scalekit uses 6.
    pub code_length: u32,
    /// `conn_…`: appears in `amr` and, in the modular profile, in `sub`.
    pub connection_id: String,
    /// May unknown addresses sign up?
    pub sign_up_allowed: bool,
}

/// What `login_hint` does on the hosted pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginHintMode {
    /// Email the address at once and ask for the code.
    Send,
    /// Fill the form and let the user press the button.
    Prefill,
}

impl LoginHintMode {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Prefill => "prefill",
        }
    }
}

/// When logout asks the user first. A hint that belongs to another session always asks (OpenID Connect RP-Initiated
/// Logout 1.0 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogoutConfirm {
    /// Where no valid `id_token_hint` came with the request, as the specification demands (§2, §6).
    WithoutHint,
    /// Not for want of a hint: samples and tests call logout without one.
    Never,
}

impl LogoutConfirm {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WithoutHint => "without_hint",
            Self::Never => "never",
        }
    }
}

/// Addresses that sign in with a fixed code and receive no email.
#[derive(Debug, Clone)]
pub struct TestUsers {
    pub enabled: bool,
    /// Patterns of addresses; `*` stands for any run of characters. Default `*+sktest*@*`.
    pub patterns: Vec<String>,
    /// Six digits, 424242 by default.
    pub static_code: String,
}

/// Which claims the tokens carry, and how long they live.
#[derive(Debug, Clone)]
pub struct TokenSettings {
    /// `true`: Scalekit's full-stack profile (`sub` = `usr_…`, `oid`, `sid`); `false`: modular (`conn_…;email`).
    pub user_management: bool,
    pub access_token_lifetime_s: i64,
    pub id_token_lifetime_s: i64,
    pub client_token_lifetime_s: i64,
    pub authorization_code_lifetime_s: i64,
    pub refresh_token_lifetime_s: i64,
    /// How long a rotated refresh token, repeated, gets the same successor again instead of an alarm.
    pub refresh_grace_s: i64,
}

/// How long a browser session lives (single sign-on over the environment's applications).
#[derive(Debug, Clone)]
pub struct SessionSettings {
    pub absolute_timeout_s: i64,
    pub idle_timeout_s: i64,
}

/// Limits against guessing and flooding.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Code attempts judged per authentication request within the window.
    pub code_attempts: u32,
    pub code_attempts_window_s: i64,
    /// Emails per address and window; `None` switches the limit off.
    pub mails_per_address: Option<u32>,
    pub mails_window_s: i64,
    /// Emails that one source may cause within that window; `None` switches the limit off.
    pub mails_per_source: Option<u32>,
    /// Emails that all sources together may cause within that window; `None` switches the limit off.
    pub mails_in_all: Option<u32>,
    /// Wrong codes per address and 24 hours that are not reached: one fewer is judged. `None` switches the limit off.
    pub failed_attempts_per_address: Option<u32>,
    /// How long a started sign-in may take from first page to proof.
    pub auth_request_lifetime_s: i64,
}

/// What Scalekit's API does with users.
#[derive(Debug, Clone)]
pub struct ManagementSettings {
    /// How long an invitation can be accepted.
    pub invitation_lifetime_s: i64,
    pub existing_email: ExistingEmail,
}

/// What becomes of a new user whose address has an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExistingEmail {
    /// It is refused as a duplicate.
    Refuse,
    /// The account becomes a member.
    Join,
}

impl ExistingEmail {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Join => "join",
        }
    }
}

/// What users see of the environment's owner.
#[derive(Debug, Clone)]
pub struct Branding {
    pub name: String,
    pub logo: Option<Logo>,
    /// CSS colour `#rrggbb` of buttons and links.
    pub accent_color: String,
    pub support_email: Option<String>,
    pub terms_url: Option<String>,
    pub privacy_url: Option<String>,
    pub theme: Theme,
}

impl Default for Branding {
    fn default() -> Self {
        Self {
            name: "Vestibule".to_owned(),
            logo: None,
            accent_color: "#3f4a8a".to_owned(),
            support_email: None,
            terms_url: None,
            privacy_url: None,
            theme: Theme::Auto,
        }
    }
}

impl Branding {
    /// The branding with what an application has of its own beside its name.
    #[must_use]
    pub fn with(&self, own: &ClientBranding) -> Self {
        Self {
            name: self.name.clone(),
            logo: own.logo.clone().map(Logo::DataUrl).or_else(|| self.logo.clone()),
            accent_color: own.accent_color.clone().unwrap_or_else(|| self.accent_color.clone()),
            support_email: own.support_email.clone().or_else(|| self.support_email.clone()),
            terms_url: own.terms_url.clone().or_else(|| self.terms_url.clone()),
            privacy_url: own.privacy_url.clone().or_else(|| self.privacy_url.clone()),
            theme: own.theme.unwrap_or(self.theme),
        }
    }
}

/// A logo, served by ourselves so that pages make no third-party request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Logo {
    File(std::path::PathBuf),
    /// The picture itself, as a `data:` URL.
    DataUrl(String),
}

/// Light or dark pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Theme {
    /// As the user's device is set.
    #[default]
    Auto,
    Light,
    Dark,
}

impl Theme {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

/// What an application has of its own; the environment's branding holds for the rest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ClientBranding {
    /// The picture itself, as a `data:` URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logo: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accent_color: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub support_email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terms_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub privacy_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub theme: Option<Theme>,
}

/// How the sign-in pages behave.
#[derive(Debug, Clone)]
pub struct PageSettings {
    /// Where neither application nor browser asked for one that is there; and of emails that no browser asked for.
    pub language: Language,
    /// Submit the code form with its last digit.
    pub submit_on_last_digit: bool,
    /// In development, show the code on the code page to whoever may read the inbox.
    pub dev_bar: bool,
    /// In development, offer the accounts there are beside the address form.
    pub account_picker: bool,
}

#[derive(Debug, Clone)]
pub struct MailFrom {
    pub name: String,
    pub address: EmailAddress,
}
