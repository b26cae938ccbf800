//! The report on the experiment.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::books::Faults;
use super::ledger::Totals;

/// The result.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The seed of the disturbances.
    pub seed: u64,
    /// Number of rounds, each with a quiet moment at its end.
    pub rounds: u64,
    /// Sums over all flows.
    pub totals: Totals,
    /// The violations.
    pub faults: Faults,
    /// The disturbances, with the number of times that each happened.
    pub disturbances: BTreeMap<&'static str, u64>,
    /// The highest memory of an engine at a quiet moment.
    pub resident_kib: u64,
    /// Duration of the experiment.
    pub took: Duration,
    /// The engine's log, if there is a fault.
    pub log: String,
}

impl Report {
    /// The result in one line.
    pub fn line(&self) -> String {
        let Totals { sent, delivered, duplicates, .. } = &self.totals;
        let (bounced, seconds) = (self.totals.bounced(), self.took.as_secs_f64());
        format!(
            "{seconds:7.1} s, round {}: {sent} sent, {delivered} delivered, {bounced} bounced, \
             {duplicates} duplicates, {:?} lost, {} faults, {} MiB",
            self.rounds,
            self.totals.lost.values().collect::<Vec<_>>(),
            self.faults.count,
            self.resident_kib / 1024
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let totals = &self.totals;
        writeln!(f, "seed {}, {} rounds in {:.0?}", self.seed, self.rounds, self.took)?;
        writeln!(f, "{:>12}  sent", totals.sent)?;
        writeln!(f, "{:>12}  delivered", totals.delivered)?;
        for (condition, count) in &totals.refused {
            writeln!(f, "{count:>12}  bounced with {condition}")?;
        }
        for (loss, count) in &totals.lost {
            writeln!(f, "{count:>12}  {loss}")?;
        }
        writeln!(f, "{:>12}  repeated by their senders", totals.repeated)?;
        writeln!(f, "{:>12}  second outcomes, each expected", totals.duplicates)?;
        for (name, count) in &self.disturbances {
            writeln!(f, "{count:>12}  {name}")?;
        }
        writeln!(f, "{:>12}  KiB, maximum at the end of a round", self.resident_kib)?;
        writeln!(f, "{:>12}  faults", self.faults.count)?;
        for fault in &self.faults.reported {
            writeln!(f, "  {fault}")?;
        }
        Ok(())
    }
}
