//! Bidirectional streams (XEP-0288 §2).

use super::*;
use crate::dialback::KeyVerdict;
use crate::stream::Authentication;

const FEATURE: &str = "<bidi xmlns='urn:xmpp:features:bidi'/>";
const REQUEST: &str = "<bidi xmlns='urn:xmpp:bidi'/>";
const EXTERNAL: &str = "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms>";
const DIALBACK: &str = "<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>";

fn both_ways<M>(side: &Side<M>) -> Vec<Pair> {
    let pairs = side.actions.iter().filter_map(|action| match action {
        Action::Bidirectional { pair } => Some(pair.clone()),
        _ => None,
    });
    pairs.collect()
}

fn message(from: &str, to: &str) -> String {
    format!("<message from='{from}' to='{to}'><body>hi</body></message>")
}

/// An encrypted stream that we opened, after the peer's features with the offer.
fn offered(world: &World, features: &str) -> (Initiating, String) {
    let now = Instant::now();
    let transport = Transport::DirectTls(PeerChain::default());
    let machine = Outbound::new(Initiating::send_purpose(), transport, LIMITS, now);
    let mut side = Side::over(machine, now);
    side.begin(world);
    let features = format!("<stream:features>{features}{FEATURE}</stream:features>");
    let written = side.send(&(response("s1") + &features), world);
    (side, written)
}

#[test]
fn xep0288_2_1_it_is_offered_where_the_peer_can_prove_itself_next_and_not_later() {
    let world = standards();
    let mut clear = Receiving::new();
    let written = clear.send(&header("them.example", "us.example"), &world);
    assert!(!written.contains(FEATURE), "TLS comes first: {written}");
    let mut side = Receiving::direct_tls();
    let written = side.send(&header("them.example", "us.example"), &world);
    assert!(written.contains(FEATURE), "{written}");
    side.send(&auth("="), &world);
    let written = side.send(&header("them.example", "us.example"), &world);
    assert!(written.contains("<stream:features>") && !written.contains(FEATURE), "{written}");
}

#[test]
fn xep0288_2_1_it_is_not_offered_to_whom_nothing_may_be_sent_this_way() {
    let mut world = standards();
    world.denied.push(pair("us.example", "them.example"));
    let mut side = Receiving::direct_tls();
    let written = side.send(&header("them.example", "us.example"), &world);
    assert!(!written.contains(FEATURE), "{written}");
    side.send(REQUEST, &world);
    side.send(&auth("="), &world);
    side.send(&header("them.example", "us.example"), &world);
    assert_eq!(both_ways(&side), []);
    assert!(!side.machine.carries(&pair("us.example", "them.example"), &world));
}

#[test]
fn xep0288_2_2_nothing_goes_back_before_the_peer_is_authenticated_and_then_only_its_own_pair() {
    let world = standards();
    let (mut side, _) = Receiving::opened(&world);
    let back = pair("us.example", "them.example");
    side.send(REQUEST, &world);
    side.send(&auth("="), &world);
    assert!(!side.machine.carries(&back, &world), "SASL is over, the stream is not open");
    side.send(&header("them.example", "us.example"), &world);
    assert_eq!(both_ways(&side), std::slice::from_ref(&back));
    assert!(side.machine.carries(&back, &world));
    for other in [
        pair("chat.us.example", "them.example"),
        pair("us.example", "other.example"),
        pair("them.example", "us.example"),
    ] {
        assert!(!side.machine.carries(&other, &world), "{other}");
    }
}

#[test]
fn xep0288_2_2_with_dialback_each_authenticated_pair_goes_both_ways() {
    let mut world = standards();
    world.authenticated.clear();
    let (mut side, _) = Receiving::opened(&world);
    side.send(REQUEST, &world);
    let back = pair("us.example", "them.example");
    side.send(&result("them.example", "us.example", "key"), &world);
    assert!(!side.machine.carries(&back, &world));
    side.verified(KeyVerdict::Valid);
    side.send(&result("them.example", "chat.us.example", "key"), &world);
    side.verified(KeyVerdict::Valid);
    assert_eq!(both_ways(&side), [back, pair("chat.us.example", "them.example")]);
}

#[test]
fn xep0288_2_1_what_was_asked_for_before_tls_is_void() {
    let world = with(Profile::CiscoImp, |_| {});
    let mut side = Receiving::new();
    side.send(&header("them.example", "us.example"), &world);
    side.send(REQUEST, &world);
    side.send(STARTTLS, &world);
    side.tls();
    side.send(&header("them.example", "us.example"), &world);
    side.send(&auth("="), &world);
    side.send(&header("them.example", "us.example"), &world);
    assert_eq!(side.authorized().len(), 1);
    assert_eq!(both_ways(&side), []);
}

#[test]
fn xep0288_a_request_that_comes_too_late_or_unasked_changes_nothing() {
    let world = standards();
    let mut side = Receiving::authenticated(&world);
    side.send(REQUEST, &world);
    assert_eq!(side.refusals(), [Refusal::UnsupportedStanzaType]);
    assert!(!side.closed());
    side.send(&result("them.example", "chat.us.example", "key"), &world);
    assert_eq!(side.authorized().len(), 2);
    assert_eq!(both_ways(&side), []);
}

#[test]
fn xep0478_the_peer_says_in_its_request_what_it_accepts() {
    let world = standards();
    let (mut side, _) = Receiving::opened(&world);
    let limits = "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>20000</max-bytes></limits>";
    side.send(&format!("<bidi xmlns='urn:xmpp:bidi'>{limits}</bidi>"), &world);
    assert_eq!(side.machine.peer_limits().max_bytes, Some(20_000));
}

#[test]
fn xep0478_the_limit_of_prosody_13_before_authentication_is_not_that_of_stanzas() {
    let world = standards();
    let (mut side, _) = Receiving::opened(&world);
    let limits = "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>10000</max-bytes><idle-seconds>840</idle-seconds></limits>";
    side.send(&format!("<bidi xmlns='urn:xmpp:bidi'>{limits}</bidi>"), &world);
    let seen = side.machine.peer_limits();
    assert_eq!((seen.max_bytes, seen.idle.map(|idle| idle.as_secs())), (None, Some(840)));
}

#[test]
fn xep0288_2_2_we_ask_before_we_authenticate_and_say_what_we_accept() {
    let world = standards();
    let (mut side, written) = offered(&world, &(EXTERNAL.to_owned() + DIALBACK));
    let asked = written.find("<bidi xmlns='urn:xmpp:bidi'>").expect("a request");
    assert!(asked < written.find("<auth ").unwrap(), "{written}");
    assert!(written.contains("<max-bytes>524288</max-bytes>"), "{written}");
    assert_eq!(both_ways(&side), []);
    side.send("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", &world);
    side.send(&(response("s2") + "<stream:features/>"), &world);
    assert_eq!(both_ways(&side), [pair("them.example", "us.example")]);
    side.send(&message("romeo@them.example/r", "juliet@us.example"), &world);
    assert_eq!(side.delivered(), 1);
}

#[test]
fn xep0288_2_2_a_peer_that_did_not_offer_it_is_not_asked() {
    let world = standards();
    let now = Instant::now();
    let transport = Transport::DirectTls(PeerChain::default());
    let machine = Outbound::new(Initiating::send_purpose(), transport, LIMITS, now);
    let mut side = Side::over(machine, now);
    side.begin(&world);
    let features = format!("<stream:features>{EXTERNAL}</stream:features>");
    let written = side.send(&(response("s1") + &features), &world);
    assert!(!written.contains("bidi"), "{written}");
}

#[test]
fn xep0288_4_the_peer_sends_only_for_the_pairs_that_it_accepted() {
    for (from, to, refusal, condition) in [
        ("romeo@other.example", "juliet@us.example", Refusal::InvalidFrom, "invalid-from"),
        ("romeo@them.example", "juliet@chat.us.example", Refusal::InvalidFrom, "invalid-from"),
        ("romeo@them.example", "x@elsewhere.example", Refusal::HostUnknown, "host-unknown"),
    ] {
        let world = standards();
        let (mut side, _) = offered(&world, DIALBACK);
        side.send("<db:result from='them.example' to='us.example' type='valid'/>", &world);
        assert_eq!(both_ways(&side), [pair("them.example", "us.example")]);
        let written = side.send(&message(from, to), &world);
        assert_eq!(side.refusals(), [refusal], "{from} {to}");
        assert_stream_error(&side, &written, condition);
        assert_eq!(side.delivered(), 0);
    }
}

#[test]
fn xep0288_2_2_no_stanza_is_taken_before_the_peer_accepted_our_pair() {
    let world = standards();
    let (mut side, _) = offered(&world, DIALBACK);
    let written = side.send(&message("romeo@them.example", "juliet@us.example"), &world);
    assert_eq!(side.refusals(), [Refusal::NotAuthorized]);
    assert_stream_error(&side, &written, "not-authorized");
}

#[test]
fn xep0288_who_can_neither_be_believed_by_certificate_nor_by_dialback_is_not_asked() {
    let untrusted = |rules: &mut PeerRules| {
        rules.dialback = Dialback::Disabled;
        rules.external_inbound = false;
    };
    let world = with(Profile::Standards, untrusted);
    let (_, written) = offered(&world, EXTERNAL);
    assert!(written.contains("<auth ") && !written.contains("bidi"), "{written}");
    let world = with(Profile::Standards, |rules| rules.dialback = Dialback::Disabled);
    let (_, written) = offered(&world, EXTERNAL);
    assert!(written.contains("urn:xmpp:bidi"), "its certificate is valid: {written}");
    let unauthenticated = World { authenticated: Vec::new(), ..world };
    let (_, written) = offered(&unauthenticated, EXTERNAL);
    assert!(!written.contains("bidi"), "{written}");
}

#[test]
fn xep0288_2_2_further_pairs_and_keys_on_a_stream_that_we_opened() {
    let world = standards();
    let (mut side, _) = offered(&world, DIALBACK);
    side.send("<db:result from='them.example' to='us.example' type='valid'/>", &world);
    let written = side.send(&result("chat.them.example", "us.example", "key"), &world);
    assert_dialback_error(&written, "policy-violation");
    // A key that came to the peer on another stream may be verified here (XEP-0220 §2.2.2).
    let key = world.secret.key(&domain("them.example"), &domain("us.example"), "other");
    let verify = format!(
        "<db:verify from='them.example' to='us.example' id='other'>{}</db:verify>",
        key.as_str()
    );
    let written = side.send(&verify, &world);
    assert!(written.contains("type='valid'"), "{written}");
    assert!(!side.closed());
    let authorized: Vec<_> = side
        .actions
        .iter()
        .filter_map(|action| match action {
            Action::Authorized { how, .. } => Some(*how),
            _ => None,
        })
        .collect();
    assert_eq!(authorized, [Authentication::Dialback]);
}

#[test]
fn rfc6120_4_4_stanzas_under_way_are_taken_when_we_close() {
    let world = standards();
    let (mut side, _) = offered(&world, DIALBACK);
    side.send("<db:result from='them.example' to='us.example' type='valid'/>", &world);
    let mut out = Out::default();
    side.machine.close(side.now, &mut out);
    side.take(out);
    side.send(&message("romeo@them.example", "juliet@us.example"), &world);
    assert_eq!(side.delivered(), 1);
    assert!(!side.closed());
}
