//! Probes a receiving server from outside: whether it speaks XMPP for a domain, with which certificate, and which
//! features; and whether it hosts a domain. The stream is closed before authentication, so nothing is claimed and nothing is changed.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use s2s_proto::certificate::chain::PeerChain;
use s2s_proto::clock;
use s2s_proto::dialback::KeyVerdict;
use s2s_proto::dialback::steps::DialbackElement;
use s2s_proto::pair::Pair;
use s2s_proto::reason::{ConnectReason, Failure};
use s2s_proto::stream::features::Features;
use s2s_proto::stream::starttls::{Negotiation, STARTTLS};
use s2s_proto::stream::{Out, error, header};
use s2s_proto::xml::{Bounds, Element, HeaderAttributes, Item, Namespace, Scanner};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use crate::Domain;
use crate::sockets::connection::Connection;
use crate::tls::config::{anonymous_client, server_name};
use s2s_proto::plan::TlsStart;

/// The result.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The presented chain, not verified.
    pub chain: PeerChain,
    /// Such as `TLSv1.3`.
    pub tls_version: &'static str,
    /// `from` of the response header inside TLS.
    pub from: Option<String>,
    /// Features inside TLS. EXTERNAL is not among them: no certificate was presented.
    pub features: Features,
}

/// Opens a stream to a domain at an address, secures it, and reads the features. It sends no `from`. The bytes of
/// `preface` come first: nothing, or a header of the PROXY protocol.
///
/// # Errors
/// The stage that failed, with the server's own words.
pub async fn look(
    address: SocketAddr,
    preface: &[u8],
    to: &Domain,
    start: TlsStart,
    limit: Duration,
) -> Result<Seen, Failure> {
    let deadline = clock::after(Instant::now(), limit);
    let connected = timeout_at(deadline, TcpStream::connect(address)).await;
    let tcp = connected
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(|error| Failure::Connect(vec![(address, ConnectReason::from(&error))]))?;
    let mut visit = Visit::new(Connection::plain(tcp));
    let seen = timeout_at(deadline, visit.look(preface, to, start)).await;
    seen.unwrap_or(Err(Failure::NegotiationTimedOut(visit.step)))
}

/// How long an error may follow the header of a server from before version 1.0, which sends no features.
const UNVERSIONED_WAIT: Duration = Duration::from_secs(1);

/// Whether a server hosts a domain. The question is asked on a connection that is open, and closes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    /// The server's own domain, for SNI.
    pub(crate) partner: &'a Domain,
    /// The domain that may be hosted.
    pub(crate) about: &'a Domain,
    /// How the server starts TLS.
    pub(crate) start: TlsStart,
}

impl Question<'_> {
    /// Opens a stream to the domain without `from`; returns the `from` of the answer.
    ///
    /// # Errors
    /// `host-unknown` if the server does not host it.
    pub(crate) async fn by_stream(self, tcp: TcpStream) -> Result<Option<String>, Failure> {
        let mut visit = self.begin(tcp).await?;
        let (from, _) = visit.greet(self.about).await?;
        visit.send(b"</stream:stream>").await?;
        visit.connection.close(Duration::from_secs(1)).await;
        Ok(from)
    }

    /// Asks whether a random dialback key of the domain is valid: only a server that considers itself authoritative judges
    /// it. `host` is the name of the asker, which is no local domain.
    ///
    /// # Errors
    /// When there is no answer.
    pub(crate) async fn by_key(self, tcp: TcpStream, host: &Domain) -> Result<KeyVerdict, Failure> {
        let mut visit = self.begin(tcp).await?;
        let (_, features) = visit.greet(self.about).await?;
        if features.is_some_and(|features| features.starttls.is_some()) {
            visit.start_tls(self.partner, TlsStart::StartTls).await?;
            visit.greet(self.about).await?;
        }
        let mut out = Out::default();
        DialbackElement::Verify {
            pair: Pair { from: host.clone(), to: self.about.clone() },
            id: format!("{:032x}", rand::random::<u128>()),
            key: format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>()),
        }
        .write(&mut out);
        visit.send(&out.bytes).await?;
        loop {
            let element = visit.element().await?;
            if let Ok(DialbackElement::VerifyAnswer { answer, .. }) =
                DialbackElement::read(&element)
            {
                visit.send(b"</stream:stream>").await?;
                visit.connection.close(Duration::from_secs(1)).await;
                return Ok(answer);
            }
        }
    }

    async fn begin(self, tcp: TcpStream) -> Result<Visit, Failure> {
        let mut visit = Visit::new(Connection::plain(tcp));
        if self.start == TlsStart::Direct {
            visit.handshake(self.partner, TlsStart::Direct).await?;
        }
        Ok(visit)
    }
}

struct Visit {
    connection: Connection,
    scanner: Scanner,
    /// What the other side has not done yet.
    step: &'static str,
}

struct DomainTooLong<'a>(&'a Domain);

impl std::fmt::Display for DomainTooLong<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is too long for a server name", self.0)
    }
}

impl Visit {
    fn new(connection: Connection) -> Self {
        let scanner = Scanner::new(Bounds::PRE_AUTHENTICATION);
        Self { connection, scanner, step: "waiting for the stream header" }
    }

    async fn look(
        &mut self,
        preface: &[u8],
        to: &Domain,
        start: TlsStart,
    ) -> Result<Seen, Failure> {
        self.send(preface).await?;
        if start == TlsStart::StartTls {
            self.open(to).await?;
            if self.features().await?.starttls.is_none() {
                return Err(Failure::StartTlsNotOffered);
            }
            self.start_tls(to, start).await?;
        } else {
            self.handshake(to, start).await?;
        }
        let header = self.open(to).await?;
        let features = self.features().await?;
        let seen = Seen {
            chain: self.connection.peer_chain(),
            tls_version: self.connection.tls_version().unwrap_or_default(),
            from: header.from,
            features,
        };
        self.send(b"</stream:stream>").await?;
        self.connection.close(Duration::from_secs(1)).await;
        Ok(seen)
    }

    async fn start_tls(&mut self, name: &Domain, start: TlsStart) -> Result<(), Failure> {
        self.step = "waiting for the answer to STARTTLS";
        self.send(STARTTLS.as_bytes()).await?;
        match Negotiation::read(&self.element().await?) {
            Some(Negotiation::Proceed) => self.scanner.restart(),
            _ => return Err(Failure::StartTlsRefused),
        }
        self.handshake(name, start).await
    }

    async fn handshake(&mut self, name: &Domain, start: TlsStart) -> Result<(), Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::Handshake(error.to_string());
        let config = anonymous_client(start).map_err(|error| failed(&error))?;
        let name = server_name(name).ok_or_else(|| failed(&DomainTooLong(name)))?;
        self.step = "negotiating TLS";
        self.connection.connect_tls(config, name).await.map_err(|error| failed(&error))
    }

    /// Opens a stream; returns the `from` of the answer, and the features if the server's version has any.
    async fn greet(&mut self, to: &Domain) -> Result<(Option<String>, Option<Features>), Failure> {
        let header = self.open(to).await?;
        if header.version.is_some() {
            return Ok((header.from, Some(self.features().await?)));
        }
        match timeout(UNVERSIONED_WAIT, self.element()).await {
            Ok(Err(failure)) => Err(failure),
            Ok(Ok(_)) | Err(_) => Ok((header.from, None)),
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.connection.output.extend_from_slice(bytes);
        let sent = self.connection.flush(Duration::from_secs(10)).await;
        sent.map_err(|_| Failure::ConnectionLost("sending"))
    }

    async fn open(&mut self, to: &Domain) -> Result<HeaderAttributes, Failure> {
        self.step = "waiting for the stream header";
        let mut out = Out::default();
        header::write_initial(&mut out, None, to);
        self.send(&out.bytes).await?;
        match self.item().await? {
            Item::Header(header) => Ok(header),
            _ => Err(Failure::NotXmpp("no stream header arrived".to_owned())),
        }
    }

    async fn features(&mut self) -> Result<Features, Failure> {
        self.step = "reading the features";
        let element = self.element().await?;
        let tree = element.tree().map_err(|error| Failure::NotXmpp(error.to_string()))?;
        if element.is(Namespace::Stream, "features") {
            Ok(Features::read(&tree))
        } else {
            Err(Failure::NotXmpp("no stream features arrived".to_owned()))
        }
    }

    async fn element(&mut self) -> Result<Element, Failure> {
        match self.item().await? {
            Item::Element(element) if element.is(Namespace::Stream, "error") => {
                let tree = element.tree().map_err(|error| Failure::NotXmpp(error.to_string()))?;
                Err(error::read(&tree))
            }
            Item::Element(element) => Ok(element),
            Item::Header(_) | Item::Oversized(_) | Item::Close => {
                Err(Failure::ConnectionLost("waiting for an element"))
            }
        }
    }

    async fn item(&mut self) -> Result<Item, Failure> {
        loop {
            match self.scanner.next(&mut self.connection.input) {
                Ok(Some(item)) => return Ok(item),
                Ok(None) => {}
                Err(error) => return Err(Failure::NotXmpp(error.to_string())),
            }
            match self.connection.fill().await {
                Ok(0) | Err(_) => return Err(Failure::ConnectionLost("reading the stream")),
                Ok(_) => {}
            }
        }
    }
}
