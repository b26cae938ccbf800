//! The scheduling priority of the attacker's threads.

use rustix::process::setpriority_process;

/// The lowest priority.
const NICE: i32 = 19;

/// Gives this thread, and those that it starts from now on, the lowest priority. The attacker shares the processors
/// with the engine and the good peer. The engine is not at fault for the processor time that the attacker uses, and on
/// the internet the attacker has its own processors.
pub(super) fn lower() {
    // A failure is ignored; it only makes the figures worse.
    let _ = setpriority_process(None, NICE);
}
