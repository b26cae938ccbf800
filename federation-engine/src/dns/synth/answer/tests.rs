use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;

fn config(address: &str) -> SynthConfig {
    SynthConfig::new(
        &domain("im.local.example"),
        address.parse().unwrap(),
        NonZeroU16::new(5269).unwrap(),
        [domain("local.example"), domain("bücher.example")],
    )
    .unwrap()
}

fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

fn query(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(absolute(name).unwrap(), kind));
    message
}

fn decided(message: &Message) -> Decision {
    config("10.96.3.7").answer(&message.to_vec().unwrap(), Transport::Udp)
}

/// The reply to a question that the engine must answer itself.
fn replied(name: &str, kind: RecordType) -> Message {
    let Decision::Reply(bytes) = decided(&query(name, kind)) else { panic!("{name} {kind}") };
    let reply = Message::from_vec(&bytes).unwrap();
    assert_eq!((reply.metadata.id, reply.metadata.message_type), (7, MessageType::Response));
    assert!(reply.metadata.recursion_desired && reply.metadata.recursion_available);
    assert_eq!(reply.queries[0].name(), &absolute(name).unwrap());
    reply
}

fn shown(reply: &Message) -> Vec<String> {
    reply.answers.iter().map(|record| record.data.to_string()).collect()
}

#[test]
fn every_foreign_domain_leads_to_the_engine() {
    for name in [
        "_xmpp-server._tcp.partner.example",
        "_XMPP-Server._TCP.Partner.Example",
        "_jabber._tcp.partner.example",
        "_xmpp-server._tcp.chat.local.example",
        "_xmpp-server._tcp.xn--mnchen-3ya.example",
    ] {
        let reply = replied(name, RecordType::SRV);
        assert_eq!(shown(&reply), ["0 0 5269 xfed-engine.im.local.example."], "{name}");
        assert_eq!(reply.answers[0].ttl, TTL);
    }
}

#[test]
fn direct_tls_and_other_types_are_nodata_with_a_soa_of_an_enclosing_zone() {
    for (name, kind) in [
        ("_xmpps-server._tcp.partner.example", RecordType::SRV),
        ("_xmpp-server._tcp.partner.example", RecordType::ANY),
        ("_xmpp-server._tcp.partner.example", RecordType::A),
        ("xfed-engine.im.local.example", RecordType::AAAA),
        ("xfed-engine.im.local.example", RecordType::HTTPS),
    ] {
        let reply = replied(name, kind);
        assert_eq!(reply.metadata.response_code, ResponseCode::NoError);
        assert_eq!(shown(&reply), Vec::<String>::new(), "{name} {kind}");
        let soa = &reply.authorities[0];
        assert_eq!(soa.record_type(), RecordType::SOA);
        assert!(soa.name.zone_of(&absolute(name).unwrap()), "{}", soa.name);
    }
}

#[test]
fn the_engine_has_the_address_that_is_configured() {
    assert_eq!(shown(&replied("XFED-engine.im.local.example", RecordType::A)), ["10.96.3.7"]);
    let v6 = config("fd00::7");
    let answer = |kind| {
        let bytes = query("xfed-engine.im.local.example", kind).to_vec().unwrap();
        let Decision::Reply(bytes) = v6.answer(&bytes, Transport::Tcp) else { panic!() };
        shown(&Message::from_vec(&bytes).unwrap())
    };
    assert_eq!(answer(RecordType::AAAA), ["fd00::7"]);
    assert_eq!(answer(RecordType::A), Vec::<String>::new());
}

#[test]
fn local_domains_and_everything_else_are_forwarded() {
    for (name, kind) in [
        ("_xmpp-server._tcp.local.example", RecordType::SRV),
        ("_xmpps-server._tcp.LOCAL.example", RecordType::SRV),
        ("_xmpp-server._tcp.xn--bcher-kva.example", RecordType::SRV),
        ("partner.example", RecordType::A),
        ("prosody.im.svc.cluster.local", RecordType::A),
        ("_xmpp-client._tcp.partner.example", RecordType::SRV),
        ("_sip._tcp.partner.example", RecordType::SRV),
        ("_xmpp-server._udp.partner.example", RecordType::SRV),
        ("_xmpp-server._tcp", RecordType::SRV),
        ("x._xmpp-server._tcp.partner.example", RecordType::SRV),
        ("im.local.example", RecordType::A),
        ("sub.xfed-engine.im.local.example", RecordType::A),
        (".", RecordType::NS),
    ] {
        assert_eq!(decided(&query(name, kind)), Decision::Forward, "{name} {kind}");
    }
    let mut chaos = query("_xmpp-server._tcp.partner.example", RecordType::SRV);
    chaos.queries[0].set_query_class(DNSClass::CH);
    assert_eq!(decided(&chaos), Decision::Forward);
}

fn code(decision: &Decision) -> ResponseCode {
    let Decision::Reject(bytes) = decision else { panic!("{decision:?}") };
    Message::from_vec(bytes).unwrap().metadata.response_code
}

#[test]
fn what_is_no_query_is_dropped_and_a_malformed_one_is_notified() {
    let good = query("_xmpp-server._tcp.partner.example", RecordType::SRV).to_vec().unwrap();
    let config = config("10.96.3.7");
    for cut in 0..HEADER {
        assert_eq!(config.answer(&good[..cut], Transport::Udp), Decision::Drop);
    }
    let mut response = good.clone();
    response[2] |= 0x80;
    assert_eq!(config.answer(&response, Transport::Udp), Decision::Drop);
    let cut = config.answer(&good[..good.len() - 1], Transport::Udp);
    assert_eq!(code(&cut), ResponseCode::FormErr);
    let mut update = query("partner.example", RecordType::SOA);
    update.metadata.op_code = OpCode::Update;
    assert_eq!(code(&decided(&update)), ResponseCode::NotImp);
    let mut two = query("partner.example", RecordType::A);
    two.add_query(Query::query(absolute("b.example").unwrap(), RecordType::A));
    assert_eq!(code(&decided(&two)), ResponseCode::FormErr);
    let none = Message::new(7, MessageType::Query, OpCode::Query);
    assert_eq!(code(&decided(&none)), ResponseCode::FormErr);
}

#[test]
fn a_backend_that_answers_a_ping_asks_for_the_srv_records_of_the_probe_domain() {
    let asks =
        |name: &str, kind| config("10.96.3.7").is_about_probe(&query(name, kind).to_vec().unwrap());
    assert!(asks("_xmpp-server._tcp.xfed-probe.im.local.example", RecordType::SRV));
    // Resolvers vary the case of letters.
    assert!(asks("_XMPP-Server._tcp.Xfed-Probe.im.local.example", RecordType::SRV));
    assert!(!asks("_xmpps-server._tcp.xfed-probe.im.local.example", RecordType::SRV));
    assert!(!asks("_xmpp-server._tcp.xfed-probe.im.local.example", RecordType::A));
    assert!(!asks("_xmpp-server._tcp.remote.example", RecordType::SRV));
}

#[test]
fn rfc2181_9_an_answer_too_large_for_the_client_is_truncated() {
    let long = |letter: &str, last: usize| {
        let label = letter.repeat(63);
        format!("{label}.{label}.{label}.{}.example", letter.repeat(last))
    };
    let host = domain(&long("a", 40));
    let port = NonZeroU16::new(5269).unwrap();
    let config = SynthConfig::new(&host, Ipv4Addr::LOCALHOST.into(), port, []).unwrap();
    let mut message = query(&format!("_xmpp-server._tcp.{}", long("b", 34)), RecordType::SRV);
    let answer = |message: &Message, transport| {
        let Decision::Reply(bytes) = config.answer(&message.to_vec().unwrap(), transport) else {
            panic!()
        };
        (bytes.len(), Message::from_vec(&bytes).unwrap())
    };
    let (full, reply) = answer(&message, Transport::Tcp);
    assert!(!reply.metadata.truncation && reply.answers.len() == 1);
    let (length, reply) = answer(&message, Transport::Udp);
    assert!(full > 512 && length <= 512 && reply.metadata.truncation && reply.answers.is_empty());
    let mut edns = Edns::new();
    edns.set_max_payload(4096);
    message.set_edns(edns);
    let (_, reply) = answer(&message, Transport::Udp);
    assert!(!reply.metadata.truncation && reply.answers.len() == 1);
    assert_eq!(reply.edns.as_ref().map(Edns::max_payload), Some(UDP_PAYLOAD));
}

proptest! {
    #[test]
    fn any_bytes_get_a_decision_and_replies_are_responses_with_the_same_id(
        bytes in proptest::collection::vec(any::<u8>(), 0..96)
    ) {
        let decision = config("10.96.3.7").answer(&bytes, Transport::Udp);
        if let Decision::Reply(reply) | Decision::Reject(reply) = decision {
            prop_assert_eq!(&reply[..2], &bytes[..2]);
            prop_assert!(reply[2] & 0x80 != 0);
        }
    }
}

#[test]
fn a_refusal_repeats_the_query_and_no_more() {
    let mut asked = query("www.example", RecordType::A);
    asked.set_edns(Edns::new());
    let bytes = asked.to_vec().unwrap();
    let refusal = refused(&bytes).unwrap();
    assert!(refusal.len() < bytes.len());
    let reply = Message::from_vec(&refusal).unwrap();
    assert_eq!(reply.metadata.response_code, ResponseCode::Refused);
    assert_eq!(reply.metadata.message_type, MessageType::Response);
    assert_eq!((reply.metadata.id, &reply.queries), (7, &asked.queries));
    assert_eq!(refused(&refusal), None, "an answer is not answered");
    for length in 0..HEADER {
        assert_eq!(refused(&bytes[..length]), None);
    }
    let without_question = refused(&bytes[..HEADER]).unwrap();
    assert!(Message::from_vec(&without_question).unwrap().queries.is_empty());
}
