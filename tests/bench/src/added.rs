//! The report on the time that the engine adds to a stanza.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::delay::{rank, sorted};
use super::latency::Direction;

/// Upper bound that the difference of the medians should not reach, in microseconds.
const GOAL: f64 = 150.0;

/// The times of one direction in microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Times {
    /// The median.
    pub median: f64,
    /// The 99th percentile.
    pub p99: f64,
}

/// The times of one direction with the engine and without it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Added {
    /// The direction.
    pub direction: &'static str,
    /// Pause before each stanza, in milliseconds.
    pub pause: f64,
    /// Number of samples on each path.
    pub samples: usize,
    /// Through the engine.
    pub through: Times,
    /// Without the engine.
    pub direct: Times,
    /// Differences of the two.
    pub added: Times,
    /// Upper bound that the difference of the medians should not reach.
    pub goal: f64,
}

impl Added {
    /// Summarises at least one sample of each path.
    pub fn of(
        direction: Direction,
        pause: Duration,
        through: Vec<Duration>,
        direct: Vec<Duration>,
    ) -> Option<Self> {
        let samples = through.len();
        let (through, direct) = (Times::of(through)?, Times::of(direct)?);
        let added = Times { median: through.median - direct.median, p99: through.p99 - direct.p99 };
        let pause = pause.as_secs_f64() * 1_000.0;
        Some(Self {
            direction: direction.name(),
            pause,
            samples,
            through,
            direct,
            added,
            goal: GOAL,
        })
    }
}

impl Times {
    fn of(times: Vec<Duration>) -> Option<Self> {
        let times = sorted(times.into_iter());
        let of = |percent| Some(rank(&times, percent)? * 1_000.0);
        Some(Self { median: of(50)?, p99: of(99)? })
    }
}

impl fmt::Display for Added {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { direction, pause, samples, through, direct, added, goal } = self;
        let pause = format!("{pause:.0} ms");
        write!(f, "{direction:<18}{pause:>8}{samples:>10}")?;
        for Times { median, p99 } in [through, direct, added] {
            write!(f, "{median:>10.0}{p99:>8.0}")?;
        }
        write!(f, "{goal:>12.0}")
    }
}

/// The line above the times.
pub fn head() -> String {
    format!(
        "{:<18}{:>8}{:>10}{:>10}{:>8}{:>10}{:>8}{:>10}{:>8}{:>12}",
        "latency, µs",
        "pause",
        "stanzas",
        "engine",
        "p99",
        "none",
        "p99",
        "added",
        "p99",
        "goal below"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_engine_adds_is_the_difference_of_the_medians_and_of_the_percentiles() {
        let times = |base: u64| (1..=100).map(|n| Duration::from_micros(base + n)).collect();
        let pause = Duration::from_millis(5);
        let added = Added::of(Direction::Inward, pause, times(300), times(100)).unwrap();
        assert_eq!(
            (added.samples, added.through.median.round(), added.through.p99.round()),
            (100, 350.0, 399.0)
        );
        assert_eq!((added.added.median.round(), added.added.p99.round()), (200.0, 200.0));
        assert!(Added::of(Direction::Inward, pause, times(1), vec![]).is_none());
    }
}
