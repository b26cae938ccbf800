//! Simulated servers of the internet, in threads of the test: hosting providers that can no longer be installed, and servers
//! that fail at one step. They run on host `other`, and end with their fault.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use s2s_peer::authority::Authority;
use s2s_peer::error::PeerError;
use s2s_peer::partners::partner::{Claim, Partner, Unknown};
use s2s_peer::partners::wire::Wire;
use s2s_peer::server::Server;

use super::deviating::{Deviating, Deviation};
use super::stage::Stage;
use crate::error::{Error, Result};
use crate::host;
use crate::network::Host;

/// Time limit for each answer of a peer.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The port of the federation's Service.
const S2S: u16 = 5269;
/// The first port of the simulated servers on their host.
const FIRST_PORT: u16 = 5600;

/// The running servers, by the namespace of their stage.
static RUNNING: Mutex<BTreeMap<String, Vec<(Host, Server)>>> = Mutex::new(BTreeMap::new());
static NEXT_PORT: AtomicU16 = AtomicU16::new(FIRST_PORT);

/// What differs from an ordinary partner.
#[derive(Clone, Copy, Debug)]
pub struct Trait {
    /// Its answer to a dialback key of the domain.
    pub claim: Option<Claim>,
    /// The domain of the stage is one of its customers.
    pub hosts_us: bool,
    /// Its answer to a stream for a domain that it does not host.
    pub unknown: Unknown,
    /// The step of the protocol at which it fails.
    pub deviation: Option<Deviation>,
}

/// A server that keeps to the protocol.
pub const ORDINARY: Trait =
    Trait { claim: None, hosts_us: false, unknown: Unknown::HostUnknown, deviation: None };

/// Starts a server for `LABEL.<domain>`, and publishes its records.
pub fn start(stage: &Stage, label: &str, wire: Wire, special: Trait) -> Result<()> {
    let domain = name(stage, label);
    let authority = Authority::new("simulated").map_err(failed)?;
    let partner = Partner {
        identity: authority.issue(&[&domain]).map_err(failed)?,
        roots: authority.roots().map_err(failed)?,
        domain,
        wire,
        others: SocketAddr::new(stage.address()?, S2S),
        claim: special.claim,
        customers: if special.hosts_us { vec![stage.domain.clone()] } else { Vec::new() },
        unknown: special.unknown,
        timeout: TIMEOUT,
    };
    let address = free_address(Host::Other);
    let port = address.port();
    serve(stage, Host::Other, move || match special.deviation {
        Some(deviation) => Server::start(address, Deviating { partner, deviation }),
        None => Server::start(address, partner),
    })?;
    let host = Host::Other.address();
    stage.zone(&format!(
        "update add target-{label}.<domain> 1 A {host}\n\
         update add _xmpp-server._tcp.{label}.<domain> 1 SRV 0 5 {port} target-{label}.<domain>."
    ))
}

/// An address of a host that no other simulated server has.
pub fn free_address(on: Host) -> SocketAddr {
    SocketAddr::from((on.address(), NEXT_PORT.fetch_add(1, Ordering::Relaxed)))
}

/// Starts a server on a host; it ends with [`stop`].
pub fn serve(
    stage: &Stage,
    on: Host,
    start: impl FnOnce() -> std::result::Result<Server, PeerError> + Send + 'static,
) -> Result<()> {
    // Threads are in the network of the thread that starts them.
    let started = host::in_thread_on(on, start).map_err(|source| Error::Io {
        doing: format!("starting a simulated server on {on}"),
        source,
    })?;
    let server = started.map_err(failed)?;
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    running.entry(stage.namespace.clone()).or_default().push((on, server));
    Ok(())
}

/// Stops the servers of the stage, and removes the records of `LABEL.<domain>`.
pub fn stop(stage: &Stage, label: &str) -> Result<()> {
    stop_all(stage)?;
    stage.zone(&format!(
        "update delete _xmpp-server._tcp.{label}.<domain>\nupdate delete target-{label}.<domain>"
    ))
}

/// Stops the servers of the stage.
pub fn stop_all(stage: &Stage) -> Result<()> {
    let servers = RUNNING
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .remove(&stage.namespace)
        .unwrap_or_default();
    servers.into_iter().try_for_each(|(on, server)| {
        // A server connects to itself when it stops.
        host::in_thread_on(on, move || drop(server)).map_err(|source| Error::Io {
            doing: format!("stopping a simulated server on {on}"),
            source,
        })
    })
}

/// The domain of a simulated server of the stage.
pub fn name(stage: &Stage, label: &str) -> String {
    format!("{label}.{}", stage.domain)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn failed(error: PeerError) -> Error {
    Error::State(format!("a simulated server: {error}"))
}
