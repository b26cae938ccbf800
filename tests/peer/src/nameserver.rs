//! A small authoritative name server over UDP (RFC 1035) for the names that a test publishes. It can sign (RFC 4035
//! §3).

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, NS, SOA, SRV, TLSA};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::error::{PeerError, Result};
use super::signer::{Flaw, Signer};

const TTL: u32 = 5;
/// Without EDNS a message has at most 512 bytes (RFC 1035 §4.2.1). A larger buffer for received messages does no harm.
const MESSAGE: usize = 4096;

/// The records that the server publishes.
#[derive(Debug, Clone, Default)]
pub struct Zone {
    records: HashMap<Name, Vec<RData>>,
    signer: Option<Arc<Signer>>,
    /// Zones without signatures.
    unsigned: Vec<Name>,
    flaws: HashMap<(Name, RecordType), Flaw>,
}

impl Zone {
    /// An address record of a host.
    pub fn address(mut self, host: &str, address: impl Into<IpAddr>) -> Result<Self> {
        let record = match address.into() {
            IpAddr::V4(address) => RData::A(A(address)),
            IpAddr::V6(address) => RData::AAAA(AAAA(address)),
        };
        self.records.entry(name(host)?).or_default().push(record);
        Ok(self)
    }

    /// An SRV record of a domain: `service` is `_xmpp-server` or `_xmpps-server` (RFC 6120 §3.2.1, XEP-0368).
    pub fn server(self, service: &str, domain: &str, host: &str, port: u16) -> Result<Self> {
        self.server_with_priority(service, domain, host, (0, port))
    }

    /// The same with a priority before the port; clients try the lowest priority first (RFC 2782).
    pub fn server_with_priority(
        mut self,
        service: &str,
        domain: &str,
        host: &str,
        (priority, port): (u16, u16),
    ) -> Result<Self> {
        let record = SRV::new(priority, 0, port, name(host)?);
        let owner = name(&format!("{service}._tcp.{domain}"))?;
        self.records.entry(owner).or_default().push(RData::SRV(record));
        Ok(self)
    }

    /// A TLSA record for a server's certificate (RFC 6698 §2): usage, selector, matching type and data.
    pub fn certificate(
        mut self,
        host: &str,
        port: u16,
        (usage, selector, matching, data): (u8, u8, u8, Vec<u8>),
    ) -> Result<Self> {
        let record = TLSA::new(usage.into(), selector.into(), matching.into(), data);
        let owner = name(&format!("_{port}._tcp.{host}"))?;
        self.records.entry(owner).or_default().push(RData::TLSA(record));
        Ok(self)
    }

    /// Signs every answer with the key of the root if the client requests signatures.
    #[must_use]
    pub fn signed(self, signer: impl Into<Arc<Signer>>) -> Self {
        Self { signer: Some(signer.into()), ..self }
    }

    /// Makes this name and the names below it a zone of its own, which is provably unsigned.
    pub fn unsigned(mut self, zone: &str) -> Result<Self> {
        self.unsigned.push(name(zone)?);
        Ok(self)
    }

    /// Adds a flaw to the signature of these records.
    pub fn flawed(mut self, owner: &str, kind: RecordType, flaw: Flaw) -> Result<Self> {
        self.flaws.insert((name(owner)?, kind), flaw);
        Ok(self)
    }

    fn answer(&self, request: &Message) -> Message {
        let mut response = Message::response(request.metadata.id, OpCode::Query);
        response.metadata.authoritative = true;
        response.metadata.recursion_desired = request.metadata.recursion_desired;
        // A resolver that requests recursion treats our answer as final.
        response.metadata.recursion_available = true;
        response.add_queries(request.queries.iter().cloned());
        let Some(query) = request.queries.first() else {
            response.metadata.response_code = ResponseCode::FormErr;
            return response;
        };
        let asked = query.name.to_lowercase();
        let wants_signatures = request.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok);
        let signer = self.signer.as_ref().filter(|signer| wants_signatures && !signer.is_asleep());
        if let Some(signer) = signer {
            response.edns.clone_from(&request.edns);
            if self.add_signed(signer, &asked, query.query_type, &mut response).is_err() {
                response.metadata.response_code = ResponseCode::ServFail;
            }
            return response;
        }
        let Some(found) = self.records.get(&asked) else {
            response.metadata.response_code = ResponseCode::NXDomain;
            return response;
        };
        for data in found.iter().filter(|data| data.record_type() == query.query_type) {
            response.add_answer(Record::from_rdata(query.name.clone(), TTL, data.clone()));
            self.add_target_addresses(data, &mut response);
        }
        response
    }

    fn add_signed(
        &self,
        signer: &Signer,
        asked: &Name,
        kind: RecordType,
        response: &mut Message,
    ) -> Result<()> {
        let mut data: Vec<RData> = self.records.get(asked).cloned().unwrap_or_default();
        if asked.is_root() {
            data.extend([signer.key(), soa(), RData::NS(NS(Name::root()))]);
        }
        // At a delegation, the parent zone answers for DS (RFC 4035 §3.1.4.1).
        let cut = self.unsigned.iter().find(|zone| zone.zone_of(asked));
        if let Some(zone) = cut.filter(|zone| *zone != asked || kind != RecordType::DS) {
            if zone == asked {
                data.push(RData::NS(NS(Name::root())));
            }
            response.add_answers(of_kind(asked, kind, data));
            if response.answers.is_empty() {
                response.add_authority(Record::from_rdata(zone.clone(), TTL, soa()));
            }
            return Ok(());
        }
        let flaw = self.flaws.get(&(asked.clone(), kind)).copied();
        if let (Some(Flaw::Denied), Some(elsewhere)) = (flaw, self.unsigned.first()) {
            response.add_authority(Record::from_rdata(elsewhere.clone(), TTL, soa()));
            return Ok(());
        }
        let types: Vec<_> = match cut {
            Some(_) => vec![RecordType::NS],
            None => data.iter().map(RData::record_type).collect(),
        };
        response.add_answers(signer.signed(of_kind(asked, kind, data), flaw)?);
        if response.answers.is_empty() {
            let proof = Record::from_rdata(asked.clone(), TTL, signer.only(asked, types)?);
            let soa = Record::from_rdata(Name::root(), TTL, soa());
            for records in [vec![soa], vec![proof]] {
                response.add_authorities(signer.signed(records, None)?);
            }
        }
        Ok(())
    }

    fn add_target_addresses(&self, data: &RData, response: &mut Message) {
        let RData::SRV(record) = data else { return };
        let addresses = self.records.get(&record.target).into_iter().flatten();
        let is_address =
            |data: &&RData| matches!(data.record_type(), RecordType::A | RecordType::AAAA);
        for data in addresses.filter(is_address) {
            let address = Record::from_rdata(record.target.clone(), TTL, data.clone());
            response.add_additional(address);
        }
    }
}

fn of_kind(name: &Name, kind: RecordType, data: Vec<RData>) -> Vec<Record> {
    let data = data.into_iter().filter(|data| data.record_type() == kind);
    data.map(|data| Record::from_rdata(name.clone(), TTL, data)).collect()
}

fn soa() -> RData {
    RData::SOA(SOA::new(Name::root(), Name::root(), 1, 60, 60, 60, TTL))
}

fn name(text: &str) -> Result<Name> {
    let mut name = Name::from_ascii(text)
        .map_err(|error| PeerError::Script(format!("{text:?} is not a domain name: {error}")))?;
    name.set_fqdn(true);
    Ok(name.to_lowercase())
}

/// A running name server.
#[derive(Debug)]
pub struct Nameserver {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
}

impl Nameserver {
    /// Serves at that address (port 0: any free port).
    pub fn start(address: SocketAddr, zone: Zone) -> Result<Self> {
        let socket = UdpSocket::bind(address).map_err(PeerError::listen(address))?;
        let address = socket.local_addr().map_err(PeerError::listen(address))?;
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopped);
        thread::spawn(move || {
            let mut buffer = vec![0; MESSAGE];
            while !stop.load(Ordering::Relaxed) {
                // The client bears the loss if a datagram is not a query or an answer cannot be sent.
                let _ = answer_one(&socket, &mut buffer, &zone);
            }
        });
        Ok(Self { address, stopped })
    }

    /// The address at which the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn answer_one(socket: &UdpSocket, buffer: &mut [u8], zone: &Zone) -> io::Result<()> {
    let (size, asker) = socket.recv_from(buffer)?;
    let request =
        Message::from_vec(buffer.get(..size).unwrap_or_default()).map_err(io::Error::other)?;
    let answer = zone.answer(&request).to_vec().map_err(io::Error::other)?;
    socket.send_to(&answer, asker).map(drop)
}

impl Drop for Nameserver {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // An empty datagram wakes the thread, so that it reads the flag.
        if let Ok(socket) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)) {
            let _ = socket.send_to(&[], self.address);
        }
    }
}
