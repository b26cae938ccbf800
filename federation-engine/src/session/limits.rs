//! The configured limits of the peer of a stream (`peers[].limits`). A stream that reaches a limit is not read; it gets
//! no error. With `enforcement: DryRun` the event is only counted.

use std::time::{Duration, Instant};

use crds::peer::Enforcement;
use s2s_proto::clock;

use super::Session;
use crate::Domain;
use crate::admission::stanza_rate::StanzaRate;
use crate::config::resolve::Peers;
use crate::leg::Leg;
use crate::observe::label::PeerLimit;

/// Interval of the checks whether there is a place among the peer's streams.
const PLACE_INTERVAL: Duration = Duration::from_millis(250);

/// The limits of one stream.
#[derive(Default)]
pub(super) struct Limits {
    /// Largest stanza, where the peer has one of its own.
    stanza_bytes: Option<usize>,
    rate: Option<(StanzaRate, Enforcement)>,
    /// It was too fast; the time at which reading continues.
    paused_until: Option<Instant>,
    /// The domain that has too many streams, and its maximum.
    place: Option<(Domain, usize)>,
    /// Time of the next check for a place.
    look_for_place: Option<Instant>,
}

impl Limits {
    /// The stream may be read.
    pub(super) fn allow_reading(&self) -> bool {
        self.paused_until.is_none() && self.place.is_none()
    }

    /// When [`Session::on_limits_due`] must be called.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.paused_until.into_iter().chain(self.look_for_place).min()
    }
}

impl Limits {
    /// A stanza of a backend may be for any peer.
    pub(super) fn of_backend(&mut self, peers: &Peers) {
        self.stanza_bytes = Some(peers.largest_stanza_bytes());
    }
}

impl Session {
    /// A domain of the peer is authenticated: its limits apply from now on. Of several domains, the largest stanza size
    /// and the smallest rate apply.
    pub(super) fn limit_by(&mut self, remote: &Domain) {
        let snapshot = self.engine.snapshot_owned();
        let peers = &snapshot.config.peers;
        if self.leg == Leg::Inner {
            self.limits.stanza_bytes = Some(peers.largest_stanza_bytes());
            return;
        }
        let peer = peers.resolve(remote);
        self.limits.stanza_bytes = self.limits.stanza_bytes.max(Some(peer.stanza_bytes));
        if let Some(per_second) = peer.stanzas_per_second {
            let rate = StanzaRate::new(per_second, Instant::now());
            let slowest = self.limits.rate.filter(|(known, _)| known.is_slower_than(&rate));
            self.limits.rate = Some(slowest.unwrap_or((rate, peer.enforcement)));
        }
    }

    /// The peer opened this stream and has authenticated a domain: whether there may be one more stream.
    pub(super) fn find_place(&mut self, remote: &Domain) {
        if self.leg == Leg::Inner {
            return;
        }
        let snapshot = self.engine.snapshot_owned();
        let peer = snapshot.config.peers.resolve(remote);
        let limit = peer.streams.and_then(|limit| usize::try_from(limit.get()).ok());
        let Some(limit) = limit.filter(|limit| self.holding.older(remote) >= *limit) else {
            return;
        };
        self.engine.recorder.metrics.peer_limit_reached(PeerLimit::Streams, peer.enforcement);
        if peer.enforcement == Enforcement::Enforce {
            self.limits.place = Some((remote.clone(), limit));
            self.look_for_place(Instant::now());
        }
    }

    fn look_for_place(&mut self, now: Instant) {
        let Some((domain, limit)) = &self.limits.place else { return };
        if self.holding.older(domain) < *limit {
            self.limits.place = None;
            self.limits.look_for_place = None;
        } else {
            self.engine.holders.close_an_idle_one(domain, now);
            self.limits.look_for_place = Some(clock::after(now, PLACE_INTERVAL));
        }
    }

    /// The time of [`Limits::deadline`] has come.
    pub(super) fn on_limits_due(&mut self, now: Instant) {
        if self.limits.paused_until.is_some_and(|at| at <= now) {
            self.limits.paused_until = None;
        }
        if self.limits.look_for_place.is_some_and(|at| at <= now) {
            self.look_for_place(now);
        }
    }

    /// Whether the next element may be processed.
    pub(super) fn may_go_on(&mut self, now: Instant) -> bool {
        if !self.limits.allow_reading() {
            return false;
        }
        let Some((rate, enforcement)) = &mut self.limits.rate else { return true };
        let Some(until) = rate.pause(now) else { return true };
        self.engine.recorder.metrics.peer_limit_reached(PeerLimit::StanzasPerSecond, *enforcement);
        match enforcement {
            Enforcement::Enforce => {
                self.limits.paused_until = Some(until);
                false
            }
            Enforcement::DryRun => {
                rate.forgive(now);
                true
            }
        }
    }

    /// A stanza was accepted.
    pub(super) fn count_stanza(&mut self, now: Instant) {
        if let Some((rate, _)) = &mut self.limits.rate {
            rate.take(now);
        }
    }

    /// The largest stanza on this stream.
    pub(super) fn stanza_bytes(&self) -> usize {
        let of_all = || self.engine.snapshot().config.limits.stanza_bytes;
        self.limits.stanza_bytes.unwrap_or_else(of_all)
    }
}
