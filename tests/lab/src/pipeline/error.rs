//! Errors that stop `make test` itself. A failed step is not such an error.

use std::io;
use std::path::Path;

/// The cause.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The operating system returned an error.
    #[error("{doing}: {source}")]
    Io {
        /// The attempted operation, with the path.
        doing: String,
        /// The system's error.
        source: io::Error,
    },
    /// A file does not have the format that its writer documents.
    #[error("cannot read {file}: {why}")]
    Format {
        /// The file.
        file: String,
        /// The fault in the file.
        why: String,
    },
}

impl PipelineError {
    /// For `map_err`: the attempted operation and the file.
    pub fn io(doing: &str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let doing = format!("{doing} {}", path.display());
        move |source| Self::Io { doing, source }
    }
}

/// Shorthand.
pub type Result<T> = std::result::Result<T, PipelineError>;
