//! The duration of each step when it last passed, kept in the cache, and the resulting estimate for the rest of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::{PipelineError, Result};
use super::schedule::Schedule;
use super::step::{State, Step};

/// Seconds for each step.
#[derive(Debug, Default)]
pub struct History {
    file: PathBuf,
    seconds: BTreeMap<String, f64>,
}

impl History {
    /// The content of the file. Empty if the file is missing or damaged, because it only serves estimates.
    pub fn read(file: &Path) -> Self {
        let text = fs::read_to_string(file).unwrap_or_default();
        Self { file: file.to_owned(), seconds: serde_json::from_str(&text).unwrap_or_default() }
    }

    /// The duration of the step with that name when it last passed.
    pub fn of(&self, name: &str) -> Option<Duration> {
        self.seconds.get(name).and_then(|seconds| Duration::try_from_secs_f64(*seconds).ok())
    }

    /// Stores the duration of a step.
    pub fn keep(&mut self, name: &str, took: Duration) {
        self.seconds.insert(name.to_owned(), took.as_secs_f64());
    }

    /// Writes the file.
    pub fn write(&self) -> Result<()> {
        let text = serde_json::to_string_pretty(&self.seconds).unwrap_or_default();
        fs::write(&self.file, text).map_err(PipelineError::io("writing", &self.file))
    }

    /// Estimates the time until all steps have ended, if each step takes as long as the last time. `running` contains
    /// the time that each running step has run so far. None if one of the steps has never passed.
    pub fn rest(
        &self,
        schedule: &Schedule,
        running: &BTreeMap<&str, Duration>,
    ) -> Option<Duration> {
        let mut ends: BTreeMap<&str, Duration> = BTreeMap::new();
        let mut done: BTreeSet<&str> = BTreeSet::new();
        let mut waiting: Vec<&Step> = Vec::new();
        for (step, state) in schedule.states() {
            match state {
                State::Waiting => waiting.push(step),
                State::Running => {
                    let ran = running.get(step.name).copied().unwrap_or_default();
                    ends.insert(step.name, self.of(step.name)?.saturating_sub(ran));
                }
                State::Passed | State::Failed | State::NotRun(_) => {
                    done.insert(step.name);
                }
            }
        }
        let mut now = Duration::ZERO;
        loop {
            while ends.len() < schedule.at_once() {
                let ready = |step: &&Step| step.needs.iter().all(|need| done.contains(need));
                let Some(place) = waiting.iter().position(ready) else { break };
                let step = waiting.remove(place);
                ends.insert(step.name, now + self.of(step.name)?);
            }
            let Some((name, end)) = ends.iter().min_by_key(|(_, end)| **end) else {
                return Some(now);
            };
            let (name, end) = (*name, *end);
            now = now.max(end);
            ends.remove(name);
            done.insert(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::step::Kind;

    fn step(name: &'static str, needs: &'static [&'static str]) -> Step {
        Step { name, command: Vec::new(), needs, after: &[], kind: Kind::Work }
    }

    #[test]
    fn the_rest_is_the_longest_way_through_what_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let mut history = History::read(&dir.path().join("times.json"));
        for (name, seconds) in [("a", 10), ("b", 30), ("c", 5)] {
            history.keep(name, Duration::from_secs(seconds));
        }
        history.write().unwrap();
        let history = History::read(&dir.path().join("times.json"));
        let steps = vec![step("a", &[]), step("b", &[]), step("c", &["a"])];
        let mut schedule = Schedule::new(steps.clone(), 2);
        let none = BTreeMap::new();
        assert_eq!(history.rest(&schedule, &none), Some(Duration::from_secs(30)));
        schedule.start_next();
        schedule.start_next();
        let ran = BTreeMap::from([("a", Duration::from_secs(4)), ("b", Duration::from_secs(28))]);
        assert_eq!(history.rest(&schedule, &ran), Some(Duration::from_secs(11)));
        assert_eq!(history.rest(&Schedule::new(steps, 1), &none), Some(Duration::from_secs(45)));
    }

    #[test]
    fn a_step_that_never_passed_has_no_estimate() {
        let history = History::default();
        assert_eq!(history.rest(&Schedule::new(vec![step("a", &[])], 1), &BTreeMap::new()), None);
    }
}
