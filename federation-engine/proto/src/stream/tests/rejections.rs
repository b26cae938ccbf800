//! The report about a refused peer: the claimed domain, the addressed domain, the stable word and the true cause.

use crds::xmpp::{StanzaCondition, StreamCondition};

use super::*;
use crate::dialback::KeyVerdict;
use crate::stream::Rejection;
use crate::stream::error::StreamError;

fn rejections(side: &Receiving) -> Vec<Rejection> {
    let rejections = side.actions.iter().filter_map(|action| match action {
        Action::Rejected(rejection) => Some(rejection.clone()),
        _ => None,
    });
    rejections.collect()
}

/// The one rejection; `ends`: the stream closes with an error.
fn only(side: &Receiving, from: Option<&str>, to: Option<&str>, ends: bool) -> (String, String) {
    let all = rejections(side);
    let [rejection] = &*all else { panic!("{all:?}") };
    assert_eq!((&rejection.from, &rejection.to), (&from.map(domain), &to.map(domain)));
    assert_eq!(rejection.ends, ends);
    (rejection.reason.to_string(), rejection.text.clone())
}

const THEM: Option<&str> = Some("them.example");
const US: Option<&str> = Some("us.example");

#[test]
fn a_certificate_that_proves_nothing_is_the_reason_of_the_refusal() {
    let world = World::new(Profile::Strict);
    let mut side = Receiving::direct_tls();
    side.send(&header("them.example", "us.example"), &world);
    let (reason, text) = only(&side, THEM, US, true);
    assert_eq!(reason, "CertificateSelfSigned");
    assert_eq!(
        text,
        "the certificate does not authenticate them.example: the certificate is self-signed"
    );
}

#[test]
fn a_domain_that_is_not_served_is_named_in_the_refusal() {
    let mut side = Receiving::new();
    side.send(&header("them.example", "nowhere.example"), &standards());
    assert_eq!(only(&side, THEM, Some("nowhere.example"), true).0, "HostUnknown");
    let mut side = Receiving::new();
    side.send(&header_with("version='1.0'"), &standards());
    assert_eq!(only(&side, None, None, true).0, "HostUnknown");
}

#[test]
fn policy_and_missing_tls_are_distinguished() {
    let mut world = standards();
    world.denied.push(pair("them.example", "us.example"));
    let mut side = Receiving::new();
    side.send(&header("them.example", "us.example"), &world);
    assert_eq!(only(&side, THEM, US, true).0, "PolicyDenied");

    let mut side = Receiving::new();
    side.send(&header_with("from='them.example' to='us.example'"), &standards());
    assert_eq!(only(&side, THEM, US, true).0, "TLSRequired");
    // Named by its request only.
    let mut side = Receiving::new();
    side.send(&header_with("to='us.example'"), &standards());
    side.send(&result("them.example", "us.example", "key"), &standards());
    assert_eq!(only(&side, THEM, US, true).0, "TLSRequired");
    // It may retry with TLS on the same stream.
    let mut side = Receiving::new();
    side.send(&header("them.example", "us.example"), &standards());
    side.send(&result("them.example", "us.example", "key"), &standards());
    assert_eq!(only(&side, THEM, US, false).0, "TLSRequired");
}

#[test]
fn dialback_that_fails_is_notified_with_what_the_authoritative_server_said() {
    let disabled = with(Profile::Standards, |rules| rules.dialback = Dialback::Disabled);
    let (mut side, _) =
        Receiving::opened(&World { authenticated: vec![domain("them.example")], ..disabled });
    let disabled = with(Profile::Standards, |rules| rules.dialback = Dialback::Disabled);
    side.send(&result("them.example", "us.example", "key"), &disabled);
    assert_eq!(only(&side, THEM, US, false).0, "DialbackDisabled");

    for (answer, reason, said) in [
        (KeyVerdict::Invalid, "DialbackInvalid", "reports that the dialback key is invalid"),
        (
            KeyVerdict::error(
                StanzaCondition::RemoteConnectionFailed,
                "198.18.0.9:5269: connection refused",
            ),
            "DialbackError",
            "198.18.0.9:5269: connection refused",
        ),
        (KeyVerdict::error(StanzaCondition::ItemNotFound, ""), "DialbackError", "item-not-found"),
    ] {
        let world = World::new(Profile::Standards);
        let (mut side, _) = Receiving::opened(&world);
        side.send(&result("them.example", "us.example", "key"), &world);
        side.verified(answer);
        let (label, text) = only(&side, THEM, US, false);
        assert!(label == reason && text.contains(said), "{label} {text}");
    }
    let world = World::new(Profile::Standards);
    let (mut side, _) = Receiving::opened(&world);
    side.send(&result("them.example", "us.example", "key"), &world);
    side.verified(KeyVerdict::error(
        StanzaCondition::ItemNotFound,
        "DNS has no SRV or address records",
    ));
    // The peer does nothing else; the first cause remains the cause.
    side.pass(LIMITS.negotiation, &world);
    let causes: Vec<_> = rejections(&side).into_iter().map(|one| (one.text, one.ends)).collect();
    let cause = |ends| ("DNS has no SRV or address records".to_owned(), ends);
    assert_eq!(causes, [cause(false), cause(true)]);

    let (mut side, _) = Receiving::opened(&world);
    side.send(&result("them.example", "us.example", "key"), &world);
    side.verified(KeyVerdict::Valid);
    assert_eq!(rejections(&side), []);
}

#[test]
fn the_setting_that_refuses_a_peer_is_named_to_our_people_alone() {
    let never = |rules: &mut PeerRules| rules.dialback = Dialback::Disabled;
    let neither = |rules: &mut PeerRules| {
        rules.dialback = Dialback::Disabled;
        rules.external_inbound = false;
    };
    let unauthenticated = |world: World| World { authenticated: Vec::new(), ..world };
    let versioned = header("them.example", "us.example");
    let old = header_with("from='them.example' to='us.example'");
    let key = format!("{versioned}{}", result("them.example", "us.example", "key"));
    let dialback = "`peers[].authentication.dialback` is Disabled (from its entry of `peers` or from `peerDefaults`)";
    let external = "`peers[].authentication.external.inbound` is false (from its entry of `peers` or from `peerDefaults`)";
    for (world, sent, settings, reported) in [
        (
            with(Profile::Standards, never),
            &key,
            &[dialback][..],
            "must authenticate by SASL EXTERNAL",
        ),
        (
            unauthenticated(with(Profile::Standards, never)),
            &versioned,
            &[dialback],
            "the certificate is self-signed",
        ),
        (
            with(Profile::Standards, neither),
            &versioned,
            &[external, dialback],
            "no authentication method",
        ),
        (
            with(Profile::Standards, never),
            &old,
            &[dialback],
            "SASL EXTERNAL needs a stream of version 1.0",
        ),
    ] {
        let mut side = Receiving::direct_tls();
        let written = side.send(sent, &world);
        let all = rejections(&side);
        let [rejection] = &*all else { panic!("{all:?}") };
        for setting in settings {
            assert!(rejection.text.contains(setting), "{setting}: {}", rejection.text);
        }
        assert!(written.contains(reported), "{reported}: {written}");
        for policy in ["`", "isabled", " off", "not accepted", "authentication."] {
            assert!(!written.contains(policy), "{policy}: {written}");
        }
    }
}

#[test]
fn a_stream_that_was_of_use_or_ends_for_our_reasons_was_not_refused() {
    let world = standards();
    let mut side = Receiving::new();
    side.send(&header("them.example", "us.example"), &world);
    side.pass(LIMITS.negotiation, &world);
    assert_eq!(only(&side, THEM, US, true).0, "NegotiationTimedOut");
    // Opened for a db:verify request, answered, and left open.
    let (mut side, _) = Receiving::opened(&World::new(Profile::Standards));
    side.send("<db:verify from='them.example' to='us.example' id='i'>key</db:verify>", &world);
    side.pass(LIMITS.negotiation, &world);
    assert!(side.closed());
    assert_eq!(rejections(&side), []);

    let (mut side, _) = Receiving::opened(&World::new(Profile::Standards));
    let mut out = Out::default();
    side.machine.fail(&StreamError::new(StreamCondition::SystemShutdown, ""), &world, &mut out);
    side.take(out);
    let mut authenticated = Receiving::authenticated(&world);
    authenticated.send("<message from='evil.example' to='us.example'/>", &world);
    assert!(side.closed() && authenticated.closed());
    assert_eq!([rejections(&side), rejections(&authenticated)], [[], []]);
}
