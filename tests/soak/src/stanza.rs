//! The stanzas. Flow and number determine the kind and the bytes, so that a repeated stanza is the same.

use std::io::Write as _;

use memchr::memmem;

use super::flow::Flow;
use super::ledger::Expected;
use super::random::Random;
use super::splitter::{attribute, name};

/// The engine's `limits.stanzaBytes` in the experiment: the lowest permitted value.
pub(crate) const LIMIT: usize = 10_000;
/// Text that fills bodies.
const PROSE: &[u8] =
    b"But, soft! what light through yonder window breaks? It is the east, and Juliet is the sun. \
    Arise, fair sun, and kill the envious moon, who is already sick and pale with grief. ";

/// Kinds of stanzas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A message with a body of up to 300 bytes.
    Message,
    /// A message with a body of 5 kB.
    LongMessage,
    /// Directed presence.
    Presence,
    /// A request.
    Request,
    /// The result of a request.
    Result,
    /// An error.
    Error,
    /// A message above the limit.
    Oversized,
    /// A message to an address with a space in its localpart.
    Malformed,
}

impl Kind {
    /// The kind of the stanza of that flow and number.
    pub(crate) fn of(flow: usize, number: u64) -> Self {
        match Random::new(number ^ ((flow as u64) << 48)).below(1_000) {
            0..=549 => Self::Message,
            550..=559 => Self::LongMessage,
            560..=759 => Self::Presence,
            760..=909 => Self::Request,
            910..=969 => Self::Result,
            970..=994 => Self::Error,
            995..=996 => Self::Oversized,
            _ => Self::Malformed,
        }
    }

    /// The outcomes that are permitted for it.
    pub(crate) fn expected(self) -> Expected {
        match self {
            Self::Message | Self::LongMessage | Self::Presence | Self::Request => Expected::Either,
            Self::Result | Self::Error => Expected::NoAnswer,
            Self::Oversized => Expected::Error("policy-violation"),
            Self::Malformed => Expected::Error("jid-malformed"),
        }
    }
}

/// Appends a stanza.
pub(crate) fn write(flow: &Flow, number: u64, out: &mut Vec<u8>) {
    let kind = Kind::of(flow.index, number);
    let (element, kind_attribute) = match kind {
        Kind::Message | Kind::LongMessage | Kind::Oversized | Kind::Malformed => {
            ("message", " type='chat'")
        }
        Kind::Error => ("message", " type='error'"),
        Kind::Presence => ("presence", ""),
        Kind::Request => ("iq", " type='get'"),
        Kind::Result => ("iq", " type='result'"),
    };
    let local = if kind == Kind::Malformed { "ro meo" } else { "romeo" };
    let (index, from, to) = (flow.index, &flow.from, &flow.to);
    // Writing to a vector cannot fail.
    let _ = write!(
        out,
        "<{element} from='juliet@{from}/b' to='{local}@{to}' id='k{index}.{number}'{kind_attribute}>"
    );
    let body = match kind {
        Kind::Message | Kind::Malformed => {
            Some(usize::try_from(number * 37 % 300).unwrap_or_default())
        }
        Kind::LongMessage => Some(5_000),
        Kind::Oversized => Some(LIMIT + 200),
        _ => None,
    };
    if let Some(bytes) = body {
        out.extend_from_slice(b"<body>");
        out.extend(PROSE.iter().cycle().take(bytes));
        out.extend_from_slice(b"</body>");
    }
    let payload: &[u8] = match kind {
        Kind::Presence => b"<show>away</show>",
        Kind::Request => b"<query xmlns='jabber:iq:version'/>",
        Kind::Error => {
            b"<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
        }
        _ => b"",
    };
    out.extend_from_slice(payload);
    let _ = write!(out, "</{element}>");
}

/// The flow and number in the id of a stanza of the experiment.
pub(crate) fn identity(stanza: &[u8]) -> Option<(usize, u64)> {
    let id = std::str::from_utf8(attribute(stanza, "id")?).ok()?;
    let (flow, number) = id.strip_prefix('k')?.split_once('.')?;
    Some((flow.parse().ok()?, number.parse().ok()?))
}

/// Whether an element is message, presence or iq.
pub(crate) fn is_stanza(element: &[u8]) -> bool {
    matches!(name(element), b"message" | b"presence" | b"iq")
}

/// The condition of a stanza error or stream error (RFC 6120 §8.3, §4.9).
pub(crate) fn condition(element: &[u8]) -> Option<&str> {
    let (tag, of_stream) = (b"<error".as_slice(), b"<stream:error".as_slice());
    let at = memmem::find(element, tag).or_else(|| memmem::find(element, of_stream))?;
    let rest = element.get(at + 1..)?;
    let child = rest.get(memchr::memchr(b'<', rest)?..)?;
    std::str::from_utf8(name(child)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::flows;
    use crate::splitter::{Part, Splitter};

    #[test]
    fn every_kind_is_written_and_known_again() {
        let flows = flows(1);
        let mut seen = Vec::new();
        for number in 0..3_000 {
            let mut bytes = Vec::new();
            write(&flows[1], number, &mut bytes);
            quick_xml::Reader::from_reader(bytes.as_slice()).read_event().unwrap();
            let mut elements = 0;
            let each = |part: Part<'_>| {
                assert_eq!(part, Part::Element(&bytes));
                elements += 1;
            };
            Splitter::default().feed(&bytes, each).unwrap();
            assert_eq!(elements, 1);
            assert_eq!(identity(&bytes), Some((1, number)));
            assert!(is_stanza(&bytes));
            let kind = Kind::of(1, number);
            assert_eq!(bytes.len() > LIMIT, kind == Kind::Oversized);
            if !seen.contains(&kind) {
                seen.push(kind);
            }
        }
        assert_eq!(seen.len(), 8, "{seen:?}");
    }

    #[test]
    fn the_condition_of_an_error_is_its_first_child() {
        let bounce = b"<message from='b' to='a' id='k1.7' type='error'><error type='wait'>\
            <remote-server-timeout xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text>x</text></error></message>";
        assert_eq!(condition(bounce), Some("remote-server-timeout"));
        let end = b"<stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>";
        assert_eq!(condition(end), Some("system-shutdown"));
    }
}
