//! Stanzas (RFC 6120 §8): addressing, relaying and error replies.

pub mod address;
pub mod bounce;
pub mod fail_fast;
pub(crate) mod language;
pub mod preparation;
pub mod relay;
pub mod rescope;
pub mod software;

use crate::xml::{Element, Namespace};

/// The three kinds of stanza (RFC 6120 §8.2).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Kind {
    /// §8.2.1.
    Message,
    /// §8.2.2.
    Presence,
    /// §8.2.3.
    Iq,
}

impl Kind {
    /// The kind of a first-level element; `None` when it is not a stanza of a stream between servers.
    pub fn of(element: &Element) -> Option<Self> {
        let name = element.name();
        if name.namespace != Namespace::Server {
            return None;
        }
        match name.local {
            "message" => Some(Self::Message),
            "presence" => Some(Self::Presence),
            "iq" => Some(Self::Iq),
            _ => None,
        }
    }

    /// Whether a first-level element can only be an unknown extension of the stream: its namespace is neither that of
    /// stanzas, in any kind of stream, nor that of streams. RFC 6120 §4.8.4 forbids routing it, and does not require
    /// closing the stream on it.
    pub(crate) fn is_foreign(element: &Element) -> bool {
        !matches!(
            element.name().namespace,
            Namespace::None | Namespace::Server | Namespace::Client | Namespace::Stream
        )
    }

    /// Whether a first-level element answers a stanza: an error, or the result of an iq (RFC 6120 §8.1.4).
    pub(crate) fn is_answer(element: &Element) -> bool {
        matches!(
            (Self::of(element), element.type_().as_deref()),
            (Some(_), Some("error")) | (Some(Self::Iq), Some("result"))
        )
    }

    /// The local name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Presence => "presence",
            Self::Iq => "iq",
        }
    }
}

#[cfg(test)]
mod tests;
