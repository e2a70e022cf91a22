//! What a probe made, to be deleted when it ends.

use reqwest::Method;

use crate::cli::remote::Remote;

/// Paths of records below `/api/v1`, in the order in which they were made.
#[derive(Default)]
pub(super) struct Made {
    paths: Vec<String>,
}

impl Made {
    pub(super) fn add(&mut self, path: String) {
        self.paths.push(path);
    }

    /// Deletes the last records first, since they may belong to earlier ones; gives what could not be deleted.
    pub(super) async fn delete(self, remote: &mut Remote) -> Vec<String> {
        let mut left = vec![];
        for path in self.paths.into_iter().rev() {
            match remote.call(Method::DELETE, &path, None).await {
                // What went with another record is not found.
                Ok(answer) if answer.is_success() || answer.status == 404 => {}
                _ => left.push(path),
            }
        }
        left
    }
}
