use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, SOA};
use hickory_proto::rr::{RData, Record, RecordType};

use super::*;
use crate::dns::testing::{name, respond};

const UDP: Transport = Transport::Udp;

fn query(id: u16, owner: &str, kind: RecordType) -> Message {
    let mut query = Message::new(id, MessageType::Query, OpCode::Query);
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(name(owner), kind));
    query
}

fn ask(id: u16, owner: &str) -> Vec<u8> {
    query(id, owner, RecordType::A).to_vec().unwrap()
}

fn address(owner: &str, ttl: u32) -> Record {
    Record::from_rdata(name(owner), ttl, RData::A(A::new(198, 18, 0, 9)))
}

fn soa(ttl: u32, minimum: u32) -> Record {
    let data = SOA::new(name("ns.example"), name("admin.example"), 1, 60, 60, 60, minimum);
    Record::from_rdata(name("example"), ttl, RData::SOA(data))
}

fn reply(query: &[u8], code: ResponseCode, answers: &[Record], authorities: &[Record]) -> Vec<u8> {
    let mut reply = respond(&Message::from_vec(query).unwrap(), code);
    reply.metadata.authoritative = true;
    reply.add_answers(answers.to_vec());
    reply.add_authorities(authorities.to_vec());
    reply.to_vec().unwrap()
}

/// Seconds that an answer is kept.
fn kept_for(query: &[u8], answer: &[u8]) -> u64 {
    let (mut cache, start) = (Cache::default(), Instant::now());
    cache.put(query, UDP, answer, start);
    let alive = |seconds: u64, cache: &mut Cache| {
        cache.get(query, UDP, start + Duration::from_secs(seconds)).is_some()
    };
    (0..8000).find(|seconds| !alive(*seconds, &mut cache)).unwrap()
}

#[test]
fn an_answer_has_the_id_and_case_of_its_query_and_what_is_left_of_its_ttl() {
    let (mut cache, start) = (Cache::default(), Instant::now());
    let first = ask(1, "www.example");
    let records = [address("www.example", 60), address("www.example", 90)];
    cache.put(&first, UDP, &reply(&first, ResponseCode::NoError, &records, &[]), start);
    let second = ask(2, "wWw.eXample");
    let bytes = cache.get(&second, UDP, start + Duration::from_millis(20_900)).unwrap();
    assert_eq!(question(&bytes), question(&second), "letter for letter");
    let answer = Message::from_vec(&bytes).unwrap();
    assert_eq!(answer.metadata.id, 2);
    assert!(!answer.metadata.authoritative);
    assert_eq!(answer.answers.iter().map(|record| record.ttl).collect::<Vec<_>>(), [40, 70]);
}

#[test]
fn rfc1035_7_4_answers_are_kept_for_their_least_ttl_and_an_hour_at_most() {
    let query = ask(1, "www.example");
    for (ttls, expected) in [([60, 30], 30), ([604_800, 604_800], 3600), ([60, 0], 0)] {
        let records = ttls.map(|ttl| address("www.example", ttl));
        let answer = reply(&query, ResponseCode::NoError, &records, &[]);
        assert_eq!(kept_for(&query, &answer), expected, "{ttls:?}");
    }
}

#[test]
fn rfc2308_5_absence_is_kept_for_the_minimum_of_the_soa_record_and_a_minute_at_most() {
    let query = ask(1, "no.example");
    let alias = Record::from_rdata(name("no.example"), 300, RData::CNAME(CNAME(name("x.example"))));
    for code in [ResponseCode::NXDomain, ResponseCode::NoError] {
        for (answers, ttl, minimum, expected) in [
            (&[][..], 300, 20, 20),
            (&[][..], 10, 20, 10),
            (&[][..], 86_400, 86_400, 60),
            (std::slice::from_ref(&alias), 300, 20, 20),
        ] {
            let answer = reply(&query, code, answers, &[soa(ttl, minimum)]);
            assert_eq!(kept_for(&query, &answer), expected, "{code} {ttl} {minimum}");
        }
        assert_eq!(kept_for(&query, &reply(&query, code, &[], &[])), 0, "{code} without SOA");
    }
}

#[test]
fn failures_truncated_and_large_answers_and_transfers_are_not_kept() {
    let query = ask(1, "www.example");
    let records = [address("www.example", 60)];
    for code in [ResponseCode::ServFail, ResponseCode::Refused, ResponseCode::NotImp] {
        assert_eq!(kept_for(&query, &reply(&query, code, &records, &[])), 0, "{code}");
    }
    let mut truncated = reply(&query, ResponseCode::NoError, &records, &[]);
    truncated[2] |= 0b10;
    assert_eq!(kept_for(&query, &truncated), 0);
    let many = vec![records[0].clone(); 300];
    assert_eq!(kept_for(&query, &reply(&query, ResponseCode::NoError, &many, &[])), 0);
    for kind in [RecordType::AXFR, RecordType::ANY] {
        let query = self::query(1, "www.example", kind).to_vec().unwrap();
        assert_eq!(kept_for(&query, &reply(&query, ResponseCode::NoError, &records, &[])), 0);
    }
}

#[test]
fn a_query_that_reads_otherwise_gets_no_answer_of_another() {
    let (mut cache, now) = (Cache::default(), Instant::now());
    let plain = ask(1, "www.example");
    let records = [address("www.example", 60)];
    cache.put(&plain, UDP, &reply(&plain, ResponseCode::NoError, &records, &[]), now);
    let mut with_edns = query(1, "www.example", RecordType::A);
    let mut edns = Edns::new();
    edns.set_max_payload(1232).set_dnssec_ok(true);
    with_edns.set_edns(edns);
    let mut checking_disabled = query(1, "www.example", RecordType::A);
    checking_disabled.metadata.checking_disabled = true;
    for other in [
        query(1, "www.example", RecordType::AAAA),
        query(1, "other.example", RecordType::A),
        with_edns,
        checking_disabled,
    ] {
        assert_eq!(cache.get(&other.to_vec().unwrap(), UDP, now), None, "{other}");
    }
    assert_eq!(cache.get(&plain, Transport::Tcp, now), None);
    assert!(cache.get(&plain, UDP, now).is_some());
}

#[test]
fn answers_are_bounded_in_number_and_in_bytes() {
    for records in [1, 100] {
        let (mut cache, now) = (Cache::default(), Instant::now());
        let mut held = 0;
        for number in 0..4000 {
            let owner = format!("n{number}.example");
            let query = ask(1, &owner);
            let all = vec![address(&owner, 60); records];
            cache.put(&query, UDP, &reply(&query, ResponseCode::NoError, &all, &[]), now);
            assert!(cache.bytes <= MAX_BYTES);
            assert!(cache.get(&query, UDP, now).is_some(), "the latest is there: {number}");
            held = cache.answers.iter().map(|(key, kept)| kept.size(key)).sum();
        }
        assert_eq!(cache.bytes, held);
        assert!(cache.answers.len() <= MAX_ANSWERS.get());
        assert!(cache.answers.len() > 200, "{}", cache.answers.len());
        assert_eq!(cache.get(&ask(1, "n0.example"), UDP, now), None);
    }
}

#[test]
fn an_answer_that_comes_again_or_ends_gives_its_bytes_back() {
    let (mut cache, now) = (Cache::default(), Instant::now());
    let query = ask(1, "www.example");
    let answer = reply(&query, ResponseCode::NoError, &[address("www.example", 60)], &[]);
    cache.put(&query, UDP, &answer, now);
    let once = cache.bytes;
    cache.put(&query, UDP, &answer, now);
    assert_eq!(cache.bytes, once);
    assert_eq!(cache.get(&query, UDP, now + Duration::from_mins(1)), None);
    assert_eq!(cache.bytes, 0);
}
