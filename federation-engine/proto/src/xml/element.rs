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
        const HEADER: &[u8] = b"<stream:stream xmlns='jabber:server' \
            xmlns:stream='http://etherx.jabber.org/streams'>";
        let mut buffer = BytesMut::from(HEADER);
        buffer.extend_from_slice(stanza);
        let bounds = Bounds::AUTHENTICATED.with_element_bytes(buffer.len());
        let mut scanner = Scanner::new(bounds);
        scanner.next(&mut buffer).ok()?;
        match scanner.next(&mut buffer).ok()? {
            Some(Item::Element(element)) => Some(element),
            _ => None,
        }
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

    /// Attribute `type`, decoded.
    pub fn type_(&self) -> Option<Cow<'_, str>> {
        self.value(self.facts.kind)
    }

    /// Attribute `xml:lang`, decoded.
    pub fn lang(&self) -> Option<Cow<'_, str>> {
        self.value(self.facts.lang)
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

    fn value(&self, value: Option<ValueSpan>) -> Option<Cow<'_, str>> {
        value.map(|value| value.decode(self.text(value.span)))
    }
}
