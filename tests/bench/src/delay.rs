//! What is said about the time to the first stanza.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::first_stanza::Meeting;
use super::stranger::Way;

/// What the engine should need at most in the middle, on loopback.
const fn goal(way: Way) -> Duration {
    match way {
        Way::External => Duration::from_millis(50),
        Way::Dialback => Duration::from_millis(100),
    }
}

/// The times of one server in one way, in milliseconds.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Delays {
    /// The server under test.
    pub subject: &'static str,
    /// How the strangers were convinced.
    pub way: &'static str,
    /// How many there were.
    pub samples: usize,
    /// The median.
    pub median: f64,
    /// 95 of 100 were not slower.
    pub p95: f64,
    /// The slowest.
    pub greatest: f64,
    /// What the engine's median should be below.
    pub goal: f64,
    /// The median of the time that the sender needed before for a stream of its own.
    pub before: f64,
}

impl Delays {
    /// Of at least one meeting.
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

fn sorted(times: impl Iterator<Item = Duration>) -> Vec<Duration> {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    times
}

/// The least value that so many of a hundred do not exceed (the nearest rank).
fn rank(sorted: &[Duration], percent: usize) -> Option<f64> {
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

/// The line above them.
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
