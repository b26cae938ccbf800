//! The initiating server: from a new connection to a stream that may carry stanzas.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::RootCertStore;

use super::authority::Identity;
use super::dialback::{self, Secret};
use super::element::Element;
use super::error::{PeerError, Result};
use super::namespace::{SASL, TLS};
use super::stream::Stream;
use super::tls;

/// The encryption of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// STARTTLS (RFC 6120 §5).
    StartTls,
    /// TLS from the first byte (XEP-0368).
    DirectTls,
    /// No encryption.
    Plain,
}

/// The server to connect to, our identity, and the connection method.
#[derive(Debug, Clone)]
pub struct Initiator<'a> {
    /// The address at which the receiving server listens.
    pub address: SocketAddr,
    /// Our domain.
    pub from: &'a str,
    /// The domain that we connect to.
    pub to: &'a str,
    /// The certificate that we present, if any.
    pub identity: Option<&'a Identity>,
    /// The roots that the receiving server's certificate must chain to.
    pub roots: &'a Arc<RootCertStore>,
    /// The encryption of the stream.
    pub security: Security,
    /// Maximum time for each answer.
    pub timeout: Duration,
}

/// A stream that is encrypted as configured, on which the receiving server has sent its features for authentication.
#[derive(Debug)]
pub struct Opened {
    /// The stream.
    pub stream: Stream,
    /// The id that the receiving server assigned.
    pub id: String,
    /// The features that the receiving server offers.
    pub features: Element,
}

impl Initiator<'_> {
    /// Connects and encrypts, up to the features that follow.
    pub fn open(&self) -> Result<Opened> {
        self.open_on(Stream::connect(self.address, self.timeout)?)
    }

    fn open_on(&self, mut stream: Stream) -> Result<Opened> {
        match self.security {
            Security::Plain => {}
            Security::DirectTls => {
                let config = tls::client(self.identity, self.roots, true)?;
                stream = stream.secured_as_client(config, self.to)?;
            }
            Security::StartTls => {
                let opened = self.greet(stream)?;
                let awaited = "the STARTTLS feature";
                opened
                    .features
                    .child(TLS, "starttls")
                    .ok_or_else(|| PeerError::unexpected(awaited, &opened.features))?;
                stream = opened.stream;
                stream.send(format!("<starttls xmlns='{TLS}'/>"))?;
                stream.expect(TLS, "proceed", "<proceed/>")?;
                let config = tls::client(self.identity, self.roots, false)?;
                stream = stream.secured_as_client(config, self.to)?;
            }
        }
        self.greet(stream)
    }

    fn greet(&self, mut stream: Stream) -> Result<Opened> {
        stream.send_header(self.from, self.to, "")?;
        let header = stream.header()?;
        let id = header.attribute("id").unwrap_or_default().to_owned();
        let features = stream.features()?;
        Ok(Opened { stream, id, features })
    }

    /// Opens a stream that our certificate authenticates (XEP-0178).
    pub fn external(&self) -> Result<Stream> {
        self.external_after("")
    }

    /// The same on an existing connection.
    pub fn external_on(&self, tcp: TcpStream) -> Result<Stream> {
        self.authenticate(self.open_on(Stream::accepted(tcp, self.timeout)?)?, "")
    }

    /// The same, with a request before authentication.
    pub fn external_after(&self, request: &str) -> Result<Stream> {
        self.authenticate(self.open()?, request)
    }

    fn authenticate(&self, opened: Opened, request: &str) -> Result<Stream> {
        let Opened { mut stream, features, .. } = opened;
        stream.send(request)?;
        let offered = features
            .child(SASL, "mechanisms")
            .is_some_and(|list| list.children.iter().any(|one| one.text == "EXTERNAL"));
        if !offered {
            return Err(PeerError::unexpected("an offer of SASL EXTERNAL", &features));
        }
        let authzid = BASE64_STANDARD.encode(self.from);
        stream.send(format!("<auth xmlns='{SASL}' mechanism='EXTERNAL'>{authzid}</auth>"))?;
        let answer = stream.element("the answer to SASL EXTERNAL")?;
        if !answer.is(SASL, "success") {
            return Err(PeerError::Refused { answer: answer.to_string() });
        }
        self.greet(stream.restarted()).map(|opened| opened.stream)
    }

    /// Opens a stream that dialback authenticates (XEP-0220). The authoritative server for our domain must have the
    /// secret.
    pub fn dialback(&self, secret: &Secret) -> Result<Stream> {
        let Opened { mut stream, id, .. } = self.open()?;
        dialback::authenticate(&mut stream, secret, self.from, self.to, &id)?;
        Ok(stream)
    }

    /// As receiving server: opens a stream to the authoritative server and queries it about the key in `request`.
    pub fn verify(&self, request: &Element, id: &str) -> Result<bool> {
        dialback::verify(&mut self.open()?.stream, request, id)
    }
}
