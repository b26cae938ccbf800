//! Stanzas of one pair that wait for their stream: first in, first out, bounded in bytes, number and age.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::pinned::{Pinned, copied};
use crate::budget::account::{Account, Total};

/// Bounds of a queue, each for relayed stanzas. The engine's own answers have the same room once more, see
/// [`Queue::is_full_of_answers`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bounds {
    /// Sum of the stanzas' sizes.
    pub bytes: usize,
    /// Number of stanzas.
    pub stanzas: usize,
    /// Time in the queue.
    pub age: Duration,
}

/// Memory that a stanza holds beyond its bytes: its entry, and the allocator's overhead.
pub(crate) const STANZA_OVERHEAD: usize = 128;

/// A stanza and its time in the queue.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Waiting {
    /// When it was first queued; a stanza that returns from a broken stream keeps its time.
    pub since: Instant,
    /// It was sent on a stream that broke before the peer certainly had it.
    pub was_sent: bool,
    /// The stanza.
    pub stanza: Bytes,
    /// A stream ended, perhaps on this stanza: it is sent alone ([`poison`](super::poison)).
    pub suspect: bool,
    /// The engine's own answer to a stanza of the reverse pair.
    pub answer: bool,
}

/// Number and bytes of stanzas.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    stanzas: usize,
    bytes: usize,
}

impl Load {
    fn add(&mut self, waiting: &Waiting) {
        self.stanzas += 1;
        self.bytes += waiting.stanza.len();
    }

    fn remove(&mut self, waiting: &Waiting) {
        self.stanzas -= 1;
        self.bytes -= waiting.stanza.len();
    }

    fn is_below(&self, bounds: &Bounds) -> bool {
        self.stanzas < bounds.stanzas && self.bytes < bounds.bytes
    }
}

/// A bounded first-in-first-out queue. Order is the order of the pair (RFC 6120 §10.1).
#[derive(Debug, Default)]
pub struct Queue {
    entries: VecDeque<Waiting>,
    relayed: Load,
    answers: Load,
    /// The last entries, which may still be views into read buffers.
    pinned: Pinned,
    /// The memory that all of this holds.
    account: Account,
}

impl Queue {
    /// An empty queue that is counted in `total`.
    pub(crate) fn counted(total: &Total) -> Self {
        Self { account: total.account(), ..Self::default() }
    }

    /// The memory that the queue really holds.
    pub(crate) fn held(&self) -> usize {
        self.account.bytes()
    }

    fn count(&mut self) {
        let entries = self.entries.len().saturating_mul(STANZA_OVERHEAD);
        let bytes = self.relayed.bytes.saturating_add(self.answers.bytes);
        self.account.set(entries.saturating_add(bytes).saturating_add(self.pinned.excess()));
    }

    fn load(&mut self, waiting: &Waiting) -> &mut Load {
        if waiting.answer { &mut self.answers } else { &mut self.relayed }
    }

    /// Whether a relayed stanza of `size` bytes fits. A stanza always fits into an empty queue, so that a limit below
    /// the largest stanza cannot block a pair.
    pub fn has_room(&self, size: usize, bounds: &Bounds) -> bool {
        let Load { stanzas, bytes } = self.relayed;
        stanzas == 0 || (stanzas < bounds.stanzas && bytes.saturating_add(size) <= bounds.bytes)
    }

    /// So many answers wait for the receiver that no more of its own stanzas are read. Stanzas that the engine has
    /// already read are still answered: an answer takes the place of the stanza that it answers, and is not much
    /// larger.
    pub(crate) fn is_full_of_answers(&self, bounds: &Bounds) -> bool {
        !self.answers.is_below(bounds)
    }

    /// Answers wait.
    pub(crate) fn has_answers(&self) -> bool {
        self.answers.stanzas > 0
    }

    /// Appends a relayed stanza; the caller has checked [`Self::has_room`].
    pub fn push(&mut self, stanza: Bytes, now: Instant) {
        self.append(stanza, now, false);
    }

    /// Appends an answer, for which there is always room: the stream that causes answers is not read when there are too
    /// many.
    pub(crate) fn push_answer(&mut self, answer: Bytes, now: Instant) {
        self.append(answer, now, true);
    }

    fn append(&mut self, stanza: Bytes, since: Instant, answer: bool) {
        let due = self.pinned.add(&stanza);
        let waiting = Waiting { since, was_sent: false, stanza, suspect: false, answer };
        self.load(&waiting).add(&waiting);
        self.entries.push_back(waiting);
        self.copy_last(due);
        self.count();
    }

    /// Copies every stanza out of its read buffer, because they will wait. A queue that is emptied at once copies
    /// nothing. Any other queue keeps alive little more than a read buffer and a few times its own bytes.
    pub(crate) fn settle(&mut self) {
        let due = self.pinned.clear();
        self.copy_last(due);
        self.count();
    }

    /// Releases memory that only a longer queue needs.
    pub(crate) fn shrink(&mut self) {
        self.entries.shrink_to_fit();
    }

    fn copy_last(&mut self, count: usize) {
        for entry in self.entries.iter_mut().rev().take(count) {
            entry.stanza = copied(&entry.stanza);
        }
    }

    /// Moves stanzas from the front into `out`, `budget` bytes of them, at least one. If the first is a suspect, moves
    /// only suspects, `suspects` of them. Returns how many.
    pub fn take(
        &mut self,
        budget: usize,
        suspects: usize,
        out: &mut impl Extend<Waiting>,
    ) -> usize {
        let (mut taken, mut size) = (0, 0);
        let suspect = self.entries.front().is_some_and(|entry| entry.suspect);
        let most = if suspect { suspects.max(1) } else { usize::MAX };
        for entry in &self.entries {
            let fits =
                taken < most && entry.suspect == suspect && size + entry.stanza.len() <= budget;
            if taken > 0 && !fits {
                break;
            }
            size += entry.stanza.len();
            taken += 1;
        }
        for entry in self.entries.iter().take(taken) {
            let load = if entry.answer { &mut self.answers } else { &mut self.relayed };
            load.remove(entry);
        }
        out.extend(self.entries.drain(..taken));
        self.pinned.left(self.entries.len());
        self.count();
        taken
    }

    /// Returns stanzas to the front, in their order: the peer may not have them. They will wait, so they are copied.
    pub fn put_back(&mut self, taken: &mut Vec<Waiting>) {
        for waiting in taken.drain(..).rev() {
            self.load(&waiting).add(&waiting);
            let stanza = copied(&waiting.stanza);
            self.entries.push_front(Waiting { stanza, ..waiting });
        }
        self.count();
    }

    /// Removes and returns stanzas that have waited longer than the limit.
    pub fn take_expired(&mut self, now: Instant, bounds: &Bounds) -> Vec<Bytes> {
        let mut expired = Vec::new();
        while let Some(entry) = self
            .entries
            .pop_front_if(|entry| now.saturating_duration_since(entry.since) >= bounds.age)
        {
            self.load(&entry).remove(&entry);
            expired.push(entry.stanza);
        }
        self.pinned.left(self.entries.len());
        self.count();
        expired
    }

    /// Removes and returns the selected stanzas, in order; the rest keeps its order.
    pub(crate) fn extract(&mut self, chosen: impl Fn(&Waiting) -> bool) -> Vec<Bytes> {
        let mut extracted = Vec::new();
        self.entries.retain(|entry| {
            let stays = !chosen(entry);
            if !stays {
                let load = if entry.answer { &mut self.answers } else { &mut self.relayed };
                load.remove(entry);
                extracted.push(entry.stanza.clone());
            }
            stays
        });
        self.pinned.left(self.entries.len());
        self.count();
        extracted
    }

    /// When the oldest stanza reaches its age.
    pub fn next_expiry(&self, bounds: &Bounds) -> Option<Instant> {
        self.entries.front().and_then(|entry| entry.since.checked_add(bounds.age))
    }

    /// Removes and returns everything.
    pub fn drain(&mut self) -> Vec<Bytes> {
        (self.relayed, self.answers) = (Load::default(), Load::default());
        self.pinned.clear();
        let drained = self.entries.drain(..).map(|entry| entry.stanza).collect();
        self.count();
        drained
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::pinned::READ_BUFFER;
    use crate::route::pinned::testing::Alive;

    const BOUNDS: Bounds = Bounds { bytes: 10, stanzas: 3, age: Duration::from_mins(1) };

    fn filled(sizes: &[usize], now: Instant) -> Queue {
        let mut queue = Queue::default();
        for size in sizes {
            assert!(queue.has_room(*size, &BOUNDS));
            queue.push(Bytes::from(vec![b'x'; *size]), now);
        }
        queue
    }

    #[test]
    fn bounded_in_bytes_and_number_but_never_wedged() {
        let now = Instant::now();
        assert!(!filled(&[6], now).has_room(5, &BOUNDS));
        assert!(!filled(&[1, 1, 1], now).has_room(1, &BOUNDS));
        assert!(Queue::default().has_room(1_000, &BOUNDS));
    }

    #[test]
    fn answers_have_room_of_their_own_and_keep_their_place_in_the_order() {
        let now = Instant::now();
        let mut queue = filled(&[1, 1, 1], now);
        for size in [2, 3] {
            queue.push_answer(Bytes::from(vec![b'a'; size]), now);
        }
        assert!(!queue.has_room(1, &BOUNDS) && !queue.is_full_of_answers(&BOUNDS));
        queue.push_answer(Bytes::from_static(b"aaaa"), now);
        assert!(queue.is_full_of_answers(&BOUNDS), "three of them");
        let mut out = Vec::new();
        queue.take(4, 1, &mut out);
        assert!(queue.has_room(10, &BOUNDS) && queue.is_full_of_answers(&BOUNDS));
        queue.take(2, 1, &mut out);
        assert!(queue.has_answers() && !queue.is_full_of_answers(&BOUNDS));
        queue.put_back(&mut out);
        assert!(!queue.has_room(1, &BOUNDS) && queue.is_full_of_answers(&BOUNDS));
        assert_eq!(queue.extract(|waiting| waiting.stanza.len() == 4).len(), 1);
        assert!(!queue.is_full_of_answers(&BOUNDS));
        let lengths: Vec<_> = queue.drain().iter().map(Bytes::len).collect();
        assert_eq!(lengths, [1, 1, 1, 2, 3]);
        assert!(!queue.has_answers() && queue.has_room(10, &BOUNDS));
    }

    #[test]
    fn takes_in_order_within_the_budget_and_puts_back_in_order() {
        let now = Instant::now();
        let mut queue = filled(&[2, 3, 4], now);
        let mut out = Vec::new();
        assert_eq!(queue.take(5, 1, &mut out), 2);
        queue.put_back(&mut out);
        assert_eq!(queue.drain().iter().map(Bytes::len).collect::<Vec<_>>(), [2, 3, 4]);
        assert!(filled(&[9], now).take(1, 1, &mut out) == 1, "one stanza is always taken");
    }

    const LARGE: Bounds = Bounds { bytes: 1_000_000, stanzas: 10_000, age: Duration::from_mins(1) };

    #[test]
    fn small_stanzas_from_large_buffers_hold_little_more_than_is_counted() {
        let (now, alive) = (Instant::now(), Alive::default());
        let mut queue = Queue::default();
        let check = |queue: &mut Queue, shared: bool| {
            for _ in 0..2_000 {
                let buffer = alive.buffer();
                let other = if shared { alive.buffer() } else { Bytes::new() };
                queue.push(buffer.slice(1_000..1_100), now);
                if shared {
                    queue.push(other.slice(..100), now);
                    queue.push(buffer.slice(60_000..60_100), now);
                }
                // Two buffers that happen to be adjacent are treated as one.
                let bound = 2 * (READ_BUFFER + 2 * queue.relayed.bytes);
                assert!(alive.bytes() <= bound + 2 * READ_BUFFER, "{} alive", alive.bytes());
            }
        };
        check(&mut queue, false);
        check(&mut queue, true);
        let mut taken = Vec::new();
        assert!(queue.has_room(1, &LARGE) && queue.take(usize::MAX, 1, &mut taken) == 8_000);
        queue.push(alive.buffer().slice(..100), now);
        queue.put_back(&mut taken);
        queue.settle();
        assert_eq!((alive.bytes(), queue.relayed.bytes), (0, 800_100));
    }

    #[test]
    fn stanzas_that_come_back_are_copied() {
        let (now, alive) = (Instant::now(), Alive::default());
        let mut queue = Queue::default();
        queue.push(alive.buffer().slice(..100), now);
        let mut taken = Vec::new();
        queue.take(usize::MAX, 1, &mut taken);
        assert_eq!(alive.bytes(), READ_BUFFER, "what is written at once is not copied");
        queue.put_back(&mut taken);
        assert_eq!(alive.bytes(), 0);
    }

    #[test]
    fn a_stanza_that_comes_back_is_as_old_as_it_was() {
        let start = Instant::now();
        let mut queue = filled(&[1], start);
        let mut out = Vec::new();
        queue.take(1, 1, &mut out);
        queue.push(Bytes::from_static(b"yy"), start + Duration::from_secs(30));
        queue.put_back(&mut out);
        assert_eq!(queue.next_expiry(&BOUNDS), Some(start + Duration::from_mins(1)));
    }

    #[test]
    fn suspects_are_taken_apart_from_the_rest() {
        let mut queue = Queue::default();
        for size in 1..=6 {
            queue.push(Bytes::from(vec![b'x'; size]), Instant::now());
        }
        let mut out = Vec::new();
        queue.take(usize::MAX, 1, &mut out);
        out[1..5].iter_mut().for_each(|waiting| waiting.suspect = true);
        queue.put_back(&mut out);
        let mut lengths = |suspects| {
            queue.take(usize::MAX, suspects, &mut out);
            out.drain(..).map(|waiting| waiting.stanza.len()).collect::<Vec<_>>()
        };
        let taken = [lengths(1), lengths(1), lengths(2), lengths(2), lengths(1)];
        assert_eq!(taken, [vec![1], vec![2], vec![3, 4], vec![5], vec![6]]);
    }

    #[test]
    fn what_is_extracted_and_what_is_left_are_in_order_and_counted() {
        let mut queue = filled(&[1, 4, 2], Instant::now());
        let lengths = |stanzas: Vec<Bytes>| stanzas.iter().map(Bytes::len).collect::<Vec<_>>();
        assert_eq!(lengths(queue.extract(|waiting| waiting.stanza.len() < 3)), [1, 2]);
        assert_eq!(queue.relayed.bytes, 4);
        assert_eq!(lengths(queue.drain()), [4]);
    }

    #[test]
    fn expiry_takes_only_what_is_old() {
        let start = Instant::now();
        let mut queue = filled(&[1], start);
        queue.push(Bytes::from_static(b"yy"), start + Duration::from_secs(30));
        assert_eq!(queue.next_expiry(&BOUNDS), Some(start + Duration::from_mins(1)));
        assert_eq!(queue.take_expired(start + Duration::from_mins(1), &BOUNDS).len(), 1);
        assert!(!queue.is_empty());
    }
}
