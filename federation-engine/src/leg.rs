//! The two sides of the engine.

use s2s_proto::direction::Direction;
use s2s_proto::pair::Pair;

use crate::Domain;

/// A side of the engine.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Leg {
    /// Towards remote servers: here the engine represents the local domains.
    Outer,
    /// Towards the backends: here the engine represents every remote domain.
    Inner,
}

impl Leg {
    /// The remote domain of the pair of a stream on this side.
    pub(crate) fn peer(self, pair: &Pair, direction: Direction) -> &Domain {
        match (self, direction) {
            (Self::Outer, Direction::Outbound) | (Self::Inner, Direction::Inbound) => &pair.to,
            (Self::Outer, Direction::Inbound) | (Self::Inner, Direction::Outbound) => &pair.from,
        }
    }
}

/// A kind of port on which streams are accepted.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Door {
    /// For remote servers.
    Outer,
    /// For servers that are backends.
    Inner,
    /// For backends that are components (XEP-0114).
    Component,
}

impl Door {
    /// The side of the engine that it belongs to.
    pub(crate) fn leg(self) -> Leg {
        match self {
            Self::Outer => Leg::Outer,
            Self::Inner | Self::Component => Leg::Inner,
        }
    }

    /// Its name in the log.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Outer => "outer",
            Self::Inner => "inner",
            Self::Component => "component",
        }
    }
}
