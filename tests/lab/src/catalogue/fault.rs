//! What a fault is.

use super::fixture::Fixture;
use super::stage::Stage;
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
    /// `False`, or `Unknown`.
    pub status: &'static str,
    /// The reason.
    pub reason: &'static str,
    /// What the message says about the culprit.
    pub culprit: &'static str,
    /// What the message tells to do.
    pub action: &'static str,
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

/// A condition that must be Unknown.
pub const fn open(
    condition: &'static str,
    reason: &'static str,
    culprit: &'static str,
    action: &'static str,
) -> Expected {
    Expected { condition, status: "Unknown", reason, culprit, action }
}
