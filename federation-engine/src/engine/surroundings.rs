//! The queries of a stream to the engine. Each leg answers them in its own way.

use std::net::IpAddr;
use std::sync::Arc;

use s2s_proto::certificate::dane::Delegation;
use s2s_proto::stream::Surroundings;

use crate::engine::Engine;
use crate::engine::delegated::VerifiedServer;
use crate::engine::inner::Inner;
use crate::engine::outer::Outer;
use crate::leg::Leg;

/// The lookups of a stream.
pub(crate) type Around = Box<dyn Surroundings + Send + Sync>;

/// The lookups of a leg.
pub(crate) fn of_leg(engine: &Arc<Engine>, leg: Leg) -> Around {
    match leg {
        Leg::Outer => Box::new(Outer(Arc::clone(engine), None)),
        Leg::Inner => Box::new(Inner(Arc::clone(engine))),
    }
}

/// The lookups of a stream that was opened from this source.
pub(crate) fn of_source(engine: &Arc<Engine>, leg: Leg, source: IpAddr) -> Around {
    match leg {
        Leg::Outer => Box::new(Outer(Arc::clone(engine), Some(source.into()))),
        Leg::Inner => of_leg(engine, leg),
    }
}

/// The lookups of a stream to a server, about which DNSSEC authenticates facts or not.
pub(crate) fn of_server(
    engine: &Arc<Engine>,
    leg: Leg,
    server: Option<&Arc<Delegation>>,
) -> Around {
    match server {
        Some(server) if leg == Leg::Outer => Box::new(VerifiedServer {
            outer: Outer(Arc::clone(engine), None),
            server: Arc::clone(server),
        }),
        _ => of_leg(engine, leg),
    }
}
