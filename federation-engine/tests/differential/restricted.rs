//! rxml, which reads restricted XML like XMPP servers written in Rust.

use rxml::error::EndOrError;
use rxml::parser::{Options, WithOptions, XMLNS_XML};
use rxml::{Event, Parse, Parser};
use s2s_proto::xml::Namespace;

use super::compare::{Outcome, Verdict};
use super::scanned::{Read, Scanned, What};

struct Reader {
    parser: Parser,
    depth: usize,
    open: Option<Read>,
    done: Vec<Read>,
}

impl Reader {
    fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Read>, String> {
        let mut rest = bytes;
        loop {
            match self.parser.parse(&mut rest, false) {
                Ok(Some(event)) => self.event(event),
                Ok(None) | Err(EndOrError::NeedMoreData) => {
                    return Ok(std::mem::take(&mut self.done));
                }
                Err(EndOrError::Error(error)) => return Err(error.to_string()),
            }
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::StartElement(_, (namespace, local), attributes) => {
                if self.depth == 1 {
                    let value =
                        |namespace: &str, name: &str| attributes.get(namespace, name).cloned();
                    self.open = Some(Read {
                        namespace: Namespace::of(namespace.as_str()),
                        local: local.to_string(),
                        attributes: [
                            value("", "from"),
                            value("", "to"),
                            value("", "id"),
                            value("", "type"),
                            value(XMLNS_XML, "lang"),
                        ],
                    });
                }
                self.depth += 1;
            }
            Event::EndElement(_) => {
                self.depth -= 1;
                if self.depth == 1 {
                    self.done.extend(self.open.take());
                }
            }
            Event::XmlDeclaration(..) | Event::Text(..) => {}
        }
    }

    fn piece(&mut self, bytes: &[u8]) -> Result<Outcome, String> {
        let (last, before) = bytes.split_last().unwrap();
        let early = self.feed(before)?;
        let late = self.feed(&[*last])?;
        Ok(Outcome { early, late, closed: self.depth == 0 })
    }
}

/// The verdict of rxml.
pub(crate) fn read(scanned: &Scanned) -> Verdict {
    // The user of rxml bounds the bytes of a token; here there is no such bound.
    let options = Options { max_token_length: 1 << 20, ..Options::default() };
    let parser = Parser::with_options(options);
    let mut reader = Reader { parser, depth: 0, open: None, done: Vec::new() };
    let (mut outcomes, mut error) = (Vec::new(), None);
    for piece in &scanned.pieces {
        let read = match piece.what {
            What::Header => reader.piece(&with_usual_declaration(&line_ends(&piece.bytes))),
            _ => reader.piece(&line_ends(&piece.bytes)),
        };
        match read {
            Ok(outcome) => outcomes.push(outcome),
            Err(why) => {
                error = Some(why);
                break;
            }
        }
    }
    Verdict { parser: "rxml", outcomes, error }
}

/// Content before the opening tag is never relayed. rxml requires `standalone='yes'` in a declaration, and no white
/// space if there is no declaration.
fn with_usual_declaration(bytes: &[u8]) -> Vec<u8> {
    let end = bytes.windows(2).position(|pair| pair == b"?>").map_or(0, |end| end + 2);
    let rest = if bytes.starts_with(b"<?xml") { &bytes[end..] } else { bytes };
    [b"<?xml version='1.0'?>", rest.trim_ascii_start()].concat()
}

/// rxml 0.14 refuses a carriage return without a line feed; XML 1.0 §2.11 turns it into a line feed.
fn line_ends(bytes: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for at in 0..out.len() {
        if out[at] == b'\r' && out.get(at + 1) != Some(&b'\n') {
            out[at] = b'\n';
        }
    }
    out
}
