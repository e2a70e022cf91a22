//! What a server starts from, as a file: tables of the configuration, or a scenario of the control API.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::{Value, json};

/// How the file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SeedFormat {
    /// Tables of vestibule.toml
    Toml,
    /// JSON for the folder that control.scenarios names; without applications
    Scenario,
}

/// Where the file goes.
#[derive(Debug, Clone, Args)]
pub struct SeedOutput {
    /// File to create [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// How the file is written
    #[arg(long, value_enum, default_value_t = SeedFormat::Toml)]
    pub format: SeedFormat,
}

/// The fields are those of the configuration.
#[derive(Debug, Default, Serialize)]
pub(super) struct SeedFile {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passwordless: Option<Passwordless>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<Application>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub permissions: Vec<Permission>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<Role>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub organizations: Vec<Organization>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<User>,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Passwordless {
    pub enabled: bool,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validity_s: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enforce_same_browser_origin: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regenerate_passwordless_credentials_on_resend: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code_length: Option<i64>,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Application {
    pub client_id: String,
    pub name: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Of a web client: none yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secrets: Option<[&'static str; 0]>,
    pub redirect_uris: Vec<String>,
    pub post_logout_redirect_uris: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initiate_login_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backchannel_logout_uri: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub more_backchannel_logout_uris: Vec<String>,
    pub enforce_pkce: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_token_lifetime_s: Option<i64>,
    pub disallow_scalekit_api_access: bool,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Permission {
    pub name: String,
    pub description: String,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Role {
    pub name: String,
    pub display_name: String,
    pub description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extends: Option<String>,
    pub permissions: Vec<String>,
    pub default_creator: bool,
    pub default_member: bool,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Organization {
    pub id: String,
    pub display_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slug: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_email_domains: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct User {
    pub id: String,
    pub email: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Ids of organizations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub organizations: Vec<String>,
    /// Names of roles by organization, separated by commas.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<String, String>,
}

impl SeedFile {
    /// What the control API seeds: everything but settings and applications.
    pub(super) fn seed(&self) -> Value {
        let Self { permissions, roles, organizations, users, .. } = self;
        json!({ "permissions": permissions, "roles": roles, "organizations": organizations, "users": users })
    }

    pub(super) fn render(&self, format: SeedFormat) -> anyhow::Result<String> {
        Ok(match format {
            SeedFormat::Toml => toml::to_string(self)?,
            SeedFormat::Scenario => {
                let settings = match &self.passwordless {
                    Some(passwordless) => json!({ "passwordless": passwordless }),
                    None => json!({}),
                };
                let scenario = json!({ "settings": settings, "seed": self.seed() });
                format!("{}\n", serde_json::to_string_pretty(&scenario)?)
            }
        })
    }
}

impl SeedOutput {
    /// Refuses a file that cannot be created, before anything is read for it.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let Some(path) = &self.output else { return Ok(()) };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if path.try_exists()? {
            bail!("{} cannot be created: it exists", path.display());
        }
        if folder.is_some_and(|folder| !folder.is_dir()) {
            bail!("{} cannot be created: there is no such folder", path.display());
        }
        Ok(())
    }

    /// Writes the file, which must not be there yet and is its owner's alone, or prints it.
    pub(super) fn write(&self, file: &SeedFile) -> anyhow::Result<()> {
        let text = file.render(self.format)?;
        let Some(path) = &self.output else {
            return Ok(std::io::stdout().write_all(text.as_bytes())?);
        };
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut created =
            options.open(path).with_context(|| format!("{} cannot be created", path.display()))?;
        created.write_all(text.as_bytes()).with_context(|| format!("{} cannot be written", path.display()))
    }
}
