//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use secrecy::ExposeSecret as _;

use crate::config::{Config, Overrides};
use crate::service::housekeeping::KEYS_PUBLISHED_WITHIN_S;

/// A self-hosted passwordless OpenID Provider that stands in for Scalekit.
#[derive(Debug, Parser)]
#[command(version, about, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub serve: Settings,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server (what happens without a command, too).
    Serve(Settings),
    /// Print what an application needs, ready to paste.
    Env {
        #[arg(long, value_enum, default_value_t = EnvFormat::Dotenv)]
        format: EnvFormat,
        #[command(flatten)]
        settings: Settings,
    },
    /// Print the local certificate authority's file, and how each SDK is told to trust it.
    Ca(Settings),
    /// List or rotate the signing keys.
    Keys {
        #[command(subcommand)]
        action: KeysAction,
    },
    /// Bring the database up to date and stop.
    Migrate(Settings),
    /// Ask a running server whether it is ready; exits with 0 or 1.
    Healthcheck {
        /// Base URL of the server; by default its own address from the configuration.
        #[arg(long)]
        url: Option<String>,
        #[command(flatten)]
        settings: Settings,
    },
    /// Check the configuration, or make values for it.
    Config {
        #[command(subcommand)]
        action: ConfigAction,
    },
}

#[derive(Debug, Subcommand)]
pub enum KeysAction {
    /// Show the keys and since when they sign.
    List(Settings),
    /// Add a key: published by every server within ten seconds, signing a minute from now, so that everybody knows it
    /// by then.
    Rotate {
        /// Seconds until the new key signs, at least 10.
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(i64::from(KEYS_PUBLISHED_WITHIN_S)..))]
        delay_s: u32,
        #[command(flatten)]
        settings: Settings,
    },
}

#[derive(Debug, Subcommand)]
pub enum ConfigAction {
    /// Name every mistake at once, with file and line.
    Check(Settings),
    /// Read a client secret from standard input and print its argon2id hash.
    HashSecret,
    /// Print an example file with every setting.
    Example,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum EnvFormat {
    Dotenv,
    Shell,
    Json,
}

/// Flags that set what the configuration can set as well.
#[derive(Debug, Clone, Default, Args)]
pub struct Settings {
    /// Configuration file [default: vestibule.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address to listen on; port 0 takes a free one [default: localhost:6870]
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// A second address, for TLS alone; port 443 for Scalekit's Java SDK
    #[arg(long, value_name = "HOST:PORT")]
    pub listen_tls: Option<String>,
    /// Keep nothing: use a private temporary database that is deleted at the end
    #[arg(long)]
    pub ephemeral: bool,
    /// Write address and credentials there as JSON once the server answers; removed at the start and at the end
    #[arg(long, value_name = "PATH")]
    pub ready_file: Option<PathBuf>,
    /// Folder of the embedded database [default: .vestibule]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// PostgreSQL database, postgres://…
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
    /// URL under which the server is reached; may be repeated
    #[arg(long = "public-url", value_name = "URL")]
    pub public_urls: Vec<String>,
}

impl From<Settings> for Overrides {
    fn from(settings: Settings) -> Self {
        Self {
            config_file: settings.config,
            listen: settings.listen,
            listen_tls: settings.listen_tls,
            ephemeral: settings.ephemeral,
            ready_file: settings.ready_file,
            data_dir: settings.data_dir,
            database_url: settings.database_url,
            public_urls: settings.public_urls,
        }
    }
}

/// What an application needs, by the names Scalekit's documentation and examples use.
///
/// `trust` are the local authority's files, for the variables that make SDKs trust it.
pub fn env_variables(config: &Config, trust: Option<&TrustFiles>) -> Vec<(&'static str, String)> {
    let url = config.environment.public_urls.first().map(|u| u.issuer().to_owned()).unwrap_or_default();
    let mut variables = vec![("SCALEKIT_ENVIRONMENT_URL", url.clone()), ("SCALEKIT_ENV_URL", url)];
    if let Some((client_id, secret)) = config.shown_client() {
        variables.push(("SCALEKIT_CLIENT_ID", client_id.to_owned()));
        if let Some(secret) = secret {
            variables.push(("SCALEKIT_CLIENT_SECRET", secret.expose_secret().to_owned()));
        }
    }
    if let Some(client_id) = config.shown_public_client() {
        variables.push(("SCALEKIT_SPA_CLIENT_ID", client_id.to_owned()));
    }
    variables.extend(trust.into_iter().flat_map(TrustFiles::variables));
    variables
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
        EnvFormat::Shell => {
            variables.iter().map(|(n, v)| format!("export {n}='{}'\n", v.replace('\'', r"'\''"))).collect()
        }
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
    fn flags_work_with_and_without_the_word_serve() {
        let bare = Cli::try_parse_from(["vestibule", "--ephemeral", "--listen", "127.0.0.1:0"]).unwrap();
        assert!(bare.command.is_none() && bare.serve.ephemeral);
        let named = Cli::try_parse_from(["vestibule", "serve", "--ephemeral"]).unwrap();
        assert!(matches!(named.command, Some(Command::Serve(s)) if s.ephemeral));
        assert!(Cli::try_parse_from(["vestibule", "keys", "rotate", "--delay-s", "10"]).is_ok());
        // Another server might not publish it yet.
        assert!(Cli::try_parse_from(["vestibule", "keys", "rotate", "--delay-s", "9"]).is_err());
        assert!(Cli::try_parse_from(["vestibule", "config", "check", "--config", "x.toml"]).is_ok());
        assert!(Cli::try_parse_from(["vestibule", "dance"]).is_err());
    }

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
