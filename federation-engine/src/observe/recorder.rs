//! Records events of streams: rate-limited log lines, counters and evidence.

use std::hash::Hash;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crds::word::Word;
use jiff::Timestamp;
use s2s_proto::direction::Direction;
use s2s_proto::pair::Pair;
use s2s_proto::proxy_header::HeaderError;
use s2s_proto::reason::Failure;
use s2s_proto::stream::Rejection;
use s2s_proto::stream::rejection::Named;

use crate::Domain;
use crate::leg::Leg;
use crate::observe::evidence::{
    Attempt, BackendContact, BackendRoundTrip, ContactKind, InboundKind, InboundObservation,
    InboundRefusal, PeerStream,
};
use crate::observe::journal::Journal;
use crate::observe::limiter::Limiter;
use crate::observe::metrics::Metrics;
use crate::source::Prefix;

/// Why a connection was refused for its header of the PROXY protocol.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum ProxyRefusal {
    /// Its source is trusted, and it has no usable header.
    #[error(
        "the connection comes from proxyProtocol.trustedSources, but {0}; enable the PROXY protocol on the proxy, or remove its address there"
    )]
    Header(HeaderError),
    /// It has a header, and its source is not trusted.
    #[error(
        "the connection has a PROXY protocol header, but proxyProtocol.trustedSources does not contain its source; add the proxy's address there, or disable the PROXY protocol on the proxy"
    )]
    Untrusted,
}

impl ProxyRefusal {
    fn word(self) -> Word {
        match self {
            Self::Header(HeaderError::Missing) => Word::ProxyHeaderMissing,
            Self::Header(_) => Word::ProxyHeaderInvalid,
            Self::Untrusted => Word::ProxyHeaderUntrusted,
        }
    }
}

/// Records what happens to streams.
pub(crate) struct Recorder {
    pub(crate) journal: Arc<Journal>,
    pub(crate) metrics: Arc<Metrics>,
    /// Limit for log lines that anyone can cause.
    log_lines: Mutex<Limiter>,
    /// Limit for log lines about streams that are authenticated or that the engine opens. Unknown servers cannot use up
    /// this limit.
    pair_lines: Mutex<Limiter<(Leg, Pair)>>,
}

impl Recorder {
    /// Records evidence into this journal.
    pub(crate) fn new(journal: Arc<Journal>) -> Self {
        Self {
            journal,
            metrics: Arc::default(),
            log_lines: Mutex::default(),
            pair_lines: Mutex::default(),
        }
    }

    /// Whether to write a log line that this source can cause at will; if so, how many such lines were omitted since
    /// the last one.
    pub(crate) fn may_log(&self, source: IpAddr) -> Option<u64> {
        self.count_omitted(admit(&self.log_lines, Prefix::from(source)))
    }

    /// The same decision for a line about a pair that a stream of this leg carries, or for which one is being opened.
    pub(crate) fn may_log_pair(&self, leg: Leg, pair: &Pair) -> Option<u64> {
        self.count_omitted(admit(&self.pair_lines, (leg, pair.clone())))
    }

    fn count_omitted(&self, admitted: Option<u64>) -> Option<u64> {
        if admitted.is_none() {
            self.metrics.log_lines_omitted.inc();
        }
        admitted
    }

    /// Records evidence that a connection from outside reached the outer leg.
    pub(crate) fn saw_inbound(
        &self,
        kind: InboundKind,
        peer: &Domain,
        local: &Domain,
        source: IpAddr,
    ) {
        self.journal.inbound(InboundObservation {
            kind,
            peer: peer.clone(),
            local: local.clone(),
            source: source.to_canonical(),
            at: Timestamp::now(),
        });
    }

    /// Records in log, metrics and evidence that a peer's stream or dialback request was refused.
    pub(crate) fn saw_refusal(&self, leg: Leg, source: SocketAddr, rejection: Rejection) {
        let Rejection { from, to, reason, text, ends } = rejection;
        let (claimed, asked) = (from.as_ref().map(Domain::as_str), to.as_ref().map(Domain::as_str));
        let what = if ends { "stream" } else { "dialback request" };
        if let Some(omitted) = self.may_log(source.ip()) {
            let peer = if leg == Leg::Outer { claimed } else { asked };
            tracing::info!(%source, ?leg, peer, from = claimed, to = asked, reason = reason.as_str(), omitted, "{what} refused: {text}");
        }
        if ends {
            self.metrics.handshake_refused(leg, Direction::Inbound);
        }
        self.note_refusal(leg, source, Named { from, to }, reason, text);
    }

    /// Records in log, metrics and evidence that a connection was closed before anything was read from it.
    pub(crate) fn saw_refused_connection(&self, leg: Leg, source: SocketAddr, text: String) {
        self.metrics.connections_refused.inc();
        if let Some(omitted) = self.may_log(source.ip()) {
            let reason = Word::TooManyConnections.as_str();
            tracing::info!(%source, ?leg, reason, omitted, "connection refused: {text}");
        }
        self.note_refusal(leg, source, Named::default(), Word::TooManyConnections, text);
    }

    /// Records in log, metrics and evidence that a connection was refused for its header of the PROXY protocol.
    /// `source` is the connection's own address.
    pub(crate) fn saw_proxy_header(&self, leg: Leg, source: SocketAddr, refusal: ProxyRefusal) {
        let text = refusal.to_string();
        let reason = refusal.word();
        self.metrics.connections_refused.inc();
        if let Some(omitted) = self.may_log(source.ip()) {
            tracing::info!(%source, ?leg, reason = reason.as_str(), omitted, "connection refused: {text}");
        }
        self.note_refusal(leg, source, Named::default(), reason, text);
    }

    /// Records in log, metrics and evidence that a connection without an open stream was closed to make room.
    pub(crate) fn saw_eviction(&self, leg: Leg, source: SocketAddr) {
        let text =
            "the connection had not opened a stream and was closed to make room for another one";
        self.saw_refused_connection(leg, source, text.to_owned());
    }

    /// Records evidence that the TLS handshake on a peer's connection failed, perhaps because the peer refused our
    /// certificate. The peer's header, if there was one, was unencrypted.
    pub(crate) fn saw_failed_handshake(
        &self,
        leg: Leg,
        source: SocketAddr,
        named: Named,
        error: &io::Error,
    ) {
        let failure = Failure::Handshake(error.to_string());
        let (claimed, asked) =
            (named.from.as_ref().map(Domain::as_str), named.to.as_ref().map(Domain::as_str));
        if let Some(omitted) = self.may_log(source.ip()) {
            let peer = if leg == Leg::Outer { claimed } else { asked };
            tracing::info!(%source, ?leg, peer, from = claimed, to = asked, reason = failure.word().as_str(), omitted, "{failure}");
        }
        self.metrics.handshake(leg, Direction::Inbound, Err(&failure));
        self.note_refusal(leg, source, named, failure.word(), failure.to_string());
    }

    fn note_refusal(
        &self,
        leg: Leg,
        source: SocketAddr,
        Named { from, to }: Named,
        reason: Word,
        text: String,
    ) {
        let (source, at) = (source.ip().to_canonical(), Timestamp::now());
        match leg {
            Leg::Outer => self.journal.refused(InboundRefusal {
                peer: from,
                local: to,
                source,
                reason,
                message: text,
                count: 1,
                at,
            }),
            // Without a name, it may be any host of the cluster.
            Leg::Inner if from.is_some() => self.journal.backend_contact(BackendContact {
                kind: ContactKind::StreamRefused,
                source,
                domain: from,
                detail: text,
                at,
            }),
            Leg::Inner => {}
        }
    }

    /// Records evidence of a query to the DNS server for backends: one that was refused, or one for the probe domain.
    pub(crate) fn saw_backend_query(&self, kind: ContactKind, source: IpAddr) {
        self.journal.backend_contact(BackendContact {
            kind,
            source: source.to_canonical(),
            domain: None,
            detail: String::new(),
            at: Timestamp::now(),
        });
    }

    /// Records evidence of a round trip through a backend.
    pub(crate) fn saw_backend(&self, round_trip: BackendRoundTrip) {
        self.journal.backend(round_trip);
    }

    /// Records evidence of the state of one direction with a peer.
    pub(crate) fn peer_state(&self, pair: &Pair, direction: Direction, state: &PeerStream) {
        match direction {
            Direction::Inbound => self.journal.peer_inbound(&pair.from, state.clone()),
            Direction::Outbound => {
                let remote = &pair.to;
                self.journal.peer_outbound(remote, &pair.from, state.clone());
                if state.connected {
                    let tls = state.tls.as_ref().map(|tls| tls.version.clone());
                    self.journal.attempt(
                        remote,
                        Attempt {
                            at: state.since,
                            step: state.step,
                            reason: state.reason.clone(),
                            message: state.message.clone(),
                            address: state.address,
                            tls,
                        },
                    );
                }
            }
        }
    }

    /// Records evidence that an attempt to open a stream to a remote domain failed, with the address and the TLS
    /// version.
    pub(crate) fn attempt_failed(
        &self,
        leg: Leg,
        Pair { from: local, to: remote }: &Pair,
        failure: &Failure,
        address: Option<SocketAddr>,
        tls: Option<&str>,
    ) {
        self.metrics.handshake(leg, Direction::Outbound, Err(failure));
        if leg == Leg::Inner {
            return;
        }
        self.metrics.dial(Err(failure));
        let attempt = Attempt {
            at: Timestamp::now(),
            step: failure.step(),
            reason: failure.word(),
            message: failure.to_string(),
            address,
            tls: tls.map(str::to_owned),
        };
        self.journal.attempt(remote, attempt.clone());
        self.journal.peer_outbound(
            remote,
            local,
            PeerStream {
                connected: false,
                step: attempt.step,
                reason: attempt.reason,
                message: attempt.message,
                address,
                tls: None,
                authentication: None,
                authenticated_by: None,
                since: attempt.at,
            },
        );
    }
}

fn admit<S: Hash + Eq>(lines: &Mutex<Limiter<S>>, source: S) -> Option<u64> {
    lines.lock().unwrap_or_else(PoisonError::into_inner).admit(source, Instant::now())
}
