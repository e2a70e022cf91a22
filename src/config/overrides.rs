//! The layers in their order: configuration file, variables, command line.

use std::path::{Path, PathBuf};

use super::problem::Location;
use super::source::Source;
use super::{database, environment, server};

/// Name of the file looked for in the working directory.
const DEFAULT_FILE: &str = "vestibule.toml";

/// What the command line says about settings.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    pub config_file: Option<PathBuf>,
    pub listen: Option<String>,
    pub listen_tls: Option<String>,
    pub ephemeral: bool,
    pub ready_file: Option<PathBuf>,
    pub data_dir: Option<PathBuf>,
    pub database_url: Option<String>,
    pub public_urls: Vec<String>,
}

impl Source {
    /// The configuration file, variables and flags, and the folder that relative paths are relative to.
    pub fn of(overrides: &Overrides, variables: impl Iterator<Item = (String, String)>) -> (Self, PathBuf) {
        let mut source = Self::default();
        let variables: Vec<(String, String)> = variables.collect();
        let named_by_variable =
            variables.iter().find(|(n, _)| n == "VESTIBULE_CONFIG").map(|(_, v)| PathBuf::from(v));
        let named = overrides.config_file.clone().or(named_by_variable);
        let path = named.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
        match std::fs::read_to_string(&path) {
            Ok(text) => source.add_file(&path, &text),
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => source.problem_at(Location::Unwritten, "", format!("{}: {error}", path.display())),
        }
        source.add_variables(variables.into_iter());
        add_flags(&mut source, overrides);
        let base = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
        (source, base)
    }
}

fn add_flags(source: &mut Source, overrides: &Overrides) {
    let path_text = |p: &PathBuf| p.to_string_lossy().into_owned();
    if let Some(listen) = &overrides.listen {
        source.add_flag(server::LISTEN.key(), "--listen", listen);
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
