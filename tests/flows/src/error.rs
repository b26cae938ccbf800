//! The reason why a flow fails.

use std::io;
use std::path::Path;

use interop::error::InteropError;
use s2s_peer::element::Element;
use s2s_peer::error::PeerError;

/// Result of a flow.
pub type Result<T, E = FlowError> = std::result::Result<T, E>;

/// The reason why a flow fails.
#[derive(thiserror::Error)]
pub enum FlowError {
    /// The scene did not start.
    #[error(transparent)]
    Scene(#[from] InteropError),
    /// The lab did not start it.
    #[error(transparent)]
    Lab(#[from] lab::error::Error),
    /// A stanza could not be read.
    #[error(transparent)]
    Xml(#[from] PeerError),
    /// A file or a program could not be used.
    #[error("{doing}: {source}")]
    Io {
        /// The operation that failed.
        doing: String,
        /// The system error.
        source: io::Error,
    },
    /// A stanza did not arrive.
    #[error("{who} waited for {what}; arrived instead:\n{}", .seen.join("\n"))]
    Missing {
        /// The address of the client.
        who: String,
        /// The awaited stanza.
        what: String,
        /// What arrived, as XML.
        seen: Vec<String>,
    },
    /// A client could not log in, or lost its connection.
    #[error("the client of {who}: {reason}")]
    Client {
        /// The address of the client.
        who: String,
        /// The report of the library.
        reason: String,
    },
    /// A stanza arrived with other content than was sent.
    #[error("{what}: expected {expected}, seen {seen}")]
    Differs {
        /// The compared part.
        what: String,
        /// Its expected value.
        expected: String,
        /// Its value.
        seen: String,
    },
}

s2s_peer::debug_as_sentence!(FlowError);

impl FlowError {
    /// For `map_err`: `FlowError::io("writing", path)`.
    pub fn io(doing: &str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let doing = format!("{doing} {}", path.as_ref().display());
        move |source| Self::Io { doing, source }
    }

    /// A difference between the sent and the received.
    pub fn differs(what: &str, expected: &impl ToString, seen: &impl ToString) -> Self {
        Self::Differs {
            what: what.to_owned(),
            expected: expected.to_string(),
            seen: seen.to_string(),
        }
    }
}

/// Checks that two values are the same.
pub fn same<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, seen: &T) -> Result<()> {
    if expected == seen {
        return Ok(());
    }
    Err(FlowError::differs(what, &format!("{expected:?}"), &format!("{seen:?}")))
}

/// Checks that received elements have the content of the sent ones: names, attributes in any order, text and children. The
/// elements themselves may come in another order, as from servers that read a stanza and write it anew.
pub fn same_content(what: &str, expected: &[Element], seen: &[Element]) -> Result<()> {
    let sorted = |elements: &[Element]| {
        let mut all: Vec<Element> = elements.iter().map(normal).collect();
        all.sort_by_key(ToString::to_string);
        all
    };
    let (expected, seen) = (sorted(expected), sorted(seen));
    if expected == seen {
        return Ok(());
    }
    let shown = |all: &[Element]| all.iter().map(ToString::to_string).collect::<String>();
    Err(FlowError::differs(what, &shown(&expected), &shown(&seen)))
}

/// The same element with its attributes in order.
fn normal(element: &Element) -> Element {
    let mut element = element.clone();
    element.attributes.sort();
    element.children = element.children.iter().map(normal).collect();
    element
}
