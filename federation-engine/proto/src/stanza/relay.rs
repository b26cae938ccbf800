//! Relays a stanza from one stream to another: the very bytes that were validated, unless the start tag must carry
//! values of the stream header (RFC 6120 §4.7.4, §4.8.5) or an address is not spelt canonically.

use bytes::{Bytes, BytesMut};

use super::address::{Jid, domainpart, is_canonical};
use super::language;
use crate::Domain;
use crate::pair::Pair;
use crate::xml::Element;
use crate::xml::element::Copied;
use crate::xml::escape::{attribute_into, quoted_into, value_into};

/// The values that a stanza inherits from the streams on which it comes and goes.
#[derive(Clone, Copy, Debug)]
pub struct StreamContext<'a> {
    /// The pair the stanza was authorised for.
    pub pair: &'a Pair,
    /// `xml:lang` of the peer's header on the stream on which the stanza came. A value that is not a language tag is
    /// not relayed: servers that check it refuse every stanza with it.
    pub lang: Option<&'a str>,
    /// `xml:lang` of our header on the stream on which it leaves.
    pub outgoing_lang: Option<&'a str>,
}

/// The bytes to send.
pub fn outgoing(stanza: &Element, context: &StreamContext<'_>) -> Bytes {
    let lang = context.lang.filter(|lang| {
        Some(*lang) != context.outgoing_lang && stanza.lang().is_none() && language::is_tag(lang)
    });
    let from = respelt(stanza, Copied::From, &context.pair.from);
    let to = respelt(stanza, Copied::To, &context.pair.to);
    if lang.is_none() && from.is_none() && to.is_none() && stanza.is_self_contained() {
        return stanza.bytes().clone();
    }
    rewritten(stanza, lang, [from, to])
}

/// The bytes of an element, with the declarations of the prefixes that it inherits from the stream header.
pub(super) fn self_contained(element: &Element) -> Bytes {
    if element.is_self_contained() {
        return element.bytes().clone();
    }
    rewritten(element, None, [None, None])
}

/// A new value for an address attribute, and the position of the old one.
struct Edit {
    range: std::ops::Range<usize>,
    /// The quote around it.
    quote: u8,
    value: String,
}

fn respelt(stanza: &Element, which: Copied, domain: &Domain) -> Option<Edit> {
    if stanza.plain(which).is_some_and(|address| is_canonical(address, domain)) {
        return None;
    }
    let written = stanza.decoded(which)?;
    if domainpart(&written) == domain.as_str() {
        return None;
    }
    let value = Jid::parse(&written).ok()?.to_string();
    let quote = *stanza.as_written(which)?.first()?;
    Some(Edit { range: stanza.raw_range(which)?, quote, value })
}

fn rewritten(stanza: &Element, lang: Option<&str>, edits: [Option<Edit>; 2]) -> Bytes {
    let (tag, rest, self_closing) = stanza.split_start_tag();
    let mut out = BytesMut::with_capacity(stanza.bytes().len() + 256);
    let mut edits: Vec<Edit> = edits.into_iter().flatten().collect();
    edits.sort_by_key(|edit| edit.range.start);
    let mut copied = 0;
    for edit in edits {
        out.extend_from_slice(tag.get(copied..edit.range.start).unwrap_or_default());
        quoted_into(&mut out, &edit.value, edit.quote);
        copied = edit.range.end;
    }
    out.extend_from_slice(tag.get(copied..).unwrap_or_default());
    for (prefix, uri) in stanza.outer_prefixes() {
        out.extend_from_slice(b" xmlns:");
        out.extend_from_slice(prefix.as_bytes());
        value_into(&mut out, uri);
    }
    if let Some(lang) = lang {
        attribute_into(&mut out, "xml:lang", lang);
    }
    out.extend_from_slice(if self_closing { b"/>" } else { b">" });
    out.extend_from_slice(rest);
    out.freeze()
}
