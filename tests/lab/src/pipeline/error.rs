//! Why `make test` could not go on by itself; a step that fails is no such error.

use std::io;
use std::path::Path;

/// Why.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The system refused something.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, with the path.
        doing: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A file is not what its writer documents.
    #[error("cannot read {file}: {why}")]
    Format {
        /// The file.
        file: String,
        /// What is wrong with it.
        why: String,
    },
}

impl PipelineError {
    /// For `map_err`: what was being done with which file.
    pub fn io(doing: &str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let doing = format!("{doing} {}", path.display());
        move |source| Self::Io { doing, source }
    }
}

/// Shorthand.
pub type Result<T> = std::result::Result<T, PipelineError>;
