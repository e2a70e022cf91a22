//! Files that are read while somebody waits, on threads that may wait for a disk.

use std::io;
use std::path::Path;

use tokio::io::AsyncReadExt as _;

/// Reads a file that is one: no pipe or device, which might never end, and nothing beyond a size.
///
/// # Errors
/// `NotFound`, what the system says, and `InvalidInput` for anything that is no file or too large.
pub async fn read(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    // Asked before it is opened: opening a pipe waits for whoever writes into it.
    if !tokio::fs::metadata(path).await?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut bytes = vec![];
    tokio::fs::File::open(path).await?.take(max_bytes + 1).read_to_end(&mut bytes).await?;
    if bytes.len() as u64 > max_bytes {
        let text = format!("it is larger than {max_bytes} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    Ok(bytes)
}
