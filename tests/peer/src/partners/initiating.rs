//! A simulated partner as initiating server.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::partner::Partner;
use super::wire::{Certificate, Tls, Version};
use crate::dialback;
use crate::element::Element;
use crate::error::{PeerError, Result};
use crate::namespace::{SASL, TLS};
use crate::stream::Stream;
use crate::{tls, unverified};

/// A stream before authentication.
#[derive(Debug)]
pub struct HasOpened {
    /// The stream.
    pub stream: Stream,
    /// The id that the receiving server assigned.
    pub id: String,
    /// The features that the receiving server offers; empty on a stream without a version.
    pub features: Element,
}

impl Partner {
    /// Connects to the server of `to` and encrypts as this partner does.
    pub fn open(&self, to: &str) -> Result<HasOpened> {
        self.open_at(self.others, to)
    }

    /// The same, at another address.
    pub fn open_at(&self, address: SocketAddr, to: &str) -> Result<HasOpened> {
        let opened = self.greet_as_client(Stream::connect(address, self.timeout)?, to)?;
        let offered = opened.features.child(TLS, "starttls").is_some();
        match self.wire.tls {
            Tls::Never | Tls::TooOld => return Ok(opened),
            Tls::Optional if !offered => return Ok(opened),
            Tls::Required if !offered => {
                return Err(PeerError::unexpected("the STARTTLS feature", &opened.features));
            }
            Tls::Optional | Tls::Required => {}
        }
        let mut stream = opened.stream;
        stream.send(format!("<starttls xmlns='{TLS}'/>"))?;
        stream.expect(TLS, "proceed", "<proceed/>")?;
        let config = match self.wire.certificate {
            Certificate::Nothing => unverified::client(None)?,
            Certificate::Named => unverified::client(Some(&self.identity))?,
            Certificate::Trusted => tls::client(Some(&self.identity), &self.roots, false)?,
        };
        let stream = stream.secured_as_client(config, to)?;
        if self.wire.certificate == Certificate::Named && !stream.is_authenticated(to) {
            return Err(PeerError::Script(format!("the certificate is not for {to}")));
        }
        self.greet_as_client(stream, to)
    }

    /// Opens a stream that may carry stanzas from this partner to `to`.
    pub fn stream_to(&self, to: &str) -> Result<Stream> {
        self.stream_at(self.others, to)
    }

    /// The same, at another address.
    pub fn stream_at(&self, address: SocketAddr, to: &str) -> Result<Stream> {
        let HasOpened { mut stream, id, features } = self.open_at(address, to)?;
        let offered = features
            .child(SASL, "mechanisms")
            .is_some_and(|list| list.children.iter().any(|one| one.text == "EXTERNAL"));
        if !(self.wire.external && offered) {
            dialback::authenticate(&mut stream, &self.secret(), &self.domain, to, &id)?;
            return Ok(stream);
        }
        let authzid = BASE64_STANDARD.encode(&self.domain);
        stream.send(format!("<auth xmlns='{SASL}' mechanism='EXTERNAL'>{authzid}</auth>"))?;
        let answer = stream.element("the answer to SASL EXTERNAL")?;
        if !answer.is(SASL, "success") {
            return Err(PeerError::Refused { answer: answer.to_string() });
        }
        self.greet_as_client(stream.restarted(), to).map(|opened| opened.stream)
    }

    fn greet_as_client(&self, mut stream: Stream, to: &str) -> Result<HasOpened> {
        match self.wire.version {
            Version::None => stream.send_unversioned_header("", to, "")?,
            Version::One => stream.send_header(&self.domain, to, "")?,
        }
        let header = stream.header()?;
        let id = header.attribute("id").unwrap_or_default().to_owned();
        let features = match self.wire.version {
            Version::None => Element::default(),
            Version::One => stream.features()?,
        };
        Ok(HasOpened { stream, id, features })
    }
}
