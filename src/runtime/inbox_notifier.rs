//! Where emails wait and who is told about them.

use std::sync::Mutex;

use tokio::sync::watch;

use super::growing_ids::GrowingIds;
use crate::domain::limits::RecentSends;

/// Where emails wait and who is told about them.
#[derive(Default)]
pub struct InboxNotifier {
    /// Ids of emails.
    pub(super) message_ids: GrowingIds,
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
}
