//! The priority of what belongs to the attacker.

use rustix::process::setpriority_process;

/// The lowest one.
const NICE: i32 = 19;

/// Gives this thread, and those that it starts from now on, the lowest priority. The attacker shares the processors with the
/// engine and the good peer: what it takes from them is no fault of the engine, and on the internet it has its own.
pub(super) fn lower() {
    // Without it, the figures are worse.
    let _ = setpriority_process(None, NICE);
}
