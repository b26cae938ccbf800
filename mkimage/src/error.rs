//! Errors that prevent an image.

use std::io;
use std::path::Path;

/// Result type of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Reason why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be used.
    #[error("{doing}: {source}")]
    Io {
        /// The attempted operation, with the path.
        doing: String,
        /// The system's error.
        source: io::Error,
    },
    /// The name has no tag.
    #[error("image name {0:?} has no tag: write it as name:tag")]
    Name(String),
    /// An argument is not a file and its path.
    #[error("{0:?} is not FILE=PATH-IN-IMAGE")]
    Content(String),
    /// An argument is not an architecture and a file.
    #[error("{0:?} is not amd64=FILE or arm64=FILE")]
    Program(String),
    /// A program is for another architecture.
    #[error("{file} is no 64-bit ELF program for {architecture}")]
    Machine {
        /// The program.
        file: String,
        /// The architecture that was given.
        architecture: &'static str,
    },
}

impl Error {
    /// For `map_err` on file operations: `Error::io("reading", path)`.
    pub fn io(doing: &str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let doing = format!("{doing} {}", path.as_ref().display());
        move |source| Self::Io { doing, source }
    }
}
