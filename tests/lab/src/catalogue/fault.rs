//! What a fault is.

use regex::Regex;

use super::fixture::Fixture;
use super::stage::Stage;
use super::text;
use crate::error::Result;

/// One fault of the catalogue.
#[derive(Debug)]
pub struct Fault {
    /// What is wrong, in the words of an administrator.
    pub name: &'static str,
    /// The federation that it needs.
    pub fixture: Fixture,
    /// Makes it so.
    pub inject: fn(&Stage) -> Result<()>,
    /// What the status must say.
    pub expected: Expected,
    /// Other conditions that may be False as a consequence.
    pub consequences: &'static [&'static str],
    /// Repairs the cause, and nothing else.
    pub repair: fn(&Stage) -> Result<()>,
}

/// What the status must say about a fault. In the patterns (regular expressions), `<domain>`, `<host>`, `<namespace>` and
/// `<address>` stand for those of the stage.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// The condition.
    pub condition: &'static str,
    /// `False`, `Unknown`, or `True` with a reason of its own.
    pub status: &'static str,
    /// The reason.
    pub reason: &'static str,
    /// What the message says about the culprit.
    pub culprit: &'static str,
    /// What the message tells to do.
    pub action: &'static str,
}

impl Expected {
    /// The patterns of the message, with the names of the stage.
    ///
    /// # Errors
    /// When one is not a regular expression.
    pub fn patterns(&self, stage: &Stage) -> Result<Vec<Regex>> {
        [self.culprit, self.action].into_iter().map(|one| text::pattern(one, stage)).collect()
    }
}

/// A condition that must be False.
pub const fn lost(
    condition: &'static str,
    reason: &'static str,
    culprit: &'static str,
    action: &'static str,
) -> Expected {
    Expected { condition, status: "False", reason, culprit, action }
}

/// A condition that stays True, with a reason that names the fault.
pub const fn kept(
    condition: &'static str,
    reason: &'static str,
    culprit: &'static str,
    action: &'static str,
) -> Expected {
    Expected { condition, status: "True", reason, culprit, action }
}

/// A condition that must be Unknown.
pub const fn open(
    condition: &'static str,
    reason: &'static str,
    culprit: &'static str,
    action: &'static str,
) -> Expected {
    Expected { condition, status: "Unknown", reason, culprit, action }
}
