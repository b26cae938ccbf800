//! What a process has used, as the kernel tells it (proc(5)).

use std::fs;
use std::time::Duration;

use super::error::{BenchError, Result};

/// Clock ticks per second in `/proc/PID/stat`: `USER_HZ` is 100 on every architecture that Linux runs this on.
const TICK: Duration = Duration::from_millis(10);

/// Processor time of all threads, user and system.
pub fn cpu(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).map_err(BenchError::io("reading", &path))?;
    parse_cpu(&text).ok_or_else(|| BenchError::State(format!("{path} is not as proc(5) says")))
}

/// Fields 14 and 15; the name in field 2 may hold anything, so fields are counted from its closing bracket.
fn parse_cpu(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_whitespace().skip(11).map(str::parse::<u32>);
    let (user, system) = (ticks.next()?.ok()?, ticks.next()?.ok()?);
    Some(TICK * (user + system))
}

/// Resident memory in KiB.
pub fn resident(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).map_err(BenchError::io("reading", &path))?;
    parse_field(&text, "VmRSS:").ok_or_else(|| BenchError::State(format!("{path} has no VmRSS")))
}

/// Resident memory that is no file's, in KiB: what the process has allocated.
pub fn anonymous(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).map_err(BenchError::io("reading", &path))?;
    parse_field(&text, "RssAnon:")
        .ok_or_else(|| BenchError::State(format!("{path} has no RssAnon")))
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
