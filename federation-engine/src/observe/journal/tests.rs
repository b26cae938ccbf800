use std::net::{IpAddr, Ipv4Addr};

use crds::word::Word;
use s2s_proto::reason::Step;

use super::*;
use crate::observe::evidence::{
    BackendOutcome, BackendServer, ContactKind, InboundKind, MAX_ANSWERS, MAX_ATTEMPTS,
    MAX_CONTACTS, MAX_INBOUND, MAX_LOCALS, MAX_PEER_REFUSALS, MAX_PEERS, MAX_REFUSALS,
};

fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

fn observation(kind: InboundKind, peer: &str, second: i64) -> InboundObservation {
    InboundObservation {
        kind,
        peer: domain(peer),
        local: domain("local.example"),
        source: IpAddr::V4(Ipv4Addr::new(198, 18, 0, 7)),
        at: at(second),
    }
}

fn attempt(reason: &str, second: i64) -> Attempt {
    Attempt {
        at: at(second),
        step: Step::Tcp,
        reason: reason.into(),
        message: "connection refused".to_owned(),
        address: None,
        tls: None,
    }
}

fn stream(connected: bool, second: i64) -> PeerStream {
    PeerStream {
        connected,
        step: Step::Established,
        reason: Word::Connected,
        message: String::new(),
        address: None,
        tls: None,
        authentication: None,
        authenticated_by: None,
        since: at(second),
    }
}

fn refusal(peer: Option<&str>, source: [u8; 4], message: &str, second: i64) -> InboundRefusal {
    InboundRefusal {
        peer: peer.map(domain),
        local: Some(domain("local.example")),
        source: IpAddr::V4(Ipv4Addr::from(source)),
        reason: Word::CertificateUntrusted,
        message: message.to_owned(),
        count: 1,
        at: at(second),
    }
}

fn journal() -> Journal {
    let journal = Journal::new("0.0.0");
    journal.configured("h1", [&domain("local.example")], [&domain("named.example")], at(0));
    journal
}

/// The revisions that a list of writes makes.
fn revisions(journal: &Journal, write: impl FnOnce(&Journal)) -> u64 {
    let before = journal.snapshot().0;
    write(journal);
    journal.snapshot().0 - before
}

#[test]
fn what_is_new_makes_a_revision_and_a_newer_time_only_once_a_minute() {
    let journal = journal();
    let seen = |second| observation(InboundKind::StreamAuthenticated, "peer.example", second);
    assert_eq!(revisions(&journal, |j| j.inbound(seen(1))), 1);
    assert_eq!(revisions(&journal, |j| (2..61).for_each(|second| j.inbound(seen(second)))), 0);
    assert_eq!(journal.snapshot().1.inbound[0].at, at(60), "the newest time is kept all the same");
    assert_eq!(revisions(&journal, |j| j.inbound(seen(61))), 1);
    assert_eq!(revisions(&journal, |j| j.inbound(seen(62))), 0);
    let elsewhere = InboundObservation { source: IpAddr::V4(Ipv4Addr::LOCALHOST), ..seen(63) };
    assert_eq!(revisions(&journal, |j| j.inbound(elsewhere)), 1);
}

#[test]
fn a_stream_in_the_same_state_keeps_its_since() {
    let journal = journal();
    let peer = domain("peer.example");
    assert_eq!(
        revisions(&journal, |j| j.peer_outbound(&peer, &domain("local.example"), stream(true, 1))),
        1
    );
    assert_eq!(
        revisions(&journal, |j| j.peer_outbound(
            &peer,
            &domain("local.example"),
            stream(true, 500)
        )),
        0
    );
    assert_eq!(revisions(&journal, |j| j.peer_inbound(&peer, stream(true, 501))), 1);
    assert_eq!(
        revisions(&journal, |j| j.peer_outbound(
            &peer,
            &domain("local.example"),
            stream(false, 502)
        )),
        1
    );
    let evidence = journal.snapshot().1;
    let record = evidence.peers.iter().find(|record| record.domain == peer).unwrap();
    assert_eq!(record.outbound.as_ref().unwrap().since, at(502));
    assert_eq!(record.inbound.as_ref().unwrap().since, at(501));
}

#[test]
fn the_state_of_another_local_domain_is_kept_where_it_differs_and_an_open_stream_comes_first() {
    let journal = journal();
    let peer = domain("named.example");
    let record = || journal.snapshot().1.peers.into_iter().find(|p| p.domain == peer).unwrap();
    let failed = |second| PeerStream { reason: "HostUnknown".into(), ..stream(false, second) };
    journal.peer_outbound(&peer, &domain("a.example"), stream(true, 1));
    journal.peer_outbound(&peer, &domain("b.example"), stream(true, 2));
    assert_eq!((record().local, record().others), (Some(domain("a.example")), Vec::new()));
    journal.peer_outbound(&peer, &domain("a.example"), failed(3));
    assert_eq!(record().local, Some(domain("b.example")));
    let others = record().others;
    assert_eq!((others.len(), &others[0].local), (1, &domain("a.example")));
    assert_eq!(others[0].stream.reason, Word::HostUnknown);
    for number in 0..100 {
        journal.peer_outbound(&peer, &domain(&format!("d{number}.example")), failed(4 + number));
    }
    assert!(record().others.len() < MAX_LOCALS);
    // Domains that are gone are forgotten.
    journal.configured("h2", [&domain("a.example")], [&peer], at(200));
    assert!(record().others.is_empty());
}

#[test]
fn a_third_attempt_alike_is_no_news_and_only_the_last_ones_are_kept() {
    let journal = journal();
    let peer = domain("peer.example");
    let tried = |reason: &'static str, second| {
        revisions(&journal, |j| j.attempt(&peer, attempt(reason, second)))
    };
    let news: Vec<_> = (1..=4).map(|second| tried("ConnectRefused", second)).collect();
    assert_eq!(news, [1, 1, 0, 0]);
    assert_eq!(tried("ConnectTimedOut", 5), 1);
    for second in 6..40 {
        journal.attempt(&peer, attempt("ConnectRefused", second));
    }
    let evidence = journal.snapshot().1;
    let record = evidence.peers.iter().find(|record| record.domain == peer).unwrap();
    assert_eq!(record.attempts.len(), MAX_ATTEMPTS);
    assert_eq!(record.attempts.last().unwrap().at, at(39));
}

#[test]
fn a_hundred_thousand_strangers_push_out_neither_configured_nor_connected_peers() {
    let journal = journal();
    let connected = domain("connected.example");
    journal.peer_inbound(&connected, stream(true, 1));
    journal.inbound(observation(InboundKind::StreamAuthenticated, "peer.example", 2));
    for number in 0..100_000 {
        let name = format!("stranger{number}.example");
        let second = 3 + i64::from(number);
        journal.attempt(&domain(&name), attempt("ConnectRefused", second));
        journal.inbound(observation(InboundKind::StreamOpened, &name, second));
    }
    let evidence = journal.snapshot().1;
    assert!(evidence.peers.len() <= MAX_PEERS && evidence.inbound.len() <= MAX_INBOUND);
    assert!(evidence.peers.len() > MAX_PEERS / 2 && evidence.inbound.len() > MAX_INBOUND / 2);
    assert_eq!(evidence.peers[0].domain, domain("named.example"));
    let has = |name: &str| evidence.peers.iter().any(|record| record.domain == domain(name));
    assert!(has("connected.example") && has("stranger99999.example"));
    assert!(!has("stranger0.example"));
    assert_eq!(evidence.inbound[0].peer, domain("peer.example"));
}

#[test]
fn strong_observations_are_never_given_up_for_a_weak_one() {
    let journal = journal();
    for number in 0..MAX_INBOUND {
        let name = format!("peer{number}.example");
        journal.inbound(observation(InboundKind::StreamAuthenticated, &name, 1));
    }
    let weak = observation(InboundKind::StreamOpened, "stranger.example", 2);
    assert_eq!(revisions(&journal, |j| j.inbound(weak)), 0);
    let strong = observation(InboundKind::StreamAuthenticated, "new.example", 2);
    assert_eq!(revisions(&journal, |j| j.inbound(strong)), 1);
    assert!(journal.snapshot().1.inbound.len() <= MAX_INBOUND);
}

fn answer(ping: &str) -> BackendAnswer {
    BackendAnswer { domain: domain("local.example"), ping: ping.to_owned() }
}

#[test]
fn answers_to_other_replicas_are_kept_once_and_bounded() {
    let journal = journal();
    assert_eq!(revisions(&journal, |j| j.backend_answer(answer("a"), at(1))), 1);
    assert_eq!(revisions(&journal, |j| j.backend_answer(answer("a"), at(2))), 0);
    assert_eq!(revisions(&journal, |j| j.backend_answer(answer(&"x".repeat(65)), at(2))), 0);
    for ping in 0..2 * MAX_ANSWERS {
        journal.backend_answer(answer(&ping.to_string()), at(3));
    }
    let answers = journal.snapshot().1.answers;
    assert_eq!(answers.len(), MAX_ANSWERS);
    assert_eq!(answers.last(), Some(&answer(&(2 * MAX_ANSWERS - 1).to_string())), "newest last");
}

#[test]
fn the_server_behind_a_domain_is_known_while_its_round_trips_succeed() {
    let journal = journal();
    let local = domain("local.example");
    let server = BackendServer {
        backend: "im".to_owned(),
        domain: local.clone(),
        name: "Prosody".to_owned(),
        version: Some("0.12.3".to_owned()),
    };
    let trip = |outcome| BackendRoundTrip {
        backend: "im".to_owned(),
        domain: local.clone(),
        outcome,
        detail: String::new(),
        ping: "1".to_owned(),
        at: at(1),
    };
    let tell = |found: Option<&BackendServer>| {
        revisions(&journal, |j| j.backend_server(&local, found, at(1)))
    };
    assert_eq!((tell(Some(&server)), tell(Some(&server))), (1, 0));
    journal.backend(trip(BackendOutcome::RoundTripSeen));
    assert_eq!(journal.snapshot().1.servers, std::slice::from_ref(&server));
    journal.backend(trip(BackendOutcome::ConnectRefused));
    assert_eq!(journal.snapshot().1.servers, [], "another server may be there next");
    assert_eq!((tell(Some(&server)), tell(None), tell(None)), (1, 1, 0));
    tell(Some(&server));
    journal.configured("h2", [&domain("other.example")], [], at(2));
    assert_eq!(journal.snapshot().1.servers, []);
}

#[test]
fn a_new_configuration_drops_what_is_about_domains_that_are_gone() {
    let journal = journal();
    journal.backend(BackendRoundTrip {
        backend: "im".to_owned(),
        domain: domain("local.example"),
        outcome: BackendOutcome::RoundTripSeen,
        detail: "é".repeat(1000),
        ping: "1".to_owned(),
        at: at(1),
    });
    journal.inbound(observation(InboundKind::StreamOpened, "peer.example", 1));
    journal.backend_answer(answer("a"), at(1));
    let detail = journal.snapshot().1.backends[0].detail.clone();
    assert!(detail.len() < 600 && detail.ends_with('…'), "remote text is bounded");

    journal.configured("h2", [&domain("other.example")], [&domain("second.example")], at(2));
    let evidence = journal.snapshot().1;
    assert!(evidence.backends.is_empty() && evidence.inbound.is_empty());
    assert!(evidence.answers.is_empty());
    let configured: Vec<_> =
        evidence.peers.iter().map(|record| (record.domain.as_str(), record.configured)).collect();
    assert_eq!(configured, [("second.example", true), ("named.example", false)]);
    assert_eq!(revisions(&journal, |j| j.configured("h2", [], [], at(3))), 0);
}

#[test]
fn a_peer_that_is_removed_and_added_again_shows_nothing_from_before_but_its_open_streams() {
    let journal = journal();
    let peer = domain("named.example");
    let failed = PeerStream { reason: Word::ConnectRefused, ..stream(false, 1) };
    journal.peer_outbound(&peer, &domain("local.example"), failed);
    journal.peer_outbound(&peer, &domain("chat.local.example"), stream(true, 1));
    journal.peer_inbound(&peer, stream(false, 1));
    journal.attempt(&peer, attempt("ConnectRefused", 1));
    journal.refused(refusal(Some("named.example"), SOURCE, "no TLS", 1));
    let locals = [domain("local.example"), domain("chat.local.example")];
    // Other settings change nothing.
    journal.configured("h2", &locals, [&peer], at(2));
    assert_eq!(journal.snapshot().1.peers[0].attempts.len(), 1);
    journal.configured("h3", &locals, [], at(3));
    journal.configured("h4", &locals, [&peer], at(4));
    let evidence = journal.snapshot().1;
    let record = &evidence.peers[0];
    assert_eq!(record.outbound, Some(stream(true, 1)));
    assert!(record.others.is_empty() && record.inbound.is_none(), "{record:?}");
    assert!(record.attempts.is_empty() && record.refusals.is_empty(), "{record:?}");
}

const SOURCE: [u8; 4] = [198, 18, 7, 1];

#[test]
fn a_refusal_is_kept_with_a_known_peer_until_that_one_is_connected() {
    let journal = journal();
    let of = |name: &str| {
        let evidence = journal.snapshot().1;
        let record = evidence.peers.iter().find(|record| record.domain == domain(name));
        record.map(|record| record.refusals.clone()).unwrap_or_default()
    };
    let named = |message: &str, second| refusal(Some("named.example"), SOURCE, message, second);
    journal.refused(named(&"é".repeat(1000), 1));
    journal.refused(named("no TLS", 2));
    journal.refused(named("no TLS", 3));
    let kept = of("named.example");
    assert_eq!(kept.len(), 1, "one for each source: {kept:?}");
    assert_eq!((&*kept[0].message, kept[0].count, kept[0].at), ("no TLS", 2, at(3)));
    for source in 0..20 {
        journal.refused(refusal(Some("named.example"), [198, 18, source, 1], &"x".repeat(9000), 4));
    }
    let kept = of("named.example");
    assert!(kept.len() == MAX_PEER_REFUSALS && kept.iter().all(|one| one.message.len() < 600));

    journal.peer_inbound(&domain("named.example"), stream(true, 5));
    assert!(of("named.example").is_empty(), "it has authenticated itself since");
    journal.refused(named("somebody else under its name", 6));
    assert!(of("named.example").is_empty(), "its record is left alone while it is connected");
    let common = journal.snapshot().1.refusals;
    assert_eq!(common.last().unwrap().message, "somebody else under its name");
    journal.peer_inbound(&domain("named.example"), stream(false, 7));
    journal.refused(named("no TLS", 8));
    assert_eq!(of("named.example").len(), 1);
    let record = &journal.snapshot().1.peers[0];
    assert_eq!(record.inbound, Some(stream(false, 7)), "what was authenticated stays as it was");
}

#[test]
fn a_hundred_thousand_refused_strangers_cost_no_memory_and_make_no_news() {
    let journal = journal();
    journal.refused(refusal(None, SOURCE, "not XML", 0));
    journal.attempt(&domain("touched.example"), attempt("ConnectRefused", 0));
    let peers = journal.snapshot().1.peers;
    let news = revisions(&journal, |j| {
        for number in 0..100_000_u32 {
            let [_, a, b, c] = number.to_be_bytes();
            let name = format!("stranger{number}.example");
            // 100 s in all.
            j.refused(refusal(Some(&name), [10, a, b, c], &name, i64::from(number / 1000)));
        }
    });
    assert!(news <= 2, "{news}");
    let evidence = journal.snapshot().1;
    assert_eq!(evidence.refusals.len(), MAX_REFUSALS);
    assert_eq!(evidence.refusals.last().unwrap().peer, Some(domain("stranger99999.example")));
    assert_eq!(evidence.peers, peers, "strangers get no record and keep none alive");
}

#[test]
fn one_source_does_not_push_out_what_others_did() {
    let journal = journal();
    journal.refused(refusal(Some("other.example"), [198, 18, 8, 1], "no TLS", 1));
    for number in 0..1000 {
        let name = format!("stranger{number}.example");
        let source = [198, 18, 7, u8::try_from(number % 250).unwrap()];
        journal.refused(refusal(Some(&name), source, "no TLS", 2));
    }
    let kept = journal.snapshot().1.refusals;
    assert!(kept.len() <= 5, "{kept:?}");
    assert_eq!(kept[0].peer, Some(domain("other.example")));
}

#[test]
fn what_strangers_cause_waits_for_the_end_of_a_readers_time() {
    let journal = journal();
    let name = "peer.example";
    assert_eq!(
        revisions(&journal, |j| j.refused(refusal(Some("a.example"), SOURCE, "no TLS", 1))),
        0
    );
    assert!(journal.settle(at(2)), "news for a reader that has waited");
    assert!(!journal.settle(at(3)));
    journal.refused(refusal(Some("a.example"), SOURCE, "no TLS", 4));
    assert!(!journal.settle(at(5)), "the same once more is no news");
    journal.refused(refusal(Some("a.example"), SOURCE, "another cause", 6));
    assert_eq!(
        revisions(&journal, |j| j.inbound(observation(InboundKind::StreamOpened, name, 7))),
        1
    );
    assert!(!journal.settle(at(8)), "it went out with other news");
    let opened = |second| observation(InboundKind::StreamOpened, "stranger.example", second);
    assert_eq!(revisions(&journal, |j| j.inbound(opened(9))), 0, "another unproven name");
    assert!(journal.settle(at(10)));
    let minute = REFRESH_INTERVAL.as_secs();
    let late = refusal(Some("b.example"), SOURCE, "no TLS", 10 + minute);
    assert_eq!(revisions(&journal, |j| j.refused(late)), 1, "after a quiet minute it goes at once");
}

#[tokio::test]
async fn a_reader_that_waits_is_woken_by_news() {
    let journal = journal();
    let mut reader = journal.subscribe();
    reader.mark_unchanged();
    journal.problems(Vec::new(), at(1));
    assert!(!reader.has_changed().unwrap());
    journal.problems(
        vec![LoadError {
            place: "tls.crt".to_owned(),
            message: "no certificate".to_owned(),
            unusable: true,
        }],
        at(1),
    );
    reader.changed().await.unwrap();
    assert_eq!(*reader.borrow(), journal.snapshot().0);
}

#[test]
fn contacts_of_backends_are_bounded_for_each_kind_and_known_by_all_but_their_time() {
    let journal = Journal::new("1");
    let contact = |kind, last: u8, second| BackendContact {
        kind,
        source: IpAddr::V4(Ipv4Addr::new(198, 18, 1, last)),
        domain: None,
        detail: String::new(),
        at: at(second),
    };
    journal.backend_contact(contact(ContactKind::QueryAnswered, 1, 0));
    let flood = u8::try_from(MAX_CONTACTS).unwrap() + 3;
    for last in 0..flood {
        journal.backend_contact(contact(ContactKind::QueryRefused, last, 1));
    }
    journal.backend_contact(contact(ContactKind::QueryAnswered, 1, 2));
    let (_, seen) = journal.snapshot();
    assert_eq!(seen.contacts.len(), 1 + MAX_CONTACTS);
    assert_eq!(seen.contacts.last(), Some(&contact(ContactKind::QueryAnswered, 1, 2)));
    assert_eq!(seen.contacts.first(), Some(&contact(ContactKind::QueryRefused, 3, 1)));
}
