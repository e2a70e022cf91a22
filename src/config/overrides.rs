//! The layers in their order: configuration file, variables, command line.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::listen_address::ListenAddress;
use super::problem::Location;
use super::source::Source;
use super::{database, environment, server, telemetry};

/// The variable by which hosting platforms say where a container has to listen.
const PORT_VARIABLE: &str = "PORT";

/// Name of the file looked for in the working directory.
const DEFAULT_FILE: &str = "vestibule.toml";

/// What the command line says about settings.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    pub config_file: Option<PathBuf>,
    pub listen: Option<String>,
    /// Instead of the port of `listen`, wherever that is written.
    pub port: Option<u16>,
    pub listen_tls: Option<String>,
    pub ephemeral: bool,
    pub ready_file: Option<PathBuf>,
    pub data_dir: Option<PathBuf>,
    pub database_url: Option<String>,
    pub public_urls: Vec<String>,
}

/// The configuration file that is read, and whether somebody named it.
pub fn configuration_file(overrides: &Overrides, variables: &[(String, String)]) -> (PathBuf, bool) {
    let named_by_variable =
        variables.iter().find(|(n, _)| n == "VESTIBULE_CONFIG").map(|(_, v)| PathBuf::from(v));
    match overrides.config_file.clone().or(named_by_variable) {
        Some(path) => (path, true),
        None => (PathBuf::from(DEFAULT_FILE), false),
    }
}

impl Source {
    /// The configuration file, variables and flags, and the folder that relative paths are relative to.
    pub fn of(overrides: &Overrides, variables: impl Iterator<Item = (String, String)>) -> (Self, PathBuf) {
        let mut source = Self::default();
        let variables: Vec<(String, String)> = variables.collect();
        let (path, is_named) = configuration_file(overrides, &variables);
        match std::fs::read_to_string(&path) {
            Ok(text) => source.add_file(&path, &text),
            Err(error) if !is_named && error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => source.problem_at(Location::Unwritten, "", format!("{}: {error}", path.display())),
        }
        let port = variables.iter().find(|(name, _)| name == PORT_VARIABLE).map(|(_, port)| port.clone());
        source.add_variables(variables.into_iter());
        if let Some(port) = port {
            add_port(&mut source, &port);
        }
        add_flags(&mut source, overrides);
        let base = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
        (source, base)
    }
}

impl Source {
    /// Settings for a server that is there for one command: it keeps nothing, takes a free port and writes no more than
    /// warnings, and what is written about the server that stays is not for it. What flags say holds.
    pub fn for_one_command(&mut self) {
        const BY: &str = "vestibule exec";
        let keys = [
            server::LISTEN.key(),
            server::LISTEN_TLS.key(),
            server::READY_FILE.key(),
            environment::PUBLIC_URLS.key(),
            database::URL.key(),
        ];
        for key in keys {
            if !matches!(self.location(key), Some(Location::Flag(_))) {
                self.remove(key);
            }
        }
        self.add_flag(database::EPHEMERAL.key(), BY, "true");
        if !self.is_set(server::LISTEN.key()) {
            self.add_flag(server::LISTEN.key(), BY, "localhost:0");
        }
        if !self.is_set(telemetry::LOG_FILTER.key()) {
            self.add_flag(telemetry::LOG_FILTER.key(), BY, "warn");
        }
    }
}

/// The port that a hosting platform chose counts where all interfaces are listened on, as in the container image. On
/// anybody's own machine `PORT` is meant for the application.
fn add_port(source: &mut Source, port: &str) {
    let written = source.written_text(server::LISTEN.key());
    let listen = written.and_then(|text| ListenAddress::parse(&text).ok());
    let is_any = |listen: &ListenAddress| listen.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified());
    if let Some(listen) = listen.filter(is_any) {
        // Not as a number: a mistake is to be told as one of PORT.
        let host = if listen.host.contains(':') { format!("[{}]", listen.host) } else { listen.host };
        source.add_variable(server::LISTEN.key(), PORT_VARIABLE, format!("{host}:{port}"));
    }
}

fn add_flags(source: &mut Source, overrides: &Overrides) {
    let path_text = |p: &PathBuf| p.to_string_lossy().into_owned();
    if let Some(listen) = &overrides.listen {
        source.add_flag(server::LISTEN.key(), "--listen", listen);
    }
    if let Some(port) = overrides.port {
        // What is wrong with the address is said where it is read.
        let written = source.clone().parsed(&server::LISTEN, ListenAddress::parse).unwrap_or_default();
        let address = ListenAddress { port, ..written };
        source.add_flag(server::LISTEN.key(), "--port", address.to_string());
    }
    if let Some(listen) = &overrides.listen_tls {
        source.add_flag(server::LISTEN_TLS.key(), "--listen-tls", listen);
    }
    if overrides.ephemeral {
        source.add_flag(database::EPHEMERAL.key(), "--ephemeral", "true");
    }
    if let Some(path) = &overrides.ready_file {
        source.add_flag(server::READY_FILE.key(), "--ready-file", path_text(path));
    }
    if let Some(path) = &overrides.data_dir {
        source.add_flag(server::DATA_DIR.key(), "--data-dir", path_text(path));
    }
    if let Some(url) = &overrides.database_url {
        source.add_flag(database::URL.key(), "--database-url", url);
    }
    if !overrides.public_urls.is_empty() {
        source.add_flag(environment::PUBLIC_URLS.key(), "--public-url", overrides.public_urls.join(","));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Database};

    fn variables() -> impl Iterator<Item = (String, String)> {
        let all = [
            ("DATABASE_URL", "postgres://localhost/of-the-application"),
            ("VESTIBULE_LISTEN", "localhost:7001"),
            ("VESTIBULE_PUBLIC_URLS", "http://localhost:7001"),
            ("VESTIBULE_READY_FILE", "ready.json"),
        ];
        all.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()))
    }

    #[test]
    fn the_server_of_a_command_is_its_own_whatever_is_configured() {
        let (mut source, base) = Source::of(&Overrides::default(), variables());
        source.for_one_command();
        let config = Config::read(source, &base).unwrap();
        assert_eq!(config.listen.to_string(), "localhost:0");
        assert!(matches!(config.database, Database::Ephemeral));
        assert!(config.environment.public_urls.is_empty() && config.ready_file.is_none());
    }

    #[test]
    fn flags_hold_for_the_server_of_a_command() {
        let port =
            Overrides { port: Some(7002), ready_file: Some("own.json".into()), ..Overrides::default() };
        let (mut source, base) = Source::of(&port, variables());
        source.for_one_command();
        let config = Config::read(source, &base).unwrap();
        assert_eq!(config.listen.to_string(), "localhost:7002");
        assert_eq!(config.ready_file, Some("own.json".into()));
    }

    #[test]
    fn a_port_is_of_the_address_that_is_configured() {
        let listen = [("VESTIBULE_LISTEN".to_owned(), "127.0.0.1:7001".to_owned())];
        let port = Overrides { port: Some(7002), ..Overrides::default() };
        let (source, base) = Source::of(&port, listen.into_iter());
        assert_eq!(Config::read(source, &base).unwrap().listen.to_string(), "127.0.0.1:7002");
    }
}
