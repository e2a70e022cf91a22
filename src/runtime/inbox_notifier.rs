//! Where emails wait and who is told about them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use tokio::sync::watch;

use crate::domain::clock::UnixMs;
use crate::domain::entropy::Entropy;
use crate::domain::ids::{IdKind, new_id};
use crate::domain::limits::RecentSends;

/// Where emails wait and who is told about them.
#[derive(Default)]
pub struct InboxNotifier {
    /// Number of the last email's id: ids grow even within a millisecond, so that "newest first" holds.
    last_message: AtomicI64,
    /// Changes with every email stored by this process; those who wait for one watch it.
    pub inbox_changed: watch::Sender<u64>,
    /// Emails that the sign-in pages sent lately, for the limits per source and in all.
    pub recent_sends: Mutex<RecentSends>,
}

impl InboxNotifier {
    /// Tells those who wait.
    pub fn notify_waiters(&self) {
        self.inbox_changed.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// An id for an email, greater than every earlier one of this process.
    pub(super) fn new_message_id(&self, time_ms: UnixMs, entropy: &dyn Entropy) -> String {
        let fresh = new_id(IdKind::Message, time_ms, entropy);
        let wanted: i64 = fresh.rsplit('_').next().and_then(|digits| digits.parse().ok()).unwrap_or_default();
        let last = self.last_message.fetch_max(wanted, Ordering::SeqCst);
        if wanted > last {
            fresh
        } else {
            format!("msg_{:019}", self.last_message.fetch_add(1, Ordering::SeqCst) + 1)
        }
    }
}
