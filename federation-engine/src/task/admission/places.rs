//! Places for connections that are not authenticated, and who makes room for a newcomer. No socket, no clock.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::source::Prefix;

/// Bounds of [`Places`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections of one source prefix.
    pub(super) per_source: usize,
    /// Connections of all sources.
    pub(super) total: usize,
    /// The last of `total`, which only sources without a connection get.
    pub(super) reserved: usize,
}

/// What becomes of a connection that arrives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Arrival {
    /// It has a place. The connection named by `evicted` must end for it.
    Admitted {
        /// Of the connection that arrived.
        number: u64,
        /// Of the oldest connection that has not opened a stream.
        evicted: Option<u64>,
    },
    /// There is no place.
    Refused,
}

#[derive(Debug, Default)]
struct Source {
    connections: usize,
    /// Those that have not opened a stream; the oldest has the lowest number.
    silent: BTreeSet<u64>,
}

/// Connections that are not authenticated, by source.
#[derive(Debug, Default)]
pub(super) struct Places {
    sources: HashMap<Prefix, Source>,
    /// All that have not opened a stream.
    silent: BTreeMap<u64, Prefix>,
    total: usize,
    next: u64,
}

impl Places {
    /// A connection arrives. A source that has all its places gives up its own oldest silent connection; when the process
    /// has none left, the oldest silent one of all makes room. A connection that has opened a stream keeps its place: it
    /// is bounded by the time for the negotiation.
    pub(super) fn arrive(&mut self, prefix: Prefix, limits: &Limits) -> Arrival {
        let source = self.sources.get(&prefix);
        let own = source.map_or(0, |source| source.connections);
        let reserved = if own == 0 { 0 } else { limits.reserved };
        let available = limits.total.saturating_sub(reserved);
        let evicted = if own >= limits.per_source {
            match source.and_then(|source| source.silent.first()) {
                Some(oldest) => Some(*oldest),
                None => return Arrival::Refused,
            }
        } else if self.total >= available {
            match self.silent.keys().next() {
                Some(oldest) => Some(*oldest),
                None => return Arrival::Refused,
            }
        } else {
            None
        };
        if let Some((oldest, of)) = evicted.and_then(|number| self.silent.get_key_value(&number)) {
            let (oldest, of) = (*oldest, *of);
            self.heard(oldest, of);
            self.leave(oldest, of);
        }
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        let source = self.sources.entry(prefix).or_default();
        source.connections += 1;
        source.silent.insert(number);
        self.silent.insert(number, prefix);
        self.total += 1;
        Arrival::Admitted { number, evicted }
    }

    /// A connection has opened a stream.
    pub(super) fn heard(&mut self, number: u64, prefix: Prefix) {
        self.silent.remove(&number);
        if let Some(source) = self.sources.get_mut(&prefix) {
            source.silent.remove(&number);
        }
    }

    /// A connection is authenticated, or gone. Not to be called for one that was evicted.
    pub(super) fn leave(&mut self, number: u64, prefix: Prefix) {
        self.silent.remove(&number);
        let Some(source) = self.sources.get_mut(&prefix) else { return };
        source.silent.remove(&number);
        source.connections = source.connections.saturating_sub(1);
        self.total = self.total.saturating_sub(1);
        if source.connections == 0 {
            self.sources.remove(&prefix);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    const LIMITS: Limits = Limits { per_source: 3, total: 8, reserved: 2 };

    fn prefix(third: u8) -> Prefix {
        Prefix::from(IpAddr::from([198, 18, third, 1]))
    }

    fn number(arrival: Arrival) -> u64 {
        match arrival {
            Arrival::Admitted { number, .. } => number,
            Arrival::Refused => panic!("refused"),
        }
    }

    #[test]
    fn silent_connections_never_lock_their_source_out() {
        let mut places = Places::default();
        let first: Vec<_> = (0..3).map(|_| number(places.arrive(prefix(1), &LIMITS))).collect();
        // Renewed again and again: each newcomer still gets a place, and the oldest goes.
        for round in 0..100 {
            let Arrival::Admitted { number, evicted } = places.arrive(prefix(1), &LIMITS) else {
                panic!("refused")
            };
            assert_eq!(evicted, Some(first[0] + round));
            assert_eq!((number, places.total), (first[2] + round + 1, 3));
        }
    }

    #[test]
    fn a_connection_that_has_opened_a_stream_keeps_its_place() {
        let mut places = Places::default();
        let open: Vec<_> = (0..2).map(|_| number(places.arrive(prefix(1), &LIMITS))).collect();
        for number in &open {
            places.heard(*number, prefix(1));
        }
        let silent = number(places.arrive(prefix(1), &LIMITS));
        let arrival = places.arrive(prefix(1), &LIMITS);
        assert!(matches!(arrival, Arrival::Admitted { evicted: Some(gone), .. } if gone == silent));
        places.heard(number(arrival), prefix(1));
        assert_eq!(places.arrive(prefix(1), &LIMITS), Arrival::Refused);
        places.leave(open[0], prefix(1));
        assert!(matches!(
            places.arrive(prefix(1), &LIMITS),
            Arrival::Admitted { evicted: None, .. }
        ));
    }

    #[test]
    fn the_last_places_are_for_sources_that_have_none() {
        let mut places = Places::default();
        for third in 1..=2 {
            for _ in 0..3 {
                let number = number(places.arrive(prefix(third), &LIMITS));
                places.heard(number, prefix(third));
            }
        }
        let third = number(places.arrive(prefix(3), &LIMITS));
        places.heard(third, prefix(3));
        assert_eq!(places.arrive(prefix(3), &LIMITS), Arrival::Refused, "it has one");
        let fourth = number(places.arrive(prefix(4), &LIMITS));
        assert!(
            matches!(places.arrive(prefix(5), &LIMITS), Arrival::Admitted { evicted: Some(gone), .. } if gone == fourth),
            "the oldest silent one of all makes room"
        );
    }

    #[test]
    fn nothing_is_remembered_of_what_is_gone() {
        let mut places = Places::default();
        for third in 0..100 {
            let number = number(places.arrive(prefix(third), &LIMITS));
            places.leave(number, prefix(third));
        }
        assert!(places.sources.is_empty() && places.silent.is_empty() && places.total == 0);
    }
}
