//! Why a reconcile failed: its status could not be written. Every other failure is in a condition instead.

use crate::metrics::ReconcileResult;

/// Why a reconcile failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A call to the API server failed.
    #[error("cannot {action}: {source}")]
    Api {
        /// The action that failed.
        action: String,
        /// The error of the API server, or of the connection to it.
        source: Box<kube::Error>,
    },
    /// Another client changed an object at the same time.
    #[error("another client changed {object} at the same time; the operator retries")]
    Conflict {
        /// The object.
        object: String,
    },
    /// Something took too long.
    #[error("the reconcile took longer than {0:?}; check whether the API server is overloaded")]
    TimedOut(std::time::Duration),
}

impl Error {
    /// For `map_err`.
    pub fn api(action: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let action = action.into();
        |source| Self::Api { action, source: Box::new(source) }
    }

    /// How the reconcile is counted.
    pub const fn result(&self) -> ReconcileResult {
        match self {
            Self::Api { .. } => ReconcileResult::Failed,
            Self::Conflict { .. } => ReconcileResult::Conflict,
            Self::TimedOut(_) => ReconcileResult::TimedOut,
        }
    }
}
