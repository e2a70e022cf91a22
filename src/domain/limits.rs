//! Sliding windows: how many times something may happen within some seconds.

use super::clock::UnixMs;
use super::environment::Limits;

/// The window of [`FailedAttempts`], in seconds: 24 hours.
pub const FAILED_ATTEMPTS_WINDOW_S: i64 = 86_400;

/// Times at which something happened lately, oldest first. Kept as text in one column.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecentTimes(Vec<UnixMs>);

impl RecentTimes {
    /// Reads the text form: milliseconds separated by commas. What is not a number is dropped.
    pub fn parse(text: &str) -> Self {
        Self(text.split(',').filter_map(|t| t.parse().ok()).collect())
    }

    pub fn to_text(&self) -> String {
        self.0.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }

    /// How many happened within the window that ends now.
    pub fn count(&self, now_ms: UnixMs, window_s: i64) -> usize {
        self.0.iter().filter(|t| **t > now_ms - window_s * 1000).count()
    }

    /// Adds now and forgets what has left the window.
    pub fn push(&mut self, now_ms: UnixMs, window_s: i64) {
        self.0.retain(|t| *t > now_ms - window_s * 1000);
        self.0.push(now_ms);
    }

    /// The latest of them, which need not be the last one added: clocks of tests move back.
    pub fn latest(&self) -> Option<UnixMs> {
        self.0.iter().max().copied()
    }

    /// Milliseconds until fewer than `limit` lie within the window; 0 when that is so already.
    pub fn wait_ms(&self, now_ms: UnixMs, window_s: i64, limit: usize) -> i64 {
        let inside: Vec<_> = self.0.iter().filter(|t| **t > now_ms - window_s * 1000).collect();
        match inside.len().checked_sub(limit) {
            None => 0,
            Some(over) => inside.get(over).map_or(0, |t| **t + window_s * 1000 - now_ms),
        }
    }

    /// Forgets what lies more than a window ahead: the clock was set back since, and people would be held up until it
    /// gets there again.
    pub fn forget_ahead(&mut self, now_ms: UnixMs, window_s: i64) {
        self.0.retain(|t| *t < now_ms + window_s * 1000);
    }
}

/// Codes of an address that were judged wrong within the last 24 hours, over all its sign-ins, as read. Judging a code
/// writes it back only if nobody else judged one meanwhile.
///
/// A time that lies ahead counts as well, and only time that passes forgets: a clock that is moved back opens nothing,
/// and one that is moved on opens what the days it skipped would have opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailedAttempts {
    /// `None`: no row yet.
    pub version: Option<i64>,
    pub times: RecentTimes,
}

impl FailedAttempts {
    /// May no further code of this address be judged? One attempt fewer than the limit is judged: a hundred guesses at
    /// a million codes would be right once in 10,000, and it has to stay below that.
    pub fn are_spent(&self, limits: &Limits, now_ms: UnixMs) -> bool {
        limits
            .failed_attempts_per_address
            .is_some_and(|limit| self.times.count(now_ms, FAILED_ATTEMPTS_WINDOW_S) + 1 >= limit as usize)
    }

    /// Counts one more.
    #[must_use]
    pub fn with_one_more(mut self, now_ms: UnixMs) -> Self {
        self.times.push(now_ms, FAILED_ATTEMPTS_WINDOW_S);
        self
    }

    /// When nothing of it counts any more.
    pub fn expire_at_ms(&self, now_ms: UnixMs) -> UnixMs {
        self.times.latest().unwrap_or(now_ms).max(now_ms) + FAILED_ATTEMPTS_WINDOW_S * 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_slides_and_tells_how_long_to_wait() {
        let mut times = RecentTimes::default();
        times.push(0, 60);
        times.push(20_000, 60);
        assert_eq!(times.count(20_000, 60), 2);
        assert_eq!(times.wait_ms(20_000, 60, 2), 40_000);
        assert_eq!(times.wait_ms(20_000, 60, 3), 0);
        assert_eq!(times.count(60_000, 60), 1);
        assert_eq!(times.wait_ms(60_000, 60, 2), 0);
        times.push(90_000, 60);
        assert_eq!(RecentTimes::parse(&times.to_text()), times);
        assert_eq!(times.to_text(), "90000");
    }

    #[test]
    fn times_far_ahead_hold_nobody_up_and_near_ones_count() {
        let mut times = RecentTimes::default();
        times.push(86_400_000, 60);
        times.forget_ahead(86_395_000, 60);
        assert_eq!(times.count(86_395_000, 60), 1, "another replica's clock is a little ahead");
        times.forget_ahead(0, 60);
        assert_eq!((times.count(0, 60), times.wait_ms(0, 60, 1)), (0, 0), "the clock was set back by a day");
    }
}
