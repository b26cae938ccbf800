//! Opens a stream to a remote server or backend: finds it, connects, and drives [`Outbound`] until the stream is of use or
//! the true cause is known.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use crds::peer::Verification;
use jiff::Timestamp;
use s2s_proto::clock;
use s2s_proto::dialback;
use s2s_proto::plan::TlsStart;
use s2s_proto::reason::{CertificateReason, Failure};
use s2s_proto::stream::error;
use s2s_proto::stream::{
    Action, Authentication, Out, Outbound, PeerChain, Purpose, Surroundings, Transport,
};
use s2s_proto::xml::escape::printable;
use s2s_proto::xml::{Bound, Scanner};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{sleep_until, timeout_at};

use super::engine::Engine;
use super::expiry;
use super::holders::{self, Holding};
use super::io::Connection;
use super::outlet::End;
use super::streams::Far;
use super::target::{self, Reached};
use crate::Domain;
use crate::leg::Leg;
use crate::route::link::Link;
use crate::tls::config::{anonymous_client, server_name};
use crate::tls::handshake::{Offer, late_refusal};

/// Time to send the last bytes of a stream.
pub(crate) const CLOSING: Duration = Duration::from_secs(5);

/// Bytes that are kept of what a peer sends in place of a header: enough for a stream error.
const MAX_BEGIN: usize = 2048;

/// A stream that we opened.
pub(crate) struct Opened {
    pub(crate) around: Box<dyn Surroundings + Send + Sync>,
    pub(crate) connection: Connection,
    pub(crate) scanner: Scanner,
    pub(crate) machine: Outbound,
    pub(crate) out: Out,
    /// Where it leads.
    pub(crate) reached: Reached,
    /// What it holds of the budget.
    pub(crate) holding: Holding,
    /// How we were proven to the peer; `None` on a stream for verification.
    pub(crate) how: Option<Authentication>,
    /// End of the certificate that we presented.
    own_expiry: Option<Timestamp>,
    /// What the peer sent in place of a header, as far as it is of use.
    begin: BytesMut,
}

/// No stream came about.
#[derive(Debug)]
pub(crate) struct NotOpened {
    pub(crate) failure: Failure,
    /// The address that was reached or tried last.
    pub(crate) address: Option<SocketAddr>,
    /// Version of TLS, if it came to that.
    pub(crate) tls: Option<&'static str>,
}

impl From<Failure> for NotOpened {
    /// No connection came about.
    fn from(failure: Failure) -> Self {
        Self { address: failure.last_address(), failure, tls: None }
    }
}

/// What an attempt to open a stream leads to.
pub(crate) enum Opening {
    /// A stream whose pair is proven.
    Own(Box<Opened>),
    /// One that was there already carries the link; this tells its end.
    Shared(oneshot::Receiver<End>),
    /// The authoritative server's answer, and the stream that it came on.
    Verified(Box<Opened>, dialback::Verification),
}

/// What a stream for one purpose ends its negotiation with.
enum Outcome {
    /// The pair may send.
    Authorized,
    /// The authoritative server has answered.
    Verified(dialback::Verification),
}

/// Opens a stream for `purpose`. Targets are tried in the order of the plan; a target that accepts TCP and then fails to
/// become a stream is followed by the next one, because a dead TLS endpoint is as dead as a closed port. A stream that is
/// open to the same place may carry the link instead (XEP-0220 §2.6).
pub(crate) async fn open(
    engine: &Arc<Engine>,
    leg: Leg,
    purpose: Purpose,
    link: Option<&Arc<Link>>,
) -> Result<Opening, NotOpened> {
    let (_, remote) = ends(&purpose);
    let mut targets = match target::find(engine, leg, &remote).await {
        Ok(targets) => targets,
        Err(failure) => return Err(failure.into()),
    };
    let mut last: Option<NotOpened> = None;
    // What a peer said about EXTERNAL before it closed the stream: dialback is tried on the next one.
    let mut rejected: Option<Failure> = None;
    if let (Some(link), Some(place)) = (link, targets.next())
        && let Some(end) = engine.streams.adopt(Far::Target(place), link).await
    {
        return Ok(Opening::Shared(end));
    }
    loop {
        // Counted from the first SYN. It is never refused: others make room for it.
        let holding = engine.holders.enter(&engine.ledger.total, leg, None, None);
        let (tcp, reached) = match targets.connect(engine).await {
            Ok((tcp, reached)) => (Counted { tcp, holding }, reached),
            // A later target that refuses TCP does not hide what an earlier one said on its stream.
            Err(failure) => {
                return Err(last.unwrap_or(failure.into()));
            }
        };
        let address = reached.address;
        let attempt = negotiate(engine, leg, purpose.clone(), tcp, reached, rejected.clone());
        let (failure, tls) = match attempt.await {
            Ok((opened, Outcome::Authorized)) => return Ok(Opening::Own(Box::new(opened))),
            Ok((opened, Outcome::Verified(answer))) => {
                return Ok(Opening::Verified(Box::new(opened), answer));
            }
            Err((Failure::SeeOtherHost(redirect), tls)) => {
                let other = redirect.to_string();
                match targets.redirect(engine, redirect).await {
                    Ok(()) => {
                        if let Some(omitted) = may_log(engine, leg, &purpose, address) {
                            tracing::info!(%remote, ?leg, other, omitted, "the peer sends us to another host");
                        }
                        // What counts from now on is what the other host says.
                        last = None;
                        continue;
                    }
                    Err(failure) => (failure, tls),
                }
            }
            Err((failure @ Failure::ExternalRejected { .. }, _))
                if rejected.is_none()
                    && leg.surroundings(engine).peer(&remote).allows_dialback() =>
            {
                if let Some(omitted) = may_log(engine, leg, &purpose, address) {
                    tracing::info!(%remote, ?leg, %address, omitted, "dialback is tried on another stream: {failure}");
                }
                let address = Some(address);
                last = Some(NotOpened { failure: failure.clone(), address, tls: None });
                rejected = Some(failure);
                targets = match target::find(engine, leg, &remote).await {
                    Ok(targets) => targets,
                    Err(failure) => return Err(last.unwrap_or(failure.into())),
                };
                continue;
            }
            Err(failed) => failed,
        };
        let final_word = !worth_another_target(&failure);
        last = Some(NotOpened { failure, address: Some(address), tls });
        if final_word || targets.is_exhausted() {
            break;
        }
    }
    Err(last.unwrap_or(Failure::ShuttingDown.into()))
}

/// Whether the same domain may do better at another address. What a server says about our identity or its own holds for
/// the domain; what breaks below that holds for the address.
fn worth_another_target(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::Handshake(_)
            | Failure::NotXmpp(_)
            | Failure::ConnectionLost(_)
            | Failure::NegotiationTimedOut(_)
            // TLSA records are about one server (RFC 7673 §3.3).
            | Failure::Certificate(CertificateReason::DaneMismatch { .. })
    )
}

/// Whether a line about the peer is written. A stranger chooses whom we ask about its key.
fn may_log(engine: &Engine, leg: Leg, purpose: &Purpose, address: SocketAddr) -> Option<u64> {
    match purpose {
        Purpose::Send(pair) => engine.may_log_pair(leg, pair),
        Purpose::Verify { .. } => engine.may_log(address.ip()),
    }
}

/// Our domain and the one that is dialled.
fn ends(purpose: &Purpose) -> (Domain, Domain) {
    match purpose {
        Purpose::Send(pair) => (pair.from.clone(), pair.to.clone()),
        Purpose::Verify { pair, .. } => (pair.to.clone(), pair.from.clone()),
    }
}

/// A TCP connection that we opened, with its share of the budget.
struct Counted {
    tcp: TcpStream,
    holding: Holding,
}

/// A failure comes with the version of TLS that it came to.
async fn negotiate(
    engine: &Arc<Engine>,
    leg: Leg,
    purpose: Purpose,
    Counted { tcp, holding }: Counted,
    reached: Reached,
    rejected: Option<Failure>,
) -> Result<(Opened, Outcome), (Failure, Option<&'static str>)> {
    let started = Instant::now();
    let deadline = clock::after(started, engine.snapshot().config.timeouts.negotiation);
    let (local, remote) = ends(&purpose);
    let mut connection = Connection::plain(tcp);
    let mut transport = Transport::Tcp;
    let mut own_expiry = None;
    if reached.direct_tls {
        let start = TlsStart::Direct;
        own_expiry = start_tls(engine, leg, &mut connection, &local, &remote, start, deadline)
            .await
            .map_err(|detail| (Failure::Handshake(named(&detail, &reached, &remote)), None))?;
        transport = Transport::DirectTls(connection.peer_chain());
    }
    let mut opened = Opened {
        around: reached.surroundings(engine, leg),
        scanner: Scanner::new(engine.pre_auth_bounds()),
        machine: Outbound::new(purpose, transport, engine.stream_limits(), started),
        out: Out::default(),
        how: None,
        own_expiry,
        begin: BytesMut::new(),
        connection,
        reached,
        holding,
    };
    if let Some(rejected) = rejected {
        opened.machine.after_rejection(rejected);
    }
    match opened.negotiate(engine, leg, &local, deadline).await {
        Ok(outcome) => Ok((opened, outcome)),
        Err(failure) => {
            let set = leg == Leg::Outer
                && engine.snapshot().config.peers.resolve(&remote).rules.verification
                    == Verification::Required;
            let failure = opened.explained(failure);
            let failure = if set { failure.by_setting() } else { failure };
            Err((failure, opened.connection.tls_version()))
        }
    }
}

/// With the record that says that TLS comes first there: a frequent mistake is to name the port of STARTTLS in it.
fn named(detail: &str, reached: &Reached, remote: &Domain) -> String {
    let (host, port) = &reached.place;
    format!(
        "the SRV record _xmpps-server._tcp.{remote} names {host}:{port} for Direct TLS; if that port expects STARTTLS, only \
         _xmpp-server._tcp.{remote} may name it; {detail}"
    )
}

impl Opened {
    /// From the first header to the outcome.
    async fn negotiate(
        &mut self,
        engine: &Arc<Engine>,
        leg: Leg,
        local: &Domain,
        deadline: Instant,
    ) -> Result<Outcome, Failure> {
        self.machine.begin(&*self.around, &mut self.out);
        let limit = engine.snapshot().config.limits.pre_auth_stream_bytes;
        let mut bytes: usize = 0;
        loop {
            if let Some(outcome) = self.perform(engine, leg, deadline).await? {
                return Ok(outcome);
            }
            if bytes > limit {
                // White space that no element follows is bounded by nothing else.
                let error = Bound::UnauthenticatedBytes { limit }.into();
                self.machine.on_xml_error(error, &mut self.out);
                bytes = 0;
                continue;
            }
            let wait = self.machine.deadline().unwrap_or(deadline);
            self.holding.report(holders::held(&self.connection), Instant::now());
            tokio::select! {
                received = self.connection.fill() => match received {
                    Ok(0) => self.machine.on_closed(&mut self.out),
                    Err(error) => match late_refusal(&error, presented(engine, leg, local)) {
                        Some(detail) => self.machine.on_tls_failure(detail, &mut self.out),
                        None => self.machine.on_closed(&mut self.out),
                    },
                    Ok(number) => bytes = bytes.saturating_add(number),
                },
                () = sleep_until(wait.into()) => {
                    self.machine.on_timeout(Instant::now(), &mut self.out);
                }
                () = engine.shutdown.cancelled() => return Err(Failure::ShuttingDown),
            }
        }
    }

    /// Writes, acts and reads what is there, until more input is needed or the negotiation has ended.
    async fn perform(
        &mut self,
        engine: &Arc<Engine>,
        leg: Leg,
        deadline: Instant,
    ) -> Result<Option<Outcome>, Failure> {
        loop {
            let mut outcome = None;
            self.connection.output.unsplit(self.out.bytes.split());
            for action in std::mem::take(&mut self.out.actions) {
                match action {
                    Action::ConnectTls { server_name, certificate_for } => {
                        let flushed =
                            self.connection.flush(CLOSING).await.map_err(|error| error.to_string());
                        let start = TlsStart::StartTls;
                        let result = match flushed {
                            Ok(()) => {
                                start_tls(
                                    engine,
                                    leg,
                                    &mut self.connection,
                                    &certificate_for,
                                    &server_name,
                                    start,
                                    deadline,
                                )
                                .await
                            }
                            Err(error) => Err(error),
                        };
                        match result {
                            Ok(own_expiry) => {
                                self.own_expiry = own_expiry;
                                let chain = self.connection.peer_chain();
                                self.machine.on_tls(chain, &*self.around, &mut self.out);
                            }
                            Err(detail) => self.machine.on_tls_failure(detail, &mut self.out),
                        }
                    }
                    Action::Restart => self.scanner.restart(),
                    Action::Bounds(bounds) => self.scanner.set_bounds(bounds),
                    Action::Authorized { how, pair } => {
                        self.how = Some(how);
                        self.watch_expiry(&pair.to);
                        outcome = Some(Ok(Outcome::Authorized));
                    }
                    Action::VerifyAnswered(answer) => outcome = Some(Ok(Outcome::Verified(answer))),
                    Action::Failed(failure) | Action::PairFailed { failure, .. } => {
                        outcome.get_or_insert(Err(failure));
                    }
                    Action::Close => {
                        self.connection.output.unsplit(self.out.bytes.split());
                        self.connection.close(CLOSING).await;
                        outcome.get_or_insert(Err(Failure::ConnectionLost("negotiating")));
                    }
                    Action::Refused { refusal, .. } => {
                        engine.metrics.stanzas_received.inc(leg);
                        engine.metrics.stanzas_refused.inc(refusal);
                    }
                    // Of the receiving entity only, or impossible before the pair is proven.
                    Action::StartTls { .. }
                    | Action::Rejected(_)
                    | Action::Ends(_)
                    | Action::Verify { .. }
                    | Action::KeyAnswered { .. }
                    | Action::Opened { .. }
                    | Action::Acknowledged(_)
                    | Action::Unmanaged
                    | Action::Deliver(..)
                    // The session learns from the machine what it may take.
                    | Action::Bidirectional { .. } => {}
                }
            }
            self.connection.output.unsplit(self.out.bytes.split());
            if self.connection.flush(CLOSING).await.is_err() {
                self.machine.on_closed(&mut self.out);
            }
            if let Some(outcome) = outcome {
                return outcome.map(Some);
            }
            if !self.out.actions.is_empty() {
                continue;
            }
            if self.machine.awaits_header() {
                let seen = self.connection.input.len().min(MAX_BEGIN);
                self.begin.clear();
                self.begin.extend_from_slice(self.connection.input.get(..seen).unwrap_or_default());
            } else {
                self.begin.clear();
            }
            match self.scanner.next(&mut self.connection.input) {
                Ok(Some(item)) => {
                    self.machine.on_item(item, Instant::now(), &*self.around, &mut self.out);
                }
                Ok(None) => return Ok(None),
                Err(error) => self.machine.on_xml_error(error, &mut self.out),
            }
        }
    }

    /// The failure in the peer's own words, if what it sent is no stream.
    fn explained(&self, failure: Failure) -> Failure {
        match failure {
            Failure::NotXmpp(text) => not_xmpp(&text, &self.begin),
            other => other,
        }
    }

    /// RFC 6120 §13.7.2.3: the stream ends with the certificates that it rests on.
    fn watch_expiry(&mut self, remote: &Domain) {
        let now = Timestamp::now();
        let looked_at = self.around.peer(remote).verification != Verification::None;
        let judged = looked_at && self.judgement(remote).is_ok();
        let theirs = self.connection.peer_chain().first_expiry(now).filter(|_| judged);
        if let Some(at) = expiry::deadline([theirs, self.own_expiry], now, Instant::now()) {
            self.machine.expires(at);
        }
    }

    /// What the peer's certificate is worth, whatever the negotiation made of it.
    pub(crate) fn judgement(&self, remote: &Domain) -> Result<(), CertificateReason> {
        let chain: PeerChain = self.connection.peer_chain();
        self.around.judge(&chain, remote)
    }
}

/// The end of the certificate that was presented.
async fn start_tls(
    engine: &Arc<Engine>,
    leg: Leg,
    connection: &mut Connection,
    local: &Domain,
    remote: &Domain,
    start: TlsStart,
    deadline: Instant,
) -> Result<Option<Timestamp>, String> {
    let presented = engine.presented_if_any(leg, local);
    let config = match &presented {
        Some(presented) => presented.client(start),
        None => anonymous_client(start).map_err(|error| error.to_string())?,
    };
    let name =
        server_name(remote).ok_or_else(|| format!("{remote} is too long for a server name"))?;
    match timeout_at(deadline.into(), connection.connect_tls(config, name)).await {
        Ok(Ok(())) => Ok(presented.and_then(|presented| presented.first_expiry(Timestamp::now()))),
        Ok(Err(error)) => {
            let local = presented.is_some().then_some(local.as_str());
            Err(Offer::ours().refused(&error, local))
        }
        Err(_) => Err("the peer did not finish it in time".to_owned()),
    }
}

/// Whose certificate a stream presents, if there is one.
fn presented<'a>(engine: &Engine, leg: Leg, local: &'a Domain) -> Option<&'a str> {
    engine.presented_if_any(leg, local).map(|_| local.as_str())
}

/// A peer that sent `begin` and no stream: its own words, or what it seems to speak.
fn not_xmpp(text: &str, begin: &[u8]) -> Failure {
    /// Bytes of the peer in a message.
    const EXCERPT: usize = 64;
    if let Some(said) = error::read_early(begin) {
        return said;
    }
    Failure::NotXmpp(match begin {
        [] => text.to_owned(),
        // An alert or a handshake (RFC 8446 §5.1).
        [0x15 | 0x16, 0x03, ..] => format!(
            "{text}; it answered in TLS, so the port seems to be one for Direct TLS, which only an _xmpps-server record may name"
        ),
        _ => {
            let excerpt = begin.get(..EXCERPT).unwrap_or(begin);
            let excerpt = printable(&String::from_utf8_lossy(excerpt), EXCERPT);
            format!("{text}; what it sent begins with {excerpt:?}")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_sends_in_place_of_a_stream_is_quoted() {
        let said = |begin: &[u8]| not_xmpp("no stream", begin).to_string();
        assert!(said(b"<stream:error><host-unknown/></stream:error>").contains("host-unknown"));
        assert!(said(b"HTTP/1.1 400 Bad Request\r\n").contains("\"HTTP/1.1 400 Bad Request"));
        assert!(said(&[0x15, 3, 1, 0, 2, 2, 40]).contains("Direct TLS"));
        assert!(said(&[b'x'; 2_000]).len() < 200);
        assert!(!said(b"\xff\0\x1b[31m").contains(char::is_control));
        assert!(said(b"").ends_with("no stream"));
    }
}
