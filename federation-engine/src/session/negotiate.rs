//! Opens a stream to a remote server or backend: finds it, connects, and drives [`Outbound`] until the stream is usable
//! or the true cause of the failure is known.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::backend::BackendAuthentication;
use crds::peer::Verification;
use jiff::Timestamp;
use s2s_proto::clock;
use s2s_proto::dialback;
use s2s_proto::plan::TlsStart;
use s2s_proto::reason::{CertificateReason, Failure};
use s2s_proto::stream::error;
use s2s_proto::stream::{Outbound, Purpose, Transport};
use s2s_proto::xml::Bound;
use s2s_proto::xml::escape::printable;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{sleep_until, timeout_at};

use crate::Domain;
use crate::admission::holders::{self, Holding};
use crate::engine::{Engine, surroundings};
use crate::in_force;
use crate::in_force::snapshot::NotPresented;
use crate::leg::Leg;
use crate::route::link::Link;
use crate::route::streams::End;
use crate::route::streams::Far;
use crate::session::Session;
use crate::session::attempt::{Attempt, Outcome};
use crate::session::target::{self, Reached};
use crate::sockets::connection::Connection;
use crate::tls::config::{anonymous_client, server_name};
use crate::tls::handshake::{Offer, late_refusal};

/// Time to send the last bytes of a stream.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Time limit for a backend's answer to a dialback key. It asks the engine itself, so it is quick, or asks elsewhere. Less than
/// the time that the engine waits for a ping, so that the ping ends with the cause.
const BACKEND_DIALBACK_TIMEOUT: Duration = Duration::from_secs(8);

/// Maximum bytes to keep of data that a peer sends instead of a header: enough for a stream error.
const MAX_BEGIN_BYTES: usize = 2048;

/// No stream could be opened.
#[derive(Debug)]
pub(crate) struct NotOpened {
    pub(crate) failure: Failure,
    /// The address that was reached or tried last.
    pub(crate) address: Option<SocketAddr>,
    /// TLS version, if TLS was established.
    pub(crate) tls: Option<&'static str>,
}

impl From<Failure> for NotOpened {
    /// No connection could be opened.
    fn from(failure: Failure) -> Self {
        Self { address: failure.last_address(), failure, tls: None }
    }
}

/// The result of an attempt to open a stream.
pub(crate) enum Opening {
    /// A stream whose pair is authenticated.
    Own(Box<Session>),
    /// An open stream carries the link; the receiver is notified of its end.
    Shared(oneshot::Receiver<End>),
    /// The authoritative server's answer, and the stream on which it arrived.
    Verified(Box<Session>, dialback::KeyVerdict),
}

/// Opens a stream for `purpose`. Targets are tried in the order of the plan. If a target accepts TCP but no stream can
/// be negotiated, the next one is tried: a dead TLS endpoint is as useless as a closed port. An open stream to the same
/// place may carry the link instead (XEP-0220 §2.6).
pub(crate) async fn open(
    engine: &Arc<Engine>,
    leg: Leg,
    purpose: Purpose,
    link: Option<&Arc<Link>>,
) -> Result<Opening, NotOpened> {
    let (_, remote) = ends(&purpose);
    let mut targets = match target::find(&engine.network, leg, &remote).await {
        Ok(targets) => targets,
        Err(failure) => return Err(failure.into()),
    };
    let mut last: Option<NotOpened> = None;
    // The peer's answer to EXTERNAL before it closed the stream. The next stream tries dialback.
    let mut rejected: Option<Failure> = None;
    if let (Some(link), Some(place)) = (link, targets.next())
        && let Some(end) = engine.streams.adopt(Far::Target(place), link).await
    {
        return Ok(Opening::Shared(end));
    }
    loop {
        // Counted from the first SYN. It is never refused: other connections make room for it.
        let holding = engine.holders.enter(&engine.ledger.total, leg, None, None);
        let (tcp, reached) = match targets.connect(&engine.network).await {
            Ok((tcp, reached)) => (Counted { tcp, holding }, reached),
            // A later target that refuses TCP does not hide the error that an earlier one sent on its stream.
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
                match targets.redirect(&engine.network, redirect).await {
                    Ok(()) => {
                        if let Some(omitted) = may_log(engine, leg, &purpose, address) {
                            tracing::info!(%remote, ?leg, other, omitted, "the peer redirects to another host");
                        }
                        // From now on, the errors of the other host count.
                        last = None;
                        continue;
                    }
                    Err(failure) => (failure, tls),
                }
            }
            Err((failure @ Failure::ExternalRejected { .. }, _))
                if rejected.is_none()
                    && surroundings::of_leg(engine, leg).peer(&remote).allows_dialback() =>
            {
                if let Some(omitted) = may_log(engine, leg, &purpose, address) {
                    tracing::info!(%remote, ?leg, %address, omitted, "trying dialback on another stream: {failure}");
                }
                let address = Some(address);
                last = Some(NotOpened { failure: failure.clone(), address, tls: None });
                rejected = Some(failure);
                targets = match target::find(&engine.network, leg, &remote).await {
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

/// Whether another address may succeed for the same domain. A server's errors about our identity or its own apply to
/// the domain; failures of lower layers apply to the address.
fn worth_another_target(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::Handshake(_)
            | Failure::NotXmpp(_)
            | Failure::ConnectionLost(_)
            | Failure::NegotiationTimedOut(_)
            // TLSA records apply to one server (RFC 7673 §3.3).
            | Failure::Certificate(CertificateReason::DaneMismatch { .. })
    )
}

/// Whether to write a log line about the peer. An unknown server chooses the server that we query about its key.
fn may_log(engine: &Engine, leg: Leg, purpose: &Purpose, address: SocketAddr) -> Option<u64> {
    match purpose {
        Purpose::Send(pair) => engine.recorder.may_log_pair(leg, pair),
        Purpose::Verify { .. } => engine.recorder.may_log(address.ip()),
    }
}

/// Our domain and the one to which the engine connects.
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

/// A failure comes with the TLS version, if TLS was established.
#[tracing::instrument(name = "negotiate", level = "debug", skip_all, fields(address = %reached.address))]
async fn negotiate(
    engine: &Arc<Engine>,
    leg: Leg,
    purpose: Purpose,
    Counted { tcp, holding }: Counted,
    reached: Reached,
    rejected: Option<Failure>,
) -> Result<(Session, Outcome), (Failure, Option<&'static str>)> {
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
    let mut limits = in_force::limits::stream(&engine.snapshot().config);
    if leg == Leg::Inner {
        limits.dialback = limits.dialback.min(BACKEND_DIALBACK_TIMEOUT);
    }
    let mut machine = Outbound::new(purpose, transport, limits, started);
    if let Some(rejected) = rejected {
        machine.after_rejection(rejected);
    }
    let attempt = Attempt::until(deadline);
    let mut opened = Session::opening(engine, leg, connection, holding, &reached, machine, attempt);
    opened.presented_until(own_expiry);
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

/// Adds the record that requires Direct TLS there. A frequent mistake is to publish the STARTTLS port in it.
fn named(detail: &str, reached: &Reached, remote: &Domain) -> String {
    let (host, port) = &reached.place;
    format!(
        "the SRV record _xmpps-server._tcp.{remote} points to {host}:{port} for Direct TLS; if that port expects STARTTLS, only \
         _xmpp-server._tcp.{remote} may point to it; {detail}"
    )
}

impl Session {
    /// From the first header to the result.
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
            if let Some(outcome) = self.advance().await? {
                return Ok(outcome);
            }
            if bytes > limit {
                // Only this limit bounds white space that no element follows.
                let error = Bound::UnauthenticatedBytes { limit }.into();
                self.machine.on_xml_error(error, &*self.around, &mut self.out);
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
                    self.machine.on_timeout(Instant::now(), &*self.around, &mut self.out);
                }
                () = engine.life.shutdown.cancelled() => return Err(Failure::ShuttingDown),
            }
        }
    }

    /// Writes, performs actions and reads the available data, until more input is needed or the negotiation has ended.
    async fn advance(&mut self) -> Result<Option<Outcome>, Failure> {
        loop {
            self.perform().await;
            if self.connection.flush(CLOSE_TIMEOUT).await.is_err() {
                self.machine.on_closed(&mut self.out);
            }
            if let Some(outcome) = self.attempt.as_mut().and_then(|attempt| attempt.outcome.take())
            {
                return outcome.map(Some);
            }
            if !self.out.actions.is_empty() {
                continue;
            }
            if let Some(attempt) = &mut self.attempt {
                attempt.begin.clear();
                if self.machine.awaits_header() {
                    let input = &self.connection.input;
                    let seen = input.len().min(MAX_BEGIN_BYTES);
                    attempt.begin.extend_from_slice(input.get(..seen).unwrap_or_default());
                }
            }
            match self.scanner.next(&mut self.connection.input) {
                Ok(Some(item)) => {
                    self.machine.on_item(item, Instant::now(), &*self.around, &mut self.out);
                }
                Ok(None) => return Ok(None),
                Err(error) => self.machine.on_xml_error(error, &*self.around, &mut self.out),
            }
        }
    }

    /// Runs the client side of STARTTLS.
    pub(super) async fn connect_tls(&mut self, server_name: &Domain, certificate_for: &Domain) {
        let Some(deadline) = self.attempt.as_ref().map(|attempt| attempt.deadline) else { return };
        let (engine, leg, start) = (&self.engine, self.leg, TlsStart::StartTls);
        let connection = &mut self.connection;
        let flushed = connection.flush(CLOSE_TIMEOUT).await.map_err(|error| error.to_string());
        let result = match flushed {
            Ok(()) => {
                start_tls(engine, leg, connection, certificate_for, server_name, start, deadline)
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

    /// Replaces the failure by the peer's own error or protocol, if it did not send a stream.
    fn explained(&self, failure: Failure) -> Failure {
        match failure {
            Failure::NotXmpp(text) => {
                let begin = self.attempt.as_ref().map(|attempt| attempt.begin.as_ref());
                not_xmpp(self.leg, &text, begin.unwrap_or_default())
            }
            other => other,
        }
    }
}

/// The expiry of the certificate that was presented.
#[tracing::instrument(name = "tls", level = "debug", skip_all)]
async fn start_tls(
    engine: &Arc<Engine>,
    leg: Leg,
    connection: &mut Connection,
    local: &Domain,
    remote: &Domain,
    start: TlsStart,
    deadline: Instant,
) -> Result<Option<Timestamp>, String> {
    let presented = match engine.present(leg, local) {
        Ok(presented) => Some(presented),
        // Without a certificate, EXTERNAL cannot succeed.
        Err(NotPresented::NotMinted(error))
            if engine.snapshot().backend_authentication(remote)
                == BackendAuthentication::Minted =>
        {
            return Err(format!("the engine has no certificate to present: {error}"));
        }
        Err(_) => None,
    };
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
        Err(_) => Err("the peer did not complete it in time".to_owned()),
    }
}

/// The domain whose certificate a stream presents, if any.
fn presented<'a>(engine: &Engine, leg: Leg, local: &'a Domain) -> Option<&'a str> {
    engine.present(leg, local).ok().map(|_| local.as_str())
}

/// The failure for a peer that sent `begin` and no stream: its own stream error, or the protocol that it seems to use.
fn not_xmpp(leg: Leg, text: &str, begin: &[u8]) -> Failure {
    /// Maximum bytes of the peer's data in a message.
    const MAX_EXCERPT_BYTES: usize = 64;
    /// The namespace of every stream header (RFC 6120 §4.8.1).
    const STREAMS: &[u8] = b"http://etherx.jabber.org/streams";
    if let Some(said) = error::read_early(begin) {
        return said;
    }
    Failure::NotXmpp(match begin {
        [] => text.to_owned(),
        // An alert or a handshake (RFC 8446 §5.1).
        [0x15 | 0x16, 0x03, ..] => {
            let consequence = match leg {
                Leg::Outer => "only an _xmpps-server record may point to it",
                Leg::Inner => "streams to a backend begin without TLS",
            };
            format!(
                "{text}; it answered in TLS, so the port probably expects Direct TLS, and {consequence}"
            )
        }
        // A stream header is not quoted: `text` names its fault, and some servers order its attributes differently each time.
        _ if begin.windows(STREAMS.len()).any(|part| part == STREAMS) => text.to_owned(),
        _ => {
            let excerpt = begin.get(..MAX_EXCERPT_BYTES).unwrap_or(begin);
            let excerpt = printable(&String::from_utf8_lossy(excerpt), MAX_EXCERPT_BYTES);
            format!("{text}; its data begins with {excerpt:?}")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_sends_in_place_of_a_stream_is_quoted() {
        let said = |begin: &[u8]| not_xmpp(Leg::Outer, "no stream", begin).to_string();
        assert!(said(b"<stream:error><host-unknown/></stream:error>").contains("host-unknown"));
        assert!(said(b"HTTP/1.1 400 Bad Request\r\n").contains("\"HTTP/1.1 400 Bad Request"));
        let of_clients =
            b"<?xml version='1.0'?><stream:stream to='example.com' xmlns='jabber:client' \
            xmlns:stream='http://etherx.jabber.org/streams'>";
        assert!(said(of_clients).ends_with(": no stream"));
        let alert = [0x15, 3, 1, 0, 2, 2, 40];
        assert!(said(&alert).contains("Direct TLS, and only an _xmpps-server record"));
        let of_backend = not_xmpp(Leg::Inner, "no stream", &alert).to_string();
        assert!(of_backend.ends_with("Direct TLS, and streams to a backend begin without TLS"));
        assert!(said(&[b'x'; 2_000]).len() < 200);
        assert!(!said(b"\xff\0\x1b[31m").contains(char::is_control));
        assert!(said(b"").ends_with("no stream"));
    }
}
