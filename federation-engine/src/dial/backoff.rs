//! Truncated exponential back-off with full jitter (RFC 6120 §3.3). Pure; chance is an argument.

use std::time::Duration;

/// Upper bound of the first delay.
const FIRST: Duration = Duration::from_secs(2);
/// Upper bound of every delay.
const LONGEST: Duration = Duration::from_mins(5);

/// How long to wait before the next attempt at one peer. Fresh after every success.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Notes a failure and draws the delay: anything from nothing to a bound that doubles up to five minutes, so that
    /// peers who lost us at the same moment do not come back at the same moment. `random(n)` returns 0 to n inclusive.
    pub fn after_failure(&mut self, random: &mut impl FnMut(u64) -> u64) -> Duration {
        let bound = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let millis = u64::try_from(bound.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(random(millis).min(millis))
    }

    /// A stream was established: the next failure starts from the beginning.
    pub fn reset(&mut self) {
        *self = Self::default();
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
}
