//! The reason why a real server does not run.

use std::io;
use std::path::Path;

/// Result of every operation that starts a server.
pub type Result<T, E = LaunchError> = std::result::Result<T, E>;

/// The reason why the server does not run.
#[derive(thiserror::Error)]
pub enum LaunchError {
    /// A file or program could not be used.
    #[error("{doing}: {source}")]
    Io {
        /// The operation that failed, with the path.
        doing: String,
        /// The system error.
        source: io::Error,
    },
    /// The server exited, or does not behave as required.
    #[error("{what}\n{log}")]
    Server {
        /// The failure.
        what: String,
        /// The last lines of its log.
        log: String,
    },
}

s2s_peer::debug_as_sentence!(LaunchError);

impl LaunchError {
    /// For `map_err`: `LaunchError::io("writing", path)`.
    pub fn io(doing: &str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let doing = format!("{doing} {}", path.as_ref().display());
        move |source| Self::Io { doing, source }
    }
}
