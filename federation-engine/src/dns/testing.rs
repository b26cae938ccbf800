//! A scripted DNS server on loopback for tests: UDP and TCP on one port.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::{Name, RData, Record};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, UdpSocket};

use super::exchange::write_framed;

/// The answer that a script gives to a query; `None` is no answer. The flag is true over TCP.
type Script = dyn Fn(&Message, bool) -> Option<Message> + Send + Sync;

pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) queries: Arc<AtomicUsize>,
}

impl TestServer {
    pub(crate) async fn start(
        script: impl Fn(&Message, bool) -> Option<Message> + Send + Sync + 'static,
    ) -> Self {
        let script: Arc<Script> = Arc::new(script);
        let queries = Arc::new(AtomicUsize::new(0));
        let (tcp, udp, address) = loop {
            let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let address = tcp.local_addr().unwrap();
            // Another process may have this port of UDP: the system chose it for TCP.
            if let Ok(udp) = UdpSocket::bind(address).await {
                break (tcp, udp, address);
            }
        };
        let (udp_script, udp_queries) = (Arc::clone(&script), Arc::clone(&queries));
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            loop {
                let (length, client) = udp.recv_from(&mut buffer).await.unwrap();
                udp_queries.fetch_add(1, Ordering::SeqCst);
                let query = Message::from_vec(&buffer[..length]).unwrap();
                if let Some(reply) = udp_script(&query, false) {
                    udp.send_to(&reply.to_vec().unwrap(), client).await.unwrap();
                }
            }
        });
        let tcp_queries = Arc::clone(&queries);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = tcp.accept().await.unwrap();
                let (script, queries) = (Arc::clone(&script), Arc::clone(&tcp_queries));
                tokio::spawn(async move {
                    while let Ok(length) = stream.read_u16().await {
                        let mut query = vec![0; usize::from(length)];
                        stream.read_exact(&mut query).await.unwrap();
                        queries.fetch_add(1, Ordering::SeqCst);
                        let query = Message::from_vec(&query).unwrap();
                        let Some(reply) = script(&query, true) else { return };
                        write_framed(&mut stream, &reply.to_vec().unwrap()).await.unwrap();
                    }
                });
            }
        });
        Self { address, queries }
    }

    pub(crate) fn asked(&self) -> usize {
        self.queries.load(Ordering::SeqCst)
    }
}

/// A UDP port on which nobody answers, for as long as the socket is kept: data from elsewhere than its peer is not
/// delivered to it (udp(7)), and the system reports that by ICMP.
pub(crate) async fn nobody() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    socket.connect((Ipv4Addr::LOCALHOST, 9)).await.unwrap();
    socket
}

/// An empty answer with this code.
pub(crate) fn respond(query: &Message, code: ResponseCode) -> Message {
    let mut reply = Message::response(query.metadata.id, OpCode::Query);
    reply.metadata.response_code = code;
    reply.metadata.recursion_available = true;
    reply.add_queries(query.queries.clone());
    reply
}

/// An answer with these records, all owned by the queried name.
pub(crate) fn found(query: &Message, data: Vec<RData>) -> Message {
    let mut reply = respond(query, ResponseCode::NoError);
    let owner = query.queries[0].name().clone();
    reply.add_answers(data.into_iter().map(|data| Record::from_rdata(owner.clone(), 60, data)));
    reply
}

pub(crate) fn name(text: &str) -> Name {
    super::ask::absolute(text).unwrap()
}

/// The queried name, lower case, without trailing dot.
pub(crate) fn asked_name(query: &Message) -> String {
    query.queries[0].name().to_ascii().trim_end_matches('.').to_ascii_lowercase()
}
