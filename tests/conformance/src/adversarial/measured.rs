//! The cost of hostile input for the target's process.

use std::time::Duration;

use harness::usage;

use crate::outcome::{Finding, Obstacle, ensure, not_applicable};
use crate::target::Target;

/// Maximum memory that a hostile input may leak or hold, in addition to the memory that the target needs for any
/// stream.
pub(super) const MAX_MEMORY_KIB: u64 = 24 * 1024;
/// Maximum processor time for 8 MB of hostile input, in an unoptimised build with all concurrent work. A parser with
/// non-linear cost needs minutes.
pub(super) const MAX_CPU: Duration = Duration::from_secs(10);

fn failed(error: impl std::fmt::Display) -> Obstacle {
    Obstacle::NotApplicable(error.to_string())
}

/// Runs a conversation and limits its cost for the target: memory and processor time.
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
