//! A complete first-level element: the validated bytes, and the facts found on the way.

mod names;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::bounds::Bounds;
use super::namespace::Namespace;
use super::scanner::{Item, Scanner};
use super::scope::StreamScope;
use super::tag::{Span, ValueSpan};
use super::tree::{Node, TooManyNodes};

/// The header before a stanza that is scanned again.
const HEADER: &[u8] = b"<stream:stream xmlns='jabber:server' \
    xmlns:stream='http://etherx.jabber.org/streams'>";

/// Length up to which the start tag of a large stanza is searched first.
const SMALL_START: usize = 8 * 1024;

/// Maximum bytes of a type or language that are decoded. Those that mean something are far shorter.
const MAX_WORD: usize = 1_024;

/// The facts that the scanner recorded during validation; offsets count from the first byte of the element.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) namespace: Namespace,
    pub(super) local: Span,
    pub(super) from: Option<ValueSpan>,
    pub(super) to: Option<ValueSpan>,
    pub(super) id: Option<ValueSpan>,
    pub(super) kind: Option<ValueSpan>,
    pub(super) lang: Option<ValueSpan>,
    pub(super) start_tag_end: u32,
    pub(super) self_closing: bool,
    /// One bit for each prefix of the stream header that the element uses without declaring it.
    pub(super) outer_prefixes: u32,
}

/// A first-level element of a stream. Cloning shares the bytes.
#[derive(Clone, Debug)]
pub struct Element {
    bytes: Bytes,
    facts: Facts,
    scope: Option<Arc<StreamScope>>,
}

/// An expanded name (Namespaces in XML §2.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Name<'a> {
    /// The namespace.
    pub namespace: Namespace,
    /// The local name.
    pub local: &'a str,
}

/// An attribute whose value is copied as written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Copied {
    /// The attribute `from`.
    From,
    /// The attribute `to`.
    To,
    /// The attribute `id`.
    Id,
}

impl Element {
    pub(super) fn new(bytes: Bytes, facts: Facts, scope: Option<Arc<StreamScope>>) -> Self {
        Self { bytes, facts, scope }
    }

    /// Scans again a stanza that the scanner has accepted once, to answer one that could not be sent. Not used for
    /// stanzas that can be sent.
    pub fn parse(stanza: &[u8]) -> Option<Self> {
        Self::parse_within(stanza, Bounds::AUTHENTICATED)
    }

    fn parse_within(stanza: &[u8], bounds: Bounds) -> Option<Self> {
        let mut buffer = BytesMut::from(HEADER);
        buffer.extend_from_slice(stanza);
        let bounds = bounds.with_element_bytes(buffer.len());
        let mut scanner = Scanner::new(bounds);
        scanner.next(&mut buffer).ok()?;
        match scanner.next(&mut buffer).ok()? {
            Some(Item::Element(element)) => Some(element),
            _ => None,
        }
    }

    /// The same for a stanza that was accepted with larger bounds than the default ones.
    pub(crate) fn parse_any(stanza: &[u8]) -> Option<Self> {
        let bounds = Bounds { depth: usize::MAX, attributes: usize::MAX, ..Bounds::AUTHENTICATED };
        Self::parse_within(stanza, bounds)
    }

    /// The start tag of such a stanza, closed in itself. Costs no more for a stanza with a large content.
    pub fn parse_start(stanza: &[u8]) -> Option<Self> {
        if stanza.len() <= SMALL_START {
            return Self::parse(stanza);
        }
        let mut limit = SMALL_START;
        while limit < stanza.len() {
            let mut buffer = BytesMut::from(HEADER);
            let mut scanner = Scanner::new(Bounds::AUTHENTICATED.with_element_bytes(limit));
            scanner.next(&mut buffer).ok()?;
            buffer.extend_from_slice(stanza.get(..=limit)?);
            match scanner.next(&mut buffer) {
                Ok(Some(Item::Oversized(start))) => return Some(start),
                // The start tag is longer.
                _ => limit = limit.saturating_mul(2),
            }
        }
        Self::parse(stanza)
    }

    /// The same element in another namespace: that of another stream, from which it inherits it.
    pub(crate) fn in_namespace(mut self, namespace: Namespace) -> Self {
        self.facts.namespace = namespace;
        self
    }

    /// The bytes as received, from `<` to `>`.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The expanded name.
    pub fn name(&self) -> Name<'_> {
        Name { namespace: self.facts.namespace, local: self.text(self.facts.local) }
    }

    /// Whether this is the element `local` of `namespace`.
    pub fn is(&self, namespace: Namespace, local: &str) -> bool {
        self.facts.namespace == namespace && self.facts.local.of(&self.bytes) == local.as_bytes()
    }

    /// Attribute `from`, decoded.
    pub fn from(&self) -> Option<Cow<'_, str>> {
        self.value(self.facts.from)
    }

    /// Attribute `to`, decoded.
    pub fn to(&self) -> Option<Cow<'_, str>> {
        self.value(self.facts.to)
    }

    /// Attribute `id`, decoded.
    pub fn id(&self) -> Option<Cow<'_, str>> {
        self.value(self.facts.id)
    }

    /// Attribute `type`, decoded. Of a very long value, only the beginning.
    pub fn type_(&self) -> Option<Cow<'_, str>> {
        self.beginning(self.facts.kind)
    }

    /// Attribute `xml:lang`, decoded. Of a very long value, only the beginning.
    pub fn lang(&self) -> Option<Cow<'_, str>> {
        self.beginning(self.facts.lang)
    }

    /// Whether the element declares every prefix that it uses. The default namespace may still be the stream's.
    pub(crate) fn is_self_contained(&self) -> bool {
        self.facts.outer_prefixes == 0
    }

    /// Prefixes of the stream header that the element uses without declaring them, with their namespace names.
    pub(crate) fn outer_prefixes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.scope.iter().flat_map(|scope| scope.used(self.facts.outer_prefixes))
    }

    /// The start tag without `>` or `/>`, the part after the start tag, and whether the tag closed itself.
    pub(crate) fn split_start_tag(&self) -> (&[u8], &[u8], bool) {
        let end = self.facts.start_tag_end as usize;
        let (tag, rest) = self.bytes.split_at_checked(end).unwrap_or((&self.bytes, &[]));
        let cut = if self.facts.self_closing { 2 } else { 1 };
        let tag = tag.get(..tag.len().saturating_sub(cut)).unwrap_or(tag);
        (tag, rest, self.facts.self_closing)
    }

    /// The value of an attribute, decoded.
    pub(crate) fn decoded(&self, which: Copied) -> Option<Cow<'_, str>> {
        self.value(match which {
            Copied::From => self.facts.from,
            Copied::To => self.facts.to,
            Copied::Id => self.facts.id,
        })
    }

    /// The value of an attribute as written, with its quotes: to be copied unchanged.
    pub(crate) fn as_written(&self, which: Copied) -> Option<&[u8]> {
        let range = self.raw_range(which)?;
        self.bytes.get(range.start.checked_sub(1)?..range.end.checked_add(1)?)
    }

    /// The value of an attribute that needs no decoding.
    pub(crate) fn plain(&self, which: Copied) -> Option<&[u8]> {
        let value = match which {
            Copied::From => self.facts.from,
            Copied::To => self.facts.to,
            Copied::Id => self.facts.id,
        };
        value.filter(|value| value.plain).map(|value| value.span.of(&self.bytes))
    }

    /// Range of the raw value of the attribute within [`Self::bytes`], quotes excluded.
    pub(crate) fn raw_range(&self, which: Copied) -> Option<std::ops::Range<usize>> {
        let value = match which {
            Copied::From => self.facts.from,
            Copied::To => self.facts.to,
            Copied::Id => self.facts.id,
        };
        value.map(|value| value.span.range())
    }

    /// Parses the element into a tree. For small negotiation elements only; relayed stanzas are not parsed.
    ///
    /// # Errors
    /// When it has more nodes than any negotiation element.
    pub fn tree(&self) -> Result<Node, TooManyNodes> {
        Node::read(std::str::from_utf8(&self.bytes).unwrap_or_default(), self.scope.as_deref())
    }

    fn text(&self, span: Span) -> &str {
        span.text(&self.bytes)
    }

    fn beginning(&self, value: Option<ValueSpan>) -> Option<Cow<'_, str>> {
        let value = value?;
        if value.span.len() <= MAX_WORD {
            return self.value(Some(value));
        }
        let raw = value.span.of(&self.bytes).get(..MAX_WORD)?;
        let text = raw.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        let reference = text.rfind('&').and_then(|at| text.split_at_checked(at));
        let text = match reference {
            Some((before, rest)) if !rest.contains(';') => before,
            _ => text,
        };
        Some(value.decode(text))
    }

    fn value(&self, value: Option<ValueSpan>) -> Option<Cow<'_, str>> {
        value.map(|value| value.decode(self.text(value.span)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_of_a_large_stanza_is_that_of_the_whole() {
        for (tag, content) in [
            ("<iq from='a' to='b' type='get'>".to_owned(), "<x/>".repeat(10)),
            ("<iq from='a' to='b' type='get'>".to_owned(), "<x/>".repeat(10_000)),
            (
                format!("<iq from='a' to='b' type='get' x='{}'>", "y".repeat(50_000)),
                "z".repeat(100),
            ),
            (
                format!("<iq from='a' to='b' type='get' x='{}'>", "y".repeat(50_000)),
                "z".repeat(100_000),
            ),
        ] {
            let stanza = format!("{tag}{content}</iq>");
            let start = Element::parse_start(stanza.as_bytes()).unwrap();
            assert_eq!((start.from().as_deref(), start.to().as_deref()), (Some("a"), Some("b")));
            assert_eq!(start.type_().as_deref(), Some("get"));
            assert!(start.is(Namespace::Server, "iq"));
        }
        assert!(Element::parse_start(b"<iq").is_none());
    }

    #[test]
    fn of_a_long_type_only_the_beginning_is_decoded() {
        for (written, decoded) in [("x", "x"), ("&#x000041;", "A"), ("\u{4e00}", "\u{4e00}")] {
            for offset in 0..12 {
                let value = "y".repeat(offset) + &written.repeat(100_000 / written.len());
                let element = Element::parse(format!("<a type='{value}'/>").as_bytes()).unwrap();
                let kind = element.type_().unwrap();
                let whole = "y".repeat(offset) + &decoded.repeat(100_000 / written.len());
                assert!(whole.starts_with(kind.as_ref()), "{written}");
                assert!(kind.len() >= 64 && kind.len() <= MAX_WORD, "{written}: {}", kind.len());
            }
        }
    }
}
