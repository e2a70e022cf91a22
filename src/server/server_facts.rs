//! What a running server says of itself to programs, in its ready file and in the state file of its data folder.

use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::application_env::ApplicationCredentials;

/// Where a server is, and what an application needs to use it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServerFacts {
    /// The first address of the listener.
    pub listen: Option<String>,
    /// The first address of the one that speaks TLS alone.
    pub listen_tls: Option<String>,
    #[serde(default)]
    pub addresses: Vec<String>,
    #[serde(default)]
    pub addresses_tls: Vec<String>,
    pub environment_url: String,
    pub https_url: Option<String>,
    /// The local authority; `None`: the certificate is one's own.
    pub ca_file: Option<PathBuf>,
    /// It, and those that the system trusts.
    pub ca_bundle_file: Option<PathBuf>,
    pub client_id: Option<String>,
    #[serde(default, serialize_with = "exposed", deserialize_with = "secret")]
    pub client_secret: Option<SecretString>,
    /// Where the server made it itself.
    #[serde(
        default,
        serialize_with = "exposed",
        deserialize_with = "secret",
        skip_serializing_if = "Option::is_none"
    )]
    pub control_token: Option<SecretString>,
    pub spa_client_id: Option<String>,
    /// The first address that takes emails of other programs.
    #[serde(default)]
    pub smtp_listen: Option<String>,
    /// `None`: the control API is off.
    pub inbox_url: Option<String>,
    /// `development` or `production`.
    pub mode: Option<String>,
    pub pid: u32,
}

impl ServerFacts {
    /// As the text of a file.
    pub(super) fn to_text(&self) -> String {
        // Nothing in it can fail to be written as JSON.
        serde_json::to_string_pretty(self).map(|text| text + "\n").unwrap_or_default()
    }

    /// What an application is given.
    pub fn credentials(&self) -> ApplicationCredentials {
        ApplicationCredentials {
            environment_url: self.environment_url.clone(),
            client_id: self.client_id.clone(),
            client_secret: self.client_secret.clone(),
            spa_client_id: self.spa_client_id.clone(),
        }
    }
}

#[expect(clippy::ref_option, reason = "serde calls it so")]
fn exposed<S: Serializer>(secret: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(|secret| secret.expose_secret()).serialize(serializer)
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(SecretString::from))
}
