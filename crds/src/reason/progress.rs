//! Reasons of the conditions about the operator's own work.

reasons! {
    /// Reasons of `Reconciling`.
    ReconcilingReason explains Reconciling {
        True:
            /// Children are being applied.
            Applying,
            /// Pods are being replaced.
            RollingOut,
            /// Conditions are still being verified.
            Verifying;
    }

    /// Reasons of `Stalled`.
    StalledReason explains Stalled {
        True:
            /// The spec must be corrected.
            InvalidSpec,
            /// The user must act outside the spec.
            NeedsUserAction,
            /// The pods of the wanted revision do not become ready.
            RolloutStuck;
    }

    /// Reasons of `Paused`.
    PausedReason explains Paused {
        True:
            /// spec.paused is true.
            PausedByUser;
    }
}
