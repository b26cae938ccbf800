//! The engine of the experiment, and everything around it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use harness::claim;
use harness::engine::Engine;
use harness::loopback::{BACKEND_ADDRESS, Ground, LOCAL, PEER_ADDRESS, secret_of};
use harness::metrics::Metrics;
use s2s_peer::acceptor::{Acceptor, Proof};
use s2s_peer::authority::Authority;
use s2s_peer::nameserver::{Nameserver, Zone};
use serde_json::{Value, json};

use super::error::{Result, SoakError};
use super::flow::{flows, peer_domain};
use super::receiver::{Receiver, Shared};
use super::sender::Sender;
use super::stanza::LIMIT;

/// Maximum time for each answer of the engine.
const MAX_SILENCE: Duration = Duration::from_mins(2);
/// Maximum time for an engine to shut down; its own bound is 30 s.
const END_TIMEOUT: Duration = Duration::from_mins(1);
/// Queue timeout of the engine. It is sufficient for errors to their senders, which are down for shorter times.
const QUEUE_SECONDS: u64 = 60;

/// A running experiment.
#[derive(Debug)]
pub(crate) struct World {
    /// The state that both ends of all flows share.
    pub shared: Arc<Shared>,
    ground: Ground,
    binary: PathBuf,
    config: Value,
    engine: Option<Engine>,
    /// The backend, then the peers.
    receivers: Vec<Arc<Receiver>>,
    senders: Vec<JoinHandle<()>>,
    denied: bool,
    _nameserver: Nameserver,
}

/// Counters of the engine.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Metered {
    /// Received stanzas.
    pub received: u64,
    /// Stanzas that the engine generated.
    pub generated: u64,
    /// Relayed stanzas.
    pub relayed: u64,
    /// Stanzas that the engine answered itself.
    pub answered: u64,
    /// Stanzas without an available stream.
    pub bounced: u64,
    /// Refused stanzas.
    pub refused: u64,
    /// Queued stanzas.
    pub queued: u64,
    /// The part of the refused stanzas that are errors without room.
    pub no_room: u64,
}

impl Metered {
    fn of(metrics: &Metrics) -> Self {
        let of = |name| metrics.sum(name, &[]);
        Self {
            received: of("stanzas_received_total"),
            generated: of("stanzas_generated_total"),
            relayed: of("stanzas_relayed_total"),
            answered: of("stanzas_answered_total"),
            bounced: of("stanzas_bounced_total"),
            refused: of("stanzas_refused_total"),
            queued: of("stanzas_queued"),
            no_room: metrics.sum("stanzas_refused_total", &[("reason", "UndeliverableError")]),
        }
    }

    /// in = delivered + bounced + refused + held
    pub(crate) fn balance(&self) -> bool {
        self.received + self.generated
            == self.relayed + self.answered + self.bounced + self.refused + self.queued
    }
}

impl World {
    /// Starts an engine between a backend and `peers` peers, with a sender for each flow. Each of its queues holds
    /// `queue_stanzas` stanzas.
    pub(crate) fn start(binary: &Path, peers: usize, queue_stanzas: u64) -> Result<Self> {
        let ground = Ground::new()?;
        let shared = Arc::new(Shared::new(flows(peers), peers + 1));
        let port = || claim::port().map(|address| address.port());
        let backend = SocketAddr::from((BACKEND_ADDRESS, port()?));
        let backend_acceptor = acceptor(LOCAL, &ground.backend_ca)?;
        let mut receivers = vec![Receiver::start(0, backend, backend_acceptor, &shared)?];
        let mut zone = Zone::default();
        for peer in 0..peers {
            let (domain, address) = (peer_domain(peer), SocketAddr::from((PEER_ADDRESS, port()?)));
            let host = format!("xmpp.{domain}");
            zone = zone.address(&host, PEER_ADDRESS)?;
            zone = zone.server("_xmpp-server", &domain, &host, address.port())?;
            let acceptor = acceptor(&domain, &ground.authority)?;
            receivers.push(Receiver::start(peer + 1, address, acceptor, &shared)?);
        }
        let nameserver = Nameserver::start((PEER_ADDRESS, 0).into(), zone)?;
        let mut config = ground.config(backend, nameserver.address());
        if let Some(config) = config.as_object_mut() {
            config.insert("timeouts".into(), json!({"queueSeconds": QUEUE_SECONDS}));
            let limits = json!({"stanzaBytes": LIMIT, "queueStanzas": queue_stanzas});
            config.insert("limits".into(), limits);
        }
        let engine = Engine::start(binary, ground.directory(), &config, ground.admin)?;
        let mut world = Self {
            shared,
            ground,
            binary: binary.to_owned(),
            config,
            engine: Some(engine),
            receivers,
            senders: Vec::new(),
            denied: false,
            _nameserver: nameserver,
        };
        world.start_senders()?;
        Ok(world)
    }

    fn start_senders(&mut self) -> Result<()> {
        for flow in &self.shared.flows {
            let (authority, engine) = if flow.is_inward() {
                (&self.ground.authority, self.ground.outer)
            } else {
                (&self.ground.backend_ca, self.ground.inner)
            };
            let sender = Sender {
                shared: Arc::clone(&self.shared),
                flow: flow.clone(),
                engine,
                identity: authority.issue(&[&flow.from])?,
                roots: authority.roots()?,
            };
            self.senders.push(thread::spawn(move || sender.run()));
        }
        Ok(())
    }

    /// Takes a peer (or, as `None`, the backend) down, or brings it up.
    pub(crate) fn set_down(&self, peer: Option<usize>, down: bool) {
        if let Some(receiver) = self.receivers.get(peer.map_or(0, |peer| peer + 1)) {
            if down { receiver.down() } else { receiver.up() }
        }
    }

    /// Requests the engine to shut down, waits until it has exited, and starts another one.
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.shared.control.change(|state| state.epoch += 1);
        if let Some(mut engine) = self.engine.take() {
            engine.terminate()?;
            let Some(status) = engine.ended_within(END_TIMEOUT)? else {
                let (awaited, seen) = ("the end of the engine", engine.log());
                return Err(SoakError::Stuck { awaited, seen });
            };
            if !status.success() {
                let text = format!("the engine exited with {status}:\n{}", engine.log());
                self.shared.books.fault(text);
            }
        }
        let directory = self.ground.directory();
        self.engine =
            Some(Engine::start(&self.binary, directory, &self.config, self.ground.admin)?);
        self.shared.control.change(|state| state.running = state.epoch);
        Ok(())
    }

    /// Gives the engine another certificate.
    pub(crate) fn renew_certificate(&self) -> Result<()> {
        Ok(self.ground.install_certificate()?)
    }

    /// Denies stanzas from the backend to the last peer, or allows them again.
    pub(crate) fn change_policy(&mut self) -> Result<()> {
        self.denied = !self.denied;
        let peer = self.receivers.len().saturating_sub(2);
        let rule =
            json!({"domains": [peer_domain(peer)], "direction": "Outbound", "action": "Deny"});
        let rules = if self.denied { json!([rule]) } else { json!([]) };
        if let Some(config) = self.config.as_object_mut() {
            config.insert("policy".into(), json!({"rules": rules}));
        }
        Ok(self.ground.write("engine.yaml", &format!("{:#}", self.config))?)
    }

    /// Removes the denial, if there is one.
    pub(crate) fn allow_all(&mut self) -> Result<()> {
        if self.denied { self.change_policy() } else { Ok(()) }
    }

    /// The current counters of the engine.
    pub(crate) fn metered(&self) -> Result<Metered> {
        Ok(Metered::of(&Metrics::of(self.ground.admin)?))
    }

    /// The engine's process.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.engine.as_ref().map(Engine::pid)
    }

    /// The engine's log since its last start.
    pub(crate) fn log(&self) -> String {
        self.engine.as_ref().map(Engine::log).unwrap_or_default()
    }

    /// Ends all threads. A sender that panicked is a fault.
    pub(crate) fn stop(mut self) {
        self.shared.control.change(|state| state.stop = true);
        for receiver in &self.receivers {
            receiver.wake();
        }
        for (flow, sender) in self.senders.drain(..).enumerate() {
            if sender.join().is_err() {
                self.shared.books.fault(format!("flow {flow}: the sender panicked"));
            }
        }
    }
}

fn acceptor(domain: &str, authority: &Authority) -> Result<Acceptor> {
    Ok(Acceptor {
        domain: domain.to_owned(),
        identity: authority.issue(&[domain])?,
        roots: authority.roots()?,
        proof: Proof::Certificate,
        secret: secret_of(domain),
        timeout: MAX_SILENCE,
    })
}
