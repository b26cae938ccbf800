//! SASL EXTERNAL as receiving entity: RFC 6120 §6, XEP-0178 §3.

use super::*;
use crate::stream::Authentication;

const INVALID_AUTHZID: &str =
    "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><invalid-authzid/></failure>";

#[test]
fn rfc6120_6_3_4_external_is_offered_only_to_whom_it_will_succeed() {
    let offers = |world: &World| {
        Receiving::direct_tls()
            .send(&header("them.example", "us.example"), world)
            .contains("EXTERNAL")
    };
    assert!(offers(&World::trusting(Profile::Standards)));
    assert!(!offers(&World::new(Profile::Standards)));
    assert!(!offers(&with(Profile::Standards, |rules| rules.external_inbound = false)));
    assert!(!offers(&with(Profile::Standards, |rules| rules.dialback = Dialback::Required)));
    assert!(!offers(&with(Profile::Standards, |rules| rules.verification = Verification::None)));
}

#[test]
fn rfc6120_6_4_6_success_restarts_the_stream_and_authorises_after_features() {
    let world = standards();
    let (mut side, _) = Receiving::opened(&world);
    let written = side.send(&auth("="), &world);
    assert_eq!(written, "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
    assert!(side.authorized().is_empty());
    let written = side.send(&header("them.example", "us.example"), &world);
    assert!(written.contains("<stream:features>") && !written.contains("EXTERNAL"), "{written}");
    assert!(matches!(side.actions.last(),
        Some(Action::Authorized { pair: authenticated, how: Authentication::External })
            if *authenticated == pair("them.example", "us.example")));
    assert!(side.actions.iter().any(|action| matches!(action, Action::Bounds(_))));
    assert_eq!(side.machine.deadline(), None);
}

#[test]
fn rfc6120_6_3_8_the_authorization_identity_is_empty_or_the_domain_of_the_header() {
    let world = standards();
    // "=", nothing, "them.example", "THEM.example."
    for content in ["=", "", "dGhlbS5leGFtcGxl", "VEhFTS5leGFtcGxlLg=="] {
        let (mut side, _) = Receiving::opened(&world);
        let written = side.send(&auth(content), &world);
        assert!(written.starts_with("<success"), "{content}: {written}");
    }
    // "evil.example", "u@them.example", invalid UTF-8
    for content in ["ZXZpbC5leGFtcGxl", "dUB0aGVtLmV4YW1wbGU=", "//4="] {
        let (mut side, _) = Receiving::opened(&world);
        assert_eq!(side.send(&auth(content), &world), INVALID_AUTHZID, "{content}");
        assert!(side.authorized().is_empty() && !side.closed());
    }
}

#[test]
fn rfc6120_6_3_5_base64_is_strict() {
    let world = standards();
    for content in
        ["dGhlbS5leGFtcGxl\n", " dGhlbS5leGFtcGxl", "dGhlbS5leGFtcGx", "VEhFTS5leGFtcGxlLh==", "=="]
    {
        let (mut side, _) = Receiving::opened(&world);
        let written = side.send(&auth(content), &world);
        assert!(written.contains("<incorrect-encoding/>"), "{content:?}: {written}");
    }
}

#[test]
fn rfc6120_6_5_other_mechanisms_and_elements_fail() {
    let world = standards();
    let sasl = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'";
    for (input, condition) in [
        (format!("<auth {sasl} mechanism='PLAIN'>=</auth>"), "invalid-mechanism"),
        (format!("<auth {sasl}>=</auth>"), "invalid-mechanism"),
        (format!("<abort {sasl}/>"), "aborted"),
        (format!("<response {sasl}>=</response>"), "malformed-request"),
    ] {
        let (mut side, _) = Receiving::opened(&world);
        let written = side.send(&input, &world);
        assert!(written.contains(&format!("<{condition}/>")), "{input}: {written}");
    }
    // Not offered: unencrypted, and if the certificate authenticates nothing.
    let mut clear = Receiving::new();
    clear.send(&header("them.example", "us.example"), &world);
    assert!(clear.send(&auth("="), &world).contains("<invalid-mechanism/>"));
    let untrusting = World::new(Profile::Standards);
    let (mut side, _) = Receiving::opened(&untrusting);
    assert!(side.send(&auth("="), &untrusting).contains("<invalid-mechanism/>"));
}

#[test]
fn rfc6120_6_4_5_after_three_failures_the_stream_is_closed() {
    let world = standards();
    let (mut side, _) = Receiving::opened(&world);
    for _ in 0..2 {
        assert_eq!(side.send(&auth("ZXZpbC5leGFtcGxl"), &world), INVALID_AUTHZID);
    }
    let written = side.send(&auth("ZXZpbC5leGFtcGxl"), &world);
    assert_stream_error(&side, &written, "policy-violation");
}

#[test]
fn xep0178_3_after_a_failure_dialback_may_follow_on_the_same_stream() {
    let world = asking();
    let (mut side, _) = Receiving::opened(&world);
    side.send(&auth("ZXZpbC5leGFtcGxl"), &world);
    side.send(&result("them.example", "us.example", "key"), &world);
    assert!(matches!(side.actions.last(), Some(Action::Verify { .. })));
}

#[test]
fn rfc6120_6_4_5_a_certificate_that_must_prove_and_does_not_is_refused_at_once_with_the_reason() {
    let world = World::new(Profile::Strict);
    let mut side = Receiving::direct_tls();
    let written = side.send(&header("them.example", "us.example"), &world);
    assert!(written.contains("the certificate is self-signed"), "{written}");
    assert_stream_error(&side, &written, "policy-violation");
}

#[test]
fn authentication_is_done_once() {
    let world = standards();
    let mut side = Receiving::authenticated(&world);
    let written = side.send(&auth("="), &world);
    assert_stream_error(&side, &written, "policy-violation");
}

#[test]
fn rfc6120_4_7_1_a_header_without_from_after_tls_gets_no_external() {
    let world = standards();
    let mut side = Receiving::direct_tls();
    let written = side.send(&header_with("to='us.example' version='1.0'"), &world);
    assert!(!written.contains("EXTERNAL") && written.contains("<dialback"), "{written}");
}
