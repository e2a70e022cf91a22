//! The environment's settings, in the words of the configuration file.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::changed_settings::change_with;
use super::changes::Refused;
use super::clients;
use crate::config::merge;
use crate::domain::environment::Environment;
use crate::domain::settings::{LoginHintMode, Mode};
use crate::runtime::Context;

/// Settings as they hold now. A change names those it means, and `null` goes back to the configured one.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Settings {
    /// `development` or `production`; cannot be changed while the server runs.
    #[schema(read_only)]
    pub mode: &'static str,
    pub strict_redirects: bool,
    /// `send` or `prefill`.
    pub login_hint: &'static str,
    pub demo: bool,
    pub deterministic_seed: Option<String>,
    pub passwordless: Passwordless,
    pub test_users: TestUsers,
    pub tokens: Tokens,
    pub sessions: Sessions,
    pub limits: LimitSettings,
    pub branding: BrandingSettings,
    pub mail: MailSettings,
    pub flows: FlowSettings,
    pub logout: LogoutSettings,
}

/// Scalekit's panel "Magic link & OTP".
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Passwordless {
    pub enabled: bool,
    /// `OTP`, `LINK` or `LINK_OTP`.
    pub r#type: &'static str,
    pub validity_s: i64,
    pub enforce_same_browser_origin: bool,
    pub regenerate_passwordless_credentials_on_resend: bool,
    pub code_length: u32,
    pub connection_id: String,
    pub sign_up_allowed: bool,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TestUsers {
    pub enabled: bool,
    pub patterns: Vec<String>,
    pub static_code: String,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Tokens {
    pub user_management: bool,
    pub access_token_lifetime_s: i64,
    pub id_token_lifetime_s: i64,
    pub client_token_lifetime_s: i64,
    pub authorization_code_lifetime_s: i64,
    pub refresh_token_lifetime_s: i64,
    pub refresh_grace_s: i64,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Sessions {
    pub absolute_timeout_s: i64,
    pub idle_timeout_s: i64,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LimitSettings {
    pub code_attempts: u32,
    pub code_attempts_window_s: i64,
    /// 0: no limit.
    pub mails_per_address: u32,
    pub mails_window_s: i64,
    /// 0: no limit.
    pub mails_per_source: u32,
    /// 0: no limit.
    pub mails_in_all: u32,
    /// 0: no limit.
    pub failed_attempts_per_address: u32,
    pub auth_request_lifetime_s: i64,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BrandingSettings {
    pub name: String,
    pub accent_color: String,
    pub support_email: Option<String>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct MailSettings {
    pub from_name: String,
    pub from_address: String,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FlowSettings {
    pub keep_s: i64,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LogoutSettings {
    /// `without_hint` or `never`.
    pub confirm: &'static str,
}

impl From<&Environment> for Settings {
    fn from(environment: &Environment) -> Self {
        let Environment { passwordless, test_users, tokens, sessions, limits, branding, mail_from, .. } =
            environment;
        Self {
            mode: match environment.mode {
                Mode::Development => "development",
                Mode::Production => "production",
            },
            strict_redirects: environment.strict_redirects,
            login_hint: match environment.login_hint {
                LoginHintMode::Send => "send",
                LoginHintMode::Prefill => "prefill",
            },
            demo: environment.demo,
            deterministic_seed: environment.deterministic_seed.clone(),
            passwordless: Passwordless {
                enabled: passwordless.enabled,
                r#type: passwordless.passwordless_type.as_str(),
                validity_s: passwordless.validity_s,
                enforce_same_browser_origin: passwordless.enforce_same_browser_origin,
                regenerate_passwordless_credentials_on_resend: passwordless
                    .regenerate_passwordless_credentials_on_resend,
                code_length: passwordless.code_length,
                connection_id: passwordless.connection_id.clone(),
                sign_up_allowed: passwordless.sign_up_allowed,
            },
            test_users: TestUsers {
                enabled: test_users.enabled,
                patterns: test_users.patterns.clone(),
                static_code: test_users.static_code.clone(),
            },
            tokens: Tokens {
                user_management: tokens.user_management,
                access_token_lifetime_s: tokens.access_token_lifetime_s,
                id_token_lifetime_s: tokens.id_token_lifetime_s,
                client_token_lifetime_s: tokens.client_token_lifetime_s,
                authorization_code_lifetime_s: tokens.authorization_code_lifetime_s,
                refresh_token_lifetime_s: tokens.refresh_token_lifetime_s,
                refresh_grace_s: tokens.refresh_grace_s,
            },
            sessions: Sessions {
                absolute_timeout_s: sessions.absolute_timeout_s,
                idle_timeout_s: sessions.idle_timeout_s,
            },
            limits: LimitSettings {
                code_attempts: limits.code_attempts,
                code_attempts_window_s: limits.code_attempts_window_s,
                mails_per_address: limits.mails_per_address.unwrap_or_default(),
                mails_window_s: limits.mails_window_s,
                mails_per_source: limits.mails_per_source.unwrap_or_default(),
                mails_in_all: limits.mails_in_all.unwrap_or_default(),
                failed_attempts_per_address: limits.failed_attempts_per_address.unwrap_or_default(),
                auth_request_lifetime_s: limits.auth_request_lifetime_s,
            },
            branding: BrandingSettings {
                name: branding.name.clone(),
                accent_color: branding.accent_color.clone(),
                support_email: branding.support_email.clone(),
            },
            mail: MailSettings {
                from_name: mail_from.name.clone(),
                from_address: mail_from.address.to_string(),
            },
            flows: FlowSettings { keep_s: environment.flows_keep_s },
            logout: LogoutSettings { confirm: environment.logout_confirm.as_str() },
        }
    }
}

/// Lays a change over the settings and the earlier changes.
pub async fn change(context: &Context, patch: &Value) -> Result<Arc<Environment>, Refused> {
    if !patch.is_object() {
        return Err(Refused::field("", "must be a JSON object of settings"));
    }
    let mut patch = patch.clone();
    if patch.get("clients").is_some_and(Value::is_null) {
        patch["clients"] = clients::first(context).await?;
    }
    change_with(context, |changes, _| {
        merge(changes, &patch);
        Ok(())
    })
    .await
}
