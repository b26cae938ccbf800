//! Faults that `BackendReady` names.

use super::fault::Fault;

/// The faults.
pub const FAULTS: &[Fault] = &[];
