//! A server that redirects every client to another host (RFC 6120 §4.9.3.19).

use std::net::TcpStream;
use std::time::Duration;

use super::acceptor::{Acceptor, Session};
use super::element::Element;
use super::error::{PeerError, Result};
use super::namespace::STREAM_ERRORS;
use super::receiving::Receiving;
use super::stream::Stream;

/// Sends `<see-other-host/>` instead of features.
#[derive(Debug)]
pub struct Redirecting {
    /// The acceptor that negotiates TLS.
    pub acceptor: Acceptor,
    /// The text of `<see-other-host/>`.
    pub to: String,
    /// Redirects before TLS.
    pub in_the_clear: bool,
}

impl Receiving for Redirecting {
    fn accept(&self, tcp: TcpStream) -> Result<Option<Session>> {
        let mut stream = if self.in_the_clear {
            Stream::accepted(tcp, self.acceptor.timeout)?
        } else {
            self.acceptor.secured(tcp, "")?
        };
        redirect(&mut stream, &self.to)?;
        Ok(None)
    }

    fn dialback(&self, _: &mut Stream, element: &Element, _: &str) -> Result<Option<String>> {
        Err(PeerError::unexpected("nothing after a redirection", element))
    }

    fn timeout(&self) -> Duration {
        self.acceptor.timeout
    }
}

/// Answers the header of a stream, and closes the stream by redirecting the initiating server to another host.
pub fn redirect(stream: &mut Stream, to: &str) -> Result<Element> {
    let header = stream.header()?;
    let (from, domain) = (header.attribute("to"), header.attribute("from"));
    stream.send_header(from.unwrap_or_default(), domain.unwrap_or_default(), "redirected")?;
    stream.send(format!(
        "<stream:error><see-other-host xmlns='{STREAM_ERRORS}'>{to}</see-other-host></stream:error></stream:stream>"
    ))?;
    Ok(header)
}
