//! Why a pass ended early. It is tried again; what the user must know stands in a condition instead.

use crate::build::BuildError;
use crate::federation::material::MaterialError;
use crate::metrics::ReconcileResult;

/// Why a pass ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A call to the API server failed.
    #[error("cannot {action}: {source}")]
    Api {
        /// What was tried.
        action: String,
        /// What the API server, or the way to it, said.
        source: Box<kube::Error>,
    },
    /// Somebody else changed an object at the same time.
    #[error("somebody else changed {object} at the same time")]
    Conflict {
        /// The object.
        object: String,
    },
    /// Keys or certificates.
    #[error(transparent)]
    Material(#[from] MaterialError),
    /// A child.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// Something took too long.
    #[error("the pass took longer than {0:?}; the API server may be overloaded")]
    TimedOut(std::time::Duration),
}

impl Error {
    /// For `map_err`.
    pub fn api(action: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let action = action.into();
        |source| Self::Api { action, source: Box::new(source) }
    }

    /// How the pass is counted.
    pub const fn result(&self) -> ReconcileResult {
        match self {
            Self::Api { .. } | Self::Material(_) | Self::Build(_) => ReconcileResult::Failed,
            Self::Conflict { .. } => ReconcileResult::Conflict,
            Self::TimedOut(_) => ReconcileResult::TimedOut,
        }
    }
}
