//! Ids by which "newer than" can be asked.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::domain::clock::UnixMs;
use crate::domain::entropy::Entropy;
use crate::domain::ids::{IdKind, new_id};

/// Ids that grow even within a millisecond and when a clock is set back, so that "newest first" holds.
#[derive(Default)]
pub(super) struct GrowingIds {
    /// Number of the last one.
    last: AtomicI64,
}

impl GrowingIds {
    /// An id greater than every earlier one of this process.
    pub(super) fn next(&self, kind: IdKind, time_ms: UnixMs, entropy: &dyn Entropy) -> String {
        let fresh = new_id(kind, time_ms, entropy);
        let wanted: i64 = fresh.rsplit('_').next().and_then(|digits| digits.parse().ok()).unwrap_or_default();
        let last = self.last.fetch_max(wanted, Ordering::SeqCst);
        if wanted > last {
            fresh
        } else {
            format!("{}_{:019}", kind.prefix(), self.last.fetch_add(1, Ordering::SeqCst) + 1)
        }
    }
}
