//! Truncated exponential back-off with full jitter (RFC 6120 §3.3). Pure; chance is an argument.

use std::time::Duration;

/// Delay before the next attempt at one target. Reset after every success.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Default for Backoff {
    /// Delays of up to 2 s at first and of up to 5 min at last.
    fn default() -> Self {
        Self::new(Duration::from_secs(2), Duration::from_mins(5))
    }
}

impl Backoff {
    /// The upper bounds of the first delay and of every delay.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failures: 0 }
    }

    /// Notes a failure and draws the delay: between zero and a bound that doubles up to the maximum, so that peers that
    /// lost us at the same moment do not reconnect at the same moment. `random(n)` returns 0 to n inclusive.
    pub fn after_failure(&mut self, random: &mut impl FnMut(u64) -> u64) -> Duration {
        let bound = self.bound_after_failure();
        let millis = u64::try_from(bound.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(random(millis).min(millis))
    }

    /// Notes a failure. Returns the bound itself, without jitter: a single client needs none.
    pub fn bound_after_failure(&mut self) -> Duration {
        let bound = self.first.saturating_mul(1 << self.failures.min(16)).min(self.longest);
        self.failures = self.failures.saturating_add(1);
        bound
    }

    /// An attempt succeeded: the next failure starts from the beginning.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Failures since the last success.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc6120_3_3_the_bound_doubles_up_to_five_minutes_and_starts_anew_after_success() {
        let mut backoff = Backoff::default();
        let mut bounds = |n: usize| -> Vec<u64> {
            (0..n).map(|_| backoff.after_failure(&mut |bound| bound).as_secs()).collect()
        };
        assert_eq!(bounds(10), [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(bounds(100).last(), Some(&300));
        backoff.reset();
        assert_eq!(backoff.after_failure(&mut |bound| bound), Duration::from_secs(2));
        assert_eq!(backoff.failures(), 1);
    }

    #[test]
    fn the_delay_is_drawn_from_the_whole_range() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.after_failure(&mut |_| 0), Duration::ZERO);
        assert_eq!(backoff.after_failure(&mut |_| 1234), Duration::from_millis(1234));
    }
    #[test]
    fn bounds_are_given_and_the_bound_itself_has_no_jitter() {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(15));
        let mut bounds =
            || -> Vec<u128> { (0..7).map(|_| backoff.bound_after_failure().as_millis()).collect() };
        assert_eq!(bounds(), [500, 1000, 2000, 4000, 8000, 15_000, 15_000]);
        backoff.reset();
        assert_eq!(backoff.bound_after_failure(), Duration::from_millis(500));
    }
}
