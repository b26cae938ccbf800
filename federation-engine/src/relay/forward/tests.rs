//! Tests of the destinations of stanzas, without a stream.

use super::*;
use crate::relay::testing::{Started, pair, relay};

fn message(from: &str, to: &str) -> Element {
    let text = format!("<message from='{from}' to='{to}'><body>b</body></message>");
    Element::parse(text.as_bytes()).unwrap()
}

/// Forwards one stanza that came in by `leg`, which must not pause its stream.
fn forward(relay: &Arc<Relay>, leg: Leg, stanza: &Element) -> Pair {
    let pair = Pair::of(stanza).unwrap();
    let mut forwarder = Forwarder::new(Arc::clone(relay), leg);
    assert!(forwarder.forward(stanza, &pair, None, Instant::now()).is_none());
    pair
}

/// The stanzas that wait on the link of a pair.
fn queued(relay: &Relay, pair: &Pair, leg: Leg) -> Vec<String> {
    let stanzas = relay.table.link(pair, leg).drain();
    stanzas.iter().map(|stanza| String::from_utf8(stanza.to_vec()).unwrap()).collect()
}

/// The only answer that waits for the sender of `pair`.
fn answer(relay: &Relay, started: &Started, pair: &Pair, leg: Leg) -> String {
    assert_eq!(started.take(), [pair.reversed()]);
    let mut answers = queued(relay, &pair.reversed(), leg);
    assert_eq!(answers.len(), 1, "{answers:?}");
    answers.remove(0)
}

#[test]
fn a_stanza_goes_to_the_other_leg_and_starts_its_link_once() {
    let (relay, started) = relay();
    let inbound = message("romeo@peer.example", "juliet@local.example");
    let pair = forward(&relay, Leg::Outer, &inbound);
    forward(&relay, Leg::Outer, &inbound);
    assert_eq!(started.take(), std::slice::from_ref(&pair));
    assert_eq!(queued(&relay, &pair, Leg::Inner).len(), 2);

    let outbound = message("juliet@local.example", "romeo@peer.example");
    let pair = forward(&relay, Leg::Inner, &outbound);
    assert_eq!(queued(&relay, &pair, Leg::Outer).len(), 1);
}

#[test]
fn a_denied_pair_is_refused_and_its_sender_is_notified_on_the_leg_that_it_came_from() {
    let (relay, started) = relay();
    let outbound = message("juliet@local.example", "x@denied.example");
    let pair = forward(&relay, Leg::Inner, &outbound);
    assert!(answer(&relay, &started, &pair, Leg::Inner).contains("<not-allowed"));
    assert_eq!(relay.recorder.metrics.stanzas_refused.get(Refusal::PolicyDenied), 1);
    assert!(queued(&relay, &pair, Leg::Outer).is_empty());
}

#[test]
fn a_domain_without_a_backend_is_answered_for() {
    let (relay, started) = relay();
    let stanza = message("romeo@peer.example", "x@alone.example");
    let pair = forward(&relay, Leg::Outer, &stanza);
    assert!(answer(&relay, &started, &pair, Leg::Outer).contains("<service-unavailable"));
    assert_eq!(relay.recorder.metrics.stanzas_answered.get(), 1);
}

#[test]
fn a_domain_that_is_not_configured_any_more_is_not_found() {
    let (relay, started) = relay();
    let stanza = message("romeo@peer.example", "x@gone.example");
    let pair = forward(&relay, Leg::Outer, &stanza);
    assert!(answer(&relay, &started, &pair, Leg::Outer).contains("<item-not-found"));
}

#[test]
fn a_full_queue_holds_the_stream_up_until_there_is_room() {
    let (relay, started) = relay();
    let stanza = message("romeo@peer.example", "juliet@local.example");
    let pair = Pair::of(&stanza).unwrap();
    let mut forwarder = Forwarder::new(Arc::clone(&relay), Leg::Outer);
    let now = Instant::now();
    let mut forward = || forwarder.forward(&stanza, &pair, None, now);
    assert!(forward().is_none() && forward().is_none());
    let held = forward().unwrap();
    assert!(held.is_stanza());
    assert_eq!(relay.recorder.metrics.stanzas_queued.get(), 3, "the one that is held counts");

    let held = held.retry(&relay, now).unwrap();
    assert_eq!(queued(&relay, &pair, Leg::Inner).len(), 2);
    assert!(held.retry(&relay, now).is_none());
    assert_eq!(queued(&relay, &pair, Leg::Inner).len(), 1);
    assert_eq!(started.take(), [pair]);
}

#[test]
fn what_is_held_when_the_engine_ends_is_answered_with_an_error() {
    let (relay, started) = relay();
    let stanza = message("romeo@peer.example", "juliet@local.example");
    let pair = Pair::of(&stanza).unwrap();
    let mut forwarder = Forwarder::new(Arc::clone(&relay), Leg::Outer);
    let now = Instant::now();
    let mut forward = || forwarder.forward(&stanza, &pair, None, now);
    assert!(forward().is_none() && forward().is_none());
    let held = forward().unwrap();
    started.take();
    relay.bouncing.cancel();
    assert!(held.retry(&relay, now).is_none());
    assert!(answer(&relay, &started, &pair, Leg::Outer).contains("type='error'"));
    assert_eq!(queued(&relay, &pair, Leg::Inner).len(), 2);
}

#[test]
fn rfc6120_8_3_1_an_error_that_cannot_be_delivered_is_not_answered() {
    let (relay, started) = relay();
    let error = "<message type='error' from='x@local.example' to='romeo@peer.example'/>";
    relay.recorder.metrics.stanzas_queued.inc();
    relay.bounce_all(vec![error.into()], Leg::Outer, &Failure::ShuttingDown);
    assert!(started.take().is_empty());
    let pair = pair("local.example", "peer.example");
    assert!(queued(&relay, &pair.reversed(), Leg::Inner).is_empty());
    assert_eq!(relay.recorder.metrics.stanzas_queued.get(), 0);
}
