//! A Service that must be replaced, as verdicts need it. Plain data.

/// A Service that cannot be changed in place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Replacement {
    /// Name of the Service.
    pub name: String,
    /// Addresses that are released with it.
    pub addresses: Vec<String>,
    /// How far it is.
    pub state: ReplacementState,
}

/// How far a replacement is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ReplacementState {
    /// The user has not allowed it.
    Needed {
        /// The field that cannot change, and why, in the words of the API server.
        refusal: String,
    },
    /// The old Service is being deleted. The new one is created once it is gone.
    Deleting {
        /// Finalizers that are left.
        finalizers: Vec<String>,
    },
}
