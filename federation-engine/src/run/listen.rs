//! Listening sockets and their accept loops.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use tokio::net::{TcpListener, TcpStream};

use crate::accept;
use crate::admission::newcomers::{Admitted, MAX_UNAUTHENTICATED_INNER};
use crate::engine::Engine;
use crate::leg::{Door, Leg};
use crate::run::{proxied, receive};
use crate::source::Prefix;

/// A listener could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another process uses the port.
    #[error(
        "listen.{name}: {address} is in use by another process; stop it or choose another port"
    )]
    InUse {
        /// Name of the listener in the configuration.
        name: &'static str,
        /// Address from the configuration.
        address: SocketAddr,
    },
    /// Any other error.
    #[error("listen.{name}: cannot listen on {address}: {source}")]
    Failed {
        /// Name of the listener in the configuration.
        name: &'static str,
        /// Address from the configuration.
        address: SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
}

impl ListenError {
    /// Converts the operating system's error.
    pub(crate) fn new(name: &'static str, address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { name, address },
            _ => Self::Failed { name, address, source },
        }
    }
}

/// Binds a TCP listener. `[::]` serves both families. On a machine without IPv6, `0.0.0.0` replaces it.
///
/// # Errors
/// Fails if the port is in use or the address is not usable.
pub(crate) async fn bind(
    name: &'static str,
    address: SocketAddr,
) -> Result<TcpListener, ListenError> {
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(error) if address.ip().is_unspecified() && address.is_ipv6() && has_no_ipv6(&error) => {
            let v4 = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port());
            TcpListener::bind(v4).await.map_err(|error| ListenError::new(name, v4, error))
        }
        Err(error) => Err(ListenError::new(name, address, error)),
    }
}

fn has_no_ipv6(error: &io::Error) -> bool {
    // EAFNOSUPPORT: the kernel was built or booted without IPv6.
    error.raw_os_error() == Some(97) || error.kind() == io::ErrorKind::AddrNotAvailable
}

/// Accepts connections for streams until the shutdown begins.
pub(crate) async fn serve(engine: Arc<Engine>, listener: TcpListener, door: Door) {
    let name = door.name();
    while let Some((tcp, source)) =
        engine.life.yielding.run_until_cancelled(accept::next(&listener, name)).await
    {
        let accepted = Instant::now();
        let is_proxy = door == Door::Outer && {
            let snapshot = engine.snapshot();
            let protocol = snapshot.config.listen.proxy_protocol.as_ref();
            protocol.is_some_and(|protocol| protocol.trusts(source.ip()))
        };
        if is_proxy {
            proxied::receive(&engine, tcp, source, accepted);
        } else {
            admit(&engine, tcp, source, door, accepted);
        }
    }
}

/// Admits a connection whose other end has this address.
pub(super) fn admit(
    engine: &Arc<Engine>,
    tcp: TcpStream,
    source: SocketAddr,
    door: Door,
    accepted: Instant,
) {
    let leg = door.leg();
    let (places, limit) = match leg {
        Leg::Outer => {
            (&engine.unauthenticated, engine.snapshot().config.limits.unauthenticated_streams)
        }
        Leg::Inner => (&engine.unauthenticated_inner, MAX_UNAUTHENTICATED_INNER),
    };
    let Some(mut newcomer) = places.admit(source.ip(), limit) else {
        let text = format!(
            "the source has {limit} unauthenticated connections, or all sources together have too many"
        );
        return engine.recorder.saw_refused_connection(leg, source, text);
    };
    if leg == Leg::Outer && engine.ledger.is_exhausted() {
        newcomer.reserve(&engine.reserve);
    }
    let prefix = Some(Prefix::from(source.ip()));
    // A backend can still open streams when other connections have used up the budget.
    let eviction = (leg == Leg::Outer).then(|| newcomer.eviction());
    let holding = engine.holders.enter(&engine.ledger.total, leg, prefix, eviction);
    let admitted = Admitted { newcomer, holding };
    engine.life.spawn(receive::run(Arc::clone(engine), tcp, source, door, admitted, accepted));
}
