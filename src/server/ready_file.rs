//! The file that tells programs that the server is ready. It is there only while that is true.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::{ServeError, files};

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
pub(super) struct ReadyFile {
    path: PathBuf,
    written: Mutex<Option<String>>,
}

impl ReadyFile {
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path, written: Mutex::default() }
    }

    pub(super) fn write(&self, text: String) -> Result<(), ServeError> {
        files::replace(&self.path, &text)
            .map_err(|source| ServeError::ReadyFile { path: self.path.clone(), source })?;
        *self.written.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
        Ok(())
    }
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        let written = self.written.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // Another server may have put its own in the place.
        if written.is_some() && std::fs::read_to_string(&self.path).ok() == written {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
