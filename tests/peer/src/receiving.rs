//! What a scripted server that listens has to know.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use super::acceptor::Session;
use super::element::Element;
use super::error::Result;
use super::stream::Stream;

/// A receiving server, and the authoritative one for its domain.
pub trait Receiving: Send + Sync + 'static {
    /// Negotiates. `None` when no stanza will follow: the other side only wanted keys verified, or was refused.
    fn accept(&self, tcp: TcpStream) -> Result<Option<Session>>;

    /// Answers an element of dialback; gives the domain that it proved, if it proved one.
    fn dialback(&self, stream: &mut Stream, element: &Element, id: &str) -> Result<Option<String>>;

    /// How long each next element may take.
    fn patience(&self) -> Duration;

    /// Whether a stream counts as idle, and is closed in order, as soon as nothing follows a stanza.
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

    fn patience(&self) -> Duration {
        R::patience(self)
    }

    fn closes_idle_streams(&self) -> bool {
        R::closes_idle_streams(self)
    }
}
