//! Replaces a namespace name in the declarations of an element that the scanner has accepted.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use bytes::{Bytes, BytesMut};
use memchr::memchr;
use memchr::memmem::{self, Finder};

use super::chars::is_space;
use super::namespace::Namespace;
use super::tag::{Span, ValueSpan};

/// The beginning of a character reference, by which a declaration can spell a namespace name in another way. The
/// predefined entities stand for characters that no namespace name here contains.
static REFERENCE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("&#"));

// Made once: making a searcher takes longer than it then searches in a usual stanza.
static SERVER: LazyLock<Finder<'static>> =
    LazyLock::new(|| Finder::new(Namespace::Server.uri().as_bytes()));
static COMPONENT_ACCEPT: LazyLock<Finder<'static>> =
    LazyLock::new(|| Finder::new(Namespace::ComponentAccept.uri().as_bytes()));

/// Whether the element may declare `namespace`. False: it certainly does not. Two searches of the bytes: the path of
/// every stanza between streams of different content namespaces.
pub(crate) fn may_declare(element: &[u8], namespace: Namespace) -> bool {
    let is_named = match namespace {
        Namespace::Server => SERVER.find(element).is_some(),
        Namespace::ComponentAccept => COMPONENT_ACCEPT.find(element).is_some(),
        other => memmem::find(element, other.uri().as_bytes()).is_some(),
    };
    is_named || REFERENCE.find(element).is_some()
}

/// The element with every declaration of `from` replaced by one of `to`, at any depth; `None` if it has none.
pub(crate) fn redeclared(element: &[u8], from: Namespace, to: Namespace) -> Option<Bytes> {
    if !may_declare(element, from) {
        return None;
    }
    let mut out = BytesMut::with_capacity(element.len().saturating_add(64));
    let mut copied = 0;
    let mut tags = Tags { xml: element, at: 0 };
    while let Some(value) = tags.declaration() {
        let raw = element.get(value.clone()).unwrap_or_default();
        if decoded(raw) == from.uri() {
            out.extend_from_slice(element.get(copied..value.start).unwrap_or_default());
            out.extend_from_slice(to.uri().as_bytes());
            copied = value.end;
        }
    }
    if copied == 0 {
        return None;
    }
    out.extend_from_slice(element.get(copied..).unwrap_or_default());
    Some(out.freeze())
}

fn decoded(raw: &[u8]) -> Cow<'_, str> {
    let text = std::str::from_utf8(raw).unwrap_or_default();
    ValueSpan { span: Span::new(0, raw.len()), plain: false }.decode(text)
}

/// The start tags of an accepted element, from its first byte on.
struct Tags<'a> {
    xml: &'a [u8],
    /// Inside a start tag: behind its name or one of its attributes. Otherwise inside content.
    at: usize,
}

impl Tags<'_> {
    /// The raw value of the next namespace declaration.
    fn declaration(&mut self) -> Option<Range<usize>> {
        loop {
            if self.is_in_tag() {
                let Some((name, value)) = self.attribute() else {
                    self.past(b'>')?;
                    continue;
                };
                if is_declaration(self.xml.get(name)?) {
                    return Some(value);
                }
            } else {
                self.past(b'<')?;
                let rest = self.xml.get(self.at..)?;
                if rest.starts_with(b"![CDATA[") {
                    self.at += memmem::find(rest, b"]]>")?;
                    self.past(b'>')?;
                } else if rest.starts_with(b"/") {
                    self.past(b'>')?;
                } else {
                    self.at += rest.iter().position(|byte| ends_name(*byte))?;
                }
            }
        }
    }

    /// White space, `/` or `>` follows a name or a value of a start tag; none of them follows `>`.
    fn is_in_tag(&self) -> bool {
        let before = self.at.checked_sub(1).and_then(|at| self.xml.get(at));
        before.is_some_and(|before| *before != b'>')
    }

    /// The name and the raw value of the next attribute of the tag; `None` at the end of the tag.
    fn attribute(&mut self) -> Option<(Range<usize>, Range<usize>)> {
        let rest = self.xml.get(self.at..)?;
        let start = self.at + rest.iter().position(|byte| !is_space(*byte))?;
        if matches!(self.xml.get(start)?, b'/' | b'>') {
            return None;
        }
        let equals = start + memchr(b'=', self.xml.get(start..)?)?;
        let name = start..start + self.xml.get(start..equals)?.trim_ascii_end().len();
        let quote =
            self.xml.get(equals + 1..)?.iter().position(|byte| !is_space(*byte))? + equals + 1;
        let value = quote + 1;
        let end = value + memchr(*self.xml.get(quote)?, self.xml.get(value..)?)?;
        self.at = end + 1;
        Some((name, value..end))
    }

    /// Continues behind the next such byte.
    fn past(&mut self, byte: u8) -> Option<()> {
        self.at += memchr(byte, self.xml.get(self.at..)?)? + 1;
        Some(())
    }
}

fn ends_name(byte: u8) -> bool {
    is_space(byte) || matches!(byte, b'/' | b'>')
}

fn is_declaration(name: &[u8]) -> bool {
    name == b"xmlns" || name.starts_with(b"xmlns:")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to_component(element: &str) -> Option<String> {
        let out = redeclared(element.as_bytes(), Namespace::Server, Namespace::ComponentAccept)?;
        Some(String::from_utf8(out.to_vec()).unwrap())
    }

    #[test]
    fn an_element_without_the_declaration_is_not_copied() {
        for element in [
            "<message from='a' to='b'><body>Hi</body></message>",
            "<message><body>xmlns='jabber:server'</body></message>",
            "<message a='xmlns=\"jabber:server\"'/>",
            "<message><![CDATA[<a xmlns='jabber:server'>]]><b/></message>",
            "<message><x xmlns='jabber:server:dialback'/></message>",
            "<message><x xmlns='jabber:client'>&#106;abber:server</x></message>",
            "<presence/>",
        ] {
            assert_eq!(to_component(element), None, "{element}");
        }
    }

    #[test]
    fn every_declaration_of_the_namespace_is_replaced_and_nothing_else() {
        for (element, expected) in [
            ("<message xmlns='jabber:server'/>", "<message xmlns='jabber:component:accept'/>"),
            (
                "<s:message xmlns:s = \"jabber:server\" to='b'>a > b<s:body/></s:message >",
                "<s:message xmlns:s = \"jabber:component:accept\" to='b'>a > b<s:body/></s:message >",
            ),
            (
                "<message a='>' b='/'><x\txmlns='jabber:server'\n/><y>jabber:server</y><z xmlns='jabber:server'>]]&gt;</z></message>",
                "<message a='>' b='/'><x\txmlns='jabber:component:accept'\n/><y>jabber:server</y><z xmlns='jabber:component:accept'>]]&gt;</z></message>",
            ),
            (
                "<message><![CDATA[ <a> ]]><x xmlns='jabber:server'/></message>",
                "<message><![CDATA[ <a> ]]><x xmlns='jabber:component:accept'/></message>",
            ),
            ("<message xmlns='&#x6a;abber:server'/>", "<message xmlns='jabber:component:accept'/>"),
        ] {
            assert_eq!(to_component(element).as_deref(), Some(expected), "{element}");
        }
    }
}
