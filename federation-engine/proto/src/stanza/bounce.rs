//! Answers in place of the addressee: error replies (RFC 6120 §8.3) and ping (XEP-0199).

use bytes::{Bytes, BytesMut};

use super::Kind;
use super::address::{domainpart, is_well_formed};
use crate::reason::StanzaError;
use crate::xml::element::Copied;
use crate::xml::escape::{attribute_into, escape_into, printable};
use crate::xml::{Element, Namespace};

/// Maximum bytes of explanation in an error reply.
const MAX_TEXT: usize = 512;

/// The error reply to a stanza: addresses swapped, same `id`, no copy of the original (RFC 6120 §8.3.1).
///
/// `None` when there must be none: neither an error (rule 6) nor the result of an iq is answered by an error, and a
/// stanza without a sender cannot be answered.
pub fn error_reply(stanza: &Element, error: &StanzaError) -> Option<Bytes> {
    error_reply_as(stanza, &stanza.to()?, error)
}

/// The same from another address than the one that the stanza was sent to, which is missing or unusable.
pub(crate) fn error_reply_as(stanza: &Element, sender: &str, error: &StanzaError) -> Option<Bytes> {
    let kind = Kind::of(stanza)?;
    match stanza.type_().as_deref() {
        Some("error") => return None,
        Some("result") if kind == Kind::Iq => return None,
        _ => {}
    }
    let mut out = reply_start(stanza, sender, kind, "error")?;
    out.extend_from_slice(b"><error");
    attribute_into(&mut out, "type", error.kind.as_str());
    out.extend_from_slice(b"><");
    out.extend_from_slice(error.condition.as_str().as_bytes());
    attribute_into(&mut out, "xmlns", Namespace::StanzaError.uri());
    out.extend_from_slice(b"/>");
    if !error.text.is_empty() {
        out.extend_from_slice(b"<text");
        attribute_into(&mut out, "xmlns", Namespace::StanzaError.uri());
        attribute_into(&mut out, "xml:lang", "en");
        out.extend_from_slice(b">");
        escape_into(&mut out, &printable(&error.text, MAX_TEXT));
        out.extend_from_slice(b"</text>");
    }
    out.extend_from_slice(b"</error></");
    out.extend_from_slice(kind.as_str().as_bytes());
    out.extend_from_slice(b">");
    Some(out.freeze())
}

/// Whether this is a ping (XEP-0199 §3).
pub fn is_ping(stanza: &Element) -> bool {
    Kind::of(stanza) == Some(Kind::Iq)
        && stanza.type_().as_deref() == Some("get")
        && stanza.tree().is_ok_and(|iq| iq.child(Namespace::Ping, "ping").is_some())
}

/// The answer to a ping: an empty result.
pub fn ping_result(ping: &Element) -> Option<Bytes> {
    result(ping, b"")
}

/// The result of an iq request with this payload, which is our own XML.
pub fn result(request: &Element, payload: &[u8]) -> Option<Bytes> {
    let mut out = reply_start(request, &request.to()?, Kind::of(request)?, "result")?;
    if payload.is_empty() {
        out.extend_from_slice(b"/>");
    } else {
        out.extend_from_slice(b">");
        out.extend_from_slice(payload);
        out.extend_from_slice(b"</iq>");
    }
    Some(out.freeze())
}

/// A ping.
pub fn ping(from: &str, to: &str, id: &str) -> Bytes {
    request(from, to, id, "ping", Namespace::Ping)
}

/// A request with an empty payload.
pub(super) fn request(from: &str, to: &str, id: &str, payload: &str, of: Namespace) -> Bytes {
    let mut out = BytesMut::with_capacity(128);
    out.extend_from_slice(b"<iq");
    for (name, value) in [("type", "get"), ("from", from), ("to", to), ("id", id)] {
        attribute_into(&mut out, name, value);
    }
    out.extend_from_slice(b"><");
    out.extend_from_slice(payload.as_bytes());
    attribute_into(&mut out, "xmlns", of.uri());
    out.extend_from_slice(b"/></iq>");
    out.freeze()
}

/// The `id` is copied as written, quotes included, and addresses are bounded: a reply is larger than the answered
/// stanza by a constant at most.
fn reply_start(stanza: &Element, sender: &str, kind: Kind, type_: &str) -> Option<BytesMut> {
    let from = stanza.from()?;
    let mut out = BytesMut::with_capacity(256);
    out.extend_from_slice(b"<");
    out.extend_from_slice(kind.as_str().as_bytes());
    // The receiver of the reply may refuse it for a malformed address, so the domain is used instead.
    let usable = |address| if is_well_formed(address) { address } else { domainpart(address) };
    attribute_into(&mut out, "from", usable(sender));
    attribute_into(&mut out, "to", usable(&from));
    if let Some(id) = stanza.as_written(Copied::Id) {
        out.extend_from_slice(b" id=");
        out.extend_from_slice(id);
    }
    attribute_into(&mut out, "type", type_);
    Some(out)
}
