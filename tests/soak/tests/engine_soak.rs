//! A bounded run of `soak`: numbered stanzas pass through the real engine program, disturbed at random, until every
//! stanza is accounted for. Loopback only.

use harness::program::engine;
use soak::error::Result;
use soak::ledger::Loss;
use soak::report::Report;
use soak::run::{Options, run};

fn soak(options: &Options) -> Result<Report> {
    let report = run(options)?;
    println!("{report}");
    assert_eq!(report.faults.count, 0, "{report}\n{}", report.log);
    assert!(report.totals.balance(), "{report}");
    assert!(report.totals.sent >= options.stanzas, "{report}");
    Ok(report)
}

fn options() -> Options {
    Options {
        engine: engine().to_owned(),
        stanzas: 16_000,
        round: 8_000,
        disturbances: 20,
        restart_every: 0,
        peers: 5,
        queue_stanzas: 4_096,
        seed: 1,
        forbidden: vec![Loss::NoRoom, Loss::AtEnd],
        verbose: true,
    }
}

#[test]
fn every_stanza_has_an_outcome_while_streams_servers_and_settings_change() {
    let report = soak(&options()).unwrap();
    assert!(report.totals.delivered > 8_000, "{report}");
    assert!(report.totals.bounced() > 0, "{report}");
    for happened in ["streams reset by the receiver", "streams closed by the receiver"] {
        assert!(report.disturbances.contains_key(happened), "{report}");
    }
}

#[test]
fn every_stanza_has_an_outcome_while_queues_are_full() {
    let options = Options { queue_stanzas: 64, seed: 2, ..options() };
    let report = soak(&options).unwrap();
    assert!(report.totals.refused.contains_key("resource-constraint"), "{report}");
}

#[test]
fn every_stanza_that_an_engine_has_taken_has_an_outcome_when_it_is_notified_to_end() {
    let report =
        soak(&Options { restart_every: 1, disturbances: 5, seed: 3, ..options() }).unwrap();
    assert_eq!(report.disturbances["restarts of the engine"], report.rounds, "{report}");
}
