//! The target of an attack, and how connections to it are made.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::ClientConfig;
use s2s_peer::authority::Identity;
use s2s_peer::element::Element;
use s2s_peer::error::{PeerError, Result};
use s2s_peer::namespace::{SASL, TLS};
use s2s_peer::stream::Stream;
use s2s_peer::unverified;
use socket2::{Domain, Socket, Type};

use super::tally::Tally;

/// How long the target may take to answer before the attack goes on elsewhere.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// How long the target may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A target and the means against it.
#[derive(Debug)]
pub struct Aim {
    /// Where it takes streams.
    pub to: SocketAddr,
    /// A domain that it serves.
    pub domain: String,
    /// The domain that the attacker says it is.
    pub from: String,
    /// A certificate for that domain which the target can verify. None: the attacker is a stranger.
    pub identity: Option<Identity>,
    /// The authority whose name forged certificates use, in PEM.
    pub authority: Option<String>,
    /// The attacker's own address; the system's choice if there is none.
    pub source: Option<IpAddr>,
    /// Connections at the same time.
    pub connections: usize,
    /// Bytes of a large stanza.
    pub bytes: usize,
}

/// An encrypted stream of the attacker.
#[derive(Debug)]
pub struct Opened {
    /// The stream.
    pub stream: Stream,
    /// Another handle of its connection.
    pub handle: TcpStream,
    /// The target's features.
    pub features: Element,
}

/// Connects, from that address if there is one.
pub fn connect(to: SocketAddr, source: Option<IpAddr>) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    if let Some(source) = source {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    socket.connect_timeout(&to.into(), CONNECT_TIMEOUT)?;
    Ok(socket.into())
}

impl Aim {
    /// A TCP connection.
    pub fn connect(&self) -> Result<TcpStream> {
        connect(self.to, self.source).map_err(PeerError::io("connecting by TCP"))
    }

    /// The attacker's TLS. It believes every certificate.
    pub fn tls(&self) -> Result<Arc<ClientConfig>> {
        unverified::client(self.identity.as_ref())
    }

    /// An encrypted stream as `from`, up to the features.
    pub fn open(&self, from: &str, tls: &Arc<ClientConfig>, tally: &Tally) -> Result<Opened> {
        let tcp = self.connect()?;
        tally.opened();
        let handle = tcp.try_clone().map_err(PeerError::io("a second handle of a socket"))?;
        let mut stream = Stream::accepted(tcp, ANSWER_TIMEOUT)?;
        stream.send_header(from, &self.domain, "")?;
        stream.header()?;
        stream.features()?;
        stream.send(format!("<starttls xmlns='{TLS}'/>"))?;
        stream.expect(TLS, "proceed", "<proceed/>")?;
        let mut stream = stream.secured_as_client(Arc::clone(tls), &self.domain)?;
        stream.send_header(from, &self.domain, "")?;
        stream.header()?;
        let features = stream.features()?;
        Ok(Opened { stream, handle, features })
    }

    /// A stream that the attacker's certificate authenticates as `from`.
    pub fn authenticated(
        &self,
        from: &str,
        tls: &Arc<ClientConfig>,
        tally: &Tally,
    ) -> Result<Opened> {
        self.authenticated_with(from, tls, tally, |stream| {
            stream.send_header(from, &self.domain, "")
        })
    }

    /// The same with a header of the attacker's own at last.
    pub fn authenticated_with(
        &self,
        from: &str,
        tls: &Arc<ClientConfig>,
        tally: &Tally,
        header: impl FnOnce(&mut Stream) -> Result<()>,
    ) -> Result<Opened> {
        let Opened { mut stream, handle, .. } = self.open(from, tls, tally)?;
        let authzid = BASE64_STANDARD.encode(from);
        stream.send(format!("<auth xmlns='{SASL}' mechanism='EXTERNAL'>{authzid}</auth>"))?;
        stream.expect(SASL, "success", "the answer to SASL EXTERNAL")?;
        let mut stream = stream.restarted();
        header(&mut stream)?;
        stream.header()?;
        let features = stream.features()?;
        Ok(Opened { stream, handle, features })
    }
}
