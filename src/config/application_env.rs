//! The environment variables that an application needs to use this server.

use std::path::PathBuf;

use clap::ValueEnum;
use secrecy::{ExposeSecret as _, SecretString};

use super::Config;
use crate::domain::shell::quoted;

/// How variables are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EnvFormat {
    Dotenv,
    Shell,
    Json,
}

/// Where an application finds its server, and as which client.
#[derive(Debug, Clone)]
pub struct ApplicationCredentials {
    pub environment_url: String,
    pub client_id: Option<String>,
    /// `None`: it is known as a hash alone.
    pub client_secret: Option<SecretString>,
    /// A client without a secret, for applications that run in a browser.
    pub spa_client_id: Option<String>,
}

impl From<&Config> for ApplicationCredentials {
    fn from(config: &Config) -> Self {
        let (client_id, client_secret) = config.shown_client().unzip();
        Self {
            environment_url: config
                .environment
                .public_urls
                .first()
                .map(|url| url.issuer().to_owned())
                .unwrap_or_default(),
            client_id: client_id.map(str::to_owned),
            client_secret: client_secret.flatten().cloned(),
            spa_client_id: config.shown_public_client().map(str::to_owned),
        }
    }
}

impl ApplicationCredentials {
    /// By the names that Scalekit's documentation and examples use.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let url = &self.environment_url;
        let mut variables =
            vec![("SCALEKIT_ENVIRONMENT_URL", url.clone()), ("SCALEKIT_ENV_URL", url.clone())];
        if let Some(client_id) = &self.client_id {
            variables.push(("SCALEKIT_CLIENT_ID", client_id.clone()));
        }
        if let Some(secret) = &self.client_secret {
            variables.push(("SCALEKIT_CLIENT_SECRET", secret.expose_secret().to_owned()));
        }
        if let Some(client_id) = &self.spa_client_id {
            variables.push(("SCALEKIT_SPA_CLIENT_ID", client_id.clone()));
        }
        variables
    }
}

/// What applications trust to reach this server by TLS.
pub struct TrustFiles {
    /// The local authority alone.
    pub ca: PathBuf,
    /// The local authority and those that the system trusts.
    pub bundle: PathBuf,
}

impl TrustFiles {
    /// By SDK. Node adds the file to what it trusts; Python and Go replace what they trust, hence the bundle.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let bundle = self.bundle.display().to_string();
        vec![
            ("NODE_EXTRA_CA_CERTS", self.ca.display().to_string()),
            ("REQUESTS_CA_BUNDLE", bundle.clone()),
            ("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", bundle.clone()),
            ("SSL_CERT_FILE", bundle),
        ]
    }

    /// What `vestibule ca` prints.
    pub fn how_to(&self) -> String {
        let of = |name: &str| {
            self.variables()
                .into_iter()
                .find(|(n, _)| *n == name)
                .map_or_else(String::new, |(n, v)| format!("{n}={v}"))
        };
        let ca = self.ca.display();
        format!(
            "{ca}\n\n\
             Applications trust this server's TLS with:\n\n\
             \x20 Node    {}\n\
             \x20 Python  {}\n\
             \x20         {}\n\
             \x20 Go      {}\n\
             \x20 Java    start the server with --listen-tls 127.0.0.1:443: the SDK knows no other port\n\
             \x20         keytool -importcert -noprompt -alias vestibule -file {ca} -keystore vestibule.p12 -storetype PKCS12 -storepass changeit\n\
             \x20         JAVA_TOOL_OPTIONS=\"-Djavax.net.ssl.trustStore=vestibule.p12 -Djavax.net.ssl.trustStorePassword=changeit\"\n\
             \x20 curl    --cacert {ca}\n\n\
             Browsers trust it with:\n\n\
             \x20 Linux    certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n vestibule -i {ca}   (Chromium; certutil is in libnss3-tools)\n\
             \x20 macOS    security add-trusted-cert -r trustRoot -k ~/Library/Keychains/login.keychain-db {ca}\n\
             \x20 Windows  certutil -user -addstore Root {ca}\n\
             \x20 Firefox  Settings, Certificates, View Certificates, Authorities, Import\n\n\
             It is good for the names of this server alone, and for two years. The log says when it is renewed.\n",
            of("NODE_EXTRA_CA_CERTS"),
            of("REQUESTS_CA_BUNDLE"),
            of("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"),
            of("SSL_CERT_FILE"),
        )
    }
}

/// The variables as lines of a `.env` file, as shell commands, or as JSON.
pub fn render_env(format: EnvFormat, variables: &[(&'static str, String)]) -> String {
    match format {
        EnvFormat::Dotenv => variables.iter().map(|(n, v)| format!("{n}={}\n", dotenv_quoted(v))).collect(),
        EnvFormat::Shell => variables.iter().map(|(n, v)| format!("export {n}={}\n", quoted(v))).collect(),
        EnvFormat::Json => {
            let object: serde_json::Map<_, _> =
                variables.iter().map(|(n, v)| ((*n).to_owned(), v.clone().into())).collect();
            format!("{:#}\n", serde_json::Value::Object(object))
        }
    }
}

/// Plain where every reader of `.env` files agrees, in double quotes otherwise.
fn dotenv_quoted(value: &str) -> String {
    if value.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.:/@+,".contains(&b)) {
        value.to_owned()
    } else {
        format!(
            "\"{}\"",
            value.replace('\\', r"\\").replace('"', "\\\"").replace('$', r"\$").replace('\n', r"\n")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_quoted_for_their_reader() {
        let variables = [("A", "http://localhost:1".to_owned()), ("B", "it's \"$x\"".to_owned())];
        assert_eq!(
            render_env(EnvFormat::Dotenv, &variables),
            "A=http://localhost:1\nB=\"it's \\\"\\$x\\\"\"\n"
        );
        assert_eq!(
            render_env(EnvFormat::Shell, &variables),
            "export A='http://localhost:1'\nexport B='it'\\''s \"$x\"'\n"
        );
        let json: serde_json::Value = serde_json::from_str(&render_env(EnvFormat::Json, &variables)).unwrap();
        assert_eq!(json["B"], "it's \"$x\"");
    }
}
