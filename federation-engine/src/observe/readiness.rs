//! Whether the engine can serve, and the names of the missing parts.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// Parts that must be present before the engine is ready. Shared by all tasks.
#[derive(Debug)]
pub struct Readiness {
    missing: Mutex<BTreeSet<&'static str>>,
}

/// Body of `/readyz`.
#[derive(Debug, Eq, PartialEq, Serialize)]
pub struct ReadyReport {
    /// Nothing is missing.
    pub ready: bool,
    /// Names of the missing parts, sorted.
    pub missing: Vec<&'static str>,
}

impl Readiness {
    /// Not ready until each of these has been [`Self::found`].
    pub fn awaiting(names: impl IntoIterator<Item = &'static str>) -> Self {
        Self { missing: Mutex::new(names.into_iter().collect()) }
    }

    /// Such as a listener that is bound.
    pub fn found(&self, name: &'static str) {
        self.lock().remove(name);
    }

    /// Such as a listener that ended, or everything when the engine drains.
    pub fn lost(&self, name: &'static str) {
        self.lock().insert(name);
    }

    /// The current state.
    pub fn report(&self) -> ReadyReport {
        let missing: Vec<_> = self.lock().iter().copied().collect();
        ReadyReport { ready: missing.is_empty(), missing }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<&'static str>> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
