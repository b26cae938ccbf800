//! The grammar of a start tag (XML 1.0 §3.1, Namespaces in XML §3 and §4), parsed as its bytes arrive.

use std::hash::RandomState;

use super::bounds::Bounds;
use super::chars::{self, Place as Characters};
use super::digest::LongName;
use super::error::{Bound, Malformation, XmlError};
use super::run::{PORTION, Run, Utf8};
use super::steps;
use super::tag::{self, Attribute, QualifiedName, Span, StartTag, ValueSpan};

/// A start tag whose end has not been found yet. After an error, only the end is searched: the error is reported there.
#[derive(Debug)]
pub(super) struct TagParser {
    /// First byte that was not parsed.
    at: usize,
    place: Place,
    /// The name of the element.
    name: QualifiedName,
    /// The name that is being parsed.
    word: Word,
    /// The name of the current attribute.
    attribute: QualifiedName,
    /// First byte of its value.
    value: usize,
    /// The quote of that value, or the quote that a malformed tag is in.
    quote: Option<u8>,
    /// That value, when it arrived in several portions.
    run: Option<Run>,
    /// The same, when it is a namespace name.
    long: Option<Box<LongName>>,
    utf8: Utf8,
    self_closing: bool,
    error: Option<XmlError>,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    /// In the name of the element.
    Element,
    /// After that name, or after the value of an attribute.
    Between,
    /// The same, after white space.
    Spaced,
    /// In the name of an attribute.
    Attribute,
    /// After it.
    Equals,
    /// After the `=`.
    Quote,
    /// In the value.
    Value,
    /// After the `/` at the end.
    Slash,
    /// Behind an error.
    Malformed,
}

/// A name that is being parsed (Namespaces §4): `NCName`, or two of them with a colon between.
#[derive(Clone, Copy, Debug)]
struct Word {
    start: usize,
    /// First byte of the part after the colon, or of the name.
    part: usize,
    /// Bytes before the colon.
    prefix: usize,
}

impl Word {
    fn from(start: usize) -> Self {
        Self { start, part: start, prefix: 0 }
    }
}

/// What parsing up to a place has reached.
enum Reached {
    /// The next part of the tag.
    Next,
    /// The end of the known bytes.
    More,
    /// The byte after the tag.
    End,
}

impl TagParser {
    /// A tag begins with the `<` at this byte.
    pub(super) fn from(start: usize) -> Self {
        Self {
            at: start + 1,
            place: Place::Element,
            name: QualifiedName::default(),
            word: Word::from(start + 1),
            attribute: QualifiedName::default(),
            value: 0,
            quote: None,
            run: None,
            long: None,
            utf8: Utf8::from(start),
            self_closing: false,
            error: None,
        }
    }

    /// First byte that was not parsed.
    pub(super) fn parsed(&self) -> usize {
        self.at
    }

    /// Parses up to `until`. Returns the end of the tag when that is reached. `attributes` is the same at every call.
    pub(super) fn advance(
        &mut self,
        buf: &[u8],
        until: usize,
        bounds: &Bounds,
        keys: &RandomState,
        attributes: &mut Vec<Attribute>,
    ) -> Option<usize> {
        let known = buf.get(..until).unwrap_or(buf);
        loop {
            match self.step(known, bounds, keys, attributes) {
                Ok(Reached::Next) => {}
                Ok(Reached::More) => {
                    self.utf8.advance(known, known.len(), false);
                    if matches!(self.place, Place::Value) {
                        self.read_namespace(known, self.utf8.checked(), keys);
                    }
                    return None;
                }
                Ok(Reached::End) => {
                    self.utf8.advance(known, self.at, true);
                    return Some(self.at);
                }
                Err(error) => {
                    self.error = Some(error);
                    self.quote = None;
                    self.place = Place::Malformed;
                }
            }
        }
    }

    /// The complete tag: its first error, or its name.
    pub(super) fn result(
        &self,
        buf: &[u8],
        attributes: &[Attribute],
    ) -> Result<StartTag, XmlError> {
        self.utf8.result()?;
        if let Some(error) = self.error {
            return Err(error);
        }
        tag::unique(buf, attributes)?;
        Ok(StartTag { name: self.name, self_closing: self.self_closing })
    }

    fn step(
        &mut self,
        known: &[u8],
        bounds: &Bounds,
        keys: &RandomState,
        attributes: &mut Vec<Attribute>,
    ) -> Result<Reached, XmlError> {
        match self.place {
            Place::Element => {
                let Some(name) = self.name(known, bounds)? else { return Ok(Reached::More) };
                self.name = name;
                self.place = Place::Between;
            }
            Place::Between | Place::Spaced => {
                if self.skip_space(known) {
                    self.place = Place::Spaced;
                }
                match known.get(self.at) {
                    None => return Ok(Reached::More),
                    Some(b'>') => {
                        self.at += 1;
                        return Ok(Reached::End);
                    }
                    Some(b'/') => {
                        self.at += 1;
                        self.place = Place::Slash;
                    }
                    Some(_) if matches!(self.place, Place::Spaced) => {
                        if attributes.len() >= bounds.attributes {
                            return Err(Bound::Attributes { limit: bounds.attributes }.into());
                        }
                        self.word = Word::from(self.at);
                        self.place = Place::Attribute;
                    }
                    Some(_) => return Err(Malformation::Tag.into()),
                }
            }
            Place::Attribute => {
                let Some(name) = self.name(known, bounds)? else { return Ok(Reached::More) };
                self.attribute = name;
                self.place = Place::Equals;
            }
            Place::Equals => {
                self.skip_space(known);
                match known.get(self.at) {
                    None => return Ok(Reached::More),
                    Some(b'=') => self.at += 1,
                    Some(_) => return Err(Malformation::Attribute.into()),
                }
                self.place = Place::Quote;
            }
            Place::Quote => {
                self.skip_space(known);
                match known.get(self.at).copied() {
                    None => return Ok(Reached::More),
                    Some(quote @ (b'"' | b'\'')) => self.quote = Some(quote),
                    Some(_) => return Err(Malformation::Attribute.into()),
                }
                self.at += 1;
                self.value = self.at;
                self.place = Place::Value;
            }
            Place::Value => return self.value(known, keys, attributes),
            Place::Slash => {
                match known.get(self.at) {
                    None => return Ok(Reached::More),
                    Some(b'>') => self.at += 1,
                    Some(_) => return Err(Malformation::Tag.into()),
                }
                self.self_closing = true;
                return Ok(Reached::End);
            }
            Place::Malformed => return Ok(self.search_end(known)),
        }
        Ok(Reached::Next)
    }

    /// Continues the name that is being parsed. None: more bytes are needed.
    fn name(&mut self, known: &[u8], bounds: &Bounds) -> Result<Option<QualifiedName>, XmlError> {
        let Word { start, mut part, mut prefix } = self.word;
        let mut at = self.at;
        let end = loop {
            let Some(byte) = known.get(at).copied() else { break Ok(None) };
            match NAME_CLASS.get(usize::from(byte)).copied().unwrap_or(OTHER) {
                NAME_START => at += 1,
                NAME_INNER if at > part => at += 1,
                COLON if prefix == 0 && at > part => {
                    prefix = at - start;
                    at += 1;
                    part = at;
                }
                NON_ASCII => match wide_char(known.get(at..).unwrap_or_default()) {
                    Ok(Some(c)) if chars::is_name_start(c) => at += c.len_utf8(),
                    Ok(Some(c)) if at > part && chars::is_name_char(c) => at += c.len_utf8(),
                    Ok(Some(_)) => break Err(Malformation::Name.into()),
                    Ok(None) => break Ok(None),
                    Err(error) => break Err(error),
                },
                OTHER if at > part => break Ok(Some(at)),
                _ => break Err(Malformation::Name.into()),
            }
        };
        steps::count(at - self.at);
        self.at = at;
        self.word = Word { start, part, prefix };
        let Some(end) = end? else { return Ok(None) };
        if end - start > bounds.name_bytes {
            return Err(Bound::NameBytes { limit: bounds.name_bytes }.into());
        }
        Ok(Some(QualifiedName::new(Span::new(start, end), prefix)))
    }

    fn value(
        &mut self,
        known: &[u8],
        keys: &RandomState,
        attributes: &mut Vec<Attribute>,
    ) -> Result<Reached, XmlError> {
        let rest = known.get(self.at..).unwrap_or_default();
        let found = memchr::memchr(self.quote.unwrap_or_default(), rest);
        let offset = found.unwrap_or(rest.len());
        steps::count(offset);
        if found.is_none() {
            let run = self.run.get_or_insert_with(|| Run::from(self.value, Characters::Attribute));
            run.advance(known, known.len(), false);
            self.at = known.len();
            return Ok(Reached::More);
        }
        let end = self.at + offset;
        self.at = end + 1;
        self.place = Place::Between;
        let plain = match &mut self.run {
            None => chars::check(rest.get(..offset).unwrap_or_default(), Characters::Attribute)?,
            Some(run) => {
                run.advance(known, end, true);
                run.result()?
            }
        };
        if self.long.is_some() {
            self.read_namespace(known, end, keys);
        }
        self.run = None;
        let long = self.long.take();
        attributes.push(Attribute {
            name: self.attribute,
            value: ValueSpan { span: Span::new(self.value, end), plain },
            // A shorter name arrived in pieces by chance.
            long: long.filter(|_| end - self.value > PORTION).map(|long| long.complete()),
        });
        Ok(Reached::Next)
    }

    /// Reads the next portion of a long namespace name, up to `end`: it must not be decoded as a whole at the end of the
    /// tag.
    fn read_namespace(&mut self, known: &[u8], end: usize, keys: &RandomState) {
        let Some(run) = self.run else { return };
        if self.long.is_none() && !self.attribute.declares_namespace(known) {
            return;
        }
        let long = self.long.get_or_insert_with(|| Box::new(LongName::from(self.value, keys)));
        long.advance(known, end.min(run.checked()));
    }

    fn skip_space(&mut self, known: &[u8]) -> bool {
        let start = self.at;
        while known.get(self.at).copied().is_some_and(chars::is_space) {
            self.at += 1;
        }
        steps::count(self.at - start);
        self.at > start
    }

    /// Searches the end of a malformed tag; quoted `>` do not end it.
    fn search_end(&mut self, known: &[u8]) -> Reached {
        loop {
            let rest = known.get(self.at..).unwrap_or_default();
            let found = match self.quote {
                Some(quote) => memchr::memchr(quote, rest),
                None => memchr::memchr3(b'>', b'"', b'\'', rest),
            };
            let Some(offset) = found else {
                steps::count(rest.len());
                self.at = known.len();
                return Reached::More;
            };
            steps::count(offset + 1);
            self.at += offset + 1;
            self.quote = match (self.quote, rest.get(offset)) {
                (Some(_), _) => None,
                (None, Some(b'>')) => return Reached::End,
                (None, byte) => byte.copied(),
            };
        }
    }
}

/// The first character, outside of ASCII. None: more bytes are needed.
fn wide_char(bytes: &[u8]) -> Result<Option<char>, XmlError> {
    let width = match bytes.first() {
        Some(0xF0..) => 4,
        Some(0xE0..) => 3,
        _ => 2,
    };
    match std::str::from_utf8(bytes.get(..width).unwrap_or(bytes)) {
        Ok(text) => Ok(text.chars().next()),
        Err(error) if error.error_len().is_none() && bytes.len() < width => Ok(None),
        Err(_) => Err(Malformation::Utf8.into()),
    }
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
