//! Files and folders are for their owner alone.
//!
//! On Unix their mode says so. Elsewhere they have the access that the folder above gives them, which in a home folder is
//! its owner's alone; it is neither checked nor changed.

#[cfg(not(unix))]
pub(super) use elsewhere::{make_folder, open_file, restrict_file, restrict_folder, temporary_folder};
#[cfg(unix)]
pub(super) use unix::{make_folder, open_file, restrict_file, restrict_folder, temporary_folder};

#[cfg(unix)]
mod unix {
    use std::fs::{DirBuilder, File, OpenOptions, Permissions};
    use std::io;
    use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
    use std::path::Path;

    /// Makes a folder that only its owner may look into, with those above it. One that exists stays as it is.
    pub(in crate::server) fn make_folder(path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    /// A folder for its owner alone that is deleted when it is dropped.
    pub(in crate::server) fn temporary_folder() -> io::Result<tempfile::TempDir> {
        tempfile::Builder::new().prefix("vestibule-").permissions(Permissions::from_mode(0o700)).tempdir()
    }

    /// Opens a file to read and write, and makes it for its owner alone where it is missing.
    pub(in crate::server) fn open_file(path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
    }

    /// Takes a file from everybody but its owner, whoever put it there.
    pub(in crate::server) fn restrict_file(path: &Path) -> io::Result<()> {
        if path.metadata()?.permissions().mode() & 0o077 == 0 {
            return Ok(());
        }
        std::fs::set_permissions(path, Permissions::from_mode(0o600))
    }

    /// The same for a folder.
    pub(in crate::server) fn restrict_folder(path: &Path) -> io::Result<()> {
        std::fs::set_permissions(path, Permissions::from_mode(0o700))
    }
}

#[cfg(not(unix))]
mod elsewhere {
    use std::fs::{File, OpenOptions};
    use std::io;
    use std::path::Path;

    pub(in crate::server) fn make_folder(path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }

    pub(in crate::server) fn temporary_folder() -> io::Result<tempfile::TempDir> {
        tempfile::Builder::new().prefix("vestibule-").tempdir()
    }

    pub(in crate::server) fn open_file(path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
    }

    pub(in crate::server) fn restrict_file(_: &Path) -> io::Result<()> {
        Ok(())
    }

    pub(in crate::server) fn restrict_folder(_: &Path) -> io::Result<()> {
        Ok(())
    }
}
