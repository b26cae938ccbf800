//! A stream that we open, from its connection to the link that it carries.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use s2s_proto::reason::CertificateReason;
use s2s_proto::stream::Outbound;

use super::{Peer, Session};
use crate::Domain;
use crate::admission::holders::{Holding, Owner};
use crate::engine::{Engine, surroundings};
use crate::leg::Leg;
use crate::route::link::Link;
use crate::session::attempt::Attempt;
use crate::session::machine::Machine;
use crate::session::report::StreamReport;
use crate::session::target::Reached;
use crate::sockets::connection::Connection;

impl Session {
    /// A stream that we open; no pair is authenticated yet.
    pub(super) fn opening(
        engine: &Arc<Engine>,
        leg: Leg,
        connection: Connection,
        holding: Holding,
        reached: &Reached,
        machine: Outbound,
        attempt: Attempt,
    ) -> Self {
        let report = StreamReport::outbound(leg, reached);
        let by = Peer { address: reached.address, report, holding };
        let machine = Machine::Initiating(machine);
        let fresh = Self::over(engine, leg, connection, by, machine, Instant::now());
        let around = surroundings::of_server(engine, leg, reached.delegation.as_ref());
        let place = Some(reached.place.clone());
        Self { around, place, attempt: Some(Box::new(attempt)), ..fresh }
    }

    /// The address to which the stream is connected.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The pair of the link is authenticated on the stream that we opened for it. The stream carries the link from now
    /// on.
    pub(crate) fn carrying(mut self, link: &Arc<Link>) -> Self {
        self.attempt = None;
        self.last_stanza = Instant::now();
        self.last_traffic = self.last_stanza;
        if let Some(how) = self.how {
            let judgement = self.judgement(&link.pair.to);
            let tls = self.connection.tls_version();
            let chain = self.connection.peer_chain();
            self.report.authorized(&self.engine, &link.pair, how, tls, &chain, judgement);
            self.authenticated.push((link.pair.clone(), how));
        }
        self.intake.header(self.machine.lang());
        let remote = match self.leg {
            Leg::Outer => &link.pair.to,
            Leg::Inner => &link.pair.from,
        };
        self.holding.authenticated(Owner::Peer(remote), self.events.sender());
        self.limit_by(remote);
        self.outlet.carry(Arc::clone(link), None);
        // The configuration may have changed since the negotiation began.
        self.revision = 0;
        self.news.mark_changed();
        self.share_opened(&link.pair.to);
        self
    }

    /// The result of verifying the peer's certificate, independent of the conclusion of the negotiation.
    pub(super) fn judgement(&self, remote: &Domain) -> Result<(), CertificateReason> {
        self.around.judge(&self.connection.peer_chain(), remote)
    }
}
