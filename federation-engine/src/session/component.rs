//! A stream that a component opened (XEP-0114): it has one domain, and carries the stanzas of all domains of its
//! backend that no other stream has.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::xmpp::StreamCondition;
use jiff::Timestamp;
use s2s_proto::clock;
use s2s_proto::pair::Pair;
use s2s_proto::reason::Failure;
use s2s_proto::stream::Rejection;
use s2s_proto::stream::error::StreamError;

use super::{Flow, Session, expiry};
use crate::Domain;
use crate::in_force::{limits, snapshot::Snapshot};
use crate::leg::Leg;
use crate::route::components::Heard;
use crate::route::link::Link;
use crate::route::streams::Far;
use crate::session::machine::Machine;
use crate::session::role::Role;

/// Time for the TCP of a component to acknowledge a byte while another component waits for the domain.
const CONTEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Interval in which links without stanzas are let go: their number must not grow as long as the component is connected.
const SWEEP_INTERVAL: Duration = Duration::from_mins(1);

/// The component of this backend has these domains.
fn is_of(snapshot: &Snapshot, domain: &Domain, backend: &str) -> bool {
    snapshot.component_of(domain).is_some_and(|of| of.name == backend)
}

impl Session {
    /// The component has presented the secret of this domain.
    pub(super) fn claim(&mut self, domain: &Domain) {
        let Machine::Component(machine) = &mut self.machine else { return };
        let engine = Arc::clone(&self.engine);
        let snapshot = engine.snapshot_owned();
        let claimed = snapshot
            .backend(domain)
            .ok_or_else(|| StreamError::new(StreamCondition::HostGone, "the domain was removed"))
            .and_then(|backend| {
                let events = self.events.sender();
                let claim = engine.components.claim(domain, self.address, events);
                claim.map(|claim| (claim, backend.name.clone())).map_err(|holder| {
                    let text = "another stream of a component has the domain";
                    StreamError::new(StreamCondition::Conflict, text)
                        .caused_by(format!("{text}: that of {holder}"))
                })
            });
        let (claim, backend) = match claimed {
            Ok(claimed) => claimed,
            Err(error) => return machine.on_claim(Err(error), &*self.around, &mut self.out),
        };
        machine.on_claim(Ok(()), &*self.around, &mut self.out);
        self.newcomer = None;
        self.last_stanza = Instant::now();
        self.limits.of_backend(&snapshot.config.peers);
        let bounds = limits::stream(&snapshot.config).authenticated;
        self.scanner.set_bounds(bounds.with_element_bytes(self.stanza_bytes()));
        self.outlet.for_component();
        self.report.opened(&engine);
        if let Some(at) = self.certificate_end() {
            self.machine.expires(at);
        }
        if let Some(omitted) = engine.recorder.may_log(self.address.ip()) {
            tracing::info!(%domain, backend, address = %self.address, tls = self.connection.tls_version(), omitted, "component connected");
        }
        // A link of a domain that has a stream of its own moves there.
        self.register(Far::Domain(domain.clone()));
        self.register(Far::Backend(backend.clone()));
        let sweep_at = clock::after(self.last_stanza, SWEEP_INTERVAL);
        self.component = Some(Box::new(Role {
            domain: domain.clone(),
            claim: Some(claim),
            backend,
            sweep_at,
            contest: None,
            heard: Heard::default(),
        }));
        self.end_outages(domain);
        self.hurry_links();
        self.move_links(domain);
    }

    /// Peers may open streams again to the domains that this stream carries now.
    fn end_outages(&self, domain: &Domain) {
        let snapshot = self.engine.snapshot();
        let Some(role) = &self.component else { return };
        let (now, time) = (Instant::now(), snapshot.config.timeouts.queue);
        let carried = |local: &&Domain| {
            is_of(&snapshot, local, &role.backend)
                && (*local == domain || !self.engine.components.is_reserved(local, now, time))
        };
        for local in snapshot.config.local_names().filter(carried) {
            self.engine.relay.outages.ended(local);
        }
    }

    /// The stream of a component was refused.
    pub(super) fn component_refused(&self, rejection: &Rejection) {
        if let (Machine::Component(_), Some(domain)) = (&self.machine, &rejection.to)
            && self.engine.snapshot().component_of(domain).is_some()
        {
            let cause = rejection.text.clone();
            self.engine.components.refused(domain, self.address, cause);
        }
    }

    /// When the certificate that we presented expires.
    fn certificate_end(&self) -> Option<Instant> {
        expiry::deadline([self.own_expiry], Timestamp::now(), Instant::now())
    }

    /// Streams of the same backend let go the links of the domain that has a stream of its own now.
    fn move_links(&self, domain: &Domain) {
        let Some(role) = &self.component else { return };
        let far = Far::Backend(role.backend.clone());
        self.engine.streams.announce(Leg::Inner, &far, domain);
    }

    /// Stanzas that wait for a component can be sent.
    fn hurry_links(&self) {
        for link in self.links() {
            link.hurry();
        }
    }

    /// The links to the domains of the backend.
    fn links(&self) -> impl Iterator<Item = Arc<Link>> {
        let (snapshot, backend) = (
            self.engine.snapshot_owned(),
            self.component.as_ref().map(|role| role.backend.clone()),
        );
        self.engine.relay.table.all().into_iter().filter(move |link| {
            link.leg == Leg::Inner
                && backend.as_ref().is_some_and(|backend| is_of(&snapshot, &link.pair.to, backend))
        })
    }

    /// Another stream has this domain now.
    pub(super) fn on_moved(&mut self, domain: &Domain) {
        if self.component.as_ref().is_some_and(|role| role.domain != *domain) {
            self.outlet.let_go(|pair| pair.to == *domain);
        }
    }

    /// Another component wants the domain, which is its own for as long as its component responds. What it responds to is
    /// white space between stanzas, which every component ignores (RFC 6120 §4.6.1).
    pub(super) fn on_contest(&mut self) {
        let Some(role) = self.component.as_mut().filter(|role| role.contest.is_none()) else {
            return;
        };
        let Some(taken) = self.connection.taken() else { return };
        if self.connection.output.is_empty() {
            self.connection.output.extend_from_slice(b" ");
        }
        role.contest = Some((clock::after(Instant::now(), CONTEST_TIMEOUT), taken));
    }

    /// The time of [`Role::deadline`] has come.
    pub(super) fn on_role_due(&mut self, now: Instant) -> Flow {
        let acknowledged = self.connection.acknowledged().map(|seen| seen.bytes);
        let Some(role) = &mut self.component else { return Flow::Continue };
        if role.sweep_at <= now {
            role.sweep_at = clock::after(now, SWEEP_INTERVAL);
            self.outlet.let_idle_go();
        }
        let Some((_, taken)) = role.contest.filter(|(at, _)| *at <= now) else {
            return Flow::Continue;
        };
        role.contest = None;
        if acknowledged.is_none_or(|bytes| bytes > taken) {
            return Flow::Continue;
        }
        let text =
            "waiting for a component that did not respond while another one wanted its domain";
        self.failure = Some(Failure::ConnectionLost(text));
        Flow::Stop
    }

    /// The configuration was reloaded. A connected component stays connected when its secret has changed.
    pub(super) async fn on_component_reload(&mut self) -> Flow {
        let Machine::Component(machine) = &mut self.machine else { return Flow::Continue };
        machine.forget_pairs();
        let Some(role) = &self.component else { return Flow::Continue };
        let snapshot = self.engine.snapshot_owned();
        if is_of(&snapshot, &role.domain, &role.backend) {
            let stays = |pair: &Pair| is_of(&snapshot, &pair.to, &role.backend);
            self.outlet.let_go(|pair| !stays(pair));
            self.limits.of_backend(&snapshot.config.peers);
            return Flow::Continue;
        }
        self.closing = true;
        let text = "this server no longer serves the domain by a component";
        let error = StreamError::new(StreamCondition::HostGone, text);
        self.machine.fail(&error, &*self.around, &mut self.out);
        self.perform().await
    }

    /// The stream is closing: the domain is free.
    pub(super) fn free_domain(&mut self) {
        if let Some(role) = &mut self.component {
            role.claim = None;
        }
    }

    /// The stream has ended: the domain is free, and whoever watches its links is notified.
    pub(super) fn leave_domain(&mut self, message: &str) {
        let Some(role) = self.component.as_deref() else { return };
        if let Some(omitted) = self.engine.recorder.may_log(self.address.ip()) {
            tracing::info!(domain = %role.domain, backend = role.backend, address = %self.address, omitted, "component disconnected: {message}");
        }
        let links: Vec<_> = self.links().collect();
        self.component = None;
        for link in links {
            link.lose();
        }
    }
}
