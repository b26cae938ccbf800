//! The resource usage of a process, as the kernel reports it (proc(5)).

use std::fs;
use std::io;
use std::time::Duration;

/// The reason why the usage of a process is unknown.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// The kernel's file could not be read.
    #[error("reading {path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// The system error.
        source: io::Error,
    },
    /// The format of the file differs from its documentation.
    #[error("{path} has no {field}")]
    Format {
        /// The file.
        path: String,
        /// The missing field.
        field: &'static str,
    },
}

/// Result of every usage query.
type Result<T> = std::result::Result<T, UsageError>;

/// Clock ticks in `/proc/PID/stat`: `USER_HZ` is 100 per second on every supported Linux architecture.
const TICK: Duration = Duration::from_millis(10);

/// Processor time of all threads, user and system.
pub fn cpu(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = read(&path)?;
    parse_cpu(&text).ok_or(UsageError::Format { path, field: "processor time" })
}

/// Fields 14 and 15. The name in field 2 may contain any character, so fields are counted from its closing bracket.
fn parse_cpu(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_whitespace().skip(11).map(str::parse::<u32>);
    let (user, system) = (ticks.next()?.ok()?, ticks.next()?.ok()?);
    Some(TICK * (user + system))
}

/// Resident memory in KiB.
pub fn resident(pid: u32) -> Result<u64> {
    status(pid, "VmRSS:")
}

/// Resident memory that is not backed by a file, in KiB: the memory that the process has allocated.
pub fn anonymous(pid: u32) -> Result<u64> {
    status(pid, "RssAnon:")
}

fn status(pid: u32, field: &'static str) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = read(&path)?;
    parse_field(&text, field).ok_or(UsageError::Format { path, field })
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).map_err(|source| UsageError::Io { path: path.to_owned(), source })
}

fn parse_field(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_a_hostile_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 150 25 3 4 20 0 1 0 9 1 1 1";
        assert_eq!(parse_cpu(stat), Some(Duration::from_millis(1_750)));
    }

    #[test]
    fn this_process_has_memory() {
        let own = std::process::id();
        assert!(resident(own).unwrap() > anonymous(own).unwrap());
        assert!(anonymous(own).unwrap() > 100);
    }
}
