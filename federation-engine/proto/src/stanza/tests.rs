//! Relaying and error replies, on elements that the scanner has read.

mod bouncing;
mod preparing;
mod relaying;

use bytes::BytesMut;

use crate::xml::{Bounds, Element, Item, Scanner};

/// The first element after a header with these attributes.
fn element_of(attributes: &str, stanza: &str) -> Element {
    let input = format!(
        "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
         xmlns:db='jabber:server:dialback' {attributes}>{stanza}"
    );
    let mut scanner = Scanner::new(Bounds::AUTHENTICATED);
    let mut buf = BytesMut::from(input.as_str());
    assert!(matches!(scanner.next(&mut buf), Ok(Some(Item::Header(_)))));
    match scanner.next(&mut buf) {
        Ok(Some(Item::Element(element))) => element,
        other => panic!("{stanza}: {other:?}"),
    }
}

fn element(stanza: &str) -> Element {
    element_of("", stanza)
}
