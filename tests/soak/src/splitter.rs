//! First-level elements of a stream as bytes. It supports the output of a correct server: restricted XML (RFC 6120
//! §11.1), whose start tags hold no `<` (XML 1.0 §3.1).

use memchr::{memchr, memchr3};

/// More bytes than any element of the experiment has. A longer element is not part of the experiment.
const LONGEST: usize = 1024 * 1024;

/// A part of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// A whole element.
    Element(&'a [u8]),
    /// `</stream:stream>`.
    End,
}

/// Bytes that are not such a stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an element does not end within {LONGEST} bytes; it begins with {beginning}")]
pub(crate) struct Endless {
    /// The beginning of the bytes.
    beginning: String,
}

/// Divides bytes into elements, regardless of the boundaries of the input.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    pending: Vec<u8>,
    /// Number of bytes of `pending` that are already parsed.
    at: usize,
    /// Position where the open element begins.
    begin: usize,
    depth: usize,
}

impl Splitter {
    /// Accepts the next bytes, and passes every part that they complete to `each`.
    pub(crate) fn feed(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(Part<'_>),
    ) -> Result<(), Endless> {
        self.pending.extend_from_slice(bytes);
        while let Some((tag, end)) = self.tag() {
            let closes = self.pending.get(tag + 1) == Some(&b'/');
            let empty = self.pending.get(end - 1) == Some(&b'/');
            if self.depth == 0 {
                self.begin = tag;
            }
            self.at = end + 1;
            match (closes, empty) {
                (true, _) if self.depth == 0 => {
                    each(Part::End);
                    continue;
                }
                (true, _) => self.depth -= 1,
                (false, true) => {}
                (false, false) => self.depth += 1,
            }
            if self.depth == 0
                && let Some(element) = self.pending.get(self.begin..self.at)
            {
                each(Part::Element(element));
            }
        }
        let done = if self.depth == 0 { self.at } else { self.begin };
        self.pending.drain(..done);
        self.at -= done;
        self.begin = 0;
        if self.pending.len() <= LONGEST {
            return Ok(());
        }
        let beginning = self.pending.get(..200).unwrap_or_default();
        Err(Endless { beginning: String::from_utf8_lossy(beginning).into_owned() })
    }

    /// The start and end of the next whole tag.
    fn tag(&self) -> Option<(usize, usize)> {
        let begin = self.at + memchr(b'<', self.pending.get(self.at..)?)?;
        let mut at = begin + 1;
        loop {
            at += memchr3(b'>', b'"', b'\'', self.pending.get(at..)?)?;
            match self.pending.get(at)? {
                b'>' => return Some((begin, at)),
                quote => at += 1 + memchr(*quote, self.pending.get(at + 1..)?)? + 1,
            }
        }
    }
}

/// The raw value of an attribute in the start tag of an element.
pub(crate) fn attribute<'a>(element: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut rest = element;
    loop {
        let at = memchr3(b'>', b'"', b'\'', rest)?;
        let (before, from) = rest.split_at_checked(at)?;
        let (quote, value) = from.split_first()?;
        if *quote == b'>' {
            return None;
        }
        let length = memchr(*quote, value)?;
        let before = before.strip_suffix(b"=")?;
        if before.strip_suffix(name.as_bytes()).is_some_and(|front| front.ends_with(b" ")) {
            return value.get(..length);
        }
        rest = value.get(length + 1..)?;
    }
}

/// The raw name of an element.
pub(crate) fn name(element: &[u8]) -> &[u8] {
    let rest = element.strip_prefix(b"<").unwrap_or(element);
    let end = rest.iter().position(|byte| matches!(byte, b' ' | b'/' | b'>'));
    rest.get(..end.unwrap_or(rest.len())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str =
        "<a x='>' y=\"'\"><b/><c>text</c></a> <r xmlns='s'/>\n<a></a></stream:stream>";

    fn parts(pieces: &[&[u8]]) -> Vec<String> {
        let (mut splitter, mut seen) = (Splitter::default(), Vec::new());
        for piece in pieces {
            let each = |part: Part<'_>| {
                seen.push(match part {
                    Part::Element(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
                    Part::End => "end".to_owned(),
                });
            };
            splitter.feed(piece, each).unwrap();
        }
        seen
    }

    #[test]
    fn cutting_the_bytes_anywhere_changes_nothing() {
        let bytes = STREAM.as_bytes();
        let whole = parts(&[bytes]);
        let first = "<a x='>' y=\"'\"><b/><c>text</c></a>";
        assert_eq!(whole, [first, "<r xmlns='s'/>", "<a></a>", "end"]);
        for cut in 0..bytes.len() {
            assert_eq!(parts(&[&bytes[..cut], &bytes[cut..]]), whole, "cut at {cut}");
        }
        assert_eq!(parts(&bytes.iter().map(std::slice::from_ref).collect::<Vec<_>>()), whole);
    }

    #[test]
    fn attributes_are_found_by_their_whole_names() {
        let tag = b"<m xid='1' id='2' to=\"a'b\" from=''><c lang='x'/></m>";
        assert_eq!(attribute(tag, "id"), Some(b"2".as_slice()));
        assert_eq!(attribute(tag, "to"), Some(b"a'b".as_slice()));
        assert_eq!(attribute(tag, "from"), Some(b"".as_slice()));
        assert_eq!(attribute(tag, "lang"), None);
        assert_eq!(name(tag), b"m");
        assert_eq!(name(b"<r/>"), b"r");
    }

    #[test]
    fn an_element_without_end_is_an_error() {
        let mut splitter = Splitter::default();
        splitter.feed(b"<a>", |_| {}).unwrap();
        assert!(splitter.feed(&vec![b'x'; LONGEST], |_| {}).is_err());
    }
}
