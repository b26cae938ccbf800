//! The gateway of IBM Sametime 8.2 and 8.5.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RData, RecordType};

use super::wire::{Certificate, Tls, Version, Wire};
use crate::error::{PeerError, Result};

/// With TLS: it is required, certificates are exchanged, and SASL must be enabled ([S-2], [S-14], [S-15]).
pub const OVER_TLS: Wire = Wire {
    version: Version::One,
    tls: Tls::Required,
    certificate: Certificate::Trusted,
    announces_dialback: false,
    external: true,
    key_digits: 40,
    closes_idle_streams: false,
};

/// Without TLS: dialback over TCP.
pub const PLAIN: Wire =
    Wire { tls: Tls::Never, certificate: Certificate::Nothing, external: false, ..OVER_TLS };

/// The server of a domain as this gateway finds it: the target of the first SRV record in the answer, and no other
/// ([S-8]).
pub fn first_server(resolver: SocketAddr, domain: &str, timeout: Duration) -> Result<SocketAddr> {
    let service = format!("_xmpp-server._tcp.{domain}.");
    let records = ask(resolver, &service, RecordType::SRV, timeout)?;
    let Some(RData::SRV(first)) = records.first() else {
        return Err(PeerError::Script(format!("no SRV record of {domain}")));
    };
    let addresses = ask(resolver, &first.target.to_string(), RecordType::A, timeout)?;
    match addresses.first() {
        Some(RData::A(address)) => Ok(SocketAddr::from((address.0, first.port))),
        _ => Err(PeerError::Script(format!("no address of {}", first.target))),
    }
}

fn ask(
    resolver: SocketAddr,
    name: &str,
    kind: RecordType,
    timeout: Duration,
) -> Result<Vec<RData>> {
    let no_name = |error| PeerError::Script(format!("{name:?} is no domain name: {error}"));
    let broken = |error: &dyn std::fmt::Display| PeerError::Script(format!("DNS: {error}"));
    let mut query = Message::new(1, MessageType::Query, OpCode::Query);
    query.add_query(Query::query(Name::from_ascii(name).map_err(no_name)?, kind));
    let query = query.to_vec().map_err(|error| broken(&error))?;
    let socket = UdpSocket::bind((resolver.ip(), 0)).map_err(PeerError::io("asking DNS"))?;
    socket.set_read_timeout(Some(timeout)).map_err(PeerError::io("asking DNS"))?;
    socket.send_to(&query, resolver).map_err(PeerError::io("asking DNS"))?;
    let mut answer = [0; 512];
    let size = socket.recv(&mut answer).map_err(PeerError::io("awaiting an answer of DNS"))?;
    let answer = Message::from_vec(answer.get(..size).unwrap_or_default())
        .map_err(|error| broken(&error))?;
    let of_kind = |record: &&hickory_proto::rr::Record| record.record_type() == kind;
    Ok(answer.answers.iter().filter(of_kind).map(|record| record.data.clone()).collect())
}
