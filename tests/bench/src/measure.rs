//! The experiment: send a number of stanzas, wait until the last one has arrived, and measure the cost.

use std::time::{Duration, Instant};

use harness::usage;

use super::error::{BenchError, Result};
use super::load::{Size, encode};
use super::subject::{Certificates, MAX_SILENCE, Subject};

/// Number of stanzas before the measured ones: they open the inner leg and let buffers and windows grow.
const WARM_UP: u64 = 500;

/// The cost of one run.
#[derive(Debug, Clone, Copy)]
pub struct Measurement {
    /// Number of stanzas that were sent and arrived.
    pub stanzas: u64,
    /// Processor time of the server under test.
    pub cpu: Option<Duration>,
    /// Time from the first byte sent to the last stanza counted.
    pub wall: Duration,
}

impl Measurement {
    /// Stanzas per second of processor time.
    pub fn per_cpu_second(&self) -> Option<f64> {
        Some(rate(self.stanzas, self.cpu?))
    }

    /// Stanzas per second.
    pub fn per_second(&self) -> f64 {
        rate(self.stanzas, self.wall)
    }
}

fn rate(stanzas: u64, time: Duration) -> f64 {
    // Counts here are far below 2^53.
    #[allow(clippy::cast_precision_loss)]
    let stanzas = stanzas as f64;
    stanzas / time.as_secs_f64().max(f64::EPSILON)
}

/// Numbers the stanzas of a subject across all its runs.
#[derive(Debug)]
pub struct Run<'a> {
    subject: &'a Subject,
    certificates: &'a Certificates,
    next: u64,
}

impl<'a> Run<'a> {
    /// The first run of a subject begins at number 0.
    pub fn new(subject: &'a Subject, certificates: &'a Certificates) -> Self {
        Self { subject, certificates, next: 0 }
    }

    /// Performs one measurement, over its own stream.
    pub fn measure(&mut self, size: Size, stanzas: u64) -> Result<Measurement> {
        let warm_up = encode(size, self.next, WARM_UP);
        let load = encode(size, self.next + WARM_UP, stanzas);
        let mut stream = self.subject.stream(self.certificates)?;
        stream.send(&warm_up).map_err(BenchError::peer("sending"))?;
        self.arrived(WARM_UP)?;

        let cpu = self.cpu()?;
        let begun = Instant::now();
        if let Err(error) = stream.send(&load) {
            // The server under test may have sent the reason.
            let said = stream.element("a reason").err().map(|why| why.to_string());
            return Err(BenchError::State(format!(
                "sending to {}: {error}; {}",
                self.subject.name,
                said.unwrap_or_default()
            )));
        }
        self.arrived(stanzas)?;
        let wall = begun.elapsed();
        let cpu = match (cpu, self.cpu()?) {
            (Some(before), Some(after)) => Some(after.saturating_sub(before)),
            _ => None,
        };
        stream.close().map_err(BenchError::peer("closing"))?;
        Ok(Measurement { stanzas, cpu, wall })
    }

    fn arrived(&mut self, stanzas: u64) -> Result<()> {
        self.next += stanzas;
        self.subject.sink.wait(self.subject.name, self.next, MAX_SILENCE)
    }

    fn cpu(&self) -> Result<Option<Duration>> {
        Ok(self.subject.pid.map(usage::cpu).transpose()?)
    }
}
