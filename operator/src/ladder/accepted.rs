//! `Accepted`: the resource can be honoured.

use crds::reason::AcceptedReason;

use super::View;
use super::verdict::Verdict;
use crate::federation::validated::InvalidFederation;
use crate::reconcile::apply::Applied;

/// Judges a federation that passed validation.
pub fn check(view: View<'_>) -> Verdict {
    match &view.seen.applied {
        Applied::Done | Applied::Paused => {
            let later = view.federation.spec.not_in_effect();
            let later = if later.is_empty() {
                String::new()
            } else {
                format!(" Not in effect yet: {}.", later.join(", "))
            };
            Verdict::new(
                AcceptedReason::Accepted,
                format!("The resource is valid.{later}{}", unknown_keys(view)),
            )
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

/// A peer verifies a dialback key at whichever target it selects (XEP-0220 §2.3). A target that does not know the secret
/// denies the key.
fn unknown_keys(view: View<'_>) -> String {
    let spec = &view.federation.spec;
    let srv = &spec.dns.srv;
    let mut others = srv.other_targets.iter();
    match others.find(|other| other.priority <= srv.priority) {
        Some(other) if spec.dialback.is_none() => format!(
            " Peers may verify dialback keys at {}, which does not know the generated secret. Set spec.dialback.secretRef to a secret that both use, or give that target a higher priority value.",
            other.host
        ),
        _ => String::new(),
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
