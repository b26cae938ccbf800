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

/// The same while streams with little to do are served as well: a stanza of theirs waits for a turn of others at each of the
/// four streams that take it to the backend and bring the answer.
const BRIEF_TURN_TIME: Duration = Duration::from_micros(200);

/// A stream with little to do has less work than this in a turn: it reads and writes once or twice.
const LITTLE_WORK: usize = 4 * WORK_PER_LOOK;

/// Turns of a worker that are brief after it learned about such a stream.
const BRIEF_TURNS: u8 = 64;

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
    static TURN: Cell<Turn> = const { Cell::new(Turn::LONG) };
    /// What this thread knows about streams with little to do.
    static OTHERS: Cell<Others> = const { Cell::new(Others { known: 0, brief_turns: 0 }) };
}

#[derive(Clone, Copy)]
struct Turn {
    /// When the clock was read first.
    began: Option<Instant>,
    /// Work since it was read last.
    work: usize,
    /// Work since the beginning.
    total: usize,
    /// At most [`BRIEF_TURN_TIME`].
    is_brief: bool,
    /// Its stream has used it up, and has more to do.
    is_used_up: bool,
}

/// Whether streams with little to do are served besides those with much.
#[derive(Clone, Copy)]
struct Others {
    /// The count of their turns.
    known: usize,
    /// The turns that will be brief because of them.
    brief_turns: u8,
}

impl Others {
    /// A turn begins; there have been `count` turns of streams with little to do. True if it should be brief.
    const fn begin(&mut self, count: usize) -> bool {
        if self.known != count {
            self.known = count;
            self.brief_turns = BRIEF_TURNS;
        }
        self.brief_turns > 0
    }

    /// A stream has used up its turn.
    const fn used_up(&mut self) {
        self.brief_turns = self.brief_turns.saturating_sub(1);
    }
}

impl Turn {
    /// At its beginning.
    const LONG: Self = Self { began: None, work: 0, total: 0, is_brief: false, is_used_up: false };

    /// Its stream had something to do, but not much.
    const fn had_little_to_do(self) -> bool {
        self.total > 0 && self.total < LITTLE_WORK
    }

    /// Counts work. True if the turn is over.
    fn is_over_after(&mut self, work: Work, clock: impl FnOnce() -> Instant) -> bool {
        let time = if self.is_brief { BRIEF_TURN_TIME } else { TURN_TIME };
        let (work, time) = match work {
            Work::Element(bytes) => (bytes.saturating_add(ELEMENT_WORK), time),
            Work::Input => (WORK_PER_LOOK, time),
            Work::Portion => (WORK_PER_LOOK, TURN_TIME_WITHIN_ELEMENT),
        };
        self.total = self.total.saturating_add(work);
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
    // True after a turn that was used up: the rest of its work does not count as little.
    let mut continues = false;
    poll_fn(move |cx| {
        let mut others = OTHERS.get();
        let is_brief = others.begin(count::read());
        OTHERS.set(others);
        TURN.set(Turn { is_brief, ..Turn::LONG });
        let polled = stream.as_mut().poll(cx);
        let turn = TURN.get();
        if turn.had_little_to_do() && !continues {
            count::add();
        }
        continues = turn.is_used_up;
        polled
    })
}

/// The turns of streams with little to do, of all threads.
#[cfg(not(test))]
mod count {
    use std::sync::atomic::{AtomicUsize, Ordering};

    static COUNT: AtomicUsize = AtomicUsize::new(0);

    pub(super) fn read() -> usize {
        COUNT.load(Ordering::Relaxed)
    }

    pub(super) fn add() {
        COUNT.fetch_add(1, Ordering::Relaxed);
    }
}

/// Of one thread, so that tests do not disturb each other.
#[cfg(test)]
mod count {
    use std::cell::Cell;

    thread_local! {
        static COUNT: Cell<usize> = const { Cell::new(0) };
    }

    pub(super) fn read() -> usize {
        COUNT.get()
    }

    pub(super) fn add() {
        COUNT.set(COUNT.get() + 1);
    }
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
    TURN.set(Turn { is_used_up: true, ..Turn::LONG });
    let mut others = OTHERS.get();
    others.used_up();
    OTHERS.set(others);
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
        let (begin, mut turn) = (Instant::now(), Turn::LONG);
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

    #[test]
    fn turns_are_brief_while_streams_with_little_to_do_are_served() {
        let (begin, mut turn) = (Instant::now(), Turn { is_brief: true, ..Turn::LONG });
        assert!(!turn.is_over_after(Work::Input, || begin));
        assert!(turn.is_over_after(Work::Input, || begin + BRIEF_TURN_TIME));

        let mut others = Others { known: 0, brief_turns: 0 };
        assert!(!others.begin(0), "none so far");
        for count in [1, 2] {
            assert!(others.begin(count));
            for _ in 0..BRIEF_TURNS {
                assert!(others.begin(count));
                others.used_up();
            }
            assert!(!others.begin(count), "they have ended");
        }
        let after = |total| Turn { total, ..Turn::LONG }.had_little_to_do();
        assert_eq!([0, 1, LITTLE_WORK].map(after), [false, true, false]);
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
