//! The operator with many federations and many nodes on a real API server: a bounded run of what docs/capacity.md reports.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test states its expectations so"
)]

use std::thread;
use std::time::Duration;

use lab::capacity::{Load, Stage, per_federation, since};

/// Time for which requests are counted.
const COUNTED: Duration = Duration::from_mins(1);
/// Requests for each federation and hour.
const TARGET: usize = 5;

#[test]
fn federations_that_do_not_change_cost_nearly_no_requests_and_little_memory() {
    let load = Load { federations: 24, namespaces: 4, nodes: 600 };
    let mut stage = Stage::start(load).unwrap();
    println!("all judged after {:?}", stage.until_judged().unwrap());
    stage.until_idle().unwrap();
    let before = stage.requests().unwrap();
    thread::sleep(COUNTED);
    let idle = since(&before, &stage.requests().unwrap());
    println!("{idle:?}, {:?}", stage.usage().unwrap());
    let own: usize = per_federation(&idle).values().sum();
    let permitted = TARGET * load.federations * usize::try_from(COUNTED.as_secs()).unwrap() / 3600;
    assert!(own <= permitted, "{own} requests: {idle:?}");
    // 600 nodes are 8 MB in the API server's responses, and several times that when they are parsed as a whole.
    assert!(stage.usage().unwrap().peak < 48 * 1024, "{:?}", stage.usage());
}
