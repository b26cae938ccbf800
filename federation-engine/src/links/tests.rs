//! The task of a link between its attempts, without streams.

use super::*;
use crate::observe::evidence::EngineEvidence;
use crate::relay::testing::{Started, pair, relay};
use crate::route::link::Push;
use s2s_proto::pair::Pair;
use s2s_proto::reason::{ConnectReason, DnsReason};

const REQUEST: &str = "<iq type='get' id='1' from='a@local.example' to='b@peer.example'/>";
const MESSAGE: &str = "<message from='a@local.example' to='b@peer.example'/>";

/// A link to a peer on which these stanzas wait.
fn link(relay: &Relay, pair: &Pair, stanzas: &[&'static str]) -> Arc<Link> {
    let link = relay.table.link(pair, Leg::Outer);
    for stanza in stanzas {
        relay.recorder.metrics.stanzas_queued.inc();
        let pushed = link.push((*stanza).into(), Instant::now(), &relay.queue_bounds());
        assert!(matches!(pushed, Push::Queued { .. }));
    }
    link
}

fn outbound() -> Pair {
    pair("local.example", "peer.example")
}

/// How many answers wait for the backend.
fn answers(relay: &Relay, started: &Started) -> usize {
    let started = started.take();
    started.iter().map(|pair| relay.table.link(pair, Leg::Inner).drain().len()).sum()
}

fn down() -> Failure {
    Failure::Connect(vec![("198.18.0.9:5269".parse().unwrap(), ConnectReason::Refused)])
}

fn gone() -> Failure {
    Failure::Dns(DnsReason::DomainNotFound { name: "peer.example".to_owned() })
}

#[test]
fn while_a_peer_is_down_requests_come_back_and_messages_wait() {
    let (relay, started) = relay();
    let link = link(&relay, &outbound(), &[REQUEST, MESSAGE]);
    give_up(&relay, &link, down().into(), Stage::Attempt);
    assert_eq!(answers(&relay, &started), 1);
    assert_eq!(link.drain(), [MESSAGE]);
    assert_eq!(link.last_failure(), Some(down()));
}

#[test]
fn what_will_not_pass_by_itself_comes_back_at_once_and_is_evidence() {
    let (relay, started) = relay();
    let link = link(&relay, &outbound(), &[REQUEST, MESSAGE]);
    give_up(&relay, &link, gone().into(), Stage::Attempt);
    let back = answers(&relay, &started);
    assert!(link.is_empty() && back > 0, "{back}");
    let (_, EngineEvidence { peers, .. }) = relay.recorder.journal.snapshot();
    assert!(peers.iter().any(|peer| peer.domain.as_str() == "peer.example"), "{peers:?}");
}

#[test]
fn the_engines_own_ping_comes_back_to_nobody() {
    let (relay, started) = relay();
    let probe = relay.in_force.load().config.probe_domain.clone();
    let pair = Pair { from: probe, ..pair("x.example", "local.example") };
    let link = relay.table.link(&pair, Leg::Inner);
    let ping = format!("<iq type='get' id='1' from='{}' to='{}'/>", pair.from, pair.to);
    relay.recorder.metrics.stanzas_queued.inc();
    link.push(ping.into_bytes().into(), Instant::now(), &relay.queue_bounds());
    give_up(&relay, &link, down().into(), Stage::Attempt);
    assert!(link.is_empty() && started.take().is_empty());
}

#[tokio::test]
async fn the_first_attempt_starts_at_once() {
    let (relay, _) = relay();
    let link = link(&relay, &outbound(), &[MESSAGE]);
    assert!(matches!(wait_for_turn(&Life::default(), &relay, &link).await, Turn::Attempt));
}

#[tokio::test]
async fn nothing_is_attempted_for_an_empty_queue_after_a_failure() {
    let (relay, _) = relay();
    let link = link(&relay, &outbound(), &[MESSAGE]);
    give_up(&relay, &link, gone().into(), Stage::Attempt);
    assert!(matches!(wait_for_turn(&Life::default(), &relay, &link).await, Turn::Rest));
}

#[tokio::test]
async fn while_the_engine_drains_what_failed_before_comes_back_without_another_attempt() {
    let (relay, started) = relay();
    let (life, link) = (Life::default(), link(&relay, &outbound(), &[MESSAGE]));
    give_up(&relay, &link, down().into(), Stage::Attempt);
    assert_eq!(answers(&relay, &started), 0);
    life.reach(crate::engine::life::Stage::Draining);
    assert!(matches!(wait_for_turn(&life, &relay, &link).await, Turn::Rest));
    assert_eq!(answers(&relay, &started), 1);
}

#[tokio::test]
async fn the_end_of_the_engine_ends_the_wait_for_the_next_attempt() {
    let (relay, _) = relay();
    let (life, link) = (Life::default(), link(&relay, &outbound(), &[MESSAGE]));
    give_up(&relay, &link, down().into(), Stage::Attempt);
    life.shutdown.cancel();
    assert!(matches!(wait_for_turn(&life, &relay, &link).await, Turn::Shutdown));
}
