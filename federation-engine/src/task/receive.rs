//! A stream that somebody opened to us: drives [`Inbound`] over a connection, and forwards its stanzas.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::peer::Verification as CertificateRole;
use jiff::Timestamp;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{sleep_until, timeout_at};

use super::admission::Permit;
use super::engine::Engine;
use super::expiry;
use super::forward::Forwarder;
use super::io::Connection;
use super::report::StreamReport;
use super::verify;
use crate::Domain;
use crate::dialback::Verification;
use crate::direction::Direction;
use crate::leg::Leg;
use crate::observe::evidence::InboundKind;
use crate::observe::label::VerificationResult;
use crate::pair::Pair;
use crate::reason::Failure;
use crate::stream::error::{StreamCondition, StreamError};
use crate::stream::{Action, Inbound, Out, StreamId, Surroundings, Transport};
use crate::tls::config::TlsStart;
use crate::tls::sniff::{self, FirstByte};
use crate::xml::{Item, Scanner};

/// Time to send the last bytes of a stream.
const CLOSING: Duration = Duration::from_secs(5);

/// Serves one accepted connection to its end.
pub(crate) async fn run(
    engine: Arc<Engine>,
    tcp: TcpStream,
    source: SocketAddr,
    leg: Leg,
    permit: Permit,
) {
    let started = Instant::now();
    let deadline = started + engine.snapshot().config.timeouts.negotiation;
    if let Err(error) = engine.tcp().configure(&tcp) {
        tracing::debug!(%source, %error, "a socket option could not be set");
    }
    let first = timeout_at(deadline.into(), first_byte(&tcp)).await;
    let (connection, transport, own_expiry) = match first {
        // Connect and close, without a byte: a load balancer's health check. Not worth a line in the log.
        Err(_) | Ok(Err(_) | Ok(None)) => return,
        Ok(Ok(Some(FirstByte::Xml))) => (Connection::plain(tcp), Transport::Tcp, None),
        Ok(Ok(Some(FirstByte::Tls))) => {
            match timeout_at(deadline.into(), engine.accept_direct(leg, tcp)).await {
                Ok(Ok((tls, presented))) => {
                    let connection = Connection::tls(tls);
                    let chain = connection.peer_chain();
                    let own_expiry = presented.first_expiry(Timestamp::now());
                    (connection, Transport::DirectTls(chain), own_expiry)
                }
                Ok(Err(error)) => {
                    tracing::info!(%source, ?leg, %error, "the TLS handshake of a Direct TLS connection failed");
                    let failure = Failure::Handshake(error.to_string());
                    engine.metrics.handshake(leg, Direction::Inbound, Err(&failure));
                    return;
                }
                Err(_) => return,
            }
        }
        Ok(Ok(Some(FirstByte::Other))) => {
            tracing::debug!(%source, ?leg, "a connection that speaks neither XMPP nor TLS was closed");
            return;
        }
    };
    let mut receiver = Receiver::new(engine, connection, transport, source, leg, permit, started);
    receiver.own_expiry = own_expiry;
    receiver.serve().await;
    receiver.report.ended(&receiver.engine);
}

async fn first_byte(tcp: &TcpStream) -> io::Result<Option<FirstByte>> {
    let mut byte = [0];
    match tcp.peek(&mut byte).await? {
        0 => Ok(None),
        _ => Ok(byte.first().map(|byte| sniff::classify(*byte))),
    }
}

/// Whether the connection goes on.
#[derive(PartialEq)]
enum Flow {
    Continue,
    Stop,
}

/// What an authoritative server said about a pair, and the stream ID that the question was about.
type Verdict = (Pair, StreamId, Verification);

struct Receiver {
    engine: Arc<Engine>,
    source: SocketAddr,
    leg: Leg,
    around: Box<dyn Surroundings + Send + Sync>,
    connection: Connection,
    scanner: Scanner,
    machine: Inbound,
    out: Out,
    forwarder: Forwarder,
    verdicts: (mpsc::Sender<Verdict>, mpsc::Receiver<Verdict>),
    /// Held until the stream is authenticated.
    permit: Option<Permit>,
    report: StreamReport,
    last_stanza: Instant,
    /// `xml:lang` of the peer's header (RFC 6120 §4.7.4).
    lang: Option<String>,
    unauthenticated_bytes: usize,
    /// End of the certificate that we presented.
    own_expiry: Option<Timestamp>,
}

impl Receiver {
    fn new(
        engine: Arc<Engine>,
        connection: Connection,
        transport: Transport,
        source: SocketAddr,
        leg: Leg,
        permit: Permit,
        started: Instant,
    ) -> Self {
        let limits = engine.stream_limits();
        let scanner = Scanner::new(engine.pre_auth_bounds());
        let direct = matches!(transport, Transport::DirectTls(_));
        Self {
            around: leg.surroundings(&engine),
            machine: Inbound::new(transport, limits, started),
            forwarder: Forwarder::new(Arc::clone(&engine), leg),
            report: StreamReport::inbound(leg, source, direct),
            // One message for each pending verification at most.
            verdicts: mpsc::channel(limits.verifications.max(1)),
            out: Out::default(),
            permit: Some(permit),
            last_stanza: started,
            lang: None,
            unauthenticated_bytes: 0,
            own_expiry: None,
            engine,
            source,
            leg,
            connection,
            scanner,
        }
    }

    async fn serve(&mut self) {
        let patience = self.engine.snapshot().config.timeouts.user_timeout;
        let mut shutdown_told = false;
        loop {
            if self.connection.flush(patience).await.is_err() {
                return;
            }
            let idle = self.idle_deadline();
            let deadline = [self.machine.deadline(), idle].into_iter().flatten().min();
            let engine = Arc::clone(&self.engine);
            let flow = tokio::select! {
                received = self.connection.fill() => match received {
                    Ok(0) | Err(_) => Flow::Stop,
                    Ok(number) => self.received(number).await,
                },
                Some((pair, id, result)) = self.verdicts.1.recv() => {
                    self.machine.on_verification(&pair, &id, result, &mut self.out);
                    self.perform().await
                }
                () = sleep_until(deadline.unwrap_or_else(far_future).into()), if deadline.is_some() => {
                    let now = Instant::now();
                    if idle.is_some_and(|at| at <= now) {
                        self.machine.close(now, &mut self.out);
                        self.last_stanza = now;
                    } else {
                        self.machine.on_timeout(now, &*self.around, &mut self.out);
                    }
                    self.perform().await
                }
                () = engine.shutdown.cancelled(), if !shutdown_told => {
                    shutdown_told = true;
                    // RFC 6120 §4.9.3.20
                    let error = StreamError::new(StreamCondition::SystemShutdown, "the server is shutting down");
                    self.machine.fail(&error, &*self.around, &mut self.out);
                    self.perform().await
                }
            };
            if flow == Flow::Stop {
                return;
            }
        }
    }

    /// An idle stream is closed without error; only an authenticated one can be idle.
    fn idle_deadline(&self) -> Option<Instant> {
        let idle = self.engine.snapshot().config.timeouts.idle?;
        (self.permit.is_none()).then(|| self.last_stanza + idle)
    }

    /// Counts what a stream sends before it is authenticated, then works it off.
    async fn received(&mut self, number: usize) -> Flow {
        if self.permit.is_some() {
            self.unauthenticated_bytes = self.unauthenticated_bytes.saturating_add(number);
            let limit = self.engine.snapshot().config.limits.pre_auth_stream_bytes;
            if self.unauthenticated_bytes > limit {
                let text = format!("more than {limit} bytes without authentication");
                let error = StreamError::new(StreamCondition::PolicyViolation, text);
                self.machine.fail(&error, &*self.around, &mut self.out);
                return self.perform().await;
            }
        }
        self.process().await
    }

    /// Works off everything that has been received.
    async fn process(&mut self) -> Flow {
        let now = Instant::now();
        loop {
            match self.scanner.next(&mut self.connection.input) {
                Ok(Some(Item::Element(element))) => {
                    if let Ok(pair) = self.machine.authorize(&element) {
                        self.last_stanza = now;
                        self.forwarder.forward(element, pair, self.lang.as_deref(), now).await;
                        continue;
                    }
                    self.machine.on_item(Item::Element(element), now, &*self.around, &mut self.out);
                }
                Ok(Some(item)) => {
                    if let Item::Header(header) = &item {
                        self.lang.clone_from(&header.lang);
                    }
                    self.machine.on_item(item, now, &*self.around, &mut self.out);
                }
                Ok(None) => return Flow::Continue,
                Err(error) => {
                    tracing::info!(source = %self.source, leg = ?self.leg, %error, "input refused");
                    self.machine.on_xml_error(error, &*self.around, &mut self.out);
                    return self.perform().await;
                }
            }
            if self.perform().await == Flow::Stop {
                return Flow::Stop;
            }
        }
    }

    /// Writes what the machine wrote and does what it asked for, until it asks for nothing more.
    async fn perform(&mut self) -> Flow {
        while !self.out.bytes.is_empty() || !self.out.actions.is_empty() {
            self.connection.output.unsplit(self.out.bytes.split());
            for action in std::mem::take(&mut self.out.actions) {
                if self.act(action).await == Flow::Stop {
                    return Flow::Stop;
                }
            }
        }
        Flow::Continue
    }

    async fn act(&mut self, action: Action) -> Flow {
        match action {
            Action::StartTls { certificate_for } => {
                if let Err(error) = self.start_tls(&certificate_for).await {
                    // RFC 6120 §5.4.3.2: TCP is closed, without </stream:stream>.
                    tracing::info!(source = %self.source, leg = ?self.leg, %error, "the TLS handshake failed");
                    let failure = Failure::Handshake(error.to_string());
                    self.engine.metrics.handshake(self.leg, Direction::Inbound, Err(&failure));
                    return Flow::Stop;
                }
            }
            Action::Restart => self.scanner.restart(),
            Action::Bounds(bounds) => self.scanner.set_bounds(bounds),
            Action::Verify { pair, id, key } => self.verify(pair, id, key),
            Action::Authorized { pair, how } => {
                self.permit = None;
                self.last_stanza = Instant::now();
                let judgement = self.around.judge(&self.connection.peer_chain(), &pair.from);
                self.watch_expiry(&pair.from, judgement.is_ok());
                self.report.authorized(
                    &self.engine,
                    &pair,
                    how,
                    self.connection.tls_version(),
                    judgement,
                );
            }
            Action::Deliver(element, pair) => {
                self.forwarder.forward(element, &pair, self.lang.as_deref(), Instant::now()).await;
            }
            Action::Refused { element, refusal } => {
                self.engine.metrics.stanzas_received.inc(self.leg);
                self.engine.metrics.stanzas_refused.inc(refusal);
                tracing::debug!(source = %self.source, leg = ?self.leg, bytes = element.bytes().len(), reason = refusal.label(), "refused");
            }
            Action::KeyAnswered { pair, id, answer } => {
                self.engine.inquiries().note(&pair, &id, &answer);
                self.engine.metrics.keys_answered.inc(VerificationResult::from(&answer));
                if answer == Verification::Valid && self.leg == Leg::Outer {
                    self.engine.saw_inbound(
                        InboundKind::DialbackVerified,
                        &pair.to,
                        &pair.from,
                        self.source.ip(),
                    );
                }
            }
            Action::Opened { from, to } => {
                if let (Leg::Outer, Some(from)) = (self.leg, from) {
                    self.engine.saw_inbound(
                        InboundKind::StreamOpened,
                        &from,
                        &to,
                        self.source.ip(),
                    );
                }
            }
            Action::Rejected(error) => {
                tracing::info!(source = %self.source, leg = ?self.leg, condition = error.condition.as_str(), "stream refused: {}", error.text);
                self.engine.metrics.handshake_refused(self.leg, Direction::Inbound);
            }
            Action::Failed(failure) => {
                tracing::info!(source = %self.source, leg = ?self.leg, reason = failure.label(), "{failure}");
                if !self.machine.is_authenticated() {
                    let result = Err(&failure);
                    self.engine.metrics.handshake(self.leg, Direction::Inbound, result);
                }
            }
            Action::Close => {
                self.connection.close(CLOSING).await;
                if !self.engine.shutdown.is_cancelled() {
                    self.connection.linger().await;
                }
                return Flow::Stop;
            }
            // Of the initiating entity only.
            Action::ConnectTls { .. } | Action::VerifyAnswered(_) | Action::PairFailed { .. } => {}
        }
        Flow::Continue
    }

    /// RFC 6120 §13.7.2.3: the stream ends with the certificates that it rests on.
    fn watch_expiry(&mut self, remote: &Domain, valid: bool) {
        let now = Timestamp::now();
        let judged = valid && self.around.peer(remote).verification != CertificateRole::None;
        let theirs = self.connection.peer_chain().first_expiry(now).filter(|_| judged);
        if let Some(at) = expiry::deadline([theirs, self.own_expiry], now, Instant::now()) {
            self.machine.expires(at);
        }
    }

    async fn start_tls(&mut self, domain: &Domain) -> io::Result<()> {
        let presented = self.engine.presented(self.leg, domain)?;
        self.own_expiry = presented.first_expiry(Timestamp::now());
        let config = presented.server(TlsStart::StartTls);
        self.connection.flush(CLOSING).await?;
        let deadline = self.machine.deadline().unwrap_or_else(far_future);
        timeout_at(deadline.into(), self.connection.accept_tls(config)).await??;
        self.machine.on_tls(self.connection.peer_chain(), &mut self.out);
        Ok(())
    }

    fn verify(&mut self, pair: Pair, id: StreamId, key: String) {
        let limit = self.engine.snapshot().config.limits.verifications_per_source;
        let Some(permit) = self.engine.verifications.admit(self.source.ip(), limit) else {
            // XEP-0220 §2.5; a verification costs us DNS look-ups and connections (XEP-0205).
            let refused = Verification::error(
                "resource-constraint",
                "too many verifications for this source",
            );
            self.machine.on_verification(&pair, &id, refused, &mut self.out);
            return;
        };
        let (engine, leg, verdicts) = (Arc::clone(&self.engine), self.leg, self.verdicts.0.clone());
        self.engine.spawn(async move {
            let result = verify::ask(&engine, leg, pair.clone(), id.clone(), key).await;
            drop(permit);
            // The stream that asked may be gone.
            let _ = verdicts.send((pair, id, result)).await;
        });
    }
}

fn far_future() -> Instant {
    Instant::now() + Duration::from_hours(24)
}
