//! What a stream leaves in the evidence and the log: when it is authorised, lost, closed.

use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;

use super::engine::Engine;
use super::stream_end::StreamEnd;
use super::target::Reached;
use crate::Domain;
use crate::direction::Direction;
use crate::leg::Leg;
use crate::observe::evidence::{self, InboundKind, PeerStream, TlsFacts};
use crate::observe::metrics::StreamGuard;
use crate::pair::Pair;
use crate::reason::{CertificateReason, Failure, Step};
use crate::stream::Authentication;
use crate::tls::dane::Delegation;

/// The story of one stream.
pub(crate) struct StreamReport {
    leg: Leg,
    direction: Direction,
    address: SocketAddr,
    direct: bool,
    /// What DNSSEC proves about the server.
    delegation: Option<Arc<Delegation>>,
    /// Remote domains and what is told of them, once authorised.
    states: Vec<(Domain, Direction, PeerStream)>,
    /// Counts the stream for as long as it is verified.
    open: Option<StreamGuard>,
}

impl StreamReport {
    pub(crate) fn inbound(leg: Leg, address: SocketAddr, direct: bool) -> Self {
        let direction = Direction::Inbound;
        Self { leg, direction, address, direct, delegation: None, states: Vec::new(), open: None }
    }

    pub(crate) fn outbound(leg: Leg, reached: &Reached) -> Self {
        Self {
            leg,
            direction: Direction::Outbound,
            address: reached.address,
            direct: reached.direct_tls,
            delegation: reached.delegation.clone(),
            states: Vec::new(),
            open: None,
        }
    }

    /// A pair was proven.
    pub(crate) fn authorized(
        &mut self,
        engine: &Engine,
        pair: &Pair,
        how: Authentication,
        tls_version: Option<&'static str>,
        judgement: Result<(), CertificateReason>,
    ) {
        let remote = match self.direction {
            Direction::Inbound => &pair.from,
            Direction::Outbound => &pair.to,
        };
        let how = match (how, tls_version) {
            (Authentication::External, _) => evidence::Authentication::SaslExternal,
            (Authentication::DialbackByCertificate, _) => {
                evidence::Authentication::DialbackByCertificate
            }
            (Authentication::Dialback, Some(_)) => evidence::Authentication::DialbackWithTLS,
            (Authentication::Dialback, None) => evidence::Authentication::Dialback,
        };
        tracing::info!(%pair, leg = ?self.leg, direction = ?self.direction, address = %self.address, tls = tls_version, ?how, "stream authorised");
        let by_dane = self.delegation.as_ref().is_some_and(|server| {
            server.domain == *remote && engine.snapshot().is_judged_by_dane(server)
        });
        let tls = tls_version.map(|version| TlsFacts {
            version: version.to_owned(),
            direct: self.direct,
            verification: verification(judgement, by_dane).to_owned(),
            not_after: None,
        });
        let state = PeerStream {
            connected: true,
            step: Step::Established,
            reason: "Connected".to_owned(),
            message: "a verified stream is open".to_owned(),
            address: Some(self.address),
            tls,
            authentication: Some(how),
            since: Timestamp::now(),
        };
        if self.open.is_none() {
            self.open = Some(engine.metrics.stream(self.leg, self.direction));
            engine.metrics.handshake(self.leg, self.direction, Ok(()));
            if (self.leg, self.direction) == (Leg::Outer, Direction::Outbound) {
                engine.metrics.dial(Ok(()));
            }
        }
        if self.leg == Leg::Outer {
            if self.direction == Direction::Inbound {
                engine.saw_inbound(
                    InboundKind::StreamAuthenticated,
                    &pair.from,
                    &pair.to,
                    self.address.ip(),
                );
            }
            engine.peer_state(remote, self.direction, &state);
        }
        self.keep(remote, self.direction, state);
    }

    /// The peer opened the stream, and it carries our stanzas for it, too (XEP-0288).
    pub(crate) fn carries_back(&mut self, engine: &Engine, pair: &Pair) {
        let Some((_, _, state)) = self.states.iter().find(|(remote, ..)| *remote == pair.to) else {
            return;
        };
        let message = "a verified stream is open; the peer opened it, and it goes both ways";
        let state =
            PeerStream { message: message.to_owned(), since: Timestamp::now(), ..state.clone() };
        if self.leg == Leg::Outer {
            engine.peer_state(&pair.to, Direction::Outbound, &state);
        }
        self.keep(&pair.to, Direction::Outbound, state);
    }

    fn keep(&mut self, remote: &Domain, direction: Direction, state: PeerStream) {
        self.states.retain(|(known, of, _)| (known, of) != (remote, &direction));
        self.states.push((remote.clone(), direction, state));
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
        for (remote, direction, mut state) in self.states.drain(..) {
            tracing::info!(%remote, leg = ?self.leg, ?direction, "stream ended: {message}");
            if self.leg == Leg::Outer {
                state.connected = false;
                message.clone_into(&mut state.message);
                state.since = Timestamp::now();
                engine.peer_state(&remote, direction, &state);
            }
        }
    }
}

/// In one word, what the peer's certificate is worth and by whose word.
fn verification(judgement: Result<(), CertificateReason>, by_dane: bool) -> &'static str {
    match judgement {
        Ok(()) if by_dane => "ValidByDANE",
        Ok(()) => "Valid",
        Err(reason) => reason.label(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_says_who_vouched_for_a_certificate() {
        assert_eq!(verification(Ok(()), false), "Valid");
        assert_eq!(verification(Ok(()), true), "ValidByDANE");
        let owner = "_5269._tcp.xmpp.peer.example".to_owned();
        let mismatch = CertificateReason::DaneMismatch { owner };
        assert_eq!(verification(Err(mismatch), true), "DANEMismatch");
    }
}
