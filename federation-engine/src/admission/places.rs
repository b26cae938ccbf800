//! Places for unauthenticated connections: which connections get one, which wait in the queue, and which make room. No
//! socket, no clock.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::source::Prefix;

/// Time after which a connection that has not opened a stream makes room for a waiting one. Every server opens its
/// stream at once; the network path and a TLS handshake take the time.
pub(super) const SILENCE: Duration = Duration::from_secs(3);

/// Bounds of [`Places`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Maximum connections of one source prefix.
    pub(super) per_source: usize,
    /// Maximum connections of all sources.
    pub(super) total: usize,
    /// The last places of `total`, which only sources without a connection get.
    pub(super) reserved: usize,
    /// Maximum connections of one source prefix that wait for a place.
    pub(super) line: usize,
    /// Maximum connections of all sources that wait.
    pub(super) all_lines: usize,
}

/// The result for a connection that arrives.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Arrival {
    /// It has a place.
    Admitted {
        /// Number of the connection that arrived.
        number: u64,
        /// The connection that must close for it.
        moves: Moves,
    },
    /// It waits until it is called.
    Waits {
        /// Number of the connection that arrived.
        number: u64,
        /// The connection that must close, of those that waited before it.
        moves: Moves,
    },
    /// There is no place.
    Refused,
}

/// Connections that lose their places, and connections that get them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Moves {
    /// They have not opened a stream and must close.
    pub(super) evicted: Vec<u64>,
    /// They were waiting and now have a place.
    pub(super) called: Vec<u64>,
}

#[derive(Debug, Default)]
struct Source {
    connections: usize,
    /// Connections that have not opened a stream, and their arrival; the oldest has the lowest number.
    silent: BTreeMap<u64, Instant>,
    /// Connections that wait.
    line: VecDeque<u64>,
}

/// Unauthenticated connections, by source.
#[derive(Debug, Default)]
pub(super) struct Places {
    sources: HashMap<Prefix, Source>,
    /// All connections that have not opened a stream.
    silent: BTreeMap<u64, Prefix>,
    total: usize,
    waiting: usize,
    next: u64,
}

impl Places {
    /// A connection arrives. If its source uses all of its places, the source's connections that have been silent for
    /// too long close; if there are none, the new connection waits in the queue. If the queue is full, the source's
    /// oldest silent connection closes, however young it is. If the process has no places left, the oldest silent
    /// connection of all sources closes. A connection that has opened a stream keeps its place: the negotiation timeout
    /// bounds it.
    pub(super) fn arrive(&mut self, prefix: Prefix, limits: &Limits, now: Instant) -> Arrival {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        let mut moves = self.make_room(prefix, limits, now, 1);
        let source = self.sources.get(&prefix);
        let own = source.map_or(0, |source| source.connections);
        let in_line = source.map_or(0, |source| source.line.len());
        if own >= limits.per_source || in_line > 0 {
            return self.wait(number, prefix, limits, moves, now);
        }
        let reserved = if own == 0 { 0 } else { limits.reserved };
        if self.total >= limits.total.saturating_sub(reserved) {
            let Some((oldest, of)) = self.silent.first_key_value() else { return Arrival::Refused };
            let (oldest, of) = (*oldest, *of);
            self.evict(oldest, of, &mut moves);
        }
        self.admit(number, prefix, now);
        Arrival::Admitted { number, moves }
    }

    fn wait(
        &mut self,
        number: u64,
        prefix: Prefix,
        limits: &Limits,
        mut moves: Moves,
        now: Instant,
    ) -> Arrival {
        let line = self.sources.get(&prefix).map_or(0, |source| source.line.len());
        if line >= limits.line || self.waiting >= limits.all_lines {
            let oldest =
                self.sources.get(&prefix).and_then(|source| source.silent.first_key_value());
            let Some(oldest) = oldest.map(|(oldest, _)| *oldest) else { return Arrival::Refused };
            self.evict(oldest, prefix, &mut moves);
            self.call(prefix, limits, &mut moves, now);
            if line == 0 {
                // The queues of others are full.
                self.admit(number, prefix, now);
                return Arrival::Admitted { number, moves };
            }
        }
        self.sources.entry(prefix).or_default().line.push_back(number);
        self.waiting += 1;
        Arrival::Waits { number, moves }
    }

    /// Time has passed: connections that have been silent for too long make room for waiting ones.
    pub(super) fn advance(&mut self, prefix: Prefix, limits: &Limits, now: Instant) -> Moves {
        self.make_room(prefix, limits, now, 0)
    }

    /// The same for the waiting connections and `arriving` more.
    fn make_room(
        &mut self,
        prefix: Prefix,
        limits: &Limits,
        now: Instant,
        arriving: usize,
    ) -> Moves {
        let mut moves = Moves::default();
        loop {
            self.call(prefix, limits, &mut moves, now);
            let Some(source) = self.sources.get(&prefix) else { break };
            let free = limits.per_source.saturating_sub(source.connections);
            let oldest = source.silent.first_key_value();
            let Some((oldest, since)) = oldest.filter(|_| source.line.len() + arriving > free)
            else {
                break;
            };
            if now.saturating_duration_since(*since) < SILENCE {
                break;
            }
            let oldest = *oldest;
            self.evict(oldest, prefix, &mut moves);
        }
        moves
    }

    /// Gives free places of a source to its waiting connections.
    fn call(&mut self, prefix: Prefix, limits: &Limits, moves: &mut Moves, now: Instant) {
        while self.total < limits.total
            && let Some(source) = self.sources.get_mut(&prefix)
            && source.connections < limits.per_source
            && let Some(number) = source.line.pop_front()
        {
            self.waiting = self.waiting.saturating_sub(1);
            self.admit(number, prefix, now);
            moves.called.push(number);
        }
    }

    fn admit(&mut self, number: u64, prefix: Prefix, now: Instant) {
        let source = self.sources.entry(prefix).or_default();
        source.connections += 1;
        source.silent.insert(number, now);
        self.silent.insert(number, prefix);
        self.total += 1;
    }

    fn evict(&mut self, number: u64, prefix: Prefix, moves: &mut Moves) {
        self.release(number, prefix);
        moves.evicted.push(number);
    }

    /// A connection has opened a stream.
    pub(super) fn heard(&mut self, number: u64, prefix: Prefix) {
        self.silent.remove(&number);
        if let Some(source) = self.sources.get_mut(&prefix) {
            source.silent.remove(&number);
        }
    }

    fn release(&mut self, number: u64, prefix: Prefix) {
        self.heard(number, prefix);
        let Some(source) = self.sources.get_mut(&prefix) else { return };
        source.connections = source.connections.saturating_sub(1);
        self.total = self.total.saturating_sub(1);
        if source.connections == 0 && source.line.is_empty() {
            self.sources.remove(&prefix);
        }
    }

    /// A connection is authenticated, or closed. Must not be called for an evicted one.
    pub(super) fn leave(
        &mut self,
        number: u64,
        prefix: Prefix,
        limits: &Limits,
        now: Instant,
    ) -> Moves {
        let mut moves = Moves::default();
        let line = self.sources.get_mut(&prefix).map(|source| &mut source.line);
        let waited = line.and_then(|line| {
            let at = line.iter().position(|waiting| *waiting == number)?;
            line.remove(at)
        });
        if waited.is_some() {
            self.waiting = self.waiting.saturating_sub(1);
            let empty = |source: &Source| source.connections == 0 && source.line.is_empty();
            if self.sources.get(&prefix).is_some_and(empty) {
                self.sources.remove(&prefix);
            }
        } else {
            self.release(number, prefix);
            self.call(prefix, limits, &mut moves, now);
        }
        moves
    }
}

#[cfg(test)]
mod tests;
