//! The side of remote servers, to which the engine represents the local domains.

use std::sync::Arc;

use rustls_pki_types::UnixTime;
use s2s_proto::direction::Direction;
use s2s_proto::pair::Pair;
use s2s_proto::policy::decide::allows;
use s2s_proto::reason::{CertificateReason, Refusal, SetBy};
use s2s_proto::stream::{Keys, PeerChain, PeerRules, Surroundings};

use crate::Domain;
use crate::engine::Engine;
use crate::source::Prefix;

/// Answers the queries of streams of the outer leg.
pub(crate) struct Outer(
    pub(crate) Arc<Engine>,
    /// Source of a stream that a peer opened.
    pub(crate) Option<Prefix>,
);

impl Surroundings for Outer {
    fn serves(&self, domain: &Domain) -> bool {
        self.0.snapshot().config.local(domain).is_some()
    }

    fn admits(&self, pair: &Pair) -> Result<(), Refusal> {
        let snapshot = self.0.snapshot();
        let config = &snapshot.config;
        let own =
            |domain: &Domain| config.local(domain).is_some() || *domain == config.probe_domain;
        match (own(&pair.from), own(&pair.to)) {
            // A pair from the peer to us.
            (false, true) => {
                if allows(&config.policy, &pair.from, Direction::Inbound) {
                    Ok(())
                } else {
                    Err(Refusal::PolicyDenied)
                }
            }
            // A pair from us to the peer. The forwarding code decides whether a stanza may leave, so that its sender is
            // notified.
            (true, false) => Ok(()),
            // A peer that claims one of our domains.
            (true, true) => Err(Refusal::InvalidFrom),
            (false, false) => Err(Refusal::HostUnknown),
        }
    }

    fn has_room(&self, chain: Option<&PeerChain>, remote: &Domain) -> Result<(), Refusal> {
        let Some(source) = self.1 else { return Ok(()) };
        let certificate = chain.and_then(PeerChain::fingerprint);
        let room = self.0.holders.has_room_for(source, certificate, remote);
        room.map_err(|_| Refusal::TooManyNames)
    }

    fn delivers_to(&self, local: &Domain) -> Result<(), Refusal> {
        self.0.relay.outages.check(local)
    }

    fn stanza_bytes(&self, remote: &Domain) -> Option<usize> {
        Some(self.0.snapshot().config.peers.resolve(remote).stanza_bytes)
    }

    fn peer(&self, remote: &Domain) -> PeerRules {
        self.0.snapshot().config.peers.resolve(remote).rules
    }

    fn set_by(&self, remote: &Domain) -> SetBy {
        SetBy::Peer(self.0.snapshot().config.peers.resolve(remote).profile)
    }

    fn judge(&self, chain: &PeerChain, remote: &Domain) -> Result<(), CertificateReason> {
        self.0.snapshot().judge_peer(chain, remote, UnixTime::now())
    }

    fn keys(&self) -> &dyn Keys {
        &*self.0
    }

    /// Streams opened by peers are used in both directions. Streams that we open are not, until a remote server has
    /// reached the domain on a stream of its own. With the answers on our streams, an unreachable domain would go
    /// unnoticed.
    fn takes_bidi(&self, pair: &Pair) -> bool {
        !self.serves(&pair.to) || self.0.recorder.journal.is_reached(&pair.to)
    }
}
