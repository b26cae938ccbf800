//! The operator with many federations and many nodes on a real API server: a bounded run of what docs/capacity.md reports.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test states its expectations so"
)]

use std::thread;
use std::time::Duration;

use lab::capacity::{Load, Requests, Stage, per_federation, since};

/// Time for which requests are counted.
const COUNTED: Duration = Duration::from_mins(1);
/// Requests for each federation and hour.
const TARGET: usize = 5;
/// Requests for each federation in the minute after its pods could not be scheduled.
const FIRST_MINUTE: usize = 10;

/// Requests for federations within [`COUNTED`].
fn permitted(load: Load) -> usize {
    TARGET * load.federations * usize::try_from(COUNTED.as_secs()).unwrap() / 3600
}

/// The requests within [`COUNTED`] from now.
fn counted(stage: &Stage) -> Requests {
    let before = stage.requests().unwrap();
    thread::sleep(COUNTED);
    since(&before, &stage.requests().unwrap())
}

/// Waits until the operator is idle, and then asserts that the federations cost it nearly no request.
fn idles(stage: &mut Stage, load: Load) {
    stage.until_idle().unwrap();
    let idle = counted(stage);
    println!("{idle:?}, {:?}", stage.usage().unwrap());
    let own: usize = per_federation(&idle).values().sum();
    assert!(own <= permitted(load), "{own} requests: {idle:?}");
}

#[test]
fn federations_that_do_not_change_cost_nearly_no_requests_and_little_memory() {
    let load = Load { federations: 24, namespaces: 4, nodes: 600, domains: 1, peers: 0 };
    let mut stage = Stage::start(load).unwrap();
    println!("all judged after {:?}", stage.until_judged().unwrap());
    idles(&mut stage, load);
    // 600 nodes are 8 MB in the API server's responses, and several times that when they are parsed as a whole.
    assert!(stage.usage().unwrap().peak < 48 * 1024, "{:?}", stage.usage());
}

#[test]
fn federations_whose_pods_no_node_takes_cost_no_more_requests_than_others() {
    let load = Load { federations: 24, namespaces: 4, nodes: 0, domains: 1, peers: 0 };
    let mut stage = Stage::start(load).unwrap();
    println!("all judged after {:?}", stage.until_judged().unwrap());
    stage.report_unschedulable().unwrap();
    println!("all Unschedulable after {:?}", stage.until_engines("Unschedulable").unwrap());
    let first = counted(&stage);
    println!("the first minute: {first:?}");
    // Status and events of what the pods' state brings about.
    let own: usize = per_federation(&first).values().sum();
    assert!(own <= FIRST_MINUTE * load.federations, "{own} requests: {first:?}");
    idles(&mut stage, load);
}
