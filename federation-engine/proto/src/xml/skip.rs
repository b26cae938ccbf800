//! Finds the end of an element that is too large to be kept.
//!
//! Only delimiters are parsed and only the depth is kept. Skipped bytes are not relayed, so they are not validated.
//! Constructs that XMPP forbids (RFC 6120 §11.1) are rejected here as well, because they would change the delimiters.

use bytes::{Buf, BytesMut};

use super::error::{Malformation, XmlError};
use super::run::PORTION;
use super::steps;

/// The rest of an element.
#[derive(Clone, Copy, Debug)]
pub(super) struct Skip {
    /// Elements that are open.
    depth: usize,
    /// Bytes that may still be skipped.
    left: usize,
    place: Place,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Text,
    /// After `<`.
    Markup,
    /// In a start tag; whether the last byte is `/`.
    Start(bool),
    /// In an attribute value, within this quote.
    Value(u8),
    /// In an end tag.
    End,
    /// In [`CDATA`], after this many of its bytes.
    Opening(usize),
    /// In a CDATA section, after this many `]`.
    Cdata(u8),
}

/// The text after `<` at the beginning of a CDATA section.
const CDATA: &[u8] = b"![CDATA[";

/// The result of [`Skip::advance`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Skipped {
    /// The end of the element.
    All,
    /// The end of the input.
    Some,
    /// The end of a portion.
    Portion,
    /// The limit of skipped bytes.
    TooMuch,
}

impl Skip {
    /// Begins at a token inside of `depth` elements.
    pub(super) fn new(depth: usize, left: usize) -> Self {
        Self { depth, left, place: Place::Text }
    }

    /// Consumes a portion of the input, or less up to the end of the element.
    pub(super) fn advance(&mut self, buf: &mut BytesMut) -> Result<Skipped, XmlError> {
        let mut portion = PORTION;
        while !buf.is_empty() {
            if portion == 0 {
                return Ok(Skipped::Portion);
            }
            let window = buf.get(..self.left.min(buf.len()).min(portion)).unwrap_or_default();
            if window.is_empty() {
                return Ok(Skipped::TooMuch);
            }
            // Text and values are most of a large element.
            let plain = match self.place {
                Place::Text => memchr::memchr(b'<', window),
                Place::Value(quote) => memchr::memchr(quote, window),
                _ => Some(0),
            };
            let at = plain.unwrap_or(window.len());
            let ended = match window.get(at) {
                Some(byte) => self.step(*byte)?,
                None => false,
            };
            let consumed = at.saturating_add(1).min(window.len());
            steps::count(consumed);
            self.left = self.left.saturating_sub(consumed);
            portion = portion.saturating_sub(consumed);
            buf.advance(consumed);
            if ended {
                return Ok(Skipped::All);
            }
        }
        Ok(Skipped::Some)
    }

    /// Handles one byte; true at the end of the element.
    fn step(&mut self, byte: u8) -> Result<bool, XmlError> {
        self.place = match (self.place, byte) {
            (Place::Text, b'<') => Place::Markup,
            (Place::Text, _) | (Place::Start(true) | Place::Cdata(2), b'>') => Place::Text,
            (Place::Markup, b'/') => Place::End,
            (Place::Markup, b'?') => return Err(XmlError::Restricted("processing instructions")),
            (Place::Markup, b'!') => Place::Opening(1),
            (Place::Start(false) | Place::Markup, b'>') => {
                self.depth = self.depth.saturating_add(1);
                Place::Text
            }
            (Place::Start(_), b'"' | b'\'') => Place::Value(byte),
            (Place::Start(_) | Place::Markup, _) => Place::Start(byte == b'/'),
            (Place::Value(quote), _) if byte == quote => Place::Start(false),
            (Place::Value(quote), _) => Place::Value(quote),
            (Place::End, b'>') => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 {
                    return Ok(true);
                }
                Place::Text
            }
            (Place::End, _) => Place::End,
            (Place::Opening(1), b'-') => return Err(XmlError::Restricted("comments")),
            (Place::Opening(known), _) if CDATA.get(known) == Some(&byte) => {
                let known = known.saturating_add(1);
                if known == CDATA.len() { Place::Cdata(0) } else { Place::Opening(known) }
            }
            (Place::Opening(1), _) => {
                return Err(XmlError::Restricted("document type declarations"));
            }
            (Place::Opening(_), _) => return Err(Malformation::Tag.into()),
            (Place::Cdata(brackets), b']') => Place::Cdata(brackets.saturating_add(1).min(2)),
            (Place::Cdata(_), _) => Place::Cdata(0),
        };
        Ok(false)
    }
}
