//! What can go wrong in the lab, each said so that the reader knows what to do next.

use std::io;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

/// Result of everything the lab does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that stops the lab, a scenario or the demo.
#[derive(thiserror::Error)]
pub enum Error {
    /// A file, directory or pipe could not be used.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, with the path.
        doing: String,
        /// The system's answer.
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
    /// A program ended with a failure.
    #[error("`{command}` exited with {status}\n{output}")]
    Command {
        /// The command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it printed.
        output: String,
    },
    /// Something that was waited for did not happen in time.
    #[error("timed out after {seconds:.0} s while waiting for {what}; last seen: {seen}\n{logs}", seconds = waited.as_secs_f64())]
    Deadline {
        /// What was to happen.
        what: String,
        /// How long was waited.
        waited: Duration,
        /// What the last look showed.
        seen: String,
        /// Ends of the logs that tell why.
        logs: String,
    },
    /// JSON that another program wrote was not what it should be.
    #[error("{what} is not the expected JSON: {source}")]
    Json {
        /// Whose JSON.
        what: String,
        /// The parser's answer.
        source: serde_json::Error,
    },
    /// A certificate or key could not be made.
    #[error("making {what}: {source}")]
    Certificate {
        /// What was being made.
        what: String,
        /// The library's answer.
        source: rcgen::Error,
    },
    /// The lab is not in the state that was asked of it; the sentence says which and what to do.
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
