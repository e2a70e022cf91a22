//! How many files the process may have open: every connection is one, and many systems allow 1,024 unless asked.

use super::connections::Limits;

/// Files that a server has open beside its connections: databases, listeners, certificates, calls to other servers.
const OTHER_FILES: u64 = 1024;

/// Raises the limit to what all connections need, as far as the system lets a process do that for itself, and warns where
/// that is not far enough. Windows has no such limit.
pub fn raise_limit(limits: &Limits) {
    let connections = limits.connections as u64;
    match rlimit::increase_nofile_limit(connections + OTHER_FILES) {
        Ok(allowed) => {
            if let Some(text) = shortage(allowed, connections) {
                tracing::warn!("{text}");
            }
        }
        Err(error) => tracing::warn!(%error, "the limit of open files cannot be raised"),
    }
}

/// What is said where fewer files are allowed than connections need.
fn shortage(allowed: u64, connections: u64) -> Option<String> {
    let needed = connections + OTHER_FILES;
    (allowed < needed).then(|| {
        format!(
            "the system lets this process open {allowed} files, and {connections} connections need {needed}: when they \
             run out, new connections wait. Raise the hard limit (ulimit -Hn, LimitNOFILE= of systemd, ulimits of a container)"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_limit_below_what_connections_need_is_told() {
        assert_eq!(shortage(5120, 4096), None);
        assert!(shortage(5119, 4096).unwrap().contains("open 5119 files, and 4096 connections need 5120"));
    }
}
