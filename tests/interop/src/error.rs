//! Errors that leave a cell without a result.

use std::io;
use std::path::Path;

use harness::launch::error::LaunchError;
use harness::loopback::LoopbackError;
use s2s_peer::error::PeerError;

/// Result type of the matrix.
pub type Result<T, E = InteropError> = std::result::Result<T, E>;

/// Reason why a cell has no result.
#[derive(thiserror::Error)]
pub enum InteropError {
    /// A scripted part could not continue.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// The engine did not start.
    #[error(transparent)]
    Loopback(#[from] LoopbackError),
    /// The real server did not start.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// A part is missing.
    #[error(transparent)]
    Lab(#[from] lab::error::Error),
    /// A certificate could not be made.
    #[error("making a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A file, program or socket could not be used.
    #[error("{doing}: {source}")]
    Io {
        /// The attempted operation.
        doing: String,
        /// The system's error.
        source: io::Error,
    },
    /// The server does not run, or does not do what it must.
    #[error("{what}\n{log}")]
    Server {
        /// Description of the problem.
        what: String,
        /// The end of its output.
        log: String,
    },
    /// The engine returned something other than evidence.
    #[error("/v1/evidence: {0}")]
    Evidence(String),
}

s2s_peer::debug_as_sentence!(InteropError);

impl InteropError {
    /// For `map_err`: `InteropError::io("writing", path)`.
    pub fn io(doing: &str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let doing = format!("{doing} {}", path.as_ref().display());
        move |source| Self::Io { doing, source }
    }
}

impl From<harness::engine::EngineError> for InteropError {
    fn from(error: harness::engine::EngineError) -> Self {
        Self::Loopback(error.into())
    }
}
