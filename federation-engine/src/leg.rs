//! The two sides of the engine. Each answers the same queries of streams in its own way.

use std::net::IpAddr;
use std::sync::Arc;

use s2s_proto::stream::Surroundings;

use crate::task::engine::Engine;

pub(crate) mod alone;
pub(crate) mod inner;
pub(crate) mod outer;
pub(crate) mod proven;

/// A side of the engine.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Leg {
    /// Towards remote servers: here the engine represents the local domains.
    Outer,
    /// Towards the backends: here the engine represents every remote domain.
    Inner,
}

impl Leg {
    /// The lookups of this leg.
    pub(crate) fn surroundings(self, engine: &Arc<Engine>) -> Box<dyn Surroundings + Send + Sync> {
        match self {
            Self::Outer => Box::new(outer::Outer(Arc::clone(engine), None)),
            Self::Inner => Box::new(inner::Inner(Arc::clone(engine))),
        }
    }

    /// The lookups of a stream that was opened from there.
    pub(crate) fn surroundings_of(
        self,
        engine: &Arc<Engine>,
        source: IpAddr,
    ) -> Box<dyn Surroundings + Send + Sync> {
        match self {
            Self::Outer => Box::new(outer::Outer(Arc::clone(engine), Some(source.into()))),
            Self::Inner => self.surroundings(engine),
        }
    }
}
