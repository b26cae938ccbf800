//! Why there is no image.

use std::io;
use std::path::Path;

/// Result of everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be used.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, with the path.
        doing: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The name has no tag.
    #[error("image name {0:?} has no tag: write it as name:tag")]
    Name(String),
    /// A word of the command line is not a file and its path.
    #[error("{0:?} is not FILE=PATH-IN-IMAGE")]
    Content(String),
}

impl Error {
    /// For `map_err` on file operations: `Error::io("reading", path)`.
    pub(crate) fn io(doing: &str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let doing = format!("{doing} {}", path.as_ref().display());
        move |source| Self::Io { doing, source }
    }
}
