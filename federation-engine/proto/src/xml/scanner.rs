//! The incremental scanner.

mod meaning;

use std::sync::Arc;

use bytes::{Buf, BytesMut};

use super::bounds::Bounds;
use super::chars::{self, Place};
use super::declaration;
use super::digest::NameId;
use super::element::{Element, Facts};
use super::error::{Bound, Malformation, XmlError};
use super::header::HeaderAttributes;
use super::run::{PORTION, Text, portion_end};
use super::scope::{ElementScope, MAX_INHERITED, StreamScope};
use super::skip::{Skip, Skipped};
use super::start_tag::TagParser;
use super::steps;
use super::tag::{Attribute, Span, StartTag};

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

/// The result of [`Scanner::next_portion`].
#[derive(Clone, Debug)]
pub enum Progress {
    /// The next part of the stream.
    Item(Item),
    /// A portion of the input was processed, and there is more.
    Portion,
    /// More input is needed.
    Incomplete,
}

/// Longest XML declaration; the longest useful one has 56 bytes.
const MAX_DECLARATION: usize = 128;

/// Splits the bytes of a stream into [`Item`]s. Every byte is examined once, however the input is split. No call of
/// [`Scanner::next_portion`] does much work, so that one peer cannot occupy a thread.
#[derive(Debug)]
pub struct Scanner {
    bounds: Bounds,
    phase: Phase,
    /// First byte of the token that is not complete, counted from the start of the buffer.
    token: usize,
    /// First byte that was not searched yet for the end of that token.
    searched: usize,
    /// That token, when it is text or CDATA.
    text: Option<Text>,
    /// That token, when it is a start tag.
    tag: Option<Box<TagParser>>,
    /// The end of the name in that token, when it is an end tag.
    end_name: usize,
    /// Bytes that were processed in the current portion.
    processed: usize,
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
    /// A portion of a token is done.
    Portion,
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
            text: None,
            tag: None,
            end_name: 0,
            processed: 0,
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
        loop {
            match self.next_portion(buf)? {
                Progress::Item(item) => return Ok(Some(item)),
                Progress::Incomplete => return Ok(None),
                Progress::Portion => {}
            }
        }
    }

    /// The same for at most a few thousand bytes of input, so that other streams can have their turn before the rest.
    ///
    /// # Errors
    /// As of [`Self::next`].
    pub fn next_portion(&mut self, buf: &mut BytesMut) -> Result<Progress, XmlError> {
        match self.phase {
            Phase::Failed(error) => return Err(error),
            Phase::SelfClosed => {
                self.phase = Phase::Closed;
                return Ok(Progress::Item(Item::Close));
            }
            Phase::Closed => {
                buf.clear();
                return Ok(Progress::Incomplete);
            }
            Phase::Start | Phase::Prolog | Phase::Content => {}
        }
        self.processed = 0;
        let result = self.advance(buf);
        if let Err(error) = result {
            self.phase = Phase::Failed(error);
        }
        result
    }

    fn advance(&mut self, buf: &mut BytesMut) -> Result<Progress, XmlError> {
        loop {
            if let Some(skip) = &mut self.skip {
                match skip.advance(buf)? {
                    Skipped::All => self.skip = None,
                    Skipped::Some => return Ok(Progress::Incomplete),
                    Skipped::Portion => return Ok(Progress::Portion),
                    Skipped::TooMuch => {
                        let limit = self.bounds.element_bytes;
                        return Err(Bound::ElementBytes { limit }.into());
                    }
                }
            }
            if self.at_first_level() && self.skip_whitespace(buf) {
                return Ok(Progress::Portion);
            }
            let step = match self.step(buf) {
                // At least one more byte belongs to the current token.
                Ok(Step::Incomplete) if !buf.is_empty() => {
                    self.fits(buf.len() + 1).map(|()| Step::Incomplete)
                }
                step => step,
            };
            match step {
                Ok(Step::Token) if self.processed < PORTION => {}
                Ok(Step::Token | Step::Portion) => return Ok(Progress::Portion),
                Ok(Step::Item(item)) => return Ok(Progress::Item(item)),
                Ok(Step::Incomplete) => return Ok(Progress::Incomplete),
                Err(error @ XmlError::Exceeded(Bound::ElementBytes { .. })) => {
                    return self.oversized(buf).map(Progress::Item).ok_or(error);
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
        (self.text, self.tag) = (None, None);
        self.outer_prefixes = 0;
        self.token_done(0);
        Some(Item::Oversized(Element::new(bytes.freeze(), facts, None)))
    }

    fn at_first_level(&self) -> bool {
        self.token == 0 && self.open.is_empty()
    }

    /// Keep-alives between first-level elements (RFC 6120 §4.6.1). True after a portion of them.
    fn skip_whitespace(&mut self, buf: &mut BytesMut) -> bool {
        let bytes = buf.iter().take(PORTION);
        let count = bytes.take_while(|byte| chars::is_space(**byte)).count();
        if count > 0 {
            buf.advance(count);
            if self.phase == Phase::Start {
                self.phase = Phase::Prolog;
            }
        }
        count == PORTION
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

    /// Continues the search for the end of a token, in the next portion; remembers the position.
    fn find(&mut self, buf: &[u8], needle: u8) -> Option<usize> {
        let end = portion_end(buf, self.searched);
        let found = memchr::memchr(needle, buf.get(self.searched..end).unwrap_or_default());
        let at = found.map(|offset| self.searched + offset);
        self.searched_to(at.unwrap_or(end));
        at
    }

    fn searched_to(&mut self, at: usize) {
        let count = at.saturating_sub(self.searched);
        steps::count(count);
        self.processed += count;
        self.searched = at;
    }

    /// The end of a token is not in the portion that was processed.
    fn not_yet(&self, buf: &[u8]) -> Step {
        if self.searched < buf.len() { Step::Portion } else { Step::Incomplete }
    }

    fn token_done(&mut self, end: usize) -> Step {
        self.processed += 1;
        self.token = end;
        self.searched = end;
        Step::Token
    }

    fn text(&mut self, buf: &[u8]) -> Result<Step, XmlError> {
        let found = self.find(buf, b'<');
        let Some(end) = found else {
            let text = self.text.get_or_insert_with(|| Text::from(self.token, Place::Text));
            text.advance(buf, self.searched, false);
            return Ok(self.not_yet(buf));
        };
        let mut text = self.text.take().unwrap_or_else(|| Text::from(self.token, Place::Text));
        text.advance(buf, end, true);
        self.fits(end + 1)?;
        text.result()?;
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
        let end = portion_end(buf, from);
        let found = memchr::memmem::find(buf.get(from..end).unwrap_or_default(), CLOSING);
        let mut text = self.text.take().unwrap_or_else(|| Text::from(content, Place::Cdata));
        let Some(offset) = found else {
            // The last bytes may belong to the end.
            self.searched_to(end.saturating_sub(CLOSING.len() - 1).max(content));
            text.advance(buf, self.searched, false);
            self.text = Some(text);
            return Ok(if end < buf.len() { Step::Portion } else { Step::Incomplete });
        };
        let end = from + offset;
        self.searched_to(end);
        self.fits(end + CLOSING.len())?;
        text.advance(buf, end, true);
        text.result()?;
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
        declaration::check(begin.get(OPENING.len()..end).unwrap_or_default())?;
        buf.advance(end + CLOSING.len());
        self.phase = Phase::Prolog;
        self.searched = 0;
        Ok(Step::Token)
    }

    fn end_tag(&mut self, buf: &mut BytesMut) -> Result<Step, XmlError> {
        let start = self.token + 2;
        let from = self.searched.max(start);
        if self.searched < start {
            self.end_name = start;
        }
        let found = self.find(buf, b'>');
        // White space may follow the name.
        let bytes = buf.get(from..self.searched).unwrap_or_default();
        if let Some(last) = bytes.iter().rposition(|byte| !chars::is_space(*byte)) {
            self.end_name = from + last + 1;
        }
        let Some(end) = found.map(|at| at + 1) else { return Ok(self.not_yet(buf)) };
        self.fits(end)?;
        let name = Span::new(start, self.end_name);
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

    fn start_tag(&mut self, buf: &mut BytesMut) -> Result<Step, XmlError> {
        let Some((end, tag)) = self.parse_start_tag(buf) else { return Ok(self.not_yet(buf)) };
        self.fits(end)?;
        let tag = tag?;
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

    /// Parses the next portion of a start tag. At its end, returns that end, and the tag.
    fn parse_start_tag(&mut self, buf: &[u8]) -> Option<(usize, Result<StartTag, XmlError>)> {
        let mut begun = self.tag.take();
        let mut fresh = begun.is_none().then(|| {
            self.attributes.clear();
            TagParser::from(self.token)
        });
        let parser = begun.as_deref_mut().or(fresh.as_mut())?;
        let before = parser.parsed();
        let until = portion_end(buf, before);
        let keys = self.scope.keys();
        let end = parser.advance(buf, until, &self.bounds, keys, &mut self.attributes);
        self.processed += parser.parsed() - before;
        if let Some(end) = end {
            return Some((end, parser.result(buf, &self.attributes)));
        }
        self.searched = until;
        self.tag = begun.or_else(|| fresh.map(Box::new));
        None
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
