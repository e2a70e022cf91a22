//! The one connection that an environment has, its passwordless one, and its settings.

use super::api::ApiRefusal;
use super::changes::ControlError;
use super::settings;
use crate::domain::api_error::{ApiErrorCode, FieldViolation};
use crate::domain::email::EmailAddress;
use crate::domain::settings::PasswordlessSettings;
use crate::domain::settings_change::PasswordlessChange;
use crate::runtime::Context;

/// The settings of the connection with this id, which can only be the passwordless one.
pub fn passwordless<'c>(
    context: &'c Context,
    connection_id: &str,
) -> Result<&'c PasswordlessSettings, ApiRefusal> {
    let settings = &context.environment.passwordless;
    if connection_id != settings.connection_id {
        return Err(unknown(context, connection_id));
    }
    Ok(settings)
}

/// There is no other connection than the passwordless one.
pub fn unknown(context: &Context, connection_id: &str) -> ApiRefusal {
    let only = &context.environment.passwordless.connection_id;
    let text = format!("connection {connection_id} not found: only {only} is emulated");
    ApiRefusal::new(ApiErrorCode::NotFound, text)
}

/// Settings as an application's server sends them.
#[derive(Debug, Clone, Default)]
pub struct ConfigInput {
    pub change: PasswordlessChange,
    /// Did it say how often? Scalekit's documentation does not say what that means.
    pub names_frequency: bool,
    pub wants_letters: bool,
}

impl ConfigInput {
    /// What is not emulated is refused rather than ignored.
    pub fn check(self) -> Result<PasswordlessChange, ApiRefusal> {
        let not_emulated = |field: &str| {
            FieldViolation::new(
                field,
                "not_emulated",
                format!("{field} is invalid: this value is not emulated"),
            )
        };
        let mut found = vec![];
        if self.names_frequency {
            found.push(not_emulated("passwordless_config.frequency"));
        }
        if self.wants_letters {
            found.push(not_emulated("passwordless_config.code_challenge_type"));
        }
        if found.is_empty() { Ok(self.change) } else { Err(found.into()) }
    }
}

/// The passwordless connection, when sign-in by e-email is offered: the same for every address, known or not.
pub fn offered(context: &Context) -> Option<&PasswordlessSettings> {
    Some(&context.environment.passwordless).filter(|settings| settings.enabled)
}

/// The same for an address, which has to be one.
pub fn offered_to<'c>(
    context: &'c Context,
    email: &str,
) -> Result<Option<&'c PasswordlessSettings>, ApiRefusal> {
    let field = "discovery_request.email";
    EmailAddress::parse(email)
        .map_err(|error| vec![FieldViolation::new(field, "email", error.to_string())])?;
    Ok(offered(context))
}

/// Changes settings, for the next request here and, within a moment, on other servers of the same database.
pub async fn change(
    context: &Context,
    connection_id: &str,
    input: ConfigInput,
) -> Result<PasswordlessSettings, ApiRefusal> {
    passwordless(context, connection_id)?;
    let change = input.check()?;
    change.check()?;
    let changed =
        settings::change(context, &change.to_settings()).await.map_err(|refusal| match refusal {
            ControlError::Invalid(errors) => {
                let found = errors
                    .into_iter()
                    .map(|e| FieldViolation::new(&e.field, "settings", format!("{} {}", e.field, e.reason)));
                ApiRefusal::from(found.collect::<Vec<_>>())
            }
            ControlError::Failure(failure) => failure.into(),
            other => ApiRefusal::new(ApiErrorCode::Internal, other.to_string()),
        })?;
    Ok(changed.passwordless.clone())
}

/// Switches sign-in by e-email on or off.
pub async fn switch(context: &Context, connection_id: &str, enabled: bool) -> Result<bool, ApiRefusal> {
    let change = PasswordlessChange { enabled: Some(enabled), ..PasswordlessChange::default() };
    let input = ConfigInput { change, ..ConfigInput::default() };
    Ok(self::change(context, connection_id, input).await?.enabled)
}
