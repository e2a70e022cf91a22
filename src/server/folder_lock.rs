//! One server at a time on an embedded database. Two would each hold what the other changed for unchanged: clock,
//! settings, and who waits for an email.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;

use super::data_folder::{DataFolderError, LOCK_FILE};
use super::permissions;

/// Longest text of it that is shown, in bytes.
const MAX_SHOWN: u64 = 500;

/// The right to serve from a folder. It ends when this is dropped, and with the process, however that ends.
#[derive(Debug)]
pub(super) struct FolderLock(#[expect(dead_code, reason = "the lock is held while the file is open")] File);

impl FolderLock {
    /// Locks a folder for the server that `holder` describes: its process, address and start.
    pub(super) fn take(folder: &Path, holder: &str) -> Result<Self, DataFolderError> {
        let unusable = |source| DataFolderError::Unusable { path: folder.to_owned(), source };
        let path = folder.join(LOCK_FILE);
        let mut file = permissions::open_file(&path).map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = described(&mut file);
                return Err(DataFolderError::InUse { path: folder.to_owned(), holder });
            }
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                tracing::warn!(path = %folder.display(), "the file system knows no locks: see to it that no other server uses this data folder");
            }
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        permissions::restrict_file(&path).map_err(unusable)?;
        file.set_len(0).and_then(|()| file.write_all(holder.as_bytes())).map_err(unusable)?;
        Ok(Self(file))
    }
}

/// Who has the lock. Windows lets nobody read a locked file.
fn described(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.take(MAX_SHOWN).read_to_string(&mut text));
    if read.is_ok() && !text.is_empty() { text } else { "another server".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_for_one_at_a_time_and_free_again_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let first = FolderLock::take(folder.path(), "process 1, a long description").unwrap();
        let refused = FolderLock::take(folder.path(), "process 2").unwrap_err().to_string();
        assert!(refused.contains("process 1, a long description"), "{refused}");
        drop(first);
        let _second = FolderLock::take(folder.path(), "process 2").unwrap();
        let refused = FolderLock::take(folder.path(), "process 3").unwrap_err().to_string();
        assert!(refused.contains("process 2.") && !refused.contains("process 1"), "{refused}");
    }
}
