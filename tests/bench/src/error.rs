//! Failures of a benchmark.

use std::io;
use std::path::Path;
use std::time::Duration;

use harness::engine::EngineError;
use harness::launch::error::LaunchError;
use harness::usage::UsageError;
use s2s_peer::error::PeerError;

use super::tally::Disorder;

/// Result of every operation of the benchmark.
pub type Result<T, E = BenchError> = std::result::Result<T, E>;

/// The reason why there is no figure.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A file or program could not be used.
    #[error("{doing}: {source}")]
    Io {
        /// The operation in progress, with the path.
        doing: String,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A scripted server could not continue.
    #[error("{doing}: {source}")]
    Peer {
        /// The server and its operation.
        doing: &'static str,
        /// The cause.
        source: PeerError,
    },
    /// The engine did not start.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The world around the engine did not start.
    #[error(transparent)]
    Loopback(#[from] harness::loopback::LoopbackError),
    /// Prosody did not start.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// Prosody's root file system could not be built.
    #[error(transparent)]
    Lab(#[from] lab::error::Error),
    /// The usage of a process could not be read.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// The operating system lacks a requirement; the message states the action to take.
    #[error("{0}")]
    State(String),
    /// The arriving stanzas differ from those that were sent.
    #[error("{subject} did not deliver what was sent: {disorder}")]
    Disorder {
        /// The server under test.
        subject: &'static str,
        /// The first difference.
        disorder: Disorder,
    },
    /// Not all stanzas arrived.
    #[error(
        "{subject} delivered {arrived} of {sent} stanzas and then nothing for {timeout:?}; {ended}"
    )]
    Lost {
        /// The server under test.
        subject: &'static str,
        /// Stanzas that arrived.
        arrived: u64,
        /// Stanzas that were sent.
        sent: u64,
        /// Duration of the wait.
        timeout: Duration,
        /// The reason why the receiving stream ended, if it did.
        ended: String,
    },
}

impl BenchError {
    /// For `map_err` on file and process operations.
    pub fn io(doing: &str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let doing = format!("{doing} {}", path.as_ref().display());
        move |source| Self::Io { doing, source }
    }

    /// For `map_err` on operations of scripted servers.
    pub fn peer(doing: &'static str) -> impl FnOnce(PeerError) -> Self {
        move |source| Self::Peer { doing, source }
    }
}
