//! One step of `make test`.

use std::fmt;

/// What runs, and after what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its name, also the name of its log.
    pub name: &'static str,
    /// Program and arguments, run in the source tree.
    pub command: Vec<String>,
    /// The steps that it needs.
    pub needs: &'static [&'static str],
    /// When it runs.
    pub kind: Kind,
}

/// When a step runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Once everything that it needs has passed.
    Work,
    /// Once everything that it needs has ended, if the step of this name was started: it undoes that step.
    Cleanup {
        /// The step that is undone.
        of: &'static str,
    },
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It has not started.
    Waiting,
    /// It runs.
    Running,
    /// It ended with exit code 0.
    Passed,
    /// It ended otherwise.
    Failed,
    /// It will not run.
    NotRun(Cause),
}

/// Why a step does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// This step, which it needs, did not pass.
    Needs(&'static str),
    /// Nothing is left to undo.
    NothingToUndo,
    /// The run was interrupted.
    Interrupted,
}

impl State {
    /// True once nothing more comes of it.
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
