//! Which denials are accepted. Signatures and lookups are tested with a signed zone, in `tests/engine/tests/dnssec.rs`.

use hickory_proto::rr::rdata::{CNAME, NS, SOA};

use super::*;
use crate::dns::testing::name;

fn record(owner: &str, data: RData, proof: Proof) -> Record {
    let mut record = Record::from_rdata(name(owner), 60, data);
    record.proof = proof;
    record
}

fn alias(owner: &str, target: &str, proof: Proof) -> Record {
    record(owner, RData::CNAME(CNAME(name(target))), proof)
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
