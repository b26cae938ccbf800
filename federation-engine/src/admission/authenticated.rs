//! The domains that streams have authenticated, and how many of them one peer, source or certificate may have. Pure.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use s2s_proto::pair::Pair;

use crate::Domain;
use crate::source::Prefix;

/// Streams that a peer may have open for one pair of domains.
const MAX_PER_PAIR: usize = 16;
/// Streams that one remote domain may have open. Servers open one for each pair.
pub(crate) const MAX_PER_DOMAIN: usize = 128;
/// Names that one certificate may authenticate at a time. A wildcard covers any number of names, and each of them costs
/// streams to the backend.
const MAX_NAMES_PER_CERTIFICATE: usize = 256;
/// Names that one source prefix may authenticate at a time. Where source addresses are hidden, all peers come from one.
const MAX_NAMES_PER_SOURCE: usize = 4_096;

/// SHA-256 of a leaf certificate.
pub(crate) type Fingerprint = [u8; 32];

/// The limit that is reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Full {
    /// [`MAX_PER_PAIR`].
    #[error("{MAX_PER_PAIR} streams, the maximum, are open for this pair of domains")]
    Pair,
    /// [`MAX_PER_DOMAIN`].
    #[error("this domain has too many open streams")]
    Domain,
    /// Share of all connections.
    #[error("this address range has too many open streams")]
    Source,
    /// [`MAX_NAMES_PER_CERTIFICATE`].
    #[error(
        "this certificate already authenticates {MAX_NAMES_PER_CERTIFICATE} domains, the maximum at a time"
    )]
    NamesOfCertificate,
    /// [`MAX_NAMES_PER_SOURCE`].
    #[error(
        "{MAX_NAMES_PER_SOURCE} domains are already authenticated from this address range, the maximum at a time"
    )]
    NamesOfSource,
}

/// A stream that authenticates a domain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prover {
    /// Number of the stream.
    pub(crate) stream: u64,
    /// Its source address.
    pub(crate) source: Prefix,
    /// Its certificate, if it presented one.
    pub(crate) certificate: Option<Fingerprint>,
}

/// Number of occurrences of each key.
#[derive(Debug)]
struct Counts<K>(HashMap<K, usize>);

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Clone + Eq + Hash> Counts<K> {
    fn of(&self, key: &K) -> usize {
        self.0.get(key).copied().unwrap_or_default()
    }

    fn add(&mut self, key: &K) {
        *self.0.entry(key.clone()).or_default() += 1;
    }

    fn remove(&mut self, key: &K) {
        if let Some(count) = self.0.get_mut(key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.0.remove(key);
            }
        }
    }
}

/// Names that each key has authenticated.
type Names<K> = HashMap<K, Counts<Domain>>;

fn has_room<K: Eq + Hash>(names: &Names<K>, key: &K, name: &Domain, limit: usize) -> bool {
    names.get(key).is_none_or(|known| known.of(name) > 0 || known.0.len() < limit)
}

fn forget<K: Eq + Hash>(names: &mut Names<K>, key: K, name: &Domain) {
    if let Entry::Occupied(mut entry) = names.entry(key) {
        entry.get_mut().remove(name);
        if entry.get().0.is_empty() {
            entry.remove();
        }
    }
}

/// The pairs that streams opened by peers have authenticated.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pairs: Counts<Pair>,
    /// Streams of a remote domain, the oldest first.
    streams: HashMap<Domain, BTreeSet<u64>>,
    sources: Counts<Prefix>,
    names_of_source: Names<Prefix>,
    names_of_certificate: Names<Fingerprint>,
}

impl Ledger {
    /// Whether that source or certificate may authenticate one more name.
    pub(super) fn has_room_for(
        &self,
        source: Prefix,
        certificate: Option<Fingerprint>,
        name: &Domain,
    ) -> Result<(), Full> {
        if !has_room(&self.names_of_source, &source, name, MAX_NAMES_PER_SOURCE) {
            return Err(Full::NamesOfSource);
        }
        let room = certificate.is_none_or(|certificate| {
            has_room(&self.names_of_certificate, &certificate, name, MAX_NAMES_PER_CERTIFICATE)
        });
        if room { Ok(()) } else { Err(Full::NamesOfCertificate) }
    }

    /// A stream has authenticated a pair, whose `from` is the remote domain. `first`: it had authenticated none before.
    pub(super) fn add(
        &mut self,
        prover: &Prover,
        pair: &Pair,
        first: bool,
        limits: &Limits,
    ) -> Result<(), Full> {
        self.has_room_for(prover.source, prover.certificate, &pair.from)?;
        if self.pairs.of(pair) >= MAX_PER_PAIR {
            return Err(Full::Pair);
        }
        let known = self.streams.get(&pair.from);
        let another = known.is_none_or(|streams| !streams.contains(&prover.stream));
        if another && known.is_some_and(|streams| streams.len() >= limits.per_domain) {
            return Err(Full::Domain);
        }
        if first && self.sources.of(&prover.source) >= limits.per_source {
            return Err(Full::Source);
        }
        if first {
            self.sources.add(&prover.source);
        }
        self.pairs.add(pair);
        self.streams.entry(pair.from.clone()).or_default().insert(prover.stream);
        self.names_of_source.entry(prover.source).or_default().add(&pair.from);
        if let Some(certificate) = prover.certificate {
            self.names_of_certificate.entry(certificate).or_default().add(&pair.from);
        }
        Ok(())
    }

    /// A stream that had authenticated these pairs is closed.
    pub(super) fn remove(&mut self, prover: &Prover, pairs: &[Pair]) {
        if !pairs.is_empty() {
            self.sources.remove(&prover.source);
        }
        for pair in pairs {
            self.pairs.remove(pair);
            if let Entry::Occupied(mut entry) = self.streams.entry(pair.from.clone()) {
                entry.get_mut().remove(&prover.stream);
                if entry.get().is_empty() {
                    entry.remove();
                }
            }
            forget(&mut self.names_of_source, prover.source, &pair.from);
            if let Some(certificate) = prover.certificate {
                forget(&mut self.names_of_certificate, certificate, &pair.from);
            }
        }
    }

    /// How many older streams the domain has besides that one.
    pub(super) fn older(&self, domain: &Domain, stream: u64) -> usize {
        self.streams.get(domain).map_or(0, |streams| streams.range(..stream).count())
    }

    /// The streams of a domain, the oldest first.
    pub(super) fn streams(&self, domain: &Domain) -> impl Iterator<Item = u64> {
        self.streams.get(domain).into_iter().flatten().copied()
    }
}

/// Limits that depend on more than this.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) per_domain: usize,
    pub(super) per_source: usize,
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    const LIMITS: Limits = Limits { per_domain: MAX_PER_DOMAIN, per_source: 10_000 };

    fn pair(from: &str, to: usize) -> Pair {
        let domain = |name: &str| Domain::parse(name).unwrap();
        Pair { from: domain(from), to: domain(&format!("d{to}.local.example")) }
    }

    fn prover(stream: u64, third: u8, certificate: Option<u8>) -> Prover {
        Prover {
            stream,
            source: Prefix::from(IpAddr::from([198, 18, third, 1])),
            certificate: certificate.map(|byte| [byte; 32]),
        }
    }

    /// Authenticates names of a zone, one stream each, until there is no room.
    fn names(ledger: &mut Ledger, third: u8, certificate: Option<u8>, zone: &str) -> (usize, Full) {
        for number in 0_usize.. {
            let stream = u64::try_from(number).unwrap();
            let pair = pair(&format!("n{number}.{zone}"), 0);
            let prover = prover(stream, third, certificate);
            if let Err(full) = ledger.add(&prover, &pair, true, &LIMITS) {
                return (number, full);
            }
        }
        unreachable!()
    }

    #[test]
    fn a_wildcard_certificate_proves_so_many_names_from_wherever_it_comes() {
        let mut ledger = Ledger::default();
        let full = Full::NamesOfCertificate;
        assert_eq!(names(&mut ledger, 1, Some(1), "wild.example"), (256, full));
        assert_eq!(names(&mut ledger, 2, Some(1), "other.example"), (0, full), "elsewhere");
        let known = prover(9_000, 3, Some(1));
        assert_eq!(ledger.add(&known, &pair("n7.wild.example", 1), true, &LIMITS), Ok(()));
    }

    #[test]
    fn a_source_proves_so_many_names_with_whatever_certificates() {
        let mut ledger = Ledger::default();
        for certificate in 0..16 {
            names(&mut ledger, 1, Some(certificate), &format!("z{certificate}.example"));
        }
        assert_eq!(names(&mut ledger, 1, None, "more.example"), (0, Full::NamesOfSource));
        assert!(
            names(&mut ledger, 2, None, "more.example").0 == MAX_NAMES_PER_SOURCE,
            "another source"
        );
    }

    #[test]
    fn streams_of_a_pair_a_domain_and_a_source_are_bounded() {
        let mut ledger = Ledger::default();
        let mut add = |stream: u64, to: usize| {
            ledger.add(&prover(stream, 1, None), &pair("peer.example", to), true, &LIMITS)
        };
        for stream in 0..16 {
            assert_eq!(add(stream, 0), Ok(()));
        }
        assert_eq!(add(16, 0), Err(Full::Pair));
        for stream in 16..128 {
            let to = usize::try_from(stream).unwrap();
            assert_eq!(add(stream, to), Ok(()));
        }
        assert_eq!(add(128, 128), Err(Full::Domain));
        let few = Limits { per_source: 128, ..LIMITS };
        let other = pair("other.example", 0);
        assert_eq!(ledger.add(&prover(200, 1, None), &other, true, &few), Err(Full::Source));
        assert_eq!(ledger.add(&prover(200, 2, None), &other, true, &few), Ok(()));
        let domain = Domain::parse("peer.example").unwrap();
        assert_eq!((ledger.older(&domain, 0), ledger.older(&domain, 100)), (0, 100));
    }

    #[test]
    fn nothing_is_remembered_of_what_is_gone() {
        let mut ledger = Ledger::default();
        let prover = prover(1, 1, Some(1));
        let pairs = [pair("peer.example", 0), pair("peer.example", 1), pair("b.example", 0)];
        for (index, pair) in pairs.iter().enumerate() {
            ledger.add(&prover, pair, index == 0, &LIMITS).unwrap();
        }
        ledger.remove(&prover, &pairs);
        let Ledger { pairs, streams, sources, names_of_source, names_of_certificate } = ledger;
        assert!(pairs.0.is_empty() && streams.is_empty() && sources.0.is_empty());
        assert!(names_of_source.is_empty() && names_of_certificate.is_empty());
    }
}
