//! The scheduling priorities of the attacker's threads and of the good peer's.

use std::ffi::OsStr;
use std::fs;
use std::process::{Command, Stdio};

use rustix::process::setpriority_process;

/// The lowest priority, for systems that do not permit the policy.
const NICE: i32 = 19;
/// The number of that policy.
const SCHED_IDLE: &str = "5";

/// Lets this thread, and those that it starts from now on, run only when no other thread needs the processor (sched(7),
/// `SCHED_IDLE`). The attacker shares the processors with the engine and the good peer. The engine is not at fault for
/// the processor time that the attacker uses, and on the internet the attacker has its own processors. The lowest
/// priority alone does not suffice: a thread that has begun to run keeps the processor up to the next tick of the kernel,
/// which is 4 ms with 250 ticks a second, and the good peer would wait for it.
pub(super) fn lower() {
    // A failure is ignored; it only makes the figures worse.
    let _ = setpriority_process(None, NICE);
    if let Ok(own) = fs::read_link("/proc/thread-self")
        && let Some(thread) = own.file_name()
    {
        change("--idle", "0", thread);
    }
}

/// Lets all other threads of this process run before the threads of other programs, if the system permits it: those of
/// the good peer and its backend, which on the internet have their own processors as well.
pub(super) fn raise() {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return };
    for thread in threads.flatten() {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // The 41st field (proc(5)); the second one, in brackets, may contain anything.
        let policy = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(38));
        if policy != Some(SCHED_IDLE) {
            change("--rr", "1", &thread.file_name());
        }
    }
}

fn change(policy: &str, priority: &str, thread: &OsStr) {
    let _ = Command::new("chrt")
        .args([policy, "--pid", priority])
        .arg(thread)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}
