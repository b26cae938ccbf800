//! Small runs of two experiments with the engine alone, which keep them working. They judge no time.

use std::time::Duration;

use bench::latency::Paths;
use bench::room::{Plan, run};
use harness::program::engine;

#[test]
fn every_stanza_arrives_with_the_engine_and_without_it() {
    let mut paths = Paths::start(engine()).unwrap();
    let added = paths.measure(5, Duration::ZERO);
    let samples = added.as_deref().map(|added| {
        added.iter().map(|added| (added.direction, added.samples)).collect::<Vec<_>>()
    });
    assert_eq!(samples.unwrap(), [("inward", 5), ("outward", 5)], "{}", paths.engine.log());
}

#[test]
fn every_presence_of_a_room_arrives_once_through_two_replicas() {
    let plan = Plan { occupants: 6, presences: 100, per_second: None };
    let outcome = run(engine(), plan).unwrap();
    assert_eq!(outcome.arrived, 6 * 100 + 6 * 100 * 6);
}
