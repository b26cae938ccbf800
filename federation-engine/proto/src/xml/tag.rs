//! The parts of a tag, by their places in the input.

use std::borrow::Cow;

use quick_xml::XmlVersion;

use super::digest::Digest;
use super::error::{Malformation, XmlError};
use super::steps;

/// A range of bytes counted from the first byte of the first-level element.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Span {
    /// Positions are below the bound of an element's bytes, which fits.
    pub(super) fn new(start: usize, end: usize) -> Self {
        let clamp = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self { start: clamp(start), end: clamp(end) }
    }

    pub(super) fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    pub(super) fn len(self) -> usize {
        self.range().len()
    }

    pub(super) fn is_empty(self) -> bool {
        self.start >= self.end
    }

    pub(super) fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.range()).unwrap_or_default()
    }

    pub(super) fn text(self, bytes: &[u8]) -> &str {
        let bytes = self.of(bytes);
        steps::count(bytes.len());
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

/// An attribute value without its quotes.
#[derive(Clone, Copy, Debug)]
pub(super) struct ValueSpan {
    pub(super) span: Span,
    /// It equals its bytes.
    pub(super) plain: bool,
}

impl ValueSpan {
    /// References are replaced and white space is normalised (XML 1.0 §3.3.3). The value has been checked, so quick-xml
    /// finds no error in it.
    pub(super) fn decode(self, raw: &str) -> Cow<'_, str> {
        if self.plain {
            return Cow::Borrowed(raw);
        }
        steps::count(raw.len());
        let attribute = quick_xml::events::attributes::Attribute {
            key: quick_xml::name::QName(""),
            value: Cow::Borrowed(raw),
        };
        attribute.normalized_value(XmlVersion::Implicit1_0).unwrap_or_default()
    }
}

/// A qualified name.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct QualifiedName {
    pub(super) span: Span,
    /// Bytes of the prefix; 0 without one.
    prefix: u32,
}

impl QualifiedName {
    /// A name whose prefix has this many bytes; 0 without one.
    pub(super) fn new(span: Span, prefix: usize) -> Self {
        Self { span, prefix: u32::try_from(prefix).unwrap_or(u32::MAX) }
    }

    /// Whether the attribute of this name is a namespace declaration.
    pub(super) fn declares_namespace(self, bytes: &[u8]) -> bool {
        let prefix = self.prefix().of(bytes);
        prefix == b"xmlns" || (prefix.is_empty() && self.span.of(bytes) == b"xmlns")
    }

    pub(super) fn prefix(self) -> Span {
        Span { start: self.span.start, end: self.span.start + self.prefix }
    }

    pub(super) fn local(self) -> Span {
        let colon = u32::from(self.prefix > 0);
        Span { start: self.span.start + self.prefix + colon, end: self.span.end }
    }
}

/// An attribute.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attribute {
    pub(super) name: QualifiedName,
    pub(super) value: ValueSpan,
    /// Set for a namespace declaration that arrived in several portions.
    pub(super) long: Option<Digest>,
}

/// A start tag without its attributes, which are in a buffer of their own.
#[derive(Clone, Copy, Debug)]
pub(super) struct StartTag {
    pub(super) name: QualifiedName,
    pub(super) self_closing: bool,
}

/// XML 1.0 §3.1, WFC: Unique Att Spec, by name as written; two names for the same expanded name are found elsewhere.
pub(super) fn unique(bytes: &[u8], attributes: &[Attribute]) -> Result<(), XmlError> {
    /// Up to this number, comparing each with each is faster than sorting.
    const FEW: usize = 16;
    let name = |attribute: &Attribute| attribute.name.span.of(bytes);
    let duplicate = if attributes.len() <= FEW {
        let mut rest = attributes;
        loop {
            let Some((first, others)) = rest.split_first() else { break false };
            let same = |other: &Attribute| {
                steps::count(1);
                name(other) == name(first)
            };
            if others.iter().any(same) {
                break true;
            }
            rest = others;
        }
    } else {
        let mut names: Vec<&[u8]> = attributes.iter().map(name).collect();
        names.sort_unstable_by(|a, b| {
            steps::count(a.len().min(b.len()));
            a.cmp(b)
        });
        names.windows(2).any(|pair| matches!(pair, [a, b] if a == b))
    };
    if duplicate { Err(Malformation::DuplicateAttribute.into()) } else { Ok(()) }
}
