//! The measurement: each attack runs against an engine of its own, with a good peer beside it.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use harness::engine::get;
use harness::usage;

use super::error::Result;
use super::good_peer::GoodPeer;
use super::kind::Kind;
use super::priority;
use super::report::Figures;
use super::tally::Tally;
use super::world::Besieged;

/// Interval of the checks of the engine's memory.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// Pause between two round trips.
const PAUSE: Duration = Duration::from_millis(5);
/// An attack of N connections has begun when the target has accepted N, or when this time has passed: a target may
/// refuse them.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// Extent of the measurement.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// Round trips before the attack, and during it.
    pub round_trips: usize,
    /// Connections of the attack; `None`: the default of its kind.
    pub connections: Option<usize>,
    /// Whether the good peer's threads run before those of all other programs.
    pub peer_first: bool,
}

/// Runs an attack of that kind against a new engine.
pub fn measure(engine: &Path, kind: Kind, extent: Extent) -> Result<Figures> {
    let besieged = Besieged::start(engine)?;
    let pid = besieged.world.engine.pid();
    let connections = extent.connections.unwrap_or_else(|| kind.connections());
    let aim = besieged.aim(kind, connections)?;
    let mut peer = GoodPeer::meet(&besieged)?;
    if extent.peer_first {
        priority::raise();
    }
    let idle = peer.round_trips(extent.round_trips, PAUSE)?;
    let (cpu, resident, begun) = (usage::cpu(pid)?, usage::resident(pid)?, Instant::now());
    let tally = Tally::default();
    let outcome = thread::scope(|scope| {
        let attack = scope.spawn(|| {
            priority::lower();
            kind.run(&aim, &tally)
        });
        let memory = scope.spawn(|| {
            let mut most = 0;
            while !tally.is_over() {
                most = most.max(usage::resident(pid).unwrap_or_default());
                thread::sleep(LOOK_INTERVAL);
            }
            most
        });
        let seen = (|| -> Result<_> {
            let wanted = u64::try_from(connections).unwrap_or(u64::MAX);
            let started = Instant::now();
            while tally.counts().opened < wanted && started.elapsed() < START_TIMEOUT {
                if attack.is_finished() {
                    break;
                }
                thread::sleep(LOOK_INTERVAL);
            }
            let attacked = peer.round_trips(extent.round_trips, PAUSE)?;
            let newcomer = peer.newcomer()?;
            let probe = get(besieged.world.ground.admin, "/livez")?;
            Ok((attacked, newcomer, probe.starts_with("HTTP/1.1 200 ")))
        })();
        tally.stop();
        let most = memory.join().unwrap_or_default();
        let attack = attack.join().unwrap_or(Ok(()));
        attack?;
        seen.map(|seen| (seen, most))
    });
    let ((attacked, newcomer, alive), most) = outcome?;
    Ok(Figures {
        kind,
        counts: tally.counts(),
        idle_p99: idle.p99(),
        attacked_p99: attacked.p99(),
        round_trips: attacked.count(),
        newcomer,
        alive,
        before_kib: resident,
        most_kib: most,
        cpu: usage::cpu(pid)?.saturating_sub(cpu),
        took: begun.elapsed(),
        log_bytes: besieged.world.engine.log().len(),
        held: besieged.held(),
    })
}
