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
    // The output is accepted by the same rules, without the prefixes of this header.
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
        Some("de-CH"),
        "<presence from='them.example' to='us.example'  xml:lang='de-CH'/>",
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
    assert!(bytes.ends_with(b" xmlns:q=\"urn:a&amp;'b\" xmlns:s='jabber:server'/>"));
}

#[test]
fn what_a_stanza_inherits_adds_a_bounded_number_of_bytes() {
    const MOST: usize = 1_024 + 100;
    let stanza = |name: &str| format!("<message from='them.example' to='us.example' {name}:a=''/>");
    for unit in ["x", "&#38;", "&#39;", "&#60;", "\u{E9}"] {
        for count in [1, 10, 100, 150, 160, 1_000, 1_400] {
            let header = format!("xmlns:q='urn:{}'", unit.repeat(count));
            let input = format!(
                "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
                 {header}>{}",
                stanza("q")
            );
            let mut scanner = Scanner::new(Bounds::AUTHENTICATED);
            let mut buf = BytesMut::from(input.as_str());
            scanner.next(&mut buf).unwrap();
            match scanner.next(&mut buf) {
                Ok(Some(Item::Element(element))) => {
                    let bytes = relayed(&element, Some(&"x".repeat(60_000)));
                    assert!(bytes.len() <= stanza("q").len() + MOST, "{count} of {unit}");
                }
                Ok(other) => panic!("{other:?}"),
                Err(error) => assert!(count >= 100 && error.to_string().contains("inherits")),
            }
        }
    }
    // Together they count as well.
    let all = |one: fn(usize) -> String| (0..29).map(one).collect::<Vec<_>>().concat();
    let header = all(|n| format!(" xmlns:q{n}='urn:{}'", "x".repeat(40)));
    let used = all(|n| format!(" q{n}:a=''"));
    let input = format!(
        "<s:stream xmlns='jabber:server' xmlns:s='http://etherx.jabber.org/streams'{header}><a{used}/>"
    );
    let mut scanner = Scanner::new(Bounds::AUTHENTICATED);
    let mut buf = BytesMut::from(input.as_str());
    scanner.next(&mut buf).unwrap();
    assert!(scanner.next(&mut buf).is_err());
}

#[test]
fn a_language_that_is_no_language_tag_is_not_added() {
    let stanza = "<message from='them.example' to='us.example'/>";
    for lang in
        ["en_US", "C.UTF-8", "", "de'x", "de-", "-de", "d", "\u{E9}", "xx-toolongpart1", "x"]
    {
        assert_relayed(stanza, Some(lang), stanza);
    }
    for lang in ["de", "de-CH-1996", "zh-Hant-TW", "x-klingon", "en-a-bbb-x-a"] {
        let expected = stanza.replace("/>", &format!(" xml:lang='{lang}'/>"));
        assert_relayed(stanza, Some(lang), &expected);
    }
}

#[test]
fn rfc7622_3_2_the_domains_of_the_addresses_are_spelt_canonically() {
    assert_relayed(
        "<message to=\"b@Us.Example./r'&amp;/\" x='1' from='THEM.example'>y</message>",
        None,
        "<message to=\"b@us.example/r'&amp;/\" x='1' from='them.example'>y</message>",
    );
    // Reading turned the line feed into a space already (XML 1.0 §3.3.3); it does not come back.
    assert_relayed(
        "<iq from='a@THEM.example/x\ny' to='us.example'/>",
        None,
        "<iq from='a@them.example/x y' to='us.example'/>",
    );
}
