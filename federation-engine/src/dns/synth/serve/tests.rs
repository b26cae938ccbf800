//! The responder and a scripted upstream on loopback.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RData;
use hickory_proto::rr::rdata::A;
use tokio::io::AsyncWriteExt;

use super::*;
use crate::Domain;
use crate::dns::ask::{self, Code, Kind, Mode};
use crate::dns::testing::{TestServer, found, nobody, respond};

/// Longer than an answer takes on a busy machine.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);

/// Counts its notifications.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<(Vec<DnsResult>, Vec<IpAddr>)>>);

impl Seen {
    fn count_of(&self, result: DnsResult) -> usize {
        lock(&self.0).0.iter().filter(|seen| **seen == result).count()
    }

    fn sources(&self) -> Vec<IpAddr> {
        lock(&self.0).1.clone()
    }
}

impl Witness for Seen {
    fn count(&self, result: DnsResult) {
        lock(&self.0).0.push(result);
    }

    fn answered_about_probe(&self, source: IpAddr) {
        lock(&self.0).1.push(source);
    }

    fn refused(&self, source: IpAddr) {
        lock(&self.0).1.push(source);
    }

    fn malformed(&self, source: IpAddr) {
        lock(&self.0).1.push(source);
    }
}

/// A responder for some clients.
struct Server {
    address: SocketAddr,
    seen: Seen,
    horizon: Arc<ArcSwap<Horizon>>,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    /// Its upstreams may depend on its own address.
    async fn start(
        clients: &[&str],
        upstreams: impl FnOnce(SocketAddr) -> Vec<SocketAddr>,
    ) -> Self {
        let sockets = loop {
            // Another process may have the port of UDP that the system chose for TCP.
            if let Ok(sockets) = Sockets::bind((Ipv4Addr::LOCALHOST, 0).into()).await {
                break sockets;
            }
        };
        let address = sockets.local_addr().unwrap();
        let horizon = Arc::new(ArcSwap::from_pointee(horizon(clients, upstreams(address))));
        let (seen, shutdown) = (Seen::default(), CancellationToken::new());
        let served = serve(sockets, Arc::clone(&horizon), seen.clone(), shutdown.clone());
        Self { address, seen, horizon, shutdown, task: tokio::spawn(served) }
    }
}

fn horizon(clients: &[&str], upstreams: Vec<SocketAddr>) -> Horizon {
    let host = Domain::parse("im.local.example").unwrap();
    let port = NonZeroU16::new(15269).unwrap();
    let address = IpAddr::from(Ipv4Addr::new(198, 18, 0, 7));
    let config =
        SynthConfig::new(&host, address, port, [Domain::parse("local.example").unwrap()]).unwrap();
    let networks: Vec<_> = clients.iter().map(|text| text.parse().unwrap()).collect();
    Horizon::new(config, Clients::new(&networks), upstreams)
}

async fn start(
    upstreams: Vec<SocketAddr>,
) -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
    start_with(|_| upstreams).await
}

/// Its upstreams may depend on its own address.
async fn start_with(
    upstreams: impl FnOnce(SocketAddr) -> Vec<SocketAddr>,
) -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
    let server = Server::start(&["127.0.0.0/8"], upstreams).await;
    (server.address, server.shutdown, server.task)
}

/// Truncates over UDP names that begin with `big`.
async fn upstream() -> TestServer {
    TestServer::start(|query: &Message, tcp| {
        let mut reply = found(query, vec![RData::A(A(Ipv4Addr::new(198, 18, 0, 9)))]);
        if !tcp && query.queries[0].name().to_ascii().starts_with("big") {
            reply = respond(query, ResponseCode::NoError);
            reply.metadata.truncation = true;
        }
        Some(reply)
    })
    .await
}

/// Asks over TCP by hand.
async fn ask_tcp(server: SocketAddr, query: &[u8]) -> Message {
    let mut stream = TcpStream::connect(server).await.unwrap();
    for _ in 0..2 {
        write_framed(&mut stream, query).await.unwrap();
        let length = stream.read_u16().await.unwrap();
        let mut reply = vec![0; usize::from(length)];
        stream.read_exact(&mut reply).await.unwrap();
        assert_eq!(reply[..2], query[..2], "the client's own id comes back");
    }
    write_framed(&mut stream, query).await.unwrap();
    let length = stream.read_u16().await.unwrap();
    let mut reply = vec![0; usize::from(length)];
    stream.read_exact(&mut reply).await.unwrap();
    Message::from_vec(&reply).unwrap()
}

fn query(name: &str) -> Vec<u8> {
    use hickory_proto::op::{MessageType, OpCode, Query};
    use hickory_proto::rr::RecordType;
    let mut message = Message::new(4711, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(crate::dns::testing::name(name), RecordType::SRV));
    message.to_vec().unwrap()
}

#[tokio::test]
async fn foreign_domains_are_answered_and_the_rest_is_forwarded_over_both_transports() {
    let upstream = upstream().await;
    let (server, shutdown, task) = start(vec![upstream.address]).await;
    let asked =
        |name: &'static str, kind| ask::ask(server, name, kind, Mode::Recursive, ANSWER_TIMEOUT);

    let reply = asked("_xmpp-server._tcp.partner.example", Kind::Srv).await.unwrap();
    let srv: Vec<_> = reply.srv().cloned().collect();
    assert_eq!(srv[0].target.as_deref(), Some("xfed-engine.im.local.example"));
    assert_eq!(srv[0].port, 15269);
    let reply = asked("xfed-engine.im.local.example", Kind::A).await.unwrap();
    assert_eq!(reply.addresses().collect::<Vec<_>>(), [Ipv4Addr::new(198, 18, 0, 7)]);
    assert_eq!(
        asked("_xmpps-server._tcp.partner.example", Kind::Srv).await.unwrap().negative_ttl(),
        Some(30)
    );
    let over_tcp = ask_tcp(server, &query("_xmpp-server._tcp.partner.example")).await;
    assert_eq!(over_tcp.answers.len(), 1);
    assert_eq!(upstream.asked(), 0, "none of these is anybody else's business");

    let reply = asked("www.example", Kind::A).await.unwrap();
    assert_eq!(reply.addresses().collect::<Vec<_>>(), [Ipv4Addr::new(198, 18, 0, 9)]);
    assert_eq!(upstream.asked(), 1);
    let reply = asked("big.example", Kind::A).await.unwrap();
    assert_eq!(reply.addresses().count(), 1, "UDP truncated at both, then TCP at both");
    assert_eq!(upstream.asked(), 4);

    shutdown.cancel();
    task.await.unwrap();
    assert!(TcpStream::connect(server).await.is_err(), "the port is free again");
}

#[tokio::test]
async fn the_next_upstream_is_asked_and_without_any_the_client_is_notified() {
    let upstream = upstream().await;
    let nobody = nobody().await;
    let dead = nobody.local_addr().unwrap();
    let (server, _, _) = start(vec![dead, upstream.address]).await;
    let reply =
        ask::ask(server, "www.example", Kind::A, Mode::Recursive, ANSWER_TIMEOUT).await.unwrap();
    assert_eq!(reply.code, Code::NoError);
    let (server, _, _) = start(vec![dead]).await;
    let reply =
        ask::ask(server, "www.example", Kind::A, Mode::Recursive, ANSWER_TIMEOUT).await.unwrap();
    assert_eq!(reply.code, Code::ServFail);
}

#[tokio::test]
async fn a_resolver_that_is_silent_holds_up_one_client_and_not_the_next() {
    let silent = TestServer::start(|_: &Message, _| None).await;
    let upstream = upstream().await;
    let (server, _, _) = start(vec![silent.address, upstream.address]).await;
    for name in ["www.example", "mail.example", "ns.example"] {
        let reply = ask::ask(server, name, Kind::A, Mode::Recursive, ANSWER_TIMEOUT).await.unwrap();
        assert_eq!(reply.code, Code::NoError);
    }
    assert_eq!(silent.asked(), 1, "its silence is remembered");
}

#[tokio::test]
async fn a_resolver_that_forwards_to_this_server_does_not_multiply_a_question() {
    let last = upstream().await;
    let address = last.address;
    let (server, _, _) = start_with(|own| vec![own, address]).await;
    let reply =
        ask::ask(server, "www.example", Kind::A, Mode::Recursive, ANSWER_TIMEOUT).await.unwrap();
    assert_eq!(reply.code, Code::NoError, "the next resolver is asked in the end");
    assert!(last.asked() <= 4, "one question became {}", last.asked());
}

#[tokio::test]
async fn hostile_clients_do_not_stop_it() {
    let (server, _, _) = start(vec![]).await;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    for bytes in [&b""[..], b"\xff", &[0xff; 12], &[0; 600], &[0; 5000]] {
        socket.send_to(bytes, server).await.unwrap();
    }
    let mut liar = TcpStream::connect(server).await.unwrap();
    liar.write_all(&[0xff, 0xff, 1, 2, 3]).await.unwrap();
    let mut rest = Vec::new();
    let _ = liar.read_to_end(&mut rest).await;
    assert!(rest.is_empty(), "closed without an answer");
    let reply = ask::ask(
        server,
        "_xmpp-server._tcp.partner.example",
        Kind::Srv,
        Mode::Recursive,
        ANSWER_TIMEOUT,
    )
    .await
    .unwrap();
    assert_eq!(reply.srv().count(), 1);
}

/// One query over UDP from this address, which may be any of 127.0.0.0/8.
async fn ask_from(source: [u8; 4], server: SocketAddr, query: &[u8]) -> Message {
    let socket = UdpSocket::bind((Ipv4Addr::from(source), 0)).await.unwrap();
    socket.connect(server).await.unwrap();
    socket.send(query).await.unwrap();
    let mut buffer = [0; 4096];
    let length = timeout(ANSWER_TIMEOUT, socket.recv(&mut buffer)).await.unwrap().unwrap();
    assert!(
        length <= query.len() || buffer[3].trailing_zeros() >= 4,
        "a refusal is no longer than its query"
    );
    Message::from_vec(&buffer[..length]).unwrap()
}

/// What a TCP client from this address reads.
async fn connect_from(source: [u8; 4], server: SocketAddr, query: &[u8]) -> Vec<u8> {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::from(source), 0).into()).unwrap();
    let mut stream = socket.connect(server).await.unwrap();
    // The connection may be closed before or after this.
    let _ = write_framed(&mut stream, query).await;
    let mut read = vec![0; 2];
    let _ = timeout(ANSWER_TIMEOUT, stream.read_exact(&mut read)).await.unwrap();
    read
}

#[tokio::test]
async fn rfc5358_only_clients_are_answered_and_the_others_are_refused_and_counted() {
    let upstream = upstream().await;
    let address = upstream.address;
    let clients = ["127.0.0.2/32", "127.1.0.0/16"];
    let server = Server::start(&clients, |_| vec![address]).await;
    let queries = [query("_xmpp-server._tcp.partner.example"), query("www.example")];
    for source in [[127, 0, 0, 2], [127, 1, 2, 3]] {
        for query in &queries {
            let reply = ask_from(source, server.address, query).await;
            assert_eq!(reply.metadata.response_code, ResponseCode::NoError, "{source:?}");
            assert_eq!(reply.answers.len(), 1);
            assert_ne!(connect_from(source, server.address, query).await, [0, 0], "{source:?}");
        }
    }
    let asked = upstream.asked();
    assert_eq!(server.seen.count_of(DnsResult::Refused), 0);
    for source in [[127, 0, 0, 1], [127, 0, 0, 3], [127, 2, 0, 1]] {
        for query in &queries {
            let reply = ask_from(source, server.address, query).await;
            assert_eq!(reply.metadata.response_code, ResponseCode::Refused, "{source:?}");
            assert_eq!((reply.metadata.id, reply.queries.len()), (4711, 1));
            assert!(
                reply.answers.is_empty() && reply.metadata.recursion_desired == (query[2] & 1 == 1)
            );
            assert_eq!(connect_from(source, server.address, query).await, [0, 0], "{source:?}");
        }
    }
    assert_eq!(server.seen.count_of(DnsResult::Refused), 12);
    assert_eq!(server.seen.sources().len(), 12);
    assert_eq!(upstream.asked(), asked, "no resolver hears of them");
}

#[tokio::test]
async fn another_configuration_decides_about_clients_from_then_on() {
    let server = Server::start(&["127.0.0.2/32"], |_| vec![]).await;
    let query = query("_xmpp-server._tcp.partner.example");
    let code = async |source| ask_from(source, server.address, &query).await.metadata.response_code;
    assert_eq!(code([127, 0, 0, 2]).await, ResponseCode::NoError);
    server.horizon.store(Arc::new(horizon(&["127.0.0.3/32"], vec![])));
    assert_eq!(code([127, 0, 0, 2]).await, ResponseCode::Refused);
    assert_eq!(code([127, 0, 0, 3]).await, ResponseCode::NoError);
}

#[tokio::test]
async fn strangers_on_tcp_take_no_place_from_clients() {
    let server = Server::start(&["127.0.0.2/32"], |_| vec![]).await;
    let mut strangers = Vec::new();
    for _ in 0..2 * MAX_CLIENTS {
        strangers.push(TcpStream::connect(server.address).await.unwrap());
    }
    let query = query("_xmpp-server._tcp.partner.example");
    assert_ne!(connect_from([127, 0, 0, 2], server.address, &query).await, [0, 0]);
    drop(strangers);
}

#[tokio::test]
async fn an_answer_is_forwarded_once_and_kept_until_the_resolvers_change() {
    let first = upstream().await;
    let address = first.address;
    let server = Server::start(&["127.0.0.0/8"], |_| vec![address]).await;
    let query = query("www.example");
    for source in [[127, 0, 0, 1], [127, 0, 0, 2], [127, 0, 0, 3]] {
        let reply = ask_from(source, server.address, &query).await;
        assert_eq!((reply.metadata.id, reply.answers.len()), (4711, 1));
    }
    assert_eq!(first.asked(), 1);
    assert_eq!(server.seen.count_of(DnsResult::Forwarded), 1);
    assert_eq!(server.seen.count_of(DnsResult::Cached), 2);
    let second = upstream().await;
    server.horizon.store(Arc::new(horizon(&["127.0.0.0/8"], vec![second.address])));
    ask_from([127, 0, 0, 1], server.address, &query).await;
    assert_eq!((first.asked(), second.asked()), (1, 1));
}

/// Waits until the responder has counted as many of that result.
async fn counted(server: &Server, result: DnsResult, count: usize) {
    let look = async {
        while server.seen.count_of(result) < count {
            tokio::task::yield_now().await;
        }
    };
    timeout(ANSWER_TIMEOUT, look).await.unwrap();
}

#[tokio::test]
async fn a_malformed_query_has_its_own_result_and_names_its_source() {
    let server = Server::start(&["127.0.0.0/8"], |_| vec![]).await;
    let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 2), 0)).await.unwrap();
    let mut update = query("www.example");
    update[2] = 5 << 3;
    let mut response = query("www.example");
    response[2] |= 0x80;
    let good = query("www.example");
    let bad = [&b"\xff"[..], &[0xff; 12], &good[..good.len() - 1], &update, &response];
    for bytes in bad {
        socket.send_to(bytes, server.address).await.unwrap();
    }
    counted(&server, DnsResult::Malformed, bad.len()).await;
    assert_eq!(server.seen.sources(), [IpAddr::from(Ipv4Addr::new(127, 0, 0, 2)); 5]);
}

#[tokio::test]
async fn a_loop_has_its_own_result() {
    let server = Server::start(&["127.0.0.0/8"], |own| vec![own]).await;
    let code = ask::ask(server.address, "www.example", Kind::A, Mode::Recursive, ANSWER_TIMEOUT);
    assert_eq!(code.await.unwrap().code, Code::ServFail);
    counted(&server, DnsResult::Looped, 1).await;
    assert_eq!(server.seen.count_of(DnsResult::Overloaded), 0);
}
