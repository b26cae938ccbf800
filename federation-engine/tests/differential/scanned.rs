//! The part of a stream that the scanner accepts.

use bytes::{Bytes, BytesMut};
use s2s_proto::xml::{Bounds, Element, Item, Namespace, Scanner};

/// A first-level element as a parser reports it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Read {
    pub(crate) namespace: Namespace,
    pub(crate) local: String,
    /// `from`, `to`, `id`, `type` and `xml:lang`.
    pub(crate) attributes: [Option<String>; 5],
}

/// A part of the stream that ends with an item of the scanner.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) bytes: Bytes,
    pub(crate) what: What,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum What {
    Header,
    /// Elements that were skipped because of their size, then one that was accepted.
    Element {
        skipped: usize,
        read: Read,
    },
    Close {
        skipped: usize,
    },
}

/// The accepted beginning of a stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scanned {
    pub(crate) pieces: Vec<Piece>,
    /// Whether an error ended the stream.
    pub(crate) refused: bool,
}

fn read(element: &Element) -> Read {
    let owned = |value: Option<std::borrow::Cow<'_, str>>| value.map(std::borrow::Cow::into_owned);
    let name = element.name();
    Read {
        namespace: name.namespace,
        local: name.local.to_owned(),
        attributes: [
            owned(element.from()),
            owned(element.to()),
            owned(element.id()),
            owned(element.type_()),
            owned(element.lang()),
        ],
    }
}

impl Scanned {
    pub(crate) fn of(input: &[u8], bounds: Bounds) -> Self {
        let mut scanner = Scanner::new(bounds);
        let (mut buf, input) = (BytesMut::from(input), Bytes::copy_from_slice(input));
        let (mut seen, mut begin, mut skipped) = (Self::default(), 0, 0);
        loop {
            let (what, end) = match scanner.next(&mut buf) {
                Ok(None) => return seen,
                Err(_) => {
                    seen.refused = true;
                    return seen;
                }
                Ok(Some(Item::Oversized(_))) => {
                    skipped += 1;
                    continue;
                }
                Ok(Some(Item::Header(_))) => (What::Header, input.len() - buf.len()),
                Ok(Some(Item::Element(element))) => {
                    (What::Element { skipped, read: read(&element) }, input.len() - buf.len())
                }
                // An opening tag that closes itself.
                Ok(Some(Item::Close))
                    if input[..begin].ends_with(b"/>") && seen.pieces.len() == 1 =>
                {
                    return seen;
                }
                Ok(Some(Item::Close)) => {
                    // The scanner drops all data after the end tag of the stream.
                    let Some(length) = input[begin..].iter().position(|byte| *byte == b'>') else {
                        return seen;
                    };
                    (What::Close { skipped }, begin + length + 1)
                }
            };
            if matches!(what, What::Close { skipped } if skipped > 0) {
                // The position of the end tag is unknown.
                return seen;
            }
            seen.pieces.push(Piece { bytes: input.slice(begin..end), what });
            (begin, skipped) = (end, 0);
        }
    }

    /// As if the scanner had accepted this element.
    pub(crate) fn pretend(element: &str) -> Self {
        const HEADER: &str = "<stream:stream xmlns='jabber:server' \
            xmlns:stream='http://etherx.jabber.org/streams'>";
        let read = Read {
            namespace: Namespace::Server,
            local: String::new(),
            attributes: [const { None }; 5],
        };
        let piece =
            |text: &str, what| Piece { bytes: Bytes::copy_from_slice(text.as_bytes()), what };
        Self {
            pieces: vec![
                piece(HEADER, What::Header),
                piece(element, What::Element { skipped: 0, read }),
            ],
            refused: false,
        }
    }

    pub(crate) fn skips(&self) -> bool {
        self.pieces.iter().any(|piece| {
            matches!(piece.what, What::Element { skipped, .. } | What::Close { skipped } if skipped > 0)
        })
    }
}
