//! Headers and features: RFC 6120 §4.

use super::*;

#[test]
fn rfc6120_4_9_1_2_an_error_in_the_header_comes_after_a_response_header() {
    for input in [
        "<stream:stream>",
        "<!DOCTYPE x>",
        "GET / HTTP/1.1\r\n",
        "<stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:client' to='us.example'>",
    ] {
        let mut side = Receiving::new();
        let written = side.send(input, &standards());
        assert!(written.starts_with("<?xml version='1.0'?><stream:stream xmlns='jabber:server'"));
        assert_eq!(written.matches("<stream:stream ").count(), 1, "{written}");
        assert!(written.ends_with("</stream:error></stream:stream>"), "{written}");
        assert!(side.closed());
    }
}

#[test]
fn rfc6120_4_7_3_the_initial_id_is_ignored_and_ours_is_new_after_every_restart() {
    let world = standards();
    let mut side = Receiving::new();
    let hello = header_with("from='them.example' to='us.example' id='' version='1.0'");
    let first = id_of(&side.send(&hello, &world));
    side.send(STARTTLS, &world);
    side.tls();
    let second = id_of(&side.send(&hello, &world));
    side.send(&auth("="), &world);
    let third = id_of(&side.send(&hello, &world));
    assert_eq!(first.len(), 32);
    assert!(first != second && second != third && first != third);
}

#[test]
fn rfc6120_4_7_1_the_response_header_has_both_addresses_swapped_and_a_language() {
    let mut side = Receiving::new();
    let written = side.send(&header("Them.Example.", "US.example"), &standards());
    for attribute in ["from='us.example'", "to='them.example'", "xml:lang='en'", "version='1.0'"] {
        assert!(written.contains(attribute), "{attribute}: {written}");
    }
    assert!(matches!(&side.actions[0], Action::Opened { from: Some(from), to }
        if from.as_str() == "them.example" && to.as_str() == "us.example"));
}

#[test]
fn rfc6120_4_9_1_3_unknown_to_answers_host_unknown_without_repeating_the_name() {
    for to in ["to='evil.example'", "", "to='-'"] {
        let mut side = Receiving::new();
        let written = side
            .send(&header_with(&format!("from='them.example' {to} version='1.0'")), &standards());
        assert!(written.contains(" from='' "), "{written}");
        assert!(!written.contains("evil.example"), "{written}");
        assert_stream_error(&side, &written, "host-unknown");
    }
}

#[test]
fn rfc3920_4_2_before_version_1_0_dialback_may_say_whom_the_peer_wants() {
    let world = World::new(Profile::LegacyDialback);
    let mut side = Receiving::new();
    let written = side.send(&header_with(""), &world);
    assert!(written.contains(" from='' ") && written.ends_with("xml:lang='en'>"), "{written}");
    assert!(side.actions.is_empty(), "{:?}", side.actions);
    let id = id_of(&written);
    // The header authenticates nothing, whatever follows.
    side.send(&result("them.example", "us.example", "key"), &world);
    assert!(side.authorized().is_empty());
    side.verified(crate::dialback::KeyVerdict::Valid);
    assert_eq!(side.authorized(), [pair("them.example", "us.example")]);
    side.send("<message from='them.example' to='us.example'/>", &world);
    assert_eq!(side.delivered(), 1);
    // Each pair is separate: another local domain makes another pair, and a domain that we do not serve stays refused.
    let written = side.send(&result("them.example", "nowhere.example", "key"), &world);
    assert_dialback_error(&written, "item-not-found");
    // The request about our own key comes over such a stream as well.
    let mut side = Receiving::new();
    side.send(&header_with(""), &world);
    let key = world.dialback_key(&domain("them.example"), &domain("us.example"), &id);
    let key = key.as_str();
    let question =
        format!("<db:verify from='them.example' to='us.example' id='{id}'>{key}</db:verify>");
    let written = side.send(&question, &world);
    assert!(written.contains("type='valid'"), "{written}");
}

#[test]
fn rfc6120_4_7_2_a_header_without_to_gains_nothing() {
    let legacy = World::new(Profile::LegacyDialback);
    // Only before version 1.0, in the clear, with dialback, and only if there is none at all.
    for header in [
        header_with("version='1.0'"),
        header_with("to='-'"),
        header_with("to='nowhere.example'"),
        header_with("").replace("xmlns:db='jabber:server:dialback'", ""),
    ] {
        let mut side = Receiving::new();
        let written = side.send(&header, &legacy);
        assert_stream_error(&side, &written, "host-unknown");
    }
    let mut side = Receiving::direct_tls();
    let written = side.send(&header_with(""), &legacy);
    assert_stream_error(&side, &written, "host-unknown");
    // No stanzas, no STARTTLS, no SASL; and where TLS is required, no dialback.
    for (input, condition) in [
        ("<message from='them.example' to='us.example'/>", "not-authorized"),
        ("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", ""),
    ] {
        let mut side = Receiving::new();
        side.send(&header_with(""), &legacy);
        let written = side.send(input, &legacy);
        assert!(written.contains(condition) && side.closed(), "{written}");
        assert!(!side.actions.iter().any(|action| matches!(action, Action::StartTls { .. })));
    }
    let mut side = Receiving::new();
    side.send(&header_with("from='them.example'"), &legacy);
    assert!(side.send(&auth("="), &legacy).contains("<failure"));
    let mut side = Receiving::new();
    side.send(&header_with(""), &standards());
    let written = side.send(&result("them.example", "us.example", "key"), &standards());
    assert_dialback_error(&written, "policy-violation");
    assert_stream_error(&side, &written, "policy-violation");
    let mut denied = World::new(Profile::LegacyDialback);
    denied.denied.push(pair("them.example", "us.example"));
    let mut side = Receiving::new();
    side.send(&header_with("from='them.example'"), &denied);
    let written = side.send(&result("them.example", "us.example", "key"), &denied);
    assert_dialback_error(&written, "policy-violation");
}

#[test]
fn rfc6120_4_7_5_a_higher_version_is_no_error() {
    for version in ["1.0", "1.1", "2.0", "1.10"] {
        let mut side = Receiving::new();
        let written = side.send(
            &header_with(&format!("from='them.example' to='us.example' version='{version}'")),
            &standards(),
        );
        assert!(written.contains(" version='1.0'>"), "{written}");
        assert!(written.contains("<stream:features>"), "{written}");
    }
    let mut side = Receiving::new();
    let hello = header_with("from='them.example' to='us.example' version='one'");
    let written = side.send(&hello, &standards());
    assert_stream_error(&side, &written, "unsupported-version");
}

#[test]
fn rfc6120_4_7_5_without_a_version_neither_version_nor_features_are_sent() {
    let mut side = Receiving::new();
    let hello = header_with("from='them.example' to='us.example'");
    let written = side.send(&hello, &World::new(Profile::LegacyDialback));
    assert!(!written.contains(" version='1.0'>") && !written.contains("features"), "{written}");
    let written = side
        .send(&result("them.example", "us.example", "key"), &World::new(Profile::LegacyDialback));
    assert_eq!(written, "");
    assert!(matches!(side.actions.last(), Some(Action::Verify { .. })));
}

#[test]
fn rfc6120_4_8_wrong_namespaces_are_named() {
    for (attributes, condition) in [
        (
            "xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'",
            "invalid-namespace",
        ),
        ("xmlns='jabber:server' xmlns:stream='urn:x'", "invalid-namespace"),
        ("xmlns:stream='http://etherx.jabber.org/streams'", "invalid-namespace"),
    ] {
        let mut side = Receiving::new();
        let hello = format!(
            "<stream:stream {attributes} to='us.example' from='them.example' version='1.0'>"
        );
        let written = side.send(&hello, &standards());
        assert_stream_error(&side, &written, condition);
    }
    let mut side = Receiving::new();
    let written = side.send(
        "<stream xmlns='http://etherx.jabber.org/streams' xmlns:s='jabber:server' to='us.example' version='1.0'>",
        &standards(),
    );
    assert_stream_error(&side, &written, "bad-namespace-prefix");
}

#[test]
fn rfc6120_4_8_5_any_prefix_quotes_order_and_declaration_are_accepted() {
    let mut side = Receiving::new();
    let hello = "\n<s:stream version=\"1.0\"\n to = 'us.example' xmlns:x='urn:x' xmlns='jabber:server' \
                 from=\"them.example\" xmlns:s=\"http://etherx.jabber.org/streams\">";
    assert!(side.send(hello, &standards()).contains("<starttls"));
}

#[test]
fn rfc6120_5_3_1_mandatory_starttls_stands_alone() {
    let written = Receiving::new().send(&header("them.example", "us.example"), &standards());
    assert!(written.ends_with(
        "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>\
         </stream:features>"
    ));
}

#[test]
fn features_follow_the_rules_of_the_peer_in_the_clear() {
    let offered = |profile| {
        Receiving::new().send(&header("them.example", "us.example"), &World::trusting(profile))
    };
    let optional = offered(Profile::WebexMessenger);
    assert!(optional.contains("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"));
    assert!(optional.contains("<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>"));
    assert!(!optional.contains("EXTERNAL"));
    let disabled = offered(Profile::LegacyDialback);
    assert!(!disabled.contains("starttls") && disabled.contains("<dialback"));
}

#[test]
fn rfc6120_4_7_1_a_peer_may_hide_its_name_before_tls() {
    let world = standards();
    let mut side = Receiving::new();
    let written = side.send(&header_with("to='us.example' version='1.0'"), &world);
    assert!(written.contains("<starttls"), "{written}");
    side.send(STARTTLS, &world);
    side.tls();
    assert!(side.send(&header("them.example", "us.example"), &world).contains("EXTERNAL"));
}

#[test]
fn a_denied_peer_is_notified_at_its_header() {
    let world = World { denied: vec![pair("them.example", "us.example")], ..standards() };
    let mut side = Receiving::new();
    let written = side.send(&header("them.example", "us.example"), &world);
    assert_stream_error(&side, &written, "policy-violation");
}

#[test]
fn a_peer_that_claims_a_domain_of_ours_is_refused() {
    let mut side = Receiving::new();
    let written = side.send(&header("chat.us.example", "us.example"), &standards());
    assert_stream_error(&side, &written, "invalid-from");
}

#[test]
fn a_from_that_is_no_domain_is_invalid() {
    for from in ["user@them.example", "them.example/r", "192.0.2.1", "a..example"] {
        let mut side = Receiving::new();
        let written = side.send(&header(from, "us.example"), &standards());
        assert_stream_error(&side, &written, "invalid-from");
    }
}

#[test]
fn rfc6120_13_12_negotiation_has_a_deadline_that_white_space_does_not_move() {
    let world = standards();
    let mut side = Receiving::new();
    side.send(&header("them.example", "us.example"), &world);
    let deadline = side.machine.deadline();
    assert_eq!(deadline, Some(side.now + LIMITS.negotiation));
    side.now += Duration::from_secs(20);
    side.send("   \n  ", &world);
    assert_eq!(side.machine.deadline(), deadline);
    assert_eq!(side.pass(Duration::from_secs(9), &world), "");
    let written = side.pass(Duration::from_secs(1), &world);
    assert_stream_error(&side, &written, "connection-timeout");
    assert_eq!(side.machine.deadline(), None);
}
