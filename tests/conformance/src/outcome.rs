//! What came of a check.

use std::fmt;

use s2s_peer::error::PeerError;
use serde::Serialize;

/// The verdict on one statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "camelCase")]
pub enum Outcome {
    /// The target does what the statement asks.
    Holds,
    /// The target was seen to do something else.
    Violated {
        /// What it did.
        seen: String,
    },
    /// The statement could not be put to this target.
    NotApplicable {
        /// What is missing.
        why: String,
    },
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Holds => f.write_str("holds"),
            Self::Violated { seen } => write!(f, "VIOLATED: {seen}"),
            Self::NotApplicable { why } => write!(f, "not applicable: {why}"),
        }
    }
}

/// What keeps a check from its end.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Obstacle {
    /// The statement is violated; the text says what was seen.
    #[error("{0}")]
    Violated(String),
    /// The statement cannot be put to this target; the text says why.
    #[error("{0}")]
    NotApplicable(String),
}

/// A conversation that goes another way than a script demands is what was seen.
impl From<PeerError> for Obstacle {
    fn from(error: PeerError) -> Self {
        Self::Violated(error.to_string())
    }
}

/// The result of a check, and of every step in one.
pub type Finding<T = ()> = Result<T, Obstacle>;

impl From<Finding> for Outcome {
    fn from(finding: Finding) -> Self {
        match finding {
            Ok(()) => Self::Holds,
            Err(Obstacle::Violated(seen)) => Self::Violated { seen },
            Err(Obstacle::NotApplicable(why)) => Self::NotApplicable { why },
        }
    }
}

/// The statement is violated.
pub fn violated<T>(seen: impl Into<String>) -> Finding<T> {
    Err(Obstacle::Violated(seen.into()))
}

/// The statement cannot be put to this target.
pub fn not_applicable<T>(why: impl Into<String>) -> Finding<T> {
    Err(Obstacle::NotApplicable(why.into()))
}

/// Goes on when `condition` is true; else that is a violation.
pub fn ensure(condition: bool, seen: impl FnOnce() -> String) -> Finding {
    if condition { Ok(()) } else { violated(seen()) }
}
