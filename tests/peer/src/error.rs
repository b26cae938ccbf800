//! Errors of a scripted server.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::element::Element;
use super::namespace::{STREAM_ERRORS, STREAMS};

/// Result of every operation of a scripted server.
pub type Result<T, E = PeerError> = std::result::Result<T, E>;

/// Makes the `Debug` output of an error its message, because a test that unwraps an error prints `Debug`. For the error
/// types of tests.
#[macro_export]
macro_rules! debug_as_sentence {
    ($error:ident) => {
        impl std::fmt::Debug for $error {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }
    };
}

/// The reason why a scripted server could not continue.
#[derive(Clone, thiserror::Error)]
pub enum PeerError {
    /// The socket failed.
    #[error("{doing}: {source}")]
    Io {
        /// The operation that failed.
        doing: &'static str,
        /// The system error.
        source: Arc<io::Error>,
    },
    /// The address is not available for listening.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address and port.
        address: SocketAddr,
        /// The system error.
        source: Arc<io::Error>,
    },
    /// Nothing was received in time.
    #[error("timed out after {timeout:?} while waiting for {awaited}")]
    Deadline {
        /// The expected item.
        awaited: &'static str,
        /// The time that the server waited.
        timeout: Duration,
    },
    /// The other side closed the stream or the connection.
    #[error("the other side closed the connection while the test waited for {awaited}")]
    Closed {
        /// The expected item.
        awaited: &'static str,
    },
    /// The received bytes are not XML.
    #[error("error while waiting for {awaited}: {source}")]
    Xml {
        /// The expected item.
        awaited: &'static str,
        /// The parser error.
        source: quick_xml::Error,
    },
    /// The TLS setup or the handshake failed.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// A certificate could not be created.
    #[error("making a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The other side closed the stream with an error (RFC 6120 §4.9).
    #[error("stream error {condition}: {}", .text.as_deref().unwrap_or("no text"))]
    Stream {
        /// The defined condition.
        condition: String,
        /// The text, if any.
        text: Option<String>,
    },
    /// The other side refused our authentication (RFC 6120 §6.4.5, XEP-0220 §2.4).
    #[error("authentication was refused: {answer}")]
    Refused {
        /// The answer, as XML.
        answer: String,
    },
    /// Another item was received.
    #[error("expected {awaited}, received: {got}")]
    Unexpected {
        /// The expected item.
        awaited: &'static str,
        /// The received item, as XML.
        got: String,
    },
    /// An argument of the script is invalid; the message names it.
    #[error("{0}")]
    Script(String),
}

crate::debug_as_sentence!(PeerError);

impl PeerError {
    /// For `map_err` on socket operations.
    pub fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, source: Arc::new(source) }
    }

    /// For `map_err` on operations that bind a socket.
    pub fn listen(address: SocketAddr) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Listen { address, source: Arc::new(source) }
    }

    /// The error for an element that differs from the expected one.
    pub fn unexpected(awaited: &'static str, got: &Element) -> Self {
        if got.is(STREAMS, "error") {
            return Self::of_stream_error(got);
        }
        Self::Unexpected { awaited, got: got.to_string() }
    }

    fn of_stream_error(error: &Element) -> Self {
        let defined = |child: &&Element| child.namespace == STREAM_ERRORS && child.name != "text";
        Self::Stream {
            condition: error
                .children
                .iter()
                .find(defined)
                .map_or_else(|| "without a condition".to_owned(), |child| child.name.clone()),
            text: error.child(STREAM_ERRORS, "text").map(|text| text.text.clone()),
        }
    }
}
