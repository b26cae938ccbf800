//! Tests of the stanzas that a stream sends, without a connection below it.

use super::*;
use crate::relay::testing::{pair, relay};

/// A stream of the inner leg that carries one link, the output of its connection, and what it acknowledges.
struct Stream {
    relay: Arc<Relay>,
    link: Arc<Link>,
    outlet: Outlet,
    management: Management,
    output: BytesMut,
}

fn stream() -> Stream {
    let (relay, _) = relay();
    let link = relay.table.link(&pair("peer.example", "local.example"), Leg::Inner);
    let mut outlet = Outlet::new(Leg::Inner);
    outlet.carry(Arc::clone(&link), None);
    Stream { relay, link, outlet, management: Management::default(), output: BytesMut::new() }
}

impl Stream {
    fn queue(&self, stanza: &str) {
        self.relay.recorder.metrics.stanzas_queued.inc();
        let stanza = stanza.as_bytes().to_vec().into();
        self.link.push(stanza, Instant::now(), &self.relay.queue_bounds());
    }

    fn fill(&mut self, limits: &StreamLimits) -> String {
        let Self { relay, outlet, management, output, .. } = self;
        outlet.fill(relay, limits, management, output);
        String::from_utf8(output.split().to_vec()).unwrap()
    }
}

const FIRST: &str = "<message from='a@peer.example' to='b@local.example' id='1'/>";
const SECOND: &str = "<message from='a@peer.example' to='b@local.example' id='2'/>";

const THIRD: &str = "<message from='a@peer.example' to='b@local.example' id='3'/>";

#[test]
fn stanzas_leave_in_their_order_and_count_as_relayed_once_tcp_has_them() {
    let mut stream = stream();
    stream.queue(FIRST);
    stream.queue(SECOND);
    assert_eq!(stream.fill(&StreamLimits::default()), format!("{FIRST}{SECOND}"));
    let metrics = &stream.relay.recorder.metrics;
    assert_eq!((metrics.stanzas_relayed.get(Leg::Inner), metrics.stanzas_queued.get()), (0, 2));
    assert!(!stream.outlet.is_confirmed());

    let end = (FIRST.len() + SECOND.len()) as u64;
    stream.outlet.written(Some(Span { start: 0, end }), &stream.relay);
    stream.outlet.received(Some(end), &stream.relay);
    assert!(stream.outlet.is_idle());
    assert_eq!((metrics.stanzas_relayed.get(Leg::Inner), metrics.stanzas_queued.get()), (2, 0));
}

#[test]
fn what_is_not_acknowledged_when_the_stream_breaks_goes_back_before_what_still_waits() {
    let mut stream = stream();
    let (first, both) = (FIRST.len() as u64, (FIRST.len() + SECOND.len()) as u64);
    for (stanza, start, end) in [(FIRST, 0, first), (SECOND, first, both)] {
        stream.queue(stanza);
        stream.fill(&StreamLimits::default());
        stream.outlet.written(Some(Span { start, end }), &stream.relay);
    }
    stream.queue(THIRD);
    stream.outlet.received(Some(first), &stream.relay);
    let broken = Failure::ConnectionLost("sending");
    let end = stream.outlet.release(&stream.relay, Some(&broken), false).unwrap();
    assert_eq!(end.failure, Some(broken));
    assert!(end.useful && !end.at_stanza);
    assert_eq!(stream.link.drain(), [SECOND, THIRD]);
}

#[test]
fn xep0478_4_a_stanza_that_the_receiver_does_not_accept_is_refused_and_the_rest_goes_on() {
    let mut stream = stream();
    let large = FIRST.replace("id='1'", &format!("id='{}'", "1".repeat(20_000)));
    stream.queue(&large);
    stream.queue(SECOND);
    let limits = StreamLimits { max_bytes: Some(10_000), ..StreamLimits::default() };
    assert_eq!(stream.fill(&limits), SECOND);
    let metrics = &stream.relay.recorder.metrics;
    assert_eq!(metrics.stanzas_refused.get(s2s_proto::reason::Refusal::TooLarge), 1);
    let answers = stream.relay.table.link(&stream.link.pair.reversed(), Leg::Outer).drain();
    assert!(
        answers.iter().any(|answer| answer.windows(16).any(|part| part == b"policy-violation"))
    );
}

#[test]
fn rfc6120_4_8_3_a_component_gets_stanzas_in_its_own_namespace() {
    let mut stream = stream();
    stream.outlet.for_component();
    let declared = FIRST.replace("<message", "<message xmlns='jabber:server'");
    stream.queue(&declared);
    stream.queue(SECOND);
    let expected = declared.replace("jabber:server", "jabber:component:accept") + SECOND;
    assert_eq!(stream.fill(&StreamLimits::default()), expected);
    // What comes back is as it was queued.
    let Stream { relay, link, outlet, .. } = stream;
    outlet.release(&relay, None, false);
    assert_eq!(link.drain(), [declared.as_bytes(), SECOND.as_bytes()]);
}

#[test]
fn a_link_leaves_a_stream_once_its_stanzas_are_confirmed_and_others_stay() {
    let mut stream = stream();
    stream.outlet.for_component();
    let other = stream.relay.table.link(&pair("other.example", "local.example"), Leg::Inner);
    let (end, mut ended) = oneshot::channel();
    stream.outlet.carry(Arc::clone(&other), Some(end));
    stream.queue(FIRST);
    stream.relay.recorder.metrics.stanzas_queued.inc();
    other.push(SECOND.into(), Instant::now(), &stream.relay.queue_bounds());
    assert_eq!(stream.fill(&StreamLimits::default()), format!("{FIRST}{SECOND}"));

    stream.outlet.let_go(|pair| pair.from.as_str() == "other.example");
    other.push(THIRD.into(), Instant::now(), &stream.relay.queue_bounds());
    assert_eq!(stream.fill(&StreamLimits::default()), "", "a leaving link sends no more");
    assert!(ended.try_recv().is_err(), "its stanza may still come back");
    let bytes = (FIRST.len() + SECOND.len()) as u64;
    stream.outlet.written(Some(Span { start: 0, end: bytes }), &stream.relay);
    stream.outlet.received(Some(bytes), &stream.relay);
    let end = ended.try_recv().unwrap();
    assert!(end.useful && end.failure.is_none());
    assert_eq!(other.drain(), [THIRD.as_bytes()]);
    stream.queue(FIRST);
    assert_eq!(stream.fill(&StreamLimits::default()), FIRST, "the other link stays");
}

#[test]
fn links_without_stanzas_leave_the_stream_of_a_component() {
    let mut stream = stream();
    stream.outlet.for_component();
    let idle = stream.relay.table.link(&pair("other.example", "local.example"), Leg::Inner);
    let (end, mut ended) = oneshot::channel();
    stream.outlet.carry(idle, Some(end));
    stream.outlet.let_idle_go();
    assert!(ended.try_recv().is_err(), "it was added since the last look");
    stream.queue(FIRST);
    stream.fill(&StreamLimits::default());
    stream.outlet.let_idle_go();
    assert!(ended.try_recv().is_ok());
    assert_eq!(stream.outlet.carried.len(), 1, "the link with stanzas stays");
}
