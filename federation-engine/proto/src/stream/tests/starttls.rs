//! RFC 6120 §5, RFC 7590.

use super::*;

#[test]
fn rfc6120_5_4_3_1_the_certificate_is_chosen_by_the_to_of_the_header() {
    let world = standards();
    let mut side = Receiving::new();
    side.send(&header("them.example", "chat.us.example"), &world);
    assert_eq!(side.send(STARTTLS, &world), PROCEED);
    assert!(matches!(side.actions.last(), Some(Action::StartTls { certificate_for })
        if certificate_for.as_str() == "chat.us.example"));
}

#[test]
fn rfc6120_5_4_3_3_what_is_pipelined_after_starttls_is_never_read() {
    let world = standards();
    let mut side = Receiving::new();
    side.send(&header("them.example", "us.example"), &world);
    let written = side.send(&format!("{STARTTLS}{}", auth("=")), &world);
    assert_eq!(written, PROCEED);
    assert!(side.closed());
    assert!(side.authorized().is_empty());
}

#[test]
fn rfc6120_5_4_3_3_after_tls_features_have_no_starttls() {
    let world = standards();
    let mut side = Receiving::new();
    side.send(&header("them.example", "us.example"), &world);
    side.send(STARTTLS, &world);
    side.tls();
    let written = side.send(&header("them.example", "us.example"), &world);
    assert!(written.contains("EXTERNAL") && !written.contains("starttls"), "{written}");
}

#[test]
fn rfc6120_4_3_6_the_names_of_the_stream_do_not_change_under_way() {
    let world = standards();
    for (from, to, condition) in [
        ("other.example", "us.example", "invalid-from"),
        ("them.example", "chat.us.example", "policy-violation"),
    ] {
        let mut side = Receiving::new();
        side.send(&header("them.example", "us.example"), &world);
        side.send(STARTTLS, &world);
        side.tls();
        let written = side.send(&header(from, to), &world);
        assert_stream_error(&side, &written, condition);
    }
    let (mut side, _) = Receiving::opened(&world);
    side.send(&auth("="), &world);
    let written = side.send(&header("other.example", "us.example"), &world);
    assert_stream_error(&side, &written, "invalid-from");
    assert!(side.authorized().is_empty());
}

#[test]
fn rfc6120_5_4_2_2_starttls_that_was_not_offered_fails_and_ends_the_stream() {
    let failure = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>";
    let world = standards();
    let (mut inside_tls, _) = Receiving::opened(&world);
    assert_eq!(inside_tls.send(STARTTLS, &world), failure);
    assert!(inside_tls.closed());
    let world = World::new(Profile::LegacyDialback);
    let mut disabled = Receiving::new();
    disabled.send(&header("them.example", "us.example"), &world);
    assert_eq!(disabled.send(STARTTLS, &world), failure);
    assert!(disabled.closed());
}

#[test]
fn rfc6120_5_4_2_a_proceed_that_nobody_asked_for_ends_the_stream() {
    let world = standards();
    let mut side = Receiving::new();
    side.send(&header("them.example", "us.example"), &world);
    let written = side.send(PROCEED, &world);
    assert_stream_error(&side, &written, "unsupported-stanza-type");
}

#[test]
fn xep0368_3_starttls_is_never_offered_inside_direct_tls() {
    let written =
        Receiving::direct_tls().send(&header_with("to='us.example' version='1.0'"), &standards());
    assert!(written.contains("<stream:features>") && !written.contains("starttls"), "{written}");
}

#[test]
fn tls_required_and_a_peer_from_before_1_0_is_a_policy_violation() {
    let mut side = Receiving::new();
    let hello = header_with("from='them.example' to='us.example'");
    let written = side.send(&hello, &standards());
    assert_stream_error(&side, &written, "policy-violation");
}

#[test]
fn dialback_in_the_clear_is_refused_where_tls_is_required() {
    let world = standards();
    let mut side = Receiving::new();
    side.send(&header("them.example", "us.example"), &world);
    let written = side.send(&result("them.example", "us.example", "key"), &world);
    assert_dialback_error(&written, "policy-violation");
    assert!(!side.closed());
    // A peer from before 1.0 that omitted its name has no other option: the stream closes as well.
    let mut side = Receiving::new();
    side.send(&header_with("to='us.example'"), &world);
    let written = side.send(&result("them.example", "us.example", "key"), &world);
    assert_dialback_error(&written, "policy-violation");
    assert_stream_error(&side, &written, "policy-violation");
}
