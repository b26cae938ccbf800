//! Failures that end an attack or its measurement.

use std::io;

use harness::engine::EngineError;
use harness::loopback::LoopbackError;
use harness::usage::UsageError;
use s2s_peer::error::PeerError;

/// Result of every operation in this crate.
pub type Result<T, E = AttackError> = std::result::Result<T, E>;

/// The reason why there is no result.
#[derive(thiserror::Error)]
pub enum AttackError {
    /// The attack needs a parameter that is missing.
    #[error("{0}")]
    Missing(String),
    /// An exchange failed that must succeed.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// The environment of the engine could not be created.
    #[error(transparent)]
    Loopback(#[from] LoopbackError),
    /// The engine did not start.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The usage of a process could not be read.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// A file or socket could not be used.
    #[error(transparent)]
    Io(#[from] io::Error),
}

s2s_peer::debug_as_sentence!(AttackError);
