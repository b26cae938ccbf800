//! Prints one line when a step takes long, and one line with its duration when it is done.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::Result;

/// Interval of the progress message of a long step.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Runs a step and prints its name with its duration.
pub fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let begun = Instant::now();
    let (done, waiting) = channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            while waiting.recv_timeout(HEARTBEAT) == Err(RecvTimeoutError::Timeout) {
                println!("  …  {name}: still at work, {} s", begun.elapsed().as_secs());
            }
        });
        let result = work();
        drop(done);
        let mark = if result.is_ok() { "✓" } else { "✗" };
        println!("  {mark}  {name} ({:.1} s)", begun.elapsed().as_secs_f64());
        result
    })
}

/// The title of a group of steps.
pub fn title(text: &str) {
    println!("\n== {text}");
}
