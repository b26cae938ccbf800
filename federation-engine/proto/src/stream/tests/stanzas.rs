//! Which stanzas a stream may carry: RFC 6120 §4.3.5, §4.8.4, §8.1.

use super::*;

fn refused(stanza: &str, refusal: Refusal, condition: &str) {
    let world = standards();
    let mut side = Receiving::authenticated(&world);
    let written = side.send(stanza, &world);
    assert_eq!(side.refusals(), [refusal], "{stanza}");
    assert_eq!(side.delivered(), 0, "{stanza}");
    assert_stream_error(&side, &written, condition);
}

#[test]
fn stanzas_of_a_authenticated_pair_are_delivered_as_they_came() {
    let world = standards();
    let mut side = Receiving::authenticated(&world);
    for stanza in [
        "<message from='a@them.example/r' to='b@us.example'><body>x</body></message>",
        "<presence from='them.example' to='us.example'/>",
        "<iq from='A@THEM.example.' to='b@Us.Example/r/s@t' type='get' id='1'><x xmlns='y'/></iq>",
        "<n:message xmlns:n='jabber:server' from='them.example' to='us.example'/>",
    ] {
        assert_eq!(side.send(stanza, &world), "", "{stanza}");
        assert!(matches!(side.actions.last(), Some(Action::Deliver(element, _))
            if element.bytes().as_ref() == stanza.as_bytes()));
    }
}

#[test]
fn rfc6120_4_3_5_a_stanza_before_authentication_is_not_authorized() {
    let world = standards();
    for mut side in [Receiving::opened(&world).0, {
        let mut side = Receiving::new();
        side.send(&header("them.example", "us.example"), &world);
        side
    }] {
        let written = side.send("<message from='a@them.example' to='b@us.example'/>", &world);
        assert_eq!(side.refusals(), [Refusal::NotAuthorized]);
        assert_stream_error(&side, &written, "not-authorized");
    }
}

#[test]
fn rfc6120_8_1_missing_or_malformed_addresses_are_improper() {
    for stanza in [
        "<message to='b@us.example'/>",
        "<message from='a@them.example'/>",
        "<message from='' to='b@us.example'/>",
        "<message from='a@them.example' to=''/>",
        "<message from='a@them.example' to='b@'/>",
        "<message from='a@them.example' to='@us.example'/>",
        "<message from='a@them.example/' to='b@us.example'/>",
        "<message from='a@192.0.2.1' to='b@us.example'/>",
    ] {
        refused(stanza, Refusal::ImproperAddressing, "improper-addressing");
    }
}

#[test]
fn rfc6120_8_1_2_2_a_from_that_is_not_authenticated_is_invalid() {
    for from in [
        "a@evil.example",
        "a@sub.them.example",
        "example",
        "them.example@evil.example",
        "evil.example/them.example",
        "a@th\u{435}m.example",
        "a@them.example.evil.example",
        "us.example",
    ] {
        let stanza = format!("<message from='{from}' to='b@us.example'/>");
        refused(&stanza, Refusal::InvalidFrom, "invalid-from");
    }
}

#[test]
fn rfc6120_10_4_nothing_is_relayed_to_a_domain_that_is_not_served() {
    for to in ["b@evil.example", "b@them.example", "b@sub.us.example", "us.example@evil.example"] {
        let stanza = format!("<message from='a@them.example' to='{to}'/>");
        refused(&stanza, Refusal::HostUnknown, "host-unknown");
    }
}

#[test]
fn authority_is_for_the_exact_pair() {
    let stanza = "<message from='a@them.example' to='room@chat.us.example'/>";
    refused(stanza, Refusal::InvalidFrom, "invalid-from");
}

#[test]
fn rfc6120_4_8_4_elements_of_other_namespaces_are_never_routed() {
    for element in [
        "<message xmlns='jabber:client' from='a@them.example' to='b@us.example'/>",
        "<message xmlns='' from='a@them.example' to='b@us.example'/>",
        "<stream:features/>",
        "<stream:stream from='a@them.example' to='b@us.example'/>",
        "<query from='a@them.example' to='b@us.example'/>",
    ] {
        refused(element, Refusal::UnsupportedStanzaType, "unsupported-stanza-type");
    }
}

#[test]
fn rfc6120_4_8_4_extensions_of_the_stream_that_are_not_known_are_ignored() {
    let world = standards();
    let elements = [
        // ejabberd 24.10 sends the feature instead of the request (XEP-0288 §2.2).
        "<bidi xmlns='urn:xmpp:features:bidi'/>",
        "<dialback xmlns='urn:xmpp:features:dialback'/>",
        "<limits xmlns='urn:xmpp:stream-limits:0'/>",
        "<n:message xmlns:n='http://x/' from='a@them.example' to='b@us.example'/>",
        "<thing xmlns='urn:example:nothing'/>",
    ];
    let mut side = Receiving::authenticated(&world);
    for element in elements {
        assert_eq!(side.send(element, &world), "", "{element}");
        let stanza = "<message from='a@them.example' to='b@us.example'/>";
        assert_eq!(side.send(stanza, &world), "", "the stream goes on after {element}");
    }
}

#[test]
fn rfc6120_13_12_an_element_above_the_limit_that_cannot_be_answered_ends_the_stream() {
    let large = "x".repeat(Bounds::AUTHENTICATED.element_bytes);
    for start in [
        "<message from='a@evil.example' to='b@us.example'>",
        "<message xmlns='jabber:client' from='a@them.example' to='b@us.example'>",
        "<a xmlns='urn:xmpp:sm:3' h='0'>",
    ] {
        let end = format!("</{}>", &start[1..start.find(' ').unwrap()]);
        refused(&format!("{start}{large}{end}"), Refusal::TooLarge, "policy-violation");
    }
}

#[test]
fn authorize_needs_no_copy_of_a_canonical_stanza() {
    let world = standards();
    let side = Receiving::authenticated(&world);
    let mut scanner = Scanner::new(Bounds::AUTHENTICATED);
    let stanza = "<message from='a@them.example' to='b@us.example'/>";
    let mut buf =
        BytesMut::from(format!("{}{stanza}", header("them.example", "us.example")).as_str());
    scanner.next(&mut buf).unwrap();
    let Ok(Some(crate::xml::Item::Element(element))) = scanner.next(&mut buf) else { panic!() };
    assert_eq!(side.machine.authorize(&element), Ok(&pair("them.example", "us.example")));
}

#[test]
fn rfc6120_11_after_authentication_xml_errors_end_the_stream_with_their_condition() {
    for (input, condition) in [
        ("<message><!-- x --></message>", "restricted-xml"),
        ("<message><x></message>", "not-well-formed"),
        ("text", "not-well-formed"),
    ] {
        let world = standards();
        let mut side = Receiving::authenticated(&world);
        let written = side.send(input, &world);
        assert!(!written.contains("<?xml"), "{written}");
        assert_stream_error(&side, &written, condition);
    }
    let world = standards();
    let mut side = Receiving::authenticated(&world);
    let written = side.send(&format!("<message>{}", "x".repeat(600_000)), &world);
    assert_stream_error(&side, &written, "policy-violation");
}
