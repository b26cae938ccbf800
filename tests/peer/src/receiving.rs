//! The interface of a scripted server that listens.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use super::acceptor::Session;
use super::element::Element;
use super::error::Result;
use super::stream::Stream;

/// A receiving server, which is also the authoritative server for its domain.
pub trait Receiving: Send + Sync + 'static {
    /// Negotiates a stream. `None` if no stanza will follow: the other side only had keys verified, or was refused.
    fn accept(&self, tcp: TcpStream) -> Result<Option<Session>>;

    /// Answers a dialback element. Returns the domain that it authenticated, if any.
    fn dialback(&self, stream: &mut Stream, element: &Element, id: &str) -> Result<Option<String>>;

    /// Maximum time for each next element.
    fn timeout(&self) -> Duration;

    /// Whether a stream counts as idle, and is closed cleanly, as soon as nothing follows a stanza.
    fn closes_idle_streams(&self) -> bool {
        false
    }
}

impl<R: Receiving + ?Sized> Receiving for Arc<R> {
    fn accept(&self, tcp: TcpStream) -> Result<Option<Session>> {
        R::accept(self, tcp)
    }

    fn dialback(&self, stream: &mut Stream, element: &Element, id: &str) -> Result<Option<String>> {
        R::dialback(self, stream, element, id)
    }

    fn timeout(&self) -> Duration {
        R::timeout(self)
    }

    fn closes_idle_streams(&self) -> bool {
        R::closes_idle_streams(self)
    }
}
