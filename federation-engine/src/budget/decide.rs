//! Selects the holders that make room. Pure: no socket, no clock.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::{Budget, Usage};
use crate::Domain;
use crate::source::Prefix;

/// How useful a holder is. The least useful comes first.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Use {
    /// A connection that is not authenticated.
    Unauthenticated,
    /// An idle stream.
    Idle,
    /// A stream that carries stanzas, or a queue of them.
    Active,
}

/// The group of a holder: the holders of one peer, or of one backend.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Group {
    /// Authenticated by one certificate, which may cover any number of domains. Its SHA-256.
    Certificate([u8; 32]),
    /// Of one remote domain.
    Domain(Domain),
    /// Streams that this backend has opened, for any domains.
    Backend(String),
}

/// Something that holds memory, and a connection or none.
#[derive(Clone, Debug)]
pub(crate) struct Held<K> {
    /// Identifies it for the caller.
    pub(crate) key: K,
    /// Its use.
    pub(crate) usage: Use,
    /// Connections that it holds: one or none.
    pub(crate) connections: usize,
    /// Bytes that it holds.
    pub(crate) bytes: usize,
    /// Milliseconds since it was last of use.
    pub(crate) silent: u64,
    /// Its group, once that is certain.
    pub(crate) group: Option<Group>,
    /// Its source address, if that is significant: all streams of a backend come from one address.
    pub(crate) source: Option<Prefix>,
}

/// The resources that the holders of one group hold together.
#[derive(Clone, Copy, Default)]
struct Share {
    holders: usize,
    bytes: usize,
}

/// The place of a holder in the order in which holders make room.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Rank {
    /// A connection that is not authenticated.
    Unauthenticated,
    /// An idle stream of a peer, or one that we opened.
    Idle,
    /// A stream that a backend opened, busy or idle, of those beyond the backend's share.
    BeyondShare,
    /// An idle stream that a backend opened.
    IdleOfBackend,
    /// A busy stream of a peer, or a queue.
    Active,
}

/// Selects the holders that must go so that 70 % of the budget are in use, if more than 80 % are; none otherwise. First
/// go unauthenticated connections, then idle streams, both from the source with the most of them, the longest silent
/// first. Then goes the largest holder of the peer that holds the most.
///
/// A backend that opens stream after stream pays with its own streams, the busy ones included, and not with those of
/// other backends and not with busy streams of peers. Otherwise, no busy stream of a backend is closed: one stream may
/// carry the stanzas of all remote domains.
pub(crate) fn decide<K: Clone>(usage: Usage, budget: Budget, held: &[Held<K>]) -> Vec<K> {
    let mut excess = usage.excess(budget);
    if excess == Usage::default() {
        return Vec::new();
    }
    let mut sources: HashMap<(Use, Prefix), Share> = HashMap::new();
    let mut groups: HashMap<(Use, &Group), Share> = HashMap::new();
    for one in held {
        let count = |share: &mut Share| {
            share.holders += 1;
            share.bytes = share.bytes.saturating_add(one.bytes);
        };
        if let Some(source) = one.source {
            count(sources.entry((one.usage, source)).or_default());
        }
        if let Some(group) = &one.group {
            count(groups.entry((one.usage, group)).or_default());
        }
    }
    let bytes_count = excess.bytes > 0;
    let weight = |one: &Held<K>| {
        let of_source = one.source.and_then(|source| sources.get(&(one.usage, source)).copied());
        let group = one.group.as_ref();
        let of_group = group.and_then(|group| groups.get(&(one.usage, group)).copied());
        let (of_source, of_group) = (of_source.unwrap_or_default(), of_group.unwrap_or_default());
        let silent = usize::try_from(one.silent).unwrap_or(usize::MAX);
        match one.usage {
            Use::Unauthenticated | Use::Idle => (of_source.holders.max(of_group.holders), silent),
            Use::Active if bytes_count => (of_group.bytes, one.bytes),
            Use::Active => (of_group.holders, silent),
        }
    };
    let mut order: Vec<_> = ranked(held, excess, budget)
        .into_iter()
        .map(|(rank, one)| (rank, one.usage, Reverse(weight(one)), one))
        .collect();
    order.sort_by_key(|(rank, usage, weight, _)| (*rank, *usage, *weight));
    let mut chosen = Vec::new();
    for (.., one) in order {
        if excess == Usage::default() {
            break;
        }
        if one.helps(excess) {
            excess = one.released_from(excess);
            chosen.push(one.key.clone());
        }
    }
    chosen
}

/// The holders that may make room, with their ranks. `excess`: what must be released.
fn ranked<K>(held: &[Held<K>], excess: Usage, budget: Budget) -> Vec<(Rank, &Held<K>)> {
    let mut backends: HashMap<&str, Vec<&Held<K>>> = HashMap::new();
    let mut ranked = Vec::with_capacity(held.len());
    for one in held {
        match (&one.group, one.usage) {
            (Some(Group::Backend(name)), _) => backends.entry(name).or_default().push(one),
            (_, Use::Unauthenticated) => ranked.push((Rank::Unauthenticated, one)),
            (_, Use::Idle) => ranked.push((Rank::Idle, one)),
            (_, Use::Active) => ranked.push((Rank::Active, one)),
        }
    }
    for mut streams in backends.into_values() {
        streams.sort_by_key(|one| (one.usage, Reverse(one.silent)));
        let bytes = streams.iter().fold(0, |sum: usize, one| sum.saturating_add(one.bytes));
        let all = Usage { bytes, connections: streams.len() };
        // Only of the resource that is short.
        let mut beyond = all.beyond_share(budget).within(excess);
        for one in streams {
            if one.helps(beyond) {
                beyond = one.released_from(beyond);
                ranked.push((Rank::BeyondShare, one));
            } else if one.usage == Use::Idle {
                ranked.push((Rank::IdleOfBackend, one));
            }
        }
    }
    ranked
}

impl<K> Held<K> {
    /// Whether its end would release some of the excess.
    fn helps(&self, excess: Usage) -> bool {
        (excess.bytes > 0 && self.bytes > 0) || (excess.connections > 0 && self.connections > 0)
    }

    /// The excess that remains after its end.
    fn released_from(&self, excess: Usage) -> Usage {
        Usage {
            bytes: excess.bytes.saturating_sub(self.bytes),
            connections: excess.connections.saturating_sub(self.connections),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    const BUDGET: Budget = Budget { bytes: 1_000, connections: 100 };

    fn stream(key: u32, usage: Use, bytes: usize, silent: u64) -> Held<u32> {
        Held { key, usage, connections: 1, bytes, silent, group: None, source: None }
    }

    fn of(domain: &str, mut held: Held<u32>) -> Held<u32> {
        held.group = Domain::parse(domain).ok().map(Group::Domain);
        held
    }

    fn backend(name: &str, mut held: Held<u32>) -> Held<u32> {
        held.group = Some(Group::Backend(name.to_owned()));
        held
    }

    fn from(third: u8, mut held: Held<u32>) -> Held<u32> {
        held.source = Some(Prefix::from(IpAddr::from([198, 18, third, 1])));
        held
    }

    fn bytes(bytes: usize) -> Usage {
        Usage { bytes, connections: 0 }
    }

    #[test]
    fn nobody_goes_below_80_percent() {
        let held = [stream(1, Use::Unauthenticated, 100, 9)];
        assert!(decide(Usage { bytes: 800, connections: 80 }, BUDGET, &held).is_empty());
    }

    #[test]
    fn the_unauthenticated_go_first_then_the_idle_then_the_largest() {
        let held = [
            stream(1, Use::Active, 300, 0),
            stream(2, Use::Idle, 50, 20_000),
            stream(3, Use::Unauthenticated, 50, 1),
            stream(4, Use::Idle, 50, 90_000),
            stream(5, Use::Active, 400, 0),
        ];
        assert_eq!(decide(bytes(801), BUDGET, &held), [3, 4, 2]);
        assert_eq!(decide(bytes(1_000), BUDGET, &held), [3, 4, 2, 5]);
        assert_eq!(decide(bytes(2_000), BUDGET, &held), [3, 4, 2, 5, 1]);
    }

    #[test]
    fn whoever_has_the_most_gives_the_most_and_others_keep_theirs() {
        let mut held: Vec<_> = (0..8)
            .map(|key| from(1, stream(key, Use::Unauthenticated, 20, u64::from(key))))
            .collect();
        // Silent for longer, but the only one of its source.
        held.push(from(2, stream(100, Use::Unauthenticated, 20, 99)));
        assert_eq!(decide(bytes(801), BUDGET, &held), [7, 6, 5, 4, 3, 2]);
        let mut held: Vec<_> = (0..8)
            .map(|key| of("many.example", stream(key, Use::Idle, 20, u64::from(key))))
            .collect();
        held.push(of("one.example", stream(100, Use::Idle, 20, 99)));
        assert_eq!(decide(bytes(801), BUDGET, &held), [7, 6, 5, 4, 3, 2]);
    }

    #[test]
    fn the_domain_that_holds_the_most_in_many_queues_goes_before_a_larger_single_one() {
        let held = [
            of("single.example", stream(1, Use::Active, 150, 0)),
            of("many.example", stream(2, Use::Active, 90, 0)),
            of("many.example", stream(3, Use::Active, 110, 0)),
        ];
        assert_eq!(decide(bytes(801), BUDGET, &held), [3]);
        assert_eq!(decide(bytes(850), BUDGET, &held), [3, 2]);
    }

    #[test]
    fn a_certificate_for_many_domains_is_one_holder() {
        let wild = |key| Held {
            group: Some(Group::Certificate([7; 32])),
            ..stream(key, Use::Active, 20, 0)
        };
        let mut held: Vec<_> = (0..12).map(wild).collect();
        held.push(of("good.example", stream(100, Use::Active, 90, 0)));
        assert!(!decide(bytes(840), BUDGET, &held).contains(&100));
        let usage = Usage { bytes: 0, connections: 81 };
        assert!(!decide(usage, BUDGET, &held).contains(&100));
    }

    #[test]
    fn a_backend_that_opens_stream_after_stream_pays_with_its_own() {
        let flooding = |key| backend("flooding", stream(key, Use::Active, 10, u64::from(key)));
        let quiet = (60..70).map(|key| backend("quiet", stream(key, Use::Idle, 10, 60_000)));
        let peer = of("peer.example", stream(70, Use::Active, 10, 9_000));
        let mut held: Vec<_> = (0..60).map(flooding).chain(quiet).collect();
        held.push(peer);
        let usage = Usage { bytes: 0, connections: 81 };
        let longest_silent: Vec<_> = (49..60).rev().collect();
        assert_eq!(decide(usage, BUDGET, &held), longest_silent);
        // An idle stream of a peer costs less than a busy one of a backend.
        held.push(of("idle.example", stream(71, Use::Idle, 10, 10_000)));
        assert_eq!(decide(usage, BUDGET, &held), [&[71], &longest_silent[..10]].concat());
        assert_eq!(decide(bytes(810), BUDGET, &held).len(), 11, "bytes count as well");
    }

    #[test]
    fn a_busy_stream_within_the_share_of_its_backend_stays() {
        let busy = |key| backend("im", stream(key, Use::Active, 10, 9_000));
        let mut held: Vec<_> = (0..25).map(busy).collect();
        held.push(backend("im", stream(25, Use::Idle, 10, 60_000)));
        held.push(of("peer.example", stream(26, Use::Active, 10, 0)));
        let usage = Usage { bytes: 0, connections: 100 };
        assert_eq!(decide(usage, BUDGET, &held), [25, 26]);
    }

    #[test]
    fn descriptors_are_freed_by_connections_and_not_by_queues() {
        let queue = Held { connections: 0, ..stream(1, Use::Active, 500, 0) };
        let held = [queue, stream(2, Use::Active, 0, 0), stream(3, Use::Active, 0, 0)];
        let usage = Usage { bytes: 0, connections: 90 };
        assert_eq!(decide(usage, BUDGET, &held), [2, 3]);
    }
}
