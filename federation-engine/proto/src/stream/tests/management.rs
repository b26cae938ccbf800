//! Acknowledged stanzas (XEP-0198).

use super::*;

const ENABLE: &str = "<enable xmlns='urn:xmpp:sm:3'/>";
const ASK: &str = "<r xmlns='urn:xmpp:sm:3'/>";
const FEATURE: &str = "<sm xmlns='urn:xmpp:sm:3'/>";
const EXTERNAL: &str = "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms>";

fn answer(h: u32) -> String {
    format!("<a xmlns='urn:xmpp:sm:3' h='{h}'/>")
}

fn handle(side: &mut Receiving, stanzas: u32) {
    (0..stanzas).for_each(|_| side.machine.handled());
}

fn acknowledged<M>(side: &Side<M>) -> Vec<u32> {
    let counts = side.actions.iter().filter_map(|action| match action {
        Action::Acknowledged(count) => Some(*count),
        _ => None,
    });
    counts.collect()
}

/// A stream that we opened, authenticated, to a peer that acknowledges; and the data that we wrote last.
fn managed(world: &World) -> (Initiating, String) {
    let now = Instant::now();
    let transport = Transport::DirectTls(PeerChain::default());
    let machine = Outbound::new(Initiating::send_purpose(), transport, LIMITS, now);
    let mut side = Side::over(machine, now);
    side.begin(world);
    let features = format!("<stream:features>{EXTERNAL}</stream:features>");
    side.send(&(response("s1") + &features), world);
    side.send("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", world);
    let features = format!("<stream:features>{FEATURE}</stream:features>");
    let written = side.send(&(response("s2") + &features), world);
    (side, written)
}

fn sends(side: &mut Initiating, stanzas: u32) -> String {
    let mut out = Out::default();
    assert!(side.machine.management().sending(stanzas), "they count");
    side.machine.management().request(side.now, LIMITS.acknowledgement, &mut out);
    side.take(out)
}

#[test]
fn xep0198_3_it_is_offered_once_the_peer_is_authenticated() {
    let world = standards();
    let mut side = Receiving::direct_tls();
    let written = side.send(&header("them.example", "us.example"), &world);
    assert!(!written.contains("urn:xmpp:sm:3"), "{written}");
    side.send(&auth("="), &world);
    let written = side.send(&header("them.example", "us.example"), &world);
    assert!(written.contains(FEATURE), "{written}");
}

#[test]
fn xep0198_3_nobody_enables_it_before_authentication_or_twice() {
    let world = standards();
    let unexpected = "<failed xmlns='urn:xmpp:sm:3'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>";
    let (mut side, _) = Receiving::opened(&world);
    assert_eq!(side.send(ENABLE, &world), unexpected);
    let mut side = Receiving::authenticated(&world);
    assert_eq!(side.send(ENABLE, &world), "<enabled xmlns='urn:xmpp:sm:3'/>");
    assert_eq!(side.send(ENABLE, &world), unexpected);
    assert!(!side.closed());
}

#[test]
fn xep0198_5_nothing_can_be_resumed_and_the_stream_goes_on() {
    let world = standards();
    let mut side = Receiving::authenticated(&world);
    let written = side.send("<resume xmlns='urn:xmpp:sm:3' h='0' previd='x'/>", &world);
    assert!(written.contains("<failed") && written.contains("<item-not-found"), "{written}");
    let resume = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>";
    assert_eq!(side.send(resume, &world), "<enabled xmlns='urn:xmpp:sm:3'/>");
}

#[test]
fn xep0198_4_the_count_begins_with_enable_and_is_notified_when_asked() {
    let world = standards();
    let mut side = Receiving::authenticated(&world);
    handle(&mut side, 2);
    assert_eq!(side.send(ASK, &world), "", "it is off");
    side.send(ENABLE, &world);
    assert_eq!(side.send(ASK, &world), answer(0));
    handle(&mut side, 3);
    assert_eq!(side.send(ASK, &world), answer(3));
}

#[test]
fn xep0198_4_the_last_count_is_notified_before_the_end_of_the_stream() {
    let world = standards();
    let enabled = || {
        let mut side = Receiving::authenticated(&world);
        side.send(ENABLE, &world);
        handle(&mut side, 1);
        side
    };
    let mut side = enabled();
    assert_eq!(side.send("</stream:stream>", &world), answer(1) + "</stream:stream>");
    let mut side = enabled();
    let written = side.send("<message from='x@other.example' to='us.example'/>", &world);
    assert!(written.starts_with(&answer(1)), "{written}");
    assert_stream_error(&side, &written, "invalid-from");
    let mut side = enabled();
    let mut out = Out::default();
    side.machine.close(side.now, &mut out);
    assert_eq!(side.take(out), answer(1) + "</stream:stream>");
}

#[test]
fn xep0198_3_we_enable_it_where_it_is_offered_and_count_from_there() {
    let world = standards();
    let (mut side, written) = managed(&world);
    assert!(written.ends_with(ENABLE), "{written}");
    assert_eq!(sends(&mut side, 2), ASK);
    side.send("<enabled xmlns='urn:xmpp:sm:3'/>", &world);
    side.send(&answer(2), &world);
    assert_eq!(acknowledged(&side), [2]);
    assert_eq!(sends(&mut side, 3), ASK);
    assert_eq!(sends(&mut side, 1), "", "one request at a time");
    side.send(&answer(5), &world);
    side.send(&answer(6), &world);
    side.send(&answer(6), &world);
    assert_eq!(acknowledged(&side), [2, 3, 1]);
}

#[test]
fn xep0198_3_a_peer_that_refuses_after_all_gets_stanzas_without() {
    let world = standards();
    let (mut side, _) = managed(&world);
    sends(&mut side, 1);
    side.send("<failed xmlns='urn:xmpp:sm:3'/>", &world);
    assert!(side.actions.iter().any(|action| matches!(action, Action::Unmanaged)));
    assert!(!side.machine.management().sending(1));
    assert_eq!(side.pass(LIMITS.acknowledgement), "", "the request is void");
    assert!(!side.closed());
}

#[test]
fn xep0198_4_an_acknowledgement_of_what_was_not_sent_ends_the_stream() {
    let world = standards();
    let (mut side, _) = managed(&world);
    sends(&mut side, 2);
    let written = side.send(&answer(3), &world);
    assert_stream_error(&side, &written, "undefined-condition");
    for nonsense in ["<a xmlns='urn:xmpp:sm:3'/>", "<a xmlns='urn:xmpp:sm:3' h='-1'/>"] {
        let (mut side, _) = managed(&world);
        let written = side.send(nonsense, &world);
        assert_stream_error(&side, &written, "policy-violation");
    }
}

#[test]
fn xep0198_4_counters_wrap_around() {
    let world = standards();
    let (mut side, _) = managed(&world);
    sends(&mut side, u32::MAX);
    side.send(&answer(u32::MAX), &world);
    sends(&mut side, 3);
    side.send(&answer(2), &world);
    assert_eq!(acknowledged(&side), [u32::MAX, 3]);
}

#[test]
fn rfc6120_4_6_3_a_peer_that_does_not_answer_is_gone_and_one_that_is_silent_is_not() {
    let world = standards();
    let (mut side, _) = managed(&world);
    side.pass(LIMITS.acknowledgement * 10);
    assert!(!side.closed());
    sends(&mut side, 1);
    let written = side.pass(LIMITS.acknowledgement);
    assert!(matches!(side.failure(), Some(Failure::ConnectionLost(_))), "{:?}", side.actions);
    assert_stream_error(&side, &written, "connection-timeout");
}

#[test]
fn an_answer_that_acknowledges_nothing_does_not_keep_the_stream() {
    let world = standards();
    let (mut side, _) = managed(&world);
    side.send("<enabled xmlns='urn:xmpp:sm:3'/>", &world);
    assert_eq!(sends(&mut side, 2), ASK);
    side.send(&answer(0), &world);
    assert_eq!(sends(&mut side, 0), "", "the answer would be the same");
    let half = LIMITS.acknowledgement / 2;
    assert_eq!(side.pass(half), "");
    assert_eq!(sends(&mut side, 1), ASK);
    side.send(&answer(0), &world);
    let written = side.pass(half);
    assert!(matches!(side.failure(), Some(Failure::ConnectionLost(_))), "{:?}", side.actions);
    assert_stream_error(&side, &written, "connection-timeout");
}

#[test]
fn rfc6120_4_6_4_a_silent_stream_shows_a_sign_of_life_after_five_minutes_and_not_before() {
    let world = standards();
    let (mut side, _) = managed(&world);
    let moment = Duration::from_secs(1);
    let almost = LIMITS.silence.saturating_sub(moment);
    assert_eq!(side.pass(almost), "");
    assert_eq!(side.machine.deadline(), Some(side.now + moment));
    assert_eq!(side.pass(moment), " ", "the peer has not agreed to be asked");
    side.send("<enabled xmlns='urn:xmpp:sm:3'/>", &world);
    assert_eq!(side.pass(almost), "");
    side.machine.traffic(side.now);
    assert_eq!(side.pass(moment), "", "there was traffic");
    assert_eq!(side.pass(LIMITS.silence), ASK);
    side.send(&answer(0), &world);
    assert_eq!(acknowledged(&side), [] as [u32; 0]);
    assert_eq!(side.pass(LIMITS.acknowledgement), "");
    assert_eq!(side.pass(LIMITS.silence), ASK);
    side.pass(LIMITS.acknowledgement);
    assert!(matches!(side.failure(), Some(Failure::ConnectionLost(_))), "{:?}", side.actions);
}
