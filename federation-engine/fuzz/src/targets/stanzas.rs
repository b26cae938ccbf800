//! The scanner and the readers of its elements.

use bytes::BytesMut;
use s2s_proto::dialback::steps::DialbackElement;
use s2s_proto::pair::Pair;
use s2s_proto::stanza::address::{Jid, domainpart, is_well_formed};
use s2s_proto::stanza::relay::{self, StreamContext};
use s2s_proto::stanza::{Kind, bounce};
use s2s_proto::stream::header;
use s2s_proto::stream::redirect::OtherHost;
use s2s_proto::xml::{Bounds, Element, HeaderAttributes, Item, Scanner, XmlError};

/// Maximum bytes of an answer beyond those of the stanza that it answers: see `stanza::bounce`.
const ANSWER: usize = 2_048;

const OPENING: &[u8] =
    b"<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
    xmlns:db='jabber:server:dialback' xmlns:x='urn:x' xml:lang='de'>";

/// The output of the scanner in a comparable form.
#[derive(Debug, PartialEq)]
enum Seen {
    Header(HeaderAttributes),
    Element(Vec<u8>),
    Oversized(Vec<u8>),
    Close,
    Error(XmlError),
}

fn scan(pieces: &mut dyn Iterator<Item = &[u8]>, bounds: Bounds) -> (Vec<Seen>, Vec<Element>) {
    let (mut scanner, mut buf) = (Scanner::new(bounds), BytesMut::new());
    let (mut seen, mut elements) = (Vec::new(), Vec::new());
    for piece in pieces {
        buf.extend_from_slice(piece);
        loop {
            seen.push(match scanner.next(&mut buf) {
                Ok(None) => break,
                Ok(Some(Item::Header(header))) => Seen::Header(header),
                Ok(Some(Item::Close)) => Seen::Close,
                Ok(Some(Item::Oversized(element))) => Seen::Oversized(element.bytes().to_vec()),
                Ok(Some(Item::Element(element))) => {
                    elements.push(element.clone());
                    Seen::Element(element.bytes().to_vec())
                }
                Err(error) => {
                    seen.push(Seen::Error(error));
                    return (seen, elements);
                }
            });
        }
    }
    (seen, elements)
}

/// A whole stream. Its items do not depend on how it is split. The output made from an accepted stanza is accepted
/// again.
pub(crate) fn scanner(data: &[u8]) {
    let small = Bounds::AUTHENTICATED.with_element_bytes(300);
    for bounds in [Bounds::AUTHENTICATED, Bounds::PRE_AUTHENTICATION, small] {
        let (whole, elements) = scan(&mut std::iter::once(data), bounds);
        let length = 1 + data.len() % 7;
        let (split, _) = scan(&mut data.chunks(length), bounds);
        assert_eq!(whole, split, "in pieces of {length}");
        for element in &elements {
            relayed(element);
        }
    }
}

fn relayed(element: &Element) {
    let _ = element.tree();
    let (Some(_), Some(pair)) = (Kind::of(element), Pair::of(element)) else { return };
    for (lang, outgoing_lang) in [(None, None), (Some("de-CH"), Some("en"))] {
        let context = StreamContext { pair: &pair, lang, outgoing_lang };
        let bytes = relay::outgoing(element, &context);
        let again = Element::parse(&bytes).expect("what is relayed is accepted");
        assert_eq!(again.bytes(), &bytes, "nothing follows it");
        assert_eq!(Pair::of(&again).as_ref(), Some(&pair), "it is of the same pair");
        assert_eq!((again.id(), again.type_()), (element.id(), element.type_()));
    }
    let refused = s2s_proto::reason::Failure::ShuttingDown.stanza_error();
    if let Some(reply) = bounce::error_reply(element, &refused) {
        let again = Element::parse(&reply).expect("an answer is accepted");
        assert!(reply.len() <= element.bytes().len() + ANSWER, "an answer is not much larger");
        assert_eq!(Pair::of(&again), Some(pair.reversed()));
        assert_eq!(again.id(), element.id());
        assert!(bounce::error_reply(&again, &refused).is_none(), "errors are not answered");
        for address in [again.from(), again.to()].into_iter().flatten() {
            assert!(is_well_formed(&address), "addresses of answers are good: {address}");
        }
    }
}

/// The opening tag of a stream.
pub(crate) fn header(data: &[u8]) {
    let (seen, _) = scan(&mut std::iter::once(data), Bounds::PRE_AUTHENTICATION);
    if let Some(Seen::Header(attributes)) = seen.first() {
        let _ = header::check_namespaces(attributes);
        let _ = header::negotiated(attributes);
    }
}

/// An element of dialback, or a stream error.
pub(crate) fn dialback(data: &[u8]) {
    let input = [OPENING, data].concat();
    let (_, elements) = scan(&mut std::iter::once(input.as_slice()), Bounds::PRE_AUTHENTICATION);
    for element in elements {
        let _ = DialbackElement::read(&element);
        if let Ok(tree) = element.tree() {
            let _ = OtherHost::parse(&tree.text);
        }
    }
}

/// An address.
pub(crate) fn address(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let good = is_well_formed(text);
    let Ok(jid) = Jid::parse(text) else { return };
    // The domain is normalised on the way, the other parts are not.
    assert_eq!(is_well_formed(&jid.to_string()), good, "{text:?}");
    let again = Jid::parse(&jid.to_string());
    assert_eq!(again.as_ref(), Ok(&jid), "{text:?}");
    assert_eq!(domainpart(&jid.to_string()), jid.domain().as_str());
    let _ = s2s_proto::stanza::preparation::keeps(jid.domain());
}
