//! A small run of the first-stanza benchmark with the engine alone, which keeps it working. It judges no time.

use bench::first_stanza::Newcomer;
use bench::relay::Relay;
use bench::stranger::{Strangers, Way};
use bench::subject::{Certificates, Place};
use harness::program::engine;

const PEERS: usize = 2;

#[test]
fn every_first_stanza_arrives_on_a_stream_that_was_opened_for_it() {
    let certificates = Certificates::new().unwrap();
    let place = Place::free().unwrap();
    let strangers = Strangers::start(&certificates, place.address, PEERS).unwrap();
    let place = Place { resolver: strangers.resolver(), ..place };
    let directory = tempfile::tempdir().unwrap();
    let relay = Relay::start("engine", engine(), directory.path(), &certificates, place).unwrap();
    let inside = relay.inside().unwrap();
    let mut newcomer = Newcomer { name: "engine", inside, strangers: &strangers };
    for way in Way::ALL {
        for number in 0..PEERS {
            let meeting = newcomer.meet(way, number);
            let streams = meeting.as_ref().map(|meeting| meeting.streams).ok();
            assert_eq!(streams, Some(1), "{meeting:?}\n{}", relay.engine.log());
        }
    }
}
