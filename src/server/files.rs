//! Files that are there whole or not at all, and that nobody else may read.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tempfile::NamedTempFile;

/// Writes a file over whatever stands there.
pub(super) fn replace(path: &Path, text: &str) -> io::Result<()> {
    write(path, text)?.persist(path).map(drop).map_err(|error| error.error)
}

/// Writes a file; one that another process made meanwhile stands.
pub(super) fn create(path: &Path, text: &str) -> io::Result<()> {
    match write(path, text)?.persist_noclobber(path) {
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        outcome => outcome.map(drop).map_err(|error| error.error),
    }
}

/// Temporary files are readable by their owner alone (0600).
fn write(path: &Path, text: &str) -> io::Result<NamedTempFile> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = NamedTempFile::new_in(folder).map_err(of_the_system)?;
    file.write_all(text.as_bytes()).map_err(of_the_system)?;
    Ok(file)
}

/// What the system said, without the name of a temporary file that says nothing to anybody.
fn of_the_system(error: io::Error) -> io::Error {
    let source =
        error.get_ref().and_then(|inner| inner.source()?.downcast_ref::<io::Error>()?.raw_os_error());
    source.map_or(error, io::Error::from_raw_os_error)
}

/// A file that this process writes. It goes when this is dropped; what another process put in its place stays.
pub(super) struct OwnFile {
    path: PathBuf,
    written: Mutex<Option<String>>,
}

impl OwnFile {
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path, written: Mutex::default() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn write(&self, text: String) -> io::Result<()> {
        replace(&self.path, &text)?;
        *self.written.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
        Ok(())
    }
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        let written = self.written.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if written.is_some() && std::fs::read_to_string(&self.path).ok() == written {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
