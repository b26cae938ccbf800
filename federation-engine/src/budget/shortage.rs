//! Whether the process lacks memory for longer than a moment. Pure: time is an argument.

use std::time::{Duration, Instant};

/// Time for which the budget must be exhausted without a break before that is reported: a burst of large stanzas ends
/// sooner.
const REPORT_AFTER: Duration = Duration::from_secs(5);
/// Time without exhaustion after which it is no longer reported.
const CLEAR_AFTER: Duration = Duration::from_secs(30);

const MIB: usize = 1024 * 1024;

/// The least memory limit that leaves room for connections beside the memory that the process needs itself, in whole MiB.
pub(crate) fn minimum(process: usize) -> usize {
    process.saturating_mul(2).div_ceil(MIB).saturating_mul(MIB)
}

/// What the checks of the budget have found.
#[derive(Debug, Default)]
pub(crate) struct Shortage {
    /// Since when each check has found the budget exhausted.
    since: Option<Instant>,
    /// When a check that counts found it exhausted last.
    last: Option<Instant>,
}

impl Shortage {
    /// Adds the result of a check, and returns whether to report a shortage.
    pub(crate) fn check(&mut self, is_exhausted: bool, now: Instant) -> bool {
        if is_exhausted {
            let since = *self.since.get_or_insert(now);
            if now.saturating_duration_since(since) >= REPORT_AFTER {
                self.last = Some(now);
            }
        } else {
            self.since = None;
        }
        self.last = self.last.filter(|last| now.saturating_duration_since(*last) < CLEAR_AFTER);
        self.last.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_without_memory_is_no_shortage_and_a_shortage_ends_some_time_after_it() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut shortage = Shortage::default();
        assert!(!shortage.check(true, at(0)));
        assert!(!shortage.check(true, at(4)));
        assert!(!shortage.check(false, at(5)));
        assert!(!shortage.check(true, at(6)), "the time begins again");
        assert!(shortage.check(true, at(11)));
        assert!(shortage.check(false, at(39)));
        assert!(shortage.check(true, at(40)), "a moment does not extend it");
        assert!(!shortage.check(false, at(41)));
    }

    #[test]
    fn the_least_limit_is_in_whole_mebibytes() {
        assert_eq!(minimum(16 * MIB), 32 * MIB);
        assert_eq!(minimum(16 * MIB + 1), 33 * MIB);
    }
}
