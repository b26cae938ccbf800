//! Decides which step may start now: a state machine without processes or a clock.

use super::step::{Cause, Kind, State, Step};

/// The steps and their states.
#[derive(Debug)]
pub struct Schedule {
    steps: Vec<(Step, State)>,
    at_once: usize,
    interrupted: bool,
}

impl Schedule {
    /// Steps in the order in which they should start, and the maximum number of concurrent steps.
    pub fn new(steps: Vec<Step>, at_once: usize) -> Self {
        let steps = steps.into_iter().map(|step| (step, State::Waiting)).collect();
        Self { steps, at_once, interrupted: false }
    }

    /// Returns the next step that may start, and marks it as running.
    pub fn start_next(&mut self) -> Option<Step> {
        self.settle();
        let running = self.count(State::Running);
        if running >= self.at_once {
            return None;
        }
        let name =
            self.steps.iter().find(|(step, state)| *state == State::Waiting && self.is_ready(step));
        let name = name.map(|(step, _)| step.name)?;
        self.set(name, State::Running);
        self.steps.iter().find(|(step, _)| step.name == name).map(|(step, _)| step.clone())
    }

    /// Records that a running step has ended.
    pub fn ended(&mut self, name: &str, passed: bool) {
        self.set(name, if passed { State::Passed } else { State::Failed });
        self.settle();
    }

    /// Starts no more work; cleanup of started steps still runs.
    pub fn interrupt(&mut self) {
        self.interrupted = true;
        self.settle();
    }

    /// True once [`Self::interrupt`] was called.
    pub const fn is_interrupted(&self) -> bool {
        self.interrupted
    }

    /// True once no step runs or waits.
    pub fn is_over(&self) -> bool {
        self.steps.iter().all(|(_, state)| state.is_final())
    }

    /// Every step with its state, in order.
    pub fn states(&self) -> impl Iterator<Item = (&Step, State)> {
        self.steps.iter().map(|(step, state)| (step, *state))
    }

    /// The maximum number of concurrent steps.
    pub const fn at_once(&self) -> usize {
        self.at_once
    }

    fn count(&self, wanted: State) -> usize {
        self.states().filter(|(_, state)| *state == wanted).count()
    }

    fn state_of(&self, name: &str) -> Option<State> {
        self.states().find(|(step, _)| step.name == name).map(|(_, state)| state)
    }

    fn is_ready(&self, step: &Step) -> bool {
        let has_ended = |name: &str| self.state_of(name).is_some_and(State::is_final);
        if !step.after.iter().all(|before| has_ended(before)) {
            return false;
        }
        match step.kind {
            Kind::Work => step.needs.iter().all(|need| self.state_of(need) == Some(State::Passed)),
            Kind::Cleanup { of } => has_ended(of) && step.needs.iter().all(|need| has_ended(need)),
        }
    }

    fn set(&mut self, name: &str, to: State) {
        if let Some((_, state)) = self.steps.iter_mut().find(|(step, _)| step.name == name) {
            *state = to;
        }
    }

    /// Cancels steps that can no longer run, until nothing changes: a cancelled step also cancels its dependents.
    fn settle(&mut self) {
        while let Some((name, cause)) = self.next_to_give_up() {
            self.set(name, State::NotRun(cause));
        }
    }

    fn next_to_give_up(&self) -> Option<(&'static str, Cause)> {
        let waiting = self.states().filter(|(_, state)| *state == State::Waiting);
        waiting.map(|(step, _)| step).find_map(|step| {
            let cause = match step.kind {
                Kind::Work if self.interrupted => Some(Cause::Interrupted),
                Kind::Work => step
                    .needs
                    .iter()
                    .find(|need| {
                        self.state_of(need)
                            .is_none_or(|state| state.is_final() && state != State::Passed)
                    })
                    .map(|need| Cause::Needs(need)),
                Kind::Cleanup { of } => matches!(self.state_of(of), None | Some(State::NotRun(_)))
                    .then_some(Cause::NothingToUndo),
            };
            cause.map(|cause| (step.name, cause))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &'static str, needs: &'static [&'static str]) -> Step {
        Step { name, command: Vec::new(), needs, after: &[], kind: Kind::Work }
    }

    fn cleanup(name: &'static str, of: &'static str, needs: &'static [&'static str]) -> Step {
        Step { kind: Kind::Cleanup { of }, ..step(name, needs) }
    }

    /// Runs a schedule to its end; the steps of `failing` fail. Returns the order in which steps started.
    fn run(schedule: &mut Schedule, failing: &[&str]) -> Vec<&'static str> {
        let mut started = Vec::new();
        while let Some(step) = schedule.start_next() {
            started.push(step.name);
            schedule.ended(step.name, !failing.contains(&step.name));
        }
        started
    }

    fn lab() -> Vec<Step> {
        vec![
            step("parts", &[]),
            step("lint", &[]),
            step("up", &["parts"]),
            step("tests", &["up"]),
            cleanup("down", "up", &["tests"]),
        ]
    }

    #[test]
    fn a_failure_hides_no_step_that_does_not_need_it() {
        let mut schedule = Schedule::new(lab(), 1);
        assert_eq!(run(&mut schedule, &["lint"]), ["parts", "lint", "up", "tests", "down"]);
        assert!(schedule.is_over());
    }

    #[test]
    fn what_needs_a_failed_step_is_not_run_and_names_it() {
        let mut schedule = Schedule::new(lab(), 1);
        assert_eq!(run(&mut schedule, &["parts"]), ["parts", "lint"]);
        let states: Vec<_> = schedule.states().map(|(step, state)| (step.name, state)).collect();
        assert_eq!(
            states,
            [
                ("parts", State::Failed),
                ("lint", State::Passed),
                ("up", State::NotRun(Cause::Needs("parts"))),
                ("tests", State::NotRun(Cause::Needs("up"))),
                ("down", State::NotRun(Cause::NothingToUndo)),
            ]
        );
    }

    #[test]
    fn what_comes_after_a_step_waits_for_its_end_and_not_for_its_success() {
        let mut schedule = Schedule::new(
            vec![step("parts", &[]), Step { after: &["parts"], ..step("later", &[]) }],
            9,
        );
        assert_eq!(schedule.start_next().unwrap().name, "parts");
        assert_eq!(schedule.start_next(), None);
        schedule.ended("parts", false);
        assert_eq!(schedule.start_next().unwrap().name, "later");
    }

    #[test]
    fn what_was_begun_is_undone_after_a_failure_and_after_an_interruption() {
        let mut schedule = Schedule::new(lab(), 1);
        assert_eq!(run(&mut schedule, &["up"]), ["parts", "lint", "up", "down"]);

        let mut schedule = Schedule::new(lab(), 9);
        for expected in ["parts", "lint"] {
            assert_eq!(schedule.start_next().unwrap().name, expected);
        }
        schedule.ended("parts", true);
        assert_eq!(schedule.start_next().unwrap().name, "up");
        schedule.interrupt();
        assert_eq!(schedule.start_next(), None);
        schedule.ended("up", false);
        assert_eq!(schedule.start_next().unwrap().name, "down");
    }

    #[test]
    fn nothing_is_undone_before_it_has_been_done() {
        let mut steps = lab();
        steps.push(step("other", &[]));
        let mut schedule = Schedule::new(steps, 9);
        for _ in ["parts", "lint", "other"] {
            schedule.start_next();
        }
        schedule.ended("parts", true);
        assert_eq!(schedule.start_next().unwrap().name, "up");
        // The step that needs it is cancelled while it still runs.
        schedule.set("tests", State::NotRun(Cause::Needs("other")));
        assert_eq!(schedule.start_next(), None);
        schedule.ended("up", true);
        assert_eq!(schedule.start_next().unwrap().name, "down");
    }

    #[test]
    fn no_more_than_the_given_number_run_at_once() {
        let mut schedule = Schedule::new(vec![step("a", &[]), step("b", &[]), step("c", &[])], 2);
        assert!(schedule.start_next().is_some() && schedule.start_next().is_some());
        assert_eq!(schedule.start_next(), None);
        schedule.ended("a", true);
        assert_eq!(schedule.start_next().unwrap().name, "c");
    }
}
