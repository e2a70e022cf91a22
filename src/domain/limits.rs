//! Limits: how many times something may happen within some seconds, as sliding windows, and how large headers may be.

use std::collections::VecDeque;

use super::clock::UnixMs;
use super::settings::Limits;
use super::source_address::SourceAddress;

/// Most bytes of names and values of all headers of a request together, over HTTP and gRPC alike.
pub const MAX_HEADER_BYTES: usize = 32 * 1024;

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

    /// Forgets what lies more than a window ahead: the clock was set back since, and users would be held up until it
    /// gets there again.
    pub fn forget_ahead(&mut self, now_ms: UnixMs, window_s: i64) {
        self.0.retain(|t| *t < now_ms + window_s * 1000);
    }
}

/// Which limit holds an email back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailLimit {
    Address,
    Source,
    Total,
}

impl MailLimit {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Source => "source",
            Self::Total => "total",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Address, Self::Source, Self::Total].into_iter().find(|limit| limit.as_str() == text)
    }

    /// The name of its setting.
    pub fn setting(self) -> &'static str {
        match self {
            Self::Address => "limits.mails_per_address",
            Self::Source => "limits.mails_per_source",
            Self::Total => "limits.mails_in_all",
        }
    }
}

/// Most sends that [`RecentSends`] remembers: also the highest limit that can be set.
pub const MAX_RECENT_SENDS: usize = 10_000;

/// Emails that strangers caused lately, by where they came from, oldest first.
#[derive(Debug, Default)]
pub struct RecentSends(VecDeque<(UnixMs, Option<SourceAddress>)>);

impl RecentSends {
    /// Counts one more, or says which limit forbids it, and for how many seconds.
    pub fn try_push(
        &mut self,
        source: Option<SourceAddress>,
        limits: &Limits,
        now_ms: UnixMs,
    ) -> Result<(), (MailLimit, i64)> {
        let window_ms = limits.mails_window_s * 1000;
        // A clock that was set back holds nobody up either.
        self.0.retain(|(at_ms, _)| (now_ms - window_ms + 1..now_ms + window_ms).contains(at_ms));
        let of_source = || self.0.iter().filter(|(_, s)| source.is_some() && *s == source);
        // How long until fewer than `limit` of those that count lie within the window.
        let wait_s = |count: usize, limit: Option<u32>, nth: &dyn Fn(usize) -> Option<UnixMs>| {
            let over = count.checked_sub(limit? as usize)?;
            Some(((nth(over)? + window_ms - now_ms) + 999) / 1000)
        };
        let nth_of_source = |n| of_source().nth(n).map(|(at_ms, _)| *at_ms);
        if let Some(wait_s) = wait_s(of_source().count(), limits.mails_per_source, &nth_of_source) {
            return Err((MailLimit::Source, wait_s));
        }
        let nth = |n| self.0.get(n).map(|(at_ms, _)| *at_ms);
        if let Some(wait_s) = wait_s(self.0.len(), limits.mails_in_all, &nth) {
            return Err((MailLimit::Total, wait_s));
        }
        if self.0.len() >= MAX_RECENT_SENDS {
            self.0.pop_front();
        }
        self.0.push_back((now_ms, source));
        Ok(())
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
    pub fn is_exhausted(&self, limits: &Limits, now_ms: UnixMs) -> bool {
        limits
            .failed_attempts_per_address
            .is_some_and(|limit| self.times.count(now_ms, FAILED_ATTEMPTS_WINDOW_S) + 1 >= limit as usize)
    }

    /// Seconds until one is judged again.
    pub fn wait_s(&self, limits: &Limits, now_ms: UnixMs) -> i64 {
        let judged = limits.failed_attempts_per_address.unwrap_or_default().saturating_sub(1);
        (self.times.wait_ms(now_ms, FAILED_ATTEMPTS_WINDOW_S, judged as usize) + 999) / 1000
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

    fn limits(mails_per_source: Option<u32>, mails_in_all: Option<u32>) -> Limits {
        Limits {
            code_attempts: 5,
            code_attempts_window_s: 600,
            mails_per_address: None,
            mails_window_s: 60,
            mails_per_source,
            mails_in_all,
            failed_attempts_per_address: None,
            auth_request_lifetime_s: 3600,
        }
    }

    #[test]
    fn a_source_and_all_sources_together_get_so_many_mails_in_a_window() {
        let limits = limits(Some(2), Some(3));
        let source = |n: u8| Some(SourceAddress::from(std::net::IpAddr::from([192, 0, 2, n])));
        let mut sends = RecentSends::default();
        assert_eq!(sends.try_push(source(1), &limits, 0), Ok(()));
        assert_eq!(sends.try_push(source(1), &limits, 20_000), Ok(()));
        assert_eq!(sends.try_push(source(1), &limits, 20_500), Err((MailLimit::Source, 40)));
        assert_eq!(sends.try_push(source(2), &limits, 21_000), Ok(()));
        assert_eq!(sends.try_push(source(3), &limits, 21_000), Err((MailLimit::Total, 39)));
        assert_eq!(sends.try_push(source(1), &limits, 60_000), Ok(()), "the first one left the window");
        assert_eq!(sends.try_push(source(4), &limits, -86_400_000), Ok(()), "the clock was set back");
    }

    #[test]
    fn what_is_remembered_of_sends_is_bounded() {
        let limits = limits(None, None);
        let mut sends = RecentSends::default();
        for n in 0..u32::try_from(MAX_RECENT_SENDS).unwrap() + 10 {
            let source = std::net::IpAddr::from(n.to_be_bytes());
            assert_eq!(sends.try_push(Some(source.into()), &limits, 0), Ok(()));
        }
        assert_eq!(sends.0.len(), MAX_RECENT_SENDS);
    }
}
