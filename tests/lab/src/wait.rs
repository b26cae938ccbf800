//! Waits for events, always with a deadline. The error contains the logs that show why an event did not happen.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use harness::log::tail;

use crate::error::{Error, Result};

/// Interval between two checks of a state that sends no notification.
const PAUSE: Duration = Duration::from_millis(50);
/// Maximum number of bytes of one log in an error.
const LOG_IN_ERROR: usize = 2_500;

/// Factor for all timeouts, from `XFED_SLOWNESS`, for an emulated machine. Default: 1.
pub fn slowness() -> u32 {
    static SLOWNESS: LazyLock<u32> = LazyLock::new(|| {
        std::env::var("XFED_SLOWNESS").ok().and_then(|text| text.parse().ok()).unwrap_or(1).max(1)
    });
    *SLOWNESS
}

/// Result of one check.
#[derive(Debug)]
pub enum Seen<T> {
    /// The event has happened.
    Done(T),
    /// Not yet; the text describes the current state.
    NotYet(String),
}

impl Seen<()> {
    /// `Done` if `done` is true, otherwise `NotYet` with the text.
    pub fn done_if(done: bool, otherwise: impl Into<String>) -> Self {
        if done { Self::Done(()) } else { Self::NotYet(otherwise.into()) }
    }
}

/// An event to wait for.
#[derive(Debug)]
pub struct Wait {
    what: String,
    within: Duration,
    logs: Vec<PathBuf>,
}

impl Wait {
    /// Waits for `what`, at most `within` on a machine of normal speed.
    pub fn new(what: impl Into<String>, within: Duration) -> Self {
        Self { what: what.into(), within: within * slowness(), logs: Vec::new() }
    }

    /// A log; the error shows its end after a timeout.
    #[must_use]
    pub fn log(mut self, log: impl Into<PathBuf>) -> Self {
        self.logs.push(log.into());
        self
    }

    /// Checks until the event has happened. An error of the check itself ends the wait at once.
    pub fn until<T>(self, mut look: impl FnMut() -> Result<Seen<T>>) -> Result<T> {
        let begun = Instant::now();
        loop {
            let seen = match look()? {
                Seen::Done(value) => return Ok(value),
                Seen::NotYet(seen) => seen,
            };
            if begun.elapsed() >= self.within {
                return Err(self.expired(begun.elapsed(), seen));
            }
            thread::sleep(PAUSE);
        }
    }

    /// The error for a wait that timed out.
    pub fn expired(self, waited: Duration, seen: String) -> Error {
        let logs =
            self.logs.iter().map(PathBuf::as_path).map(log_tail).collect::<Vec<_>>().join("\n");
        Error::Deadline { what: self.what, waited, seen, logs }
    }
}

fn log_tail(log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let end = match &text {
        Ok(text) => tail(text, LOG_IN_ERROR),
        Err(_) => "(no such log)",
    };
    format!("--- end of {}\n{end}", log.display())
}
