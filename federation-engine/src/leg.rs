//! The two sides of the engine.

/// A side of the engine.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Leg {
    /// Towards remote servers: here the engine represents the local domains.
    Outer,
    /// Towards the backends: here the engine represents every remote domain.
    Inner,
}
