//! The time that a stream may take before all others have their turn.
//!
//! A stream whose peer sends at full speed always has data to read. Without this bound, the runtime would let it
//! continue for 128 reads, which is 8 MiB of input. A turn is one poll of the stream's task by the runtime.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::thread;
use std::time::{Duration, Instant};

use tokio::task::yield_now;

/// Maximum time of a turn, up to the next time that the clock is read. Shorter turns cost throughput: with 0.3 ms, the
/// engine relayed 0.93 times as many stanzas of 200 bytes.
pub(crate) const TURN_TIME: Duration = Duration::from_millis(1);

/// The same within an element of several portions. Such elements are few, and some are expensive to parse.
const TURN_TIME_WITHIN_ELEMENT: Duration = Duration::from_micros(200);

/// Work after which the clock is read again, in bytes of input. At the highest cost of a byte, the scanner needs less
/// than a tenth of a millisecond for it.
const WORK_PER_LOOK: usize = 4 * 1024;

/// Work for each element beyond its bytes: to find the way of its pair, and to queue it.
const ELEMENT_WORK: usize = 256;

/// Work of a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    /// A read or write of its connection, or a part of its negotiation.
    Input,
    /// A portion of a large element.
    Portion,
    /// An element of this many bytes.
    Element(usize),
}

thread_local! {
    /// The turn of the task that this thread polls.
    static TURN: Cell<Turn> = const { Cell::new(Turn { began: None, work: 0 }) };
}

#[derive(Clone, Copy)]
struct Turn {
    /// When the clock was read first.
    began: Option<Instant>,
    /// Work since it was read last.
    work: usize,
}

impl Turn {
    /// Counts work. True if the turn is over.
    fn is_over_after(&mut self, work: Work, clock: impl FnOnce() -> Instant) -> bool {
        let (work, time) = match work {
            Work::Element(bytes) => (bytes.saturating_add(ELEMENT_WORK), TURN_TIME),
            Work::Input => (WORK_PER_LOOK, TURN_TIME),
            Work::Portion => (WORK_PER_LOOK, TURN_TIME_WITHIN_ELEMENT),
        };
        self.work = self.work.saturating_add(work);
        if self.work < WORK_PER_LOOK {
            return false;
        }
        self.work = 0;
        let now = clock();
        let began = *self.began.get_or_insert(now);
        now.saturating_duration_since(began) >= time
    }
}

/// Runs a stream. A turn begins whenever the runtime polls it. The stream is pinned by the caller, because an `async fn`
/// would reserve space for it twice.
pub(crate) fn taking_turns<T>(
    mut stream: Pin<&mut impl Future<Output = T>>,
) -> impl Future<Output = T> {
    poll_fn(move |cx| {
        TURN.set(Turn { began: None, work: 0 });
        stream.as_mut().poll(cx)
    })
}

/// Counts work of the stream that this thread polls. True if its turn is over.
pub(crate) fn is_over_after(work: Work) -> bool {
    let mut turn = TURN.get();
    let over = turn.is_over_after(work, clock);
    TURN.set(turn);
    over
}

/// Lets other streams have their turn. Wakes this task after the runtime has polled for input of other streams.
///
/// Lets another thread run first. A worker of the runtime that has input may wait for this thread's processor, and a thread
/// that does not block keeps it up to the next tick of the kernel, which is 4 ms with 250 ticks a second.
pub(crate) async fn pass() {
    TURN.set(Turn { began: None, work: 0 });
    thread::yield_now();
    yield_now().await;
}

#[cfg(not(test))]
fn clock() -> Instant {
    Instant::now()
}

#[cfg(test)]
use testing::clock;

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    thread_local! {
        static TICKS: Cell<u32> = const { Cell::new(0) };
        static TICK: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    }

    /// On this thread, each reading of the clock takes this long in addition.
    pub(crate) fn slow_clock(tick: Duration) {
        TICK.set(tick);
    }

    pub(super) fn clock() -> Instant {
        TICKS.set(TICKS.get() + 1);
        Instant::now() + TICK.get() * TICKS.get()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[test]
    fn the_clock_is_read_after_some_work_and_decides() {
        let (begin, mut turn) = (Instant::now(), Turn { began: None, work: 0 });
        let unread = || unreachable!("after so little work");
        let almost = Work::Element(WORK_PER_LOOK - ELEMENT_WORK - 1);
        assert!(!turn.is_over_after(almost, unread));
        assert!(!turn.is_over_after(Work::Element(0), || begin), "the turn begins");
        assert!(!turn.is_over_after(almost, unread));
        assert!(!turn.is_over_after(Work::Input, || begin + TURN_TIME / 2));
        assert!(turn.is_over_after(Work::Input, || begin + TURN_TIME));
        assert!(!turn.is_over_after(Work::Portion, || begin + TURN_TIME_WITHIN_ELEMENT / 2));
        assert!(turn.is_over_after(Work::Portion, || begin + TURN_TIME_WITHIN_ELEMENT));
    }

    #[tokio::test]
    async fn every_poll_of_a_stream_begins_a_turn() {
        testing::slow_clock(TURN_TIME);
        let stream = pin!(async {
            let mut turns = 0;
            for _ in 0..3 {
                assert!(!is_over_after(Work::Input));
                assert!(is_over_after(Work::Input));
                // Not by `pass`: any wait ends the turn.
                yield_now().await;
                turns += 1;
            }
            turns
        });
        assert_eq!(taking_turns(stream).await, 3);
    }
}
