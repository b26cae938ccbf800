//! Dialback on streams that we opened: XEP-0220 §2.1, §2.3, §2.6.

use crds::xmpp::StanzaCondition;

use super::initiating::{
    OFFER_BOTH, OFFER_DIALBACK, OFFER_TLS, encrypted, established_by_dialback,
    established_by_external, wanted,
};
use super::*;
use crate::dialback::KeyVerdict;

#[test]
fn xep0220_2_1_1_answers_are_matched_by_the_pair() {
    let world = standards();
    let mut side = encrypted(&world);
    side.send(&format!("{}{OFFER_DIALBACK}", response("s2")), &world);
    for forged in [
        "<db:result from='us.example' to='them.example' type='valid'/>",
        "<db:result from='them.example' to='chat.us.example' type='valid'/>",
        "<db:result from='evil.example' to='us.example' type='valid'/>",
        "<db:verify from='them.example' to='us.example' id='s2' type='valid'/>",
        "<db:result from='them.example' to='us.example'>key</db:result>",
    ] {
        assert_eq!(side.send(forged, &world), "");
    }
    assert!(side.authorized().is_empty());
    assert_eq!(side.refusals(), [Refusal::NotAuthorized; 5]);
}

#[test]
fn xep0220_2_1_1_invalid_and_error_are_distinguished() {
    let world = standards();
    for (answer, failure) in [
        ("type='invalid'/>", Failure::DialbackInvalid(KeyInquiry::NotSeen)),
        (
            "type='error'><error type='cancel'><remote-server-not-found \
             xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text \
             xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>no SRV</text></error></db:result>",
            Failure::DialbackError {
                condition: StanzaCondition::RemoteServerNotFound,
                text: "no SRV".to_owned(),
            },
        ),
    ] {
        let mut side = encrypted(&world);
        side.send(&format!("{}{OFFER_DIALBACK}", response("s2")), &world);
        let written =
            side.send(&format!("<db:result from='them.example' to='us.example' {answer}"), &world);
        assert_eq!(written, "</stream:stream>");
        assert_eq!(side.failure(), Some(&failure));
    }
}

#[test]
fn what_we_were_asked_about_the_key_is_part_of_the_failure() {
    for (inquiry, label, words) in [
        (
            KeyInquiry::NotSeen,
            "DialbackInvalidUnasked",
            "sent no db:verify request about it to this replica",
        ),
        (KeyInquiry::Confirmed, "DialbackInvalid", "confirmed the key when the peer verified it"),
        (KeyInquiry::Denied, "DialbackInvalid", "did not recognise the key that the peer verified"),
        (
            KeyInquiry::Refused,
            "DialbackInvalid",
            "answered the peer's db:verify request with an error",
        ),
    ] {
        let world = World { inquiry, ..standards() };
        let mut side = encrypted(&world);
        side.send(&format!("{}{OFFER_DIALBACK}", response("s2")), &world);
        side.send("<db:result from='them.example' to='us.example' type='invalid'/>", &world);
        let failure = side.failure().unwrap();
        assert_eq!(failure, &Failure::DialbackInvalid(inquiry));
        assert_eq!(failure.word().as_str(), label);
        let text = failure.to_string();
        assert!(text.starts_with("the peer reports that our dialback key is invalid, "), "{text}");
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn no_answer_to_dialback_in_time_is_named() {
    let world = standards();
    let mut side = encrypted(&world);
    side.send(&format!("{}{OFFER_DIALBACK}", response("s2")), &world);
    assert_eq!(side.machine.deadline(), Some(side.now + LIMITS.dialback));
    assert_eq!(side.pass(LIMITS.dialback), "</stream:stream>");
    assert_eq!(side.failure(), Some(&Failure::DialbackTimedOut));
}

#[test]
fn xep0220_2_3_nothing_is_taken_from_a_stream_that_we_opened() {
    let world = standards();
    for mut side in [established_by_external(&world), established_by_dialback(&world)] {
        let written = side.send("<message from='a@them.example' to='b@us.example'/>", &world);
        assert_eq!(side.refusals(), [Refusal::NotAuthorized]);
        assert_eq!(side.delivered(), 0);
        assert_stream_error(&side, &written, "not-authorized");
    }
}

#[test]
fn xep0220_2_6_more_senders_share_a_stream_and_one_failure_spares_the_others() {
    let world = standards();
    let mut side = established_by_external(&world);
    let chat = pair("chat.us.example", "them.example");
    assert!(side.machine.can_add(&chat, &world));
    let mut out = Out::default();
    side.machine.add_pair(chat.clone(), side.now, &world, &mut out);
    let key = world.dialback_key(&domain("them.example"), &domain("chat.us.example"), "s3");
    assert_eq!(side.take(out), result("chat.us.example", "them.example", key.as_str()));
    assert!(!side.machine.carries(&chat));
    side.send("<db:result from='them.example' to='chat.us.example' type='invalid'/>", &world);
    assert!(matches!(side.actions.last(), Some(Action::PairFailed { pair, .. }) if *pair == chat));
    assert!(side.machine.carries(&wanted()) && !side.closed());
}

#[test]
fn xep0220_2_6_another_target_needs_the_errors_feature() {
    let world = standards();
    let other = pair("us.example", "rooms.them.example");
    assert!(established_by_external(&world).machine.can_add(&other, &world));
    let mut side = encrypted(&world);
    side.send(
        &format!(
            "{}<stream:features><dialback xmlns='urn:xmpp:features:dialback'/></stream:features>\
             <db:result from='them.example' to='us.example' type='valid'/>",
            response("s2")
        ),
        &world,
    );
    assert!(!side.machine.can_add(&other, &world));
    let mut out = Out::default();
    side.machine.add_pair(other.clone(), side.now, &world, &mut out);
    assert_eq!(side.take(out), "");
    assert!(matches!(side.actions.last(), Some(Action::PairFailed { pair, .. }) if *pair == other));
}

fn verify_purpose() -> (Purpose, StreamId) {
    let id = StreamId::new(rand::random());
    let purpose = Purpose::Verify {
        pair: pair("them.example", "us.example"),
        id: id.clone(),
        key: "k<e>y".to_owned(),
    };
    (purpose, id)
}

#[test]
fn xep0220_2_1_2_the_authoritative_server_is_asked_without_authentication() {
    let world = standards();
    let (purpose, id) = verify_purpose();
    let mut side = Initiating::new(purpose);
    let hello = side.begin(&world);
    assert!(hello.contains("from='us.example' to='them.example'"), "{hello}");
    assert_eq!(side.send(&format!("{}{OFFER_TLS}", response("s1")), &world), STARTTLS);
    side.send(PROCEED, &world);
    side.tls(&world);
    let written = side.send(&format!("{}{OFFER_BOTH}", response("s2")), &world);
    assert_eq!(
        written,
        format!("<db:verify from='us.example' to='them.example' id='{id}'>k&lt;e>y</db:verify>")
    );
    let answer = format!("<db:verify from='them.example' to='us.example' id='{id}' type='valid'/>");
    // Elements that do not answer this request on this stream have no effect.
    for forged in [
        answer.replace(id.as_str(), "other"),
        answer.replace("from='them.example'", "from='evil.example'"),
        answer.replace("to='us.example'", "to='chat.us.example'"),
        "<db:result from='them.example' to='us.example' type='valid'/>".to_owned(),
    ] {
        assert_eq!(side.send(&forged, &world), "", "{forged}");
    }
    assert_eq!(side.send(&answer, &world), "</stream:stream>");
    assert!(side.actions.iter().any(|a| matches!(a, Action::VerifyAnswered(KeyVerdict::Valid))));
    assert!(side.closed());
}

#[test]
fn a_question_about_a_key_is_not_asked_in_the_clear_where_tls_is_required() {
    let world = standards();
    let mut side = Initiating::new(verify_purpose().0);
    side.begin(&world);
    assert_eq!(side.send(&format!("{}{OFFER_DIALBACK}", response("s1")), &world), STARTTLS);
}

#[test]
fn a_question_about_a_key_that_is_not_answered_fails_in_time() {
    let world = World::new(Profile::LegacyDialback);
    let mut side = Initiating::new(verify_purpose().0);
    side.begin(&world);
    assert!(side.send(&header_with("id='i'"), &world).starts_with("<db:verify "));
    side.pass(LIMITS.dialback);
    assert_eq!(side.failure(), Some(&Failure::DialbackTimedOut));
    assert!(matches!(
        KeyVerdict::from(&Failure::DialbackTimedOut),
        KeyVerdict::Error { condition: StanzaCondition::RemoteServerTimeout, .. }
    ));
}

#[test]
fn xep0220_2_5_the_authoritative_server_does_not_know_the_domain() {
    let world = World::new(Profile::LegacyDialback);
    let not_found = |answer: &KeyVerdict| {
        let expected = StanzaCondition::RemoteServerNotFound;
        matches!(answer, KeyVerdict::Error { condition, .. } if *condition == expected)
    };
    let (purpose, id) = verify_purpose();
    let asked = |purpose| {
        let mut side = Initiating::new(purpose);
        side.begin(&world);
        assert!(side.send(&header_with("id='i'"), &world).starts_with("<db:verify "));
        side
    };
    let mut side = asked(purpose);
    side.send(
        &format!(
            "<db:verify from='them.example' to='us.example' id='{id}' type='error'><error type='cancel'>\
             <item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:verify>"
        ),
        &world,
    );
    let answer = side.actions.iter().find_map(|action| match action {
        Action::VerifyAnswered(answer) => Some(answer),
        _ => None,
    });
    assert!(answer.is_some_and(not_found), "{answer:?}");

    let mut side = asked(verify_purpose().0);
    side.send(
        "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
        &world,
    );
    let answer = KeyVerdict::from(side.failure().unwrap());
    assert!(not_found(&answer), "{answer:?}");
}

#[test]
fn a_denied_domain_is_not_asked_about_keys() {
    let world = World { denied: vec![pair("them.example", "us.example")], ..standards() };
    let mut side = Initiating::new(verify_purpose().0);
    assert_eq!(side.begin(&world), "");
    assert_eq!(side.failure(), Some(&Failure::BlockedByLocalPolicy));
}

#[test]
fn xep0220_2_6_another_target_must_be_as_authenticated_as_on_a_stream_of_its_own() {
    let mut world = with(Profile::Standards, |rules| rules.verification = Verification::Required);
    let side = established_by_external(&world);
    let rooms = pair("us.example", "rooms.them.example");
    assert!(!side.machine.can_add(&rooms, &world), "the certificate is not for the rooms");
    assert!(side.machine.can_add(&pair("chat.us.example", "them.example"), &world));
    world.authenticated.push(domain("rooms.them.example"));
    assert!(side.machine.can_add(&rooms, &world));
}
