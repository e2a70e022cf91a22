//! The embedded database: its file, and how it is opened.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyConnection, AnyPool, ConnectOptions as _, Error};

use super::{StoreError, is_damaged};

/// Durability as the WAL gives it: a crash of the process loses nothing, a power cut at most the last commits.
const SETTINGS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON; \
    PRAGMA temp_store = MEMORY; PRAGMA cache_size = -2000;";

/// Everything but this is escaped in the path of a URL.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_');

/// Makes the database file where it is missing, for its owner alone, and opens it for the one who writes.
pub(super) async fn open(path: &Path) -> Result<(AnyConnectOptions, AnyConnection), StoreError> {
    keep_private(path)
        .map_err(|error| StoreError::CannotOpen { path: path.to_owned(), source: Error::Io(error) })?;
    let url = format!("sqlite://{}", utf8_percent_encode(&path.to_string_lossy(), PLAIN));
    let options: AnyConnectOptions = url.parse()?;
    let opened = async {
        let mut connection = connect(&options).await?;
        // Only now is anything of the file read.
        sqlx::raw_sql("PRAGMA table_list").execute(&mut connection).await?;
        Ok(connection)
    };
    match opened.await {
        Ok(connection) => Ok((options, connection)),
        Err(Error::Database(db)) if is_damaged(db.code().as_deref()) => {
            Err(StoreError::DamagedFile { path: path.to_owned(), source: Error::Database(db) })
        }
        Err(source) => Err(StoreError::CannotOpen { path: path.to_owned(), source }),
    }
}

/// One more connection to a database that exists.
pub(super) async fn connect(options: &AnyConnectOptions) -> Result<AnyConnection, Error> {
    let mut connection = options.connect().await?;
    set_up(&mut connection).await?;
    Ok(connection)
}

/// One connection, as a pool of sqlx's.
pub(super) fn pool_of_one(options: AnyConnectOptions) -> AnyPool {
    AnyPoolOptions::new()
        .max_connections(1)
        .after_connect(|connection, _| Box::pin(set_up(connection)))
        .connect_lazy_with(options)
}

async fn set_up(connection: &mut AnyConnection) -> Result<(), Error> {
    sqlx::raw_sql(SETTINGS).execute(connection).await.map(|_| ())
}

/// Makes the database file, where it is missing, and whatever is left beside it, readable by its owner alone. SQLite gives
/// the files that it makes beside a database the mode of the database.
#[cfg(unix)]
fn keep_private(path: &Path) -> io::Result<()> {
    use std::fs::Permissions;
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};

    /// Mode of a file that its owner alone may read.
    const PRIVATE: u32 = 0o600;

    OpenOptions::new().create(true).append(true).mode(PRIVATE).open(path)?;
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let Ok(about) = std::fs::metadata(&name) else { continue };
        if about.permissions().mode() & 0o777 != PRIVATE {
            // Some file systems have no modes, and a file of another owner keeps its own: the folder is what counts there.
            if let Err(error) = std::fs::set_permissions(&name, Permissions::from_mode(PRIVATE)) {
                tracing::warn!(file = %Path::new(&name).display(), %error, "others may be able to read the database");
            }
        }
    }
    Ok(())
}

/// Makes the database file where it is missing, with the access that its folder gives.
#[cfg(not(unix))]
fn keep_private(path: &Path) -> io::Result<()> {
    OpenOptions::new().create(true).append(true).open(path).map(drop)
}
