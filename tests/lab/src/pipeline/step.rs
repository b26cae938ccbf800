//! One step of `make test`.

use std::fmt;

/// The program of a step and its prerequisites.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its name, also the name of its log.
    pub name: &'static str,
    /// Program and arguments, run in the source tree.
    pub command: Vec<String>,
    /// The steps that it needs.
    pub needs: &'static [&'static str],
    /// The steps for whose end it waits, however they end: beside them it would be disturbed, or disturb them.
    pub after: &'static [&'static str],
    /// The condition for its start.
    pub kind: Kind,
}

/// The condition for the start of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Once all its prerequisites have passed.
    Work,
    /// Once all its prerequisites have ended, if the step with this name was started. It undoes that step.
    Cleanup {
        /// The step that is undone.
        of: &'static str,
    },
}

/// The state of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It has not started.
    Waiting,
    /// It runs.
    Running,
    /// It ended with exit code 0.
    Passed,
    /// It ended with another exit code or by a signal.
    Failed,
    /// It will not run.
    NotRun(Cause),
}

/// The reason why a step does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// This prerequisite did not pass.
    Needs(&'static str),
    /// Nothing is left to undo.
    NothingToUndo,
    /// The run was interrupted.
    Interrupted,
}

impl State {
    /// True once the state can no longer change.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Waiting | Self::Running)
    }

    /// True if it counts against the run.
    pub const fn is_bad(self) -> bool {
        !matches!(self, Self::Passed | Self::NotRun(Cause::NothingToUndo))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Needs(name) => write!(f, "needs \"{name}\", which did not pass"),
            Self::NothingToUndo => f.write_str("nothing to clean up"),
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}
