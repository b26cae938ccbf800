//! Why a real server does not run.

use std::io;
use std::path::Path;

/// Result of everything about starting one.
pub type Result<T, E = LaunchError> = std::result::Result<T, E>;

/// Why it does not run.
#[derive(thiserror::Error)]
pub enum LaunchError {
    /// A file or program could not be used.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, with the path.
        doing: String,
        /// The system's answer.
        source: io::Error,
    },
    /// It ended, or does not do what it must.
    #[error("{what}\n{log}")]
    Server {
        /// What is the matter.
        what: String,
        /// The end of what it said.
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
