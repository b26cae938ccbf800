//! The target of an attack, and the connections to it.

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

/// Maximum time for the target to answer before the attack continues elsewhere.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// Maximum time for the target to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A target and the parameters of an attack on it.
#[derive(Debug)]
pub struct Aim {
    /// Address where the target accepts streams.
    pub to: SocketAddr,
    /// A domain that it serves.
    pub domain: String,
    /// The domain that the attacker claims.
    pub from: String,
    /// A certificate for that domain which the target can verify. `None`: the attacker is unauthenticated.
    pub identity: Option<Identity>,
    /// The authority whose name the forged certificates use, in PEM.
    pub authority: Option<String>,
    /// The attacker's source address; `None`: the system chooses it.
    pub source: Option<IpAddr>,
    /// Concurrent connections.
    pub connections: usize,
    /// Bytes of a large stanza.
    pub bytes: usize,
}

/// An encrypted stream of the attacker.
#[derive(Debug)]
pub struct Opened {
    /// The stream.
    pub stream: Stream,
    /// A second handle of its connection.
    pub handle: TcpStream,
    /// The target's features.
    pub features: Element,
}

/// Connects, from the given source address if there is one.
pub fn connect(to: SocketAddr, source: Option<IpAddr>) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    if let Some(source) = source {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    socket.connect_timeout(&to.into(), CONNECT_TIMEOUT)?;
    Ok(socket.into())
}

impl Aim {
    /// Opens a TCP connection.
    pub fn connect(&self) -> Result<TcpStream> {
        connect(self.to, self.source).map_err(PeerError::io("connecting by TCP"))
    }

    /// The attacker's TLS configuration. It accepts every certificate.
    pub fn tls(&self) -> Result<Arc<ClientConfig>> {
        unverified::client(self.identity.as_ref())
    }

    /// Opens an encrypted stream as `from`, up to the features.
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

    /// Opens a stream that the attacker's certificate authenticates as `from`.
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

    /// Opens such a stream; the last header is the attacker's own.
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
