//! A small authoritative name server over UDP (RFC 1035), for what a test wants found.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, SRV};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::error::{PeerError, Result};

const TTL: u32 = 5;
/// Without EDNS a message has at most 512 bytes (RFC 1035 §4.2.1); a little more does no harm in what is only received.
const MESSAGE: usize = 4096;

/// The records that it serves.
#[derive(Debug, Clone, Default)]
pub struct Zone {
    records: HashMap<Name, Vec<RData>>,
}

impl Zone {
    /// An address of a host.
    pub fn address(mut self, host: &str, address: impl Into<IpAddr>) -> Result<Self> {
        let record = match address.into() {
            IpAddr::V4(address) => RData::A(A(address)),
            IpAddr::V6(address) => RData::AAAA(AAAA(address)),
        };
        self.records.entry(name(host)?).or_default().push(record);
        Ok(self)
    }

    /// A server for a domain: `service` is `_xmpp-server` or `_xmpps-server` (RFC 6120 §3.2.1, XEP-0368).
    pub fn server(self, service: &str, domain: &str, host: &str, port: u16) -> Result<Self> {
        self.server_with_priority(service, domain, host, (0, port))
    }

    /// The same with a priority before the port; the lower one is tried first (RFC 2782).
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

    fn answer(&self, request: &Message) -> Message {
        let mut response = Message::response(request.metadata.id, OpCode::Query);
        response.metadata.authoritative = true;
        response.metadata.recursion_desired = request.metadata.recursion_desired;
        // A resolver that asked us for recursion takes what we say as final.
        response.metadata.recursion_available = true;
        response.add_queries(request.queries.iter().cloned());
        let Some(query) = request.queries.first() else {
            response.metadata.response_code = ResponseCode::FormErr;
            return response;
        };
        let asked = query.name.to_lowercase();
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

fn name(text: &str) -> Result<Name> {
    let mut name = Name::from_ascii(text)
        .map_err(|error| PeerError::Script(format!("{text:?} is no domain name: {error}")))?;
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
    /// Serves on that address (port 0: a free one).
    pub fn start(address: SocketAddr, zone: Zone) -> Result<Self> {
        let socket = UdpSocket::bind(address).map_err(PeerError::io("listening for DNS"))?;
        let address = socket.local_addr().map_err(PeerError::io("listening for DNS"))?;
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopped);
        thread::spawn(move || {
            let mut buffer = vec![0; MESSAGE];
            while !stop.load(Ordering::Relaxed) {
                // A datagram that is no query, or an answer that cannot be sent, is the asker's loss.
                let _ = answer_one(&socket, &mut buffer, &zone);
            }
        });
        Ok(Self { address, stopped })
    }

    /// Where it listens.
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
        // An empty datagram wakes the thread, so that it sees the flag.
        if let Ok(socket) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)) {
            let _ = socket.send_to(&[], self.address);
        }
    }
}
