//! The report on the time to the first stanza.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::first_stanza::Meeting;
use super::stranger::Way;

/// Goal for the engine's median, on loopback.
const fn goal(way: Way) -> Duration {
    match way {
        Way::External => Duration::from_millis(50),
        Way::Dialback => Duration::from_millis(100),
    }
}

/// The times of one server with one method of authentication, in milliseconds.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Delays {
    /// The server under test.
    pub subject: &'static str,
    /// The method by which the unknown servers authenticate the server.
    pub way: &'static str,
    /// Number of samples.
    pub samples: usize,
    /// The median.
    pub median: f64,
    /// The 95th percentile.
    pub p95: f64,
    /// The slowest.
    pub greatest: f64,
    /// Upper bound that the engine's median should not reach.
    pub goal: f64,
    /// The median of the time before the measurement that the sender needed for its own stream.
    pub before: f64,
}

impl Delays {
    /// Summarises at least one sample.
    pub fn of(subject: &'static str, way: Way, meetings: &[Meeting]) -> Option<Self> {
        let taken = sorted(meetings.iter().map(|meeting| meeting.taken));
        Some(Self {
            subject,
            way: way.name(),
            samples: taken.len(),
            median: rank(&taken, 50)?,
            p95: rank(&taken, 95)?,
            greatest: rank(&taken, 100)?,
            goal: milliseconds(goal(way)),
            before: rank(&sorted(meetings.iter().map(|meeting| meeting.before)), 50)?,
        })
    }
}

/// Least first.
pub(crate) fn sorted(times: impl Iterator<Item = Duration>) -> Vec<Duration> {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    times
}

/// The percentile by nearest rank, in milliseconds: the least value that `percent` of a hundred values do not exceed.
pub(crate) fn rank(sorted: &[Duration], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied().map(milliseconds)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

impl fmt::Display for Delays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, way, samples, median, p95, greatest, goal, before } = self;
        write!(
            f,
            "{subject:<18}{way:>8}{samples:>10}  {median:>10.1}  {p95:>8.1}  {greatest:>8.1}  \
             {goal:>10.0}  {before:>12.1}"
        )
    }
}

/// The line above the times.
pub fn head() -> String {
    format!(
        "{:<18}{:>8}{:>10}  {:>10}  {:>8}  {:>8}  {:>10}  {:>12}",
        "first stanza, ms",
        "proof",
        "peers",
        "median",
        "p95",
        "greatest",
        "goal below",
        "sender before"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_those_of_values_that_were_seen() {
        let times: Vec<Duration> = (1..=40).map(Duration::from_millis).collect();
        assert_eq!(rank(&times, 50), Some(20.0));
        assert_eq!(rank(&times, 95), Some(38.0));
        assert_eq!(rank(&times, 100), Some(40.0));
        assert_eq!(rank(&times[..1], 95), Some(1.0));
        assert_eq!(rank(&[], 50), None);
    }
}
