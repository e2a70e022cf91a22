//! The file in the data folder by which the other commands find the server that runs: `vestibule env`, `vestibule open`.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::data_folder::{self, STATE_FILE};
use super::files::OwnFile;
use super::server_facts::ServerFacts;
use crate::config::{Config, Database};
use crate::domain::settings::Mode;

/// How long the server of a state file gets to take a connection.
const PATIENCE: Duration = Duration::from_millis(500);

/// Where the server of a data folder says where it is.
pub fn state_file(data_dir: &Path) -> PathBuf {
    data_dir.join(STATE_FILE)
}

/// The state file of this process. It goes when this is dropped, and then the folder, where nothing else is kept in it.
pub(super) struct StateFile {
    // Dropped in this order.
    _file: OwnFile,
    _folder: FolderInUse,
}

struct FolderInUse(PathBuf);

impl Drop for FolderInUse {
    fn drop(&mut self) {
        data_folder::remove_unused(&self.0);
    }
}

impl StateFile {
    /// Writes it. `None`: there is no room for it, or it is that of another server, and this server is found by its URL
    /// alone.
    pub(super) async fn write(config: &Config, facts: &ServerFacts) -> Option<Self> {
        let path = state_file(&config.data_dir);
        // A server of the folder's own database has the folder for itself.
        if !matches!(config.database, Database::Sqlite) && is_of_another_server(&path).await {
            return None;
        }
        match Self::write_to(&path, config, facts) {
            Ok(written) => Some(written),
            Err(error) => {
                tracing::info!(path = %path.display(), %error, "the state file cannot be written: other commands find this server by --url alone");
                None
            }
        }
    }

    fn write_to(path: &Path, config: &Config, facts: &ServerFacts) -> io::Result<Self> {
        data_folder::make_where_missing(&config.data_dir)?;
        let (file, folder) = (OwnFile::at(path.to_owned()), FolderInUse(config.data_dir.clone()));
        // A secret that real users depend on stays where it was put.
        let client_secret =
            facts.client_secret.clone().filter(|_| config.environment.mode == Mode::Development);
        file.write(ServerFacts { client_secret, ..facts.clone() }.to_text())?;
        Ok(Self { _file: file, _folder: folder })
    }
}

/// Removes what a server left that could not do so itself. Only who has the folder's lock may.
pub(super) fn remove_stale(data_dir: &Path) {
    let _ = std::fs::remove_file(state_file(data_dir));
}

/// Does a file name a server that still listens?
async fn is_of_another_server(path: &Path) -> bool {
    let Ok(text) = std::fs::read_to_string(path) else { return false };
    let Ok(facts) = serde_json::from_str::<ServerFacts>(&text) else { return false };
    let addresses = facts.addresses.iter().filter_map(|text| text.parse::<SocketAddr>().ok());
    for address in addresses {
        if matches!(timeout(PATIENCE, TcpStream::connect(address)).await, Ok(Ok(_))) {
            return facts.pid != std::process::id();
        }
    }
    false
}
