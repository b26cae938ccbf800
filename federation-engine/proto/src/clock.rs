//! Points in time that cannot overflow.
//!
//! `Instant + Duration` panics when the sum cannot be represented, and many durations come from outside: from a peer,
//! from DNS, from a certificate, from the configuration. The lint `arithmetic_side_effects` forbids the operators for
//! both types in this crate; this module replaces them.

use std::time::{Duration, Instant};

/// Replaces a duration that no clock can add. Nothing here needs to wait longer.
const FAR: Duration = Duration::from_hours(24);

/// The instant `delay` after `at`; a day after it when that instant cannot be represented.
///
/// For the instants of the standard library and of tokio.
pub fn after<I: From<Instant> + Into<Instant>>(at: I, delay: Duration) -> I {
    let at: Instant = at.into();
    at.checked_add(delay).or_else(|| at.checked_add(FAR)).unwrap_or(at).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_of_any_length_gives_an_instant() {
        let now = Instant::now();
        assert_eq!(after(now, Duration::ZERO), now);
        assert_eq!(after(now, Duration::from_secs(30)), now + Duration::from_secs(30));
        for delay in [Duration::MAX, Duration::from_secs(u64::MAX), Duration::from_millis(u64::MAX)]
        {
            assert!(after(now, delay) >= now + FAR, "{delay:?}");
        }
    }
}
