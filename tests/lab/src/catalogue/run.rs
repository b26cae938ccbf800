//! Injects one fault, and compares what the status says with what it must say.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use regex::Regex;

use super::events::{self, Counts};
use super::fault::{Expected, Fault};
use super::fixture::Fixture;
use super::stage::{NAME, Stage};
use super::text;
use crate::conditions::{Condition, Snapshot, Watch};
use crate::error::{Error, Result};
use crate::federation;
use crate::wait::{Wait, slowness};

/// A fault must be named within this time.
pub const LIMIT: Duration = Duration::from_secs(30);
/// A fault that is named later is still waited for, so that the report has the time and the message.
const PATIENCE: Duration = Duration::from_secs(75);
/// A federation must be Ready again within this time after the repair; the kubelet brings changed Secrets to pods within 2m.
const RECOVERY: Duration = Duration::from_mins(4);
/// Time for what follows from a fault to appear, and for its events.
const SETTLING: Duration = Duration::from_secs(4);
/// Time for the events of a recovery to be published.
const EVENTS: Duration = Duration::from_secs(15);
/// Length of the longest message, as in the API (`crds::condition::MAX_MESSAGE`).
const MAX_MESSAGE: usize = 1024;

/// What came of one fault.
#[derive(Debug)]
pub struct Outcome {
    /// The fault.
    pub fault: &'static Fault,
    /// The condition as it was shown; `None` if it was not.
    pub shown: Option<Condition>,
    /// The message as the page shows it.
    pub example: String,
    /// Time until it was shown.
    pub after: Duration,
    /// Time from the repair until everything was as before.
    pub recovered: Duration,
    /// Everything else that was False meanwhile.
    pub others: Vec<String>,
    /// What is wrong with all that.
    pub problems: Vec<String>,
    /// Every change of a condition, from the injection to the end.
    pub history: Vec<String>,
}

/// A federation under watch.
#[derive(Debug)]
pub struct Watched {
    /// Where it is.
    pub stage: Stage,
    watch: Watch,
    baseline: Snapshot,
    history: Vec<String>,
    /// Every condition and reason that the status has shown.
    pub shown: BTreeSet<(String, String)>,
}

impl Watched {
    /// Builds the stage and waits until its federation is Ready.
    pub fn ready(mut stage: Stage) -> Result<Self> {
        stage.build()?;
        let watch = Watch::start(&stage.paths, &stage.namespace, NAME)?;
        let mut watched = Self {
            stage,
            watch,
            baseline: Snapshot::default(),
            history: Vec::new(),
            shown: BTreeSet::new(),
        };
        let address = |now: &Snapshot| now.object.pointer("/status/addresses/0").is_some();
        watched.until("an address", RECOVERY, address)?;
        watched.stage.publish()?;
        if watched.stage.fixture == Fixture::Backed {
            let server = |now: &Snapshot| federation::backend_dns(now).is_some();
            watched.until("the backend's DNS server", RECOVERY, server)?;
            let server =
                federation::backend_dns(&watched.watch.last).unwrap_or_default().to_owned();
            watched.stage.attach_backend(&server)?;
        }
        let also = match watched.stage.fixture {
            Fixture::Peered => "PeersReachable",
            Fixture::Probed => "InboundReachable",
            _ => "Ready",
        };
        watched.until("Ready=True", RECOVERY, |now| {
            is_settled(now) && now.is_true("Ready") && now.is_true(also)
        })?;
        // The events are published after the status.
        watched.settle(Duration::from_secs(2), |_| ());
        watched.baseline = watched.watch.last.clone();
        Ok(watched)
    }

    /// The state at the beginning.
    pub const fn baseline(&self) -> &Snapshot {
        &self.baseline
    }

    fn until(
        &mut self,
        what: &str,
        within: Duration,
        wanted: impl Fn(&Snapshot) -> bool,
    ) -> Result<()> {
        self.seeing(what, within, |_| (), wanted)
    }

    fn seeing(
        &mut self,
        what: &str,
        within: Duration,
        mut seen: impl FnMut(&Snapshot),
        wanted: impl Fn(&Snapshot) -> bool,
    ) -> Result<()> {
        let what = format!("{what} of {}", self.stage.namespace);
        let (history, shown) = (&mut self.history, &mut self.shown);
        let both = |before: &Snapshot, now: &Snapshot| {
            history.extend(now.changes_since(before).map(ToString::to_string));
            shown.extend(now.conditions.iter().map(|one| (one.kind.clone(), one.reason.clone())));
            seen(now);
        };
        self.watch.until(Wait::new(what, within), within, both, wanted)
    }

    /// Takes the updates of that time.
    fn settle(&mut self, time: Duration, seen: impl FnMut(&Snapshot)) {
        // It always ends at its deadline.
        let _ = self.seeing("nothing", time, seen, |_| false);
    }

    /// Every update until the function says so, for a federation that nothing may happen to.
    pub fn observe(&mut self, done: impl Fn() -> bool) -> Vec<String> {
        let before = self.watch.last.clone();
        let mut changes = Vec::new();
        while !done() {
            let seen = |now: &Snapshot| {
                changes.extend(now.changes_since(&before).map(ToString::to_string));
            };
            self.settle(Duration::from_secs(1), seen);
        }
        changes.sort();
        changes.dedup();
        changes
    }

    /// Injects the fault, and repairs it. An error means that the federation is of no further use.
    pub fn run(&mut self, fault: &'static Fault) -> Result<Outcome> {
        self.settle(Duration::ZERO, |_| ());
        self.history.clear();
        let before = events::counts(&self.stage)?;
        let mut besides = BTreeMap::new();
        let mut note = |now: &Snapshot| {
            for condition in now.conditions.iter().filter(|one| one.status == "False") {
                besides.insert(condition.kind.clone(), condition.clone());
            }
        };
        let mut outcome = Outcome {
            fault,
            shown: None,
            example: String::new(),
            after: Duration::ZERO,
            recovered: Duration::ZERO,
            others: Vec::new(),
            problems: Vec::new(),
            history: Vec::new(),
        };
        let injected = (fault.inject)(&self.stage);
        let begun = Instant::now();
        let Expected { condition, status, reason, .. } = fault.expected;
        let named = match injected {
            Ok(()) => self
                .seeing(fault.name, PATIENCE, &mut note, |now| now.has(condition, status, reason)),
            Err(error) => Err(Error::State(format!("it cannot be injected: {error}"))),
        };
        outcome.after = begun.elapsed();
        if let Err(error) = named {
            outcome.problems.push(error.to_string());
        } else {
            // The same reason may come with what is known at first, as that a peer has not been reached yet. The address may be
            // a new one by now.
            let patterns = fault.expected.patterns(&self.stage)?;
            let rest = (LIMIT * slowness()).saturating_sub(outcome.after);
            let complete = self.seeing("the whole message", rest, &mut note, |now| {
                let found = now.condition(condition).map(|found| found.message.as_str());
                found.is_some_and(|text| patterns.iter().all(|one| one.is_match(text)))
            });
            // A message that stays incomplete is judged below.
            if complete.is_ok() {
                outcome.after = begun.elapsed();
            }
            self.settle(SETTLING, &mut note);
            self.judge(&mut outcome, &patterns);
        }
        let besides: Vec<Condition> = besides.into_values().collect();
        outcome.judge_besides(&besides);

        let repaired = (fault.repair)(&self.stage);
        let begun = Instant::now();
        repaired?;
        let baseline = self.baseline.clone();
        // A condition that stayed True is as before when it no longer has the reason that names the fault.
        let is_repaired = |now: &Snapshot| {
            status != "True"
                || !now.has(condition, status, reason)
                || baseline.has(condition, status, reason)
        };
        let again = self.until("everything as before", RECOVERY, |now| {
            is_as_before(now, &baseline) && is_repaired(now)
        });
        outcome.recovered = begun.elapsed();
        let lasts = again.is_ok();
        if let Err(error) = again {
            outcome.problems.push(format!("not as before after the repair: {error}"));
        }
        let published = self.published(&before, &besides)?;
        outcome.judge_events(&published);
        outcome.history = std::mem::take(&mut self.history);
        if lasts {
            return Ok(outcome);
        }
        // The next fault needs a healthy federation.
        self.stage.restore_spec()?;
        self.stage.publish()?;
        match self.until("everything as before", RECOVERY, |now| is_as_before(now, &baseline)) {
            Ok(()) => Ok(outcome),
            Err(error) => Err(Error::State(format!("{:?}; {error}", outcome.problems))),
        }
    }

    /// The events since then. An event is published after the status, so those about the recovery are waited for.
    fn published(&mut self, before: &Counts, lost: &[Condition]) -> Result<Counts> {
        let begun = Instant::now();
        loop {
            let published = events::published(before, &events::counts(&self.stage)?);
            let is_published = |one: &Condition| {
                let action = format!("Verify{}", one.kind);
                let reason = self.baseline.condition(&one.kind).map(|then| then.reason.as_str());
                published.keys().any(|key| Some(key.0.as_str()) == reason && key.1 == action)
            };
            if lost.iter().all(is_published) || begun.elapsed() > EVENTS * slowness() {
                self.settle(Duration::from_millis(500), |_| ());
                return Ok(published);
            }
            self.settle(Duration::from_millis(250), |_| ());
        }
    }

    /// The condition as it is after a while, with its message.
    fn judge(&self, outcome: &mut Outcome, patterns: &[Regex]) {
        let Expected { condition, status, reason, .. } = outcome.fault.expected;
        if outcome.after > LIMIT * slowness() {
            outcome.problems.push(format!("named after {:.1?}", outcome.after));
        }
        let Some(found) = self.watch.last.condition(condition).cloned() else { return };
        if found.status != status || found.reason != reason {
            outcome.problems.push(format!("did not stay, but became {found}"));
        }
        for wanted in patterns.iter().filter(|one| !one.is_match(&found.message)) {
            outcome.problems.push(format!("the message lacks {:?}", wanted.as_str()));
        }
        if found.message.len() > MAX_MESSAGE {
            outcome.problems.push(format!("the message has {} bytes", found.message.len()));
        }
        if status != "True" && !ends_with_link(&found.message) {
            outcome.problems.push("the message does not end with a link".to_owned());
        }
        outcome.example = text::as_example(&found.message, &self.stage);
        outcome.shown = Some(found);
    }
}

/// The last word is the address of a section of the page.
fn ends_with_link(message: &str) -> bool {
    message.rsplit(' ').next().is_some_and(|word| {
        word.starts_with("https://") && word.contains('#') && !word.ends_with('#')
    })
}

impl Outcome {
    fn judge_besides(&mut self, besides: &[Condition]) {
        let allowed = |condition: &&Condition| {
            condition.kind == self.fault.expected.condition
                || condition.kind == "Ready"
                || is_replaced_pod(condition)
                || self.fault.consequences.contains(&condition.kind.as_str())
        };
        let (expected, others): (Vec<&Condition>, Vec<&Condition>) =
            besides.iter().partition(allowed);
        let wrong = others.iter().map(|other| format!("also False: {other}"));
        self.problems.extend(wrong);
        self.others = expected
            .iter()
            .filter(|one| one.kind != self.fault.expected.condition)
            .map(ToString::to_string)
            .collect();
    }

    fn judge_events(&mut self, published: &Counts) {
        // Each restoration has an event of its own.
        let contested = self.fault.expected.reason == "ObjectContested";
        let repeats = |reason: &str| contested && reason == "DriftCorrected";
        for ((reason, action), times) in published {
            if *times > 1 && !repeats(reason) {
                self.problems.push(format!("event {reason} ({action}) {times} times"));
            }
        }
        let Expected { condition, status, .. } = self.fault.expected;
        let action = format!("Verify{condition}");
        if status == "False"
            && self.shown.is_some()
            && !published.keys().any(|(_, of)| *of == action)
        {
            self.problems.push(format!("no event about {condition} among {:?}", published.keys()));
        }
    }
}

/// A change of the spec replaces the only engine pod. On a busy machine the new one may miss two readiness probes after the one
/// before it has gone. Rollouts without a condition that is False are tested with two pods (`lifecycle`).
fn is_replaced_pod(condition: &Condition) -> bool {
    condition.kind == "EngineReady" && condition.reason == "RollingOut"
}

/// The status is about the current spec, and nothing is changing.
fn is_settled(now: &Snapshot) -> bool {
    let generation = now.object.pointer("/metadata/generation");
    let conditions = now.object.pointer("/status/conditions").and_then(|list| list.as_array());
    let all = conditions.into_iter().flatten();
    generation.is_some()
        && all.filter_map(|one| one.get("observedGeneration")).all(|seen| Some(seen) == generation)
        && now.condition("Reconciling").is_none()
        && now.condition("Stalled").is_none()
}

/// Everything that was True is True.
fn is_as_before(now: &Snapshot, baseline: &Snapshot) -> bool {
    is_settled(now)
        && baseline
            .conditions
            .iter()
            .filter(|one| one.status == "True")
            .all(|one| now.is_true(&one.kind))
}
