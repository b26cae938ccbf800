//! The receiving server: from an accepted connection to a stream that may carry stanzas.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::RootCertStore;

use super::authority::Identity;
use super::dialback::{self, Secret};
use super::element::Element;
use super::error::{PeerError, Result};
use super::initiator::{Initiator, Security};
use super::namespace::{BIDI, DIALBACK, DIALBACK_FEATURE, SASL, TLS};
use super::receiving::Receiving;
use super::stream::{Item, Stream};
use super::tls;

/// The method by which the initiating server must authenticate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// By its certificate; the server offers EXTERNAL when the certificate is valid (XEP-0178).
    Certificate,
    /// By dialback, regardless of its certificate: its keys are verified with the server at this address (XEP-0220).
    Dialback {
        /// The address at which the authoritative server for every domain listens.
        authority: SocketAddr,
    },
}

/// A receiving server, which is also the authoritative server for its domain.
#[derive(Debug)]
pub struct Acceptor {
    /// Its domain.
    pub domain: String,
    /// The certificate that it presents.
    pub identity: Identity,
    /// The roots that certificates of initiating servers must chain to.
    pub roots: Arc<RootCertStore>,
    /// The authentication that it requires of initiating servers.
    pub proof: Proof,
    /// Its dialback secret, with which it verifies keys.
    pub secret: Secret,
    /// Maximum time for each next element.
    pub timeout: Duration,
}

/// A stream that may carry stanzas from `from` to our domain.
#[derive(Debug)]
pub struct Session {
    /// The stream.
    pub stream: Stream,
    /// The authenticated domain.
    pub from: String,
    /// The stream's id.
    pub id: String,
    /// The stream may also carry our stanzas (XEP-0288).
    pub both_ways: bool,
}

impl Acceptor {
    /// Negotiates a stream. `None` if the initiating server only had keys verified and closed the connection.
    pub fn accept(&self, tcp: TcpStream) -> Result<Option<Session>> {
        self.accept_offering(tcp, "")
    }

    /// The same, with these features added to every list of features.
    pub fn accept_offering(&self, tcp: TcpStream, features: &str) -> Result<Option<Session>> {
        let stream = self.secured(tcp, features)?;
        self.authenticate(Security::StartTls, stream, features)
    }

    /// The same, up to the TLS handshake.
    pub fn secured(&self, tcp: TcpStream, features: &str) -> Result<Stream> {
        let mut stream = Stream::accepted(tcp, self.timeout)?;
        if !stream.begins_with_tls()? {
            let starttls = format!("<starttls xmlns='{TLS}'><required/></starttls>{features}");
            self.greet(&mut stream, &starttls)?;
            stream.expect(TLS, "starttls", "STARTTLS")?;
            stream.send(format!("<proceed xmlns='{TLS}'/>"))?;
        }
        stream.secured_as_server(tls::server(&self.identity, &self.roots)?)
    }

    fn authenticate(
        &self,
        security: Security,
        mut stream: Stream,
        more: &str,
    ) -> Result<Option<Session>> {
        let header = stream.header()?;
        let from = header.attribute("from").unwrap_or_default().to_owned();
        let mut features =
            format!("<dialback xmlns='{DIALBACK_FEATURE}'><errors/></dialback>{more}");
        let authenticated = self.proof == Proof::Certificate && stream.is_authenticated(&from);
        if authenticated {
            let mechanism = "<mechanism>EXTERNAL</mechanism>";
            let _ = write!(features, "<mechanisms xmlns='{SASL}'>{mechanism}</mechanisms>");
        }
        let id = self.answer(&mut stream, &header, &features)?;
        let mut both_ways = false;
        loop {
            let awaited = "authentication";
            let element = match stream.receive(awaited)? {
                Item::Element(element) => element,
                Item::Header(got) => return Err(PeerError::unexpected(awaited, &got)),
                Item::End => return Ok(None),
            };
            if element.is(BIDI, "bidi") {
                both_ways = true;
                continue;
            }
            if authenticated && element.is(SASL, "auth") {
                check_authzid(&element, &from)?;
                stream.send(format!("<success xmlns='{SASL}'/>"))?;
                stream = stream.restarted();
                let id = self.greet(&mut stream, more)?;
                return Ok(Some(Session { stream, from, id, both_ways }));
            }
            if let Some(from) = self.dialback_by(security, &mut stream, &element, &id)? {
                return Ok(Some(Session { stream, from, id, both_ways }));
            }
        }
    }

    /// Answers a dialback element. Returns the domain that it authenticated, if any.
    pub fn dialback(
        &self,
        stream: &mut Stream,
        element: &Element,
        id: &str,
    ) -> Result<Option<String>> {
        self.dialback_by(Security::StartTls, stream, element, id)
    }

    /// The same; `security` is that of the stream to the authoritative server.
    fn dialback_by(
        &self,
        security: Security,
        stream: &mut Stream,
        element: &Element,
        id: &str,
    ) -> Result<Option<String>> {
        if element.is(DIALBACK, "verify") {
            dialback::answer_verify(stream, &self.secret, element)?;
            return Ok(None);
        }
        let (true, Proof::Dialback { authority }, Some(from)) =
            (element.is(DIALBACK, "result"), self.proof, element.attribute("from"))
        else {
            return Err(PeerError::unexpected("authentication", element));
        };
        let authoritative = Initiator {
            address: authority,
            from: &self.domain,
            to: from,
            identity: Some(&self.identity),
            roots: &self.roots,
            security,
            timeout: self.timeout,
        };
        let valid = authoritative.verify(element, id)?;
        dialback::answer_result(stream, element, valid)?;
        Ok(valid.then(|| from.to_owned()))
    }

    fn greet(&self, stream: &mut Stream, features: &str) -> Result<String> {
        let header = stream.header()?;
        self.answer(stream, &header, features)
    }

    fn answer(&self, stream: &mut Stream, header: &Element, features: &str) -> Result<String> {
        let id = stream_id();
        stream.send_header(&self.domain, header.attribute("from").unwrap_or_default(), &id)?;
        stream.send(format!("<stream:features>{features}</stream:features>"))?;
        Ok(id)
    }
}

impl Receiving for Acceptor {
    fn accept(&self, tcp: TcpStream) -> Result<Option<Session>> {
        Self::accept(self, tcp)
    }

    fn dialback(&self, stream: &mut Stream, element: &Element, id: &str) -> Result<Option<String>> {
        Self::dialback(self, stream, element, id)
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }
}

/// An acceptor that knows no TLS, neither as receiving nor as initiating entity.
#[derive(Debug)]
pub struct WithoutTls(pub Acceptor);

impl Receiving for WithoutTls {
    fn accept(&self, tcp: TcpStream) -> Result<Option<Session>> {
        let stream = Stream::accepted(tcp, self.0.timeout)?;
        self.0.authenticate(Security::Plain, stream, "")
    }

    fn dialback(&self, stream: &mut Stream, element: &Element, id: &str) -> Result<Option<String>> {
        self.0.dialback_by(Security::Plain, stream, element, id)
    }

    fn timeout(&self) -> Duration {
        self.0.timeout
    }
}

/// An acceptor that adds features to every list of features.
#[derive(Debug)]
pub struct Offering {
    /// The acceptor that negotiates.
    pub acceptor: Acceptor,
    /// The features that it adds.
    pub features: &'static str,
}

impl Receiving for Offering {
    fn accept(&self, tcp: TcpStream) -> Result<Option<Session>> {
        self.acceptor.accept_offering(tcp, self.features)
    }

    fn dialback(&self, stream: &mut Stream, element: &Element, id: &str) -> Result<Option<String>> {
        self.acceptor.dialback(stream, element, id)
    }

    fn timeout(&self) -> Duration {
        self.acceptor.timeout
    }
}

/// RFC 6120 §6.3.8 and XEP-0178 §3: between servers the authorization identity equals the `from` of the header, or is
/// absent.
pub(crate) fn check_authzid(auth: &Element, from: &str) -> Result<()> {
    let said = auth.text.trim();
    if auth.attribute("mechanism") == Some("EXTERNAL")
        && (said == "=" || said == BASE64_STANDARD.encode(from))
    {
        return Ok(());
    }
    Err(PeerError::unexpected("EXTERNAL as the domain of the header", auth))
}

/// Ids must differ; in these tests they need not be unpredictable.
pub fn stream_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("s{:08}", NEXT.fetch_add(1, Ordering::Relaxed))
}
