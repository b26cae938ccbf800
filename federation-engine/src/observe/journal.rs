//! Observations of the engine, kept for `/v1/evidence`: bounded, cheap, written a few times for each stream and never
//! for a stanza.
//!
//! Readers wait for a new revision. A new fact creates one at once; a mere newer time of a known fact creates one at
//! most every [`REFRESH_INTERVAL`], so that a busy engine does not keep its observers busy. Changes that remote servers
//! can cause at will are delayed: for that interval, or until a reader has waited to the end of its time.

mod records;
mod refusals;

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use crate::Domain;
use crate::observe::evidence::{
    Attempt, BackendAnswer, BackendContact, BackendRoundTrip, BackendServer, ClaimEvidence,
    EngineEvidence, FlowEvidence, InboundObservation, InboundRefusal, LoadError, MemoryShortage,
    PeerStream, ServedCertificate,
};
use records::{Change, Records};

/// Minimum time between two revisions that differ in times only.
pub const REFRESH_INTERVAL: SignedDuration = SignedDuration::from_mins(1);

/// The evidence store. Shared by all tasks; times are arguments.
#[derive(Debug)]
pub struct Journal {
    records: Mutex<Records>,
    revision: watch::Sender<u64>,
}

impl Journal {
    /// An empty journal of an engine with this version.
    pub fn new(version: &str) -> Self {
        let records = Records::new(version.to_owned());
        Self { records: Mutex::new(records), revision: watch::Sender::new(1) }
    }

    /// A configuration is in effect: its hash, local domains, and domains that `peers[]` names exactly. Evidence about
    /// removed local domains is dropped.
    pub fn configured<'a>(
        &self,
        hash: &str,
        local: impl IntoIterator<Item = &'a Domain>,
        peers: impl IntoIterator<Item = &'a Domain>,
        now: Timestamp,
    ) {
        self.record(now, |records| records.configured(hash, local, peers, now));
    }

    /// All files that are currently unusable; replaces the previous list.
    pub fn problems(&self, problems: Vec<LoadError>, now: Timestamp) {
        self.record(now, |records| records.problems(problems));
    }

    /// The engine closes connections for want of memory, or no longer.
    pub fn memory_shortage(&self, shortage: Option<MemoryShortage>, now: Timestamp) {
        self.record(now, |records| records.memory_shortage(shortage));
    }

    /// The certificates in use; replaces the previous list.
    pub fn certificates(&self, certificates: Vec<ServedCertificate>, now: Timestamp) {
        self.record(now, |records| records.certificates(certificates));
    }

    /// A stream or dialback request arrived on the outer leg.
    pub fn inbound(&self, observation: InboundObservation) {
        self.record(observation.at, |records| records.inbound(observation));
    }

    /// A stream or dialback request was refused on the outer leg.
    pub fn refused(&self, refusal: InboundRefusal) {
        self.record(refusal.at, |records| records.refused(refusal));
    }

    /// State of the stream from a local domain to a peer. `since` is kept when nothing else changed.
    pub fn peer_outbound(&self, peer: &Domain, local: &Domain, stream: PeerStream) {
        self.record(stream.since, |records| records.outbound(peer, local, stream));
    }

    /// An address at a peer was pinged.
    pub fn flow(&self, flow: FlowEvidence) {
        self.record(flow.at, |records| records.flow(flow));
    }

    /// A partner was asked whether it hosts a local domain.
    pub fn claim(&self, claim: ClaimEvidence) {
        self.record(claim.at, |records| records.claim(claim));
    }

    /// A remote server has authenticated on a stream to this local domain.
    pub fn is_reached(&self, local: &Domain) -> bool {
        self.lock().is_reached(local)
    }

    /// State of a peer's stream to us. `since` is kept when nothing else changed.
    pub fn peer_inbound(&self, peer: &Domain, stream: PeerStream) {
        self.record(stream.since, |records| records.stream_of_peer(peer, stream));
    }

    /// An attempt to reach a peer ended.
    pub fn attempt(&self, peer: &Domain, attempt: Attempt) {
        self.record(attempt.at, |records| records.attempt(peer, attempt));
    }

    /// A local domain was pinged at its backend.
    pub fn backend(&self, round_trip: BackendRoundTrip) {
        self.record(round_trip.at, |records| records.backend(round_trip));
    }

    /// A backend answered a ping of another replica; only local domains get here.
    pub fn backend_answer(&self, answer: BackendAnswer, now: Timestamp) {
        self.record(now, |records| records.answer(answer));
    }

    /// Something came from a backend on its way to the probe domain.
    pub fn backend_contact(&self, contact: BackendContact) {
        self.record(contact.at, |records| records.contact(contact));
    }

    /// The server of a local domain was asked for its name and version; `None` if it reports no name.
    pub fn backend_server(&self, domain: &Domain, server: Option<&BackendServer>, now: Timestamp) {
        self.record(now, |records| records.server(domain, server));
    }

    /// All evidence, in a stable order, with its revision.
    pub fn snapshot(&self) -> (u64, EngineEvidence) {
        let records = self.lock();
        (*self.revision.borrow(), records.snapshot())
    }

    /// The current revision, and a way to wait for the next.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// Creates a revision of delayed changes, for a reader that has waited to the end. Returns whether there were any.
    pub fn settle(&self, now: Timestamp) -> bool {
        let mut records = self.lock();
        let waiting = records.waiting;
        if waiting {
            self.publish(&mut records, now);
        }
        waiting
    }

    /// Number of readers that wait or could wait.
    #[cfg(test)]
    pub(super) fn subscribers(&self) -> usize {
        self.revision.receiver_count()
    }

    fn record(&self, now: Timestamp, write: impl FnOnce(&mut Records) -> Change) {
        let mut records = self.lock();
        let publish = match write(&mut records) {
            Change::None => false,
            Change::Refresh => now.duration_since(records.published) >= REFRESH_INTERVAL,
            Change::Waits => {
                records.waiting = true;
                now.duration_since(records.published) >= REFRESH_INTERVAL
            }
            Change::New => true,
        };
        if publish {
            self.publish(&mut records, now);
        }
    }

    /// Under the lock, so that a snapshot never carries the revision of an older one.
    fn publish(&self, records: &mut Records, now: Timestamp) {
        records.published = now;
        records.waiting = false;
        self.revision.send_modify(|revision| *revision += 1);
    }

    fn lock(&self) -> MutexGuard<'_, Records> {
        // A panic elsewhere leaves at most one record half written, and each record is independent.
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
