//! The catalogue of faults on the real cluster. Each fault is injected into a healthy federation. One condition must name
//! it within 30 s, with the culprit and what to do; nothing else may be False but what follows from it; no event comes twice;
//! and after the repair everything is as before without further help. The messages are the recorded ones.
//!
//! `XFED_FAULT` selects faults by parts of their names, with `|` between them.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test states its expectations so"
)]

use std::collections::{BTreeSet, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use lab::catalogue::fault::Fault;
use lab::catalogue::fixture::Fixture;
use lab::catalogue::run::{Outcome, Watched};
use lab::catalogue::stage::{self, Stage};
use lab::catalogue::{self, events, probers, proof, record, report, resolver};
use lab::cert_manager;
use lab::paths::Paths;
use lab::scenario::federated::Federated;

/// What the threads share.
struct Work {
    faults: Mutex<VecDeque<&'static Fault>>,
    outcomes: Mutex<Vec<Outcome>>,
    broken: Mutex<Vec<String>>,
    /// Every condition and reason that a status has shown.
    shown: Mutex<BTreeSet<(String, String)>>,
}

impl Work {
    fn next(&self, fixture: Fixture) -> Option<&'static Fault> {
        let mut faults = self.faults.lock().unwrap();
        let at = faults.iter().position(|fault| fault.fixture == fixture)?;
        faults.remove(at)
    }

    fn left(&self, fixture: Fixture) -> bool {
        self.faults.lock().unwrap().iter().any(|fault| fault.fixture == fixture)
    }

    /// Injects faults into one federation until there are no more of its kind.
    fn on(&self, stage: Stage) {
        let (name, fixture) = (stage.namespace.clone(), stage.fixture);
        if !self.left(fixture) {
            return;
        }
        let mut watched = match Watched::ready(stage) {
            Ok(watched) => watched,
            Err(error) => {
                self.broken.lock().unwrap().push(format!("{name} did not become Ready: {error}"));
                return;
            }
        };
        while let Some(fault) = self.next(fixture) {
            let result = watched.run(fault);
            self.shown.lock().unwrap().append(&mut watched.shown);
            match result {
                Ok(outcome) => {
                    print!("{}", report::text(std::slice::from_ref(&outcome)));
                    self.outcomes.lock().unwrap().push(outcome);
                }
                Err(error) => {
                    let mut broken = self.broken.lock().unwrap();
                    broken.push(format!("{name} is lost after {}: {error}", fault.name));
                    return;
                }
            }
        }
    }
}

fn selected() -> VecDeque<&'static Fault> {
    let parts = std::env::var("XFED_FAULT").unwrap_or_default();
    let parts: Vec<&str> = parts.split('|').collect();
    catalogue::all().filter(|fault| parts.iter().any(|part| fault.name.contains(part))).collect()
}

fn stages(paths: &Paths) -> Vec<Stage> {
    let numbered = |(fixture, count)| (0..count).map(move |n| Stage::new(paths, fixture, n));
    Fixture::ALL.into_iter().flat_map(numbered).collect()
}

#[test]
fn each_fault_is_named_by_one_condition_and_leaves_nothing_behind() {
    let paths = Federated::stage().unwrap();
    stage::remove_all(&paths).unwrap();
    cert_manager::remove(&paths).unwrap();
    let stages = stages(&paths);
    let hosts: Vec<String> = stages.iter().map(|stage| stage.host.clone()).collect();
    let domains: Vec<String> = stages.iter().map(|stage| stage.domain.clone()).collect();
    resolver::start(&paths, &hosts, &domains).unwrap();
    probers::start(&paths).unwrap();
    let (healthy, others): (Vec<Stage>, Vec<Stage>) =
        stages.iter().cloned().partition(|stage| stage.fixture == Fixture::Healthy);
    // It is the oldest, so it wins every conflict.
    let mut healthy = Watched::ready(healthy.into_iter().next().unwrap()).unwrap();
    let before = events::counts(&healthy.stage).unwrap();
    let work = Work {
        faults: Mutex::new(selected()),
        outcomes: Mutex::default(),
        broken: Mutex::default(),
        shown: Mutex::default(),
    };
    let done = AtomicBool::new(false);
    let changes = thread::scope(|scope| {
        let observer = scope.spawn(|| healthy.observe(|| done.load(Ordering::SeqCst)));
        let running: Vec<_> =
            others.into_iter().map(|stage| scope.spawn(|| work.on(stage))).collect();
        let panicked = running.into_iter().filter_map(|thread| thread.join().err()).count();
        done.store(true, Ordering::SeqCst);
        assert_eq!(panicked, 0);
        observer.join().unwrap()
    });
    let outcomes = work.outcomes.into_inner().unwrap();
    let told = events::published(&before, &events::counts(&healthy.stage).unwrap());
    resolver::stop(&paths).unwrap();
    probers::stop(&paths).unwrap();
    println!("{}", report::text(&outcomes));
    let new = record::of(&outcomes);
    let differences = if std::env::var_os("UPDATE_GOLDEN").is_some() {
        record::update(&paths, new).unwrap();
        let mut shown = work.shown.into_inner().unwrap();
        shown.append(&mut healthy.shown);
        proof::update(&paths, shown).unwrap();
        Vec::new()
    } else {
        record::differences(&record::recorded(&paths).unwrap(), &new)
    };
    for stage in &stages {
        stage.unpublish().unwrap();
    }
    stage::remove_all(&paths).unwrap();

    let mut problems = work.broken.into_inner().unwrap();
    let left = work.faults.into_inner().unwrap();
    problems.extend(left.iter().map(|fault| format!("{}: not injected", fault.name)));
    for outcome in &outcomes {
        let named = |problem: &String| format!("{}: {problem}", outcome.fault.name);
        problems.extend(outcome.problems.iter().map(named));
    }
    problems.extend(differences);
    problems.extend(changes.iter().map(|change| format!("the healthy federation: {change}")));
    problems.extend(told.keys().map(|event| format!("the healthy federation: event {event:?}")));
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}
