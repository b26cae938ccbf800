//! Stanzas that were written to a connection, and that the peer's TCP has not acknowledged yet: where each batch of them
//! ends in the bytes of the connection, and when to ask the system how far the peer has come (the system does not tell by
//! itself). Pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::clock;

/// Bytes written since the last question that are worth another one at once.
const ASK_BYTES: u64 = 64 * 1024;

/// From a write to the first question: longer than a receiver holds an acknowledgement back (RFC 9293 §3.8.6.3).
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The same when nothing more can be sent until something is acknowledged.
const STALLED_PAUSE: Duration = Duration::from_millis(5);

/// Longest time between two questions without news.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

struct Batch {
    stanzas: usize,
    /// Bytes of the connection up to its end.
    end: u64,
}

/// The stanzas, oldest first.
#[derive(Default)]
pub(crate) struct InFlight {
    batches: VecDeque<Batch>,
    stanzas: usize,
    /// Bytes of the connection that were written when the system was asked last.
    asked: u64,
    ask_at: Option<Instant>,
    pause: Duration,
    is_stalled: bool,
}

impl InFlight {
    /// How many there are.
    pub(crate) fn stanzas(&self) -> usize {
        self.stanzas
    }

    /// Stanzas were written; they end where `end` bytes of the connection are.
    pub(crate) fn written(&mut self, stanzas: usize, end: u64, now: Instant) {
        self.batches.push_back(Batch { stanzas, end });
        self.stanzas += stanzas;
        if end.saturating_sub(self.asked) >= ASK_BYTES {
            self.ask_at = Some(now);
        } else if self.ask_at.is_none() {
            self.pause = FIRST_PAUSE;
            self.ask_at = Some(clock::after(now, self.pause));
        }
    }

    /// The peer's TCP has so many bytes of the connection. Returns how many of the oldest stanzas are among them.
    pub(crate) fn acknowledged(&mut self, bytes: u64, now: Instant) -> usize {
        self.asked = self.batches.back().map_or(self.asked, |last| last.end);
        let mut stanzas = 0;
        while let Some(batch) = self.batches.pop_front_if(|batch| batch.end <= bytes) {
            stanzas += batch.stanzas;
        }
        self.stanzas -= stanzas;
        let longest = if self.is_stalled { FIRST_PAUSE } else { LONGEST_PAUSE };
        if stanzas > 0 {
            self.is_stalled = false;
            self.pause = FIRST_PAUSE;
        } else {
            self.pause = self.pause.saturating_mul(2).min(longest);
        }
        self.ask_at = (self.stanzas > 0).then(|| clock::after(now, self.pause));
        stanzas
    }

    /// Nothing more is sent until some are acknowledged: the question is urgent.
    pub(crate) fn stalls(&mut self, now: Instant) {
        if self.stanzas == 0 || self.is_stalled {
            return;
        }
        self.is_stalled = true;
        self.pause = STALLED_PAUSE;
        let soon = clock::after(now, self.pause);
        self.ask_at = Some(self.ask_at.map_or(soon, |at| at.min(soon)));
    }

    /// When to ask the system; `None` while nothing is in flight.
    pub(crate) fn ask_at(&self) -> Option<Instant> {
        self.ask_at
    }

    /// What became of all of them is known otherwise. Returns how many there were.
    pub(crate) fn clear(&mut self) -> usize {
        self.batches.clear();
        self.ask_at = None;
        self.is_stalled = false;
        std::mem::take(&mut self.stanzas)
    }

    /// Gives back memory that only a busy stream needs.
    pub(crate) fn shrink(&mut self) {
        self.batches.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_taken_over_when_its_last_byte_is() {
        let now = Instant::now();
        let mut flight = InFlight::default();
        flight.written(3, 100, now);
        flight.written(2, 250, now);
        for (bytes, stanzas, left) in [(99, 0, 5), (100, 3, 2), (249, 0, 2), (250, 2, 0)] {
            assert_eq!(flight.acknowledged(bytes, now), stanzas, "{bytes} bytes");
            assert_eq!(flight.stanzas(), left);
        }
        assert_eq!(flight.ask_at(), None);
    }

    #[test]
    fn the_system_is_asked_after_a_pause_that_grows_without_news_and_at_once_for_many_bytes() {
        let now = Instant::now();
        let mut flight = InFlight::default();
        flight.written(1, 100, now);
        flight.written(1, 200, now + Duration::from_millis(20));
        assert_eq!(flight.ask_at(), Some(now + FIRST_PAUSE), "one question for both");
        for pause in [100, 200, 400, 800, 1_000, 1_000] {
            assert_eq!(flight.acknowledged(0, now), 0);
            assert_eq!(flight.ask_at(), Some(now + Duration::from_millis(pause)));
        }
        flight.acknowledged(100, now);
        assert_eq!(flight.ask_at(), Some(now + FIRST_PAUSE));
        flight.written(1, 199 + ASK_BYTES, now);
        assert_eq!(flight.ask_at(), Some(now + FIRST_PAUSE));
        flight.written(1, 200 + ASK_BYTES, now);
        assert_eq!(flight.ask_at(), Some(now));
        flight.acknowledged(100, now);
        flight.written(1, 300 + ASK_BYTES, now);
        assert!(flight.ask_at().unwrap() > now, "a dead peer is not asked about with every write");
    }

    #[test]
    fn who_waits_for_room_asks_sooner_and_never_seldom() {
        let now = Instant::now();
        let mut flight = InFlight::default();
        flight.stalls(now);
        assert_eq!(flight.ask_at(), None, "nothing is in flight");
        flight.written(1, 100, now);
        flight.stalls(now);
        assert_eq!(flight.ask_at(), Some(now + STALLED_PAUSE));
        for pause in [10, 20, 40, 50, 50] {
            flight.acknowledged(0, now);
            flight.stalls(now);
            assert_eq!(flight.ask_at(), Some(now + Duration::from_millis(pause)));
        }
    }

    #[test]
    fn what_an_acknowledgement_of_the_stream_covers_is_forgotten() {
        let now = Instant::now();
        let mut flight = InFlight::default();
        flight.written(4, 100, now);
        assert_eq!((flight.clear(), flight.stanzas(), flight.ask_at()), (4, 0, None));
    }
}
