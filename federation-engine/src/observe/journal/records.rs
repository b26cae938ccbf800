//! The records of the journal: plain data and its bounds.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use crds::word::Word;
use jiff::Timestamp;

use super::refusals::Refusals;

use crate::Domain;
use crate::observe::evidence::{
    Attempt, BackendAnswer, BackendContact, BackendOutcome, BackendRoundTrip, BackendServer,
    EngineEvidence, InboundKind, InboundObservation, InboundRefusal, LoadError, MAX_ANSWERS,
    MAX_ATTEMPTS, MAX_CONTACTS, MAX_INBOUND, MAX_PEER_REFUSALS, MAX_PEERS, MAX_REFUSALS,
    MemoryShortage, PeerEvidence, PeerStream, ServedCertificate,
};
use crate::observe::evidence::{
    ClaimEvidence, FlowEvidence, FlowOutcome, LocalStream, MAX_CLAIMS, MAX_FLOWS, MAX_LOCALS,
};

/// Maximum bytes kept of a text from a remote server.
const MAX_TEXT: usize = 512;
/// Longest `id` of a ping; the engine's own are shorter.
const MAX_PING: usize = 64;
/// Records dropped at once when there is no room, so that a flood of new names costs little for each.
const BATCH: usize = 16;

/// The change that a write made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Change {
    /// No change.
    None,
    /// A newer time of a known fact.
    Refresh,
    /// A new fact that remote servers can cause at will.
    Waits,
    /// A new fact.
    New,
}

impl Change {
    fn new_if(changed: bool) -> Self {
        if changed { Self::New } else { Self::None }
    }
}

#[derive(Debug)]
pub(super) struct Records {
    version: String,
    config_hash: String,
    problems: Vec<LoadError>,
    memory_shortage: Option<MemoryShortage>,
    certificates: Vec<ServedCertificate>,
    inbound: HashMap<(Domain, InboundKind), InboundObservation>,
    backends: BTreeMap<Domain, BackendRoundTrip>,
    servers: BTreeMap<Domain, BackendServer>,
    /// Pings answered, oldest first.
    answers: BTreeMap<Domain, VecDeque<String>>,
    /// Oldest first.
    contacts: Vec<BackendContact>,
    peers: HashMap<Domain, PeerRecord>,
    refusals: Refusals<MAX_REFUSALS>,
    /// By partner and local domain.
    claims: BTreeMap<(Domain, Domain), ClaimEvidence>,
    /// By peer and local domain.
    flows: BTreeMap<(Domain, Domain), FlowEvidence>,
    /// When the last revision was made.
    pub(super) published: Timestamp,
    /// There are changes without a revision.
    pub(super) waiting: bool,
}

#[derive(Debug)]
pub(super) struct PeerRecord {
    configured: bool,
    /// By local domain.
    outbound: BTreeMap<Domain, PeerStream>,
    pub(super) inbound: Option<PeerStream>,
    attempts: VecDeque<Attempt>,
    refusals: Refusals<MAX_PEER_REFUSALS>,
    touched: Timestamp,
}

impl PeerRecord {
    fn new(configured: bool, touched: Timestamp) -> Self {
        Self {
            configured,
            outbound: BTreeMap::new(),
            inbound: None,
            attempts: VecDeque::new(),
            refusals: Refusals::default(),
            touched,
        }
    }

    /// The peer was removed from `peers`, or added: only its open streams tell about now.
    fn forget_past(&mut self) {
        self.outbound.retain(|_, stream| stream.connected);
        self.inbound = self.inbound.take().filter(|stream| stream.connected);
        self.attempts.clear();
        self.refusals = Refusals::default();
    }

    fn connected(&self) -> bool {
        self.outbound.values().chain(&self.inbound).any(|stream| stream.connected)
    }

    /// The state to report: an open stream, or else the last success, or else the last failure. Among open streams, that of
    /// the first local domain, so that it stays the same.
    fn best(&self) -> Option<(&Domain, &PeerStream)> {
        self.outbound.iter().max_by_key(|(local, stream)| {
            let since = (!stream.connected).then_some(stream.since);
            (stream.connected, stream.reason == Word::Connected, since, Reverse(*local))
        })
    }

    /// The states of other local domains, where they differ.
    fn others(&self) -> Vec<LocalStream> {
        let Some((first, best)) = self.best().filter(|_| self.configured) else {
            return Vec::new();
        };
        let differs = |(local, stream): &(&Domain, &PeerStream)| {
            *local != first && stream.reason != best.reason
        };
        let other = |(local, stream): (&Domain, &PeerStream)| LocalStream {
            local: local.clone(),
            stream: stream.clone(),
        };
        self.outbound.iter().filter(differs).map(other).collect()
    }
}

impl Records {
    pub(super) fn new(version: String) -> Self {
        Self {
            version,
            config_hash: String::new(),
            problems: Vec::new(),
            memory_shortage: None,
            certificates: Vec::new(),
            inbound: HashMap::new(),
            backends: BTreeMap::new(),
            servers: BTreeMap::new(),
            answers: BTreeMap::new(),
            contacts: Vec::new(),
            peers: HashMap::new(),
            refusals: Refusals::default(),
            claims: BTreeMap::new(),
            flows: BTreeMap::new(),
            waiting: false,
            published: Timestamp::MIN,
        }
    }

    pub(super) fn configured<'a>(
        &mut self,
        hash: &str,
        local: impl IntoIterator<Item = &'a Domain>,
        peers: impl IntoIterator<Item = &'a Domain>,
        now: Timestamp,
    ) -> Change {
        if self.config_hash == hash {
            return Change::None;
        }
        hash.clone_into(&mut self.config_hash);
        let local: HashSet<&Domain> = local.into_iter().collect();
        self.backends.retain(|domain, _| local.contains(domain));
        self.servers.retain(|domain, _| local.contains(domain));
        self.answers.retain(|domain, _| local.contains(domain));
        self.inbound.retain(|_, observation| local.contains(&observation.local));
        self.claims.clear();
        self.flows.clear();
        for record in self.peers.values_mut() {
            record.outbound.retain(|domain, _| local.contains(domain));
        }
        let peers: HashSet<&Domain> = peers.into_iter().take(MAX_PEERS).collect();
        for (domain, record) in &mut self.peers {
            let configured = peers.contains(domain);
            if record.configured != configured {
                record.configured = configured;
                record.forget_past();
            }
        }
        for domain in peers {
            if !self.peers.contains_key(domain) {
                self.make_room_for_peer();
                self.peers.insert(domain.clone(), PeerRecord::new(true, now));
            }
        }
        Change::New
    }

    pub(super) fn problems(&mut self, problems: Vec<LoadError>) -> Change {
        let changed = self.problems != problems;
        self.problems = problems;
        Change::new_if(changed)
    }

    pub(super) fn memory_shortage(&mut self, shortage: Option<MemoryShortage>) -> Change {
        let changed = self.memory_shortage != shortage;
        self.memory_shortage = shortage;
        Change::new_if(changed)
    }

    pub(super) fn certificates(&mut self, mut certificates: Vec<ServedCertificate>) -> Change {
        certificates.sort_by(|a, b| a.domain.cmp(&b.domain));
        let changed = self.certificates != certificates;
        self.certificates = certificates;
        Change::new_if(changed)
    }

    pub(super) fn is_reached(&self, local: &Domain) -> bool {
        let authenticated =
            |seen: &InboundObservation| seen.kind == InboundKind::StreamAuthenticated;
        self.inbound.values().any(|seen| authenticated(seen) && seen.local == *local)
    }

    pub(super) fn inbound(&mut self, observation: InboundObservation) -> Change {
        let key = (observation.peer.clone(), observation.kind);
        if let Some(known) = self.inbound.get_mut(&key) {
            let same = known.local == observation.local && known.source == observation.source;
            *known = observation;
            return if same { Change::Refresh } else { Change::New };
        }
        if self.inbound.len() >= MAX_INBOUND {
            self.make_room_for_inbound(observation.kind);
            if self.inbound.len() >= MAX_INBOUND {
                return Change::None;
            }
        }
        // The first one shows that the path is open; further unauthenticated names show nothing new.
        let opened = InboundKind::StreamOpened;
        let another = key.1 == opened && self.inbound.keys().any(|(_, kind)| *kind == opened);
        self.inbound.insert(key, observation);
        if another { Change::Waits } else { Change::New }
    }

    /// Kept with the peer that it names, unless that peer is connected to us now: then the name is no evidence about
    /// it. Unknown servers get no record of their own, and their names keep none alive.
    pub(super) fn refused(&mut self, mut refusal: InboundRefusal) -> Change {
        truncate(&mut refusal.message);
        let record = refusal
            .peer
            .as_ref()
            .and_then(|peer| self.peers.get_mut(peer))
            .filter(|record| !record.inbound.as_ref().is_some_and(|stream| stream.connected));
        let new = match record {
            Some(record) => record.refusals.add(refusal),
            None => self.refusals.add(refusal),
        };
        if new { Change::Waits } else { Change::Refresh }
    }

    pub(super) fn backend(&mut self, mut round_trip: BackendRoundTrip) -> Change {
        truncate(&mut round_trip.detail);
        if round_trip.outcome != BackendOutcome::RoundTripSeen {
            // Another server may be there next.
            self.servers.remove(&round_trip.domain);
        }
        let now = round_trip.at;
        let known = self.backends.insert(round_trip.domain.clone(), round_trip.clone());
        let same = known.is_some_and(|known| {
            let ping = round_trip.ping.clone();
            // The ID of the ping matters only for one without an answer here.
            let good = matches!(
                round_trip.outcome,
                BackendOutcome::RoundTripSeen | BackendOutcome::ComponentConflict
            );
            let ping = if good { ping } else { known.ping.clone() };
            BackendRoundTrip { at: now, ping, ..known } == round_trip
        });
        if same { Change::Refresh } else { Change::New }
    }

    pub(super) fn server(&mut self, domain: &Domain, server: Option<&BackendServer>) -> Change {
        let known = match server {
            Some(server) => self.servers.insert(domain.clone(), server.clone()),
            None => self.servers.remove(domain),
        };
        Change::new_if(known.as_ref() != server)
    }

    pub(super) fn answer(&mut self, BackendAnswer { domain, ping }: BackendAnswer) -> Change {
        if ping.len() > MAX_PING {
            return Change::None;
        }
        let answers = self.answers.entry(domain).or_default();
        if answers.contains(&ping) {
            return Change::None;
        }
        if answers.len() >= MAX_ANSWERS {
            answers.pop_front();
        }
        answers.push_back(ping);
        Change::New
    }

    /// Any host can cause it, and no kind displaces another.
    pub(super) fn contact(&mut self, mut contact: BackendContact) -> Change {
        truncate(&mut contact.detail);
        let BackendContact { kind, source, domain, detail, at: _ } = &contact;
        let is_same = |known: &BackendContact| {
            (&known.kind, &known.source, &known.domain, &known.detail)
                == (kind, source, domain, detail)
        };
        let known = self.contacts.iter().position(is_same);
        let mut alike = self.contacts.iter().enumerate().filter(|(_, known)| known.kind == *kind);
        let oldest = alike.next().map(|(index, _)| index);
        let is_full = 1 + alike.count() >= MAX_CONTACTS;
        if let Some(index) = known.or_else(|| oldest.filter(|_| is_full)) {
            self.contacts.remove(index);
        }
        self.contacts.push(contact);
        if known.is_some() { Change::Refresh } else { Change::Waits }
    }

    pub(super) fn claim(&mut self, mut claim: ClaimEvidence) -> Change {
        truncate(&mut claim.detail);
        let key = (claim.partner.clone(), claim.local.clone());
        let known = self.claims.get(&key);
        let same = known
            .is_some_and(|known| known.outcome == claim.outcome && known.detail == claim.detail);
        if known.is_none() && self.claims.len() >= MAX_CLAIMS {
            return Change::None;
        }
        self.claims.insert(key, claim);
        if same { Change::Refresh } else { Change::New }
    }

    pub(super) fn flow(&mut self, flow: FlowEvidence) -> Change {
        let key = (flow.peer.clone(), flow.local.clone());
        let known = self.flows.get(&key);
        // The ID of the ping matters only for one without an answer here.
        let same = known.is_some_and(|known| {
            known.outcome == flow.outcome && flow.outcome != FlowOutcome::NoAnswer
        });
        if known.is_none() && self.flows.len() >= MAX_FLOWS {
            return Change::None;
        }
        self.flows.insert(key, flow);
        if same { Change::Refresh } else { Change::New }
    }

    pub(super) fn outbound(
        &mut self,
        peer: &Domain,
        local: &Domain,
        mut stream: PeerStream,
    ) -> Change {
        truncate(&mut stream.message);
        let Some(record) = self.peer(peer, stream.since) else { return Change::None };
        if is_known(record.outbound.get(local), &stream) {
            return Change::None;
        }
        if record.outbound.len() >= MAX_LOCALS && !record.outbound.contains_key(local) {
            let oldest = record.outbound.iter().min_by_key(|(_, known)| known.since);
            let oldest = oldest.map(|(local, _)| local.clone());
            oldest.and_then(|oldest| record.outbound.remove(&oldest));
        }
        record.outbound.insert(local.clone(), stream);
        Change::New
    }

    pub(super) fn stream_of_peer(&mut self, peer: &Domain, mut stream: PeerStream) -> Change {
        truncate(&mut stream.message);
        let now = stream.since;
        let Some(record) = self.peer(peer, now) else { return Change::None };
        if is_known(record.inbound.as_ref(), &stream) {
            return Change::None;
        }
        record.inbound = Some(stream);
        if record.inbound.as_ref().is_some_and(|inbound| inbound.connected) {
            // It has authenticated since.
            record.refusals = Refusals::default();
        }
        Change::New
    }

    pub(super) fn attempt(&mut self, peer: &Domain, mut attempt: Attempt) -> Change {
        truncate(&mut attempt.message);
        let Some(record) = self.peer(peer, attempt.at) else { return Change::None };
        // Two equal ones in a row give an observer the same information as three.
        let alike = |known: &&Attempt| Attempt { at: attempt.at, ..(*known).clone() } == attempt;
        let repeated = record.attempts.iter().rev().take_while(alike).take(2).count() == 2;
        if record.attempts.len() >= MAX_ATTEMPTS {
            record.attempts.pop_front();
        }
        record.attempts.push_back(attempt);
        if repeated { Change::Refresh } else { Change::New }
    }

    pub(super) fn snapshot(&self) -> EngineEvidence {
        let mut inbound: Vec<_> = self.inbound.values().cloned().collect();
        inbound.sort_by(|a, b| (a.kind, &a.peer).cmp(&(b.kind, &b.peer)));
        let mut peers: Vec<_> = self.peers.iter().map(evidence).collect();
        peers.sort_by(|a, b| (!a.configured, &a.domain).cmp(&(!b.configured, &b.domain)));
        EngineEvidence {
            version: self.version.clone(),
            config_hash: self.config_hash.clone(),
            problems: self.problems.clone(),
            memory_shortage: self.memory_shortage,
            certificates: self.certificates.clone(),
            inbound,
            backends: self.backends.values().cloned().collect(),
            answers: self.answers.iter().flat_map(answers).collect(),
            contacts: self.contacts.clone(),
            servers: self.servers.values().cloned().collect(),
            peers,
            refusals: self.refusals.list(),
            claims: self.claims.values().cloned().collect(),
            flows: self.flows.values().cloned().collect(),
        }
    }

    /// The record of a peer, created if needed. `None` when configured peers fill all places.
    fn peer(&mut self, domain: &Domain, now: Timestamp) -> Option<&mut PeerRecord> {
        if !self.peers.contains_key(domain) {
            self.make_room_for_peer();
            if self.peers.len() >= MAX_PEERS {
                return None;
            }
        }
        let record =
            self.peers.entry(domain.clone()).or_insert_with(|| PeerRecord::new(false, now));
        record.touched = now;
        Some(record)
    }

    /// Drops the least informative peers: not configured, without a stream, longest unchanged.
    fn make_room_for_peer(&mut self) {
        if self.peers.len() < MAX_PEERS {
            return;
        }
        let mut strangers: Vec<_> = self
            .peers
            .iter()
            .filter(|(_, record)| !record.configured)
            .map(|(domain, record)| (record.connected(), record.touched, domain.clone()))
            .collect();
        strangers.sort_unstable();
        for (_, _, domain) in strangers.into_iter().take(BATCH) {
            self.peers.remove(&domain);
        }
    }

    /// An unknown server can open streams under any name, so the weakest kind goes first, and the oldest of it; never
    /// one that is stronger than the one that needs the room.
    fn make_room_for_inbound(&mut self, needed_for: InboundKind) {
        let mut weaker: Vec<_> = self
            .inbound
            .iter()
            .filter(|((_, kind), _)| *kind >= needed_for)
            .map(|(key, seen)| (std::cmp::Reverse(key.1), seen.at, key.clone()))
            .collect();
        weaker.sort_unstable();
        for (_, _, key) in weaker.into_iter().take(BATCH) {
            self.inbound.remove(&key);
        }
    }
}

fn answers<'a>(
    (domain, pings): (&'a Domain, &'a VecDeque<String>),
) -> impl Iterator<Item = BackendAnswer> + 'a {
    pings.iter().map(|ping| BackendAnswer { domain: domain.clone(), ping: ping.clone() })
}

fn evidence((domain, record): (&Domain, &PeerRecord)) -> PeerEvidence {
    PeerEvidence {
        domain: domain.clone(),
        configured: record.configured,
        outbound: record.best().map(|(_, stream)| stream.clone()),
        local: record.best().map(|(local, _)| local.clone()),
        others: record.others(),
        inbound: record.inbound.clone(),
        attempts: record.attempts.iter().cloned().collect(),
        refusals: record.refusals.list(),
    }
}

/// Only the time differs.
fn is_known(known: Option<&PeerStream>, stream: &PeerStream) -> bool {
    known.is_some_and(|known| (PeerStream { since: known.since, ..stream.clone() }) == *known)
}

fn truncate(text: &mut String) {
    if text.len() > MAX_TEXT {
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        text.push('…');
    }
}
