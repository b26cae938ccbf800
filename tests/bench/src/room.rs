//! The experiment: a room at the backend, whose occupants are at peers, and two engines as the replicas of its
//! federation.
//!
//! Each occupant sends presences to the room, and the room sends a copy of each to every occupant. The streams are
//! spread over the engines as a load balancer spreads them: an occupant and the room may use different engines in the
//! two directions. Every presence must arrive at each of its receivers, once and in order.

use std::fmt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::error::{BenchError, Result};
use super::presences::to_room;
use super::room_world::World;
use super::subject::MAX_SILENCE;

/// The presences of one run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Occupants, each at a peer of its own.
    pub occupants: usize,
    /// Presences that each occupant sends.
    pub presences: u64,
    /// Presences that arrive in a second at all receivers together; `None`: as many as possible.
    pub per_second: Option<u32>,
}

impl Plan {
    /// Presences that arrive at the room and at the occupants.
    pub fn arrivals(&self) -> u64 {
        let occupants = self.occupants as u64;
        occupants * self.presences * (1 + occupants)
    }

    /// The time between two presences that occupants send.
    fn interval(&self) -> Duration {
        let copies = u32::try_from(1 + self.occupants).unwrap_or(u32::MAX);
        self.per_second
            .map_or(Duration::ZERO, |rate| Duration::from_secs(copies.into()) / rate.max(1))
    }
}

/// What a run without a loss has taken.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The number of occupants.
    pub occupants: usize,
    /// The wanted rate; `None`: as many as possible.
    pub wanted_per_second: Option<u32>,
    /// Presences that arrived at the room and at the occupants.
    pub arrived: u64,
    /// Arrived presences per second.
    pub per_second: f64,
    /// Arrived presences per second of the processor time of both engines.
    pub per_cpu_second: f64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { occupants, wanted_per_second, arrived, per_second, per_cpu_second } = self;
        let wanted =
            wanted_per_second.map_or_else(|| "no limit".to_owned(), |rate| rate.to_string());
        write!(
            f,
            "room, {occupants} occupants, wanted per second: {wanted}: {arrived} presences arrived, \
             {per_second:.0} per second, {per_cpu_second:.0} per CPU-second, lost 0"
        )
    }
}

/// Runs the experiment with two instances of that engine.
pub fn run(engine: &Path, plan: Plan) -> Result<Outcome> {
    let world = World::start(engine, plan.occupants)?;
    let mut senders = (0..plan.occupants)
        .map(|occupant| world.stream_to_room(occupant))
        .collect::<Result<Vec<_>>>()?;
    let (cpu, begun) = (world.cpu()?, Instant::now());
    let (interval, mut due) = (plan.interval(), begun);
    for number in 0..plan.presences {
        for (occupant, stream) in senders.iter_mut().enumerate() {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            due += interval;
            let presence = to_room((occupant, number));
            stream.send(presence).map_err(BenchError::peer("sending a presence"))?;
        }
    }
    let arrivals = plan.arrivals();
    world.account.wait(arrivals, MAX_SILENCE).map_err(BenchError::State)?;
    let (wall, used) = (begun.elapsed(), world.cpu()?.saturating_sub(cpu));
    // What an engine still has, it delivers before its end.
    let account = world.end()?;
    account.wait(arrivals, MAX_SILENCE).map_err(BenchError::State)?;
    // Counts here are far below 2^53.
    #[allow(clippy::cast_precision_loss)]
    let per = |time: Duration| arrivals as f64 / time.as_secs_f64().max(f64::EPSILON);
    Ok(Outcome {
        occupants: plan.occupants,
        wanted_per_second: plan.per_second,
        arrived: arrivals,
        per_second: per(wall),
        per_cpu_second: per(used),
    })
}
