//! Ctrl-C, after which what was made is still deleted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::bail;
use tokio::signal::ctrl_c;

use crate::cli::progress;

/// What a shell tells of a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// Whether somebody pressed Ctrl-C. The call that runs then is finished, so that what it makes is known.
pub(super) struct Interruption {
    has_happened: Arc<AtomicBool>,
}

impl Interruption {
    /// From now on the first one only notes that it happened; the second one ends the program.
    pub(super) fn listen() -> Self {
        let has_happened = Arc::new(AtomicBool::new(false));
        tokio::spawn(watch(Arc::clone(&has_happened)));
        Self { has_happened }
    }

    pub(super) fn has_happened(&self) -> bool {
        self.has_happened.load(Ordering::Relaxed)
    }

    /// Refuses to go on after it.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        if self.has_happened() {
            bail!("interrupted");
        }
        Ok(())
    }
}

async fn watch(has_happened: Arc<AtomicBool>) {
    if ctrl_c().await.is_err() {
        return;
    }
    has_happened.store(true, Ordering::Relaxed);
    let _ = progress::note("deleting what was made; Ctrl-C again leaves it there");
    if ctrl_c().await.is_ok() {
        std::process::exit(INTERRUPTED);
    }
}
