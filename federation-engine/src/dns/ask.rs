//! One query to one server, with everything that matters for a diagnosis: response code, authority, records, SOA. No
//! cache, no search list, no second server.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::exchange;
pub use super::exchange::ExchangeError;
use s2s_proto::plan::SrvRecord;

/// EDNS payload size that avoids fragmentation.
const UDP_PAYLOAD: u16 = 1232;

/// Record type to query.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Kind {
    /// Service.
    Srv,
    /// IPv4 address.
    A,
    /// IPv6 address.
    Aaaa,
    /// Name servers of a zone.
    Ns,
    /// Start of authority.
    Soa,
    /// Alias.
    Cname,
    /// Text.
    Txt,
}

/// How to query a server.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Mode {
    /// As a resolver queries an authoritative server: without recursion.
    Authoritative,
    /// As a client queries a resolver.
    Recursive,
    /// The same, and the resolver must not validate (CD bit, RFC 4035 §3.2.2).
    WithoutValidation,
}

/// Response code.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Code {
    /// The name exists.
    NoError,
    /// The name does not exist.
    NxDomain,
    /// The server cannot answer.
    ServFail,
    /// The server does not answer us or for this zone.
    Refused,
    /// Any other, by number.
    Other(u16),
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoError => f.write_str("NOERROR"),
            Self::NxDomain => f.write_str("NXDOMAIN"),
            Self::ServFail => f.write_str("SERVFAIL"),
            Self::Refused => f.write_str("REFUSED"),
            Self::Other(number) => write!(f, "response code {number}"),
        }
    }
}

/// Content of a record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Data {
    /// SRV.
    Srv(SrvRecord),
    /// A or AAAA.
    Address(IpAddr),
    /// NS, without trailing dot.
    Ns(String),
    /// CNAME, without trailing dot.
    Cname(String),
    /// SOA.
    Soa {
        /// Primary server, without trailing dot.
        primary: String,
        /// Version of the zone.
        serial: u32,
        /// TTL of negative answers in seconds (RFC 2308 §4).
        minimum: u32,
    },
    /// TXT: its strings, joined. Octets that are not UTF-8 are replaced.
    Txt(String),
    /// A type that is not decoded.
    Other,
}

/// One record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Owner, lower case, without trailing dot.
    pub name: String,
    /// Seconds.
    pub ttl: u32,
    /// Content.
    pub data: Data,
}

/// The answer of a server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reply {
    /// Response code.
    pub code: Code,
    /// AA: the server is authoritative for the name.
    pub authoritative: bool,
    /// RA: the server offers recursion.
    pub recursion_available: bool,
    /// Answer section.
    pub answers: Vec<Entry>,
    /// Authority section: SOA of a negative answer, NS of a referral.
    pub authorities: Vec<Entry>,
    /// Additional section: addresses of name servers.
    pub additionals: Vec<Entry>,
}

impl Reply {
    /// How long resolvers cache a negative answer, in seconds: the smaller of the SOA's own TTL and its minimum (RFC
    /// 2308 §5).
    pub fn negative_ttl(&self) -> Option<u32> {
        self.authorities.iter().find_map(|entry| match entry.data {
            Data::Soa { minimum, .. } => Some(minimum.min(entry.ttl)),
            _ => None,
        })
    }

    /// SRV records among the answers.
    pub fn srv(&self) -> impl Iterator<Item = &SrvRecord> {
        self.answers.iter().filter_map(|entry| match &entry.data {
            Data::Srv(record) => Some(record),
            _ => None,
        })
    }

    /// Addresses among the answers.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.answers.iter().filter_map(|entry| match entry.data {
            Data::Address(address) => Some(address),
            _ => None,
        })
    }
}

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Not a name that can be queried.
    #[error("{0:?} is not a DNS name")]
    Name(String),
    /// No usable answer.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
}

/// Queries `server` for `name`, which is always absolute.
///
/// # Errors
/// When the name is invalid, or no valid answer arrived within `timeout` (once for UDP, once for TCP).
pub async fn ask(
    server: SocketAddr,
    name: &str,
    kind: Kind,
    mode: Mode,
    timeout: Duration,
) -> Result<Reply, AskError> {
    let query = query(name, kind, mode).ok_or_else(|| AskError::Name(name.to_owned()))?;
    let answer = exchange::ask(server, &query, timeout).await?;
    let message = Message::from_vec(&answer).map_err(|_| ExchangeError::Malformed(server))?;
    Ok(reply(&message))
}

fn query(name: &str, kind: Kind, mode: Mode) -> Option<Vec<u8>> {
    let record_type = match kind {
        Kind::Srv => RecordType::SRV,
        Kind::A => RecordType::A,
        Kind::Aaaa => RecordType::AAAA,
        Kind::Ns => RecordType::NS,
        Kind::Soa => RecordType::SOA,
        Kind::Cname => RecordType::CNAME,
        Kind::Txt => RecordType::TXT,
    };
    let mut message = Message::new(0, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(absolute(name)?, record_type));
    message.metadata.recursion_desired = mode != Mode::Authoritative;
    message.metadata.checking_disabled = mode == Mode::WithoutValidation;
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_PAYLOAD);
    message.set_edns(edns);
    message.to_vec().ok()
}

/// A name to which no search list is applied.
pub(super) fn absolute(name: &str) -> Option<Name> {
    let mut name = Name::from_str(name.strip_suffix('.').unwrap_or(name)).ok()?;
    name.set_fqdn(true);
    Some(name)
}

fn reply(message: &Message) -> Reply {
    let entries = |records: &[Record]| records.iter().map(entry).collect();
    Reply {
        code: match message.metadata.response_code {
            ResponseCode::NoError => Code::NoError,
            ResponseCode::NXDomain => Code::NxDomain,
            ResponseCode::ServFail => Code::ServFail,
            ResponseCode::Refused => Code::Refused,
            other => Code::Other(other.into()),
        },
        authoritative: message.metadata.authoritative,
        recursion_available: message.metadata.recursion_available,
        answers: entries(&message.answers),
        authorities: entries(&message.authorities),
        additionals: entries(&message.additionals),
    }
}

fn entry(record: &Record) -> Entry {
    let data = match &record.data {
        RData::SRV(srv) => Data::Srv(srv_record(srv)),
        RData::A(address) => Data::Address(IpAddr::V4(address.0)),
        RData::AAAA(address) => Data::Address(IpAddr::V6(address.0)),
        RData::NS(server) => Data::Ns(text(&server.0)),
        RData::CNAME(alias) => Data::Cname(text(&alias.0)),
        RData::SOA(soa) => {
            Data::Soa { primary: text(&soa.mname), serial: soa.serial, minimum: soa.minimum }
        }
        RData::TXT(txt) => Data::Txt(
            txt.txt_data.iter().map(|part| String::from_utf8_lossy(part)).collect::<String>(),
        ),
        _ => Data::Other,
    };
    Entry { name: text(&record.name), ttl: record.ttl, data }
}

/// As our own type.
pub(super) fn srv_record(srv: &hickory_proto::rr::rdata::SRV) -> SrvRecord {
    let target = (!srv.target.is_root()).then(|| Arc::from(text(&srv.target)));
    SrvRecord { priority: srv.priority, weight: srv.weight, port: srv.port, target }
}

/// Lower case, without trailing dot, unusual octets escaped (RFC 1035 §5.1).
fn text(name: &Name) -> String {
    let mut text = name.to_ascii();
    text.make_ascii_lowercase();
    if text.len() > 1 && text.ends_with('.') {
        text.pop();
    }
    text
}
