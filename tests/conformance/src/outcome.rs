//! The outcome of a check.

use std::fmt;

use s2s_peer::error::PeerError;
use serde::Serialize;

/// The verdict on one statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "camelCase")]
pub enum Outcome {
    /// The target conforms to the statement.
    Holds,
    /// The target showed another behaviour.
    Violated {
        /// The observed behaviour.
        seen: String,
    },
    /// The check could not run against this target.
    NotApplicable {
        /// The missing precondition.
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

/// The reason why a check stopped early.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Obstacle {
    /// The statement is violated; the text describes the observed behaviour.
    #[error("{0}")]
    Violated(String),
    /// The check cannot run against this target; the text states the reason.
    #[error("{0}")]
    NotApplicable(String),
}

/// If a conversation differs from its script, the difference is the observed behaviour.
impl From<PeerError> for Obstacle {
    fn from(error: PeerError) -> Self {
        Self::Violated(error.to_string())
    }
}

/// The result of a check, and of every step of a check.
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

/// The check cannot run against this target.
pub fn not_applicable<T>(why: impl Into<String>) -> Finding<T> {
    Err(Obstacle::NotApplicable(why.into()))
}

/// Continues if `condition` is true; otherwise the statement is violated.
pub fn ensure(condition: bool, seen: impl FnOnce() -> String) -> Finding {
    if condition { Ok(()) } else { violated(seen()) }
}
