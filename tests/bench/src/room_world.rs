//! The engines of the experiment with the room, and the servers around them.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use harness::claim;
use harness::engine::Engine;
use harness::loopback::{Ground, PEER_ADDRESS};
use harness::usage;
use s2s_peer::nameserver::{Nameserver, Zone};
use s2s_peer::stream::Stream;
use serde_json::{Value, json};

use super::error::{BenchError, Result};
use super::presences::{Account, DOMAIN, domain_of};
use super::room_reader::{ROOM, Reader, reflect, serve};
use super::sender::open;
use super::subject::MAX_SILENCE;

/// The number of engines.
const REPLICAS: usize = 2;
/// The name of the senders' streams.
const SENDER: &str = "a stream of the room or of an occupant";

/// The engines, and the servers around them.
pub(crate) struct World {
    engines: Vec<Replica>,
    /// Of every presence.
    pub(crate) account: Account,
    ground: Ground,
    _nameserver: Nameserver,
}

/// One of the engines.
struct Replica {
    engine: Engine,
    /// Where it accepts streams of peers, and of the backend.
    doors: Doors,
}

#[derive(Clone, Copy)]
struct Doors {
    outer: SocketAddr,
    inner: SocketAddr,
}

/// The room's streams to the occupants, which are opened after its listener.
type Copies = Arc<OnceLock<Vec<Mutex<Stream>>>>;

impl World {
    /// Starts the engines, the servers, and the room's streams.
    pub(crate) fn start(engine: &Path, occupants: usize) -> Result<Self> {
        let ground = Ground::new()?;
        ground.install_certificate_for(&[DOMAIN])?;
        let account = Account::new(1 + occupants, occupants);
        let copies = Copies::default();
        let (room, reflected) = (Reader::new(ROOM, &account), Arc::clone(&copies));
        let backend = serve(DOMAIN, &ground.backend_ca, room, move |arrived| {
            reflect(reflected.get()?, arrived).err().map(|error| error.to_string())
        })?;
        let mut zone = Zone::default();
        for occupant in 0..occupants {
            let domain = domain_of(occupant);
            let reader = Reader::new(1 + occupant, &account);
            let address = serve(&domain, &ground.authority, reader, |_| None)?;
            let host = format!("xmpp.{domain}");
            zone = zone
                .address(&host, PEER_ADDRESS)
                .and_then(|zone| zone.server("_xmpp-server", &domain, &host, address.port()))
                .map_err(BenchError::peer("records of a peer"))?;
        }
        let nameserver = Nameserver::start((PEER_ADDRESS, 0).into(), zone);
        let nameserver = nameserver.map_err(BenchError::peer("name server of the peers"))?;
        let config = ground.config(backend, nameserver.address());
        let engines = (0..REPLICAS).map(|number| Replica::start(engine, &ground, &config, number));
        let engines = engines.collect::<Result<Vec<_>>>()?;
        let world = Self { engines, account, ground, _nameserver: nameserver };
        let streams = (0..occupants).map(|occupant| world.stream_from_room(occupant));
        let streams = streams.map(|stream| stream.map(Mutex::new)).collect::<Result<_>>()?;
        let _ = copies.set(streams);
        Ok(world)
    }

    /// A stream of an occupant to the room.
    pub(crate) fn stream_to_room(&self, occupant: usize) -> Result<Stream> {
        let door = self.doors(occupant)?.outer;
        open(SENDER, door, &domain_of(occupant), DOMAIN, &self.ground.authority)
    }

    fn stream_from_room(&self, occupant: usize) -> Result<Stream> {
        let door = self.doors(occupant / REPLICAS)?.inner;
        open(SENDER, door, DOMAIN, &domain_of(occupant), &self.ground.backend_ca)
    }

    fn doors(&self, number: usize) -> Result<Doors> {
        let replica = self.engines.get(number % REPLICAS);
        replica
            .map(|replica| replica.doors)
            .ok_or_else(|| BenchError::State("no engine".to_owned()))
    }

    /// The processor time of all engines.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let mut all = Duration::ZERO;
        for replica in &self.engines {
            all += usage::cpu(replica.engine.pid())?;
        }
        Ok(all)
    }

    /// Ends the engines, and waits until all their streams have been read to the end.
    pub(crate) fn end(mut self) -> Result<Account> {
        let failed = || BenchError::io("ending", "the engine");
        for replica in &self.engines {
            replica.engine.terminate().map_err(failed())?;
        }
        for replica in &mut self.engines {
            let ended = replica.engine.ended_within(MAX_SILENCE).map_err(failed())?;
            ended.ok_or_else(|| BenchError::State("an engine did not end".to_owned()))?;
        }
        self.account.wait_for_ends(MAX_SILENCE).map_err(BenchError::State)?;
        Ok(self.account)
    }
}

impl Replica {
    /// Starts an engine on the files of `ground`, and with ports of its own.
    fn start(binary: &Path, ground: &Ground, config: &Value, number: usize) -> Result<Self> {
        let port = || claim::port().map_err(BenchError::io("finding a port for", "the engine"));
        let (outer, outer_tls, inner, admin) = (port()?, port()?, port()?, port()?);
        let mut config = config.clone();
        if let Some(config) = config.as_object_mut() {
            let domain = json!([{"name": DOMAIN, "backend": "im"}]);
            config.insert("domains".to_owned(), domain);
            let listen = json!({
                "s2s": outer.to_string(),
                "s2sTls": outer_tls.to_string(),
                "backend": inner.to_string(),
                "admin": admin.to_string(),
            });
            config.insert("listen".to_owned(), listen);
        }
        let directory = ground.path(&format!("replica{number}"));
        fs::create_dir(&directory).map_err(BenchError::io("making", &directory))?;
        let engine = Engine::start(binary, &directory, &config, admin)?;
        Ok(Self { engine, doors: Doors { outer, inner } })
    }
}
