//! The command line, and what each command does.

mod commands;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::Overrides;
use crate::config::application_env::EnvFormat;
use crate::service::housekeeping::KEYS_PUBLISHED_WITHIN_S;
pub use commands::run;

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
}
