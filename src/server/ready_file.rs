//! The file that tells programs that the server is ready. It is there only while that is true.

use std::io;
use std::path::{Path, PathBuf};

use super::ServeError;
use super::files::OwnFile;
use super::server_facts::ServerFacts;

/// Removes what an earlier server left. Whoever waits for the file would read where that one was.
///
/// # Errors
/// When there is a file that cannot be removed.
pub fn remove_ready_file(path: &Path) -> Result<(), ServeError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(ServeError::OldReadyFile { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// The ready file of this process. It goes when this is dropped.
pub(super) struct ReadyFile(OwnFile);

impl ReadyFile {
    pub(super) fn at(path: PathBuf) -> Self {
        Self(OwnFile::at(path))
    }

    pub(super) fn write(&self, facts: &ServerFacts) -> Result<(), ServeError> {
        self.0
            .write(facts.to_text())
            .map_err(|source| ServeError::ReadyFile { path: self.0.path().to_owned(), source })
    }
}
