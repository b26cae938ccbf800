//! What can go wrong while a scripted server speaks.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::element::Element;
use super::namespace::{STREAM_ERRORS, STREAMS};

/// Result of everything a scripted server does.
pub type Result<T, E = PeerError> = std::result::Result<T, E>;

/// A test that unwraps an error prints its `Debug`: that is the sentence, too. For the error types of tests.
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

/// Why a scripted server could not go on.
#[derive(Clone, thiserror::Error)]
pub enum PeerError {
    /// The socket failed.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The system's answer.
        source: Arc<io::Error>,
    },
    /// The address is not ours to listen on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address and port.
        address: SocketAddr,
        /// The system's answer.
        source: Arc<io::Error>,
    },
    /// Nothing came in time.
    #[error("timed out after {patience:?} while waiting for {awaited}")]
    Deadline {
        /// What should have come.
        awaited: &'static str,
        /// How long was waited.
        patience: Duration,
    },
    /// The other side ended the stream or the connection.
    #[error("the other side closed the connection while the test waited for {awaited}")]
    Closed {
        /// What should have come.
        awaited: &'static str,
    },
    /// What came is not XML.
    #[error("error while waiting for {awaited}: {source}")]
    Xml {
        /// What should have come.
        awaited: &'static str,
        /// The parser's answer.
        source: quick_xml::Error,
    },
    /// TLS could not be set up, or the handshake failed.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// A certificate could not be made.
    #[error("making a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The other side ended the stream with an error (RFC 6120 §4.9).
    #[error("stream error {condition}: {}", .text.as_deref().unwrap_or("no text"))]
    Stream {
        /// The defined condition.
        condition: String,
        /// The text, if any.
        text: Option<String>,
    },
    /// The other side did not accept our proof (RFC 6120 §6.4.5, XEP-0220 §2.4).
    #[error("authentication was refused: {answer}")]
    Refused {
        /// The answer, as XML.
        answer: String,
    },
    /// Something else came.
    #[error("expected {awaited}, received: {got}")]
    Unexpected {
        /// What should have come.
        awaited: &'static str,
        /// What came, as XML.
        got: String,
    },
    /// An argument of the script makes no sense; the sentence says which.
    #[error("{0}")]
    Script(String),
}

crate::debug_as_sentence!(PeerError);

impl PeerError {
    /// For `map_err` on socket operations.
    pub fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, source: Arc::new(source) }
    }

    /// For `map_err` on what binds a socket.
    pub fn listen(address: SocketAddr) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Listen { address, source: Arc::new(source) }
    }

    /// The error for an element that should have been another.
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
