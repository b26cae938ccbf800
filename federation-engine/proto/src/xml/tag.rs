//! The grammar of a start tag (XML 1.0 §3.1, Namespaces in XML §3 and §4).

use std::borrow::Cow;

use quick_xml::XmlVersion;

use super::bounds::Bounds;
use super::chars::{self, Place};
use super::error::{Bound, Malformation, XmlError};
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
}

/// A start tag without its attributes, which are in the buffer handed to [`parse`].
#[derive(Clone, Copy, Debug)]
pub(super) struct StartTag {
    pub(super) name: QualifiedName,
    pub(super) self_closing: bool,
}

/// Parses the complete tag from `<` at `start` to `>` before `end`. It is known to be UTF-8.
pub(super) fn parse(
    bytes: &[u8],
    start: usize,
    end: usize,
    bounds: &Bounds,
    attributes: &mut Vec<Attribute>,
) -> Result<StartTag, XmlError> {
    attributes.clear();
    let mut cursor = Cursor { bytes: bytes.get(..end).unwrap_or(bytes), at: start + 1 };
    let name = cursor.name(bounds)?;
    let self_closing = loop {
        let spaced = cursor.skip_space();
        match cursor.peek() {
            Some(b'>') => break false,
            Some(b'/') => {
                cursor.at += 1;
                if cursor.peek() == Some(b'>') {
                    break true;
                }
                return Err(Malformation::Tag.into());
            }
            Some(_) if spaced => {
                if attributes.len() >= bounds.attributes {
                    return Err(Bound::Attributes { limit: bounds.attributes }.into());
                }
                attributes.push(cursor.attribute(bounds)?);
            }
            _ => return Err(Malformation::Tag.into()),
        }
    };
    if cursor.at + 1 != end {
        return Err(Malformation::Tag.into());
    }
    unique(bytes, attributes)?;
    Ok(StartTag { name, self_closing })
}

/// Parses the name of the complete end tag from `</` at `start` to `>` before `end`.
pub(super) fn parse_end(bytes: &[u8], start: usize, end: usize) -> Result<Span, XmlError> {
    let inner = bytes.get(start + 2..end.saturating_sub(1)).ok_or(Malformation::Tag)?;
    let trailing = inner.iter().rev().take_while(|byte| chars::is_space(**byte)).count();
    Ok(Span::new(start + 2, end - 1 - trailing))
}

/// Checks the text of an XML declaration between `<?xml` and `?>` (XML 1.0 §2.8).
pub(super) fn parse_declaration(
    bytes: &[u8],
    start: usize,
    end: usize,
    bounds: &Bounds,
    attributes: &mut Vec<Attribute>,
) -> Result<(), XmlError> {
    attributes.clear();
    let mut cursor = Cursor { bytes: bytes.get(..end).unwrap_or(bytes), at: start };
    if !cursor.bytes.is_ascii() {
        return Err(Malformation::Declaration.into());
    }
    // Their order is fixed, and only the first is mandatory.
    let mut expected: &[&[u8]] = &[b"version", b"encoding", b"standalone"];
    loop {
        let spaced = cursor.skip_space();
        if cursor.peek().is_none() {
            break;
        }
        let attribute = cursor.attribute(bounds).map_err(|_| Malformation::Declaration)?;
        let name = attribute.name.span.of(bytes);
        let index = expected.iter().position(|known| *known == name);
        let value = attribute.value.span.of(bytes);
        let allowed = match name {
            b"version" => value == b"1.0",
            b"encoding" if !value.eq_ignore_ascii_case(b"UTF-8") => {
                return Err(XmlError::UnsupportedEncoding);
            }
            b"encoding" => expected.len() == 2,
            b"standalone" => expected.len() < 3 && matches!(value, b"yes" | b"no"),
            _ => false,
        };
        let Some(index) = index.filter(|_| spaced && allowed) else {
            return Err(Malformation::Declaration.into());
        };
        expected = expected.get(index + 1..).unwrap_or_default();
    }
    if expected.len() == 3 { Err(Malformation::Declaration.into()) } else { Ok(()) }
}

/// XML 1.0 §3.1, WFC: Unique Att Spec, by name as written; two names for the same expanded name are found elsewhere.
fn unique(bytes: &[u8], attributes: &[Attribute]) -> Result<(), XmlError> {
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

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

const OTHER: u8 = 0;
const NAME_START: u8 = 1;
const NAME_INNER: u8 = 2;
const COLON: u8 = 3;
const NON_ASCII: u8 = 4;

/// The positions in a name where a byte may occur.
static NAME_CLASS: [u8; 256] = name_classes();

#[allow(clippy::indexing_slicing)] // evaluated by the compiler: an index out of range does not compile
const fn name_classes() -> [u8; 256] {
    let mut table = [OTHER; 256];
    let mut byte = 0_usize;
    while byte < 256 {
        table[byte] = match byte {
            0x41..=0x5A | 0x61..=0x7A | 0x5F => NAME_START,
            0x2D | 0x2E | 0x30..=0x39 => NAME_INNER,
            0x3A => COLON,
            0x80..=0xFF => NON_ASCII,
            _ => OTHER,
        };
        byte += 1;
    }
    table
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) -> bool {
        let start = self.at;
        while self.peek().is_some_and(chars::is_space) {
            self.at += 1;
        }
        self.at > start
    }

    /// Namespaces §4: `NCName`, or two of them with a colon between.
    fn name(&mut self, bounds: &Bounds) -> Result<QualifiedName, XmlError> {
        let start = self.at;
        let mut part = start;
        let mut prefix = 0;
        while let Some(byte) = self.peek() {
            match NAME_CLASS.get(usize::from(byte)).copied().unwrap_or(OTHER) {
                NAME_START => self.at += 1,
                NAME_INNER if self.at > part => self.at += 1,
                COLON if prefix == 0 && self.at > part => {
                    prefix = self.at - start;
                    self.at += 1;
                    part = self.at;
                }
                NON_ASCII => {
                    let c = self.wide_char().ok_or(Malformation::Utf8)?;
                    let allowed =
                        chars::is_name_start(c) || (self.at > part && chars::is_name_char(c));
                    if !allowed {
                        return Err(Malformation::Name.into());
                    }
                    self.at += c.len_utf8();
                }
                OTHER => break,
                _ => return Err(Malformation::Name.into()),
            }
        }
        if self.at == part {
            return Err(Malformation::Name.into());
        }
        steps::count(self.at - start);
        if self.at - start > bounds.name_bytes {
            return Err(Bound::NameBytes { limit: bounds.name_bytes }.into());
        }
        Ok(QualifiedName {
            span: Span::new(start, self.at),
            prefix: u32::try_from(prefix).unwrap_or(u32::MAX),
        })
    }

    fn wide_char(&self) -> Option<char> {
        let width = match self.peek()? {
            0xF0.. => 4,
            0xE0.. => 3,
            _ => 2,
        };
        std::str::from_utf8(self.bytes.get(self.at..self.at + width)?).ok()?.chars().next()
    }

    fn attribute(&mut self, bounds: &Bounds) -> Result<Attribute, XmlError> {
        let name = self.name(bounds)?;
        self.skip_space();
        if self.peek() != Some(b'=') {
            return Err(Malformation::Attribute.into());
        }
        self.at += 1;
        self.skip_space();
        let quote =
            self.peek().filter(|b| matches!(b, b'"' | b'\'')).ok_or(Malformation::Attribute)?;
        let start = self.at + 1;
        let rest = self.bytes.get(start..).unwrap_or_default();
        let length = memchr::memchr(quote, rest).ok_or(Malformation::Attribute)?;
        let plain = chars::check(rest.get(..length).unwrap_or_default(), Place::Attribute)?;
        self.at = start + length + 1;
        Ok(Attribute { name, value: ValueSpan { span: Span::new(start, start + length), plain } })
    }
}
