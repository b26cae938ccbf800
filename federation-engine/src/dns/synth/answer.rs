//! Answers to the backend. Pure: query in, decision out.

use std::collections::HashSet;
use std::net::IpAddr;
use std::num::NonZeroU16;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, SOA, SRV};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::BinEncodable;

use crate::Domain;
use crate::dns::ask::absolute;
use crate::dns::exchange::{HEADER, question};

/// TTL of our own answers in seconds. Short, because the address of the engine's Service may change.
const TTL: u32 = 30;
/// Octets of a UDP answer to a client without EDNS (RFC 1035 §2.3.4).
const PLAIN_UDP: u16 = 512;
/// EDNS payload that we offer.
const UDP_PAYLOAD: u16 = 1232;

/// QR in the third octet of the header (RFC 1035 §4.1.1).
const QUERY_OR_RESPONSE: u8 = 0x80;
/// Opcode and RD in the third octet, which a response repeats.
const COPIED_FLAGS: u8 = 0x79;
/// RCODE in the fourth octet.
const REFUSED: u8 = 5;

/// The address at which the backend reaches the engine.
#[derive(Clone, Debug)]
pub struct SynthConfig {
    local: HashSet<Domain>,
    engine: Name,
    /// The question after which a backend connects to answer a ping of the engine.
    about_probe: Vec<u8>,
    address: IpAddr,
    port: NonZeroU16,
}

/// How a query came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transport {
    /// Answers have a size limit.
    Udp,
    /// They have none.
    Tcp,
}

/// The decision about a query.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Decision {
    /// Send this answer.
    Reply(Vec<u8>),
    /// Forward to the ordinary resolvers.
    Forward,
    /// Malformed, or not implemented: send this answer, which is an error.
    Reject(Vec<u8>),
    /// Not a query; an answer could start a loop (RFC 5625 §4.1 in spirit).
    Drop,
}

/// The name of the engine does not fit into DNS.
#[derive(Debug, thiserror::Error)]
#[error("{0} is too long: `xfed-engine.{0}` must also be a valid DNS name")]
pub struct NameTooLong(pub Domain);

impl SynthConfig {
    /// `host` is the federation's own host name; the engine's inner name is below it, because resolvers of backends
    /// treat names of the reserved top-level domains specially. `address` and `port` are the inner leg as the backend
    /// reaches it; `local` are the domains that do not point to the engine.
    ///
    /// # Errors
    /// When `host` is too long.
    pub fn new(
        host: &Domain,
        address: IpAddr,
        port: NonZeroU16,
        local: impl IntoIterator<Item = Domain>,
    ) -> Result<Self, NameTooLong> {
        let engine = absolute(&format!("xfed-engine.{}", host.to_ascii()))
            .ok_or_else(|| NameTooLong(host.clone()))?;
        let about_probe = absolute(&format!("_xmpp-server._tcp.xfed-probe.{}", host.to_ascii()))
            .and_then(|name| Query::query(name, RecordType::SRV).to_bytes().ok())
            .unwrap_or_default();
        Ok(Self { local: local.into_iter().collect(), engine, about_probe, address, port })
    }

    /// Whether a query is for the SRV records of the engine's probe domain.
    pub(super) fn is_about_probe(&self, query: &[u8]) -> bool {
        question(query).is_some_and(|asked| asked.eq_ignore_ascii_case(&self.about_probe))
    }

    /// Decides about one query.
    pub fn answer(&self, query: &[u8], transport: Transport) -> Decision {
        let Some([id_high, id_low, flags, ..]) = query.first_chunk::<HEADER>() else {
            return Decision::Drop;
        };
        if flags & QUERY_OR_RESPONSE != 0 {
            return Decision::Drop;
        }
        let id = u16::from_be_bytes([*id_high, *id_low]);
        let Ok(message) = Message::from_vec(query) else {
            return error(id, OpCode::Query, ResponseCode::FormErr);
        };
        let op_code = message.metadata.op_code;
        if op_code != OpCode::Query {
            return error(id, op_code, ResponseCode::NotImp);
        }
        let [question] = message.queries.as_slice() else {
            return error(id, op_code, ResponseCode::FormErr);
        };
        match self.sections(question) {
            Some(sections) => finish(&message, question, sections, transport),
            None => Decision::Forward,
        }
    }

    /// Records for a question that the engine answers itself.
    fn sections(&self, question: &Query) -> Option<Sections> {
        if question.query_class() != DNSClass::IN {
            return None;
        }
        if *question.name() == self.engine {
            let data = match (question.query_type(), self.address) {
                (RecordType::A, IpAddr::V4(address)) => Some(RData::A(A(address))),
                (RecordType::AAAA, IpAddr::V6(address)) => Some(RData::AAAA(AAAA(address))),
                _ => None,
            };
            return Some(self.found_or_empty(question, self.engine.clone(), data));
        }
        let (service, zone) = service(question.name())?;
        let domain = Domain::parse(&zone.to_ascii()).ok()?;
        if self.local.contains(&domain) {
            return None;
        }
        let data = (service == Service::StartTls && question.query_type() == RecordType::SRV)
            .then(|| RData::SRV(SRV::new(0, 0, self.port.get(), self.engine.clone())));
        Some(self.found_or_empty(question, zone, data))
    }

    /// NODATA carries a SOA of an enclosing zone, without which resolvers do not keep it (RFC 2308 §3).
    fn found_or_empty(&self, question: &Query, zone: Name, data: Option<RData>) -> Sections {
        if let Some(data) = data {
            return Sections::Answer(Record::from_rdata(question.name().clone(), TTL, data));
        }
        let ttl = i32::try_from(TTL).unwrap_or(i32::MAX);
        let soa = SOA::new(self.engine.clone(), self.engine.clone(), 1, ttl, ttl, ttl, TTL);
        Sections::Empty(Record::from_rdata(zone, TTL, RData::SOA(soa)))
    }
}

/// One record in the section where it belongs.
enum Sections {
    Answer(Record),
    Empty(Record),
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Service {
    /// `_xmpp-server`, and `_jabber` of earlier specifications.
    StartTls,
    /// `_xmpps-server`: NODATA keeps the backend from using Direct TLS.
    DirectTls,
}

/// Splits `<service>._tcp.<domain>`.
fn service(name: &Name) -> Option<(Service, Name)> {
    let mut labels = name.iter();
    let (first, second) = (labels.next()?, labels.next()?);
    let is = |label: &[u8], text: &str| label.eq_ignore_ascii_case(text.as_bytes());
    let service = if is(first, "_xmpp-server") || is(first, "_jabber") {
        Service::StartTls
    } else if is(first, "_xmpps-server") {
        Service::DirectTls
    } else {
        return None;
    };
    let zone = name.base_name().base_name();
    (is(second, "_tcp") && !zone.is_root()).then_some((service, zone))
}

fn finish(query: &Message, question: &Query, sections: Sections, transport: Transport) -> Decision {
    let mut reply = Message::response(query.metadata.id, OpCode::Query);
    reply.metadata.recursion_desired = query.metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    reply.metadata.authoritative = true;
    reply.add_query(question.clone());
    if query.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_PAYLOAD);
        reply.set_edns(edns);
    }
    match sections {
        Sections::Answer(record) => reply.add_answer(record),
        Sections::Empty(soa) => reply.add_authority(soa),
    };
    let offered = query.edns.as_ref().map_or(PLAIN_UDP, Edns::max_payload).max(PLAIN_UDP);
    let limit = match transport {
        Transport::Udp => usize::from(offered.min(UDP_PAYLOAD)),
        Transport::Tcp => usize::from(u16::MAX),
    };
    match reply.to_vec() {
        Ok(bytes) if bytes.len() <= limit => Decision::Reply(bytes),
        Ok(_) => {
            reply.answers.clear();
            reply.authorities.clear();
            reply.metadata.truncation = true;
            reply.to_vec().map_or(Decision::Drop, Decision::Reply)
        }
        Err(_) => error(query.metadata.id, OpCode::Query, ResponseCode::ServFail),
    }
}

/// REFUSED for a client that is not served: header and question alone, never longer than the query, so that a forged
/// source address gains nothing. `None`: not a query.
pub(super) fn refused(query: &[u8]) -> Option<Vec<u8>> {
    let [id_high, id_low, flags, _, questions @ .., _, _, _, _, _, _] =
        *query.first_chunk::<HEADER>()?;
    if flags & QUERY_OR_RESPONSE != 0 {
        return None;
    }
    let question = question(query).filter(|_| questions == [0, 1]);
    let mut reply = vec![id_high, id_low, (flags & COPIED_FLAGS) | QUERY_OR_RESPONSE, REFUSED];
    reply.extend([0, u8::from(question.is_some()), 0, 0, 0, 0, 0, 0]);
    reply.extend_from_slice(question.unwrap_or_default());
    Some(reply)
}

/// SERVFAIL for a query that no resolver could answer.
pub(super) fn server_failure(query: &[u8]) -> Option<Vec<u8>> {
    let message = Message::from_vec(query).ok()?;
    let mut reply = Message::response(message.metadata.id, message.metadata.op_code);
    reply.metadata.recursion_desired = message.metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    reply.metadata.response_code = ResponseCode::ServFail;
    reply.add_queries(message.queries);
    reply.to_vec().ok()
}

fn error(id: u16, op_code: OpCode, code: ResponseCode) -> Decision {
    let mut reply = Message::new(id, MessageType::Response, op_code);
    reply.metadata.response_code = code;
    reply.to_vec().map_or(Decision::Drop, Decision::Reject)
}

#[cfg(test)]
mod tests;
