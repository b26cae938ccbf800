//! The initiating entity: RFC 6120 §4 to §6, RFC 7590 §3.1, XEP-0178 §3, XEP-0220 §2.1.

use crds::word::Word;
use crds::xmpp::SaslCondition;

use super::*;
use crate::reason::NoMethod;
use crate::stream::Authentication;
use crate::stream::redirect::{NotAHost, NotFollowed, OtherHost, Redirect};

pub(super) const OFFER_TLS: &str =
    "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>";
const OFFER_NOTHING: &str = "<stream:features/>";
pub(super) const OFFER_DIALBACK: &str = "<stream:features><dialback xmlns='urn:xmpp:features:dialback'><errors/>\
                              </dialback></stream:features>";
pub(super) const OFFER_BOTH: &str = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
                          <mechanism>PLAIN</mechanism><mechanism>EXTERNAL</mechanism></mechanisms>\
                          <dialback xmlns='urn:xmpp:features:dialback'/></stream:features>";
const SASL_FAILURE: &str = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/>\
                            <text>unsupported certificate purpose</text></failure>";
/// A response header of a peer that does not declare dialback.
const MODERN: &str = "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
                      from='them.example' id='i' version='1.0'>";

pub(super) fn wanted() -> Pair {
    pair("us.example", "them.example")
}

/// Encrypted, before the peer's second header.
pub(super) fn encrypted(world: &World) -> Initiating {
    let mut side = Initiating::new(Initiating::send_purpose());
    side.begin(world);
    assert_eq!(side.send(&format!("{}{OFFER_TLS}", response("s1")), world), STARTTLS);
    side.send(PROCEED, world);
    assert!(
        matches!(side.actions.last(), Some(Action::ConnectTls { server_name, certificate_for })
        if server_name.as_str() == "them.example" && certificate_for.as_str() == "us.example")
    );
    let written = side.tls(world);
    assert!(written.contains("from='us.example' to='them.example'"), "{written}");
    side
}

pub(super) fn established_by_external(world: &World) -> Initiating {
    let mut side = encrypted(world);
    side.send(&format!("{}{OFFER_BOTH}", response("s2")), world);
    side.send("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", world);
    side.send(&format!("{}{OFFER_DIALBACK}", response("s3")), world);
    assert!(side.machine.carries(&wanted()));
    side
}

pub(super) fn established_by_dialback(world: &World) -> Initiating {
    let mut side = encrypted(world);
    side.send(&format!("{}{OFFER_DIALBACK}", response("s2")), world);
    side.send("<db:result from='them.example' to='us.example' type='valid'/>", world);
    assert!(side.machine.carries(&wanted()));
    side
}

#[test]
fn rfc6120_6_external_leads_to_an_authorised_pair_after_the_last_features() {
    let world = standards();
    let mut side = encrypted(&world);
    let written = side.send(&format!("{}{OFFER_BOTH}", response("s2")), &world);
    assert_eq!(written, auth("dXMuZXhhbXBsZQ=="));
    let written = side.send("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", &world);
    assert!(written.starts_with("<?xml version='1.0'?><stream:stream "), "{written}");
    side.send(&response("s3"), &world);
    assert!(side.authorized().is_empty());
    assert_eq!(side.send(OFFER_NOTHING, &world), "");
    assert!(matches!(side.actions.last(),
        Some(Action::Authorized { pair, how: Authentication::External }) if *pair == wanted()));
    assert_eq!(side.machine.deadline(), Some(side.now + LIMITS.silence));
}

#[test]
fn rfc7590_3_1_starttls_is_tried_when_it_is_required_and_not_offered() {
    let world = standards();
    for answer in [
        "<stream:error><unsupported-stanza-type xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
        "</stream:stream>",
        "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>",
    ] {
        let mut side = Initiating::new(Initiating::send_purpose());
        side.begin(&world);
        assert_eq!(side.send(&format!("{}{OFFER_DIALBACK}", response("i")), &world), STARTTLS);
        side.send(answer, &world);
        assert_eq!(side.failure(), Some(&Failure::StartTlsNotOffered), "{answer}");
        assert!(side.closed());
    }
    let mut side = Initiating::new(Initiating::send_purpose());
    side.begin(&world);
    side.send(&format!("{}{OFFER_DIALBACK}", response("i")), &world);
    side.send(PROCEED, &world);
    assert!(matches!(side.actions.last(), Some(Action::ConnectTls { .. })));
}

#[test]
fn nothing_but_starttls_is_ever_sent_in_the_clear_where_tls_is_required() {
    let world = standards();
    for features in [OFFER_NOTHING, OFFER_DIALBACK, OFFER_BOTH, OFFER_TLS] {
        let mut side = Initiating::new(Initiating::send_purpose());
        side.begin(&world);
        assert_eq!(side.send(&format!("{}{features}", response("i")), &world), STARTTLS);
    }
    let mut old = Initiating::new(Initiating::send_purpose());
    old.begin(&world);
    assert_eq!(old.send(&header_with("id='i' from='them.example'"), &world), "</stream:stream>");
    assert_eq!(old.failure(), Some(&Failure::StartTlsNotOffered));
}

#[test]
fn rfc6120_4_9_3_19_a_redirection_counts_on_an_encrypted_stream_only() {
    let see = |host: &str| {
        format!(
            "<stream:error><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>{host}\
             </see-other-host></stream:error></stream:stream>"
        )
    };
    let other = OtherHost::parse("[2001:db8::7]:5270").unwrap();
    let world = standards();
    let mut side = encrypted(&world);
    side.send(&format!("{}{}", response("s2"), see(" [2001:db8::7]:5270 ")), &world);
    assert_eq!(side.failure(), Some(&Failure::SeeOtherHost(Redirect::To(other))));
    assert!(side.closed());

    for (profile, host, reason) in [
        (Profile::Standards, "other.example", NotFollowed::NotEncrypted),
        (Profile::LegacyDialback, "other.example", NotFollowed::NotEncrypted),
        (Profile::Standards, "no host", NotAHost.into()),
    ] {
        let world = World::new(profile);
        let mut side = Initiating::new(Initiating::send_purpose());
        side.begin(&world);
        side.send(&format!("{}{}", response("s1"), see(host)), &world);
        let refused = Redirect::NotFollowed { said: host.to_owned(), reason };
        assert_eq!(side.failure(), Some(&Failure::SeeOtherHost(refused)));
    }
}

#[test]
fn rfc6120_5_4_2_2_a_refusal_of_starttls_is_named() {
    let world = standards();
    let mut side = Initiating::new(Initiating::send_purpose());
    side.begin(&world);
    side.send(&format!("{}{OFFER_TLS}", response("i")), &world);
    side.send("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>", &world);
    assert_eq!(side.failure(), Some(&Failure::StartTlsRefused));
}

#[test]
fn optional_tls_is_used_when_offered_and_missed_when_not() {
    let world = World::new(Profile::WebexMessenger);
    let mut side = Initiating::new(Initiating::send_purpose());
    side.begin(&world);
    assert_eq!(side.send(&format!("{}{OFFER_TLS}", response("i")), &world), STARTTLS);
    let mut side = Initiating::new(Initiating::send_purpose());
    side.begin(&world);
    let written = side.send(&format!("{}{OFFER_DIALBACK}", response("i")), &world);
    assert!(written.starts_with("<db:result from='us.example' to='them.example'>"), "{written}");
}

#[test]
fn tls_that_is_disabled_here_and_required_there_cannot_work() {
    let world = World::new(Profile::LegacyDialback);
    let mut side = Initiating::new(Initiating::send_purpose());
    side.begin(&world);
    // STARTTLS alone is mandatory even without <required/> (RFC 6120 §5.3.1).
    side.send(&format!("{}{OFFER_TLS}", response("i")), &world);
    assert!(matches!(side.failure(), Some(Failure::NoAuthenticationMethod(NoMethod::TlsDisabled))));
}

#[test]
fn rfc6120_4_7_5_a_peer_from_before_1_0_gets_dialback_at_once() {
    let world = World::new(Profile::LegacyDialback);
    let mut side = Initiating::new(Initiating::send_purpose());
    side.begin(&world);
    let written = side.send(&header_with("id='G1' from='them.example'"), &world);
    let key = world.dialback_key(&domain("them.example"), &domain("us.example"), "G1");
    assert_eq!(written, result("us.example", "them.example", key.as_str()));
    side.send("<db:result from='them.example' to='us.example' type='valid'/>", &world);
    assert_eq!(side.authorized(), [wanted()]);
}

#[test]
fn xep0220_2_1_1_the_key_is_made_for_the_id_after_tls() {
    let world = standards();
    let mut side = encrypted(&world);
    let written = side.send(&format!("{}{OFFER_DIALBACK}", response("s2")), &world);
    let key = world.dialback_key(&domain("them.example"), &domain("us.example"), "s2");
    assert_eq!(written, result("us.example", "them.example", key.as_str()));
}

#[test]
fn xep0178_3_a_failed_external_falls_back_to_dialback_on_the_same_stream() {
    let world = standards();
    let mut side = encrypted(&world);
    side.send(&format!("{}{OFFER_BOTH}", response("s2")), &world);
    let written = side.send(SASL_FAILURE, &world);
    let key = world.dialback_key(&domain("them.example"), &domain("us.example"), "s2");
    assert_eq!(written, result("us.example", "them.example", key.as_str()));
    side.send("<db:result from='them.example' to='us.example' type='valid'/>", &world);
    assert_eq!(side.authorized(), [wanted()]);
    assert_eq!(side.failure(), None);
}

#[test]
fn a_rejected_certificate_stays_the_cause_when_nothing_else_works() {
    let rejected = Failure::ExternalRejected {
        condition: SaslCondition::NotAuthorized,
        text: "unsupported certificate purpose".to_owned(),
        forbidden: None,
    };
    let strict = World::trusting(Profile::Strict);
    let mut side = encrypted(&strict);
    side.send(&format!("{}{OFFER_BOTH}{SASL_FAILURE}", response("s2")), &strict);
    let text = said(&side);
    assert!(text.starts_with(&rejected.to_string()), "{text}");
    let world = standards();
    for end in [
        "</stream:stream>",
        "<stream:error><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
        "<db:result from='them.example' to='us.example' type='invalid'/>",
    ] {
        let mut side = encrypted(&world);
        side.send(&format!("{}{OFFER_BOTH}{SASL_FAILURE}{end}", response("s2")), &world);
        assert_eq!(side.failure(), Some(&rejected), "{end}");
    }
}

/// The one failure, as local administrators read it.
fn said(side: &Initiating) -> String {
    side.failure().unwrap().to_string()
}

const CLOSED_OVER_EXTERNAL: &str = "<stream:error>\
    <not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>";

#[test]
fn the_setting_that_forbids_dialback_is_named_to_our_people() {
    let by_profile = World::trusting(Profile::Strict);
    let by_field = with(Profile::Standards, |rules| rules.dialback = Dialback::Disabled);
    for (world, setting) in [
        (by_profile, "`peers[].authentication.dialback` is Disabled (from profile Strict)"),
        (
            by_field,
            "`peers[].authentication.dialback` is Disabled (from its entry of `peers` or from `peerDefaults`)",
        ),
    ] {
        let mut side = encrypted(&world);
        side.send(&format!("{}{OFFER_DIALBACK}", response("s2")), &world);
        let text = said(&side);
        assert!(text.contains("does not offer SASL EXTERNAL") && text.contains(setting), "{text}");
        for refusal in [SASL_FAILURE, CLOSED_OVER_EXTERNAL] {
            let mut side = encrypted(&world);
            side.send(&format!("{}{OFFER_BOTH}{refusal}", response("s2")), &world);
            let text = said(&side);
            assert!(text.starts_with("the peer rejected our certificate"), "{text}");
            assert!(text.contains(setting), "{text}");
        }
    }
}

#[test]
fn the_setting_that_forbids_external_is_named_to_our_people() {
    let off = with(Profile::Standards, |rules| rules.external_outbound = false);
    let by_dialback = with(Profile::Standards, |rules| rules.dialback = Dialback::Required);
    for (world, settings) in [
        (
            off,
            "`peers[].authentication.external.outbound` is false (from its entry of `peers` or from `peerDefaults`)",
        ),
        (
            by_dialback,
            "`peers[].authentication.dialback` is Required (from its entry of `peers` or from `peerDefaults`)",
        ),
        (
            World::new(Profile::CiscoExpressway),
            "`peers[].authentication.external.outbound` is false (from profile CiscoExpressway) and \
             `peers[].authentication.dialback` is Required (from profile CiscoExpressway)",
        ),
    ] {
        let mut side = encrypted(&world);
        let external_alone =
            OFFER_BOTH.replace("<dialback xmlns='urn:xmpp:features:dialback'/>", "");
        side.send(&format!("{MODERN}{external_alone}"), &world);
        let text = said(&side);
        assert!(text.ends_with(", and the peer does not support dialback"), "{text}");
        assert!(text.contains(settings), "{text}");
    }
}

#[test]
fn rfc6120_6_4_5_after_a_peer_that_closed_over_external_the_next_stream_takes_dialback() {
    let world = standards();
    let mut side = encrypted(&world);
    side.send(&format!("{}{OFFER_BOTH}{CLOSED_OVER_EXTERNAL}", response("s2")), &world);
    let rejected = side.failure().unwrap().clone();
    assert_eq!(rejected.word().as_str(), "SASLExternalRejected");
    let next = || {
        let mut side = encrypted(&world);
        side.machine.after_rejection(rejected.clone());
        side
    };
    let mut side = next();
    let written = side.send(&format!("{}{OFFER_BOTH}", response("s3")), &world);
    let key = world.dialback_key(&domain("them.example"), &domain("us.example"), "s3");
    assert!(written.ends_with(&result("us.example", "them.example", key.as_str())), "{written}");
    side.send("<db:result from='them.example' to='us.example' type='valid'/>", &world);
    assert_eq!(side.authorized(), [wanted()]);
    // A peer without dialback is still one that rejected our certificate.
    let mut side = next();
    side.send(&format!("{MODERN}{OFFER_NOTHING}"), &world);
    assert_eq!(side.failure(), Some(&rejected));
}

#[test]
fn a_peer_that_offers_nothing_we_may_use_is_named() {
    for (world, header, features, text) in [
        (
            World::trusting(Profile::Strict),
            response("i"),
            OFFER_DIALBACK,
            "does not offer SASL EXTERNAL",
        ),
        (standards(), MODERN.to_owned(), OFFER_NOTHING, "does not support dialback"),
    ] {
        let mut side = encrypted(&world);
        side.send(&format!("{header}{features}"), &world);
        assert!(said(&side).contains(text), "{:?}", side.failure());
    }
}

#[test]
fn external_is_not_used_where_dialback_is_required() {
    let world = World::new(Profile::CiscoExpressway);
    let mut side = encrypted(&world);
    let written = side.send(&format!("{}{OFFER_BOTH}", response("s2")), &world);
    assert!(written.starts_with("<db:result "), "{written}");
}

#[test]
fn rfc6120_13_7_2_a_certificate_that_must_prove_is_judged_before_anything_is_said() {
    let world = World::new(Profile::Strict);
    let mut side = Initiating::new(Initiating::send_purpose());
    side.begin(&world);
    side.send(&format!("{}{OFFER_TLS}{PROCEED}", response("i")), &world);
    assert_eq!(side.tls(&world), "");
    assert_eq!(side.failure(), Some(&Failure::Certificate(CertificateReason::SelfSigned)));
    assert!(side.closed());
    let now = Instant::now();
    let transport = Transport::DirectTls(PeerChain::default());
    let machine = Outbound::new(Initiating::send_purpose(), transport, LIMITS, now);
    let mut direct = Initiating::over(machine, now);
    assert_eq!(direct.begin(&world), "");
    assert!(matches!(direct.failure(), Some(Failure::Certificate(_))));
}

#[test]
fn xep0368_3_on_direct_tls_an_offer_of_starttls_is_ignored() {
    let world = standards();
    let now = Instant::now();
    let transport = Transport::DirectTls(PeerChain::default());
    let mut side =
        Initiating::over(Outbound::new(Initiating::send_purpose(), transport, LIMITS, now), now);
    side.begin(&world);
    let written = side.send(&format!("{}{OFFER_TLS}", response("i")), &world);
    assert!(written.starts_with("<db:result "), "{written}");
}

#[test]
fn a_denied_domain_is_not_even_greeted() {
    let world = World { denied: vec![wanted()], ..standards() };
    let mut side = Initiating::new(Initiating::send_purpose());
    assert_eq!(side.begin(&world), "");
    assert_eq!(side.failure(), Some(&Failure::BlockedByLocalPolicy));
    assert!(side.closed());
}

#[test]
fn a_peer_that_stops_answering_is_given_up_where_it_stopped() {
    let world = standards();
    let mut silent = Initiating::new(Initiating::send_purpose());
    silent.begin(&world);
    silent.pass(LIMITS.negotiation);
    assert_eq!(
        silent.failure(),
        Some(&Failure::NegotiationTimedOut("waiting for the peer's stream header"))
    );
    let mut lost = Initiating::new(Initiating::send_purpose());
    lost.begin(&world);
    lost.send(&response("i"), &world);
    lost.closed_by_peer();
    assert_eq!(
        lost.failure(),
        Some(&Failure::ConnectionLost("waiting for the peer's stream features"))
    );
    let mut handshake = Initiating::new(Initiating::send_purpose());
    handshake.begin(&world);
    handshake.send(&format!("{}{OFFER_TLS}{PROCEED}", response("i")), &world);
    let mut out = Out::default();
    handshake.machine.on_tls_failure("bad certificate".to_owned(), &mut out);
    assert_eq!(
        handshake.take(out),
        "",
        "no closing tag after a failed handshake (RFC 6120 §5.4.3.2)"
    );
    assert_eq!(handshake.failure(), Some(&Failure::Handshake("bad certificate".to_owned())));
}

#[test]
fn a_peer_that_speaks_something_else_is_named() {
    let world = standards();
    for input in [
        "HTTP/1.1 400 Bad Request\r\n",
        "<html>",
        "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='i'>",
    ] {
        let mut side = Initiating::new(Initiating::send_purpose());
        side.begin(&world);
        side.send(input, &world);
        assert!(matches!(side.failure(), Some(Failure::NotXmpp(_))), "{:?}", side.failure());
        assert!(side.closed());
    }
}

#[test]
fn rfc6120_4_9_3_6_a_peer_that_does_not_know_itself_is_quoted() {
    let world = standards();
    let mut side = Initiating::new(Initiating::send_purpose());
    side.begin(&world);
    side.send(
        &format!("{}<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>", response("i")),
        &world,
    );
    assert_eq!(side.failure().map(Failure::word), Some(Word::HostUnknown));
}

#[test]
fn an_idle_stream_that_the_peer_ends_is_no_failure() {
    let world = standards();
    let mut side = established_by_dialback(&world);
    assert_eq!(side.send("</stream:stream>", &world), "</stream:stream>");
    assert!(side.closed());
    assert_eq!(side.failure(), None);
    assert!(!side.machine.carries(&wanted()));
}

#[test]
fn rfc6120_4_4_our_end_awaits_the_peers() {
    let world = standards();
    let mut side = established_by_dialback(&world);
    let mut out = Out::default();
    side.machine.close(side.now, &mut out);
    assert_eq!(side.take(out), "</stream:stream>");
    assert!(!side.closed());
    side.send("</stream:stream>", &world);
    assert!(side.closed());
}
