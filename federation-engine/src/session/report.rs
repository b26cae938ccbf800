//! Reports a stream in the evidence and the log: when it is authenticated, broken or closed.

use std::net::SocketAddr;
use std::sync::Arc;

use crds::peer::Verification;
use crds::word::Word;
use jiff::Timestamp;
use s2s_proto::certificate::chain::PeerChain;
use s2s_proto::certificate::dane::Delegation;
use s2s_proto::direction::Direction;
use s2s_proto::pair::Pair;
use s2s_proto::reason::{CertificateReason, Failure, Step};
use s2s_proto::stream::Authentication;

use crate::Domain;
use crate::engine::Engine;
use crate::leg::Leg;
use crate::observe::evidence::{self, AuthenticatedBy, InboundKind, PeerStream, TlsFacts};
use crate::observe::metrics::StreamGuard;
use crate::session::stream_end::StreamEnd;
use crate::session::target::Reached;

/// The reported state of one stream.
pub(crate) struct StreamReport {
    leg: Leg,
    direction: Direction,
    address: SocketAddr,
    direct: bool,
    /// The facts about the server that DNSSEC authenticates.
    delegation: Option<Arc<Delegation>>,
    /// The peer's static route led to the server.
    by_route: bool,
    /// Pairs, outbound all of them, inbound one of each remote domain, and their reported states, once authenticated.
    states: Vec<(Pair, Direction, PeerStream)>,
    /// Counts the stream for as long as it is verified.
    open: Option<StreamGuard>,
}

impl StreamReport {
    pub(crate) fn inbound(leg: Leg, address: SocketAddr, direct: bool) -> Self {
        let direction = Direction::Inbound;
        Self {
            leg,
            direction,
            address,
            direct,
            delegation: None,
            by_route: false,
            states: Vec::new(),
            open: None,
        }
    }

    pub(crate) fn outbound(leg: Leg, reached: &Reached) -> Self {
        Self {
            leg,
            direction: Direction::Outbound,
            address: reached.address,
            direct: reached.direct_tls,
            delegation: reached.delegation.clone(),
            by_route: reached.by_route,
            states: Vec::new(),
            open: None,
        }
    }

    /// A stream without pairs, that of a component, is authenticated.
    pub(crate) fn opened(&mut self, engine: &Engine) {
        self.open = Some(engine.recorder.metrics.stream(self.leg, self.direction));
        engine.recorder.metrics.handshake(self.leg, self.direction, Ok(()));
    }

    /// A pair was authenticated.
    pub(crate) fn authorized(
        &mut self,
        engine: &Engine,
        pair: &Pair,
        how: Authentication,
        tls_version: Option<&'static str>,
        chain: &PeerChain,
        judgement: Result<(), CertificateReason>,
    ) {
        let remote = remote(pair, self.direction);
        let by_dane = self.delegation.as_ref().is_some_and(|server| {
            server.domain == *remote && engine.snapshot().is_judged_by_dane(server)
        });
        let looked_at =
            engine.snapshot().config.peers.resolve(remote).rules.verification != Verification::None;
        let valid = (looked_at && judgement.is_ok()).then_some(by_dane);
        let by = authenticated_by(self.direction, how, valid, self.by_route);
        let how = match (how, tls_version) {
            (Authentication::External, _) => evidence::Authentication::SaslExternal,
            (Authentication::DialbackByCertificate, _) => {
                evidence::Authentication::DialbackByCertificate
            }
            (Authentication::Dialback, Some(_)) => evidence::Authentication::DialbackWithTLS,
            (Authentication::Dialback, None) => evidence::Authentication::Dialback,
        };
        let shown = (self.leg == Leg::Outer).then_some(by.label());
        if let Some(omitted) = engine.recorder.may_log_pair(self.leg, pair) {
            let peer = self.leg.peer(pair, self.direction);
            tracing::info!(%peer, %pair, leg = ?self.leg, direction = ?self.direction, address = %self.address, tls = tls_version, ?how, authenticated_by = shown, omitted, "stream authorised");
        }
        let tls = tls_version.map(|version| TlsFacts {
            version: version.to_owned(),
            direct: self.direct,
            verification: verification(judgement, by_dane),
            not_after: chain.not_after(),
        });
        let state = PeerStream {
            connected: true,
            step: Step::Established,
            reason: Word::Connected,
            message: "a verified stream is open".to_owned(),
            address: Some(self.address),
            tls,
            authentication: Some(how),
            authenticated_by: Some(by),
            since: Timestamp::now(),
        };
        if self.open.is_none() {
            self.open = Some(engine.recorder.metrics.stream(self.leg, self.direction));
            engine.recorder.metrics.handshake(self.leg, self.direction, Ok(()));
            if (self.leg, self.direction) == (Leg::Outer, Direction::Outbound) {
                engine.recorder.metrics.dial(Ok(()));
            }
        }
        if self.leg == Leg::Outer {
            if self.direction == Direction::Inbound {
                engine.recorder.saw_inbound(
                    InboundKind::StreamAuthenticated,
                    &pair.from,
                    &pair.to,
                    self.address.ip(),
                );
            }
            engine.recorder.peer_state(pair, self.direction, &state);
        }
        self.keep(pair, self.direction, state);
    }

    /// The peer opened the stream, which carries our stanzas for the peer as well (XEP-0288).
    pub(crate) fn carries_back(&mut self, engine: &Engine, pair: &Pair) {
        let is_of = |(known, direction, _): &&(Pair, Direction, PeerStream)| {
            *remote(known, *direction) == pair.to
        };
        let Some((_, _, state)) = self.states.iter().find(is_of) else { return };
        let message = "a verified stream is open; the peer opened it, and it is bidirectional";
        let state =
            PeerStream { message: message.to_owned(), since: Timestamp::now(), ..state.clone() };
        if self.leg == Leg::Outer {
            engine.recorder.peer_state(pair, Direction::Outbound, &state);
        }
        self.keep(pair, Direction::Outbound, state);
    }

    fn keep(&mut self, pair: &Pair, direction: Direction, state: PeerStream) {
        // Outbound, each local domain has a state of its own.
        self.states.retain(|(known, of, _)| match direction {
            Direction::Inbound => (&known.from, *of) != (&pair.from, direction),
            Direction::Outbound => (known, *of) != (pair, direction),
        });
        // Most streams have one state, and a vector that grows by itself begins with four.
        self.states.reserve_exact(1);
        self.states.push((pair.clone(), direction, state));
    }

    /// The stream was closed.
    pub(crate) fn ended(&mut self, engine: &Engine, end: &StreamEnd) {
        self.over(engine, &end.to_string());
    }

    /// The stream broke.
    pub(crate) fn lost(&mut self, engine: &Engine, failure: &Failure) {
        self.over(engine, &failure.to_string());
    }

    fn over(&mut self, engine: &Engine, message: &str) {
        self.open = None;
        for (pair, direction, mut state) in self.states.drain(..) {
            let remote = remote(&pair, direction);
            if let Some(omitted) = engine.recorder.may_log_pair(self.leg, &pair) {
                let peer = self.leg.peer(&pair, direction);
                tracing::info!(%peer, %remote, leg = ?self.leg, ?direction, omitted, "stream ended: {message}");
            }
            if self.leg == Leg::Outer {
                state.connected = false;
                message.clone_into(&mut state.message);
                state.since = Timestamp::now();
                engine.recorder.peer_state(&pair, direction, &state);
            }
        }
    }
}

/// The remote side of a pair of that direction.
fn remote(pair: &Pair, direction: Direction) -> &Domain {
    match direction {
        Direction::Inbound => &pair.from,
        Direction::Outbound => &pair.to,
    }
}

/// How the peer's domain is authenticated: the strongest available way. `valid` is set if the certificate is valid for
/// it, and true if TLSA records decided that. Dialback does not authenticate a peer to which we open a stream: the peer
/// only learns from our authoritative server who we are (XEP-0220 §1.1).
fn authenticated_by(
    direction: Direction,
    how: Authentication,
    valid: Option<bool>,
    by_route: bool,
) -> AuthenticatedBy {
    match (valid, direction, how) {
        (Some(true), ..) => AuthenticatedBy::Dane,
        (Some(false), ..)
        | (
            None,
            Direction::Inbound,
            Authentication::External | Authentication::DialbackByCertificate,
        ) => AuthenticatedBy::Certificate,
        (None, Direction::Inbound, Authentication::Dialback) => AuthenticatedBy::Dialback,
        (None, Direction::Outbound, _) if by_route => AuthenticatedBy::Route,
        (None, Direction::Outbound, _) => AuthenticatedBy::Dns,
    }
}

/// In one word, the result of verifying the peer's certificate and its basis.
fn verification(judgement: Result<(), CertificateReason>, by_dane: bool) -> Word {
    match judgement {
        Ok(()) if by_dane => Word::ValidByDane,
        Ok(()) => Word::Valid,
        Err(reason) => reason.word(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_authenticated_by_the_strongest_proof_of_its_domain() {
        use Authentication::{Dialback, DialbackByCertificate, External};
        use Direction::{Inbound, Outbound};
        for (direction, how, valid, by_route, expected) in [
            (Inbound, External, Some(false), false, "Certificate"),
            (Inbound, DialbackByCertificate, Some(false), false, "Certificate"),
            (Inbound, Dialback, Some(false), false, "Certificate"),
            (Inbound, Dialback, None, false, "Dialback"),
            (Outbound, External, Some(false), false, "Certificate"),
            (Outbound, External, Some(true), false, "DANE"),
            (Outbound, Dialback, Some(true), false, "DANE"),
            (Outbound, External, Some(false), true, "Certificate"),
            // It accepts our certificate or our key, which does not authenticate the peer itself.
            (Outbound, External, None, false, "DNS"),
            (Outbound, Dialback, None, false, "DNS"),
            (Outbound, Dialback, None, true, "Route"),
        ] {
            let by = authenticated_by(direction, how, valid, by_route);
            assert_eq!(by.label(), expected, "{direction:?} {how:?} {valid:?} {by_route}");
            assert_eq!(serde_json::to_value(by).unwrap(), expected);
        }
    }

    #[test]
    fn evidence_says_who_vouched_for_a_certificate() {
        assert_eq!(verification(Ok(()), false).as_str(), "Valid");
        assert_eq!(verification(Ok(()), true).as_str(), "ValidByDANE");
        let owner = "_5269._tcp.xmpp.peer.example".to_owned();
        let mismatch = CertificateReason::DaneMismatch { owner };
        assert_eq!(verification(Err(mismatch), true).as_str(), "DANEMismatch");
    }
}
