//! Applications of the environment, as Scalekit's API tells of them. They are the clients of the configuration and of the
//! control API.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value, json};

use super::api::ApiRefusal;
use super::changes::ControlError;
use super::clients;
use crate::domain::api_error::{ApiErrorCode, FieldViolation};
use crate::domain::client::{Client, ClientKind, ClientSecret};
use crate::domain::clock::UnixMs;
use crate::domain::page::{Page, PageAnchor, PageRequest, Position, Scope};
use crate::runtime::Context;
use crate::storage::{ClientTimes, SecretTimes};

/// Applications of a page where nobody says how many.
const PAGE_SIZE: u32 = 30;

/// Secrets that an application has at most.
const MAX_SECRETS: usize = 2;

/// An application as Scalekit's API shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// As sign-in knows it.
    pub client: Client,
    /// What Scalekit calls its kind.
    pub application_type: ApplicationType,
    pub created_at_ms: UnixMs,
    pub updated_at_ms: UnixMs,
    /// Oldest first.
    pub secrets: Vec<ApplicationSecret>,
}

/// A secret without itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationSecret {
    /// `sks_…`
    pub id: String,
    /// Its last characters, where they are known.
    pub suffix: String,
    pub created_at_ms: UnixMs,
}

impl From<SecretTimes> for ApplicationSecret {
    fn from(times: SecretTimes) -> Self {
        Self { id: times.id, suffix: times.suffix, created_at_ms: times.created_at_ms }
    }
}

/// Scalekit's kinds of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApplicationType {
    /// The environment's first client, which is there from the start.
    Environment,
    /// Confidential.
    WebApp,
    /// Public, in a browser.
    Spa,
    /// Public, on a device.
    Native,
}

impl ApplicationType {
    const ALL: [Self; 4] = [Self::Environment, Self::WebApp, Self::Spa, Self::Native];

    /// Scalekit's name of it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Environment => "ENV",
            Self::WebApp => "WEB_APP",
            Self::Spa => "SPA",
            Self::Native => "NTV",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    fn of(context: &Context, client: &Client) -> Self {
        match &client.kind {
            ClientKind::Web { .. } if is_default(context, &client.client_id) => Self::Environment,
            ClientKind::Web { .. } => Self::WebApp,
            ClientKind::Spa => Self::Spa,
            ClientKind::Native => Self::Native,
        }
    }

    /// The configuration's word, and where ids of this kind begin. `None`: it is not made by API.
    fn to_make(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Environment => None,
            Self::WebApp => Some(("web", "webc")),
            Self::Spa => Some(("spa", "spac")),
            Self::Native => Some(("native", "ntvc")),
        }
    }
}

/// What is said of an application. `None` stays as it is; what is empty is emptied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApplicationFields {
    pub name: Option<String>,
    pub post_login_uris: Option<Vec<String>>,
    pub post_logout_redirect_uris: Option<Vec<String>>,
    pub back_channel_logout_uris: Option<Vec<String>>,
    pub initiate_login_uri: Option<String>,
    /// Seconds; 0 is as none.
    pub access_token_expiry: Option<i64>,
    pub enforce_pkce: Option<bool>,
    pub disallow_scalekit_api_access: Option<bool>,
    pub scopes: Option<Vec<String>>,
    pub grant_types: Option<Vec<String>>,
    pub custom_claims: Option<BTreeMap<String, String>>,
}

/// Names of fields in the configuration, and in Scalekit's API.
const NAMES: [(&str, &str); 6] = [
    ("more_backchannel_logout_uris", "back_channel_logout_uris"),
    ("redirect_uris", "post_login_uris"),
    ("backchannel_logout_uri", "back_channel_logout_uris"),
    ("access_token_lifetime_s", "access_token_expiry"),
    ("type", "client_type"),
    ("client_secrets", "secrets"),
];

impl ApplicationFields {
    /// Fields that an update mask can name.
    pub const NAMES: [&str; 11] = [
        "name",
        "post_login_uris",
        "post_logout_redirect_uris",
        "back_channel_logout_uris",
        "initiate_login_uri",
        "access_token_expiry",
        "enforce_pkce",
        "disallow_scalekit_api_access",
        "scopes",
        "grant_types",
        "custom_claims",
    ];

    /// The named fields alone; of those, what is left out is emptied.
    pub fn masked(self, fields: &[String]) -> Self {
        fn take<T: Default>(fields: &[String], name: &str, value: Option<T>) -> Option<T> {
            fields.iter().any(|field| field == name).then(|| value.unwrap_or_default())
        }
        Self {
            name: take(fields, "name", self.name),
            post_login_uris: take(fields, "post_login_uris", self.post_login_uris),
            post_logout_redirect_uris: take(
                fields,
                "post_logout_redirect_uris",
                self.post_logout_redirect_uris,
            ),
            back_channel_logout_uris: take(fields, "back_channel_logout_uris", self.back_channel_logout_uris),
            initiate_login_uri: take(fields, "initiate_login_uri", self.initiate_login_uri),
            access_token_expiry: take(fields, "access_token_expiry", self.access_token_expiry),
            enforce_pkce: take(fields, "enforce_pkce", self.enforce_pkce),
            disallow_scalekit_api_access: take(
                fields,
                "disallow_scalekit_api_access",
                self.disallow_scalekit_api_access,
            ),
            scopes: take(fields, "scopes", self.scopes),
            grant_types: take(fields, "grant_types", self.grant_types),
            custom_claims: take(fields, "custom_claims", self.custom_claims),
        }
    }

    /// The same in the words of the configuration; null where it goes back to the default.
    fn in_words(self) -> Result<Map<String, Value>, FieldViolation> {
        if self.name.as_deref() == Some("") {
            return Err(FieldViolation::new("client.name", "min_len", "client.name is invalid: it is empty"));
        }
        let (first, more) = match self.back_channel_logout_uris.map(Vec::into_iter) {
            Some(mut uris) => {
                (Some(uris.next().map_or(Value::Null, Value::from)), Some(uris.collect::<Vec<_>>().into()))
            }
            None => (None, None),
        };
        let filled = |text: String| if text.is_empty() { Value::Null } else { text.into() };
        let seconds = |seconds: i64| if seconds == 0 { Value::Null } else { seconds.into() };
        let words = [
            ("name", self.name.map(Value::from)),
            ("redirect_uris", self.post_login_uris.map(Value::from)),
            ("post_logout_redirect_uris", self.post_logout_redirect_uris.map(Value::from)),
            ("backchannel_logout_uri", first),
            ("more_backchannel_logout_uris", more),
            ("initiate_login_uri", self.initiate_login_uri.map(filled)),
            ("access_token_lifetime_s", self.access_token_expiry.map(seconds)),
            ("enforce_pkce", self.enforce_pkce.map(Value::from)),
            ("disallow_scalekit_api_access", self.disallow_scalekit_api_access.map(Value::from)),
            ("scopes", self.scopes.map(Value::from)),
            ("grant_types", self.grant_types.map(Value::from)),
            ("custom_claims", self.custom_claims.map(|claims| json!(claims))),
        ];
        Ok(words.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect())
    }
}

/// The first client, by which an environment is run: it stays.
fn is_default(context: &Context, client_id: &str) -> bool {
    let live = context.runtime.live();
    live.environment.clients.first().is_some_and(|client| client.client_id == client_id)
}

/// Adds an application. A web application has no secret yet.
pub async fn create(
    context: &Context,
    application_type: &str,
    fields: ApplicationFields,
) -> Result<Application, ApiRefusal> {
    let kind = ApplicationType::parse(application_type).and_then(ApplicationType::to_make);
    let (kind, prefix) = kind.ok_or_else(|| {
        let text = "client.client_type is invalid: it is none of WEB_APP, SPA, NTV";
        vec![FieldViolation::new("client.client_type", "in", text)]
    })?;
    let mut words = fields.in_words().map_err(|violation| vec![violation])?;
    words.retain(|_, value| !value.is_null());
    let client_id = clients::new_client_id_of(prefix, context.entropy());
    words.insert("client_id".to_owned(), client_id.as_str().into());
    words.insert("type".to_owned(), kind.into());
    if kind == "web" {
        words.insert("client_secrets".to_owned(), json!([]));
    }
    clients::create(context, words.into()).await.map_err(refused)?;
    find(context, &client_id).await
}

/// Finds an application.
pub async fn find(context: &Context, client_id: &str) -> Result<Application, ApiRefusal> {
    let all = all(context).await?;
    all.into_iter().find(|found| found.client.client_id == client_id).ok_or_else(|| unknown(client_id))
}

fn unknown(client_id: &str) -> ApiRefusal {
    ApiRefusal::new(ApiErrorCode::NotFound, format!("client not found: there is no client {client_id}"))
}

/// All applications, oldest first.
async fn all(context: &Context) -> Result<Vec<Application>, ApiRefusal> {
    let times = context.store().client_times(context.environment_id()).await?;
    let live = context.runtime.live();
    let found = times.into_iter().filter_map(|ClientTimes { id, created_at_ms, updated_at_ms, secrets }| {
        let client = live.environment.client(&id)?.clone();
        Some(Application {
            application_type: ApplicationType::of(context, &client),
            secrets: secrets.into_iter().map(ApplicationSecret::from).collect(),
            client,
            created_at_ms,
            updated_at_ms,
        })
    });
    Ok(found.collect())
}

/// Lists applications, oldest first: all, or those of some types.
pub async fn list(
    context: &Context,
    types: &[String],
    page_size: u32,
    page_token: &str,
) -> Result<Page<Application>, ApiRefusal> {
    let mut scope = vec!["clients"];
    scope.extend(types.iter().map(String::as_str));
    let scope: Scope<'_> = &scope;
    let request =
        PageRequest::parse(page_size, PAGE_SIZE, page_token, scope).map_err(|violation| vec![violation])?;
    let mut found = all(context).await?;
    found.retain(|a| types.is_empty() || types.iter().any(|named| named == a.application_type.as_str()));
    let total = i64::try_from(found.len()).unwrap_or(i64::MAX);
    Ok(request.page(of_page(found, &request), total, scope, position))
}

/// Pages show what stands highest first, and the oldest application comes first.
fn position(application: &Application) -> Position {
    Position { created_at_ms: -application.created_at_ms, id: application.client.client_id.clone() }
}

/// What a page is made of: see [`PageRequest::page`].
fn of_page(mut all: Vec<Application>, request: &PageRequest) -> Vec<Application> {
    all.sort_by_cached_key(position);
    match &request.anchor {
        PageAnchor::Newest => all.reverse(),
        PageAnchor::After(at) => {
            all.retain(|application| position(application) < *at);
            all.reverse();
        }
        PageAnchor::Before(at) => all.retain(|application| position(application) > *at),
    }
    all.truncate(usize::try_from(request.limit()).unwrap_or(usize::MAX));
    all
}

/// Changes what is named.
pub async fn update(
    context: &Context,
    client_id: &str,
    fields: ApplicationFields,
) -> Result<Application, ApiRefusal> {
    let words = fields.in_words().map_err(|violation| vec![violation])?;
    edit(context, client_id, |client| {
        for (name, value) in &words {
            client.remove(name);
            if !value.is_null() {
                client.insert(name.clone(), value.clone());
            }
        }
        Ok(())
    })
    .await?;
    find(context, client_id).await
}

/// Deletes an application with what was granted to it, but not the first one.
pub async fn delete(context: &Context, client_id: &str) -> Result<(), ApiRefusal> {
    if is_default(context, client_id) {
        let text = "the default client cannot be deleted";
        return Err(ApiRefusal::new(ApiErrorCode::FailedPrecondition, text));
    }
    clients::delete(context, client_id).await.map_err(refused)
}

/// Gives a web application one more secret, which is told this once.
pub async fn add_secret(
    context: &Context,
    client_id: &str,
) -> Result<(ApplicationSecret, SecretString), ApiRefusal> {
    let plain = clients::new_secret(context.entropy());
    edit(context, client_id, |client| {
        if client.get("type").and_then(Value::as_str) != Some("web") {
            return Err(ControlError::NotAllowed("a public client has no secrets".to_owned()));
        }
        let has_hashed = client.contains_key("client_secret_argon2");
        let secrets = client.entry("client_secrets").or_insert_with(|| json!([]));
        let Some(secrets) = secrets.as_array_mut() else { return Ok(()) };
        if secrets.len() + usize::from(has_hashed) >= MAX_SECRETS {
            let text = format!("a client has at most {MAX_SECRETS} secrets: delete one first");
            return Err(ControlError::NotAllowed(text));
        }
        secrets.push(plain.expose_secret().into());
        Ok(())
    })
    .await?;
    let is_new = |secret: &ClientSecret| *secret == ClientSecret::Plain(plain.clone());
    let added = stored_secrets(context, client_id).await?.into_iter().find(|(_, secret)| is_new(secret));
    let (id, _) = added.ok_or_else(|| unknown_secret(client_id))?;
    let secret = find(context, client_id).await?.secrets.into_iter().find(|secret| secret.id == id);
    Ok((secret.ok_or_else(|| unknown_secret(&id))?, plain))
}

/// Takes a secret away from an application. The first one keeps its last.
pub async fn delete_secret(context: &Context, client_id: &str, secret_id: &str) -> Result<(), ApiRefusal> {
    find(context, client_id).await?;
    let stored = stored_secrets(context, client_id).await?;
    let is_last = stored.len() == 1;
    let secret = stored.into_iter().find(|(id, _)| id == secret_id);
    let (_, secret) = secret.ok_or_else(|| unknown_secret(secret_id))?;
    if is_last && is_default(context, client_id) {
        let text = "the last secret of the default client cannot be deleted";
        return Err(ApiRefusal::new(ApiErrorCode::FailedPrecondition, text));
    }
    edit(context, client_id, |client| {
        let gone = || ControlError::NotFound(format!("client secret not found: {secret_id}"));
        match &secret {
            ClientSecret::Argon2(_) => {
                client.remove("client_secret_argon2").ok_or_else(gone)?;
                client.entry("client_secrets").or_insert_with(|| json!([]));
            }
            ClientSecret::Plain(text) => {
                let secrets = client.get_mut("client_secrets").and_then(Value::as_array_mut);
                let secrets = secrets.ok_or_else(gone)?;
                let at = secrets.iter().position(|s| s.as_str() == Some(text.expose_secret()));
                secrets.remove(at.ok_or_else(gone)?);
            }
        }
        Ok(())
    })
    .await
}

fn unknown_secret(id: &str) -> ApiRefusal {
    ApiRefusal::new(ApiErrorCode::NotFound, format!("client secret not found: {id}"))
}

/// The secrets of an application, with their ids.
async fn stored_secrets(
    context: &Context,
    client_id: &str,
) -> Result<Vec<(String, ClientSecret)>, ApiRefusal> {
    let stored = context.store().clients(context.environment_id()).await?;
    let Some(record) = stored.into_iter().find(|record| record.id == client_id) else {
        return Err(unknown(client_id));
    };
    let ids: Vec<String> = record.secrets.iter().map(|secret| secret.id.clone()).collect();
    let opened = context.runtime.server.clients().open_all(&[record])?;
    let secrets = opened.into_iter().flat_map(|client| match client.kind {
        ClientKind::Web { secrets } => secrets,
        ClientKind::Spa | ClientKind::Native => vec![],
    });
    Ok(ids.into_iter().zip(secrets).collect())
}

/// Edits an application in the words of the configuration, over what others made of it meanwhile.
async fn edit(
    context: &Context,
    client_id: &str,
    change: impl Fn(&mut Map<String, Value>) -> Result<(), ControlError>,
) -> Result<(), ApiRefusal> {
    let edited = clients::edit(context, client_id, |clients| {
        let found =
            clients.iter_mut().find(|c| c.get("client_id").and_then(Value::as_str) == Some(client_id));
        match found.and_then(Value::as_object_mut) {
            Some(client) => change(client),
            None => Err(ControlError::NotFound(format!("client not found: there is no client {client_id}"))),
        }
    });
    edited.await.map_err(refused)
}

/// A refusal in the words of Scalekit's API.
fn refused(error: ControlError) -> ApiRefusal {
    match error {
        ControlError::Invalid(errors) => {
            let violations = errors.into_iter().map(|error| {
                let name = NAMES.iter().find(|(word, _)| *word == error.field);
                let field = format!("client.{}", name.map_or(error.field.as_str(), |(_, name)| name));
                let text = format!("{field} is invalid: {}", error.reason);
                FieldViolation::new(field, "invalid", text)
            });
            violations.collect::<Vec<_>>().into()
        }
        ControlError::Conflict(error) => ApiRefusal::duplicate(&format!("client.{}", error.field), "client"),
        ControlError::NotFound(text) => {
            let text = if text.contains("not found") { text } else { format!("client not found: {text}") };
            ApiRefusal::new(ApiErrorCode::NotFound, text)
        }
        ControlError::NotAllowed(text) => ApiRefusal::new(ApiErrorCode::FailedPrecondition, text),
        ControlError::Failure(failure) => failure.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_takes_its_fields_alone_and_empties_those_without_a_value() {
        let fields = ApplicationFields {
            name: Some("Other".into()),
            post_login_uris: Some(vec!["https://a.example/cb".into()]),
            ..ApplicationFields::default()
        };
        let masked = fields.masked(&["post_login_uris".into(), "scopes".into(), "enforce_pkce".into()]);
        let expected = ApplicationFields {
            post_login_uris: Some(vec!["https://a.example/cb".into()]),
            scopes: Some(vec![]),
            enforce_pkce: Some(false),
            ..ApplicationFields::default()
        };
        assert_eq!(masked, expected);
    }

    #[test]
    fn fields_are_said_in_the_words_of_the_configuration() {
        let fields = ApplicationFields {
            name: Some("App".into()),
            post_login_uris: Some(vec![]),
            back_channel_logout_uris: Some(vec!["https://a.example/1".into(), "https://a.example/2".into()]),
            initiate_login_uri: Some(String::new()),
            access_token_expiry: Some(3600),
            ..ApplicationFields::default()
        };
        let words = json!({
            "name": "App", "redirect_uris": [], "backchannel_logout_uri": "https://a.example/1",
            "more_backchannel_logout_uris": ["https://a.example/2"],
            "initiate_login_uri": null, "access_token_lifetime_s": 3600,
        });
        assert_eq!(Value::from(fields.in_words().unwrap()), words);
        let nameless = ApplicationFields { name: Some(String::new()), ..ApplicationFields::default() };
        assert_eq!(nameless.in_words().unwrap_err().field, "client.name");
    }
}
