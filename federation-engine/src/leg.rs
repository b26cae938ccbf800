//! The two sides of the engine.

/// A side of the engine.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Leg {
    /// Towards remote servers: here the engine represents the local domains.
    Outer,
    /// Towards the backends: here the engine represents every remote domain.
    Inner,
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
