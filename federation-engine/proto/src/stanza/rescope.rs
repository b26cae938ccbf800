//! Stanzas between a stream with a server (`jabber:server`) and one with a component (`jabber:component:accept`).
//!
//! A stanza inherits the content namespace of its stream, so its bytes usually need no change (RFC 6120 §4.8.3). If it
//! declares that namespace itself, its declarations are replaced, at any depth.

use bytes::Bytes;

use super::relay;
use crate::xml::redeclare::{may_declare, redeclared};
use crate::xml::{Element, Namespace};

/// The stanza as it leaves to a component; `None` if its bytes need no change.
pub fn to_component(stanza: &[u8]) -> Option<Bytes> {
    redeclared(stanza, Namespace::Server, Namespace::ComponentAccept)
}

/// A first-level element of a component as the same element of a stream between servers. An element of another namespace
/// stays as it is, and one of `jabber:server` is foreign to the stream.
pub fn from_component(element: Element) -> Element {
    match element.name().namespace {
        Namespace::ComponentAccept => {}
        Namespace::Server => return element.in_namespace(Namespace::Other),
        _ => return element,
    }
    let inherits = |(_, uri): (&str, &str)| Namespace::of(uri) == Namespace::ComponentAccept;
    if !may_declare(element.bytes(), Namespace::ComponentAccept)
        && !element.outer_prefixes().any(inherits)
    {
        return element.in_namespace(Namespace::Server);
    }
    let whole = relay::self_contained(&element);
    match redeclared(&whole, Namespace::ComponentAccept, Namespace::Server) {
        // The scanner has accepted the element, so that only its size could be too large now.
        Some(changed) => {
            Element::parse_any(&changed).unwrap_or_else(|| element.in_namespace(Namespace::Other))
        }
        None => element.in_namespace(Namespace::Server),
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::stanza::Kind;
    use crate::xml::{Bounds, Item, Scanner};

    /// The element as it arrives on the stream of a component.
    fn arrived(declarations: &str, element: &str) -> Element {
        let mut scanner = Scanner::new(Bounds::AUTHENTICATED);
        let header = format!(
            "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' {declarations}>"
        );
        let mut buffer = BytesMut::from((header + element).as_bytes());
        scanner.next(&mut buffer).unwrap();
        match scanner.next(&mut buffer).unwrap() {
            Some(Item::Element(element)) => element,
            other => panic!("{other:?}"),
        }
    }

    fn relayed(declarations: &str, element: &str) -> (Element, String) {
        let element = from_component(arrived(declarations, element));
        let bytes = relay::self_contained(&element);
        (element, String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn rfc6120_4_8_3_a_stanza_that_inherits_its_namespace_keeps_its_bytes() {
        let sent = "<message from='a@bot.example' to='b@peer.example'><body>&#13;<x xmlns='jabber:client'/></body></message>";
        let (element, bytes) = relayed("", sent);
        assert_eq!(bytes, sent);
        assert_eq!(Kind::of(&element), Some(Kind::Message));
        assert_eq!(element.from().as_deref(), Some("a@bot.example"));
        assert_eq!(to_component(sent.as_bytes()), None);
    }

    #[test]
    fn rfc6120_4_8_3_a_stanza_that_declares_its_namespace_declares_that_of_the_other_stream() {
        let sent = "<message xmlns='jabber:component:accept' from='a@bot.example' to='b@peer.example'><body xmlns='jabber:component:accept'>Hi</body></message>";
        let expected = sent.replace("jabber:component:accept", "jabber:server");
        let (element, bytes) = relayed("", sent);
        assert_eq!(bytes, expected);
        assert_eq!(Kind::of(&element), Some(Kind::Message));
        assert_eq!(element.to().as_deref(), Some("b@peer.example"));
        let back = to_component(bytes.as_bytes()).unwrap();
        assert_eq!(back, sent.as_bytes());
    }

    #[test]
    fn rfc6120_4_8_5_a_prefix_of_the_header_is_declared_with_the_namespace_of_the_other_stream() {
        let (element, bytes) = relayed(
            "xmlns:c='jabber:component:accept' xmlns:p='urn:p'",
            "<c:iq from='bot.example' to='peer.example'><p:q/></c:iq>",
        );
        assert_eq!(Kind::of(&element), Some(Kind::Iq));
        assert_eq!(
            bytes,
            "<c:iq from='bot.example' to='peer.example' xmlns:c='jabber:server' xmlns:p='urn:p'><p:q/></c:iq>"
        );
        let (_, bytes) = relayed("xmlns:p='urn:p'", "<iq from='a' to='b'><p:q/></iq>");
        assert_eq!(bytes, "<iq from='a' to='b' xmlns:p='urn:p'><p:q/></iq>");
    }

    #[test]
    fn an_element_of_another_stream_is_no_stanza_of_a_component() {
        for namespace in ["jabber:server", "jabber:client", "urn:other"] {
            let (element, _) = relayed("", &format!("<message xmlns='{namespace}' to='b'/>"));
            assert_eq!(Kind::of(&element), None, "{namespace}");
        }
    }

    #[test]
    fn a_stanza_of_any_depth_is_rewritten() {
        let deep = format!(
            "<iq xmlns='jabber:component:accept' from='a' to='b'>{}{}</iq>",
            "<x>".repeat(60),
            "</x>".repeat(60)
        );
        let (element, bytes) = relayed("", &deep);
        assert_eq!(Kind::of(&element), Some(Kind::Iq));
        assert_eq!(bytes, deep.replace("jabber:component:accept", "jabber:server"));
    }
}
