//! Sliding windows: how many times something may happen within some seconds.

use super::clock::UnixMs;

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
