//! The folder of the embedded database and of the local authority: nobody else may look in.

use std::fs::{DirBuilder, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::domain::environment::Mode;

/// In the mode of a folder that everybody may write to, such as /tmp.
const STICKY: u32 = 0o1000;

#[derive(Debug, thiserror::Error)]
pub enum DataFolderError {
    #[error("cannot use the data folder {path}: {source}")]
    Unusable { path: PathBuf, source: io::Error },
    #[error(
        "others can read the data folder {path} (mode {mode:04o}), where keys are kept. Run `chmod {wanted:o} {path}`, \
         or set data_dir to a new folder below it. For a volume whose mode cannot be changed and whose group may read \
         it, set data_dir_group_access = true"
    )]
    Exposed { path: PathBuf, mode: u32, wanted: u32 },
}

/// Makes the data folder for its owner alone. One that exists is made so in development mode, and in production mode has
/// to be so already.
pub fn prepare(config: &Config) -> Result<(), DataFolderError> {
    let path = &config.data_dir;
    let unusable = |source| DataFolderError::Unusable { path: path.clone(), source };
    make_private(path).map_err(unusable)?;
    let about = path.metadata().map_err(unusable)?;
    let mode = about.permissions().mode() & 0o7777;
    let wanted = mode & if config.data_dir_group_access { 0o7770 } else { 0o7700 };
    if mode == wanted {
        return Ok(());
    }
    if config.environment.mode == Mode::Production {
        return Err(DataFolderError::Exposed { path: path.clone(), mode, wanted: wanted & 0o777 });
    }
    if holds_other_things(config, &about).map_err(unusable)? {
        tracing::warn!(path = %path.display(), "others can read the data folder; it holds other things too, so it is left as it is");
    } else if let Err(error) = std::fs::set_permissions(path, Permissions::from_mode(wanted)) {
        tracing::warn!(path = %path.display(), %error, "others can read the data folder, and its mode cannot be changed");
    }
    Ok(())
}

/// Is this a folder that others need too, such as a home or /tmp?
fn holds_other_things(config: &Config, about: &Metadata) -> io::Result<bool> {
    if about.permissions().mode() & STICKY != 0 {
        return Ok(true);
    }
    let ready_file = config.ready_file.as_ref().and_then(|path| path.file_name());
    for entry in config.data_dir.read_dir()? {
        let name = entry?.file_name();
        let is_database = name.to_string_lossy().starts_with("vestibule.db");
        if !is_database && name != "tls" && Some(name.as_os_str()) != ready_file {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Makes a folder that only its owner may look into, with those above it. One that exists stays as it is.
pub fn make_private(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes the files of a folder readable by their owner alone, whoever put them there.
pub fn keep_files_private(folder: &Path) -> io::Result<()> {
    for entry in folder.read_dir()? {
        let entry = entry?;
        if entry.metadata()?.permissions().mode() & 0o077 != 0 {
            std::fs::set_permissions(entry.path(), Permissions::from_mode(0o600))?;
        }
    }
    Ok(())
}

/// A folder for its owner alone that is deleted when it is dropped.
pub fn temporary() -> io::Result<tempfile::TempDir> {
    tempfile::Builder::new().prefix("vestibule-").permissions(Permissions::from_mode(0o700)).tempdir()
}
