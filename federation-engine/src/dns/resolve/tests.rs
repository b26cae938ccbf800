//! Against a scripted server on loopback.

use std::net::{Ipv4Addr, Ipv6Addr};

use futures::StreamExt;
use hickory_proto::op::Message;
use hickory_proto::rr::Record;
use hickory_proto::rr::rdata::{A, AAAA, CNAME, NS, SOA, SRV};

use super::*;
use crate::dns::ask::{self, Code, Data, Kind, Mode};
use crate::dns::testing::{TestServer, asked_name, found, name, nobody, respond};

fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

fn nxdomain(query: &Message) -> Message {
    let mut reply = respond(query, ResponseCode::NXDomain);
    let soa = SOA::new(name("ns.example"), name("h.example"), 9, 60, 60, 60, 40);
    reply.add_authority(Record::from_rdata(name("example"), 50, RData::SOA(soa)));
    reply
}

fn srv(port: u16, target: &str) -> RData {
    RData::SRV(SRV::new(1, 2, port, name(target)))
}

async fn server() -> TestServer {
    TestServer::start(|query: &Message, tcp| {
        let kind = query.queries[0].query_type();
        Some(match (asked_name(query).as_str(), kind) {
            ("_xmpp-server._tcp.partner.example", RecordType::SRV) => {
                found(query, vec![srv(5269, "Im.partner.example")])
            }
            ("_xmpps-server._tcp.partner.example", RecordType::SRV) => {
                found(query, vec![srv(0, ".")])
            }
            ("_jabber._tcp.old.example", RecordType::SRV) => {
                found(query, vec![srv(5269, "old.example")])
            }
            ("_xmpp-server._tcp.large.example", RecordType::SRV) if tcp => {
                found(query, (0..100).map(|n| srv(5269, &format!("h{n}.large.example"))).collect())
            }
            ("_xmpp-server._tcp.large.example", RecordType::SRV) => {
                let mut reply = respond(query, ResponseCode::NoError);
                reply.metadata.truncation = true;
                reply
            }
            ("_xmpp-server._tcp.broken.example", _) | ("half.example", RecordType::AAAA) => {
                respond(query, ResponseCode::ServFail)
            }
            ("_xmpp-server._tcp.refused.example", _) => respond(query, ResponseCode::Refused),
            ("_xmpp-server._tcp.lame.example", _) => {
                let mut reply = respond(query, ResponseCode::NoError);
                let ns = RData::NS(NS(name("ns.example")));
                reply.add_authority(Record::from_rdata(name("example"), 60, ns));
                reply
            }
            ("im.partner.example", RecordType::A) => {
                found(query, (1..=20).map(|n| RData::A(A(Ipv4Addr::new(198, 18, 0, n)))).collect())
            }
            ("im.partner.example", RecordType::AAAA) => {
                let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
                found(query, vec![RData::AAAA(AAAA(address))])
            }
            ("alias.example", RecordType::A) => {
                let mut reply = found(query, vec![RData::CNAME(CNAME(name("im.partner.example")))]);
                let address = RData::A(A(Ipv4Addr::new(198, 18, 0, 1)));
                reply.add_answer(Record::from_rdata(name("im.partner.example"), 60, address));
                reply
            }
            ("_xmpp-server._tcp.aliased.example", RecordType::SRV) => {
                let target = name("_xmpp-server._tcp.partner.example");
                let mut reply = found(query, vec![RData::CNAME(CNAME(target.clone()))]);
                reply.add_answer(Record::from_rdata(target, 60, srv(5269, "im.partner.example")));
                reply
            }
            ("_xmpp-server._tcp.far.example", RecordType::SRV) => {
                found(query, vec![RData::CNAME(CNAME(name("_xmpp-server._tcp.aliased.example")))])
            }
            ("_xmpp-server._tcp.loop.example", RecordType::SRV) => {
                found(query, vec![RData::CNAME(CNAME(name("_xmpp-server._tcp.loop2.example")))])
            }
            ("_xmpp-server._tcp.loop2.example", RecordType::SRV) => {
                found(query, vec![RData::CNAME(CNAME(name("_xmpp-server._tcp.loop.example")))])
            }
            ("half.example", RecordType::A) => {
                found(query, vec![RData::A(A(Ipv4Addr::new(198, 18, 0, 1)))])
            }
            _ => nxdomain(query),
        })
    })
    .await
}

#[tokio::test]
async fn existence_absence_and_ignorance_are_three_things() {
    let server = server().await;
    let resolver = Resolver::new(&[server.address]).unwrap();
    let found = resolver.lookup_peer(&domain("partner.example"), true, true).await.unwrap();
    let record = |port, target: Option<&str>| SrvRecord {
        priority: 1,
        weight: 2,
        port,
        target: target.map(Into::into),
    };
    assert_eq!(found.xmpp, Answer::Records(vec![record(5269, Some("im.partner.example"))]).into());
    assert_eq!(found.xmpps, Some(Answer::Records(vec![record(0, None)]).into()));
    assert_eq!(found.jabber, None, "not asked for when a current record exists");

    let none = resolver.lookup_peer(&domain("none.example"), false, false).await.unwrap();
    assert_eq!(none, Answers { xmpp: Answer::Absent.into(), xmpps: None, jabber: None });
    let old = resolver.targets(&domain("old.example"), true, true).await.unwrap();
    assert_eq!(old[0].to_string(), "old.example:5269");

    for (broken, detail) in
        [("broken", "Server Failure"), ("refused", "Query Refused"), ("lame", "recursion")]
    {
        let error = resolver.targets(&domain(&format!("{broken}.example")), false, true).await;
        let Err(DnsReason::ResolverUnavailable { detail: said, .. }) = error else {
            panic!("{error:?}")
        };
        assert!(said.contains(detail), "{said}");
    }
}

#[tokio::test]
async fn a_truncated_answer_is_fetched_over_tcp_and_the_plan_is_bounded() {
    let server = server().await;
    let resolver = Resolver::new(&[server.address]).unwrap();
    let targets = resolver.targets(&domain("large.example"), false, false).await.unwrap();
    assert_eq!(targets.len(), s2s_proto::plan::MAX_TARGETS);
}

#[tokio::test]
async fn rfc8305_3_both_families_are_asked_for_and_each_answer_stands_for_itself() {
    let server = server().await;
    let resolver = Resolver::new(&[server.address]).unwrap();
    let answers = async |host: &str| {
        let mut answers: Vec<_> = resolver.addresses(host.into()).collect().await;
        answers.sort_by_key(|answer| match answer {
            Answer::Records(records) => i32::from(records[0].is_ipv4()) + 1,
            Answer::Absent | Answer::Failed(_) | Answer::Bogus => 0,
        });
        answers
    };
    let many = answers("im.partner.example").await;
    let [Answer::Records(v6), Answer::Records(v4)] = &*many else { panic!("{many:?}") };
    assert_eq!((v6.len(), v4.len()), (1, MAX_ADDRESSES), "as many as are ever used");
    assert!(v6[0].is_ipv6() && v4.iter().all(IpAddr::is_ipv4));
    let one = Answer::Records(vec![IpAddr::from(Ipv4Addr::new(198, 18, 0, 1))]);
    assert_eq!(answers("alias.example").await, [Answer::Absent, one.clone()]);
    let half = answers("half.example").await;
    assert!(matches!(&*half, [Answer::Failed(_), found] if *found == one), "{half:?}");
    assert_eq!(answers("none.example").await, [Answer::Absent, Answer::Absent]);
    let overlong = answers(&"a.".repeat(200)).await;
    assert_eq!(overlong, [Answer::Absent, Answer::Absent], "not a name of DNS");
}

#[tokio::test]
async fn rfc8305_3_a_silent_family_does_not_hold_back_the_other() {
    let server = TestServer::start(|query: &Message, _| match query.queries[0].query_type() {
        RecordType::A => Some(found(query, vec![RData::A(A(Ipv4Addr::new(198, 18, 0, 1)))])),
        _ => None,
    })
    .await;
    let resolver = Resolver::new(&[server.address]).unwrap();
    let first = resolver.addresses("half.example".into()).next().await;
    assert!(matches!(first, Some(Answer::Records(_))), "{first:?}");
}

#[tokio::test]
async fn aliases_of_services_are_followed_and_their_number_is_bounded() {
    let server = server().await;
    let resolver = Resolver::new(&[server.address]).unwrap();
    for (alias, questions) in [("aliased.example", 1), ("far.example", 2)] {
        let before = server.asked();
        let targets = resolver.targets(&domain(alias), false, false).await.unwrap();
        assert_eq!(targets[0].to_string(), "im.partner.example:5269", "{alias}");
        assert_eq!(server.asked() - before, questions, "{alias}");
    }
    let before = server.asked();
    let answers = resolver.lookup_peer(&domain("loop.example"), false, false).await.unwrap();
    assert_eq!(answers.xmpp, Answer::Absent.into());
    assert_eq!(server.asked() - before, 8);
}

#[tokio::test]
async fn answers_are_kept_and_names_are_never_searched_for() {
    let server = server().await;
    let resolver = Resolver::new(&[server.address]).unwrap();
    for _ in 0..3 {
        let _ = resolver.lookup_peer(&domain("none.example"), false, false).await;
        let _ = resolver.lookup_peer(&domain("partner.example"), false, false).await;
    }
    assert_eq!(server.asked(), 2);
}

#[tokio::test]
async fn a_server_without_dnssec_is_looked_at_once_and_then_used_as_it_is() {
    let server = server().await;
    let resolver = Resolver::validating(&[server.address], Anchors::default()).unwrap();
    let _ = resolver.lookup_peer(&domain("partner.example"), false, false).await;
    let first = server.asked();
    assert!((2..=6).contains(&first), "{first}");
    for host in ["old.example", "none.example", "none.example"] {
        let _ = resolver.lookup_peer(&domain(host), false, false).await;
    }
    assert_eq!(server.asked(), first + 2);
    let targets = resolver.targets(&domain("partner.example"), false, false).await.unwrap();
    assert_eq!(targets[0].to_string(), "im.partner.example:5269");
    assert_eq!(resolver.delegation(&targets[0]).await, Ok(None));
}

#[tokio::test]
async fn ignorance_is_asked_about_again() {
    let server = server().await;
    let resolver = Resolver::new(&[server.address]).unwrap();
    let mut asked = 0;
    for _ in 0..2 {
        let answers = resolver.lookup_peer(&domain("refused.example"), false, false).await;
        assert!(matches!(answers.unwrap().xmpp.answer, Answer::Failed(_)));
        assert!(server.asked() > asked);
        asked = server.asked();
    }
}

#[tokio::test]
async fn a_resolver_that_is_not_there_is_named_as_the_cause() {
    let nobody = nobody().await;
    let address = nobody.local_addr().unwrap();
    let resolver = Resolver::new(&[address]).unwrap();
    let error = resolver.targets(&domain("partner.example"), false, false).await;
    assert!(matches!(error, Err(DnsReason::ResolverUnavailable { .. })), "{error:?}");
}

#[tokio::test]
async fn a_single_question_shows_everything_that_the_server_said() {
    let server = server().await;
    let timeout = Duration::from_mins(1);
    let ask = |name: &'static str, kind| {
        ask::ask(server.address, name, kind, Mode::Authoritative, timeout)
    };
    let reply = ask("_xmpp-server._tcp.partner.example.", Kind::Srv).await.unwrap();
    assert_eq!(
        (reply.code, reply.authoritative, reply.recursion_available),
        (Code::NoError, false, true)
    );
    assert_eq!(reply.answers[0].ttl, 60);
    assert_eq!(reply.srv().next().unwrap().target.as_deref(), Some("im.partner.example"));
    let reply = ask("none.example", Kind::A).await.unwrap();
    assert_eq!((reply.code, reply.negative_ttl()), (Code::NxDomain, Some(40)));
    assert!(
        matches!(&reply.authorities[0].data, Data::Soa { primary, serial: 9, .. } if primary == "ns.example")
    );
    assert_eq!(ask("_xmpp-server._tcp.large.example", Kind::Srv).await.unwrap().srv().count(), 100);
    assert_eq!(
        ask("_xmpp-server._tcp.refused.example", Kind::Srv).await.unwrap().code,
        Code::Refused
    );
    let error = ask("a..b", Kind::A).await.unwrap_err();
    assert!(matches!(error, ask::AskError::Name(_)), "{error}");
}

#[tokio::test]
async fn silence_is_reported_with_server_and_time() {
    let silent = TestServer::start(|_, _| None).await;
    let timeout = Duration::from_millis(50);
    let error =
        ask::ask(silent.address, "a.example", Kind::A, Mode::Recursive, timeout).await.unwrap_err();
    assert_eq!(error.to_string(), format!("{} did not answer within 50ms", silent.address));
}

#[tokio::test]
async fn trust_anchors_are_compared_by_what_their_file_says_now() {
    const ROOT: &str = ". 3600 IN DNSKEY 257 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=\n";
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("root.key");
    let servers = ["198.18.0.53:53".parse().unwrap()];
    let of = |mode, trust_anchors| FileDnssec { mode, trust_anchors };
    let own = of(DnssecMode::Auto, Some(file.clone()));
    let missing = Resolver::configured(&servers, &own).unwrap_err().to_string();
    assert!(missing.starts_with("dnssec.trustAnchors: "), "{missing}");
    std::fs::write(&file, ROOT).unwrap();
    let resolver = Resolver::configured(&servers, &own).unwrap();
    assert!(resolver.validates_as(&own).unwrap());
    let (public, off) = (of(DnssecMode::Auto, None), of(DnssecMode::Off, None));
    assert!(!resolver.validates_as(&public).unwrap());
    assert!(!resolver.validates_as(&off).unwrap());
    std::fs::write(&file, format!("; another text\n{ROOT}")).unwrap();
    assert!(!resolver.validates_as(&own).unwrap());
    std::fs::write(&file, "").unwrap();
    assert!(resolver.validates_as(&own).is_err());
    assert!(Resolver::configured(&servers, &off).unwrap().validates_as(&off).unwrap());
}
