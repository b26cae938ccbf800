//! The figures of an attack.

use std::fmt;
use std::time::Duration;

use super::kind::Kind;
use super::tally::Counts;

/// The figures of one attack.
#[derive(Debug, Clone)]
pub struct Figures {
    /// The attack.
    pub kind: Kind,
    /// Its counts.
    pub counts: Counts,
    /// 99th percentile of the good peer's round trips before the attack.
    pub idle_p99: Duration,
    /// 99th percentile of the good peer's round trips during the attack.
    pub attacked_p99: Duration,
    /// Number of round trips during the attack.
    pub round_trips: usize,
    /// Time from the connection of a new stream of the good peer to the arrival of its first stanza.
    pub newcomer: Duration,
    /// `/livez` was answered.
    pub alive: bool,
    /// The engine's memory before the attack.
    pub before_kib: u64,
    /// The engine's highest memory during the attack.
    pub most_kib: u64,
    /// Processor time of the engine during the attack.
    pub cpu: Duration,
    /// Duration of the attack.
    pub took: Duration,
    /// Bytes of the engine's log.
    pub log_bytes: usize,
    /// Streams to the backend that does not read.
    pub held: usize,
}

impl Figures {
    /// Ratio of the good peer's 99th percentiles, during and before the attack.
    pub fn ratio(&self) -> f64 {
        self.attacked_p99.as_secs_f64() / self.idle_p99.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Processor time of the engine for each connection of the attacker.
    pub fn cpu_per_connection(&self) -> Duration {
        let connections = u32::try_from(self.counts.opened).unwrap_or(u32::MAX);
        self.cpu.checked_div(connections).unwrap_or_default()
    }

    /// The head of the table.
    pub const HEAD: &str = "| attack | connections | ended by the engine | sent | p99 idle | p99 attacked | ratio | new stream | memory | CPU | CPU per connection | log |\n\
        | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |";
}

/// A row of the table.
impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        let share = self.cpu.as_secs_f64() / self.took.as_secs_f64().max(f64::MIN_POSITIVE);
        write!(
            f,
            "| {} | {} | {} | {} kB | {:.1} ms | {:.1} ms | {:.1} | {:.0} ms | {} MiB | {:.1} s, {:.0} % | {:.2} ms | {} kB |",
            self.kind,
            self.counts.opened,
            self.counts.ended,
            self.counts.sent / 1_000,
            milliseconds(self.idle_p99),
            milliseconds(self.attacked_p99),
            self.ratio(),
            milliseconds(self.newcomer),
            self.most_kib / 1024,
            self.cpu.as_secs_f64(),
            share * 100.0,
            milliseconds(self.cpu_per_connection()),
            self.log_bytes / 1_000,
        )
    }
}
