//! What of an answer counts. Signatures and look-ups are tested against a signed zone, in `tests/tests/dnssec.rs`.

use hickory_proto::rr::rdata::{A, CNAME, NS, SOA};

use super::*;
use crate::dns::testing::name;

fn record(owner: &str, data: RData, proof: Proof) -> Record {
    let mut record = Record::from_rdata(name(owner), 60, data);
    record.proof = proof;
    record
}

fn address(owner: &str, last: u8, proof: Proof) -> Record {
    record(owner, RData::A(A::new(198, 18, 0, last)), proof)
}

fn alias(owner: &str, target: &str, proof: Proof) -> Record {
    record(owner, RData::CNAME(CNAME(name(target))), proof)
}

fn found(answers: &[Record]) -> (Vec<RData>, bool) {
    let (records, secure) = chain(answers, &name("a.example"), RecordType::A);
    (records.into_iter().map(|record| record.data.clone()).collect(), secure)
}

#[test]
fn rfc4035_4_3_every_record_of_the_chain_has_to_be_secure() {
    let (good, bad) = (Proof::Secure, Proof::Insecure);
    for (first, second, secure) in [(good, good, true), (good, bad, false), (bad, good, false)] {
        let answers = [alias("a.example", "b.example", first), address("b.example", 1, second)];
        let (records, proven) = found(&answers);
        assert_eq!((records.len(), proven), (1, secure), "{first} {second}");
    }
    let half = [address("a.example", 1, good), address("a.example", 2, bad)];
    assert!(!found(&half).1);
    assert_eq!(found(&[]), (vec![], false));
}

#[test]
fn records_of_other_names_neither_add_to_an_answer_nor_weaken_it() {
    let own = address("a.example", 1, Proof::Secure);
    for other in [
        address("evil.example", 2, Proof::Secure),
        address("evil.example", 2, Proof::Insecure),
        alias("evil.example", "b.example", Proof::Insecure),
    ] {
        assert_eq!(found(&[own.clone(), other.clone()]), (vec![own.data.clone()], true));
        assert_eq!(found(&[other]), (vec![], false));
    }
}

#[test]
fn a_loop_of_aliases_ends() {
    let secure = Proof::Secure;
    let answers =
        [alias("a.example", "b.example", secure), alias("b.example", "a.example", secure)];
    assert_eq!(found(&answers).0, []);
}

#[test]
fn rfc4035_5_4_an_unsigned_zone_denies_nothing_outside_of_it() {
    let query = Query::query(name("_5269._tcp.a.example"), RecordType::TLSA);
    let soa = |owner: &str, proof| {
        let soa = SOA::new(name("ns.example"), name("h.example"), 1, 60, 60, 60, 60);
        record(owner, RData::SOA(soa), proof)
    };
    let ns = record("plain.example", RData::NS(NS(name("ns.example"))), Proof::Insecure);
    for (authority, may) in [
        (vec![], true),
        (vec![soa("example", Proof::Insecure)], true),
        (vec![soa("a.example", Proof::Insecure)], true),
        (vec![soa("example", Proof::Secure)], true),
        (vec![soa("plain.example", Proof::Insecure)], false),
        (vec![ns], false),
        (vec![soa("b._5269._tcp.a.example", Proof::Insecure)], false),
    ] {
        let mut denial = Message::query().into_response();
        denial.add_authorities(authority);
        assert_eq!(denies_as_it_may(&denial, &query), may, "{:?}", denial.authorities);
        denial.add_answer(alias("_5269._tcp.a.example", "b.example", Proof::Secure));
        assert!(denies_as_it_may(&denial, &query), "an answer denies nothing");
    }
}
