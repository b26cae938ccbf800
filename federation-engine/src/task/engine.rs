//! What all tasks share.

use std::hash::Hash;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use crds::word::Word;
use jiff::Timestamp;
use rustls_pki_types::UnixTime;
use s2s_proto::dialback::Inquiries;
use s2s_proto::direction::Direction;
use s2s_proto::guard::Guard;
use s2s_proto::pair::Pair;
use s2s_proto::plan::TlsStart;
use s2s_proto::reason::Failure;
use s2s_proto::stream::rejection::Named;
use s2s_proto::stream::{Limits, Rejection};
use s2s_proto::xml::Bounds;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::{LazyConfigAcceptor, TlsStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::admission::Newcomers;
use super::ending::Stage;
use super::holders::Holders;
use super::judging::Judging;
use super::line::Line;
use super::lookup_rate::LookupRate;
use super::negotiate::NotOpened;
use super::round_trip::RoundTrips;
use super::send;
use super::snapshot::Snapshot;
use super::socket::Socket;
use super::streams::Streams;
use crate::Domain;
use crate::budget::ledger::Ledger;
use crate::dial::tcp::Tcp;
use crate::dns::inside::Inside;
use crate::dns::resolve::Resolver;
use crate::leg::Leg;
use crate::observe::evidence::{
    Attempt, BackendRoundTrip, InboundKind, InboundObservation, InboundRefusal, PeerStream,
};
use crate::observe::journal::Journal;
use crate::observe::limiter::Limiter;
use crate::observe::metrics::Metrics;
use crate::route::link::Link;
use crate::route::queue;
use crate::route::table::Table;
use crate::source::Prefix;
use crate::tls::config::Presented;
use crate::tls::handshake::Offer;

/// Pairs that one stream may carry. Twice the local domains of the largest federation.
const PAIRS: usize = 64;

/// How long a lookup for a stranger waits for its turn; who asks waits no longer for the answer to a dialback request.
const LOOKUP_PATIENCE: Duration = Duration::from_secs(20);

/// Bytes of a queue while memory is short.
const TIGHT_QUEUE: usize = 64 * 1024;

/// As often as RFC 6120 §4.6.4 allows.
const SILENCE: Duration = Duration::from_mins(5);

/// The state of the engine that sessions follow.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct News {
    /// Changes with the configuration.
    pub(crate) revision: u64,
    /// How far the end has come.
    pub(crate) stage: Stage,
}

/// The running engine.
pub struct Engine {
    snapshot: ArcSwap<Snapshot>,
    revision: AtomicU64,
    changes: watch::Sender<u64>,
    pub(crate) table: Table,
    /// How full the budget of the process is.
    pub(crate) ledger: Ledger,
    /// The connections of streams.
    pub(crate) holders: Holders,
    pub(crate) journal: Arc<Journal>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) resolver: ArcSwap<Resolver>,
    /// Resolver for the names of backends: the system's, search domains included.
    pub(crate) inside: Inside,
    /// Connections of the outer leg that are not authenticated.
    pub(crate) unauthenticated: Newcomers,
    /// Those of the inner leg: whoever can reach it must not hold it against the backends.
    pub(crate) unauthenticated_inner: Newcomers,
    pub(crate) verifications: Line,
    lookup_rate: Mutex<LookupRate>,
    pub(crate) judging: Judging,
    pub(crate) round_trips: RoundTrips,
    /// Open streams that may carry more than the pair they were opened for.
    pub(crate) streams: Streams,
    inquiries: Mutex<Inquiries>,
    /// Lines that anybody can cause.
    log_lines: Mutex<Limiter>,
    /// Lines about streams that are authorised or that we open. Strangers cannot use up what these may write.
    pair_lines: Mutex<Limiter<(Leg, Pair)>>,
    /// Followed by every session.
    news: watch::Sender<News>,
    /// The end has begun; see [`super::ending`] for its stages.
    pub(crate) draining: CancellationToken,
    pub(crate) bouncing: CancellationToken,
    pub(crate) shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl Engine {
    /// An engine without listeners.
    pub(crate) fn new(
        snapshot: Snapshot,
        resolver: Resolver,
        inside: Inside,
        journal: Arc<Journal>,
    ) -> Arc<Self> {
        let ledger = Ledger::default();
        Arc::new(Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            revision: AtomicU64::new(1),
            changes: watch::Sender::new(1),
            table: Table::counted(&ledger.total),
            ledger,
            holders: Holders::default(),
            journal,
            metrics: Arc::new(Metrics::default()),
            resolver: ArcSwap::from_pointee(resolver),
            inside,
            unauthenticated: Newcomers::default(),
            unauthenticated_inner: Newcomers::default(),
            verifications: Line::default(),
            lookup_rate: Mutex::default(),
            judging: Judging::default(),
            round_trips: RoundTrips::default(),
            streams: Streams::default(),
            inquiries: Mutex::default(),
            log_lines: Mutex::default(),
            pair_lines: Mutex::default(),
            news: watch::Sender::default(),
            draining: CancellationToken::new(),
            bouncing: CancellationToken::new(),
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
        })
    }

    /// Configuration and materials in force.
    pub(crate) fn snapshot(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// The same, to be held across waiting.
    pub(crate) fn snapshot_owned(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Puts another configuration into force. Streams that are verified stay; what is cached from the old one is made
    /// again.
    pub(crate) fn replace(&self, snapshot: Snapshot) {
        self.snapshot.store(Arc::new(snapshot));
        let revision = self.revision.fetch_add(1, Ordering::AcqRel) + 1;
        self.changes.send_replace(revision);
        self.table.forgive();
        self.news.send_modify(|news| news.revision = revision);
    }

    /// Changes with every [`Self::replace`].
    pub(crate) fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// Tells of every [`Self::replace`].
    pub(crate) fn revisions(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// What other servers asked about our dialback keys; never held across waiting.
    pub(crate) fn inquiries(&self) -> MutexGuard<'_, Inquiries> {
        self.inquiries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When something may be looked up because of this stranger, once more; none: not soon.
    pub(crate) fn may_look_up(&self, source: IpAddr) -> Option<Instant> {
        let mut rate = self.lookup_rate.lock().unwrap_or_else(PoisonError::into_inner);
        rate.take(source, Instant::now(), LOOKUP_PATIENCE)
    }

    /// Runs a task that shutdown waits for.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Starts the task of a link; the link has said that none runs.
    pub(crate) fn start(self: &Arc<Self>, link: &Arc<Link>) {
        self.spawn(send::run(Arc::clone(self), Arc::clone(link)));
    }

    /// The state that sessions follow, now and after every change.
    pub(crate) fn news(&self) -> watch::Receiver<News> {
        self.news.subscribe()
    }

    /// Tells every session that the end has come so far.
    pub(super) fn reach(&self, stage: Stage) {
        self.news.send_modify(|news| news.stage = stage);
    }

    /// Waits for the end of every task.
    pub(super) async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Options of every S2S connection. A dead link is noticed by TCP (RFC 6120 §4.6.4 wants no XMPP traffic for that).
    pub(crate) fn tcp(&self) -> Tcp {
        let timeouts = self.snapshot().config.timeouts;
        Tcp { keepalive: timeouts.keepalive, user_timeout: timeouts.user_timeout }
    }

    /// The dialler's guard.
    pub(crate) fn guard(&self) -> Guard {
        let snapshot = self.snapshot();
        let listen = &snapshot.config.listen;
        let own = [listen.s2s, listen.s2s_tls, listen.backend].into_iter().flatten();
        Guard { allow_networks: snapshot.config.allow_networks.clone(), own: own.collect() }
    }

    /// The resolver of the outer leg.
    pub(crate) fn resolver(&self) -> Resolver {
        Resolver::clone(&self.resolver.load())
    }

    /// Bounds of every queue.
    pub(crate) fn queue_bounds(&self) -> queue::Bounds {
        let snapshot = self.snapshot();
        let most = if self.ledger.is_tight() { TIGHT_QUEUE } else { usize::MAX };
        queue::Bounds {
            bytes: snapshot.config.limits.queue_bytes.min(most),
            stanzas: snapshot.config.limits.queue_stanzas,
            age: snapshot.config.timeouts.queue,
        }
    }

    /// What a stream may send before it is authenticated.
    pub(crate) fn pre_auth_bounds(&self) -> Bounds {
        Bounds {
            element_bytes: self.snapshot().config.limits.pre_auth_element_bytes,
            ..Bounds::PRE_AUTHENTICATION
        }
    }

    /// Sizes and times of one stream.
    pub(crate) fn stream_limits(&self) -> Limits {
        let snapshot = self.snapshot();
        let (limits, timeouts) = (&snapshot.config.limits, &snapshot.config.timeouts);
        Limits {
            negotiation: timeouts.negotiation,
            dialback: timeouts.dialback,
            pairs: PAIRS,
            acknowledgement: timeouts.user_timeout,
            silence: SILENCE,
            idle: timeouts.idle,
            unauthenticated_bytes: limits.pre_auth_element_bytes,
            authenticated: Bounds {
                depth: limits.depth,
                attributes: limits.attributes,
                ..Bounds::AUTHENTICATED.with_element_bytes(limits.stanza_bytes)
            },
        }
    }

    /// Whether a log line that this source can cause at will is written; if so, how many of such lines were left out since
    /// the last one.
    pub(crate) fn may_log(&self, source: IpAddr) -> Option<u64> {
        self.count_omitted(admit(&self.log_lines, Prefix::from(source)))
    }

    /// The same for a line about a pair that a stream of this leg carries, or that one is opened for.
    pub(crate) fn may_log_pair(&self, leg: Leg, pair: &Pair) -> Option<u64> {
        self.count_omitted(admit(&self.pair_lines, (leg, pair.clone())))
    }

    fn count_omitted(&self, admitted: Option<u64>) -> Option<u64> {
        if admitted.is_none() {
            self.metrics.log_lines_omitted.inc();
        }
        admitted
    }

    /// Evidence: something from outside reached the outer leg.
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

    /// Log, count and evidence: something that a peer claimed was refused.
    pub(crate) fn saw_refusal(&self, leg: Leg, source: SocketAddr, rejection: Rejection) {
        let Rejection { from, to, reason, text, ends } = rejection;
        let (claimed, asked) = (from.as_ref().map(Domain::as_str), to.as_ref().map(Domain::as_str));
        let what = if ends { "stream" } else { "dialback request" };
        if let Some(omitted) = self.may_log(source.ip()) {
            tracing::info!(%source, ?leg, from = claimed, to = asked, reason = reason.as_str(), omitted, "{what} refused: {text}");
        }
        if ends {
            self.metrics.handshake_refused(leg, Direction::Inbound);
        }
        self.note_refusal(leg, source, Named { from, to }, reason, text);
    }

    /// Log, count and evidence: a connection was closed before anything was read from it.
    pub(crate) fn saw_refused_connection(&self, leg: Leg, source: SocketAddr, text: String) {
        self.metrics.connections_refused.inc();
        if let Some(omitted) = self.may_log(source.ip()) {
            tracing::info!(%source, ?leg, omitted, "connection refused: {text}");
        }
        self.note_refusal(leg, source, Named::default(), Word::TooManyConnections, text);
    }

    /// Log, count and evidence: a connection that had not opened a stream was closed to make room.
    pub(crate) fn saw_eviction(&self, leg: Leg, source: SocketAddr) {
        let text = "the connection did not open a stream, and made room for another one";
        self.saw_refused_connection(leg, source, text.to_owned());
    }

    /// Evidence: the TLS handshake on a peer's connection failed, perhaps by its verdict on our certificate. Its header, if
    /// there was one, came in the clear.
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
            tracing::info!(%source, ?leg, from = claimed, to = asked, reason = failure.word().as_str(), omitted, "{failure}");
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
        if leg == Leg::Outer {
            self.journal.refused(InboundRefusal {
                peer: from,
                local: to,
                source: source.ip().to_canonical(),
                reason,
                message: text,
                count: 1,
                at: Timestamp::now(),
            });
        }
    }

    /// Evidence: a round trip through a backend.
    pub(crate) fn saw_backend(&self, round_trip: BackendRoundTrip) {
        self.journal.backend(round_trip);
    }

    /// Evidence: the state of one direction with a peer.
    pub(crate) fn peer_state(&self, remote: &Domain, direction: Direction, state: &PeerStream) {
        match direction {
            Direction::Inbound => self.journal.peer_inbound(remote, state.clone()),
            Direction::Outbound => {
                self.journal.peer_outbound(remote, state.clone());
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

    /// Evidence: an attempt to reach the receiver of a link failed.
    pub(crate) fn attempt_failed(
        &self,
        link: &Link,
        NotOpened { failure, address, tls }: &NotOpened,
    ) {
        self.metrics.handshake(link.leg, Direction::Outbound, Err(failure));
        if link.leg == Leg::Inner {
            return;
        }
        self.metrics.dial(Err(failure));
        let (remote, address) = (&link.pair.to, *address);
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

impl Engine {
    /// Accepts Direct TLS; the certificate is chosen by the server name (XEP-0368 §3).
    pub(crate) async fn accept_direct(
        &self,
        leg: Leg,
        tcp: TcpStream,
    ) -> io::Result<(TlsStream<Socket>, Presented)> {
        let (acceptor, socket) = (rustls::server::Acceptor::default(), Socket::new(tcp));
        let start = LazyConfigAcceptor::new(acceptor, socket).await?;
        let presented = {
            let hello = start.client_hello();
            self.snapshot().present_for_sni(leg, hello.server_name(), UnixTime::now())
        };
        let presented = presented.ok_or_else(no_certificate)?;
        let offer = Offer::of(&start.client_hello());
        let accepted = start.into_stream(presented.server(TlsStart::Direct)).await;
        let tls = accepted.map_err(|error| offer.explain(&error))?;
        Ok((tls.into(), presented))
    }

    /// For the server side of STARTTLS: the certificate of the domain that the peer asked for.
    pub(crate) fn presented(&self, leg: Leg, domain: &Domain) -> io::Result<Presented> {
        self.snapshot().present(leg, domain, UnixTime::now()).ok_or_else(no_certificate)
    }

    /// For the client side of TLS: the certificate of the domain that we are; without one dialback still works.
    pub(crate) fn presented_if_any(&self, leg: Leg, domain: &Domain) -> Option<Presented> {
        self.snapshot().present(leg, domain, UnixTime::now())
    }
}

fn admit<S: Hash + Eq>(lines: &Mutex<Limiter<S>>, source: S) -> Option<u64> {
    lines.lock().unwrap_or_else(PoisonError::into_inner).admit(source, Instant::now())
}

fn no_certificate() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "no certificate is loaded for this domain")
}
