//! The responder's sockets: UDP and TCP on one port, forwarding included. Everything is bounded, because the backend is not
//! the only host that can reach the port; only [`Clients`] get answers.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::answer::{Decision, SynthConfig, Transport, refused, server_failure};
use super::cache::Cache;
use super::clients::Clients;
use super::upstreams::{OnTheWay, Silent};
use crate::accept;
use crate::dns::exchange::{ask, udp as ask_udp, write_framed};
use crate::observe::label::DnsResult;

/// Maximum queries forwarded at once; more are dropped, and their clients retry.
const MAX_FORWARDS: usize = 256;
/// Maximum TCP clients at once; more wait.
const MAX_CLIENTS: usize = 64;
/// Largest query: one question and EDNS fit many times over.
const MAX_QUERY: usize = 4096;
/// For one upstream resolver. Clients give up after 5 s (resolv.conf(5)); two upstreams fit.
const UPSTREAM_TIMEOUT: Duration = Duration::from_secs(2);
/// A TCP client that sends no query for this time is closed (RFC 7766 §6.2.3).
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// State of the responder; replaced as a whole on a reload.
#[derive(Debug)]
pub struct Horizon {
    config: SynthConfig,
    clients: Clients,
    upstreams: Vec<SocketAddr>,
    /// Replaced together with the resolvers whose answers it holds.
    cache: Mutex<Cache>,
}

impl Horizon {
    /// `config` determines the engine's own answers, `upstreams` are recursive resolvers for everything else, in order;
    /// never the responder itself.
    pub fn new(config: SynthConfig, clients: Clients, upstreams: Vec<SocketAddr>) -> Self {
        Self { config, clients, upstreams, cache: Mutex::default() }
    }
}

/// Is notified of the result of queries.
pub trait Witness: Send + Sync + 'static {
    /// A query was handled.
    fn count(&self, result: DnsResult);
    /// A client was told where the engine's probe domain is.
    fn answered_about_probe(&self, source: IpAddr);
    /// A query, or a TCP connection, of a host that is not a client was refused.
    fn refused(&self, source: IpAddr);
    /// A client sent a malformed query, or one of a kind that is not implemented.
    fn malformed(&self, source: IpAddr);
}

/// Both sockets on one port.
#[derive(Debug)]
pub struct Sockets {
    udp: UdpSocket,
    tcp: TcpListener,
}

impl Sockets {
    /// Binds both.
    ///
    /// # Errors
    /// When the port is in use or not permitted.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let tcp = TcpListener::bind(address).await?;
        let udp = UdpSocket::bind(tcp.local_addr()?).await?;
        Ok(Self { udp, tcp })
    }

    /// The address, with the port that the system chose if none was given.
    ///
    /// # Errors
    /// When the operating system does not report it.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

/// Answers until `shutdown`, then lets running queries finish.
pub async fn serve(
    sockets: Sockets,
    horizon: Arc<ArcSwap<Horizon>>,
    witness: impl Witness,
    shutdown: CancellationToken,
) {
    let tasks = TaskTracker::new();
    let responder = Arc::new(Responder {
        witness,
        horizon,
        forwards: Semaphore::new(MAX_FORWARDS),
        silent: Mutex::default(),
        on_the_way: Mutex::default(),
    });
    let both = async {
        tokio::join!(
            serve_udp(Arc::new(sockets.udp), &responder, &tasks),
            serve_tcp(sockets.tcp, &responder, &tasks, &shutdown)
        )
    };
    tokio::select! {
        _ = both => {}
        () = shutdown.cancelled() => {}
    }
    tasks.close();
    tasks.wait().await;
}

struct Responder<W> {
    horizon: Arc<ArcSwap<Horizon>>,
    witness: W,
    forwards: Semaphore,
    silent: Mutex<Silent>,
    on_the_way: Mutex<OnTheWay>,
}

impl<W: Witness> Responder<W> {
    fn admits(&self, source: IpAddr) -> bool {
        let admitted = self.horizon.load().clients.admit(source);
        if !admitted {
            self.witness.count(DnsResult::Refused);
            self.witness.refused(source);
        }
        admitted
    }

    fn decide(&self, query: &[u8], transport: Transport, source: IpAddr) -> Decision {
        let horizon = self.horizon.load();
        let decision = horizon.config.answer(query, transport);
        let (decision, result) = match decision {
            Decision::Drop | Decision::Reject(_) => {
                self.witness.malformed(source);
                (decision, DnsResult::Malformed)
            }
            Decision::Reply(_) => {
                if horizon.config.is_about_probe(query) {
                    self.witness.answered_about_probe(source);
                }
                (decision, DnsResult::Answered)
            }
            Decision::Forward => {
                match lock(&horizon.cache).get(query, transport, Instant::now()) {
                    Some(answer) => (Decision::Reply(answer), DnsResult::Cached),
                    // Counted when its result is known.
                    None => return decision,
                }
            }
        };
        self.witness.count(result);
        decision
    }

    /// Queries the upstreams in turn. Over UDP a truncated answer is returned as it is, so that the client retries over
    /// TCP.
    async fn forward(&self, query: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let Ok(_permit) = self.forwards.try_acquire() else {
            debug!("DNS query dropped: {MAX_FORWARDS} queries are already being forwarded");
            self.witness.count(DnsResult::Overloaded);
            return None;
        };
        if !self.may_go_on(query) {
            self.witness.count(DnsResult::Looped);
            return None;
        }
        let answer = self.ask_upstreams(query, transport).await;
        lock(&self.on_the_way).end(query);
        let result = if answer.is_some() { DnsResult::Forwarded } else { DnsResult::Failed };
        self.witness.count(result);
        answer.or_else(|| server_failure(query))
    }

    fn may_go_on(&self, query: &[u8]) -> bool {
        let mut on_the_way = lock(&self.on_the_way);
        let begun = on_the_way.begin(query);
        if !begun && on_the_way.warns(Instant::now()) {
            warn!(
                "DNS forwarding loop: a query arrived again while it was being forwarded. A resolver in /etc/resolv.conf \
                 forwards to the engine. Let it forward only the backend's names, or set `resolvers`"
            );
        }
        begun
    }

    async fn ask_upstreams(&self, query: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let horizon = self.horizon.load_full();
        let order = lock(&self.silent).order(&horizon.upstreams, Instant::now());
        for upstream in order {
            let answer = match transport {
                Transport::Udp => ask_udp(upstream, query, UPSTREAM_TIMEOUT).await,
                Transport::Tcp => ask(upstream, query, UPSTREAM_TIMEOUT).await,
            };
            match answer {
                Ok(answer) => {
                    lock(&self.silent).answered(&upstream);
                    lock(&horizon.cache).put(query, transport, &answer, Instant::now());
                    return Some(answer);
                }
                Err(error) => {
                    debug!(%error, "cannot forward a DNS query");
                    lock(&self.silent).failed(upstream, Instant::now());
                }
            }
        }
        None
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve_udp<W: Witness>(
    socket: Arc<UdpSocket>,
    responder: &Arc<Responder<W>>,
    tasks: &TaskTracker,
) {
    let mut buffer = vec![0; MAX_QUERY];
    loop {
        // An error here belongs to an earlier answer (ICMP unreachable), not to the socket.
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else { continue };
        let query = buffer.get(..length).unwrap_or_default();
        if !responder.admits(client.ip()) {
            if let Some(reply) = refused(query) {
                send(&socket, &reply, client).await;
            }
            continue;
        }
        match responder.decide(query, Transport::Udp, client.ip()) {
            Decision::Drop => {}
            Decision::Reply(reply) | Decision::Reject(reply) => send(&socket, &reply, client).await,
            Decision::Forward => {
                let (query, socket) = (query.to_vec(), Arc::clone(&socket));
                let responder = Arc::clone(responder);
                tasks.spawn(async move {
                    if let Some(reply) = responder.forward(&query, Transport::Udp).await {
                        send(&socket, &reply, client).await;
                    }
                });
            }
        }
    }
}

async fn send(socket: &UdpSocket, reply: &[u8], client: SocketAddr) {
    if let Err(error) = socket.send_to(reply, client).await {
        debug!(%client, %error, "cannot send a DNS answer");
    }
}

async fn serve_tcp<W: Witness>(
    listener: TcpListener,
    responder: &Arc<Responder<W>>,
    tasks: &TaskTracker,
    shutdown: &CancellationToken,
) {
    let clients = Arc::new(Semaphore::new(MAX_CLIENTS));
    loop {
        // Acquired before accepting: beyond the limit the kernel's queue holds the clients.
        let Ok(permit) = Arc::clone(&clients).acquire_owned().await else { return };
        let (stream, source) = accept::next(&listener, "dns").await;
        if !responder.admits(source.ip()) {
            // Closed at once: over TCP the source is not forged, and places are reserved for clients.
            continue;
        }
        let (responder, shutdown) = (Arc::clone(responder), shutdown.clone());
        tasks.spawn(async move {
            let _permit = permit;
            tokio::select! {
                result = client(stream, source.ip(), &responder) => {
                    if let Err(error) = result {
                        debug!(%error, "the connection of a DNS client ended with an error");
                    }
                }
                () = shutdown.cancelled() => {}
            }
        });
    }
}

/// One TCP client, one query after the other.
async fn client<W: Witness>(
    mut stream: TcpStream,
    source: IpAddr,
    responder: &Responder<W>,
) -> io::Result<()> {
    loop {
        let read = async {
            let length = usize::from(stream.read_u16().await?);
            if length > MAX_QUERY {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "DNS query too long"));
            }
            let mut query = vec![0; length];
            stream.read_exact(&mut query).await?;
            Ok(query)
        };
        let query = match timeout(IDLE_TIMEOUT, read).await {
            Ok(Ok(query)) => query,
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Ok(Err(error)) => return Err(error),
            Err(_) => return Ok(()),
        };
        let reply = match responder.decide(&query, Transport::Tcp, source) {
            Decision::Drop => return Ok(()),
            Decision::Reply(reply) | Decision::Reject(reply) => Some(reply),
            Decision::Forward => responder.forward(&query, Transport::Tcp).await,
        };
        let Some(reply) = reply else { return Ok(()) };
        timeout(IDLE_TIMEOUT, write_framed(&mut stream, &reply)).await??;
    }
}

#[cfg(test)]
mod tests;
