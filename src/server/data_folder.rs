//! The folder of the embedded database and of the local authority: nobody else may look in.

use std::io;
use std::path::{Path, PathBuf};

use super::{files, permissions};
use crate::config::Config;

/// The lock of the folder. Its text names the server that has the folder. It stays when that one ends; the lock on it does not.
pub(super) const LOCK_FILE: &str = "server.lock";

/// The file by which other commands find the server that runs.
pub(super) const STATE_FILE: &str = "server.json";

/// Keeps what is in the folder out of the application's repository.
const GITIGNORE: &str = ".gitignore";
const IGNORE_ALL: &str = "*\n";

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
    #[error(
        "the data folder {path} is in use by {holder}. Stop that server, or choose another folder with --data-dir, or \
         --ephemeral"
    )]
    InUse { path: PathBuf, holder: String },
}

/// Makes the data folder for its owner alone. One that exists is made so in development mode, and in production mode has
/// to be so already.
pub fn prepare(config: &Config) -> Result<(), DataFolderError> {
    let path = &config.data_dir;
    let unusable = |source| DataFolderError::Unusable { path: path.clone(), source };
    permissions::make_folder(path).map_err(unusable)?;
    let is_shared = holds_other_things(config).map_err(unusable)?;
    #[cfg(unix)]
    check_mode(config, is_shared)?;
    if !is_shared {
        // Where it cannot be written, the database cannot either, and says more.
        let _ = ignore_in_git(path);
    }
    Ok(())
}

#[cfg(unix)]
fn check_mode(config: &Config, is_shared: bool) -> Result<(), DataFolderError> {
    use std::os::unix::fs::PermissionsExt as _;

    use crate::domain::settings::Mode;

    /// In the mode of a folder that everybody may write to, such as /tmp.
    const STICKY: u32 = 0o1000;

    let path = &config.data_dir;
    let about = path.metadata().map_err(|source| DataFolderError::Unusable { path: path.clone(), source })?;
    let mode = about.permissions().mode() & 0o7777;
    let wanted = mode & if config.data_dir_group_access { 0o7770 } else { 0o7700 };
    if mode == wanted {
        return Ok(());
    }
    if config.environment.mode == Mode::Production {
        return Err(DataFolderError::Exposed { path: path.clone(), mode, wanted: wanted & 0o777 });
    }
    if is_shared || mode & STICKY != 0 {
        tracing::warn!(path = %path.display(), "others can read the data folder; it holds other things too, so it is left as it is");
    } else if let Err(error) = std::fs::set_permissions(path, std::fs::Permissions::from_mode(wanted)) {
        tracing::warn!(path = %path.display(), %error, "others can read the data folder, and its mode cannot be changed");
    }
    Ok(())
}

/// Is this a folder that others need too, such as a home or /tmp?
fn holds_other_things(config: &Config) -> io::Result<bool> {
    let ready_file = config.ready_file.as_ref().and_then(|path| path.file_name());
    for entry in config.data_dir.read_dir()? {
        let entry = entry?;
        let name = entry.file_name();
        let is_ours = name.to_string_lossy().starts_with("vestibule.db")
            || name == "tls"
            || name == LOCK_FILE
            || name == STATE_FILE
            || Some(name.as_os_str()) == ready_file
            || name == GITIGNORE
                && std::fs::read_to_string(entry.path()).is_ok_and(|text| text == IGNORE_ALL);
        if !is_ours {
            return Ok(true);
        }
    }
    Ok(false)
}

fn ignore_in_git(folder: &Path) -> io::Result<()> {
    let path = folder.join(GITIGNORE);
    files::create(&path, IGNORE_ALL)?;
    permissions::restrict_file(&path)
}

/// Makes the folder where there is none.
pub(super) fn make_where_missing(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    permissions::make_folder(path)?;
    ignore_in_git(path)
}

/// Removes a folder that was made here, where nothing is kept in it.
pub(super) fn remove_unused(path: &Path) {
    let names = path.read_dir().map(|entries| entries.map(|entry| entry.map(|e| e.file_name())).collect());
    let names: Vec<_> = names.unwrap_or_default();
    let is_unused = matches!(&names[..], [Ok(name)] if name == GITIGNORE);
    let ignore = path.join(GITIGNORE);
    if is_unused && std::fs::read_to_string(&ignore).is_ok_and(|text| text == IGNORE_ALL) {
        let _ = std::fs::remove_file(ignore);
        let _ = std::fs::remove_dir(path);
    }
}

/// Makes the files of a folder readable by their owner alone, whoever put them there.
pub fn keep_files_private(folder: &Path) -> io::Result<()> {
    for entry in folder.read_dir()? {
        permissions::restrict_file(&entry?.path())?;
    }
    Ok(())
}
