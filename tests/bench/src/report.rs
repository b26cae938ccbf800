//! The report on the measurements.

use std::fmt::{self, Write as _};

use serde::Serialize;

use super::added::{self, Added};
use super::delay::{self, Delays};
use super::load::Size;
use super::measure::Measurement;
use super::room::Outcome;

/// A median and the range of all values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Summary {
    /// The median.
    pub median: f64,
    /// The minimum.
    pub least: f64,
    /// The maximum.
    pub greatest: f64,
}

impl Summary {
    /// Summarises at least one value.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Some(Self {
            median: *values.get(values.len() / 2)?,
            least: *values.first()?,
            greatest: *values.last()?,
        })
    }
}

/// The figures of one server with one size of stanza.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// The server under test.
    pub subject: &'static str,
    /// Bytes of one stanza.
    pub stanza_bytes: usize,
    /// Number of stanzas in one run.
    pub stanzas: u64,
    /// Stanzas per second of the server's processor time.
    pub per_cpu_second: Option<Summary>,
    /// Stanzas per second.
    pub per_second: Summary,
}

impl Figures {
    /// Summarises at least one run.
    pub fn of(subject: &'static str, size: Size, runs: &[Measurement]) -> Option<Self> {
        Some(Self {
            subject,
            stanza_bytes: size.bytes(),
            stanzas: runs.first()?.stanzas,
            per_cpu_second: Summary::of(runs.iter().filter_map(Measurement::per_cpu_second)),
            per_second: Summary::of(runs.iter().map(Measurement::per_second))?,
        })
    }
}

/// Resident memory of a server, in KiB.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    /// The server.
    pub subject: &'static str,
    /// Before its first stream.
    pub idle_kib: u64,
    /// After all runs.
    pub after_kib: u64,
}

/// All results.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// One entry for each server and size.
    pub figures: Vec<Figures>,
    /// One entry for each server.
    pub memory: Vec<Memory>,
    /// One entry for each server and method of authentication.
    pub first_stanza: Vec<Delays>,
    /// One entry for each pause and direction.
    pub added_latency: Vec<Added>,
    /// One entry for each room.
    pub rooms: Vec<Outcome>,
}

impl Report {
    /// Ratio of the stanzas per CPU-second that `one` and `other` relay.
    pub fn ratio(&self, one: &str, other: &str, size: Size) -> Option<f64> {
        let of = |subject: &str| {
            let mut all = self.figures.iter();
            let found = all.find(|f| f.subject == subject && f.stanza_bytes == size.bytes());
            Some(found?.per_cpu_second?.median)
        };
        Some(of(one)? / of(other)?)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.figures.is_empty() {
            writeln!(
                f,
                "{:<18}{:>8}{:>10}  {:>32}  {:>12}",
                "server", "bytes", "stanzas", "per CPU-second (least..greatest)", "per second"
            )?;
        }
        for figures in &self.figures {
            let cpu = figures.per_cpu_second.map_or_else(|| "-".to_owned(), spread);
            writeln!(
                f,
                "{:<18}{:>8}{:>10}  {cpu:>32}  {:>12.0}",
                figures.subject, figures.stanza_bytes, figures.stanzas, figures.per_second.median
            )?;
        }
        for memory in &self.memory {
            writeln!(
                f,
                "{:<18}resident {:.1} MiB idle, {:.1} MiB after all runs",
                memory.subject,
                mebibytes(memory.idle_kib),
                mebibytes(memory.after_kib)
            )?;
        }
        if !self.first_stanza.is_empty() {
            writeln!(f, "{}", delay::head())?;
        }
        for delays in &self.first_stanza {
            writeln!(f, "{delays}")?;
        }
        if !self.added_latency.is_empty() {
            writeln!(f, "{}", added::head())?;
        }
        for added in &self.added_latency {
            writeln!(f, "{added}")?;
        }
        for room in &self.rooms {
            writeln!(f, "{room}")?;
        }
        Ok(())
    }
}

fn spread(summary: Summary) -> String {
    let mut text = String::new();
    let _ = write!(text, "{:.0} ({:.0}..{:.0})", summary.median, summary.least, summary.greatest);
    text
}

fn mebibytes(kib: u64) -> f64 {
    // The values are far below 2^53.
    #[allow(clippy::cast_precision_loss)]
    let kib = kib as f64;
    kib / 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_the_middle_and_the_ends() {
        assert_eq!(
            Summary::of([3.0, 1.0, 2.0]),
            Some(Summary { median: 2.0, least: 1.0, greatest: 3.0 })
        );
        assert_eq!(Summary::of([]), None);
    }
}
