//! Limits the log lines that remote hosts cause, per source and for the process. A source is a prefix of addresses, a
//! pair of domains, or the part of a library that writes the lines. Time is an argument.

use std::hash::Hash;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use lru::LruCache;

use crate::source::Prefix;

/// Maximum lines at once, and the time after which there may be another one.
#[derive(Clone, Copy, Debug)]
struct Rate {
    burst: u32,
    interval: Duration,
}

/// For one source.
const PER_SOURCE: Rate = Rate { burst: 10, interval: Duration::from_secs(5) };

/// For all sources.
const PER_PROCESS: Rate = Rate { burst: 200, interval: Duration::from_millis(50) };

/// Maximum sources remembered. A removed source starts afresh; the limit of the process applies to it all the same.
const MAX_SOURCES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1_023);

/// A token bucket.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: u32,
    /// Up to when tokens were added.
    filled: Instant,
}

impl Bucket {
    fn full(rate: Rate, now: Instant) -> Self {
        Self { tokens: rate.burst, filled: now }
    }

    fn fill(&mut self, rate: Rate, now: Instant) {
        let passed = now.saturating_duration_since(self.filled);
        let intervals = passed.as_nanos() / rate.interval.as_nanos().max(1);
        let new = u32::try_from(intervals).unwrap_or(u32::MAX);
        self.tokens = self.tokens.saturating_add(new);
        if self.tokens >= rate.burst {
            *self = Self::full(rate, now);
        } else if let Some(filled) = self.filled.checked_add(rate.interval.saturating_mul(new)) {
            self.filled = filled;
        }
    }
}

/// Decides which lines are written.
#[derive(Debug)]
pub(crate) struct Limiter<S: Hash + Eq = Prefix> {
    sources: LruCache<S, Bucket>,
    process: Option<Bucket>,
    omitted: u64,
}

impl<S: Hash + Eq> Default for Limiter<S> {
    fn default() -> Self {
        Self { sources: LruCache::new(MAX_SOURCES), process: None, omitted: 0 }
    }
}

impl<S: Hash + Eq> Limiter<S> {
    /// Whether a line about this source is written now. If so, returns how many lines about any source were omitted
    /// since the last one that was written.
    pub(crate) fn admit(&mut self, source: S, now: Instant) -> Option<u64> {
        let process = self.process.get_or_insert_with(|| Bucket::full(PER_PROCESS, now));
        process.fill(PER_PROCESS, now);
        let bucket = self.sources.get_or_insert_mut(source, || Bucket::full(PER_SOURCE, now));
        bucket.fill(PER_SOURCE, now);
        if process.tokens == 0 || bucket.tokens == 0 {
            self.omitted = self.omitted.saturating_add(1);
            return None;
        }
        process.tokens -= 1;
        bucket.tokens -= 1;
        Some(std::mem::take(&mut self.omitted))
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn source(second: u8, third: u8) -> Prefix {
        Prefix::from(IpAddr::from([198, second, third, 1]))
    }

    #[test]
    fn a_source_that_causes_many_lines_gets_few_and_the_rest_is_counted() {
        let (start, mut limiter) = (Instant::now(), Limiter::default());
        let mut written = 0;
        // 1,000 a second for one minute.
        for millisecond in 0..60_000 {
            let now = start + Duration::from_millis(millisecond);
            written += u64::from(limiter.admit(source(18, 1), now).is_some());
        }
        assert!((20..=23).contains(&written), "{written}");
        let now = start + Duration::from_mins(1);
        let omitted = limiter.admit(source(18, 2), now).unwrap();
        assert!(omitted > 1_000, "another source is not affected, and names the rest: {omitted}");
        assert_eq!(limiter.admit(source(18, 2), now), Some(0));
    }

    #[test]
    fn nothing_is_lost_from_the_count() {
        let (start, mut limiter) = (Instant::now(), Limiter::default());
        let (mut written, mut omitted) = (0, 0);
        for step in 0..5_000_u64 {
            if let Some(left_out) =
                limiter.admit(source(18, 1), start + Duration::from_millis(step))
            {
                written += 1;
                omitted += left_out;
            }
        }
        assert_eq!(written + omitted + limiter.omitted, 5_000);
    }

    #[test]
    fn many_sources_together_are_bounded_in_lines_and_memory() {
        let (now, mut limiter) = (Instant::now(), Limiter::default());
        let all = (0..20).flat_map(|second| (0..=255).map(move |third| source(second, third)));
        let written = all.filter(|prefix| limiter.admit(*prefix, now).is_some()).count();
        assert_eq!(written, 200);
        assert_eq!(limiter.sources.len(), MAX_SOURCES.get());
        let later = now + Duration::from_secs(1);
        let again = (0..=255).filter(|third| limiter.admit(source(30, *third), later).is_some());
        assert_eq!(again.count(), 20);
    }

    #[test]
    fn a_clock_that_stands_still_or_jumps_does_no_harm() {
        let (now, mut limiter) = (Instant::now(), Limiter::default());
        for _ in 0..10 {
            assert!(limiter.admit(source(18, 1), now).is_some());
        }
        assert!(limiter.admit(source(18, 1), now).is_none());
        let later = now + Duration::from_hours(100_000);
        assert!(limiter.admit(source(18, 1), later).is_some());
        assert!(limiter.admit(source(18, 1), now).is_some(), "time does not run backwards");
    }
}
