//! Tests of a link without a stream.

use super::*;
use crate::Domain;
use crate::route::pinned::READ_BUFFER;
use crate::route::pinned::testing::Alive;
use s2s_proto::reason::{ConnectReason, DnsReason};

const BOUNDS: Bounds = Bounds { bytes: 1_000, stanzas: 10, age: Duration::from_mins(1) };

fn link(stanzas: &[&'static str], now: Instant) -> Link {
    let domain = |name| Domain::parse(name).unwrap();
    let pair = Pair { from: domain("us.example"), to: domain("them.example") };
    let link = Link::new(pair, Leg::Outer, &Total::default());
    for stanza in stanzas {
        link.push(Bytes::from_static(stanza.as_bytes()), now, &BOUNDS);
    }
    link
}

#[test]
fn a_failure_that_passes_leaves_the_queue_and_its_last_cause_is_the_one_that_counts() {
    let now = Instant::now();
    let link = link(&["<a/>", "<b/>"], now);
    let lost = Failure::ConnectionLost("dialling");
    assert!(link.failed(lost, Fate::Keep, now, Duration::MAX).is_empty());
    let late = Failure::NegotiationTimedOut("the header");
    assert!(link.failed(late.clone(), Fate::Keep, now, Duration::MAX).is_empty());
    assert!(!link.try_sleep(), "stanzas wait");
    let (expired, next) = link.take_expired(now + BOUNDS.age, &BOUNDS);
    assert_eq!((expired.len(), next), (2, None));
    assert_eq!(link.last_failure(), Some(late));
    assert!(link.try_sleep());
}

#[test]
fn a_failure_that_does_not_pass_empties_the_queue() {
    let now = Instant::now();
    let link = link(&["<a/>", "<b/>"], now);
    let gone = Failure::Dns(DnsReason::DomainNotFound { name: "them.example".into() });
    assert_eq!(link.failed(gone, Fate::Bounce, now, Duration::MAX), ["<a/>", "<b/>"]);
    assert!(link.try_sleep());
}

const REQUEST: &str = "<iq type='get' id='1' from='us.example' to='them.example'/>";

fn refused() -> Failure {
    Failure::Connect(vec![("198.18.0.9:5269".parse().unwrap(), ConnectReason::Refused)])
}

#[test]
fn a_failed_attempt_answers_whoever_waits_for_an_answer_and_keeps_the_rest() {
    let now = Instant::now();
    let link = link(&["<message/>", REQUEST, "<presence/>"], now);
    assert_eq!(link.failed(refused(), Fate::FailFast, now, Duration::MAX), [REQUEST]);
    assert_eq!(link.drain(), ["<message/>", "<presence/>"]);
}

#[test]
fn during_the_back_off_requests_are_answered_at_once_and_messages_wait() {
    let now = Instant::now();
    let link = link(&[], now);
    while link.not_before().is_none_or(|at| at <= now + FAILURE_REPEAT_TIME) {
        link.failed(refused(), Fate::FailFast, now, Duration::MAX);
    }
    let push = |text: &'static str, at| link.push(Bytes::from_static(text.as_bytes()), at, &BOUNDS);
    let late = now + FAILURE_REPEAT_TIME.checked_sub(Duration::from_millis(1)).unwrap();
    for at in [now, late] {
        let reported = Push::Unreachable { stanza: REQUEST.into(), cause: refused() };
        assert_eq!(push(REQUEST, at), reported);
    }
    assert_eq!(push("<message/>", now), Push::Queued { start: false });
    assert!(link.not_before().is_some());
    // A result that is half a minute old is checked once more.
    assert_eq!(push(REQUEST, now + FAILURE_REPEAT_TIME), Push::Queued { start: false });
    assert_eq!(link.not_before(), None);
}

#[test]
fn the_next_attempt_is_never_later_than_the_longest_pause_and_at_once_after_success() {
    let now = Instant::now();
    let link = link(&["<a/>"], now);
    let longest = Duration::from_secs(5);
    for _ in 0..50 {
        link.failed(Failure::DialbackTimedOut, Fate::Keep, now, longest);
        assert!(link.not_before().unwrap() <= now + longest);
    }
    link.established(&Arc::default());
    assert_eq!((link.not_before(), link.last_failure()), (None, None));
}

#[test]
fn what_waits_for_a_stream_is_copied_out_of_its_buffer_at_once() {
    let (now, alive) = (Instant::now(), Alive::default());
    let link = link(&[], now);
    link.push(alive.buffer().slice(..100), now, &BOUNDS);
    assert_eq!(alive.bytes(), 0);
    link.established(&Arc::default());
    link.push(alive.buffer().slice(..100), now, &BOUNDS);
    assert_eq!(alive.bytes(), READ_BUFFER, "the stream may take it at once");
}

#[test]
fn senders_wait_for_room_until_an_attempt_has_failed() {
    let now = Instant::now();
    let link = link(&["<a/>"], now);
    let tight = Bounds { stanzas: 1, ..BOUNDS };
    let flowing = || match link.push(Bytes::from_static(b"<b/>"), now, &tight) {
        Push::Full { flowing, .. } => flowing,
        other => panic!("{other:?}"),
    };
    assert!(flowing(), "the first stream is being opened");
    link.established(&Arc::default());
    assert!(flowing());
    link.reconnecting();
    assert!(flowing());
    link.failed(Failure::DialbackTimedOut, Fate::Keep, now, Duration::MAX);
    assert!(!flowing());
}

#[test]
fn answers_stay_when_no_attempt_is_made_for_anything_else() {
    let now = Instant::now();
    let link = link(&["<a/>"], now);
    link.push_answer(Bytes::from_static(b"<b/>"), now);
    link.push(Bytes::from_static(b"<c/>"), now, &BOUNDS);
    assert_eq!(link.drain_relayed(), ["<a/>", "<c/>"]);
    assert!(!link.try_sleep());
    let mut taken = Vec::new();
    link.take(usize::MAX, 1, &mut taken);
    taken[0].was_sent = true;
    link.put_back(&mut taken);
    assert!(link.drain_sent().is_empty());
    assert_eq!(link.drain(), ["<b/>"]);
}

#[tokio::test]
async fn whoever_waits_until_answers_are_taken_is_woken_whether_they_are_sent_or_grow_old() {
    let now = Instant::now();
    let link = link(&[], now);
    let tight = Bounds { stanzas: 1, ..BOUNDS };
    let is_full = || link.is_full_of_answers(|| tight);
    assert!(!is_full());
    let (old, mut taken) = (now + BOUNDS.age, Vec::new());
    let take: [&mut dyn FnMut(); 3] = [
        &mut || assert_eq!(link.take(usize::MAX, 1, &mut taken), 1),
        &mut || assert_eq!(link.take_expired(old, &tight).0.len(), 1),
        &mut || assert_eq!(link.drain().len(), 1),
    ];
    for take in take {
        link.push_answer(Bytes::from_static(b"<a/>"), now);
        assert!(is_full());
        let waiting = link.wait_for_room_for_answers(&tight);
        tokio::pin!(waiting);
        assert!(is_pending(waiting.as_mut()).await);
        take();
        waiting.await;
        assert!(!is_full());
    }
    link.put_back(&mut taken);
    assert!(is_full(), "what comes back from a stream counts again");
}

/// Whether a future is pending.
async fn is_pending(future: std::pin::Pin<&mut impl Future<Output = ()>>) -> bool {
    let mut future = Some(future);
    std::future::poll_fn(move |context| {
        let pending = future.take().is_some_and(|future| future.poll(context).is_pending());
        std::task::Poll::Ready(pending)
    })
    .await
}

#[test]
fn pauses_grow_until_a_stream_was_of_use() {
    let now = Instant::now();
    let link = link(&["<a/>"], now);
    let failures = || link.state().backoff.failures();
    for expected in 1..4 {
        link.established(&Arc::default());
        link.failed(Failure::ConnectionLost("x"), Fate::Keep, now, Duration::MAX);
        assert_eq!(failures(), expected);
    }
    link.established(&Arc::default());
    link.reconnecting();
    assert_eq!(failures(), 0);
}

#[test]
fn a_peer_that_is_back_ends_the_back_off_but_does_not_set_the_pace() {
    let now = Instant::now();
    let link = link(&["<a/>"], now);
    for _ in 0..8 {
        link.failed(Failure::DialbackTimedOut, Fate::Keep, now, Duration::MAX);
    }
    assert!(link.not_before().is_some());
    link.peer_is_back(now);
    assert_eq!(link.not_before(), None);
    link.failed(Failure::DialbackTimedOut, Fate::Keep, now, Duration::MAX);
    let paused = link.not_before();
    link.peer_is_back(now + Duration::from_millis(999));
    assert_eq!(link.not_before(), paused);
    link.peer_is_back(now + SIGN_OF_LIFE_INTERVAL);
    assert_eq!(link.not_before(), None);
}

#[tokio::test]
async fn whoever_waits_for_the_end_of_the_back_off_is_woken() {
    let now = Instant::now();
    let link = link(&["<a/>"], now);
    link.failed(Failure::DialbackTimedOut, Fate::Keep, now, Duration::MAX);
    let hurried = link.hurried();
    link.peer_is_back(now);
    hurried.await;
}

#[test]
fn another_configuration_is_tried_at_once() {
    let now = Instant::now();
    let link = link(&["<a/>"], now);
    link.failed(Failure::BlockedByLocalPolicy, Fate::Bounce, now, Duration::MAX);
    link.forgive();
    assert_eq!((link.not_before(), link.last_failure()), (None, None));
}
