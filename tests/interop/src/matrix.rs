//! Runs the cells: the engine with a scripted backend on one side, a real server with a client on the other. Each cell
//! sends a message in each direction.

use std::collections::VecDeque;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use harness::evidence;
use harness::loopback::{DEADLINE, Ground, LOCAL, PEER, secret_of};
use lab::paths::Paths;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use s2s_peer::acceptor::{Acceptor, Proof};
use s2s_peer::authority::Authority;
use s2s_peer::element::Element;
use s2s_peer::error::PeerError;
use s2s_peer::nameserver::{Nameserver, Zone};
use s2s_peer::server::{Event, Server};
use s2s_peer::stream::{Item, Stream};

use super::cell::{CELLS, Cell, Way};
use super::certificate::Issuer;
use super::distance::Distance;
use super::error::{InteropError, Result};
use super::expect::{Expected, outcome};
use super::login::{self, Client};
use super::ours::{self, Manner, Ours, Probe};
use super::release::Release;
use super::result::{CellResult, Seen};
use super::site::{Addresses, CLIENTS, DNS, SERVERS, SERVERS_TLS, Site};

/// Number of cells that run at the same time: they mostly wait.
const AT_A_TIME: usize = 4;
/// Maximum time that a temporary failure holds up a stanza, in cells that expect it to come back.
const QUEUE_SECONDS: u16 = 8;
/// Interval between two checks of the evidence.
const PAUSE: Duration = Duration::from_millis(50);
/// Delay of the engine's first answer to a server that is not on the same machine, where that matters.
const DISTANCE: Duration = Duration::from_secs(1);
/// The identifiers of the two messages.
const OUTBOUND: &str = "from-us";
const INBOUND: &str = "from-them";

/// Runs all cells with that server, in the order of [`CELLS`].
pub fn run(release: Release, engine: &Path) -> Vec<(Cell, Result<CellResult>)> {
    let waiting: Mutex<VecDeque<(u8, Cell)>> = Mutex::new((1..).zip(CELLS).collect());
    let done = Mutex::new(Vec::new());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some((number, cell)) = next() {
                    let result = run_cell(release, engine, number, &cell);
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    done.push((number, cell, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(number, _, _)| *number);
    done.into_iter().map(|(_, cell, result)| (cell, result)).collect()
}

fn run_cell(release: Release, engine: &Path, number: u8, cell: &Cell) -> Result<CellResult> {
    let begun = Instant::now();
    let addresses = Addresses::of(number, cell.way);
    let issuer = Issuer::new()?;
    let _nameserver =
        Nameserver::start(SocketAddr::from((addresses.dns, DNS)), zone(cell, &addresses)?)?;
    let mut ground = Ground::new()?;
    let backend = backend(&ground.backend_ca, &addresses)?;

    let site = site(release, cell, &addresses, &ground, &issuer)?;
    // The server starts first, so that the engine's own probe of its peers finds it.
    let theirs = release.launch(&site)?.start(&site.root, &site.home)?;
    let at = backend.address();
    let (us, them) = (ours::party(cell), release.party(cell));
    let expected = (outcome(us, them, cell.way), outcome(them, us, cell.way));
    let fails = matches!(expected.0, Expected::Failed(_));
    let manner = Manner { probe: Probe::Auto, queue_seconds: fails.then_some(QUEUE_SECONDS) };
    let ours = ours::start(engine, &mut ground, &issuer, cell, &addresses, at, manner)?;

    let _distance = is_distant(cell)
        .then(|| {
            let engine = SocketAddr::new(addresses.ours, SERVERS_TLS);
            Distance::start((addresses.distant, SERVERS_TLS).into(), engine, DISTANCE)
        })
        .transpose()?;
    let exchange = exchange(&ground, &ours, &site, backend);
    let (mut outbound, mut inbound) = exchange.map_err(|error| InteropError::Server {
        what: error.to_string(),
        log: format!("{}\n--- the engine\n{}", theirs.log(), ours.engine.log()),
    })?;

    let roots = roots(&issuer)?;
    explain(&ours, &roots, &mut outbound, &mut inbound)?;
    Ok(CellResult {
        outbound: (expected.0, outbound),
        inbound: (expected.1, inbound),
        took: begun.elapsed(),
        log: format!("{}\n--- the engine\n{}", theirs.log(), ours.engine.log()),
    })
}

/// Adds the engine's evidence about both directions. The evidence may follow after a message has arrived.
fn explain(
    ours: &Ours,
    roots: &Arc<RootCertStore>,
    outbound: &mut Seen,
    inbound: &mut Seen,
) -> Result<()> {
    let begun = Instant::now();
    loop {
        let peer = evidence::of_peer(ours.control, roots)?;
        let seen =
            [(&*outbound, peer.outbound), (&*inbound, peer.inbound)].map(|(seen, stream)| {
                let mut seen = seen.clone();
                seen.explain(stream.as_ref());
                seen
            });
        if !seen.contains(&Seen::Unexplained) || begun.elapsed() > DEADLINE {
            [*outbound, *inbound] = seen;
            return Ok(());
        }
        thread::sleep(PAUSE);
    }
}

pub(super) fn roots(issuer: &Issuer) -> Result<Arc<RootCertStore>> {
    let unusable = |error: String| InteropError::Evidence(format!("roots of trust: {error}"));
    let certificate = CertificateDer::from_pem_slice(issuer.pem().as_bytes())
        .map_err(|error| unusable(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
    Ok(Arc::new(roots))
}

/// Whether the server reaches the engine over a distance. ejabberd 24.12 may lose an answer to Direct TLS that arrives
/// as quickly as on one machine; see docs/interoperability.md.
fn is_distant(cell: &Cell) -> bool {
    cell.way == Way::DirectTls
}

/// Input for the configuration of the real server; its directory is created.
pub(super) fn site(
    release: Release,
    cell: &Cell,
    addresses: &Addresses,
    ground: &Ground,
    issuer: &Issuer,
) -> Result<Site> {
    let home = ground.path("theirs");
    fs::create_dir_all(&home).map_err(InteropError::io("making", &home))?;
    Ok(Site {
        home,
        root: release.root(&Paths::from_env()?)?,
        domain: PEER.to_owned(),
        address: addresses.theirs,
        dns: addresses.dns,
        settings: release.settings(cell),
        extended: false,
        identity: issuer.issue(cell.theirs.certificate, PEER)?,
        authority: issuer.pem(),
    })
}

pub(super) fn zone(cell: &Cell, addresses: &Addresses) -> Result<Zone> {
    let (service, port) = match cell.way {
        Way::DirectTls => ("_xmpps-server", SERVERS_TLS),
        Way::Ordinary | Way::Ipv6 => ("_xmpp-server", SERVERS),
    };
    let host = |domain: &str| format!("xmpp.{domain}");
    let ours = if is_distant(cell) { addresses.distant.into() } else { addresses.ours };
    Ok(Zone::default()
        .address(&host(PEER), addresses.theirs)?
        .server(service, PEER, &host(PEER), port)?
        .address(&host(LOCAL), ours)?
        .server(service, LOCAL, &host(LOCAL), port)?)
}

pub(super) fn backend(authority: &Authority, addresses: &Addresses) -> Result<Server> {
    let acceptor = Acceptor {
        domain: LOCAL.to_owned(),
        identity: authority.issue(&[LOCAL])?,
        roots: authority.roots()?,
        proof: Proof::Certificate,
        secret: secret_of(LOCAL),
        timeout: DEADLINE,
    };
    Ok(Server::start(SocketAddr::from((addresses.backend, SERVERS)), acceptor)?)
}

/// A message that one side received.
enum Arrival {
    AtOurs(Element),
    AtTheirs(Element),
    /// Nothing listens there any more.
    Lost(PeerError),
}

/// Sends a message in each direction and waits until the outcome of both is known.
fn exchange(ground: &Ground, ours: &Ours, site: &Site, backend: Server) -> Result<(Seen, Seen)> {
    let Client { mut stream, address } = login::log_in(site.at(CLIENTS))?;
    let (sender, arrivals) = channel();
    let at_ours = sender.clone();
    thread::spawn(move || watch_backend(&backend, &at_ours));

    stream.send(message(INBOUND, &address, &format!("juliet@{LOCAL}")))?;
    thread::spawn(move || watch_client(stream, &sender));

    let mut from_backend = ours.stream_from_backend(ground)?;
    from_backend.send(message(OUTBOUND, &format!("juliet@{LOCAL}/balcony"), &address))?;
    settle(&arrivals)
}

pub(super) fn message(id: &str, from: &str, to: &str) -> String {
    format!("<message type='chat' id='{id}' from='{from}' to='{to}'><body>{id}</body></message>")
}

fn settle(arrivals: &Receiver<Arrival>) -> Result<(Seen, Seen)> {
    let deadline = Instant::now() + DEADLINE;
    let (mut outbound, mut inbound) = (None, None);
    while outbound.is_none() || inbound.is_none() {
        let left = deadline.saturating_duration_since(Instant::now());
        match arrivals.recv_timeout(left) {
            Ok(Arrival::AtTheirs(message)) => match message.attribute("id") {
                Some(OUTBOUND) => outbound = Some(Seen::Arrived),
                Some(INBOUND) => inbound = Some(Seen::bounced(&message)),
                _ => {}
            },
            Ok(Arrival::AtOurs(message)) => match message.attribute("id") {
                Some(INBOUND) => inbound = Some(Seen::Arrived),
                Some(OUTBOUND) => outbound = Some(Seen::bounced(&message)),
                _ => {}
            },
            Ok(Arrival::Lost(error)) => return Err(error.into()),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    Ok((outbound.unwrap_or(Seen::Silence), inbound.unwrap_or(Seen::Silence)))
}

/// Runs until nothing listens. The engine's own pings of the backend come in between.
fn watch_backend(backend: &Server, arrivals: &Sender<Arrival>) {
    loop {
        let next = backend.wait("a message", |event| match event {
            Event::Stanza { stanza, .. } if stanza.name == "message" => Some(stanza),
            _ => None,
        });
        let arrival = match next {
            Ok(message) => Arrival::AtOurs(message),
            Err(PeerError::Deadline { .. }) => return,
            Err(error) => Arrival::Lost(error),
        };
        if arrivals.send(arrival).is_err() {
            return;
        }
    }
}

fn watch_client(mut stream: Stream, arrivals: &Sender<Arrival>) {
    loop {
        let arrival = match stream.receive("a message") {
            Ok(Item::Element(stanza)) if stanza.name == "message" => Arrival::AtTheirs(stanza),
            Ok(Item::Element(_)) => continue,
            Ok(Item::Header(_) | Item::End) | Err(PeerError::Deadline { .. }) => return,
            Err(error) => Arrival::Lost(error),
        };
        let lost = matches!(arrival, Arrival::Lost(_));
        if arrivals.send(arrival).is_err() || lost {
            return;
        }
    }
}
