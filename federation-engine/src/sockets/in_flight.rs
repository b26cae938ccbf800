//! Stanzas that were written to a connection and that the peer's TCP has not acknowledged yet: where each batch of them
//! ends in the bytes of the connection, and when to query the system for the peer's progress (the system does not
//! notify). Pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use s2s_proto::clock;

/// Bytes written since the last query that justify another one at once.
const ASK_BYTES: u64 = 64 * 1024;

/// Time from a write to the first query: longer than a receiver delays an acknowledgement (RFC 9293 §3.8.6.3).
const FIRST_ASK_INTERVAL: Duration = Duration::from_millis(50);

/// The same when nothing more can be sent until data is acknowledged.
const STALLED_ASK_INTERVAL: Duration = Duration::from_millis(5);

/// Maximum time between two queries without progress.
const MAX_ASK_INTERVAL: Duration = Duration::from_secs(1);

/// A part of the bytes of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Span {
    /// Bytes before it.
    pub(crate) start: u64,
    /// Bytes up to its end.
    pub(crate) end: u64,
}

/// Stanzas that were written together.
struct Batch {
    stanzas: usize,
    span: Span,
}

/// The stanzas, oldest first.
#[derive(Default)]
pub(crate) struct InFlight {
    batches: VecDeque<Batch>,
    stanzas: usize,
    /// Bytes of the connection that were written at the last query.
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

    /// Stanzas were written as this part of the connection.
    pub(crate) fn written(&mut self, stanzas: usize, span: Span, now: Instant) {
        self.batches.push_back(Batch { stanzas, span });
        self.stanzas += stanzas;
        if span.end.saturating_sub(self.asked) >= ASK_BYTES {
            self.ask_at = Some(now);
        } else if self.ask_at.is_none() {
            self.pause = FIRST_ASK_INTERVAL;
            self.ask_at = Some(clock::after(now, self.pause));
        }
    }

    /// The peer's TCP has this many bytes of the connection. Returns how many of the oldest stanzas are among them.
    pub(crate) fn acknowledged(&mut self, bytes: u64, now: Instant) -> usize {
        self.asked = self.batches.back().map_or(self.asked, |last| last.span.end);
        let mut stanzas = 0;
        while let Some(batch) = self.batches.pop_front_if(|batch| batch.span.end <= bytes) {
            stanzas += batch.stanzas;
        }
        self.stanzas -= stanzas;
        let longest = if self.is_stalled { FIRST_ASK_INTERVAL } else { MAX_ASK_INTERVAL };
        if stanzas > 0 {
            self.is_stalled = false;
            self.pause = FIRST_ASK_INTERVAL;
        } else {
            self.pause = self.pause.saturating_mul(2).min(longest);
        }
        self.ask_at = (self.stanzas > 0).then(|| clock::after(now, self.pause));
        stanzas
    }

    /// No more than `bytes` will be acknowledged. Returns how many of the oldest stanzas, which have these sizes, are
    /// certainly among them although the end of their batch is not. TLS adds to their sizes, and a record of up to
    /// `record` bytes is usable only as a whole.
    pub(crate) fn partly_acknowledged(
        &mut self,
        bytes: u64,
        record: u64,
        sizes: impl Iterator<Item = u64> + Clone,
    ) -> usize {
        let Some(batch) = self.batches.front_mut() else { return 0 };
        let sizes = sizes.take(batch.stanzas);
        let Span { start, end } = batch.span;
        let added = end.saturating_sub(start).saturating_sub(sizes.clone().sum());
        let mut at_most = start.saturating_add(added).saturating_add(record);
        let stanzas = sizes
            .take_while(|size| {
                at_most = at_most.saturating_add(*size);
                at_most <= bytes
            })
            .count();
        batch.stanzas -= stanzas;
        self.stanzas -= stanzas;
        stanzas
    }

    /// Nothing more is sent until data is acknowledged: the query is urgent.
    pub(crate) fn stalls(&mut self, now: Instant) {
        if self.stanzas == 0 || self.is_stalled {
            return;
        }
        self.is_stalled = true;
        self.pause = STALLED_ASK_INTERVAL;
        let soon = clock::after(now, self.pause);
        self.ask_at = Some(self.ask_at.map_or(soon, |at| at.min(soon)));
    }

    /// When to query the system; `None` while nothing is in flight.
    pub(crate) fn ask_at(&self) -> Option<Instant> {
        self.ask_at
    }

    /// Removes all of them: the stream itself has reported their result. Returns how many there were.
    pub(crate) fn clear(&mut self) -> usize {
        self.batches.clear();
        self.ask_at = None;
        self.is_stalled = false;
        std::mem::take(&mut self.stanzas)
    }

    /// Releases memory that only a busy stream needs.
    pub(crate) fn shrink(&mut self) {
        self.batches.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Up to there, from wherever.
    fn to(end: u64) -> Span {
        Span { start: 0, end }
    }

    #[test]
    fn of_a_batch_that_is_acknowledged_in_part_what_is_surely_there_counts() {
        let now = Instant::now();
        // Stanzas of 100 bytes each, in clear, or with 20 bytes of TLS and records of up to 150.
        for (record, added, bytes, expected) in [
            (0, 0, 1_099, 0),
            (0, 0, 1_100, 1),
            (0, 0, 1_299, 2),
            (150, 20, 1_269, 0),
            (150, 20, 1_270, 1),
            (150, 20, 1_319, 1),
        ] {
            let mut flight = InFlight::default();
            let span = Span { start: 1_000, end: 1_300 + added };
            flight.written(3, span, now);
            flight.written(1, Span { start: span.end, end: span.end + 100 }, now);
            let sizes = std::iter::repeat_n(100, 4);
            assert_eq!(flight.acknowledged(bytes, now), 0);
            assert_eq!(flight.partly_acknowledged(bytes, record, sizes), expected, "{bytes}");
            assert_eq!(flight.stanzas(), 4 - expected);
        }
    }

    #[test]
    fn a_batch_is_taken_over_when_its_last_byte_is() {
        let now = Instant::now();
        let mut flight = InFlight::default();
        flight.written(3, to(100), now);
        flight.written(2, to(250), now);
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
        flight.written(1, to(100), now);
        flight.written(1, to(200), now + Duration::from_millis(20));
        assert_eq!(flight.ask_at(), Some(now + FIRST_ASK_INTERVAL), "one question for both");
        for pause in [100, 200, 400, 800, 1_000, 1_000] {
            assert_eq!(flight.acknowledged(0, now), 0);
            assert_eq!(flight.ask_at(), Some(now + Duration::from_millis(pause)));
        }
        flight.acknowledged(100, now);
        assert_eq!(flight.ask_at(), Some(now + FIRST_ASK_INTERVAL));
        flight.written(1, to(199 + ASK_BYTES), now);
        assert_eq!(flight.ask_at(), Some(now + FIRST_ASK_INTERVAL));
        flight.written(1, to(200 + ASK_BYTES), now);
        assert_eq!(flight.ask_at(), Some(now));
        flight.acknowledged(100, now);
        flight.written(1, to(300 + ASK_BYTES), now);
        assert!(flight.ask_at().unwrap() > now, "a dead peer is not asked about with every write");
    }

    #[test]
    fn who_waits_for_room_asks_sooner_and_never_seldom() {
        let now = Instant::now();
        let mut flight = InFlight::default();
        flight.stalls(now);
        assert_eq!(flight.ask_at(), None, "nothing is in flight");
        flight.written(1, to(100), now);
        flight.stalls(now);
        assert_eq!(flight.ask_at(), Some(now + STALLED_ASK_INTERVAL));
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
        flight.written(4, to(100), now);
        assert_eq!((flight.clear(), flight.stanzas(), flight.ask_at()), (4, 0, None));
    }
}
