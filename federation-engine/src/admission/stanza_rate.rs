//! Limits how fast a stream may send stanzas (`peers[].limits.stanzasPerSecond`). Pure; time is an argument.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use s2s_proto::clock;

/// Divisor of a second: minimum time for which a stream that was too fast is not read, so that it is not woken for
/// every stanza.
const PAUSES_PER_SECOND: u32 = 10;

/// A token bucket that holds the stanzas of one second, kept as the time at which it is full again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StanzaRate {
    interval: Duration,
    full: Instant,
}

impl StanzaRate {
    /// A full bucket.
    pub(crate) fn new(per_second: NonZeroU32, now: Instant) -> Self {
        let interval = Duration::from_secs(1).checked_div(per_second.get()).unwrap_or_default();
        Self { interval, full: now }
    }

    /// When the next stanza may be read, if not now.
    pub(crate) fn pause(&self, now: Instant) -> Option<Instant> {
        let missing = self.full.saturating_duration_since(now).saturating_add(self.interval);
        let excess = missing.saturating_sub(Duration::from_secs(1));
        let shortest = (Duration::from_secs(1) / PAUSES_PER_SECOND).max(self.interval);
        (!excess.is_zero()).then(|| clock::after(now, excess.max(shortest)))
    }

    /// Whether it allows fewer stanzas, or as many.
    pub(crate) fn is_slower_than(&self, other: &Self) -> bool {
        self.interval >= other.interval
    }

    /// A stanza was read.
    pub(crate) fn take(&mut self, now: Instant) {
        self.full = clock::after(self.full.max(now), self.interval);
    }

    /// Discards the stanzas of a pause that was not made.
    pub(crate) fn forgive(&mut self, now: Instant) {
        if let Some(pause) = self.pause(now) {
            let forgiven = pause.saturating_duration_since(now);
            self.full = self.full.checked_sub(forgiven).unwrap_or(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads as fast as it may for a time; returns the stanzas read and the pauses made.
    fn read(per_second: u32, time: Duration) -> (u32, u32) {
        let start = Instant::now();
        let mut rate = StanzaRate::new(NonZeroU32::new(per_second).unwrap(), start);
        let (mut now, mut stanzas, mut pauses) = (start, 0, 0);
        while now < start + time {
            if let Some(until) = rate.pause(now) {
                now = until;
                pauses += 1;
            } else {
                rate.take(now);
                stanzas += 1;
            }
        }
        (stanzas, pauses)
    }

    #[test]
    fn a_second_at_once_and_then_as_many_in_each_second() {
        let ten = Duration::from_secs(10);
        for per_second in [1, 7, 100, 10_000] {
            let (stanzas, pauses) = read(per_second, ten);
            assert!((per_second * 10..=per_second * 11 + 1).contains(&stanzas), "{stanzas}");
            assert!(pauses <= 101, "{pauses} pauses");
        }
    }

    #[test]
    fn a_pause_that_is_not_made_counts_as_often_as_one_that_is() {
        let now = Instant::now();
        let mut rate = StanzaRate::new(NonZeroU32::new(100).unwrap(), now);
        let mut pauses = 0;
        for _ in 0..200 {
            if rate.pause(now).is_some() {
                rate.forgive(now);
                pauses += 1;
                assert_eq!(rate.pause(now), None);
            }
            rate.take(now);
        }
        assert!((8..=12).contains(&pauses), "{pauses}");
    }
}
