//! Token buckets. Pure; time is an argument.

use std::time::{Duration, Instant};

/// A token bucket: a maximum number of tokens, and a new one at every interval.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    pub(crate) burst: u32,
    pub(crate) interval: Duration,
}

/// The state of a bucket, kept as the time at which it is full again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket(Instant);

impl Bucket {
    /// A full bucket.
    pub(crate) fn full(now: Instant) -> Self {
        Self(now)
    }

    /// No token is missing.
    pub(crate) fn is_full(self, now: Instant) -> bool {
        self.0 <= now
    }

    /// The bucket after one more token is taken, and how long to wait for that token.
    pub(crate) fn after_one(self, rate: Rate, now: Instant) -> Option<(Self, Duration)> {
        let full = self.0.max(now).checked_add(rate.interval)?;
        let missing = full.saturating_duration_since(now);
        let wait = missing.saturating_sub(rate.interval.saturating_mul(rate.burst));
        Some((Self(full), wait))
    }
}
