//! Dialback as receiving server: XEP-0220 §2.2.

use crds::xmpp::StanzaCondition;

use super::*;
use crate::dialback::KeyVerdict;
use crate::stream::Authentication;

fn untrusting() -> World {
    World::new(Profile::Standards)
}

fn asked(side: &Receiving) -> usize {
    side.actions.iter().filter(|action| matches!(action, Action::Verify { .. })).count()
}

#[test]
fn xep0220_2_2_1_a_valid_key_authorises_exactly_its_pair() {
    let world = untrusting();
    let (mut side, our_id) = Receiving::opened(&world);
    assert_eq!(side.send(&result("them.example", "us.example", "the-key"), &world), "");
    assert!(matches!(side.actions.last(), Some(Action::Verify { pair: asked, id, key })
        if *asked == pair("them.example", "us.example") && id.as_str() == our_id && key == "the-key"));
    let written = side.verified(KeyVerdict::Valid);
    assert_eq!(written, "<db:result from='us.example' to='them.example' type='valid'></db:result>");
    assert!(matches!(
        side.actions.last(),
        Some(Action::Authorized { how: Authentication::Dialback, .. })
    ));
    assert_eq!(side.authorized(), [pair("them.example", "us.example")]);
}

#[test]
fn xep0220_2_4_1_any_prefix_bound_to_the_namespace_is_accepted() {
    let world = untrusting();
    let (mut side, _) = Receiving::opened(&world);
    side.send(
        "<result xmlns='jabber:server:dialback' from='them.example' to='us.example'>k</result>",
        &world,
    );
    side.send("<d:result xmlns:d='jabber:server:dialback' from='x.example' to='us.example'>\n k </d:result>", &world);
    assert_eq!(asked(&side), 2);
}

#[test]
fn xep0220_2_2_1_invalid_on_the_first_pair_ends_the_stream() {
    let world = untrusting();
    let (mut side, _) = Receiving::opened(&world);
    side.send(&result("them.example", "us.example", "key"), &world);
    let written = side.verified(KeyVerdict::Invalid);
    assert!(written.contains(" type='invalid'>") && written.ends_with("</stream:stream>"));
    assert!(side.closed() && side.authorized().is_empty());
}

#[test]
fn xep0220_2_2_1_a_further_pair_that_fails_leaves_the_first_one_working() {
    let world = untrusting();
    let (mut side, _) = Receiving::opened(&world);
    side.send(&result("them.example", "us.example", "key"), &world);
    side.verified(KeyVerdict::Valid);
    side.send(&result("evil.example", "us.example", "key"), &world);
    assert_dialback_error(&side.verified(KeyVerdict::Invalid), "forbidden");
    assert!(!side.closed());
    side.send("<message from='a@them.example' to='b@us.example'/>", &world);
    assert_eq!(side.delivered(), 1);
}

#[test]
fn xep0220_2_5_an_authoritative_server_that_cannot_be_asked_is_reported() {
    let world = untrusting();
    let (mut side, _) = Receiving::opened(&world);
    side.send(&result("them.example", "us.example", "key"), &world);
    let failure =
        Failure::Dns(crate::reason::DnsReason::DomainNotFound { name: "them.example".to_owned() });
    let written = side.verified(KeyVerdict::from(&failure));
    assert_dialback_error(&written, "remote-server-not-found");
    assert!(written.contains("DNS has no SRV or address records for this domain"), "{written}");
    // The evidence has the true cause.
    assert!(side.actions.iter().any(|action| matches!(action, Action::Rejected(rejection)
        if rejection.text == failure.to_string())));
    assert!(!side.closed());
    // The peer may try again on the same stream.
    side.send(&result("them.example", "us.example", "key"), &world);
    assert_eq!(asked(&side), 2);
}

#[test]
fn xep0220_2_5_silence_of_the_authoritative_server_is_reported() {
    let world = untrusting();
    let (mut side, _) = Receiving::opened(&world);
    side.send(&result("them.example", "us.example", "key"), &world);
    assert_eq!(side.machine.deadline(), Some(side.now + LIMITS.dialback));
    assert_dialback_error(&side.pass(LIMITS.dialback, &world), "remote-server-timeout");
    // The late answer has no effect.
    assert_eq!(side.verified(KeyVerdict::Valid), "");
    assert!(side.authorized().is_empty());
}

#[test]
fn xep0220_2_2_1_an_unknown_target_gets_item_not_found_and_the_stream_stays_open() {
    let world = untrusting();
    let (mut side, _) = Receiving::opened(&world);
    let written = side.send(&result("them.example", "unknown.example", "key"), &world);
    assert_dialback_error(&written, "item-not-found");
    assert!(written.contains("from='unknown.example' to='them.example'"), "{written}");
    assert!(!side.closed());
    assert_eq!(asked(&side), 0);
}

#[test]
fn xep0220_3_1_answers_that_nobody_asked_for_have_no_effect() {
    let world = untrusting();
    let (mut side, id) = Receiving::opened(&world);
    for forged in [
        "<db:result from='us.example' to='them.example' type='valid'/>".to_owned(),
        "<db:result from='them.example' to='us.example' type='valid'/>".to_owned(),
        format!("<db:verify from='them.example' to='us.example' id='{id}' type='valid'/>"),
    ] {
        assert_eq!(side.send(&forged, &world), "", "{forged}");
    }
    // Not even while the same pair is waiting.
    side.send(&result("them.example", "us.example", "key"), &world);
    side.send(
        &format!("<db:verify from='them.example' to='us.example' id='{id}' type='valid'/>"),
        &world,
    );
    assert!(side.authorized().is_empty());
    assert_eq!(side.refusals(), [Refusal::NotAuthorized; 4]);
}

#[test]
fn a_domain_of_ours_and_the_target_itself_cannot_be_claimed() {
    let world = untrusting();
    for from in ["us.example", "chat.us.example", "US.example."] {
        let (mut side, _) = Receiving::opened(&world);
        let written = side.send(&result(from, "us.example", "key"), &world);
        assert_dialback_error(&written, "policy-violation");
        assert_eq!(asked(&side), 0, "{from}");
    }
}

#[test]
fn a_denied_pair_is_never_verified() {
    let world = World { denied: vec![pair("bad.example", "us.example")], ..untrusting() };
    let (mut side, _) = Receiving::opened(&world);
    let written = side.send(&result("bad.example", "us.example", "key"), &world);
    assert_dialback_error(&written, "policy-violation");
    assert_eq!(asked(&side), 0);
}

#[test]
fn requests_wait_for_their_turn_as_long_as_there_may_be_pairs() {
    let world = untrusting();
    let (mut side, _) = Receiving::opened(&world);
    for n in 0..LIMITS.pairs {
        let request = result(&format!("d{n}.example"), "us.example", "key");
        assert_eq!(side.send(&request, &world), "");
    }
    let written = side.send(&result("more.example", "us.example", "key"), &world);
    assert_dialback_error(&written, "resource-constraint");
    // The same pair again is the same question.
    assert_eq!(side.send(&result("d0.example", "us.example", "other"), &world), "");
    assert_eq!(asked(&side), LIMITS.pairs);
}

#[test]
fn the_number_of_pairs_on_a_stream_is_bounded() {
    let world = untrusting();
    let (mut side, _) = Receiving::opened(&world);
    for n in 0..LIMITS.pairs {
        side.send(&result(&format!("d{n}.example"), "us.example", "key"), &world);
        side.verified(KeyVerdict::Valid);
    }
    let written = side.send(&result("more.example", "us.example", "key"), &world);
    assert_dialback_error(&written, "resource-constraint");
}

#[test]
fn a_pair_that_is_authenticated_is_confirmed_without_asking_again() {
    let world = asking();
    let mut side = Receiving::authenticated(&world);
    let written = side.send(&result("them.example", "us.example", "key"), &world);
    assert!(written.contains(" type='valid'>"), "{written}");
    assert_eq!(asked(&side), 0);
    // Another target on the same stream must be authenticated separately.
    side.send(&result("them.example", "chat.us.example", "key"), &world);
    side.verified(KeyVerdict::Valid);
    assert_eq!(side.authorized().len(), 2);
}

#[test]
fn xep0344_2_4_a_certificate_that_proves_the_sender_confirms_the_key_without_asking_anybody() {
    let world = standards();
    let (mut side, _) = Receiving::opened(&world);
    let written = side.send(&result("them.example", "us.example", "any"), &world);
    assert_eq!(written, "<db:result from='us.example' to='them.example' type='valid'></db:result>");
    assert_eq!(asked(&side), 0);
    assert!(matches!(
        side.actions.as_slice(),
        [.., Action::Bounds(_), Action::Authorized { pair: authenticated, how: Authentication::DialbackByCertificate }]
            if *authenticated == pair("them.example", "us.example")
    ));
    assert_eq!(side.machine.deadline(), None, "nothing is waited for");
    side.send("<message from='a@them.example' to='b@us.example'/>", &world);
    assert_eq!(side.delivered(), 1);
}

#[test]
fn xep0344_2_4_it_confirms_further_domains_on_the_stream_exactly_when_it_proves_them() {
    let mut world = standards();
    world.authenticated.push(domain("rooms.them.example"));
    let mut side = Receiving::authenticated(&world);
    for (from, to, confirmed) in [
        ("rooms.them.example", "us.example", true),
        ("them.example", "chat.us.example", true),
        ("other.example", "us.example", false),
    ] {
        let before = asked(&side);
        let written = side.send(&result(from, to, "key"), &world);
        assert_eq!(written.contains(" type='valid'>"), confirmed, "{from} {to}: {written}");
        assert_eq!(asked(&side) - before, usize::from(!confirmed), "{from} {to}");
        assert_eq!(side.authorized().contains(&pair(from, to)), confirmed, "{from} {to}");
    }
}

#[test]
fn xep0344_2_4_who_does_not_look_at_certificates_or_always_asks_goes_on_asking() {
    let expressway = World::trusting(Profile::CiscoExpressway);
    let required = with(Profile::Standards, |rules| {
        rules.dialback = Dialback::Required;
        rules.key_confirmation = KeyConfirmation::AuthoritativeServer;
    });
    for world in [expressway, required, asking()] {
        let (mut side, _) = Receiving::opened(&world);
        assert_eq!(side.send(&result("them.example", "us.example", "key"), &world), "");
        assert_eq!(asked(&side), 1);
        assert!(side.authorized().is_empty());
    }
}

#[test]
fn xep0344_2_4_without_tls_there_is_no_certificate_and_the_authoritative_server_is_asked() {
    let world = World::trusting(Profile::CiscoImp);
    let mut side = Receiving::new();
    side.send(&header("them.example", "us.example"), &world);
    assert_eq!(side.send(&result("them.example", "us.example", "key"), &world), "");
    assert_eq!(asked(&side), 1);
}

#[test]
fn xep0344_2_4_a_certificate_confirms_nothing_that_would_not_be_verified_either() {
    let world = World { denied: vec![pair("them.example", "chat.us.example")], ..standards() };
    let (mut side, _) = Receiving::opened(&world);
    for (to, condition) in
        [("unknown.example", "item-not-found"), ("chat.us.example", "policy-violation")]
    {
        let written = side.send(&result("them.example", to, "key"), &world);
        assert_dialback_error(&written, condition);
    }
    assert!(side.authorized().is_empty());
}

#[test]
fn the_number_of_pairs_on_a_stream_is_bounded_also_where_a_certificate_confirms_them() {
    let mut world = standards();
    let names = (0..=LIMITS.pairs).map(|n| format!("d{n}.example"));
    let names: Vec<String> = names.collect();
    world.authenticated.extend(names.iter().map(|name| domain(name)));
    let (mut side, _) = Receiving::opened(&world);
    let (last, others) = names.split_last().unwrap();
    for from in others {
        let written = side.send(&result(from, "us.example", "key"), &world);
        assert!(written.contains(" type='valid'>"), "{written}");
    }
    let written = side.send(&result(last, "us.example", "key"), &world);
    assert_dialback_error(&written, "resource-constraint");
}

#[test]
fn dialback_that_is_disabled_is_refused() {
    let world = with(Profile::Standards, |rules| rules.dialback = Dialback::Disabled);
    let (mut side, _) = Receiving::opened(&world);
    let written = side.send(&result("them.example", "us.example", "key"), &world);
    assert_dialback_error(&written, "policy-violation");
}

#[test]
fn a_certificate_that_must_prove_is_asked_for_every_domain_of_the_stream() {
    let world = with(Profile::Strict, |rules| rules.dialback = Dialback::Allowed);
    let (mut side, _) = Receiving::opened(&world);
    let written = side.send(&result("other.example", "us.example", "key"), &world);
    assert_dialback_error(&written, "policy-violation");
    assert_stream_error(&side, &written, "policy-violation");
}

#[test]
fn an_answer_about_the_stream_before_a_restart_has_no_effect() {
    let world = asking();
    let (mut side, _) = Receiving::opened(&world);
    side.send(&result("them.example", "us.example", "key"), &world);
    side.send(&auth("="), &world);
    side.send(&header("them.example", "us.example"), &world);
    side.send(&result("other.example", "us.example", "key"), &world);
    let Some(Action::Verify { id: old, .. }) =
        side.actions.iter().find(|action| matches!(action, Action::Verify { .. }))
    else {
        panic!()
    };
    let old = old.clone();
    let mut out = Out::default();
    side.machine.on_verification(
        &pair("other.example", "us.example"),
        &old,
        KeyVerdict::Valid,
        &mut out,
    );
    assert!(out.actions.is_empty() && out.bytes.is_empty());
}

#[test]
fn malformed_dialback_elements_end_the_stream() {
    let world = untrusting();
    for (input, condition) in [
        ("<db:result to='us.example'>key</db:result>", "improper-addressing"),
        ("<db:result from='u@them.example' to='us.example'>key</db:result>", "improper-addressing"),
        ("<db:result from='them.example' to='us.example'/>", "unsupported-stanza-type"),
        (
            "<db:result from='them.example' to='us.example' type='maybe'>k</db:result>",
            "unsupported-stanza-type",
        ),
        (
            "<db:verify from='them.example' to='us.example'>key</db:verify>",
            "unsupported-stanza-type",
        ),
        ("<db:other from='them.example' to='us.example'>key</db:other>", "unsupported-stanza-type"),
    ] {
        let (mut side, _) = Receiving::opened(&world);
        let written = side.send(input, &world);
        assert_stream_error(&side, &written, condition);
    }
}

#[test]
fn a_stream_that_proves_nothing_causes_few_verifications() {
    let world = untrusting();
    let (mut side, _) = Receiving::opened(&world);
    let request = |n: usize| result(&format!("d{n}.example"), "us.example", "key");
    for n in 0..16 {
        side.send(&request(n), &world);
        side.verified(KeyVerdict::error(StanzaCondition::RemoteServerNotFound, ""));
    }
    assert_eq!(asked(&side), 16);
    for n in 16..40 {
        assert_dialback_error(&side.send(&request(n), &world), "resource-constraint");
    }
    assert_eq!(asked(&side), 16);
    // A stream that authenticates its first domain may have any number of requests, one after the other.
    let (mut side, _) = Receiving::opened(&world);
    for n in 0..8 {
        side.send(&request(n), &world);
        side.verified(KeyVerdict::Valid);
    }
    for n in 8..40 {
        assert_dialback_error(&side.send(&request(n), &world), "resource-constraint");
    }
    assert_eq!(side.authorized().len(), LIMITS.pairs);
}
