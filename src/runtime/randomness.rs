//! Where an environment's random bytes, and the times in its ids, come from.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::ServerState;
use super::growing_ids::GrowingIds;
use crate::crypto::entropy::SeededEntropy;
use crate::domain::clock::UnixMs;
use crate::domain::entropy::Entropy;

/// Where an environment's random bytes come from.
pub struct Randomness {
    pub(super) entropy: Arc<dyn Entropy>,
    /// Seed and number of resets, where a seed makes it repeatable.
    repeats: Option<(String, i64)>,
    /// Takes the place of time in repeatable ids; else the time in the last one.
    ids: AtomicI64,
    /// Ids of events. A reset, which deletes them, begins anew where they have to repeat.
    pub(super) event_ids: GrowingIds,
}

impl Randomness {
    pub(super) fn new(server: &ServerState, seed: Option<&String>, resets: i64) -> Self {
        let entropy: Arc<dyn Entropy> = match seed {
            Some(seed) => Arc::new(SeededEntropy::new(seed)),
            None => server.entropy.clone(),
        };
        Self {
            entropy,
            repeats: seed.map(|s| (s.clone(), resets)),
            ids: AtomicI64::new(0),
            event_ids: GrowingIds::default(),
        }
    }

    pub(super) fn is_for(&self, seed: Option<&String>, resets: i64) -> bool {
        match (&self.repeats, seed) {
            (None, None) => true,
            (Some((ours, ours_resets)), Some(seed)) => ours == seed && *ours_resets == resets,
            _ => false,
        }
    }

    /// The time that a new id carries: a counter, where ids have to repeat. Ids of one moment count on, so that of two
    /// records the one that was made later has the greater id, also while the clock stands still.
    pub(super) fn id_time_ms(&self, now_ms: UnixMs) -> UnixMs {
        /// 2026-01-01T00:00:00Z
        const FIRST_MS: UnixMs = 1_767_225_600_000;
        /// How far behind the last id the clock has to be, to have been set back.
        const SET_BACK_MS: i64 = 60_000;
        let next = |last_ms: UnixMs| {
            let is_behind = (last_ms - SET_BACK_MS..=last_ms).contains(&now_ms);
            if is_behind { last_ms + 1 } else { now_ms }
        };
        match self.repeats {
            None => {
                let counted =
                    self.ids.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |last| Some(next(last)));
                next(counted.unwrap_or_default())
            }
            Some(_) => FIRST_MS + self.ids.fetch_add(1, Ordering::SeqCst),
        }
    }
}
