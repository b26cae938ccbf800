//! Failures that end the experiment without a result.

use std::io;

use harness::engine::EngineError;
use harness::loopback::LoopbackError;
use s2s_peer::error::PeerError;

/// Result of every operation of the experiment.
pub type Result<T, E = SoakError> = std::result::Result<T, E>;

/// The reason why there is no result.
#[derive(thiserror::Error)]
pub enum SoakError {
    /// The environment of the engine could not be created.
    #[error(transparent)]
    Loopback(#[from] LoopbackError),
    /// A scripted server could not be created.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// The engine did not start.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A file, port or process could not be used.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A required event did not happen.
    #[error("timed out while waiting for {awaited}:\n{seen}")]
    Stuck {
        /// The event that did not happen.
        awaited: &'static str,
        /// The state when the wait ended.
        seen: String,
    },
}

s2s_peer::debug_as_sentence!(SoakError);
