//! The incremental scanner.

mod meaning;

use std::sync::Arc;

use bytes::{Buf, BytesMut};

use super::bounds::Bounds;
use super::chars::{self, Place};
use super::element::{Element, Facts};
use super::error::{Bound, Malformation, XmlError};
use super::header::HeaderAttributes;
use super::scope::{ElementScope, MAX_INHERITED, NameId, StreamScope};
use super::skip::{Skip, Skipped};
use super::steps;
use super::tag::{self, Attribute, Span};

/// The parts of a stream at its first level.
#[derive(Clone, Debug)]
pub enum Item {
    /// The opening tag.
    Header(HeaderAttributes),
    /// A complete first-level element.
    Element(Element),
    /// The start tag, closed in itself, of a first-level element above the limit of bytes. Its content is not kept: it
    /// can be answered, but not relayed. The stream continues after its end.
    Oversized(Element),
    /// `</stream:stream>`.
    Close,
}

/// Longest XML declaration; the longest useful one has 56 bytes.
const MAX_DECLARATION: usize = 128;

/// Splits the bytes of a stream into [`Item`]s. Every byte is examined once, however the input is split.
#[derive(Debug)]
pub struct Scanner {
    bounds: Bounds,
    phase: Phase,
    /// First byte of the token that is not complete, counted from the start of the buffer.
    token: usize,
    /// First byte that was not searched yet for the end of that token.
    searched: usize,
    /// The quote inside which the search stopped, when the token is a start tag.
    quote: Option<u8>,
    /// Elements that are open, outermost first.
    open: Vec<Open>,
    attributes: Vec<Attribute>,
    /// Expanded names of a tag's prefixed attributes; reused.
    expanded: Vec<(NameId, Span)>,
    scope: ElementScope,
    stream: Arc<StreamScope>,
    /// Qualified name of the stream's opening tag.
    root: Vec<u8>,
    facts: Option<Facts>,
    /// An element above the limit of bytes whose end has not arrived yet.
    skip: Option<Skip>,
    outer_prefixes: u32,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// Before the first byte: an XML declaration may follow.
    Start,
    /// Before the opening tag.
    Prolog,
    /// Inside the stream.
    Content,
    /// The opening tag closed itself; the end must be reported.
    SelfClosed,
    /// After the end.
    Closed,
    /// After an error, which is final.
    Failed(XmlError),
}

#[derive(Clone, Copy, Debug)]
struct Open {
    name: Span,
    /// Declarations in effect outside of it.
    mark: usize,
}

enum Step {
    /// More input is needed.
    Incomplete,
    /// A token inside an element, or before the opening tag, is done.
    Token,
    Item(Item),
}

impl Scanner {
    /// A scanner at the first byte of a stream.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            phase: Phase::Start,
            token: 0,
            searched: 0,
            quote: None,
            open: Vec::new(),
            attributes: Vec::new(),
            expanded: Vec::new(),
            scope: ElementScope::default(),
            stream: Arc::default(),
            root: Vec::new(),
            facts: None,
            skip: None,
            outer_prefixes: 0,
        }
    }

    /// Other bounds apply from the next byte on.
    pub fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    /// A new stream begins with the next byte: after TLS and after SASL (RFC 6120 §4.3.3).
    pub fn restart(&mut self) {
        *self = Self::new(self.bounds);
    }

    /// Removes the next item from the front of `buf`; `None` when more input is needed. White space between first-level
    /// elements is consumed; after the end of the stream everything is.
    ///
    /// # Errors
    /// When the input cannot be accepted; the same error from then on.
    pub fn next(&mut self, buf: &mut BytesMut) -> Result<Option<Item>, XmlError> {
        match self.phase {
            Phase::Failed(error) => return Err(error),
            Phase::SelfClosed => {
                self.phase = Phase::Closed;
                return Ok(Some(Item::Close));
            }
            Phase::Closed => {
                buf.clear();
                return Ok(None);
            }
            Phase::Start | Phase::Prolog | Phase::Content => {}
        }
        let result = self.advance(buf);
        if let Err(error) = result {
            self.phase = Phase::Failed(error);
        }
        result
    }

    fn advance(&mut self, buf: &mut BytesMut) -> Result<Option<Item>, XmlError> {
        loop {
            if let Some(skip) = &mut self.skip {
                match skip.advance(buf)? {
                    Skipped::All => self.skip = None,
                    Skipped::Some => return Ok(None),
                    Skipped::TooMuch => {
                        let limit = self.bounds.element_bytes;
                        return Err(Bound::ElementBytes { limit }.into());
                    }
                }
            }
            if self.at_first_level() {
                self.skip_whitespace(buf);
            }
            let step = match self.step(buf) {
                // At least one more byte belongs to the current token.
                Ok(Step::Incomplete) if !buf.is_empty() => {
                    self.fits(buf.len() + 1).map(|()| Step::Incomplete)
                }
                step => step,
            };
            match step {
                Ok(Step::Token) => {}
                Ok(Step::Item(item)) => return Ok(Some(item)),
                Ok(Step::Incomplete) => return Ok(None),
                Err(error @ XmlError::Exceeded(Bound::ElementBytes { .. })) => {
                    return self.oversized(buf).map(Some).ok_or(error);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Drops the current element, except for its start tag, and continues after its end. `None`: not possible without
    /// the complete start tag of an element of a peer that may send such.
    fn oversized(&mut self, buf: &mut BytesMut) -> Option<Item> {
        if self.bounds.skipped_bytes == 0 {
            return None;
        }
        let mut facts = self.facts.take()?;
        let end = usize::try_from(facts.start_tag_end).ok()?;
        let tag = buf.get(..end)?.strip_suffix(b">")?;
        let mut bytes = BytesMut::with_capacity(end + 1);
        bytes.extend_from_slice(tag);
        bytes.extend_from_slice(b"/>");
        facts.start_tag_end = Span::new(0, bytes.len()).end;
        facts.self_closing = true;
        let left = self.bounds.skipped_bytes.saturating_sub(self.token);
        self.skip = Some(Skip::new(self.open.len(), left));
        buf.advance(self.token);
        self.open.clear();
        self.scope.clear();
        self.quote = None;
        self.outer_prefixes = 0;
        self.token_done(0);
        Some(Item::Oversized(Element::new(bytes.freeze(), facts, None)))
    }

    fn at_first_level(&self) -> bool {
        self.token == 0 && self.open.is_empty()
    }

    /// Keep-alives between first-level elements (RFC 6120 §4.6.1).
    fn skip_whitespace(&mut self, buf: &mut BytesMut) {
        let count = buf.iter().take_while(|byte| chars::is_space(**byte)).count();
        if count > 0 {
            buf.advance(count);
            if self.phase == Phase::Start {
                self.phase = Phase::Prolog;
            }
        }
    }

    fn fits(&self, bytes: usize) -> Result<(), XmlError> {
        let limit = self.bounds.element_bytes;
        if bytes > limit { Err(Bound::ElementBytes { limit }.into()) } else { Ok(()) }
    }

    fn step(&mut self, buf: &mut BytesMut) -> Result<Step, XmlError> {
        let Some(first) = buf.get(self.token).copied() else { return Ok(Step::Incomplete) };
        if first != b'<' {
            return if self.at_first_level() { Err(self.stray(first)) } else { self.text(buf) };
        }
        let Some(second) = buf.get(self.token + 1).copied() else { return Ok(Step::Incomplete) };
        self.fits(self.token + 2)?;
        match second {
            b'/' => self.end_tag(buf),
            b'?' => self.declaration(buf),
            b'!' => self.cdata(buf),
            // The second byte of '<' in UTF-16.
            0 if self.phase == Phase::Start => Err(XmlError::UnsupportedEncoding),
            _ => self.start_tag(buf),
        }
    }

    /// The first byte of data that is neither markup nor white space. UTF-16 and UTF-32 begin with a byte order mark or
    /// with a zero byte; U+FEFF in UTF-8 is not a byte order mark but text (RFC 6120 §11.6).
    fn stray(&self, first: u8) -> XmlError {
        match (self.phase, first) {
            (Phase::Start, 0x00 | 0xFE | 0xFF) => XmlError::UnsupportedEncoding,
            (Phase::Start | Phase::Prolog, _) => Malformation::NotXml.into(),
            _ => Malformation::StrayText.into(),
        }
    }

    /// Continues the search for the end of a token; remembers the position.
    fn find(&mut self, buf: &[u8], needle: u8) -> Option<usize> {
        let found = memchr::memchr(needle, buf.get(self.searched..).unwrap_or_default());
        let at = found.map(|offset| self.searched + offset);
        let before = std::mem::replace(&mut self.searched, at.unwrap_or(buf.len()));
        steps::count(self.searched.saturating_sub(before));
        at
    }

    fn token_done(&mut self, end: usize) -> Step {
        self.token = end;
        self.searched = end;
        Step::Token
    }

    fn text(&mut self, buf: &[u8]) -> Result<Step, XmlError> {
        let Some(end) = self.find(buf, b'<') else { return Ok(Step::Incomplete) };
        self.fits(end + 1)?;
        chars::check(utf8(buf, self.token, end)?, Place::Text)?;
        Ok(self.token_done(end))
    }

    fn cdata(&mut self, buf: &[u8]) -> Result<Step, XmlError> {
        const OPENING: &[u8] = b"<![CDATA[";
        const CLOSING: &[u8] = b"]]>";
        let token = buf.get(self.token..).unwrap_or_default();
        let Some(third) = token.get(2) else { return Ok(Step::Incomplete) };
        self.fits(self.token + 3)?;
        match third {
            b'[' if !self.at_first_level() => {}
            b'[' => return Err(Malformation::StrayText.into()),
            b'-' => return Err(XmlError::Restricted("comments")),
            _ => return Err(XmlError::Restricted("document type declarations")),
        }
        let known = OPENING.iter().zip(token).take_while(|(known, byte)| known == byte).count();
        if known < OPENING.len() {
            if known == token.len() {
                return Ok(Step::Incomplete);
            }
            // The limit comes first: in smaller pieces, it is exceeded before the wrong byte arrives.
            self.fits(self.token + known + 1)?;
            return Err(Malformation::Tag.into());
        }
        let content = self.token + OPENING.len();
        let from = self.searched.max(content);
        let rest = buf.get(from..).unwrap_or_default();
        let Some(offset) = memchr::memmem::find(rest, CLOSING) else {
            self.searched = buf.len().saturating_sub(CLOSING.len() - 1).max(content);
            return Ok(Step::Incomplete);
        };
        let end = from + offset;
        self.fits(end + CLOSING.len())?;
        chars::check(utf8(buf, content, end)?, Place::Cdata)?;
        Ok(self.token_done(end + CLOSING.len()))
    }

    /// `<?xml version='1.0' encoding='UTF-8'?>`, only as the very first bytes (XML 1.0 §2.8, RFC 6120 §11.5).
    fn declaration(&mut self, buf: &mut BytesMut) -> Result<Step, XmlError> {
        const OPENING: &[u8] = b"<?xml";
        const CLOSING: &[u8] = b"?>";
        if self.phase != Phase::Start || !self.at_first_level() {
            return Err(XmlError::Restricted("processing instructions"));
        }
        let begin = buf.get(..MAX_DECLARATION.min(buf.len())).unwrap_or_default();
        if begin.len() <= OPENING.len() && OPENING.starts_with(begin) {
            return Ok(Step::Incomplete);
        }
        match begin.strip_prefix(OPENING).and_then(<[u8]>::first) {
            Some(byte) if chars::is_space(*byte) => {}
            _ => return Err(XmlError::Restricted("processing instructions")),
        }
        let Some(end) = memchr::memmem::find(begin, CLOSING) else {
            let hopeless = begin.len() == MAX_DECLARATION;
            return if hopeless {
                Err(Malformation::Declaration.into())
            } else {
                Ok(Step::Incomplete)
            };
        };
        tag::parse_declaration(begin, OPENING.len(), end, &self.bounds, &mut self.attributes)?;
        buf.advance(end + CLOSING.len());
        self.phase = Phase::Prolog;
        self.searched = 0;
        Ok(Step::Token)
    }

    fn end_tag(&mut self, buf: &mut BytesMut) -> Result<Step, XmlError> {
        let Some(end) = self.find(buf, b'>').map(|at| at + 1) else { return Ok(Step::Incomplete) };
        self.fits(end)?;
        let name = tag::parse_end(buf, self.token, end)?;
        let Some(open) = self.open.pop() else {
            if self.phase != Phase::Content || name.of(buf) != self.root.as_slice() {
                return Err(Malformation::EndTag.into());
            }
            buf.clear();
            self.phase = Phase::Closed;
            return Ok(Step::Item(Item::Close));
        };
        if name.of(buf) != open.name.of(buf) {
            return Err(Malformation::EndTag.into());
        }
        self.scope.leave(open.mark);
        if self.open.is_empty() { self.finish(buf, end) } else { Ok(self.token_done(end)) }
    }

    /// First byte after the start tag; quoted `>` do not end it.
    fn start_tag_end(&mut self, buf: &[u8]) -> Option<usize> {
        self.searched = self.searched.max(self.token + 1);
        loop {
            let rest = buf.get(self.searched..).unwrap_or_default();
            let found = match self.quote {
                Some(quote) => memchr::memchr(quote, rest),
                None => memchr::memchr3(b'>', b'"', b'\'', rest),
            };
            let Some(offset) = found else {
                self.searched = buf.len();
                return None;
            };
            self.searched += offset + 1;
            steps::count(offset + 1);
            let byte = rest.get(offset).copied();
            self.quote = match self.quote {
                Some(_) => None,
                None if byte == Some(b'>') => return Some(self.searched),
                None => byte,
            };
        }
    }

    fn start_tag(&mut self, buf: &mut BytesMut) -> Result<Step, XmlError> {
        let Some(end) = self.start_tag_end(buf) else { return Ok(Step::Incomplete) };
        self.fits(end)?;
        utf8(buf, self.token, end)?;
        let tag = tag::parse(buf, self.token, end, &self.bounds, &mut self.attributes)?;
        let mark = self.scope.mark();
        self.declare(buf)?;
        if self.phase != Phase::Content {
            return self.header(buf, end, tag);
        }
        if self.open.len() >= self.bounds.depth {
            return Err(Bound::Depth { limit: self.bounds.depth }.into());
        }
        let namespace = self.namespace_of(buf, tag.name)?;
        if self.open.is_empty() {
            self.facts = Some(self.first_level(buf, end, tag, namespace));
        }
        if !tag.self_closing {
            self.open.push(Open { name: tag.name.span, mark });
            return Ok(self.token_done(end));
        }
        self.scope.leave(mark);
        if self.open.is_empty() { self.finish(buf, end) } else { Ok(self.token_done(end)) }
    }

    fn finish(&mut self, buf: &mut BytesMut, end: usize) -> Result<Step, XmlError> {
        let outer_prefixes = std::mem::take(&mut self.outer_prefixes);
        // Records the facts of every first-level start tag.
        let facts = self.facts.take().ok_or(Malformation::Tag)?;
        if outer_prefixes != 0 && self.stream.is_too_much(outer_prefixes) {
            return Err(Bound::Inherited { limit: MAX_INHERITED }.into());
        }
        self.scope.clear();
        self.token_done(0);
        let scope = (outer_prefixes != 0).then(|| Arc::clone(&self.stream));
        let bytes = buf.split_to(end).freeze();
        let element = Element::new(bytes, Facts { outer_prefixes, ..facts }, scope);
        Ok(Step::Item(Item::Element(element)))
    }
}

fn utf8(buf: &[u8], start: usize, end: usize) -> Result<&[u8], XmlError> {
    let bytes = buf.get(start..end).unwrap_or_default();
    steps::count(bytes.len());
    match std::str::from_utf8(bytes) {
        Ok(_) => Ok(bytes),
        Err(_) => Err(Malformation::Utf8.into()),
    }
}
