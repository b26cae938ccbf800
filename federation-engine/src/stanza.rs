//! Stanzas (RFC 6120 §8): addressing, relaying and error replies.

pub mod address;
pub mod bounce;
pub mod language;
pub mod relay;

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
    /// The kind of a first-level element; `None` when it is no stanza of a stream between servers.
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

    /// The local name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Presence => "presence",
            Self::Iq => "iq",
        }
    }
}

#[cfg(test)]
mod tests;
