//! Errors of the lab; each message states the next action.

use std::io;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

/// Result of every operation of the lab.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error that stops the lab, a scenario or the demo.
#[derive(thiserror::Error)]
pub enum Error {
    /// A file, directory or pipe could not be used.
    #[error("{doing}: {source}")]
    Io {
        /// The attempted operation, with the path.
        doing: String,
        /// The system's error.
        source: io::Error,
    },
    /// A program that the lab needs is not on this machine.
    #[error("`{tool}` is not installed on this machine: {remedy}")]
    MissingTool {
        /// The program.
        tool: String,
        /// How to get it.
        remedy: String,
    },
    /// A program failed.
    #[error("`{command}` exited with {status}\n{output}")]
    Command {
        /// The command line.
        command: String,
        /// Its exit status.
        status: ExitStatus,
        /// The end of its output.
        output: String,
    },
    /// An awaited event did not happen in time.
    #[error("timed out after {seconds:.0} s while waiting for {what}; last seen: {seen}\n{logs}", seconds = waited.as_secs_f64())]
    Deadline {
        /// The awaited event.
        what: String,
        /// Duration of the wait.
        waited: Duration,
        /// Result of the last check.
        seen: String,
        /// Ends of the logs that show the cause.
        logs: String,
    },
    /// JSON from another program does not have the expected format.
    #[error("{what} is not the expected JSON: {source}")]
    Json {
        /// The origin of the JSON.
        what: String,
        /// The parser's error.
        source: serde_json::Error,
    },
    /// A certificate or key could not be created.
    #[error("making {what}: {source}")]
    Certificate {
        /// The certificate or key.
        what: String,
        /// The library's error.
        source: rcgen::Error,
    },
    /// The lab is not in the required state; the sentence describes the state and the next action.
    #[error("{0}")]
    State(String),
}

s2s_peer::debug_as_sentence!(Error);

impl Error {
    /// For `map_err` on file operations: `Error::io("reading", path)`.
    pub fn io(doing: &str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let doing = format!("{doing} {}", path.as_ref().display());
        move |source| Self::Io { doing, source }
    }

    /// For `map_err` on parsing: `Error::json("kubectl get pods")`.
    pub fn json(what: impl Into<String>) -> impl FnOnce(serde_json::Error) -> Self {
        let what = what.into();
        move |source| Self::Json { what, source }
    }
}
