//! The experiment: the time that a stanza takes through the engine, beside the time of the same stanza on a stream
//! without the engine, in both directions.
//!
//! One stanza is on the way at a time. The paths take turns, so that other load on the machine affects all alike. All
//! streams use TLS and are open before the measurement. The time ends when the thread that reads the receiver's stream
//! has the whole stanza.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path as File;
use std::thread;
use std::time::{Duration, Instant};

use harness::engine::Engine;
use harness::loopback::{BACKEND_ADDRESS, Ground, LOCAL, PEER, PEER_ADDRESS};
use s2s_peer::authority::Authority;
use s2s_peer::nameserver::{Nameserver, Zone};
use s2s_peer::stream::Stream;

use super::added::Added;
use super::error::{BenchError, Result};
use super::load::{ID_DIGITS, ID_PREFIX};
use super::null::receive;
use super::sender::open;
use super::sink::Sink;
use super::subject::MAX_SILENCE;

/// Stanzas on each path before the measured ones.
const WARM_UP: usize = 50;

/// The direction of a stanza.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the peer to the backend.
    Inward,
    /// From the backend to the peer.
    Outward,
}

impl Direction {
    /// Both directions.
    pub const ALL: [Self; 2] = [Self::Inward, Self::Outward];

    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inward => "inward",
            Self::Outward => "outward",
        }
    }

    /// The domain of the sender, and the domain and the address of the receiver.
    const fn ends(self) -> (&'static str, &'static str, Ipv4Addr) {
        match self {
            Self::Inward => (PEER, LOCAL, BACKEND_ADDRESS),
            Self::Outward => (LOCAL, PEER, PEER_ADDRESS),
        }
    }
}

/// The engine between a peer and a backend, and streams between the same two without it.
#[derive(Debug)]
pub struct Paths {
    /// For each direction: through the engine, and without it.
    both: Vec<[Path; 2]>,
    /// The engine.
    pub engine: Engine,
    _nameserver: Nameserver,
    _ground: Ground,
}

/// An open stream, and the count of what arrives of it.
#[derive(Debug)]
struct Path {
    name: &'static str,
    direction: Direction,
    stream: Stream,
    sink: Sink,
    next: u64,
}

impl Paths {
    /// Starts `engine`, the servers, and the streams.
    pub fn start(engine: &File) -> Result<Self> {
        let ground = Ground::new()?;
        let (outside, inside) = (&ground.authority, &ground.backend_ca);
        let (backend, inward) = server(Direction::Inward, inside)?;
        let (peer, outward) = server(Direction::Outward, outside)?;
        let host = format!("xmpp.{PEER}");
        let nameserver = Zone::default()
            .address(&host, PEER_ADDRESS)
            .and_then(|zone| zone.server("_xmpp-server", PEER, &host, peer.port()))
            .and_then(|zone| Nameserver::start((PEER_ADDRESS, 0).into(), zone))
            .map_err(BenchError::peer("name server of the peer"))?;
        let config = ground.config(backend, nameserver.address());
        let engine = Engine::start(engine, ground.directory(), &config, ground.admin)?;
        let mut both = Vec::new();
        for (direction, door, authority, sink) in [
            (Direction::Inward, ground.outer, outside, inward),
            (Direction::Outward, ground.inner, inside, outward),
        ] {
            let through = Path::open("engine", direction, door, authority, sink)?;
            let (address, sink) = server(direction, outside)?;
            let direct = Path::open("no engine", direction, address, outside, sink)?;
            both.push([through, direct]);
        }
        Ok(Self { both, engine, _nameserver: nameserver, _ground: ground })
    }

    /// Sends this many stanzas on each path, and waits for `pause` before each of them.
    pub fn measure(&mut self, stanzas: usize, pause: Duration) -> Result<Vec<Added>> {
        let mut taken = vec![[Vec::new(), Vec::new()]; self.both.len()];
        for number in 0..WARM_UP + stanzas {
            for (paths, taken) in self.both.iter_mut().zip(&mut taken) {
                for (path, taken) in paths.iter_mut().zip(taken) {
                    thread::sleep(pause);
                    let time = path.send()?;
                    if number >= WARM_UP {
                        taken.push(time);
                    }
                }
            }
        }
        let added = self.both.iter().zip(taken).filter_map(|([path, _], [through, direct])| {
            Added::of(path.direction, pause, through, direct)
        });
        Ok(added.collect())
    }
}

impl Path {
    fn open(
        name: &'static str,
        direction: Direction,
        address: SocketAddr,
        authority: &Authority,
        sink: Sink,
    ) -> Result<Self> {
        let (from, to, _) = direction.ends();
        let stream = open("a stream of the sender", address, from, to, authority)?;
        Ok(Self { name, direction, stream, sink, next: 0 })
    }

    /// Sends the next stanza, and waits until it has arrived.
    fn send(&mut self) -> Result<Duration> {
        let (from, to, _) = self.direction.ends();
        let number = self.next;
        let stanza = format!(
            "<message from='romeo@{from}/orchard' to='juliet@{to}' type='chat' \
             id='{ID_PREFIX}{number:0ID_DIGITS$}'><body>She speaks. O, speak again, bright angel!\
             </body></message>"
        );
        let begun = Instant::now();
        self.stream.send(stanza).map_err(BenchError::peer("sending"))?;
        self.next += 1;
        self.sink.wait(self.name, self.next, MAX_SILENCE)?;
        let arrived = self.sink.last_arrival().unwrap_or(begun);
        Ok(arrived.saturating_duration_since(begun))
    }
}

/// Starts the receiver of that direction, whose certificate that authority signs.
fn server(direction: Direction, authority: &Authority) -> Result<(SocketAddr, Sink)> {
    let failed = || BenchError::peer("certificates");
    let (_, domain, address) = direction.ends();
    let sink = Sink::default();
    let identity = authority.issue(&[domain]).map_err(failed())?;
    let roots = authority.roots().map_err(failed())?;
    Ok((receive(domain, address, identity, roots, &sink)?, sink))
}
