//! The command line, and what each command does.

mod child_signals;
mod commands;
mod connect;
mod control_client;
mod exec;
mod hints;
mod import;
mod init;
mod made_up_names;
mod mcp;
mod probe;
mod progress;
mod remote;
mod running;
mod seed;
mod seed_file;
mod timelines;

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use serde_json::Value;

use crate::config::{Config, Overrides};
use crate::crypto::entropy::SystemEntropy;
use crate::service::housekeeping::KEYS_PUBLISHED_WITHIN_S;
pub use commands::run;
pub use connect::{CaOptions, EnvOptions, OpenOptions};
pub use exec::{DevOptions, ExecOptions};
pub use hints::with_hint;
pub use import::ImportOptions;
pub use init::{CiService, InitOptions};
pub use mcp::McpOptions;
pub use probe::ProbeOptions;
pub use remote::RemoteOptions;
pub use running::ServerOptions;
pub use seed::SeedOptions;
pub use seed_file::{SeedFormat, SeedOutput};

/// A self-hosted passwordless OpenID Provider that stands in for Scalekit.
#[derive(Debug, Parser)]
#[command(version, about, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub serve: ServeOptions,
}

/// How the server is run.
#[derive(Debug, Clone, Default, Args)]
pub struct ServeOptions {
    /// Apply the configuration file whenever it is saved
    #[arg(long)]
    pub watch: bool,
    #[command(flatten)]
    pub settings: Settings,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server (default).
    Serve(ServeOptions),
    /// Print the credentials an application needs for the server that runs.
    Env(EnvOptions),
    /// Print the path of the local certificate authority and how each SDK trusts it.
    Ca(CaOptions),
    /// Show the dashboard of the server that runs in a browser.
    Open(OpenOptions),
    /// Write a commented vestibule.toml, and where asked for a compose file and a CI workflow.
    Init(InitOptions),
    /// Run a command with a server of its own, on a free port, and end with its exit code.
    Exec(ExecOptions),
    /// Run a command beside the server of this folder.
    Dev(DevOptions),
    /// Give a coding agent the control API of the server that runs, by the Model Context Protocol.
    Mcp(McpOptions),
    /// List or rotate the signing keys.
    Keys {
        #[command(subcommand)]
        action: KeysAction,
    },
    /// Apply database migrations and exit.
    Migrate {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        settings: Settings,
    },
    /// Check whether a running server is ready. Exits with 0 or 1.
    Healthcheck {
        /// Base URL of the server [default: from the configuration]
        #[arg(long)]
        url: Option<String>,
        /// Print what the server says, as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        settings: Settings,
    },
    /// Check the configuration, or generate values for it.
    Config {
        #[command(subcommand)]
        action: ConfigAction,
    },
    /// Print a seed with people, organizations and roles that do not exist, the same every time.
    Seed(SeedOptions),
    /// Read what a Scalekit environment has through its API, and write it as a seed. Nothing there is changed.
    Import(ImportOptions),
    /// Ask a development environment of Scalekit what is only assumed of it, and say where it differs.
    Probe(ProbeOptions),
}

#[derive(Debug, Subcommand)]
pub enum KeysAction {
    /// Show the keys and the time from which each signs.
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        settings: Settings,
    },
    /// Add a key. Every server publishes it within ten seconds; it signs after a minute, so that clients know it
    /// by then.
    Rotate {
        /// Seconds until the new key signs, at least 10.
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(i64::from(KEYS_PUBLISHED_WITHIN_S)..))]
        delay_s: u32,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        settings: Settings,
    },
}

#[derive(Debug, Subcommand)]
pub enum ConfigAction {
    /// Report every error in the configuration, with file and line.
    Check {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        settings: Settings,
    },
    /// Read a client secret from standard input and print its argon2id hash.
    HashSecret,
    /// Print an example configuration with every setting.
    Example,
}

/// Flags that override the configuration.
#[derive(Debug, Clone, Default, Args)]
pub struct Settings {
    /// Configuration file [default: vestibule.toml, if it exists]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address to listen on, or a port of localhost; port 0 picks a free port [default: localhost:6870]
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// Port to listen on, instead of the configured address's
    #[arg(long, value_name = "PORT", conflicts_with = "listen")]
    pub port: Option<u16>,
    /// Second address, TLS only; Scalekit's Java SDK needs port 443
    #[arg(long, value_name = "HOST:PORT")]
    pub listen_tls: Option<String>,
    /// Use a temporary database, deleted on exit
    #[arg(long)]
    pub ephemeral: bool,
    /// Write URL and credentials to this file as JSON when ready; removed on start and exit
    #[arg(long, value_name = "PATH")]
    pub ready_file: Option<PathBuf>,
    /// Folder of the embedded database [default: .vestibule]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// PostgreSQL URL, postgres://…
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
    /// Public URL of the server; may be repeated
    #[arg(long = "public-url", value_name = "URL")]
    pub public_urls: Vec<String>,
}

impl From<Settings> for Overrides {
    fn from(settings: Settings) -> Self {
        Self {
            config_file: settings.config,
            listen: settings.listen,
            port: settings.port,
            listen_tls: settings.listen_tls,
            ephemeral: settings.ephemeral,
            ready_file: settings.ready_file,
            data_dir: settings.data_dir,
            database_url: settings.database_url,
            public_urls: settings.public_urls,
        }
    }
}

/// The configuration with these flags.
fn load(settings: Settings) -> anyhow::Result<Config> {
    Ok(Config::load(&Overrides::from(settings), variables(), &SystemEntropy)?)
}

/// The process's environment variables, those alone that are text.
fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(n, v)| Some((n.into_string().ok()?, v.into_string().ok()?)))
}

/// Writes to standard output.
fn print(text: &str) -> anyhow::Result<()> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

/// The same for programs.
fn print_json(value: &Value) -> anyhow::Result<()> {
    print(&format!("{value:#}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_work_with_and_without_the_word_serve() {
        let bare = Cli::try_parse_from(["vestibule", "--ephemeral", "--listen", "127.0.0.1:0"]).unwrap();
        assert!(bare.command.is_none() && bare.serve.settings.ephemeral);
        let named = Cli::try_parse_from(["vestibule", "serve", "--ephemeral"]).unwrap();
        assert!(matches!(named.command, Some(Command::Serve(s)) if s.settings.ephemeral));
        assert!(Cli::try_parse_from(["vestibule", "keys", "rotate", "--delay-s", "10"]).is_ok());
        // Another server might not publish it yet.
        assert!(Cli::try_parse_from(["vestibule", "keys", "rotate", "--delay-s", "9"]).is_err());
        assert!(Cli::try_parse_from(["vestibule", "config", "check", "--config", "x.toml"]).is_ok());
        assert!(Cli::try_parse_from(["vestibule", "seed", "--users", "5", "--format", "scenario"]).is_ok());
        assert!(Cli::try_parse_from(["vestibule", "seed", "--users", "-1"]).is_err());
        assert!(Cli::try_parse_from(["vestibule", "--port", "7000", "--listen", "localhost:1"]).is_err());
        assert!(Cli::try_parse_from(["vestibule", "dance"]).is_err());
        for before in [&["--"][..], &[]] {
            let all =
                [&["vestibule", "exec", "--tls"], before, &["npm", "test", "--tls", "--", "-x"]].concat();
            let Some(Command::Exec(exec)) = Cli::try_parse_from(all).unwrap().command else { panic!() };
            assert_eq!(exec.command, ["npm", "test", "--tls", "--", "-x"]);
        }
        assert!(Cli::try_parse_from(["vestibule", "exec"]).is_err(), "which command?");
        assert!(Cli::try_parse_from(["vestibule", "exec", "--tsl", "--", "npm"]).is_err());
    }
}
