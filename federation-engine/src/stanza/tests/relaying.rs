use super::*;
use crate::Domain;
use crate::pair::Pair;
use crate::stanza::relay::{StreamContext, outgoing};
use crate::xml::Namespace;

fn relayed(stanza: &Element, lang: Option<&str>) -> bytes::Bytes {
    let pair = Pair {
        from: Domain::parse("them.example").unwrap(),
        to: Domain::parse("us.example").unwrap(),
    };
    outgoing(stanza, &StreamContext { pair: &pair, lang, outgoing_lang: Some("en") })
}

#[track_caller]
fn assert_relayed(stanza: &str, lang: Option<&str>, expected: &str) {
    let bytes = relayed(&element(stanza), lang);
    let text = std::str::from_utf8(&bytes).unwrap();
    assert_eq!(text, expected);
    // What goes out is accepted by the same rules, without the prefixes of this header.
    let again = element_of("", text);
    assert!(again.is_self_contained(), "{text}");
}

#[test]
fn a_stanza_that_needs_no_change_is_relayed_as_the_same_memory() {
    for (stanza, lang) in [
        ("<message from='a@them.example/r' to='b@us.example'><body>&amp; é</body></message>", None),
        ("<presence from=\"them.example\"\n to='us.example' />", Some("en")),
        ("<iq xml:lang='de' from='them.example' to='us.example'/>", Some("fr")),
        ("<message xmlns='jabber:server' from='them.example' to='us.example'/>", Some("")),
        ("<m:message xmlns:m='jabber:server' from='them.example' to='us.example'/>", None),
    ] {
        let element = element(stanza);
        let bytes = relayed(&element, lang);
        assert_eq!(bytes.as_ptr(), element.bytes().as_ptr(), "{stanza}");
        assert_eq!(bytes.len(), stanza.len());
    }
}

#[test]
fn rfc6120_4_7_4_the_language_of_the_stream_is_added_where_the_stanza_has_none() {
    assert_relayed(
        "<message from='them.example' to='us.example'><body xml:lang='it'>x</body></message>",
        Some("de"),
        "<message from='them.example' to='us.example' xml:lang='de'><body xml:lang='it'>x</body></message>",
    );
    assert_relayed(
        "<presence from='them.example' to='us.example' />",
        Some("de'x"),
        "<presence from='them.example' to='us.example'  xml:lang='de&apos;x'/>",
    );
}

#[test]
fn rfc6120_4_8_5_prefixes_of_the_header_are_declared_again() {
    assert_relayed(
        "<message from='them.example' to='us.example'><db:x><db:y/></db:x></message>",
        None,
        "<message from='them.example' to='us.example' xmlns:db='jabber:server:dialback'>\
         <db:x><db:y/></db:x></message>",
    );
    let odd = element_of(
        "xmlns:s='jabber:server' xmlns:q='urn:a&amp;&apos;b'",
        "<s:message from='them.example' to='us.example' q:a=''/>",
    );
    let bytes = relayed(&odd, None);
    let again = element_of("", std::str::from_utf8(&bytes).unwrap());
    assert!(again.is(Namespace::Server, "message") && again.is_self_contained());
    assert!(bytes.ends_with(b" xmlns:q='urn:a&amp;&apos;b' xmlns:s='jabber:server'/>"));
}

#[test]
fn rfc7622_3_2_the_domains_of_the_addresses_are_spelt_canonically() {
    assert_relayed(
        "<message to=\"b@Us.Example./r'&amp;/\" x='1' from='THEM.example'>y</message>",
        None,
        "<message to=\"b@us.example/r&apos;&amp;/\" x='1' from='them.example'>y</message>",
    );
    // Reading turned the line feed into a space already (XML 1.0 §3.3.3); it does not come back.
    assert_relayed(
        "<iq from='a@THEM.example/x\ny' to='us.example'/>",
        None,
        "<iq from='a@them.example/x y' to='us.example'/>",
    );
}
