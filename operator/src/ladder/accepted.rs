//! `Accepted`: the resource can be honoured.

use crds::reason::AcceptedReason;

use super::View;
use super::verdict::Verdict;
use crate::federation::validated::InvalidFederation;
use crate::reconcile::apply::Applied;

/// Judges a federation that passed validation.
pub fn check(view: View<'_>) -> Verdict {
    match &view.seen.applied {
        Applied::Done | Applied::Paused | Applied::Replacement(_) => {
            let later = view.federation.spec.not_in_effect();
            if later.is_empty() {
                Verdict::new(AcceptedReason::Accepted, "The resource is valid.")
            } else {
                Verdict::new(
                    AcceptedReason::Accepted,
                    format!("The resource is valid. Not in effect yet: {}.", later.join(", ")),
                )
            }
        }
        Applied::Foreign { kind, name } => Verdict::new(
            AcceptedReason::AdoptionConflict,
            format!(
                "{kind} {name} already exists and does not belong to this federation, so the operator does not change it. Delete or rename it, or give the federation another name."
            ),
        ),
        Applied::Forbidden { action, message } => Verdict::new(
            AcceptedReason::NotPermitted,
            format!(
                "The operator is not permitted to {action}: {message}. Bind the chart's role to the operator's service account."
            ),
        ),
        Applied::Refused { kind, name, message } => Verdict::new(
            AcceptedReason::InvalidSpec,
            format!(
                "The API server rejects {kind} {name}, which the operator builds from the spec: {message}. Correct that field of the spec."
            ),
        ),
    }
}

/// The verdict about a federation that did not pass validation.
pub fn rejected(rejection: &InvalidFederation) -> Verdict {
    let reason = match rejection {
        InvalidFederation::Unreadable(_) | InvalidFederation::Invalid(_) => {
            AcceptedReason::InvalidSpec
        }
        InvalidFederation::DomainConflict { .. } => AcceptedReason::DomainConflict,
        InvalidFederation::HostConflict { .. } => AcceptedReason::HostConflict,
    };
    Verdict::new(reason, rejection.to_string())
}
