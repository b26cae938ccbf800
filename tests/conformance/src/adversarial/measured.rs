//! The cost of hostile input for the target's process.

use std::time::Duration;

use harness::usage;

use crate::outcome::{Finding, Obstacle, ensure, not_applicable};
use crate::target::Target;

/// Memory that a hostile input may leave or hold, beside what the target needs for any stream.
pub(super) const MAX_MEMORY_KIB: u64 = 24 * 1024;
/// Processor time that 8 MB of hostile input may cost, unoptimised and with all that goes on beside it. A parser whose cost
/// is not linear needs minutes.
pub(super) const MAX_CPU: Duration = Duration::from_secs(10);

fn failed(error: impl std::fmt::Display) -> Obstacle {
    Obstacle::NotApplicable(error.to_string())
}

/// Runs a conversation and bounds what it costs the target: memory, and processor time.
pub(super) fn within(target: &Target, conversation: impl FnOnce() -> Finding) -> Finding {
    let Some(pid) = target.process else {
        return not_applicable("it needs the target's process on this machine (--pid)");
    };
    let before = (usage::resident(pid).map_err(failed)?, usage::cpu(pid).map_err(failed)?);
    conversation()?;
    let after = (usage::resident(pid).map_err(failed)?, usage::cpu(pid).map_err(failed)?);
    let (memory, cpu) = (after.0.saturating_sub(before.0), after.1.saturating_sub(before.1));
    ensure(memory < MAX_MEMORY_KIB, || format!("the target's memory grew by {memory} KiB"))?;
    ensure(cpu < MAX_CPU, || format!("the target used {cpu:?} of processor time"))
}
